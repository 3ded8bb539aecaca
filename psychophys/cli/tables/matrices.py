"""Thresholds alone and joint, from Fisher matrices."""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.table import Table

from psychophys.cli.display import print_skipped
from psychophys.cli.screen import plain_table, print_table, say
from psychophys.results.fisher_matrices import FisherResults, Stack, cautions, conclusions, stacks
from psychophys.results.summary import run_name
from psychophys.results.words import number


def print_matrices(console: Console, results: FisherResults) -> None:
    """A table a run, and what it means."""
    runs: dict[str, list[Stack]] = {}
    for stack in stacks(results):
        runs.setdefault(str(stack.first["run_id"]), []).append(stack)
    for layers in runs.values():
        print_table(console, _table(layers))
    console.print(
        "Thresholds alone/joint: with the other dimensions known/unknown. Hardest to see: of all changes at "
        "criterion the one of most thresholds alone (times), at the point where these are most.",
        highlight=False,
    )
    say(console, *conclusions(results), *cautions(results))
    print_skipped(console, results)


def _table(layers: list[Stack]) -> Table:
    first, stack = layers[0].first, layers[0]
    named = " and ".join(f"{name} ({unit})" for name, unit in zip(stack.dimensions, stack.units, strict=True))
    title = f"{run_name(first)}: thresholds of {named}, {_mean(len(stack.points))}"
    title += f"{first['noise']} noise {first['noise_level']:g}, {first['estimator']}"
    table = plain_table(title)
    table.add_column("layer", no_wrap=True)
    for heading in (*stack.dimensions, "correlation"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("hardest to see", justify="right")
    table.add_column("times", justify="right", no_wrap=True)
    apart = "/" if len(stack.dimensions) == 2 else "\n"
    for stack in layers:
        means = zip(stack.alone.mean(axis=0), stack.joint.mean(axis=0), strict=True)
        cells = [apart.join(number(float(mean)) for mean in both) for both in means]
        table.add_row(str(stack.first["layer"]), *cells, *_shape(stack))
    return table


def _mean(n_points: int) -> str:
    return f"mean of {n_points} points, " if n_points > 1 else ""


def _shape(stack: Stack) -> tuple[str, str, str]:
    """Range of the correlations, the change that is hardest to see at the worst point, and its length."""
    change, least = stack.hardest
    if not np.isfinite(least).any():
        return "-", "-", "-"
    k = int(np.nanargmin(least))
    known = stack.correlations[np.isfinite(stack.correlations)]
    parts = " ".join(f"{part:+.2g}" for part in change[k])
    length = "inf" if least[k] == 0 else f"{1 / np.sqrt(least[k]):.2f}"
    ends = dict.fromkeys((f"{known.min():.2f}", f"{known.max():.2f}"))
    return "..".join(ends), parts, length
