"""Round crops of photographs, upright or turned, that differ in little but their orientation.

Photographs are read at twice the scale and blurred alike in all directions, so that the pixels of a crop,
which are fewer, stand for no finer pattern of another orientation. Every crop is interpolated from them,
whatever its angle, so that turned crops are as sharp as upright ones: up to 8 cycles in 32 pixels, their
power is the same within 1 %. Crops of one seed have the same places at every angle, and are cut by a
soft-edged disc, whose edge has no orientation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional

from psychophys.learning.photographs import Photographs
from psychophys.stimuli.gratings import disc

SHORTER_SIDE = 256
"""Pixels that photographs are scaled to."""
SPACING = 2
"""Of a crop's pixels, in pixels of the photograph."""
BLUR = 1.0
"""Standard deviation in pixels of the photograph."""
CHUNK = 256


@dataclass(frozen=True)
class Crops:
    """Crops, and where they are from.

    Attributes
    ----------
    images
        Less their mean in the disc, and 0 outside: (N, 1, side, side).
    labels
        Of their photographs: (N,).
    """

    images: Tensor
    labels: Tensor


def draw(photographs: Photographs, side: int, count: int, angle_deg: float, seed: int) -> Crops:
    """Crops from random places, as many from each photograph as from another, in random order.

    Parameters
    ----------
    side
        In pixels.
    angle_deg
        By which what is seen is turned, counter-clockwise.
    seed
        Decides the places, whatever the angle.
    """
    generator = torch.Generator().manual_seed(seed)
    x, y = _offsets(side, angle_deg)
    each = math.ceil(count / len(photographs.images))
    parts = [_cut(blurred(image), x, y, each, generator) for image in photographs.images]
    order = torch.randperm(each * len(parts), generator=generator)[:count]
    labels = torch.tensor(photographs.labels).repeat_interleave(each)[order]
    images = torch.cat(parts)[order]
    window = window_of(side)
    mean = (images * window).sum(dim=(1, 2), keepdim=True) / window.sum()
    return Crops(((images - mean) * window)[:, None], labels)


def turned(images: Tensor, angle_deg: float) -> Tensor:
    """Whole images of twice a crop's side, turned counter-clockwise, at the spacing of a crop.

    What lies beyond an image goes on as its border is: :func:`window_of` cuts that away.

    Parameters
    ----------
    images
        Blurred: (N, C, 2 side, 2 side).

    Returns
    -------
    Tensor
        Shape (N, C, side, side).
    """
    wide = images.shape[-1]
    x, y = _offsets(wide // SPACING, angle_deg)
    grid = 2 * torch.stack([x, y], dim=-1).to(images) / (wide - 1)
    return _sampled(images, grid.expand(len(images), -1, -1, -1))


def window_of(side: int) -> Tensor:
    """The disc: 1 inside, 0 at the border, (side, side)."""
    along = (torch.arange(side) - (side - 1) / 2) / side
    return disc(along[None, :], along[:, None], 1.0)


def blurred(image: NDArray[np.float32]) -> Tensor:
    """Under a Gaussian of ``BLUR`` pixels: (H, W)."""
    return torch.from_numpy(gaussian_filter(image, BLUR, mode="nearest"))


def _offsets(side: int, angle_deg: float) -> tuple[Tensor, Tensor]:
    """From the centre of a crop to each of its pixels, in pixels of the photograph: (side, side) each."""
    along = SPACING * (torch.arange(side) - (side - 1) / 2)
    down, right = torch.meshgrid(along, along, indexing="ij")
    angle = math.radians(angle_deg)
    # Rows go downwards: what lies at a place in the crop is fetched from where it was before the turn.
    return (
        right * math.cos(angle) - down * math.sin(angle),
        right * math.sin(angle) + down * math.cos(angle),
    )


def _cut(image: Tensor, x: Tensor, y: Tensor, count: int, generator: torch.Generator) -> Tensor:
    height, width = image.shape
    # What lies beyond the disc is cut away, and so may lie beyond the photograph.
    reach = SPACING * len(x) / 2 + 1
    room = torch.tensor([height - 1 - 2 * reach, width - 1 - 2 * reach]).clamp(min=0)
    corner = (torch.tensor([height - 1, width - 1]) - room) / 2
    places = corner + torch.rand(count, 2, generator=generator) * room
    parts = []
    for some in places.split(CHUNK):
        across = 2 * (some[:, 1, None, None] + x) / (width - 1) - 1
        below = 2 * (some[:, 0, None, None] + y) / (height - 1) - 1
        grid = torch.stack([across, below], dim=-1).reshape(1, -1, len(x), 2)
        found = _sampled(image[None, None], grid)
        parts.append(found.reshape(len(some), len(x), len(x)))
    return torch.cat(parts)


def _sampled(images: Tensor, grid: Tensor) -> Tensor:
    """Interpolated at places from -1 to 1; beyond the border, what lies at it."""
    return functional.grid_sample(images, grid, mode="bicubic", align_corners=True, padding_mode="border")
