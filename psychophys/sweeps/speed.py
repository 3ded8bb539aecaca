"""How fast measurements are: a line through the times of past ones, and how far off it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from psychophys.base.types import Array

DRAWS = 1000
WITHIN = (10, 90)
"""Percentiles of what a sweep may take: the ends of its range."""


@dataclass(frozen=True)
class Speed:
    """Seconds of a measurement: the same for every one, and more for each operation."""

    fixed: float
    per_operation: float

    def seconds(self, operations: float) -> float:
        """Of a measurement of so many operations."""
        return self.fixed + self.per_operation * operations


def fit(operations: Sequence[float] | Array, seconds: Sequence[float] | Array) -> Speed:
    """The line of least squares of relative errors with no part under 0, scaled to the sum of the times."""
    from scipy.optimize import nnls  # noqa: PLC0415 - slow to import, and for dry runs alone

    x, y = np.asarray(operations, dtype=float), np.asarray(seconds, dtype=float)
    unit = x.max() or 1.0
    line, _ = nnls(np.stack([1 / y, x / unit / y], axis=1), np.ones(len(y)))
    # A guess is too low by its all at most, and too high without end: such a line is low on the whole.
    line *= y.sum() / (line[0] + line[1] * x / unit).sum()
    return Speed(float(line[0]), float(line[1] / unit))


def errors_of_fit(models: Sequence[str], operations: Sequence[float], seconds: Sequence[float]) -> Array:
    """True over forecast time of every measurement, forecast from those of other models."""
    names, x, y = np.asarray(models), np.asarray(operations, dtype=float), np.asarray(seconds, dtype=float)
    found = []
    for name in dict.fromkeys(models):
        left = names == name
        speed = fit(x[~left], y[~left])
        found += [true / speed.seconds(each) for each, true in zip(x[left], y[left], strict=True)]
    return np.array(found)


def spread(parts: Sequence[float], errors: Sequence[Array]) -> tuple[float, float]:
    """Range of a sum whose parts are off as others were: 8 of 10 draws are in it.

    Parameters
    ----------
    parts
        One for each model: all its measurements are off together.
    errors
        True over forecast time, of what was forecast as each part was.
    """
    generator = np.random.default_rng(0)
    totals = np.zeros(DRAWS)
    # Few errors say little of errors: each draw takes some of them to be all there are.
    known = {id(each): each[generator.integers(len(each), size=(DRAWS, len(each)))] for each in errors}
    for part, each in zip(parts, errors, strict=True):
        chosen = generator.integers(len(each), size=DRAWS)
        totals += part * known[id(each)][np.arange(DRAWS), chosen]
    low, high = np.percentile(totals, WITHIN)
    return min(float(low), sum(parts)), max(float(high), sum(parts))
