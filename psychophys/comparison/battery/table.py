"""The table of a battery: its columns, its file, and what it comes to in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from psychophys.comparison.ratio_table import times
from psychophys.results.kinds import KINDS
from psychophys.results.shared_columns import LAYER_COLUMNS
from psychophys.results.summary import run_name
from psychophys.results.tables import COUNT, NUMBER, TEXT, Column, RunTable
from psychophys.results.words import number

COLUMNS = (
    *LAYER_COLUMNS,
    Column("reference", TEXT, "", "people's data or formula: `psychophys priors` lists them"),
    Column("kind", TEXT, "", "absolute (thresholds have a unit) or shape (how they vary alone is meant)"),
    Column("dimension", TEXT, "", "the parameter of which thresholds are"),
    Column("unit", TEXT, "", "of thresholds"),
    Column("axis", TEXT, "", "what the curve runs over"),
    Column("axis_unit", TEXT, "", ""),
    Column("n_values", COUNT, "", "on the axis, at which people and the layer have a threshold"),
    Column("human_threshold", NUMBER, "unit", "geometric mean over these values; empty of a shape"),
    Column("threshold", NUMBER, "unit", "the layer's, with noise of s.d. 1"),
    Column("ratio", NUMBER, "1", "threshold over human_threshold; empty of a shape"),
    Column("matched_ratio", NUMBER, "1", "the same with noise_sd in place of 1"),
    Column(
        "noise_sd",
        NUMBER,
        "activation",
        "s.d. of the layer's noise with which its ratios are 1 on geometric average over dimensions; empty "
        "with fewer than two in which people's thresholds are absolute",
    ),
    Column("correlation", NUMBER, "-1 to 1", "of log thresholds over the axis; empty if people's are even"),
    Column(
        "mismatch",
        NUMBER,
        "factor",
        "exp of the s.d. of log ratios over the axis: by which factor the curves differ, set at one height",
    ),
    Column(
        "even_mismatch",
        NUMBER,
        "factor",
        "the mismatch of a layer with one threshold at all values: with no less, a layer is not like people",
    ),
    Column("nearest", pa.bool_(), "", "whether it is the layer nearest to people here: least mismatch"),
    Column("assumed", TEXT, "", "what is taken for granted of how the images are seen; empty if nothing"),
)
LIKE = 0.7
"""Correlation from which a curve is said to go as people's, if it is also nearer to it than an even one."""
MISSES = "misses"
"""Column of :meth:`BatteryResults.layers`."""


class BatteryResults(RunTable):
    """A network's layers beside all of people's data: of :func:`psychophys.battery`.

    Parameters
    ----------
    table
        With the columns of ``COLUMNS``.
    runs
        Provenance by run id: ``display``, ``measurements`` (run ids), and ``left_out``, why references have
        no rows or not all of their values.
    """

    columns = COLUMNS
    kind = KINDS["battery"]
    version = 1

    def layers(self) -> pd.DataFrame:
        """One row for each run and layer: the noise that matches it to people, and how far it misses them.

        Returns
        -------
        DataFrame
            ``run_id``, ``layer``, ``noise_sd``, ``misses`` (by which factor, as a root mean square over
            dimensions, a layer with that noise differs from people; NaN without it), and ``nearest_in``, the
            references of which it is nearest.
        """
        found = []
        for (run, layer), rows in self.to_pandas().groupby(["run_id", "layer"], sort=False):
            logs = rows.assign(log=np.log(rows["matched_ratio"].astype(float)))
            means = logs.groupby(["stimulus", "dimension"])["log"].mean().dropna()
            misses = float(np.exp(np.sqrt((means**2).mean()))) if len(means) > 1 else np.nan
            near = rows[rows["nearest"].astype(bool)]["reference"].tolist()
            noise = float(rows["noise_sd"].iloc[0])
            found.append(
                {"run_id": run, "layer": layer, "noise_sd": noise, MISSES: misses, "nearest_in": near}
            )
        return pd.DataFrame(found)

    def conclusions(self) -> list[str]:
        """What it comes to, a few sentences for each network."""
        layers, frame = self.layers(), self.to_pandas()
        said = []
        for run, record in self.runs.items():
            rows = frame[frame["run_id"] == run]
            if not rows.empty:
                said += [
                    f"{run_name(rows.iloc[0])}: {one}"
                    for one in _found(rows, layers[layers["run_id"] == run])
                ]
            said += [f"{name}: {why}" for name, why in record["left_out"].items()]
        return list(dict.fromkeys(said))


def _found(rows: pd.DataFrame, layers: pd.DataFrame) -> list[str]:
    near = rows[rows["nearest"].astype(bool) & rows["correlation"].notna()]
    said, count = [_nearest(layers)], len(layers)
    which = "the layer's curve" if count == 1 else f"the curve of the nearest of {count} layers"
    like = (near["correlation"] >= LIKE) & (near["mismatch"] < near["even_mismatch"])
    for what, some in (("goes as people's", near[like]), ("does not go as people's", near[~like])):
        if len(some):
            pairs = zip(some["reference"], some["layer"], some["correlation"].astype(float), strict=True)
            named = ", ".join(f"{name} ({layer}, r {two_decimals(r)})" for name, layer, r in pairs)
            said.append(f"{which} {what} in {named}.")
    return said


def two_decimals(r: float) -> str:
    """A correlation; what is shown as 0 has no sign."""
    return f"{r:.2f}".replace("-0.00", "0.00")


def _nearest(layers: pd.DataFrame) -> str:
    known = layers[layers[MISSES].notna()].sort_values(MISSES)
    if known.empty:
        return "people's thresholds are absolute in fewer than two dimensions here, so no noise is matched."
    first, last = known.iloc[0], known.iloc[-1]
    said = (
        f"with one noise for all dimensions (s.d. {number(first['noise_sd'])}), {first['layer']} misses "
        f"people's thresholds by a factor of {times(first[MISSES])}"
    )
    return (
        f"{said}."
        if len(known) == 1
        else f"{said}, the least; {last['layer']} by {times(last[MISSES])}, the most."
    )


def finished(rows: list[dict[str, Any]], records: Mapping[str, Mapping[str, Any]]) -> BatteryResults:
    """The table of a network, with each layer's noise that matches it to people, and what is nearest."""
    frame = pd.DataFrame(rows, columns=[column.name for column in COLUMNS])
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(frame["ratio"].astype(float))
    by_dimension = frame.assign(log=logs).groupby(["layer", "stimulus", "dimension"])["log"].mean().dropna()
    by_layer = by_dimension.groupby("layer").agg(["mean", "count"])
    mean = by_layer["mean"].where(by_layer["count"] > 1)
    frame["noise_sd"] = np.exp(-frame["layer"].map(mean).astype(float))
    frame["matched_ratio"] = frame["ratio"].astype(float) * frame["noise_sd"]
    frame["nearest"] = False
    for _, every in frame.groupby("reference"):
        # A layer that sees nothing at some of the values is no nearer for the rest.
        part = every[every["n_values"] == every["n_values"].max()]
        far = part["mismatch"].astype(float)
        if far.isna().all():
            far = np.log(part["matched_ratio"]).abs()
        if far.notna().any():
            frame.loc[far.idxmin(), "nearest"] = True
    return BatteryResults(pa.Table.from_pandas(frame, BatteryResults.schema, preserve_index=False), records)
