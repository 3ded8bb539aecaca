"""Oriented luminance patterns: grating, gabor, plaid and band-filtered noise.

Orientation is that of the bars: 0 deg is horizontal, 45 deg rises from lower left to upper right,
90 deg is vertical. A pattern is ``luminance * (1 + contrast * window * carrier)`` with the carrier
in [-1, 1], and the surround has the mean luminance. ``contrast`` is nominal, the Michelson contrast of the
carrier: what is rendered has less where the window or the pixel grid misses the carrier's extremes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from psychophys.stimuli.base import Parameter, Stimulus

Values = Mapping[str, Tensor]

EDGE = 0.05
"""Width of the raised-cosine edge of a disc, in fractions of the image."""

ORIENTATION = Parameter(
    "orientation", "deg", 0.0, -360, 360, (0, 180), 1e-2,
    "of the bars, counter-clockwise from horizontal", period=180, count=36,
)  # fmt: skip
FREQUENCY = Parameter(
    "frequency", "cycles/image", 4.48, 1e-3, 1e4, (1, 32), 1e-3, "spatial frequency", log=True
)
PHASE = Parameter("phase", "deg", 0.0, -720, 720, (0, 360), 1e-2, "of the cosine at the centre", period=360)
CONTRAST = Parameter(
    "contrast", "Michelson", 1.0, 0.0, 1.0, (0.05, 1), 1e-4,
    "nominal: amplitude over mean luminance, before window and pixel grid", log=True,
)  # fmt: skip
LUMINANCE = Parameter(
    "luminance", "0-1", 0.5, 0.0, 1.0, (0.1, 0.5), 1e-4, "of the mean, where 1 is white", log=True
)
X = Parameter("x", "image", 0.0, -0.5, 0.5, (-0.25, 0.25), 1e-4, "centre, rightwards")
Y = Parameter("y", "image", 0.0, -0.5, 0.5, (-0.25, 0.25), 1e-4, "centre, upwards")
SD = Parameter(
    "size", "image", 50 / 224, 1e-3, 10, (0.05, 0.3), 1e-4, "s.d. of the Gaussian envelope",
    log=True, is_sd=True,
)  # fmt: skip
DIAMETER = Parameter("size", "image", 0.9, 1e-3, 10, (0.2, 0.9), 1e-4, "diameter of the disc", log=True)
ANGLE = Parameter("angle", "deg", 90.0, -360, 360, (10, 170), 1e-2, "between the two gratings")
ORIENTATION_BANDWIDTH = Parameter(
    "orientation_bandwidth", "deg", 10.0, 0.5, 90, (5, 45), 1e-3,
    "half width at half height of the band", log=True,
)  # fmt: skip
FREQUENCY_BANDWIDTH = Parameter(
    "frequency_bandwidth", "octaves", 0.5, 0.05, 8, (0.25, 2), 1e-4,
    "half width at half height of the band", log=True,
)  # fmt: skip
SAMPLE = Parameter("sample", "number", 0, 0, 2**31, (0, 7), 1, "which noise: the seed", measurable=False)


def smooth_step(distance: Tensor, width: float) -> Tensor:
    """Raised cosine: 1 below ``-width``, 0 above 0, differentiable everywhere."""
    phase = math.pi * torch.clamp(-distance / width, 0, 1)
    return 0.5 - 0.5 * torch.cos(phase)


def disc(dx: Tensor, dy: Tensor, diameter: Tensor | float) -> Tensor:
    """Soft-edged disc, 0 from ``diameter / 2`` outwards."""
    # The tiny term keeps the derivative of the radius finite at the centre.
    radius = torch.sqrt(dx * dx + dy * dy + 1e-24)
    return smooth_step(radius - diameter / 2, EDGE)


def gaussian(dx: Tensor, dy: Tensor, sd: Tensor) -> Tensor:
    """Gaussian envelope, 1 at the centre."""
    return torch.exp(-0.5 * (dx * dx + dy * dy) / (sd * sd))


def carrier(p: Values, dx: Tensor, dy: Tensor, orientation_deg: Tensor) -> Tensor:
    """Cosine grating in [-1, 1] whose bars have the given orientation."""
    theta = torch.deg2rad(orientation_deg)
    cycles = dy * (p["frequency"] * torch.cos(theta)) - dx * (p["frequency"] * torch.sin(theta))
    return torch.cos(2 * math.pi * cycles + torch.deg2rad(p["phase"]))


def _paint(p: Values, window: Tensor, pattern: Tensor) -> Tensor:
    return p["luminance"] + (p["luminance"] * p["contrast"] * window) * pattern


def _draw_grating(p: Values, x: Tensor, y: Tensor) -> Tensor:
    dx, dy = x - p["x"], y - p["y"]
    return _paint(p, disc(dx, dy, p["size"]), carrier(p, dx, dy, p["orientation"]))


def _draw_gabor(p: Values, x: Tensor, y: Tensor) -> Tensor:
    dx, dy = x - p["x"], y - p["y"]
    # The Gaussian would be cut by the square border, which is itself anisotropic.
    window = gaussian(dx, dy, p["size"]) * disc(x, y, 1.0)
    return _paint(p, window, carrier(p, dx, dy, p["orientation"]))


def _draw_plaid(p: Values, x: Tensor, y: Tensor) -> Tensor:
    dx, dy = x - p["x"], y - p["y"]
    first = carrier(p, dx, dy, p["orientation"] - p["angle"] / 2)
    second = carrier(p, dx, dy, p["orientation"] + p["angle"] / 2)
    return _paint(p, disc(dx, dy, p["size"]), 0.5 * (first + second))


@functools.lru_cache(maxsize=64)
def white_spectrum(sample: int, height: int, width: int) -> Tensor:
    """Fourier coefficients of white noise: (H, W // 2 + 1)."""
    # Drawn on the CPU so that a sample is the same on every device.
    generator = torch.Generator().manual_seed(sample)
    spectrum: Tensor = torch.fft.rfft2(torch.randn(height, width, generator=generator, dtype=torch.float64))
    return spectrum


def _draw_noise(p: Values, x: Tensor, y: Tensor) -> Tensor:
    samples = [int(s) for s in p["sample"].detach().flatten().tolist()]
    spectra = torch.stack([white_spectrum(s, *x.shape) for s in samples])
    return draw_band(p, x, y, spectra.to(device=x.device, dtype=torch.complex(x, x).dtype), x.numel())


def draw_band(p: Values, x: Tensor, y: Tensor, spectrum: Tensor, white: float | None = None) -> Tensor:
    """Filter to a band of orientation and frequency, at unit variance, squashed by tanh, in a disc.

    Parameters
    ----------
    spectrum
        Of a real image: (N, H, W // 2 + 1).
    white
        Power expected of every coefficient, where that is known; else the variance is the image's own.
    """
    height, width = x.shape
    shorter = min(height, width)
    fx = torch.fft.rfftfreq(width, dtype=x.dtype, device=x.device) * shorter
    fy = -torch.fft.fftfreq(height, dtype=x.dtype, device=x.device)[:, None] * shorter
    radius = torch.sqrt(fx * fx + fy * fy)
    angle = torch.atan2(fy, fx)
    # Bars lie at right angles to their wave vector.
    offset = 2 * (angle - torch.deg2rad(p["orientation"]) - math.pi / 2)
    half = torch.cos(2 * torch.deg2rad(p["orientation_bandwidth"]))
    kappa = math.log(2) / (1 - half)
    octaves = torch.log2(torch.clamp(radius, min=1e-6) / p["frequency"])
    band = torch.exp(kappa * (torch.cos(offset) - 1))
    band = band * torch.exp2(-((octaves / p["frequency_bandwidth"]) ** 2))
    power = (spectrum.real**2 + spectrum.imag**2) if white is None else white
    variance = 2 * (band * band * power).sum(dim=(-2, -1), keepdim=True) / (height * width) ** 2
    band = band / torch.sqrt(variance)
    shift = fx * p["x"] + fy * p["y"]
    turn = torch.deg2rad(p["phase"]) - 2 * math.pi * shift
    filtered = torch.complex(band * torch.cos(turn), band * torch.sin(turn)) * spectrum
    unit_noise = torch.fft.irfft2(filtered, s=(height, width))
    window = disc(x - p["x"], y - p["y"], p["size"])
    return _paint(p, window, torch.tanh(unit_noise / 2))


def within_unit_range(p: Mapping[str, float]) -> str | None:
    """What is wrong with luminance and contrast, if anything."""
    peak = p["luminance"] * (1 + p["contrast"])
    if peak > 1 + 1e-9:
        return (
            f"luminance {p['luminance']:g} with contrast {p['contrast']:g} needs pixel values up to "
            f"{peak:.3g}, over 1. Lower either until luminance * (1 + contrast) is at most 1"
        )
    return None


def _draw_benjamin2022(p: Values, x: Tensor, y: Tensor) -> Tensor:
    height, width = x.shape
    # Their pixel grid is offset by half a pixel: (index - n / 2) / n.
    dx = x - 0.5 / min(height, width)
    dy = y + 0.5 / min(height, width)
    pattern = gaussian(dx, dy, p["size"]) * carrier(p, dx, dy, p["orientation"])
    low = pattern.amin(dim=(-2, -1), keepdim=True)
    high = pattern.amax(dim=(-2, -1), keepdim=True)
    return (pattern - low) * (2 * p["contrast"]) / (high - low) - 1


_RANGE = "range of pixel values over 2; it begins at -1, so that below 1 the mean falls, too"
COMMON = (CONTRAST, LUMINANCE, X, Y)

GRATINGS = (
    Stimulus(
        "grating",
        "sinusoid in a soft-edged disc",
        (ORIENTATION, FREQUENCY, PHASE, DIAMETER, *COMMON),
        _draw_grating,
        {"phase": 8},
        within_unit_range,
        light=True,
    ),
    Stimulus(
        "gabor",
        "sinusoid under a Gaussian envelope, faded to grey by a soft-edged disc as wide as the image",
        (ORIENTATION, FREQUENCY, PHASE, SD, *COMMON),
        _draw_gabor,
        {"phase": 8},
        within_unit_range,
        light=True,
    ),
    Stimulus(
        "plaid",
        "mean of two gratings in a soft-edged disc",
        (ORIENTATION, ANGLE, FREQUENCY, PHASE, DIAMETER, *COMMON),
        _draw_plaid,
        {"phase": 8},
        within_unit_range,
        light=True,
    ),
    Stimulus(
        "noise",
        "noise filtered to a band of orientation and frequency, squashed by tanh",
        (
            ORIENTATION,
            FREQUENCY,
            ORIENTATION_BANDWIDTH,
            FREQUENCY_BANDWIDTH,
            PHASE,
            SAMPLE,
            DIAMETER,
            *COMMON,
        ),
        _draw_noise,
        {"sample": 8},
        within_unit_range,
        light=True,
    ),
    Stimulus(
        "gabor-benjamin2022",
        "the gabor of Benjamin et al. 2022: rescaled to [-1, 1], cut by the square border",
        (ORIENTATION, FREQUENCY, PHASE, SD, replace(CONTRAST, unit="half range", meaning=_RANGE)),
        _draw_benjamin2022,
        {"phase": 10},
        unit_range=False,
    ),
)
