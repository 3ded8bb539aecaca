"""Detection of contrast over spatial frequency."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from psychophys.base.types import Array
from psychophys.comparison.people.castle import GREY, cone_sensitivity, mechanisms
from psychophys.comparison.people.reference import Recipe, Reference, interpolated

MODELFEST = {
    1.12: (1.8210, 0.1344),
    2: (1.9603, 0.1796),
    2.83: (2.0632, 0.1788),
    4: (2.1065, 0.2132),
    5.66: (1.9919, 0.1834),
    8: (1.8436, 0.1747),
    11.3: (1.6209, 0.1829),
    16: (1.2978, 0.2088),
    22.6: (0.9595, 0.2704),
    30: (0.5675, 0.1973),
}
"""Mean and s.d. over 16 observers of log10 sensitivity, by cycles/deg."""
_MEANS = interpolated({f: 10**mean for f, (mean, _) in MODELFEST.items()})
_FACTORS = interpolated({f: 10**spread for f, (_, spread) in MODELFEST.items()})
_ISOLUMINANT = ("frequency_cpd", "area_deg2", "luminance_cd_m2", "direction")
_AS_MODELFEST = Recipe(
    "gabor", "contrast", (0.01,), {"size": 0.5, "orientation": 90}, "frequency", tuple(MODELFEST)
)


CASTLE_CD_M2 = (2e-5, 1e4)
"""Mean luminances of the data that castleCSF is fitted to: beyond them it says nothing."""


def contrast_sensitivity(frequency_cpd: Array, orientation_deg: Array | float = 0.0) -> Array:
    """Contrast sensitivity filter of the standard spatial observer (Watson & Ahumada 2005).

    The observer pools what passes the filter over the image. Sensitivity to a gabor is less: that to those
    which it was fitted to, 1.7 to 2.2 times.

    Parameters
    ----------
    frequency_cpd
        Spatial frequency in cycles/deg.
    orientation_deg
        Of the bars; oblique ones are seen less well from 3.481 cycles/deg on.
    """
    f = np.asarray(frequency_cpd, dtype=float)
    gain = 373.08 * (1 / np.cosh((f / 4.1726) ** 0.7786) - 0.8493 / np.cosh(f / 1.3625))
    loss = 1 - np.exp(-np.maximum(f - 3.481, 0) / 13.57149)
    oblique = 1 - loss * np.sin(2 * np.deg2rad(orientation_deg)) ** 2
    return np.asarray(gain * oblique, dtype=float)


def _filter_rate(frequency_cpd: Array, parameters: Mapping[str, float]) -> Array:
    return contrast_sensitivity(frequency_cpd, parameters["orientation"])


def _modelfest_rate(frequency_cpd: Array, _parameters: Mapping[str, float]) -> Array:
    return _MEANS(frequency_cpd)


def _luminance_rate(frequency_cpd: Array, parameters: Mapping[str, float]) -> Array:
    seen = mechanisms(frequency_cpd, *_area_and_light(parameters))
    found = cone_sensitivity(np.array(GREY), seen)
    return np.where(found >= 1, found, np.nan)  # A contrast over 1 cannot be shown.


def _isoluminant_rate(frequency_cpd: Array, parameters: Mapping[str, float]) -> Array:
    seen = mechanisms(frequency_cpd, *_area_and_light(parameters))
    angle, grey = np.deg2rad(parameters["direction"]), GREY
    # One unit of cone contrast along L - M at constant L + M, and along S: the stimulus's own axes.
    along = np.sqrt(3) / np.hypot(1 / grey[0], 1 / grey[1])
    red_green = np.cos(angle) * along
    return cone_sensitivity(np.array([red_green, -red_green, np.sin(angle) * np.sqrt(3) * grey[2]]), seen)


def _area_and_light(parameters: Mapping[str, float]) -> tuple[Array, Array]:
    light = parameters["luminance_cd_m2"]
    known = CASTLE_CD_M2[0] <= light <= CASTLE_CD_M2[1]
    return np.asarray(parameters["area_deg2"]), np.asarray(light if known else np.nan)


def _castle(name: str, summary: str, direction_deg: int, highest_cpd: float) -> Reference:
    """Of one chromatic direction, either way."""
    return Reference(
        name=name,
        summary=summary,
        dimension="contrast",
        stimuli=("isoluminant",),
        formula="castleCSF: two chromatic mechanisms and an achromatic one, added as squares",
        citation="Ashraf, Mantiuk, Chapiro & Wuerger 2024, J Vision 24(4):5",
        doi="10.1167/jov.24.4.5",
        kind="absolute",
        unit="cone contrast",
        axis="frequency",
        axis_unit="cycles/deg",
        valid=(0.15, highest_cpd),  # Gratings and gabors of the data sets that have this direction.
        period=None,
        reads=_ISOLUMINANT[1:],
        rate=_isoluminant_rate,
        caveat="people's thresholds are those of the stated size and mean luminance, without change in time",
        observers="18 data sets",
        only={"direction": (direction_deg, direction_deg + 180.0, direction_deg - 180.0)},
        recipe=Recipe(
            "isoluminant",
            "contrast",
            (0.005,),
            {"size": 0.5, "orientation": 90, "direction": direction_deg},
            "frequency",
            (0.5, 1, 2, 4, 8, 12, 16),
        ),
    )


CONTRAST = (
    Reference(
        name="watson-ahumada-2005",
        summary="shape of contrast sensitivity alone: the filter of a pooling model, 1.7 to 2.2 times as "
        "high as the sensitivity to gabors of the 16 observers (ModelFest) that it was fitted to",
        dimension="contrast",
        stimuli=("grating", "gabor"),  # Contrast of gabor-benjamin2022 is no Michelson contrast.
        formula="1 / threshold proportional to 373.08 (sech((f / 4.1726)^0.7786) "
        "- 0.8493 sech(f / 1.3625)), times the oblique effect "
        "1 - (1 - exp(-(f - 3.481) / 13.57149)) sin^2 2 theta over 3.481 cycles/deg",
        citation="Watson & Ahumada 2005, J Vision 5(9):6",
        doi="10.1167/5.9.6",
        kind="shape",
        unit="Michelson",
        axis="frequency",
        axis_unit="cycles/deg",
        valid=(1.12, 30),  # The lowest and highest frequency that the observers were shown.
        period=None,
        reads=("orientation",),
        rate=_filter_rate,
        caveat="contrast is nominal (`psychophys stimuli gabor` says what is rendered of it), and the "
        "reference a shape: its thresholds are those of no stimulus",
        observers=16,
        recipe=_AS_MODELFEST,
    ),
    Reference(
        name="modelfest",
        summary="thresholds for gabors of 0.5 deg s.d. at 30 cd/m2",
        dimension="contrast",
        stimuli=("gabor",),
        formula="the means of log10 sensitivity, joined by straight lines on logarithmic axes",
        citation="Watson 2000, Opt Express 6:12; each observer's thresholds as collected by Ashraf et al. "
        "2024, J Vision 24(4):5",
        doi="10.1364/OE.6.000012",
        kind="absolute",
        unit="Michelson",
        axis="frequency",
        axis_unit="cycles/deg",
        valid=(1.12, 30),
        period=None,
        reads=(),
        rate=_modelfest_rate,
        caveat="the observers saw gabors of 0.5 deg s.d.: choose --set size and --pixels-per-degree so "
        "that the network does",
        observers=16,
        spread=_FACTORS,
        spread_is="1 s.d. of log threshold between observers",
        recipe=_AS_MODELFEST,
    ),
    Reference(
        name="castlecsf-2024",
        summary="thresholds by spatial frequency, size and luminance, fitted to 18 data sets",
        dimension="contrast",
        stimuli=("grating", "gabor"),
        formula="castleCSF: a sustained and a transient achromatic channel, and two chromatic ones for what "
        "of the grey's modulation they see",
        citation="Ashraf, Mantiuk, Chapiro & Wuerger 2024, J Vision 24(4):5",
        doi="10.1167/jov.24.4.5",
        kind="absolute",
        unit="Michelson",
        axis="frequency",
        axis_unit="cycles/deg",
        valid=(0.06, 32),
        period=None,
        reads=("area_deg2", "luminance_cd_m2"),
        rate=_luminance_rate,
        caveat="people's thresholds are those of the stated size and mean luminance, without change in time; "
        "contrast is nominal (`psychophys stimuli gabor` says what is rendered of it)",
        observers="18 data sets",
        recipe=_AS_MODELFEST,
    ),
    _castle("castlecsf-2024-red-green", "thresholds for gratings that vary from reddish to greenish", 0, 30),
    _castle(
        "castlecsf-2024-yellow-violet", "thresholds for gratings that vary from violet to yellowish", 90, 22.6
    ),
)
