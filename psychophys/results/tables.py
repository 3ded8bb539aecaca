"""Tables in files: Parquet with provenance, CSV, JSON lines; whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, NoReturn, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from psychophys.base.errors import MeasurementError, PsychophysError, UsageError, unknown
from psychophys.base.files import locked, write_atomically
from psychophys.results.kinds import UNREADABLE, Kind, refusal
from psychophys.results.notebook import as_html

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("parquet", "csv", "jsonl")


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    type: pa.DataType
    unit: str
    meaning: str


MOST_NAMED = 3
"""Models in a summary."""
TEXT, NUMBER, COUNT = pa.string(), pa.float64(), pa.int64()
"""Types of columns."""


class Table:
    """Rows of columns that are declared once, with their provenance: the base of all tables.

    Subclasses set what is declared here as ``ClassVar``.

    Parameters
    ----------
    table
        With the columns of ``columns``, in any order.
    meta
        What is kept beside the rows in Parquet, as JSON.

    Attributes
    ----------
    columns
        The declaration, from which ``schema`` follows.
    kind
        Of its files.
    key
        Under which a Parquet file keeps ``meta``: the kind's.
    version
        Of the columns and of what ``meta`` holds.
    older
        Versions that are read as well, and the columns that these have not: they are empty then.
    """

    columns: ClassVar[tuple[Column, ...]] = ()
    schema: ClassVar[pa.Schema]
    kind: ClassVar[Kind]
    key: ClassVar[bytes]
    version: ClassVar[int]
    older: ClassVar[Mapping[int, tuple[str, ...]]] = {}

    def __init_subclass__(cls) -> None:
        if "kind" in vars(cls):
            cls.key = cls.kind.key
        cls.schema = pa.schema([(column.name, column.type) for column in cls.columns])

    def __init__(self, table: pa.Table, meta: Mapping[str, Any]) -> None:
        self.table = self._cast(table)
        self.meta = dict(meta)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def to_pandas(self) -> pd.DataFrame:
        """The table as a data frame."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame

    def _repr_html_(self) -> str:
        """For notebooks."""
        return as_html(self.to_pandas(), f"{self.kind.called}: {len(self):,} rows")

    def write(self, path: str | Path, file_format: str | None = None) -> None:
        """Write atomically: see :func:`write_table`."""
        write_table(self.table, self.key, self._kept, path, file_format)

    def dump(self, stream: IO[bytes], file_format: str) -> None:
        """Write to an open binary stream."""
        dump_table(self.table, self.key, self._kept, stream, file_format)

    @property
    def _kept(self) -> dict[str, Any]:
        return {**self.meta, "schema_version": self.version}

    @classmethod
    def rows(cls, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
        """Rows, one mapping each, as a table of these columns; what a row leaves out is empty."""
        return pa.Table.from_pylist(list(rows), schema=cls.schema)

    @classmethod
    def load(cls, path: Path, *, in_folder: bool = False) -> tuple[pa.Table, dict[str, Any]]:
        """The rows and the provenance in a Parquet file, without ``schema_version``.

        Parameters
        ----------
        in_folder
            Whether it was found in a directory of results, and not named.

        Raises
        ------
        UsageError
            For a file that is not there, is none of these, or of another version.
        """
        with opened(path, cls.kind, in_folder=in_folder) as (table, meta):
            version = meta.pop("schema_version")
            if version == cls.version or version in cls.older:
                return cls.with_columns(table, cls.older.get(version, ())), meta
        raise UsageError(
            f"{str(path)!r} is of table version {version}; this psychophys reads version {cls.version}",
            "Make it again, or use the psychophys that wrote it.",
        )

    @classmethod
    def with_columns(cls, table: pa.Table, lacking: Iterable[str]) -> pa.Table:
        """A table of an older version as one of this: the columns that it lacks are empty."""
        for name in lacking:
            table = table.append_column(name, pa.nulls(len(table), cls.schema.field(name).type))
        return cls._cast(table)

    @classmethod
    def _cast(cls, table: pa.Table) -> pa.Table:
        """The columns of this kind of table, in its types; as it is, where that is so."""
        if table.schema.equals(cls.schema):
            return table.replace_schema_metadata(None)
        return table.select(cls.schema.names).cast(cls.schema)


class RunTable(Table):
    """A table of several runs, with the provenance of each.

    Attributes
    ----------
    kept, identifier
        Name of the provenance in a file, and of the column that names the run.
    """

    kept: ClassVar[str] = "runs"
    identifier: ClassVar[str] = "run_id"

    def __init__(self, table: pa.Table, runs: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(table, {self.kept: dict(runs)})

    @property
    def identifiers(self) -> frozenset[str]:
        """Names of the runs that there are rows of."""
        return frozenset(self.table.column(self.identifier).unique().to_pylist())

    @property
    def summary(self) -> str:
        """What is in it, in a few words."""
        models = self.table.column("model").unique().to_pylist()
        named = ", ".join(map(str, models[:MOST_NAMED]))
        more = f" and {len(models) - MOST_NAMED} more" if len(models) > MOST_NAMED else ""
        return f"{len(self):,} rows of {named or 'nothing'}{more}"

    def __getitem__(self, name: str) -> Self:
        """The rows of a layer, or of a model, with the provenance of their runs.

        Raises
        ------
        UsageError
            For a name of neither.
        """
        known: dict[str, str] = {}
        for column in ("model", "layer"):
            if column in self.schema.names:
                known |= dict.fromkeys(self.table.column(column).unique().to_pylist(), column)
        if name not in known:
            raise unknown("layer or model", str(name), known)
        part = self.table.filter(pc.equal(self.table.column(known[name]), name))
        held = part.column(self.identifier).unique().to_pylist()
        return type(self)(part, {run: self.runs[run] for run in held})

    def __iter__(self) -> NoReturn:
        """Rows are iterated over in :meth:`to_pandas`."""
        raise TypeError(f"{type(self).__name__} is not iterated over: use to_pandas()")

    @property
    def runs(self) -> dict[str, Any]:
        """Provenance by run id."""
        runs: dict[str, Any] = self.meta[self.kept]
        return runs

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]], runs: Mapping[str, Mapping[str, Any]]) -> Self:
        """Build from one mapping a row, and the provenance of every run."""
        return cls(cls.rows(rows), runs)

    @classmethod
    def read(cls, path: str | Path, *, in_folder: bool = False) -> Self:
        """Read a Parquet file: see :meth:`Table.load`."""
        table, meta = cls.load(Path(path), in_folder=in_folder)
        if not isinstance(meta.get(cls.kept), dict):
            raise refusal(Path(path), cls.kind, f"no {cls.kept}", in_folder=in_folder)
        return cls(table, meta[cls.kept])

    def append(self, path: str | Path) -> None:
        """Add to a Parquet file, or begin it; other processes may do so at the same time.

        Raises
        ------
        MeasurementError
            If it cannot be added to any more. Nothing is lost: the rows are in a file beside it then.
        """
        path = Path(path)
        try:
            with locked(path):
                before = [type(self).read(path)] if path.exists() else []
                type(self).join([*before, self]).write(path, "parquet")
        except PsychophysError as error:
            beside = path.with_name(f"{path.stem[:200]}-{next(iter(self.runs), 'rows')}.parquet")
            self.write(beside)
            raise MeasurementError(
                f"{str(path)!r} cannot be added to: {error}", f"The new rows are in {str(beside)!r}."
            ) from error

    @classmethod
    def join(cls, parts: Iterable[Self]) -> Self:
        """One table of several; a run that comes again replaces its earlier rows."""
        every = list(parts)
        runs: dict[str, Mapping[str, Any]] = {}
        newest: dict[str, int] = {}
        for index, part in enumerate(every):
            runs.update(part.runs)
            newest.update(dict.fromkeys(part.table.column(cls.identifier).unique().to_pylist(), index))
        tables = [cls.schema.empty_table()]
        for index, part in enumerate(every):
            column = part.table.column(cls.identifier)
            held = column.unique().to_pylist()
            kept = [run for run in held if newest[run] == index]
            rows = part.table
            if len(kept) < len(held):
                rows = rows.filter(pc.is_in(column, pa.array(kept, pa.string())))
            tables.append(rows)
        return cls(pa.concat_tables(tables), runs)


