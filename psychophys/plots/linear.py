"""The figure of linear autoencoders: their modes, what they tell apart, and how fast they learn."""

from __future__ import annotations

import json
from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D

from psychophys.learning.acuities import acuity, power_law
from psychophys.learning.linear.run import PICTURED
from psychophys.learning.training import Learned
from psychophys.plots.dimensions import plain_log
from psychophys.plots.drawing import Drawing, draw_legend, draw_line
from psychophys.plots.style import COLOURS, DEPTH_MAP, SIZES, USUAL_SIZE

CLOSED = "closed form"
PICTURES, ROW, RATES = 0.9, 1.9, 2.6
"""Heights in inches."""


def plot_linear(learned: Learned, size: str = USUAL_SIZE) -> Drawing:
    """Draw the experiment ``linear``: see :func:`psychophys.plots.learning.plot_learning`."""
    modes = learned.modes.to_pandas()
    thresholds, acuities = learned.thresholds.to_pandas(), acuity(learned.thresholds)
    models = list(dict.fromkeys(modes["model"]))
    components = next(iter(learned.modes.runs.values())).get("components", {})
    chosen = SIZES.find(size)
    beside = 3 if chosen.beside > 1 else 1
    heights = [PICTURES] * bool(components) + [ROW * len(models) * 3 / beside, RATES]
    with chosen.context():
        figure = Drawing(chosen, sum(heights))
        *top, middle, bottom = np.ravel(np.asarray(figure.subfigures(len(heights), 1, height_ratios=heights)))
        if components:
            _draw_components(top[0], components, modes["mode"].max())
        every = middle.subplots(len(models) * 3 // beside, beside, squeeze=False).reshape(len(models), 3)
        for row, model in zip(every, models, strict=True):
            own = modes[modes["model"] == model]
            first = own["seed"].iloc[0]
            handles = _draw_modes(row[0], own[own["seed"] == first])
            shown = thresholds[(thresholds["model"] == model) & (thresholds["seed"] == first)]
            _draw_thresholds(row[1], shown[shown["layer_index"] == shown["layer_index"].max()])
            _draw_acuity(row[2], acuities[acuities["model"] == model])
            row[0].set_title(model)
        _draw_rates(bottom.subplots(), modes)
        draw_legend(figure, handles)
        return figure.finish()


def _draw_components(figure: SubFigure, components: Mapping[str, str], last: int) -> None:
    """Pictures of modes, framed in the colours of their curves."""
    colours, norm = DEPTH_MAP, LogNorm(1, last)
    for axes, (mode, digits) in zip(figure.subplots(1, len(components)), components.items(), strict=True):
        pixels = np.frombuffer(bytes.fromhex(digits), np.uint8)
        side = round(len(pixels) ** 0.5)
        axes.imshow(pixels.reshape(side, side), cmap="gray", vmin=1, vmax=255)
        axes.set_title(f"mode {mode}" if figure.figure.get_figwidth() > 4 else mode)
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set(visible=True, color=colours(norm(int(mode))), linewidth=2)


def _draw_modes(axes: Axes, modes: pd.DataFrame) -> list[Line2D]:
    colours, norm, lines = DEPTH_MAP, LogNorm(1, modes["mode"].max()), []
    for _, row in modes[modes["mode"].isin(PICTURED)].iterrows():
        step, strength, closed = np.array(json.loads(row["curve"]), dtype=float).T
        told = json.loads(row["sensitivity_curve"]) if isinstance(row["sensitivity_curve"], str) else strength
        colour = colours(float(norm(row["mode"])))
        lines.append(draw_line(axes, step, told, f"mode {row['mode']}", color=colour, linewidth=1.2))
        closed_form = {"color": "black", "linewidth": 0.8, "linestyle": "--", "zorder": 3}
        lines.append(draw_line(axes, step, closed, CLOSED, **closed_form))
    axes.axhline(0.5, color="grey", linewidth=0.6)
    axes.set_xscale("log")
    plain_log(axes.xaxis, *axes.get_xlim())
    axes.set_xlabel("step")
    axes.set_ylabel("sensitivity to mode")
    return lines


def _draw_thresholds(axes: Axes, part: pd.DataFrame) -> None:
    steps = np.sort(part["step"].unique())
    colours, norm = DEPTH_MAP, LogNorm(max(steps[0], 1), max(steps[-1], 2))
    for step, group in part.groupby("step"):
        ordered = group.sort_values("value")
        colour = colours(float(norm(float(str(step)))))
        draw_line(axes, ordered["value"], ordered["threshold"], f"step {step}", color=colour)
    _log(axes, "frequency (cycles/image)", "threshold (cycles/image)")
    bar = axes.figure.colorbar(mpl.cm.ScalarMappable(norm, colours), ax=axes, pad=0.01, aspect=20)
    bar.set_ticks(steps[:: max(1, (len(steps) - 1) // 3)].tolist())
    bar.ax.yaxis.set_major_formatter("{x:g}")
    bar.minorticks_off()
    bar.set_label("step")
    bar.outline.set_visible(False)


def _draw_acuity(axes: Axes, part: pd.DataFrame) -> None:
    for _, run in part.groupby("seed"):
        axes.plot(
            run["step"],
            run["acuity"],
            marker=".",
            markersize=3,
            linewidth=0.8,
            color=COLOURS[0],
            label="acuity",
        )
    law, known = power_law(part), part[part["acuity"].notna()]
    if np.isfinite(law.exponent):
        steps = np.array([known["step"].min(), known["step"].max()], dtype=float)
        middle = np.log(known["acuity"]).mean() - law.exponent * np.log(known["step"]).mean()
        axes.plot(
            steps,
            np.exp(middle) * steps**law.exponent,
            color=COLOURS[1],
            linestyle="--",
            linewidth=1,
            label="power law",
        )
        axes.set_title(f"exponent {law.exponent:.2f}")
    if len(known):
        _log(axes, "step", "acuity (cycles/image)")


def _draw_rates(axes: Axes, modes: pd.DataFrame) -> None:
    """1 / half-time of all modes of all runs, and the closed form of the first run."""
    for place, (model, part) in enumerate(modes.groupby("model", sort=False)):
        colour = COLOURS[place % len(COLOURS)]
        rate = 1 / part["half_time"]
        axes.plot(
            part["eigenvalue"], rate, linestyle="", marker=".", markersize=3, color=colour, label=str(model)
        )
        first = part[part["seed"] == part["seed"].iloc[0]]
        axes.plot(
            first["eigenvalue"], 1 / first["predicted_half_time"], color=colour, linewidth=0.8, linestyle="--"
        )
    if modes["half_time"].notna().any():
        _log(axes, "eigenvalue (pixel²)", "rate of learning\n(1 / half-time, per step)")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))


def _log(axes: Axes, x: str, y: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    plain_log(axes.xaxis, *axes.get_xlim())
    plain_log(axes.yaxis, *axes.get_ylim())
    axes.set_xlabel(x)
    axes.set_ylabel(y)
