"""Discrimination of orientation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from psychophys.base.types import Array
from psychophys.comparison.people.reference import Recipe, Reference
from psychophys.comparison.priors.literature import wei_stocker_2015

MERIDIANS_DEG = 0.6
ANGLES_DEG = tuple(float(angle) for angle in range(0, 180, 15))


def _shape_rate(orientation_deg: Array, _parameters: Mapping[str, float]) -> Array:
    return wei_stocker_2015(orientation_deg)


def _meridian_rate(orientation_deg: Array, _parameters: Mapping[str, float]) -> Array:
    on = np.abs(np.sin(2 * np.deg2rad(orientation_deg))) < 1e-6
    return np.where(on, 1 / MERIDIANS_DEG, np.nan)


ORIENTATION = (
    Reference(
        name="wei-stocker-2015",
        summary="the oblique effect of an efficient code: oblique thresholds twice the cardinal ones",
        dimension="orientation",
        stimuli=("grating", "gabor", "gabor-benjamin2022", "noise", "image-band"),
        formula="threshold proportional to 1 / (2 - |sin 2 theta|)",
        citation="Wei & Stocker 2015, Nat Neurosci 18:1509",
        doi="10.1038/nn.4105",
        kind="shape",
        unit="deg",
        axis="orientation",
        axis_unit="deg",
        valid=(0, 180),
        period=180,
        reads=(),
        rate=_shape_rate,
        recipe=Recipe("gabor", "orientation", ANGLES_DEG, {"frequency": 2, "size": 0.5}),
    ),
    Reference(
        name="heeley-buchanan-smith-1990",
        summary="horizontal and vertical: 0.6 deg on average, for lines, edges and gratings alike",
        dimension="orientation",
        stimuli=("grating", "gabor"),
        formula="threshold = 0.6 deg at 0 and 90 deg; nothing is said of other orientations",
        citation="Heeley & Buchanan-Smith 1990, Vision Res 30:1429",
        doi="10.1016/0042-6989(90)90024-F",
        kind="absolute",
        unit="deg",
        axis="orientation",
        axis_unit="deg",
        valid=(0, 180),
        valid_is="0 and 90 deg",
        period=180,
        reads=(),
        rate=_meridian_rate,
        caveat="gratings of 2.5 to 10 cycles/deg; Burbeck & Regan (1983, J Opt Soc Am 73) found 0.3 to "
        "0.5 deg",
        recipe=Recipe("gabor", "orientation", (0.0, 90.0), {"frequency": 5, "size": 0.5}),
    ),
)
