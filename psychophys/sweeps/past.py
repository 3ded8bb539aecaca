"""What measurements in a directory have cost: from the ends of its files, without their rows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from psychophys.base.errors import UsageError
from psychophys.measurement.record import name_device, name_machine
from psychophys.noise.models import get_noise
from psychophys.observers.devices import pick_device
from psychophys.responses.estimators import ESTIMATORS
from psychophys.results.kinds import UNREADABLE
from psychophys.results.thresholds import Results
from psychophys.sweeps.tasks import Task

LOADING_SECONDS = 1.0
"""Of a measurement whose provenance does not say how long loading took."""
EXAMINING_PASSES = 80
"""Of examining the layers before, whatever is measured then: 60 to 120 on a CPU, in units of a plain pass."""
FEWEST = 3
"""Networks from which something can be learned."""


@dataclass(frozen=True)
class Past:
    """A measurement that was made.

    Attributes
    ----------
    passes
        Over the network: images times the estimator's passes, and those that examine it.
    seconds
        Of wall time, loading included.
    conditions
        All else that decides how fast it is: noise, precision, numbers, arithmetic and kind of device.
    machine
        With its number of threads.
    """

    model: str
    passes: float
    seconds: float
    conditions: tuple[str, ...]
    machine: str


def passes(task: Task) -> float:
    """Over the network, for one task: those that measure it and those that examine it before."""
    measurement = task.measurement
    each = measurement.noise.method.passes or measurement.estimator.passes
    return len(measurement.samples) * len(measurement.values) * each + EXAMINING_PASSES


def find_past(folder: Path, task: Task) -> list[Past]:
    """Every measurement in a directory whose time says something of this task's.

    With as many threads as here, where enough networks were measured so.
    """
    device = pick_device(task.device, task.job.dtype)
    plan, job, machine = task.measurement, task.job, name_machine()
    here = _conditions(
        plan.noise.name, plan.precision, job.dtype, job.arithmetic, name_device(device), machine
    )
    alike = [one for one in _every(folder) if one.conditions == here]
    if plan.precision is not None:
        # How many images it takes is known afterwards alone: the others took what this will.
        alike = [replace(one, passes=passes(task)) for one in alike]
    same = [one for one in alike if one.machine == machine]
    return same if len({one.model for one in same}) >= FEWEST else alike


def _every(folder: Path) -> Iterator[Past]:
    for path in sorted(folder.glob("*.parquet")):
        try:
            kept = json.loads((pq.read_metadata(path).metadata or {})[Results.key])
            records = list(kept[Results.kept].values())
        except UNREADABLE:  # A sweep measures these anew, and reading them says what they are.
            continue
        yield from filter(None, map(_past, records))


def _past(record: Mapping[str, Any]) -> Past | None:
    """What a run's provenance tells; None where that is not enough."""
    try:
        made = record["measurement"]
        images = prod(map(len, made["parameters"].values()), start=len(made["values"]))
        each = get_noise(made["noise"]).method.passes or ESTIMATORS[made["estimator"]].passes
        seconds = float(record.get("task_seconds") or record["seconds"] + LOADING_SECONDS)
        numbers = made["noise"], made.get("precision"), record["dtype"], record.get("arithmetic", "exact")
        conditions = _conditions(*numbers, record["device"], record["machine"])
        count = images * each + EXAMINING_PASSES
        past = Past(record["model"], count, seconds, conditions, record["machine"])
    except (*UNREADABLE, UsageError):  # Noise of somebody's own, or another experiment.
        return None
    return past if past.seconds > 0 and past.passes > 0 else None


def _conditions(
    noise: str, precision: float | None, dtype: str, arithmetic: str, device: str, machine: str
) -> tuple[str, ...]:
    # All GPUs of a name are one kind.
    kind = re.sub(r":\d+", "", device)
    return noise, str(precision), dtype, arithmetic, kind, machine.partition(",")[0]
