"""What `psychophys learn` does once its options are parsed."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from psychophys.cli.commands import Sink
from psychophys.cli.display import number, progress_bar
from psychophys.errors import UsageError
from psychophys.learning import get_experiment
from psychophys.learning.acuities import acuity, power_law
from psychophys.learning.modes import read_modes
from psychophys.learning.runs import Learned
from psychophys.learning.theory import DEPTHS
from psychophys.memory import keep_freed_memory
from psychophys.observers import pick_device
from psychophys.plots import check_figure, save_figure
from psychophys.plots_learning import plot_learning
from psychophys.results import read
from psychophys.tables import check_output

FLATTEST = 0.2
"""Exponent of a spectrum from which a sentence is built."""
USUAL = {"runs": 5, "patch": 16, "checkpoints": 12}
QUICK = {"runs": 2, "patch": 8, "checkpoints": 8}
"""What --quick takes where nothing is said."""


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

    @property
    def modes_path(self) -> Path | None:
        """Where modes are written; None for nowhere."""
        if self.modes is not None or self.output == "-":
            return self.modes
        return Path(self.output).with_name(f"{Path(self.output).stem}-modes.parquet")

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
            _check_folder(self.folder)

    def previous(self) -> Learned | None:
        """What an earlier call left; None where there is nothing of use."""
        if self.output == "-" or self.modes_path is None:
            return None
        try:
            return Learned(read(self.output), read_modes(self.modes_path))
        except (UsageError, OSError):
            return None

    def write(self, learned: Learned) -> None:
        """Write all that there is so far."""
        if self.modes_path is not None:
            learned.modes.write(self.modes_path)
        if self.output != "-":
            learned.thresholds.write(self.output, self.file_format)


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--checkpoints {str(folder)!r} is not a directory", "Give another path.")
    check_output(folder / "step.parquet" if folder.is_dir() else folder.with_name("step.parquet"))


def learn(name: str, depths: str | None, given: dict[str, Any], manner: Manner, outputs: Outputs) -> None:
    """Train, write after each training, then print half-times and acuity."""
    experiment = get_experiment(name)
    usual = QUICK if manner.quick else USUAL
    chosen = {key: value for key, value in given.items() if value is not None}
    if depths is not None:
        chosen["depths"] = tuple(part.strip() for part in depths.split(",") if part.strip())
    settings = experiment.settings(**{**usual, **chosen})
    pick_device(manner.device)
    outputs.prepare()
    keep_freed_memory()
    console = Console(stderr=True)
    with progress_bar(console, manner.quiet, "steps") as progress:
        learned = experiment.run(
            settings,
            device=manner.device,
            folder=outputs.folder,
            previous=outputs.previous(),
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


def _report(console: Console, learned: Learned, outputs: Outputs) -> None:
    rows = _summary(learned)
    console.print(_table(rows, learned))
    for sentence in _sentences(rows, learned):
        console.print(sentence, highlight=False, soft_wrap=True)
    if outputs.output != "-":
        line = f"{len(learned.thresholds):,} rows in {outputs.output}, modes in {outputs.modes_path}"
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    for what, path in (("figure", outputs.figure), ("weights", outputs.folder)):
        if path is not None:
            console.print(f"{what} in {path}", highlight=False, soft_wrap=True, markup=False)


def _summary(learned: Learned) -> list[dict[str, Any]]:
    """What is said of each network."""
    modes, acuities = learned.modes.to_pandas(), acuity(learned.thresholds)
    trainings = pd.DataFrame(list(learned.modes.trainings.values()))
    rows = []
    for model, part in modes.groupby("model", sort=False):
        own = trainings[[DEPTHS[depth].model == model for depth in trainings["depth"]]]
        last = part[part["mode"] == part["mode"].max()]
        rows.append(
            {
                "model": str(model),
                "first": part[part["mode"] == 1]["half_time"].mean(),
                "last": last["half_time"].mean(),
                "closed": part["predicted_half_time"].notna().any(),
                "missed": int(part["half_time"].isna().sum()),
                "error": part["relative_error"].abs().max(),
                "law": power_law(acuities[acuities["model"] == model]),
                "predicted": own["predicted_exponent"].astype(float).mean(),
            }
        )
    return rows


def _table(rows: list[dict[str, Any]], learned: Learned) -> Table:
    first = next(iter(learned.modes.trainings.values()))
    seeds = len({record["seed"] for record in learned.modes.trainings.values()})
    title = f"linear autoencoders, {first['patch']} x {first['patch']} patches, {first['init']} weights, "
    title += f"{seeds} {'runs' if seeds > 1 else 'run'}: half-times of modes in steps, exponent of acuity"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column("network", no_wrap=True)
    for heading in ("1st", "20th", "error", "acuity", "interval", "theory"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        law = row["law"]
        interval = f"{law.low:.3f} to {law.high:.3f}" if np.isfinite(law.low) else "-"
        cells = [number(row["first"]), number(row["last"])]
        cells.append(f"{row['error']:.1%}" if np.isfinite(row["error"]) else "-")
        table.add_row(row["model"], *cells, _three(law.exponent), interval, _three(row["predicted"]))
    return table


def _three(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "-"


def _sentences(rows: list[dict[str, Any]], learned: Learned) -> list[str]:
    said = []
    errors = [row["error"] for row in rows if np.isfinite(row["error"])]
    if errors:
        said.append(
            f"Half-times of the modes are those of the closed forms within {max(errors):.1%}; theory: the "
            "exponent of acuity by the closed forms."
        )
    if missed := sum(row["missed"] for row in rows):
        said.append(f"{missed} modes were not learned by half: give more --steps.")
    if without := [row["model"] for row in rows if not row["closed"]]:
        said.append(f"No prediction for {', '.join(without)}: in three layers it needs balanced weights.")
    spectrum = np.mean([record["spectrum_exponent"] for record in learned.modes.trainings.values()])
    if spectrum > FLATTEST:
        said.append(
            f"The power of gratings falls as frequency^-{spectrum:.2f}, so that acuity would grow as "
            f"step^{1 / spectrum:.2f} if a change of frequency stayed within its own band."
        )
    return said
