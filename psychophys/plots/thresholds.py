"""Figures of results and comparisons. Tables in, figures out; nothing is computed here but means."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from psychophys.base.errors import UsageError
from psychophys.comparison.human import PIXELS_PER_DEGREE, Matched, match
from psychophys.comparison.priors import Density
from psychophys.plots.style import COLOURS, DEPTH_MAP, STYLE, STYLES, WIDTH_INCHES
from psychophys.results.summary import run_name, summarize
from psychophys.results.thresholds import Results

MOST_RUNS = 6


def plot_thresholds(
    results: Results, *, human: bool = False, pixels_per_degree: float = PIXELS_PER_DEGREE
) -> Figure:
    """Thresholds over the dimension by layer, sensitivity as a map, and an index over depth.

    Parameters
    ----------
    results
        Of at most ``MOST_RUNS`` runs over the same dimension.
    human
        Draw human thresholds beside, scaled to the layers' mean log threshold. Contrast is then drawn over
        frequency, across runs that differ in frequency alone.
    pixels_per_degree
        Of visual angle; decides the frequency in cycles/deg.
    """
    beside = match(results, pixels_per_degree) if human else []
    if human:
        rows = pd.concat([matched.rows for matched in beside])
        results = Results(pa.Table.from_pandas(rows, schema=Results.schema, preserve_index=False), {})
    frame = _checked(results.to_pandas())
    runs = [run for _, run in frame.groupby("run_id", sort=False)]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, 2.1 * (len(runs) + 1)), layout="constrained")
        grid = figure.subplots(len(runs) + 1, 2, squeeze=False)
        for number, ((left, right), run) in enumerate(zip(grid[:-1], runs, strict=True)):
            _draw_curves(left, run, "threshold")
            if human:
                _draw_human(left, beside[number])
            _log_scale(left)
            nominal = "nominal " if human and beside[number].across else ""
            left.set_ylabel(f"threshold ({nominal}{run['unit'].iloc[0]})")
            left.set_title(run_name(run.iloc[0]))
            _draw_map(right, run)
            if human:
                _label_axis(beside[number], left, right)
        _draw_index(grid[-1][0], results)
        _draw_legend(grid[-1][1], frame)
    return figure


def plot_comparison(
    results: Results,
    comparison: pd.DataFrame,
    density: Density | None = None,
    *,
    pixels_per_degree: float = PIXELS_PER_DEGREE,
) -> Figure:
    """The prior or human sensitivity and each layer's, and their correlation over depth.

    Parameters
    ----------
    density
        Of the prior. Default: human sensitivity in its place.
    pixels_per_degree
        Of visual angle, for human sensitivity; decides the frequency in cycles/deg.
    """
    named = None if density is not None else str(comparison["reference"].iloc[0])
    beside = match(results, pixels_per_degree, named) if density is None else []
    frame = _checked(results.to_pandas() if density else pd.concat([matched.rows for matched in beside]))
    runs = [run for _, run in frame.groupby("run_id", sort=False)]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, 2.3 * (len(runs) + 1)), layout="constrained")
        grid = figure.subplots(len(runs) + 1, 1, squeeze=False)[:, 0]
        for number, (axes, run) in enumerate(zip(grid[:-1], runs, strict=True)):
            _draw_curves(axes, run.assign(share=_share(run)), "share")
            _draw_density(axes, run, density or beside[number].curve, "prior" if density else "human")
            axes.set_ylabel(f"sensitivity{' or density' if density else ''}\nover its mean")
            axes.set_title(run_name(run.iloc[0]))
            if density is None:
                _label_axis(beside[number], axes)
        _draw_r(grid[-1], comparison, "the prior" if density else "human sensitivity")
    return figure


def _draw_density(axes: Axes, run: pd.DataFrame, density: Density, label: str) -> None:
    values = np.sort(run["value"].unique())
    shown = (density.centres >= values[0]) & (density.centres <= values[-1])
    share = density.density[shown] / np.nanmean(density.at(values))
    axes.plot(density.centres[shown], share, color="black", linewidth=1.5, label=label)
    axes.legend(loc="upper center")


def _draw_human(axes: Axes, matched: Matched) -> None:
    """Human thresholds, scaled to the layers' mean over the values that both have."""
    values, sensitivity = matched.curve.centres, matched.curve.density
    known = np.isfinite(sensitivity) & (sensitivity > 0)
    limits = matched.rows["threshold"].where(np.isfinite(matched.rows["threshold"]))
    limits = limits[(limits > 0) & matched.rows["value"].isin(values[known])]
    if limits.empty:
        return
    human = np.where(known, -np.log(np.where(known, sensitivity, 1)), np.nan)
    scaled = np.exp(human - np.nanmean(human) + np.log(limits).mean())
    axes.plot(values, scaled, color="black", linewidth=1.5, linestyle="--", label="human (scaled)")
    axes.legend(loc="best")


def _label_axis(matched: Matched, *every: Axes) -> None:
    """Say what a curve across runs is over."""
    if matched.across:
        for axes in every:
            axes.set_xlabel(f"{matched.reference.axis} ({matched.reference.axis_unit})")


def _checked(frame: pd.DataFrame) -> pd.DataFrame:
    runs, dimensions = frame["run_id"].nunique(), frame["dimension"].unique()
    if frame.empty:
        raise UsageError("the results hold no rows", "Give some written by `psychophys measure`.")
    stimuli = frame["stimulus"].unique()
    if len(stimuli) > 1:
        raise UsageError(f"results of {', '.join(stimuli)} in one figure", "Draw them one by one.")
    if len(dimensions) > 1:
        raise UsageError(f"results over {', '.join(dimensions)} in one figure", "Draw them one by one.")
    if runs > MOST_RUNS:
        raise UsageError(f"{runs} runs are too many for one figure", f"Draw at most {MOST_RUNS}.")
    return frame


