"""What the networks were shown, as one picture with a sentence on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from psychophys.base.errors import PsychophysError
from psychophys.measurement.spec import Measurement, restore
from psychophys.plots.sheet import as_seen
from psychophys.report.commands import plain
from psychophys.report.drawings import inline_png
from psychophys.report.words import in_unit
from psychophys.stimuli import Parameter

MOST_PIXELS = 256
"""Along the longer side: of larger images every few pixels would be shown, so they are made smaller."""


@dataclass(frozen=True)
class Shown:
    """One image of a measurement, as an address that holds it."""

    image: str
    alt: str
    caption: str


def shown(record: Mapping[str, Any]) -> Shown | None:
    """The middle value at the first level of all else; None for what cannot be drawn again."""
    try:
        made = restore(record["measurement"], record.get("images", ()))
        value = sorted(made.values)[len(made.values) // 2]
        fixed = {name: values[0] for name, values in made.parameters.items()}
        height, width = record["input_size"]
        images = made.stimulus.render({**fixed, made.dimension: value}, (height, width))
    except (PsychophysError, OSError):
        return None
    (seen,) = as_seen(made.stimulus, images)
    picture = Image.fromarray((seen * 255).round().astype(np.uint8))
    if picture.convert("L").convert("RGB").tobytes() == picture.tobytes():
        picture = picture.convert("L")
    picture.thumbnail((MOST_PIXELS, MOST_PIXELS), Image.Resampling.LANCZOS)
    at = f"{made.dimension} {plain(value)} {made.stimulus.dimension(made.dimension).unit}"
    alt = f"The stimulus {made.stimulus.name} at {at}"
    caption = f"{alt}, on {width} by {height} pixels: {made.stimulus.summary}. {_parameters(made)}."
    return Shown(inline_png(picture), alt, caption)


def _parameters(made: Measurement) -> str:
    """The dimension and every parameter that stays as it is, in words."""
    first = made.stimulus.dimension(made.dimension)
    said = [f"{first.name.capitalize()}: {first.meaning}"]
    # What is 0, as a place is, changes nothing.
    fixed = {name: values[0] for name, values in made.parameters.items() if len(values) == 1 and values[0]}
    said += [_parameter(made.stimulus.parameter(name), value) for name, value in fixed.items()]
    varied = [name for name, values in made.parameters.items() if len(values) > 1]
    said += [f"averaged over: {', '.join(varied)}"] if varied else []
    return "; ".join(said)


def _parameter(parameter: Parameter, value: float) -> str:
    return f"{parameter.name} {in_unit(f'{value:.3g}', parameter.unit)}, {parameter.meaning}"
