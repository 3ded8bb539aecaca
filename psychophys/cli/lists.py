"""The commands that list what there is: `layers`, `models`, `stimuli`, `noises`, `priors`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from psychophys.base.errors import UsageError, unknown
from psychophys.cli.names import FIGURE_FILE
from psychophys.cli.options import Exclude, FigureSize, Imports

if TYPE_CHECKING:
    from psychophys.stimuli.contrast import Line


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
    from psychophys.cli.display import plain_table, wide_console
    from psychophys.observers.imports import import_modules
    from psychophys.observers.layers import default_modules, list_layers
    from psychophys.observers.load import load_observer

    import_modules([str(path) for path in imports or []])
    if checkpoint is not None:
        weights = "pretrained"
    observer = load_observer(model, weights=weights, checkpoint=checkpoint)
    defaults = set(default_modules(observer.model))
    selection = list_layers(observer)
    table = plain_table()
    for heading in ("", "layer", "type", "output"):
        table.add_column(heading, no_wrap=True)
    table.add_column("units", justify="right", no_wrap=True)
    for layer in selection.layers:
        shape = " x ".join(str(size) for size in layer.shape)
        mark = "*" if layer.name.partition("@")[0] in defaults else ""
        table.add_row(mark, layer.name, layer.kind, shape, f"{layer.n_features:,}")
    wide_console().print(table)
    for sentence in observer.adapted:
        print(f"adapted: {sentence}", file=sys.stderr)
    for name, why in selection.skipped.items():
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
    import timm

    from psychophys.observers.names import is_embedded

    names = timm.list_models(pattern, pretrained=pretrained, exclude_filters=exclude or [])
    if not names:
        raise unknown("model", pattern, timm.list_models(), "A filter may hold * and ?, as in 'resnet*'.")
    for name in names:
        print(f"{name}  (embedded)" if is_embedded(name) else name)


def stimuli(
    name: Annotated[str | None, typer.Argument(help="Show this stimulus alone.")] = None,
    save: Annotated[Path | None, typer.Option(help=f"Draw a contact sheet of it: {FIGURE_FILE}.")] = None,
    size: FigureSize = None,
) -> None:
    """List stimuli, or the parameters of one with units and ranges, and its contrast as rendered.

    \b
    Example:
      psychophys stimuli gabor --save gabor.png
    """
    if size is not None and save is None:
        raise UsageError(f"--size {size} without a figure", "Give --save, too, or leave it out.")
    if name is not None:
        _print_parameters(name)
        if save is not None:
            _save_sheet(name, save, size)
    elif save is not None:
        raise UsageError("--save needs one stimulus", "Write `psychophys stimuli gabor --save sheet.png`.")
    else:
        _print_stimuli()


def _print_stimuli() -> None:
    from psychophys.cli.display import plain_table, wide_console
    from psychophys.stimuli import STIMULI

    table = plain_table()
    for heading in ("stimulus", "dimensions", "what it is"):
        table.add_column(heading, no_wrap=heading == "stimulus", overflow="fold")
    for stimulus in STIMULI.values():
        dimensions = ", ".join(p.name for p in stimulus.parameters if p.measurable)
        table.add_row(stimulus.name, dimensions, stimulus.summary)
    wide_console().print(table)


def _print_parameters(name: str) -> None:
    from psychophys.cli.display import plain_table, wide_console
    from psychophys.stimuli import get_stimulus
    from psychophys.stimuli.contrast import contrast_table

    stimulus = get_stimulus(name)
    print(f"{stimulus.name}: {stimulus.summary}")
    table = plain_table()
    for heading in ("parameter", "unit", "default", "possible", "measured", "period", "meaning"):
        table.add_column(heading, no_wrap=heading != "meaning")
    for p in stimulus.parameters:
        count = stimulus.nuisance.get(p.name)
        default = f"{p.default:.4g}" if count is None else f"{count} values"
        swept = f"{p.sweep[0]:g} to {p.sweep[1]:g}" if p.measurable else "-"
        period = "-" if p.period is None else f"{p.period:g}"
        table.add_row(p.name, p.unit, default, f"{p.low:g} to {p.high:g}", swept, period, p.meaning)
    wide_console().print(table)
    if lines := contrast_table(stimulus):
        _print_contrast(lines)


def _print_contrast(lines: Sequence[Line]) -> None:
    from psychophys.cli.display import plain_table, wide_console
    from psychophys.stimuli.contrast import LOW, SIZE

    table = plain_table(f"contrast as rendered at {SIZE[0]} x {SIZE[1]} pixels, lowest to highest")
    headings = ("cycles/image", "Michelson at 1", "r.m.s. at 1", f"Michelson / contrast at {LOW:g}")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for line in lines:
        ends = (f"{low:.2f}-{high:.2f}" for low, high in (line.michelson, line.rms, line.share))
        table.add_row(f"{line.frequency:g}", *ends)
    wide_console().print("", table, sep="\n")


def _save_sheet(name: str, path: Path, size: str | None) -> None:
    from psychophys.cli.outputs import settle_size
    from psychophys.plots.sheet import contact_sheet
    from psychophys.plots.style import check_figure, save_figure
    from psychophys.stimuli import get_stimulus

    check_figure(path)
    save_figure(contact_sheet(get_stimulus(name), size=settle_size(size)), path)
    print(f"contact sheet in {path}", file=sys.stderr)


def noises() -> None:
    """List the noise models: formula, unit, options and source.

    \b
    Example:
      psychophys noises
    """
    from psychophys.cli.display import wide_console
    from psychophys.noise.information import DIFFERENTIAL
    from psychophys.noise.models import NOISE

    lines = []
    for noise in NOISE.values():
        lines += [
            f"{noise.name}: {noise.formula}",
            f"  level: {noise.level_unit} (default {noise.level:g})",
            *(f"  {o.name}: {o.meaning}, in {o.unit} (default {o.default:g})" for o in noise.options),
            f"  source: {noise.source}",
        ]
    lines += [f"all: {DIFFERENTIAL.name}: {DIFFERENTIAL.meaning}, in {DIFFERENTIAL.unit} (default 0)"]
    console = wide_console()
    for line in lines:
        console.print(line, highlight=False, markup=False)


def priors() -> None:
    """List the priors that come along, and the human references of `compare --human`.

    \b
    Example:
      psychophys priors
    """
    from psychophys.cli.display import plain_table, wide_console
    from psychophys.comparison.priors import list_priors
    from psychophys.comparison.references import REFERENCES

    kinds = plain_table()
    for heading in ("prior", "statistics", "what it is"):
        kinds.add_column(heading, no_wrap=heading == "prior", overflow="fold")
    for prior in list_priors():
        kinds.add_row(prior.name, ", ".join(prior.statistics), prior.meta["summary"])
    references = plain_table("human references (compare --human)")
    for heading in ("name", "dimension", "unit", "valid range", "citation"):
        references.add_column(heading, no_wrap=heading == "name", overflow="fold")
    for one in REFERENCES.values():
        low, high = one.valid
        valid = f"{low:g} to {high:g} {one.axis_unit}"
        unit = one.unit if one.kind == "absolute" else "shape only"
        references.add_row(one.name, one.dimension, unit, valid, f"{one.citation}, doi:{one.doi}")
    wide_console().print(kinds, "", references, sep="\n")
