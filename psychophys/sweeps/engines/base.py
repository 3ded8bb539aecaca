"""What an engine is: something that makes measurements and hands back what came of them."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import torch

from psychophys.base.errors import UsageError
from psychophys.observers.imports import import_modules
from psychophys.observers.memory import keep_freed_memory
from psychophys.sweeps.tasks import Outcome, Task, attempt

TaskProgress = Callable[[Task, int, int], None]
"""Called with a task, its images done and its images in all."""


class Engine(Protocol):
    """Makes measurements somewhere.

    ``run`` draws a task from ``tasks`` only when there is room for it (drawing one claims it) and
    yields an outcome for each, in any order. Whatever happens to a worker is an outcome, never an
    exception. When the iterator is closed, no worker goes on.
    """

    def run(self, tasks: Iterable[Task], progress: TaskProgress | None = None) -> Iterator[Outcome]:
        """Make every measurement."""
        ...


class Serial:
    """One after the other in this process: no start-up cost, and no shelter from a model that crashes."""

    def run(self, tasks: Iterable[Task], progress: TaskProgress | None = None) -> Iterator[Outcome]:
        """Make every measurement."""
        for task in tasks:
            yield attempt(task, reporter(progress, task))


def reporter(progress: TaskProgress | None, task: Task) -> Callable[[int, int], None] | None:
    """``progress`` for one task."""
    if progress is None:
        return None
    return lambda done, total: progress(task, done, total)


def check_limits(jobs: int | None, timeout: float | None) -> None:
    """Raise :class:`UsageError` for limits that no sweep can keep."""
    if jobs is not None and jobs < 1:
        raise UsageError(f"{jobs} jobs", "Give one or more.")
    if timeout is not None and not timeout > 0:
        raise UsageError(f"time limit {timeout:g} s", "Give a number over 0.")


def pack(task: Task) -> bytes:
    """A task as bytes for another process."""
    try:
        return pickle.dumps(task)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UsageError(
            f"this measurement cannot be sent to another process: {error}",
            "Define the functions of its stimulus and noise in a module, or use the serial engine.",
        ) from error


def unpack_and_attempt(
    imports: Iterable[str], payload: bytes, threads: int, progress: Callable[[int, int], None] | None = None
) -> Outcome:
    """What a worker does with what :func:`pack` made: one measurement with so many threads."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    keep_freed_memory()
    # What the payload is made of may be defined in these.
    import_modules(tuple(imports))
    task: Task = pickle.loads(payload)
    return attempt(task, progress)
