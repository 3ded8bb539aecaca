"""Measurements in processes of their own: a crash, however hard, costs one model."""

from __future__ import annotations

import faulthandler
import gc
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch

from psychophys.base.errors import MeasurementError
from psychophys.observers.devices import pick_device
from psychophys.observers.memory import release_everything
from psychophys.sweeps.engines.base import TaskProgress, check_limits, pack, unpack_and_attempt
from psychophys.sweeps.tasks import Outcome, Task

LOG_BYTES = 4000
MOST_TASKS = 50
"""Of one worker, before a new one takes its place."""
LONGEST_WAIT = 3600.0
"""Seconds: the system counts them in milliseconds of 32 bits."""


@dataclass
class _Worker:
    process: Any
    connection: Connection
    slot: str
    log: Path
    task: Task
    started: float = 0.0
    tasks: int = 0

    def take(self, task: Task, payload: bytes) -> None:
        """Begin a measurement."""
        self.task, self.started, self.tasks = task, time.monotonic(), self.tasks + 1
        self.connection.send((task.imports, payload))

    def may_take(self, task: Task) -> bool:
        """Whether it is as good as a new one: modules of somebody's own may leave anything behind."""
        known = not self.task.imports and not task.imports
        return known and self.tasks < MOST_TASKS and self.process.is_alive()


class Processes:
    """Local processes.

    Parameters
    ----------
    jobs
        Measurements at a time. Default: one for each GPU, or one where there is none.
    device
        ``auto`` and ``cuda`` spread the measurements over all GPUs.
    timeout
        Seconds after which a measurement is given up.

    Notes
    -----
    Where the system can fork, workers are forked from a server process that has imported PyTorch and
    timm and done nothing else, so that only the first pays for the imports. A worker goes on with the next
    model, until one fails, or ``MOST_TASKS`` are through; with modules of one's own each has a new one. A
    script that uses this class needs the usual ``if __name__ == "__main__":``.
    """

    def __init__(self, jobs: int | None = None, device: str = "auto", timeout: float | None = None) -> None:
        chosen = pick_device(device)
        spread = chosen.type == "cuda" and chosen.index is None
        gpus = torch.cuda.device_count() if spread else 0
        count = jobs if jobs is not None else max(gpus, 1)
        check_limits(count, timeout)
        self.slots = [f"cuda:{i % gpus}" if spread else str(chosen) for i in range(count)]
        self.threads = max(torch.get_num_threads() // count, 1)
        self.timeout = timeout

    def run(self, tasks: Iterable[Task], progress: TaskProgress | None = None) -> Iterator[Outcome]:
        """Make every measurement."""
        waiting = iter(tasks)
        context = _context()
        free = list(reversed(self.slots))
        running: dict[Connection, _Worker] = {}
        idle: list[_Worker] = []
        try:
            while True:
                while free and (task := next(waiting, None)) is not None:
                    worker = self._hand_over(context, task, free.pop(), idle)
                    running[worker.connection] = worker
                if not running:
                    return
                for worker, outcome in self._collect(running, progress):
                    del running[worker.connection]
                    free.append(worker.slot)
                    if outcome.error is None:
                        idle.append(worker)
                    else:
                        _end(worker)
                    yield outcome
        finally:
            for worker in (*running.values(), *idle):
                _end(worker)

    def _hand_over(self, context: Any, task: Task, slot: str, idle: list[_Worker]) -> _Worker:
        """Begin a task in a worker that waits in the slot, or in a new one."""
        payload = pack(replace(task, device=slot))
        worker = next((one for one in idle if one.slot == slot), None)
        if worker is not None:
            idle.remove(worker)
            if worker.may_take(task):
                with suppress(OSError):  # It may have ended this moment.
                    worker.take(task, payload)
                    return worker
            _end(worker)
        worker = _start(context, task, slot, self.threads)
        worker.take(task, payload)
        return worker

    def _collect(
        self, running: dict[Connection, _Worker], progress: TaskProgress | None
    ) -> Iterator[tuple[_Worker, Outcome]]:
        """Wait for news and yield every worker that is through, and its outcome."""
        for ready in wait(list(running), timeout=self._patience(running)):
            assert isinstance(ready, Connection)
            worker = running[ready]
            try:
                news = ready.recv()
            except Exception:  # Whatever a worker sends, or fails to.
                news = _obituary(worker)
            if isinstance(news, Outcome):
                yield worker, replace(news, task=worker.task)
            elif progress is not None:
                progress(worker.task, *news)
        if self.timeout is not None:
            for worker in list(running.values()):
                if time.monotonic() - worker.started > self.timeout:
                    yield worker, _failure(worker, f"took longer than {self.timeout:g} s")

    def _patience(self, running: dict[Connection, _Worker]) -> float | None:
        if self.timeout is None:
            return None
        oldest = min(worker.started for worker in running.values())
        left = oldest + self.timeout - time.monotonic()
        return min(max(left, 0) + 0.01, LONGEST_WAIT)


def _context() -> Any:
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload(["psychophys.sweeps.engines.preload"])
    return context


def _start(context: Any, task: Task, slot: str, threads: int) -> _Worker:
    descriptor, log = tempfile.mkstemp(prefix="psychophys-", suffix=".log")
    os.close(descriptor)
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, threads, log), daemon=True)
    with _uninterrupted():
        process.start()
    theirs.close()
    return _Worker(process, ours, slot, Path(log), task)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait: half a request would make the fork server print a traceback."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    kept = {number: handler for number, handler in usual.items() if handler is not None}
    for number in kept:
        signal.signal(number, lambda caught, _frame: came.append(caught))
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    for caught in came:
        signal.raise_signal(caught)


def _end(worker: _Worker) -> None:
    """Leave nothing of a worker behind, whether it is through or not."""
    worker.connection.close()
    worker.process.join(0.2)
    worker.process.kill()
    worker.process.join()
    worker.process.close()
    worker.log.unlink(missing_ok=True)


def _obituary(worker: _Worker) -> Outcome:
    worker.process.join()
    code = worker.process.exitcode
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        why = f"its process was ended by {name}"
        if -code == signal.SIGKILL:
            why += " (most often the system, for want of memory)"
    else:
        why = f"its process ended with exit code {code}"
    return _failure(worker, why)


def _failure(worker: _Worker, why: str) -> Outcome:
    # After a crash Python names every extension module that it has loaded: the traceback is before that.
    words, _, _ = worker.log.read_bytes().partition(b"\nExtension modules:")
    log = words[-LOG_BYTES:].decode(errors="replace")
    error = MeasurementError(f"{worker.task.job.model} failed: {why}", "Measure it alone to see more.")
    return Outcome(worker.task, None, error, time.monotonic() - worker.started, log)


def _work(connection: Connection, threads: int, log: str) -> None:
    """What a worker does: one measurement after the other, until there is no more."""
    # Ctrl-C is for the process that started this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _be_the_first_to_go()
    with Path(log).open("wb") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    faulthandler.enable(2)
    gc.freeze()  # What was imported need not be searched for garbage after each network.
    with suppress(EOFError, OSError):
        while True:
            imports, payload = connection.recv()
            os.ftruncate(1, 0)
            os.lseek(1, 0, os.SEEK_SET)
            outcome = unpack_and_attempt(imports, payload, threads, lambda *done: connection.send(done))
            connection.send(outcome)
            del outcome
            release_everything()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _be_the_first_to_go() -> None:
    """Where memory ends, let Linux end this process and not the one that keeps the sweep."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    except OSError:
        return
