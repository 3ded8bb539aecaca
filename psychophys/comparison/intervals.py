"""An interval for the slope of log sensitivity on log density. NumPy and SciPy alone, as the slope itself.

Neighbouring values are alike: what a line leaves of a layer's curve is smooth, and an interval that takes it
for independent is too narrow. On a ring, a residual that knows no preferred place has harmonics of
independent, uniform phases, whatever its spectrum. For a candidate slope q, the amplitudes of the residual
log s - q log p are known; over all phases they say how far its slope on log p can be from 0 (surrogate data
of random phases: Theiler et al. 1992, Physica D 58). The interval holds each q whose residual is not among
the 5 % that lean farthest: a test, inverted, that is exact for Gaussian residuals of any spectrum. It always
holds the least-squares slope. On an axis with ends, residuals are taken for a first-order autoregression
whose coefficient is averaged over its posterior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import j0, stdtr, stdtrit

from psychophys.base.types import Array

FEWEST_VALUES = 6
LEVEL = 0.95
NORMAL_975 = 1.959964
"""Quantile of the standard normal: half of a 95 % interval, in standard errors."""
_TERMS = np.arange(1, 81)
"""Of the Fourier series of a distribution: the share is right to 0.002, with one harmonic alone to 0.01."""
_GRID = np.sinh(np.linspace(-8, 8, 33))
"""Candidate slopes around the least-squares one, in units of its rough standard error: to 1500 of them."""
_HALVINGS = 10
_AUTOCORRELATIONS = np.concatenate([np.linspace(-0.5, 0.9, 29), [0.92, 0.94, 0.96, 0.97, 0.98, 0.99]])


@dataclass(frozen=True)
class Interval:
    """From ``low`` to ``high``: NaN where there is none, infinite where the numbers set no bound."""

    low: float
    high: float


@dataclass(frozen=True)
class SlopeInterval(Interval):
    """The interval of a slope, and the half-widths of what is in it beside the misfit of the line.

    Attributes
    ----------
    of_images
        For images of the prior; NaN where it has no replicates.
    of_networks
        For networks; NaN for one.
    """

    of_images: float = float("nan")
    of_networks: float = float("nan")


def slope_interval(
    sensitivity: Array,
    density: Array,
    *,
    circular: bool = True,
    sensitivity_replicates: Array | None = None,
    density_replicates: Array | None = None,
    level: float = LEVEL,
) -> SlopeInterval:
    """Interval of the least-squares slope of log sensitivity on log density.

    The misfit of the line holds what errors of both curves add to it as long as they know no preferred place;
    of replicates only what is beyond that widens the interval, by :func:`combined`. By what errors of the
    density flatten the line is made good.

    Parameters
    ----------
    sensitivity
        Shape (n,), over 0, in the order of the values. Shape (K, n) for several networks at the same
        values: the interval is that of their mean slope, of networks drawn as these were.
    density
        Shape (n,), over 0: of the prior, at the same values.
    circular
        Whether the values go once round a ring in equal steps. Otherwise they are steps of an axis with ends.
    sensitivity_replicates
        Shape (B, n): the curve (of several networks: their geometric mean) by resampled nuisance samples.
    density_replicates
        Shape (B, n): the density by resampled images.
    level
        Share of intervals that hold the slope.

    Returns
    -------
    SlopeInterval
        NaN with fewer than ``FEWEST_VALUES`` values, for a constant density or curve, and where a number is
        not finite and over 0.
    """
    s, p = np.atleast_2d(sensitivity), np.asarray(density, dtype=float)
    nothing = SlopeInterval(float("nan"), float("nan"))
    if len(p) < FEWEST_VALUES or not all(np.all(np.isfinite(v) & (v > 0)) for v in (s, p)):
        return nothing
    curves, x = _centred(np.log(s)), _centred(np.log(p))
    if x @ x <= 1e-20:
        return nothing
    y = curves.mean(axis=0)
    if y @ y <= 1e-20:  # What is left is rounding.
        return nothing
    slope = float(x @ y / (x @ x))
    misfit = (_of_phases if circular else _of_autoregression)(y, x, 1 - level)
    of_images, of_networks = float("nan"), _half_of_networks(curves, x, level)
    others = [of_networks]
    if sensitivity_replicates is not None:
        others.append(_half_of_replicates(_centred(np.log(sensitivity_replicates)) - y, x, level))
    if density_replicates is not None:
        errors = _centred(np.log(density_replicates)) - x
        misfit = _without_attenuation(misfit, slope, errors, x)
        of_images = abs(slope) * _half_of_replicates(errors, x, level)
        others.append(of_images)
    whole = combined(slope, misfit, [half for half in others if not np.isnan(half)])
    return SlopeInterval(whole.low, whole.high, of_images, of_networks)


def combined(slope: float, misfit: Interval, half_widths: list[float]) -> Interval:
    """An interval with the half-widths of further, independent sources: in quadrature, each side by itself.

    Parameters
    ----------
    slope
        The estimate, within ``misfit``.
    half_widths
        Of symmetrical intervals of the same level.
    """
    more = float(np.sum(np.square(half_widths)))
    low, high = np.hypot([slope - misfit.low, misfit.high - slope], np.sqrt(more))
    return Interval(float(slope - low), float(slope + high))


def _centred(curves: Array) -> Array:
    centred: Array = curves - curves.mean(axis=-1, keepdims=True)
    return centred


def _half_of_replicates(errors: Array, x: Array, level: float) -> float:
    """Half-width for errors of a curve, shape (B, n), beyond what the misfit knows of them."""
    return float(stdtrit(np.inf, (1 + level) / 2) * np.sqrt(_beyond_misfit(errors, x)))


def _without_attenuation(misfit: Interval, slope: float, errors: Array, x: Array) -> Interval:
    """The interval, with the slope in it, of a density without errors: they flatten the line."""
    kept = max(1 - float(np.mean(np.sum(errors**2, axis=1))) / float(x @ x), 0.5)
    return Interval(min(misfit.low / kept, slope), max(misfit.high / kept, slope))


def _half_of_networks(curves: Array, x: Array, level: float) -> float:
    """Half-width for the mean of networks whose own slopes differ; NaN for one."""
    count = len(curves)
    if count < 2:
        return float("nan")
    deviations = (curves - curves.mean(axis=0)) * np.sqrt(count / (count - 1))
    variance = _beyond_misfit(deviations, x) / count
    return float(stdtrit(count - 1, (1 + level) / 2) * np.sqrt(variance))


def _beyond_misfit(errors: Array, x: Array) -> float:
    """Variance of the slopes of error curves in so far as they have the density's own shape.

    What has random phases is in the residual with the power with which it is in the slope; a multiple of the
    density is in the slope alone. They add up in the variance of the slope, and with other shares in what
    that would be if all had random phases: two equations.
    """
    whole = float(np.mean((errors @ x / (x @ x)) ** 2))
    of_density = _by_chance(x, x)
    if of_density > 0.9:
        return whole  # Of an alternating density there is no telling which is which.
    return max(whole - _by_chance(errors, x), 0.0) / (1 - of_density)


def _by_chance(errors: Array, x: Array) -> float:
    """Variance of the slope of curves with the spectrum of ``errors``, (..., n), and random phases."""
    both = np.abs(_harmonics(errors)) ** 2 * np.abs(_harmonics(x)) ** 2
    varying = np.full(both.shape[-1], 0.5)
    if len(x) % 2 == 0:
        varying[-1] = 1  # All that is random of the last one is its sign.
    return float(np.mean(both @ varying)) / float(x @ x) ** 2


def _harmonics(curves: Array) -> NDArray[np.complex128]:
    """All but the mean, of centred curves; their powers add up to the sum of squares."""
    n = curves.shape[-1]
    found = np.fft.rfft(curves)[..., 1:] * np.sqrt(2 / n)
    if n % 2 == 0:
        found[..., -1] /= np.sqrt(2)
    return np.asarray(found, dtype=complex)


def _of_phases(y: Array, x: Array, alpha: float) -> Interval:
    """From the lowest to the highest slope with a residual that ``alpha`` of all phases go beyond."""
    slope = float(x @ y / (x @ x))
    unit = np.sqrt(_by_chance(y - slope * x, x))
    of_y, of_x = _harmonics(y), _harmonics(x)

    def is_kept(steps: Array) -> NDArray[np.bool_]:
        return np.asarray(_shares(slope + unit * steps, of_y, of_x, len(x) % 2 == 0) > alpha)

    kept = np.flatnonzero(is_kept(_GRID))
    ends = np.array([kept[0], kept[-1]])
    open_ended = (ends == 0) | (ends == len(_GRID) - 1)
    inside, outside = _GRID[ends], _GRID[np.clip(ends + np.array([-1, 1]), 0, len(_GRID) - 1)]
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        good = is_kept(middle)
        inside, outside = np.where(good, middle, inside), np.where(good, outside, middle)
    low, high = np.where(open_ended, [-np.inf, np.inf], slope + unit * inside)
    return Interval(float(low), float(high))


def _shares(slopes: Array, y: NDArray[np.complex128], x: NDArray[np.complex128], even: bool) -> Array:
    """Share of phases whose residual leans on the density at least as much, one for each slope."""
    rest = y - slopes[:, None] * x
    lean = np.abs((rest * x.conj()).real.sum(axis=1))
    amplitudes = np.abs(rest) * np.abs(x)
    # The last of an even number of values adds or takes away: its only phases are 0 and 180 deg.
    last = amplitudes[:, -1] if even else np.zeros(len(slopes))
    bounds = np.stack([(1 - 1e-9) * lean - last, lean + last], axis=1)
    return np.asarray(_share_over(bounds, amplitudes[:, :-1] if even else amplitudes).sum(axis=1))


def _share_over(bounds: Array, amplitudes: Array) -> Array:
    """How often a sum of cosines of independent uniform phases is at least ``bounds``: (q, b) and (q, m).

    The sum lies between plus and minus that of all amplitudes, and its characteristic function is a product
    of Bessel functions: the distribution is a Fourier series over this range.
    """
    most = np.maximum(amplitudes.sum(axis=1), 1e-300)[:, None]
    place = np.clip(bounds / most, -1, 1)
    series = j0(np.pi * _TERMS[:, None] * (amplitudes / most)[:, None, :]).prod(axis=2)
    waves = np.sin(np.pi * _TERMS * place[..., None]) / (np.pi * _TERMS)
    share = 0.5 - place / 2 - np.einsum("qj,qbj->qb", series, waves)
    return np.asarray(np.where(place <= -1, 1.0, np.where(place >= 1, 0.0, share)))


def _of_autoregression(y: Array, x: Array, alpha: float) -> Interval:
    """Of the least-squares slope, with residuals of a first-order autoregression.

    Given the coefficient r, Student's t with the variance that r implies; r is averaged over its posterior:
    the restricted likelihood (Patterson & Thompson 1971) times 1 / sqrt(1 - r^2), the stationary prior of
    Jeffreys.
    """
    n, slope = len(x), float(x @ y / (x @ x))
    weights, scales = np.empty((2, len(_AUTOCORRELATIONS)))
    lags = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    for i, r in enumerate(_AUTOCORRELATIONS):
        white = np.stack([np.ones(n), x, y])
        white[:, 1:] -= r * white[:, :-1]
        white[:, 0] *= np.sqrt(1 - r * r)
        design = white[:2].T
        inverse = np.linalg.inv(design.T @ design)
        rest = white[2] - design @ (inverse @ (design.T @ white[2]))
        variance = max(float(rest @ rest) / (n - 2), 1e-300)
        # The determinant of the covariance cancels Jeffreys' prior.
        weights[i] = np.linalg.slogdet(inverse)[1] / 2 - (n - 2) / 2 * np.log(variance)
        scales[i] = np.sqrt(variance * (x @ r**lags @ x) / (1 - r * r)) / (x @ x)
    weights = np.exp(weights - weights.max()) * np.gradient(_AUTOCORRELATIONS)
    half = _quantile_of_mixture(1 - alpha / 2, weights / weights.sum(), scales, n - 2)
    return Interval(slope - half, slope + half)


def _quantile_of_mixture(level: float, weights: Array, scales: Array, freedom: int) -> float:
    """Of Student's t at several scales."""
    low, high = np.array([scales.min(), scales.max()]) * stdtrit(freedom, level)
    for _ in range(50):
        middle = (low + high) / 2
        under = weights @ stdtr(freedom, middle / scales) < level
        low, high = (middle, high) if under else (low, middle)
    return float(high)
