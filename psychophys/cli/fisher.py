"""The command `fisher`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from psychophys.base.errors import UsageError
from psychophys.cli.names import FIGURE_FILE
from psychophys.cli.options import (
    Asked,
    Checkpoint,
    FigureSize,
    FileFormat,
    Force,
    From,
    Models,
    Output,
    measurement_options,
    usually_asked,
)
from psychophys.cli.pixels import PIXELS, fisher_of_pixels

if TYPE_CHECKING:
    from psychophys.base.types import Progress
    from psychophys.measurement.fisher_matrix import Joint
    from psychophys.observers.names import Job


@measurement_options
def fisher(
    asked: Asked,
    models: Models = None,
    checkpoint: Checkpoint = None,
    source: From = None,
    dimensions: Annotated[
        str | None,
        typer.Option(
            help="Two or more parameters; --values are of the first, and others are measured at the values "
            "that --set or their option gives. Or pixels: those of the photograph of --images.",
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
      psychophys fisher --dimensions pixels --images astronaut
    """
    from functools import partial

    from psychophys.cli.each import run_each
    from psychophys.cli.outputs import Sink
    from psychophys.cli.tables.matrices import print_matrices
    from psychophys.measurement.again import made_again
    from psychophys.measurement.fisher_matrix import identify_fisher, run_fisher
    from psychophys.observers.devices import pick_device
    from psychophys.observers.load import load
    from psychophys.observers.memory import keep_freed_memory
    from psychophys.plots.ellipses import check_ellipses, plot_ellipses
    from psychophys.results.fisher_matrices import FisherResults

    sink = Sink(output, file_format, figure, size, force=force)
    sink.check()
    pick_device(asked.device, asked.dtype)
    if _named(dimensions) == (PIXELS,):
        fisher_of_pixels(models, asked, checkpoint, source, sink)
        return
    planned = _plan_all(models, asked, checkpoint, dimensions, source)
    if figure is not None:
        check_ellipses(len(planned[0][0].dimensions), len(planned))
    keep_freed_memory()
    asked_for = [(job, partial(identify_fisher, joint)) for joint, job in planned]
    sink.check_replacing(FisherResults, lambda held: made_again(held, asked_for))
    asked.say_notes()

    def run_one(item: tuple[Joint, Job], advance: Progress) -> FisherResults:
        return run_fisher(item[0], load(item[1], asked.device), batch_size=asked.batch_size, progress=advance)

    run_each(
        planned,
        run_one,
        label=lambda item: item[1].label,
        join=FisherResults.join,
        sink=sink,
        show=print_matrices,
        draw=plot_ellipses,
        quiet=asked.quiet,
    )


def _plan_all(
    models: list[str] | None,
    asked: Asked,
    checkpoint: str | None,
    dimensions: str | None,
    source: Path | None,
) -> list[tuple[Joint, Job]]:
    """What is measured of which observer."""
    from psychophys.cli.each import plan_jobs, say_unusable
    from psychophys.measurement.fisher_matrix import plan_fisher
    from psychophys.observers.names import DEFAULT_MODEL

    if source is not None:
        return _plan_again(source, models or [], asked, checkpoint, dimensions)
    jobs = plan_jobs(models or [DEFAULT_MODEL], asked, checkpoint)
    joint = plan_fisher(_named(dimensions), **_settings(asked, asked.measurement))
    say_unusable(joint.measurement.stimulus, asked.quiet)
    return [(joint, job) for job in jobs]


def _plan_again(
    source: Path, models: list[str], asked: Asked, checkpoint: str | None, dimensions: str | None
) -> list[tuple[Joint, Job]]:
    """The same of the runs of a file: of matrices, or of one dimension to which others are added."""
    from psychophys.cli.repeating import jobs_of, runs_of
    from psychophys.measurement.fisher_matrix import plan_fisher

    planned: dict[str, tuple[Joint, Job]] = {}
    for run in runs_of(source, asked):
        named = run.dimensions if dimensions is None and run.dimensions else _named(dimensions)
        said = {**_settings(asked, asked.settings_said), "dimension": named[0]}
        other = run.changed(**said)
        settings = {**other.settings, "stimulus": other.measurement().stimulus}
        for name in ("dimension", "precision", "confidence", "pooling"):
            settings.pop(name, None)
        joint = plan_fisher(named, **settings)
        for job in jobs_of(run, models, asked, checkpoint):
            planned.setdefault(f"{joint.measurement.as_dict()} {named} {job}", (joint, job))
    return list(planned.values())


def _named(dimensions: str | None) -> tuple[str, ...]:
    from psychophys.measurement.fisher_matrix import DEFAULT_DIMENSIONS

    return DEFAULT_DIMENSIONS if dimensions is None else tuple(part.strip() for part in dimensions.split(","))


def _settings(asked: Asked, given: dict[str, Any]) -> dict[str, Any]:
    """Those that this command takes; it refuses the others."""
    settings, usual = dict(asked.measurement), usually_asked().measurement
    if settings.pop("dimension") is not None:
        raise UsageError("--dimension is of one dimension", "Use --dimensions, as in --dimensions x,y.")
    if any(settings.pop(name) != usual[name] for name in ("precision", "confidence")):
        raise UsageError(
            "fisher gives no intervals", "Leave out --confidence and --until-precision, or use `measure`."
        )
    if settings.pop("pooling") != usual["pooling"]:
        raise UsageError("fisher averages J over the samples", "Leave out --pooling, or use `measure`.")
    return {name: value for name, value in given.items() if name in settings}
