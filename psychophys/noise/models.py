"""The table of noise models. A new model is one :class:`Noise` and one entry here.

Where it is independent between units, the variance of each unit is all that it needs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from psychophys.base.errors import UsageError
from psychophys.base.registry import Registry
from psychophys.noise.empirical import EMPIRICAL
from psychophys.noise.information import Domain, Noise, Option, Options
from psychophys.noise.pixels import FROM_PIXELS

_BENJAMIN = "Benjamin et al. 2022, Nat Commun 13:7972"


def _squared_share(level: float, response_rms: float) -> float:
    return (level * response_rms) ** 2


def _squared(level: float, _response_rms: float) -> float:
    return level**2


def _as_it_is(level: float, _response_rms: float) -> float:
    return level


def _one(_level: float, _response_rms: float) -> float:
    return 1.0  # The level is within J already.


def _has_negative(response: Tensor) -> Tensor:
    return (response < 0).any(dim=1)


NON_NEGATIVE = Domain(
    "negative", "negative responses", _has_negative, "--noise-option rectify=1 counts these as 0"
)


def _floored(response: Tensor, options: Options) -> Tensor:
    # The floor goes with the image's own response, so that units of activation do not matter.
    rms = torch.linalg.vector_norm(response, dim=1, keepdim=True) / response.shape[1] ** 0.5
    floor = torch.clamp(options["floor"] * rms, min=torch.finfo(response.dtype).tiny)
    return torch.maximum(response, floor)


NOISE = Registry(
    "noise model",
    (
        Noise(
            "relative",
            "J = |dr/dtheta|^2 / (level * r.m.s. response of the layer)^2",
            "fraction of the layer's r.m.s. response",
            _BENJAMIN + ", with sigma in units of each layer's response",
            _squared_share,
        ),
        Noise("gaussian", "J = |dr/dtheta|^2 / level^2", "activation units", _BENJAMIN, _squared),
        Noise(
            "poisson",
            "J = sum over units of (dr/dtheta)^2 / (level * max(r, floor))",
            "Fano factor: variance over mean, in activation units",
            "Seung & Sompolinsky 1993, PNAS 90:10749",
            _as_it_is,
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
            domain=NON_NEGATIVE,
        ),
        Noise(
            "input",
            "J = dr' (level^2 A A' + response^2 I)^-1 dr, A = dr/dpixels",
            "s.d. of every pixel and channel, image values being 0 to 1",
            "Beck, Bejjanki & Pouget 2011, Neural Comput 23:1484; Golub & Meurant 2010 for the bounds",
            _one,
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
            method=FROM_PIXELS,
        ),
        Noise(
            "empirical",
            "J = dr' C^-1 dr / level^2, dr the mean over nuisance samples, C their covariance + response^2 I",
            "multiple of all noise's s.d.",
            "Kohn et al. 2016, Annu Rev Neurosci 39:237; Kanitscheider et al. 2015, PLoS Comput Biol "
            "11:e1004218 for the bias",
            _squared,
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
            method=EMPIRICAL,
        ),
    ),
    Noise,
    group="psychophys.noise",
    hint="See `psychophys noises`.",
)


def get_noise(noise: str | Noise) -> Noise:
    """Return the noise model of that name, or the one given.

    Raises
    ------
    UsageError
        For a name that is not known, and for one given that has the name of another.
    """
    found = NOISE.find(noise)
    if found.name in NOISE and NOISE[found.name] != found:
        raise UsageError(
            f"noise model {found.name!r} is another one than that of this name in the table",
            "Give yours a name of its own.",
        )
    return found
