"""Sensitivity beside how common values are, or beside human sensitivity."""

from __future__ import annotations

import pandas as pd
from rich.console import Console
from rich.table import Table

from psychophys.cli.display import plain_table, say
from psychophys.comparison.compare import conclusions
from psychophys.comparison.references import REFERENCES

_LEGEND = (
    "r: correlation of sensitivity with {}; slope: of log sensitivity on log {}, with 95 % interval; "
    "p: share of circular shifts that do as well; r | pixels: given the pixels' own."
)
PRIOR_LEGEND = _LEGEND.format("the prior", "prior (1: infomax)")
HUMAN_LEGEND = _LEGEND.format("human sensitivity", "human sensitivity (1: same modulation)")


def print_comparison(console: Console, found: pd.DataFrame) -> None:
    """A table a run, and what it means."""
    for _, rows in found.groupby("run_id", sort=False):
        console.print(_table(rows))
    console.print(HUMAN_LEGEND if "reference" in found else PRIOR_LEGEND, highlight=False)
    say(console, *conclusions(found), *_caveats(found))


def _caveats(found: pd.DataFrame) -> list[str]:
    names = found["reference"].unique() if "reference" in found else ()
    known = [REFERENCES[name] for name in names if name in REFERENCES]
    return [f"{one.name}: {one.caveat}" for one in known if one.caveat]


def _table(rows: pd.DataFrame) -> Table:
    first = rows.iloc[0]
    what = first["reference"] if "reference" in rows else first["prior"]
    title = f"{first['model']} ({first['weights']}): {first['dimension']} against {what}"
    if pd.notna(first.get("pixels_per_degree")):
        title += f", over frequency at {first['pixels_per_degree']:g} pixels/deg"
    table = plain_table(title)
    table.add_column("layer", no_wrap=True)
    for heading in ("r", "slope", "interval", "p", "r | pixels"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows.to_dict("records"):
        interval = f"{_two(row['slope_low'])} to {_two(row['slope_high'])}"
        numbers = (row["r"], row["slope"], interval, row["p_shift"], row["r_partial"])
        table.add_row(str(row["layer"]), *(v if isinstance(v, str) else _two(v) for v in numbers))
    return table


def _two(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.2f}"
