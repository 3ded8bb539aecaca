"""Units of networks beside neurons of V1, and why Fisher information differs between orientations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter

from psychophys.base.errors import UsageError
from psychophys.base.types import Array
from psychophys.physiology.population import FACTORS
from psychophys.physiology.summary import layers_of_units, values_beside
from psychophys.physiology.v1 import FEWEST, V1, Published
from psychophys.plots.dimensions import plain_log
from psychophys.plots.drawing import Drawing, draw_legend, draw_line, say_empty
from psychophys.plots.style import COLOURS, DEPTH_MAP, SIZES, USUAL_SIZE
from psychophys.results.tuning_curves import name_of_run
from psychophys.results.unit_tuning import UnitTuning

MOST_RUNS = 4
MOST_NAMED = 16
"""Layers in the legend; of more, some."""
ROW_INCHES = 1.8
NEURONS: dict[str, Any] = {"color": "0", "linewidth": 1.6, "zorder": 3}
POINTS = 200
"""Of a line: quantiles of a distribution."""


@dataclass(frozen=True)
class Panel:
    """A distribution that is drawn.

    Attributes
    ----------
    published
        Name in :data:`psychophys.V1` of what is set beside it; empty where nothing is.
    """

    column: str
    label: str
    published: str = ""
    log: bool = False


PANELS = (
    Panel("preferred_orientation", "preferred orientation (deg)", "orientation"),
    Panel("orientation_bandwidth", "orientation bandwidth (deg)"),
    Panel("circular_variance", "circular variance"),
    Panel("preferred_frequency", "preferred frequency (cycles/image)", "frequency", log=True),
    Panel("frequency_selectivity", "low over high frequency (%)", "frequency-selectivity"),
    Panel("modulation_ratio", "F1 / F0"),
    Panel("suppression_index", "suppression index", "suppression"),
    Panel("c50", "semisaturation contrast", log=True),
)


def check_units_figure(runs: int) -> None:
    """Raise :class:`UsageError` for more runs than a figure holds."""
    if runs > MOST_RUNS:
        raise UsageError(
            f"{runs} networks in one figure", f"Draw at most {MOST_RUNS}, or leave --figure out."
        )


def plot_units(units: UnitTuning, *, size: str = USUAL_SIZE) -> Drawing:
    """Cumulative distributions by layer beside those of V1; and J at cardinal over oblique orientations.

    Parameters
    ----------
    size
        Name in :data:`psychophys.plots.style.SIZES`.
    """
    chosen = SIZES.find(size)
    frame = units.to_pandas()
    runs = list(frame.groupby("run_id", sort=False))
    check_units_figure(len(runs))
    if not runs:
        raise UsageError("no units to draw", "Give a file written by `psychophys tune`.")
    beside = chosen.beside
    rows = -(-(len(PANELS) + 1) // beside)
    with chosen.context():
        figure = Drawing(chosen, ROW_INCHES * rows * len(runs) + 0.6)
        table = figure.subplots(rows * len(runs), beside, squeeze=False)
        lines: list[Line2D] = []
        for place, (run_id, part) in enumerate(runs):
            own = table[place * rows : (place + 1) * rows].ravel()
            record = units.runs[str(run_id)]
            own[0].set_title(name_of_run(record))
            for axes, panel in zip(own, PANELS, strict=False):
                lines += _draw_distributions(axes, panel, part, record)
            lines += _draw_factors(own[len(PANELS)], units[str(part["model"].iloc[0])], str(run_id))
            for axes in own[len(PANELS) + 1 :]:
                axes.remove()
        draw_legend(figure, lines)
        return figure.finish()


def _colours(layers: list[str]) -> dict[str, Any]:
    return {name: DEPTH_MAP(i / max(len(layers) - 1, 1)) for i, name in enumerate(layers)}


def _draw_distributions(
    axes: Axes, panel: Panel, part: pd.DataFrame, record: Mapping[str, Any]
) -> list[Line2D]:
    """Cumulative shares of units by layer, and of neurons."""
    layers = list(part["layer"].unique())
    named = set(layers[:: -(-len(layers) // MOST_NAMED)])
    lines = []
    one = V1[panel.published] if panel.published else None
    scale = record.get("pixels_per_degree")
    known = one is not None and (one.scaled is None or scale is not None)
    for layer, colour in _colours(layers).items():
        own = part[part["layer"] == layer]
        if one is not None and known:
            values = values_beside(one, own, record, scale)
        else:
            values = own[panel.column].dropna().to_numpy(dtype=float)
        if one is not None and one.circular:
            values = (values - one.edges[0]) % 180 + one.edges[0]
        if len(values) >= FEWEST:
            line = draw_line(axes, *_cumulated(values), layer, color=colour, linewidth=0.8)
            lines += [line] if layer in named else []
    if not lines:
        say_empty(axes, "too few units have one")
    if one is not None and known:
        lines.append(_draw_neurons(axes, one))
    degrees = one is not None and one.scaled is not None and known
    axes.set_xlabel(panel.label.replace("cycles/image", "cycles/deg") if degrees else panel.label)
    axes.set_ylabel("share of units")
    axes.set_ylim(0, 1.02)
    if panel.log and lines:
        axes.set_xscale("log")
        plain_log(axes.xaxis, *axes.get_xlim())
    if one is not None and one.circular:
        axes.set_xlim(one.edges[0], one.edges[-1])
        axes.xaxis.set_major_locator(FixedLocator([0, 45, 90, 135]))
    return lines


def _cumulated(values: Array) -> tuple[Array, Array]:
    shares = np.linspace(0, 1, min(POINTS, len(values)) + 1)
    return np.quantile(values, shares), shares


def _draw_neurons(axes: Axes, one: Published) -> Line2D:
    shares = np.append(0, np.cumsum(one.counts) / one.n_neurons)
    edges = np.array(one.edges, dtype=float)
    return draw_line(axes, edges, shares, "neurons of V1", **NEURONS)


def _draw_factors(axes: Axes, units: UnitTuning, run_id: str) -> list[Line2D]:
    """J at cardinal over oblique orientations, and its factors, over layers."""
    frame = layers_of_units(units)
    frame = frame[frame["run_id"] == run_id]
    if not frame["ratio"].notna().any():
        say_empty(axes, "J was not taken apart")
        axes.set_xticks([])
        return []
    places = np.arange(len(frame))
    names = ("ratio", *(f"factor_{name}" for name in FACTORS))
    labels = (
        "J, cardinal over oblique",
        *(f"by {name}" for name in FACTORS[:-1]),
        "by units without a preference",
    )
    lines = [
        draw_line(
            axes,
            places,
            frame[name],
            label,
            color=colour,
            linewidth=1.6 if name == "ratio" else 1.0,
            marker="o",
            markersize=2.5,
        )
        for name, label, colour in zip(names, labels, ("0", *COLOURS), strict=False)
    ]
    axes.axhline(1, color="0.8", linewidth=0.6, zorder=0)
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.9), max(high, 1.12))
    axes.yaxis.set_major_locator(FixedLocator([0.1, 0.2, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10]))
    axes.yaxis.set_minor_locator(FixedLocator([]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xticks(places, list(frame["layer"]), rotation=90 if len(frame) > 4 else 0, fontsize="small")
    axes.set_ylabel("factor")
    return lines
