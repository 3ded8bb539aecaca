"""What is measured: one frozen description, and its run id."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psychophys.base.errors import UsageError
from psychophys.noise.information import Noise, Setting
from psychophys.noise.models import NOISE, get_noise
from psychophys.responses.estimators import ESTIMATORS, Estimator, get_estimator
from psychophys.stimuli import Stimulus, get_stimulus, with_images

MOST_SAMPLES = 1024
"""Nuisance samples beyond which ``precision`` is given up."""


@dataclass(frozen=True)
class Measurement:
    """Everything that decides the numbers of one measurement, apart from the observer.

    Made by :func:`psychophys.plan`, which checks it; attributes are already resolved.

    Attributes
    ----------
    values
        Where the dimension is measured, in its unit.
    parameters
        Values of every other parameter; all combinations are averaged over.
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
        named = {part: getattr(self, part).name for part in ("stimulus", "estimator", "noise")}
        plain: dict[str, Any] = {**self.__dict__, **named}
        if self.stimulus.images:
            plain["images"] = self.stimulus.images
        return {key: _plain(value) for key, value in plain.items()}


def restore(record: Mapping[str, Any], images: Sequence[str] = ()) -> Measurement:
    """The measurement that :meth:`Measurement.as_dict` wrote into a results file.

    Raises
    ------
    UsageError
        If its stimulus, estimator or noise is not in its table any more, or its images are gone.
    """
    known = {f.name for f in fields(Measurement)}
    settings: dict[str, Any] = {
        key: tuple(v) if isinstance(v, list) else v for key, v in record.items() if key in known
    }
    stimulus = get_stimulus(record["stimulus"])
    if images:
        stimulus = with_images(stimulus, images)
    if stimulus.images != record.get("images", ""):
        raise UsageError(f"the images of stimulus {stimulus.name} have changed", "Measure again.")
    settings |= {
        "stimulus": stimulus,
        "estimator": get_estimator(record["estimator"]),
        "noise": get_noise(record["noise"]),
    }
    settings["parameters"] = {name: tuple(values) for name, values in record["parameters"].items()}
    return Measurement(**settings)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value


def run_id(measurement: Measurement, observer: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits that name a measurement of an observer before it is made.

    Settings that do not change the numbers (device, batch size) are not part of it.
    """
    text = json.dumps([measurement.as_dict(), dict(observer)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def grid_step(values: Sequence[float], name: str = "chained") -> float:
    """Spacing of a uniform grid; :class:`UsageError` where the grid is not uniform."""
    steps = np.diff(values)
    if len(steps) == 0 or not np.allclose(steps, steps[0], rtol=1e-6) or steps[0] == 0:
        raise UsageError(
            f"estimator {name} needs two or more equally spaced values",
            "Give --values START:STOP:COUNT, or use --estimator jvp.",
        )
    return float(steps[0])
