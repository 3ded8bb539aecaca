"""Noise models: from responses and their derivatives to Fisher information and thresholds.

A noise model says how one sample contributes to Fisher information at unit noise, and by what the
layer's noise variance then divides it. A new model is one :class:`Noise` and one entry in the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from psychophys.errors import unknown

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """A noise model.

    Attributes
    ----------
    formula, source
        Fisher information as printed, and where it is from.
    level_unit
        What the noise level is measured in.
    information
        ``(response, tangent) -> J at unit noise``: shapes (N, F), (N, F) -> (N,).
    variance
        ``(level, response_rms) -> noise variance`` of a layer.
    """

    name: str
    formula: str
    level_unit: str
    source: str
    information: Callable[[Tensor, Tensor], Tensor]
    variance: Callable[[float, float], float]


def squared_norm(rows: Tensor) -> Tensor:
    """Squared Euclidean norm of each row: (N, F) -> (N,)."""
    norms: Tensor = torch.linalg.vector_norm(rows, dim=1)
    return norms.square()


def _isotropic(_response: Tensor, tangent: Tensor) -> Tensor:
    return squared_norm(tangent)


_BENJAMIN = "Benjamin et al. 2022, Nat Commun 13:7972"

NOISE: dict[str, Noise] = {
    noise.name: noise
    for noise in (
        Noise(
            "relative",
            "J = |dr/dtheta|^2 / (level * r.m.s. response of the layer)^2",
            "fraction of the layer's r.m.s. response",
            _BENJAMIN + ", with sigma in units of each layer's response",
            _isotropic,
            lambda level, response_rms: (level * response_rms) ** 2,
        ),
        Noise(
            "gaussian",
            "J = |dr/dtheta|^2 / level^2",
            "activation units",
            _BENJAMIN,
            _isotropic,
            lambda level, _response_rms: level**2,
        ),
    )
}


def get_noise(name: str) -> Noise:
    """Return the noise model of that name."""
    if name not in NOISE:
        raise unknown("noise model", name, NOISE)
    return NOISE[name]


def threshold(fisher_information: Array, dprime: float = 1.0) -> Array:
    """Discrimination threshold d' / sqrt(J), in the unit of the dimension; inf where J is 0."""
    with np.errstate(divide="ignore"):
        return np.asarray(dprime / np.sqrt(fisher_information), dtype=np.float64)
