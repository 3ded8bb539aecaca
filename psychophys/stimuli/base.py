"""What a stimulus is: named parameters with units and ranges, and a function that draws it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from psychophys.base.errors import UsageError, unknown
from psychophys.stimuli.display import Display

MOST_VALUES = 10_000_000
"""More cannot be meant: of one parameter, or of images to draw."""
REFERENCE_SIDE = 224
"""Pixels along the image's shorter side for which defaults are turned into the units of a display."""
DIGITS = 12
"""Of what is turned so: 4.48 cycles/image at 100 pixels/deg are 2 cycles/deg, and not a rounding more."""
_SIDES = (16, 8192)
"""Smallest and largest image that is thought of before its size is known."""
Number = TypeVar("Number", float, Tensor)
Draw = Callable[[Mapping[str, Tensor], Tensor, Tensor], Tensor]
Constraint = Callable[[Mapping[str, float]], str | None]


@dataclass(frozen=True)
class Conversion:
    """From the unit of a display to that which images are drawn in.

    Attributes
    ----------
    of
        The parameter in the unit that images are drawn in.
    whole
        What 1 is there: pixels in a degree, or cd/m2 of white.
    power
        Of the image's shorter side in degrees, by which values are multiplied: 1 for cycles/deg, -1 for
        deg, 0 for luminance.
    """

    of: Parameter
    whole: float
    power: int

    def factor(self, side: int) -> float:
        """By which values are multiplied in an image of so many pixels along its shorter side."""
        return float((side / self.whole) ** self.power) if self.power else 1 / self.whole

    def shown(self, value: float) -> float:
        """What a value is in the display's unit, in an image of ``REFERENCE_SIDE`` pixels a side."""
        return float(f"{value / self.factor(REFERENCE_SIDE):.{DIGITS}g}")

    def limits(self, sides: Sequence[int]) -> tuple[float, float]:
        """Lowest and highest value that one of images of these sizes can show."""
        ends = [end / self.factor(side) for side in sides for end in (self.of.low, self.of.high)]
        return min(ends), max(ends)


@dataclass(frozen=True)
class Parameter:
    """One number that a stimulus is drawn from.

    Attributes
    ----------
    unit
        Unit of every value. Lengths are fractions of the image's shorter side (``image``); in patterns of
        light ``0-1`` is a fraction of white.
    default
        Value when nothing is said.
    low, high
        Values that can be drawn (both included).
    sweep
        First and last value measured by default when this is the dimension.
    period
        Period in ``unit``; the grid then leaves out the end point.
    log
        Whether the default grid is geometric.
    step
        Half-width of a central difference, in ``unit``.
    measurable
        False for a parameter without a derivative, such as a noise sample's number.
    is_sd
        Whether a length is the s.d. of a Gaussian, and not a diameter.
    conversion
        To the unit that images are drawn in, for a parameter in the unit of a display.
    """

    name: str
    unit: str
    default: float
    low: float
    high: float
    sweep: tuple[float, float]
    step: float
    meaning: str
    period: float | None = None
    log: bool = False
    count: int = 12
    measurable: bool = True
    is_sd: bool = False
    conversion: Conversion | None = None

    def grid(self, count: int) -> tuple[float, ...]:
        """Spread ``count`` values over the default range."""
        if not 1 <= count <= MOST_VALUES:
            raise UsageError(
                f"{count} values of {self.name}",
                f"Ask for 1 to {MOST_VALUES:,}; a value is written {count}.0.",
            )
        first, last = self.sweep
        if self.period is not None:
            points = first + (last - first) * np.arange(count) / count
        elif not self.measurable:
            points = np.arange(count, dtype=float)
        elif self.log:
            points = np.geomspace(first, last, count)
        else:
            points = np.linspace(first, last, count)
        return tuple(float(point) for point in points)

    def check(self, value: float, side: int | None = None) -> None:
        """Raise :class:`UsageError` unless ``value`` can be drawn.

        Parameters
        ----------
        side
            Pixels along the image's shorter side, on which it hangs on a display; None for any image.
        """
        low, high, where = self.low, self.high, ""
        if self.conversion is not None:
            low, high = self.conversion.limits(_SIDES if side is None else (side,))
            where = "" if side is None else f" in a {side}-pixel image"
        slack = 0.0 if self.conversion is None else 1e-9 * max(abs(low), abs(high))
        if not math.isfinite(value) or not low - slack <= value <= high + slack:
            raise UsageError(
                f"{self.name} {value:g} {self.unit} cannot be drawn{where}",
                f"Give a value from {low:.6g} to {high:.6g}.",
            )

    def drawn(self, value: Number, side: int) -> Number:
        """A value in the unit that images of so many pixels along their shorter side are drawn in."""
        return value if self.conversion is None else value * self.conversion.factor(side)


