"""From a table of thresholds to a few numbers a layer and one sentence a run."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from psychophys.results import Results

Array = NDArray[np.float64]

AXIS_TOLERANCE_DEG = 7.5
"""Orientations this near to 0/90 count as cardinal, this near to 45/135 as oblique."""
GROUP = ["run_id", "model", "weights", "seed", "dimension", "unit", "layer"]


def is_cardinal(orientation_deg: Array) -> NDArray[np.bool_]:
    """The values nearest to 0 or 90 deg, if within ``AXIS_TOLERANCE_DEG``."""
    return _nearest(orientation_deg, 0.0)


def is_oblique(orientation_deg: Array) -> NDArray[np.bool_]:
    """The values nearest to 45 or 135 deg, if within ``AXIS_TOLERANCE_DEG``."""
    return _nearest(orientation_deg, 45.0)


def _nearest(orientation_deg: Array, axis_deg: float) -> NDArray[np.bool_]:
    distance = np.abs((orientation_deg - axis_deg + 45) % 90 - 45)
    near = distance <= distance.min() + 1e-9
    return np.asarray(near & (distance <= AXIS_TOLERANCE_DEG), dtype=bool)


def summarize(results: Results) -> pd.DataFrame:
    """One row for each run and layer.

    Returns
    -------
    DataFrame
        ``run_id, model, weights, seed, dimension, unit, layer, n_features, estimator, status``;
        ``mean_threshold`` over the values; for orientation ``cardinal_threshold``,
        ``oblique_threshold`` and ``cardinal_oblique_ratio`` (of mean sensitivity); for every
        dimension ``best_value``, ``worst_value`` (smallest and largest threshold) and
        ``best_worst_ratio`` of their sensitivities.
    """
    frame = results.to_pandas()
    # `groupby` would drop a missing seed and sort the layers by name.
    rows = [_layer_row(group) for _, group in frame.groupby(GROUP, sort=False, dropna=False)]
    return pd.DataFrame(rows)


def _layer_row(group: pd.DataFrame) -> dict[str, object]:
    first = group.iloc[0]
    value = group["value"].to_numpy(dtype=float)
    limit = group["threshold"].to_numpy(dtype=float)
    sensitivity = group["sensitivity"].to_numpy(dtype=float)
    row: dict[str, object] = {name: first[name] for name in (*GROUP, "n_features", "estimator", "status")}
    row["mean_threshold"] = _mean(limit)
    if first["dimension"] == "orientation":
        cardinal, oblique = is_cardinal(value), is_oblique(value)
        row["cardinal_threshold"] = _mean(limit[cardinal])
        row["oblique_threshold"] = _mean(limit[oblique])
        row["cardinal_oblique_ratio"] = _ratio(_mean(sensitivity[cardinal]), _mean(sensitivity[oblique]))
    finite = np.isfinite(sensitivity).any()
    best = int(np.nanargmax(sensitivity)) if finite else 0
    worst = int(np.nanargmin(sensitivity)) if finite else 0
    row["best_value"], row["worst_value"] = value[best], value[worst]
    row["best_worst_ratio"] = _ratio(float(sensitivity[best]), float(sensitivity[worst]))
    return row


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0 else float("nan")


def conclusions(results: Results) -> list[str]:
    """One sentence for each run in the table: what was found."""
    summary = summarize(results)
    return [_conclusion(group) for _, group in summary.groupby("run_id", sort=False)]


def _conclusion(group: pd.DataFrame) -> str:
    first = group.iloc[0]
    who = f"{first['model']} ({first['weights']})"
    good = group[group["status"] == "ok"]
    if good.empty:
        return f"{who}: no layer depends on {first['dimension']}."
    ratios = good["cardinal_oblique_ratio"] if first["dimension"] == "orientation" else pd.Series(dtype=float)
    if ratios.notna().any():
        top = good.iloc[int(np.nanargmax(ratios))]
        start, end = good.iloc[0], good.iloc[-1]
        return (
            f"{who}: sensitivity at cardinal over oblique orientations goes from "
            f"{start['cardinal_oblique_ratio']:.2f} in {start['layer']} to "
            f"{end['cardinal_oblique_ratio']:.2f} in {end['layer']}, and is highest in {top['layer']} "
            f"({top['cardinal_oblique_ratio']:.2f})."
        )
    fine = good.iloc[int(np.nanargmin(good["mean_threshold"]))]
    return (
        f"{who}: {first['dimension']} is told apart most finely in {fine['layer']} (mean threshold "
        f"{fine['mean_threshold']:.3g} {fine['unit']}); there the sensitivity is highest at "
        f"{fine['best_value']:.4g} and lowest at {fine['worst_value']:.4g} {fine['unit']}."
    )
