"""Sensitivity against a prior: correlations, slopes and how far noise lets them go. Numbers in, numbers out.

An efficient code puts J proportional to p^q: q = 2 where information is maximised (Wei & Stocker 2015),
q = 1/2 where discrimination error is minimised (Morais & Pillow 2018, "Power-law efficient neural codes").
The slope of log sqrt(J) on log p is q / 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from psychophys.base.types import Array
from psychophys.comparison.intervals import NORMAL_975, slope_interval
from psychophys.comparison.priors import Density

FEWEST_VALUES = 6
FLAT = 1e-3
"""S.d. over mean under which a curve has no shape: what it has is the pixel grid's and rounding's."""
TURNS = 180
"""Positions on a ring to which a curve is turned: more than values, so that no p is out of reach."""
TIED = 1e-9
HALF_TURN_DEG = 180.0
"""Period of orientation, whose cardinal peaks repeat after half of it."""


@dataclass(frozen=True)
class Coding:
    """How one layer's sensitivity goes with a prior over the measured values.

    Attributes
    ----------
    r
        Pearson correlation of sqrt(J) with p.
    slope, slope_low, slope_high
        Of log sqrt(J) on log p, with a 95 % interval (:mod:`psychophys.comparison.intervals`).
    q, q_low, q_high
        The exponent in J proportional to p^q: twice the slope.
    p_turned
        Share of the turns of the sensitivities round the ring that correlate at least as well, the one by
        nothing included; NaN for an axis with ends. It supposes that a curve could point anywhere, which
        the pixel grid does not allow to a network: see :mod:`psychophys.comparison.untrained`.
    p_least
        The smallest ``p_turned`` there can be: more than 1 / ``TURNS`` where a curve repeats in a round.
    r_partial
        Correlation given the baseline: ``r`` where that is flat, NaN without one.
    r_given_cardinal
        Correlation given the first harmonic that repeats after 90 deg: what goes with this prior beyond
        cardinal peaks of any kind. NaN for what is not orientation.
    r_turned
        Correlation with the prior turned by a quarter of the ring (orientation: 45 deg).
    r_ceiling
        The largest r that noise of the two curves leaves to be seen, from what their own noise is; 1 where
        that is not known.
    q_of_samples, q_of_images, q_of_networks
        Half-widths of the interval of q for single sources: nuisance samples (which the misfit of the line
        holds), images of the prior, networks. NaN where there are none.
    """

    n_values: int
    r: float
    slope: float
    slope_low: float
    slope_high: float
    q: float
    q_low: float
    q_high: float
    p_turned: float
    p_least: float
    r_partial: float
    r_given_cardinal: float
    r_turned: float
    r_ceiling: float
    q_of_samples: float
    q_of_images: float
    q_of_networks: float


def compare_with_prior(
    sensitivity: Array,
    values: Array,
    prior: Density,
    baseline: Array | None = None,
    *,
    errors: Array | None = None,
    fewest: int = FEWEST_VALUES,
) -> Coding:
    """Compare sensitivities with the density of a prior, in the order of the values.

    Parameters
    ----------
    sensitivity
        Shape (n,), or (K, n) for several networks, of which the geometric mean is compared.
    values, baseline
        Shape (n,). Values where a sensitivity or the density is not finite, or not over 0, are left out.
    errors
        Standard errors of the sensitivities, of their shape.
    fewest
        With fewer values nothing is computed, and with fewer than ``FEWEST_VALUES`` no interval.
    """
    density = prior.at(values)
    curves = np.atleast_2d(sensitivity)
    good = np.isfinite(density) & (density > 0) & (np.isfinite(curves) & (curves > 0)).all(axis=0)
    curves, p, at = curves[:, good], density[good], values[good]
    if len(p) < fewest:
        return Coding(len(p), *[float("nan")] * 16)
    s, own_errors = _mean_curve(curves, None if errors is None else np.atleast_2d(errors)[:, good])
    whole = bool(good.all()) and goes_round(values, prior.period)
    replicates = _usable(prior.replicates_at(at))
    power, within = slope(s, p), slope_interval(curves, p, circular=whole, density_replicates=replicates)
    least, turned = turned_p_value(s, p) if whole else (np.nan, np.nan)
    return Coding(
        n_values=len(s),
        r=correlation(s, p),
        slope=power,
        slope_low=within.low,
        slope_high=within.high,
        q=2 * power,
        q_low=2 * within.low,
        q_high=2 * within.high,
        p_turned=turned,
        p_least=least,
        r_partial=float("nan") if baseline is None else partial_correlation(s, p, baseline[good]),
        r_given_cardinal=_given_cardinal(s, p, at) if prior.period == HALF_TURN_DEG else float("nan"),
        r_turned=_with_quarter_turn(s, at, prior) if whole else float("nan"),
        r_ceiling=ceiling(s, own_errors, p, replicates),
        q_of_samples=2 * _half_of_samples(s, own_errors, p),
        q_of_images=2 * within.of_images,
        q_of_networks=2 * within.of_networks,
    )


def _mean_curve(curves: Array, errors: Array | None) -> tuple[Array, Array | None]:
    """Geometric mean of networks' curves, (K, n), and its standard errors."""
    mean = geometric_mean(curves)
    if errors is None or len(curves) == 1:
        return mean, None if errors is None else errors[0]
    return mean, mean * np.sqrt(((errors / curves) ** 2).sum(axis=0)) / len(curves)


