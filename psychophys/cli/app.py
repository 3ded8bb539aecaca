"""The commands and their options. Nothing heavy is imported until a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

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
def measure(
    models: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(
            metavar="[MODEL]...",
            help="timm names (tags allowed), hf-hub:OWNER/NAME or local-dir:PATH. "
            "Default: tf_efficientnet_lite0, whose weights come along.",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        str, typer.Option(help="pretrained, random, shuffled, or several with commas.")
    ] = "pretrained",
    seed: Annotated[int, typer.Option(help="Of random and shuffled weights.")] = 0,
    checkpoint: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="File of weights to load in place of the pretrained ones."),
    ] = None,
    stimulus: Annotated[
        Optional[str], typer.Option(help="See `psychophys stimuli`. Default: gabor (patch for hue).")  # noqa: UP045
    ] = None,
    dimension: Annotated[
        Optional[str], typer.Option(help="Parameter to measure. Default: the stimulus's first.")  # noqa: UP045
    ] = None,
    values: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Where to measure: a count (36), a list (0,45,90) or START:STOP:COUNT."),
    ] = None,
    phases: Annotated[
        Optional[str], typer.Option(help="Phases to average over: a count or a list in degrees.")  # noqa: UP045
    ] = None,
    frequencies: Annotated[
        Optional[str], typer.Option(help="Spatial frequencies to average over, in cycles/image.")  # noqa: UP045
    ] = None,
    settings: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", metavar="NAME=VALUES", help="Any other parameter; several are averaged over."),
    ] = None,
    preset: Annotated[
        Optional[str], typer.Option(help="Settings of a published experiment: benjamin2022.")  # noqa: UP045
    ] = None,
    layers: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="default, all, or glob patterns; may be repeated.", show_default="default"),
    ] = None,
    estimator: Annotated[
        Optional[str], typer.Option(help="jvp (exact), central or chained.", show_default="jvp")  # noqa: UP045
    ] = None,
    step: Annotated[
        Optional[float], typer.Option(help="Half-width of central differences, in the dimension's unit.")  # noqa: UP045
    ] = None,
    noise: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="relative (to each layer's r.m.s. response) or gaussian (absolute).", show_default="relative"
        ),
    ] = None,
    noise_level: Annotated[float, typer.Option(help="Standard deviation, in the noise model's unit.")] = 1.0,
    dprime: Annotated[float, typer.Option(help="Criterion d' of the threshold.")] = 1.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    batch_size: Annotated[
        Optional[int], typer.Option(help="Images in a forward pass; halved where memory ends.")  # noqa: UP045
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="FILE.parquet, .csv or .jsonl; - is standard output.")
    ] = "results.parquet",
    file_format: Annotated[
        Optional[str], typer.Option("--format", help="parquet, csv or jsonl, whatever the name says.")  # noqa: UP045
    ] = None,
    append: Annotated[bool, typer.Option("--append", help="Add to a Parquet file that is there.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")] = False,
) -> None:
    """Measure how finely every layer of a model tells stimuli apart.

    \b
    Examples:
      psychophys measure
      psychophys measure resnet18 vit_tiny_patch16_224 -o two.parquet
      psychophys measure --weights pretrained,random --layers 'blocks.*'
      psychophys measure --stimulus patch --values 0:330:12 -o - --format csv
      psychophys measure --dimension contrast --set orientation=0,45 --phases 4
    """
    from psychophys.cli import commands
    from psychophys.cli.values import parse_list, parse_settings, parse_values

    parameters: dict[str, int | float | list[float]] = {**parse_settings(settings or [])}
    if phases is not None:
        parameters["phase"] = parse_values("phases", phases)
    if frequencies is not None:
        parameters["frequency"] = parse_list("frequencies", frequencies)
    asked = {
        "stimulus": stimulus,
        "dimension": dimension,
        "values": None if values is None else parse_values("values", values),
        "parameters": parameters,
        "layers": [part for pattern in layers or ["default"] for part in pattern.split(",") if part],
        "estimator": estimator,
        "step": step,
        "noise": noise,
        "noise_level": noise_level,
        "dprime": dprime,
        "preset": preset,
    }
    options = {
        "seed": seed,
        "checkpoint": checkpoint,
        "dtype": dtype,
        "device": device,
        "batch_size": batch_size,
    }
    variants = [part.strip() for part in weights.split(",")]
    commands.measure(
        models or [], variants, asked, options, commands.Sink(output, file_format, append), quiet
    )


@app.command()
def layers(
    model: Annotated[str, typer.Argument(help="A model as for `measure`.")],
    weights: Annotated[str, typer.Option(help="random needs no download.")] = "random",
    checkpoint: Annotated[
        Optional[Path], typer.Option(help="Weights file; its number of classes is used.")  # noqa: UP045
    ] = None,
) -> None:
    """List a model's layers in the order of the forward pass; * marks the default ones.

    \b
    Example:
      psychophys layers resnet18
    """
    from psychophys.cli import commands

    commands.layers(model, weights, checkpoint)


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
    file: Annotated[Path, typer.Argument(help="A Parquet file written by `measure`.")],
) -> None:
    """Print the summary and the provenance of a result file.

    \b
    Example:
      psychophys show results.parquet
    """
    from psychophys.cli import commands

    commands.show(file)
