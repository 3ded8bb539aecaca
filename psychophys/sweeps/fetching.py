"""Weights of the next models are fetched while others are measured, and removed after use.

What was in the cache before a sweep is never removed: what sweeps brought is noted in their directory, so
that a sweep that is begun again after a kill knows it.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from huggingface_hub import constants

from psychophys.base.errors import UsageError
from psychophys.base.files import write_atomically
from psychophys.observers import hub
from psychophys.sweeps.tasks import Task

MOST_DOWNLOADS = 4
"""At a time."""


class Fetcher:
    """Fetch the weights of tasks ahead of time, within a share of the disk.

    Parameters
    ----------
    tasks
        In the order in which they will be begun.
    ahead
        Models whose weights may be here, or on their way, before they are asked for; 0 fetches nothing.
    limit_bytes
        Of what sweeps into this directory bring into the cache. Beyond it, weights that no task needs any
        more are removed, oldest first, and nothing is fetched ahead. A model that is being measured is always
        let in.
    note
        File that names what sweeps brought.
    """

    def __init__(self, tasks: Sequence[Task], ahead: int, limit_bytes: int | None, note: str | Path) -> None:
        check_fetching(ahead, limit_bytes)
        self.ahead, self.limit_bytes, self.note = ahead, limit_bytes, Path(note)
        self._tasks_left = Counter(name for task in tasks if (name := _needed(task)) is not None)
        self._order = list(self._tasks_left)
        self._begun: dict[str, None] = {}
        """Repositories whose tasks have been drawn, in their order."""
        self._next = 0
        self._waiting: list[str] = []
        """For room, in their order: a later one does not take it from an earlier one."""
        self._fetching: dict[str, int] = {}
        """Bytes that will come, by repository."""
        self._brought: dict[str, int] = {}
        """Bytes that came, by repository, oldest first."""
        self._closed = False
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        self._brought = {name: hub.cached_bytes(name) for name in _read(self.note)}
        with self._changed:
            self._make_room(0)
        if not constants.HF_HUB_OFFLINE:
            for _ in range(min(self.ahead, MOST_DOWNLOADS, len(self._order))):
                # What is half fetched when the sweep ends is gone on with by the next one.
                threading.Thread(target=self._fetch_all, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def begin(self, task: Task) -> None:
        """A task is about to be made."""
        name = _needed(task)
        if name is None or name in self._begun:
            return
        with self._changed:
            self._begun[name] = None
            if name not in self._brought and not hub.is_here(task.job.model):
                self._brought[name] = 0
                self._write()
            self._changed.notify_all()

    def end(self, task: Task) -> None:
        """A task has been made, or is left to another sweep."""
        name = _needed(task)
        if name is None:
            return
        with self._changed:
            self._begun[name] = None
            self._tasks_left[name] -= 1
            if name in self._brought:
                self._brought[name] = hub.cached_bytes(name)
            self._make_room(0)
            self._changed.notify_all()

    def _fetch_all(self) -> None:
        while (name := self._take()) is not None:
            with suppress(Exception):  # The measurement says what is wrong with it.
                if self._reserve(name, hub.remote_bytes(name)):
                    hub.fetch(name)
            with self._changed:
                self._waiting = [other for other in self._waiting if other != name]
                self._fetching.pop(name, None)
                if name in self._brought:
                    self._brought[name] = hub.cached_bytes(name)
                self._changed.notify_all()

    def _take(self) -> str | None:
        """The next repository to look at, once it is near enough; none where the sweep is over."""
        with self._changed:
            while not self._closed and self._next < len(self._order):
                if self._next < len(self._begun) + self.ahead:
                    self._next += 1
                    self._waiting.append(self._order[self._next - 1])
                    return self._waiting[-1]
                self._changed.wait()
        return None

    def _reserve(self, name: str, size: int) -> bool:
        """Wait for room; false where it is not to be fetched: it is here, or its own task fetches it."""
        with self._changed:
            while not self._closed and name not in self._begun and hub.cached_bytes(name) < max(size, 1):
                if self._waiting[0] == name and self._make_room(size):
                    self._waiting.remove(name)
                    self._fetching[name] = size
                    self._brought.setdefault(name, 0)
                    self._write()
                    self._changed.notify_all()
                    return True
                self._changed.wait()
        return False

    def _make_room(self, size: int) -> bool:
        """Remove what is not needed any more until so many bytes fit; whether they do."""
        if self.limit_bytes is None:
            return True
        of_no_use = [n for n in self._brought if self._tasks_left[n] <= 0 and n not in self._fetching]
        while self._held() + size > self.limit_bytes and of_no_use:
            name = of_no_use.pop(0)
            hub.remove(name)
            del self._brought[name]
            self._write()
        return self._held() + size <= self.limit_bytes

    def _held(self) -> int:
        return sum(max(size, self._fetching.get(name, 0)) for name, size in self._brought.items())

    def _write(self) -> None:
        if self.limit_bytes is not None:
            text = json.dumps(list(self._brought), indent=1) + "\n"
            write_atomically(self.note, lambda stream: stream.write(text.encode()))


def check_fetching(ahead: int, limit_bytes: int | None) -> None:
    """Raise :class:`UsageError` for what no fetcher can keep."""
    if ahead < 0:
        raise UsageError(f"{ahead} models to prefetch", "Give 0 or more.")
    if limit_bytes is not None and limit_bytes < 1:
        raise UsageError(f"a cache limit of {limit_bytes} bytes", "Give a size, such as 50GB.")


def _needed(task: Task) -> str | None:
    """The repository whose weights a task needs."""
    if task.job.weights == "random" or task.job.checkpoint is not None:
        return None
    return hub.repository(task.job.model)


def _read(note: Path) -> list[str]:
    try:
        names = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
