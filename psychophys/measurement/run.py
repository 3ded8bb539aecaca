"""Make a planned measurement: stimulus, observer, estimator and noise joined into a table of thresholds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from psychophys.base.errors import PsychophysError
from psychophys.base.types import Progress
from psychophys.measurement.batches import accumulate
from psychophys.measurement.record import about, failure, identify, provenance
from psychophys.measurement.spec import Measurement
from psychophys.measurement.sums import Sums
from psychophys.measurement.thresholds import Done
from psychophys.observers.layers import select_layers
from psychophys.observers.observer import Observer
from psychophys.responses.estimators import Estimator
from psychophys.results.thresholds import Results


def run(
    measurement: Measurement,
    observer: Observer,
    *,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> Results:
    """Measure an observer as planned: see :func:`measure`."""
    measurement.check_size(min(observer.input_size))
    started = time.perf_counter()
    try:
        selection = select_layers(observer, measurement.layers)
        n_samples = len(measurement.nuisance_groups()[0])
        measurement.noise.method.check_layers(measurement.noise_options, selection.layers, n_samples)
        sums, estimator = accumulate(measurement, observer, selection.layers, batch_size, progress)
        done = Done(measurement, selection.layers, sums)
        while not done.precise and (larger := done.measurement.enlarged()) is not None:
            sums = _extend(done, larger, observer, estimator, batch_size, progress)
            done = Done(larger, selection.layers, sums)
    except PsychophysError:
        raise
    except Exception as error:
        raise failure(error, observer) from error
    identifier = identify(measurement, observer)
    seconds = time.perf_counter() - started
    rows = _rows(done, observer, estimator, identifier)
    record = provenance(done.measurement, observer, selection, estimator, seconds)
    record |= {"indices": done.indices, "halves_error": done.halves_error}
    return Results.from_rows(rows, {identifier: record})


def _extend(
    done: Done,
    larger: Measurement,
    observer: Observer,
    estimator: Estimator,
    batch_size: int | None,
    progress: Progress | None,
) -> Sums:
    """Measure the samples that are new in ``larger``."""
    (name,) = (n for n, values in larger.parameters.items() if done.measurement.parameters[n] != values)
    old, every = done.measurement.parameters[name], larger.parameters[name]
    fresh = tuple(value for value in every if not np.isclose(value, old).any())
    part = replace(larger, parameters={**larger.parameters, name: fresh}, estimator=estimator)
    added, _ = accumulate(part, observer, done.layers, batch_size, progress)
    known = [*done.measurement.samples, *part.samples]
    place = {_key(sample): row for row, sample in enumerate(known)}
    return done.sums.extended(added, [place[_key(sample)] for sample in larger.samples])


def _key(sample: Mapping[str, float]) -> tuple[float, ...]:
    return tuple(round(value, 9) for value in sample.values())


def _rows(done: Done, observer: Observer, estimator: Estimator, identifier: str) -> list[dict[str, Any]]:
    shared = {
        "dimension": done.measurement.dimension,
        "unit": done.measurement.unit,
        "estimator": estimator.name,
    }
    return [
        {**about(done.measurement, observer, layer, identifier), **shared, **numbers}
        for layer in done.layers
        for numbers in done.rows(layer)
    ]
