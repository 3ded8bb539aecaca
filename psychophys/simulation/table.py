"""Predicted thresholds against those of simulated observers, layer by layer: a table."""

from __future__ import annotations

import fnmatch
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from psychophys.base.errors import MeasurementError, PsychophysError, UsageError, unknown
from psychophys.measurement.batches import Progress
from psychophys.measurement.run import about, failure, identify, provenance
from psychophys.measurement.spec import Measurement, check, plan, restore
from psychophys.observers.layers import Layer, select_layers
from psychophys.observers.load import load_observer
from psychophys.observers.names import DEFAULT_MODEL
from psychophys.observers.observer import Observer, pick_device
from psychophys.results.summary import run_name
from psychophys.results.tables import Column, Table
from psychophys.results.thresholds import Results
from psychophys.simulation.psychometrics import FEWEST_LEVELS, fit, get_task
from psychophys.simulation.trials import (
    LEVELS,
    Experiment,
    Prepared,
    Proportions,
    prepare,
    proportions_correct,
)

Array = NDArray[np.float64]
SCHEMA_VERSION = 1
METADATA_KEY = b"psychophys_simulation"
MOST_SAID = 5
STALE = 0.02
"""Relative difference from which a file's thresholds are not those that the model now gives."""
_TEXT, _NUMBER, _COUNT = pa.string(), pa.float64(), pa.int64()

COLUMNS = (
    Column("run_id", _TEXT, "", "of the measurement that is simulated"),
    Column("model", _TEXT, "", ""),
    Column("weights", _TEXT, "", ""),
    Column("seed", _COUNT, "", "of random and shuffled weights"),
    Column("checkpoint", _TEXT, "", ""),
    Column("step", _COUNT, "", ""),
    Column("layer", _TEXT, "", ""),
    Column("layer_index", _COUNT, "", ""),
    Column("layer_depth", _NUMBER, "0-1", ""),
    Column("n_features", _COUNT, "activations", ""),
    Column("stimulus", _TEXT, "", ""),
    Column("dimension", _TEXT, "", ""),
    Column("value", _NUMBER, "unit", ""),
    Column("unit", _TEXT, "", ""),
    Column("n_samples", _COUNT, "images", "nuisance samples, all of which are shown"),
    Column("task", _TEXT, "", "2afc or single"),
    Column("read_out", _TEXT, "", "ideal or trained"),
    Column("n_trials", _COUNT, "trials", "in all"),
    Column("predicted_threshold", _NUMBER, "unit", "d' / sqrt(J): the local-linear threshold"),
    Column("fitted_threshold", _NUMBER, "unit", "of the psychometric function; empty if out of range"),
    Column("fitted_low", _NUMBER, "unit", "lower end of its credible interval"),
    Column("fitted_high", _NUMBER, "unit", "upper end"),
    Column("deviation", _NUMBER, "", "fitted over predicted, less 1"),
    Column("power", _NUMBER, "", "by which d' grows with the difference; 1 for a linear observer"),
    Column("curve", _TEXT, "", "difference, trials, correct answers at each level, as JSON"),
    Column("noise", _TEXT, "", ""),
    Column("noise_level", _NUMBER, "noise model's", ""),
    Column("criterion_dprime", _NUMBER, "d'", ""),
    Column(
        "status",
        _TEXT,
        "",
        "agrees; parts; not_reached (the threshold is beyond the differences shown); "
        "out_of_range (they cannot be shown); or why it was not measured",
    ),
)
SCHEMA = pa.schema([(column.name, column.type) for column in COLUMNS])


