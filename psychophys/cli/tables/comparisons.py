"""Sensitivity beside how common values are, or beside human sensitivity."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pandas as pd
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from psychophys.cli.display import plain_table, say
from psychophys.comparison.compare import conclusions
from psychophys.results.tables import dump_table, write_table

COMPARISON_KEY = b"psychophys_comparison"
_LEGEND = (
    "r: correlation of sensitivity with {}; slope: of log sensitivity on log {}, with 95 % interval; "
    "p: share of circular shifts that do as well; r | pixels: given the pixels' own."
)
PRIOR_LEGEND = _LEGEND.format("the prior", "prior (1: infomax)")
HUMAN_LEGEND = _LEGEND.format("human sensitivity", "human sensitivity (1: same modulation)")


@dataclass(frozen=True)
class Comparison:
    """A comparison as a table that can be written."""

    frame: pd.DataFrame

    @property
    def _table(self) -> pa.Table:
        return pa.Table.from_pandas(self.frame, preserve_index=False)

    def write(self, path: str | Path, file_format: str | None = None) -> None:
        """Write to a file, whole or not at all."""
        write_table(self._table, COMPARISON_KEY, {}, path, file_format)

    def dump(self, stream: IO[bytes], file_format: str) -> None:
        """Write to an open binary stream."""
        dump_table(self._table, COMPARISON_KEY, {}, stream, file_format)


def print_comparison(console: Console, found: pd.DataFrame, human: bool) -> None:
    """A table a run, and what it means."""
    for _, rows in found.groupby("run_id", sort=False):
        console.print(_table(rows))
    console.print(HUMAN_LEGEND if human else PRIOR_LEGEND, highlight=False)
    say(console, *conclusions(found))


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
