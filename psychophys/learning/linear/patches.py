"""Grey patches of photographs and their covariance: all that a linear autoencoder sees of its images."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from psychophys.base.types import Array
from psychophys.learning.photographs import Photographs

SHORTER_SIDE = 128
"""Pixels that photographs are scaled to: a patch of 16 is an eighth of the view. In the packaged photographs
at this size, the power of a grating falls with its frequency to the power of about -2, as it does in many."""
PATCHES = 20_000
"""Drawn for one covariance."""


@dataclass(frozen=True)
class Statistics:
    """Mean and covariance of patches of D pixels, and the covariance's eigenvectors.

    Attributes
    ----------
    mean
        Of each pixel: (D,).
    covariance
        Shape (D, D).
    eigenvalues
        From the largest to the smallest: (D,).
    eigenvectors
        In the columns: (D, D).
    """

    mean: Array
    covariance: Array
    eigenvalues: Array
    eigenvectors: Array


def draw_patches(
    photographs: Photographs, side: int, generator: np.random.Generator, count: int = PATCHES
) -> Array:
    """Patches from random places, as many from each photograph as from another.

    Returns
    -------
    Array
        Values in [0, 1], row by row: (count, side * side).
    """
    patches = np.empty((count, side, side))
    turns = itertools.cycle(photographs.images)
    for place, image in zip(range(count), turns, strict=False):
        top, left = (int(generator.integers(length - side + 1)) for length in image.shape)
        patches[place] = image[top : top + side, left : left + side]
    return patches.reshape(count, -1)


def statistics_of(patches: Array) -> Statistics:
    """Mean, covariance and eigenvectors of patches, (n, D)."""
    mean = patches.mean(axis=0)
    centred = patches - mean
    covariance = centred.T @ centred / len(patches)
    values, vectors = np.linalg.eigh(covariance)
    return Statistics(mean, covariance, values[::-1].clip(min=0), vectors[:, ::-1])


def spectrum_exponent(statistics: Statistics, frequencies: Sequence[float]) -> float:
    """Power a with which the variance of gratings falls with their frequency: variance ~ f^-a.

    The variance is k.Ck / k.k of full-field gratings k, averaged over four orientations and two phases; a is
    from a straight line through the logarithms.

    Parameters
    ----------
    frequencies
        In cycles a patch: two or more.
    """
    side = round(len(statistics.mean) ** 0.5)
    y, x = (np.mgrid[:side, :side] - (side - 1) / 2) / side
    variances = []
    for frequency in frequencies:
        each = []
        for angle, phase in itertools.product(np.radians((0, 45, 90, 135)), np.radians((0, 90))):
            cycles = frequency * (x * np.cos(angle) + y * np.sin(angle))
            wave = np.cos(2 * np.pi * cycles + phase).ravel()
            each.append(wave @ statistics.covariance @ wave / (wave @ wave))
        variances.append(np.mean(each))
    return -float(np.polyfit(np.log(frequencies), np.log(variances), 1)[0])
