"""A Ray cluster: measurements go wherever there is room, results come back to the driver."""

from __future__ import annotations

import importlib
import logging
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from psychophys.base.errors import MeasurementError, PsychophysError, UsageError
from psychophys.sweeps.engines.base import TaskProgress, check_limits, pack, unpack_and_attempt
from psychophys.sweeps.tasks import Outcome, Task

POLL_SECONDS = 1.0
CALLS_A_WORKER = 16


@dataclass
class _Attempt:
    task: Task
    tries: int
    started: float


class Ray:
    """Tasks on a Ray cluster, each in a worker process of its own.

    Parameters
    ----------
    address
        Of a running cluster; ``auto`` finds the one this machine belongs to. Default: a cluster on
        this machine, for as long as the sweep runs.
    jobs
        Measurements at a time. Default: as many as the cluster has GPUs, or CPUs where it has none.
    device
        ``auto``, ``cuda`` (one GPU a measurement) or ``cpu``.
    cpus
        CPUs, and PyTorch threads, for each measurement.
    retries
        How often a measurement is begun again whose worker or node was lost.
    timeout
        Seconds after which a measurement is given up, waiting for room included.

    Notes
    -----
    psychophys must be installed on every node. Results are written by the process that runs the
    sweep; nodes need no common file system, except for checkpoints and ``local-dir:`` models.
    """

    def __init__(
        self,
        address: str | None = None,
        jobs: int | None = None,
        device: str = "auto",
        cpus: int = 1,
        retries: int = 2,
        timeout: float | None = None,
    ) -> None:
        if device not in ("auto", "cuda", "cpu"):
            raise UsageError(f"device {device} cannot be asked of Ray", "Give auto, cuda or cpu.")
        if cpus < 1 or retries < 0:
            raise UsageError(
                f"{cpus} CPUs and {retries} retries", "Give at least one CPU, and no less than 0."
            )
        check_limits(jobs, timeout)
        self.address, self.jobs, self.device = address, jobs, device
        self.cpus, self.retries, self.timeout = cpus, retries, timeout
        self._ray = _import_ray()

    def run(self, tasks: Iterable[Task], progress: TaskProgress | None = None) -> Iterator[Outcome]:  # noqa: ARG002
        """Make every measurement; images are not reported, only outcomes."""
        ray = self._ray
        ours = not ray.is_initialized()
        if ours:
            self._connect()
        waiting = iter(tasks)
        flying: dict[Any, _Attempt] = {}
        try:
            work = self._remote()
            while True:
                while len(flying) < self._room() and (task := next(waiting, None)) is not None:
                    flying[self._submit(work, task)] = _Attempt(task, 1, time.monotonic())
                if not flying:
                    return
                ready, _ = ray.wait(list(flying), num_returns=1, timeout=POLL_SECONDS)
                for reference in ready:
                    attempt = flying.pop(reference)
                    outcome, again = self._collect(reference, attempt)
                    if again:
                        attempt.tries += 1
                        flying[self._submit(work, attempt.task)] = attempt
                    else:
                        yield outcome
                yield from self._give_up(flying)
        finally:
            for reference in flying:
                ray.cancel(reference, force=True)
            if ours:
                ray.shutdown()

    def _connect(self) -> None:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self.address is not None:
            options["address"] = self.address
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            self._ray.init(**options)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            first = (str(error).strip().splitlines() or ["no message"])[0]
            raise PsychophysError(
                f"no Ray cluster at {self.address or 'this machine'}: {first[:300]}",
                "Start one with `ray start --head`, or give --address HOST:PORT.",
            ) from error

    def _gpus(self) -> int:
        """GPUs a measurement takes."""
        if self.device == "cpu":
            return 0
        available = self._ray.cluster_resources().get("GPU", 0) >= 1
        if self.device == "cuda" and not available:
            raise UsageError("device cuda asked for, but the Ray cluster has no GPU", "Use --device auto.")
        return int(available)

    def _remote(self) -> Any:
        # A crash costs one measurement either way. A new process gives a GPU's memory back, but loads
        # PyTorch anew.
        gpus = self._gpus()
        calls = 1 if gpus else CALLS_A_WORKER
        options = {"num_cpus": self.cpus, "num_gpus": gpus, "max_retries": 0, "max_calls": calls}
        return self._ray.remote(**options)(unpack_and_attempt)

    def _room(self) -> int:
        if self.jobs is not None:
            return self.jobs
        resources = self._ray.cluster_resources()
        gpus = self._gpus()
        room = resources.get("GPU", 0) // gpus if gpus else resources.get("CPU", 0) // self.cpus
        return max(int(room), 1)

    def _submit(self, work: Any, task: Task) -> Any:
        return work.remote(task.imports, pack(task), self.cpus)

    def _collect(self, reference: Any, attempt: _Attempt) -> tuple[Outcome, bool]:
        """The outcome, and whether it should be tried again instead."""
        exceptions = self._ray.exceptions
        try:
            outcome: Outcome = self._ray.get(reference)
            return outcome, False
        except exceptions.RayTaskError as error:
            return self._failure(attempt, str(error.cause)), False
        except exceptions.OutOfMemoryError as error:
            return self._failure(attempt, f"out of memory: {error}"), False
        except exceptions.RayError as error:
            why = f"its worker was lost {attempt.tries} times: {type(error).__name__}: {error}"
            return self._failure(attempt, why), attempt.tries <= self.retries

    def _give_up(self, flying: dict[Any, _Attempt]) -> Iterator[Outcome]:
        if self.timeout is None:
            return
        for reference, attempt in list(flying.items()):
            if time.monotonic() - attempt.started > self.timeout:
                del flying[reference]
                self._ray.cancel(reference, force=True)
                yield self._failure(attempt, f"took longer than {self.timeout:g} s")

    def _failure(self, attempt: _Attempt, why: str) -> Outcome:
        first, *rest = why.strip().splitlines() or ["no message"]
        error = MeasurementError(
            f"{attempt.task.job.model} failed: {first[:300]}", "Measure it alone to see more."
        )
        return Outcome(attempt.task, None, error, time.monotonic() - attempt.started, "\n".join(rest)[-4000:])


def _import_ray() -> Any:
    try:
        ray = importlib.import_module("ray")
        importlib.import_module("ray.exceptions")
        return ray
    except ImportError as error:
        raise UsageError(
            "the engine ray needs the package ray", "Install it with pip install 'psychophys[ray]'."
        ) from error
