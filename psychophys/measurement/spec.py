"""What is measured: one frozen description, and its run id."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from psychophys.base.definition import definition
from psychophys.base.digest import digest
from psychophys.base.errors import UsageError
from psychophys.measurement.pooling import POOLINGS, Pooling
from psychophys.noise.information import Noise, Setting
from psychophys.noise.models import NOISE, get_noise
from psychophys.responses.estimators import ESTIMATORS, Estimator, get_estimator
from psychophys.stimuli import MOST_VALUES, Stimulus, get_stimulus, on_display, with_same_images

MOST_SAMPLES = 1024
"""Nuisance samples beyond which ``precision`` is given up."""


@dataclass(frozen=True)
class Measurement:
    """Everything that decides the numbers of one measurement, apart from the observer.

    Made by :func:`psychophys.plan`; attributes are already resolved. One that exists can be made, on images
    that are large enough: what cannot raises :class:`UsageError` when it is described.

    Attributes
    ----------
    values
        Where the dimension is measured, in its unit.
    parameters
        Values of every other parameter; all combinations are the samples, which are pooled over.
    step
        Half-width of a central difference, in the dimension's unit.
    noise_level, noise_options
        In the units of the noise model.
    dprime
        Criterion d' of the threshold.
    confidence
        Of intervals.
    precision
        Half-width of intervals, as a fraction of the threshold, until which samples are added; None
        to take those of ``parameters`` alone.
    pooling
        What J is of all samples: their mean, or their sum.
    """

    stimulus: Stimulus
    dimension: str
    values: tuple[float, ...]
    parameters: Mapping[str, tuple[float, ...]]
    layers: tuple[str, ...] = ("default",)
    estimator: Estimator = ESTIMATORS["jvp"]
    step: float = 1e-2
    noise: Noise = NOISE["relative"]
    noise_level: float = 1.0
    noise_options: Mapping[str, float] = field(default_factory=dict)
    dprime: float = 1.0
    confidence: float = 0.95
    precision: float | None = None
    preset: str = ""
    pooling: Pooling = POOLINGS["mean"]

    def __post_init__(self) -> None:
        if not self.layers or not all(self.layers):
            raise UsageError(f"no layers in {self.layers}", "Give default, all or glob patterns.")
        images = math.prod(map(len, self.parameters.values()), start=len(self.values))
        if images > MOST_VALUES:
            raise UsageError(f"{images:,} combinations of values", f"Ask for at most {MOST_VALUES:,}.")
        self._check_noise()
        self._check_pooling()
        if self.estimator.on_grid:
            grid_step(self.values, self.estimator.name)
        for values in self._combinations():
            self.stimulus.check(values)

    def _check_noise(self) -> None:
        noise, method, estimator = self.noise, self.noise.method, self.estimator
        noise.settings(self.noise_options)
        if method.estimators and estimator.name not in method.estimators:
            raise UsageError(
                f"{noise.name} noise cannot use estimator {estimator.name}",
                f"Use --estimator {' or '.join(method.estimators)}.",
            )
        if method.fewest_samples == 1:
            return
        if (count := len(self.nuisance_groups()[0])) < method.fewest_samples:
            raise UsageError(
                f"{noise.name} noise with {count} phases, images or noise samples",
                f"Give {method.fewest_samples} or more: --phases, --set sample=..., --images.",
            )

    def _check_pooling(self) -> None:
        if not self.pooling.together:
            return
        if not self.noise.method.is_independent:
            raise UsageError(
                f"{self.noise.name} noise has no J of single samples to add up", "Use --pooling mean."
            )
        if self.precision is not None:
            raise UsageError(
                f"precision {self.precision:g} of J over all samples together, which grows with them",
                "Use --pooling mean, or leave --until-precision out.",
            )

    def check_size(self, shorter_side: int) -> None:
        """Raise :class:`UsageError` where images of so many pixels a side cannot show it."""
        for values in self._combinations():
            self.stimulus.check_size(values, shorter_side)

    def _combinations(self) -> Iterator[dict[str, float]]:
        """The values of all parameters in every image."""
        defaults = {parameter.name: parameter.default for parameter in self.stimulus.parameters}
        for sample in self.samples:
            for value in self.values:
                yield {**defaults, **sample, self.dimension: value}

    @property
    def unit(self) -> str:
        """Unit of the measured dimension."""
        return self.stimulus.dimension(self.dimension).unit

    @property
    def samples(self) -> list[dict[str, float]]:
        """Every combination of the other parameters' values."""
        return self.stimulus.samples(self.parameters)

    @property
    def nuisance(self) -> tuple[bool, ...]:
        """Which parameters stand for all their values: those that are resampled for intervals."""
        return tuple(name in self.stimulus.nuisance for name in self.parameters)

    @property
    def drawn(self) -> bool:
        """Whether nuisance samples are drawn at random (images, noise), and not a regular grid (phases)."""
        parameters = zip(self.parameters.items(), self.nuisance, strict=True)
        return any(
            is_nuisance and len(values) > 1 and self.stimulus.parameter(name).period is None
            for (name, values), is_nuisance in parameters
        )

    @property
    def setting(self) -> Setting:
        """The noise, at its level and with its options."""
        return Setting(self.noise, self.noise_level, self.noise_options)

    def nuisance_groups(self) -> list[NDArray[np.intp]]:
        """Places in ``samples`` of those that differ in nuisance parameters alone, group by group."""
        fixed = [n for n, is_nuisance in zip(self.parameters, self.nuisance, strict=True) if not is_nuisance]
        groups: dict[tuple[float, ...], list[int]] = {}
        for place, sample in enumerate(self.samples):
            groups.setdefault(tuple(sample[name] for name in fixed), []).append(place)
        return [np.array(places, dtype=np.intp) for places in groups.values()]

    def enlarged(self) -> Measurement | None:
        """The same with twice as many values of a nuisance parameter, the present ones among them.

        None where none is on its usual grid, or no more can be drawn.
        """
        fewest: tuple[int, str, tuple[float, ...]] | None = None
        for name in self.stimulus.nuisance:
            values = self.parameters.get(name, ())
            parameter = self.stimulus.parameter(name)
            if not values or not np.allclose(values, parameter.grid(len(values))):
                continue
            count = 2 * len(values)
            if not parameter.measurable:
                count = min(count, int(parameter.high) + 1)
            samples = len(self.samples) // len(values) * count
            if count > len(values) and samples <= MOST_SAMPLES and (fewest is None or count < fewest[0]):
                fewest = count, name, parameter.grid(count)
        if fewest is None:
            return None
        return replace(self, parameters={**self.parameters, fewest[1]: fewest[2]})

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for provenance and the run id."""
        named = {part: getattr(self, part).name for part in ("stimulus", "estimator", "noise", "pooling")}
        plain: dict[str, Any] = {**self.__dict__, **named}
        if not self.pooling.together:
            del plain["pooling"]  # Files are older than it: the mean is what is meant without it.
        if self.stimulus.images:
            plain["images"] = self.stimulus.images
        if self.stimulus.display is not None:
            plain["display"] = self.stimulus.display.as_dict()
        if self.noise.name not in NOISE:
            # A name of somebody's own says nothing of what it is.
            plain["noise_definition"] = definition(self.noise)
        return {key: _plain(value) for key, value in plain.items()}


def restore(
    record: Mapping[str, Any],
    images: Sequence[str] = (),
    *,
    stimulus: Stimulus | None = None,
    noise: Noise | None = None,
) -> Measurement:
    """The measurement that :meth:`Measurement.as_dict` wrote into a results file.

    Parameters
    ----------
    stimulus, noise
        Those that were measured, where they are not in their tables.

    Raises
    ------
    UsageError
        If its stimulus, estimator or noise is not in its table, nor given, or its images are gone.
    """
    known = {f.name for f in fields(Measurement)}
    settings: dict[str, Any] = {
        key: tuple(v) if isinstance(v, list) else v for key, v in record.items() if key in known
    }
    known_noise = get_noise(_given(noise, "noise", record["noise"]))
    if definition(known_noise) != record.get("noise_definition", definition(known_noise)):
        raise UsageError(f"noise {known_noise.name} is not the one that was measured", "Give that one.")
    stimulus = get_stimulus(_given(stimulus, "stimulus", record["stimulus"]))
    if images:
        stimulus = with_same_images(stimulus, images)
    stimulus = on_display(stimulus, record.get("display"))
    if stimulus.images != record.get("images", ""):
        raise UsageError(f"the images of stimulus {stimulus.name} have changed", "Measure again.")
    settings |= {
        "stimulus": stimulus,
        "estimator": get_estimator(record["estimator"]),
        "noise": known_noise,
        "pooling": POOLINGS.find(record.get("pooling", "mean")),
    }
    settings["parameters"] = {name: tuple(values) for name, values in record["parameters"].items()}
    return Measurement(**settings)


Value = TypeVar("Value", Stimulus, Noise)


def _given(value: Value | None, kind: str, name: str) -> Value | str:
    """The value that is given, whose name must be the one recorded; or else that name."""
    if value is not None and value.name != name:
        raise UsageError(f"{kind} {value.name} where {name} was measured", f"Give the {kind} {name}.")
    return name if value is None else value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value


def run_id(measurement: Measurement, observer: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits that name a measurement of an observer before it is made.

    Settings that do not change the numbers (device, batch size) are not part of it.
    """
    return digest([measurement.as_dict(), dict(observer)])


def grid_step(values: Sequence[float], name: str = "chained") -> float:
    """Spacing of a uniform grid; :class:`UsageError` where the grid is not uniform."""
    steps = np.diff(values)
    if len(steps) == 0 or not np.allclose(steps, steps[0], rtol=1e-6) or steps[0] == 0:
        raise UsageError(
            f"estimator {name} needs two or more equally spaced values",
            "Give --values START:STOP:COUNT, or use --estimator jvp.",
        )
    return float(steps[0])
