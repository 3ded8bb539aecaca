"""The command `battery`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from psychophys.base.errors import UsageError
from psychophys.cli.names import DTYPES, FIGURE_FILE, GAMMAS, TABLE_FILE, WEIGHTS, either
from psychophys.cli.options import (
    Asked,
    Checkpoint,
    Device,
    DisplayName,
    FigureSize,
    FileFormat,
    Force,
    Imports,
    Luminance,
    Models,
    Output,
    PixelsPerDegree,
    Quiet,
    display_said,
    usually_asked,
)

if TYPE_CHECKING:
    from psychophys.base.types import Progress
    from psychophys.cli.outputs import Sink
    from psychophys.comparison.battery.plan import Battery
    from psychophys.comparison.battery.table import BatteryResults
    from psychophys.observers.names import Job


def battery(
    models: Models = None,
    references: Annotated[
        list[str] | None,
        typer.Option(
            help="People's data, names or glob patterns: see `psychophys priors`. May be repeated.",
            show_default="all",
        ),
    ] = None,
    checkpoint: Checkpoint = None,
    weights: Annotated[
        str, typer.Option(help=f"{', '.join(WEIGHTS)}, or several with commas.")
    ] = "pretrained",
    seed: Annotated[int, typer.Option(help="Of random and shuffled weights.")] = 0,
    seeds: Annotated[
        int | None, typer.Option(help="So many random and shuffled networks.", show_default="1")
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(help="default, all, or glob patterns; may be repeated.", show_default="default"),
    ] = None,
    display: DisplayName = None,
    pixels_per_degree: PixelsPerDegree = None,
    luminance_cd_m2: Luminance = None,
    gamma: Annotated[
        str | None, typer.Option(help=f"Of the display: {either(GAMMAS)}.", show_default="srgb")
    ] = None,
    device: Device = "auto",
    dtype: Annotated[str, typer.Option(help=f"{either(DTYPES)}.")] = "float32",
    batch_size: Annotated[
        int | None,
        typer.Option(envvar="PSYCHOPHYS_BATCH_SIZE", min=1, help="Images in a forward pass."),
    ] = None,
    imports: Imports = None,
    output: Output = "battery.parquet",
    file_format: FileFormat = None,
    thresholds: Annotated[
        Path | None, typer.Option(help=f"Keep the thresholds that were measured, too: {TABLE_FILE}.")
    ] = None,
    force: Force = False,
    figure: Annotated[Path | None, typer.Option(help=f"Draw ratios by layer: {FIGURE_FILE}.")] = None,
    size: FigureSize = None,
    quiet: Quiet = False,
) -> None:
    """Set a network beside all of people's data: thresholds, their ratio, and which layer is nearest.

    Networks and people look at 100 pixels/deg, white of 80 cd/m2 and sRGB, unless a display is said.

    \b
    Examples:
      psychophys battery
      psychophys battery resnet18 --weights pretrained,random --figure battery.png
      psychophys battery --references 'castlecsf*,foley-1994' --display standard-4k
    """
    from functools import partial

    from psychophys.cli.each import plan_jobs
    from psychophys.cli.outputs import Sink
    from psychophys.cli.values import split_words
    from psychophys.comparison.battery.plan import identify_battery, plan_battery
    from psychophys.comparison.battery.table import BatteryResults
    from psychophys.measurement.again import made_again
    from psychophys.observers.devices import pick_device
    from psychophys.observers.memory import keep_freed_memory
    from psychophys.observers.names import DEFAULT_MODEL
    from psychophys.plots.batteries import check_battery
    from psychophys.results.thresholds import Results

    sink = Sink(output, file_format, figure, size, force=force)
    kept = Sink(None if thresholds is None else str(thresholds), force=force)
    sink.check()
    kept.check()
    _check_apart(sink, kept)
    pick_device(device, dtype)
    said = display_said(display, pixels_per_degree, luminance_cd_m2, gamma)
    planned = plan_battery(_references(references), display=said, layers=split_words(layers, "default"))
    named = models or [DEFAULT_MODEL]
    jobs = plan_jobs(named, _asked(weights, seed, seeds, dtype, imports), checkpoint)
    if figure is not None:
        check_battery(planned.references, len(jobs))
    keep_freed_memory()
    wanted = [(job, partial(identify_battery, planned)) for job in jobs]
    sink.check_replacing(BatteryResults, lambda held: made_again(held, wanted))
    kept.check_replacing(Results, lambda _: False)
    _run(jobs, planned, sink, kept, device, batch_size, quiet)


def _run(
    jobs: list[Job],
    planned: Battery,
    sink: Sink,
    kept: Sink,
    device: str,
    batch_size: int | None,
    quiet: bool,
) -> None:
    """Measure one network after the other; the thresholds are kept as they come."""
    from psychophys.cli.each import run_each
    from psychophys.cli.tables.batteries import print_battery
    from psychophys.comparison.battery.run import run_battery
    from psychophys.comparison.battery.table import BatteryResults
    from psychophys.observers.load import load
    from psychophys.plots.batteries import plot_battery
    from psychophys.results.thresholds import Results

    every: list[Results] = []

    def run_one(job: Job, advance: Progress) -> BatteryResults:
        found, measured = run_battery(planned, load(job, device), batch_size=batch_size, progress=advance)
        every.append(measured)
        kept.write(Results.join(every))
        return found

    run_each(
        jobs,
        run_one,
        label=lambda job: job.label,
        join=BatteryResults.join,
        sink=sink,
        show=print_battery,
        draw=plot_battery,
        quiet=quiet,
    )


def _asked(weights: str, seed: int, seeds: int | None, dtype: str, imports: list[Path] | None) -> Asked:
    """What is said of the observers."""
    variants = [part.strip() for part in weights.split(",")]
    modules = tuple(str(path) for path in imports or [])
    return replace(usually_asked(), weights=variants, seed=seed, seeds=seeds, dtype=dtype, imports=modules)


def _check_apart(sink: Sink, kept: Sink) -> None:
    """Refuse thresholds that would go where the battery goes, or nowhere."""
    if kept.output is not None and kept.file is None:
        raise UsageError("--thresholds to standard output", "Name a file; -o - writes the battery there.")
    files = [Path(one.file).resolve() for one in (sink, kept) if one.file is not None]
    if len(set(files)) < len(files):
        raise UsageError(f"--thresholds and -o are both {kept.file}", "Name two files.")


def _references(given: list[str] | None) -> list[str]:
    """Names or patterns, which commas part, too; one that is empty is no name."""
    return [part.strip() for pattern in given or ["all"] for part in pattern.split(",")]
