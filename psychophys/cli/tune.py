"""The command `tune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from psychophys.base.errors import UsageError
from psychophys.cli.names import BASELINES, FIGURE_FILE, GRAINS, either
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
    from psychophys.base.types import Progress
    from psychophys.observers.names import Job
    from psychophys.results.unit_tuning import UnitTuning


@measurement_options
def tune(
    asked: Asked,
    models: Models = None,
    checkpoint: Checkpoint = None,
    per: Annotated[str, typer.Option(help=f"What a row is of: {either(GRAINS)}.")] = "centre",
    baseline: Annotated[
        str, typer.Option(help=f"What a response is over that to a blank: {either(BASELINES)}.")
    ] = "rectified",
    most: Annotated[
        int, typer.Option(help="Units of a layer; of more, so many that are spread evenly.")
    ] = 4096,
    places: Annotated[
        int,
        typer.Option(help="Pairs of orientation and frequency at which size and contrast vary; 0: none."),
    ] = 24,
    diameters: Annotated[
        str | None,
        typer.Option(help="In fractions of the image: a count or a list.", show_default="10, 0.02 to 0.9"),
    ] = None,
    contrasts: Annotated[
        str | None, typer.Option(help="A count or a list.", show_default="8, 0.03 to 1")
    ] = None,
    population: Annotated[
        int,
        typer.Option(help="Orientations at which the J of all units is taken apart; 0: not at all."),
    ] = 36,
    output: Output = "units.parquet",
    file_format: FileFormat = None,
    force: Force = False,
    figure: Annotated[
        Path | None, typer.Option(help=f"Draw distributions by layer beside those of V1: {FIGURE_FILE}.")
    ] = None,
    size: FigureSize = None,
) -> None:
    """Measure units as physiologists do: tuning to gratings, size and contrast, beside neurons of V1.

    --values are orientations (18), --frequencies and --phases those of the gratings (12 from 2 to 64
    cycles/image, 8). With --pixels-per-degree, units are set beside what was published in degrees; gratings
    stay in fractions of the image. Other options of stimuli, noise, thresholds and derivatives are not for
    this command.

    \b
    Examples:
      psychophys tune --figure units.png
      psychophys tune --layers 'blocks.?' --pixels-per-degree 40 --weights pretrained,random
      psychophys tune resnet18 --values 12 --phases 4 --places 8 --population 0 -o - --format csv
    """
    from functools import partial

    from psychophys.cli.each import plan_jobs, run_each
    from psychophys.cli.outputs import Sink
    from psychophys.cli.tables.units import print_units
    from psychophys.cli.values import parse_values
    from psychophys.measurement.again import made_again
    from psychophys.observers.devices import pick_device
    from psychophys.observers.load import load
    from psychophys.observers.memory import keep_freed_memory
    from psychophys.observers.names import DEFAULT_MODEL
    from psychophys.physiology.plan import identify_tune, plan_tune
    from psychophys.physiology.tune import run_tune
    from psychophys.plots.tune import check_units_figure, plot_units
    from psychophys.results.unit_tuning import UnitTuning

    sink = Sink(output, file_format, figure, size, force=force)
    sink.check()
    pick_device(asked.device, asked.dtype)
    jobs = plan_jobs(models or [DEFAULT_MODEL], asked, checkpoint)
    spread = {"diameters": diameters, "contrasts": contrasts}
    settings: dict[str, Any] = {"per": per, "baseline": baseline, "most": most, "places": places}
    settings |= {"population": population, "pixels_per_degree": _pixels_per_degree(asked)}
    settings |= {name: None if text is None else parse_values(name, text) for name, text in spread.items()}
    planned = plan_tune(**_settings(asked), **settings)
    if figure is not None:
        check_units_figure(len(jobs))
    keep_freed_memory()
    asked_for = [(job, partial(identify_tune, planned)) for job in jobs]
    sink.check_replacing(UnitTuning, lambda held: made_again(held, asked_for))

    def run_one(job: Job, advance: Progress) -> UnitTuning:
        return run_tune(planned, load(job, asked.device), asked.batch_size, advance)

    shown: dict[str, Any] = {"show": print_units, "draw": plot_units, "quiet": asked.quiet}
    run_each(jobs, run_one, label=lambda job: job.label, join=UnitTuning.join, sink=sink, **shown)


def _pixels_per_degree(asked: Asked) -> float | None:
    """All that a display says here: gratings are painted in pixel values."""
    from psychophys.stimuli import find_display

    display = find_display(asked.measurement["display"])
    if display is None:
        return None
    if display.transfer.curved or display.luminance_cd_m2 is not None:
        raise UsageError(
            "tune paints gratings in pixel values, whatever a display's gamma and luminance are",
            f"Give --pixels-per-degree {display.pixels_per_degree:g} alone.",
        )
    return display.pixels_per_degree


def _settings(asked: Asked) -> dict[str, Any]:
    """What the plan takes of the options that commands share; the others are refused."""
    from psychophys.physiology.plan import UNUSED

    settings, usual = dict(asked.measurement), usually_asked().measurement
    settings["display"] = usual["display"]  # Read apart.
    wrong = [name for name in UNUSED if settings.pop(name) != usual[name]]
    if wrong:
        raise UsageError(
            f"--{wrong[0].replace('_', '-')} is not for tune, which shows gratings and blanks without noise",
            "Leave it out, or use `responses` or `measure`.",
        )
    return settings
