"""Noise models: from responses and their derivatives to Fisher information and thresholds.

The noise of most models is independent between units: a function gives each unit's variance at unit
noise, and information, linear read-out and its variance all follow from it. Two need more than one
image's response: ``input`` (see :mod:`psychophys.noise.pixels`) and ``empirical``
(see :mod:`psychophys.noise.empirical`). A new model is one :class:`Noise` and one entry in the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from psychophys.base.errors import UsageError, unknown

Array = NDArray[np.float64]
Options = Mapping[str, float]


@dataclass(frozen=True)
class Option:
    """A number of a noise model besides its level."""

    name: str
    unit: str
    default: float
    low: float
    high: float
    meaning: str


@dataclass(frozen=True)
class Noise:
    """A noise model.

    Attributes
    ----------
    formula, source
        Fisher information as printed, and where it is from.
    level_unit, level
        What the noise level is measured in, and its value when nothing is said.
    scale
        ``(level, response_rms) -> variance`` of a layer: what information at unit noise is divided by.
    unit_variance
        ``(response, options) -> variance of each unit`` at unit noise, shapes (N, F) -> (N, F); None
        where all are 1.
    options
        Numbers besides the level.
    independent
        Whether the noise is independent between units, so that one image's response says all.
    """

    name: str
    formula: str
    level_unit: str
    source: str
    scale: Callable[[float, float], float]
    unit_variance: Callable[[Tensor, Options], Tensor] | None = None
    options: tuple[Option, ...] = ()
    level: float = 1.0
    independent: bool = True

    def option(self, name: str) -> Option:
        """Return the option of that name."""
        known = {option.name: option for option in (*self.options, DIFFERENTIAL)}
        if name not in known:
            raise unknown(f"option of {self.name} noise", name, known)
        return known[name]

    def settings(self, given: Options) -> dict[str, float]:
        """Every option's value, with what is given checked."""
        settings = {option.name: option.default for option in (*self.options, DIFFERENTIAL)}
        for name, value in given.items():
            option = self.option(name)
            if not isinstance(value, Real) or not option.low <= value <= option.high:
                raise UsageError(
                    f"{name} {value} of {self.name} noise cannot be used",
                    f"Give a number from {option.low:g} to {option.high:g}.",
                )
            settings[name] = float(value)
        return settings


DIFFERENTIAL = Option(
    "differential",
    "the dimension's unit, squared",
    0.0,
    0.0,
    1e100,
    "epsilon of differential correlations: J becomes J / (1 + epsilon J) (Moreno-Bote et al. 2014)",
)
"""Every model takes it: noise along the derivative itself, which no read-out can average away."""


def squared_norm(rows: Tensor) -> Tensor:
    """Squared Euclidean norm of each row: (N, F) -> (N,)."""
    norms: Tensor = torch.linalg.vector_norm(rows, dim=1)
    return norms.square()


def information(
    noise: Noise, options: Options, response: Tensor, tangent: Tensor, *, exact: bool = True
) -> Tensor:
    """Fisher information of each image at unit noise: (N, F), (N, F) -> (N,).

    ``exact`` as in :func:`rectified`.
    """
    if noise.unit_variance is None:
        return squared_norm(tangent)
    response, tangent = rectified(options, response, tangent, exact=exact)
    j = (tangent.square() / noise.unit_variance(response, options)).sum(dim=1)
    return torch.where((response < 0).any(dim=1), torch.nan, j)


def rectified(
    options: Options, response: Tensor, tangent: Tensor, *, exact: bool = True
) -> tuple[Tensor, Tensor]:
    """Responses and derivatives after max(r, 0), where the option ``rectify`` asks for it.

    Parameters
    ----------
    exact
        Whether ``tangent`` is a derivative, or else the difference of ``response`` from another one.
    """
    if not options.get("rectify"):
        return response, tangent
    if exact:
        return response.clamp(min=0), torch.where(response > 0, tangent, 0)
    return response.clamp(min=0), response.clamp(min=0) - (response - tangent).clamp(min=0)


def wide(tensor: Tensor) -> Tensor:
    """In double precision, where the device has it."""
    return tensor if tensor.device.type == "mps" else tensor.double()


