"""The results table: columns declared once, provenance, atomic writing, reading."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from psychophys.base.errors import UsageError
from psychophys.results.tables import Column, NotOursError, Table, read_table

SCHEMA_VERSION = 3
METADATA_KEY = b"psychophys"


_TEXT, _NUMBER, _COUNT = pa.string(), pa.float64(), pa.int64()

COLUMNS = (
    Column("run_id", _TEXT, "", "names the measurement; provenance is kept under it"),
    Column("model", _TEXT, "", "as it was asked for"),
    Column("weights", _TEXT, "", "pretrained, random, shuffled, checkpoint or given"),
    Column("seed", _COUNT, "", "of random and shuffled weights"),
    Column("checkpoint", _TEXT, "", "file of weights, as it was named; empty if none"),
    Column("step", _COUNT, "", "how far in training; of a checkpoint, the last number in its name"),
    Column("layer", _TEXT, "", "module name; @2 for a module's second call"),
    Column("layer_index", _COUNT, "", "order in the forward pass, over all layers of the model"),
    Column("layer_depth", _NUMBER, "0-1", "layer_index scaled to the model"),
    Column("n_features", _COUNT, "activations", "per image"),
    Column("stimulus", _TEXT, "", ""),
    Column("dimension", _TEXT, "", "the parameter that varies"),
    Column("value", _NUMBER, "unit", "where the dimension is measured"),
    Column("unit", _TEXT, "", "of value and threshold"),
    Column("n_samples", _COUNT, "images", "nuisance samples averaged over"),
    Column(
        "fisher_information",
        _NUMBER,
        "1/unit^2",
        "J, averaged over the samples; an estimate under empirical noise, which may be under 0",
    ),
    Column("sensitivity", _NUMBER, "1/unit", "square root of J"),
    Column("threshold", _NUMBER, "unit", "d' / sqrt(J)"),
    Column(
        "threshold_low",
        _NUMBER,
        "unit",
        "lower end of the interval over nuisance samples; empty with fewer than six",
    ),
    Column("threshold_high", _NUMBER, "unit", "upper end"),
    Column("retained_information", _NUMBER, "0-1", "J over that of the pixels (input noise alone)"),
    Column(
        "solver_gap",
        _NUMBER,
        "0-1",
        "between the bounds on J, over the upper; J is the lower (input noise alone)",
    ),
    Column("response_rms", _NUMBER, "activation", "r.m.s. response of the layer over all images shown"),
    Column("noise", _TEXT, "", "noise model"),
    Column("noise_level", _NUMBER, "noise model's", ""),
    Column("criterion_dprime", _NUMBER, "d'", ""),
    Column("estimator", _TEXT, "", "what was used: central where jvp was not possible"),
    Column(
        "status",
        _TEXT,
        "",
        "ok; insensitive (does not depend on the dimension); not_finite; negative (responses, under poisson "
        "noise); not_converged",
    ),
)
SCHEMA = pa.schema([(column.name, column.type) for column in COLUMNS])


class Results(Table):
    """A table of thresholds with the provenance of every run in it.

    Parameters
    ----------
    table
        With the columns of ``COLUMNS``.
    runs
        Provenance by run id.
    """

    schema = SCHEMA
    key = METADATA_KEY

    def __init__(self, table: pa.Table, runs: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(table)
        self.runs = dict(runs)

    @classmethod
    def from_rows(cls, rows: Sequence[Mapping[str, Any]], runs: Mapping[str, Mapping[str, Any]]) -> Results:
        """Build from one mapping a row."""
        return cls(pa.Table.from_pylist(list(rows), schema=SCHEMA), runs)

    def _meta(self) -> dict[str, Any]:
        return {"schema_version": SCHEMA_VERSION, "runs": self.runs}


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
        remedy = "Remove it; a sweep that is begun again measures it anew."
        return concat(_read_file(file, remedy) for file in files)
    if not path.is_file():
        raise UsageError(
            f"{str(path)!r} is not a file",
            "Give a Parquet file written by `psychophys measure`, or a directory of them.",
        )
    return _read_file(path)


def _read_file(path: Path, remedy: str = "Give a Parquet file written by `psychophys measure`.") -> Results:
    try:
        table, meta = read_table(path, METADATA_KEY)
        version, runs = meta["schema_version"], meta["runs"]
        if version == SCHEMA_VERSION:
            return Results(table, runs)
    except (NotOursError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        kind = str(error) if isinstance(error, NotOursError) else type(error).__name__
        raise UsageError(
            f"{str(path)!r} is not a results file, or is damaged ({kind})",
            remedy,
        ) from error
    raise UsageError(
        f"{str(path)!r} is of table version {version}; this psychophys reads version {SCHEMA_VERSION}",
        "Measure again, or use the psychophys that wrote it.",
    )
