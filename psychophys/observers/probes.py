"""Images that networks are tested with."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Probes:
    """Images in [0, 1] of float64, (3, H, W) each.

    Attributes
    ----------
    pattern
        From dark to bright: a coloured grating under a little noise. Derivatives are taken here.
    direction
        Along which: every pixel changes, and so do contrast and mean. The r.m.s. of its pixels is 1.
    noise, stark
        An unlike image, and one of extremes.
    """

    pattern: Tensor
    direction: Tensor
    noise: Tensor
    stark: Tensor

    @classmethod
    def draw(cls, height: int, width: int) -> Probes:
        """Those of a size."""
        generator = torch.Generator().manual_seed(20)
        noise, grain, direction = torch.rand(
            3, 3, height, width, generator=generator, dtype=torch.float64
        ).unbind()
        y = torch.linspace(0, 1, height, dtype=torch.float64)[:, None]
        x = torch.linspace(0, 1, width, dtype=torch.float64)
        colours = torch.tensor([1.0, 0.8, 0.6], dtype=torch.float64)[:, None, None]
        pattern = 0.5 + 0.4 * torch.cos(2 * math.pi * (4 * x + 3 * y)) * colours + 0.1 * (2 * grain - 1)
        texture = 2 * direction - 1 + torch.sin(2 * math.pi * (3 * x - 4 * y))
        direction = _unit(texture) + _unit(2 * pattern - 0.3)
        blocks = (torch.rand(3, height, width, generator=generator, dtype=torch.float64) > 0.5).double()
        return cls(pattern, _unit(direction), noise, blocks)


def _unit(direction: Tensor) -> Tensor:
    return direction / direction.square().mean().sqrt()
