"""What tuning curves come to, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from psychophys.cli.display import BLOCKS, PLAIN_BLOCKS, curve, print_skipped
from psychophys.cli.screen import plain_table, print_table, say
from psychophys.observers.units import GRAINS
from psychophys.results.tuning_curves import (
    TUNED,
    LayerTuning,
    Summary,
    TuningCurves,
    name_of_run,
    summarize_curves,
)
from psychophys.results.words import number


def print_tuning(console: Console, summary: Summary, runs: Mapping[str, Any]) -> None:
    """A table a run, and how to read it."""
    for run_id, record in runs.items():
        print_table(console, _table(summary.of(run_id), record, "utf" in console.encoding.lower()))
    say(
        console,
        "Modulation: range of the mean response over the values, over the largest r.m.s. response over "
        f"samples; median of those not dead. Tuned: modulation of {TUNED:g} or more. Dead: response 0 at "
        "every value. Bars: how many tuned ones respond most at each value.",
    )
    print_skipped(console, TuningCurves.from_rows([], runs))


def print_curves(console: Console, curves: TuningCurves) -> None:
    """The same of a file."""
    print_tuning(console, summarize_curves(curves), curves.runs)


def _table(layers: list[LayerTuning], record: Mapping[str, Any], unicode: bool) -> Table:
    measurement, asked = record["measurement"], record["tuning"]
    per = GRAINS.find(asked["per"])
    samples = f"mean of {record['n_samples']} samples" if record["n_samples"] > 1 else "one sample"
    kept = f", at most {asked['most']} a layer" if asked["most"] is not None else ""
    unit = f" in {layers[0].unit}" if layers[0].unit else ""
    table = plain_table(
        f"{name_of_run(record)}: responses of {per.plural} to {measurement['dimension']}{unit}, "
        f"{samples}{kept}"
    )
    table.add_column("layer", no_wrap=True)
    for heading in (per.plural, "tuned", "dead", "modulation"):
        table.add_column(heading, justify="right", no_wrap=True)
    ends = dict.fromkeys(f"{end:g}" for end in (min(measurement["values"]), max(measurement["values"])))
    table.add_column(f"preferred at {'-'.join(ends)}", no_wrap=True)
    for layer in layers:
        table.add_row(
            layer.layer,
            f"{layer.n_units:,}",
            f"{100 * layer.tuned / layer.n_units:.3g}%",
            f"{100 * layer.dead / layer.n_units:.3g}%",
            number(layer.median_modulation),
            curve(list(layer.preferred), BLOCKS if unicode else PLAIN_BLOCKS),
        )
    return table
