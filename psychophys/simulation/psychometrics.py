"""Psychometric functions: from a noisy decision to per cent correct, and from trials to a threshold."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import psignifit
from psignifit.sigmoids import Sigmoid
from scipy.special import erf, ndtri
from scipy.stats import halfnorm, norm

from psychophys.base.registry import Registry
from psychophys.base.types import Array

Number = float | Array
GUESS_RATE = 0.5
FEWEST_LEVELS = 4


@dataclass(frozen=True)
class Task:
    """What a trial asks.

    Attributes
    ----------
    correct
        ``(separation, variance below, variance above) -> proportion correct`` of a decider who goes
        by one Gaussian number for each stimulus shown: its means' separation and its variances.
    by_dprime
        ``d' -> proportion correct``.
    """

    name: str
    meaning: str
    correct: Callable[[Array, Array, Array], Array]
    by_dprime: Callable[[float], float]


def _compare(separation: Array, below: Array, above: Array) -> Array:
    return np.asarray(norm.cdf(separation / np.sqrt(below + above)))


def _classify(separation: Array, below: Array, above: Array) -> Array:
    half = separation / 2  # The criterion lies half-way.
    return np.asarray((norm.cdf(half / np.sqrt(above)) + norm.cdf(half / np.sqrt(below))) / 2)


TASKS = Registry(
    "task",
    (
        Task(
            "2afc",
            "both stimuli are shown, in either order; which is the larger?",
            _compare,
            lambda dprime: float(norm.cdf(dprime / np.sqrt(2))),
        ),
        Task(
            "single",
            "one stimulus is shown; is it the larger or the smaller?",
            _classify,
            lambda dprime: float(norm.cdf(dprime / 2)),
        ),
    ),
    Task,
)


class PowerTransducer(Sigmoid):  # type: ignore[misc]
    """Per cent correct where d' grows as a power of the difference, over the difference's logarithm.

    2 Phi(z) - 1 with z = (difference / scale)^power: the forced-choice function of signal detection
    theory (Foley & Legge 1981, Vision Res 21:1041), exact for a linear read-out (power 1).
    """

    def _ppf(self, x: Number, loc: Number = 0.0, scale: Number = 1.0) -> Array:
        # As scipy's halfnorm, whose checks of its arguments take five times as long as its numbers.
        return np.asarray(loc + scale * np.log(ndtri((1 + x) / 2.0)))

    def _cdf(self, x: Number, loc: Number = 0.0, scale: Number = 1.0) -> Array:
        return np.asarray(erf(np.exp((x - loc) / scale) / np.sqrt(2)))

    def _pdf(self, x: Number, loc: Number = 0.0, scale: Number = 1.0) -> Array:
        z = np.exp((x - loc) / scale)
        return np.asarray(halfnorm.pdf(z) * z / scale)

    def _standard_parameters(self, threshold: Number, width: Number) -> list[Number]:
        scale = width / (self._ppf(1 - self.alpha) - self._ppf(self.alpha))
        return [threshold - self._ppf(self._PC, 0, scale), scale]


@dataclass(frozen=True)
class Fit:
    """A fitted psychometric function.

    Attributes
    ----------
    threshold, low, high
        Difference at which the criterion is reached, and its credible interval, in the levels' unit.
    power
        By which d' grows with the difference: 1 for a linear read-out.
    """

    threshold: float
    low: float
    high: float
    power: float

    def proportion_correct(self, levels: Array, criterion: float) -> Array:
        """The function at these levels; ``criterion`` is the proportion correct at threshold."""
        z = norm.ppf(criterion) * (levels / self.threshold) ** self.power
        return np.asarray(norm.cdf(z))


def fit(levels: Array, correct: Array, trials: Array, criterion: float, confidence: float = 0.95) -> Fit:
    """Fit a psychometric function to counts, by psignifit (Schuett et al. 2016, Vision Res 122:105).

    Parameters
    ----------
    levels
        Differences shown, over 0.
    correct, trials
        Correct answers and trials at each.
    criterion
        Proportion correct that defines the threshold.
    """
    share = (criterion - GUESS_RATE) / (1 - GUESS_RATE)
    sigmoid = PowerTransducer(PC=share)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = psignifit.psignifit(
            np.column_stack([np.log(levels), correct, trials]),
            experiment_type="2AFC",
            sigmoid=sigmoid,
            thresh_PC=share,
            # A decider that is simulated does not lapse, nor does it drift.
            fixed_parameters={"lambda": 0.0, "eta": 1e-8},
            confP=(confidence,),
            # The priors follow the range: wider than what is shown, so that they decide little.
            stimulus_range=(float(np.log(levels.min())) - 1, float(np.log(levels.max())) + 1),
            steps_moving_bounds={"threshold": 100, "width": 100},
            grid_steps={"threshold": 100, "width": 60},
        )
    estimate, (ends,) = found.parameter_estimate, found.confidence_intervals["threshold"].values()
    _, scale = sigmoid.standard_parameters(estimate["threshold"], estimate["width"])
    threshold, low, high = np.exp([estimate["threshold"], *ends])
    return Fit(float(threshold), float(low), float(high), 1 / float(scale))
