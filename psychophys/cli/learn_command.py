"""The command `learn` and its options. Nothing heavy is imported until it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from psychophys.cli.options import Device, FileFormat, Output, Quiet


def learn(
    experiment: Annotated[str, typer.Argument(help="linear: autoencoders of natural image patches.")],
    depth: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Layers: some of 1, 2, 3 and tied, with commas.", show_default="1,2,3,tied"),
    ] = None,
    runs: Annotated[
        Optional[int], typer.Option(help="Trainings of each, with seeds from --seed on.", show_default="5")  # noqa: UP045
    ] = None,
    seed: Annotated[int, typer.Option(help="Of patches and initial weights.")] = 0,
    patch: Annotated[
        Optional[int], typer.Option(help="Side of the patches in pixels, 8 to 32.", show_default="16")  # noqa: UP045
    ] = None,
    images: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(help="Photographs to learn: folder, archive or file; may be repeated."),
    ] = None,
    init: Annotated[str, typer.Option(help="balanced or uniform (of the paper).")] = "balanced",
    learning_rate: Annotated[
        float, typer.Option(help="Times the largest eigenvalue of the patches' covariance.")
    ] = 0.05,
    steps: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Of gradient descent. Default: until the 20th mode is learned, by theory."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="--patch 8 --runs 2 unless given; fewer checkpoints.")
    ] = False,
    device: Device = "auto",
    output: Output = "learning.parquet",
    file_format: FileFormat = None,
    modes: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="File of half-times.", show_default="beside the output, NAME-modes.parquet"),
    ] = None,
    checkpoints: Annotated[
        Optional[Path], typer.Option(help="Directory to write weights to, for every run and step.")  # noqa: UP045
    ] = None,
    figure: Annotated[
        Optional[Path], typer.Option(help="Draw it: FILE.png, .svg or .pdf.")  # noqa: UP045
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train networks here, and measure what they can tell apart on the way.

    Begun again with a Parquet output, it skips the runs that are in it already.

    \b
    Examples:
      psychophys learn linear --quick
      psychophys learn linear --depth 2,tied --init uniform --figure learning.png
    """
    from psychophys.cli import learning

    asked: dict[str, Any] = {"runs": runs, "seed": seed, "patch": patch, "init": init, "steps": steps}
    asked |= {"learning_rate": learning_rate, "images": tuple(map(str, images or []))}
    outputs = learning.Outputs(output, file_format, modes, checkpoints, figure)
    learning.learn(experiment, depth, asked, learning.Manner(device, quick, quiet), outputs)
