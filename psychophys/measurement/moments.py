"""Mean and spread over nuisance samples that come a few at a time."""

from __future__ import annotations

import numpy as np

from psychophys.base.types import Array


class Moments:
    """Mean and sum of squared deviations of U units at K values (Chan, Golub & LeVeque 1983)."""

    def __init__(self, n_values: int, n_units: int) -> None:
        self.count = np.zeros((n_values, 1))
        self.mean = np.zeros((n_values, n_units))
        self._squares = np.zeros((n_values, n_units))

    def add(self, values: slice, numbers: Array) -> None:
        """Take some samples at some values: (S, values, U)."""
        count, more = self.count[values], len(numbers)
        with np.errstate(invalid="ignore", over="ignore"):
            part = numbers.mean(axis=0)
            apart = part - self.mean[values]
            share = more / (count + more)
            self._squares[values] += ((numbers - part) ** 2).sum(axis=0) + apart**2 * count * share
            self.mean[values] += apart * share
        self.count[values] += more

    @property
    def sd(self) -> Array | None:
        """Standard deviation over the samples, (K, U); None with one sample."""
        if self.count.min() < 2:
            return None
        sd: Array = np.sqrt(self._squares / (self.count - 1))
        return sd
