"""The command `learn`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from psychophys.base.errors import UsageError
from psychophys.cli.names import EXPERIMENTS, FIGURE_FILE, TABLE_FILE, either
from psychophys.cli.options import Device, FigureSize, FileFormat, Force, Quiet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psychophys.cli.trainings import LearningSink
    from psychophys.learning.experiments import Experiment
    from psychophys.learning.training import Training

_OWN = "the experiment's own"


def learn(
    experiment: Annotated[str, typer.Argument(help=f"{either(EXPERIMENTS)}.")],
    runs: Annotated[
        int | None, typer.Option(help="Trainings of each, seeds from --seed on.", show_default="5")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides the images that are drawn and initial weights.")] = 0,
    conditions: Annotated[
        str | None, typer.Option(help="Some of the experiment's conditions, with commas.", show_default=_OWN)
    ] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Photographs to learn: folder, archive or file; may be repeated."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of gradient descent.", show_default=_OWN)] = None,
    batch: Annotated[
        int | None, typer.Option(help="Images in a step; not of linear.", show_default=_OWN)
    ] = None,
    snapshots: Annotated[
        int | None, typer.Option(help="Steps that thresholds are measured at, besides 0.", show_default=_OWN)
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="Of a step; of linear, times the largest eigenvalue.", show_default=_OWN),
    ] = None,
    depths: Annotated[
        str | None, typer.Option(help="Layers of linear: some of 1, 2, 3, tied.", show_default="1,2,3,tied")
    ] = None,
    patch: Annotated[
        int | None, typer.Option(help="Side of linear's patches in pixels, 8 to 32.", show_default="16")
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(help="Of linear: balanced, or uniform as in the paper.", show_default="balanced"),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(
            help="Of autoencoder, planted (0.25) and hue (0.1): s.d. on the pixels, to be removed.",
            show_default=_OWN,
        ),
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="Of classifier: a timm architecture.", show_default="test_resnet")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="Of classifier: rotation, or labels (folders of --images).", show_default="rotation"
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer runs, steps and snapshots, unless given.")
    ] = False,
    device: Device = "auto",
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help=f"{TABLE_FILE}; - is standard output.",
            show_default="EXPERIMENT.parquet, EXPERIMENT-quick.parquet",
        ),
    ] = None,
    file_format: FileFormat = None,
    force: Force = False,
    modes: Annotated[
        Path | None,
        typer.Option(
            help="File of linear's half-times.", show_default="beside the output, NAME-modes.parquet"
        ),
    ] = None,
    checkpoints: Annotated[
        Path | None, typer.Option(help="Directory to write weights to, for every run and measured step.")
    ] = None,
    figure: Annotated[Path | None, typer.Option(help=f"Draw it: {FIGURE_FILE}.")] = None,
    size: FigureSize = None,
    quiet: Quiet = False,
) -> None:
    """Train networks here, and measure what they can tell apart on the way.

    linear: autoencoders of image patches, against theory. supervised: is it frequency or information that
    makes sensitivity? autoencoder, classifier: photographs upright, or turned by 45 deg. planted: worlds
    whose prior is known. hue: photographs whose hues are turned. rearing: worlds that change.
    Begun again with a Parquet output, it skips the runs that are in it already.

    \b
    Examples:
      psychophys learn linear --quick
      psychophys learn supervised --conditions frequency,labels-flipped
      psychophys learn autoencoder --images photographs/ --checkpoints weights/
      psychophys measure learned --checkpoint 'weights/*-seed0-*.pth'
    """
    from psychophys.learning.experiments import EXPERIMENTS
    from psychophys.observers.devices import pick_device
    from psychophys.observers.memory import keep_freed_memory

    chosen = EXPERIMENTS.find(experiment)
    given: dict[str, Any] = {
        "runs": runs,
        "seed": seed,
        "steps": steps,
        "batch": batch,
        "snapshots": snapshots,
    }
    given |= {"conditions": _split(conditions), "images": tuple(map(str, images or [])) or None}
    given |= {"learning_rate": learning_rate, "depths": _split(depths), "patch": patch, "init": init}
    given |= {"noise": noise, "network": network, "task": task}
    settings = chosen.settle({name: value for name, value in given.items() if value is not None}, quick)
    pick_device(device)
    if output is None:
        output = f"{experiment}-quick.parquet" if quick else f"{experiment}.parquet"
    sink = _make_sink(chosen, output, file_format, figure, size, modes, checkpoints, force)
    sink.check()
    keep_freed_memory()
    _train(experiment, chosen.plan(settings), sink, device, quiet)


def _split(text: str | None) -> tuple[str, ...] | None:
    """What is written with commas; None where nothing is."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def _make_sink(
    experiment: Experiment,
    output: str,
    file_format: str | None,
    figure: Path | None,
    size: str | None,
    modes: Path | None,
    folder: Path | None,
    force: bool,
) -> LearningSink:
    """Where it all goes; half-times of an experiment that has them go beside the thresholds."""
    from psychophys.cli.outputs import STANDARD_OUTPUT, Sink
    from psychophys.cli.trainings import LearningSink
    from psychophys.learning.experiments import EXPERIMENTS as TABLE
    from psychophys.learning.training import modes_beside

    if not output:
        raise UsageError("output ''", "Give FILE.parquet, .csv or .jsonl, or -.")
    Sink(output, file_format).check()  # Before a file is named beside it.
    if modes is not None and not experiment.has_modes:
        having = " and ".join(one.name for one in TABLE.values() if one.has_modes)
        raise UsageError(f"--modes with experiment {experiment.name}", f"Only {having} has half-times.")
    if modes is None and experiment.has_modes and output != STANDARD_OUTPUT:
        modes = modes_beside(output)
    return LearningSink(output, file_format, figure, size, force=force, modes=modes, folder=folder)


def _train(name: str, trainings: Sequence[Training], sink: LearningSink, device: str, quiet: bool) -> None:
    """Train, write after each training, then print what the experiment comes to."""
    from functools import partial

    from rich.console import Console

    from psychophys.cli.display import progress_bar
    from psychophys.cli.tables.findings import print_findings
    from psychophys.learning.training import run_trainings, trainings_in
    from psychophys.plots.learning import plot_learning

    console = Console(stderr=True)
    previous = sink.previous(trainings)
    with progress_bar(console, quiet, "steps") as update:
        learned = run_trainings(
            trainings,
            device=device,
            folder=sink.folder,
            previous=previous,
            finished=sink.write_learned,
            progress=lambda done, total: update(name, done, total),
        )
    sink.write_learned(learned)
    sink.dump(learned.thresholds)
    sink.draw(partial(plot_learning, learned))
    if quiet:
        return
    print_findings(console, learned)
    sink.say_where(console, len(learned.thresholds))
    if previous is not None:
        there = len(trainings_in(previous.thresholds))
        console.print(f"{there} of {len(trainings)} trainings were in the file already", highlight=False)
