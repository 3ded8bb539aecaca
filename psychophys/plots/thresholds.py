"""Figures of results and comparisons. Tables in, figures out; nothing is computed here but means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D

from psychophys.base.errors import UsageError
from psychophys.comparison.human import Matched, match
from psychophys.comparison.priors import Density
from psychophys.plots.dimensions import (
    find_parameter,
    label_depth,
    label_dimension,
    log_thresholds,
    scale_dimension,
    share_scale,
)
from psychophys.plots.drawing import (
    Drawing,
    draw_band,
    draw_legend,
    draw_line,
    drawing_of,
    name_ends,
    say_empty,
)
from psychophys.plots.maps import draw_maps, share_of_mean, sharing, shrink_bar
from psychophys.plots.style import COLOURS, DEPTH_MAP, GREYS, SIZES, STYLES, USUAL_SIZE, Size
from psychophys.results.summary import run_name, summarize
from psychophys.results.thresholds import Results

MOST_RUNS = 6
MOST_NAMED = 8
"""Layers whose lines are named: more are told apart by the colour of their depth."""
ROW, LAST, PRIOR = 2.1, 2.2, 1.3
"""Heights in inches: of a run, of what is over depth, and of a prior."""
HUMAN = "human (scaled)"
FURNITURE = 0.75
"""Height in inches of a panel's title and labels."""


def plot_thresholds(
    results: Results,
    *,
    human: bool | str = False,
    pixels_per_degree: float | None = None,
    size: str = USUAL_SIZE,
) -> Drawing:
    """Thresholds over the dimension by layer, sensitivity as a map, and an index over depth.

    A single value is drawn over depth; a single layer has no map.

    Parameters
    ----------
    results
        Of at most ``MOST_RUNS`` runs over the same dimension.
    human
        Draw human thresholds beside, scaled to the layers' mean log threshold, with their published spread:
        those of the first reference for what was measured, or of the one named. Contrast is then drawn over
        frequency, across runs that differ in frequency alone.
    pixels_per_degree
        Of visual angle; decides the frequency in cycles/deg. Default: those of the display, or 100.
    size
        ``column``, ``page`` or ``talk``.
    """
    chosen = SIZES.find(size)
    named = human if isinstance(human, str) else None
    beside = match(results, pixels_per_degree, named) if human else []
    if human:
        rows = pd.concat([matched.rows for matched in beside])
        results = Results(pa.Table.from_pandas(rows, schema=Results.schema, preserve_index=False), {})
    frame = _checked(results.to_pandas())
    with chosen.context():
        if len(frame["value"].unique()) == 1 and not human:
            return _plot_one_value(frame, chosen)
        return _plot_curves(results, frame, beside, chosen)


