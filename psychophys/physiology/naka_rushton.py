"""Contrast responses: R(c) = Rmax c^n / (c^n + c50^n) (Naka & Rushton 1966), fitted to many units at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from psychophys.base.types import Array

EXPONENTS = (0.2, 12.0)
SEMISATURATIONS = (1e-3, 20.0)
"""Contrasts; what is over the highest contrast shown is not known, and only tells that there is no bend."""
COARSE, FINE, ROUNDS, NARROWER = 41, 7, 14, 0.45


@dataclass(frozen=True)
class Fits:
    """Least-squares fits to U units.

    Attributes
    ----------
    residual
        R.m.s. difference from the fit, over the largest response.
    """

    rmax: Array
    c50: Array
    exponent: Array
    residual: Array

    def at(self, contrast: Array) -> Array:
        """Responses at contrasts: (K, U)."""
        return np.asarray(self.rmax * _saturation(np.asarray(contrast)[:, None], self.c50, self.exponent))


def _saturation(contrast: Array, c50: Array, exponent: Array) -> Array:
    return np.asarray(1 / (1 + (c50 / contrast) ** exponent))


def fit_naka_rushton(curves: Array, contrast: Array) -> Fits:
    """Fit responses over the baseline at contrasts over 0: (K, U).

    For every exponent and c50 the best Rmax is a quotient, so that only two numbers are searched for: on a
    grid, then on ever finer grids about the best.
    """
    logs = [(math.log(low), math.log(high)) for low, high in (EXPONENTS, SEMISATURATIONS)]
    grid = np.array([[n, c] for n in np.linspace(*logs[0], COARSE) for c in np.linspace(*logs[1], COARSE)])
    error = _errors(curves, contrast, grid[:, :1], grid[:, 1:])
    best = grid[error.argmin(axis=0)]
    width = np.array([(high - low) / (COARSE - 1) for low, high in logs])
    window = np.linspace(-1, 1, FINE)
    around = np.array([[n, c] for n in window for c in window])
    for _ in range(ROUNDS):
        places = best[None] + around[:, None] * width
        places = places.clip([low for low, _ in logs], [high for _, high in logs])
        error = _errors(curves, contrast, places[..., 0], places[..., 1])
        best = np.take_along_axis(places, error.argmin(axis=0)[None, :, None], axis=0)[0]
        width = width * NARROWER
    exponent, c50 = np.exp(best).T
    shape = _saturation(contrast[:, None], c50, exponent)
    rmax = (curves * shape).sum(axis=0) / (shape**2).sum(axis=0)
    left = np.sqrt(((curves - rmax * shape) ** 2).mean(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return Fits(rmax, c50, exponent, left / np.abs(curves).max(axis=0))


def _errors(curves: Array, contrast: Array, log_exponent: Array, log_c50: Array) -> Array:
    """Share of the squared responses that the best Rmax leaves: (G, 1) or (G, U) to (G, U)."""
    shape = _saturation(contrast[:, None, None], np.exp(log_c50), np.exp(log_exponent))
    size = (shape**2).sum(axis=0)
    met = np.tensordot(shape[..., 0], curves, (0, 0)) if shape.shape[-1] == 1 else None
    if met is None:
        met = np.einsum("kgu,ku->gu", shape, curves)
    # A unit may have responded less with contrast: no Rmax under 0 is meant.
    return np.asarray((curves**2).sum(axis=0) - met.clip(min=0) ** 2 / size)
