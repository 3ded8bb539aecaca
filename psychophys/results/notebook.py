"""Tables in notebooks: as HTML, and as arrays with named axes."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from psychophys.base.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 20
"""Shown of a table; more are left out in the middle."""


def as_html(frame: pd.DataFrame, title: str) -> str:
    """A table whose columns of one value are said once, above it."""
    alone = [name for name in frame if len(frame) > 1 and _is_one(frame[name])]
    said = ", ".join(f"{name} {frame[name].iloc[0]}" for name in alone if _is_said(frame[name].iloc[0]))
    shown = frame.drop(columns=alone).to_html(index=False, max_rows=MOST_ROWS, border=0, na_rep="")
    return f"<p><b>{html.escape(title)}</b><br>{html.escape(said)}</p>\n{shown}"


def _is_one(column: pd.Series) -> bool:
    """Whether it has one value throughout; a column of lists is none such."""
    return len(set(map(str, column))) == 1


def _is_said(value: Any) -> bool:
    return value is not None and value == value and str(value) not in ("", "<NA>")  # noqa: PLR0124 - NaN


def as_dataset(frame: pd.DataFrame, units: Mapping[str, str]) -> Any:
    """Numbers by layer and value as an ``xarray.Dataset``; of several runs, by run as well.

    Parameters
    ----------
    units
        Of the columns that are taken; ``unit`` stands for that of the dimension.
    """
    try:
        import xarray  # noqa: F401, PLC0415 - it is optional
    except ImportError as error:
        raise UsageError("xarray is not installed", "Run pip install xarray, or use to_pandas().") from error
    several = frame[["dimension", "stimulus"]].drop_duplicates()
    if len(several) != 1:
        raise UsageError(f"{len(several)} stimuli and dimensions in one array", "Take one of them.")
    axes = [*(["run_id"] if len(frame["run_id"].unique()) > 1 else []), "layer", "value"]
    order = frame.sort_values("layer_index", kind="stable")["layer"].unique()
    found = frame.set_index(axes)[list(units)].to_xarray().reindex(layer=order)
    unit = str(frame["unit"].iloc[0])
    for name, of in units.items():
        found[name].attrs["units"] = of.replace("unit", unit)
    found["value"].attrs.update(units=unit, long_name=str(frame["dimension"].iloc[0]))
    return found
