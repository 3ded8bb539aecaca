"""What would be lost if a file were written again: refused before anything is computed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, TypeVar

import pyarrow as pa
import pyarrow.csv as pa_csv

from psychophys.base.errors import UsageError
from psychophys.results.kinds import UNREADABLE, Kind, look
from psychophys.results.tables import RunTable


class Readable(Protocol):
    """A table that is read from a Parquet file, such as :class:`psychophys.results.tables.Table`."""

    kind: ClassVar[Kind]

    @property
    def summary(self) -> str:
        """What is in it, in a few words."""

    @classmethod
    def read(cls, path: str | Path, /) -> Self:
        """Read it, or raise :class:`UsageError`."""


Found = TypeVar("Found", bound=Readable)


def check_replacing(
    path: Path, table: type[Found], same: Callable[[Found], bool], *, can_append: bool = False
) -> None:
    """Refuse to write to a file that holds something else than what is about to be made.

    Parameters
    ----------
    table
        What is about to be written.
    same
        Whether all that is in such a table is about to be made again.
    can_append
        Whether the command could add to it.

    Raises
    ------
    UsageError
        With what is in the file, and what to do.
    """
    if not path.is_file() or path.stat().st_size == 0:
        return
    found = look(path)
    held = _read(path, table, found.kind)
    if held is not None and same(held):
        return
    what = found.words if held is None else f"{found.words}, {held.summary}"
    adding = ", add to it with --append" if can_append and found.kind is not None and held is not None else ""
    raise UsageError(
        f"output {str(path)!r} holds something else: it is {what}",
        f"Replace it with --force{adding}, or name another output.",
    )


def _read(path: Path, table: type[Found], kind: Kind | None) -> Found | None:
    """The table in a file; None if it is none of these."""
    if kind is not None and kind.key == table.kind.key:
        try:
            return table.read(path)
        except UsageError:  # Damaged, or of another version.
            return None
    # Rows alone hold the names of their runs.
    return _rows_alone(path, table) if kind is None and issubclass(table, RunTable) else None


def _rows_alone(path: Path, table: type[Any]) -> Any:
    """The table in CSV or JSON lines, without provenance; None if it is none of these."""
    types = dict(zip(table.schema.names, table.schema.types, strict=True))
    try:
        if path.read_bytes()[:1] == b"{":
            lines = path.read_text(encoding="utf-8").splitlines()
            rows = pa.Table.from_pylist([json.loads(line) for line in lines])
        else:
            rows = pa_csv.read_csv(path, convert_options=pa_csv.ConvertOptions(column_types=types))
        for lacking in ((), *table.older.values()):
            if rows.schema.names == [name for name in types if name not in lacking]:
                return table(table.with_columns(rows, lacking), {})
    except UNREADABLE:
        pass
    return None
