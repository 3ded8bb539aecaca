"""Names in the package's tables, read from its source: help lists them without importing anything heavy."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


@cache
def _source(folder: str) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(_PACKAGE.glob(f"{folder}/**/*.py")))


@cache
def _offered() -> list[importlib.metadata.EntryPoint]:
    """Every entry point of every installed package."""
    return [point for package in importlib.metadata.distributions() for point in package.entry_points]


def has_plugins() -> bool:
    """Whether an installed package offers something of its own."""
    return any(point.group.startswith("psychophys.") for point in _offered())


def made(kind: str, folder: str, group: str | None = None) -> list[str]:
    """The name of every ``kind("name", ...)`` in a folder, and what installed packages add to it.

    Parameters
    ----------
    group
        Of entry points, whose names are taken.
    """
    source = _source(folder)
    # A pattern that begins with letters is searched for many times faster than one that begins with \b.
    calls = re.finditer(rf'{kind}\(\s*(?:name\s*=\s*)?"([^"]+)"', source)
    found = [call[1] for call in calls if not source[call.start() - 1].isidentifier()]
    added = [] if group is None else [one.name for one in _offered() if one.group == group]
    return list(dict.fromkeys([*found, *added]))


def listed(table: str, folder: str) -> list[str]:
    """The keys of a folder's dicts of that name, or the words of its tuple."""
    blocks = re.findall(rf"\n{table}\b[^=\n]*= (\{{[^}}]*|\([^)]*)", _source(folder))
    keys = [key for block in blocks for key in re.findall(r'"([^"\n]+)":', block)]
    words = [word for block in blocks for word in re.findall(r'"([^"\n]+)"', block)]
    return list(dict.fromkeys(keys or words))


def either(names: Sequence[str]) -> str:
    """``a, b or c``."""
    return " or ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def file_of(formats: Sequence[str]) -> str:
    """``FILE.a, .b or .c``."""
    return f"FILE{either([f'.{name}' for name in formats])}"


STIMULI = made("Stimulus", "stimuli", "psychophys.stimuli")
DISPLAYS = made("Display", "stimuli")
GAMMAS = made("Gamma", "stimuli")
REFERENCES = made("Reference", "comparison", "psychophys.references")
NOISES = made("Noise", "noise", "psychophys.noise")
ESTIMATORS = made("Estimator", "responses")
WEIGHTS = listed("WEIGHTS", "observers")
PRECISIONS = made("Arithmetic", "observers")
DTYPES = listed("DTYPES", "observers")
PRESETS = made("Preset", "measurement")
POOLINGS = made("Pooling", "measurement")
GRAINS = made("Grain", "observers")
BASELINES = made("Baseline", "physiology")
SPACES = made("Space", "measurement")
TASKS = made("Task", "simulation")
READ_OUTS = made("ReadOut", "simulation")
EXPERIMENTS = made("Experiment", "learning")
RANKINGS = made("Ranking", "results")
ENGINES = listed("ENGINES", "sweeps")
TABLE_FILE = file_of(listed("FORMATS", "results"))
FIGURE_SIZES = made("Size", "plots")
FIGURE_FILE = file_of(listed("FIGURE_FORMATS", "plots"))
