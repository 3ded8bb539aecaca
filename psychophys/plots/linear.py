"""The figure of linear autoencoders: their modes, what they tell apart, and how fast they learn."""

from __future__ import annotations

import json
from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import LogLocator

from psychophys.learning.acuities import acuity, power_law
from psychophys.learning.linear.run import PICTURED
from psychophys.learning.training import Learned
from psychophys.plots.style import COLOURS, DEPTH_MAP, STYLE, WIDTH_INCHES

PICTURES, ROW, RATES = 0.9, 1.9, 2.6
"""Heights in inches."""


def plot_linear(learned: Learned) -> Figure:
    """Draw the experiment ``linear``: see :func:`psychophys.plots.learning.plot_learning`."""
    modes = learned.modes.to_pandas()
    thresholds, acuities = learned.thresholds.to_pandas(), acuity(learned.thresholds)
    models = list(dict.fromkeys(modes["model"]))
    components = next(iter(learned.modes.runs.values())).get("components", {})
    heights = (PICTURES if components else 0.01, ROW * len(models), RATES)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, sum(heights)), layout="constrained")
        top, middle, bottom = np.ravel(np.asarray(figure.subfigures(3, 1, height_ratios=heights)))
        if components:
            _draw_components(top, components, modes["mode"].max())
        for row, model in zip(middle.subplots(len(models), 3, squeeze=False), models, strict=True):
            own = modes[modes["model"] == model]
            first = own["seed"].iloc[0]
            _draw_modes(row[0], own[own["seed"] == first])
            shown = thresholds[(thresholds["model"] == model) & (thresholds["seed"] == first)]
            _draw_thresholds(row[1], shown[shown["layer_index"] == shown["layer_index"].max()])
            _draw_acuity(row[2], acuities[acuities["model"] == model])
            row[0].set_title(model)
        _draw_rates(bottom.subplots(), modes)
    return figure


def _draw_components(figure: SubFigure, components: Mapping[str, str], last: int) -> None:
    """Pictures of modes, framed in the colours of their curves."""
    colours, norm = mpl.colormaps[DEPTH_MAP], LogNorm(1, last)
    for axes, (mode, digits) in zip(figure.subplots(1, len(components)), components.items(), strict=True):
        pixels = np.frombuffer(bytes.fromhex(digits), np.uint8)
        side = round(len(pixels) ** 0.5)
        axes.imshow(pixels.reshape(side, side), cmap="gray", vmin=1, vmax=255)
        axes.set_title(f"mode {mode}")
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set(visible=True, color=colours(norm(int(mode))), linewidth=2)


def _draw_modes(axes: Axes, modes: pd.DataFrame) -> None:
    colours, norm = mpl.colormaps[DEPTH_MAP], LogNorm(1, modes["mode"].max())
    for _, row in modes[modes["mode"].isin(PICTURED)].iterrows():
        step, strength, closed = np.array(json.loads(row["curve"]), dtype=float).T
        told = json.loads(row["sensitivity_curve"]) if isinstance(row["sensitivity_curve"], str) else strength
        axes.plot(step, told, color=colours(norm(row["mode"])), linewidth=1.2, label=f"{row['mode']}")
        axes.plot(step, closed, color="black", linewidth=0.8, linestyle="--")
    axes.axhline(0.5, color="grey", linewidth=0.6)
    axes.set_xscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("sensitivity to mode, |Wv|")
    axes.legend(loc="upper left", title="mode", fontsize=5, title_fontsize=5, handlelength=1)


def _draw_thresholds(axes: Axes, part: pd.DataFrame) -> None:
    steps = np.sort(part["step"].unique())
    colours, norm = mpl.colormaps[DEPTH_MAP], LogNorm(steps[0], steps[-1])
    for step, group in part.groupby("step"):
        ordered = group.sort_values("value")
        axes.plot(ordered["value"], ordered["threshold"], color=colours(norm(float(str(step)))), linewidth=1)
    _log(axes, "frequency (cycles/image)", "threshold (cycles/image)")
    bar = axes.figure.colorbar(mpl.cm.ScalarMappable(norm, colours), ax=axes, pad=0.01, aspect=20)
    bar.ax.yaxis.set_major_formatter("{x:g}")
    bar.ax.yaxis.set_minor_formatter("")
    bar.set_label("step")
    bar.outline.set_visible(False)


def _draw_acuity(axes: Axes, part: pd.DataFrame) -> None:
    for _, run in part.groupby("seed"):
        axes.plot(run["step"], run["acuity"], marker=".", markersize=3, linewidth=0.8, color=COLOURS[0])
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
            label=f"exponent {law.exponent:.2f}",
        )
        axes.legend(loc="upper left")
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
    axes.legend(loc="upper left")


def _log(axes: Axes, x: str, y: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis, ends in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if ends[1] < 100 * ends[0] else (1.0,)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
