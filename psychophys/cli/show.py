"""The command `show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from psychophys.base.errors import unknown
from psychophys.cli.names import RANKINGS, either
from psychophys.cli.options import ResultsPath

if TYPE_CHECKING:
    from rich.console import Console

    from psychophys.results.thresholds import Results

TABLE, CSV = FORMATS = ("table", "csv")


def show(
    path: ResultsPath,
    sort: Annotated[str | None, typer.Option(help=f"Rank the runs by {either(RANKINGS)}.")] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Show so many runs.")] = None,
    file_format: Annotated[
        str, typer.Option("--format", help=f"{either(FORMATS)} (of the ranking, for other programs).")
    ] = TABLE,
) -> None:
    """Print the summary and the provenance of a file, or the ranking of a sweep.

    \b
    Examples:
      psychophys show results.parquet
      psychophys show results/ --sort ratio_last --top 10
      psychophys show results/ --format csv > ranking.csv
    """
    import sys

    from psychophys.cli.display import print_failures, print_ranking, wide_console
    from psychophys.cli.inputs import read_rows
    from psychophys.cli.tables.findings import print_findings
    from psychophys.learning.training import read_learned, trainings_in
    from psychophys.results.summary import rank
    from psychophys.sweeps.store import read_failures

    if file_format not in FORMATS:
        raise unknown("format", file_format, FORMATS)
    console = wide_console()
    failures = read_failures(path) if path.is_dir() else []
    if failures and not list(path.glob("*.parquet")):
        print_failures(console, failures)
        return
    results = read_rows(path)
    if file_format == CSV:
        rank(results, sort, top).to_csv(sys.stdout, index=False)
    elif path.is_dir() or sort is not None or top is not None:
        print_ranking(console, results, sort, top)
        print_failures(console, failures)
    elif trainings_in(results):
        print_findings(console, read_learned(path))
    else:
        _print_runs(console, results)


def _print_runs(console: Console, results: Results) -> None:
    """Summary, and provenance of every run."""
    import json

    from psychophys.cli.display import print_skipped, print_summary, say

    print_summary(console, results)
    print_skipped(console, results)
    for identifier, record in results.runs.items():
        say(console, "", f"run {identifier}")
        for key, value in record.items():
            say(console, f"  {key}: {value if isinstance(value, str) else json.dumps(value)}")
