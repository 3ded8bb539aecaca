"""The commands and their options. Nothing heavy is imported until a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from psychophys.cli.learn_command import learn
from psychophys.cli.options import (
    Asked,
    Checkpoint,
    Device,
    FileFormat,
    Models,
    Output,
    Quiet,
    measurement_options,
)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="What a vision model can tell apart: discrimination thresholds, layer by layer.",
    epilog="Any command takes --debug, which shows the traceback behind an error.",
)


def _version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata

        typer.echo(importlib.metadata.version("psychophys"))
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
@measurement_options
def measure(
    asked: Asked,
    models: Models = None,
    checkpoint: Checkpoint = None,
    output: Output = "results.parquet",
    file_format: FileFormat = None,
    append: Annotated[bool, typer.Option("--append", help="Add to a Parquet file that is there.")] = False,
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
    """
    from psychophys.cli import commands

    commands.measure(models or [], checkpoint, asked, commands.Sink(output, file_format, append))


@app.command()
@measurement_options
def sweep(
    asked: Asked,
    patterns: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(
            metavar="[MODEL]...", help="timm names and quoted filters, hf-hub: or local-dir: sources."
        ),
    ] = None,
    models_file: Annotated[
        Optional[Path], typer.Option(help="Text file of more names and filters, one a line; # comments.")  # noqa: UP045
    ] = None,
    exclude: Annotated[
        Optional[list[str]], typer.Option(help="Filter of names to leave out; may be repeated.")  # noqa: UP045
    ] = None,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Every set of weights of a model (its tags), not one.")
    ] = False,
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory of the results.")] = Path(
        "results"
    ),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, how long and how much to download.")
    ] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try again what failed.")] = False,
    shard: Annotated[
        Optional[str], typer.Option(metavar="I/N", help="Do part I of N alone, I from 1 to N.")  # noqa: UP045
    ] = None,
    engine: Annotated[str, typer.Option(help="processes, serial or ray.")] = "processes",
    jobs: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Measurements at a time. Default: one for each GPU, or one."),
    ] = None,
    timeout: Annotated[
        Optional[float], typer.Option(help="Seconds after which a measurement is given up.")  # noqa: UP045
    ] = None,
    address: Annotated[
        Optional[str], typer.Option(help="Of a Ray cluster; auto finds it. Default: one on this machine.")  # noqa: UP045
    ] = None,
    cpus: Annotated[int, typer.Option(help="CPUs for each measurement (ray).")] = 1,
) -> None:
    """Measure many models into one directory; begun again, it goes on where it was.

    Each model has a process of its own, so that one that crashes costs one model. Exit code 3: the
    sweep is through, and some models failed.

    \b
    Examples:
      psychophys sweep 'resnet*' 'vit_*' --exclude '*_clip*' -o results --dry-run
      psychophys sweep 'resnet*' --pretrained --weights pretrained,random,shuffled
      psychophys sweep --models-file zoo.txt --shard $SLURM_ARRAY_TASK_ID/8
      psychophys sweep 'convnext*' --engine ray --address auto
    """
    from psychophys.cli import sweep as sweeping

    request = sweeping.Request(
        patterns=patterns or [],
        models_file=models_file,
        exclude=exclude or [],
        pretrained=pretrained,
        shard=shard,
    )
    options = {"jobs": jobs, "timeout": timeout, "address": address, "cpus": cpus}
    chosen = sweeping.choose_engine(engine, asked.device, options)
    planned, left_out = sweeping.plan_sweep(request, asked, output, retry_failed)
    if dry_run:
        sweeping.preview(planned, left_out, asked)
    else:
        sweeping.run(planned, left_out, asked, chosen)


