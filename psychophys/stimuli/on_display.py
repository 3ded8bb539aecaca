"""Stimuli in the units of a display: degrees of visual angle, cycles/deg and cd/m2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from psychophys.base.errors import UsageError
from psychophys.stimuli.base import Conversion, Parameter, Stimulus
from psychophys.stimuli.display import Display, find_display


def on_display(stimulus: Stimulus, display: str | Display | Mapping[str, Any] | None) -> Stimulus:
    """The same stimulus with parameters in the units of a display.

    Fractions of the image become degrees, cycles/image cycles/deg, and, where the luminance of white is said,
    the luminance of patterns of light cd/m2. Defaults, ranges and steps are those of an image of
    ``REFERENCE_SIDE`` pixels a side; what is drawn goes by the image's own pixels, so that 2 cycles/deg are
    that in images of any size.

    Parameters
    ----------
    display
        As :func:`psychophys.stimuli.display.find_display` takes it; None for none.

    Raises
    ------
    UsageError
        For a display that is not known, or a curved gamma with images that leave [0, 1].
    """
    found = find_display(display)
    bare = tuple(p if p.conversion is None else p.conversion.of for p in stimulus.parameters)
    if found is None:
        return replace(stimulus, parameters=bare, display=None)
    if found.transfer.curved and not stimulus.unit_range:
        raise UsageError(
            f"stimulus {stimulus.name} has values below 0, which are no light to be encoded as {found.gamma}",
            "Use --gamma linear, or another stimulus.",
        )
    shown = tuple(_shown(parameter, stimulus, found) for parameter in bare)
    return replace(stimulus, parameters=shown, display=found)


def _shown(parameter: Parameter, stimulus: Stimulus, display: Display) -> Parameter:
    """A parameter in the display's unit, or as it is."""
    degrees = {"image": ("deg", -1), "cycles/image": ("cycles/deg", 1)}
    if parameter.unit in degrees:
        unit, power = degrees[parameter.unit]
        conversion = Conversion(parameter, display.pixels_per_degree, power)
    elif parameter.unit == "0-1" and stimulus.paints_light and display.luminance_cd_m2 is not None:
        unit, conversion = "cd/m2", Conversion(parameter, display.luminance_cd_m2, 0)
    else:
        return parameter

    there = conversion.shown
    first, last = parameter.sweep
    return replace(
        parameter,
        unit=unit,
        default=there(parameter.default),
        low=there(parameter.low),
        high=there(parameter.high),
        sweep=(there(first), there(last)),
        step=there(parameter.step),
        conversion=conversion,
        meaning=parameter.meaning if conversion.power else "of the mean",
    )
