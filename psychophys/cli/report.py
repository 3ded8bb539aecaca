"""The command `report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from psychophys.base.errors import UsageError
from psychophys.cli.options import Force, Quiet


def report(
    path: Annotated[
        Path,
        typer.Argument(help="A file of `measure` or `simulate`, or a directory of such files."),
    ],
    output: Annotated[str, typer.Option("--output", "-o", help="FILE.html; - is standard output.")] = (
        "report.html"
    ),
    title: Annotated[
        str | None, typer.Option(help="Of the page. Default: what was measured of which models.")
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Write one page of HTML with what was found: words, figures, tables, and how to run it again.

    The page holds all that it shows and loads nothing.

    \b
    Examples:
      psychophys report results.parquet
      psychophys report zoo -o zoo.html --title 'Forty networks'
    """
    import sys

    from psychophys.cli.outputs import STANDARD_OUTPUT
    from psychophys.observers.memory import keep_freed_memory
    from psychophys.report.content import report as build
    from psychophys.report.page import check_page, render, write

    if title is not None and not title.strip():
        raise UsageError("a title without words", "Leave --title out, or give one.")
    if output != STANDARD_OUTPUT:
        check_page(output, force=force)
    keep_freed_memory()
    found = build(path, title)
    if output == STANDARD_OUTPUT:
        sys.stdout.buffer.write(render(found).encode())
        sys.stdout.buffer.flush()
        return
    write(found, output)
    if not quiet:
        print(f"report in {output}", file=sys.stderr)
