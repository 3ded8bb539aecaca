"""Runs ranked by one number each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from psychophys.base.errors import unknown
from psychophys.results.summary import RUN, summarize
from psychophys.results.thresholds import Results


@dataclass(frozen=True)
class Ranking:
    """One number for a run, by which runs can be ranked; a count is a whole number, and may be large."""

    name: str
    meaning: str
    ascending: bool
    is_count: bool = False


RANKINGS = (
    Ranking("ratio", "cardinal over oblique sensitivity, in the layer where it is highest", False),
    Ranking("ratio_last", "cardinal over oblique sensitivity in the last layer", False),
    Ranking("threshold_last", "mean threshold of the last layer", True),
    Ranking("threshold_best", "mean threshold of the layer that discriminates most finely", True),
    Ranking("anisotropy", "s.d. over mean of sensitivity, over the values, in the last layer", False),
    Ranking("parameters", "of the network, fewest first", True, is_count=True),
)


def rank(results: Results, sort: str | None = None, top: int | None = None) -> pd.DataFrame:
    """One row for each run, ordered by one of ``RANKINGS``.

    Parameters
    ----------
    sort
        Name of an index. Default: ``ratio`` for orientation, ``threshold_last`` for others.
    top
        Keep so many rows.

    Returns
    -------
    DataFrame
        What was measured, ``license`` of the weights, ``layers`` (how many), ``last_layer``,
        ``ratio_layer`` (where ``ratio`` is reached), and every index; runs without the index come last.
    """
    orders = {index.name: index for index in RANKINGS}
    if sort is not None and sort not in orders:
        raise unknown("index", sort, orders)
    frame = _run_rows(summarize(results))
    index = orders[sort or ("ratio" if frame["ratio"].notna().any() else "threshold_last")]
    ordered = frame.sort_values(index.name, ascending=index.ascending, kind="stable", na_position="last")
    return ordered.reset_index(drop=True).head(len(ordered) if top is None else top)


def _run_rows(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each run, of a row for each of its layers in their order."""
    if "cardinal_oblique_ratio" not in table:
        table = table.assign(cardinal_oblique_ratio=np.nan)
    groups = table.groupby("run_id", sort=False)
    first, last = (table.drop_duplicates("run_id", keep=end).set_index("run_id") for end in ("first", "last"))
    ratios = groups["cardinal_oblique_ratio"]
    known = table[table["cardinal_oblique_ratio"].notna()]
    top = known.loc[known.groupby("run_id", sort=False)["cardinal_oblique_ratio"].idxmax()]
    frame = first[[*RUN[1:], "license", "estimator"]].assign(
        parameters=first["n_parameters"],
        layers=groups.size(),
        last_layer=last["layer"],
        ratio_layer=top.set_index("run_id")["layer"],
        ratio=ratios.max(),
        ratio_last=last["cardinal_oblique_ratio"],
        threshold_last=last["mean_threshold"],
        threshold_best=groups["mean_threshold"].min(),
        anisotropy=last["anisotropy"],
    )
    return frame.reset_index()
