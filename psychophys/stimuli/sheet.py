"""Contact sheets: how a stimulus looks along each of its dimensions."""

from __future__ import annotations

import torch
from PIL import Image, ImageDraw

from psychophys.stimuli import Parameter, Stimulus

LABEL_HEIGHT, GAP = 16, 4


def contact_sheet(stimulus: Stimulus, *, size: int = 112, columns: int = 6) -> Image.Image:
    """Draw one row a dimension, ``columns`` values across its default range.

    Parameters
    ----------
    stimulus
        What to draw; the other parameters are at their defaults.
    size
        Pixels along the side of each picture.
    """
    dimensions = [p for p in stimulus.parameters if p.measurable]
    cell = size + GAP
    row_height = cell + LABEL_HEIGHT
    sheet = Image.new("RGB", (columns * cell + GAP, len(dimensions) * row_height + GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for row, parameter in enumerate(dimensions):
        top = GAP + row * row_height
        for column, (value, picture) in enumerate(_pictures(stimulus, parameter, size, columns)):
            left = GAP + column * cell
            label = f"{parameter.name} {value:.3g}" if column == 0 else f"{value:.3g}"
            pen.text((left, top), label, fill="black")
            sheet.paste(picture, (left, top + LABEL_HEIGHT))
    return sheet


def _pictures(
    stimulus: Stimulus, parameter: Parameter, size: int, columns: int
) -> list[tuple[float, Image.Image]]:
    values = parameter.grid(columns)
    images = stimulus.render({parameter.name: torch.tensor(values)}, (size, size))
    return list(zip(values, as_pictures(stimulus, images), strict=True))


def as_pictures(stimulus: Stimulus, images: torch.Tensor) -> list[Image.Image]:
    """Rendered images, (N, 3, H, W), as pictures."""
    if not stimulus.unit_range:
        images = (images + 1) / 2
    arrays = (images.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return [Image.fromarray(array) for array in arrays]
