"""The command `responses`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from psychophys.base.errors import UsageError
from psychophys.cli.names import GRAINS, either
from psychophys.cli.options import (
    Asked,
    Checkpoint,
    FileFormat,
    Force,
    Models,
    Output,
    measurement_options,
    usually_asked,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from psychophys.measurement.tuning import Tuning
    from psychophys.observers.names import Job
    from psychophys.results.tuning_curves import Summary


@measurement_options
def responses(
    asked: Asked,
    models: Models = None,
    checkpoint: Checkpoint = None,
    per: Annotated[str, typer.Option(help=f"What a curve is of: {either(GRAINS)}.")] = "channel",
    units: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LAYERS:INDICES",
            help="Channels or units to keep, as conv1:0,5,10-20; of these layers alone unless --layers says "
            "others; may be repeated.",
        ),
    ] = None,
    most: Annotated[
        int | None, typer.Option(help="Keep so many curves a layer, with the largest range over the values.")
    ] = None,
    derivative: Annotated[
        bool, typer.Option("--derivative", help="Take the exact derivative of the mean response, too.")
    ] = False,
    output: Output = "responses.parquet",
    file_format: FileFormat = None,
    force: Force = False,
) -> None:
    """Write how channels or units respond by value: tuning curves, averaged over phases or images.

    Options of noise, thresholds and intervals are not for this command; --estimator and --step are of the
    derivative. The table is written as it is made: if anything fails, no file is left.

    \b
    Examples:
      psychophys responses --layers 'blocks.?' -o responses.parquet
      psychophys responses resnet18 --units 'layer1:0-15' --values 36 --derivative
      psychophys responses --per unit --layers conv_stem --most 100 -o - --format csv
    """
    from rich.console import Console

    from psychophys.cli.display import progress_bar
    from psychophys.cli.each import plan_jobs, say_unusable
    from psychophys.cli.outputs import Sink
    from psychophys.cli.tables.tuning import print_tuning
    from psychophys.cli.values import parse_units
    from psychophys.measurement.again import made_again
    from psychophys.measurement.tuning import identify_tuning, plan_tuning
    from psychophys.observers.devices import pick_device
    from psychophys.observers.memory import keep_freed_memory
    from psychophys.observers.names import DEFAULT_MODEL
    from psychophys.results.streams import Stream
    from psychophys.results.tuning_curves import Summary, TuningCurves

    sink = Sink(output, file_format, force=force)
    sink.check()
    pick_device(asked.device, asked.dtype)
    chosen = parse_units(units or [])
    jobs = plan_jobs(models or [DEFAULT_MODEL], asked, checkpoint)
    tuning = plan_tuning(per=per, units=chosen, most=most, derivative=derivative, **_settings(asked))
    say_unusable(tuning.measurement.stimulus, asked.quiet)
    keep_freed_memory()
    asked_for = [(job, partial(identify_tuning, tuning)) for job in jobs]
    sink.check_replacing(TuningCurves, lambda held: made_again(held, asked_for))
    runs: dict[str, Any] = {}
    summary, console = Summary(), Console(stderr=True)
    with progress_bar(console, asked.quiet) as update:
        parts = _measured(jobs, tuning, asked, summary, runs, update)
        stream = Stream(TuningCurves, parts, lambda: runs)
        sink.write(stream)
        sink.dump(stream)
    if not asked.quiet:
        print_tuning(console, summary, runs)
        sink.say_where(console, summary.rows)


def _measured(
    jobs: list[Job], tuning: Tuning, asked: Asked, summary: Summary, runs: dict[str, Any], update: Any
) -> Iterator[pa.Table]:
    """Rows of one observer after the other; what they come to is kept as they go by."""
    from psychophys.measurement.tuning import TuningRun
    from psychophys.observers.load import load

    for job in jobs:
        run = TuningRun(tuning, load(job, asked.device))
        if run.identifier in runs:
            continue  # The same weights in two files.
        for part in run.tables(asked.batch_size, partial(update, job.label)):
            summary.add(part)
            yield part
        runs[run.identifier] = run.record()


def _settings(asked: Asked) -> dict[str, Any]:
    """Arguments of the plan, without those that say nothing of responses."""
    from psychophys.measurement.tuning import UNUSED

    settings, usual = dict(asked.measurement), usually_asked().measurement
    if any(settings.pop(name) != usual[name] for name in UNUSED):
        raise UsageError(
            "responses are measured without noise, and have no thresholds",
            "Leave out --noise, --noise-level, --noise-option, --dprime, --confidence, --until-precision and "
            "--pooling, or use `measure`.",
        )
    return settings
