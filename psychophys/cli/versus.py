"""The command `versus`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from psychophys.cli.names import FIGURE_FILE, TABLE_FILE
from psychophys.cli.options import FigureSize, Force, Quiet, ResultsPath


def versus(
    results: ResultsPath,
    other: Annotated[
        Path | None,
        typer.Argument(
            help="A second one. Without it: the first run of the file against each of its others."
        ),
    ] = None,
    by_depth: Annotated[
        bool, typer.Option("--by-depth", help="Match layers by depth, though they have the same names.")
    ] = False,
    confidence: Annotated[float, typer.Option(help="Of the intervals, over phases or images.")] = 0.95,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help=f"Write the numbers: {TABLE_FILE}, or -.")
    ] = None,
    force: Force = False,
    figure: Annotated[Path | None, typer.Option(help=f"Draw them: {FIGURE_FILE}.")] = None,
    size: FigureSize = None,
    quiet: Quiet = False,
) -> None:
    """Set two measurements side by side: the ratio of their thresholds, layer by layer.

    \b
    Examples:
      psychophys versus resnet18.parquet resnet50.parquet --figure ratios.png
      psychophys measure --weights pretrained,random -o two.parquet && psychophys versus two.parquet
    """
    from functools import partial

    from rich.console import Console

    from psychophys.cli.inputs import read_rows
    from psychophys.cli.outputs import Sink
    from psychophys.cli.screen import say
    from psychophys.cli.tables.ratios import print_ratios
    from psychophys.comparison.ratio_table import Ratios
    from psychophys.comparison.ratios import threshold_ratios
    from psychophys.plots.ratios import plot_ratios

    sink = Sink(output, figure=figure, size=size, force=force)
    sink.check()
    first = read_rows(results)
    second = None if other is None else read_rows(other)
    found = threshold_ratios(first, second, confidence=confidence, by_depth=by_depth)
    runs = first.identifiers | (frozenset() if second is None else second.identifiers)
    sink.check_replacing(Ratios, lambda held: held.made_again(runs, found.meta["settings"]))
    sink.draw(partial(plot_ratios, found))
    sink.write(found)
    sink.dump(found)
    if not quiet:
        console = Console(stderr=True)
        print_ratios(console, found)
        say(console, *(f"written: {path}" for path in (sink.file, figure) if path is not None))
