"""Displays: how large a pixel is to the eye, how bright white is, and how light becomes pixel values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

from psychophys.base.errors import UsageError, unknown
from psychophys.base.registry import Registry
from psychophys.stimuli.transfer import GAMMAS, Gamma

PIXELS_PER_DEGREE_LIMITS = (1.0, 10_000.0)
"""Fewest and most; a monitor at 57 cm has about 40."""
LUMINANCE_CD_M2 = (1e-3, 1e6)
"""Of white: lowest and highest."""


@dataclass(frozen=True)
class Display:
    """A screen that stimuli are shown on.

    Attributes
    ----------
    name
        Of a preset, or of your own; it decides nothing.
    pixels_per_degree
        Pixels in a degree of visual angle, in the middle of the screen: see :func:`pixels_per_degree`.
    luminance_cd_m2
        Of white (black is taken to be 0); None where it is not said, and luminance is a fraction of it.
    gamma
        Name in :data:`psychophys.stimuli.transfer.GAMMAS`: ``linear`` or ``srgb``.
    source
        Where the numbers of a preset are from.

    Raises
    ------
    UsageError
        For a number that no screen has, or a gamma that is not known.
    """

    name: str
    pixels_per_degree: float
    luminance_cd_m2: float | None = None
    gamma: str = "linear"
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        check_pixels_per_degree(self.pixels_per_degree)
        # Numbers of NumPy, too, become those that provenance can keep.
        object.__setattr__(self, "pixels_per_degree", float(self.pixels_per_degree))
        if self.luminance_cd_m2 is not None:
            _check("cd/m2 of white", self.luminance_cd_m2, LUMINANCE_CD_M2)
            object.__setattr__(self, "luminance_cd_m2", float(self.luminance_cd_m2))
        GAMMAS.find(self.gamma)

    @property
    def transfer(self) -> Gamma:
        """How light becomes pixel values."""
        return GAMMAS[self.gamma]

    def __str__(self) -> str:
        white = "" if self.luminance_cd_m2 is None else f", white of {self.luminance_cd_m2:g} cd/m2"
        name = f"{self.name}: " if self.name else ""
        return f"{name}{self.pixels_per_degree:g} pixels/deg{white}, gamma {self.gamma}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for provenance and the run id."""
        return {name: getattr(self, name) for name in SETTINGS}


SETTINGS = ("name", "pixels_per_degree", "luminance_cd_m2", "gamma")
"""What decides, and the name."""


def check_pixels_per_degree(given: Any) -> None:
    """Raise :class:`UsageError` for pixels per degree that no screen has."""
    _check("pixels per degree", given, PIXELS_PER_DEGREE_LIMITS)


def _check(what: str, value: Any, limits: tuple[float, float]) -> None:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise UsageError(f"{what} {str(value)[:40]!r} is no number", f"Give {_from_to(limits)}.")
    if not limits[0] <= float(value) <= limits[1]:
        raise UsageError(f"{float(value):g} {what}", f"Give {_from_to(limits)}.")


def _from_to(limits: tuple[float, float]) -> str:
    return f"{limits[0]:g} to {limits[1]:,.0f}"


def pixels_per_degree(distance_cm: float, diagonal_inches: float, width: int, height: int) -> float:
    """Pixels in a degree of visual angle, in the middle of a screen with square pixels.

    A pixel is ``diagonal / sqrt(width^2 + height^2)`` wide, and a degree covers ``2 distance tan(0.5 deg)``.

    Parameters
    ----------
    distance_cm
        Of the eye.
    diagonal_inches
        Of the screen.
    width, height
        Of the screen in pixels.

    Raises
    ------
    UsageError
        For a number that is not over 0.
    """
    if not all(
        math.isfinite(number) and number > 0 for number in (distance_cm, diagonal_inches, width, height)
    ):
        raise UsageError(
            f"{diagonal_inches:g} inches, {width:g} x {height:g} pixels, at {distance_cm:g} cm",
            "Give numbers over 0.",
        )
    pixel_cm = 2.54 * diagonal_inches / math.hypot(width, height)
    return 2 * distance_cm * math.tan(math.radians(0.5)) / pixel_cm


DISPLAYS = Registry(
    "display",
    (
        Display(
            "benjamin2022",
            100.0,
            source="Benjamin et al. 2022: gabors of 2 cycles/deg with a s.d. of 0.5 deg are 4.48 cycles and "
            "50 pixels in their images of 224",
        ),
        Display(
            "desktop",
            round(pixels_per_degree(57, 27, 2560, 1440), 2),
            gamma="srgb",
            source="27 inches, 2560 x 1440 pixels, at 57 cm",
        ),
        Display(
            "laptop",
            round(pixels_per_degree(50, 14, 1920, 1080), 2),
            gamma="srgb",
            source="14 inches, 1920 x 1080 pixels, at 50 cm",
        ),
        Display(
            "srgb",
            round(1 / math.degrees(math.atan(1 / 96 / 28)), 2),
            80.0,
            "srgb",
            source="IEC 61966-2-1: white of 80 cd/m2; pixels are those of CSS, 1/96 inch at 28 inches "
            "(W3C, CSS Values and Units)",
        ),
        Display(
            "standard-4k",
            round(pixels_per_degree(74.72, 30, 3840, 2160), 2),
            200.0,
            "srgb",
            source="standard_4k of ColorVideoVDP (Mantiuk et al. 2024, doi:10.1145/3658144), without its "
            "reflections: 30 inches, 3840 x 2160 pixels, at 74.72 cm",
        ),
    ),
    Display,
    hint="See `psychophys displays`.",
)


def find_display(given: str | Display | Mapping[str, Any] | None) -> Display | None:
    """The display that is meant; None for None.

    Parameters
    ----------
    given
        A name in the table, a display, or what one is: a mapping with any of ``preset``, ``name``,
        ``pixels_per_degree``, ``luminance_cd_m2`` and ``gamma``, where what is said beside ``preset`` takes
        the place of what that says.

    Raises
    ------
    UsageError
        For a name that is not known, or a display without pixels per degree.
    """
    if given is None or not isinstance(given, Mapping):
        return None if given is None else DISPLAYS.find(given)
    for name in given:
        if name not in ("preset", *SETTINGS):
            raise unknown("setting of a display", str(name), ("preset", *SETTINGS))
    said = {name: value for name, value in given.items() if value is not None and name != "preset"}
    if given.get("preset") is not None:
        preset = DISPLAYS.find(given["preset"])
        made = replace(preset, **said)
        return preset if made == preset else replace(made, name=said.get("name", ""), source="")
    if "pixels_per_degree" not in said:
        raise UsageError(
            "a display without pixels per degree",
            f"Give --pixels-per-degree, or --display, one of {', '.join(DISPLAYS)}.",
        )
    return Display(**{"name": "", **said})
