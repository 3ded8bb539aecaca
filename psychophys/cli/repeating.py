"""What `--from FILE` asks for: the runs of a file, with what else a command line says in their place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from psychophys.cli.each import plan_tasks, say_unusable
from psychophys.cli.options import Asked
from psychophys.measurement.repeat import GIVEN, Specification, differences
from psychophys.measurement.written import read_specifications
from psychophys.observers.checkpoints import find_checkpoints
from psychophys.observers.devices import pick_device
from psychophys.observers.imports import import_modules
from psychophys.observers.names import DEFAULT_MODEL, Job, make_jobs
from psychophys.sweeps.tasks import Task


def tasks_of(
    models: list[str] | None, asked: Asked, checkpoint: str | None, source: Path | None
) -> tuple[list[Task], list[Specification]]:
    """The measurements that a command line asks for, and the runs of its file, of which they are."""
    if source is None:
        return plan_tasks(models or [DEFAULT_MODEL], asked, checkpoint), []
    runs = runs_of(source, asked)
    tasks: dict[str, Task] = {}
    for run in runs:
        other = run.changed(**asked.settings_said)
        measurement = other.measurement()
        plain = json.dumps(measurement.as_dict(), sort_keys=True)
        for job in jobs_of(run, models or [], asked, checkpoint):
            task = Task(measurement, job, asked.device, asked.batch_size, asked.imports)
            tasks.setdefault(f"{plain} {job}", task)
    stimuli = [task.measurement.stimulus for task in tasks.values()]
    for stimulus in {stimulus.unusable: stimulus for stimulus in stimuli}.values():
        say_unusable(stimulus, asked.quiet)
    return list(tasks.values()), runs


def runs_of(source: Path, asked: Asked) -> list[Specification]:
    """The runs of a file; what differs here from where they were made is noted."""
    import_modules(asked.imports)
    runs = read_specifications(source)
    differing = differences(runs, pick_device(asked.device, asked.dtype))
    if differing:
        asked.notes.append(f"{source} was made otherwise: {'; '.join(differing)}")
    return runs


def jobs_of(run: Specification, models: Sequence[str], asked: Asked, checkpoint: str | None) -> list[Job]:
    """The observers of a run, or those that are named in its place."""
    if not models and checkpoint is None and not asked.said & {"weights", "seed", "seeds"}:
        job = _with_numbers(run.job, asked)
        if job.checkpoint is not None:
            find_checkpoints(job.checkpoint)  # Refuses one that is gone.
        return [job]
    own = {"weights": "pretrained", **run.observer}
    if models or checkpoint is not None:
        own.pop("checkpoint", None)
    names = list(models) or [run.job.model]
    weights = "pretrained" if own["weights"] == GIVEN else own["weights"]
    seed = asked.seed if asked.said & {"seed", "seeds"} else own.get("seed", 0)
    jobs = make_jobs(
        names,
        asked.weights if "weights" in asked.said else [weights],
        seed=seed,
        seeds=asked.seeds or 1,
        checkpoint=own.get("checkpoint") if checkpoint is None else checkpoint,
    )
    same = {name: own[name] for name in ("dtype", "arithmetic", "noise_seed") if name in own}
    return [_with_numbers(replace(job, **same), asked) for job in jobs]


def _with_numbers(job: Job, asked: Asked) -> Job:
    """With the numbers and products that are said."""
    names = ("dtype", "arithmetic", "noise_seed")
    return replace(job, **{name: getattr(asked, name) for name in names if name in asked.said})
