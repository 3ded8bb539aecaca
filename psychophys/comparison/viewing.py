"""How a run's images are seen: visual angle and light, for references that are of people."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psychophys.base.errors import UsageError
from psychophys.stimuli import find_display, get_stimulus
from psychophys.stimuli.base import Parameter, Stimulus
from psychophys.stimuli.display import check_pixels_per_degree

PIXELS_PER_DEGREE = 100.0
"""Of visual angle, where neither a display nor an option says them."""
WHITE_CD_M2 = 80.0
"""Luminance of white of the sRGB reference display (IEC 61966-2-1): where a run does not say it."""
ANGLES = ("size_deg", "frequency_cpd", "area_deg2")
LUMINANCE = "luminance_cd_m2"


def factor_of(parameter: Parameter, degrees: float) -> float:
    """From fractions of an image, which has so many degrees along its shorter side, to deg or cycles/deg."""
    return {"image": degrees, "cycles/image": 1 / degrees}.get(parameter.unit, 1.0)


@dataclass(frozen=True)
class Viewing:
    """How the images of a run are seen.

    Attributes
    ----------
    stimulus
        As it is listed, in fractions of the image.
    degrees
        Of visual angle, along the image's shorter side.
    displayed
        Whether values of the run are in deg and cycles/deg already.
    white_cd_m2
        Luminance of white; None where the run does not say.
    values
        Of the run's parameters.
    """

    stimulus: Stimulus
    pixels_per_degree: float
    degrees: float
    displayed: bool
    white_cd_m2: float | None
    values: Mapping[str, tuple[float, ...]]

    def factor(self, name: str) -> float:
        """From the run's unit of a parameter to that of people."""
        return 1.0 if self.displayed else factor_of(self.stimulus.parameter(name), self.degrees)

    def scales(self, name: str) -> bool:
        """Whether pixels per degree decide a parameter in people's units."""
        return factor_of(self.stimulus.parameter(name), 2.0) != 1

    @property
    def parameters(self) -> dict[str, tuple[float, ...]]:
        """Values of the run's parameters, and in people's units those that references read.

        ``frequency_cpd``, ``size_deg``, ``area_deg2`` (of a disc, or of one of the s.d. of the Gaussian as
        its radius), ``luminance_cd_m2`` (mean).
        """
        found = dict(self.values)
        for name, seen in (("frequency", "frequency_cpd"), ("size", "size_deg")):
            if name in found:
                found[seen] = tuple(value * self.factor(name) for value in found[name])
        if "size_deg" in found:
            gaussian = self.stimulus.parameter("size").is_sd
            found["area_deg2"] = tuple(math.pi * (d if gaussian else d / 2) ** 2 for d in found["size_deg"])
        if "luminance" in found:
            white = WHITE_CD_M2 if self.white_cd_m2 is None else self.white_cd_m2
            # Of what paints light it is in cd/m2 already, where the display says what white is.
            if self.displayed and self.white_cd_m2 is not None and self.stimulus.paints_light:
                white = 1.0
            found[LUMINANCE] = tuple(value * white for value in found["luminance"])
        return found

    def assumed(self, reads: tuple[str, ...]) -> str:
        """What is taken for granted of how the images are seen, in a sentence; empty if nothing is."""
        if LUMINANCE not in reads or self.white_cd_m2 is not None:
            return ""
        light = ", ".join(f"{value:.3g}" for value in self.parameters.get(LUMINANCE, ()))
        why = "the display does not say how bright white is" if self.displayed else "the runs name no display"
        return (
            f"a mean luminance of {light} cd/m2 is assumed, as {why}: white is "
            f"{WHITE_CD_M2:g} cd/m2 (IEC 61966-2-1)"
        )


def settle_pixels_per_degree(given: float | None) -> float:
    """Those that are given, or the usual ones; :class:`UsageError` for a number that no screen has."""
    if given is None:
        return PIXELS_PER_DEGREE
    check_pixels_per_degree(given)
    return given


def viewed_at(record: Mapping[str, Any], given: float | None = None) -> float:
    """Pixels per degree of visual angle of a run's display, or else those that are given.

    Raises
    ------
    UsageError
        For others than those of the display, or a number that no screen has.
    """
    settled, display = settle_pixels_per_degree(given), find_display(record["measurement"].get("display"))
    if display is None:
        return settled
    if given not in (None, display.pixels_per_degree):
        raise UsageError(
            f"{given:g} pixels per degree of what was measured at {display.pixels_per_degree:g}",
            "Leave --pixels-per-degree out, or measure again with it.",
        )
    return display.pixels_per_degree


def viewing(record: Mapping[str, Any], pixels_per_degree: float | None = None) -> Viewing:
    """How the images of a run are seen: on its display, or at so many pixels per degree.

    Raises
    ------
    UsageError
        As :func:`viewed_at`.
    """
    measurement = record["measurement"]
    display = find_display(measurement.get("display"))
    pixels = viewed_at(record, pixels_per_degree)
    return Viewing(
        stimulus=get_stimulus(measurement["stimulus"]),
        pixels_per_degree=pixels,
        degrees=min(record["input_size"]) / pixels,
        displayed=display is not None,
        white_cd_m2=None if display is None else display.luminance_cd_m2,
        values={name: tuple(values) for name, values in measurement["parameters"].items()},
    )
