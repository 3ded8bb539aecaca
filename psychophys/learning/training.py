"""Trainings: what every experiment asks for, and the loop that makes, measures and resumes them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import nn

from psychophys.base.digest import digest
from psychophys.base.errors import MeasurementError, UsageError
from psychophys.base.types import Progress
from psychophys.learning.modes import Modes, read_modes
from psychophys.measurement.run import run
from psychophys.measurement.spec import Measurement
from psychophys.observers.devices import pick_device
from psychophys.observers.learned import Described, save_learned
from psychophys.observers.load import observe_learned
from psychophys.results.tables import check_output
from psychophys.results.thresholds import Results, concat, read

Advance = Callable[[int], None]
"""Called with the steps done since it was called last."""
BATCH = 256
"""Images of a measurement shown at once: they are small."""
MOST_RUNS = 1000


@dataclass(frozen=True)
class Snapshot:
    """A network at one step of its training.

    Attributes
    ----------
    network
        A copy that is no longer trained: measuring puts it in evaluation mode, without gradients.
    notes
        Numbers of this step, such as the loss.
    """

    described: Described
    network: nn.Module
    notes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class HalfTimes:
    """Rows of :class:`psychophys.learning.modes.Modes`, and what else is kept with the training."""

    rows: list[dict[str, Any]]
    notes: Mapping[str, Any]


Train = Callable[[torch.device, Advance], Generator[Snapshot, None, HalfTimes | None]]
"""Yields a snapshot at every step that is measured; returns half-times where the experiment has them."""


@dataclass(frozen=True)
class Training:
    """One training that is asked for: everything that decides its numbers.

    Attributes
    ----------
    model
        Names the network in the results.
    steps
        Where thresholds are measured; the last is the last.
    measurements
        Made of every snapshot.
    settings
        Plain values that decide the numbers; kept in the results.
    train
        Trains it.
    has_modes
        Whether half-times come of it.
    """

    experiment: str
    model: str
    seed: int
    steps: tuple[int, ...]
    measurements: tuple[Measurement, ...]
    settings: Mapping[str, Any]
    train: Train
    has_modes: bool = False

    @property
    def record(self) -> dict[str, Any]:
        """Plain values, for provenance and the training's id."""
        return {
            "experiment": self.experiment,
            "model": self.model,
            "seed": self.seed,
            "steps": list(self.steps),
            **self.settings,
        }

    @property
    def identifier(self) -> str:
        """Sixteen hexadecimal digits, the same for the same settings."""
        whole = [self.record, [each.as_dict() for each in self.measurements]]
        return digest(whole)

    def checkpoint(self, folder: Path, step: int) -> Path:
        """Where the weights of a step go."""
        # The digits are of the settings: another training does not overwrite it, or pass for it.
        return folder / f"{self.model}-seed{self.seed}-{self.identifier[:8]}-step{step:07}.pth"


@dataclass(frozen=True)
class Learned:
    """What an experiment found.

    Attributes
    ----------
    experiment
        Its name.
    thresholds
        At every layer and checkpoint: column ``step``. The settings of each training and the notes of each
        step are in ``thresholds.runs``, under ``learning``.
    modes
        Half-times, simulated and predicted, of ``linear``; else empty.
    """

    experiment: str
    thresholds: Results
    modes: Modes


def run_trainings(
    trainings: Sequence[Training],
    *,
    device: str = "auto",
    folder: Path | None = None,
    previous: Learned | None = None,
    finished: Callable[[Learned], None] | None = None,
    progress: Progress | None = None,
) -> Learned:
    """Make the trainings one by one, and measure thresholds on the way.

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
        For a device that is not there.
    MeasurementError
        Where training diverges.
    """
    chosen = pick_device(device)
    if folder is not None:
        make_folder(folder)
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


