"""Axes of what was measured: dimensions, layers and ratios."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LogNorm
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from psychophys.base.types import Array
from psychophys.stimuli import STIMULI, Parameter

HALF_ROUND_DEG, ROUND_DEG = 180.0, 360.0
MOST_OF_RATIOS = 99.0
"""Percentile of the deviations that colours reach: one odd layer must not make all others white."""
LEAST_RATIO = 1.05
RATIOS = (0.01, 0.05, 0.1, 0.2, 0.5, 0.67, 0.8, 0.9, 0.95, 1, 1.05, 1.1, 1.25, 1.5, 2, 5, 10, 20, 100)


def label_dimension(axes: Axes, run: pd.DataFrame) -> None:
    """Name the horizontal axis, and give it the dimension's scale and round numbers."""
    first = run.iloc[0]
    parameter = find_parameter(first["stimulus"], first["dimension"])
    axes.set_xlabel(f"{first['dimension']} ({first['unit']})")
    scale_dimension(axes, np.sort(run["value"].unique()), parameter)


def find_parameter(stimulus: str, dimension: str) -> Parameter | None:
    """What a dimension is; None for a stimulus that is not known here."""
    if stimulus not in STIMULI:
        return None
    return next((one for one in STIMULI[stimulus].parameters if one.name == dimension), None)


def scale_dimension(axes: Axes, values: Array, parameter: Parameter | None) -> None:
    """A logarithmic axis for what is measured on one; for angles, ticks at even parts of a round."""
    if parameter is None or len(values) < 2:
        return
    if parameter.log and values[0] > 0:
        axes.set_xscale("log")
        plain_log(axes.xaxis, values[0], values[-1])
    elif parameter.unit == "deg":
        tick_round(axes.xaxis, values, parameter.period or HALF_ROUND_DEG)


def tick_round(axis: Axis, values: Array, period_deg: float) -> None:
    """Ticks of 45 deg for half a round, of 60 for one; the end of a full round is on the axis."""
    step = 60.0 if period_deg >= ROUND_DEG else 45.0
    low, high = float(values[0]), float(values[-1])
    whole = high - low + np.diff(values).max() >= period_deg - 1e-6
    last = low + period_deg if whole else high
    ticks = np.arange(np.ceil(low / step - 1e-9) * step, last + 1e-6, step)
    if len(ticks) > 1:
        axis.set_ticks(ticks)
        margin = 0.02 * (last - low)
        axis.set_view_interval(low - margin, last + margin, ignore=True)


def plain_log(axis: Axis, low: float, high: float) -> None:
    """Plain numbers on a logarithmic axis, also between the decades where there are few."""
    decades = np.log10(high / low) if low > 0 else 1.0
    subs = (1.0, 2.0, 5.0) if decades < 2 else (1.0,)
    axis.set_minor_formatter(NullFormatter())
    if decades < 0.8:
        ticks = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        axis.set_ticks([tick for tick in ticks if low <= tick <= high])
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))
        return
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def log_thresholds(axes: Axes) -> None:
    """A logarithmic vertical axis, if anything is drawn."""
    drawn = [np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()]
    known = np.concatenate([values[np.isfinite(values) & (values > 0)] for values in drawn] or [np.empty(0)])
    if not len(known):
        return
    axes.set_yscale("log")
    if np.ptp(np.log10(known)) < 0.05:
        axes.set_ylim(known.min() / 1.5, known.max() * 1.5)
    plain_log(axes.yaxis, *axes.get_ylim())


def ratio_norm(ratios: Array) -> LogNorm:
    """A logarithmic scale of colours with 1 in the middle, which several maps can share."""
    known = ratios[np.isfinite(ratios) & (ratios > 0)]
    reach = float(np.exp(np.percentile(np.abs(np.log(known)), MOST_OF_RATIOS))) if len(known) else 1.0
    reach = max(reach, LEAST_RATIO)
    return LogNorm(1 / reach, reach)


def beyond(ratios: Array, norm: LogNorm) -> str:
    """Which ends of a colour bar go on."""
    low, high = norm.vmin or 0.0, norm.vmax or np.inf
    under, over = bool((ratios < low * (1 - 1e-9)).any()), bool((ratios > high * (1 + 1e-9)).any())
    return {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[
        (under, over)
    ]


def stage_of(layer: str) -> str:
    """``blocks.3`` of ``blocks.3.0.conv_pw``: a layer's first name, with its number."""
    first, *rest = layer.split(".")
    return f"{first}.{rest[0]}" if rest and rest[0].isdigit() else first


def label_layers(axes: Axes, layers: Sequence[str], room: int) -> None:
    """Name the rows of a map: each, or, where there is no room, the stages, with ticks between them."""
    if len(layers) <= room:
        axes.set_yticks(range(len(layers)), layers)
        return
    axes.set_yticks([], minor=True)
    groups, start = [], 0
    for name, members in groupby(layers, stage_of):
        count = len(list(members))
        groups.append((count, start, name))
        start += count
    placed: list[tuple[float, str]] = []
    for count, begin, name in sorted(groups, key=lambda group: -group[0]):
        middle = begin + (count - 1) / 2
        if all(abs(middle - other) >= len(layers) / room for other, _ in placed):
            placed.append((middle, name))
    placed.sort()
    axes.set_yticks([middle for middle, _ in placed], [name for _, name in placed])
    axes.tick_params(axis="y", length=0)
    axes.set_yticks([begin - 0.5 for _, begin, _ in groups[1:]], minor=True)
    axes.tick_params(axis="y", which="minor", length=3)


def label_depth(axes: Axes) -> None:
    """From the first layer to the last."""
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel("depth (0 first layer, 1 last)")


def tick_cells(axes: Axes, run: pd.DataFrame, values: Array) -> None:
    """Round numbers where the cells are evenly spaced; else the values of some cells."""
    first = run.iloc[0]
    parameter = find_parameter(first["stimulus"], first["dimension"])
    step = np.diff(values)
    if (
        parameter is not None
        and parameter.unit == "deg"
        and len(values) > 2
        and np.ptp(step) < 1e-6 * step[0]
    ):
        every = 60 if parameter.period == ROUND_DEG else 45
        ticks = np.arange(np.ceil(values[0] / every) * every, values[-1] + step[0] / 2 + 1e-6, every)
        axes.set_xticks((ticks - values[0]) / step[0], [f"{tick:g}" for tick in ticks])
    else:
        shown = np.unique(np.linspace(0, len(values) - 1, 5).round().astype(int))
        axes.set_xticks(shown, [f"{values[i]:.3g}" for i in shown])


def ticks_around_one(norm: LogNorm) -> list[float]:
    """Of a colour bar of ratios: few, 1 among them."""
    low, high = np.log(norm.vmin or 1.0), np.log(norm.vmax or 1.0)
    return [
        tick
        for tick in RATIOS
        if low <= np.log(tick) <= high and (tick == 1 or abs(np.log(tick)) > 0.3 * high)
    ]


def share_scale(every: Sequence[Axes]) -> None:
    """One vertical scale for panels that are compared."""
    drawn = [axes for axes in every if any(np.isfinite(line.get_ydata()).any() for line in axes.get_lines())]
    if drawn:
        low = min(axes.get_ylim()[0] for axes in drawn)
        high = max(axes.get_ylim()[1] for axes in drawn)
        for axes in drawn:
            axes.set_ylim(low, high)
            if axes.get_yscale() == "log":
                plain_log(axes.yaxis, low, high)
