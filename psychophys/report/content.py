"""What a report says: built from results, before it is a page."""

from __future__ import annotations

import importlib.metadata
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from psychophys.base.errors import PsychophysError, UsageError
from psychophys.comparison.compare import DEFAULT_PRIOR, compare, density_for
from psychophys.comparison.human import PIXELS_PER_DEGREE
from psychophys.comparison.priors import load_prior
from psychophys.comparison.table import Comparison
from psychophys.comparison.verdict import conclusions as coding_conclusions
from psychophys.comparison.verdict import how_many_pass, shown_runs
from psychophys.comparison.zoo import rank_models
from psychophys.plots.models import plot_any
from psychophys.plots.psychometric import plot_psychometric
from psychophys.plots.thresholds import MOST_RUNS, plot_thresholds
from psychophys.report.commands import command_lines, simulation_lines
from psychophys.report.curves import curves
from psychophys.report.drawings import Drawing, Strip, inline_svg, strip
from psychophys.report.material import Material, gather, only, parts
from psychophys.report.side_by_side import SideBySide, side_by_side
from psychophys.report.tables import (
    LAYER,
    Cell,
    Heading,
    PageTable,
    caveats,
    comparison_table,
    layer_table,
    quantity,
    ranked_by_r,
    ranking_table,
    simulation_table,
    summaries,
)
from psychophys.report.words import Terms, asked, comparability, provenance, run_names, settings, title_of
from psychophys.results.notes import notes
from psychophys.results.ranking import RANKINGS, rank
from psychophys.results.summary import cautions, conclusions, development
from psychophys.results.thresholds import Results
from psychophys.results.words import number
from psychophys.simulation.table import Simulations
from psychophys.simulation.table import conclusions as simulated

MOST_ROWS = 3000
"""Of layers in the tables of all runs together."""
FEWEST_ROWS = 8
MOST_SAID = 12
"""Sentences on many runs that have no ranking."""
MOST_TABLES = 4
"""Runs whose comparison is shown layer by layer."""


@dataclass(frozen=True)
class Compared:
    """Sensitivities beside a prior or people."""

    title: str
    said: list[str]
    drawing: Drawing | None = None
    tables: list[PageTable] = field(default_factory=list)


@dataclass(frozen=True)
class Model:
    """The section of one run."""

    name: str
    said: str
    table: PageTable
    strip: Strip | None


@dataclass(frozen=True)
class Part:
    """What was measured over one dimension of one stimulus.

    Attributes
    ----------
    controls
        How many untrained runs are compared with alone, and have no section.
    curves
        Numbers of the page's own drawing; None of one value.
    """

    title: str
    dimension: str
    asked: list[str]
    found: list[str]
    cautions: list[str]
    drawing: Drawing | None
    side: SideBySide | None
    ranking: PageTable | None
    models: list[Model]
    controls: int
    development: list[PageTable]
    compared: list[Compared]
    curves: dict[str, Any] | None


@dataclass(frozen=True)
class Simulated:
    """What simulated observers did."""

    said: list[str]
    table: PageTable
    drawing: Drawing | None


@dataclass(frozen=True)
class Report:
    """All that a page says."""

    title: str
    source: str
    version: str
    parts: list[Part]
    simulated: Simulated | None
    settings: list[Terms]
    shared: Terms
    differing: tuple[list[str], list[list[str]]]
    notes: list[str]
    failures: list[str]
    commands: list[str]


def report(path: str | Path, title: str | None = None) -> Report:
    """Build a report of a file of results or simulations, or of a directory of them.

    Parameters
    ----------
    title
        Default: what was measured of which models.

    Raises
    ------
    UsageError
        For a file of another kind or program, and where there is nothing to report.
    """
    found = gather(path)
    runs = {**found.simulations.runs, **found.results.runs}
    measured = parts(found.results)
    frames = [part.to_pandas() for part in measured] or [found.simulations.to_pandas()]
    shared, headings, rows = provenance(runs)
    return Report(
        title=title or title_of(frames),
        source=found.path.resolve().name,
        version=importlib.metadata.version("psychophys"),
        parts=[_part(part, found.comparisons, f"part{i}") for i, part in enumerate(measured, start=1)],
        simulated=_simulated(found.simulations),
        settings=_settings(runs),
        shared=shared,
        differing=(headings, rows),
        notes=list(dict.fromkeys([*notes(runs), *found.left_out])),
        failures=[f"{note['model']} {note['weights']}: {note['error']}" for note in found.failures],
        commands=_commands(found),
    )


