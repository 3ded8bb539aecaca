"""The command `measure`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from psychophys.cli.options import (
    Asked,
    Checkpoint,
    FileFormat,
    Force,
    From,
    Models,
    Output,
    measurement_options,
)

if TYPE_CHECKING:
    from rich.console import Console

    from psychophys.base.types import Progress
    from psychophys.measurement.repeat import Specification
    from psychophys.results.thresholds import Results
    from psychophys.sweeps.tasks import Task


@measurement_options
def measure(
    asked: Asked,
    models: Models = None,
    checkpoint: Checkpoint = None,
    source: From = None,
    output: Output = "results.parquet",
    file_format: FileFormat = None,
    append: Annotated[bool, typer.Option("--append", help="Add to a Parquet file that is there.")] = False,
    force: Force = False,
) -> None:
    """Measure how finely every layer of a model tells stimuli apart.

    \b
    Examples:
      psychophys measure
      psychophys measure resnet18 vit_tiny_patch16_224 -o two.parquet
      psychophys measure --weights pretrained,random --layers 'blocks.*'
      psychophys measure --stimulus patch --values 0:330:12 -o - --format csv
      psychophys measure --dimension contrast --set orientation=0,45 --phases 4
      psychophys measure resnet18 --checkpoint 'run/epoch_*.pth'
      psychophys measure --from results.parquet --noise-level 0.5 -o again.parquet
    """
    from functools import partial

    from psychophys.cli.each import run_each
    from psychophys.cli.outputs import Sink
    from psychophys.cli.repeating import tasks_of
    from psychophys.observers.devices import pick_device
    from psychophys.observers.memory import keep_freed_memory
    from psychophys.results.thresholds import Results, concat
    from psychophys.sweeps.tasks import measured_again

    sink = Sink(output, file_format, append=append, force=force)
    sink.check()
    pick_device(asked.device, asked.dtype)
    tasks, runs = tasks_of(models, asked, checkpoint, source)
    keep_freed_memory()
    sink.check_replacing(Results, lambda held: measured_again(held, tasks))
    asked.say_notes()
    run_each(
        tasks,
        _measure_one,
        label=lambda task: task.job.label,
        join=concat,
        sink=sink,
        show=partial(_show, runs),
        quiet=asked.quiet,
    )


def _measure_one(task: Task, advance: Progress) -> Results:
    from psychophys.sweeps.tasks import attempt

    outcome = attempt(task, advance)
    if outcome.results is None:
        assert outcome.error is not None
        raise outcome.error
    return outcome.results


def _show(runs: list[Specification], console: Console, results: Results) -> None:
    from psychophys.cli.display import print_skipped, print_summary
    from psychophys.cli.screen import say
    from psychophys.measurement.repeat import other_weights

    print_summary(console, results)
    print_skipped(console, results)
    say(console, *(f"note: {line}" for line in other_weights(runs, results)))
