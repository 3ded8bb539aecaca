"""From a table of thresholds to a few numbers a layer and one sentence a run."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from psychophys.base.errors import UsageError
from psychophys.base.types import STATUSES, Array
from psychophys.results.indices import (
    CARDINAL_DEG,
    FEWEST_INTERPOLATED,
    INDICES,
    OBLIQUE_DEG,
    at_axis,
    is_at,
    is_ring,
)
from psychophys.results.thresholds import Results

if TYPE_CHECKING:
    from psychophys.noise.information import Noise

FEW_SAMPLES_ERROR = 0.05
"""Relative error of thresholds from which the nuisance samples are said to be too few."""
FEWEST_OF_A_CURVE = 5
"""Orientations from which somebody may expect a ratio."""
_AXES = (("cardinal", CARDINAL_DEG), ("oblique", OBLIQUE_DEG))
_NUMBERS = ("value", "threshold", "sensitivity", "retained_information", "criterion_dprime")
NETWORK = ["n_parameters", "license"]
"""Of a run's network: empty in files of earlier versions."""
RUN = ["run_id", "model", "weights", "seed", "checkpoint", "step", "stimulus", "dimension", "unit"]
LAYER = ["run_id", "layer"]


def summarize(results: Results) -> pd.DataFrame:
    """One row for each run and layer.

    Returns
    -------
    DataFrame
        ``run_id, model, weights, seed, checkpoint, step, stimulus, dimension, unit, n_parameters, license,
        layer, n_features, estimator, status``;
        ``mean_threshold`` over the values; for orientation ``cardinal_threshold`` and
        ``oblique_threshold``; for every dimension ``best_value``, ``worst_value`` (smallest and largest
        threshold) and ``best_worst_ratio`` of their sensitivities; every index of
        :data:`psychophys.results.indices.INDICES` that applies, with its interval in ``<index>_low`` and
        ``<index>_high`` (NaN with one nuisance sample); ``retained_information`` (mean, input noise).
    """
    frame = results.to_pandas()
    number = frame.groupby(LAYER, sort=False).ngroup().to_numpy()
    frame = frame.iloc[np.argsort(number, kind="stable")]
    counts = np.bincount(number)
    starts = np.cumsum(counts) - counts
    first = frame.iloc[starts].reset_index(drop=True)
    columns = {name: frame[name].to_numpy(dtype=float) for name in _NUMBERS}
    # Layers that were measured at the same values are summarised together: a zoo has tens of thousands.
    alike: dict[tuple[str, bytes], list[int]] = {}
    for place, (start, count) in enumerate(zip(starts, counts, strict=True)):
        values = columns["value"][start : start + count].tobytes()
        alike.setdefault((str(first["dimension"].iloc[place]), values), []).append(place)
    parts = []
    for (dimension, _), places in alike.items():
        rows = starts[places][:, None] + np.arange(counts[places[0]])
        found = _summaries(dimension, {name: column[rows] for name, column in columns.items()})
        parts.append(pd.DataFrame(found, index=places))
    # A column of integers that are missing in places is one of floats in pandas.
    first["n_parameters"] = first["n_parameters"].astype("Int64")
    named = [*RUN, *NETWORK, "layer", "n_features", "estimator", "status"]
    table = first[named].join(pd.concat(parts))
    return _with_intervals(table, results.runs)


