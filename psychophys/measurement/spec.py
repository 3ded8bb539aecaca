"""What is measured: one frozen, validated description, and its run id."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from psychophys.base.errors import UsageError, unknown
from psychophys.noise.models import get_noise
from psychophys.responses.single import get_estimator
from psychophys.stimuli import MOST_VALUES, Stimulus, get_stimulus, with_images

Values = int | float | Sequence[float] | None
MOST_SAMPLES = 1024
"""Nuisance samples beyond which ``precision`` is given up."""
FEWEST_SAMPLES = 6
"""For a covariance, and one of half of them."""


@dataclass(frozen=True)
class Measurement:
    """Everything that decides the numbers of one measurement, apart from the observer.

    Made by :func:`plan`; attributes are already resolved.

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
    estimator: str = "jvp"
    step: float = 1e-2
    noise: str = "relative"
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
        plain: dict[str, Any] = {**self.__dict__, "stimulus": self.stimulus.name}
        if self.stimulus.images:
            plain["images"] = self.stimulus.images
        return {key: _plain(value) for key, value in plain.items()}


def restore(record: Mapping[str, Any], images: Sequence[str] = ()) -> Measurement:
    """The measurement that :meth:`Measurement.as_dict` wrote into a results file.

    Raises
    ------
    UsageError
        If its stimulus is not in the table of stimuli any more, or its images are gone.
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
    settings["stimulus"] = stimulus
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


@dataclass(frozen=True)
class Preset:
    """A published experiment's settings, by dimension."""

    name: str
    summary: str
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def _linspace(start: float, stop: float, count: int) -> tuple[float, ...]:
    return tuple(float(v) for v in np.linspace(start, stop, count))


_BENJAMIN2022 = Preset(
    "benjamin2022",
    "Benjamin et al. 2022: central differences, end points counted twice, unit Gaussian noise",
    {
        "orientation": {
            "stimulus": "gabor-benjamin2022",
            "values": _linspace(0, 180, 180),
            "parameters": {
                "phase": _linspace(0, 180, 10),
                "frequency": 4.48,
                "size": 50 / 224,
                "contrast": 1.0,
            },
            "estimator": "central",
            "step": math.degrees(0.01),
            "noise": "gaussian",
        },
        "hue": {
            "stimulus": "patch",
            "values": _linspace(0, 360, 360),
            "parameters": {
                "saturation": _linspace(0.5, 0.9, 8),
                "value": _linspace(0.5, 0.9, 8),
            },
            "estimator": "central",
            "step": 0.1,
            "noise": "gaussian",
        },
    },
)
PRESETS: dict[str, Preset] = {_BENJAMIN2022.name: _BENJAMIN2022}


def plan(
    stimulus: str | Stimulus | None = None,
    dimension: str | None = None,
    *,
    values: Values = None,
    parameters: Mapping[str, Values] | None = None,
    layers: str | Sequence[str] = "default",
    estimator: str | None = None,
    step: float | None = None,
    noise: str | None = None,
    noise_level: float | None = None,
    noise_options: Mapping[str, float] | None = None,
    dprime: float = 1.0,
    confidence: float = 0.95,
    precision: float | None = None,
    preset: str | None = None,
    images: Sequence[str | Path] = (),
) -> Measurement:
    """Resolve defaults and check a measurement before anything is computed.

    Parameters
    ----------
    stimulus
        Name in the table of stimuli, or a :class:`Stimulus` of your own. Default ``gabor``
        (``patch`` for hue).
    dimension
        Parameter to measure. Default: the stimulus's first.
    values
        Where to measure: a list in the dimension's unit, or an int, the number of values spread
        over the default range.
    parameters
        Other parameters: a number, a list to average over, or for ``phase`` and ``sample`` an int,
        the number of values spread over the range.
    layers
        ``default``, ``all`` or glob patterns.
    estimator
        ``jvp`` (exact), ``central`` or ``chained``.
    step
        Half-width of the central difference, in the dimension's unit.
    noise, noise_level, noise_options
        See :mod:`psychophys.noise.models`.
    dprime
        Criterion d' of the threshold.
    confidence
        Of the thresholds' intervals, from a bootstrap over nuisance samples.
    precision
        Add nuisance samples until every interval's half-width is this fraction of its threshold.
    preset
        Name of a published experiment whose settings replace the defaults.
    images
        Photographs of your own for the stimuli ``image`` and ``image-band``: folders, archives, files.

    Raises
    ------
    UsageError
        An unknown name or an impossible value, named.
    """
    base = _preset_settings(preset, dimension)
    dimension = dimension or base.get("dimension")
    chosen = get_stimulus(stimulus or base.get("stimulus") or _usual_stimulus(dimension, images))
    if images:
        chosen = with_images(chosen, images)
    measured = chosen.dimension(dimension or chosen.parameters[0].name)
    if values is None:
        values = base.get("values", measured.count)
    grid = measured.grid(int(values)) if isinstance(values, Integral) else _floats(measured.name, values)
    given = {**base.get("parameters", {}), **(parameters or {})}
    model = get_noise(noise or base.get("noise", "relative"))
    measurement = Measurement(
        stimulus=chosen,
        dimension=measured.name,
        values=grid,
        parameters=_other_parameters(chosen, measured.name, given),
        layers=(layers,) if isinstance(layers, str) else tuple(layers),
        estimator=estimator or base.get("estimator", "jvp"),
        step=_positive("step", step if step is not None else base.get("step", measured.step)),
        noise=model.name,
        noise_level=_positive("noise level", model.level if noise_level is None else noise_level),
        noise_options=model.settings(noise_options or {}),
        dprime=_positive("d'", dprime),
        confidence=_share("confidence", confidence),
        precision=None if precision is None else _share("precision", precision),
        preset=preset or "",
    )
    check(measurement)
    return measurement


