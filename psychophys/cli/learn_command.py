"""The command `learn` and its options. Nothing heavy is imported until it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from psychophys.cli.options import Device, FileFormat, Quiet

Text = Optional[str]  # noqa: UP045
Count = Optional[int]  # noqa: UP045
Number = Optional[float]  # noqa: UP045
File = Optional[Path]  # noqa: UP045
Files = Optional[list[Path]]  # noqa: UP045
_OWN = "the experiment's own"


def learn(
    experiment: Annotated[
        str, typer.Argument(help="linear, supervised, autoencoder, classifier or rearing.")
    ],
    runs: Annotated[
        Count, typer.Option(help="Trainings of each, seeds from --seed on.", show_default="5")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides the images that are drawn and initial weights.")] = 0,
    conditions: Annotated[
        Text, typer.Option(help="Some of the experiment's conditions, with commas.", show_default=_OWN)
    ] = None,
    images: Annotated[
        Files, typer.Option(help="Photographs to learn: folder, archive or file; may be repeated.")
    ] = None,
    steps: Annotated[Count, typer.Option(help="Steps of gradient descent.", show_default=_OWN)] = None,
    batch: Annotated[Count, typer.Option(help="Images in a step; not of linear.", show_default=_OWN)] = None,
    snapshots: Annotated[
        Count, typer.Option(help="Steps that thresholds are measured at, besides 0.", show_default=_OWN)
    ] = None,
    learning_rate: Annotated[
        Number, typer.Option(help="Of a step; of linear, times the largest eigenvalue.", show_default=_OWN)
    ] = None,
    depths: Annotated[
        Text, typer.Option(help="Layers of linear: some of 1, 2, 3, tied.", show_default="1,2,3,tied")
    ] = None,
    patch: Annotated[
        Count, typer.Option(help="Side of linear's patches in pixels, 8 to 32.", show_default="16")
    ] = None,
    init: Annotated[
        Text, typer.Option(help="Of linear: balanced, or uniform as in the paper.", show_default="balanced")
    ] = None,
    noise: Annotated[
        Number, typer.Option(help="Of autoencoder: s.d. on the pixels, to be removed.", show_default="0.25")
    ] = None,
    network: Annotated[
        Text, typer.Option(help="Of classifier: a timm architecture.", show_default="test_resnet")
    ] = None,
    task: Annotated[
        Text,
        typer.Option(
            help="Of classifier: rotation, or labels (folders of --images).", show_default="rotation"
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer runs, steps and snapshots, unless given.")
    ] = False,
    device: Device = "auto",
    output: Annotated[
        Text,
        typer.Option(
            "--output",
            "-o",
            help="FILE.parquet, .csv or .jsonl; - is standard output.",
            show_default="EXPERIMENT.parquet, EXPERIMENT-quick.parquet",
        ),
    ] = None,
    file_format: FileFormat = None,
    modes: Annotated[
        File,
        typer.Option(
            help="File of linear's half-times.", show_default="beside the output, NAME-modes.parquet"
        ),
    ] = None,
    checkpoints: Annotated[
        File, typer.Option(help="Directory to write weights to, for every run and measured step.")
    ] = None,
    figure: Annotated[File, typer.Option(help="Draw it: FILE.png, .svg or .pdf.")] = None,
    quiet: Quiet = False,
) -> None:
    """Train networks here, and measure what they can tell apart on the way.

    linear: autoencoders of image patches, against theory. supervised: is it frequency or information that
    makes sensitivity? autoencoder, classifier: photographs upright, or turned by 45 deg. rearing: worlds that
    change.
    Begun again with a Parquet output, it skips the runs that are in it already.

    \b
    Examples:
      psychophys learn linear --quick
      psychophys learn supervised --conditions frequency,labels-flipped
      psychophys learn autoencoder --images photographs/ --checkpoints weights/
      psychophys measure learned --checkpoint 'weights/*-seed0-*.pth'
    """
    from psychophys.base.errors import UsageError
    from psychophys.cli import learning

    if output is not None and not output:
        raise UsageError("output ''", "Give FILE.parquet, .csv or .jsonl, or -.")
    given: dict[str, Any] = {
        "runs": runs,
        "seed": seed,
        "conditions": conditions,
        "images": tuple(map(str, images or [])),
        "steps": steps,
        "batch": batch,
        "snapshots": snapshots,
        "learning_rate": learning_rate,
        "depths": depths,
        "patch": patch,
        "init": init,
        "noise": noise,
        "network": network,
        "task": task,
    }
    outputs = learning.Outputs(output or "", file_format, modes, checkpoints, figure)
    learning.learn(experiment, given, learning.Manner(device, quick, quiet), outputs)
