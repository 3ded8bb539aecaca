"""What a contract found, layer by layer."""

from __future__ import annotations

import numpy as np
from rich.table import Table

from psychophys.cli.screen import plain_table
from psychophys.observers.contract import Contract


def contract_table(contract: Contract) -> Table:
    """One line a layer: where its derivative is from, and how far it and its float32 are off."""
    table = plain_table()
    for heading in ("layer", "derivative"):
        table.add_column(heading, no_wrap=True)
    for heading in ("error", "precision"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("input noise", ""):
        table.add_column(heading, no_wrap=True)
    for name, verdict in contract.verdicts.items():
        reverse = contract.reverse.get(name)
        table.add_row(
            name,
            "-" if verdict.reason else verdict.derivative,
            _share(verdict.error),
            _share(verdict.precision),
            "-" if reverse is None else "no" if reverse else "yes",
            "not measured" if verdict.reason else "see below" if verdict.faults else "ok",
        )
    return table


def _share(value: float) -> str:
    return f"{value:.0e}" if np.isfinite(value) else "-"
