"""Fisher matrices: correlations, thresholds alone and together, and what is hardest to tell apart.

All functions take a stack of symmetric matrices, shape (..., n, n), over n dimensions with units of their
own. Matrices are inverted as correlations, which have no unit.
"""

from __future__ import annotations

import numpy as np

from psychophys.base.types import Array

PARTICIPATES = 1e-6
"""Square of a component from which a dimension takes part in a direction that cannot be seen."""


def pairs(n: int) -> list[tuple[int, int]]:
    """Places of the upper triangle, row by row, of an n x n matrix."""
    return [(i, j) for i in range(n) for j in range(i, n)]


def symmetric(upper: Array, n: int) -> Array:
    """Whole matrices from their upper triangles: (..., n (n + 1) / 2) -> (..., n, n)."""
    full = np.empty((*upper.shape[:-1], n, n))
    for place, (i, j) in enumerate(pairs(n)):
        full[..., i, j] = full[..., j, i] = upper[..., place]
    return full


def deviations(information: Array) -> Array:
    """Square roots of the diagonal, the sensitivities: (..., n)."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sqrt(np.diagonal(information, axis1=-2, axis2=-1)))


def correlations(information: Array) -> Array:
    """J_ij / sqrt(J_ii J_jj), from -1 to 1; NaN along a dimension that the layer does not depend on."""
    root = deviations(information)
    with np.errstate(divide="ignore", invalid="ignore"):
        # One after the other: the product of two roots may be too large for a number.
        found = information / root[..., :, None] / root[..., None, :]
        return np.asarray(np.clip(np.where(np.isfinite(found), found, np.nan), -1, 1))


def _spectrum(information: Array) -> tuple[Array, Array]:
    """Eigenvalues and eigenvectors of the correlations, smallest first; unknown ones count as 0."""
    n = information.shape[-1]
    known = correlations(information)
    known = np.where(np.eye(n, dtype=bool), 1.0, np.nan_to_num(known))
    values, vectors = np.linalg.eigh(known)
    return values, vectors


def thresholds_alone(information: Array, dprime: float = 1.0) -> Array:
    """Thresholds d' / sqrt(J_ii): by how much one dimension must change, the others being known: (..., n)."""
    with np.errstate(divide="ignore"):
        return np.asarray(dprime / deviations(information))


def thresholds_joint(information: Array, dprime: float = 1.0, tolerance: float = 0.0) -> Array:
    """Thresholds d' sqrt((J^-1)_ii): the same where the other dimensions are unknown, the Cramer-Rao bound.

    Parameters
    ----------
    tolerance
        Eigenvalue of the correlations down to which a matrix counts as singular: the dimensions that its
        direction holds cannot be told apart, and their thresholds are infinite.
    """
    values, vectors = _spectrum(information)
    unseen = values <= tolerance
    square = vectors**2
    with np.errstate(invalid="ignore"):
        grown = (square / np.where(unseen, np.inf, values)[..., None, :]).sum(axis=-1)
        lost = (square * unseen[..., None, :]).sum(axis=-1) > PARTICIPATES
        return np.asarray(thresholds_alone(information, dprime) * np.where(lost, np.inf, np.sqrt(grown)))


def hardest_change(information: Array, dprime: float = 1.0, tolerance: float = 0.0) -> tuple[Array, Array]:
    """The change at criterion that is largest in thresholds: the one that is hardest to see.

    It is v_i D_i / sqrt(lambda), v being the eigenvector of the correlations with the smallest eigenvalue
    lambda and D_i the thresholds alone, so that it does not depend on units. Its first component that is
    not 0 is positive.

    Returns
    -------
    tuple
        The change, (..., n), in the units of the dimensions, and lambda, (...). Where lambda is not over
        ``tolerance`` it is returned as 0, and the change is v_i D_i, as no length is at criterion. NaN
        where the matrix is not finite, or a dimension does nothing.
    """
    values, vectors = _spectrum(information)
    least, v = values[..., 0], vectors[..., 0]
    v = np.where(v**2 > PARTICIPATES, v, 0.0)
    first = np.take_along_axis(v, (v != 0).argmax(axis=-1)[..., None], axis=-1)
    least = np.where(least > tolerance, least, 0.0)
    length = np.where(least > 0, 1 / np.sqrt(np.where(least > 0, least, 1.0)), 1.0)
    alone = thresholds_alone(information, dprime)
    usable = np.asarray(np.isfinite(alone).all(axis=-1) & np.isfinite(information).all(axis=(-2, -1)))
    with np.errstate(invalid="ignore"):
        change = v * np.sign(first) * alone * length[..., None] + 0.0  # No -0.
    return np.where(usable[..., None], change, np.nan), np.where(usable, least, np.nan)
