"""The command `spec`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def spec(
    path: Annotated[
        Path,
        typer.Argument(help="A file of `measure`, `fisher` or `simulate`, a directory of results, or TOML."),
    ],
) -> None:
    """Print what was measured as TOML, which --from reads: to keep, to change, to hand on.

    \b
    Examples:
      psychophys spec results.parquet > run.toml
      psychophys measure --from run.toml -o again.parquet
    """
    from psychophys.measurement.written import read_specifications, to_toml

    typer.echo(to_toml(read_specifications(path), path.name), nl=False)
