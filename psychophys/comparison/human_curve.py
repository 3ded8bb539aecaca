"""Curves of people alone, as somebody would see what their recipe shows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from psychophys.base.types import Array
from psychophys.comparison.people.reference import Reference
from psychophys.comparison.references import REFERENCES
from psychophys.comparison.viewing import viewing
from psychophys.measurement.plan import plan

PIXELS = 224


def human_curve(reference: str | Reference, values: npt.ArrayLike | None = None) -> pd.DataFrame:
    """People's thresholds over the range of a reference, in people's units.

    Parameters
    ----------
    reference
        Name in :data:`psychophys.REFERENCES`, or one with a recipe: its images, 224 pixels a side, are what
        people see.
    values
        In ``axis_unit``. Default: over the whole range.

    Returns
    -------
    DataFrame
        ``value``, ``threshold`` (of a shape up to a factor), and ``low`` and ``high``, its published spread,
        NaN where there is none.

    Examples
    --------
    >>> import psychophys
    >>> curve = psychophys.human_curve("modelfest")
    >>> f"{curve['threshold'].min():.4f}"
    '0.0078'
    """
    chosen = REFERENCES.find(reference)
    if chosen.recipe is None:
        raise ValueError(f"reference {chosen.name!r} has no recipe")
    first = plan(**chosen.recipe.measurements(PIXELS)[0]).as_dict()
    seen = viewing({"measurement": first, "input_size": (PIXELS, PIXELS)}, chosen.recipe.pixels_per_degree)
    at = _grid(chosen) if values is None else np.asarray(values, dtype=float)
    sensitivity = chosen.sensitivity(at, seen.parameters)
    threshold, factor = 1 / sensitivity, chosen.factor(at)
    columns = {"threshold": threshold, "low": threshold / factor, "high": threshold * factor}
    return pd.DataFrame({"value": at, **columns})


def _grid(reference: Reference) -> Array:
    low, high = reference.valid
    if reference.period is not None:
        return np.linspace(low, high, 361)
    if np.isfinite(high):
        return np.geomspace(low, high, 200)
    recipe = reference.recipe
    axis = (1.0, 10.0) if recipe is None else recipe.axis_values
    return np.geomspace(min(axis), max(axis), 200)