def _summaries(dimension: str, columns: Mapping[str, Array]) -> dict[str, Array]:
    """Of layers that were measured at the same values: columns of shape (layers, values) to (layers,)."""
    value, limit, sensitivity = columns["value"][0], columns["threshold"], columns["sensitivity"]
    found = {
        "mean_threshold": limit.mean(axis=1),
        "retained_information": pd.DataFrame(columns["retained_information"]).mean(axis=1).to_numpy(),
    }
    if dimension == "orientation":
        for name, axes in _AXES:
            found[f"{name}_threshold"] = _axes_threshold(columns, axes)
    for index in INDICES.values():
        if index.applies(dimension):
            found[index.name] = np.asarray(index.compute(value, sensitivity), dtype=float)
            found |= dict.fromkeys((f"{index.name}_low", f"{index.name}_high"), np.full(len(limit), np.nan))
    finite, rows = np.isfinite(sensitivity).any(axis=1), np.arange(len(sensitivity))
    best = np.where(np.isnan(sensitivity), -np.inf, sensitivity).argmax(axis=1)
    worst = np.where(np.isnan(sensitivity), np.inf, sensitivity).argmin(axis=1)
    found["best_value"], found["worst_value"] = (np.where(finite, value[at], np.nan) for at in (best, worst))
    most, least = (np.where(finite, sensitivity[rows, at], np.nan) for at in (best, worst))
    with np.errstate(divide="ignore", invalid="ignore"):
        found["best_worst_ratio"] = np.where(least > 0, most / least, np.nan)
    return found