@app.command()
@measurement_options
def simulate(
    asked: Asked,
    models: Models = None,
    checkpoint: Checkpoint = None,
    check: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="Simulate what this results file measured; --layers and a number of --values choose from it."
        ),
    ] = None,
    task: Annotated[str, typer.Option(help="2afc or single (which of the two is it?).")] = "2afc",
    read_out: Annotated[
        str, typer.Option(help="ideal (the best linear one) or trained (on --training-trials).")
    ] = "ideal",
    trials: Annotated[int, typer.Option(help="At each of nine differences.")] = 1000,
    training_trials: Annotated[int, typer.Option(help="Of each kind, for the trained read-out.")] = 1000,
    trial_seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
    output: Output = "simulation.parquet",
    file_format: FileFormat = None,
    figure: Annotated[
        Optional[Path], typer.Option(help="Draw psychometric functions: FILE.png, .svg or .pdf.")  # noqa: UP045
    ] = None,
) -> None:
    """Simulate observers with noisy responses, and fit their thresholds beside the predicted ones.

    \b
    Examples:
      psychophys simulate --layers blocks.5,classifier --values 12 --phases 1
      psychophys simulate --layers classifier --noise-level 0.1 --figure curves.png
      psychophys simulate --check results.parquet --layers 'blocks.*' --values 6
      psychophys simulate --layers classifier --read-out trained --training-trials 200
    """
    from psychophys.cli import observing
    from psychophys.simulation.trials import Procedure

    experiment = Procedure(task, read_out, trials, training_trials, trial_seed)
    outputs = observing.Outputs(output, file_format, figure)
    observing.simulate(models or [], checkpoint, asked, experiment, check, outputs)


@app.command()
@measurement_options
def fisher(
    asked: Asked,
    models: Models = None,
    checkpoint: Checkpoint = None,
    dimensions: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Two or more parameters; --values are of the first, and others are measured at the values "
            "that --set or their option gives.",
            show_default="orientation,frequency",
        ),
    ] = None,
    output: Output = "fisher.parquet",
    file_format: FileFormat = None,
    figure: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Draw ellipses of two dimensions: FILE.png, .svg or .pdf."),
    ] = None,
) -> None:
    """Measure two or more dimensions at once: the Fisher matrix, thresholds joint and alone.

    --dimension, --confidence and --until-precision are not for this command.

    \b
    Examples:
      psychophys fisher --values 8 --layers 'blocks.?' --figure ellipses.png
      psychophys fisher --dimensions orientation,frequency --frequencies 2.24,4.48,8.96
      psychophys fisher --dimensions x,y,size --values 1 --set orientation=0,45
    """
    from psychophys.cli import commands
    from psychophys.cli import fisher as matrices

    sink = commands.Sink(output, file_format, append=False)
    matrices.fisher(models or [], checkpoint, asked, dimensions, sink, figure)


app.command()(learn)


@app.command()
def noises() -> None:
    """List the noise models: formula, unit, options and source.

    \b
    Example:
      psychophys noises
    """
    from psychophys.cli import observing

    observing.noises()


