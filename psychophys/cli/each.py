"""One thing after the other: what `measure`, `fisher` and `simulate` do with each of their models."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

import typer
from rich.console import Console

from psychophys.base.errors import PsychophysError
from psychophys.base.types import Progress
from psychophys.cli.display import progress_bar
from psychophys.cli.options import Asked
from psychophys.cli.outputs import Addable, Sink
from psychophys.measurement.plan import plan
from psychophys.measurement.spec import Measurement
from psychophys.observers.imports import import_modules
from psychophys.observers.names import Job, make_jobs
from psychophys.stimuli import Stimulus
from psychophys.sweeps.tasks import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOME_FAILED = 1


class Rows(Addable, Protocol):
    """A table that can be written or added to a file, and has a length."""

    def __len__(self) -> int: ...


Item = TypeVar("Item")
Found = TypeVar("Found", bound=Rows)


def plan_jobs(names: list[str], asked: Asked, checkpoint: str | None = None) -> list[Job]:
    """The observers that a command line asks for; modules of one's own are imported first."""
    import_modules(asked.imports)
    return make_jobs(
        names,
        asked.weights,
        seed=asked.seed,
        seeds=1 if asked.seeds is None else asked.seeds,
        checkpoint=checkpoint,
        dtype=asked.dtype,
        arithmetic=asked.arithmetic,
        noise_seed=asked.noise_seed,
    )


def plan_tasks(
    names: list[str],
    asked: Asked,
    checkpoint: str | None = None,
    planner: Callable[..., Measurement] = plan,
) -> list[Task]:
    """The measurements that a command line asks for, checked before any is made."""
    jobs = plan_jobs(names, asked, checkpoint)
    measurement = planner(**asked.measurement)
    say_unusable(measurement.stimulus, asked.quiet)
    return [Task(measurement, job, asked.device, asked.batch_size, asked.imports) for job in jobs]


def say_unusable(stimulus: Stimulus, quiet: bool) -> None:
    """Say which photographs are left out, if any are."""
    if stimulus.unusable and not quiet:
        print(f"images: {stimulus.unusable}", file=sys.stderr)


def run_each(
    items: Sequence[Item],
    run_one: Callable[[Item, Progress], Found],
    *,
    label: Callable[[Item], str],
    join: Callable[[list[Found]], Found],
    sink: Sink,
    show: Callable[[Console, Found], None],
    draw: Callable[..., Figure] | None = None,
    quiet: bool = False,
) -> None:
    """Run one after the other, write after each, and show all at the end.

    Of several, one that fails does not stop the others; the exit code is 1 then. A lone one raises.
    """
    console = Console(stderr=True)
    parts: list[Found] = []
    with progress_bar(console, quiet) as update:
        for item in items:
            try:
                parts.append(run_one(item, partial(update, label(item))))
            except PsychophysError as error:
                if len(items) == 1:
                    raise
                print(f"error: {label(item)}: {error}", file=sys.stderr)
                continue
            sink.keep(parts[-1], join(parts))
    if parts:
        found = join(parts)
        sink.dump(found)
        if draw is not None:
            sink.draw(partial(draw, found))
        if not quiet:
            show(console, found)
            sink.say_where(console, len(found))
    if len(parts) < len(items):
        raise typer.Exit(SOME_FAILED)
