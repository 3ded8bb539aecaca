"""Which changes of a photograph are looked at: of every pixel value, or grey ones alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from psychophys.base.registry import Registry

CHANNELS = 3


@dataclass(frozen=True)
class Space:
    """Changes as vectors. Lengths in the space are those of the changes, so that eigenvalues compare.

    Attributes
    ----------
    free
        Numbers of a pixel that change by themselves: 3, or 1 where its channels change alike.
    """

    name: str
    summary: str
    free: int

    def n_pixels(self, size: tuple[int, int]) -> int:
        """Dimensions of the space for images of that height and width."""
        return self.free * size[0] * size[1]

    def changes(self, vectors: Tensor, size: tuple[int, int]) -> Tensor:
        """Vectors as changes of images: (K, n) -> (K, 3, H, W)."""
        free = vectors.reshape(-1, self.free, *size)
        return free.expand(-1, CHANNELS, -1, -1) / math.sqrt(CHANNELS / self.free)

    def vectors(self, changes: Tensor) -> Tensor:
        """The adjoint of :meth:`changes`: (K, 3, H, W) -> (K, n)."""
        count, _, *size = changes.shape
        grouped = changes.reshape(count, CHANNELS // self.free, self.free, *size)
        return grouped.sum(dim=1).flatten(1) / math.sqrt(CHANNELS / self.free)


SPACES = Registry(
    "space of changes",
    (
        Space("rgb", "every pixel value of every channel", 3),
        Space("luminance", "grey changes: the three channels of a pixel alike", 1),
    ),
    of=Space,
)
