"""Figures of learning experiments."""

from __future__ import annotations

from textwrap import fill

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import SymLogNorm
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from psychophys.base.errors import UsageError
from psychophys.learning.experiments import findings
from psychophys.learning.training import Learned
from psychophys.learning.trends import Curve, Findings, curves, share
from psychophys.plots.dimensions import ROUND_DEG, plain_log
from psychophys.plots.drawing import Drawing, draw_legend, draw_line
from psychophys.plots.linear import plot_linear
from psychophys.plots.style import COLOURS, DEPTH_MAP, SIZES, USUAL_SIZE, Size

MOST_COLUMNS = 4


def plot_learning(learned: Learned, *, size: str = USUAL_SIZE) -> Drawing:
    """Draw what an experiment found.

    ``linear``: some modes as pictures; the sensitivity to them, thresholds and acuity over training by
    network; then the rate of learning over eigenvalues. All but acuity and rates are of the first seed;
    dashed lines are the closed form. Other experiments: sensitivity, as a share of its
    mean, at every measured step, averaged over the runs, for each network; then what the experiment looks at
    over training, with each run as a thin line.

    Raises
    ------
    UsageError
        If there are no trainings.
    """
    if not len(learned.thresholds):
        raise UsageError("there are no trainings to draw", "Give some of `psychophys learn`.")
    chosen = SIZES.find(size)
    if len(learned.modes):
        return plot_linear(learned, size)
    return _plot_trend(learned, findings(learned), chosen)


def _plot_trend(learned: Learned, found: Findings, size: Size) -> Drawing:
    every = curves(learned.thresholds, found.dimension, found.layer)
    models = list(dict.fromkeys(curve.model for curve in every))
    most = MOST_COLUMNS if size.beside > 1 else 1
    rows = -(-len(models) // most)
    columns = -(-len(models) // rows)  # As many in each row, where they can be.
    with size.context():
        figure = Drawing(size, 1.7 * rows + 2.8)
        top, bottom = np.ravel(np.asarray(figure.subfigures(2, 1, height_ratios=(1.7 * rows, 2.6))))
        panels = top.subplots(rows, columns, squeeze=False, sharey=True)
        shown = list(panels.ravel()[: len(models)])
        for axes in panels.ravel()[len(models) :]:
            axes.remove()
        steps = sorted({curve.step for curve in every})
        for axes, model in zip(shown, models, strict=True):
            _draw_sensitivity(axes, [curve for curve in every if curve.model == model], steps, found)
            axes.set_title(model.partition("-")[2])
            if model in found.expected:
                draw_line(axes, *found.expected[model], "expected", color="black", linestyle="--")
        for axes in panels[:, 0]:
            axes.set_ylabel(f"sensitivity of {found.layer}\nover its mean")
        bar = top.colorbar(mpl.cm.ScalarMappable(_scale(steps), DEPTH_MAP), ax=shown, pad=0.01, aspect=30)
        bar.set_label("step")
        _label_steps(bar.ax.yaxis, steps)
        bar.outline.set_visible(False)
        draw_legend(figure, _draw_trend(bottom.subplots(), found))
        return figure.finish()


def _draw_sensitivity(axes: Axes, every: list[Curve], steps: list[int], found: Findings) -> None:
    """A line for each step: the mean over the runs."""
    norm = _scale(steps)
    for step in steps:
        own = [curve for curve in every if curve.step == step and curve.sensitivity.any()]
        if own:
            mean = np.mean([share(curve) for curve in own], axis=0)
            draw_line(axes, own[0].value, mean, f"step {step}", color=DEPTH_MAP(float(norm(step))))
    axes.set_xlabel(f"{found.dimension} (deg)")
    _tick_narrow(axes, found.period_deg)


def _tick_narrow(axes: Axes, period_deg: float) -> None:
    """Every other tick has a number: the panels are narrow."""
    step = 60 if period_deg >= ROUND_DEG else 45
    axes.set_xticks(np.arange(0, period_deg + 1, 2 * step))
    axes.set_xticks(np.arange(step, period_deg, 2 * step), minor=True)


def _scale(steps: list[int]) -> SymLogNorm:
    return SymLogNorm(max(steps[1] if len(steps) > 1 else 1, 1), vmin=0, vmax=steps[-1])


def _draw_trend(axes: Axes, found: Findings) -> list[Line2D]:
    lines = []
    for place, (model, part) in enumerate(found.trend.groupby("model", sort=False)):
        wide = part.pivot_table(index="step", columns="seed", values="index")
        colour = COLOURS[place % len(COLOURS)]
        axes.plot(wide.index, wide, color=colour, linewidth=0.4, alpha=0.6, label=f"_{model}")
        label = str(model).partition("-")[2]
        mean = np.exp(np.log(wide).mean(axis=1)) if found.ratio else wide.mean(axis=1)
        lines.append(draw_line(axes, wide.index, mean, label, color=colour, linewidth=1.4))
    for mark in found.marks:
        axes.axvline(mark, color="grey", linewidth=0.6, linestyle=":")
    steps = np.sort(found.trend["step"].unique())
    spacing = np.diff(steps)
    if len(spacing) > 1 and spacing.max() > 3 * spacing.min():
        axes.set_xscale("symlog", linthresh=max(float(steps[steps > 0].min()), 1.0))
        _label_steps(axes.xaxis, steps.tolist())
    axes.set_xlabel("step")
    axes.set_ylabel(fill(found.index, 26))
    if found.ratio:
        axes.set_yscale("log")
        plain_log(axes.yaxis, *axes.get_ylim())
    if found.trend["seed"].nunique() > 1:
        axes.set_title("mean over runs; thin: single runs")
    return lines


def _label_steps(axis: Axis, steps: list[int]) -> None:
    """On a logarithmic axis: the first, every other and the last of the measured steps."""
    axis.set_major_locator(FixedLocator(sorted({*steps[::-2], steps[0]})))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:g}")