@app.command()
def statistics(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGES...", help="Folders, zip and tar archives, files.")
    ],
    output: Output = "prior.parquet",
    file_format: FileFormat = None,
    rotate: Annotated[
        float, typer.Option(help="Turn every image first, by degrees counter-clockwise: a control.")
    ] = 0.0,
    title: Annotated[str, typer.Option(help="What the images are; kept with the numbers.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Count what is common in photographs: a prior over orientation, hue, frequency, luminance, contrast.

    Begun again after an interruption, it goes on where it was.

    \b
    Examples:
      psychophys statistics photographs/ -o prior.parquet
      psychophys statistics imagenet.tar more/ --rotate 45 -o turned.parquet
    """
    from psychophys.cli import natural

    natural.statistics(images, output, file_format, rotate, title, seed, device, quiet)


@app.command()
def priors() -> None:
    """List the priors that come along, and the human references of `compare --human`.

    \b
    Example:
      psychophys priors
    """
    from psychophys.cli import natural

    natural.priors()


@app.command()
def compare(
    results: Annotated[Path, typer.Argument(help="A file written by `measure`, or a directory of a sweep.")],
    prior: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Name of a prior (see `psychophys priors`), or a file of one. Default: imagenet-sample."
        ),
    ] = None,
    scale: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Scale of the orientation prior in pixels. Default: the mean of all."),
    ] = None,
    human: Annotated[
        bool, typer.Option("--human", help="Compare with human sensitivity instead of a prior.")
    ] = False,
    pixels_per_degree: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="With --human: of visual angle, to turn cycles/image to cycles/deg. Default: 100."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    output: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--output", "-o", help="Write the numbers: FILE.parquet, .csv or .jsonl, or -."),
    ] = None,
    figure: Annotated[
        Optional[Path], typer.Option(help="Draw them: FILE.png, .svg or .pdf.")  # noqa: UP045
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No table and no summary.")] = False,
) -> None:
    """Compare sensitivities with how common each value is in natural images: the efficient-coding test.

    \b
    Examples:
      psychophys measure --weights pretrained,random && psychophys compare results.parquet
      psychophys compare results.parquet --prior prior.parquet --figure coding.png
      psychophys compare results.parquet --human
    """
    from psychophys.cli import natural

    against = natural.Against(prior, scale, human, pixels_per_degree)
    natural.compare(results, against, seed, natural.Outputs(output, figure, quiet))


@app.command()
def plot(
    results: Annotated[Path, typer.Argument(help="A file written by `measure`, or a directory of a sweep.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="FILE.png, .svg or .pdf.")] = Path(
        "thresholds.png"
    ),
    human: Annotated[
        bool, typer.Option("--human", help="Draw human thresholds beside, scaled to the layers'.")
    ] = False,
    pixels_per_degree: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="With --human: of visual angle, to turn cycles/image to cycles/deg. Default: 100."),
    ] = None,
) -> None:
    """Draw thresholds over the dimension, sensitivity by layer and value, and an index over depth.

    \b
    Example:
      psychophys plot results.parquet -o thresholds.pdf
    """
    from psychophys.cli import natural

    natural.plot(results, output, human, pixels_per_degree)


@app.command()
def layers(
    model: Annotated[str, typer.Argument(help="A model as for `measure`.")],
    weights: Annotated[str, typer.Option(help="random needs no download.")] = "random",
    checkpoint: Annotated[
        Optional[Path], typer.Option(help="Weights file; its number of classes is used.")  # noqa: UP045
    ] = None,
    imports: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option("--import", help="Python file or module that registers models of your own with timm."),
    ] = None,
) -> None:
    """List a model's layers in the order of the forward pass; * marks the default ones.

    \b
    Example:
      psychophys layers resnet18
    """
    from psychophys.cli import commands

    commands.layers(model, weights, checkpoint, tuple(map(str, imports or [])))


@app.command()
def models(
    pattern: Annotated[str, typer.Argument(help="timm filter with * and ?.")] = "*",
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Only names with tags, which have weights.")
    ] = False,
    exclude: Annotated[
        Optional[list[str]], typer.Option(help="Filter of names to leave out; may be repeated.")  # noqa: UP045
    ] = None,
) -> None:
    """List models of timm, one a line; the embedded one is marked.

    \b
    Example:
      psychophys models 'resnet*' --pretrained --exclude '*_clip*'
    """
    from psychophys.cli import commands

    commands.models(pattern, pretrained, exclude or [])


@app.command()
def stimuli(
    name: Annotated[Optional[str], typer.Argument(help="Show this stimulus alone.")] = None,  # noqa: UP045
    save: Annotated[
        Optional[Path], typer.Option(help="Draw a contact sheet of it to this image file.")  # noqa: UP045
    ] = None,
) -> None:
    """List stimuli, or the parameters of one with units and ranges.

    \b
    Example:
      psychophys stimuli gabor --save gabor.png
    """
    from psychophys.cli import commands

    commands.stimuli(name, save)


@app.command()
def show(
    path: Annotated[Path, typer.Argument(help="A file written by `measure`, or a directory of a sweep.")],
    sort: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Rank the runs by ratio, ratio_last, threshold_last, threshold_best or anisotropy."
        ),
    ] = None,
    top: Annotated[Optional[int], typer.Option(min=1, help="Show so many runs.")] = None,  # noqa: UP045
    file_format: Annotated[
        str, typer.Option("--format", help="table or csv (of the ranking, for other programs).")
    ] = "table",
) -> None:
    """Print the summary and the provenance of a file, or the ranking of a sweep.

    \b
    Examples:
      psychophys show results.parquet
      psychophys show results/ --sort ratio_last --top 10
      psychophys show results/ --format csv > ranking.csv
    """
    from psychophys.cli import commands

    commands.show(path, sort, top, file_format)
