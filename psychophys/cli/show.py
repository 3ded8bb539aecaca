"""The command `show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from psychophys.base.errors import UsageError, unknown
from psychophys.cli.names import RANKINGS, either

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from rich.console import Console

    from psychophys.results.thresholds import Results

TABLE = "table"
FORMATS = (TABLE, "csv", "json", "jsonl", "parquet")


def show(
    path: Annotated[
        Path,
        typer.Argument(help="A Parquet file written by any command, or a directory of a sweep or a test."),
    ],
    sort: Annotated[str | None, typer.Option(help=f"Rank the runs by {either(RANKINGS)}.")] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Show so many runs.")] = None,
    file_format: Annotated[
        str, typer.Option("--format", help=f"{either(FORMATS)} (of the ranking, for other programs).")
    ] = TABLE,
    provenance: Annotated[
        bool,
        typer.Option("--provenance", help="Print how every run was made, too: settings, versions."),
    ] = False,
) -> None:
    """Print the summary of a file, or the ranking of a sweep.

    \b
    Examples:
      psychophys show results.parquet
      psychophys show results.parquet --provenance
      psychophys show results/ --sort ratio_last --top 10
      psychophys show results/ --format csv > ranking.csv
    """
    from psychophys.cli.display import print_failures, print_ranking
    from psychophys.cli.inputs import read_rows
    from psychophys.cli.screen import wide_console
    from psychophys.comparison.table import FILE_OF_TEST
    from psychophys.results.ranking import rank
    from psychophys.results.thresholds import MEASURED
    from psychophys.sweeps.store import read_failures

    if file_format not in FORMATS:
        raise unknown("format", file_format, FORMATS)
    console = wide_console()
    if (path / MEASURED).is_dir() and (path / FILE_OF_TEST).is_file():
        path = path / FILE_OF_TEST
    failures = read_failures(path) if path.is_dir() else []
    if failures and not list(path.glob("*.parquet")):
        print_failures(console, failures)
        return
    ranked = file_format != TABLE or sort is not None or top is not None
    if path.is_file() and _print_other(console, path, ranked, provenance):
        return
    results = read_rows(path)
    if file_format != TABLE:
        _dump(rank(results, sort, top), file_format)
    elif path.is_dir() or ranked:
        print_ranking(console, results, sort, top)
        print_failures(console, failures)
    else:
        _print_runs(console, results)
    if provenance and file_format == TABLE:
        _print_provenance(console, results.runs)


def _dump(ranking: pd.DataFrame, file_format: str) -> None:
    """The ranking on standard output, for other programs."""
    import sys

    if file_format == "parquet":
        ranking.to_parquet(sys.stdout.buffer, index=False)
    elif file_format == "csv":
        ranking.to_csv(sys.stdout, index=False)
    else:
        lines = file_format == "jsonl"
        text = ranking.to_json(orient="records", lines=lines, double_precision=15)
        print(text, end="" if lines else "\n")


def _print_other(console: Console, path: Path, ranked: bool, provenance: bool) -> bool:
    """Print a file that is of another kind than results, if it is of one; there is no ranking of it."""
    from operator import attrgetter

    import psychophys
    from psychophys.results.kinds import look

    kind = look(path).kind
    printer = None if kind is None else _printers(path).get(kind.name)
    if kind is None or printer is None or (ranked and kind.mark):
        return False
    if ranked:
        raise UsageError(
            f"{str(path)!r} is a {kind.called}, which has no ranking", "Leave out --sort, --top and --format."
        )
    found = attrgetter(kind.reader)(psychophys)(path)
    printer(console, found)
    if provenance:
        # What was learned keeps them with its thresholds; a comparison and a prior have none.
        _print_provenance(console, getattr(getattr(found, "thresholds", found), "runs", {}))
    return True


def _printers(path: Path) -> Mapping[str, Any]:
    """What prints a file, by the name of its kind."""
    from functools import partial

    from psychophys.cli.tables.batteries import print_battery
    from psychophys.cli.tables.comparisons import print_comparison
    from psychophys.cli.tables.distortions import print_distortions
    from psychophys.cli.tables.findings import print_findings, print_modes
    from psychophys.cli.tables.matrices import print_matrices
    from psychophys.cli.tables.priors import print_prior
    from psychophys.cli.tables.ratios import print_ratios
    from psychophys.cli.tables.simulations import print_simulations
    from psychophys.cli.tables.tuning import print_curves
    from psychophys.cli.tables.units import print_units

    return {
        "learning": print_findings,
        "fisher": print_matrices,
        "responses": print_curves,
        "battery": print_battery,
        "units": print_units,
        "distortions": print_distortions,
        "simulation": print_simulations,
        "comparison": print_comparison,
        "ratios": print_ratios,
        "prior": partial(print_prior, file=str(path)),
        "modes": print_modes,
    }


def _print_runs(console: Console, results: Results) -> None:
    """What `measure` printed."""
    from psychophys.cli.display import print_skipped, print_summary

    print_summary(console, results)
    print_skipped(console, results)


def _print_provenance(console: Console, runs: Mapping[str, Any]) -> None:
    """How every run was made."""
    import json

    from psychophys.cli.screen import say

    if not runs:
        say(console, "", "this file keeps no runs")
    for identifier, record in runs.items():
        say(console, "", f"run {identifier}")
        for key, value in record.items():
            say(console, f"  {key}: {value if isinstance(value, str) else json.dumps(value)}")
