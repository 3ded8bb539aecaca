"""Simulate a decider at every layer, and fit its thresholds beside the predicted ones."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from psychophys.base.types import Progress
from psychophys.measurement.measure import enter, takes_options
from psychophys.measurement.options import AllOptions
from psychophys.measurement.plan import plan
from psychophys.measurement.record import about, identify, measuring, provenance
from psychophys.measurement.spec import Measurement
from psychophys.observers.layers import Layer
from psychophys.observers.names import DEFAULT_MODEL
from psychophys.observers.observer import Observer
from psychophys.simulation.psychometrics import FEWEST_LEVELS, TASKS, fit
from psychophys.simulation.table import Simulations
from psychophys.simulation.trials import (
    LEVELS,
    Prepared,
    Procedure,
    Proportions,
    prepare,
    proportions_correct,
)


@takes_options("precision", "pooling")
def simulate(
    model: str | Observer = DEFAULT_MODEL,
    *,
    task: str = "2afc",
    read_out: str = "ideal",
    trials: int = 1000,
    training_trials: int = 1000,
    trial_seed: int = 0,
    batch_size: int | None = None,
    progress: Progress | None = None,
    **options: Unpack[AllOptions],
) -> Simulations:
    """Simulate observers that decide by every layer of a model, and fit their thresholds.

    Parameters
    ----------
    model, batch_size
        See :func:`psychophys.measure`.
    task, read_out, trials, training_trials, trial_seed
        See :class:`psychophys.simulation.trials.Procedure`.
    progress
        Called with the values done and the values in all.
    **options
        As for :func:`psychophys.measure`, except ``precision`` and ``pooling``.

    Raises
    ------
    UsageError
        For an unknown name, an impossible value, or noise that cannot be simulated.

    Examples
    --------
    >>> import psychophys
    >>> table = psychophys.simulate(layers="blocks.5", values=[0, 45], parameters={"phase": 1})
    >>> table.to_pandas()[["value", "predicted_threshold", "fitted_threshold"]].shape
    (2, 3)
    """
    procedure = Procedure(task, read_out, trials, training_trials, trial_seed)

    def planner(**settings: Any) -> Measurement:
        measurement = plan(**settings)
        procedure.check(measurement)
        return measurement

    measurement, observer = enter(model, planner, options, batch_size)
    return run_simulation(measurement, observer, procedure, batch_size=batch_size, progress=progress)


def run_simulation(
    measurement: Measurement,
    observer: Observer,
    procedure: Procedure,
    *,
    at: Sequence[float] | None = None,
    identifier: str | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> Simulations:
    """Simulate the deciders of an observer as planned: see :func:`simulate`.

    Parameters
    ----------
    at
        Those of the measurement's values to simulate. Default: all.
    identifier
        Run id of the measurement, where it was made before.
    """
    measurement.check_size(min(observer.input_size))
    procedure.check(measurement)
    started = time.perf_counter()
    with measuring(observer):
        prepared = prepare(measurement, observer, batch_size)
        chosen = [i for i, value in enumerate(measurement.values) if at is None or value in at]
        identifier = identifier or identify(measurement, observer)
        rows = _simulate(prepared, chosen, procedure, identifier, progress)
    seconds = time.perf_counter() - started
    record = provenance(measurement, observer, prepared.ways.selection, seconds)
    record |= prepared.ways.record(prepared.estimators)
    record["experiments"] = [procedure.record]
    return Simulations.from_rows(rows, {identifier: record})


def _simulate(
    prepared: Prepared,
    chosen: Sequence[int],
    procedure: Procedure,
    identifier: str,
    progress: Progress | None,
) -> list[dict[str, Any]]:
    measurement = prepared.done.measurement
    generator = np.random.default_rng(procedure.seed)
    rows = []
    for place, index in enumerate(chosen):

        def step(done: int, of: int, place: int = place) -> None:
            if progress is not None:
                progress(place * of + done, len(chosen) * of)

        found = proportions_correct(prepared, index, procedure, step)
        for layer in prepared.done.layers:
            shared = about(measurement, prepared.observer, layer, identifier)
            rows.append(shared | _row(prepared, layer, index, found[layer.name], procedure, generator))
    return sorted(rows, key=lambda row: (row["layer_index"], row["value"]))


def _row(
    prepared: Prepared,
    layer: Layer,
    index: int,
    proportions: Proportions,
    procedure: Procedure,
    generator: np.random.Generator,
) -> dict[str, Any]:
    measurement = prepared.done.measurement
    measured = prepared.done.rows(layer)[index]
    predicted = measured["threshold"]
    row = {
        "dimension": measurement.dimension,
        "value": measured["value"],
        "unit": measurement.unit,
        "task": procedure.task,
        "read_out": procedure.read_out,
        "predicted_threshold": predicted,
        "status": measured["status"] if measured["status"] != "ok" else "out_of_range",
    }
    proportion, unit = proportions.correct, proportions.unit
    shown = np.isfinite(proportion).all(axis=1)
    if shown.sum() < FEWEST_LEVELS or measured["status"] != "ok":
        return row
    n_samples = proportion.shape[1]
    each = np.full(n_samples, procedure.trials // n_samples)
    each[: procedure.trials % n_samples] += 1
    correct = generator.binomial(each, proportion[shown].clip(0, 1)).sum(axis=1)
    levels, trials = np.array(LEVELS)[shown], np.full(shown.sum(), procedure.trials)
    criterion = TASKS.find(procedure.task).by_dprime(measurement.dprime)
    counts = zip(levels * unit, trials, correct, strict=True)
    row |= {
        "n_trials": int(trials.sum()),
        "curve": json.dumps([[float(x), int(n), int(k)] for x, n, k in counts]),
        "status": "not_reached",
    }
    share = correct / trials
    if not share.min() <= criterion <= share.max():
        return row  # A threshold beyond what was shown would be a guess.
    found = fit(levels, correct, trials, criterion, measurement.confidence)
    return row | {
        "fitted_threshold": found.threshold * unit,
        "fitted_low": found.low * unit,
        "fitted_high": found.high * unit,
        "deviation": found.threshold * unit / predicted - 1,
        "power": found.power,
        "status": "agrees" if found.low * unit <= predicted <= found.high * unit else "parts",
    }