MANY_ROWS = 100_000
"""In a file that is worth several threads."""


@contextmanager
def opened(path: Path, kind: Kind, *, in_folder: bool = False) -> Iterator[tuple[pa.Table, dict[str, Any]]]:
    """The rows of a Parquet file and what is kept under its kind's key, while they are taken apart.

    Raises
    ------
    UsageError
        For a file that is not there or is of another kind, or where taking it apart shows that it is damaged.
    """
    if not path.is_file():
        raise UsageError(f"{str(path)!r} is not a file", f"Give a Parquet file written by `{kind.command}`.")
    try:
        # Not through a dataset: that would add columns for directories named like key=value.
        # Small files are read as a whole by the system anyway: to ask for their parts ahead takes longer.
        with pq.ParquetFile(path, pre_buffer=False) as file:
            table = file.read(use_threads=file.metadata.num_rows > MANY_ROWS)
        yield table, dict(json.loads((table.schema.metadata or {})[kind.key]))
    except UNREADABLE as error:
        raise refusal(path, kind, type(error).__name__, in_folder=in_folder) from error


def write_table(
    table: pa.Table, key: bytes, meta: Mapping[str, Any], path: str | Path, file_format: str | None = None
) -> None:
    """Write atomically: the file is either as it was or whole and new.

    Parquet keeps ``meta`` under ``key``; CSV and JSON lines hold the rows alone, without columns of lists.

    Parameters
    ----------
    path
        ``.parquet``, ``.csv`` or ``.jsonl``, unless ``file_format`` says it.
    """
    path = Path(path)
    chosen = check_output(path, file_format)
    write_atomically(path, lambda stream: dump_table(table, key, meta, stream, chosen))


