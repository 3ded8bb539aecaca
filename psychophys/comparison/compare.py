"""Measured sensitivities against a prior or human ones: layers, pixels and control networks side by side."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri
from torch import nn

from psychophys.base.errors import PsychophysError, UsageError
from psychophys.base.types import Array
from psychophys.comparison.correlation import (
    FEWEST_VALUES,
    compare_with_prior,
    correlation,
    geometric_mean,
)
from psychophys.comparison.human import FEWEST_FREQUENCIES, Matched, match
from psychophys.comparison.priors import PRIORS, Density, Prior, load_prior
from psychophys.comparison.priors.table import statistic_for
from psychophys.comparison.untrained import control_key, with_controls
from psychophys.measurement.run import run
from psychophys.measurement.spec import restore
from psychophys.observers.observer import Observer
from psychophys.results.thresholds import Results
from psychophys.stimuli import Display, find_display
from psychophys.stimuli.base import REFERENCE_SIDE

PIXELS = "pixels"
DEFAULT_PRIOR = "imagenet-sample"
_OF_PIXELS = ("0-1", "Michelson")
"""Units of what priors count in pixel values, and not in light."""
RUN = ["run_id", "model", "weights", "seed", "checkpoint", "step", "stimulus", "dimension"]


def compare(
    results: Results,
    prior: str | Prior | None = None,
    *,
    scale: float | None = None,
    human: bool | str = False,
    pixels_per_degree: float | None = None,
    tested: Collection[str] | None = None,
    pool: bool = False,
) -> pd.DataFrame:
    """How the sensitivity of every layer goes with a prior, or with human sensitivity.

    Parameters
    ----------
    prior
        Name or file of a prior, or one. Default: ``DEFAULT_PRIOR``.
    scale
        Of the prior, in pixels: see :meth:`Prior.density`.
    human
        Compare with human sensitivity in place of a prior: with the reference of that name in
        :data:`psychophys.REFERENCES`, or the first for what was measured. Contrast is then compared over
        frequency, across runs that differ in frequency alone; others over what their reference names.
    pixels_per_degree
        Of visual angle; decides the frequency in cycles/deg. Default: those of the display that was measured
        with, or 100.
    tested
        Run ids of the networks that are tested. Default: all but untrained networks of several seeds.
    pool
        Take networks of a model that differ in seed or checkpoint alone as one: their mean curve, with the
        spread between them in the interval of q. None is tested against others then.

    Returns
    -------
    DataFrame
        One row for each run and layer: what was measured, ``prior``, ``layer``, ``layer_index``,
        ``layer_depth``, and the attributes of :class:`psychophys.comparison.correlation.Coding`. The first
        row of a run is that of the pixels: Fisher information of the image itself, ``layer_index`` -1, which
        is also the baseline of ``r_partial``. It is left out for a stimulus that cannot be drawn again.
        ``networks`` is how many are in a row, and ``tested`` whether they are tested. Where there are runs of
        untrained networks of the same model, measured in the same way, columns such as ``random_p`` say where
        a run stands among them (:mod:`psychophys.comparison.untrained`). Columns such as ``r with
        wei-stocker-2015`` hold the correlation with the other priors that come along.
        With ``human``, ``reference``, ``axis`` (what the curve runs over), ``unit`` (of thresholds),
        ``pixels_per_degree`` (NaN where it plays no part) and ``assumed`` (of how the images are seen) stand
        in place of ``prior``, and a curve across runs goes by the first of them. ``human_threshold``,
        ``human_low``, ``human_high`` and ``threshold_ratio``, the layer's over people's, are geometric means
        over the values; NaN of a shape.

    Raises
    ------
    UsageError
        Without rows, for a dimension that the prior does not hold or that has no human reference, or for
        a curve across too few runs.
    """
    if not human:
        return _with_prior(results, DEFAULT_PRIOR if prior is None else prior, scale, tested, pool)
    if pool:
        raise UsageError("networks are pooled beside a prior alone", "Leave out --pool, or --human.")
    if prior is not None or scale is not None:
        raise UsageError(
            "human sensitivity and a prior cannot be compared with at once",
            "Leave out --human, or --prior and --scale.",
        )
    rows: list[dict[str, Any]] = []
    known: dict[str, Array | None] = {}
    records = dict(results.runs)
    for matched in match(results, pixels_per_degree, human if isinstance(human, str) else None):
        pixels = _pixels(matched, known)
        fewest = FEWEST_FREQUENCIES if matched.across else FEWEST_VALUES
        measured = _with_errors(matched.rows, matched.records[0])
        found = _rows(measured, matched.curve, pixels, _named(matched), fewest=fewest)
        beside = matched.summary()
        rows += [
            {**row, **beside.loc[row["layer"]].to_dict()} if row["layer"] in beside.index else row
            for row in found
        ]
        if matched.across:
            every = [record["measurement"] for record in matched.records]
            records[str(measured["run_id"].iloc[0])] = {**matched.records[0], "measurement": every}
    return with_controls(pd.DataFrame(rows), records, tested)


def _named(matched: Matched) -> dict[str, Any]:
    """Which people are compared with, and how they see the images."""
    return {
        "reference": matched.reference.name,
        "axis": matched.reference.axis,
        "unit": matched.rows["unit"].iloc[0],
        "pixels_per_degree": matched.pixels_per_degree,
        "assumed": matched.assumed,
    }


def _with_prior(
    results: Results, prior: str | Prior, scale: float | None, tested: Collection[str] | None, pool: bool
) -> pd.DataFrame:
    chosen = load_prior(prior) if isinstance(prior, str) else prior
    frame = results.to_pandas()
    if frame.empty:
        raise UsageError("the results hold no rows", "Give some written by `psychophys measure`.")
    rows: list[dict[str, Any]] = []
    known: dict[str, Array | None] = {}
    found: dict[tuple[Any, ...], tuple[Density, dict[str, Density]]] = {}

    def densities(group: pd.DataFrame, record: Mapping[str, Any]) -> tuple[Density, dict[str, Density]]:
        seen = json.dumps([record["measurement"].get("display"), record["input_size"]])
        what = (*group.iloc[0][["stimulus", "dimension", "unit"]], seen)
        if what not in found:
            found[what] = density_for(group, chosen, scale, record), _others(group, chosen, record)
        return found[what]

    alike = frame["run_id"].map(lambda run: control_key(results.runs[run])) if pool else frame["run_id"]
    for _, group in frame.groupby([alike, "weights"], sort=False):
        record = results.runs[str(group["run_id"].iloc[0])]
        density, others = densities(group, record)
        pixels = _baseline(record, known)
        rows += _rows(_with_errors(group, record), density, pixels, {"prior": chosen.name}, others)
    table = pd.DataFrame(rows)
    return table.assign(tested=True) if pool else with_controls(table, results.runs, tested)


def _others(group: pd.DataFrame, chosen: Prior, record: Mapping[str, Any]) -> dict[str, Density]:
    """The other priors that come along and say something of what a run measured."""
    found = {}
    for name, prior in PRIORS.items():
        if name == chosen.name:
            continue
        try:
            found[name] = density_for(group, prior, record=record)
        except UsageError:
            continue
    return found


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
    others: Mapping[str, Density] | None = None,
    *,
    fewest: int = FEWEST_VALUES,
) -> list[dict[str, Any]]:
    """One row for the pixels, where there are any, and one for each layer."""
    about: dict[Any, Any] = {**group.iloc[0][RUN].to_dict(), **named}
    about |= {"networks": group["run_id"].nunique()}
    if about["networks"] > 1:
        about |= {"checkpoint": None, "step": float("nan")}
    first = group[(group["layer"] == group["layer"].iloc[0]) & (group["run_id"] == about["run_id"])]
    rows: list[dict[str, Any]] = []
    if pixels is not None:
        place: dict[Any, Any] = {"layer": PIXELS, "layer_index": -1, "layer_depth": 0.0}
        shown = first.assign(sensitivity=pixels, error=np.nan)
        rows.append({**about, **place, **_coding(shown, density, None, others or {}, fewest)})
    for layer, part in group.groupby("layer", sort=False):
        place = {"layer": layer, **part.iloc[0][["layer_index", "layer_depth"]].to_dict()}
        rows.append({**about, **place, **_coding(part, density, pixels, others or {}, fewest)})
    return rows


def density_for(
    group: pd.DataFrame, prior: Prior, scale: float | None = None, record: Mapping[str, Any] | None = None
) -> Density:
    """The density over what a run measured; :class:`UsageError` if the prior has none.

    Parameters
    ----------
    record
        Of the run: on a display, the density is turned into its units.
    """
    stimulus, dimension, unit = group.iloc[0][["stimulus", "dimension", "unit"]]
    shown = None if record is None else find_display(record["measurement"].get("display"))
    side = REFERENCE_SIDE if record is None else min(record["input_size"])
    return density_of(stimulus, dimension, unit, prior, scale, shown, side)


def density_drawn(results: Results, prior: Prior, scale: float | None = None) -> Density:
    """The density over what the first run of results measured, for a figure."""
    frame = results.to_pandas()
    return density_for(frame, prior, scale, results.runs[str(frame["run_id"].iloc[0])])


def density_of(
    stimulus: str,
    dimension: str,
    unit: str,
    prior: Prior,
    scale: float | None = None,
    display: Display | None = None,
    side: int = REFERENCE_SIDE,
) -> Density:
    """The density over a dimension of a stimulus; :class:`UsageError` if the prior has none in its unit."""
    statistic = statistic_for(stimulus, dimension)
    if statistic not in prior.statistics:
        listed = f"It has {', '.join(prior.statistics)}. Measure one of these, or give another --prior."
        other = f"Its {dimension} is another quantity. Compare another dimension or stimulus."
        raise UsageError(
            f"prior {prior.name} says nothing of {dimension} of {stimulus}",
            other if dimension in prior.statistics else listed,
        )
    density = prior.density(statistic, scale if statistic == "orientation" else None)
    if display is not None and display.transfer.curved and density.unit in _OF_PIXELS:
        raise UsageError(
            f"{dimension} of {stimulus} is that of light (gamma {display.gamma}), the prior that of pixels",
            "Measure with --gamma linear, or compare another dimension.",
        )
    if display is not None:
        density = _in_units_of(display, density, side, unit)
    if density.unit != unit:
        raise UsageError(
            f"{dimension} of {stimulus} is measured in {unit}, the prior in {density.unit}",
            "Compare another dimension or stimulus.",
        )
    return density


def _in_units_of(display: Display, density: Density, side: int, unit: str) -> Density:
    """A density over the image's units in those of a display, for images of so many pixels a side."""
    factors = {("cycles/image", "cycles/deg"): display.pixels_per_degree / side}
    if display.luminance_cd_m2 is not None:
        factors["0-1", "cd/m2"] = display.luminance_cd_m2
    factor = factors.get((density.unit, unit))
    return density if factor is None else density.scaled(factor, unit)


