"""Sensitivity beside how common values are, or beside human sensitivity."""

from __future__ import annotations

import pandas as pd
from rich.console import Console
from rich.table import Table

from psychophys.cli.screen import plain_table, print_table, say
from psychophys.comparison.beside_people import caveats, thresholds_beside
from psychophys.comparison.verdict import axis_of, conclusions, how_many_pass, kinds_of, shown_runs
from psychophys.comparison.zoo import DEPTH, over_models, rank_models
from psychophys.results.summary import run_name

_LEGEND = (
    "r: correlation of sensitivity with {0}; q: J goes with {1}^q, with 95 % interval; {2}turned: share of "
    "turns of the curve that do as well; r | 90: given cardinal peaks of any kind."
)
_CONTROLS = (
    "untrained: r of 95 % of networks that were not trained, p: of r among them, over all layers at once; "
)


MOST_TABLES = 4
"""More networks are shown as a ranking alone."""


def print_comparison(console: Console, found: pd.DataFrame) -> None:
    """A table a run, but for networks that differ in their seed alone; a ranking of models; what it means."""
    shown = shown_runs(found)
    ranking = rank_models(found)
    beside = ("human sensitivity", "(human sensitivity)") if "reference" in found else ("the prior", "p")
    power = beside[1]
    if len(shown) > MOST_TABLES and len(ranking):
        print_table(console, _ranking(ranking))
        say(
            console,
            *how_many_pass(found),
            *_overall(ranking, power),
            *thresholds_beside(found),
            *caveats(found),
        )
        return
    for rows in shown:
        print_table(console, _table(rows))
    controls = _CONTROLS if any(map(kinds_of, shown)) else ""
    console.print(_LEGEND.format(*beside, controls), highlight=False)
    if len(ranking) > 1:
        print_table(console, _ranking(ranking))
    say(console, *conclusions(found), *_overall(ranking, power), *thresholds_beside(found), *caveats(found))


def _ranking(ranking: pd.DataFrame) -> Table:
    """One row a model; the layer is the one nearest to three quarters of the depth."""
    table = plain_table(f"models by r, at {DEPTH:.0%} of their depth")
    for heading in ("network", "layer"):
        table.add_column(heading, overflow="fold")
    for heading in ("r", "untrained", "p", "q", "interval", "layers"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in ranking.to_dict("records"):
        count = str(row["layers"]) if pd.isna(row["passing"]) else f"{row['passing']:.0f} of {row['layers']}"
        named = (str(row["name"]), str(row["layer"]))
        beside = (_two(row["r"]), _range(row["r_low"], row["r_high"]), _three(row["p_family"]))
        table.add_row(*named, *beside, _two(row["q"]), _range(row["q_low"], row["q_high"]), count)
    return table


def _overall(ranking: pd.DataFrame, power: str) -> list[str]:
    found = over_models(ranking) if len(ranking) else None
    if found is None:
        return []
    return [
        f"Over {found.n} models J goes with {power}^{found.mean:.2f} ({found.low:.2f} to {found.high:.2f}; "
        f"s.d. between models {found.spread:.2f}; another is to be expected between {found.low_next:.2f} and "
        f"{found.high_next:.2f})."
    ]


def _table(rows: pd.DataFrame) -> Table:
    first = rows.iloc[0]
    what = first["reference"] if "reference" in rows else first["prior"]
    several = f", {first['networks']} networks as one" if first["networks"] > 1 else ""
    title = f"{run_name(first)}{several}: {first['dimension']} against {what}"
    if (axis := axis_of(first)) != first["dimension"]:
        title += f", over {axis}"
    if pd.notna(first.get("pixels_per_degree")):
        title += f" at {first['pixels_per_degree']:g} pixels/deg"
    kinds = kinds_of(rows)
    table = plain_table(title)
    table.add_column("layer", no_wrap=True)
    headings = ["r"]
    for kind in kinds:
        headings += ["untrained" if kind == "random" else kind, "p"]
    for heading in (*headings, "q", "interval", "turned", "r | 90"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows.to_dict("records"):
        cells = [_two(row["r"])]
        for kind in kinds:
            cells += [_range(row[f"{kind}_r_low"], row[f"{kind}_r_high"]), _three(row[f"{kind}_p_family"])]
        cells += [_two(row["q"]), _range(row["q_low"], row["q_high"]), _three(row["p_turned"])]
        table.add_row(str(row["layer"]), *cells, _two(row["r_given_cardinal"]))
    return table


def _range(low: float, high: float) -> str:
    return "-" if pd.isna(low) else f"{_two(low)} to {_two(high)}"


def _two(value: float) -> str:
    return "-" if pd.isna(value) else f"{round(value, 2) + 0.0:.2f}"  # 0 has no sign.


def _three(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.3f}"
