"""Where what a command finds goes: refuse what cannot be written, write, and say where it is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from rich.console import Console

from psychophys.base.errors import UsageError, unknown
from psychophys.cli.screen import say
from psychophys.results.replacing import Found, check_replacing
from psychophys.results.tables import FORMATS, check_output
from psychophys.results.thresholds import read

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STANDARD_OUTPUT = "-"


def settle_size(size: str | None) -> str:
    """The size of a figure that is asked for, or the usual one."""
    from psychophys.plots.style import SIZES, USUAL_SIZE

    return USUAL_SIZE if size is None else SIZES.find(size).name


class Writable(Protocol):
    """A table that can be written, such as :class:`psychophys.results.tables.Table`."""

    def write(self, path: str | Path, file_format: str | None = None) -> None:
        """Write to a file, whole or not at all."""

    def dump(self, stream: IO[bytes], file_format: str) -> None:
        """Write to an open binary stream."""


class Addable(Writable, Protocol):
    """A table that can be added to a file, such as :class:`psychophys.results.tables.RunTable`."""

    def append(self, path: str | Path) -> None:
        """Add to a file, or begin it."""


@dataclass(frozen=True)
class Sink:
    """Where a table and a figure go.

    Attributes
    ----------
    size
        Of the figure; None for the usual one.
    output
        A file, ``-`` for standard output, or None for nowhere.
    append
        Whether results are added to those in the file; None where they cannot be.
    force
        Whether something else in the file is replaced.
    """

    output: str | None
    file_format: str | None = None
    figure: Path | None = None
    size: str | None = None
    append: bool | None = None
    force: bool = False

    @property
    def file(self) -> str | None:
        """The table's file, if it goes to one."""
        return None if self.output == STANDARD_OUTPUT else self.output

    def check(self) -> None:
        """Refuse what cannot be written before anything is computed."""
        if self.file_format is not None and self.file_format not in FORMATS:
            raise unknown("format", self.file_format, FORMATS)
        if self.append and self.force:
            raise UsageError("--append and --force", "Give one: add to what is in the file, or replace it.")
        if self.file is not None:
            chosen = check_output(Path(self.file), self.file_format)
            if self.append and chosen != "parquet":
                raise UsageError(f"--append cannot add to {chosen}", "Use a .parquet file.")
            if self.append and Path(self.file).exists():
                read(self.file)  # Refuses what is of another kind.
        elif self.append:
            raise UsageError("--append cannot add to standard output", "Name a file with -o.")
        if self.figure is not None:
            from psychophys.plots.style import check_figure

            check_figure(self.figure)
            settle_size(self.size)
        elif self.size is not None:
            raise UsageError(f"--size {self.size} without a figure", "Give --figure, too, or leave it out.")

    def check_replacing(self, table: type[Found], same: Callable[[Found], bool]) -> None:
        """Refuse to lose what is in the file, unless all of it is about to be made again or it is forced."""
        if self.file is not None and not self.append and not self.force:
            check_replacing(Path(self.file), table, same, can_append=self.append is not None)

    def keep(self, newest: Addable, every: Writable) -> None:
        """Write all that there is so far, or add what is newest."""
        if self.append and self.file is not None:
            newest.append(self.file)
        else:
            self.write(every)

    def write(self, table: Writable) -> None:
        """Write all that there is so far; standard output waits for the end."""
        if self.file is not None:
            table.write(self.file, self.file_format)

    def dump(self, table: Writable) -> None:
        """Write to standard output, if that is where it goes."""
        if self.output == STANDARD_OUTPUT:
            table.dump(sys.stdout.buffer, self.file_format or "csv")
            sys.stdout.buffer.flush()

    def draw(self, draw: Callable[..., Figure]) -> None:
        """Draw and write the figure, if one is asked for; ``draw`` takes its ``size``."""
        if self.figure is not None:
            from psychophys.plots.style import save_figure

            save_figure(draw(size=settle_size(self.size)), self.figure)

    def say_where(self, console: Console, rows: int) -> None:
        """Say what is in which file."""
        if self.file is not None:
            say(console, f"{rows:,} rows {'added to' if self.append else 'in'} {self.file}")
        if self.figure is not None:
            say(console, f"figure in {self.figure}")