class Simulations(Table):
    """Predicted and simulated thresholds, with the provenance of every run.

    Parameters
    ----------
    rows
        One mapping for each layer and value.
    """

    schema = SCHEMA
    key = METADATA_KEY

    def __init__(self, rows: Sequence[Mapping[str, Any]], runs: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(pa.Table.from_pylist(list(rows), schema=SCHEMA))
        self.runs = dict(runs)

    def _meta(self) -> dict[str, Any]:
        return {"schema_version": SCHEMA_VERSION, "runs": self.runs}


def join(parts: Iterable[Simulations]) -> Simulations:
    """One table of several."""
    rows: list[dict[str, Any]] = []
    runs: dict[str, dict[str, Any]] = {}
    for part in parts:
        rows += part.table.to_pylist()
        for name, run in part.runs.items():
            # One measurement may be simulated in several experiments.
            before = runs.get(name, {"experiments": []})["experiments"]
            new = [made for made in run["experiments"] if made not in before]
            runs[name] = {**run, "experiments": [*before, *new]}
    return Simulations(rows, runs)


def simulate(
    model: str | Observer = DEFAULT_MODEL,
    *,
    task: str = "2afc",
    read_out: str = "ideal",
    trials: int = 1000,
    training_trials: int = 1000,
    trial_seed: int = 0,
    weights: str = "pretrained",
    seed: int = 0,
    checkpoint: str | Path | None = None,
    device: str = "auto",
    dtype: str = "float32",
    progress: Progress | None = None,
    **settings: Any,
) -> Simulations:
    """Simulate observers at every layer of a model, and fit their thresholds.

    Parameters
    ----------
    model, weights, seed, checkpoint, device, dtype
        See :func:`psychophys.measure`.
    task, read_out, trials, training_trials, trial_seed
        See :class:`psychophys.simulation.trials.Experiment`.
    progress
        Called with the values done and the values in all.
    **settings
        Of the measurement: see :func:`psychophys.plan`.

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
    experiment = Experiment(task, read_out, trials, training_trials, trial_seed)
    measurement = plan(**settings)
    experiment.check(measurement)
    if isinstance(model, str):
        model = load_observer(
            model, weights=weights, seed=seed, checkpoint=checkpoint, device=pick_device(device), dtype=dtype
        )
    return run_simulation(measurement, model, experiment, progress=progress)


def run_simulation(
    measurement: Measurement,
    observer: Observer,
    experiment: Experiment,
    *,
    at: Sequence[float] | None = None,
    identifier: str | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> Simulations:
    """Simulate an observer as planned: see :func:`simulate`.

    Parameters
    ----------
    at
        Those of the measurement's values to simulate. Default: all.
    identifier
        Run id of the measurement, where it was made before.
    """
    check(measurement, min(observer.input_size))
    experiment.check(measurement)
    started = time.perf_counter()
    try:
        selection = select_layers(observer, measurement.layers)
        prepared = prepare(measurement, observer, selection.layers, batch_size)
        chosen = [i for i, value in enumerate(measurement.values) if at is None or value in at]
        identifier = identifier or identify(measurement, observer)
        rows = _simulate(prepared, chosen, experiment, identifier, progress)
    except PsychophysError:
        raise
    except Exception as error:
        raise failure(error, observer) from error
    seconds = time.perf_counter() - started
    record = provenance(measurement, observer, selection, prepared.estimator, seconds)
    record["experiments"] = [{**asdict(experiment), "levels": list(LEVELS)}]
    return Simulations(rows, {identifier: record})


def _simulate(
    prepared: Prepared,
    chosen: Sequence[int],
    experiment: Experiment,
    identifier: str,
    progress: Progress | None,
) -> list[dict[str, Any]]:
    measurement = prepared.done.measurement
    generator = np.random.default_rng(experiment.seed)
    rows = []
    for place, index in enumerate(chosen):

        def step(done: int, of: int, place: int = place) -> None:
            if progress is not None:
                progress(place * of + done, len(chosen) * of)

        found = proportions_correct(prepared, index, experiment, step)
        for layer in prepared.done.layers:
            shared = about(measurement, prepared.observer, layer, identifier)
            rows.append(shared | _row(prepared, layer, index, found[layer.name], experiment, generator))
    return sorted(rows, key=lambda row: (row["layer_index"], row["value"]))


def _row(
    prepared: Prepared,
    layer: Layer,
    index: int,
    proportions: Proportions,
    experiment: Experiment,
    generator: np.random.Generator,
) -> dict[str, Any]:
    measurement = prepared.done.measurement
    measured = prepared.done.rows(layer)[index]
    predicted = measured["threshold"]
    row = {
        "dimension": measurement.dimension,
        "value": measured["value"],
        "unit": measurement.unit,
        "task": experiment.task,
        "read_out": experiment.read_out,
        "predicted_threshold": predicted,
        "status": measured["status"] if measured["status"] != "ok" else "out_of_range",
    }
    proportion, unit = proportions.correct, proportions.unit
    shown = np.isfinite(proportion).all(axis=1)
    if shown.sum() < FEWEST_LEVELS or measured["status"] != "ok":
        return row
    n_samples = proportion.shape[1]
    each = np.full(n_samples, experiment.trials // n_samples)
    each[: experiment.trials % n_samples] += 1
    correct = generator.binomial(each, proportion[shown].clip(0, 1)).sum(axis=1)
    levels, trials = np.array(LEVELS)[shown], np.full(shown.sum(), experiment.trials)
    criterion = get_task(experiment.task).by_dprime(measurement.dprime)
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


def check_results(
    results: Results,
    *,
    experiment: Experiment | None = None,
    layers: Sequence[str] = ("*",),
    values: int | None = None,
    observer: Observer | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Simulations:
    """Simulate what a results table says was measured.

    Parameters
    ----------
    layers
        Glob patterns: which of the table's layers.
    values
        How many of the table's values, evenly chosen. Default: all.
    observer
        The observer that was measured, where it cannot be loaded by name.

    Raises
    ------
    UsageError
        For a table without rows, or layers that it does not hold.
    MeasurementError
        Where the model no longer gives the table's thresholds.
    """
    frame = results.to_pandas()
    if frame.empty:
        raise UsageError("the results hold no rows", "Give some written by `psychophys measure`.")
    parts = []
    for run_id, run in frame.groupby("run_id", sort=False):
        record = results.runs[str(run_id)]
        measurement = _measurement_of(run, record, layers)
        at = _some(measurement.values, values)
        who = observer or _observer_of(run.iloc[0], record, device)
        part = run_simulation(
            measurement, who, experiment or Experiment(), at=at, identifier=str(run_id), progress=progress
        )
        _check_same(run, part.to_pandas())
        parts.append(part)
    return join(parts)


def _measurement_of(run: pd.DataFrame, record: Mapping[str, Any], patterns: Sequence[str]) -> Measurement:
    measurement = restore(record["measurement"], record.get("images", ()))
    known = list(dict.fromkeys(run["layer"]))
    patterns = ["*" if pattern in ("default", "all") else pattern for pattern in patterns]
    chosen = [name for name in known if any(fnmatch.fnmatchcase(name, p) for p in patterns)]
    if not chosen:
        raise unknown("layer of the results", " ".join(patterns), known)
    return replace(measurement, layers=tuple(chosen), precision=None)


def _some(every: Sequence[float], count: int | None) -> list[float]:
    """So many of the values, evenly chosen."""
    if count is not None and not 1 <= count <= len(every):
        raise UsageError(f"{count} of {len(every)} values", f"Ask for 1 to {len(every)}.")
    return [every[i] for i in np.linspace(0, len(every), count or len(every), endpoint=False).astype(int)]


def _observer_of(first: pd.Series, record: Mapping[str, Any], device: str) -> Observer:
    if first["weights"] == "given":
        raise UsageError(
            f"{first['model']} was given as a network of its own",
            "Call psychophys.check_results(observer=...).",
        )
    return load_observer(
        record["model"],
        weights="pretrained" if first["weights"] == "checkpoint" else record["weights"],
        seed=record["seed"] or 0,
        checkpoint=first["checkpoint"] if isinstance(first["checkpoint"], str) else None,
        device=pick_device(device),
        dtype=record["dtype"],
    )


def _check_same(run: pd.DataFrame, simulated: pd.DataFrame) -> None:
    both = simulated.merge(run, on=["layer", "value"], suffixes=("", "_file"))
    apart = (both["predicted_threshold"] / both["threshold"] - 1).abs()
    if (apart > STALE).any():
        worst = both.iloc[int(np.argmax(apart))]
        raise MeasurementError(
            f"the file has threshold {worst['threshold']:.4g} for {worst['layer']} at {worst['value']:g}, "
            f"the model now gives {worst['predicted_threshold']:.4g}",
            "Measure again: the weights, the images or the number of values have changed.",
        )


def conclusions(simulations: Simulations) -> list[str]:
    """One sentence a run, and one for each layer whose observers part from the prediction."""
    said = []
    for _, run in simulations.to_pandas().groupby("run_id", sort=False):
        known, who = run[run["deviation"].notna()], run_name(run.iloc[0])
        if len(known):
            agree = int((known["status"] == "agrees").sum())
            said.append(
                f"{who}: {agree} of {len(known)} fitted thresholds agree with the prediction within their "
                f"interval; the median deviation is {known['deviation'].abs().median():.1%}."
            )
        parting = [s for layer, part in known.groupby("layer", sort=False) if (s := _parting(layer, part))]
        said += parting[:MOST_SAID]
        if len(parting) > MOST_SAID:
            said.append(f"{who}: {len(parting) - MOST_SAID} more layers part.")
        said += _without(who, run)
    return said


def _without(who: str, run: pd.DataFrame) -> list[str]:
    """Why there are no fitted thresholds."""
    reasons = {
        "not_reached": f"are beyond {LEVELS[-1]:.2g} times the prediction",
        "out_of_range": "could not be simulated: such differences cannot be shown; use less noise",
        "insensitive": "could not be simulated: the layer does not depend on the dimension",
        "negative": "could not be simulated: poisson noise of negative responses (--noise-option rectify=1)",
        "not_finite": "could not be simulated: responses are not finite",
    }
    counts = run["status"].value_counts()
    return [
        f"{who}: {counts[s]} of {len(run)} thresholds {why}." for s, why in reasons.items() if s in counts
    ]


def _parting(layer: Any, part: pd.DataFrame) -> str:
    """What to say of a layer: nothing, as long as no more of it parts than chance would have."""
    apart = part[part["status"] == "parts"]
    if len(apart) <= max(1, round(0.1 * len(part))):
        return ""
    worst = apart.iloc[int(np.argmax(apart["deviation"].abs()))]
    trained = worst["read_out"] == "trained"
    why = "trained on finite trials" if trained else "responses are not local-linear at that scale"
    return (
        f"{layer} parts at {len(apart)} of {len(part)} values ({why}): fitted thresholds are "
        f"{worst['deviation']:+.0%} at {worst['value']:g} {worst['unit']}, where the prediction is "
        f"{worst['predicted_threshold']:.3g} {worst['unit']} (median of the layer "
        f"{part['deviation'].median():+.0%})."
    )
