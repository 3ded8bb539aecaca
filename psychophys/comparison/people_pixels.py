"""The Fisher matrix of a photograph's pixels for people, as far as their contrast sensitivity goes.

A linear observer: luminance over its mean is filtered by the contrast sensitivity function (Watson & Ahumada
2005), and what comes out is pooled as in an ideal observer of white noise. Its matrix is diagonal in Fourier
space. Neither masking, nor colour, nor the fall of acuity away from the fovea is in it.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from psychophys.base.errors import UsageError
from psychophys.comparison.references import contrast_sensitivity

LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Of red, green and blue (ITU-R BT.709), taken of the pixel values as they are."""
DARKEST = 1e-3
"""Mean luminance under which a photograph has no contrast to speak of."""
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
        self.weights = torch.tensor(LUMINANCE, dtype=torch.float64)
        mean = float((self.weights @ photograph.double().flatten(1)).mean())
        if mean < DARKEST:
            raise UsageError(
                f"a photograph whose mean luminance is {mean:.2g} of white has no contrast for people",
                "Leave people's thresholds out, or take a brighter one.",
            )
        self.gain = _filter(self.size, pixels_per_degree) / mean / pixels_per_degree * _scale()

    def energy(self, changes: Tensor) -> Tensor:
        """J along changes of the photograph: (K, 3, H, W) -> (K,), float64."""
        luminance = torch.einsum("c,kchw->khw", self.weights, changes.double().cpu())
        spectrum = torch.fft.fft2(luminance, norm="ortho") * self.gain
        found: Tensor = spectrum.abs().square().sum(dim=(1, 2))
        return found

    def seen(self, place: tuple[int, int]) -> tuple[Tensor, float]:
        """A grating of one Fourier component in luminance, of length 1, and its eigenvalue.

        Parameters
        ----------
        place
            Cycles in the image's height and width.
        """
        spectrum = torch.zeros(self.size, dtype=torch.complex128)
        spectrum[place] = 1.0
        wave = torch.fft.ifft2(spectrum).real
        change = self.weights[:, None, None] * wave
        change = change / change.norm()
        return change, float(self.energy(change[None])[0])

    @property
    def best(self) -> tuple[int, int]:
        """The component that is seen most: cycles in height and width."""
        place = int(self.gain.argmax())
        return place // self.size[1], place % self.size[1]


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
