"""How to make results and their page again: a sentence and command lines each."""

from __future__ import annotations

import importlib.metadata
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psychophys.observers.names import CONTROLS
from psychophys.report.commands import command_lines, simulation_lines
from psychophys.report.material import Material

INSTALL = "pip install ."
RESULTS = "results.parquet"
"""Where measurements of a directory of one's own would go."""


@dataclass(frozen=True)
class Step:
    """What to type, and why."""

    said: str
    lines: list[str]


def commands(found: Material) -> list[str]:
    """The command lines that make the results again."""
    if found.is_swept:
        lines = command_lines(found.results.runs, _ending(found), "sweep")
    else:
        lines = command_lines(found.results.runs, _ending(found))
        lines = [*lines[:1], *(f"{line} --append" if line[0] != "#" else line for line in lines[1:])]
    return [*lines, *simulation_lines(found.simulations.runs)]


def steps(found: Material, title: str | None) -> list[Step]:
    """From an empty environment to this page."""
    version = importlib.metadata.version("psychophys")
    made = [Step(f"Install psychophys {version}, in the folder of its source code.", [INSTALL])]
    if lines := commands(found):
        seeds = _seeds(found.results.runs)
        made.append(Step(f"Measure: derived from the specification kept with the numbers.{seeds}", lines))
    if found.path.is_file() and len(found.results):
        again = f"psychophys measure --from {shlex.quote(found.path.name)} -o again.parquet"
        said = "With the file at hand, the same without typing the settings; an option changes one of them."
        made.append(Step(said, [again]))
    shown = found.path.resolve().name if found.path.is_file() or found.is_swept else "."
    named = "" if title is None else f" --title {shlex.quote(title)}"
    return [*made, Step("Write the page.", [f"psychophys report {shlex.quote(shown)}{named}"])]


def to_measure(found: Material, wanted: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The command lines that add runs to results."""
    lines = command_lines(wanted, _ending(found), "sweep" if found.is_swept else "measure")
    return [line if found.is_swept or line[0] == "#" else f"{line} --append" for line in lines]


def _ending(found: Material) -> str:
    name = found.path.name if found.is_swept or found.path.is_file() else RESULTS
    return f"-o {shlex.quote(name)}"


def _seeds(runs: Mapping[str, Mapping[str, Any]]) -> str:
    drawn = sorted({record["seed"] for record in runs.values() if record["weights"] in CONTROLS})
    if not drawn:
        return ""
    if len(drawn) == 1:
        return f" Random and shuffled weights are drawn with seed {drawn[0]}."
    return f" Random and shuffled weights are drawn with seeds {drawn[0]} to {drawn[-1]}."
