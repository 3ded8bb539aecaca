"""Closed forms of how linear networks learn, mode by mode, under gradient flow.

A network of N linear layers with x_hat = W_N ... W_1 x learns to reconstruct x by gradient descent on
0.5 E|x - x_hat|^2. The loss depends on x through its covariance C alone. Let u be an eigenvector of C with
eigenvalue lambda, and sigma = u.(W_N ... W_1)u the strength of its mode: 0 where nothing of it is
reconstructed, 1 where all is. Where every layer has the same strength sigma^(1/N) in the mode ("balanced"),

    d sigma / dt = N eta lambda sigma^(2 - 2/N) (1 - sigma),

with learning rate eta and t in steps (Saxe, McClelland & Ganguli 2014, arXiv:1312.6120, whose time constant
is 1/eta). With tied weights, x_hat = W^T W x, both uses of W add up: 4 eta lambda sigma (1 - sigma).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from psychophys.base.errors import unknown
from psychophys.base.types import Array


@dataclass(frozen=True)
class Depth:
    """One kind of linear network.

    Attributes
    ----------
    layers
        Matrices between x and x_hat.
    tied
        Whether the second is the transpose of the first.
    elapsed
        ``eta * lambda * t`` at which a mode of strength 0 < sigma < 1 is reached, less an additive constant
        of the mode.
    """

    name: str
    layers: int
    tied: bool
    elapsed: Callable[[Array], Array]

    @property
    def model(self) -> str:
        """What results call the network."""
        return "linear-tied" if self.tied else f"linear-depth{self.layers}"


def _three(sigma: Array) -> Array:
    """With s = sigma^(1/3): the integral of ds / (s^2 (1 - s^3)), by partial fractions."""
    s = np.cbrt(sigma)
    logs = -np.log1p(-s) / 3 + np.log1p(s + s * s) / 6
    return np.asarray(-1 / s + logs - np.arctan((2 * s + 1) / 3**0.5) / 3**0.5)


def _logit(sigma: Array) -> Array:
    return np.asarray(np.log(sigma) - np.log1p(-sigma))


DEPTHS: dict[str, Depth] = {
    depth.name: depth
    for depth in (
        Depth("1", 1, False, lambda sigma: np.asarray(-np.log1p(-sigma))),
        Depth("2", 2, False, lambda sigma: _logit(sigma) / 2),
        Depth("3", 3, False, _three),
        Depth("tied", 2, True, lambda sigma: _logit(sigma) / 4),
    )
}


def get_depth(name: str) -> Depth:
    """Return the network called ``name``."""
    if name not in DEPTHS:
        raise unknown("depth", name, DEPTHS)
    return DEPTHS[name]


def half_time(depth: Depth, initial: Array, rate: Array) -> Array:
    """Steps until modes have half their final strength.

    Parameters
    ----------
    initial
        Strengths at step 0: (M,).
    rate
        Learning rate times eigenvalue, per step: (M,).

    Returns
    -------
    Array
        NaN for a mode that starts at a half or over it, and in two layers or more for one that does not
        start over 0.
    """
    known = _known(depth, initial) & np.less(initial, 0.5)
    start = np.where(known, initial, 0.25)
    steps = (depth.elapsed(np.full_like(start, 0.5)) - depth.elapsed(start)) / rate
    return np.where(known, steps, np.nan)


def strength(depth: Depth, initial: Array, rate: Array, steps: Array) -> Array:
    """Strengths of modes over training.

    Parameters
    ----------
    initial, rate
        See :func:`half_time`.
    steps
        Shape (T,).

    Returns
    -------
    Array
        Shape (T, M); NaN where the closed form has no beginning: see :func:`half_time`.
    """
    time = np.outer(steps, rate)
    if depth.layers == 1:
        return np.asarray(1 - (1 - initial) * np.exp(-time))
    known = _known(depth, initial)
    start = np.where(known, initial, 0.25)
    if depth.layers == 2:
        grown = _logit(start) + (4 if depth.tied else 2) * time
        return np.where(known, 1 / (1 + np.exp(-grown)), np.nan)
    # Three layers give time as a function of strength: it is read backwards from a fine table.
    table = 1 / (1 + np.exp(-np.linspace(-30, 30, 60_001)))
    found = np.interp(depth.elapsed(start) + time, depth.elapsed(table), table)
    return np.where(known, found, np.nan)


def _known(depth: Depth, initial: Array) -> NDArray[np.bool_]:
    return np.asarray((initial < 1) & ((initial > 0) | (depth.layers == 1)), dtype=bool)
