"""Replicates of densities over images, whose percentiles are intervals that cover.

An image adds ``h`` of its ``t`` pixels to a bin, whose density is sum(h) / sum(t) / width. In a Poisson
bootstrap every image counts as often as a Poisson variable of mean 1 says. Percentiles of that are too narrow
with few images, and lie too low where a few images make most of a bin. So each replicate is told by how many
standard errors of its own, on a log scale, it is off the density; the one that is kept is off by as many of
the density's standard errors the other way. Percentiles over these are the bootstrap-t interval (Hall 1988,
Ann Stat 16:927), and they go together over the bins as the images make them.

The standard error is itself uncertain where few images make a bin. How far a replicate is off is therefore
multiplied by the quantile of Student's t over the normal's, at the degrees of freedom that the fourth moment
tells (Satterthwaite). All of it follows from sums over images: memory does not grow with their number.
``benchmarks/prior_coverage.py`` measures how often the intervals cover.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import ndtri, stdtrit

from psychophys.base.types import Array

INTERVAL_PERCENT = (2.5, 97.5)
FARTHEST = float(stdtrit(2, 0.975))
"""How many standard errors a replicate is off at most: an image that makes all of a bin leaves 2 degrees of
freedom. Replicates without that image have next to no error of their own, and would be off by any number."""
ORDER = 4


@dataclass
class Sums:
    """What is added up over images; row 0 counts every image once, the others are bootstrap replicates.

    Attributes
    ----------
    counts, squares, products
        Sums of h, h^2 and h t: (1 + replicates, bins).
    totals
        Sums of t^2 in the first columns, one a quantity, and of 1 in the last.
    fourth
        Sums of h^k t^(4 - k) for k from 0 to 4, over every image once: (5, bins).
    """

    counts: Array
    squares: Array
    products: Array
    totals: Array
    fourth: Array

    @classmethod
    def empty(cls, sizes: Sequence[int], replicates: int) -> Self:
        """Of no image, for quantities with so many bins."""
        rows, bins = 1 + replicates, sum(sizes)
        counts, squares, products = np.zeros((3, rows, bins))
        totals = np.zeros((rows, len(sizes) + 1))
        return cls(counts, squares, products, totals, np.zeros((ORDER + 1, bins)))

    def add(self, counts: Array, weights: Array, sizes: Sequence[int]) -> None:
        """Add images: their histograms (images, bins), and how often they count (images, 1 + replicates)."""
        ends = np.cumsum(sizes)
        totals = np.stack(
            [counts[:, end - size : end].sum(axis=1) for size, end in zip(sizes, ends, strict=True)], 1
        )
        wide = np.repeat(totals, sizes, axis=1)
        self.counts += weights.T @ counts
        self.squares += weights.T @ counts**2
        self.products += weights.T @ (counts * wide)
        self.totals += weights.T @ np.concatenate([totals**2, np.ones((len(counts), 1))], axis=1)
        self.fourth += np.stack([(counts**k * wide ** (ORDER - k)).sum(axis=0) for k in range(ORDER + 1)])

    def of(self, start: int, stop: int, quantity: int) -> Sums:
        """Those of one quantity, in columns ``start`` to ``stop``."""
        bins = slice(start, stop)
        counts, squares, products = (each[:, bins] for each in (self.counts, self.squares, self.products))
        return Sums(counts, squares, products, self.totals[:, [quantity, -1]], self.fourth[:, bins])


def densities(sums: Sums, width: float) -> tuple[Array, Array | None]:
    """The density of one quantity (bins,), and its replicates (replicates, bins) if there are images enough.

    A bin that no image fills is 0 in every replicate; the replicates of a density need not sum to 1.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        totals = sums.counts.sum(axis=1, keepdims=True)
        share = sums.counts / totals
        density = sums.counts[0] / (totals[0] * width)
        if sums.totals[0, -1] < 2 or not np.isfinite(density).all():
            return density, None
        error = _error_of_log(sums, share)
        off = (np.log(share[1:]) - np.log(share[0])) / error[1:]
    off = np.clip(_filled(off) * _widening(sums, share[0]), -FARTHEST, FARTHEST)
    # Nor can there be more than all of it.
    return density, np.minimum(density * np.exp(-off * np.nan_to_num(error[0])), 1 / width)


def interval(replicates: Array) -> tuple[Array, Array]:
    """Ends of the 95 % interval: (bins,) each."""
    # At ranks k / (B + 1): those of NumPy's default lie further in, and cover a percent less.
    low, high = np.percentile(replicates, INTERVAL_PERCENT, axis=0, method="weibull")
    return low, high


def _error_of_log(sums: Sums, share: Array) -> Array:
    """Standard error of the logarithm of every row's density."""
    squares = sums.squares - 2 * share * sums.products + share**2 * sums.totals[:, :1]
    images = sums.totals[:, 1:]
    return np.asarray(np.sqrt(np.maximum(squares, 0) * images / (images - 1)) / sums.counts)


def _widening(sums: Sums, share: Array) -> Array:
    """Quantile of Student's t over the normal's, at the degrees of freedom of the variance: (bins,)."""
    n = sums.totals[0, -1]
    signs = (1, -4, 6, -4, 1)
    fourth = sum(sign * share ** (ORDER - k) * sums.fourth[k] for k, sign in enumerate(signs))
    squares = sums.squares[0] - 2 * share * sums.products[0] + share**2 * sums.totals[0, 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        # Between 1 and n, but for rounding.
        kurtosis = np.clip(np.nan_to_num(n * fourth / squares**2, nan=n), 1, n)
        freedom = 2 * n / (kurtosis - 1)
    return np.asarray(stdtrit(freedom, 0.975) / ndtri(0.975))


def _filled(off: Array) -> Array:
    """With what has no number, as a replicate without the bin or of one image, taken from the next one."""
    filled = np.where(np.isfinite(off), off, 0)
    for column in np.flatnonzero(~np.isfinite(off).all(axis=0)):
        known = np.flatnonzero(np.isfinite(off[:, column]))
        if len(known):
            following = np.searchsorted(known, np.arange(len(off))) % len(known)
            filled[:, column] = off[known[following], column]
    return filled
