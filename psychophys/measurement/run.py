"""Make a planned measurement: stimulus, observer, estimator and noise joined into a table of thresholds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from psychophys.base.types import Progress
from psychophys.measurement.record import about, identify, measuring, provenance
from psychophys.measurement.spec import Measurement
from psychophys.measurement.sums import Sums
from psychophys.measurement.thresholds import Done
from psychophys.measurement.ways import Ways, confirm, find_ways, gather
from psychophys.observers.observer import Observer
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
    with measuring(observer):
        ways = find_ways(measurement, observer)
        n_samples = len(measurement.nuisance_groups()[0])
        measurement.noise.method.check_layers(measurement.noise_options, ways.layers, n_samples)
        sums, estimators = gather(measurement, ways, batch_size, progress)
        done = Done(measurement, ways.layers, sums, ways.jumping)
        while not done.precise and (larger := done.measurement.enlarged()) is not None:
            sums = _extend(done, larger, ways, batch_size, progress)
            done = replace(done, measurement=larger, sums=sums)
        ways = confirm(done.measurement, ways, done.sums)
        done = replace(done, layers=ways.layers)
    identifier = identify(measurement, observer)
    seconds = time.perf_counter() - started
    rows = _rows(done, observer, estimators, identifier)
    record = provenance(done.measurement, observer, ways.selection, seconds)
    record |= ways.record(estimators)
    if done.measurement.parameters != measurement.parameters:
        record["planned_parameters"] = measurement.as_dict()["parameters"]
    record |= {"indices": done.indices, "halves_error": done.halves_error, "left_out": done.left_out}
    return Results.from_rows(rows, {identifier: record})


def _extend(
    done: Done,
    larger: Measurement,
    ways: Ways,
    batch_size: int | None,
    progress: Progress | None,
) -> Sums:
    """Measure the samples that are new in ``larger``."""
    (name,) = (n for n, values in larger.parameters.items() if done.measurement.parameters[n] != values)
    old, every = done.measurement.parameters[name], larger.parameters[name]
    fresh = tuple(value for value in every if not np.isclose(value, old).any())
    part = replace(larger, parameters={**larger.parameters, name: fresh})
    added, _ = gather(part, ways, batch_size, progress)
    known = [*done.measurement.samples, *part.samples]
    place = {_key(sample): row for row, sample in enumerate(known)}
    return done.sums.extended(added, [place[_key(sample)] for sample in larger.samples])


def _key(sample: Mapping[str, float]) -> tuple[float, ...]:
    return tuple(round(value, 9) for value in sample.values())


def _rows(
    done: Done, observer: Observer, estimators: Mapping[str, str], identifier: str
) -> list[dict[str, Any]]:
    shared = {"dimension": done.measurement.dimension, "unit": done.measurement.unit}
    return [
        {
            **about(done.measurement, observer, layer, identifier),
            **shared,
            "estimator": estimators[layer.name],
            **numbers,
        }
        for layer in done.layers
        for numbers in done.rows(layer)
    ]
