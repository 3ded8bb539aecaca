"""A layer's correlation with a prior beside the same of networks that were not trained.

The pixel grid, the architecture and the stimulus give curves a direction before anything is learned, so that
turns of a curve are no fair null. Untrained copies of the network are: under the hypothesis that training
does nothing to a curve, the observed network is one of K + 1 that cannot be told apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from psychophys.base.types import Array
from psychophys.observers.names import CONTROLS

INTERVAL_PERCENT = (2.5, 97.5)
_OBSERVER = ("model", "input_size", "mean", "std", "dtype", "arithmetic", "noise_seed")


@dataclass(frozen=True)
class Standing:
    """Of one layer among networks of one kind that were not trained.

    Attributes
    ----------
    n
        How many there are: K.
    p, p_slope
        (1 + those whose r, or slope, is at least as large) / (K + 1).
    p_family
        Of r over all layers at once: see :func:`familywise_p`.
    r_low, r_high, slope_low, slope_high
        Between which 95 % of them lie.
    """

    n: int
    p: float
    p_slope: float
    p_family: float
    r_low: float
    r_high: float
    slope_low: float
    slope_high: float


def rank_p(observed: Array, null: Array) -> Array:
    """P-values of (L,) statistics, one a layer, among those of K networks, (K, L)."""
    return np.asarray((1 + (null >= observed).sum(axis=0)) / (len(null) + 1), dtype=float)


def familywise_p(observed: Array, null: Array) -> Array:
    """P-values over all layers at once, by the largest statistic (Westfall & Young 1993): (L,).

    Each layer is centred and scaled over all K + 1 networks first, the observed one among them, so that no
    layer counts for more than others and the networks stay exchangeable.
    """
    every = np.vstack([observed, null])
    spread = every.std(axis=0, ddof=1) if len(every) > 1 else np.zeros(every.shape[1])
    scaled = (every - every.mean(axis=0)) / np.where(spread > 0, spread, 1)
    largest = scaled[1:].max(axis=1)
    # Numbers that are the same but for rounding are ties.
    beaten = largest[:, None] >= scaled[0] - 1e-12
    return np.asarray((1 + beaten.sum(axis=0)) / (len(null) + 1), dtype=float)


def with_controls(comparison: pd.DataFrame, records: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Add every run's standing among the control networks of its model, where there are some.

    Parameters
    ----------
    comparison
        One row for each run and layer, with ``r`` and ``slope``.
    records
        Provenance by run id: runs are compared with those of the same model, measured in the same way.

    Returns
    -------
    DataFrame
        With columns such as ``random_p``: the kind of weights and an attribute of :class:`Standing`. A run
        that is a control itself is compared with the others of its kind.
    """
    keys = {run: control_key(record) for run, record in records.items()}
    found: list[pd.DataFrame] = []
    for run, rows in comparison.groupby("run_id", sort=False):
        alike = comparison[comparison["run_id"].map(keys) == keys.get(str(run))]
        standing = [_beside(rows, part, kind) for kind, part in _controls(alike, rows)]
        found.append(pd.concat([rows, *standing], axis=1))
    return pd.concat(found) if found else comparison


def control_key(record: Mapping[str, Any]) -> str:
    """What two runs share that differ in their weights alone."""
    measurement = record["measurement"]
    if isinstance(measurement, Mapping) and measurement.get("precision"):
        # Each run took as many samples as it needed.
        parameters = {name: v for name, v in measurement["parameters"].items() if len(v) == 1}
        measurement = {**measurement, "parameters": parameters}
    return json.dumps([measurement, *(record.get(name) for name in _OBSERVER)], sort_keys=True)


def _controls(alike: pd.DataFrame, rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Other networks of each kind; shuffled ones have the weights of the same checkpoint, or of none."""
    first = rows.iloc[0]
    of = alike["checkpoint"]
    origin = of.isna() if pd.isna(first["checkpoint"]) else of == first["checkpoint"]
    # Random weights are of no checkpoint.
    origin |= of.isna() & (alike["weights"] == "random")
    for kind in CONTROLS:
        part = alike[(alike["weights"] == kind) & (alike["run_id"] != first["run_id"]) & origin]
        if len(part):
            yield kind, part


def _beside(rows: pd.DataFrame, controls: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Standings in the order of the rows; NaN for pixels and for layers without an r."""
    tested = rows[(rows["layer_index"] >= 0) & rows["r"].notna()]
    if tested.empty:
        return pd.DataFrame(index=rows.index)
    nulls = {
        what: controls.pivot_table(index="run_id", columns="layer", values=what, dropna=False).reindex(
            columns=tested["layer"]
        )
        for what in ("r", "slope")
    }
    # A curve that is even does not go with anything.
    r, slope = (nulls[what].fillna(0.0).to_numpy(dtype=float) for what in ("r", "slope"))
    observed = tested["r"].to_numpy(dtype=float)
    low, high = np.percentile(r, INTERVAL_PERCENT, axis=0)
    slope_low, slope_high = np.percentile(slope, INTERVAL_PERCENT, axis=0)
    columns = (
        np.full(len(tested), len(r)),
        rank_p(observed, r),
        rank_p(tested["slope"].to_numpy(dtype=float), slope),
        familywise_p(observed, r),
        low,
        high,
        slope_low,
        slope_high,
    )
    made = [asdict(Standing(int(n), *map(float, rest))) for n, *rest in zip(*columns, strict=True)]
    return pd.DataFrame(made, index=tested.index).reindex(rows.index).add_prefix(f"{kind}_")
