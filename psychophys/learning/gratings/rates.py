"""How fast sensitivity grows: with what it is already, with frequency, and with how far it has to go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from psychophys.base.types import Array
from psychophys.learning.trends import Curve, with_interval

GROWN = 1.25
"""Times the first sensitivity of an orientation, from which on its growth is looked at: before that, it is the
initial weights'."""
FEWEST = 10
"""Growths of an orientation from one measured step to the next, for a fit."""


def growths(every: Sequence[Curve], profile: Callable[[Array], Array]) -> pd.DataFrame:
    """Growth of every orientation from each measured step of a training to the next.

    Parameters
    ----------
    every
        Curves of one training.
    profile
        Of orientation: how frequent it is, or how much is told of it.

    Returns
    -------
    DataFrame
        ``rate``, dS/dt per step; ``sensitivity`` S, the geometric mean of both steps'; ``missing``, how
        far the last S is from that; and ``profile``. Rows where S has grown by a quarter, and still grows.
    """
    ordered = sorted(every, key=lambda curve: curve.step)
    steps = np.array([curve.step for curve in ordered], float)
    sensitivity = np.stack([curve.sensitivity for curve in ordered])
    rate = np.diff(sensitivity, axis=0) / np.diff(steps)[:, None]
    between = np.sqrt(sensitivity[1:] * sensitivity[:-1])
    frame = pd.DataFrame(
        {
            "rate": rate.ravel(),
            "sensitivity": between.ravel(),
            "missing": (sensitivity[-1] - between).ravel(),
            "profile": np.tile(profile(ordered[0].value), len(rate)),
        }
    )
    grown = (sensitivity[:-1] > GROWN * sensitivity[0]).ravel()
    return frame[grown & (frame["rate"] > 0)]


def exponents(rows: pd.DataFrame, *, ceiling: bool) -> tuple[float, float]:
    """Least squares of log dS/dt = constant + a log S + b log profile.

    Parameters
    ----------
    rows
        From :func:`growths`.
    ceiling
        Whether the last sensitivity is taken as an asymptote: then it is dS/dt / (S_last - S) that goes as that.

    Returns
    -------
    tuple
        a and b; NaN with too few rows.
    """
    rate = rows["rate"] / rows["missing"] if ceiling else rows["rate"]
    known = rows[rate > 0]
    if len(known) < FEWEST:
        return float("nan"), float("nan")
    design = np.column_stack([np.ones(len(known)), np.log(known["sensitivity"]), np.log(known["profile"])])
    fitted = np.linalg.lstsq(design, np.log(rate[rate > 0]), rcond=None)[0]
    return float(fitted[1]), float(fitted[2])


def growth_exponents(every: Sequence[Curve], profile: Callable[[Array], Array]) -> pd.DataFrame:
    """Exponents of growth by network, with intervals over its runs.

    Parameters
    ----------
    every
        Curves of one layer.
    profile
        See :func:`growths`.

    Returns
    -------
    DataFrame
        ``model``; ``a`` and ``b`` of dS/dt ~ S^a profile^b; ``a to ceiling`` of dS/dt ~ (S_last - S) S^a
        profile^b, all with ``_low`` and ``_high``.
    """
    rows = []
    for model in dict.fromkeys(curve.model for curve in every):
        own = [curve for curve in every if curve.model == model]
        found = [
            growths([curve for curve in own if curve.seed == seed], profile)
            for seed in dict.fromkeys(curve.seed for curve in own)
        ]
        free = np.array([exponents(each, ceiling=False) for each in found])
        held = np.array([exponents(each, ceiling=True) for each in found])
        row: dict[str, Any] = {"model": model, **with_interval("a", free[:, 0])}
        rows.append(row | with_interval("b", free[:, 1]) | with_interval("a to ceiling", held[:, 0]))
    return pd.DataFrame(rows)
