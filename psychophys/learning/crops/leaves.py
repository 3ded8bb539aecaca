"""Dead leaves of a planted prior: images whose edges have orientations of a known density.

Opaque strips of random grey, width and place lie on each other, each across the whole image, so that all its
edges run one way. What is drawn of a seed is the same for every density, but for the orientations. After
Matheron's dead leaves (Lee, Mumford & Huang 2001, Int J Comput Vis 41:35), made anisotropic.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from psychophys.base.types import Array
from psychophys.learning.crops.cuts import window_of

Density = Callable[[Array], Array]
"""Of orientations in rad, up to a factor."""
CONCENTRATION = 1.2
"""Of the densities that have peaks: 11 times as much there as between them."""
TILT_DEG = 30.0
"""Where the one peak of ``tilted`` is: on no axis of the pixels."""
DENSITIES: dict[str, Density] = {
    "cardinal": lambda angle: np.exp(CONCENTRATION * np.cos(4 * angle)),
    "oblique": lambda angle: np.exp(-CONCENTRATION * np.cos(4 * angle)),
    "tilted": lambda angle: np.exp(CONCENTRATION * np.cos(2 * (angle - np.radians(TILT_DEG)))),
    "flat": np.ones_like,
}
"""Planted priors: a new one is one entry."""
LEAVES, NARROWEST, WIDEST = 24, 0.04, 0.8
"""Strips of an image, and their widths over its side: as many in every octave."""
FINER = 2
"""Pixels that are averaged along each side of one, so that edges are as soft at any orientation."""
CHUNK = 500


def density_at(name: str, orientation_deg: Array) -> Array:
    """Of a planted prior at orientations, over its mean: (K,)."""
    every = DENSITIES[name](np.radians(np.arange(0, 180, 0.5)))
    return np.asarray(DENSITIES[name](np.radians(orientation_deg)) / every.mean())


def draw(name: str, side: int, count: int, seed: int) -> Tensor:
    """Images of a planted prior, less their mean in a disc and 0 outside: (count, 1, side, side)."""
    generator = torch.Generator().manual_seed(seed)
    window = window_of(side)
    parts = []
    for start in range(0, count, CHUNK):
        chances = torch.rand(min(CHUNK, count - start), LEAVES, 4, generator=generator)
        parts.append(_paint(name, chances, side))
    images = torch.cat(parts)
    mean = (images * window).sum(dim=(-2, -1), keepdim=True) / window.sum()
    return (images - mean) * window


def _paint(name: str, chances: Tensor, side: int) -> Tensor:
    """Strips over each other; ``chances`` of orientation, width, place and grey: (N, leaves, 4)."""
    edges = np.linspace(0, np.pi, 1801)
    share = np.concatenate([[0.0], np.cumsum(DENSITIES[name]((edges[:-1] + edges[1:]) / 2))])
    angles = torch.from_numpy(np.interp(chances[..., 0].numpy(), share / share[-1], edges)).float()
    widths = NARROWEST * (WIDEST / NARROWEST) ** chances[..., 1]
    along = (torch.arange(FINER * side) - (FINER * side - 1) / 2) / (FINER * side)
    up, right = torch.meshgrid(-along, along, indexing="ij")
    image = torch.full((len(chances), *up.shape), 0.5)
    for leaf in range(LEAVES):
        angle, width, place, grey = (
            each[:, leaf, None, None] for each in (angles, widths, chances[..., 2], chances[..., 3])
        )
        # Orientation 0 is horizontal: the distance from a strip's middle is upwards there.
        distance = up * torch.cos(angle) - right * torch.sin(angle) - 1.5 * (place - 0.5)
        image = torch.where(distance.abs() < width / 2, grey, image)
    return functional.avg_pool2d(image[:, None], FINER)
