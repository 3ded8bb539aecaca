"""A test and what is shown on it or around it: a gabor on a masker, a grating within an annulus.

The contrast that is measured is the test's; every other number of the masker or the surround is relative to
the test (an angle added, a factor), so that it follows where the test is turned or scaled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from psychophys.stimuli.base import Parameter, Stimulus
from psychophys.stimuli.gratings import (
    CONTRAST,
    DIAMETER,
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

TEST_CONTRAST = replace(
    CONTRAST,
    default=0.5,
    sweep=(0.005, 0.5),
    meaning="nominal: of the test alone, before window and pixel grid",
)
MASKER_CONTRAST = Parameter(
    "masker_contrast", "Michelson", 0.1, 0.0, 1.0, (0.01, 0.5), 1e-4, "of the masker alone", log=True
)
MASKER_ORIENTATION = Parameter(
    "masker_orientation", "deg", 0.0, -360, 360, (0, 180), 1e-2, "added to the test's", period=180, count=18
)
MASKER_FREQUENCY = Parameter(
    "masker_frequency", "factor", 1.0, 1 / 64, 64, (0.25, 4), 1e-4, "times the test's", log=True
)
MASKER_PHASE = Parameter(
    "masker_phase", "deg", 0.0, -720, 720, (0, 360), 1e-2, "added to the test's", period=360
)
MASKER_SIZE = Parameter(
    "masker_size", "factor", 1.0, 0.05, 100, (0.5, 4), 1e-4, "of the envelope: times the test's", log=True
)
CENTRE_CONTRAST = replace(CONTRAST, meaning="nominal: of the centre, before window and pixel grid")
CENTRE_DIAMETER = replace(DIAMETER, default=0.4, sweep=(0.1, 0.5), meaning="diameter of the centre")
CENTRE_FREQUENCY = replace(FREQUENCY, default=8.96)
SURROUND_CONTRAST = Parameter(
    "surround_contrast", "Michelson", 0.5, 0.0, 1.0, (0.02, 1), 1e-4, "of the surround", log=True
)
SURROUND_ORIENTATION = replace(
    MASKER_ORIENTATION, name="surround_orientation", meaning="added to the centre's"
)
SURROUND_PHASE = replace(MASKER_PHASE, name="surround_phase", meaning="added to the centre's")
SURROUND_DIAMETER = Parameter(
    "surround_size", "image", 0.9, 1e-3, 10, (0.5, 0.9), 1e-4, "outer diameter of the surround", log=True
)
GAP = Parameter("gap", "image", 0.0, 0.0, 1.0, (0.0, 0.2), 1e-4, "from the centre's edge to the surround's")


def _beside(p: Values, name: str, frequency: Tensor, dx: Tensor, dy: Tensor) -> Tensor:
    """The carrier of a masker or surround, whose angles are relative to the test's."""
    other = {"frequency": frequency, "phase": p["phase"] + p[f"{name}_phase"]}
    return carrier(other, dx, dy, p["orientation"] + p[f"{name}_orientation"])


def _draw_masked(p: Values, x: Tensor, y: Tensor) -> Tensor:
    dx, dy = x - p["x"], y - p["y"]
    # As a gabor is drawn: without a masker it is that gabor, bit for bit.
    border = disc(x, y, 1.0)
    window = gaussian(dx, dy, p["size"]) * border
    test = (p["luminance"] * p["contrast"] * window) * carrier(p, dx, dy, p["orientation"])
    window = gaussian(dx, dy, p["size"] * p["masker_size"]) * border
    pattern = _beside(p, "masker", p["frequency"] * p["masker_frequency"], dx, dy)
    return p["luminance"] + test + (p["luminance"] * p["masker_contrast"] * window) * pattern


def _draw_surround(p: Values, x: Tensor, y: Tensor) -> Tensor:
    dx, dy = x - p["x"], y - p["y"]
    centre = disc(dx, dy, p["size"])
    # Without a gap the two windows add up to the disc of the surround: no seam is seen between like gratings.
    annulus = disc(dx, dy, p["surround_size"]) * (1 - disc(dx, dy, p["size"] + 2 * p["gap"]))
    inner = (p["luminance"] * p["contrast"] * centre) * carrier(p, dx, dy, p["orientation"])
    pattern = _beside(p, "surround", p["frequency"], dx, dy)
    return p["luminance"] + inner + (p["luminance"] * p["surround_contrast"] * annulus) * pattern


def _masker_within_range(p: Mapping[str, float]) -> str | None:
    both = p["contrast"] + p["masker_contrast"]
    peak = p["luminance"] * (1 + both)
    named = f"contrast {p['contrast']:g} with masker_contrast {p['masker_contrast']:g}"
    if both > 1 + 1e-9:
        return f"{named} needs pixel values under 0. Lower either until their sum is at most 1"
    if peak > 1 + 1e-9:
        return (
            f"luminance {p['luminance']:g} and {named} needs pixel values up to {peak:.3g}, over 1. "
            "Lower one until luminance * (1 + contrast + masker_contrast) is at most 1"
        )
    return None


def _surround_within_range(p: Mapping[str, float]) -> str | None:
    hole = p["size"] + 2 * p["gap"]
    if p["surround_size"] <= hole:
        return (
            f"surround_size {p['surround_size']:g} leaves no surround round a centre of {p['size']:g} with a "
            f"gap of {p['gap']:g}. Give more than size + 2 * gap, {hole:g}"
        )
    higher = max("contrast", "surround_contrast", key=p.__getitem__)
    peak = p["luminance"] * (1 + p[higher])
    if peak > 1 + 1e-9:
        return (
            f"luminance {p['luminance']:g} with {higher} {p[higher]:g} needs pixel values up to {peak:.3g}, "
            f"over 1. Lower either until luminance * (1 + {higher}) is at most 1"
        )
    return None


def _masker_finer(values: Mapping[str, float]) -> float:
    return max(1.0, values.get("masker_frequency", 1.0))


MASKING = (
    Stimulus(
        "masked",
        "gabor, the test, on a masker, which is a second gabor at the same place",
        (
            TEST_CONTRAST, MASKER_CONTRAST, MASKER_ORIENTATION, MASKER_FREQUENCY, MASKER_PHASE, MASKER_SIZE,
            ORIENTATION, FREQUENCY, PHASE, SD, LUMINANCE, X, Y,
        ),
        _draw_masked,
        {"phase": 8},
        _masker_within_range,
        finer=_masker_finer,
        light=True,
    ),
    Stimulus(
        "surround",
        "grating in a soft-edged disc, within an annulus of a second one",
        (
            CENTRE_CONTRAST, SURROUND_CONTRAST, SURROUND_ORIENTATION, SURROUND_PHASE, GAP, SURROUND_DIAMETER,
            ORIENTATION, CENTRE_FREQUENCY, PHASE, CENTRE_DIAMETER, LUMINANCE, X, Y,
        ),
        _draw_surround,
        {"phase": 8},
        _surround_within_range,
        light=True,
    ),
)  # fmt: skip
