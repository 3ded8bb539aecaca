"""Measured sensitivities against a prior or human ones: layers, pixels and controls side by side."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from psychophys.base.errors import PsychophysError, UsageError
from psychophys.base.types import Array
from psychophys.comparison.correlation import FEWEST_VALUES, compare_with_prior
from psychophys.comparison.human import FEWEST_FREQUENCIES, PIXELS_PER_DEGREE, Matched, match
from psychophys.comparison.priors import Density, Prior, load_prior
from psychophys.comparison.priors.table import statistic_for
from psychophys.measurement.run import run
from psychophys.measurement.spec import restore
from psychophys.observers.observer import Observer
from psychophys.results.thresholds import Results

PIXELS = "pixels"
DEFAULT_PRIOR = "imagenet-sample"
GOOD_R, GOOD_P = 0.5, 0.05
"""From where on a layer is said to go with the prior: in the words of :func:`conclusions` only."""
RUN = ["run_id", "model", "weights", "seed", "checkpoint", "step", "stimulus", "dimension"]


def compare(
    results: Results,
    prior: str | Prior | None = None,
    *,
    scale: float | None = None,
    seed: int = 0,
    human: bool | str = False,
    pixels_per_degree: float = PIXELS_PER_DEGREE,
) -> pd.DataFrame:
    """How the sensitivity of every layer goes with a prior, or with human sensitivity.

    Parameters
    ----------
    prior
        Name or file of a prior, or one. Default: ``DEFAULT_PRIOR``.
    scale
        Of the prior, in pixels: see :meth:`Prior.density`.
    seed
        Of the bootstrap.
    human
        Compare with human sensitivity in place of a prior: with the reference of that name in
        :data:`psychophys.REFERENCES`, or the first for what was measured. Contrast is then compared over
        frequency, across runs that differ in frequency alone.
    pixels_per_degree
        Of visual angle; decides the frequency in cycles/deg.

    Returns
    -------
    DataFrame
        One row for each run and layer: what was measured, ``prior``, ``layer``, ``layer_index``,
        ``layer_depth``, and the attributes of :class:`psychophys.comparison.correlation.Coding`. The first
        row of a run is that of the pixels: Fisher information of the image itself, ``layer_index`` -1, which
        is also the baseline of ``r_partial``. It is left out for a stimulus that cannot be drawn again.
        With ``human``, ``reference`` and ``pixels_per_degree`` (NaN where it plays no part) stand in place
        of ``prior``, and a curve over frequency goes by the first of its runs.

    Raises
    ------
    UsageError
        Without rows, for a dimension that the prior does not hold or that has no human reference, or for
        contrast at too few frequencies.
    """
    if not human:
        return _with_prior(results, DEFAULT_PRIOR if prior is None else prior, scale, seed)
    if prior is not None or scale is not None:
        raise UsageError(
            "human sensitivity and a prior cannot be compared with at once",
            "Leave out --human, or --prior and --scale.",
        )
    rows: list[dict[str, Any]] = []
    known: dict[str, Array | None] = {}
    for matched in match(results, pixels_per_degree, human if isinstance(human, str) else None):
        pixels = _pixels(matched, known)
        scaled = pixels_per_degree if matched.across else float("nan")
        named = {"reference": matched.reference.name, "pixels_per_degree": scaled}
        fewest = FEWEST_FREQUENCIES if matched.across else FEWEST_VALUES
        rows += _rows(matched.rows, matched.curve, pixels, named, seed, fewest)
    return pd.DataFrame(rows)


def _with_prior(results: Results, prior: str | Prior, scale: float | None, seed: int) -> pd.DataFrame:
    chosen = load_prior(prior) if isinstance(prior, str) else prior
    frame = results.to_pandas()
    if frame.empty:
        raise UsageError("the results hold no rows", "Give some written by `psychophys measure`.")
    rows: list[dict[str, Any]] = []
    known: dict[str, Array | None] = {}
    for run_id, group in frame.groupby("run_id", sort=False):
        density = density_for(group, chosen, scale)
        pixels = _baseline(results.runs[str(run_id)], known)
        rows += _rows(group, density, pixels, {"prior": chosen.name}, seed)
    return pd.DataFrame(rows)


def _baseline(record: Mapping[str, Any], known: dict[str, Array | None]) -> Array | None:
    # Runs of several models or weights often show the same images: draw them once.
    shown = json.dumps([record[key] for key in ("measurement", "input_size")], sort_keys=True)
    if shown not in known:
        known[shown] = pixel_sensitivity(record)
    return known[shown]


def _pixels(matched: Matched, known: dict[str, Array | None]) -> Array | None:
    """The baseline in the order of the rows of one layer."""
    if not matched.across:
        return _baseline(matched.records[0], known)
    found = []
    for record in matched.records:
        values = record["measurement"]["values"]
        pixels = _baseline(record, known)
        if pixels is None:
            return None
        found.append(pixels[int(np.argmin(values))])
    return np.array(found)


def _rows(
    group: pd.DataFrame,
    density: Density,
    pixels: Array | None,
    named: Mapping[str, Any],
    seed: int,
    fewest: int = FEWEST_VALUES,
) -> list[dict[str, Any]]:
    """One row for the pixels, where there are any, and one for each layer."""
    rows: list[dict[str, Any]] = []
    about: dict[Any, Any] = {**group.iloc[0][RUN].to_dict(), **named}
    first = group[group["layer"] == group["layer"].iloc[0]]
    if pixels is not None:
        place: dict[Any, Any] = {"layer": PIXELS, "layer_index": -1, "layer_depth": 0.0}
        rows.append({**about, **place, **_coding(first, pixels, density, None, seed, fewest)})
    for layer, part in group.groupby("layer", sort=False):
        place = {"layer": layer, **part.iloc[0][["layer_index", "layer_depth"]].to_dict()}
        sensitivity = part["sensitivity"].to_numpy(dtype=float)
        rows.append({**about, **place, **_coding(part, sensitivity, density, pixels, seed, fewest)})
    return rows


def density_for(group: pd.DataFrame, prior: Prior, scale: float | None = None) -> Density:
    """The density over what a run measured; :class:`UsageError` if the prior has none."""
    first = group.iloc[0]
    statistic = statistic_for(first["stimulus"], first["dimension"])
    if statistic not in prior.statistics:
        raise UsageError(
            f"prior {prior.name} says nothing of {first['dimension']}",
            f"It has {', '.join(prior.statistics)}. Measure one of these, or give another --prior.",
        )
    density = prior.density(statistic, scale if statistic == "orientation" else None)
    if density.unit != first["unit"]:
        raise UsageError(
            f"{first['dimension']} of {first['stimulus']} is measured in {first['unit']}, the prior in "
            f"{density.unit}",
            "Compare another dimension or stimulus.",
        )
    return density


def _coding(
    part: pd.DataFrame, sensitivity: Array, density: Density, pixels: Array | None, seed: int, fewest: int
) -> dict[str, Any]:
    order = np.argsort(part["value"].to_numpy(dtype=float), kind="stable")
    values = part["value"].to_numpy(dtype=float)[order]
    sensitivity, pixels = sensitivity[order], None if pixels is None else pixels[order]
    at = density.at(values)
    circular = _goes_round(values, density.period)
    return asdict(compare_with_prior(sensitivity, at, pixels, circular=circular, seed=seed, fewest=fewest))


def _goes_round(values: Array, period: float | None) -> bool:
    """Whether values are the equal steps of one whole round."""
    if period is None or len(values) < 2:
        return False
    steps = np.diff(values)
    return bool(np.allclose(steps, steps[0]) and np.isclose(len(values) * steps[0], period))


def pixel_sensitivity(record: Mapping[str, Any]) -> Array | None:
    """Sensitivity of the image itself, at the values of a run; None if it cannot be drawn again."""
    try:
        plain = {"noise": "gaussian", "noise_level": 1.0, "noise_options": {"differential": 0.0}}
        spec = {**record["measurement"], **plain, "layers": [PIXELS], "precision": None}
        measurement = restore(spec, record.get("images", ()))
        network = nn.Sequential(OrderedDict([(PIXELS, nn.Flatten())]))
        height, width = record["input_size"]
        observer = Observer(network, input_size=(height, width), mean=(0.0,) * 3, std=(1.0,) * 3, name=PIXELS)
        table = run(measurement, observer)
    except PsychophysError:
        return None
    return np.asarray(table.to_pandas()["sensitivity"], dtype=float)


def conclusions(comparison: pd.DataFrame) -> list[str]:
    """A sentence or two for each run, of no more than the numbers say."""
    said = []
    for _, group in comparison.groupby("run_id", sort=False):
        said.append(_conclusion(group))
    for _, group in comparison.groupby(["model", "stimulus", "dimension"], sort=False, dropna=False):
        said += _against_control(group)
    return list(dict.fromkeys(said))


def _layers(group: pd.DataFrame) -> pd.DataFrame:
    return group[group["layer_index"] >= 0]


def _conclusion(group: pd.DataFrame) -> str:
    first, layers = group.iloc[0], _layers(group)
    who = f"{first['model']} ({first['weights']})"
    what = "human sensitivity" if "reference" in group else "the prior"
    known = layers[layers["r"].notna()]
    if known.empty:
        short = (layers["n_values"] < FEWEST_VALUES).all()
        why = f"too few values of {_axis(first)} that {what} covers" if short else "what is even has no r"
        return f"{who}: nothing to compare ({why})."
    ring = known["p_shift"].notna().any()
    best = known.iloc[int(np.argmax(known["r"]))]
    highest = f"highest r {best['r']:.2f}, in {best['layer']}"
    if ring and known["p_least"].min() > GOOD_P:
        enough = int(np.ceil(best["p_least"] * best["n_values"] / GOOD_P - 1e-9))
        return (
            f"{who}: {best['n_values']} values are too few for p <= {GOOD_P:g} with {what}; measure at least "
            f"{enough} ({highest})."
        )
    if not ring and known["slope_low"].isna().all():
        most = known["n_values"].max()
        few = f"{most} values of {_axis(first)} are too few"
        return f"{who}: {few}; measure at least {FEWEST_VALUES} ({highest})."
    shown = known["p_shift"] <= GOOD_P if ring else known["slope_low"] > 0
    criterion = f"p <= {GOOD_P:g}" if ring else "slope's interval over 0"
    good = known[(known["r"] >= GOOD_R) & shown]
    if good.empty:
        found = f"goes with {what} in no layer ({highest})"
    else:
        best = good.iloc[int(np.argmax(good["r"]))]
        found = (
            f"goes with {what} in {len(good)} of {len(known)} layers (r >= {GOOD_R:g}, {criterion}; "
            f"highest r {best['r']:.2f}, in {best['layer']})"
        )
    pixels = group[group["layer_index"] < 0]["r"]
    baseline = ""
    if len(pixels):
        r = pixels.iloc[0]
        baseline = (
            "; the pixels' own sensitivity is even" if np.isnan(r) else f"; the pixels' own r is {r:.2f}"
        )
    return f"{who}: sensitivity to {first['dimension']} {found}{baseline}."


def _axis(row: pd.Series) -> str:
    """What a comparison runs over."""
    across = pd.notna(row.get("pixels_per_degree"))
    return "frequency" if across else str(row["dimension"])


def _against_control(group: pd.DataFrame) -> list[str]:
    """How trained and untrained weights of one model differ in their last layers."""
    last = {weights: _layers(part).iloc[-1] for weights, part in group.groupby("weights", sort=False)}
    trained = last.get("pretrained")
    if trained is None or np.isnan(trained["r"]):
        return []
    controls = [
        f"{'none' if np.isnan(last[name]['r']) else format(last[name]['r'], '.2f')} {name}"
        for name in ("random", "shuffled")
        if name in last
    ]
    if not controls:
        return ["Without `random` weights beside it, this does not tell what training contributes."]
    return [f"{trained['model']}, {trained['layer']}: r {trained['r']:.2f} trained, {', '.join(controls)}."]
