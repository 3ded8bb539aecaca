"""What `psychophys learn` does once its options are parsed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from psychophys.cli.commands import Sink
from psychophys.cli.display import number, progress_bar
from psychophys.errors import UsageError
from psychophys.learning import findings, get_experiment
from psychophys.learning.training import (
    Learned,
    Training,
    make_folder,
    modes_beside,
    read_learned,
    run_trainings,
    trainings_in,
)
from psychophys.learning.trends import Findings
from psychophys.memory import keep_freed_memory
from psychophys.observers import pick_device
from psychophys.plots import check_figure, save_figure
from psychophys.plots_learning import plot_learning
from psychophys.tables import check_output

EVEN = 0.3
"""Of half an interval: twice how far its middle may be from the mean for a plus-minus."""


@dataclass(frozen=True)
class Manner:
    """How an experiment is run."""

    device: str
    quick: bool
    quiet: bool


@dataclass(frozen=True)
class Outputs:
    """Where an experiment goes.

    Attributes
    ----------
    output
        Empty for that of the experiment.
    modes
        Default: beside a file of thresholds, as NAME-modes.parquet.
    folder
        Of checkpoints.
    """

    output: str
    file_format: str | None
    modes: Path | None
    folder: Path | None
    figure: Path | None
    has_modes: bool = False

    @property
    def modes_path(self) -> Path | None:
        """Where half-times are written; None for nowhere."""
        if self.modes is not None or self.output == "-" or not self.has_modes:
            return self.modes
        return modes_beside(self.output)

    def prepare(self) -> None:
        """Refuse what cannot be written before anything is computed."""
        Sink(self.output, self.file_format, append=False).prepare()
        if self.modes_path is not None:
            check_output(self.modes_path)
            if self.output != "-" and self.modes_path.absolute() == Path(self.output).absolute():
                raise UsageError("--modes and --output name one file", "Give two.")
        if self.figure is not None:
            check_figure(self.figure)
        if self.folder is not None:
            make_folder(self.folder)

    def previous(self, trainings: Sequence[Training]) -> Learned | None:
        """What an earlier call left; None where there is nothing of use.

        Raises
        ------
        UsageError
            If it holds trainings that are not asked for now, and would be lost.
        """
        if self.output == "-":
            return None
        try:
            found = read_learned(self.output, self.modes_path)
        except (UsageError, OSError):
            return None
        if lost := trainings_in(found.thresholds) - {training.identifier for training in trainings}:
            raise UsageError(
                f"output {self.output!r} holds {len(lost)} trainings that are not asked for now",
                "Give another --output, or remove the file.",
            )
        return found

    def write(self, learned: Learned) -> None:
        """Write all that there is so far."""
        if self.modes_path is not None:
            learned.modes.write(self.modes_path)
        if self.output != "-":
            learned.thresholds.write(self.output, self.file_format)


def learn(name: str, given: dict[str, Any], manner: Manner, outputs: Outputs) -> None:
    """Train, write after each training, then print what the experiment comes to."""
    experiment = get_experiment(name)
    settings = experiment.settle(_known(given), manner.quick)
    pick_device(manner.device)
    if outputs.modes is not None and not experiment.has_modes:
        raise UsageError(f"--modes with experiment {name}", "Only linear has half-times.")
    outputs = replace(outputs, output=outputs.output or f"{name}.parquet", has_modes=experiment.has_modes)
    outputs.prepare()
    keep_freed_memory()
    console = Console(stderr=True)
    trainings = experiment.plan(settings)
    previous = outputs.previous(trainings)
    with progress_bar(console, manner.quiet, "steps") as progress:
        learned = run_trainings(
            trainings,
            device=manner.device,
            folder=outputs.folder,
            previous=previous,
            finished=outputs.write,
            progress=lambda done, total: progress(name, done, total),
        )
    outputs.write(learned)
    if outputs.output == "-":
        learned.thresholds.dump(sys.stdout.buffer, outputs.file_format or "csv")
        sys.stdout.buffer.flush()
    if outputs.figure is not None:
        save_figure(plot_learning(learned), outputs.figure)
    if not manner.quiet:
        _report(console, learned, outputs)


def _known(given: dict[str, Any]) -> dict[str, Any]:
    """What was given, with lists that are written with commas as tuples."""
    chosen = {key: value for key, value in given.items() if value is not None and value != ()}
    for key in ("depths", "conditions"):
        if key in chosen:
            chosen[key] = tuple(part.strip() for part in chosen[key].split(",") if part.strip())
    return chosen


def _report(console: Console, learned: Learned, outputs: Outputs) -> None:
    found = findings(learned)
    seeds = len({one["learning"]["seed"] for one in learned.thresholds.runs.values()})
    console.print(
        _table(f"{learned.experiment}, {seeds} {'runs' if seeds > 1 else 'run'}: {found.title}", found)
    )
    for sentence in found.sentences:
        console.print(sentence, highlight=False, soft_wrap=True, markup=False)
    if outputs.output != "-":
        modes = f", modes in {outputs.modes_path}" if outputs.modes_path is not None else ""
        line = f"{len(learned.thresholds):,} rows in {outputs.output}{modes}"
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    for what, path in (("figure", outputs.figure), ("weights", outputs.folder)):
        if path is not None:
            console.print(f"{what} in {path}", highlight=False, soft_wrap=True, markup=False)


def _table(title: str, found: Findings) -> Table:
    """A column for each number, with its interval beside it."""
    # One space between columns: that fits a terminal of 80.
    style: dict[str, Any] = {"box": None, "pad_edge": False, "padding": (0, 1, 0, 0)}
    table = Table(title=title, title_justify="left", header_style="bold", **style)
    names = [str(name) for name in found.table if not str(name).endswith(("_low", "_high"))]
    names = [name for name in names if found.table[name].notna().any()]
    for place, name in enumerate(names):
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    for _, row in found.table.iterrows():
        table.add_row(*(_cell(row, name) for name in names))
    return table


def _cell(row: pd.Series, name: str) -> str:
    value = row[name]
    if isinstance(value, str):
        return value
    low, high = (row.get(f"{name}_{end}", np.nan) for end in ("low", "high"))
    if not low < value < high:
        return number(float(value))
    half = (high - low) / 2
    digits = int(np.clip(1 - np.floor(np.log10(half)), 0, 3))
    if abs(high + low - 2 * value) < EVEN * half:
        return f"{value:.{digits}f} ± {half:.{digits}f}"
    return f"{value:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"
