"""Resolve the defaults of a request, and check it, before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, cast

from psychophys.base.errors import UsageError
from psychophys.measurement.pooling import POOLINGS
from psychophys.measurement.presets import preset_settings
from psychophys.measurement.spec import Measurement
from psychophys.noise.information import Noise
from psychophys.noise.models import get_noise
from psychophys.responses.estimators import Estimator, get_estimator
from psychophys.stimuli import Display, Stimulus, get_stimulus, on_display, with_images

Values = int | float | Sequence[float] | None


def plan(
    stimulus: str | Stimulus | None = None,
    dimension: str | None = None,
    *,
    values: Values = None,
    parameters: Mapping[str, Values] | None = None,
    layers: str | Sequence[str] = "default",
    estimator: str | Estimator | None = None,
    step: float | None = None,
    noise: str | Noise | None = None,
    noise_level: float | None = None,
    noise_options: Mapping[str, float] | None = None,
    dprime: float = 1.0,
    confidence: float = 0.95,
    precision: float | None = None,
    preset: str | None = None,
    pooling: str | None = None,
    images: Sequence[str | Path] = (),
    display: str | Display | Mapping[str, Any] | None = None,
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
        Name in :data:`psychophys.responses.estimators.ESTIMATORS`: ``jvp`` (exact), ``central`` or
        ``chained``.
    step
        Half-width of the central difference, in the dimension's unit.
    noise
        Name in the table of noise models, or a :class:`psychophys.Noise` of your own.
    noise_level, noise_options
        In the units of the noise model.
    dprime
        Criterion d' of the threshold.
    confidence
        Of the thresholds' intervals, from a bootstrap over nuisance samples.
    precision
        Add nuisance samples until every interval's half-width is this fraction of its threshold.
    preset
        Name of a published experiment whose settings replace the defaults.
    pooling
        What J is of all samples: ``mean``, of one on average, or ``sum``, of all together.
    images
        Photographs of your own for the stimuli ``image`` and ``image-band``: folders, archives, files. Those
        that cannot be used are left out; the stimulus says which (``unusable``).
    display
        What stimuli are shown on: a name in :data:`psychophys.stimuli.DISPLAYS`, a
        :class:`psychophys.Display`, or a mapping with any of ``preset``, ``pixels_per_degree``,
        ``luminance_cd_m2`` and ``gamma``. Lengths are then in deg, frequencies in cycles/deg and, where the
        luminance of white is known, luminance in cd/m2: in ``values``, ``parameters``, ``step`` and results.

    Raises
    ------
    UsageError
        An unknown name or an impossible value, named.
    """
    base = preset_settings(preset, dimension)
    dimension = dimension or base.get("dimension")
    chosen = get_stimulus(stimulus or base.get("stimulus") or _usual_stimulus(dimension, images))
    if images:
        chosen = with_images(chosen, images)
    if display is not None:
        chosen = on_display(chosen, display)
    measured = chosen.dimension(dimension or chosen.parameters[0].name)
    if values is None:
        values = base.get("values", measured.count)
    grid = measured.grid(int(values)) if isinstance(values, Integral) else _floats(measured.name, values)
    given = {**_in_units_of(chosen, base.get("parameters", {})), **(parameters or {})}
    model = get_noise(noise or base.get("noise", "relative"))
    measurement = Measurement(
        stimulus=chosen,
        dimension=measured.name,
        values=grid,
        parameters=_other_parameters(chosen, measured.name, given),
        layers=(layers,) if isinstance(layers, str) else tuple(layers),
        estimator=get_estimator(estimator or base.get("estimator", "jvp")),
        step=_positive("step", step if step is not None else base.get("step", measured.step)),
        noise=model,
        noise_level=_positive("noise level", model.level if noise_level is None else noise_level),
        noise_options=model.settings(noise_options or {}),
        dprime=_positive("d'", dprime),
        confidence=_share("confidence", confidence),
        precision=None if precision is None else _share("precision", precision),
        preset=preset or "",
        pooling=POOLINGS.find(pooling or base.get("pooling", "mean")),
    )
    _check_precision(measurement)
    return measurement


def _check_precision(measurement: Measurement) -> None:
    """Raise :class:`UsageError` where intervals cannot be narrowed as is asked for."""
    if measurement.precision is None:
        return
    if not measurement.noise.method.has_intervals:
        raise UsageError(
            f"{measurement.noise.name} noise has no intervals to narrow", "Leave --until-precision out."
        )
    if measurement.enlarged() is not None:
        return
    if measurement.stimulus.sources:
        raise UsageError(
            f"no photographs to add until precision {measurement.precision:g}", "Give more with --images."
        )
    raise UsageError(
        f"nothing to add until precision {measurement.precision:g}",
        "Use a stimulus with phases, samples or images, and give their number, not a list.",
    )


def _in_units_of(stimulus: Stimulus, parameters: Mapping[str, Values]) -> dict[str, Values]:
    """A preset's parameters, which are in units of the image, in those of the stimulus."""
    found = dict(parameters)
    for parameter in stimulus.parameters:
        conversion, value = parameter.conversion, found.get(parameter.name)
        if conversion is not None and value is not None:
            every = _floats(parameter.name, value)
            found[parameter.name] = [conversion.shown(one) for one in every]
    return found


def _usual_stimulus(dimension: str | None, images: Sequence[str | Path]) -> str:
    if images:
        return "image"
    return "patch" if dimension == "hue" else "gabor"


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
