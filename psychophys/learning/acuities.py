"""Acuity over training: the highest frequency that is told apart, and how it grows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from psychophys.base.errors import UsageError
from psychophys.base.types import Array
from psychophys.learning.trends import interval
from psychophys.results.thresholds import Results

FEWEST_STEPS = 3
"""At which acuity must be known for a power law."""
CRITERION = 2.0
"""Thresholds up to so many times the final one at the lowest frequency count as told apart."""


def acuity(results: Results, criterion: float | None = None) -> pd.DataFrame:
    """The frequency up to which the last layer tells frequencies apart, at every step of training.

    Acuity is where the threshold first exceeds the criterion, going up from the lowest frequency; it is
    interpolated between logarithms of frequency and threshold.

    Parameters
    ----------
    results
        Thresholds of frequency, at several frequencies and steps of training.
    criterion
        In the unit of the thresholds. Default: twice the threshold that the same model and seed has at the
        lowest frequency at its last step, that is, half its sensitivity there.

    Returns
    -------
    DataFrame
        ``model, seed, layer, step, criterion, acuity``, a row for each step. Acuity is NaN where no
        frequency is told apart, or all are.

    Raises
    ------
    UsageError
        For results of another dimension, without steps, or a criterion that is no number over 0.

    Examples
    --------
    >>> import psychophys
    >>> thresholds = psychophys.learn("linear", depths=("1",), runs=1, patch=8, snapshots=4).thresholds
    >>> list(psychophys.acuity(thresholds)["model"])
    ['linear-depth1', 'linear-depth1', 'linear-depth1', 'linear-depth1']
    """
    frame = results.to_pandas()
    frame = frame[frame["step"].notna()]
    if frame.empty or set(frame["dimension"]) != {"frequency"}:
        raise UsageError(
            "acuity needs thresholds of frequency over steps of training",
            "Give those of `psychophys learn`, or of `psychophys measure --checkpoint`.",
        )
    if criterion is not None and not (np.isfinite(criterion) and criterion > 0):
        raise UsageError(f"criterion {criterion:g}", "Give a threshold over 0.")
    rows = []
    for (model, seed), part in frame.groupby(["model", "seed"], sort=False):
        last = part[part["layer_index"] == part["layer_index"].max()]
        steps = [(int(str(step)), group.sort_values("value")) for step, group in last.groupby("step")]
        limit = CRITERION * steps[-1][1]["threshold"].iloc[0] if criterion is None else criterion
        for step, group in steps:
            found = crossing(group["value"].to_numpy(float), group["threshold"].to_numpy(float), limit)
            shared = {"model": model, "seed": seed, "layer": group["layer"].iloc[0]}
            rows.append({**shared, "step": step, "criterion": limit, "acuity": found})
    return pd.DataFrame(rows)


def crossing(frequencies: Array, thresholds: Array, limit: float) -> float:
    """Where thresholds first exceed a limit, interpolated; NaN if they do at once, or nowhere."""
    over = thresholds > limit
    if over[0] or not over.any():
        return float("nan")
    first = int(over.argmax())
    if not np.isfinite(thresholds[first]):
        return float(frequencies[first - 1])
    ends = np.log(thresholds[first - 1 : first + 1])
    place = np.interp(np.log(limit), ends, np.log(frequencies[first - 1 : first + 1]))
    return float(np.exp(place))


@dataclass(frozen=True)
class PowerLaw:
    """Acuity = constant * step^exponent, over several trainings.

    Attributes
    ----------
    exponent
        Mean over the trainings.
    low, high
        Ends of its 95 % interval by Student's t over the trainings; NaN with one.
    each
        Exponent of every training.
    """

    exponent: float
    low: float
    high: float
    each: tuple[float, ...]


def power_law(acuities: pd.DataFrame, confidence: float = 0.95) -> PowerLaw:
    """Fit a straight line to log acuity over log step, training by training.

    Parameters
    ----------
    acuities
        Rows of :func:`acuity` of one model. Trainings with fewer than three known acuities are left out;
        without any, all numbers are NaN.
    """
    fits = [
        growth(run["step"].to_numpy(float), run["acuity"].to_numpy(float))
        for _, run in acuities.groupby("seed")
    ]
    each = [exponent for exponent in fits if np.isfinite(exponent)]
    low, high = interval(each, confidence)
    return PowerLaw(float(np.mean(each)) if each else float("nan"), low, high, tuple(each))


def growth(steps: Array, acuities: Array) -> float:
    """Slope of log acuity over log step; NaN with fewer than three known acuities."""
    known = np.isfinite(acuities) & (steps > 0)
    if known.sum() < FEWEST_STEPS:
        return float("nan")
    return float(np.polyfit(np.log(steps[known]), np.log(acuities[known]), 1)[0])
