"""Weights of the next models are fetched while others are measured, and removed after use.

A repository of which anything was in the cache before a sweep is never removed: what sweeps brought is noted
in the cache, so that a sweep that is begun again after a kill knows it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from huggingface_hub import constants

from psychophys.base.errors import UsageError
from psychophys.observers import hub
from psychophys.observers.hub_cache import is_cached
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
    folder
        Of the sweep: what was brought for it is known by that.
    """

    def __init__(
        self, tasks: Sequence[Task], ahead: int, limit_bytes: int | None, folder: str | Path
    ) -> None:
        check_fetching(ahead, limit_bytes)
        self.ahead, self.limit_bytes, self.owner = ahead, limit_bytes, str(Path(folder).resolve())
        needed = [name for task in tasks if (name := _needed(task)) is not None]
        self._order = list(dict.fromkeys(needed))
        self._tasks_left = Counter(map(hub.all_revisions, needed))
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
        with self._changed:
            if self.limit_bytes is not None:
                self._brought = {repo: hub.cached_bytes(repo) for repo in hub.claimed(self.owner)}
            self._make_room(0)
        if not constants.HF_HUB_OFFLINE:
            for _ in range(min(self.ahead, MOST_DOWNLOADS, len(self._order))):
                # What is half fetched when the sweep ends is fetched anew by the next one.
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
            self._claim(name)
            self._changed.notify_all()

    def end(self, task: Task) -> None:
        """A task has been made, or is left to another sweep."""
        name = _needed(task)
        if name is None:
            return
        with self._changed:
            self._begun[name] = None
            self._tasks_left[hub.all_revisions(name)] -= 1
            self._weigh(name)
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
                self._weigh(name)
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
            while not self._closed and name not in self._begun and not is_cached(name):
                if self._waiting[0] == name and self._make_room(size):
                    self._waiting.remove(name)
                    self._fetching[name] = size
                    self._claim(name)
                    self._changed.notify_all()
                    return True
                self._changed.wait()
        return False

    def _make_room(self, size: int) -> bool:
        """Remove what is not needed any more until so many bytes fit; whether they do."""
        if self.limit_bytes is None:
            return True
        busy = set(map(hub.all_revisions, self._fetching))
        of_no_use = [repo for repo in self._brought if self._tasks_left[repo] <= 0 and repo not in busy]
        for repo in of_no_use:
            if self._brought[repo] and self._held() + size <= self.limit_bytes:
                continue  # Where nothing came, as its fetching failed, nothing is kept.
            hub.remove(repo)
            del self._brought[repo]
        return self._held() + size <= self.limit_bytes

    def _held(self) -> int:
        coming: Counter[str] = Counter()
        for name, size in self._fetching.items():
            coming[hub.all_revisions(name)] += size
        return sum(max(size, coming[repo]) for repo, size in self._brought.items())

    def _claim(self, name: str) -> None:
        repo = hub.all_revisions(name)
        if self.limit_bytes is not None and repo not in self._brought and hub.claim(repo, self.owner):
            self._brought[repo] = 0

    def _weigh(self, name: str) -> None:
        repo = hub.all_revisions(name)
        if repo in self._brought:
            self._brought[repo] = hub.cached_bytes(repo)


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
