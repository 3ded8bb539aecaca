"""Plain tables and lines for the terminal. Nothing heavy is imported here: lists are printed by it alone."""

from __future__ import annotations

from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table


def wide_console() -> Console:
    """Standard output; in a pipe or a file no line is cut."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


def plain_table(title: str | None = None, padding: tuple[int, ...] = (0, 1)) -> Table:
    """A table without lines."""
    style: dict[str, Any] = {"box": None, "pad_edge": False, "header_style": "bold", "padding": padding}
    return Table(title=title, title_justify="left", **style)


def print_table(console: Console, table: Table) -> None:
    """Print a table whose cells are whole: one that is too wide runs over the edge, and is not cut."""
    needed = sum(
        max(cell_len(str(cell)) for cell in (column.header, *column.cells))
        if column.no_wrap
        else column.min_width or 1
        for column in table.columns
    )
    usual, needed = console.width, needed + sum(table.padding[1::2]) * len(table.columns)
    console.width = max(usual, needed)
    console.print(table)
    console.width = usual


def say(console: Console, *lines: str) -> None:
    """Plain lines, which the terminal wraps, not rich: a path that is copied stays whole."""
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
