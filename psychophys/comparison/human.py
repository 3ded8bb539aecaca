"""Measurements and human sensitivity at the same values: run by run, or over a parameter across runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from psychophys.base.errors import UsageError
from psychophys.base.types import Array
from psychophys.comparison.people.reference import Reference
from psychophys.comparison.priors import Density
from psychophys.comparison.references import reference_for
from psychophys.comparison.viewing import ANGLES, Viewing, viewing
from psychophys.results.thresholds import Results
from psychophys.stimuli import Display, find_display

FEWEST_FREQUENCIES = 3
_OBSERVER = ("model", "weights", "seed", "source", "sha256", "input_size", "mean", "std", "dtype", "images")
_Run = tuple[pd.DataFrame, Mapping[str, Any], Reference]


@dataclass(frozen=True)
class Matched:
    """What was measured of one observer, and human sensitivity at the same values.

    Attributes
    ----------
    rows
        As in the results; of a curve across runs those at the lowest value of every run, with ``run_id`` that
        of the run with the lowest value on the axis, and ``value`` that on the axis, in people's unit.
    curve
        Human sensitivity over the rows' values, in the unit of the rows; of a shape up to a factor.
    records
        Provenance of the run; of a curve across runs of all, from the lowest on the axis on.
    seen
        How the images are seen.
    factor
        By which factor people's thresholds lie around the curve at its values; NaN where that is not known.
    """

    rows: pd.DataFrame
    curve: Density
    reference: Reference
    records: tuple[Mapping[str, Any], ...]
    seen: Viewing
    factor: Array

    @property
    def across(self) -> bool:
        """Whether this is a curve across runs."""
        return self.reference.across

    @property
    def pixels_per_degree(self) -> float:
        """At which images are seen; NaN where it plays no part."""
        reference = self.reference
        angles = any(self.seen.scales(name) for name in {reference.axis, reference.dimension})
        return self.seen.pixels_per_degree if angles or set(reference.reads) & set(ANGLES) else float("nan")

    @property
    def assumed(self) -> str:
        """What is taken for granted of how the images are seen; empty if nothing is."""
        return self.seen.assumed(self.reference.reads)

    def thresholds(self) -> pd.DataFrame:
        """People's thresholds beside each layer's.

        Returns
        -------
        DataFrame
            ``layer``, ``value``, ``threshold``, ``human_threshold`` with ``human_low`` and ``human_high``,
            and ``threshold_ratio``, the layer's over people's; NaN where people's are not known, and of a
            shape.
        """
        absolute = self.reference.kind == "absolute"
        with np.errstate(divide="ignore"):
            human = 1 / self.curve.density if absolute else np.full_like(self.curve.density, np.nan)
        columns = {
            "human_threshold": human,
            "human_low": human / self.factor,
            "human_high": human * self.factor,
        }
        beside = pd.DataFrame({"value": self.curve.centres, **columns})
        found = self.rows[["layer", "value", "threshold"]].merge(beside, on="value", how="left")
        return found.assign(threshold_ratio=found["threshold"] / found["human_threshold"])

    def summary(self) -> pd.DataFrame:
        """The same, geometric means over the values that people's are known at, by layer."""
        known = self.thresholds().dropna(subset=["human_threshold"])
        columns = ["human_threshold", "human_low", "human_high", "threshold_ratio"]
        with np.errstate(divide="ignore"):
            logs = known[["layer"]].assign(**{name: np.log(known[name]) for name in columns})
        means = logs.groupby("layer", sort=False).mean().apply(np.exp)
        return means.reindex(self.rows["layer"].unique())


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
        Without rows, for a dimension without a reference, for a curve across too few runs, or for other
        pixels per degree than those of the display.
    """
    frame = results.to_pandas()
    if frame.empty:
        raise UsageError("the results hold no rows", "Give some written by `psychophys measure`.")
    found: list[Matched] = []
    functions: dict[str, list[_Run]] = {}
    for run_id, rows in frame.groupby("run_id", sort=False):
        record, first = results.runs[str(run_id)], rows.iloc[0]
        values = record["measurement"]["parameters"]
        chosen = reference_for(first["dimension"], first["stimulus"], reference, values)
        seen = viewing(record, pixels_per_degree)
        if chosen.across:
            key = f"{chosen.name} {_all_but(record, chosen.axis)}"
            functions.setdefault(key, []).append((rows, record, chosen))
        else:
            at = np.unique(rows["value"].to_numpy(dtype=float))
            found.append(_matched(rows, at, at * seen.factor(chosen.dimension), chosen, (record,), seen))
    return found + [_function(runs, pixels_per_degree) for runs in functions.values()]


def _matched(
    rows: pd.DataFrame,
    values: Array,
    at: Array,
    reference: Reference,
    records: tuple[Mapping[str, Any], ...],
    seen: Viewing,
) -> Matched:
    """Human sensitivity at values of the rows, which are these in people's unit."""
    human = reference.sensitivity(at, seen.parameters) * seen.factor(reference.dimension)
    period, unit = reference.period, rows["unit"].iloc[0] if not reference.across else reference.axis_unit
    return Matched(rows, Density(values, human, period, unit), reference, records, seen, reference.factor(at))


