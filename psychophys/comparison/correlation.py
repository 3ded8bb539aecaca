"""Sensitivity against a prior: the efficient-coding test. Numbers in, numbers out (NumPy alone).

An efficient code puts J proportional to p^q: q = 2 where information is maximised (Wei & Stocker 2015),
q = 1/2 where discrimination error is minimised (Morais & Pillow 2018, "Power-law efficient neural codes").
The slope of log sqrt(J) on log p is q / 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from psychophys.base.types import Array

REPLICATES = 1000
INTERVAL_PERCENT = (2.5, 97.5)
FEWEST_VALUES = 6
FLAT = 1e-3
"""S.d. over mean under which a curve has no shape: what it has is the pixel grid's and rounding's."""


@dataclass(frozen=True)
class Coding:
    """How one layer's sensitivity goes with a prior over the measured values.

    Attributes
    ----------
    r
        Pearson correlation of sqrt(J) with p.
    slope, slope_low, slope_high
        Of log sqrt(J) on log p: q / 2, with a 95 % interval by a block bootstrap over values.
    p_shift
        Share of circular shifts of the sensitivities that correlate at least as well, the one without a
        shift included; NaN for an axis with ends.
    r_partial
        Correlation given the baseline: ``r`` where that is flat, NaN without one.
    p_least
        The smallest ``p_shift`` there can be: 1 / n_values, or more where the prior repeats in a round.
    """

    n_values: int
    r: float
    slope: float
    slope_low: float
    slope_high: float
    p_shift: float
    r_partial: float
    p_least: float


def compare_with_prior(
    sensitivity: Array,
    density: Array,
    baseline: Array | None = None,
    *,
    circular: bool = True,
    seed: int = 0,
    fewest: int = FEWEST_VALUES,
) -> Coding:
    """Compare sensitivities with the density of a prior at the same values, in the order of the values.

    Parameters
    ----------
    sensitivity, density, baseline
        Shape (n,). Values where one of the first two is not finite, or not over 0, are left out.
    circular
        Whether the values go once round a ring in equal steps.
    fewest
        With fewer values nothing is computed, and with fewer than ``FEWEST_VALUES`` no interval.
    """
    good = np.isfinite(sensitivity) & np.isfinite(density) & (sensitivity > 0) & (density > 0)
    s, p = sensitivity[good], density[good]
    if len(s) < fewest:
        nothing = float("nan")
        return Coding(len(s), *[nothing] * 7)
    enough = len(s) >= FEWEST_VALUES
    slopes = _slopes(s, p, circular, np.random.default_rng(seed)) if enough else np.empty(0)
    low, high = np.percentile(slopes, INTERVAL_PERCENT) if len(slopes) else (np.nan, np.nan)
    partial = float("nan") if baseline is None else partial_correlation(s, p, baseline[good])
    whole = circular and bool(good.all())
    shift = shift_p_value(s, p) if whole else float("nan")
    least = _share_of_repeats(p) if whole else float("nan")
    return Coding(len(s), correlation(s, p), slope(s, p), float(low), float(high), shift, partial, least)


def correlation(a: Array, b: Array) -> float:
    """Pearson's r; NaN where one of them is flat."""
    x, y = a - a.mean(), b - b.mean()
    if _is_flat(a) or _is_flat(b):
        return float("nan")
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1, 1))


def _is_flat(values: Array) -> bool:
    return float(values.std()) <= FLAT * float(np.abs(values).mean())


def partial_correlation(a: Array, b: Array, given: Array) -> float:
    """Correlation of what a straight line on ``given`` leaves of ``a`` and ``b``."""
    rab, rag, rbg = correlation(a, b), correlation(a, given), correlation(b, given)
    if np.isnan(rag) or np.isnan(rbg):
        return rab  # What is flat explains nothing.
    rest = (1 - rag**2) * (1 - rbg**2)
    return float(np.clip((rab - rag * rbg) / np.sqrt(rest), -1, 1)) if rest > 1e-12 else float("nan")


def slope(sensitivity: Array, density: Array) -> float:
    """Least-squares slope of log sensitivity on log density; NaN where the density is constant."""
    x, y = np.log(density), np.log(sensitivity)
    x = x - x.mean()
    square = float(x @ x)
    return float(x @ (y - y.mean())) / square if square > 1e-20 else float("nan")


def shift_p_value(sensitivity: Array, density: Array) -> float:
    """How often a circular shift of the sensitivities does as well as none.

    Neighbours on the ring are alike, so that an ordinary p-value would be too small. With n values the
    smallest possible is 1 / n.
    """
    observed = correlation(sensitivity, density)
    if np.isnan(observed):
        return float("nan")
    shifted = [correlation(np.roll(sensitivity, k), density) for k in range(len(sensitivity))]
    return float(np.mean(np.array(shifted) >= observed - 1e-12))


def _share_of_repeats(density: Array) -> float:
    """Share of circular shifts that leave a density as it is."""
    return float(np.mean([np.allclose(np.roll(density, k), density) for k in range(len(density))]))


def _slopes(s: Array, p: Array, circular: bool, generator: np.random.Generator) -> Array:
    """Slopes of resampled values, in blocks of neighbours (Kuensch 1989; circular: Politis & Romano 1992)."""
    n = len(s)
    length = max(round(n ** (1 / 3)), 2)
    last = n if circular else n - length + 1
    starts = generator.integers(last, size=(REPLICATES, -(-n // length)))
    index = (starts[..., None] + np.arange(length)).reshape(REPLICATES, -1)[:, :n] % n
    found: Array = np.array([slope(s[i], p[i]) for i in index])
    finite: Array = found[np.isfinite(found)]
    return finite
