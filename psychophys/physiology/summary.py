"""What units come to, layer by layer: medians and shares, distances from V1, and the parts of J."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from psychophys.base.types import Array
from psychophys.physiology.places import SUPPRESSED
from psychophys.physiology.population import FACTORS, Bins
from psychophys.physiology.v1 import V1, Published
from psychophys.results.tuning_curves import name_of_run
from psychophys.results.unit_tuning import UnitTuning
from psychophys.stimuli.display import check_pixels_per_degree

MEDIANS = (
    "orientation_bandwidth",
    "circular_variance",
    "preferred_frequency",
    "frequency_bandwidth",
    "modulation_ratio",
    "suppression_index",
    "summation_diameter",
    "c50",
    "exponent",
)
"""Columns of which a layer has the median, over the units that have a number."""
CARDINAL_DEG = 22.5
"""From 0 or 90 deg: half of all orientations are so near."""


def layers_of_units(units: UnitTuning, pixels_per_degree: float | None = None) -> pd.DataFrame:
    """What the units of each layer come to.

    Parameters
    ----------
    pixels_per_degree
        Of visual angle; that of the measurement unless it is given.

    Returns
    -------
    pandas.DataFrame
        One row a run and layer: ``units`` and ``silent``; medians; ``simple_share``, F1 over F0 more than 1;
        ``cardinal_share``, of units that prefer an orientation those within 22.5 deg of 0 or 90 deg;
        ``distance_NAME`` for every distribution of :data:`psychophys.V1`, and ``nearest``, its name;
        ``ratio``, J at 0 and 90 over J at 45 and 135 deg, ``factor_NAME`` for number, gain, sharpness and
        units without a preference, whose product it is, and ``population_cardinal_share`` of all units.
    """
    if pixels_per_degree is not None:
        check_pixels_per_degree(pixels_per_degree)
    frame = units.to_pandas()
    rows = [
        _row(part, units.runs[str(run_id)], pixels_per_degree)
        for (run_id, _), part in frame.groupby(["run_id", "layer"], sort=False)
    ]
    return pd.DataFrame(rows)


def _row(part: pd.DataFrame, record: Mapping[str, Any], pixels_per_degree: float | None) -> dict[str, Any]:
    first = part.iloc[0]
    row: dict[str, Any] = {name: first[name] for name in ("run_id", "model", "weights", "layer")}
    row["units"], row["silent"] = len(part), int((part["orientation_reason"] == "silent").sum())
    row |= {name: _median(part[name]) for name in MEDIANS}
    row["simple_share"] = _share(part["modulation_ratio"], lambda of: of > 1)
    row["cardinal_share"] = _share(part["preferred_orientation"], _is_cardinal)
    scale = record.get("pixels_per_degree") if pixels_per_degree is None else pixels_per_degree
    apart = {one.name: distance_from(one, part, record, scale) for one in V1.values()}
    row |= {f"distance_{name}": value for name, value in apart.items()}
    known = {name: value for name, value in apart.items() if math.isfinite(value)}
    row["nearest"] = min(known, key=lambda name: known[name]) if known else ""
    return row | _parts(record["population"].get(first["layer"]))


def _median(numbers: pd.Series) -> float:
    known = numbers.dropna()
    return float(known.median()) if len(known) else math.nan


def _share(numbers: pd.Series, holds: Any) -> float:
    known = numbers.dropna().to_numpy(dtype=float)
    return float(holds(known).mean()) if len(known) else math.nan


def _is_cardinal(orientation_deg: Array) -> Any:
    return np.abs((orientation_deg + 45) % 90 - 45) < CARDINAL_DEG


def _parts(bins: Mapping[str, Any] | None) -> dict[str, float]:
    found = None if bins is None else Bins.restore(bins).parts()
    if found is None:
        return dict.fromkeys(
            ("ratio", *(f"factor_{name}" for name in FACTORS), "population_cardinal_share"), math.nan
        )
    factors = {f"factor_{name}": math.exp(share) for name, share in found.shares.items()}
    return {"ratio": found.ratio, **factors, "population_cardinal_share": found.cardinal_share}


def values_beside(
    one: Published, part: pd.DataFrame, record: Mapping[str, Any], pixels_per_degree: float | None
) -> Array:
    """Numbers of units in the unit of a published distribution; none where degrees are not known."""
    if one.scaled is not None and pixels_per_degree is None:
        return np.zeros(0)
    if one.column == "summation_diameter":
        part = part[part["suppression_index"] >= SUPPRESSED]
    values = part[one.column].dropna().to_numpy(dtype=float)
    if one.scaled is not None and pixels_per_degree is not None:
        values = one.scaled(values, float(min(record["input_size"])), pixels_per_degree)
    return values


def distance_from(
    one: Published, part: pd.DataFrame, record: Mapping[str, Any], pixels_per_degree: float | None
) -> float:
    """How far units are from a published distribution: see :meth:`Published.distance`."""
    return one.distance(values_beside(one, part, record, pixels_per_degree))


def conclusions_of_units(units: UnitTuning) -> Iterator[str]:
    """A sentence a run: where J differs most between cardinal and oblique orientations, and why."""
    frame = layers_of_units(units)
    for run_id, rows in frame.groupby("run_id", sort=False):
        known = rows[np.isfinite(rows["ratio"])]
        if not len(known):
            continue
        # The logarithm, so that a half is as far from 1 as a double.
        row = known.loc[np.log(known["ratio"]).abs().idxmax()]
        where = row["layer"] if len(known) == 1 else f"{row['layer']}, the layer where they differ most,"
        yield (
            f"{name_of_run(units.runs[str(run_id)])}: in {where} J at 0 and 90 deg is "
            f"{row['ratio']:.3g} times J at 45 and 135 deg: {row['factor_number']:.3g} by the number of "
            f"units, {row['factor_gain']:.3g} by their gain, {row['factor_sharpness']:.3g} by how sharp they "
            f"are, and {row['factor_untuned']:.3g} by units without a preference. "
            f"{100 * row['population_cardinal_share']:.3g}% of its units that have a preference prefer "
            "orientations within 22.5 deg of 0 or 90; 50% would be even."
        )
