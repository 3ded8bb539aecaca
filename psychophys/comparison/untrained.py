"""A layer's correlation with a prior beside the same of networks that were not trained.

The pixel grid, the architecture and the stimulus give curves a direction before anything is learned, so that
turns of a curve are no fair null. Untrained copies of the network are: under the hypothesis that training
does nothing to a curve, the observed network is one of K + 1 that cannot be told apart.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from psychophys.base.types import Array
from psychophys.observers.names import CONTROLS

INTERVAL_PERCENT = (2.5, 97.5)
ALIKE = ["model", "weights", "stimulus", "dimension"]
"""What untrained networks share that differ in their seed alone."""
_OBSERVER = ("model", "input_size", "mean", "std", "dtype", "arithmetic", "noise_seed")


@dataclass(frozen=True)
class Standing:
    """Of one layer among networks of one kind that were not trained.

    Attributes
    ----------
    n
        How many there are: K.
    n_without
        Those in which the layer could not be measured. They count as if their r were larger.
    p, p_slope
        (1 + those whose r, or slope, is at least as large) / (K + 1).
    p_family
        Of r over all layers at once: see :func:`familywise_p`.
    r_low, r_high, slope_low, slope_high
        Between which 95 % of them lie; NaN where none has the layer.
    """

    n: int
    n_without: int
    p: float
    p_slope: float
    p_family: float
    r_low: float
    r_high: float
    slope_low: float
    slope_high: float


def rank_p(observed: Array, null: Array) -> Array:
    """P-values of (L,) statistics, one a layer, among those of K networks, (K, L); NaN counts as larger."""
    beaten = ~(null < observed)
    return np.asarray((1 + beaten.sum(axis=0)) / (len(null) + 1), dtype=float)


def familywise_p(observed: Array, null: Array) -> Array:
    """P-values over all layers at once, by the largest statistic (Westfall & Young 1993): (L,).

    Each layer is centred and scaled over all K + 1 networks first, the observed one among them, so that no
    layer counts for more than others and the networks stay exchangeable. A network that lacks a layer (NaN)
    counts as larger there, and has the largest statistic of its others elsewhere.
    """
    every = pd.DataFrame(np.vstack([observed, null]))
    spread = every.std()
    scaled = ((every - every.mean()) / spread.where(spread > 0, 1.0)).to_numpy()
    lacking = np.isnan(scaled[1:])
    largest = np.where(lacking, -np.inf, scaled[1:]).max(axis=1)
    # Numbers that are the same but for rounding are ties.
    beaten = lacking | (largest[:, None] >= scaled[0] - 1e-12)
    return np.asarray((1 + beaten.sum(axis=0)) / (len(null) + 1), dtype=float)


def with_controls(
    comparison: pd.DataFrame,
    records: Mapping[str, Mapping[str, Any]],
    tested: Collection[str] | None = None,
) -> pd.DataFrame:
    """Add every run's standing among the control networks of its model, where there are some.

    Parameters
    ----------
    comparison
        One row for each run and layer, with ``r`` and ``slope``.
    records
        Provenance by run id: runs are compared with those of the same model, measured in the same way.
    tested
        Run ids of the networks that are tested. Default: all but untrained networks of several seeds.

    Returns
    -------
    DataFrame
        With the column ``tested``, and columns such as ``random_p``: the kind of weights and an attribute of
        :class:`Standing`. A run that is a control itself is compared with the others of its kind.
    """
    chosen = _no_controls(comparison) if tested is None else comparison["run_id"].isin(list(tested))
    comparison = comparison.assign(tested=chosen)
    keys = {run: control_key(record) for run, record in records.items()}
    alike = {key: _tables(rows) for key, rows in comparison.groupby(comparison["run_id"].map(keys))}
    found: list[pd.DataFrame] = []
    for run, rows in comparison.groupby("run_id", sort=False):
        standing = [_beside(rows, *part) for part in _controls(alike.get(keys.get(str(run), ""), {}), rows)]
        found.append(pd.concat([rows, *standing], axis=1))
    return pd.concat(found) if found else comparison


def _no_controls(comparison: pd.DataFrame) -> pd.Series:
    """Rows of networks that are none of several that differ in their seed alone."""
    seeds = comparison.groupby(ALIKE, sort=False, dropna=False)["seed"].transform("nunique")
    return ~(comparison["weights"].isin(CONTROLS) & (seeds > 1))


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
    # A curve that is even goes with nothing; of one that was not measured the slope is not known either.
    controls = controls.assign(r=controls["r"].mask(controls["r"].isna() & controls["slope"].notna(), 0.0))
    return {
        (str(kind), str(origin)): {
            what: rows.pivot_table(index="run_id", columns="layer", values=what, dropna=False)
            for what in ("r", "slope")
        }
        for (kind, origin), rows in controls.groupby(["weights", _origin(controls)], sort=False)
    }


def _controls(tables: Tables, rows: pd.DataFrame) -> Iterator[tuple[str, dict[str, pd.DataFrame]]]:
    """Other networks of each kind: shuffled ones of the run's own checkpoint, if any, and random ones."""
    run, own = rows["run_id"].iloc[0], str(_origin(rows).iloc[0])
    for kind in CONTROLS:
        # Random ones hold nothing of a checkpoint but its numbers of classes and pixels.
        drawn = [table for (found, _), table in tables.items() if found == kind == "random"]
        every = tables.get((kind, own), drawn[0] if drawn else {})
        others = {what: table.drop(index=run, errors="ignore") for what, table in every.items()}
        if others and len(others["r"]):
            yield kind, others


def _beside(rows: pd.DataFrame, kind: str, controls: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Standings in the order of the rows; NaN for pixels and for layers without an r."""
    tested = rows[(rows["layer_index"] >= 0) & rows["r"].notna()]
    if tested.empty:
        return pd.DataFrame(index=rows.index)
    r, slope = (table.reindex(columns=tested["layer"]).to_numpy(dtype=float) for table in controls.values())
    observed = tested["r"].to_numpy(dtype=float)
    columns = (
        np.isnan(r).sum(axis=0),
        rank_p(observed, r),
        rank_p(tested["slope"].to_numpy(dtype=float), slope),
        familywise_p(observed, r),
        *_band(r),
        *_band(slope),
    )
    rows_of = zip(*columns, strict=True)
    made = [asdict(Standing(len(r), int(without), *map(float, rest))) for without, *rest in rows_of]
    return pd.DataFrame(made, index=tested.index).reindex(rows.index).add_prefix(f"{kind}_")


def _band(null: Array) -> Array:
    """Between which most networks lie: (2, layers); NaN for a layer that none has."""
    found = np.full((2, null.shape[1]), np.nan)
    known = ~np.isnan(null).all(axis=0)
    found[:, known] = np.nanpercentile(null[:, known], INTERVAL_PERCENT, axis=0)
    return found