def _all_but(record: Mapping[str, Any], axis: str) -> str:
    """What runs share that are one curve over a parameter."""
    measurement = dict(record["measurement"])
    rest = {name: v for name, v in measurement.pop("parameters").items() if name != axis}
    if measurement.get("precision"):
        # Each run took as many samples as it needed.
        rest = {name: v for name, v in rest.items() if len(v) == 1}
    observer = [record.get(name) for name in _OBSERVER]
    return json.dumps([measurement, rest, observer], sort_keys=True)


def _function(runs: Sequence[_Run], pixels_per_degree: float | None) -> Matched:
    """Runs that differ in one parameter alone, as one curve over it."""
    reference = runs[0][2]
    seen = viewing(runs[0][1], pixels_per_degree)
    by_value: dict[float, tuple[pd.DataFrame, Mapping[str, Any]]] = {}
    for rows, record, _ in runs:
        values = record["measurement"]["parameters"][reference.axis]
        if len(values) == 1:
            lowest = rows[rows["value"] == rows["value"].min()]
            by_value[values[0] * seen.factor(reference.axis)] = lowest, record
    if len(by_value) < FEWEST_FREQUENCIES:
        raise _too_few(runs[0], len(by_value))
    ordered = sorted(by_value)
    run_id = by_value[ordered[0]][0]["run_id"].iloc[0]
    rows = pd.concat([by_value[value][0].assign(value=value, run_id=run_id) for value in ordered])
    records = tuple(by_value[value][1] for value in ordered)
    at = np.array(ordered)
    return _matched(rows, at, at, reference, records, seen)


def _too_few(run: _Run, count: int) -> UsageError:
    rows, record, reference = run
    first, name = rows.iloc[0], reference.axis
    recipe = reference.recipe
    side = min(record["input_size"])
    display = find_display(record["measurement"].get("display"))
    wanted = [m["parameters"][name] for m in recipe.measurements(side, display)] if recipe is not None else []
    if display is not None and name == "frequency":
        wanted = [value for value in wanted if value <= display.pixels_per_degree / 2]
    some = " ".join(f"{value:.3g}" for value in wanted) or "A B C"
    option = "--frequencies $f" if name == "frequency" else f"--set {name}=$f"
    return UsageError(
        f"human thresholds for {reference.dimension} of {first['stimulus']} run over {name} and need runs at "
        f"{FEWEST_FREQUENCIES} or more values of it; {first['model']} ({first['weights']}) has {count}",
        f"Measure one run a value: for f in {some}; do psychophys measure --stimulus {first['stimulus']} "
        f"--dimension {reference.dimension} --noise gaussian {option}{_options_of(display)} --append; done",
    )


def _options_of(display: Display | None) -> str:
    """What a command line says to show the same on this display."""
    if display is None:
        return ""
    white = display.luminance_cd_m2
    light = "" if white is None else f" --luminance-cd-m2 {white:g}"
    return f" --pixels-per-degree {display.pixels_per_degree:g}{light} --gamma {display.gamma}"
