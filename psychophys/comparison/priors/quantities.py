"""What is counted in photographs: orientation, hue, spatial frequency, luminance and contrast.

Every :class:`Quantity` turns a batch of images into one histogram an image. Images are squares of
``SIDE`` pixels; what is counted lies in the disc of ``DIAMETER`` pixels in their middle, so that a set of
images turned by any angle is counted over the same ground.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from psychophys.base.types import Array
from psychophys.stimuli.color import rgb_to_hsv, rgb_to_lch

SIDE, DIAMETER = 256, 224
SCALES_PIXELS = (1.0, 1.5, 3.0)
"""S.d. of the Gaussian whose derivative is the gradient; the structure tensor is averaged over twice that."""
ENERGY_PERCENTILE, LEAST_COHERENCE = 68.0, 0.8
"""Of the pixels whose orientation counts (Girshick, Landy & Simoncelli 2011, Nat Neurosci 14:926)."""
LEAST_SATURATION, LEAST_VALUE, LEAST_CHROMA = 0.1, 0.5, 10.0
"""Of the pixels whose hue counts (HSV: Benjamin et al. 2022; LCh: a chroma told apart from grey)."""
CONTRAST_SD_PIXELS = 8.0
LEAST_LUMINANCE = 0.02
HIGHEST_FREQUENCY = DIAMETER // 2
SLOPE_RANGE = (4, 56)
"""Cycles/image between which the spectrum's slope is fitted: over the window's width, under half Nyquist."""


@dataclass(frozen=True)
class Quantity:
    """One property of images and its histogram.

    Attributes
    ----------
    scale
        Pixels, where the property depends on one; 0 elsewhere.
    centres, width
        Of the bins, in ``unit``.
    period
        In ``unit``; None where the axis has ends.
    count
        ``rgb -> weights``: shape (N, 3, SIDE, SIDE) in [0, 1] to (N, bins).
    """

    name: str
    unit: str
    scale: float
    centres: Array
    width: float
    period: float | None
    count: Callable[[Tensor], Tensor]


def luminance_of(rgb: Tensor) -> Tensor:
    """Weighted sum of the channels (Rec. 709), of pixel values as they are stored: (N, H, W)."""
    weights = torch.tensor([0.2126, 0.7152, 0.0722], dtype=rgb.dtype, device=rgb.device)
    return torch.einsum("c,nchw->nhw", weights, rgb)


def in_disc(like: Tensor) -> Tensor:
    """Which pixels count: (SIDE, SIDE)."""
    centre = torch.arange(SIDE, device=like.device) - (SIDE - 1) / 2
    return (centre[:, None] ** 2 + centre[None] ** 2) <= (DIAMETER / 2) ** 2


def _gaussian(sd: float, like: Tensor, derivative: bool = False) -> Tensor:
    reach = math.ceil(4 * sd)
    x = torch.arange(-reach, reach + 1, dtype=like.dtype, device=like.device)
    kernel = torch.exp(-0.5 * (x / sd) ** 2)
    kernel = kernel / kernel.sum()
    # A correlation with this is the slope towards larger indices.
    return kernel * x / sd**2 if derivative else kernel


def _filter(images: Tensor, along_y: Tensor, along_x: Tensor) -> Tensor:
    """Separable filter with the border mirrored: (N, H, W) to (N, H, W)."""
    y, x = len(along_y) // 2, len(along_x) // 2
    padded = F.pad(images[:, None], (x, x, y, y), mode="reflect")
    columns = F.conv2d(padded, along_y.reshape(1, 1, -1, 1))
    return F.conv2d(columns, along_x.reshape(1, 1, 1, -1))[:, 0]


def structure(luminance: Tensor, scale_pixels: float) -> tuple[Tensor, Tensor, Tensor]:
    """Orientation of the bars (deg, from horizontal, counter-clockwise), coherence and energy.

    From the structure tensor: the gradient's outer product averaged over a Gaussian of twice the
    gradient's scale. Coherence is (l1 - l2) / (l1 + l2), energy l1 + l2 of its eigenvalues.
    Shapes (N, H, W).
    """
    smooth, slope = _gaussian(scale_pixels, luminance), _gaussian(scale_pixels, luminance, True)
    right = _filter(luminance, smooth, slope)
    up = -_filter(luminance, slope, smooth)
    mean = _gaussian(2 * scale_pixels, luminance)
    xx, yy, xy = (_filter(product, mean, mean) for product in (right * right, up * up, right * up))
    energy = xx + yy
    coherence = torch.sqrt((xx - yy) ** 2 + 4 * xy * xy) / torch.clamp(energy, min=1e-20)
    # Bars lie at right angles to the gradient.
    angle = torch.rad2deg(0.5 * torch.atan2(2 * xy, xx - yy)) + 90
    return torch.remainder(angle, 180), coherence, energy


def histogram(values: Tensor, counted: Tensor, centres: Array, width: float, periodic: bool) -> Tensor:
    """Number of pixels in each bin: shapes (N, H, W), (N, H, W) -> (N, bins)."""
    images, bins = len(values), len(centres)
    index = torch.round((values - float(centres[0])) / width).long()
    index = torch.remainder(index, bins) if periodic else index.clamp(0, bins - 1)
    offset = torch.arange(images, device=values.device).reshape(-1, 1, 1) * bins
    flat = (index + offset)[counted]
    return torch.bincount(flat, minlength=images * bins).reshape(images, bins).to(values.dtype)


def _count_orientation(scale_pixels: float, centres: Array, width: float) -> Callable[[Tensor], Tensor]:
    def count(rgb: Tensor) -> Tensor:
        angle, coherence, energy = structure(luminance_of(rgb), scale_pixels)
        disc = in_disc(rgb)
        inside = energy[:, disc]
        rank = max(round(ENERGY_PERCENTILE / 100 * inside.shape[1]), 1)
        limit = inside.kthvalue(rank, dim=1).values.reshape(-1, 1, 1)
        counted = disc & (energy > torch.clamp(limit, min=1e-12)) & (coherence > LEAST_COHERENCE)
        return histogram(angle, counted, centres, width, periodic=True)

    return count


def _count_hue_hsv(rgb: Tensor) -> Tensor:
    hue, saturation, value = rgb_to_hsv(rgb)
    counted = in_disc(rgb) & (saturation >= LEAST_SATURATION) & (value >= LEAST_VALUE)
    return histogram(hue, counted, _HUES, 5.0, periodic=True)


def _count_hue_lch(rgb: Tensor) -> Tensor:
    _, chroma, hue = rgb_to_lch(rgb)
    return histogram(hue, in_disc(rgb) & (chroma >= LEAST_CHROMA), _HUES, 5.0, periodic=True)


def _count_luminance(rgb: Tensor) -> Tensor:
    luminance = luminance_of(rgb)
    return histogram(luminance, in_disc(rgb).expand_as(luminance), _UNIT, 0.02, periodic=False)


def _count_contrast(rgb: Tensor) -> Tensor:
    """Local contrast as the Michelson contrast of a grating with the same s.d.: sqrt(2) s.d. / mean."""
    luminance = luminance_of(rgb)
    window = _gaussian(CONTRAST_SD_PIXELS, luminance)
    mean = _filter(luminance, window, window)
    variance = torch.clamp(_filter(luminance**2, window, window) - mean**2, min=0)
    contrast = torch.sqrt(2 * variance) / torch.clamp(mean, min=LEAST_LUMINANCE)
    counted = in_disc(rgb) & (mean >= LEAST_LUMINANCE) & (contrast <= 1)
    return histogram(contrast, counted, _UNIT, 0.02, periodic=False)


def _sum_power(rgb: Tensor) -> Tensor:
    """Power in rings one cycle/image wide, under a round Hann window: (N, HIGHEST_FREQUENCY)."""
    margin = (SIDE - DIAMETER) // 2
    luminance = luminance_of(rgb)[:, margin:-margin, margin:-margin]
    centre = (torch.arange(DIAMETER, dtype=rgb.dtype, device=rgb.device) - (DIAMETER - 1) / 2) / DIAMETER
    radius = torch.sqrt(centre[:, None] ** 2 + centre[None] ** 2).clamp(max=0.5)
    window = 0.5 + 0.5 * torch.cos(2 * math.pi * radius)
    mean = (luminance * window).sum(dim=(1, 2), keepdim=True) / window.sum()
    power = torch.fft.fft2((luminance - mean) * window).abs().square()
    steps = torch.fft.fftfreq(DIAMETER, 1 / DIAMETER, device=rgb.device, dtype=rgb.dtype)
    ring = torch.round(torch.sqrt(steps[:, None] ** 2 + steps[None] ** 2)).long().flatten()
    sums = torch.zeros(len(rgb), int(ring.max()) + 1, dtype=rgb.dtype, device=rgb.device)
    sums.index_add_(1, ring, power.flatten(1))
    # An even image has rounding alone.
    sums = sums * (sums.sum(dim=1, keepdim=True) > 1.0)
    return sums[:, 1 : HIGHEST_FREQUENCY + 1]


def ring_sizes() -> Array:
    """Number of Fourier coefficients in each ring of :func:`_sum_power`."""
    steps = np.fft.fftfreq(DIAMETER, 1 / DIAMETER)
    ring = np.round(np.hypot(steps[:, None], steps[None])).astype(int).ravel()
    return np.bincount(ring)[1 : HIGHEST_FREQUENCY + 1].astype(float)


_ANGLES = np.arange(0, 180, 2.5)
_HUES = np.arange(0, 360, 5.0)
_UNIT = np.arange(0.01, 1, 0.02)

QUANTITIES = (
    *(
        Quantity("orientation", "deg", scale, _ANGLES, 2.5, 180, _count_orientation(scale, _ANGLES, 2.5))
        for scale in SCALES_PIXELS
    ),
    Quantity("hue", "deg", 0, _HUES, 5.0, 360, _count_hue_hsv),
    Quantity("hue-lch", "deg", 0, _HUES, 5.0, 360, _count_hue_lch),
    Quantity("frequency", "cycles/image", 0, np.arange(1.0, HIGHEST_FREQUENCY + 1), 1.0, None, _sum_power),
    Quantity("luminance", "0-1", 0, _UNIT, 0.02, None, _count_luminance),
    Quantity("contrast", "Michelson", 0, _UNIT, 0.02, None, _count_contrast),
)
"""The table of what is counted. A new quantity is one entry."""
