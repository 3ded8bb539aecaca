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
from psychophys.stimuli import find_display

PIXELS_PER_DEGREE = 100.0
"""Where neither a display nor an option says them."""
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
    pixels_per_degree
        Of visual angle, that turned cycles/image into cycles/deg, or those of the display.
    """

    rows: pd.DataFrame
    curve: Density
    reference: Reference
    records: tuple[Mapping[str, Any], ...]
    pixels_per_degree: float

    @property
    def across(self) -> bool:
        """Whether this is a curve across runs."""
        return self.reference.axis != self.reference.dimension


def match(
    results: Results, pixels_per_degree: float | None = None, reference: str | None = None
) -> list[Matched]:
    """Put human sensitivity beside everything in a table of results.

    Parameters
    ----------
    pixels_per_degree
        Of visual angle, for who would look at the images: turns cycles/image into cycles/deg. Default: those
        of the display that was measured with, or ``PIXELS_PER_DEGREE``.
    reference
        Name in :data:`psychophys.comparison.references.REFERENCES`. Default: the first for what was measured.

    Raises
    ------
    UsageError
        Without rows, for a dimension without a reference, for contrast at too few frequencies, or for other
        pixels per degree than those of the display.
    """
    frame = results.to_pandas()
    if frame.empty:
        raise UsageError("the results hold no rows", "Give some written by `psychophys measure`.")
    found: list[Matched] = []
    functions: dict[str, list[tuple[pd.DataFrame, Mapping[str, Any]]]] = {}
    for run_id, rows in frame.groupby("run_id", sort=False):
        record, first = results.runs[str(run_id)], rows.iloc[0]
        seen_at = viewed_at(record, pixels_per_degree)
        chosen = reference_for(first["dimension"], first["stimulus"], reference)
        if chosen.axis == chosen.dimension:
            found.append(_matched(rows, chosen, (record,), seen_at))
        else:
            functions.setdefault(_all_but_frequency(record), []).append((rows, record))
    return found + [_function(runs, pixels_per_degree, reference) for runs in functions.values()]


def viewed_at(record: Mapping[str, Any], given: float | None = None) -> float:
    """Pixels per degree of visual angle of a run's display, or else those that are given.

    Raises
    ------
    UsageError
        For others than those of the display, or a number that no screen has.
    """
    if given is not None and not 1 <= given <= 10_000:
        raise UsageError(f"{given:g} pixels per degree", "Give 1 to 10,000; a monitor at 57 cm has about 40.")
    display = find_display(record["measurement"].get("display"))
    if display is None:
        return PIXELS_PER_DEGREE if given is None else given
    if given not in (None, display.pixels_per_degree):
        raise UsageError(
            f"{given:g} pixels per degree of what was measured at {display.pixels_per_degree:g}",
            "Leave --pixels-per-degree out, or measure again with it.",
        )
    return display.pixels_per_degree


def _matched(
    rows: pd.DataFrame, reference: Reference, records: tuple[Mapping[str, Any], ...], seen_at: float
) -> Matched:
    values = np.unique(rows["value"].to_numpy(dtype=float))
    human = reference.sensitivity(values, records[0]["measurement"]["parameters"])
    curve = Density(values, human, reference.period, reference.axis_unit)
    return Matched(rows, curve, reference, records, seen_at)


def _all_but_frequency(record: Mapping[str, Any]) -> str:
    measurement = dict(record["measurement"])
    rest = {name: v for name, v in measurement.pop("parameters").items() if name != "frequency"}
    if measurement.get("precision"):
        # Each run took as many samples as it needed.
        rest = {name: v for name, v in rest.items() if len(v) == 1}
    observer = [record.get(name) for name in _OBSERVER]
    return json.dumps([measurement, rest, observer], sort_keys=True)


def _function(
    runs: list[tuple[pd.DataFrame, Mapping[str, Any]]], pixels_per_degree: float | None, reference: str | None
) -> Matched:
    """Runs that differ in frequency alone, as one curve over frequency."""
    by_frequency: dict[float, tuple[pd.DataFrame, Mapping[str, Any]]] = {}
    for rows, record in runs:
        frequencies = record["measurement"]["parameters"]["frequency"]
        if len(frequencies) == 1:
            on_display = record["measurement"].get("display") is not None
            scale = 1.0 if on_display else viewed_at(record, pixels_per_degree) / min(record["input_size"])
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
    return _matched(pd.concat(parts), chosen, records, viewed_at(records[0], pixels_per_degree))
