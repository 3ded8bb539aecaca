"""The table of thresholds: its columns, and reading it from files and directories."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from psychophys.base.errors import UsageError
from psychophys.results.kinds import KINDS
from psychophys.results.notebook import as_dataset
from psychophys.results.shared_columns import (
    ADDED_COLUMNS,
    ESTIMATOR_COLUMN,
    LAYER_COLUMNS,
    NOISE_COLUMNS,
    VALUE_COLUMNS,
)
from psychophys.results.tables import COUNT, NUMBER, TEXT, Column, RunTable

COLUMNS = (
    *LAYER_COLUMNS,
    *VALUE_COLUMNS,
    Column("n_samples", COUNT, "images", "nuisance samples that J is pooled over"),
    Column(
        "fisher_information",
        NUMBER,
        "1/unit^2",
        "J, averaged over the samples; an estimate under empirical noise, which may be under 0",
    ),
    Column("sensitivity", NUMBER, "1/unit", "square root of J"),
    Column("threshold", NUMBER, "unit", "d' / sqrt(J)"),
    Column(
        "threshold_low",
        NUMBER,
        "unit",
        "lower end of the interval over nuisance samples; empty with fewer than six",
    ),
    Column("threshold_high", NUMBER, "unit", "upper end"),
    Column("retained_information", NUMBER, "0-1", "J over that of the pixels (input noise alone)"),
    Column(
        "solver_gap",
        NUMBER,
        "0-1",
        "between the bounds on J, over the upper; J is the lower (input noise alone)",
    ),
    Column("response_rms", NUMBER, "activation", "r.m.s. response of the layer over all images shown"),
    *NOISE_COLUMNS,
    ESTIMATOR_COLUMN,
    Column(
        "status",
        TEXT,
        "",
        "ok; insensitive (does not depend on the dimension); not_finite; not_converged; not_differentiable "
        "(differences go with the step); another word: the noise is not for such responses (poisson: "
        "negative)",
    ),
)

ARRAYS = ("fisher_information", "sensitivity", "threshold", "threshold_low", "threshold_high")
"""Columns of :meth:`Results.to_xarray`."""
MEASURED = "measured"
"""Folder of the results in that of `psychophys test`."""


class Results(RunTable):
    """A table of thresholds with the provenance of every run in it.

    Parameters
    ----------
    table
        With the columns of ``COLUMNS``.
    runs
        Provenance by run id.
    """

    columns = COLUMNS
    kind = KINDS["results"]
    version = 4
    older: ClassVar[Mapping[int, tuple[str, ...]]] = {3: ADDED_COLUMNS}

    def to_xarray(self) -> Any:
        """Sensitivities and thresholds by layer and value, as an ``xarray.Dataset`` with units.

        Of several runs, by ``run_id`` as well; layers are in the order of the forward pass.

        Raises
        ------
        UsageError
            Where xarray is not installed, or several stimuli or dimensions are in the table.
        """
        units = {column.name: column.unit for column in self.columns if column.name in ARRAYS}
        return as_dataset(self.to_pandas(), units)


def concat(parts: Iterable[Results]) -> Results:
    """One table of several; a run that comes again replaces its earlier rows."""
    return Results.join(parts)


def read(path: str | Path) -> Results:
    """Read a Parquet file of results, or every one in a directory of them, such as that of a test.

    Raises
    ------
    UsageError
        If there is none, or it is of another kind: the error says which, and what reads it.
    """
    path = Path(path)
    if path.is_dir():
        inner = path / MEASURED
        files = sorted((inner if inner.is_dir() else path).glob("*.parquet"))
        if not files:
            raise UsageError(
                f"directory {str(path)!r} holds no results", "Name a directory written by `psychophys sweep`."
            )
        return concat(Results.read(file, in_folder=True) for file in files)
    if not path.is_file():
        raise UsageError(
            f"{str(path)!r} is not a file",
            "Give a Parquet file written by `psychophys measure`, or a directory of them.",
        )
    return Results.read(path)
