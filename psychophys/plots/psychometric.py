"""Figures of simulated observers."""

from __future__ import annotations

import json
from textwrap import fill

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from scipy.stats import binomtest

from psychophys.base.errors import MeasurementError
from psychophys.plots.dimensions import plain_log
from psychophys.plots.drawing import Drawing, draw_legend, draw_line, drawing_of
from psychophys.plots.style import COLOURS, DEPTH_MAP, SIZES, USUAL_SIZE
from psychophys.results.summary import run_name
from psychophys.simulation.psychometrics import TASKS, Fit
from psychophys.simulation.table import Simulations

MOST_CURVES, COLUMNS = 6, 3


def plot_psychometric(simulations: Simulations, *, size: str = USUAL_SIZE) -> Drawing:
    """Psychometric functions of up to six layers at one value, and all fitted thresholds over predicted.

    The layers are spread over depth, and shown at the value whose deviation is the median.
    """
    frame = simulations.to_pandas()
    known = frame[frame["deviation"].notna()]
    if known.empty:
        raise MeasurementError("nothing was simulated that could be drawn", "Use less noise (--noise-level).")
    run = known[known["run_id"] == known["run_id"].iloc[0]]
    layers = list(dict.fromkeys(run["layer"]))
    places = np.unique(np.linspace(0, len(layers) - 1, min(len(layers), MOST_CURVES)).round().astype(int))
    chosen = SIZES.find(size)
    with chosen.context():
        columns = min(len(places), COLUMNS if chosen.beside > 1 else 1)
        lines = -(-len(places) // columns)
        figure = Drawing(chosen, 3.1 + 1.8 * lines)
        figure.suptitle(run_name(run.iloc[0]))
        top, bottom = np.ravel(np.asarray(figure.subfigures(2, 1, height_ratios=(1.8 * lines, 2.6))))
        grid = top.subplots(lines, columns, squeeze=False, sharey=True).flatten()
        for axes in grid[len(places) :]:
            axes.remove()
        for axes, place in zip(grid, places, strict=False):
            part = run[run["layer"] == layers[place]].sort_values("deviation")
            handles = _draw_function(axes, part.iloc[len(part) // 2])
            axes.set_xlabel(f"difference ({part['unit'].iloc[0]})")
            axes.set_ylabel("proportion correct" if axes.get_subplotspec().is_first_col() else "")
        _draw_thresholds(bottom.subplots(), run)
        draw_legend(figure, handles)
        return figure.finish()


def _draw_function(axes: Axes, row: pd.Series) -> list[Line2D]:
    shown, trials, correct = np.array(json.loads(row["curve"]), dtype=float).T
    task = TASKS.find(row["task"])
    share = correct / trials
    ends = [
        binomtest(int(k), int(n)).proportion_ci(method="wilson") for k, n in zip(correct, trials, strict=True)
    ]
    error = np.abs(np.array([[end.low, end.high] for end in ends]).T - share)
    axes.errorbar(shown, share, error, fmt="o", color="black", markersize=3, linewidth=0.8)
    smooth = np.geomspace(shown[0] * 0.8, shown[-1] * 1.2, 100)
    dprime = row["criterion_dprime"]
    predicted = [task.by_dprime(dprime * x / row["predicted_threshold"]) for x in smooth]
    drawing_of(axes).note(axes, name="trials", x=shown, y=share, low=share - error[0], high=share + error[1])
    line = draw_line(axes, smooth, predicted, "local-linear", color=COLOURS[0], linestyle="--")
    criterion = task.by_dprime(dprime)
    found = Fit(row["fitted_threshold"], row["fitted_low"], row["fitted_high"], row["power"])
    fitted = draw_line(axes, smooth, found.proportion_correct(smooth, criterion), "fitted", color=COLOURS[1])
    axes.axhline(criterion, color="grey", linewidth=0.6)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:.3g}")
    axes.xaxis.set_minor_formatter("")
    axes.set_xticks([shown[0], row["predicted_threshold"], shown[-1]])
    where = f"{row['dimension']} {row['value']:g} {row['unit']}"
    axes.set_title(f"{fill(str(row['layer']), 26)}\n{where}: {row['deviation']:+.0%}")
    return [line, fitted]


def _draw_thresholds(axes: Axes, known: pd.DataFrame) -> None:
    colours, depth = DEPTH_MAP, Normalize(0, 1)
    fitted, predicted = known["fitted_threshold"], known["predicted_threshold"]
    for shade, part in known.groupby("layer_depth"):
        errors = np.abs(
            [part["fitted_low"] - part["fitted_threshold"], part["fitted_high"] - part["fitted_threshold"]]
        )
        axes.errorbar(
            part["predicted_threshold"],
            part["fitted_threshold"],
            errors,
            fmt="o",
            markersize=3,
            linewidth=0.8,
            color=colours(depth(float(str(shade)))),
        )
        drawing_of(axes).note(
            axes,
            name=part["layer"],
            x=part["predicted_threshold"],
            y=part["fitted_threshold"],
            low=part["fitted_low"],
            high=part["fitted_high"],
        )
    ends = [min(fitted.min(), predicted.min()), max(fitted.max(), predicted.max())]
    axes.plot(ends, ends, color="grey", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yscale("log")
    plain_log(axes.xaxis, *axes.get_xlim())
    plain_log(axes.yaxis, *axes.get_ylim())
    unit = known["unit"].iloc[0]
    axes.set_xlabel(f"predicted threshold ({unit})")
    axes.set_ylabel(f"fitted threshold ({unit})")
    bar = axes.figure.colorbar(mpl.cm.ScalarMappable(depth, colours), ax=axes, pad=0.01, aspect=30)
    bar.set_label("depth (0 first, 1 last)")
    bar.outline.set_visible(False)