def _part(results: Results, kept: Sequence[Comparison], name: str) -> Part:
    """One stimulus and dimension: all of its runs, and those that are shown without their controls."""
    frame = results.to_pandas()
    names = run_names(frame)
    compared = _comparisons(results, kept)
    controls = _controls(compared)
    shown = only(results, [run for run in names if run not in controls] or list(names))
    own = shown.to_pandas()
    few = len(shown.identifiers) <= MOST_RUNS
    drawn = len(own["value"].unique()) > 1  # Of one value, the numbers are all.
    first = own.iloc[0]
    return Part(
        title=f"{first['dimension']} of {first['stimulus']}",
        dimension=str(first["dimension"]),
        asked=asked(own, names, results.runs),
        found=conclusions(shown) if few else _overall(shown),
        cautions=[*comparability(own), *cautions(shown)],
        drawing=_thresholds(shown, name) if few and drawn else None,
        side=side_by_side(own, names) if few else None,
        ranking=ranking_table(shown, names) if len(shown.identifiers) > 1 else None,
        models=_models(shown, names),
        controls=len(names) - len(shown.identifiers),
        development=_development(shown),
        compared=[_compared(results, *one, f"{name}c{i}") for i, one in enumerate(compared, start=1)],
        curves=curves(own, names, _picked(shown)) if drawn else None,
    )


Comparing = tuple[str, pd.DataFrame | None, dict[str, Any], str]
"""A title, the comparison, what was asked of it, and why there is none."""


def _comparisons(results: Results, kept: Sequence[Comparison]) -> list[Comparing]:
    """With the prior and with people: as it was kept beside the results, or made now."""
    found: list[Comparing] = []
    held = results.identifiers
    for column, title, asked_for in (
        ("prior", "How common each value is in natural images", {"prior": DEFAULT_PRIOR}),
        ("reference", "People", {"human": True}),
    ):
        own = [one for one in kept if column in one.frame and set(one.frame["run_id"]) <= held]
        if own:
            found.append((title, own[0].frame, dict(own[0].settings), ""))
            continue
        try:
            found.append((title, compare(results, **asked_for), asked_for, ""))
        except PsychophysError as error:
            found.append((title, None, asked_for, str(error)))
    return found


def _controls(compared: Sequence[Comparing]) -> set[str]:
    """Runs that others are held against and that are tested nowhere."""
    frames = [frame for _, frame, _, _ in compared if frame is not None]
    every = {run for frame in frames for run in frame["run_id"]}
    return every - {run for frame in frames for run in frame[frame["tested"]]["run_id"]}


def _compared(
    results: Results, title: str, frame: pd.DataFrame | None, settings: Mapping[str, Any], why: str, name: str
) -> Compared:
    if frame is None:
        return Compared(title, [why])
    shown = shown_runs(frame)
    said = [*coding_conclusions(frame), *caveats(frame)]
    if frame["r"].isna().all():
        return Compared(title, said[:MOST_SAID])
    tables = [comparison_table(rows) for rows in shown]
    if len(shown) > MOST_TABLES:
        ranking = rank_models(frame)
        said = [*how_many_pass(frame), *caveats(frame)] if len(ranking) else said[:MOST_SAID]
        tables = [] if ranking.empty else [ranked_by_r(ranking)]
        if len(ranking) < 2 and len(shown) > MOST_RUNS:  # A line each would hide the others.
            return Compared(title, said, None, tables)
    what = "the prior" if "prior" in frame else "human sensitivity"
    try:
        drawing = _coding(results, frame, settings)
    except UsageError:  # Curves over frequency, or a prior that is not here: the numbers are in the table.
        return Compared(title, said, None, tables)
    caption = f"Sensitivity beside {what}, and their correlation over depth."
    return Compared(title, said, Drawing(name, inline_svg(drawing, name), caption, " ".join(said)), tables)


