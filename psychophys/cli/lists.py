"""The commands that list what there is: `layers`, `models`, `stimuli`, `displays`, `noises`, `priors`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from psychophys.base.errors import UsageError, unknown
from psychophys.cli.names import FIGURE_FILE
from psychophys.cli.options import (
    DisplayName,
    Exclude,
    FigureSize,
    GammaName,
    Imports,
    Luminance,
    PixelsPerDegree,
    display_said,
)


def layers(
    model: Annotated[str, typer.Argument(help="A model as for `measure`.")],
    weights: Annotated[str, typer.Option(help="random needs no download.")] = "random",
    checkpoint: Annotated[
        Path | None, typer.Option(help="Weights file; its numbers of classes and channels are used.")
    ] = None,
    imports: Imports = None,
) -> None:
    """List a model's layers in the order of the forward pass; * marks the default ones.

    \b
    Example:
      psychophys layers resnet18
    """
    from psychophys.cli.catalogue import layers as layers_untrained
    from psychophys.cli.catalogue import layers_of
    from psychophys.cli.screen import plain_table, print_table, wide_console

    if imports or checkpoint is not None or weights != "random":
        from psychophys.observers.imports import import_modules

        import_modules([str(path) for path in imports or []])
        weights = "pretrained" if checkpoint is not None else weights
        found = layers_of(model, weights=weights, checkpoint=checkpoint)
    else:
        found = layers_untrained(model)
    table = plain_table()
    for heading in ("", "layer", "type", "output"):
        table.add_column(heading, no_wrap=True)
    table.add_column("units", justify="right", no_wrap=True)
    for row in found["rows"]:
        table.add_row(*row)
    print_table(wide_console(), table)
    for sentence in found["adapted"]:
        print(f"adapted: {sentence}", file=sys.stderr)
    for name, why in found["skipped"].items():
        print(f"not a layer: {name}: {why}", file=sys.stderr)


def models(
    pattern: Annotated[str, typer.Argument(help="timm filter with * and ?.")] = "*",
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Only names with tags, which have weights.")
    ] = False,
    exclude: Exclude = None,
) -> None:
    """List models of timm, one a line; the embedded one is marked.

    \b
    Example:
      psychophys models 'resnet*' --pretrained --exclude '*_clip*'
    """
    from psychophys.cli.catalogue import models as find

    chosen, names, embedded = find(pattern, pretrained=pretrained, exclude=exclude or [])
    if not chosen:
        raise unknown("model", pattern, names, "A filter may hold * and ?, as in 'resnet*'.")
    for name in chosen:
        print(f"{name}  (embedded)" if name in embedded else name)


def stimuli(
    name: Annotated[str | None, typer.Argument(help="Show this stimulus alone.")] = None,
    save: Annotated[Path | None, typer.Option(help=f"Draw a contact sheet of it: {FIGURE_FILE}.")] = None,
    size: FigureSize = None,
    display: DisplayName = None,
    pixels_per_degree: PixelsPerDegree = None,
    luminance_cd_m2: Luminance = None,
    gamma: GammaName = None,
) -> None:
    """List stimuli, or the parameters of one with units and ranges, and its contrast as rendered.

    \b
    Examples:
      psychophys stimuli gabor --save gabor.png
      psychophys stimuli gabor --display srgb
    """
    shown = display_said(display, pixels_per_degree, luminance_cd_m2, gamma)
    if shown is not None and name is None:
        raise UsageError("a display needs one stimulus", "Write `psychophys stimuli gabor --display srgb`.")
    if size is not None and save is None:
        raise UsageError(f"--size {size} without a figure", "Give --save, too, or leave it out.")
    if name is not None:
        _print_parameters(name, shown)
        if save is not None:
            _save_sheet(name, shown, save, size)
    elif save is not None:
        raise UsageError("--save needs one stimulus", "Write `psychophys stimuli gabor --save sheet.png`.")
    else:
        _print_stimuli()


def _print_stimuli() -> None:
    from psychophys.cli.catalogue import stimuli as every
    from psychophys.cli.screen import plain_table, print_table, wide_console

    table = plain_table()
    for heading in ("stimulus", "dimensions", "what it is"):
        table.add_column(heading, no_wrap=heading == "stimulus", overflow="fold")
    for name, about in every().items():
        table.add_row(name, ", ".join(about["dimensions"]), about["summary"])
    print_table(wide_console(), table)


def _print_parameters(name: str, display: dict[str, Any] | None) -> None:
    from psychophys.cli.catalogue import about as about_one
    from psychophys.cli.catalogue import contrast, contrast_of
    from psychophys.cli.catalogue import stimuli as every
    from psychophys.cli.screen import plain_table, print_table, wide_console

    if name not in (known := every()):
        raise unknown("stimulus", name, known, "See `psychophys stimuli`.")
    if display is None:
        about, rendered = known[name], contrast(name)
        print(f"{name}: {about['summary']}")
    else:
        from psychophys.stimuli import get_stimulus, on_display

        shown = on_display(get_stimulus(name), display)
        about, rendered = about_one(shown), contrast_of(shown)
        print(f"{name}: {about['summary']}; {shown.display}, for images of 224 x 224 pixels")
    table = plain_table()
    for heading in ("parameter", "unit", "default", "possible", "measured", "period", "meaning"):
        table.add_column(heading, no_wrap=heading != "meaning")
    for row in about["parameters"]:
        table.add_row(*row)
    print_table(wide_console(), table)
    if rendered["rows"]:
        _print_contrast(rendered)


def _print_contrast(about: dict[str, Any]) -> None:
    from psychophys.cli.screen import plain_table, print_table, say, wide_console

    height, width = about["size"]
    table = plain_table(f"contrast as rendered at {height} x {width} pixels, lowest to highest")
    share = f"Michelson / contrast at {about['low']:g}"
    for heading in (about["unit"], "Michelson at 1", "r.m.s. at 1", share):
        table.add_column(heading, justify="right", no_wrap=True)
    for line in about["rows"]:
        table.add_row(*line)
    console = wide_console()
    say(console, "")
    print_table(console, table)


def _save_sheet(name: str, display: dict[str, Any] | None, path: Path, size: str | None) -> None:
    from psychophys.cli.outputs import settle_size
    from psychophys.plots.sheet import contact_sheet
    from psychophys.plots.style import check_figure, save_figure
    from psychophys.stimuli import get_stimulus, on_display

    check_figure(path)
    stimulus = get_stimulus(name) if display is None else on_display(get_stimulus(name), display)
    save_figure(contact_sheet(stimulus, size=settle_size(size)), path)
    print(f"contact sheet in {path}", file=sys.stderr)


def displays() -> None:
    """List the displays: pixels per degree of visual angle, white, and how light becomes pixel values.

    \b
    Example:
      psychophys displays
    """
    from psychophys.cli.catalogue import displays as every
    from psychophys.cli.screen import plain_table, print_table, wide_console

    table = plain_table()
    for heading in ("display", "pixels/deg", "white, cd/m2", "gamma", "what it is"):
        table.add_column(heading, no_wrap=heading != "what it is", overflow="fold")
    for row in every():
        table.add_row(*row)
    print_table(wide_console(), table)


def noises() -> None:
    """List the noise models: formula, unit, options and source.

    \b
    Example:
      psychophys noises
    """
    from psychophys.cli.catalogue import noises as every
    from psychophys.cli.screen import say, wide_console

    say(wide_console(), *every())


def priors(
    save: Annotated[
        Path | None, typer.Option(help=f"Draw the human references, all in one figure: {FIGURE_FILE}.")
    ] = None,
    size: FigureSize = None,
) -> None:
    """List the priors that come along, and the human references of `compare --human`.

    \b
    Example:
      psychophys priors --save people.png
    """
    if size is not None and save is None:
        raise UsageError(f"--size {size} without a figure", "Give --save, too, or leave it out.")
    if save is not None:
        _save_people(save, size)
    from psychophys.cli.catalogue import priors as every
    from psychophys.cli.screen import plain_table, print_table, say, wide_console

    found = every()
    kinds = plain_table()
    for heading in ("prior", "statistics", "what it is"):
        kinds.add_column(heading, no_wrap=heading == "prior", overflow="fold")
    for row in found["priors"]:
        kinds.add_row(*row)
    references = plain_table("human references (compare --human)")
    for heading in ("name", "of", "threshold in", "over", "observers", "spread", "citation"):
        references.add_column(heading, no_wrap=heading == "name", overflow="fold")
    for row in found["references"]:
        references.add_row(*row)
    console = wide_console()
    print_table(console, kinds)
    say(console, "")
    print_table(console, references)


def _save_people(path: Path, size: str | None) -> None:
    from psychophys.cli.outputs import settle_size
    from psychophys.plots.people import plot_people
    from psychophys.plots.style import check_figure, save_figure

    check_figure(path)
    save_figure(plot_people(size=settle_size(size)), path)
    print(f"figure in {path}", file=sys.stderr)