def make_folder(folder: Path) -> None:
    """Make a directory for checkpoints, or raise :class:`UsageError`."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--checkpoints {str(folder)!r} is not a directory", "Give another path.")
    check_output(folder / "step.parquet" if folder.is_dir() else folder.with_name("step.parquet"))
    folder.mkdir(exist_ok=True)


def _learn(training: Training, device: torch.device, folder: Path | None, advance: Advance) -> Learned:
    started, parts = time.perf_counter(), []
    known: dict[str, Any] = {}
    going = training.train(device, advance)
    while True:
        try:
            snapshot = next(going)
        except StopIteration as end:
            half_times = end.value
            break
        parts.append(_measure(training, snapshot, device, folder, started, known))
    modes = Modes.join([])
    if half_times is not None:
        name = training.identifier
        record = {**training.record, **half_times.notes, "seconds": round(time.perf_counter() - started, 3)}
        record["measurement"] = training.measurements[0].as_dict()
        modes = Modes.from_rows([{"training_id": name, **row} for row in half_times.rows], {name: record})
    return Learned(training.experiment, concat(parts), modes)


def _measure(
    training: Training,
    snapshot: Snapshot,
    device: torch.device,
    folder: Path | None,
    started: float,
    known: dict[str, Any],
) -> Results:
    """Thresholds at one checkpoint, whose weights are written first where they are wanted.

    Parameters
    ----------
    known
        What was found out about the network at an earlier checkpoint: it is the same but for its weights.
    """
    described, network = snapshot.described, snapshot.network
    finite = all(bool(torch.isfinite(weight).all()) for weight in network.parameters())
    if not (finite and all(map(math.isfinite, snapshot.notes.values()))):
        raise MeasurementError(f"training of {training.model} diverged", "Give a smaller --learning-rate.")
    assert described.step is not None
    path = None if folder is None else training.checkpoint(folder, described.step)
    if path is not None:
        save_learned(described, network, path)
    observer = observe_learned(
        described,
        network,
        weights="given" if path is None else "checkpoint",
        checkpoint=None if path is None else str(path),
        device=device,
    )
    observer.known.update(known)
    record = {**training.record, **snapshot.notes, "seconds": round(time.perf_counter() - started, 3)}
    parts = []
    for each in training.measurements:
        part = run(each, observer, batch_size=BATCH)
        added = {"training": training.identifier, "learning": record, "has_modes": training.has_modes}
        parts.append(Results(part.table, {name: {**one, **added} for name, one in part.runs.items()}))
    if observer.faultless:
        known.update(observer.known)
    return concat(parts)


def _finished(training: Training, previous: Learned, folder: Path | None) -> Learned | None:
    """What there is of a training already, if it is whole."""
    name = training.identifier
    runs = {key: one for key, one in previous.thresholds.runs.items() if one.get("training") == name}
    table = previous.thresholds.table
    kept = table.filter(pc.is_in(table["run_id"], pa.array(list(runs), pa.string())))
    if set(kept["step"].to_pylist()) != set(training.steps):
        return None
    if training.has_modes and name not in previous.modes.runs:
        return None
    if folder is not None:
        # The table names the weights that were measured: they must be those that are asked for.
        wanted = {str(training.checkpoint(folder, step)) for step in training.steps}
        if set(kept["checkpoint"].to_pylist()) != wanted or not all(map(Path.is_file, map(Path, wanted))):
            return None
    modes = Modes.join([])
    if training.has_modes:
        own = previous.modes.table.filter(pc.equal(previous.modes.table["training_id"], name))
        modes = Modes(own, {name: previous.modes.runs[name]})
    return Learned(training.experiment, Results(kept, runs), modes)


def _joined(trainings: Sequence[Training], parts: Mapping[str, Learned]) -> Learned:
    every = [parts[training.identifier] for training in trainings if training.identifier in parts]
    return Learned(
        trainings[0].experiment,
        concat(part.thresholds for part in every),
        Modes.join(part.modes for part in every),
    )


def read_learned(path: str | Path, modes: str | Path | None = None) -> Learned:
    """Read what ``psychophys learn`` wrote.

    Parameters
    ----------
    path
        Parquet file of thresholds.
    modes
        Of half-times. Default: beside it, as NAME-modes.parquet; needed for ``linear`` alone.

    Raises
    ------
    UsageError
        If a file is not there, or not one of ours.
    """
    thresholds = read(path)
    names = {str(one["learning"]["experiment"]) for one in thresholds.runs.values() if "learning" in one}
    if len(names) != 1:
        what = "of several experiments" if names else f"a {Results.kind.called}"
        raise UsageError(
            f"{str(path)!r} is {what}, not of one experiment",
            f"{Results.kind.readers}. Give a Parquet file written by `psychophys learn`.",
        )
    (name,) = names
    needed = any(one.get("has_modes") for one in thresholds.runs.values())
    file = modes_beside(path) if modes is None else Path(modes)
    return Learned(name, thresholds, read_modes(file) if needed else Modes.join([]))


def trainings_in(results: Results) -> set[str]:
    """Identifiers of the trainings whose thresholds are there."""
    return {str(one["training"]) for one in results.runs.values() if "training" in one}


def only_trainings(results: Results, identifiers: Collection[str]) -> bool:
    """Whether there are thresholds of these trainings and of nothing else."""
    return all(results.runs.get(name, {}).get("training") in identifiers for name in results.identifiers)


def modes_beside(path: str | Path) -> Path:
    """Where the half-times of a file of thresholds are, unless it is said."""
    return Path(path).with_name(f"{Path(path).stem}-modes.parquet")


def check_limits(limits: Mapping[str, tuple[float, float, float]]) -> None:
    """Raise :class:`UsageError` for a value outside its limits: name to value, least and most."""
    for name, (value, least, most) in limits.items():
        if not least <= value <= most:
            raise UsageError(f"{name} {value}", f"Give {least:,} to {most:,}.")


def spread_steps(first: float, last: int, count: int) -> tuple[int, ...]:
    """Step 0, and so many more, spread over the logarithm of the step: those that are measured."""
    ratio = (last / first) ** (1 / max(count - 1, 1))
    return tuple(sorted({0, last, *(round(first * ratio**k) for k in range(count))}))


@contextmanager
def drawing(seed: int) -> Iterator[None]:
    """Draw torch's random numbers from a seed; the caller's random state stays as it is."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    metal = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    try:
        with torch.random.fork_rng(devices=devices, device_type="cuda"):
            torch.manual_seed(seed)
            yield
    finally:
        if metal is not None:
            torch.mps.set_rng_state(metal)


def seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A network with torch's initial weights of a seed."""
    with drawing(seed):
        return build()
