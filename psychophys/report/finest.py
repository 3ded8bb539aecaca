"""Where over the dimension each network is finest, and how fine, in the layers that are looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from psychophys.report.commands import plain
from psychophys.report.tables import digits, interval


def finest(frame: pd.DataFrame, names: Mapping[str, str], picked: Mapping[str, Sequence[str]]) -> list[str]:
    """A sentence a run: the finest and the coarsest value with their thresholds; none of one value.

    Parameters
    ----------
    picked
        Layers by run: that of the largest ratio, and the last.
    """
    said = []
    for run, layers in picked.items():
        own = frame[frame["run_id"] == run]
        last = str(own["layer"].iloc[-1])
        parts = [_layer(own[own["layer"] == layer], layer, last) for layer in layers]
        if parts := [part for part in parts if part]:
            said.append(f"{names[run]}: {'; '.join(parts)}.")
    return said


def _layer(rows: pd.DataFrame, layer: str, last: str) -> str:
    known = rows[np.isfinite(rows["threshold"]) & (rows["threshold"] > 0)]
    if known["value"].nunique() < 2:
        return ""
    order = known.sort_values("threshold", kind="stable")
    best, worst = order.iloc[0], order.iloc[-1]
    which = "the last layer" if layer == last else "the layer of the largest ratio"
    return f"in {layer}, {which}, finest at {_at(best)}, and coarsest at {_at(worst)}"


def _at(row: pd.Series) -> str:
    unit = row["unit"]
    threshold = f"{digits(row['threshold'])}{interval(row['threshold_low'], row['threshold_high'])}"
    return f"{plain(row['value'])} {unit}, threshold {threshold} {unit}"
