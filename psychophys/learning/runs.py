"""The experiment ``linear``: trainings of linear autoencoders, and their thresholds on the way."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from psychophys import measurement
from psychophys.files import write_atomically
from psychophys.learning import linear, theory
from psychophys.learning.acuities import growth
from psychophys.learning.modes import Modes, join
from psychophys.learning.patches import Statistics, load_photographs, spectrum_exponent
from psychophys.learning.planning import (
    INITIAL_STRENGTH,
    MODES,
    UNIFORM_SCALE,
    Settings,
    Training,
    has_closed_form,
    plan_trainings,
    training_statistics,
)
from psychophys.learning.prediction import predicted_acuity, projections
from psychophys.observers import pick_device
from psychophys.results import Results, concat

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]
CURVE_POINTS = 60
BATCH = 256
"""Images of a measurement shown at once: patches are small."""


@dataclass(frozen=True)
class Learned:
    """What an experiment found.

    Attributes
    ----------
    thresholds
        Of spatial frequency, at every layer and checkpoint: column ``step``.
    modes
        Half-times, simulated and predicted.
    """

    thresholds: Results
    modes: Modes


def learn_linear(
    settings: Settings,
    *,
    device: str = "auto",
    folder: Path | None = None,
    previous: Learned | None = None,
    finished: Callable[[Learned], None] | None = None,
    progress: Progress | None = None,
) -> Learned:
    """Train every depth with every seed, and measure thresholds on the way.

    Parameters
    ----------
    folder
        Where weights are written, for every training and checkpoint.
    previous
        Trainings found in here with the same settings are not made again; others are left out.
    finished
        Called after each training with all that there is so far.
    progress
        Called with the steps done and the steps in all.

    Raises
    ------
    UsageError
        For images that cannot be used.
    MeasurementError
        Where training diverges.
    """
    chosen = pick_device(device)
    photographs = load_photographs(settings.images)
    trainings = plan_trainings(settings, photographs)
    if folder is not None:
        folder.mkdir(exist_ok=True)
    parts: dict[str, Learned] = {}
    for training in trainings:
        if previous is not None and (found := _finished(training, previous, folder)) is not None:
            parts[training.identifier] = found
    todo = [training for training in trainings if training.identifier not in parts]
    total, done = sum(training.steps[-1] for training in todo), 0

    def advance(steps: int) -> None:
        nonlocal done
        done += steps
        if progress is not None:
            progress(done, total)

    for training in todo:
        parts[training.identifier] = _learn(training, chosen, folder, advance)
        if finished is not None:
            finished(_joined(trainings, parts))
    return _joined(trainings, parts)


def _learn(
    training: Training, device: torch.device, folder: Path | None, advance: Callable[[int], None]
) -> Learned:
    started = time.perf_counter()
    settings, depth = training.settings, training.depth
    statistics = training_statistics(settings, training.photographs, training.seed)
    generator = np.random.default_rng((training.seed, 1))
    if settings.init == "balanced":
        weights = linear.balanced(depth, settings.patch**2, INITIAL_STRENGTH, generator)
    else:
        weights = linear.uniform(depth, statistics.eigenvectors, UNIFORM_SCALE, generator)
    learning_rate = float(settings.learning_rate / statistics.eigenvalues[0])
    trained = linear.train(
        depth,
        weights,
        statistics.eigenvalues,
        learning_rate,
        training.steps,
        MODES,
        device=device,
        progress=advance,
    )
    initial = linear.initial_strengths(depth, weights)
    thresholds = _measure(training, trained, statistics, device, folder)
    rows = _rows(training, trained.strengths, statistics.eigenvalues, initial, learning_rate)
    record = training.record | _expected(training, statistics, initial, learning_rate)
    record["seconds"] = round(time.perf_counter() - started, 3)
    return Learned(thresholds, Modes.from_rows(rows, {training.identifier: record}))


def _expected(
    training: Training, statistics: Statistics, initial: Array, learning_rate: float
) -> dict[str, Any]:
    """What the images and the closed forms say of acuity."""
    found: dict[str, Any] = {
        "spectrum_exponent": spectrum_exponent(statistics, training.measurement.values),
        "predicted_acuity": None,
        "predicted_exponent": None,
    }
    if has_closed_form(training.settings.init, training.depth):
        acuities = predicted_acuity(
            training.measurement,
            projections(training.measurement, statistics),
            training.depth,
            initial,
            learning_rate * statistics.eigenvalues,
            training.steps,
        )
        found["predicted_acuity"] = [_known(value) for value in acuities]
        found["predicted_exponent"] = _known(growth(np.array(training.steps, float), acuities))
    return found


def _measure(
    training: Training,
    trained: linear.Trained,
    statistics: Statistics,
    device: torch.device,
    folder: Path | None,
) -> Results:
    """Thresholds at every checkpoint, whose weights are written first where they are wanted."""
    parts = []
    mean, basis = torch.from_numpy(statistics.mean), torch.from_numpy(statistics.eigenvectors.copy())
    for step, weights in trained.weights.items():
        network = linear.network(training.depth, mean, weights, basis)
        path = None if folder is None else training.checkpoint(folder, step)
        if path is not None:
            write_atomically(path, partial(torch.save, network.state_dict()))
        observer = linear.observe(
            network,
            training.depth.model,
            seed=training.seed,
            step=step,
            checkpoint=None if path is None else str(path),
            device=device,
        )
        part = measurement.run(training.measurement, observer, batch_size=BATCH)
        runs = {name: {**run, "training": training.identifier} for name, run in part.runs.items()}
        parts.append(Results(part.table, runs))
    return concat(parts)


def _rows(
    training: Training, strengths: Array, eigenvalues: Array, initial: Array, learning_rate: float
) -> list[dict[str, Any]]:
    depth, last, initial = training.depth, len(strengths) - 1, initial[:MODES]
    rate = learning_rate * eigenvalues[:MODES]
    simulated = linear.half_times(strengths)
    predicted = np.full(MODES, np.nan)
    shown = np.unique(np.geomspace(1, last, CURVE_POINTS).round().astype(int))
    closed = np.full((len(shown), MODES), np.nan)
    if has_closed_form(training.settings.init, depth):
        predicted = theory.half_time(depth, initial, rate)
        closed = theory.strength(depth, initial, rate, shown.astype(float))
    return [
        {
            "training_id": training.identifier,
            "model": depth.model,
            "init": training.settings.init,
            "seed": training.seed,
            "mode": k + 1,
            "eigenvalue": float(eigenvalues[k]),
            "learning_rate": learning_rate,
            "initial_strength": float(initial[k]),
            "half_time": _known(simulated[k]),
            "predicted_half_time": _known(predicted[k]),
            "relative_error": _known(simulated[k] / predicted[k] - 1),
            "curve": _curve(shown, strengths[shown, k], closed[:, k]),
        }
        for k in range(MODES)
    ]


def _curve(steps: NDArray[np.int64], simulated: Array, closed: Array) -> str:
    points = zip(steps, simulated, closed, strict=True)
    return json.dumps([[int(t), round(float(s), 6), _known(round(float(c), 6))] for t, s, c in points])


def _known(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def _finished(training: Training, previous: Learned, folder: Path | None) -> Learned | None:
    """What there is of a training already, if it is whole."""
    name = training.identifier
    runs = {key: run for key, run in previous.thresholds.runs.items() if run.get("training") == name}
    table = previous.thresholds.table
    kept = table.filter(pc.is_in(table["run_id"], pa.array(list(runs), pa.string())))
    if name not in previous.modes.trainings or set(kept["step"].to_pylist()) != set(training.steps):
        return None
    if folder is not None:
        # The table names the weights that were measured: they must be those that are asked for.
        wanted = {str(training.checkpoint(folder, step)) for step in training.steps}
        if set(kept["checkpoint"].to_pylist()) != wanted or not all(map(Path.is_file, map(Path, wanted))):
            return None
    modes = previous.modes.table
    own = modes.filter(pc.equal(modes["training_id"], name))
    return Learned(Results(kept, runs), Modes(own, {name: previous.modes.trainings[name]}))


def _joined(trainings: Sequence[Training], parts: Mapping[str, Learned]) -> Learned:
    every = [parts[training.identifier] for training in trainings if training.identifier in parts]
    return Learned(concat(part.thresholds for part in every), join(part.modes for part in every))
