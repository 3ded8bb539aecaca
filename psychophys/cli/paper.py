"""The command `paper`."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from psychophys.base.errors import MeasurementError, UsageError
from psychophys.cli.options import Quiet
from psychophys.cli.panels import PANELS, PAPER

if TYPE_CHECKING:
    from psychophys.cli.panels import Panel


def paper(
    panels: Annotated[
        list[str] | None, typer.Argument(metavar="[PANEL]...", help="Panels to make; all is every one.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="In place of the paper's; may be repeated. Default: those whose weights are here."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Directory; each panel has its own in it.")
    ] = Path("paper"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the command lines and run none.")] = False,
    quiet: Quiet = False,
) -> None:
    """Make the figures of Benjamin et al. 2022 again; without a panel, list them.

    A panel is a few command lines of `psychophys`, which are printed and can be changed. Its directory
    holds their tables and figures, and a page that sets what they said beside the paper's claim.

    \b
    Examples:
      psychophys paper
      psychophys paper fig6 -o paper
      psychophys paper fig2 --model resnet18 --dry-run
    """
    if model:
        from psychophys.observers.names import Job

        for name in model:
            Job(name)  # What is not known is refused before anything is made.
    if not panels:
        _list()
        return
    chosen = list(PANELS.values()) if panels == ["all"] else [PANELS.find(name) for name in panels]
    for panel in chosen:
        lines = panel.lines(_models(panel, model))
        if dry_run:
            print(*(f"psychophys {line}" for line in lines), sep="\n")
            continue
        _make(panel, lines, output / panel.name, quiet)


def _list() -> None:
    """Every panel, what it takes and on which network it would be made here."""
    for panel in PANELS.values():
        on = f", on {', '.join(_models(panel, None))}" if panel.models else ""
        print(f"{panel.name:<14}{panel.summary} (about {panel.minutes:g} min on two cores{on})")


def _models(panel: Panel, given: list[str] | None) -> tuple[str, ...]:
    """Those that are asked for, or the paper's whose weights are here, or the one that comes along."""
    from psychophys.cli.catalogue import panel_models

    if given:
        if not panel.models:
            raise UsageError(f"panel {panel.name} trains its own networks", "Leave out --model.")
        return tuple(given)
    known = panel_models()
    here = tuple(model for model in panel.models if _is_here(model, known["repositories"].get(model)))
    return here or (known["default"],)


def _is_here(model: str, repository: str | None) -> bool:
    """Whether its weights need no download; of those in a repository it takes no PyTorch to tell."""
    if repository is not None:
        from psychophys.observers.hub_cache import is_cached

        return is_cached(repository)
    from psychophys.observers import hub

    return hub.is_here(model)


def _make(panel: Panel, lines: list[str], folder: Path, quiet: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    parts = [f"# {panel.name}: {panel.summary}", f"{PAPER}: {panel.claim}", panel.differs]
    for line in lines:
        if not quiet:
            print(f"$ psychophys {line}", file=sys.stderr)
        began = time.perf_counter()
        said = _run(panel, line, folder)
        if not quiet:
            print(said, file=sys.stderr)
        seconds = time.perf_counter() - began
        parts += [
            f"`psychophys {line}` ({seconds:.0f} s)",
            f"```text\n{said}\n```" if said else "",
            *_figures(line),
        ]
    (folder / "page.md").write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")
    print(folder / "page.md")


def _run(panel: Panel, line: str, folder: Path) -> str:
    """What a command line says; it is run in a process of its own, as a person would."""
    command = [sys.executable, "-m", "psychophys", *shlex.split(line)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    said = "\n".join(part.strip("\n") for part in (done.stdout, done.stderr) if part.strip())
    if done.returncode:
        last = (said.splitlines() or ["no message"])[-1].removeprefix("error: ")
        raise MeasurementError(
            f"panel {panel.name} stopped at `psychophys {line}`: {last}", f"Run that alone in {folder}."
        )
    return said


def _figures(line: str) -> list[str]:
    return [f"![{word}]({word})" for word in shlex.split(line) if word.endswith(".png")]
