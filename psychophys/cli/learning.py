"""What `psychophys learn` does once its options are parsed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from psychophys.base.errors import UsageError
from psychophys.cli.commands import Sink
from psychophys.cli.display import progress_bar
from psychophys.cli.found import print_findings
from psychophys.learning.experiments import EXPERIMENTS
from psychophys.learning.training import (
    Learned,
    Training,
    make_folder,
    modes_beside,
    read_learned,
    run_trainings,
    trainings_in,
)
from psychophys.observers.observer import pick_device
from psychophys.plots.learning import plot_learning
from psychophys.plots.style import check_figure, save_figure
from psychophys.responses.memory import keep_freed_memory
from psychophys.results.tables import check_output


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
        if self.output == "-" or check_output(Path(self.output), self.file_format) != "parquet":
            return None
        if not Path(self.output).exists():
            return None
        try:
            found = read_learned(self.output, self.modes_path)
        except UsageError as error:
            raise UsageError(
                f"output {self.output!r} holds something else, or lacks its half-times",
                "Give another --output, or remove the file.",
            ) from error
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
    experiment = EXPERIMENTS.find(name)
    settings = experiment.settle(_known(given), manner.quick)
    pick_device(manner.device)
    if outputs.modes is not None and not experiment.has_modes:
        raise UsageError(f"--modes with experiment {name}", "Only linear has half-times.")
    usual = f"{name}-quick.parquet" if manner.quick else f"{name}.parquet"
    outputs = replace(outputs, output=outputs.output or usual, has_modes=experiment.has_modes)
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
        print_findings(console, learned)
        _print_files(console, learned, outputs)
        if previous is not None:
            there = len(trainings_in(previous.thresholds))
            console.print(f"{there} of {len(trainings)} trainings were in the file already", highlight=False)


def _known(given: dict[str, Any]) -> dict[str, Any]:
    """What was given, with lists that are written with commas as tuples."""
    chosen = {key: value for key, value in given.items() if value is not None and value != ()}
    for key in ("depths", "conditions"):
        if key in chosen:
            chosen[key] = tuple(part.strip() for part in chosen[key].split(",") if part.strip())
    return chosen


def _print_files(console: Console, learned: Learned, outputs: Outputs) -> None:
    if outputs.output != "-":
        modes = f", modes in {outputs.modes_path}" if outputs.modes_path is not None else ""
        line = f"{len(learned.thresholds):,} rows in {outputs.output}{modes}"
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    for what, path in (("figure", outputs.figure), ("weights", outputs.folder)):
        if path is not None:
            console.print(f"{what} in {path}", highlight=False, soft_wrap=True, markup=False)