def _coding(
    part: pd.DataFrame, density: Density, pixels: Array | None, others: Mapping[str, Density], fewest: int
) -> dict[str, Any]:
    """Of one layer of one network, or of the mean of several."""
    runs = pd.factorize(part["run_id"])[0]
    order = np.lexsort((part["value"].to_numpy(dtype=float), runs))
    columns = (part[name].to_numpy(dtype=float)[order] for name in ("value", "sensitivity", "error"))
    every, sensitivity, errors = (column.reshape(runs.max() + 1, -1) for column in columns)
    values, pixels = every[0], None if pixels is None else pixels[order[: every.shape[1]]]
    found = compare_with_prior(sensitivity, values, density, pixels, errors=errors, fewest=fewest)
    mean = geometric_mean(sensitivity)
    return asdict(found) | {
        f"r with {name}": _correlation_at(mean, other.at(values)) for name, other in others.items()
    }


def _correlation_at(sensitivity: Array, density: Array) -> float:
    good = np.isfinite(sensitivity) & np.isfinite(density)
    return correlation(sensitivity[good], density[good]) if good.sum() >= FEWEST_VALUES else float("nan")


def _with_errors(rows: pd.DataFrame, record: Mapping[str, Any]) -> pd.DataFrame:
    """Add standard errors of the sensitivities, from the thresholds' intervals; NaN where there are none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        width = np.log(rows["threshold_high"] / rows["threshold_low"])
    spread = ndtri(0.5 + record["measurement"]["confidence"] / 2)
    return rows.assign(error=rows["sensitivity"] * width / (2 * spread))


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
