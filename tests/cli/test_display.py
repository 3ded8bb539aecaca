"""Tables in the terminal: no cell is cut, however narrow it is."""

import io

import pytest
from rich.console import Console

from psychophys.cli.screen import plain_table, print_table


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
