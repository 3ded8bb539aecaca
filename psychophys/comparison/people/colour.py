"""Discrimination of hue."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources

import numpy as np
import torch
from scipy.interpolate import LinearNDInterpolator
from skimage.color import deltaE_ciede2000, lab2xyz

from psychophys.base.types import Array
from psychophys.comparison.people.reference import Recipe, Reference
from psychophys.stimuli.color import hsv_to_rgb, rgb_to_lch

HUE_STEP_DEG = 1e-3
"""Between the two colours whose difference gives a rate: small beside the ring, large beside rounding."""
HUES_DEG = tuple(float(hue) for hue in range(0, 360, 15))


def hue_rate(hue_deg: Array, parameters: Mapping[str, float], step_deg: float = HUE_STEP_DEG) -> Array:
    """CIEDE2000 colour difference per degree of hue along the ring of a colour patch.

    The difference is that to the next larger hue: at the corners of the HSV ring the derivatives of layers
    are those of larger hues, too.

    Parameters
    ----------
    parameters
        ``saturation`` and ``value`` of the HSV ring, or ``lightness`` and ``chroma`` of the CIE LCh ring.
    """
    here, there = (lab_of(hue_deg + by, parameters) for by in (0, step_deg))
    return np.asarray(deltaE_ciede2000(here, there) / step_deg, dtype=float)


def cielab_rate(hue_deg: Array, parameters: Mapping[str, float], step_deg: float = HUE_STEP_DEG) -> Array:
    """Distance in CIELAB per degree of hue, in a straight line; otherwise as :func:`hue_rate`."""
    here, there = (lab_of(hue_deg + by, parameters) for by in (0, step_deg))
    return np.asarray(np.linalg.norm(there - here, axis=-1) / step_deg, dtype=float)


def lab_of(hue_deg: Array, parameters: Mapping[str, float]) -> Array:
    """CIELAB of a colour patch: (..., 3)."""
    if "chroma" in parameters:
        hue, lightness, chroma = np.broadcast_arrays(hue_deg, parameters["lightness"], parameters["chroma"])
    else:
        ring = (hue_deg, parameters["saturation"], parameters["value"])
        rgb = hsv_to_rgb(*(torch.as_tensor(number, dtype=torch.float64) for number in ring))
        lightness, chroma, hue = (channel.numpy() for channel in rgb_to_lch(rgb))
    angle = np.deg2rad(hue)
    return np.stack([lightness, chroma * np.cos(angle), chroma * np.sin(angle)], axis=-1)


@cache
def macadam_ellipses() -> Array:
    """The 25 ellipses of MacAdam (1942), observer PGN: x, y, semi-axes, angle of the longer: (25, 5)."""
    text = resources.files(__package__).joinpath("macadam-1942.csv").read_text(encoding="utf-8")
    return np.array([[float(number) for number in line.split(",")] for line in text.splitlines()[1:]])


def chromaticity_metric(xy: Array) -> Array:
    """Coefficients of dx^2, 2 dx dy and dy^2 in the squared distance, in s.d. of a colour match: (..., 3).

    At the centre of an ellipse its own, between centres interpolated linearly over triangles; NaN outside.
    """
    return np.asarray(_metric()(xy), dtype=float)


@cache
def _metric() -> LinearNDInterpolator:
    x, y, a, b, angle_deg = macadam_ellipses().T
    cosine, sine = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    first, second = 1 / a**2, 1 / b**2
    coefficients = (
        first * cosine**2 + second * sine**2,
        (first - second) * sine * cosine,
        first * sine**2 + second * cosine**2,
    )
    return LinearNDInterpolator(np.column_stack([x, y]), np.column_stack(coefficients))


def macadam_rate(hue_deg: Array, parameters: Mapping[str, float], step_deg: float = HUE_STEP_DEG) -> Array:
    """Standard deviations of a colour match per degree of hue, along a ring of constant lightness."""
    here, there = (_chromaticity(hue_deg + by, parameters) for by in (0, step_deg))
    (dx, dy), (xx, xy, yy) = (there - here).T, chromaticity_metric(here).T
    return np.asarray(np.sqrt(xx * dx**2 + 2 * xy * dx * dy + yy * dy**2) / step_deg, dtype=float)


def _chromaticity(hue_deg: Array, parameters: Mapping[str, float]) -> Array:
    xyz = lab2xyz(lab_of(hue_deg, parameters))
    return np.asarray(xyz[..., :2] / xyz.sum(axis=-1, keepdims=True))


COLOUR = (
    Reference(
        name="ciede2000",
        summary="hue step for a colour difference of 1, along the ring of the stimulus",
        dimension="hue",
        stimuli=("patch", "patch-lch"),
        formula="threshold = 1 / (d Delta-E00 / d hue)",
        citation="Sharma, Wu & Dalal 2005, Color Res Appl 30:21",
        doi="10.1002/col.20070",
        kind="absolute",
        unit="deg",
        axis="hue",
        axis_unit="deg",
        valid=(0, 360),
        period=360,
        reads=("saturation", "value", "lightness", "chroma"),
        rate=hue_rate,
        recipe=Recipe("patch-lch", "hue", HUES_DEG),
    ),
    Reference(
        name="cielab",
        summary="how far apart neighbouring hues are in CIELAB (Delta-E 1976), in a straight line",
        dimension="hue",
        stimuli=("patch", "patch-lch"),
        formula="1 / threshold proportional to |d (L*, a*, b*) / d hue|",
        citation="Robertson 1977, Color Res Appl 2:7",
        doi="10.1002/j.1520-6378.1977.tb00104.x",
        kind="shape",
        unit="deg",
        axis="hue",
        axis_unit="deg",
        valid=(0, 360),
        period=360,
        reads=("saturation", "value", "lightness", "chroma"),
        rate=cielab_rate,
        caveat="CIELAB is far from uniform: among saturated colours, distances of the same size are seen "
        "unlike",
        recipe=Recipe("patch", "hue", HUES_DEG),
    ),
    Reference(
        name="macadam-1942",
        summary="hue step of one standard deviation of a colour match, along the ring of the stimulus",
        dimension="hue",
        stimuli=("patch-lch",),  # Along HSV luminance varies, and the ellipses are of one luminance.
        formula="threshold = 1 / sqrt(g11 x'^2 + 2 g12 x' y' + g22 y'^2), x' and y' the rates of CIE 1931 "
        "chromaticity by hue, g of the 25 ellipses and linear between their centres",
        citation="MacAdam 1942, J Opt Soc Am 32:247; Wyszecki & Stiles 2000, Color Science, table 2(5.4.1)",
        doi="10.1364/JOSA.32.000247",
        kind="absolute",
        unit="deg",
        axis="hue",
        axis_unit="deg",
        valid=(0, 360),
        period=360,
        reads=("lightness", "chroma"),
        rate=macadam_rate,
        caveat="a just noticeable difference is generally taken to be three such standard deviations; "
        "colours were matched at 48 cd/m2",
        observers=1,
        recipe=Recipe("patch-lch", "hue", HUES_DEG),
    ),
)
