"""A sweep: many measurements into one directory, each made once, whatever happens on the way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from psychophys.base.errors import UsageError
from psychophys.sweeps.engines import Engine
from psychophys.sweeps.engines.base import TaskProgress
from psychophys.sweeps.fetching import Fetcher, check_fetching
from psychophys.sweeps.store import Store
from psychophys.sweeps.tasks import Outcome, Task


class State(Enum):
    """Where a task stands."""

    TO_DO = "to do"
    DONE = "done"
    FAILED = "failed"
    ELSEWHERE = "being measured by another sweep"


@dataclass
class Sweep:
    """Tasks, the directory that keeps what comes of them, and where each stands.

    Parameters
    ----------
    tasks
        In the order in which they are made.
    store
        Of results and failures.
    retry_failed
        Whether tasks that failed earlier are to be done again.
    prefetch, cache_limit_bytes
        See :class:`psychophys.sweeps.fetching.Fetcher`.

    Attributes
    ----------
    states
        Of every task by its key: when the sweep was planned, and kept up to date while it runs.
    """

    tasks: Sequence[Task]
    store: Store
    retry_failed: bool = False
    prefetch: int = 0
    cache_limit_bytes: int | None = None
    states: dict[str, State] = field(init=False)

    def __post_init__(self) -> None:
        check_fetching(self.prefetch, self.cache_limit_bytes)
        self.tasks = list({task.key: task for task in self.tasks}.values())
        self.states = {task.key: self._look(task) for task in self.tasks}

    def _look(self, task: Task) -> State:
        if self.store.is_done(task):
            return State.DONE
        if not self.retry_failed and self.store.failure(task) is not None:
            return State.FAILED
        return State.TO_DO

    def state(self, task: Task) -> State:
        """Where a task stands."""
        return self.states[task.key]

    def count(self, state: State) -> int:
        """How many tasks stand so."""
        return Counter(self.states.values())[state]

    @property
    def to_do(self) -> list[Task]:
        """What is left."""
        return [task for task in self.tasks if self.state(task) is State.TO_DO]

    def run(self, engine: Engine, progress: TaskProgress | None = None) -> Iterator[Outcome]:
        """Make what is left, keep every outcome as soon as it is known, and yield it.

        Closing the iterator stops the engine's workers. A task that another sweep into the same
        directory is making is left to it.
        """
        self.store.prepare()
        with Fetcher(self.to_do, self.prefetch, self.cache_limit_bytes, self.store.folder) as fetcher:
            outcomes = engine.run(self._claimed(fetcher), progress)
            try:
                for outcome in outcomes:
                    self._keep(outcome)
                    fetcher.end(outcome.task)
                    yield outcome
            finally:
                getattr(outcomes, "close", lambda: None)()
                self.store.close()

    def _keep(self, outcome: Outcome) -> None:
        self.store.write(outcome)
        self.store.release(outcome.task)
        self.states[outcome.task.key] = State.DONE if outcome.results is not None else State.FAILED

    def _claimed(self, fetcher: Fetcher) -> Iterator[Task]:
        for task in self.to_do:
            if not self.store.claim(task):
                self.states[task.key] = State.ELSEWHERE
                fetcher.end(task)
                continue
            # Another sweep may have come to its end with it since this one was planned.
            self.states[task.key] = self._look(task)
            if self.states[task.key] is State.TO_DO:
                fetcher.begin(task)
                yield task
            else:
                self.store.release(task)
                fetcher.end(task)


def take_shard(tasks: Sequence[Task], shard: str) -> list[Task]:
    """Part I of N parts, written ``I/N`` with I from 1 to N: every N-th task.

    The parts are the same on every machine that plans the same tasks, so that they need not talk.

    Raises
    ------
    UsageError
        Where that is not a part.
    """
    written = re.fullmatch(r"(\d{1,9})/(\d{1,9})", shard)
    first, last = map(int, written.groups()) if written else (0, 0)
    if not 1 <= first <= last:
        raise UsageError(f"shard {shard!r} is not a part", "Write I/N with I from 1 to N, as in 1/8.")
    return list(tasks[first - 1 :: last])
