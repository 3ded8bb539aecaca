"""The command `test`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from psychophys.base.errors import UsageError
from psychophys.cli.options import Asked, Checkpoint, measurement_options

if TYPE_CHECKING:
    from rich.console import Console

    from psychophys.comparison.priors import Density
    from psychophys.sweeps.coding import CodingTest
    from psychophys.sweeps.sweep import Sweep

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
        Path | None, typer.Option("--output", "-o", help="Directory of the results. Default: coding-MODEL.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try again what failed.")] = False,
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
    import sys

    from rich.console import Console

    from psychophys.cli.tables.sweeps import run_visibly
    from psychophys.observers.devices import pick_device
    from psychophys.observers.memory import keep_freed_memory
    from psychophys.sweeps.coding import evaluate, find_density
    from psychophys.sweeps.engines import Serial
    from psychophys.sweeps.sweep import State

    pick_device(asked.device, asked.dtype)
    sweep = _plan(asked, model, checkpoint, controls, output, retry_failed)
    density = find_density(sweep.tasks[0].measurement, prior, scale)
    folder = sweep.store.folder.parent
    sweep.store.prepare()
    keep_freed_memory()
    console = Console(stderr=True)
    run_visibly(sweep, Serial(), console, asked.quiet)
    found = evaluate(sweep, prior, scale)
    _write(found, folder, density, {"prior": prior, "scale": scale})
    for label, reason in found.failures.items():
        print(f"error: {label}: {reason}", file=sys.stderr)
    if not asked.quiet:
        _show(console, found, folder)
    if sweep.count(State.FAILED):
        raise typer.Exit(SOME_FAILED)


def _plan(
    asked: Asked, model: str, checkpoint: str | None, controls: str, output: Path | None, retry_failed: bool
) -> Sweep:
    """The measurements of all networks; the one that is tested comes first."""
    from dataclasses import replace

    from psychophys.cli.each import plan_tasks
    from psychophys.sweeps.coding import SEEDS, plan_test, with_controls, with_preset

    if len(asked.weights) > 1:
        raise UsageError(f"weights {','.join(asked.weights)} at once", "Test one, and name --controls.")
    settings = replace(asked, measurement=with_preset(asked.measurement))
    kinds = [part.strip() for part in controls.split(",")]
    tested = plan_tasks([model], replace(settings, seeds=None), checkpoint)
    tasks = with_controls(tested, kinds, SEEDS if asked.seeds is None else asked.seeds)
    folder = output or Path("coding-" + model.rstrip("/").rpartition("/")[2].replace(":", "-"))
    return plan_test(tasks, folder, retry_failed=retry_failed)


def _write(found: CodingTest, folder: Path, density: Density, settings: dict[str, Any]) -> None:
    from psychophys.base.files import write_atomically
    from psychophys.comparison.table import Comparison
    from psychophys.plots.coding import plot_coding
    from psychophys.plots.style import save_figure

    Comparison(found.comparison, settings).write(folder / "comparison.parquet")
    save_figure(plot_coding(found.results, found.comparison, density), folder / "coding.png")
    text = "\n".join(found.conclusions) + "\n"
    write_atomically(folder / "verdict.txt", lambda stream: stream.write(text.encode()))


def _show(console: Console, found: CodingTest, folder: Path) -> None:
    from psychophys.cli.display import say
    from psychophys.cli.tables.comparisons import print_comparison

    print_comparison(console, found.comparison)
    say(console, f"in {folder}: verdict.txt, comparison.parquet, coding.png and the thresholds in measured")