def dump_table(
    table: pa.Table, key: bytes, meta: Mapping[str, Any], stream: IO[bytes], file_format: str
) -> None:
    """Write to an open binary stream."""
    lists = [each.name for each in table.schema if pa.types.is_list(each.type)]
    if file_format != "parquet":
        table = table.drop_columns(lists)
    if file_format == "csv":
        pa_csv.write_csv(table, stream)
    elif file_format == "jsonl":
        for row in table.to_pylist():
            stream.write((json.dumps(row, allow_nan=True) + "\n").encode())
    else:
        table = table.replace_schema_metadata({key: json.dumps(meta).encode()})
        pq.write_table(table, stream, **(_small(table, lists) if lists else {}))


def _small(table: pa.Table, lists: list[str]) -> dict[str, Any]:
    """How to write lists of numbers, no two of which are the same, in half the bytes."""
    return {
        "compression": "zstd",
        "use_dictionary": [name for name in table.schema.names if name not in lists],
        "use_byte_stream_split": [f"{name}.list.element" for name in lists],
    }


def check_output(path: Path, file_format: str | None = None, formats: tuple[str, ...] = FORMATS) -> str:
    """The format to write; :class:`UsageError` where the path cannot be written to."""
    chosen = file_format or path.suffix.removeprefix(".")
    if chosen not in formats:
        *most, last = (f".{name}" for name in formats)
        advice = ", or give --format" if formats == FORMATS else ""
        ends = f"{', '.join(most)} or {last}" if most else last
        raise UsageError(
            f"cannot tell the format of output {str(path)!r}",
            f"End it in {ends}{advice}.",
        )
    if path.is_dir():
        raise UsageError(f"output {str(path)!r} is a directory", "Name a file in it.")
    if path.exists() and not path.is_file():
        raise UsageError(
            f"output {str(path)!r} is a pipe or a device, which cannot be replaced by a file",
            "Write to standard output with -o -.",
        )
    if not path.parent.is_dir():
        raise UsageError(f"output directory {str(path.parent)!r} does not exist", "Create it first.")
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise UsageError(f"output {str(path)!r} is not writable", "Give another path with -o.")
    return chosen