def read_out(noise: Noise, options: Options, response: Tensor, tangent: Tensor) -> Tensor:
    """Weights of the ideal linear observer at unit noise, inverse variance times derivative: (N, F)."""
    if noise.unit_variance is None:
        return tangent
    response, tangent = rectified(options, response, tangent)
    return tangent / noise.unit_variance(response, options)


def read_out_variance(noise: Noise, options: Options, weights: Tensor, response: Tensor) -> Tensor:
    """Variance of ``weights @ response`` at unit noise: (N, F), (N, F) -> (N,)."""
    if noise.unit_variance is None:
        return squared_norm(weights)
    response, _ = rectified(options, response, response)
    return (weights.square() * noise.unit_variance(response, options)).sum(dim=1)


def saturated(fisher_information: Array, differential: float) -> Array:
    """J under differential correlations of strength ``differential``: J / (1 + epsilon J)."""
    return fisher_information / (1 + differential * fisher_information)


def _floored(response: Tensor, options: Options) -> Tensor:
    # The floor goes with the image's own response, so that units of activation do not matter.
    rms = torch.linalg.vector_norm(response, dim=1, keepdim=True) / response.shape[1] ** 0.5
    floor = torch.clamp(options["floor"] * rms, min=torch.finfo(response.dtype).tiny)
    return torch.maximum(response, floor)


_BENJAMIN = "Benjamin et al. 2022, Nat Commun 13:7972"

NOISE: dict[str, Noise] = {
    noise.name: noise
    for noise in (
        Noise(
            "relative",
            "J = |dr/dtheta|^2 / (level * r.m.s. response of the layer)^2",
            "fraction of the layer's r.m.s. response",
            _BENJAMIN + ", with sigma in units of each layer's response",
            lambda level, response_rms: (level * response_rms) ** 2,
        ),
        Noise(
            "gaussian",
            "J = |dr/dtheta|^2 / level^2",
            "activation units",
            _BENJAMIN,
            lambda level, _response_rms: level**2,
        ),
        Noise(
            "poisson",
            "J = sum over units of (dr/dtheta)^2 / (level * max(r, floor))",
            "Fano factor: variance over mean, in activation units",
            "Seung & Sompolinsky 1993, PNAS 90:10749",
            lambda level, _response_rms: level,
            _floored,
            (
                Option(
                    "floor",
                    "fraction of the image's r.m.s. response",
                    0.01,
                    1e-6,
                    1e6,
                    "least mean that a unit's variance goes with",
                ),
                Option("rectify", "0 or 1", 0.0, 0.0, 1.0, "1: negative responses count as 0"),
            ),
        ),
        Noise(
            "input",
            "J = dr' (level^2 A A' + response^2 I)^-1 dr, A = dr/dpixels",
            "s.d. of every pixel and channel, image values being 0 to 1",
            "Beck, Bejjanki & Pouget 2011, Neural Comput 23:1484; Golub & Meurant 2010 for the bounds",
            lambda _level, _response_rms: 1.0,
            options=(
                Option(
                    "response",
                    "fraction of the r.m.s. response to the image",
                    0.1,
                    0.0,
                    1e6,
                    "s.d. of the noise that the layer adds",
                ),
                Option("tolerance", "fraction of J", 0.01, 1e-8, 0.5, "gap of the bounds on J to stop at"),
                Option("iterations", "steps", 300.0, 1.0, 1e5, "of conjugate gradients at most"),
            ),
            level=0.02,
            independent=False,
        ),
        Noise(
            "empirical",
            "J = dr' C^-1 dr / level^2, dr the mean over nuisance samples, C their covariance + response^2 I",
            "multiple of all noise's s.d.",
            "Kohn et al. 2016, Annu Rev Neurosci 39:237; Kanitscheider et al. 2015, PLoS Comput Biol "
            "11:e1004218 for the bias",
            lambda level, _response_rms: level**2,
            options=(
                Option(
                    "response",
                    "fraction of the layer's r.m.s. response",
                    0.1,
                    0.0,
                    1e6,
                    "s.d. of the noise that the layer adds; 0 needs more samples than units",
                ),
                Option("shrinkage", "0 to 1", 0.0, 0.0, 1.0, "weight of the identity in the covariance"),
            ),
            independent=False,
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
