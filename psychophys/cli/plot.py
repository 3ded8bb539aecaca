"""The command `plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from psychophys.cli.names import FIGURE_FILE, REFERENCES, either
from psychophys.cli.options import FigureSize, Quiet, ResultsPath, ViewedAt


def plot(
    results: ResultsPath,
    output: Annotated[Path, typer.Option("--output", "-o", help=f"{FIGURE_FILE}.")] = Path("thresholds.png"),
    human: Annotated[
        bool, typer.Option("--human", help="Draw human thresholds beside, scaled to the layers'.")
    ] = False,
    reference: Annotated[
        str | None, typer.Option(help=f"With --human: {either(REFERENCES)}. Default: the first that fits.")
    ] = None,
    pixels_per_degree: ViewedAt = None,
    size: FigureSize = None,
    quiet: Quiet = False,
) -> None:
    """Draw thresholds over the dimension, sensitivity by layer and value, and an index over depth.

    \b
    Example:
      psychophys plot results.parquet -o thresholds.pdf
    """
    import sys

    from psychophys.cli.inputs import read_rows, settle_human
    from psychophys.cli.outputs import settle_size
    from psychophys.learning.training import read_learned, trainings_in
    from psychophys.plots.learning import plot_learning
    from psychophys.plots.style import check_figure, save_figure
    from psychophys.plots.thresholds import plot_thresholds

    check_figure(output)
    chosen = settle_size(size)
    rows = read_rows(results)
    pixels = settle_human(rows, human, reference, pixels_per_degree)
    if trainings_in(rows) and not results.is_dir():
        figure = plot_learning(read_learned(results), size=chosen)
    else:
        figure = plot_thresholds(rows, human=reference or human, pixels_per_degree=pixels, size=chosen)
    save_figure(figure, output)
    if not quiet:
        print(f"figure in {output}", file=sys.stderr)
