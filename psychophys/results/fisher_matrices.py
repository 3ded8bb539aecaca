"""Fisher matrices as a table: one row for each layer, point and pair of dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from psychophys.base.types import Array
from psychophys.results.fisher_algebra import correlations, hardest_change, pairs, symmetric
from psychophys.results.kinds import KINDS
from psychophys.results.shared_columns import ADDED_COLUMNS, ESTIMATOR_COLUMN, LAYER_COLUMNS, NOISE_COLUMNS
from psychophys.results.summary import not_for_layers, run_name
from psychophys.results.tables import COUNT, NUMBER, TEXT, Column, RunTable

COLUMNS = (
    *LAYER_COLUMNS,
    Column("n_samples", COUNT, "images", "nuisance samples averaged over, before anything is inverted"),
    Column("at", TEXT, "", "the point: the value of every dimension"),
    Column("dimension_i", TEXT, "", ""),
    Column("value_i", NUMBER, "unit_i", ""),
    Column("unit_i", TEXT, "", ""),
    Column("dimension_j", TEXT, "", "the same as dimension_i, or one that was named after it"),
    Column("value_j", NUMBER, "unit_j", ""),
    Column("unit_j", TEXT, "", ""),
    Column("fisher_information", NUMBER, "1/(unit_i unit_j)", "J_ij, averaged over the samples"),
    Column("correlation", NUMBER, "-1 to 1", "J_ij / sqrt(J_ii J_jj); empty if one of these is 0"),
    Column("threshold_alone", NUMBER, "unit_i", "d' / sqrt(J_ii), others known (rows with i = j alone)"),
    Column("threshold_joint", NUMBER, "unit_i", "d' sqrt((J^-1)_ii), others unknown (rows with i = j alone)"),
    *NOISE_COLUMNS,
    ESTIMATOR_COLUMN,
    Column(
        "status",
        TEXT,
        "",
        "ok; singular (the dimensions cannot be told apart); insensitive (does not depend on one of them); "
        "not_finite; not_differentiable (differences go with the step); another word: the noise is not for "
        "such responses (poisson: negative)",
    ),
)
_SHARED = [column.name for column in LAYER_COLUMNS if column.name != "n_features"]


class FisherResults(RunTable):
    """A table of Fisher matrices with the provenance of every run in it.

    Parameters
    ----------
    table
        With the columns of ``COLUMNS``.
    runs
        Provenance by run id; ``dimensions`` and ``units`` say what the matrices are over.
    """

    columns = COLUMNS
    kind = KINDS["fisher"]
    version = 2
    older: ClassVar[Mapping[int, tuple[str, ...]]] = {1: ADDED_COLUMNS}


@dataclass(frozen=True)
class Stack:
    """The matrices of one run in one layer.

    Attributes
    ----------
    first
        A row of the table, for what all have in common.
    dimensions, units
        Of the n dimensions.
    named
        The points in words, P of them.
    points
        Their values: (P, n).
    information
        J: (P, n, n).
    alone, joint
        Thresholds: (P, n).
    singular
        Whether a matrix is: (P,).
    """

    first: pd.Series
    dimensions: tuple[str, ...]
    units: tuple[str, ...]
    named: tuple[str, ...]
    points: Array
    information: Array
    alone: Array
    joint: Array
    singular: NDArray[np.bool_]

    @property
    def dprime(self) -> float:
        """Criterion of the thresholds."""
        return float(self.first["criterion_dprime"])

    @property
    def correlations(self) -> Array:
        """Of every pair of dimensions: (P, pairs)."""
        upper = np.triu_indices(len(self.dimensions), 1)
        return correlations(self.information)[:, upper[0], upper[1]]

    @property
    def hardest(self) -> tuple[Array, Array]:
        """See :func:`psychophys.results.fisher_algebra.hardest_change`: (P, n) and (P,)."""
        change, least = hardest_change(self.information, self.dprime)
        # What is singular is decided once, where the precision of the numbers is known.
        loose, _ = hardest_change(self.information, self.dprime, np.inf)
        return np.where(self.singular[:, None], loose, change), np.where(self.singular, 0.0, least)


def stacks(results: FisherResults) -> Iterator[Stack]:
    """The matrices of every run and layer, in the order of the table."""
    for _, rows in results.to_pandas().groupby(["run_id", "layer"], sort=False):
        dimensions = tuple(dict.fromkeys(rows["dimension_i"]))
        n = len(dimensions)
        diagonal = [place for place, (i, j) in enumerate(pairs(n)) if i == j]

        def column(name: str, rows: pd.DataFrame = rows, n: int = n) -> Array:
            return np.asarray(rows[name].to_numpy().reshape(-1, len(pairs(n))))

        yield Stack(
            first=rows.iloc[0],
            dimensions=dimensions,
            units=tuple(column("unit_i")[0, diagonal]),
            named=tuple(column("at")[:, 0]),
            points=column("value_i")[:, diagonal],
            information=symmetric(column("fisher_information"), n),
            alone=column("threshold_alone")[:, diagonal],
            joint=column("threshold_joint")[:, diagonal],
            singular=(column("status") == "singular").any(axis=1),
        )


def confusable(results: FisherResults) -> pd.DataFrame:
    """What is hardest to see in each layer at each point: the change that dimensions make up together.

    Returns
    -------
    DataFrame
        One row for each run, layer and point: ``run_id, model, weights, seed, checkpoint, step, layer,
        layer_index, layer_depth, stimulus, at``; ``change_<dimension>`` for every dimension, in its unit;
        ``change``, the same in words; ``eigenvalue``, the smallest of the correlations' (0 to 1), and
        ``times_larger``, one over its root: the length of the change at criterion, in thresholds of the
        dimensions alone. Where the matrix is singular this is infinite, and the change is the direction
        with length 1. See :func:`psychophys.results.fisher_algebra.hardest_change`.
    """
    found = []
    for stack in stacks(results):
        change, least = stack.hardest
        with np.errstate(divide="ignore"):
            larger = 1 / np.sqrt(least)
        for k, at in enumerate(stack.named):
            row: dict[str, Any] = {name: stack.first[name] for name in _SHARED}
            row["at"] = at
            row |= {f"change_{name}": change[k, i] for i, name in enumerate(stack.dimensions)}
            row["change"] = in_words(stack, change[k])
            row["eigenvalue"], row["times_larger"] = least[k], larger[k]
            found.append(row)
    return pd.DataFrame(found)


def in_words(stack: Stack, change: Array) -> str:
    """A change in a few words; empty if it is not known."""
    if not np.isfinite(change).all():
        return ""
    named = zip(stack.dimensions, change, stack.units, strict=True)
    return ", ".join(f"{name} {part:+.3g} {unit}" for name, part, unit in named if part)


def conclusions(results: FisherResults) -> list[str]:
    """One sentence for each run: where its dimensions are most confusable."""
    runs: dict[str, list[Stack]] = {}
    for stack in stacks(results):
        runs.setdefault(str(stack.first["run_id"]), []).append(stack)
    return [_conclusion(layers) for layers in runs.values()]


def _conclusion(layers: list[Stack]) -> str:
    *others, last = layers[0].dimensions
    who = f"{run_name(layers[0].first)}: {', '.join(others)} and {last}"
    least = np.array([np.nanmin(np.append(stack.hardest[1], np.inf)) for stack in layers])
    if not np.isfinite(least).any():
        return f"{who}: no layer depends on all of them."
    stack = layers[int(least.argmin())]
    change, eigenvalues = stack.hardest
    k = int(np.nanargmin(eigenvalues))
    where = f"in {stack.first['layer']} at {stack.named[k]}"
    if eigenvalues[k] == 0:
        return f"{who} cannot be told apart {where}: no change along {in_words(stack, change[k])} is seen."
    grown = np.nanmax(stack.joint[k] / stack.alone[k])
    return (
        f"{who} are most alike {where}: there {in_words(stack, change[k])} is hardest to see together, "
        f"{1 / np.sqrt(eigenvalues[k]):.2f} thresholds long, and not knowing the others makes a threshold "
        f"up to {grown:.2f} times as large."
    )


def cautions(results: FisherResults) -> list[str]:
    """What a reader should know of the numbers: matrices that are singular, layers without noise."""
    said = []
    for _, run in results.to_pandas().groupby("run_id", sort=False):
        by_point = run.groupby(["layer", "at"], sort=False)["status"].agg(set)
        singular = sum("singular" in found for found in by_point)
        if singular:
            said.append(
                f"{run_name(run.iloc[0])}: {singular:,} of {len(by_point):,} matrices are singular: some of "
                "their joint thresholds are infinite."
            )
        said += not_for_layers(run)
    return said