def _with_intervals(table: pd.DataFrame, runs: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Fill in the intervals of indices that the provenance holds."""
    ends: dict[str, dict[int, float]] = {}
    for row, run_id, layer in zip(table.index, table["run_id"], table["layer"], strict=True):
        own = runs.get(str(run_id), {}).get("indices", {}).get(str(layer), {})
        for name, (low, high) in own.items():
            ends.setdefault(f"{name}_low", {})[row] = low
            ends.setdefault(f"{name}_high", {})[row] = high
    known = {name: pd.Series(column, dtype=float) for name, column in ends.items() if name in table}
    return table.assign(**{name: table[name].fillna(column) for name, column in known.items()})


def _axes_threshold(columns: Mapping[str, Array], axes_deg: Sequence[float]) -> Array:
    """Mean threshold at the axes that are known: (layers,)."""
    value, limit, sensitivity = columns["value"][0], columns["threshold"], columns["sensitivity"]
    found = []
    for axis in axes_deg:
        if (measured := is_at(value, axis)).any():
            found.append(limit[:, measured].mean(axis=1))
        elif (guessed := at_axis(value, sensitivity, axis)) is not None:
            with np.errstate(divide="ignore"):
                found.append(columns["criterion_dprime"][:, 0] / guessed)
    return np.mean(found, axis=0) if found else np.full(len(limit), np.nan)


def development(results: Results, steps: int = 6) -> list[tuple[str, pd.DataFrame]]:
    """How thresholds develop over training, where checkpoints of one model were measured.

    Returns
    -------
    list
        For every set of runs that differ in their step alone and have two or more: a title, and a
        table of mean thresholds by layer (rows) and step (columns, at most ``steps``, evenly chosen).
    """
    if len(results.table["step"].drop_null().unique()) < 2:
        return []
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
    """One sentence or two for each run in the table: what was found."""
    return conclusions_of(summarize(results))


def conclusions_of(summary: pd.DataFrame) -> list[str]:
    """Conclusions of runs that have been summarised."""
    runs = [group for _, group in summary.groupby("run_id", sort=False)]
    return [f"{_conclusion(run)}{_retained(run)}" for run in runs]


def _retained(run: pd.DataFrame) -> str:
    known = run[run["retained_information"] > 0]
    if known.empty:
        return ""
    first, last = known.iloc[0], known.iloc[-1]
    said = f" Of the pixels' information, {first['layer']} keeps {first['retained_information']:.2g}"
    if len(known) > 1:
        said += f" and {last['layer']} {last['retained_information']:.2g}"
    return f"{said}."


def cautions(results: Results) -> list[str]:
    """What a reader should know of the numbers: too few samples, layers left out, solvers that stopped."""
    said = []
    frame = results.to_pandas()
    for run_id, run in frame.groupby("run_id", sort=False):
        record = results.runs.get(str(run_id), {})
        said += [_pooled(run, record), _few_samples(run, record), _not_precise(run, record), *_statuses(run)]
        if missed := missed_axes(run):
            said.append(f"{run_name(run.iloc[0])}: {missed}")
    return list(dict.fromkeys(filter(None, said)))


def _pooled(run: pd.DataFrame, record: Mapping[str, Any]) -> str:
    pooling = record.get("measurement", {}).get("pooling")
    if pooling is None:
        return ""
    count = run["n_samples"].iloc[0]
    return f"{run_name(run.iloc[0])}: J is the {pooling} over {count} samples, not their mean."


def _few_samples(run: pd.DataFrame, record: Mapping[str, Any]) -> str:
    errors = {layer: e for layer, e in record.get("halves_error", {}).items() if e > FEW_SAMPLES_ERROR}
    if not errors:
        return ""
    worst = max(errors, key=lambda layer: errors[layer])
    remedy = "Give more (--phases, --set sample=...)"
    if _has_intervals(run):
        remedy += ", or --until-precision"
    return (
        f"{run_name(run.iloc[0])}: {run['n_samples'].iloc[0]} samples are few for {len(errors)} of "
        f"{run['layer'].nunique()} layers: by their halves, thresholds are uncertain by up to "
        f"{errors[worst]:.0%} ({worst}). {remedy}."
    )


def _not_precise(run: pd.DataFrame, record: Mapping[str, Any]) -> str:
    wanted = record.get("measurement", {}).get("precision")
    if not wanted:
        return ""
    width = (run["threshold_high"] - run["threshold_low"]) / 2 / run["threshold"]
    measured = run["status"].isin(("ok", "not_converged"))
    wide = run[measured & ~(width <= wanted)]
    if wide.empty:
        return ""
    return (
        f"{run_name(run.iloc[0])}: precision {wanted:.1%} is not reached at {len(wide)} of {len(run)} values "
        f"with {run['n_samples'].iloc[0]} samples, the most that can be drawn; the widest is "
        f"{width[measured].max():.1%} ({wide.loc[:, 'layer'].iloc[0]})."
    )


def missed_axes(run: pd.DataFrame) -> str:
    """Where the ratio of cardinal and oblique orientations is interpolated, or why there is none."""
    value = run["value"].unique().astype(float)
    if run["dimension"].iloc[0] != "orientation" or len(value) < FEWEST_OF_A_CURVE:
        return ""
    axes = {name: [f"{axis:g}" for axis in both if not is_at(value, axis).any()] for name, both in _AXES}
    missed = ", ".join(itertools.chain(*axes.values()))
    if not missed:
        return ""
    said = f"none of {len(value)} orientations is at {missed} deg"
    if is_ring(value):
        said += ", where sensitivity is interpolated: a peak that is narrower than their steps is missed."
    else:
        without = [name for name, both in axes.items() if len(both) == 2]
        nothing = f"no {' and no '.join(without)} threshold, and no ratio"
        said += f" ({nothing if without else 'left out of the ratio'}): "
        said += f"to interpolate it takes {FEWEST_INTERPOLATED} in equal steps round 180 deg."
    return f"{said} Give --values 36, or another multiple of 4: they hold all four axes."


def _statuses(run: pd.DataFrame) -> list[str]:
    by_layer = run.groupby("layer", sort=False)[["status", "solver_gap"]].first()
    open_ = list(by_layer.index[by_layer["status"] == "not_converged"])
    who, said = run_name(run.iloc[0]), []
    said += not_for_layers(run)
    nothing = run[_is_estimate(run) & (run["fisher_information"] <= 0)]
    if len(nothing):
        said.append(
            f"{who}: at {len(nothing)} of {len(run)} values a read-out that does not know the nuisance "
            f"parameters tells nothing that the samples show ({nothing['layer'].iloc[0]} and others)."
        )
    if open_:
        gap = run[run["layer"].isin(open_)]["solver_gap"].max()
        said.append(
            f"{who}: the solver has not converged in {len(open_)} layers ({', '.join(open_[:3])}): J may be "
            f"up to {gap / max(1 - gap, 1e-9):.0%} larger. Give --noise-option iterations=1000."
        )
    return said


def _noise_of(run: pd.DataFrame) -> Noise | None:
    """The noise of a run; None for one that is not known here, of which a table has the name alone."""
    from psychophys.noise.models import NOISE  # noqa: PLC0415 - PyTorch, which reading a table does without

    try:
        return NOISE.get(str(run["noise"].iloc[0]))
    except UsageError:
        return None


def _has_intervals(run: pd.DataFrame) -> bool:
    noise = _noise_of(run)
    return noise is None or noise.method.has_intervals


def _is_estimate(run: pd.DataFrame) -> bool:
    noise = _noise_of(run)
    return noise is not None and noise.method.is_estimate


def not_for_layers(run: pd.DataFrame) -> list[str]:
    """One sentence on the layers whose responses the noise is not for, or none."""
    said = []
    for status, part in run.groupby("status", sort=False):
        if status in STATUSES:
            continue
        layers = list(dict.fromkeys(part["layer"]))
        noise = _noise_of(run)
        domain = None if noise is None else noise.domain
        others = f"responses that are {status}" if domain is None else domain.others
        named = f"{', '.join(layers[:3])}{', ...' if len(layers) > 3 else ''}"
        line = f"{run_name(run.iloc[0])}: no {run['noise'].iloc[0]} noise for {len(layers)} layers with "
        remedy = f"; {domain.remedy}." if domain is not None and domain.remedy else "."
        said.append(f"{line}{others} ({named}){remedy}")
    return said


def run_name(row: pd.Series) -> str:
    """A run in a few words: model, weights (the checkpoint's file where they are of one) and step."""
    file = row.get("checkpoint")
    weights = (
        PurePath(file).name if row["weights"] == "checkpoint" and isinstance(file, str) else row["weights"]
    )
    step = f", step {row['step']:g}" if pd.notna(row["step"]) else ""
    return f"{row['model']} ({weights}{step})"


def _conclusion(group: pd.DataFrame) -> str:
    first = group.iloc[0]
    who = run_name(first)
    good = group[group["status"].isin(("ok", "not_converged"))]
    if good.empty:
        if (group["status"] == "insensitive").all():
            return f"{who}: no layer depends on {first['dimension']}."
        reasons = ", ".join(dict.fromkeys(group["status"]))
        return f"{who}: no layer could be measured ({reasons})."
    ratios = good["cardinal_oblique_ratio"] if first["dimension"] == "orientation" else pd.Series(dtype=float)
    if ratios.notna().any():
        top = good.iloc[int(np.nanargmax(ratios))]
        start, end = good.iloc[0], good.iloc[-1]
        if len(good) == 1:
            return (
                f"{who}: in {top['layer']}, sensitivity at cardinal over oblique orientations is "
                f"{top['cardinal_oblique_ratio']:.2f}{_interval(top, 'cardinal_oblique_ratio')}."
            )
        return (
            f"{who}: sensitivity at cardinal over oblique orientations goes from "
            f"{start['cardinal_oblique_ratio']:.2f} in {start['layer']} to "
            f"{end['cardinal_oblique_ratio']:.2f} in {end['layer']}, and is highest in {top['layer']} "
            f"({top['cardinal_oblique_ratio']:.2f}{_interval(top, 'cardinal_oblique_ratio')})."
        )
    fine = good.iloc[int(np.nanargmin(good["mean_threshold"]))]
    finely = "told apart" if len(good) == 1 else "told apart most finely"
    said = f"{who}: {first['dimension']} is {finely} in {fine['layer']} (mean threshold "
    said += f"{fine['mean_threshold']:.3g} {fine['unit']})"
    if fine["best_value"] != fine["worst_value"]:
        said += (
            f"; there the sensitivity is highest at {fine['best_value']:.4g} and lowest at "
            f"{fine['worst_value']:.4g} {fine['unit']}"
        )
    said += "."
    if pd.notna(fine.get("weber_slope")):
        slope = f"{fine['weber_slope']:.2f}{_interval(fine, 'weber_slope')}"
        said += f" Thresholds go with {first['dimension']} to the power {slope}; 1 is Weber's law."
    return said


def _interval(row: pd.Series, name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "" if pd.isna(low) else f", interval {low:.2f} to {high:.2f}"