def _share(run: pd.DataFrame) -> pd.Series:
    sensitivity = run["sensitivity"]
    return sensitivity / sensitivity.groupby(run["layer"]).transform("mean")


def _draw_curves(axes: Axes, run: pd.DataFrame, column: str) -> None:
    colours, depth = mpl.colormaps[DEPTH_MAP], Normalize(0, 1)
    for _, layer in run.groupby("layer", sort=False):
        ordered = layer.sort_values("value")
        shown = ordered[column].where(np.isfinite(ordered[column]) & (ordered[column] > 0))
        axes.plot(ordered["value"], shown, color=colours(depth(layer["layer_depth"].iloc[0])), linewidth=1)
    _label_dimension(axes, run)
    bar = axes.figure.colorbar(mpl.cm.ScalarMappable(depth, colours), ax=axes, pad=0.01, aspect=30)
    bar.set_label("depth (0 first, 1 last)")
    bar.outline.set_visible(False)


def _label_dimension(axes: Axes, run: pd.DataFrame) -> None:
    axes.set_xlabel(f"{run['dimension'].iloc[0]} ({run['unit'].iloc[0]})")
    values = np.sort(run["value"].unique())
    if run["unit"].iloc[0] == "deg" and len(values) > 1:
        axes.set_xticks([tick for tick in np.arange(-720, 721, 45) if values[0] <= tick <= values[-1] + 5])


def _draw_map(axes: Axes, run: pd.DataFrame) -> None:
    table = run.assign(share=_share(run)).pivot_table("share", "layer", "value", sort=False, dropna=False)
    table = table[sorted(table.columns)]
    # Cells of one size: the values may be spaced in any way.
    image = axes.pcolormesh(
        np.arange(len(table.columns)), np.arange(len(table)), table.to_numpy(), cmap=DEPTH_MAP
    )
    chosen = np.unique(np.linspace(0, len(table) - 1, min(len(table), 7)).round().astype(int))
    axes.set_yticks(chosen, [str(table.index[i]) for i in chosen])
    axes.invert_yaxis()
    shown = np.unique(np.linspace(0, len(table.columns) - 1, 5).round().astype(int))
    axes.set_xticks(shown, [f"{table.columns[i]:.3g}" for i in shown])
    axes.set_xlabel(f"{run['dimension'].iloc[0]} ({run['unit'].iloc[0]})")
    bar = axes.figure.colorbar(image, ax=axes, pad=0.01, aspect=30)
    bar.set_label("sensitivity over\nthe layer's mean")
    bar.outline.set_visible(False)


def _draw_index(axes: Axes, results: Results) -> None:
    summary = summarize(results)
    depth = results.to_pandas().groupby(["run_id", "layer"], sort=False)["layer_depth"].first()
    summary = summary.join(depth, on=["run_id", "layer"])
    oriented = "cardinal_oblique_ratio" in summary and summary["cardinal_oblique_ratio"].notna().any()
    column = "cardinal_oblique_ratio" if oriented else "best_worst_ratio"
    for number, (_, run) in enumerate(summary.groupby("run_id", sort=False)):
        axes.plot(run["layer_depth"], run[column], marker=".", linewidth=1, **_line(number, run))
    if oriented:
        axes.axhline(1, color="grey", linewidth=0.8)
    if not oriented:
        _log_scale(axes)
    axes.set_xlabel("depth (0 first layer, 1 last)")
    axes.set_ylabel("sensitivity ratio,\n" + ("cardinal / oblique" if oriented else "best / worst value"))


def _log_scale(axes: Axes) -> None:
    """A logarithmic axis with plain numbers, also between the decades where there are few."""
    drawn = [np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()]
    if not any(np.isfinite(values).any() for values in drawn):
        return  # No layer depends on the stimulus.
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 300 * low else (1.0,)))
    axes.yaxis.set_major_formatter(plain)
    axes.yaxis.set_minor_formatter(NullFormatter())


def _line(number: int, run: pd.DataFrame) -> dict[str, Any]:
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": STYLES.get(str(run["weights"].iloc[0]), "-."),
        "label": run_name(run.iloc[0]),
    }


def _draw_legend(axes: Axes, frame: pd.DataFrame) -> None:
    for number, (_, run) in enumerate(frame.groupby("run_id", sort=False)):
        axes.plot([], [], **_line(number, run))
    axes.set_axis_off()
    axes.legend(loc="center left")


def _draw_r(axes: Axes, comparison: pd.DataFrame, what: str) -> None:
    for number, (_, run) in enumerate(comparison.groupby("run_id", sort=False)):
        layers = run[run["layer_index"] >= 0]
        axes.plot(layers["layer_depth"], layers["r"], marker=".", linewidth=1, **_line(number, run))
    pixels = comparison[comparison["layer_index"] < 0]["r"].dropna()
    if len(pixels):
        axes.axhline(pixels.iloc[0], color="black", linestyle=(0, (1, 3)), linewidth=1, label="pixels")
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.set_ylim(-1.05, 1.05)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("depth (0 first layer, 1 last)")
    axes.set_ylabel(f"r with {what}")
    axes.legend(loc="lower right")
