"""Discrimination of contrast: a test on a masker of its own orientation and frequency, the dipper."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.optimize import brentq

from psychophys.base.types import Array
from psychophys.comparison.people.reference import Recipe, Reference, interpolated

FOLEY = {
    0.00496: 0.0215,
    0.00788: 0.0192,
    0.0127: 0.0138,
    0.0201: 0.0206,
    0.0312: 0.0231,
    0.0501: 0.0335,
    0.0805: 0.0667,
    0.129: 0.0831,
    0.203: 0.113,
    0.326: 0.164,
}
"""Contrast of the masker, and threshold of the test on it."""
_POINTS = interpolated(FOLEY)
_RECIPE = Recipe(
    "masked",
    "contrast",
    (0.0,),
    {"size": 0.5, "frequency": 2, "orientation": 90},
    "masker_contrast",
    tuple(FOLEY),
)
_SAME = {"masker_orientation": (0.0, 180.0, -180.0), "masker_frequency": (1.0,), "masker_phase": (0.0,)}


def transducer(contrast: Array) -> Array:
    """Response to contrast, in s.d. of its noise (Legge & Foley 1980)."""
    c = np.asarray(contrast, dtype=float)
    return np.asarray(45 * c**2.4 / (c**2 + 0.0075**2), dtype=float)


def increment_threshold(masker_contrast: Array) -> Array:
    """Contrast that, added to the masker's, raises the transducer's response by 1."""

    def one(masker: float) -> float:
        goal = float(transducer(np.asarray(masker))) + 1
        return float(
            brentq(lambda added: float(transducer(np.asarray(masker + added))) - goal, 0, 1, xtol=1e-12)
        )

    return np.array([one(float(masker)) for masker in np.ravel(masker_contrast)])


def _transducer_rate(masker_contrast: Array, _parameters: Mapping[str, float]) -> Array:
    return 1 / increment_threshold(masker_contrast)


def _foley_rate(masker_contrast: Array, _parameters: Mapping[str, float]) -> Array:
    return 1 / _POINTS(masker_contrast)


MASKING = (
    Reference(
        name="legge-foley-1980",
        summary="the dipper: a weak masker helps, a strong one raises thresholds, with its contrast "
        "to the power 0.6",
        dimension="contrast",
        stimuli=("masked",),
        formula="the contrast that adds 1 to 45 c^2.4 / (c^2 + 0.0075^2)",
        citation="Legge & Foley 1980, J Opt Soc Am 70:1458",
        doi="10.1364/JOSA.70.001458",
        kind="shape",
        unit="Michelson",
        axis="masker_contrast",
        axis_unit="Michelson",
        valid=(0.0005, 0.5),
        period=None,
        reads=(),
        rate=_transducer_rate,
        caveat="gratings of 2 cycles/deg, 6 deg wide: where the dip lies depends on how well the test is "
        "seen alone",
        only=_SAME,
        recipe=_RECIPE,
    ),
    Reference(
        name="foley-1994",
        summary="the dipper: thresholds for a gabor on a masker of its orientation",
        dimension="contrast",
        stimuli=("masked",),
        formula="ten points, joined by straight lines on logarithmic axes",
        citation="Foley 1994, J Opt Soc Am A 11:1710; points as tabulated by Cai et al. 2025 (CVPR, "
        "arXiv:2502.20256)",
        doi="10.1364/JOSAA.11.001710",
        kind="absolute",
        unit="Michelson",
        axis="masker_contrast",
        axis_unit="Michelson",
        valid=(min(FOLEY), max(FOLEY)),
        period=None,
        reads=(),
        rate=_foley_rate,
        caveat="the points were read from a figure",
        only=_SAME,
        recipe=_RECIPE,
    ),
)
