"""Tables in the terminal: no cell is cut, however narrow it is."""

import io

import pandas as pd
import pytest
from rich.console import Console

from psychophys.cli.screen import plain_table, print_table
from psychophys.cli.tables.findings import _cell


@pytest.mark.parametrize("width", [20, 60, 200])
def test_no_number_is_cut(width: int) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=width)
    table = plain_table("a table")
    table.add_column("model", overflow="fold", min_width=6)
    for heading in ("r", "untrained", "interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row("hf-hub:zoo/net-0001", "0.57", "-0.12 to -0.12", "-0.15 to 1.29")
    print_table(console, table)
    text = stream.getvalue()
    assert "…" not in text
    assert all(cell in text for cell in ("0.57", "-0.12 to -0.12", "-0.15 to 1.29", "interval"))
    assert "".join(line.split("  ")[0].strip() for line in text.splitlines()[2:]) == "hf-hub:zoo/net-0001"
    assert console.width == width


def test_ends_of_intervals_keep_their_signs() -> None:
    row = {"layer": "fc", "r": -0.91, "r_low": -0.96, "r_high": -0.80, "q": 0.9, "q_low": 0.8, "q_high": 0.94}
    assert _cell(pd.Series(row), "r") == "-0.91 (-0.96 to -0.80)"
    assert _cell(pd.Series(row), "q") == "0.90 (0.80-0.94)"
