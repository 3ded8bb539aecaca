"""A battery: a table of references and one of layers for each network, then what they come to."""

from __future__ import annotations

import pandas as pd
from rich.console import Console
from rich.table import Table

from psychophys.cli.screen import plain_table, print_table, say
from psychophys.comparison.battery.table import MISSES, BatteryResults, two_decimals
from psychophys.comparison.ratio_table import times
from psychophys.results.summary import run_name
from psychophys.results.words import number

EXPLAINED = (
    "layers: lowest and highest threshold, each with its layer's noise in the table below, or of s.d. 1",
    "ratio: the nearest layer's threshold over people's; mismatch: by which factor the curves differ, set at "
    "one height; even: the mismatch of a layer with one threshold at all values",
)


def print_battery(console: Console, found: BatteryResults) -> None:
    """Every reference with the layer nearest to it, every layer with what it misses, and sentences."""
    layers = found.layers()
    for run, rows in found.to_pandas().groupby("run_id", sort=False):
        print_table(console, _references(rows))
        say(console, *EXPLAINED, "")
        print_table(console, _layers(layers[layers["run_id"] == run]))
        say(console, "")
    assumed = found.to_pandas()[["reference", "assumed"]].drop_duplicates().to_dict("records")
    said = (f"{row['reference']}: {row['assumed']}." for row in assumed if row["assumed"])
    say(console, *found.conclusions(), *said)


def _references(rows: pd.DataFrame) -> Table:
    table = plain_table(f"{run_name(rows.iloc[0])}: beside people")
    table.add_column("reference", no_wrap=True)
    table.add_column("of", no_wrap=True)
    for heading in ("people", "layers", "unit"):
        table.add_column(heading, justify="right", no_wrap=True, overflow="fold")
    table.add_column("nearest", no_wrap=True)
    for heading in ("ratio", "r", "mismatch", "even"):
        table.add_column(heading, justify="right", no_wrap=True)
    for reference, part in rows.groupby("reference", sort=False):
        near = part[part["nearest"].astype(bool)]
        first = part.iloc[0]
        cells = [show(near[name].iloc[0]) if len(near) else "-" for name, show in NUMBERS.items()]
        table.add_row(
            str(reference),
            str(first["dimension"]),
            _cell(first["human_threshold"]),
            _range(part["threshold"] * part["noise_sd"].fillna(1.0)),
            str(first["unit"]),
            str(near["layer"].iloc[0]) if len(near) else "-",
            *cells,
        )
    return table


def _layers(layers: pd.DataFrame) -> Table:
    table = plain_table("one noise for all: its s.d., and by which factor the layer misses people")
    table.add_column("layer", no_wrap=True)
    for heading in ("noise s.d.", "misses"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("nearest to people in")
    for row in layers.to_dict("records"):
        near = ", ".join(row["nearest_in"]) or "-"
        table.add_row(str(row["layer"]), _cell(row["noise_sd"]), _cell(row[MISSES]), near)
    return table


def _cell(value: float | None) -> str:
    return "-" if value is None or pd.isna(value) else number(float(value))


def _times(value: float | None) -> str:
    return "-" if value is None or pd.isna(value) else times(float(value))


def _r(value: float | None) -> str:
    return "-" if value is None or pd.isna(value) else two_decimals(float(value))


NUMBERS = {"matched_ratio": _times, "correlation": _r, "mismatch": _times, "even_mismatch": _times}
"""Of the nearest layer, and how each is shown."""


def _range(values: pd.Series) -> str:
    known = values.dropna()
    if known.empty:
        return "-"
    low, high = number(float(known.min())), number(float(known.max()))
    return low if low == high else f"{low} to {high}"
