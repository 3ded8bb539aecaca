"""The Fisher matrix of a photograph's pixels for people, as far as their contrast sensitivity goes.

A linear observer: luminance over its mean is filtered by the contrast sensitivity function (Watson & Ahumada
2005), and what comes out is pooled as in an ideal observer of white noise. Pixel values are those of sRGB, so
that a step of them is less light where the photograph is dark. Neither masking, nor colour, nor the fall of
acuity away from the fovea is in it.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

from psychophys.base.errors import UsageError
from psychophys.base.types import Array
from psychophys.comparison.references import contrast_sensitivity
from psychophys.measurement.pixels.spaces import SPACES, Space
from psychophys.stimuli.transfer import light_from_srgb

LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Of the light of red, green and blue (ITU-R BT.709)."""
DARKEST = 1e-3
"""Mean luminance, in light, under which a photograph has no contrast to speak of."""
GABOR_CPD, GABOR_SD_DEG, GABOR_THRESHOLD = 4.0, 0.5, 10**-2.106
"""The gabor of ModelFest to which people are most sensitive. Its mean threshold over 16 observers (Watson &
Ahumada 2005) is what d' = 1 stands for."""


class PeopleInformation:
    """That of people.

    Parameters
    ----------
    photograph
        Values 0 to 1: (3, H, W).

    Raises
    ------
    UsageError
        For a black photograph.
    """

    def __init__(self, photograph: Tensor, pixels_per_degree: float) -> None:
        self.size = photograph.shape[1], photograph.shape[2]
        weights = torch.tensor(LUMINANCE, dtype=torch.float64)[:, None, None]
        with torch.enable_grad():
            values = photograph.detach().double().cpu().requires_grad_()
            luminance = (weights * light_from_srgb(values)).sum(dim=0)
            (slopes,) = torch.autograd.grad(luminance.sum(), values)
        mean = float(luminance.detach().mean())
        if mean < DARKEST:
            raise UsageError(
                f"a photograph whose mean luminance is {mean:.2g} of white has no contrast for people",
                "Leave people's thresholds out, or take a brighter one.",
            )
        self.slopes = slopes / mean
        self.gain = _filter(self.size, pixels_per_degree) / pixels_per_degree * _scale()

    def energy(self, changes: Tensor) -> Tensor:
        """J along changes of the photograph: (K, 3, H, W) -> (K,), float64."""
        luminance = (self.slopes * changes.double().cpu()).sum(dim=1)
        spectrum = torch.fft.fft2(luminance, norm="ortho") * self.gain
        found: Tensor = spectrum.abs().square().sum(dim=(1, 2))
        return found

    def most_visible(self, space: Space = SPACES["rgb"]) -> tuple[Tensor, float, float]:
        """The change in a space that is seen most, of length 1; its eigenvalue; and |Jv - lambda v| over it.

        By Lanczos (ARPACK) on products with J.
        """
        count = space.n_pixels(self.size)

        def product(vector: Array) -> Array:
            changes = space.changes(torch.from_numpy(np.ascontiguousarray(vector.ravel()))[None], self.size)
            spectrum = torch.fft.fft2((self.slopes * changes).sum(dim=1))
            filtered = torch.fft.ifft2(spectrum * self.gain.square()).real
            return np.asarray(space.vectors(self.slopes * filtered[:, None])[0].numpy())

        start = np.random.default_rng(0).standard_normal(count)
        matrix = LinearOperator((count, count), matvec=product, dtype=np.float64)
        values, vectors = eigsh(matrix, k=1, which="LA", v0=start, tol=1e-8)
        (change,) = space.changes(torch.from_numpy(vectors[:, 0].copy())[None], self.size)
        residual = np.linalg.norm(product(vectors[:, 0]) - values[0] * vectors[:, 0]) / values[0]
        return change, float(values[0]), float(residual)


def _scale() -> float:
    """D' of ModelFest's gabor at threshold is 1 with this gain."""
    energy = math.pi * GABOR_SD_DEG**2 / 2  # Integral of its square, at contrast 1.
    through = float(contrast_sensitivity(np.array([GABOR_CPD]))[0])
    return float(1 / (GABOR_THRESHOLD * through * math.sqrt(energy)))


def _filter(size: tuple[int, int], pixels_per_degree: float) -> Tensor:
    """Contrast sensitivity at every frequency of an image: (H, W)."""
    vertical, horizontal = (torch.fft.fftfreq(n, dtype=torch.float64) * pixels_per_degree for n in size)
    frequency = torch.hypot(vertical[:, None], horizontal[None, :])
    # Bars are at right angles to the way that they repeat: the oblique effect is the same either way.
    orientation = torch.rad2deg(torch.atan2(vertical[:, None], horizontal[None, :]))
    with np.errstate(over="ignore"):  # Far beyond what is seen, one over infinity.
        gain = contrast_sensitivity(frequency.numpy(), orientation.numpy())
    return torch.from_numpy(gain).clamp(min=0)