def _plot_curves(results: Results, frame: pd.DataFrame, beside: Sequence[Matched], size: Size) -> Drawing:
    runs = [run for _, run in frame.groupby("run_id", sort=False)]
    several = frame.groupby("run_id")["layer"].nunique().max() > 1
    columns = size.beside if several else 1
    per_run = 2 if several else 1
    lines = len(runs) * per_run // columns
    with_index = several or len(runs) > 1
    figure = Drawing(size, ROW * lines + LAST * with_index + 0.2)
    grid = figure.add_gridspec(lines + with_index, columns)
    places = [figure.add_subplot(grid[i // columns, i % columns]) for i in range(lines * columns)]
    curves, maps = places[::per_run], places[1::2] if several else []
    for number, (axes, run) in enumerate(zip(curves, runs, strict=True)):
        _draw_thresholds(axes, run, beside[number] if beside else None)
    _draw_depth_bar(curves, runs)
    draw_maps(maps, runs, beside, ROW - FURNITURE)
    handles = [line for line in curves[0].get_lines() if line.get_label() == HUMAN]
    if with_index:
        lines_over_depth = _draw_index(figure.add_subplot(grid[-1, :]), results)
        handles += lines_over_depth if len(runs) > 1 else []
    draw_legend(figure, handles)
    return figure.finish()


def _plot_one_value(frame: pd.DataFrame, size: Size) -> Drawing:
    """Thresholds at the one value over depth."""
    figure = Drawing(size, LAST + 0.3)
    axes = figure.add_subplot()
    lines = []
    for number, (_, run) in enumerate(frame.groupby("run_id", sort=False)):
        look = _line(number, run) | {"marker": "o", "markersize": 3}
        lines.append(draw_line(axes, run["layer_depth"], _positive(run["threshold"]), **look))
        draw_band(
            axes,
            run["layer_depth"],
            run["threshold_low"],
            run["threshold_high"],
            run_name(run.iloc[0]),
            color=look["color"],
            alpha=0.2,
        )
    first = frame.iloc[0]
    axes.set_title(f"{first['dimension']} {first['value']:g} {first['unit']}")
    axes.set_ylabel(f"threshold ({first['unit']})")
    if len(frame["layer"].unique()) == 1:
        axes.set_xticks([first["layer_depth"]], [first["layer"]])
        axes.set_xlim(first["layer_depth"] - 0.5, first["layer_depth"] + 0.5)
    else:
        label_depth(axes)
    log_thresholds(axes)
    draw_legend(figure, lines)
    return figure.finish()


def plot_comparison(
    results: Results,
    comparison: pd.DataFrame,
    density: Density | None = None,
    *,
    pixels_per_degree: float | None = None,
    size: str = USUAL_SIZE,
) -> Drawing:
    """The prior or human sensitivity, each layer's, and their correlation over depth.

    Parameters
    ----------
    density
        Of the prior. Default: human sensitivity in its place.
    pixels_per_degree
        As for :func:`plot_thresholds`, for human sensitivity.
    size
        ``column``, ``page`` or ``talk``.
    """
    chosen = SIZES.find(size)
    named = None if density is not None else str(comparison["reference"].iloc[0])
    beside = match(results, pixels_per_degree, named) if density is None else []
    frame = _checked(results.to_pandas() if density else pd.concat([matched.rows for matched in beside]))
    runs = [run for _, run in frame.groupby("run_id", sort=False)]
    with chosen.context():
        heights = [PRIOR, *[ROW] * len(runs), LAST]
        figure = Drawing(chosen, sum(heights) + 0.2)
        grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
        top, *middle, last = (figure.add_subplot(grid[i]) for i in range(len(heights)))
        _draw_references(top, runs, density, beside)
        drawn = []
        for number, (axes, run) in enumerate(zip(middle, runs, strict=True)):
            drawn.append(_draw_curves(axes, run.assign(**_shares(run)), "share"))
            axes.set_ylabel("sensitivity\nover its mean")
            axes.set_title(run_name(run.iloc[0]))
            if density is None:
                _label_axis(beside[number], axes)
        share_scale(middle)
        for axes, run, lines in zip(middle, runs, drawn, strict=True):
            axes.set_xlim(top.get_xlim())
            _name_layers(axes, run, lines)
        _draw_depth_bar(middle, runs)
        draw_legend(figure, _draw_r(last, comparison, "the prior" if density else "human sensitivity"))
        return figure.finish()


def _draw_references(
    axes: Axes, runs: Sequence[pd.DataFrame], density: Density | None, beside: Sequence[Matched]
) -> None:
    """The prior on axes of its own, as it varies more than the layers do; or the human curves."""
    # A curve that several runs have in common is drawn once.
    distinct: dict[bytes, tuple[Density, pd.DataFrame]] = {}
    for number, run in enumerate(runs):
        curve = density or beside[number].curve
        distinct.setdefault(curve.centres.tobytes() + curve.density.tobytes(), (curve, run))
    label_dimension(axes, runs[0])
    for curve, run in distinct.values():
        values = np.sort(run["value"].unique())
        shown = (curve.centres >= values[0]) & (curve.centres <= values[-1])
        mean = np.nanmean(curve.at(values))
        share = curve.density[shown] / mean
        if beside and density is None:
            factor = next(one.factor for one in beside if one.curve is curve)[shown]
            draw_band(axes, curve.centres[shown], share / factor, share * factor, "human", color="0.85")
        draw_line(axes, curve.centres[shown], share, "prior" if density else "human", color="black")
    axes.set_title("prior" if density else "human sensitivity")
    axes.set_ylabel(f"{'density' if density else 'sensitivity'}\nover its mean")
    if beside:
        _label_axis(beside[0], axes)


def _draw_thresholds(axes: Axes, run: pd.DataFrame, matched: Matched | None) -> None:
    lines = _draw_curves(axes, run, "threshold")
    if matched is not None:
        _draw_human(axes, matched)
        _label_axis(matched, axes)
    nominal = "nominal " if matched is not None and matched.reference.unit == "Michelson" else ""
    axes.set_ylabel(f"threshold ({nominal}{run['unit'].iloc[0]})")
    axes.set_title(run_name(run.iloc[0]))
    _name_layers(axes, run, lines)


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
    draw_line(axes, values, scaled, HUMAN, color="black", linewidth=1.5, linestyle="--")
    draw_band(axes, values, scaled / matched.factor, scaled * matched.factor, HUMAN, color="black", alpha=0.1)


def _label_axis(matched: Matched, axes: Axes) -> None:
    """Say what a curve across runs is over."""
    if matched.across:
        axes.set_xlabel(f"{matched.reference.axis} ({matched.reference.axis_unit})")
        parameter = find_parameter(matched.rows["stimulus"].iloc[0], matched.reference.axis)
        scale_dimension(axes, np.sort(matched.rows["value"].unique()), parameter)


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


def _shares(run: pd.DataFrame) -> dict[str, pd.Series]:
    """Sensitivity over its mean, and the interval that thresholds have."""
    share = share_of_mean(run)
    low = share * run["threshold"] / run["threshold_high"]
    return {"share": share, "share_low": low, "share_high": share * run["threshold"] / run["threshold_low"]}


def _positive(numbers: pd.Series) -> pd.Series:
    return numbers.where(np.isfinite(numbers) & (numbers > 0))


def _named(run: pd.DataFrame) -> bool:
    return run["layer"].nunique() <= MOST_NAMED


def _draw_curves(axes: Axes, run: pd.DataFrame, column: str) -> list[Line2D]:
    """A line a layer; few have their intervals."""
    lines = []
    for name, layer in run.groupby("layer", sort=False):
        ordered = layer.sort_values("value")
        colour = DEPTH_MAP(float(layer["layer_depth"].iloc[0]))
        lines.append(draw_line(axes, ordered["value"], _positive(ordered[column]), str(name), color=colour))
        if _named(run):
            low, high = ordered[f"{column}_low"], ordered[f"{column}_high"]
            draw_band(axes, ordered["value"], low, high, str(name), color=colour, alpha=0.2)
    label_dimension(axes, run)
    log_thresholds(axes)
    if not any(np.isfinite(np.asarray(line.get_ydata(), dtype=float)).any() for line in lines):
        say_empty(axes, f"no layer's threshold of {run['dimension'].iloc[0]} is known")
    return lines


def _name_layers(axes: Axes, run: pd.DataFrame, lines: list[Line2D]) -> None:
    """At the ends of the lines, where there are few; after the axes have their limits."""
    if _named(run):
        name_ends(axes, lines, (ROW - FURNITURE) * drawing_of(axes).size.scale)


def _draw_depth_bar(every: Sequence[Axes], runs: Sequence[pd.DataFrame]) -> None:
    """One for all panels; none where every line is named."""
    if all(_named(run) for run in runs):
        return
    depth = mpl.cm.ScalarMappable(Normalize(0, 1), DEPTH_MAP)
    for group in sharing(every):
        bar = group[0].figure.colorbar(depth, ax=group, pad=0.02, aspect=30, shrink=shrink_bar(group))
        bar.set_label("depth (0 first, 1 last)")
        bar.outline.set_visible(False)


def _draw_index(axes: Axes, results: Results) -> list[Line2D]:
    summary = summarize(results)
    depth = results.to_pandas().groupby(["run_id", "layer"], sort=False)["layer_depth"].first()
    summary = summary.join(depth, on=["run_id", "layer"])
    oriented = "cardinal_oblique_ratio" in summary and summary["cardinal_oblique_ratio"].notna().any()
    column = "cardinal_oblique_ratio" if oriented else "best_worst_ratio"
    lines = []
    for number, (_, run) in enumerate(summary.groupby("run_id", sort=False)):
        look = _line(number, run)
        if f"{column}_low" in run:
            ends = (run[f"{column}_low"], run[f"{column}_high"])
            draw_band(axes, run["layer_depth"], *ends, look["name"], color=look["color"], alpha=0.2)
        marked = {"marker": "."} if len(run) <= 3 * MOST_NAMED else {}
        lines.append(draw_line(axes, run["layer_depth"], _positive(run[column]), **look, **marked))
    if not summary[column].notna().any():
        say_empty(axes, "no index is known")
    axes.axhline(1, color="grey", linewidth=0.8, zorder=0)
    log_thresholds(axes)
    label_depth(axes)
    axes.set_ylabel("sensitivity ratio,\n" + ("cardinal / oblique" if oriented else "best / worst value"))
    return lines


def _line(number: int, run: pd.DataFrame) -> dict[str, Any]:
    """Untrained networks are grey."""
    weights = str(run["weights"].iloc[0])
    return {
        "color": GREYS.get(weights, COLOURS[number % len(COLOURS)]),
        "linestyle": STYLES.get(weights, "-."),
        "name": run_name(run.iloc[0]),
    }


def _draw_r(axes: Axes, comparison: pd.DataFrame, what: str) -> list[Line2D]:
    lines = []
    for number, (_, run) in enumerate(comparison.groupby("run_id", sort=False)):
        layers = run[run["layer_index"] >= 0]
        lines.append(
            draw_line(
                axes, layers["layer_depth"], layers["r"], marker=".", markersize=3, **_line(number, run)
            )
        )
    pixels = comparison[comparison["layer_index"] < 0]["r"].dropna()
    if len(pixels):
        lines.append(
            axes.axhline(pixels.iloc[0], color="black", linestyle=(0, (1, 3)), linewidth=1, label="pixels")
        )
    if not comparison["r"].notna().any():
        say_empty(axes, "no correlation is known")
    axes.axhline(0, color="grey", linewidth=0.8, zorder=0)
    axes.set_ylim(-1.05, 1.05)
    label_depth(axes)
    axes.set_ylabel(f"r with {what}")
    return lines
