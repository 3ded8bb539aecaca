"""Threshold ratios: a table a pair, then one sentence a pair."""

from __future__ import annotations

import pandas as pd
from rich.console import Console
from rich.table import Table

from psychophys.cli.screen import plain_table, print_table, say
from psychophys.comparison.ratio_table import Ratios, times
from psychophys.results.words import number


def print_ratios(console: Console, ratios: Ratios) -> None:
    """Every layer's ratio, and what it comes to."""
    for _, rows in ratios.to_pandas().groupby("pair", sort=False):
        print_table(console, _table(rows))
    say(console, *ratios.conclusions())


def _table(rows: pd.DataFrame) -> Table:
    first = rows.iloc[0]
    title = f"{first['b']} over {first['a']}: {first['dimension']} thresholds in {first['unit']}, d' 1"
    table = plain_table(title)
    same = bool((rows["layer_a"] == rows["layer_b"]).all())
    for heading in ("layer",) if same else ("layer of the first", "layer of the second"):
        table.add_column(heading, no_wrap=True)
    for heading in ("first", "second", "ratio", "interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows.to_dict("records"):
        layers = [str(row["layer_a"])] if same else [str(row["layer_a"]), str(row["layer_b"])]
        known = pd.notna(row["ratio_low"])
        ends = f"{times(row['ratio_low'])} to {times(row['ratio_high'])}" if known else "-"
        ratio = times(row["ratio"]) if pd.notna(row["ratio"]) else "-"
        table.add_row(*layers, number(row["threshold_a"]), number(row["threshold_b"]), ratio, ends)
    return table
