"""From a table of thresholds to a few numbers a layer and one sentence a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from psychophys.errors import unknown
from psychophys.results import Results

Array = NDArray[np.float64]

AXIS_TOLERANCE_DEG = 7.5
"""Orientations this near to 0/90 count as cardinal, this near to 45/135 as oblique."""
RUN = ["run_id", "model", "weights", "seed", "checkpoint", "step", "stimulus", "dimension", "unit"]
LAYER = ["run_id", "layer"]


@dataclass(frozen=True)
class Index:
    """One number for a run, by which runs can be ranked."""

    name: str
    meaning: str
    ascending: bool


INDICES = (
    Index("ratio", "cardinal over oblique sensitivity, in the layer where it is highest", False),
    Index("ratio_last", "cardinal over oblique sensitivity in the last layer", False),
    Index("threshold_last", "mean threshold of the last layer", True),
    Index("threshold_best", "mean threshold of the layer that discriminates most finely", True),
    Index("anisotropy", "best over worst sensitivity in the last layer", False),
)


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
        ``run_id, model, weights, seed, checkpoint, step, stimulus, dimension, unit, layer, n_features,
        estimator, status``;
        ``mean_threshold`` over the values; for orientation ``cardinal_threshold``,
        ``oblique_threshold`` and ``cardinal_oblique_ratio`` (of mean sensitivity); for every
        dimension ``best_value``, ``worst_value`` (smallest and largest threshold) and
        ``best_worst_ratio`` of their sensitivities.
    """
    frame = results.to_pandas()
    rows = [_layer_row(group) for _, group in frame.groupby(LAYER, sort=False)]
    return pd.DataFrame(rows)


def _layer_row(group: pd.DataFrame) -> dict[str, object]:
    first = group.iloc[0]
    value = group["value"].to_numpy(dtype=float)
    limit = group["threshold"].to_numpy(dtype=float)
    sensitivity = group["sensitivity"].to_numpy(dtype=float)
    row: dict[str, object] = {
        name: first[name] for name in (*RUN, "layer", "n_features", "estimator", "status")
    }
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


def rank(results: Results, sort: str | None = None, top: int | None = None) -> pd.DataFrame:
    """One row for each run, ordered by one of ``INDICES``.

    Parameters
    ----------
    sort
        Name of an index. Default: ``ratio`` for orientation, ``threshold_last`` for others.
    top
        Keep so many rows.

    Returns
    -------
    DataFrame
        What was measured, ``layers`` (how many), ``last_layer``, ``ratio_layer`` (where ``ratio`` is
        reached), and every index; runs without the index come last.
    """
    orders = {index.name: index for index in INDICES}
    if sort is not None and sort not in orders:
        raise unknown("index", sort, orders)
    frame = pd.DataFrame([_run_row(group) for _, group in summarize(results).groupby("run_id", sort=False)])
    index = orders[sort or ("ratio" if frame["ratio"].notna().any() else "threshold_last")]
    ordered = frame.sort_values(index.name, ascending=index.ascending, kind="stable", na_position="last")
    return ordered.reset_index(drop=True).head(len(ordered) if top is None else top)


def _run_row(group: pd.DataFrame) -> dict[str, object]:
    first, last = group.iloc[0], group.iloc[-1]
    row: dict[str, object] = {name: first[name] for name in (*RUN, "estimator")}
    row["layers"], row["last_layer"] = len(group), last["layer"]
    nothing = pd.Series(np.nan, index=group.index)
    ratios = group.get("cardinal_oblique_ratio", nothing)
    row["ratio_layer"] = group["layer"].iloc[int(np.nanargmax(ratios))] if ratios.notna().any() else None
    row["ratio"], row["ratio_last"] = ratios.max(), ratios.iloc[-1]
    row["threshold_last"] = last["mean_threshold"]
    row["threshold_best"] = group["mean_threshold"].min()
    row["anisotropy"] = last["best_worst_ratio"]
    return row


def development(results: Results, steps: int = 6) -> list[tuple[str, pd.DataFrame]]:
    """How thresholds develop over training, where checkpoints of one model were measured.

    Returns
    -------
    list
        For every set of runs that differ in their step alone and have two or more: a title, and a
        table of mean thresholds by layer (rows) and step (columns, at most ``steps``, evenly chosen).
    """
    summary = summarize(results)
    summary = summary[summary["step"].notna()]
    noise = results.to_pandas().groupby("run_id")[["noise", "noise_level", "criterion_dprime"]].first()
    summary = summary.join(noise, on="run_id")
    summary["folder"] = [str(PurePath(str(name)).parent) for name in summary["checkpoint"]]
    alike = [*(n for n in RUN if n not in ("run_id", "checkpoint", "step")), *noise.columns, "folder"]
    tables = []
    for _, group in summary.groupby(alike, sort=False):
        first = group.iloc[0]
        if group["step"].nunique() < 2 or group.duplicated(["layer", "step"]).any():
            continue
        table = group.pivot_table("mean_threshold", "layer", "step", sort=False)
        table = table[sorted(table.columns)]
        chosen = np.unique(np.linspace(0, table.shape[1] - 1, min(steps, table.shape[1])).round().astype(int))
        title = f"{first['model']} ({first['weights']}, {first['folder']}): "
        title += f"mean {first['dimension']} threshold in {first['unit']} by training step"
        if len(chosen) < table.shape[1]:
            title += f" ({len(chosen)} of {table.shape[1]} shown)"
        tables.append((title, table.iloc[:, chosen]))
    return tables


def conclusions(results: Results) -> list[str]:
    """One sentence for each run in the table: what was found."""
    summary = summarize(results)
    return [_conclusion(group) for _, group in summary.groupby("run_id", sort=False)]


def run_name(row: pd.Series) -> str:
    """A run in a few words: model, weights and step."""
    step = f", step {row['step']:g}" if pd.notna(row["step"]) else ""
    return f"{row['model']} ({row['weights']}{step})"


def _conclusion(group: pd.DataFrame) -> str:
    first = group.iloc[0]
    who = run_name(first)
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
