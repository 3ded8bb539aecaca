"""What the commands around noise and simulated observers do once their options are parsed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from psychophys.base.errors import PsychophysError, UsageError
from psychophys.cli.commands import Sink, make_tasks, read_rows
from psychophys.cli.display import number, progress_bar, wide_console
from psychophys.cli.options import Asked
from psychophys.noise.models import DIFFERENTIAL
from psychophys.noise.table import NOISE
from psychophys.observers.load import load_observer
from psychophys.observers.names import DEFAULT_MODEL
from psychophys.observers.observer import pick_device
from psychophys.plots.psychometric import plot_psychometric
from psychophys.plots.style import check_figure, save_figure
from psychophys.responses.memory import keep_freed_memory
from psychophys.results.summary import run_name
from psychophys.simulation.check import check_results
from psychophys.simulation.run import run_simulation
from psychophys.simulation.table import Simulations, conclusions
from psychophys.simulation.trials import Procedure

Update = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Outputs:
    """Where a simulation goes."""

    output: str
    file_format: str | None
    figure: Path | None

    def check(self) -> None:
        """Refuse what cannot be written before anything is computed."""
        Sink(self.output, self.file_format, append=False).prepare()
        if self.figure is not None:
            check_figure(self.figure)


def simulate(
    names: list[str],
    checkpoint: str | None,
    asked: Asked,
    experiment: Procedure,
    checked: Path | None,
    outputs: Outputs,
) -> None:
    """Simulate, write after each model, then print predicted against fitted thresholds."""
    outputs.check()
    pick_device(asked.device)
    if checked is not None and names:
        raise UsageError(f"--check {checked} and a model", "Give one: the file says which model it is of.")
    keep_freed_memory()
    console = Console(stderr=True)
    parts: list[Simulations] = []
    with progress_bar(console, asked.quiet) as progress:
        if checked is None:
            found = _simulate_each(names, checkpoint, asked, experiment, outputs, progress)
        else:
            found = _check(checked, asked, experiment, outputs, progress)
        failed = 0
        for part in found:
            if isinstance(part, PsychophysError):
                failed += 1
                print(f"error: {part}", file=sys.stderr)
                continue
            parts.append(part)
            if outputs.output != "-":
                Simulations.join(parts).write(outputs.output, outputs.file_format)
    if parts:
        _finish(console, Simulations.join(parts), outputs, asked.quiet)
    if failed:
        raise typer.Exit(1)


def _finish(console: Console, simulations: Simulations, outputs: Outputs, quiet: bool) -> None:
    if outputs.output == "-":
        simulations.dump(sys.stdout.buffer, outputs.file_format or "csv")
        sys.stdout.buffer.flush()
    if outputs.figure is not None:
        save_figure(plot_psychometric(simulations), outputs.figure)
    if not quiet:
        _report(console, simulations, outputs)


def _simulate_each(
    names: list[str],
    checkpoint: str | None,
    asked: Asked,
    experiment: Procedure,
    outputs: Outputs,
    progress: Update,
) -> Iterator[Simulations | PsychophysError]:
    """Of several, one that fails does not stop the others."""
    every = make_tasks(names or [DEFAULT_MODEL], asked, checkpoint)
    tasks = list({task.job: task for task in every}.values())
    experiment.check(tasks[0].measurement)
    _check_one(outputs, len(tasks))
    for task in tasks:

        def update(done: int, total: int, label: str = task.job.label) -> None:
            progress(label, done, total)

        try:
            observer = load_observer(**asdict(task.job), device=task.device)
            found = run_simulation(
                task.measurement, observer, experiment, batch_size=task.batch_size, progress=update
            )
        except PsychophysError as error:
            if len(tasks) == 1:
                raise
            yield error
        else:
            yield found


def _check(
    path: Path, asked: Asked, experiment: Procedure, outputs: Outputs, progress: Update
) -> Iterator[Simulations | PsychophysError]:
    _refuse_others(asked)
    values = asked.measurement["values"]
    if values is not None and not isinstance(values, int):
        raise UsageError(
            "--check with a list of values", "Give how many of the file's values, as --values 6."
        )
    results = read_rows(path)
    _check_one(outputs, len(results.runs))
    yield check_results(
        results,
        procedure=experiment,
        layers=asked.measurement["layers"],
        values=values,
        device=asked.device,
        progress=lambda done, total: progress(path.name, done, total),
    )


def _check_one(outputs: Outputs, count: int) -> None:
    if outputs.figure is not None and count > 1:
        raise UsageError(f"one figure of {count} simulations", "Draw them one by one.")


def _refuse_others(asked: Asked) -> None:
    """What a file says of its measurement is not said again."""
    usual = {"dprime": 1.0, "confidence": 0.95, "parameters": {}, "noise_options": {}, "images": []}
    free = ("layers", "values")
    given = [k for k, v in asked.measurement.items() if k not in free and v != usual.get(k)]
    if asked.weights != ["pretrained"] or asked.seed != 0:
        given.append("weights")
    if asked.dtype != "float32":
        given.append("dtype")
    if given:
        raise UsageError(
            f"--check with another {' and '.join(name.replace('_', ' ') for name in given)}",
            "The file says what was measured: choose --layers and a number of --values from it.",
        )


def _report(console: Console, simulations: Simulations, outputs: Outputs) -> None:
    for _, run in simulations.to_pandas().groupby("run_id", sort=False):
        console.print(_table(run))
    for sentence in conclusions(simulations):
        console.print(sentence, highlight=False, soft_wrap=True)
    if outputs.output != "-":
        console.print(f"{len(simulations):,} rows in {outputs.output}", highlight=False, soft_wrap=True)
    if outputs.figure is not None:
        console.print(f"figure in {outputs.figure}", highlight=False, soft_wrap=True, markup=False)


def _table(run: pd.DataFrame) -> Table:
    first = run.iloc[0]
    title = f"{run_name(first)}: {first['dimension']} thresholds in {first['unit']}, {first['task']}, "
    title += f"{first['read_out']} read-out, {first['noise']} noise {first['noise_level']:g}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column("layer", no_wrap=True)
    for heading in ("predicted", "fitted", "deviation", "largest", "power", "agree"):
        table.add_column(heading, justify="right", no_wrap=True)
    for layer, part in run.groupby("layer", sort=False):
        known = part[part["deviation"].notna()]
        if known.empty:
            table.add_row(
                str(layer), number(part["predicted_threshold"].mean()), *["-"] * 4, part["status"].iloc[0]
            )
            continue
        largest = known["deviation"].iloc[int(np.argmax(known["deviation"].abs()))]
        table.add_row(
            str(layer),
            number(known["predicted_threshold"].mean()),
            number(known["fitted_threshold"].mean()),
            f"{known['deviation'].median():+.1%}",
            f"{largest:+.1%}",
            f"{known['power'].median():.2f}",
            f"{(known['status'] == 'agrees').sum()}/{len(part)}",
        )
    return table


def noises() -> None:
    """Print the noise models: formula, units, options and source."""
    console = wide_console()
    for noise in NOISE.values():
        console.print(f"{noise.name}: {noise.formula}", highlight=False, markup=False)
        console.print(f"  level: {noise.level_unit} (default {noise.level:g})", highlight=False, markup=False)
        for option in noise.options:
            line = f"  {option.name}: {option.meaning}, in {option.unit} (default {option.default:g})"
            console.print(line, highlight=False, markup=False)
        console.print(f"  source: {noise.source}", highlight=False, markup=False)
    console.print(
        f"all: {DIFFERENTIAL.name}: {DIFFERENTIAL.meaning}, in {DIFFERENTIAL.unit} (default 0)",
        highlight=False,
    )
