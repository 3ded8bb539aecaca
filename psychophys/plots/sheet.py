"""Contact sheets: how a stimulus looks along each of its dimensions."""

from __future__ import annotations

from textwrap import fill

import numpy as np
import torch
from matplotlib.axes import Axes

from psychophys.base.types import Array
from psychophys.plots.drawing import Drawing
from psychophys.plots.style import SIZES, USUAL_SIZE
from psychophys.stimuli import Parameter, Stimulus

COLUMNS = 6
PIXELS = 224
GAP, TITLE = 0.3, 0.25
"""Inches between rows, and of what is said of a row."""


def contact_sheet(
    stimulus: Stimulus, *, pixels: int = PIXELS, columns: int = COLUMNS, size: str = USUAL_SIZE
) -> Drawing:
    """Draw one row a dimension, ``columns`` values across its default range.

    Parameters
    ----------
    stimulus
        What to draw; the other parameters are at their defaults, which are written below.
    pixels
        Along the side of each picture.
    size
        ``column``, ``page`` or ``talk``.
    """
    chosen = SIZES.find(size)
    dimensions = [p for p in stimulus.parameters if p.measurable]
    with chosen.context():
        cell = chosen.width_inches / columns / chosen.scale
        said = fill(_say(stimulus), int(chosen.width_inches * 72 / (0.55 * chosen.font_points)))
        height = len(dimensions) * (cell + GAP + TITLE) + 0.3 + 0.16 * (said.count("\n") + 1)
        figure = Drawing(chosen, height)
        rows = np.ravel(np.asarray(figure.subfigures(len(dimensions), 1)))
        for part, parameter in zip(rows, dimensions, strict=True):
            part.suptitle(
                f"{parameter.name} ({parameter.unit})", x=0.01, ha="left", fontsize="medium", weight="bold"
            )
            _draw_row(part.subplots(1, columns, squeeze=False)[0], stimulus, parameter, pixels)
        figure.suptitle(
            f"{stimulus.name}: {stimulus.summary}", x=0.01, ha="left", fontsize="medium", wrap=True
        )
        figure.supxlabel(said, fontsize="small", x=0.01, ha="left")
        return figure.finish()


def _say(stimulus: Stimulus) -> str:
    """The defaults, which hold in the rows of other parameters."""
    said = (f"{p.name} {p.default:.3g} {p.unit}" for p in stimulus.parameters)
    where = "" if stimulus.display is None else f" Display: {stimulus.display}."
    return f"In the rows of other parameters: {', '.join(said)}.{where}"


def _draw_row(row: list[Axes], stimulus: Stimulus, parameter: Parameter, pixels: int) -> None:
    values = parameter.grid(len(row))
    images = stimulus.render({parameter.name: torch.tensor(values)}, (pixels, pixels))
    for axes, value, image in zip(row, values, as_seen(stimulus, images), strict=True):
        axes.imshow(image, interpolation="none", vmin=0, vmax=1)
        axes.set_title(f"{value:.3g}", loc="center", fontsize="small")
        axes.set_axis_off()


def as_seen(stimulus: Stimulus, images: torch.Tensor) -> Array:
    """Rendered images, (N, 3, H, W), with values in [0, 1] as a screen shows them: (N, H, W, 3)."""
    if not stimulus.unit_range:
        images = (images + 1) / 2
    return np.asarray(images.clamp(0, 1).permute(0, 2, 3, 1).numpy())
