"""What a report says: built from results, before it is a page."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from psychophys.plots.psychometric import plot_psychometric
from psychophys.plots.thresholds import MOST_RUNS, plot_thresholds
from psychophys.report.again import Step, commands, steps, to_measure
from psychophys.report.compared import Compared, compared, comparisons, controls, untrained_to_measure
from psychophys.report.curves import curves
from psychophys.report.drawings import Drawing, Strip, inline_svg, strip
from psychophys.report.explained import explained
from psychophys.report.finest import finest
from psychophys.report.material import Material, gather, only, parts
from psychophys.report.shown import Shown, shown
from psychophys.report.side_by_side import SideBySide, side_by_side
from psychophys.report.tables import (
    LAYER,
    Cell,
    Heading,
    PageTable,
    layer_table,
    quantity,
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
    shown
        The stimulus, where it can be drawn.
    controls
        How many untrained runs are compared with alone, and have no section.
    lacking
        Command lines that measure the untrained networks which a test lacks, and how many those are.
    curves
        Numbers of the page's own drawing; None of one value.
    """

    title: str
    dimension: str
    asked: list[str]
    shown: Shown | None
    found: list[str]
    cautions: list[str]
    drawing: Drawing | None
    side: SideBySide | None
    ranking: PageTable | None
    models: list[Model]
    controls: int
    development: list[PageTable]
    compared: list[Compared]
    lacking: tuple[int, list[str]]
    words: Terms
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
    steps: list[Step]


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
        parts=[_part(part, found, f"part{i}") for i, part in enumerate(measured, start=1)],
        simulated=_simulated(found.simulations),
        settings=_settings(runs),
        shared=shared,
        differing=(headings, rows),
        notes=list(dict.fromkeys([*notes(runs), *found.left_out])),
        failures=[f"{note['model']} {note['weights']}: {note['error']}" for note in found.failures],
        commands=commands(found),
        steps=steps(found, title),
    )


def _part(results: Results, found: Material, name: str) -> Part:
    """One stimulus and dimension: all of its runs, and those that are shown without their controls."""
    frame = results.to_pandas()
    names = run_names(frame)
    beside = comparisons(results, found.comparisons)
    held = controls(beside)
    chosen = only(results, [run for run in names if run not in held] or list(names))
    own, picked = chosen.to_pandas(), _picked(chosen)
    few = len(chosen.identifiers) <= MOST_RUNS
    drawn = len(own["value"].unique()) > 1  # Of one value, the numbers are all.
    first = own.iloc[0]
    wanted = untrained_to_measure(results, beside)
    return Part(
        title=f"{first['dimension']} of {first['stimulus']}",
        dimension=str(first["dimension"]),
        asked=asked(own, names, results.runs),
        shown=shown(results.runs[first["run_id"]]),
        found=[*conclusions(chosen), *finest(own, names, picked)] if few else _overall(chosen),
        cautions=[*comparability(own), *cautions(chosen)],
        drawing=_thresholds(chosen, name) if few and drawn else None,
        side=side_by_side(own, names) if few else None,
        ranking=ranking_table(chosen, names) if len(chosen.identifiers) > 1 else None,
        models=_models(chosen, names),
        controls=len(names) - len(chosen.identifiers),
        development=_development(chosen),
        compared=[compared(results, *one, f"{name}c{i}") for i, one in enumerate(beside, start=1)],
        lacking=(len(wanted), to_measure(found, wanted)),
        words=explained(chosen.runs, [frame for _, frame, _, _ in beside if frame is not None]),
        curves=curves(own, names, picked) if drawn else None,
    )


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
        oriented = rows.get("cardinal_oblique_ratio", pd.Series(dtype=float)).notna().any()
        column = "cardinal_oblique_ratio" if oriented else "best_worst_ratio"
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