def _as_fine(_values: Mapping[str, float]) -> float:
    return 1.0


@dataclass(frozen=True)
class Stimulus:
    """A parametric image, differentiable in every measurable parameter.

    Attributes
    ----------
    draw
        ``(parameters, x, y) -> image``. Parameters have shape (N, 1, 1); ``x`` (rightwards) and
        ``y`` (upwards) are pixel centres in fractions of the image's shorter side, shape (H, W),
        zero in the middle. Returns (N, H, W) for grey or (N, 3, H, W), values in [0, 1].
    nuisance
        How many values of which parameter are averaged over when nothing is said.
    constraint
        Says what is wrong with a combination of values, or None.
    unit_range
        False only for a published convention whose images leave [0, 1].
    sources
        Photographs that are drawn from.
    images
        What names them in results: a SHA-256 of their contents, or ``packaged``.
    unusable
        Which photographs were left out because they cannot be used, in a sentence; empty if none was.
    finer
        The highest frequency that is drawn with these values, over ``frequency``.
    light
        Whether ``draw`` paints light, as fractions of white, and not pixel values: true of patterns whose
        contrast is that of luminance. A display's gamma encodes them.
    encoded
        Whether ``draw`` paints light and encodes it as sRGB itself, whatever a display's gamma is.
    display
        What it is shown on, where parameters are in units of that: see
        :func:`psychophys.stimuli.on_display.on_display`.
    """

    name: str
    summary: str
    parameters: tuple[Parameter, ...]
    draw: Draw
    nuisance: Mapping[str, int] = field(default_factory=dict)
    constraint: Constraint | None = None
    unit_range: bool = True
    sources: tuple[Any, ...] = ()
    images: str = ""
    unusable: str = ""
    finer: Callable[[Mapping[str, float]], float] = _as_fine
    light: bool = False
    encoded: bool = False
    display: Display | None = None

    def __post_init__(self) -> None:
        names = [parameter.name for parameter in self.parameters]
        if len(set(names)) < len(names) or not set(self.nuisance) <= set(names):
            raise ValueError(
                f"stimulus {self.name!r} with parameters {names} and nuisances {list(self.nuisance)}: "
                "each parameter has a name of its own, and nuisances are among them"
            )

    @property
    def paints_light(self) -> bool:
        """Whether its luminance is that of light, encoded by the display or by itself."""
        return self.light or self.encoded

    def parameter(self, name: str) -> Parameter:
        """Return the parameter called ``name``."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise unknown(f"parameter of {self.name}", name, [p.name for p in self.parameters])

    def dimension(self, name: str) -> Parameter:
        """Return the parameter called ``name`` if it can be measured."""
        dimensions = [p for p in self.parameters if p.measurable]
        for parameter in dimensions:
            if parameter.name == name:
                return parameter
        raise unknown(f"dimension of {self.name}", name, [p.name for p in dimensions])

    def samples(self, fixed: Mapping[str, Sequence[float]]) -> list[dict[str, float]]:
        """Every combination of the fixed and nuisance values."""
        combinations = itertools.product(*fixed.values())
        return [dict(zip(fixed, values, strict=True)) for values in combinations]

    def check(self, values: Mapping[str, float]) -> None:
        """Raise :class:`UsageError` if this combination of values, by name, cannot be drawn."""
        for name, value in values.items():
            self.parameter(name).check(value)
        complaints = [self._complaint(values, side) for side in self._sides]
        if complaints[0] is not None and all(complaints):
            raise complaints[0]

    @property
    def _sides(self) -> tuple[int, ...]:
        # On a display some values may be right in small images, or in large ones alone.
        return _SIDES if self.display is not None else _SIDES[:1]

    def _complaint(self, values: Mapping[str, float], side: int) -> UsageError | None:
        """What is wrong with a combination of values in an image of so many pixels a side."""
        if self.constraint is None:
            return None
        shown = [p for p in self.parameters if p.conversion is not None and p.name in values]
        drawn = {**values, **{p.name: p.drawn(values[p.name], side) for p in shown}}
        complaint = self.constraint(drawn)
        if not complaint:
            return None
        # The constraint knows nothing of displays, and names what it was given.
        said = (
            f"{p.name} {values[p.name]:g} {p.unit} is {drawn[p.name]:.4g} here"
            for p in shown
            if p.name in complaint.split()
        )
        return UsageError(complaint, "; ".join(said))

    def check_size(self, values: Mapping[str, float], shorter_side: int) -> None:
        """Raise :class:`UsageError` if an image with so many pixels along its shorter side cannot show it."""
        self._check_frequency(values, shorter_side)
        if self.display is None:
            return
        for name, value in values.items():
            self.parameter(name).check(value, shorter_side)
        if (complaint := self._complaint(values, shorter_side)) is not None:
            raise complaint

    def _check_frequency(self, values: Mapping[str, float], shorter_side: int) -> None:
        if "frequency" not in values:
            return
        frequency, finer = self.parameter("frequency"), self.finer(values)
        highest = shorter_side / 2 / finer / frequency.drawn(1.0, shorter_side)
        if values["frequency"] > highest * (1 + 1e-12):
            times = "" if finer == 1 else f" ({finer:g} times that is drawn)"
            raise UsageError(
                f"frequency {values['frequency']:g} {frequency.unit}{times} is over the Nyquist limit of a "
                f"{shorter_side}-pixel image",
                f"Give at most {highest:g}.",
            )

    def render(self, values: Mapping[str, Tensor | float], size: tuple[int, int]) -> Tensor:
        """Draw a batch of images.

        Parameters
        ----------
        values
            Tensors of shape (N,) or numbers; parameters left out take their defaults.
        size
            Height and width in pixels.

        Returns
        -------
        Tensor
            Images, shape (N, 3, H, W), on the device and of the dtype of the tensors given.
        """
        tensors = [value for value in values.values() if isinstance(value, Tensor)]
        like = tensors[0] if tensors else torch.zeros(1)
        side = min(size)
        full = {p.name: p.drawn(_column(values.get(p.name, p.default), like), side) for p in self.parameters}
        x, y = coordinates(size, like)
        image = self.draw(full, x, y)
        if self.light and self.display is not None:
            image = self.display.transfer.encode(image)
        if image.ndim == 3:
            image = image.unsqueeze(1)
        count = max((t.shape[0] for t in tensors), default=1)
        return image.expand(count, 3, *size)


def _column(value: Tensor | float, like: Tensor) -> Tensor:
    if not isinstance(value, Tensor):
        # Filled where it is needed: a number that is sent to a GPU makes the host wait.
        return torch.full((1, 1, 1), value, dtype=like.dtype, device=like.device)
    return value.reshape(-1, 1, 1)


def coordinates(size: tuple[int, int], like: Tensor) -> tuple[Tensor, Tensor]:
    """Pixel centres in fractions of the shorter side: ``x`` rightwards, ``y`` upwards."""
    height, width = size
    shorter = min(size)

    def centres(count: int) -> Tensor:
        index = torch.arange(count, dtype=like.dtype, device=like.device)
        return (index - (count - 1) / 2) / shorter

    y, x = torch.meshgrid(-centres(height), centres(width), indexing="ij")
    return x, y
