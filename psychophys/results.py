"""The results table: columns declared once, provenance, atomic writing, reading."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from psychophys.errors import UsageError
from psychophys.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 2
METADATA_KEY = b"psychophys"
FORMATS = ("parquet", "csv", "jsonl")


@dataclass(frozen=True)
class Column:
    """One column of the table."""

    name: str
    type: pa.DataType
    unit: str
    meaning: str


_TEXT, _NUMBER, _COUNT = pa.string(), pa.float64(), pa.int64()

COLUMNS = (
    Column("run_id", _TEXT, "", "names the measurement; provenance is kept under it"),
    Column("model", _TEXT, "", "as it was asked for"),
    Column("weights", _TEXT, "", "pretrained, random, shuffled, checkpoint or given"),
    Column("seed", _COUNT, "", "of random and shuffled weights"),
    Column("checkpoint", _TEXT, "", "file of weights, as it was named; empty if none"),
    Column("step", _COUNT, "", "how far in training: the last number in the checkpoint's name"),
    Column("layer", _TEXT, "", "module name; @2 for a module's second call"),
    Column("layer_index", _COUNT, "", "order in the forward pass, over all layers of the model"),
    Column("layer_depth", _NUMBER, "0-1", "layer_index scaled to the model"),
    Column("n_features", _COUNT, "activations", "per image"),
    Column("stimulus", _TEXT, "", ""),
    Column("dimension", _TEXT, "", "the parameter that varies"),
    Column("value", _NUMBER, "unit", "where the dimension is measured"),
    Column("unit", _TEXT, "", "of value and threshold"),
    Column("n_samples", _COUNT, "images", "nuisance samples averaged over"),
    Column("fisher_information", _NUMBER, "1/unit^2", "J, averaged over the samples"),
    Column("sensitivity", _NUMBER, "1/unit", "square root of J"),
    Column("threshold", _NUMBER, "unit", "d' / sqrt(J)"),
    Column("threshold_low", _NUMBER, "unit", "lower end of the interval; empty if none was asked for"),
    Column("threshold_high", _NUMBER, "unit", "upper end"),
    Column("response_rms", _NUMBER, "activation", "r.m.s. response of the layer over all images shown"),
    Column("noise", _TEXT, "", "noise model"),
    Column("noise_level", _NUMBER, "noise model's", ""),
    Column("criterion_dprime", _NUMBER, "d'", ""),
    Column("estimator", _TEXT, "", "what was used: central where jvp was not possible"),
    Column("status", _TEXT, "", "ok; insensitive (does not depend on the dimension); not_finite"),
)
SCHEMA = pa.schema([(column.name, column.type) for column in COLUMNS])


class Results:
    """A table of thresholds with the provenance of every run in it.

    Parameters
    ----------
    table
        With the columns of ``COLUMNS``.
    runs
        Provenance by run id.
    """

    def __init__(self, table: pa.Table, runs: Mapping[str, Mapping[str, Any]]) -> None:
        self.table = table.select(SCHEMA.names).cast(SCHEMA)
        self.runs = dict(runs)

    @classmethod
    def from_rows(cls, rows: Sequence[Mapping[str, Any]], runs: Mapping[str, Mapping[str, Any]]) -> Results:
        """Build from one mapping a row."""
        return cls(pa.Table.from_pylist(list(rows), schema=SCHEMA), runs)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def to_pandas(self) -> pd.DataFrame:
        """The table as a data frame."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame

    def write(self, path: str | Path, file_format: str | None = None) -> None:
        """Write atomically: the file is either as it was or whole and new.

        Parquet keeps the provenance; CSV and JSON lines hold the rows alone.

        Parameters
        ----------
        path
            ``.parquet``, ``.csv`` or ``.jsonl``, unless ``file_format`` says it.
        """
        path = Path(path)
        chosen = check_output(path, file_format)
        write_atomically(path, lambda stream: self.dump(stream, chosen))

    def dump(self, stream: IO[bytes], file_format: str) -> None:
        """Write to an open binary stream."""
        if file_format == "csv":
            pa_csv.write_csv(self.table, stream)
        elif file_format == "jsonl":
            for row in self.table.to_pylist():
                stream.write((json.dumps(row, allow_nan=True) + "\n").encode())
        else:
            meta = {"schema_version": SCHEMA_VERSION, "runs": self.runs}
            table = self.table.replace_schema_metadata({METADATA_KEY: json.dumps(meta).encode()})
            pq.write_table(table, stream)


def concat(parts: Iterable[Results]) -> Results:
    """One table of several; a run that comes again replaces its earlier rows."""
    every = list(parts)
    runs: dict[str, Mapping[str, Any]] = {}
    newest: dict[str, int] = {}
    for index, part in enumerate(every):
        runs.update(part.runs)
        newest.update(dict.fromkeys(part.table.column("run_id").unique().to_pylist(), index))
    tables = [SCHEMA.empty_table()]
    for index, part in enumerate(every):
        column = part.table.column("run_id")
        kept = [run for run in column.unique().to_pylist() if newest[run] == index]
        tables.append(part.table.filter(pc.is_in(column, pa.array(kept, pa.string()))))
    return Results(pa.concat_tables(tables), runs)


def read(path: str | Path) -> Results:
    """Read a Parquet file of results, or every one in a directory of them.

    Raises
    ------
    UsageError
        If there is none, or it is not one of ours.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(path.glob("*.parquet"))
        if not files:
            raise UsageError(
                f"directory {str(path)!r} holds no results", "Name a directory written by `psychophys sweep`."
            )
        return concat(_read_file(file) for file in files)
    if not path.is_file():
        raise UsageError(
            f"{str(path)!r} is not a file",
            "Give a Parquet file written by `psychophys measure`, or a directory of them.",
        )
    return _read_file(path)


def _read_file(path: Path) -> Results:
    try:
        # Not through a dataset: that would add columns for directories named like key=value.
        with pq.ParquetFile(path) as file:
            table = file.read()
        meta = json.loads((table.schema.metadata or {})[METADATA_KEY])
        version, runs = meta["schema_version"], meta["runs"]
        if version == SCHEMA_VERSION:
            return Results(table, runs)
    except (pa.ArrowException, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        raise UsageError(
            f"{str(path)!r} is not a results file, or is damaged ({type(error).__name__})",
            "Give a Parquet file written by `psychophys measure`.",
        ) from error
    raise UsageError(
        f"{str(path)!r} is of table version {version}; this psychophys reads version {SCHEMA_VERSION}",
        "Measure again, or use the psychophys that wrote it.",
    )


def check_output(path: Path, file_format: str | None = None) -> str:
    """The format to write; :class:`UsageError` where the path cannot be written to."""
    chosen = file_format or path.suffix.removeprefix(".")
    if chosen not in FORMATS:
        raise UsageError(
            f"cannot tell the format of output {str(path)!r}",
            "End it in .parquet, .csv or .jsonl, or give --format.",
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
