"""Contrast as it is rendered: less than its nominal value where envelope and pixel grid take part of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from psychophys.base.types import Array
from psychophys.stimuli import Stimulus, get_stimulus

SIZE = (224, 224)
FREQUENCIES = (1.0, 2.24, 4.48, 8.96, 16.0, 32.0, 56.0, 96.0)
"""In cycles/image, of a table; 56 is a quarter of the pixels, where a period is four of them."""
LOW = 0.01
"""Nominal contrast that is low enough for what is rendered to go with it in proportion."""


@dataclass(frozen=True)
class RenderedContrast:
    """Contrast of images, one number each.

    Attributes
    ----------
    michelson
        (highest - lowest) / (highest + lowest) of all pixel values; on a display, of the light of all pixels.
    rms
        Standard deviation over the mean, of the same.
    """

    michelson: Array
    rms: Array


def rendered_contrast(
    stimulus: str | Stimulus, values: Mapping[str, float] | None = None, size: tuple[int, int] = SIZE
) -> RenderedContrast:
    """Contrast of a stimulus as it is rendered, image by image.

    Parameters
    ----------
    stimulus
        Name, or one of your own. Of colours the mean of the channels is taken. One that is shown on a display
        (:func:`psychophys.stimuli.on_display.on_display`) has values in its units.
    values
        Of its parameters. The nuisance parameters that are left out take all their default values, as in
        a measurement (eight phases), the others one.
    size
        Height and width in pixels.

    Raises
    ------
    UsageError
        For a stimulus or parameter that there is not, or what cannot be drawn.
    """
    found, given = get_stimulus(stimulus), dict(values or {})
    known = {parameter.name: parameter.default for parameter in found.parameters} | given
    found.check(known)
    found.check_size(known, min(size))
    shown: dict[str, Sequence[float]] = {name: (value,) for name, value in known.items()}
    for name in set(found.nuisance) - set(given):
        shown[name] = found.parameter(name).grid(found.nuisance[name])
    samples = found.samples(shown)
    columns = {name: torch.tensor([float(one[name]) for one in samples]).double() for name in known}
    images = found.render(columns, size)
    if found.display is not None:
        images = found.display.transfer.decode(images)
    images = images.mean(dim=1).flatten(1)
    if not found.unit_range:
        images = (images + 1) / 2
    high, low = images.amax(dim=1), images.amin(dim=1)
    rms = images.std(dim=1, correction=0) / images.mean(dim=1)
    return RenderedContrast(((high - low) / (high + low)).numpy(), rms.numpy())


@dataclass(frozen=True)
class Line:
    """Lowest and highest contrast over the nuisance samples, at one frequency.

    Attributes
    ----------
    michelson, rms
        At a nominal contrast of 1.
    share
        Michelson contrast over the nominal one where that is ``LOW``.
    """

    frequency: float
    """In the stimulus's unit."""
    michelson: tuple[float, float]
    rms: tuple[float, float]
    share: tuple[float, float]


def contrast_table(stimulus: Stimulus) -> list[Line]:
    """A line for each of ``FREQUENCIES``; none without frequency and one Michelson contrast."""
    units = {parameter.name: parameter.unit for parameter in stimulus.parameters}
    contrasts = [name for name, unit in units.items() if unit == "Michelson"]
    # Of an image with two contrasts, as a masker's, the pixels say neither.
    if contrasts != ["contrast"] or "frequency" not in units:
        return []
    lines = []
    conversion = stimulus.parameter("frequency").conversion
    for frequency in FREQUENCIES if conversion is None else map(conversion.shown, FREQUENCIES):
        full, low = (
            rendered_contrast(stimulus, {"frequency": frequency, "contrast": contrast})
            for contrast in (1.0, LOW)
        )
        lines.append(Line(frequency, _ends(full.michelson), _ends(full.rms), _ends(low.michelson / LOW)))
    return lines


def _ends(numbers: Array) -> tuple[float, float]:
    return float(np.min(numbers)), float(np.max(numbers))
