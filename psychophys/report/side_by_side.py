"""Thresholds of few runs at each value, side by side: how many times finer, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from psychophys.base.types import Array
from psychophys.comparison.ratio_table import side_of_one
from psychophys.report.commands import plain
from psychophys.report.tables import LAYER, Cell, Heading, PageTable, digits, interval, quantity

DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Where networks with other layers are set beside each other."""


@dataclass(frozen=True)
class SideBySide:
    """Thresholds at every value.

    Attributes
    ----------
    values
        Of the dimension, as they are written.
    chosen
        Place of the one that is shown first.
    tables, said
        For each value.
    """

    values: list[str]
    chosen: int
    unit: str
    tables: list[PageTable]
    said: list[list[str]]


@dataclass(frozen=True)
class Limit:
    """A threshold with its interval, of one layer."""

    layer: str
    threshold: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether it is a number that can be divided by."""
        return bool(np.isfinite(self.threshold) and self.threshold > 0)

    @property
    def text(self) -> str:
        """With its interval."""
        return f"{digits(self.threshold)}{interval(self.low, self.high)}"


def side_by_side(frame: pd.DataFrame, names: Mapping[str, str]) -> SideBySide | None:
    """Thresholds of every run at the values that all have; None where there is no such value."""
    runs = [run for _, run in frame.groupby("run_id", sort=False)]
    shared = set.intersection(*(set(run["value"]) for run in runs))
    values = sorted(shared)
    if not values:
        return None
    unit, dimension = str(frame["unit"].iloc[0]), str(frame["dimension"].iloc[0])
    layers = [list(dict.fromkeys(run["layer"])) for run in runs]
    alike = all(set(each) == set(layers[0]) for each in layers)
    who = [names[str(run["run_id"].iloc[0])] for run in runs]
    tables, said = [], []
    for value in values:
        limits = [_limits(run[run["value"] == value]) for run in runs]
        rows = _by_name(limits) if alike else _by_depth(runs, limits)
        at = f"{dimension} {plain(value)} {unit}"
        tables.append(_table(f"Thresholds at {at}, in {unit}", who, rows, alike))
        said.append(_said(f"At {at}", who, rows, unit))
    return SideBySide([plain(value) for value in values], len(values) // 2, unit, tables, said)


def _limits(rows: pd.DataFrame) -> dict[str, Limit]:
    columns = ("layer", "threshold", "threshold_low", "threshold_high")
    return {str(row[0]): Limit(*row) for row in rows[list(columns)].itertuples(index=False)}


Rows = list[tuple[str, list[Limit]]]
"""What a row is called, and a threshold for each run."""


def _by_name(limits: list[dict[str, Limit]]) -> Rows:
    return [(layer, [each[layer] for each in limits]) for layer in limits[0]]


def _by_depth(runs: list[pd.DataFrame], limits: list[dict[str, Limit]]) -> Rows:
    """The layer nearest to each of a few depths."""
    found: Rows = []
    for depth in DEPTHS:
        row = []
        for run, each in zip(runs, limits, strict=True):
            place = int(np.argmin((run["layer_depth"] - depth).abs().to_numpy()))
            row.append(each[str(run["layer"].iloc[place])])
        found.append((f"depth {depth:g}", row))
    return found


def ratio(over: Limit, under: Limit) -> tuple[float, float, float]:
    """How many times larger a threshold is, with an interval as if the two were independent.

    On the scale of logarithms the distances to the ends add up as squares (Zou & Donner 2008, Stat Med
    27:1693).
    """
    if not (over.known and under.known):
        return np.nan, np.nan, np.nan
    found = over.threshold / under.threshold
    down = np.hypot(np.log(over.threshold / over.low), np.log(under.high / under.threshold))
    up = np.hypot(np.log(over.high / over.threshold), np.log(under.threshold / under.low))
    return found, float(found * np.exp(-down)), float(found * np.exp(up))


def _table(caption: str, who: list[str], rows: Rows, alike: bool) -> PageTable:
    headings = [LAYER if alike else Heading("depth (layer)", is_number=False), *map(Heading, who)]
    times = "times the threshold of the first network, as if the intervals of the two were independent"
    headings += [Heading(f"{name} / {who[0]}", times) for name in who[1:]]
    body = []
    for name, limits in rows:
        cells = [Cell(name)]
        for limit in limits:
            cell = quantity(limit.threshold, limit.low, limit.high)
            cells.append(cell if alike else Cell(f"{cell.text} {limit.layer}", cell.value))
        cells += [quantity(*ratio(limit, limits[0])) for limit in limits[1:]]
        body.append(cells)
    return PageTable(caption, tuple(headings), body)


def _said(at: str, who: list[str], rows: Rows, unit: str) -> list[str]:
    if len(who) == 1:
        return [_alone(at, who[0], [limits[0] for _, limits in rows], unit)]
    said = []
    for place in range(1, len(who)):
        pairs = [(limits[0], limits[place]) for _, limits in rows]
        said += _pair(at, who[0], who[place], pairs, unit)
    return said


def _alone(at: str, who: str, limits: list[Limit], unit: str) -> str:
    known = [limit for limit in limits if limit.known]
    if not known:
        return f"{at}: {who} tells nothing apart."
    fine, last = min(known, key=lambda limit: limit.threshold), limits[-1]
    if len(limits) == 1:
        return f"{at}: the threshold of {who} in {last.layer} is {last.text} {unit}."
    end = f" In the last layer, {last.layer}, it is {last.text} {unit}." if last is not fine else ""
    return f"{at}: the threshold of {who} is smallest in {fine.layer}, {fine.text} {unit}.{end}"


def _pair(at: str, first: str, other: str, pairs: list[tuple[Limit, Limit]], unit: str) -> list[str]:
    """Who is finer, in how many layers, by how much and how surely."""
    known = [(a, b) for a, b in pairs if a.known and b.known]
    if not known:
        return [f"{at}: no layer has thresholds in both {first} and {other}."]
    logs = np.log([ratio(b, a) for a, b in known])
    if np.allclose(logs[:, 0], 0, atol=1e-6):
        return [f"{at}: {first} and {other} have the same thresholds."]
    last = _last(first, other, *known[-1], unit)
    if len(known) == 1:
        side = side_of_one(float(np.exp(logs[0, 0])), digits)
        finest = {1: f"{first} is finer", -1: f"{other} is finer", 0: f"{first} and {other} are as fine"}
        return [f"{at}: {finest[side]}. {last}"]
    finer, surely = _finer(logs[:, [0, 0]]), _finer(logs[:, 1:])
    told = bool(np.isfinite(logs).all())
    sure = [f" (surely in {n})" if told else "" for n in surely]
    meaning = " Surely: the interval of their ratio, as it is shown, leaves out 1." if told else ""
    mean = float(np.exp(logs[:, 0].mean()))
    alike = len(known) - sum(finer)
    neither = f"; in {alike} the ratio is 1.00 as it is shown" if alike else ""
    return [
        f"{at}: of {len(known)} layers, {first} is finer in {finer[0]}{sure[0]} and {other} in {finer[1]}"
        f"{sure[1]}{neither}; over all of them {other} needs {digits(mean)} times the change that {first} "
        f"needs (geometric mean).{meaning} {last}"
    ]


def _finer(ends: Array) -> tuple[int, int]:
    """In how many layers the first is finer, and the other: by log ratios as they are shown."""
    over, under = ([side_of_one(float(np.exp(log)), digits) for log in column] for column in ends.T)
    return over.count(1), under.count(-1)


def _last(first: str, other: str, a: Limit, b: Limit, unit: str) -> str:
    """Of the last layer that both have."""
    times, low, high = ratio(b, a)
    place = a.layer if a.layer == b.layer else "the last layer"
    return (
        f"In {place} the threshold of {first} is {a.text} {unit}, that of {other} {b.text} {unit}: "
        f"{digits(times)} times{interval(low, high)} as large."
    )
