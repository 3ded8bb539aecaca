"""Simulate what a results file says was measured."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from psychophys.base.errors import MeasurementError, UsageError, unknown
from psychophys.base.types import Progress
from psychophys.measurement.spec import restore
from psychophys.noise.information import Noise
from psychophys.observers.devices import pick_device
from psychophys.observers.load import load_observer
from psychophys.observers.observer import Observer
from psychophys.results.thresholds import Results
from psychophys.simulation.run import run_simulation
from psychophys.simulation.table import Simulations
from psychophys.simulation.trials import Procedure
from psychophys.stimuli import Stimulus

STALE = 0.02
"""Relative difference from which a file's thresholds are not those that the model now gives."""


def check_results(
    results: Results,
    *,
    procedure: Procedure | None = None,
    layers: Sequence[str] = ("*",),
    values: int | None = None,
    observer: Observer | None = None,
    stimulus: Stimulus | None = None,
    noise: Noise | None = None,
    batch_size: int | None = None,
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
    stimulus, noise
        Those that were measured, where they are not in their tables.
    batch_size
        See :func:`psychophys.measure`.

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
        known = restore(record["measurement"], record.get("images", ()), stimulus=stimulus, noise=noise)
        measurement = replace(known, layers=_layers_of(run, layers), precision=None)
        at = _some(measurement.values, values)
        who = observer or _observer_of(run.iloc[0], record, device)
        part = run_simulation(
            measurement,
            who,
            procedure or Procedure(),
            at=at,
            identifier=str(run_id),
            batch_size=batch_size,
            progress=progress,
        )
        _check_same(run, part.to_pandas())
        parts.append(part)
    return Simulations.join(parts)


def checked_again(
    held: Simulations,
    results: Results,
    procedure: Procedure,
    layers: Sequence[str] = ("*",),
    values: int | None = None,
) -> bool:
    """Whether :func:`check_results` is about to make every row of a table again."""
    made: set[tuple[str, str, float]] = set()
    for run_id, run in results.to_pandas().groupby("run_id", sort=False):
        at = _some(results.runs[str(run_id)]["measurement"]["values"], values)
        made |= {(str(run_id), layer, float(value)) for layer in _layers_of(run, layers) for value in at}
    rows = held.table.select(["run_id", "layer", "value"]).to_pylist()
    return held.is_by(procedure.record) and made >= {tuple(row.values()) for row in rows}


def _layers_of(run: pd.DataFrame, patterns: Sequence[str]) -> tuple[str, ...]:
    known = list(dict.fromkeys(run["layer"]))
    patterns = ["*" if pattern in ("default", "all") else pattern for pattern in patterns]
    chosen = tuple(name for name in known if any(fnmatch.fnmatchcase(name, p) for p in patterns))
    if not chosen:
        raise unknown("layer of the results", " ".join(patterns), known)
    return chosen


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
        device=pick_device(device, record["dtype"]),
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