def check(measurement: Measurement, shorter_side: int | None = None) -> None:
    """Raise :class:`UsageError` for a measurement that cannot be made on images of this size."""
    if not measurement.layers or not all(measurement.layers):
        raise UsageError(f"no layers in {measurement.layers}", "Give default, all or glob patterns.")
    get_estimator(measurement.estimator)
    _check_noise(measurement)
    images = math.prod(map(len, measurement.parameters.values()), start=len(measurement.values))
    if images > MOST_VALUES:
        raise UsageError(f"{images:,} combinations of values", f"Ask for at most {MOST_VALUES:,}.")
    if measurement.estimator == "chained":
        grid_step(measurement.values)
    for sample in measurement.samples:
        for value in measurement.values:
            measurement.stimulus.check(
                {**_defaults(measurement.stimulus), **sample, measurement.dimension: value},
                shorter_side,
            )


def _check_noise(measurement: Measurement) -> None:
    noise, estimator = measurement.noise, measurement.estimator
    get_noise(noise).settings(measurement.noise_options)
    if noise == "input" and estimator != "jvp":
        raise UsageError(f"input noise cannot use estimator {estimator}", "Use --estimator jvp.")
    if noise == "empirical" and estimator == "chained":
        raise UsageError("empirical noise cannot use estimator chained", "Use jvp or central.")
    if noise == "empirical" and (count := len(measurement.nuisance_groups()[0])) < FEWEST_SAMPLES:
        raise UsageError(
            f"empirical noise with {count} phases, images or noise samples",
            f"Give {FEWEST_SAMPLES} or more: --phases, --set sample=..., --images.",
        )
    if noise == "empirical" and measurement.precision is not None:
        raise UsageError("empirical noise has no intervals to narrow", "Leave --until-precision out.")
    if measurement.precision is not None and measurement.enlarged() is None and measurement.stimulus.sources:
        raise UsageError(
            f"no photographs to add until precision {measurement.precision:g}", "Give more with --images."
        )
    if measurement.precision is not None and measurement.enlarged() is None:
        raise UsageError(
            f"nothing to add until precision {measurement.precision:g}",
            "Use a stimulus with phases, samples or images, and give their number, not a list.",
        )


def grid_step(values: Sequence[float]) -> float:
    """Spacing of a uniform grid; :class:`UsageError` where the grid is not uniform."""
    steps = np.diff(values)
    if len(steps) == 0 or not np.allclose(steps, steps[0], rtol=1e-6) or steps[0] == 0:
        raise UsageError(
            "estimator chained needs two or more equally spaced values",
            "Give --values START:STOP:COUNT, or use --estimator jvp.",
        )
    return float(steps[0])


def _usual_stimulus(dimension: str | None, images: Sequence[str | Path]) -> str:
    if images:
        return "image"
    return "patch" if dimension == "hue" else "gabor"


def _defaults(stimulus: Stimulus) -> dict[str, float]:
    return {p.name: p.default for p in stimulus.parameters}


def _preset_settings(preset: str | None, dimension: str | None) -> dict[str, Any]:
    if preset is None:
        return {}
    if preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    settings = PRESETS[preset].settings
    name = dimension or next(iter(settings))
    if name not in settings:
        raise unknown(f"dimension of preset {preset}", name, settings)
    return {"dimension": name, **settings[name]}


def _other_parameters(
    stimulus: Stimulus, dimension: str, given: Mapping[str, Values]
) -> dict[str, tuple[float, ...]]:
    for name in given:
        stimulus.parameter(name)
        if name == dimension:
            raise UsageError(f"{name} is the measured dimension", "Set its values with --values.")
    resolved: dict[str, tuple[float, ...]] = {}
    for parameter in stimulus.parameters:
        if parameter.name == dimension:
            continue
        value = given.get(parameter.name, stimulus.nuisance.get(parameter.name, parameter.default))
        counts = parameter.name in stimulus.nuisance
        if counts and isinstance(value, Integral):
            resolved[parameter.name] = parameter.grid(int(value))
        else:
            resolved[parameter.name] = _floats(parameter.name, value)
    return resolved


def _floats(name: str, value: Values) -> tuple[float, ...]:
    if isinstance(value, str):
        raise UsageError(f"{name} {value!r} is text, not a list of numbers")
    items: list[Any] = []
    if value is not None:
        items = [value] if isinstance(value, Real) else list(cast(Sequence[float], value))
    if not items:
        raise UsageError(f"no values of {name}", "Give at least one.")
    try:
        return tuple(float(item) for item in items)
    except (TypeError, ValueError):
        raise UsageError(f"{name} {items!r} is not a list of numbers") from None


def _share(name: str, value: float) -> float:
    if not 0 < value < 1:
        raise UsageError(f"{name} {value:g} cannot be used", "Give a number between 0 and 1.")
    return float(value)


def _positive(name: str, value: float) -> float:
    # Its square must be a number over 0, too.
    if not 1e-100 <= value <= 1e100:
        raise UsageError(f"{name} {value:g} cannot be used", "Give a number over 0, from 1e-100 to 1e100.")
    return float(value)
