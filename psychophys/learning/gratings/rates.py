"""How fast sensitivity grows: with what it is already, with frequency, and with how far it has to go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from psychophys.base.types import Array
from psychophys.learning.trends import Curve, with_interval

LEVELS = (1.5, 2.0, 2.5, 3.0, 4.0)
"""Times the mean of the untrained network: sensitivities that orientations are compared at. Lower ones are
partly the initial weights', and at higher ones the frequent orientations are learned."""
FEWEST = 10
"""Passages, of all orientations, for a fit."""


def passages(every: Sequence[Curve], profile: Callable[[Array], Array]) -> pd.DataFrame:
    """How fast the sensitivity of each orientation grows where it first passes each level.

    Between two measured steps, growth is taken as exponential.

    Parameters
    ----------
    every
        Curves of one training.
    profile
        Of orientation: how frequent it is, or how much is told of it.

    Returns
    -------
    DataFrame
        ``sensitivity``, the level; ``rate``, dS/dt per step; ``missing``, how far the last sensitivity is
        from the level; and ``profile``. No rows for levels that are not passed.
    """
    ordered = sorted(every, key=lambda curve: curve.step)
    steps = np.array([curve.step for curve in ordered], float)
    sensitivity = np.stack([curve.sensitivity for curve in ordered])
    rows = []
    for column, share in zip(sensitivity.T, profile(ordered[0].value), strict=True):
        for level in np.array(LEVELS) * sensitivity[0].mean():
            over = int((column >= level).argmax())
            if not over:  # Never, or from the beginning.
                continue
            speed = np.log(column[over] / column[over - 1]) / (steps[over] - steps[over - 1])
            missing = column[-1] - level
            rows.append({"sensitivity": level, "rate": level * speed, "missing": missing, "profile": share})
    return pd.DataFrame(rows, columns=["sensitivity", "rate", "missing", "profile"])


def exponents(rows: pd.DataFrame, *, ceiling: bool) -> tuple[float, float]:
    """Least squares of log dS/dt = constant + a log S + b log profile.

    Parameters
    ----------
    rows
        From :func:`passages`.
    ceiling
        Whether the last sensitivity is taken as an asymptote: then it is dS/dt / (S_last - S) that is fitted.

    Returns
    -------
    tuple
        a and b; NaN with too few rows, or where nothing differs.
    """
    rate = rows["rate"] / rows["missing"] if ceiling else rows["rate"]
    known = rows[rate > 0]
    columns = [np.ones(len(known)), np.log(known["sensitivity"]), np.log(known["profile"])]
    design = np.column_stack(columns)
    if len(known) < FEWEST or np.linalg.matrix_rank(design) < design.shape[1]:
        return float("nan"), float("nan")
    fitted = np.linalg.lstsq(design, np.log(rate[rate > 0]), rcond=None)[0]
    return float(fitted[1]), float(fitted[2])


def growth_exponents(every: Sequence[Curve], profile: Callable[[Array], Array]) -> pd.DataFrame:
    """Exponents of growth by network, with intervals over its runs.

    Parameters
    ----------
    every
        Curves of one layer.
    profile
        See :func:`passages`.

    Returns
    -------
    DataFrame
        ``model``; ``a`` and ``b`` of dS/dt ~ S^a profile^b; ``a to last`` and ``b to last`` of
        dS/dt ~ (S_last - S) S^a profile^b, all with ``_low`` and ``_high``.
    """
    rows = []
    for model in dict.fromkeys(curve.model for curve in every):
        own = [curve for curve in every if curve.model == model]
        found = [
            passages([curve for curve in own if curve.seed == seed], profile)
            for seed in dict.fromkeys(curve.seed for curve in own)
        ]
        row: dict[str, Any] = {"model": model}
        for ceiling, end in ((False, ""), (True, " to last")):
            each = np.array([exponents(one, ceiling=ceiling) for one in found])
            row |= with_interval(f"a{end}", each[:, 0]) | with_interval(f"b{end}", each[:, 1])
        rows.append(row)
    return pd.DataFrame(rows)