def _coding(results: Results, frame: pd.DataFrame, settings: Mapping[str, Any]) -> Figure:
    runs = [run for run in dict.fromkeys(frame["run_id"]) if run in results.runs]
    own = only(results, runs)
    pixels = settings.get("pixels_per_degree") or PIXELS_PER_DEGREE
    if "prior" not in frame:
        return plot_any(own, frame, None, pixels)
    density = density_for(own.to_pandas(), load_prior(settings["prior"]), settings.get("scale"))
    return plot_any(own, frame, density, pixels)


def _thresholds(results: Results, name: str) -> Drawing | None:
    caption = (
        "Thresholds over the dimension, a line a layer, coloured by depth; sensitivity over each layer's "
        "mean, a row a layer; and a ratio of sensitivities over depth, a line a run."
    )
    return Drawing(name, inline_svg(plot_thresholds(results), name), caption, " ".join(conclusions(results)))


def _overall(results: Results) -> list[str]:
    """What is said of many runs: who is first and last in the ranking."""
    ranked = rank(results)
    index = "ratio" if ranked["ratio"].notna().any() else "threshold_last"
    known = ranked[ranked[index].notna()]
    meaning = {one.name: one.meaning for one in RANKINGS}[index]
    names = run_names(results.to_pandas())
    if known.empty:
        return [f"{len(ranked)} runs were measured; none has a number to rank by."]
    ends = (known.iloc[0], known.iloc[-1])
    first, last = (f"{number(row[index])} in {names[row['run_id']]}" for row in ends)
    return [
        f"{len(ranked)} runs were measured. {meaning[0].upper()}{meaning[1:]}: from {first} to {last}; "
        f"the median is {number(known[index].median())}."
    ]


def _models(results: Results, names: Mapping[str, str]) -> list[Model]:
    """A section a run, in the order of the ranking."""
    tables, frame = summaries(results), results.to_pandas()
    order = list(rank(results)["run_id"])
    most = max(FEWEST_ROWS, MOST_ROWS // len(order))
    several = len(order) > 2  # Of two, the figure has all.
    found = []
    for run in order:
        rows = frame[frame["run_id"] == run]
        said = conclusions(only(results, [run]))[0]
        drawn = strip(rows, names[run]) if several and len(rows["value"].unique()) > 1 else None
        found.append(Model(names[run], said, layer_table(tables[run], most), drawn))
    return found


def _picked(results: Results) -> dict[str, list[str]]:
    """The layer of the largest ratio, and the last one: what is drawn first."""
    found = {}
    for run, rows in summaries(results).items():
        column = "cardinal_oblique_ratio" if "cardinal_oblique_ratio" in rows else "best_worst_ratio"
        known = rows[rows[column].notna()]
        top = [] if known.empty else [str(known["layer"].iloc[int(np.argmax(known[column]))])]
        found[run] = list(dict.fromkeys([*top, str(rows["layer"].iloc[-1])]))
    return found


def _development(results: Results) -> list[PageTable]:
    tables = []
    for title, table in development(results):
        headings = (LAYER, *(Heading(f"step {step:g}") for step in table.columns))
        rows = [[Cell(str(layer)), *map(quantity, row)] for layer, row in table.iterrows()]
        tables.append(PageTable(title, headings, rows))
    return tables


def _simulated(simulations: Simulations) -> Simulated | None:
    if not len(simulations):
        return None
    said = simulated(simulations)
    drawing = None
    if simulations.to_pandas()["deviation"].notna().any():
        svg = inline_svg(plot_psychometric(simulations), "simulated")
        caption = "Proportion correct over the difference, and fitted over predicted thresholds."
        drawing = Drawing("simulated", svg, caption, " ".join(said))
    return Simulated(said, simulation_table(simulations), drawing)


def _settings(runs: Mapping[str, Mapping[str, Any]]) -> list[Terms]:
    """Of each measurement that differs from the others."""
    found = []
    for record in runs.values():
        terms = settings(record)
        if terms not in found:
            found.append(terms)
    return found


def _commands(found: Material) -> list[str]:
    if found.is_swept:
        lines = command_lines(found.results.runs, f"-o {shlex.quote(found.path.name)}", "sweep")
    else:
        file = found.path.name if found.path.is_file() else "results.parquet"
        lines = command_lines(found.results.runs, f"-o {shlex.quote(file)}")
        lines = [*lines[:1], *(f"{line} --append" if line[0] != "#" else line for line in lines[1:])]
    return [*lines, *simulation_lines(found.simulations.runs)]
