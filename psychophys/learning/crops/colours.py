"""Pixels of photographs as colours whose hues are turned, and what is best done to rid them of noise."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from psychophys.base.types import Array
from psychophys.comparison.priors.quantities import LEAST_SATURATION, LEAST_VALUE, histogram
from psychophys.learning.crops.denoising import GREY
from psychophys.learning.photographs import Photographs
from psychophys.measurement.spec import Measurement
from psychophys.stimuli.color import hsv_to_rgb, rgb_to_hsv

STEP_DEG = 1e-3
"""To the next larger hue: along the HSV ring colours change in straight lines."""


def draw(photographs: Photographs, count: int, turn_deg: float, seed: int) -> Tensor:
    """Pixels, as many from each photograph as from another, less grey: (count, 3, 1, 1).

    Parameters
    ----------
    turn_deg
        By which their hues are turned on the HSV ring.
    seed
        Decides the places, whatever the turn.
    """
    generator = torch.Generator().manual_seed(seed)
    each = math.ceil(count / len(photographs.images))
    parts = []
    for image in photographs.images:
        pixels = torch.from_numpy(image).reshape(-1, 3)
        parts.append(pixels[torch.randint(len(pixels), (each,), generator=generator)])
    order = torch.randperm(each * len(parts), generator=generator)[:count]
    return turned(torch.cat(parts)[order], turn_deg)[:, :, None, None] - GREY


def turned(rgb: Tensor, turn_deg: float) -> Tensor:
    """Colours of other hues, with their saturation and value, which no turn takes out of [0, 1]: (N, 3)."""
    hue, saturation, value = rgb_to_hsv(rgb)
    return hsv_to_rgb(hue + turn_deg, saturation, value)


def hue_density(pixels: Tensor, hue_deg: Array) -> Array:
    """How common hues are, over the mean, at evenly spread ones: (N, 3, 1, 1) -> (K,).

    Counted as in :mod:`psychophys.comparison.priors.quantities`: pixels that are not too grey or dark.
    """
    hue, saturation, value = rgb_to_hsv(pixels + GREY)
    counted = (saturation >= LEAST_SATURATION) & (value >= LEAST_VALUE)
    bins = histogram(hue, counted, hue_deg, 360 / len(hue_deg), periodic=True)
    counts = bins.sum(dim=0).double().numpy()
    return np.asarray(counts / counts.mean())


def ideal_sensitivity(pixels: Tensor, noise: float, measurement: Measurement) -> Array:
    """Over its mean, of who removes noise best from these pixels: (K,), at the values of a measurement.

    The mean of what a pixel can have been has the least squared error. By the colour that is shown, it
    changes by the covariance of what that can have been, over the noise's variance.

    Parameters
    ----------
    pixels
        Less grey: (N, 3, 1, 1).
    noise
        Its standard deviation.
    """
    known = pixels[:, :, 0, 0].double()
    squares = torch.zeros(len(measurement.values), dtype=torch.float64)
    for sample in measurement.samples:
        shown, beyond = (_colours(measurement, sample, by) for by in (0.0, STEP_DEG))
        change = denoised_change(known, noise, shown, (beyond - shown) / STEP_DEG)
        squares += change.square().sum(dim=1)
    root = squares.sqrt().numpy()
    return np.asarray(root / root.mean())


def _colours(measurement: Measurement, sample: dict[str, float], by_deg: float) -> Tensor:
    values = torch.tensor(measurement.values, dtype=torch.float64) + by_deg
    images = measurement.stimulus.render({measurement.dimension: values, **sample}, (1, 1))
    return images[:, :, 0, 0] - GREY


def denoised_change(known: Tensor, noise: float, shown: Tensor, change: Tensor) -> Tensor:
    """Derivative of the mean of what a colour can have been: (N, 3), (K, 3), (K, 3) -> (K, 3).

    Parameters
    ----------
    known
        Colours, each as likely as another, to which the noise is added.
    shown, change
        Colours, and how they change.
    """
    weights = torch.softmax(-torch.cdist(shown, known).square() / (2 * noise**2), dim=1)
    along = weights * (change @ known.T)
    covariance = along @ known - (weights @ known) * along.sum(dim=1, keepdim=True)
    return covariance / noise**2
