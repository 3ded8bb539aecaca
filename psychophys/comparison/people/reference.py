"""What a human reference is: a curve with its source, and the measurements to set beside it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from psychophys.base.types import Array
from psychophys.comparison.viewing import PIXELS_PER_DEGREE, factor_of
from psychophys.stimuli import Display, get_stimulus

Rate = Callable[[Array, Mapping[str, float]], Array]


@dataclass(frozen=True)
class Recipe:
    """The smallest set of measurements with which a network can be set beside a reference.

    Values are in people's units: cycles/deg and deg of visual angle where the stimulus has fractions of the
    image.

    Attributes
    ----------
    stimulus, dimension, values, noise
        As :func:`psychophys.plan` takes them.
    parameters
        Of every measurement.
    axis, axis_values
        One measurement for each value of another parameter; none where the curve is over the dimension.
    pixels_per_degree
        Of visual angle, at which the images are seen.
    """

    stimulus: str
    dimension: str
    values: tuple[float, ...]
    parameters: Mapping[str, float] = field(default_factory=dict)
    axis: str = ""
    axis_values: tuple[float, ...] = ()
    noise: str = "gaussian"
    pixels_per_degree: float = PIXELS_PER_DEGREE

    def measurements(
        self, shorter_side: int = 224, display: str | Display | Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Keywords of :func:`psychophys.plan`.

        Parameters
        ----------
        shorter_side
            Pixels along the shorter side of the network's images.
        display
            What they are shown on, as :func:`psychophys.plan` takes it: values are then in its units.
            Default: none, and images seen at the recipe's pixels per degree.
        """
        degrees = shorter_side / self.pixels_per_degree if display is None else 1.0
        shown: dict[str, Any] = {} if display is None else {"display": display}
        stimulus = get_stimulus(self.stimulus)

        def drawn(name: str, values: Sequence[float]) -> list[float]:
            return [float(value / factor_of(stimulus.parameter(name), degrees)) for value in values]

        fixed = {name: drawn(name, [value])[0] for name, value in self.parameters.items()}
        across = [{self.axis: value} for value in drawn(self.axis, self.axis_values)] if self.axis else [{}]
        return [
            {
                "stimulus": self.stimulus,
                "dimension": self.dimension,
                "values": drawn(self.dimension, self.values),
                "parameters": fixed | one,
                "noise": self.noise,
                **shown,
            }
            for one in across
        ]


@dataclass(frozen=True)
class Reference:
    """Human sensitivity to one dimension of a stimulus.

    Attributes
    ----------
    dimension, stimuli
        What it is for.
    formula, citation, doi
        The formula in words, and where it is from; ``doi`` is empty where it could not be looked up.
    kind
        ``absolute``: thresholds are in ``unit``. ``shape``: how they vary alone is meant.
    unit
        Of a threshold.
    axis, axis_unit
        What the curve runs over, and the unit of the values it takes: for contrast not the dimension
        itself, but spatial frequency.
    valid
        Lowest and highest value, in ``axis_unit``: one round where there is a ``period``; 0 to infinity where
        the source that could be read gives no range.
    reads
        Other parameters that the formula takes: of the stimulus, or of how it is seen
        (:class:`psychophys.comparison.viewing.Viewing`).
    rate
        ``(values, parameters) -> sensitivity``, 1 / threshold; of a shape up to a factor.
    caveat
        What must be known of a comparison with it: said below every one.
    observers
        How many people it rests on, or of how many studies.
    spread, spread_is
        By which factor thresholds lie around the curve, at each value, and what that spread is.
    only
        Values that parameters of a run must have, one of those given.
    valid_is
        The valid range in words, where two numbers do not say it.
    recipe
        What to measure beside it.
    """

    name: str
    summary: str
    dimension: str
    stimuli: tuple[str, ...]
    formula: str
    citation: str
    doi: str
    kind: Literal["absolute", "shape"]
    unit: str
    axis: str
    axis_unit: str
    valid: tuple[float, float]
    period: float | None
    reads: tuple[str, ...]
    rate: Rate
    caveat: str = ""
    observers: int | str = "not stated"
    spread: Callable[[Array], Array] | None = None
    spread_is: str = ""
    only: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    valid_is: str = ""
    recipe: Recipe | None = None

    @property
    def across(self) -> bool:
        """Whether its curve is over another parameter than the dimension: of several runs."""
        return self.axis != self.dimension

    @property
    def covers(self) -> str:
        """The valid range in words."""
        return self.valid_is or f"{self.valid[0]:g} to {self.valid[1]:g} {self.axis_unit}"

    @property
    def source(self) -> str:
        """Citation, and DOI where it is known."""
        return f"{self.citation}, doi:{self.doi}" if self.doi else self.citation

    def fits(self, dimension: str, stimulus: str, parameters: Mapping[str, Sequence[float]]) -> bool:
        """Whether it is for a dimension of a stimulus at these values of its parameters."""
        here = all(
            set(parameters[name]) <= set(held) for name, held in self.only.items() if name in parameters
        )
        return here and self.dimension == dimension and stimulus in self.stimuli

    def sensitivity(self, values: Array, parameters: Mapping[str, Sequence[float]]) -> Array:
        """1 / threshold, averaged over the combinations of parameters; NaN beyond the valid range.

        Parameters
        ----------
        values
            In ``axis_unit``.
        parameters
            Values of the stimulus's parameters and of how it is seen; those in ``reads`` are needed.
        """
        values, inside = self._inside(values)
        read = {name: parameters[name] for name in self.reads if name in parameters}
        every = [
            self.rate(values[inside], dict(zip(read, chosen, strict=True)))
            for chosen in itertools.product(*read.values())
        ]
        found = np.full(values.shape, np.nan)
        found[inside] = np.mean(every, axis=0)
        return found

    def factor(self, values: Array) -> Array:
        """By which factor thresholds lie around the curve, either way; NaN where that is not known."""
        values, inside = self._inside(values)
        found = np.full(values.shape, np.nan)
        if self.spread is not None:
            found[inside] = self.spread(values[inside])
        return found

    def _inside(self, values: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
        values = np.asarray(values, dtype=float)
        if self.period is not None:
            values = values % self.period
        low, high = self.valid
        return values, (values >= low * (1 - 1e-9)) & (values <= high * (1 + 1e-9))


def interpolated(points: Mapping[float, float]) -> Callable[[Array], Array]:
    """A curve through published points, straight between them on logarithmic axes."""
    at, heights = np.log(list(points)), np.log(list(points.values()))

    def curve(values: Array) -> Array:
        return np.asarray(np.exp(np.interp(np.log(values), at, heights)), dtype=float)

    return curve
