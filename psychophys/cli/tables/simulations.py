"""Thresholds of simulated observers beside the predicted ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from psychophys.cli.screen import plain_table, print_table, say
from psychophys.results.summary import run_name
from psychophys.results.words import number
from psychophys.simulation.table import Simulations, conclusions


def print_simulations(console: Console, simulations: Simulations) -> None:
    """A table a run, and what it means."""
    for _, run in simulations.to_pandas().groupby("run_id", sort=False):
        print_table(console, _table(run))
    say(console, *conclusions(simulations))


def _table(run: pd.DataFrame) -> Table:
    first = run.iloc[0]
    title = f"{run_name(first)}: {first['dimension']} thresholds in {first['unit']}, {first['task']}, "
    title += f"{first['read_out']} read-out, {first['noise']} noise {first['noise_level']:g}"
    table = plain_table(title)
    table.add_column("layer", no_wrap=True)
    for heading in ("predicted", "fitted", "deviation", "largest", "power", "agree"):
        table.add_column(heading, justify="right", no_wrap=True)
    for layer, part in run.groupby("layer", sort=False):
        known = part[part["deviation"].notna()]
        if known.empty:
            table.add_row(
                str(layer), number(part["predicted_threshold"].mean()), *["-"] * 4, part["status"].iloc[0]
            )
            continue
        largest = known["deviation"].iloc[int(np.argmax(known["deviation"].abs()))]
        table.add_row(
            str(layer),
            number(known["predicted_threshold"].mean()),
            number(known["fitted_threshold"].mean()),
            f"{known['deviation'].median():+.1%}",
            f"{largest:+.1%}",
            f"{known['power'].median():.2f}",
            f"{(known['status'] == 'agrees').sum()}/{len(part)}",
        )
    return table
