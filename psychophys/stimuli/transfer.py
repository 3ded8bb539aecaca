"""Light and pixel values: the curve of sRGB (IEC 61966-2-1)."""

from __future__ import annotations

import torch
from torch import Tensor


def srgb_from_light(light: Tensor) -> Tensor:
    """Pixel values in [0, 1] for light in [0, 1], linear below 0.0031308."""
    # The clamp keeps the unused branch of `where` from giving NaN derivatives.
    curve = 1.055 * torch.clamp(light, min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(light > 0.0031308, curve, 12.92 * light)


def light_from_srgb(pixels: Tensor) -> Tensor:
    """Light in [0, 1] of pixel values in [0, 1], linear below 0.04045."""
    curve = ((torch.clamp(pixels, min=0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(pixels > 0.04045, curve, pixels / 12.92)
