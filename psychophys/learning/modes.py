"""The table of modes: when each is learned, and when the closed form says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from psychophys.base.errors import UsageError
from psychophys.results.tables import Column, NotOursError, Table, read_table

SCHEMA_VERSION = 1
METADATA_KEY = b"psychophys_modes"
_TEXT, _NUMBER, _COUNT = pa.string(), pa.float64(), pa.int64()

COLUMNS = (
    Column("training_id", _TEXT, "", "names the training; its settings are kept under it"),
    Column("model", _TEXT, "", "linear-depth1, -depth2, -depth3 or linear-tied"),
    Column("init", _TEXT, "", "balanced or uniform"),
    Column("seed", _COUNT, "", "of patches and initial weights"),
    Column("mode", _COUNT, "", "1 has the largest eigenvalue"),
    Column("eigenvalue", _NUMBER, "pixel^2", "of the patches' covariance"),
    Column("learning_rate", _NUMBER, "1/pixel^2", "of a step"),
    Column("initial_strength", _NUMBER, "", "that the closed form begins with"),
    Column("half_time", _NUMBER, "steps", "until strength 1/2, interpolated; empty if not reached"),
    Column("predicted_half_time", _NUMBER, "steps", "by the closed form; empty where there is none"),
    Column("relative_error", _NUMBER, "", "half_time over predicted_half_time, less 1"),
    Column("curve", _TEXT, "", "step, strength, and that of the closed form, as JSON"),
)
SCHEMA = pa.schema([(column.name, column.type) for column in COLUMNS])


class Modes(Table):
    """Half-times of modes, simulated and predicted, with the settings of every training.

    Parameters
    ----------
    table
        With the columns of ``COLUMNS``.
    trainings
        Settings by training id.
    """

    schema = SCHEMA
    key = METADATA_KEY

    def __init__(self, table: pa.Table, trainings: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(table)
        self.trainings = dict(trainings)

    @classmethod
    def from_rows(
        cls, rows: Sequence[Mapping[str, Any]], trainings: Mapping[str, Mapping[str, Any]]
    ) -> Modes:
        """Build from one mapping a mode."""
        return cls(pa.Table.from_pylist(list(rows), schema=SCHEMA), trainings)

    def _meta(self) -> dict[str, Any]:
        return {"schema_version": SCHEMA_VERSION, "trainings": self.trainings}


def join(parts: Iterable[Modes]) -> Modes:
    """One table of several trainings."""
    every = list(parts)
    tables = [SCHEMA.empty_table(), *(part.table for part in every)]
    return Modes(pa.concat_tables(tables), {k: v for part in every for k, v in part.trainings.items()})


def read_modes(path: str | Path) -> Modes:
    """Read a Parquet file of modes.

    Raises
    ------
    UsageError
        If it is not there, or not one of ours.
    """
    try:
        table, meta = read_table(Path(path), METADATA_KEY)
        if meta["schema_version"] != SCHEMA_VERSION:
            raise NotOursError(f"version {meta['schema_version']}")
        return Modes(table, meta["trainings"])
    except (NotOursError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{str(path)!r} is not a file of modes, or is damaged ({error})",
            "Give a Parquet file written by `psychophys learn linear`.",
        ) from error
