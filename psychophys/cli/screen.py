"""Plain tables and lines for the terminal. Nothing heavy is imported here: lists are printed by it alone."""

from __future__ import annotations

from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table


def wide_console() -> Console:
    """Standard output; in a pipe or a file no line is cut."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


def plain_table(title: str | None = None, padding: tuple[int, ...] = (0, 1)) -> Table:
    """A table without lines."""
    style: dict[str, Any] = {"box": None, "pad_edge": False, "header_style": "bold", "padding": padding}
    return Table(title=title, title_justify="left", **style)


def print_table(console: Console, table: Table) -> None:
    """Print a table whose cells are whole, however narrow the terminal is.

    Where it is too wide for a terminal, columns that may be left out (``overflow="crop"``) are, and if that
    is not enough each row is printed as lines of its own. In pipes and files lines are as long as need be.
    """
    usual = console.width
    if console.is_terminal and _width(table) > usual:
        table.columns = [column for column in table.columns if column.overflow != "crop"]
        if _width(table) > usual:
            _print_rows(console, table)
            return
    console.width = max(usual, _width(table))
    _share_out(table, console.width)
    console.print(table)
    console.width = usual


def _width(table: Table) -> int:
    """That is needed so that no word is cut."""
    return sum(map(_least, table.columns)) + sum(table.padding[1::2]) * len(table.columns)


def _least(column: Column) -> int:
    """Its widest cell, its least width, or its longest word."""
    if column.no_wrap or not column.min_width:
        cells = _cells(column)
        parts = cells if column.no_wrap else [word for cell in cells for word in cell.split()]
        return max(map(cell_len, parts), default=1)
    return column.min_width


def _cells(column: Column) -> list[str]:
    return [str(cell) for cell in (column.header, *column.cells)]


def _share_out(table: Table, width: int) -> None:
    """Give columns that wrap what is left over, by what they lack: rich may take it from one alone."""
    loose = [(place, column) for place, column in enumerate(table.columns) if not column.no_wrap]
    lacking = {place: max(map(cell_len, _cells(column))) - _least(column) for place, column in loose}
    left, wanted = width - _width(table), sum(lacking.values())
    if wanted > left:
        for place, lack in lacking.items():
            column = table.columns[place]
            column.width = _least(column) + lack * left // wanted


def _print_rows(console: Console, table: Table) -> None:
    """Each row as lines of a heading and a cell."""
    if table.title:
        say(console, str(table.title))
    headings = [str(column.header) for column in table.columns]
    longest = max(map(cell_len, headings))
    for row in zip(*(column.cells for column in table.columns), strict=True):
        cells = [(heading, str(cell)) for heading, cell in zip(headings, row, strict=True) if str(cell)]
        say(console, *(f"{heading:<{longest}}  {cell}" for heading, cell in cells), "")


def say(console: Console, *lines: str) -> None:
    """Plain lines, which the terminal wraps, not rich: a path that is copied stays whole."""
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
