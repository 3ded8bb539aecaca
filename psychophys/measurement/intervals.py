"""Uncertainty from nuisance samples: bootstrap intervals, and whether the samples are enough.

Nuisance parameters (phase, image, noise sample) stand for all their values, of which a few are shown;
other parameters (spatial frequency, contrast) are as they were asked for. So the levels of each nuisance
parameter are resampled, and crossed with each other and with the rest (Owen 2007, "The pigeonhole
bootstrap", for several; the ordinary bootstrap for one). Numbers in, numbers out (NumPy and SciPy alone).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr, stdtrit

from psychophys.base.types import Array

REPLICATES = 1000


def resampling_weights(
    counts: Sequence[int], nuisance: Sequence[bool], replicates: int = REPLICATES, seed: int = 0
) -> Array | None:
    """Weights of every sample in every resample: ``weights @ samples`` are the resampled means.

    Parameters
    ----------
    counts
        How many values each parameter has; samples are all combinations, the last varying fastest.
    nuisance
        Which parameters are resampled.

    Returns
    -------
    array
        Shape (replicates, samples), rows summing to 1; None where nothing can be resampled.
    """
    if not any(drawn and count > 1 for count, drawn in zip(counts, nuisance, strict=True)):
        return None
    generator = np.random.default_rng(seed)
    weights = np.ones((replicates, 1))
    for count, drawn in zip(counts, nuisance, strict=True):
        if drawn and count > 1:
            axis = generator.multinomial(count, np.full(count, 1 / count), size=replicates) / count
        else:
            axis = np.full((replicates, count), 1 / count)
        weights = (weights[:, :, None] * axis[:, None, :]).reshape(replicates, -1)
    return weights


def leaving_out(counts: Sequence[int], axis: int) -> Array:
    """Weights of every sample where one level of a parameter is left out, for each level: (levels, samples).

    Parameters
    ----------
    counts
        As for :func:`resampling_weights`.
    axis
        Which parameter, with two or more levels.
    """
    weights = np.ones((counts[axis], 1))
    for place, count in enumerate(counts):
        own = np.full((counts[axis], count), 1 / count)
        if place == axis:
            own = (1 - np.eye(count)) / (count - 1)
        weights = (weights[:, :, None] * own[:, None, :]).reshape(counts[axis], -1)
    return weights


def interval(resampled: Array, levels: int, confidence: float) -> tuple[Array, Array]:
    """Expanded percentile interval along the first axis (Hesterberg 2015, Am Stat 69:371).

    Plain percentiles are too narrow with few samples; theirs are taken further out, as Student's t with
    ``levels - 1`` degrees of freedom would have them.

    Parameters
    ----------
    levels
        How many samples there were to resample, of the parameter that has the fewest.
    """
    with np.errstate(invalid="ignore"):
        reach = math.sqrt(levels / (levels - 1)) * stdtrit(levels - 1, (1 + confidence) / 2)
        tail = float(ndtr(-reach))
        low, high = np.quantile(resampled, (tail, 1 - tail), axis=0)
    return low, high


def halves_error(samples: Array, counts: Sequence[int], nuisance: Sequence[bool]) -> Array | None:
    """Standard error of log threshold, from the difference between halves of the samples.

    Every second level of a nuisance parameter against the others: for levels drawn at random this
    estimates the standard error; for a regular grid (phases) it bounds what a grid twice as fine changes.

    Parameters
    ----------
    samples
        Fisher information, shape (samples, K).

    Returns
    -------
    array
        Shape (K,), of the worst parameter; None where there is nothing to halve.
    """
    grid = samples.reshape(*counts, -1)
    worst = None
    for axis, (count, drawn) in enumerate(zip(counts, nuisance, strict=True)):
        if not drawn or count < 2:
            continue
        others = tuple(a for a in range(len(counts)) if a != axis)
        means = grid.mean(axis=others)  # (levels, K)
        with np.errstate(divide="ignore", invalid="ignore"):
            # Threshold goes with J^-1/2; the mean of both halves is half as far from either.
            error = np.abs(np.log(means[::2].mean(axis=0) / means[1::2].mean(axis=0))) / 4
        worst = error if worst is None else np.fmax(worst, error)
    return worst
