"""Tables that are written as they are made, part by part: no more than a part is in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from psychophys.base.files import write_atomically
from psychophys.results.tables import RunTable, check_output


@dataclass(frozen=True)
class Stream:
    """Parts of a table on their way to a file.

    Attributes
    ----------
    of
        The kind of table.
    parts
        With its columns, in its types; gone through once.
    runs
        Gives the provenance of every run, when all parts have been written.
    """

    of: type[RunTable]
    parts: Iterable[pa.Table]
    runs: Callable[[], Mapping[str, Mapping[str, Any]]]

    def write(self, path: str | Path, file_format: str | None = None) -> None:
        """Write to a file, whole or not at all."""
        chosen = check_output(Path(path), file_format)
        write_atomically(Path(path), lambda stream: self.dump(stream, chosen))

    def dump(self, stream: IO[bytes], file_format: str) -> None:
        """Write to an open binary stream; in Parquet each part is a row group."""
        if file_format == "parquet":
            self._dump_parquet(stream)
        elif file_format == "csv":
            with pa_csv.CSVWriter(stream, self.of.schema) as writer:
                for part in self.parts:
                    writer.write_table(part)
        else:
            for part in self.parts:
                for row in part.to_pylist():
                    stream.write((json.dumps(row, allow_nan=True) + "\n").encode())

    def _dump_parquet(self, stream: IO[bytes]) -> None:
        # Numbers of which no two are the same take less so.
        floats = [field.name for field in self.of.schema if pa.types.is_floating(field.type)]
        others = [name for name in self.of.schema.names if name not in floats]
        with pq.ParquetWriter(
            stream,
            self.of.schema,
            compression="zstd",
            use_dictionary=others,
            use_byte_stream_split=floats,
        ) as writer:
            for part in self.parts:
                writer.write_table(part)
            kept = {self.of.kept: dict(self.runs()), "schema_version": self.of.version}
            writer.add_key_value_metadata({self.of.key.decode(): json.dumps(kept)})
