"""Thresholds over the values as numbers for the page's own drawing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from psychophys.report.tables import spread

MOST_NUMBERS = 150_000
"""In a page: about a megabyte."""
INTERVALS_UP_TO = 6
"""Runs: of more, the curves alone."""


def curves(frame: pd.DataFrame, names: Mapping[str, str], picked: Mapping[str, list[str]]) -> dict[str, Any]:
    """Thresholds of every run and layer over the values, six digits each: three are shown.

    Parameters
    ----------
    picked
        Layers that are drawn first, by run.
    """
    runs = [run for _, run in frame.groupby("run_id", sort=False)]
    bands = len(runs) <= INTERVALS_UP_TO and bool(frame["threshold_low"].notna().any())
    columns = ["threshold", *(("threshold_low", "threshold_high") if bands else ())]
    first = frame.iloc[0]
    most = max(2, MOST_NUMBERS // (len(runs) * frame["value"].nunique() * len(columns)))
    found = []
    for run in runs:
        layers = [(str(layer), part.sort_values("value")) for layer, part in run.groupby("layer", sort=False)]
        run_id = str(run["run_id"].iloc[0])
        kept = [layers[place] for place in spread(len(layers), most)]
        found.append(
            {
                "name": names[run_id],
                "picked": [layer for layer in picked.get(run_id, []) if layer in dict(kept)],
                "left_out": len(layers) - len(kept),
                "values": [float(value) for value in kept[0][1]["value"]],
                "layers": {layer: [_digits(part[name]) for name in columns] for layer, part in kept},
            }
        )
    return {"dimension": first["dimension"], "unit": first["unit"], "runs": found}


def _digits(numbers: pd.Series) -> list[float | None]:
    """Six digits; None for what cannot be drawn."""
    return [float(f"{x:.6g}") if np.isfinite(x) and x > 0 else None for x in numbers.to_numpy(dtype=float)]
