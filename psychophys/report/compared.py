"""Sensitivities beside a prior and beside people: sentences, figure and tables of a page."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from psychophys.base.errors import PsychophysError, UsageError
from psychophys.comparison.beside_people import caveats, thresholds_beside
from psychophys.comparison.compare import DEFAULT_PRIOR, compare, density_drawn
from psychophys.comparison.priors import load_prior
from psychophys.comparison.references import REFERENCES
from psychophys.comparison.table import Comparison
from psychophys.comparison.untrained import control_key
from psychophys.comparison.verdict import axis_of, conclusions, how_many_pass, shown_runs, still_to_measure
from psychophys.comparison.zoo import rank_models
from psychophys.plots.models import plot_any
from psychophys.plots.thresholds import MOST_RUNS
from psychophys.report.drawings import Drawing, inline_svg
from psychophys.report.material import only
from psychophys.report.tables import PageTable, comparison_table, ranked_by_r
from psychophys.results.thresholds import Results

MOST_SAID = 12
"""Sentences on many runs that have no ranking."""
MOST_TABLES = 4
"""Runs whose comparison is shown layer by layer."""


@dataclass(frozen=True)
class Compared:
    """Sensitivities beside a prior or people.

    Attributes
    ----------
    sources
        Where the other curve is from, and what its p-values allow for.
    """

    title: str
    said: list[str]
    sources: list[str] = field(default_factory=list)
    drawing: Drawing | None = None
    tables: list[PageTable] = field(default_factory=list)


Comparing = tuple[str, pd.DataFrame | None, dict[str, Any], str]
"""A title, the comparison, what was asked of it, and why there is none."""


def comparisons(results: Results, kept: Sequence[Comparison]) -> list[Comparing]:
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


def controls(compared: Sequence[Comparing]) -> set[str]:
    """Runs that others are held against and that are tested nowhere."""
    frames = [frame for _, frame, _, _ in compared if frame is not None]
    every = {run for frame in frames for run in frame["run_id"]}
    return every - {run for frame in frames for run in frame[frame["tested"]]["run_id"]}


def untrained_to_measure(results: Results, found: Sequence[Comparing]) -> dict[str, dict[str, Any]]:
    """Provenance of the untrained networks that a test lacks, as if they were measured, by a name each.

    Of what is compared over the measured dimension: a curve over frequency takes many runs a network.
    """
    lacking: dict[str, int] = {}
    for _, frame, _, _ in found:
        if frame is not None and set(frame["dimension"]) == {axis_of(frame.iloc[0])}:
            lacking = lacking or still_to_measure(frame)
    wanted = {}
    for run, count in lacking.items():
        record = results.runs[run]
        alike = [one for one in results.runs.values() if control_key(one) == control_key(record)]
        first = 1 + max((one["seed"] for one in alike if one["weights"] == "random"), default=-1)
        for seed in range(first, first + count):
            own = {**record, "weights": "random", "seed": seed, "step": None}
            wanted[f"{control_key(record)} {seed}"] = own
    return wanted


def sources(frame: pd.DataFrame, settings: Mapping[str, Any]) -> list[str]:
    """Where the other curve is from, and which p-values allow for the number of layers."""
    said = []
    if "reference" in frame:
        known = [REFERENCES[name] for name in frame["reference"].unique() if name in REFERENCES]
        said += [f"Source: {one.name}, {one.summary} ({one.formula}). {one.source}." for one in known]
    else:
        with contextlib.suppress(UsageError):  # A prior that is not here.
            prior = load_prior(settings.get("prior") or DEFAULT_PRIOR)
            said += [f"Source: {prior.name}, {prior.meta['summary']}."] if prior.meta.get("summary") else []
    if frame["p_turned"].notna().any():
        said.append(
            "A p among untrained networks is over all layers at once, and so allows for their number. A p of "
            "turns is of one layer alone and does not: of many layers, some will have a small one by chance."
        )
    return said


def compared(
    results: Results, title: str, frame: pd.DataFrame | None, settings: Mapping[str, Any], why: str, name: str
) -> Compared:
    """What is said and shown of one comparison."""
    if frame is None:
        return Compared(title, [why])
    shown = shown_runs(frame)
    said = [*conclusions(frame), *thresholds_beside(frame), *caveats(frame)]
    if frame["r"].isna().all():
        return Compared(title, said[:MOST_SAID], sources(frame, settings))
    known = sources(frame, settings)
    tables = [comparison_table(rows) for rows in shown]
    if len(shown) > MOST_TABLES:
        ranking = rank_models(frame)
        said = [*how_many_pass(frame), *caveats(frame)] if len(ranking) else said[:MOST_SAID]
        tables = [] if ranking.empty else [ranked_by_r(ranking)]
        if len(ranking) < 2 and len(shown) > MOST_RUNS:  # A line each would hide the others.
            return Compared(title, said, known, None, tables)
    what = "the prior" if "prior" in frame else "human sensitivity"
    try:
        drawing = _coding(results, frame, settings)
    except UsageError:  # Curves over frequency, or a prior that is not here: the numbers are in the table.
        return Compared(title, said, known, None, tables)
    caption = f"Sensitivity beside {what}, and their correlation over depth."
    figure = Drawing(name, inline_svg(drawing, name), caption, " ".join(said))
    return Compared(title, said, known, figure, tables)


def _coding(results: Results, frame: pd.DataFrame, settings: Mapping[str, Any]) -> Figure:
    runs = [run for run in dict.fromkeys(frame["run_id"]) if run in results.runs]
    own = only(results, runs)
    pixels = settings.get("pixels_per_degree")
    if "prior" not in frame:
        return plot_any(own, frame, None, pixels)
    density = density_drawn(own, load_prior(settings["prior"]), settings.get("scale"))
    return plot_any(own, frame, density, pixels)
