"""Changes of a photograph that layers see most and least."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from psychophys.cli.display import print_skipped
from psychophys.cli.screen import plain_table, print_table, say
from psychophys.results.distortions import ENDS, Distortions, cautions, conclusions
from psychophys.results.summary import run_name
from psychophys.results.words import large, number


def print_distortions(console: Console, found: Distortions) -> None:
    """A table a run, and what it means."""
    frame = found.table.drop_columns(["photograph", "change"]).to_pandas()
    for _, rows in frame.groupby("run_id", sort=False):
        print_table(console, _table(rows))
    say(
        console,
        "Thresholds: r.m.s. change of all pixel values (0 to 1) at criterion. Residual: of the largest "
        "eigenvalue.",
        *conclusions(found),
        *cautions(found),
    )
    print_skipped(console, found)


def _table(rows: pd.DataFrame) -> Table:
    first = rows.iloc[0]
    pair, people = rows["against"].notna().any(), rows["threshold_human"].notna().any()
    against = f" against {first['against']}" if pair else ""
    table = plain_table(
        f"{run_name(first)}{against}: {first['image']}, {first['space']}, {first['noise']} noise "
        f"{first['noise_level']:g}"
    )
    several = rows["rank"].max() > 1
    table.add_column("layer", no_wrap=True)
    table.add_column("change", no_wrap=True)
    names = ["rank"] if several else []
    names += ["eigenvalue", "threshold"] + (["other's"] if pair else []) + (["people's"] if people else [])
    names += ["residual"] + ([] if pair else ["share", "effective dim."])
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    before = ""
    for row in rows.to_dict("records"):
        cells = [str(row["rank"])] if several else []
        cells += [number(row["eigenvalue"]), _threshold(row["threshold"])]
        cells += [_threshold(row["threshold_against"])] if pair else []
        cells += [_threshold(row["threshold_human"])] if people else []
        cells += [f"{row['residual']:.0e}"]
        cells += [] if pair else [_percent(row["share"]), _once(row, before)]
        before = row["layer"]
        table.add_row(_layer(row), ENDS[row["end"]], *cells, row["status"])
    return table


def _layer(row: Mapping[Hashable, Any]) -> str:
    if pd.isna(row["layer_index"]):
        return str(row["model"])
    return str(row["layer"])


def _threshold(value: float) -> str:
    return "inf" if value == float("inf") else number(value)


def _percent(share: float) -> str:
    return "" if pd.isna(share) else f"{100 * share:.2g}%"


def _once(row: Mapping[Hashable, Any], before: object) -> str:
    """Of a layer, in its first row alone."""
    known = pd.notna(row["effective_dimension"]) and row["layer"] != before
    return large(row["effective_dimension"]) if known else ""