def geometric_mean(curves: Array) -> Array:
    """Of several networks, (K, n); NaN where one is not over 0. One is its own mean."""
    if len(curves) == 1:
        return np.asarray(curves[0], dtype=float)
    return np.asarray(np.exp(np.log(np.where(curves > 0, curves, np.nan)).mean(axis=0)), dtype=float)


def _half_of_samples(s: Array, errors: Array | None, p: Array) -> float:
    """Half of the 95 % interval of the slope that errors of the sensitivities alone would leave."""
    if errors is None or not np.isfinite(errors).all():
        return float("nan")
    x = np.log(p) - np.log(p).mean()
    return float(NORMAL_975 * np.sqrt(x**2 @ (errors / s) ** 2) / (x @ x)) if x @ x > 1e-20 else float("nan")


def _usable(replicates: Array | None) -> Array | None:
    """Those with a density everywhere: few images may leave a value out."""
    if replicates is None:
        return None
    good = replicates[(np.isfinite(replicates) & (replicates > 0)).all(axis=1)]
    return good if len(good) > 1 else None


def correlation(a: Array, b: Array) -> float:
    """Pearson's r; NaN where one of them is flat."""
    x, y = a - a.mean(), b - b.mean()
    if _is_flat(a) or _is_flat(b):
        return float("nan")
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1, 1))


def _is_flat(values: Array) -> bool:
    return float(values.std()) <= FLAT * float(np.abs(values).mean())


def partial_correlation(a: Array, b: Array, given: Array) -> float:
    """Correlation of what a straight line on ``given`` leaves of ``a`` and ``b``.

    ``given`` has shape (n,), or (n, m) for a plane; columns that are flat explain nothing.
    """
    columns = given.reshape(len(a), -1)
    columns = columns[:, [not _is_flat(column) for column in columns.T]]
    rab = correlation(a, b)
    if np.isnan(rab) or not columns.shape[1]:
        return rab
    design = np.column_stack([np.ones(len(a)), columns])
    rest = [y - design @ np.linalg.lstsq(design, y, rcond=None)[0] for y in (a, b)]
    squares = [float(x @ x) for x in rest]
    # What a line explains whole has no rest but rounding.
    if any(square < 1e-12 * float(y @ y) for square, y in zip(squares, (a, b), strict=True)):
        return float("nan")
    return float(np.clip(rest[0] @ rest[1] / np.sqrt(squares[0] * squares[1]), -1, 1))


def _given_cardinal(s: Array, p: Array, orientation_deg: Array) -> float:
    angle = np.deg2rad(4 * orientation_deg)
    if len(s) < FEWEST_VALUES:
        return float("nan")
    return partial_correlation(s, p, np.column_stack([np.cos(angle), np.sin(angle)]))


def _with_quarter_turn(s: Array, values: Array, prior: Density) -> float:
    assert prior.period is not None
    return correlation(s, prior.at(values - prior.period / 4))


def slope(sensitivity: Array, density: Array) -> float:
    """Least-squares slope of log sensitivity on log density; NaN where the density is constant."""
    x, y = np.log(density), np.log(sensitivity)
    x = x - x.mean()
    square = float(x @ x)
    return float(x @ (y - y.mean())) / square if square > 1e-20 else float("nan")


def goes_round(values: Array, period: float | None) -> bool:
    """Whether values are the equal steps of one whole round."""
    if period is None or len(values) < 2:
        return False
    steps = np.diff(values)
    return bool(np.allclose(steps, steps[0]) and np.isclose(len(values) * steps[0], period))


def turns(curve: Array) -> Array:
    """A curve of equal steps round a ring, turned to every position: (n,) to (TURNS, n), first by nothing.

    Between the steps it is interpolated by its harmonics, which keeps what is random about it as it is.
    """
    n = len(curve)
    harmonics = np.fft.rfft(curve)
    angles = 2 * np.pi * np.arange(TURNS)[:, None] * np.arange(len(harmonics)) / TURNS
    return np.asarray(np.fft.irfft(harmonics * np.exp(-1j * angles), n, axis=1), dtype=float)


def turned_p_value(sensitivity: Array, density: Array) -> tuple[float, float]:
    """The smallest p-value there can be, and how often a turn of the sensitivities does as well as none.

    Neighbours on the ring are alike, so that an ordinary p-value would be too small. Turns that change
    nothing, because one of the two curves repeats, count as doing as well.
    """
    if np.isnan(correlation(sensitivity, density)):
        return float("nan"), float("nan")
    s, p = turns(sensitivity - sensitivity.mean()), density - density.mean()
    every = s @ p / np.sqrt((s * s).sum(axis=1) * (p @ p))
    least = np.mean(np.abs(every - every[0]) <= TIED)
    return float(least), float(np.mean(every >= every[0] - TIED))


def ceiling(
    sensitivity: Array, errors: Array | None, density: Array, replicates: Array | None = None
) -> float:
    """The largest correlation that noise of the curves leaves to be seen.

    The root of both curves' reliabilities (Spearman 1904): the share of a curve's variance over the values
    that is not noise. A curve whose noise is not known counts as without.
    """
    shares = [
        _reliability(sensitivity, None if errors is None else errors**2),
        _reliability(density, None if replicates is None else replicates.var(axis=0, ddof=1)),
    ]
    return float(np.sqrt(np.prod(shares)))


def _reliability(curve: Array, noise: Array | None) -> float:
    """Share of a curve's variance that is not noise, whose variances are given; NaN for a flat curve."""
    if _is_flat(curve):
        return float("nan")
    if noise is None or not np.isfinite(noise).all():
        return 1.0
    return float(np.clip(1 - noise.mean() / curve.var(ddof=1), 0, 1))
