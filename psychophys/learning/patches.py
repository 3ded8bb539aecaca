"""Grey patches of photographs and their covariance: all that a linear autoencoder sees of its images."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from psychophys.errors import UsageError
from psychophys.photographs import Source, UnreadableError, decode, find_images, packaged, read

Array = NDArray[np.float64]
SHORTER_SIDE = 128
"""Pixels that photographs are scaled to: a patch of 16 is an eighth of the view. In the packaged photographs
at this size, the power of a grating falls with its frequency to the power of about -2, as it does in many."""
MOST_PHOTOGRAPHS = 1000
"""Of more, so many are taken, evenly spread."""
PATCHES = 20_000
"""Drawn for one covariance."""


@dataclass(frozen=True)
class Photographs:
    """Grey photographs in memory.

    Attributes
    ----------
    images
        Values in [0, 1], the mean of three channels: (H, W) each.
    sha256
        Of their pixels.
    """

    images: tuple[NDArray[np.float32], ...]
    sha256: str


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


def load_photographs(images: Sequence[str | Path] = ()) -> Photographs:
    """Read photographs as grey, the shorter side scaled to ``SHORTER_SIDE`` pixels.

    Parameters
    ----------
    images
        Folders, archives and files. Default: the packaged photographs.

    Raises
    ------
    UsageError
        For a path that is not there or without images, or an image that cannot be used.
    """
    sources = find_images(images) if images else packaged()
    if len(sources) > MOST_PHOTOGRAPHS:
        chosen = np.linspace(0, len(sources), MOST_PHOTOGRAPHS, endpoint=False).astype(int)
        sources = [sources[i] for i in chosen]
    grey = tuple(_grey(source) for source in sources)
    digest = hashlib.sha256()
    for image in grey:
        digest.update(f"{image.shape}".encode() + image.tobytes())
    return Photographs(grey, digest.hexdigest())


def _grey(source: Source) -> NDArray[np.float32]:
    try:
        image = decode(read(source), SHORTER_SIDE)
    except UnreadableError as error:
        raise UsageError(f"image {source} cannot be used: {error}", "Leave it out.") from error
    return np.asarray(np.asarray(image, np.float32).mean(axis=2) / 255, np.float32)


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
