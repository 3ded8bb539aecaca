"""Gratings along directions of the DKL space at constant luminance (Derrington, Krauskopf & Lennie 1984).

Cone responses are those of the CIE 2006 2-deg fundamentals (Stockman & Sharpe 2000), scaled so that luminance
is L + M. From the CIE 1931 XYZ of sRGB they follow by the matrix that castleCSF takes for the spectra of LED
displays (Ashraf, Mantiuk, Chapiro & Wuerger 2024, J Vision 24(4):5). CIE 1931 luminance is another one: along
a red-green grating of contrast 0.08 it varies by 1.4 %.

Contrast is the root mean square of the three cones' contrasts,
``sqrt(((dL/L)**2 + (dM/M)**2 + (dS/S)**2) / 3)`` at the carrier's peak (Wuerger et al. 2020, J Vision
20(4):23), and so is the same in every direction. A direction's cosine is its share of L - M at constant
L + M, its sine that of S alone. The image is painted in linear light round the grey of the display's white
(D65), then encoded in sRGB.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from psychophys.base.types import Array
from psychophys.stimuli.base import Parameter, Stimulus
from psychophys.stimuli.color import XYZ_TO_RGB
from psychophys.stimuli.gratings import (
    CONTRAST,
    FREQUENCY,
    LUMINANCE,
    ORIENTATION,
    PHASE,
    SD,
    Values,
    X,
    Y,
    carrier,
    disc,
    gaussian,
)
from psychophys.stimuli.transfer import srgb_from_light

XYZ_TO_LMS = (
    (0.187596268556126, 0.585168649077728, -0.026384263306304),
    (-0.133397430663221, 0.405505777260049, 0.034502127690364),
    (0.000244379021663, -0.000542995890619, 0.019406849066323),
)
DIRECTION = Parameter(
    "direction", "deg", 0.0, -720, 720, (0, 360), 1e-2,
    "in the isoluminant plane: 0 is reddish (L - M), 90 violet (S), 180 greenish, 270 yellowish",
    period=360, count=36,
)  # fmt: skip
CONE_CONTRAST = replace(
    CONTRAST,
    unit="cone contrast",
    default=0.08,
    sweep=(0.002, 0.08),
    meaning="nominal: r.m.s. of L, M and S contrast at the peak, before window and pixel grid",
)
LINEAR_LUMINANCE = replace(
    LUMINANCE,
    default=0.214,
    meaning="mean, in linear light, of the display's white; 0.214 is pixel value 0.5",
)


def rgb_to_lms() -> Array:
    """Matrix from linear sRGB to L, M and S: shape (3, 3)."""
    return np.asarray(np.array(XYZ_TO_LMS) @ np.linalg.inv(np.array(XYZ_TO_RGB)))


def _axes() -> Array:
    """Linear RGB over that of the grey, per unit of contrast, along L - M and along S: shape (2, 3)."""
    from_rgb = rgb_to_lms()
    long, middle, short = from_rgb @ np.ones(3)
    step = math.sqrt(3) / math.hypot(1 / long, 1 / middle)
    along = np.array([[step, -step, 0.0], [0.0, 0.0, math.sqrt(3) * short]])
    return np.asarray(np.linalg.solve(from_rgb, along.T).T)


_CHANNELS = tuple((float(red_green), float(violet)) for red_green, violet in _axes().T)
"""Of red, green and blue: how far it goes along either axis."""


def highest_contrast(direction_deg: float, luminance: float) -> float:
    """Highest cone contrast within the sRGB gamut, either way along a direction, round a grey."""
    angle = math.radians(direction_deg)
    steepest = max(abs(math.cos(angle) * a + math.sin(angle) * b) for a, b in _CHANNELS)
    return min(1.0, 1 / luminance - 1 if luminance > 0 else 1.0) / steepest


def _draw_isoluminant(p: Values, x: Tensor, y: Tensor) -> Tensor:
    dx, dy = x - p["x"], y - p["y"]
    window = gaussian(dx, dy, p["size"]) * disc(x, y, 1.0)
    pattern = p["contrast"] * window * carrier(p, dx, dy, p["orientation"])
    angle = torch.deg2rad(p["direction"])
    change = (torch.cos(angle) * a + torch.sin(angle) * b for a, b in _CHANNELS)
    linear = [p["luminance"] + p["luminance"] * (each * pattern) for each in change]
    return srgb_from_light(torch.stack(torch.broadcast_tensors(*linear), dim=1))


def _in_gamut(p: Mapping[str, float]) -> str | None:
    highest = highest_contrast(p["direction"], p["luminance"])
    if p["contrast"] <= highest * (1 + 1e-9):
        return None
    # Rounded down, so that what is named can be given.
    possible = math.floor(highest * 1e4) / 1e4
    return (
        f"contrast {p['contrast']:g} in direction {p['direction']:g} deg at luminance {p['luminance']:g} is "
        f"outside the sRGB gamut. The highest contrast there is {possible:g}"
    )


CONES = (
    Stimulus(
        "isoluminant",
        "gabor of constant luminance along a direction of the DKL space (red-green, violet-yellow)",
        (CONE_CONTRAST, DIRECTION, ORIENTATION, FREQUENCY, PHASE, SD, LINEAR_LUMINANCE, X, Y),
        _draw_isoluminant,
        {"phase": 8},
        _in_gamut,
        encoded=True,
    ),
)
