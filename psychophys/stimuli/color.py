"""Uniform colour patches on the HSV ring and on the CIE LCh(ab) ring.

HSV hue is piecewise linear in RGB: its derivative jumps at multiples of 60 deg, where the exact
derivative is that of larger hues. LCh is CIELAB (D65, sRGB primaries, IEC 61966-2-1) in polar form.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from psychophys.stimuli.base import Parameter, Stimulus
from psychophys.stimuli.transfer import light_from_srgb, srgb_from_light

Values = Mapping[str, Tensor]

HUE = Parameter(
    "hue", "deg", 0.0, -720, 720, (0, 360), 1e-2, "angle on the colour ring", period=360, count=72
)
SATURATION = Parameter("saturation", "0-1", 1.0, 0.0, 1.0, (0.1, 1), 1e-4, "HSV saturation")
VALUE = Parameter("value", "0-1", 0.8, 0.0, 1.0, (0.1, 1), 1e-4, "HSV value")
LIGHTNESS = Parameter("lightness", "L*", 65.0, 0.0, 100.0, (40, 75), 1e-3, "CIE lightness")
CHROMA = Parameter("chroma", "C*", 30.0, 0.0, 150.0, (5, 30), 1e-3, "CIE chroma")

_D65 = (0.95047, 1.0, 1.08883)
XYZ_TO_RGB = (
    (3.2404542, -1.5371385, -0.4985314),
    (-0.9692660, 1.8760108, 0.0415560),
    (0.0556434, -0.2040259, 1.0572252),
)


def hsv_to_rgb(hue_deg: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """HSV to RGB in [0, 1]: inputs broadcast, channels come out in a new dimension 1."""
    sextant = torch.remainder(hue_deg.detach() / 60, 6).floor().long()
    part = torch.remainder(hue_deg / 60, 1)
    high, low = value, value * (1 - saturation)
    falling, rising = value * (1 - saturation * part), value * (1 - saturation * (1 - part))
    high, low, falling, rising, sextant = torch.broadcast_tensors(high, low, falling, rising, sextant)
    # Which is which in each sextant: chosen by its number, so that a corner has the slope of its right.
    orders = (
        (high, falling, low, low, rising, high),
        (rising, high, high, falling, low, low),
        (low, low, rising, high, high, falling),
    )
    channels = [torch.stack(order).gather(0, sextant.unsqueeze(0))[0] for order in orders]
    return torch.stack(channels, dim=1)


def rgb_to_hsv(rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """RGB in [0, 1], channels in dimension 1, to hue (deg, 0 for grey), saturation and value."""
    value, low = rgb.amax(dim=1), rgb.amin(dim=1)
    spread = value - low
    safe = torch.where(spread > 0, spread, torch.ones_like(spread))
    red, green, blue = rgb.unbind(dim=1)
    sextant = torch.where(
        value == red,
        torch.remainder((green - blue) / safe, 6),
        torch.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    saturation = spread / torch.where(value > 0, value, torch.ones_like(value))
    return 60 * torch.where(spread > 0, sextant, torch.zeros_like(sextant)), saturation, value


def rgb_to_lch(rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """SRGB in [0, 1], channels in dimension 1, to CIE lightness, chroma and hue (deg)."""
    to_xyz = torch.linalg.inv(torch.tensor(XYZ_TO_RGB, dtype=rgb.dtype, device=rgb.device))
    xyz = torch.einsum("ij,nj...->ni...", to_xyz, light_from_srgb(rgb))
    fx, fy, fz = (_lab(xyz[:, i] / white) for i, white in enumerate(_D65))
    a, b = 500 * (fx - fy), 200 * (fy - fz)
    hue = torch.remainder(torch.rad2deg(torch.atan2(b, a)), 360)
    return 116 * fy - 16, torch.sqrt(a * a + b * b), hue


def _lab(ratio: Tensor) -> Tensor:
    small = ratio / (3 * (6 / 29) ** 2) + 4 / 29
    return torch.where(ratio > (6 / 29) ** 3, torch.clamp(ratio, min=1e-6) ** (1 / 3), small)


def lch_to_rgb(lightness: Tensor, chroma: Tensor, hue_deg: Tensor) -> Tensor:
    """CIE LCh(ab) to sRGB: inputs broadcast, channels come out in a new dimension 1.

    Colours outside the sRGB gamut come out outside [0, 1].
    """
    hue = torch.deg2rad(hue_deg)
    fy = (lightness + 16) / 116
    fx = fy + chroma * torch.cos(hue) / 500
    fz = fy - chroma * torch.sin(hue) / 200
    xyz = [white * _lab_inverse(f) for white, f in zip(_D65, (fx, fy, fz), strict=True)]
    linear = [
        sum((weight * channel for weight, channel in zip(row, xyz, strict=True)), torch.zeros_like(fx))
        for row in XYZ_TO_RGB
    ]
    return torch.stack(torch.broadcast_tensors(*(srgb_from_light(channel) for channel in linear)), dim=1)


def _lab_inverse(f: Tensor) -> Tensor:
    return torch.where(f > 6 / 29, f * f * f, 3 * (6 / 29) ** 2 * (f - 4 / 29))


def _fill(rgb: Tensor, x: Tensor) -> Tensor:
    return rgb.expand(*rgb.shape[:2], *x.shape)


def _draw_hsv(p: Values, x: Tensor, _y: Tensor) -> Tensor:
    return _fill(hsv_to_rgb(p["hue"], p["saturation"], p["value"]), x)


def _draw_lch(p: Values, x: Tensor, _y: Tensor) -> Tensor:
    return _fill(lch_to_rgb(p["lightness"], p["chroma"], p["hue"]), x)


def _in_gamut(p: Mapping[str, float]) -> str | None:
    values = (torch.tensor([p[name]], dtype=torch.float64) for name in ("lightness", "chroma", "hue"))
    rgb = lch_to_rgb(*values)
    if math.isfinite(float(rgb.sum())) and float(rgb.min()) >= 0 and float(rgb.max()) <= 1:
        return None
    return (
        f"lightness {p['lightness']:g}, chroma {p['chroma']:g}, hue {p['hue']:g} is outside the sRGB "
        f"gamut. Lower the chroma (30 is inside at lightness 65 for every hue)"
    )


PATCHES = (
    Stimulus("patch", "uniform colour on the HSV ring", (HUE, SATURATION, VALUE), _draw_hsv),
    Stimulus(
        "patch-lch",
        "uniform colour on the CIE LCh ring",
        (HUE, CHROMA, LIGHTNESS),
        _draw_lch,
        constraint=_in_gamut,
    ),
)
