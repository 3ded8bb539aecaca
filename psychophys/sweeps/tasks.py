"""One measurement to make, as plain data: what a sweep plans, names, sends to a worker and logs."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path

from psychophys.base.digest import digest
from psychophys.base.errors import MeasurementError, PsychophysError
from psychophys.base.types import Progress
from psychophys.measurement.again import made_again
from psychophys.measurement.record import identify
from psychophys.measurement.run import run
from psychophys.measurement.spec import Measurement
from psychophys.observers.arithmetic import ARITHMETIC
from psychophys.observers.checkpoints import hash_checkpoint
from psychophys.observers.imports import import_modules
from psychophys.observers.load import load
from psychophys.observers.names import Job
from psychophys.results.thresholds import Results


@dataclass(frozen=True)
class Task:
    """A measurement of one observer, with what it needs on the machine that makes it.

    Attributes
    ----------
    device, batch_size
        Do not change the results beyond rounding, and are not part of ``key``.
    imports
        Modules to import first: see :func:`import_modules`.
    """

    measurement: Measurement
    job: Job
    device: str = "auto"
    batch_size: int | None = None
    imports: tuple[str, ...] = ()

    @cached_property
    def key(self) -> str:
        """Sixteen hexadecimal digits that name the measurement, known before anything is loaded."""
        job = asdict(self.job)
        if ARITHMETIC[self.job.arithmetic].exact:
            del job["arithmetic"]  # As it has always been.
        if self.job.noise_seed is None:
            del job["noise_seed"]
        if self.job.checkpoint is not None:
            job["checkpoint_sha256"] = hash_checkpoint(Path(self.job.checkpoint))
        if self.job.model.startswith("local-dir:"):
            job["folder_sha256"] = _hash_folder(Path(self.job.model.removeprefix("local-dir:")))
        return digest([self.measurement.as_dict(), job])


def measured_again(held: Results, tasks: Sequence[Task]) -> bool:
    """Whether every run in a table is one of these measurements."""
    return made_again(held, [(task.job, partial(identify, task.measurement)) for task in tasks])


def _hash_folder(folder: Path) -> str:
    """SHA-256 over the files of a ``local-dir:`` model."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        digest.update(path.name.encode(errors="surrogateescape") + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@dataclass(frozen=True)
class Outcome:
    """What came of one task: results, or the error in their place.

    Attributes
    ----------
    seconds
        Of wall time, loading included.
    log
        The last words of a worker that died.
    """

    task: Task
    results: Results | None = None
    error: PsychophysError | None = None
    seconds: float = 0.0
    log: str = ""

    @property
    def job(self) -> Job:
        """The observer."""
        return self.task.job


def attempt(task: Task, progress: Progress | None = None) -> Outcome:
    """Load and measure; whatever goes wrong becomes the outcome's error.

    Provenance keeps the wall time as ``task_seconds``: its ``seconds`` lack loading and the intervals.
    """
    started = time.perf_counter()
    results, error = None, None
    try:
        import_modules(task.imports)
        observer = load(task.job, task.device)
        results = run(task.measurement, observer, batch_size=task.batch_size, progress=progress)
    except PsychophysError as failure:
        error = failure
    except Exception as failure:
        words = (str(failure).strip().splitlines() or ["no message"])[0]
        error = MeasurementError(
            f"{task.job.model} failed: {type(failure).__name__}: {words[:300]}",
            "Measure it alone with --debug for the traceback.",
        )
        error.__cause__ = failure
    seconds = time.perf_counter() - started
    for record in results.runs.values() if results is not None else ():
        record["task_seconds"] = round(seconds, 3)
        if task.imports:
            record["imports"] = list(task.imports)
    return Outcome(task, results, error, seconds)
