"""The command `simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from psychophys.base.errors import UsageError
from psychophys.cli.names import FIGURE_FILE, READ_OUTS, TASKS, either
from psychophys.cli.options import (
    Asked,
    Checkpoint,
    FigureSize,
    FileFormat,
    Force,
    From,
    Models,
    Output,
    measurement_options,
    usually_asked,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psychophys.base.types import Progress
    from psychophys.cli.each import Item
    from psychophys.cli.outputs import Sink
    from psychophys.simulation.table import Simulations
    from psychophys.simulation.trials import Procedure


@measurement_options
def simulate(
    asked: Asked,
    models: Models = None,
    checkpoint: Checkpoint = None,
    source: From = None,
    check: Annotated[
        Path | None,
        typer.Option(
            help="Simulate what this results file measured; --layers and a number of --values choose from it."
        ),
    ] = None,
    task: Annotated[str, typer.Option(help=f"What the decider is asked: {either(TASKS)}.")] = "2afc",
    read_out: Annotated[str, typer.Option(help=f"How it reads responses: {either(READ_OUTS)}.")] = "ideal",
    trials: Annotated[int, typer.Option(help="At each of nine differences.")] = 1000,
    training_trials: Annotated[int, typer.Option(help="Of each kind, for the trained read-out.")] = 1000,
    trial_seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
    output: Output = "simulation.parquet",
    file_format: FileFormat = None,
    force: Force = False,
    figure: Annotated[Path | None, typer.Option(help=f"Draw psychometric functions: {FIGURE_FILE}.")] = None,
    size: FigureSize = None,
) -> None:
    """Simulate observers with noisy responses, and fit their thresholds beside the predicted ones.

    \b
    Examples:
      psychophys simulate --layers blocks.5,classifier --values 12 --phases 1
      psychophys simulate --layers classifier --noise-level 0.1 --figure curves.png
      psychophys simulate --check results.parquet --layers 'blocks.*' --values 6
      psychophys simulate --layers classifier --read-out trained --training-trials 200
    """
    from psychophys.cli.outputs import Sink
    from psychophys.observers.devices import pick_device
    from psychophys.observers.memory import keep_freed_memory
    from psychophys.simulation.trials import Procedure

    procedure = Procedure(task, read_out, trials, training_trials, trial_seed)
    sink = Sink(output, file_format, figure, size, force=force)
    sink.check()
    pick_device(asked.device, asked.dtype)
    if check is not None and models:
        raise UsageError(f"--check {check} and a model", "Give one: the file says which model it is of.")
    if check is not None and checkpoint is not None:
        raise UsageError(f"--check {check} and a checkpoint", "Leave it out: the file names its own.")
    if check is not None and source is not None:
        raise UsageError(f"--check {check} and --from {source}", "Give one of them.")
    keep_freed_memory()
    if check is None:
        _simulate_models(models, checkpoint, source, asked, procedure, sink)
    else:
        _simulate_file(check, asked, procedure, sink)


def _simulate_models(
    models: list[str] | None,
    checkpoint: str | None,
    source: Path | None,
    asked: Asked,
    procedure: Procedure,
    sink: Sink,
) -> None:
    from functools import partial

    from psychophys.cli.repeating import tasks_of
    from psychophys.measurement.again import made_again
    from psychophys.measurement.record import identify
    from psychophys.observers.load import load
    from psychophys.simulation.run import run_simulation
    from psychophys.simulation.table import Simulations
    from psychophys.sweeps.tasks import Task

    tasks, _ = tasks_of(models, asked, checkpoint, source)
    if source is None:
        tasks = list({task.job: task for task in tasks}.values())
    for task in tasks:
        procedure.check(task.measurement)
    _refuse_figure_of_several(sink, len(tasks))
    wanted = [(task.job, partial(identify, task.measurement)) for task in tasks]
    sink.check_replacing(Simulations, lambda held: held.is_by(procedure.record) and made_again(held, wanted))
    asked.say_notes()

    def run_one(task: Task, advance: Progress) -> Simulations:
        observer = load(task.job, task.device)
        return run_simulation(
            task.measurement, observer, procedure, batch_size=task.batch_size, progress=advance
        )

    _run(tasks, run_one, lambda task: task.job.label, sink, asked.quiet)


def _simulate_file(path: Path, asked: Asked, procedure: Procedure, sink: Sink) -> None:
    from psychophys.cli.inputs import read_rows
    from psychophys.results.thresholds import Results
    from psychophys.simulation.check import check_results, checked_again
    from psychophys.simulation.table import Simulations

    _refuse_what_the_file_says(asked)
    values = asked.measurement["values"]
    if values is not None and not isinstance(values, int):
        raise UsageError(
            "--check with a list of values", "Give how many of the file's values, as --values 6."
        )
    results = read_rows(path)
    _refuse_figure_of_several(sink, len(results.runs))
    layers = asked.measurement["layers"]
    sink.check_replacing(Simulations, lambda held: checked_again(held, results, procedure, layers, values))

    def run_one(results: Results, advance: Progress) -> Simulations:
        return check_results(
            results,
            procedure=procedure,
            layers=layers,
            values=values,
            batch_size=asked.batch_size,
            device=asked.device,
            progress=advance,
        )

    _run([results], run_one, lambda _: path.name, sink, asked.quiet)


def _run(
    items: Sequence[Item],
    run_one: Callable[[Item, Progress], Simulations],
    label: Callable[[Item], str],
    sink: Sink,
    quiet: bool,
) -> None:
    from psychophys.cli.each import run_each
    from psychophys.cli.tables.simulations import print_simulations
    from psychophys.plots.psychometric import plot_psychometric
    from psychophys.simulation.table import Simulations

    run_each(
        items,
        run_one,
        label=label,
        join=Simulations.join,
        sink=sink,
        show=print_simulations,
        draw=plot_psychometric,
        quiet=quiet,
    )


def _refuse_figure_of_several(sink: Sink, count: int) -> None:
    if sink.figure is not None and count > 1:
        raise UsageError(f"one figure of {count} simulations", "Draw them one by one.")


def _refuse_what_the_file_says(asked: Asked) -> None:
    """What a file says of its measurement is not said again."""
    usual = usually_asked()
    free = ("layers", "values")
    given = [k for k, v in asked.measurement.items() if k not in free and v != usual.measurement[k]]
    if (asked.weights, asked.seed) != (usual.weights, usual.seed):
        given.append("weights")
    of_observer = ("dtype", "arithmetic", "noise_seed", "seeds")
    given += [name for name in of_observer if getattr(asked, name) != getattr(usual, name)]
    if given:
        raise UsageError(
            f"--check with another {' and '.join(name.replace('_', ' ') for name in given)}",
            "The file says what was measured: choose --layers and a number of --values from it.",
        )
