"""The command `distort`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from psychophys.base.errors import UsageError
from psychophys.cli.names import DTYPES, FIGURE_FILE, SPACES, WEIGHTS, either
from psychophys.cli.options import (
    Checkpoint,
    Device,
    FigureSize,
    FileFormat,
    Force,
    Imports,
    Output,
    Quiet,
)

if TYPE_CHECKING:
    from psychophys.comparison.distort import Beside
    from psychophys.measurement.pixels.plan import Pixels
    from psychophys.observers.names import Job


def distort(
    image: Annotated[
        str,
        typer.Argument(help="A photograph: a file, or the name of one that comes along, as astronaut."),
    ],
    model: Annotated[
        str | None,
        typer.Argument(
            help="A model, as for `measure`. Default: tf_efficientnet_lite0, whose weights come along.",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[str, typer.Option(help=f"{either(WEIGHTS)}.")] = "pretrained",
    seed: Annotated[int, typer.Option(help="Of random and shuffled weights.")] = 0,
    checkpoint: Checkpoint = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Find the changes that MODEL and this one see most unlike, layer by layer."
        ),
    ] = None,
    against_weights: Annotated[
        str | None,
        typer.Option(help="Of the other one, which is the same model unless --against says another."),
    ] = None,
    regularization: Annotated[
        float | None,
        typer.Option(
            help="With --against: floor under both one's eigenvalues, in means of all of them.",
            show_default="1",
        ),
    ] = None,
    human: Annotated[
        bool, typer.Option("--human", help="Add thresholds of people, by their contrast sensitivity.")
    ] = False,
    pixels_per_degree: Annotated[
        float | None,
        typer.Option(
            help="With --human: of visual angle, for who looks at the photograph.", show_default="100"
        ),
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(
            help="default, all, or glob patterns; may be repeated.", show_default="five of the usual ones"
        ),
    ] = None,
    count: Annotated[int, typer.Option(help="Changes at each end.")] = 1,
    space: Annotated[str, typer.Option(help=f"Changes to look among: {either(SPACES)} (grey ones).")] = "rgb",
    noise: Annotated[str, typer.Option(help="relative or gaussian.")] = "relative",
    noise_level: Annotated[
        float | None, typer.Option(help="In the noise model's unit.", show_default="1")
    ] = None,
    dprime: Annotated[float, typer.Option(help="Criterion d' of the threshold.")] = 1.0,
    steps: Annotated[int, typer.Option(help="Products with the Fisher matrix in each layer, at most.")] = 100,
    tolerance: Annotated[
        float, typer.Option(help="Residual that ends the search, as a fraction of the eigenvalue.")
    ] = 1e-3,
    start_seed: Annotated[int, typer.Option(help="Of the direction that it begins with.")] = 0,
    at: Annotated[
        str, typer.Option(help="What the figure shows: changes at equal norm, or at threshold.")
    ] = "norm",
    rms: Annotated[
        float | None,
        typer.Option(help="Of changes at equal norm: r.m.s. of all pixel values.", show_default="0.1"),
    ] = None,
    device: Device = "auto",
    dtype: Annotated[str, typer.Option(help=f"{either(DTYPES)}.")] = "float32",
    imports: Imports = None,
    output: Output = "distortions.parquet",
    file_format: FileFormat = None,
    force: Force = False,
    figure: Annotated[Path | None, typer.Option(help=f"Draw the pictures: {FIGURE_FILE}.")] = None,
    size: FigureSize = None,
    quiet: Quiet = False,
) -> None:
    """Find the changes of a photograph that each layer sees most and least.

    They are the ends of the pixels' Fisher matrix (eigen-distortions); the file and the figure have pictures.

    \b
    Examples:
      psychophys distort astronaut --figure distortions.png
      psychophys distort photo.jpg resnet18 --layers 'layer*' --space luminance --human
      psychophys distort astronaut --against-weights random --figure unlike.png
    """
    from functools import partial

    from rich.console import Console

    from psychophys.cli.display import progress_bar
    from psychophys.cli.outputs import Sink
    from psychophys.cli.tables.distortions import print_distortions
    from psychophys.comparison.distort import identify_distort, run_distort
    from psychophys.measurement.again import made_again
    from psychophys.observers.load import load
    from psychophys.observers.memory import keep_freed_memory
    from psychophys.observers.names import DEFAULT_MODEL, Job
    from psychophys.plots.distortions import plot_distortions, settle_shown
    from psychophys.results.distortions import Distortions

    sink = Sink(output, file_format, figure, size, force=force)
    sink.check()
    shown = settle_shown(at, rms)
    pixels = _plan(
        image, layers, count, space, noise, noise_level, dprime, steps, tolerance, start_seed, imports
    )
    job = Job(model or DEFAULT_MODEL, weights, seed, checkpoint, dtype)
    keep_freed_memory()
    people = _pixels_per_degree(human, pixels_per_degree)
    beside = _beside(job, against, against_weights, regularization, people, device)
    asked_for = [(job, partial(identify_distort, pixels, beside))]
    sink.check_replacing(Distortions, lambda held: made_again(held, asked_for))
    console = Console(stderr=True)
    with progress_bar(console, quiet, "products") as update:
        found = run_distort(pixels, load(job, device), beside, partial(update, job.label))
    sink.write(found)
    sink.dump(found)
    sink.draw(partial(plot_distortions, found, rms=shown))
    if not quiet:
        print_distortions(console, found)
        sink.say_where(console, len(found))


def _plan(
    image: str,
    layers: list[str] | None,
    count: int,
    space: str,
    noise: str,
    noise_level: float | None,
    dprime: float,
    steps: int,
    tolerance: float,
    start_seed: int,
    imports: list[Path] | None,
) -> Pixels:
    from psychophys.cli.values import split_words
    from psychophys.measurement.pixels.plan import plan_pixels
    from psychophys.observers.imports import import_modules

    import_modules(tuple(str(path) for path in imports or []))
    return plan_pixels(
        image,
        layers=split_words(layers, "default"),
        count=count,
        space=space,
        noise=noise,
        noise_level=noise_level,
        dprime=dprime,
        steps=steps,
        tolerance=tolerance,
        start_seed=start_seed,
    )


def _pixels_per_degree(human: bool, given: float | None) -> float | None:
    from psychophys.cli.inputs import check_human
    from psychophys.comparison.viewing import settle_pixels_per_degree

    check_human(human, None, given)
    return settle_pixels_per_degree(given) if human else None


def _beside(
    job: Job,
    against: str | None,
    against_weights: str | None,
    regularization: float | None,
    pixels_per_degree: float | None,
    device: str,
) -> Beside:
    """What the changes are set beside; the other observer is loaded when all else is right."""
    from dataclasses import replace

    from psychophys.comparison.distort import REGULARIZATION, Beside, settle_against
    from psychophys.observers.load import load

    other = settle_against(job, against, against_weights)
    if regularization is not None and other is None:
        raise UsageError("--regularization is of two observers", "Give --against, too, or leave it out.")
    floor = REGULARIZATION if regularization is None else regularization
    beside = Beside(None, floor, pixels_per_degree)
    return beside if other is None else replace(beside, against=load(other, device))
