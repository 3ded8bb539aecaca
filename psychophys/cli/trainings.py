"""Where what `learn` finds goes: thresholds, half-times and weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from psychophys.base.errors import UsageError
from psychophys.cli.outputs import Sink
from psychophys.cli.screen import say
from psychophys.learning.modes import Modes
from psychophys.learning.training import Learned, Training, make_folder, only_trainings, read_learned
from psychophys.results.replacing import check_replacing
from psychophys.results.tables import check_output
from psychophys.results.thresholds import Results


@dataclass(frozen=True)
class LearningSink(Sink):
    """Where a learning experiment goes: half-times and weights, too.

    Attributes
    ----------
    modes
        File of half-times, or None for nowhere.
    folder
        Of weights.
    """

    modes: Path | None = None
    folder: Path | None = None

    def check(self) -> None:
        """Refuse what cannot be written before anything is computed."""
        super().check()
        if self.modes is not None:
            check_output(self.modes)
            if self.file is not None and self.modes.absolute() == Path(self.file).absolute():
                raise UsageError("--modes and --output name one file", "Give two.")
        if self.folder is not None:
            make_folder(self.folder)

    def previous(self, trainings: Sequence[Training]) -> Learned | None:
        """What an earlier call left; None where there is nothing of use.

        Raises
        ------
        UsageError
            If it holds something else, or trainings that are not asked for now, which would be lost.
        """
        asked = {training.identifier for training in trainings}
        self.check_replacing(Results, lambda held: only_trainings(held, asked))
        if self.modes is not None and not self.force:
            check_replacing(self.modes, Modes, lambda held: held.identifiers <= asked)
        if self.file is None or not Path(self.file).exists():
            return None
        if check_output(Path(self.file), self.file_format) != "parquet":
            return None
        try:
            return read_learned(self.file, self.modes)
        except UsageError as error:
            if self.force:
                return None
            raise UsageError(
                f"output {self.file!r} cannot be gone on with: {error}", "Give --force, too."
            ) from error

    def write_learned(self, learned: Learned) -> None:
        """Write all that there is so far."""
        if self.modes is not None:
            learned.modes.write(self.modes)
        self.write(learned.thresholds)

    def say_where(self, console: Console, rows: int) -> None:
        """Say what is in which file."""
        if self.file is not None:
            modes = f", modes in {self.modes}" if self.modes is not None else ""
            say(console, f"{rows:,} rows in {self.file}{modes}")
        for what, path in (("figure", self.figure), ("weights", self.folder)):
            if path is not None:
                say(console, f"{what} in {path}")
