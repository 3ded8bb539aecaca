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
    alike = {key: _tables(rows) for key, rows in comparison.groupby(comparison["run_id"].map(keys))}
    found: list[pd.DataFrame] = []
    for run, rows in comparison.groupby("run_id", sort=False):
        standing = [_beside(rows, *part) for part in _controls(alike.get(keys.get(str(run), ""), {}), rows)]
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


Tables = dict[tuple[str, str], dict[str, pd.DataFrame]]
"""By kind and checkpoint: ``r`` and ``slope``, a row a network and a column a layer."""


def _origin(rows: pd.DataFrame) -> pd.Series:
    """The checkpoint of each row; empty where there is none."""
    return rows["checkpoint"].astype(object).where(rows["checkpoint"].notna(), "")


def _tables(alike: pd.DataFrame) -> Tables:
    """Of the control networks among runs that differ in their weights alone."""
    controls = alike[alike["weights"].isin(CONTROLS)]
    return {
        (str(kind), str(origin)): {
            what: rows.pivot_table(index="run_id", columns="layer", values=what, dropna=False)
            for what in ("r", "slope")
        }
        for (kind, origin), rows in controls.groupby(["weights", _origin(controls)], sort=False)
    }


def _controls(tables: Tables, rows: pd.DataFrame) -> Iterator[tuple[str, dict[str, pd.DataFrame]]]:
    """Other networks of each kind: random ones of no checkpoint, shuffled ones of the run's own, if any."""
    origins = {"random": "", "shuffled": str(_origin(rows).iloc[0])}
    run = rows["run_id"].iloc[0]
    for kind in CONTROLS:
        every = tables.get((kind, origins[kind]), {})
        others = {what: table.drop(index=run, errors="ignore") for what, table in every.items()}
        if others and len(others["r"]):
            yield kind, others


def _beside(rows: pd.DataFrame, kind: str, controls: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Standings in the order of the rows; NaN for pixels and for layers without an r."""
    tested = rows[(rows["layer_index"] >= 0) & rows["r"].notna()]
    if tested.empty:
        return pd.DataFrame(index=rows.index)
    nulls = {what: table.reindex(columns=tested["layer"]) for what, table in controls.items()}
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
