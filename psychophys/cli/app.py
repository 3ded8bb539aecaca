"""The commands put together. A command's file holds its options and what it does with them.

Nothing heavy is imported here or at the top of such a file, only inside its functions: help is fast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from psychophys.cli.battery import battery
from psychophys.cli.check import check
from psychophys.cli.compare import compare
from psychophys.cli.distort import distort
from psychophys.cli.explain import explain
from psychophys.cli.fisher import fisher
from psychophys.cli.groups import GroupedCommand
from psychophys.cli.learn import learn
from psychophys.cli.lists import displays, layers, models, noises, priors, stimuli
from psychophys.cli.measure import measure
from psychophys.cli.paper import paper
from psychophys.cli.plot import plot
from psychophys.cli.report import report
from psychophys.cli.responses import responses
from psychophys.cli.show import show
from psychophys.cli.simulate import simulate
from psychophys.cli.spec import spec
from psychophys.cli.statistics import statistics
from psychophys.cli.sweep import sweep
from psychophys.cli.test import test
from psychophys.cli.tune import tune
from psychophys.cli.versus import versus

COMMANDS: dict[Callable[..., None], tuple[str, ...]] = {
    measure: ("guides/measuring",),
    sweep: ("guides/sweeps",),
    test: ("studies/efficient-coding",),
    show: ("guides/results",),
    spec: ("guides/results",),
    plot: ("guides/results",),
    report: ("guides/report",),
    compare: ("studies/efficient-coding", "studies/people"),
    versus: ("guides/results",),
    statistics: ("studies/efficient-coding",),
    fisher: ("studies/two-dimensions",),
    responses: ("guides/responses",),
    battery: ("studies/people",),
    tune: ("guides/units",),
    distort: ("guides/distortions",),
    simulate: ("studies/simulated-observers",),
    learn: ("studies/learning",),
    paper: ("studies/paper",),
    check: ("guides/own-networks",),
    layers: ("guides/measuring",),
    models: ("guides/measuring",),
    stimuli: ("guides/measuring",),
    displays: ("guides/display",),
    noises: ("guides/noise",),
    priors: ("studies/efficient-coding",),
    explain: ("reference/columns", "reference/indices"),
}
"""Every command and its pages of the documentation, in the order of ``psychophys --help``."""

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    context_settings=CONTEXT,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="What a vision model can tell apart: discrimination thresholds, layer by layer.",
    epilog="Any command takes --debug, which shows the traceback behind an error.",
)


def _version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata

        typer.echo(importlib.metadata.version("psychophys"))
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def documentation(pages: tuple[str, ...]) -> str:
    """The line at the end of a command's help."""
    return f"Documentation: {', '.join(f'docs/{page}.md' for page in pages)}"


for _command, _pages in COMMANDS.items():
    app.command(cls=GroupedCommand, context_settings=CONTEXT, epilog=documentation(_pages))(_command)
