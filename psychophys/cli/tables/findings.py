"""What a learning experiment found, in the terminal."""

from __future__ import annotations

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from psychophys.cli.screen import plain_table, print_table, say
from psychophys.learning.experiments import findings
from psychophys.learning.modes import Modes
from psychophys.learning.training import Learned
from psychophys.learning.trends import Findings
from psychophys.results.words import number

FINE = 0.005
"""Half an interval up to which three digits are shown."""
EVEN = 0.7
"""Of half an interval: twice how far its middle may be from the mean for a plus-minus."""


def print_findings(console: Console, learned: Learned) -> None:
    """The table of an experiment, and what it means."""
    found = findings(learned)
    seeds = len({one["learning"]["seed"] for one in learned.thresholds.runs.values()})
    title = f"{learned.experiment}, {seeds} {'runs' if seeds > 1 else 'run'}: {found.title}"
    print_table(console, _table(title, found))
    say(console, *found.conclusions)


def print_modes(console: Console, modes: Modes) -> None:
    """Half-times of the modes that were learned, by network, and how far from the closed forms they are."""
    table = plain_table("half-times of modes, in steps")
    table.add_column("network", no_wrap=True)
    for heading in ("runs", "modes", "shortest", "longest", "median error"):
        table.add_column(heading, justify="right", no_wrap=True)
    for (model, init), part in modes.to_pandas().groupby(["model", "init"], sort=False):
        counts = (part["training_id"].nunique(), part["mode"].nunique())
        ends = (number(float(part["half_time"].min())), number(float(part["half_time"].max())))
        error = part["relative_error"].abs().median()
        shown = "-" if pd.isna(error) else f"{error:.1%}"
        table.add_row(f"{model}, {init}", *map(str, counts), *ends, shown)
    print_table(console, table)


def _table(title: str, found: Findings) -> Table:
    """A column for each number, with its interval beside it."""
    # One space between columns: that fits a terminal of 80.
    table = plain_table(title, padding=(0, 1, 0, 0))
    names = [str(name) for name in found.table if not str(name).endswith(("_low", "_high"))]
    names = [name for name in names if found.table[name].notna().any()]
    for place, name in enumerate(names):
        # Where the terminal is narrow, an interval goes under its number: neither is cut.
        table.add_column(name, justify="right" if place else "left", overflow="fold")
    for _, row in found.table.iterrows():
        table.add_row(*(_cell(row, name) for name in names))
    return table


def _cell(row: pd.Series, name: str) -> str:
    value = row[name]
    if isinstance(value, str):
        return value
    low, high = (row.get(f"{name}_{end}", np.nan) for end in ("low", "high"))
    if not low < value < high:
        return number(float(value))
    half = (high - low) / 2
    digits = int(np.clip(1 - np.floor(np.log10(half)), 0, 2 if half > FINE else 3))
    if abs(high + low - 2 * value) < EVEN * half:
        return f"{value:.{digits}f} ± {half:.{digits}f}"
    between = " to " if low < 0 else "-"  # A dash would be taken for a sign.
    return f"{value:.{digits}f} ({low:.{digits}f}{between}{high:.{digits}f})"
