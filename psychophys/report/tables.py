"""Tables of a page: what a cell says, and the number by which it is sorted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from psychophys.comparison.references import REFERENCES
from psychophys.comparison.verdict import kinds_of
from psychophys.comparison.zoo import DEPTH
from psychophys.results.ranking import RANKINGS, rank
from psychophys.results.summary import run_name, summarize
from psychophys.results.thresholds import Results
from psychophys.results.words import large
from psychophys.simulation.table import Simulations


@dataclass(frozen=True)
class Cell:
    """What is read, and the exact number behind it; None for words."""

    text: str
    value: float | None = None


@dataclass(frozen=True)
class Heading:
    """Of a column; ``meaning`` is said below the table."""

    text: str
    meaning: str = ""
    is_number: bool = True


@dataclass(frozen=True)
class PageTable:
    """A table: the first cell of a row is its heading.

    Attributes
    ----------
    left_out
        How many rows there are besides these.
    """

    caption: str
    headings: tuple[Heading, ...]
    rows: list[list[Cell]] = field(default_factory=list)
    left_out: int = 0


def words(text: object) -> Cell:
    """A cell of words; a dash for none."""
    return Cell("-" if pd.isna(text) else str(text))  # type: ignore[call-overload]


def digits(value: float) -> str:
    """Three significant digits, zeros at the end among them."""
    return f"{value:#.3g}".removesuffix(".")


def quantity(value: float, low: float = np.nan, high: float = np.nan) -> Cell:
    """A number in three digits, with its interval where there is one."""
    if not np.isfinite(value):
        return Cell("-" if np.isnan(value) else "none", None)
    return Cell(f"{digits(value)}{interval(low, high)}", float(value))


def interval(low: float, high: float) -> str:
    """An interval in brackets, or nothing."""
    return "" if pd.isna(low) or pd.isna(high) else f" ({digits(low)} to {digits(high)})"


def decimals(value: float, places: int, low: float = np.nan, high: float = np.nan) -> Cell:
    """A number of about 1 with so many decimals, as correlations and exponents are written."""
    if not np.isfinite(value):
        return Cell("-")
    ends = "" if pd.isna(low) or pd.isna(high) else f" ({_fixed(low, places)} to {_fixed(high, places)})"
    return Cell(f"{_fixed(value, places)}{ends}", float(value))


def _fixed(value: float, places: int) -> str:
    return f"{round(value, places) + 0.0:.{places}f}"  # 0 has no sign.


def value_cell(value: float) -> Cell:
    """A value of the dimension."""
    return Cell("-") if pd.isna(value) else Cell(f"{value:g}", float(value))


def count(value: float) -> Cell:
    """A whole number with commas."""
    return Cell("-") if pd.isna(value) else Cell(f"{int(value):,}", float(value))


LAYER = Heading("layer", is_number=False)
_ORIENTED = (
    Heading("cardinal", "threshold at 0 and 90 deg"),
    Heading("oblique", "threshold at 45 and 135 deg"),
    Heading("ratio", "sensitivity at cardinal over that at oblique orientations"),
)
_OTHER = (
    Heading("best at", "value of the smallest threshold"),
    Heading("worst at", "value of the largest threshold"),
    Heading("ratio", "sensitivity at the best over that at the worst value"),
)


def layer_table(run: pd.DataFrame, most: int | None = None) -> PageTable:
    """A row for each layer of one run: thresholds, and how they go over the dimension.

    Parameters
    ----------
    run
        Rows of :func:`psychophys.summarize`.
    most
        Rows to show, spread over depth.
    """
    first = run.iloc[0]
    ratio = "cardinal_oblique_ratio"
    oriented = ratio in run and bool(run[ratio].notna().any())
    mean = Heading("mean", f"threshold over all values, in {first['unit']}")
    units = Heading("units", "activations of the layer for one image")
    headings = [LAYER, units, mean, *(_ORIENTED if oriented else _OTHER)]
    evenness = Heading("unevenness", "s.d. of sensitivity over its mean: 0 where it is even")
    kept = bool(run["retained_information"].notna().any())
    headings += [evenness, *([Heading("kept", "of the pixels' information, 0 to 1")] if kept else [])]
    telling = bool((run["status"] != "ok").any())
    headings += [Heading("status", is_number=False)] if telling else []
    shown = run.iloc[spread(len(run), most)]
    rows = []
    for row in shown.to_dict("records"):
        names = ("cardinal_threshold", "oblique_threshold") if oriented else ("best_value", "worst_value")
        chosen = ratio if oriented else "best_worst_ratio"
        cells = [words(row["layer"]), count(row["n_features"]), quantity(row["mean_threshold"])]
        cells += [quantity(row[n]) if oriented else value_cell(row[n]) for n in names]
        cells.append(_indexed(row, chosen))
        cells.append(_indexed(row, "anisotropy"))
        cells += [quantity(row["retained_information"])] if kept else []
        rows.append([*cells, words(row["status"])] if telling else cells)
    said = f"{run_name(first)}: {first['dimension']} thresholds in {first['unit']}, by layer"
    return PageTable(said, tuple(headings), rows, len(run) - len(shown))


def _indexed(row: Mapping[Any, Any], name: str) -> Cell:
    return quantity(row[name], row.get(f"{name}_low", np.nan), row.get(f"{name}_high", np.nan))


def spread(n: int, most: int | None) -> list[int]:
    """Places of at most so many of ``n``, evenly, the first and the last among them."""
    if most is None or n <= most:
        return list(range(n))
    return [int(place) for place in np.unique(np.linspace(0, n - 1, most).round())]


def ranking_table(results: Results, names: dict[str, str]) -> PageTable:
    """A row for each run, best first."""
    ranked = rank(results)
    oriented = ranked["ratio"].notna().any()
    indices = [one for one in RANKINGS if ranked[one.name].notna().any()]
    headings = [Heading("model", is_number=False), Heading("layers")]
    headings += [Heading(one.name.replace("_", " "), one.meaning) for one in indices]
    rows = []
    for row in ranked.to_dict("records"):
        cells = [Cell(names[row["run_id"]]), count(row["layers"])]
        for one in indices:
            cell = quantity(row[one.name])
            cells.append(Cell(large(row[one.name]), cell.value) if one.is_count else cell)
        rows.append(cells)
    order = "ratio, highest first" if oriented else "threshold of the last layer, smallest first"
    return PageTable(f"Ranking by {order}", tuple(headings), rows)


def comparison_table(rows: pd.DataFrame) -> PageTable:
    """A row for each layer of one compared run."""
    first = rows.iloc[0]
    what = str(first["reference"] if "reference" in rows else first["prior"])
    many = {kind: int(rows[f"{kind}_n"].max()) for kind in kinds_of(rows)}
    with_q = "reference" not in rows or not _is_shape(what)
    headings = [LAYER, Heading("r", f"correlation of sensitivity with {what}")]
    for kind, n in many.items():
        headings += _of_controls("untrained" if kind == "random" else kind, n)
    headings += [_q(what)] if with_q else []
    turned = "share of turns of the curve that do as well, of each layer alone: not corrected"
    headings.append(Heading("p, turned", turned))
    body = []
    for row in rows.to_dict("records"):
        cells = [words(row["layer"]), decimals(row["r"], 2)]
        for kind, n in many.items():
            ends = [decimals(row[f"{kind}_r_{end}"], 2).text for end in ("low", "high")]
            p = decimals(row[f"{kind}_p_family"], 3) if n > 1 else Cell("-")
            cells += [Cell(" to ".join(dict.fromkeys(ends))), p]
        cells += [decimals(row["q"], 2, row["q_low"], row["q_high"])] if with_q else []
        body.append([*cells, decimals(row["p_turned"], 3)])
    return PageTable(f"{run_name(first)} against {what}, by layer", tuple(headings), body)


def _of_controls(word: str, n: int) -> list[Heading]:
    """Of r and p beside so many control networks: of one there is no range, and no p worth the name."""
    if n == 1:
        nothing = "not given: beside one network it cannot be under 1/2"
        return [Heading(f"r, {word}", f"r of the one {word} network"), Heading(f"p, {word}", nothing)]
    p = f"of r among these, over all layers at once; it cannot be under {1 / (n + 1):.2g}"
    lie = f"where 95 % of the {n} {word} networks lie"
    return [Heading(f"r, {word}", lie, is_number=False), Heading(f"p, {word}", p)]


def _q(what: str) -> Heading:
    return Heading("q", f"J goes with {what} to this power, with 95 % interval")


def _is_shape(what: str) -> bool:
    """Whether a reference is of how thresholds vary alone: to which power they go is then not meant."""
    return what in REFERENCES and REFERENCES[what].kind == "shape"


def ranked_by_r(ranking: pd.DataFrame) -> PageTable:
    """A row for each compared network: rows of :func:`psychophys.comparison.zoo.rank_models`."""
    headings = (
        Heading("network", is_number=False),
        Heading("layer", is_number=False),
        Heading("r"),
        Heading("q", "J goes with the prior, or human sensitivity, to this power, with 95 % interval"),
        Heading("p", "of r among untrained networks, over all layers at once"),
    )
    rows = []
    for row in ranking.to_dict("records"):
        cells = [words(row["name"]), words(row["layer"]), decimals(row["r"], 2)]
        cells.append(decimals(row["q"], 2, row["q_low"], row["q_high"]))
        rows.append([*cells, decimals(row["p_family"], 3)])
    return PageTable(f"Networks by r, at {DEPTH:.0%} of their depth", headings, rows)


def simulation_table(simulations: Simulations) -> PageTable:
    """A row for each simulated threshold beside the predicted one."""
    frame = simulations.to_pandas()
    first = frame.iloc[0]
    headings = (
        LAYER,
        Heading("network", is_number=False),
        Heading("at", f"{first['dimension']}, in {first['unit']}"),
        Heading("predicted", f"threshold in {first['unit']}: d' over the square root of J"),
        Heading("fitted", "threshold of the simulated observer's psychometric function"),
        Heading("deviation", "fitted over predicted, less 1"),
        Heading("status", is_number=False),
    )
    rows = []
    for row in frame.to_dict("records"):
        fitted = quantity(row["fitted_threshold"], row["fitted_low"], row["fitted_high"])
        off = row["deviation"]
        deviation = Cell("-") if pd.isna(off) else Cell(f"{off:+.1%}", float(off))
        cells = [words(row["layer"]), Cell(run_name(pd.Series(row))), value_cell(row["value"])]
        rows.append([*cells, quantity(row["predicted_threshold"]), fitted, deviation, words(row["status"])])
    return PageTable(f"Simulated observers: {first['task']}, {first['read_out']} read-out", headings, rows)


def summaries(results: Results) -> dict[str, pd.DataFrame]:
    """Rows of :func:`psychophys.summarize` by run."""
    return {str(run): rows for run, rows in summarize(results).groupby("run_id", sort=False)}
