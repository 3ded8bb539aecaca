"""The command `fisher`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from psychophys.base.errors import UsageError
from psychophys.cli.names import FIGURE_FILE
from psychophys.cli.options import (
    Asked,
    Checkpoint,
    FigureSize,
    FileFormat,
    Force,
    Models,
    Output,
    measurement_options,
    usually_asked,
)

if TYPE_CHECKING:
    from psychophys.measurement.fisher_matrix import Joint


@measurement_options
def fisher(
    asked: Asked,
    models: Models = None,
    checkpoint: Checkpoint = None,
    dimensions: Annotated[
        str | None,
        typer.Option(
            help="Two or more parameters; --values are of the first, and others are measured at the values "
            "that --set or their option gives.",
            show_default="orientation,frequency",
        ),
    ] = None,
    output: Output = "fisher.parquet",
    file_format: FileFormat = None,
    force: Force = False,
    figure: Annotated[
        Path | None, typer.Option(help=f"Draw ellipses of two dimensions: {FIGURE_FILE}.")
    ] = None,
    size: FigureSize = None,
) -> None:
    """Measure two or more dimensions at once: the Fisher matrix, thresholds joint and alone.

    --dimension, --confidence, --until-precision and --pooling are not for this command.

    \b
    Examples:
      psychophys fisher --values 8 --layers 'blocks.?' --figure ellipses.png
      psychophys fisher --dimensions orientation,frequency --frequencies 2.24,4.48,8.96
      psychophys fisher --dimensions x,y,size --values 1 --set orientation=0,45
    """
    from psychophys.base.types import Progress
    from psychophys.cli.each import plan_jobs, run_each, say_unusable
    from psychophys.cli.outputs import Sink
    from psychophys.cli.tables.matrices import print_matrices
    from psychophys.measurement.again import made_again
    from psychophys.measurement.fisher_matrix import identify_fisher, run_fisher
    from psychophys.observers.devices import pick_device
    from psychophys.observers.load import load
    from psychophys.observers.memory import keep_freed_memory
    from psychophys.observers.names import DEFAULT_MODEL, Job
    from psychophys.plots.ellipses import check_ellipses, plot_ellipses
    from psychophys.results.fisher_matrices import FisherResults

    sink = Sink(output, file_format, figure, size, force=force)
    sink.check()
    pick_device(asked.device, asked.dtype)
    jobs = plan_jobs(models or [DEFAULT_MODEL], asked, checkpoint)
    joint = _plan(asked, dimensions)
    say_unusable(joint.measurement.stimulus, asked.quiet)
    if figure is not None:
        check_ellipses(len(joint.dimensions), len(jobs))
    keep_freed_memory()
    sink.check_replacing(
        FisherResults, lambda held: made_again(held, jobs, lambda observer: identify_fisher(joint, observer))
    )

    def run_one(job: Job, advance: Progress) -> FisherResults:
        return run_fisher(joint, load(job, asked.device), batch_size=asked.batch_size, progress=advance)

    run_each(
        jobs,
        run_one,
        label=lambda job: job.label,
        join=FisherResults.join,
        sink=sink,
        show=print_matrices,
        draw=plot_ellipses,
        quiet=asked.quiet,
    )


def _plan(asked: Asked, dimensions: str | None) -> Joint:
    from psychophys.measurement.fisher_matrix import DEFAULT_DIMENSIONS, plan_fisher

    settings, usual = dict(asked.measurement), usually_asked().measurement
    if settings.pop("dimension") is not None:
        raise UsageError("--dimension is of one dimension", "Use --dimensions, as in --dimensions x,y.")
    if any(settings.pop(name) != usual[name] for name in ("precision", "confidence")):
        raise UsageError(
            "fisher gives no intervals", "Leave out --confidence and --until-precision, or use `measure`."
        )
    if settings.pop("pooling") != usual["pooling"]:
        raise UsageError("fisher averages J over the samples", "Leave out --pooling, or use `measure`.")
    named = DEFAULT_DIMENSIONS if dimensions is None else [part.strip() for part in dimensions.split(",")]
    return plan_fisher(named, **settings)
