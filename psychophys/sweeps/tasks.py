"""One observer to measure, as plain data: what a sweep plans, names, sends to a worker and logs."""

from __future__ import annotations

import glob
import hashlib
import importlib
import importlib.util
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from psychophys.base.errors import MeasurementError, PsychophysError, UsageError
from psychophys.measurement.run import run
from psychophys.measurement.spec import Measurement
from psychophys.observers.observer import check_learned, check_model_name, check_variant, load_observer
from psychophys.results.thresholds import Results

Progress = Callable[[str, int, int], None]
"""Called with what is measured, the images done and the images in all."""


@dataclass(frozen=True)
class Job:
    """One observer: the arguments of :func:`psychophys.load_observer`."""

    model: str
    weights: str = "pretrained"
    seed: int = 0
    checkpoint: str | None = None
    dtype: str = "float32"

    @property
    def label(self) -> str:
        """The observer in a few words."""
        return f"{self.model} {Path(self.checkpoint).name if self.checkpoint else self.weights}"


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
        if self.job.checkpoint is not None:
            job["checkpoint_sha256"] = hashlib.sha256(Path(self.job.checkpoint).read_bytes()).hexdigest()
        if self.job.model.startswith("local-dir:"):
            job["folder_sha256"] = _hash_folder(Path(self.job.model.removeprefix("local-dir:")))
        text = json.dumps([self.measurement.as_dict(), job], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


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


def make_jobs(
    models: Sequence[str],
    weights: Sequence[str] = ("pretrained",),
    *,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    dtype: str = "float32",
) -> list[Job]:
    """Every model with every weights variant and every checkpoint; names are checked.

    Parameters
    ----------
    checkpoint
        A file, or a glob pattern for several, which are put in the order of their steps.

    Raises
    ------
    UsageError
        For a name that is not known, or a pattern that matches no file.
    """
    for variant in weights:
        check_variant(variant, seed, checkpoint, dtype)
    for model in models:
        check_model_name(model)
        check_learned(model, checkpoint)
    files = [None] if checkpoint is None else find_checkpoints(checkpoint)
    return [
        Job(model, variant, seed, file, dtype) for model in models for variant in weights for file in files
    ]


def find_checkpoints(pattern: str | Path) -> list[str]:
    """The files that a path or glob pattern names, by the numbers in their names (2 before 10)."""
    pattern = str(pattern)
    if Path(pattern).is_file():
        return [pattern]
    if not glob.has_magic(pattern):
        raise UsageError(f"checkpoint {pattern!r} is not a file", "Give the path of a weights file.")
    files = [path for path in glob.glob(pattern, recursive=True) if Path(path).is_file()]  # noqa: PTH207
    if not files:
        raise UsageError(
            f"no checkpoint matches {pattern!r}", "Quote the pattern, as in --checkpoint 'run/epoch_*.pth'."
        )
    return sorted(files, key=_natural)


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]


def import_modules(names: Sequence[str]) -> None:
    """Import modules, or Python files by path, that register models with timm.

    Raises
    ------
    UsageError
        For one that cannot be imported.
    """
    for name in names:
        try:
            if name.endswith(".py"):
                _import_file(Path(name))
            else:
                importlib.import_module(name)
        except (Exception, SystemExit) as error:
            raise UsageError(
                f"cannot import {name!r}: {type(error).__name__}: {error}",
                "Give a Python file or an importable module.",
            ) from error


def _import_file(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError("no such file")
    if (namesake := sys.modules.get(path.stem)) is not None:
        if Path(getattr(namesake, "__file__", None) or "").resolve() == path.resolve():
            return
        raise ImportError(f"there is another module {path.stem}; rename the file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError("not a Python file")
    module = importlib.util.module_from_spec(spec)
    # Known by its name from here on, so that what it defines can be sent to other processes.
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise


def attempt(task: Task, progress: Callable[[int, int], None] | None = None) -> Outcome:
    """Load and measure; whatever goes wrong becomes the outcome's error."""
    started = time.perf_counter()
    results, error = None, None
    try:
        import_modules(task.imports)
        observer = load_observer(**asdict(task.job), device=task.device)
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
    return Outcome(task, results, error, time.perf_counter() - started)


def measure_each(tasks: Sequence[Task], progress: Progress | None = None) -> Iterator[Outcome]:
    """Make one measurement after the other in this process; one that fails does not stop the others."""
    for task in tasks:
        yield attempt(task, None if progress is None else _labelled(progress, task.job.label))


def _labelled(progress: Progress, label: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(label, done, total)
