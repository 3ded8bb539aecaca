"""The command `test`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from psychophys.base.errors import UsageError
from psychophys.cli.options import Asked, Checkpoint, FigureSize, Force, measurement_options

if TYPE_CHECKING:
    from rich.console import Console

    from psychophys.cli.outputs import Sink
    from psychophys.sweeps.coding import CodingTest
    from psychophys.sweeps.tasks import Task

SOME_FAILED = 1


@measurement_options
def test(
    asked: Asked,
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A timm name, hf-hub:OWNER/NAME or local-dir:PATH.")
    ] = "tf_efficientnet_lite0",
    checkpoint: Checkpoint = None,
    controls: Annotated[
        str, typer.Option(help="Networks to compare with: random, shuffled or both with a comma.")
    ] = "random",
    prior: Annotated[
        str | None,
        typer.Option(help="Name or file of a prior (see `psychophys priors`). Default: imagenet-sample."),
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="Scale of the orientation prior in pixels. Default: the mean of all.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Directory of the results. Default: coding-MODEL, with what is not usual about the test.",
        ),
    ] = None,
    force: Force = False,
    size: FigureSize = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try again what failed.")] = False,
    jobs: Annotated[
        int | None,
        typer.Option(help="Measurements at a time. Default: one for each GPU, or for each core of a CPU."),
    ] = None,
) -> None:
    """Test a model for efficient coding: is it most sensitive to what is most common, and is that learned?

    Measures the trained network and 20 untrained ones (--seeds), compares them with how common each value is
    in natural images, and says in which layers training made the difference. Begun again, it goes on.

    \b
    Examples:
      psychophys test
      psychophys test resnet50 --controls random,shuffled -o resnet50
      psychophys test --dimension hue --stimulus patch-lch
      psychophys test my_net --import my_net.py --checkpoint run/last.pth
    """
    from rich.console import Console

    from psychophys.cli.outputs import Sink, settle_size
    from psychophys.cli.tables.sweeps import run_visibly
    from psychophys.comparison.compare import DEFAULT_PRIOR
    from psychophys.comparison.table import FILE_OF_TEST, Comparison
    from psychophys.observers.devices import pick_device
    from psychophys.observers.memory import keep_freed_memory
    from psychophys.sweeps.coding import choose_engine, evaluate, find_density, plan_test, usual_jobs

    settle_size(size)
    pick_device(asked.device, asked.dtype)
    tested, tasks = _plan(asked, model, checkpoint, controls)
    find_density(tested[0].measurement, prior, scale)  # Before anything is measured.
    folder = output or Path(_usual_name(tested))
    settings = {"prior": prior or DEFAULT_PRIOR, "scale": scale, "controls": sorted(_split(controls))}
    settings["tested"] = sorted(task.key for task in tested)
    sink = Sink(str(folder / FILE_OF_TEST), figure=folder / "coding.png", size=size, force=force)
    sink.check_replacing(Comparison, lambda held: held.settings == settings)
    sweep = plan_test(tasks, folder, retry_failed=retry_failed)
    engine = choose_engine(usual_jobs(asked.device, len(sweep.to_do)) if jobs is None else jobs, asked.device)
    sweep.store.prepare()
    keep_freed_memory()
    console = Console(stderr=True)
    run_visibly(sweep, engine, console, asked.quiet)
    found = evaluate(sweep, tested, prior, scale)
    sink.write(Comparison(found.comparison, settings))
    _finish(found, sink, folder / "verdict.txt")
    if not asked.quiet:
        _show(console, found, folder)
    if found.failures:
        raise typer.Exit(SOME_FAILED)


def _plan(asked: Asked, model: str, checkpoint: str | None, controls: str) -> tuple[list[Task], list[Task]]:
    """The measurements of the networks that are tested, and of all."""
    from dataclasses import replace

    from psychophys.cli.each import plan_tasks
    from psychophys.sweeps.coding import SEEDS, add_controls, plan_coding

    if len(asked.weights) > 1:
        raise UsageError(f"weights {','.join(asked.weights)} at once", "Test one, and name --controls.")
    tested = plan_tasks([model], replace(asked, seeds=None), checkpoint, plan_coding)
    return tested, add_controls(tested, _split(controls), SEEDS if asked.seeds is None else asked.seeds)


def _split(controls: str) -> list[str]:
    return [part.strip() for part in controls.split(",")]


def _usual_name(tested: list[Task]) -> str:
    """Of the directory: the model, and the weights and the dimension where they are not the usual ones."""
    import re

    task = tested[0]
    parts = ["coding", task.job.model.rstrip("/").rpartition("/")[2]]
    if task.job.checkpoint is not None:
        parts.append(Path(task.job.checkpoint).stem)
    if task.job.weights != "pretrained":
        parts.append(task.job.weights)
    if task.measurement.dimension != "orientation":
        parts.append(task.measurement.dimension)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts))


def _finish(found: CodingTest, sink: Sink, verdict: Path) -> None:
    """Draw the figure, write the verdict, and say what is missing."""
    import sys
    from functools import partial

    from psychophys.base.files import write_atomically
    from psychophys.plots.coding import plot_coding

    sink.draw(partial(plot_coding, found.results, found.comparison, found.density))
    text = "\n".join(found.conclusions) + "\n"
    write_atomically(verdict, lambda stream: stream.write(text.encode()))
    for label, reason in found.failures.items():
        print(f"error: {label}: {reason}", file=sys.stderr)


def _show(console: Console, found: CodingTest, folder: Path) -> None:
    from psychophys.cli.screen import say
    from psychophys.cli.tables.comparisons import print_comparison

    print_comparison(console, found.comparison)
    say(console, f"in {folder}: verdict.txt, comparison.parquet, coding.png and the thresholds in measured")
