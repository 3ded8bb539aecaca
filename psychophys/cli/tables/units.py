"""What units come to, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from psychophys.cli.display import print_skipped
from psychophys.cli.screen import plain_table, print_table, say
from psychophys.physiology.population import FACTORS
from psychophys.physiology.summary import conclusions_of_units, layers_of_units
from psychophys.physiology.v1 import V1
from psychophys.results.tuning_curves import name_of_run
from psychophys.results.unit_tuning import UnitTuning
from psychophys.results.words import number

ONE_TABLE = 110
"""Columns of a terminal that all of a layer's line fits in."""
Row = dict[Any, Any]
Cells = dict[str, Callable[[Row], str]]
"""What stands under a heading, from a row."""


def print_units(console: Console, units: UnitTuning) -> None:
    """Two tables a run, how to read them, and a sentence."""
    frame = layers_of_units(units)
    for run_id, rows in frame.groupby("run_id", sort=False):
        name = name_of_run(units.runs[str(run_id)])
        whole = not console.is_terminal or console.width >= ONE_TABLE
        for cells in (TUNING | OTHERS,) if whole else (TUNING, OTHERS):
            print_table(console, _table(f"{name}: units as physiologists measure them", rows, cells))
        if rows["ratio"].notna().any():
            title = f"{name}: Fisher information at cardinal over oblique orientations"
            print_table(console, _table(title, rows, PARTS))
    say(
        console,
        "Medians over the units that have such a number. Bandwidth: half width at half height, deg. CV: "
        "circular variance. Frequency: cycles/image. Octaves: full width at half height. F1>F0: share of "
        "simple units. SSI: surround suppression. Cardinal: share that prefers an orientation within "
        "22.5 deg of 0 or 90 deg.",
        "V1: the published distribution that is nearest, and its distance, 0 to 1. " + _cited(frame),
    )
    if frame["ratio"].notna().any():
        say(
            console,
            "J: at 0 and 90 over that at 45 and 135 deg, all units; the product of the four after it. "
            "Untuned: units that prefer no orientation.",
            *conclusions_of_units(units),
        )
    print_skipped(console, UnitTuning.from_rows([], units.runs))


def _cited(frame: pd.DataFrame) -> str:
    named = [V1[name] for name in dict.fromkeys(frame["nearest"]) if name]
    return " ".join(f"{one.name}: {one.citation}." for one in named)


def _table(title: str, rows: pd.DataFrame, cells: Cells) -> Table:
    table = plain_table(title)
    table.add_column("layer", no_wrap=True)
    for heading in cells:
        left = heading == NEAREST
        table.add_column(heading, justify="left" if left else "right", no_wrap=True)
    for row in rows.to_dict("records"):
        table.add_row(str(row["layer"]), *(cell(row) for cell in cells.values()))
    return table


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.3g}%"


def _number(column: str) -> Callable[[Row], str]:
    return lambda row: number(row[column])


def _factor(column: str) -> Callable[[Row], str]:
    return lambda row: "-" if math.isnan(row[column]) else f"{row[column]:.2f}"


def _nearest(row: Row) -> str:
    return f"{row['nearest']} {row['distance_' + row['nearest']]:.2f}" if row["nearest"] else "-"


NEAREST = "V1"
TUNING: Cells = {
    "units": lambda row: f"{row['units']:,}",
    "silent": lambda row: f"{row['silent']:,}",
    "bandwidth": _number("orientation_bandwidth"),
    "CV": _number("circular_variance"),
    "cardinal": lambda row: _percent(row["cardinal_share"]),
    "frequency": _number("preferred_frequency"),
    "octaves": _number("frequency_bandwidth"),
}
OTHERS: Cells = {
    "F1>F0": lambda row: _percent(row["simple_share"]),
    "SSI": _number("suppression_index"),
    "c50": _number("c50"),
    NEAREST: _nearest,
}
PARTS: Cells = {
    "J": _factor("ratio"),
    **{name: _factor(f"factor_{name}") for name in FACTORS},
    "cardinal": lambda row: _percent(row["population_cardinal_share"]),
}
