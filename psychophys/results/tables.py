"""Tables in files: Parquet with provenance, CSV, JSON lines; whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from psychophys.base.errors import UsageError
from psychophys.base.files import write_atomically

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


class NotOursError(Exception):
    """A Parquet file that holds no table of the kind that is read."""


class Table:
    """Rows of fixed columns with their provenance, as a base of the tables there are.

    Subclasses set ``schema`` and ``key`` and say what is kept as metadata.
    """

    schema: ClassVar[pa.Schema]
    key: ClassVar[bytes]

    def __init__(self, table: pa.Table) -> None:
        self.table = table.select(self.schema.names).cast(self.schema)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def to_pandas(self) -> pd.DataFrame:
        """The table as a data frame."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame

    def write(self, path: str | Path, file_format: str | None = None) -> None:
        """Write atomically: see :func:`write_table`."""
        write_table(self.table, self.key, self._meta(), path, file_format)

    def dump(self, stream: IO[bytes], file_format: str) -> None:
        """Write to an open binary stream."""
        dump_table(self.table, self.key, self._meta(), stream, file_format)

    def _meta(self) -> dict[str, Any]:
        raise NotImplementedError


def write_table(
    table: pa.Table, key: bytes, meta: Mapping[str, Any], path: str | Path, file_format: str | None = None
) -> None:
    """Write atomically: the file is either as it was or whole and new.

    Parquet keeps ``meta`` under ``key``; CSV and JSON lines hold the rows alone.

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
    if file_format == "csv":
        pa_csv.write_csv(table, stream)
    elif file_format == "jsonl":
        for row in table.to_pylist():
            stream.write((json.dumps(row, allow_nan=True) + "\n").encode())
    else:
        pq.write_table(table.replace_schema_metadata({key: json.dumps(meta).encode()}), stream)


def read_table(path: Path, key: bytes) -> tuple[pa.Table, dict[str, Any]]:
    """A table and its provenance; :class:`NotOursError` where there is none under ``key``."""
    try:
        # Not through a dataset: that would add columns for directories named like key=value.
        with pq.ParquetFile(path) as file:
            table = file.read()
        meta = json.loads((table.schema.metadata or {})[key])
        if not isinstance(meta, dict):
            raise TypeError("no mapping")
    except (pa.ArrowException, KeyError, TypeError, ValueError, OSError) as error:
        raise NotOursError(type(error).__name__) from error
    return table, meta


def check_output(path: Path, file_format: str | None = None, formats: tuple[str, ...] = FORMATS) -> str:
    """The format to write; :class:`UsageError` where the path cannot be written to."""
    chosen = file_format or path.suffix.removeprefix(".")
    if chosen not in formats:
        *most, last = (f".{name}" for name in formats)
        advice = ", or give --format" if formats == FORMATS else ""
        raise UsageError(
            f"cannot tell the format of output {str(path)!r}",
            f"End it in {', '.join(most)} or {last}{advice}.",
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
