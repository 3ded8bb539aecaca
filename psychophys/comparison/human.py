"""Measurements and human sensitivity at the same values: run by run, or, for contrast, over frequency."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from psychophys.base.errors import UsageError
from psychophys.comparison.priors import Density
from psychophys.comparison.references import Reference, reference_for
from psychophys.results.thresholds import Results

PIXELS_PER_DEGREE = 100.0
FEWEST_FREQUENCIES = 3
_OBSERVER = ("model", "weights", "seed", "source", "sha256", "input_size", "mean", "std", "dtype", "images")


@dataclass(frozen=True)
class Matched:
    """What was measured of one observer, and human sensitivity at the same values.

    Attributes
    ----------
    rows
        As in the results; for contrast those at the lowest contrast of every frequency, with ``run_id`` that
        of the lowest frequency and ``value`` the frequency in cycles/deg.
    curve
        Human sensitivity over the rows' values, up to a factor.
    records
        Provenance of the run; for contrast of one run for each frequency, from the lowest on.
    """

    rows: pd.DataFrame
    curve: Density
    reference: Reference
    records: tuple[Mapping[str, Any], ...]

    @property
    def across(self) -> bool:
        """Whether this is a curve across runs."""
        return self.reference.axis != self.reference.dimension


def match(
    results: Results, pixels_per_degree: float = PIXELS_PER_DEGREE, reference: str | None = None
) -> list[Matched]:
    """Put human sensitivity beside everything in a table of results.

    Parameters
    ----------
    pixels_per_degree
        Of visual angle, for who would look at the images: turns cycles/image into cycles/deg.
    reference
        Name in :data:`psychophys.comparison.references.REFERENCES`. Default: the first for what was measured.

    Raises
    ------
    UsageError
        Without rows, for a dimension without a reference, or for contrast at too few frequencies.
    """
    if not 1 <= pixels_per_degree <= 10_000:
        raise UsageError(
            f"{pixels_per_degree:g} pixels per degree", "Give 1 to 10,000; a monitor at 57 cm has about 40."
        )
    frame = results.to_pandas()
    if frame.empty:
        raise UsageError("the results hold no rows", "Give some written by `psychophys measure`.")
    found: list[Matched] = []
    functions: dict[str, list[tuple[pd.DataFrame, Mapping[str, Any]]]] = {}
    for run_id, rows in frame.groupby("run_id", sort=False):
        record, first = results.runs[str(run_id)], rows.iloc[0]
        chosen = reference_for(first["dimension"], first["stimulus"], reference)
        if chosen.axis == chosen.dimension:
            found.append(_matched(rows, chosen, (record,)))
        else:
            functions.setdefault(_all_but_frequency(record), []).append((rows, record))
    return found + [_function(runs, pixels_per_degree, reference) for runs in functions.values()]


def _matched(rows: pd.DataFrame, reference: Reference, records: tuple[Mapping[str, Any], ...]) -> Matched:
    values = np.unique(rows["value"].to_numpy(dtype=float))
    human = reference.sensitivity(values, records[0]["measurement"]["parameters"])
    return Matched(rows, Density(values, human, reference.period, reference.axis_unit), reference, records)


def _all_but_frequency(record: Mapping[str, Any]) -> str:
    measurement = dict(record["measurement"])
    rest = {name: v for name, v in measurement.pop("parameters").items() if name != "frequency"}
    if measurement.get("precision"):
        # Each run took as many samples as it needed.
        rest = {name: v for name, v in rest.items() if len(v) == 1}
    observer = [record.get(name) for name in _OBSERVER]
    return json.dumps([measurement, rest, observer], sort_keys=True)


def _function(
    runs: list[tuple[pd.DataFrame, Mapping[str, Any]]], pixels_per_degree: float, reference: str | None
) -> Matched:
    """Runs that differ in frequency alone, as one curve over frequency."""
    by_frequency: dict[float, tuple[pd.DataFrame, Mapping[str, Any]]] = {}
    for rows, record in runs:
        frequencies = record["measurement"]["parameters"]["frequency"]
        if len(frequencies) == 1:
            scale = pixels_per_degree / min(record["input_size"])
            lowest = rows[rows["value"] == rows["value"].min()]
            by_frequency[frequencies[0] * scale] = lowest, record
    first = runs[0][0].iloc[0]
    if len(by_frequency) < FEWEST_FREQUENCIES:
        raise UsageError(
            f"a contrast sensitivity function needs runs at {FEWEST_FREQUENCIES} or more frequencies; "
            f"{first['model']} ({first['weights']}) has {len(by_frequency)}",
            "Measure one run a frequency: for f in 3 6 9 12 24 48; do psychophys measure "
            "--dimension contrast --noise gaussian --frequencies $f --append; done",
        )
    ordered = sorted(by_frequency)
    run_id = by_frequency[ordered[0]][0]["run_id"].iloc[0]
    parts = [by_frequency[f][0].assign(value=f, run_id=run_id) for f in ordered]
    records = tuple(by_frequency[f][1] for f in ordered)
    chosen = reference_for(first["dimension"], first["stimulus"], reference)
    return _matched(pd.concat(parts), chosen, records)
