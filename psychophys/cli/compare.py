"""The command `compare`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from psychophys.base.errors import UsageError
from psychophys.cli.names import FIGURE_FILE, REFERENCES, TABLE_FILE, either
from psychophys.cli.options import FigureSize, Force, Quiet, ResultsPath, ViewedAt


def compare(
    results: ResultsPath,
    prior: Annotated[
        str | None,
        typer.Option(
            help="Name of a prior (see `psychophys priors`), or a file of one. Default: imagenet-sample."
        ),
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(help="Scale of the orientation prior in pixels. Default: the mean of all."),
    ] = None,
    human: Annotated[
        bool, typer.Option("--human", help="Compare with human sensitivity instead of a prior.")
    ] = False,
    reference: Annotated[
        str | None, typer.Option(help=f"With --human: {either(REFERENCES)}. Default: the first that fits.")
    ] = None,
    pixels_per_degree: ViewedAt = None,
    pool: Annotated[
        bool,
        typer.Option("--pool", help="Networks that differ in seed or checkpoint alone as one: their mean."),
    ] = False,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help=f"Write the numbers: {TABLE_FILE}, or -.")
    ] = None,
    force: Force = False,
    figure: Annotated[Path | None, typer.Option(help=f"Draw them: {FIGURE_FILE}.")] = None,
    size: FigureSize = None,
    quiet: Quiet = False,
) -> None:
    """Compare sensitivities with how common each value is in natural images: the efficient-coding test.

    \b
    Examples:
      psychophys measure --weights pretrained,random --seeds 19 && psychophys compare results.parquet
      psychophys compare results.parquet --prior prior.parquet --figure coding.png
      psychophys compare results.parquet --human
      psychophys compare results.parquet --pool
    """
    from rich.console import Console

    from psychophys.cli.inputs import read_rows, settle_human
    from psychophys.cli.outputs import Sink
    from psychophys.cli.screen import say
    from psychophys.cli.tables.comparisons import print_comparison
    from psychophys.comparison import compare as coding
    from psychophys.comparison.priors import load_prior
    from psychophys.comparison.table import Comparison
    from psychophys.observers.memory import keep_freed_memory
    from psychophys.plots.models import plot_any

    sink = Sink(output, figure=figure, size=size, force=force)
    sink.check()
    if human and (prior is not None or scale is not None):
        raise UsageError(
            "--human and a prior cannot be compared with at once",
            "Leave out --human, or --prior and --scale.",
        )
    rows = read_rows(results)
    pixels = settle_human(rows, human, reference, pixels_per_degree)
    chosen = None if human else load_prior(coding.DEFAULT_PRIOR if prior is None else prior)
    settings = {"prior": None if chosen is None else chosen.name, "scale": scale}
    settings |= {"human": reference or human, "pixels_per_degree": pixels, "pool": pool}
    sink.check_replacing(Comparison, lambda held: held.made_again(rows.identifiers, settings))
    keep_freed_memory()
    found = coding.compare(
        rows, chosen, scale=scale, human=reference or human, pixels_per_degree=pixels, pool=pool
    )
    density = None if chosen is None else coding.density_drawn(rows, chosen, scale)
    sink.draw(partial(plot_any, rows, found, density, pixels))
    sink.write(Comparison(found, settings))
    sink.dump(Comparison(found, settings))
    if quiet:
        return
    console = Console(stderr=True)
    print_comparison(console, found)
    say(console, *(f"written: {path}" for path in (sink.file, figure) if path is not None))
