"""Position: where a gabor is, and offsets between gratings (vernier)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from psychophys.base.types import Array
from psychophys.comparison.people.reference import Recipe, Reference

VERNIER_DEG = 10 / 3600
VERNIER_CONTRAST = 0.5


def _toet_rate(size_deg: Array, _parameters: Mapping[str, float]) -> Array:
    return np.asarray(1 / size_deg)


def _vernier_rate(frequency_cpd: Array, parameters: Mapping[str, float]) -> Array:
    threshold = VERNIER_DEG * (parameters["contrast"] / VERNIER_CONTRAST) ** -0.8
    return np.full_like(frequency_cpd, 1 / threshold)


POSITION = (
    Reference(
        name="toet-koenderink-1988",
        summary="the position of a gabor is told to a constant share of its size, whatever its frequency",
        dimension="x",
        stimuli=("gabor",),
        formula="threshold proportional to the s.d. of the Gaussian",
        citation="Toet & Koenderink 1988, Vision Res 28:133",
        doi="",
        kind="shape",
        unit="deg",
        axis="size",
        axis_unit="deg",
        valid=(0, np.inf),
        valid_is="not stated",
        period=None,
        reads=(),
        rate=_toet_rate,
        caveat="people saw three patches at their contrast threshold, and judged the middle one "
        "between the others; the recipe moves a gabor along its bars, so that its envelope alone tells",
        recipe=Recipe(
            "gabor", "x", (0.0,), {"frequency": 4, "orientation": 0}, "size", (0.1, 0.14, 0.2, 0.28, 0.4, 0.5)
        ),
    ),
    Reference(
        name="bradley-skottun-1987",
        summary="vernier offsets of gratings: about 10 sec of arc from 6 to 16 cycles/deg at a contrast "
        "of 0.5",
        dimension="offset",
        stimuli=("vernier",),
        formula="threshold = 10 sec of arc (contrast / 0.5)^-0.8",
        citation="Bradley & Skottun 1987, Vision Res 27:1817",
        doi="10.1016/0042-6989(87)90110-6",
        kind="absolute",
        unit="deg",
        axis="frequency",
        axis_unit="cycles/deg",
        valid=(6, 16),
        period=None,
        reads=("contrast",),
        rate=_vernier_rate,
        caveat="10 sec of arc is the least of each observer, about; the curve is flat",
        recipe=Recipe(
            "vernier", "offset", (0.0,), {"contrast": 0.5, "size": 1}, "frequency", (6, 8, 10, 12, 14, 16)
        ),
    ),
)
