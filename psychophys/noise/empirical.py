"""Linear Fisher information of a read-out that does not know the nuisance parameters.

The covariance C of responses over nuisance samples is noise, on top of the layer's own. There are far
fewer samples than units, so everything is computed from inner products between samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from psychophys.base.errors import MeasurementError, UsageError
from psychophys.base.types import Array
from psychophys.noise.information import Method, Options, Quantities, Setting, divided, squared_norm, wide
from psychophys.observers.layers import Layer
from psychophys.observers.memory import out_of_memory
from psychophys.responses.presentation import Presentation, fetched

Places = NDArray[np.intp]
RANK_TOLERANCE = 1e-10
FOLDS = 5


@dataclass(frozen=True)
class Products:
    """Inner products of S samples' responses r and derivatives t of one layer.

    Attributes
    ----------
    rr, tr, tt
        Shape (S, S): r r', t r' and t t'. A constant may have been taken off every r.
    mean_square
        Of the responses themselves, over samples and units.
    n_features
        Units in the layer.
    """

    rr: Array
    tr: Array
    tt: Array
    mean_square: float
    n_features: int

    def of(self, samples: Places) -> Products:
        """The same for some of the samples."""
        rr, tr, tt = (part[np.ix_(samples, samples)] for part in (self.rr, self.tr, self.tt))
        return Products(rr, tr, tt, self.mean_square, self.n_features)


@dataclass(frozen=True)
class Regularity:
    """What is added to the covariance over samples.

    Attributes
    ----------
    response
        S.d. of independent noise of every unit, as a fraction of the r.m.s. response.
    shrinkage
        Weight of the identity, at the covariance's mean variance.
    """

    response: float
    shrinkage: float

    @property
    def nothing(self) -> bool:
        """Whether the covariance is inverted as it is."""
        return self.response == 0 and self.shrinkage == 0


def linear_information(products: Products, added: Regularity, *, drawn: bool) -> float:
    """J = t' C^-1 t for the mean derivative t and the covariance C.

    Parameters
    ----------
    drawn
        Whether samples are drawn at random (images, noise). Then t and C come from unlike samples, in
        pairs of folds, so that neither the square of t nor what t and C share adds information; an inverse
        to which nothing is added is too large by (n - 1) / (n - F - 2), which is taken out (Kanitscheider
        et al. 2015). Without it, samples are a regular grid (phases), whose means are integrals.
    """
    count = len(products.rr)
    if not drawn:
        everything = np.arange(count, dtype=np.intp)
        return float(_forms(products, everything, added, 0).mean())
    fold = np.arange(count) % min(FOLDS, count)
    total, pairs = 0.0, 0
    for a in range(fold.max() + 1):
        for b in range(a, fold.max() + 1):
            fitted = np.flatnonzero((fold != a) & (fold != b))
            forms = _forms(products, fitted, added, 1)[np.ix_(fold == a, fold == b)]
            unlike = ~np.eye(len(forms), dtype=bool) if a == b else np.ones_like(forms, dtype=bool)
            bias = (len(fitted) - products.n_features - 2) / (len(fitted) - 1) if added.nothing else 1.0
            weight = 1 if a == b else 2
            total += weight * bias * float(forms[unlike].sum())
            pairs += weight * int(unlike.sum())
    return total / pairs


def _forms(products: Products, fitted: Places, added: Regularity, ddof: int) -> Array:
    """t_i' C^-1 t_j of all pairs of samples, C fitted to some of them: (S, S)."""
    rr = products.rr[np.ix_(fitted, fitted)]
    rr = rr - rr.mean(axis=0, keepdims=True)
    rr = rr - rr.mean(axis=1, keepdims=True)
    tr = products.tr[:, fitted]
    tr = tr - tr.mean(axis=1, keepdims=True)
    size, vectors = np.linalg.eigh(rr)
    kept = size > RANK_TOLERANCE * max(size[-1], 0.0)
    size, vectors = size[kept], vectors[:, kept]
    along = tr @ vectors / np.sqrt(size)  # t in the principal directions of the responses
    covariance = size / (len(fitted) - ddof)
    own = added.response**2 * products.mean_square
    own += added.shrinkage * covariance.sum() / products.n_features
    forms = (along / ((1 - added.shrinkage) * covariance + own)) @ along.T
    if own > 0:
        forms += (products.tt - along @ along.T) / own
    return np.asarray(forms)


class Empirical(Method):
    """The covariance over nuisance samples is noise, so that a block is one value in all of them."""

    def check_layers(self, options: Options, layers: Sequence[Layer], n_samples: int) -> None:
        """A covariance that is inverted as it is needs more samples than units."""
        if options["shrinkage"] > 0 or options["response"] > 0:
            return
        units = max(layer.n_features for layer in layers)
        # It is fitted to three fifths of the samples, and for a check to those of half.
        least = 4 * (units + 4)
        if n_samples < least:
            raise UsageError(
                f"empirical noise with response 0 and shrinkage 0, {n_samples} samples and {units:,} units",
                f"Give {least:,} samples or more, fewer --layers, or response=0.1.",
            )

    def block(self, setting: Setting, shown: Presentation) -> Quantities:
        """J over all samples, and over every second one."""
        parts: dict[str, list[tuple[Tensor, Tensor]]] = {layer.name: [] for layer in shown.layers}
        numbers: dict[tuple[str, str], Tensor] = {}
        features: dict[str, int] = {}

        def receive(name: str, r: Tensor, change: Tensor | None) -> None:
            parts[name].append((r, torch.zeros_like(r) if change is None else change))
            if sum(len(part) for part, _ in parts[name]) == shown.n_samples:
                features[name] = r.shape[1]
                for what, tensor in products_of(parts.pop(name)).items():
                    numbers[name, what] = tensor

        try:
            width = shown.respond(receive)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            raise MeasurementError(
                f"out of memory with {shown.n_samples} images at once, as empirical noise shows them",
                "Give fewer phases or images, or another --device.",
            ) from error
        added = Regularity(setting.options["response"], setting.options["shrinkage"])
        assert shown.nuisance is not None  # All samples are shown together.
        groups, drawn = shown.nuisance.groups, shown.nuisance.drawn
        kept: Quantities = {"information": {}, "response": {}, "half": {}}
        found = fetched(numbers)
        for name, n_features in features.items():
            rr, tr, tt = (found[name, what] for what in ("rr", "tr", "tt"))
            of = Products(rr, tr, tt, float(found[name, "mean_square"]), n_features)
            kept["response"][name] = found[name, "squares"].reshape(shown.shape)
            every = [linear_information(of.of(rows), added, drawn=drawn) for rows in groups]
            half = [linear_information(of.of(rows[::2]), added, drawn=drawn) for rows in groups]
            kept["information"][name] = np.full(shown.shape, np.mean(every) / width**2)
            kept["half"][name] = np.full(shown.shape, np.mean(half) / width**2)
        return kept

    def average(self, setting: Setting, unit: Array, _weights: Array, variance: Array) -> Array:
        """J of all samples: they are the noise, and are not weighted."""
        return setting.saturated(divided(unit.mean(axis=0), variance))

    def error_of_halves(self, kept: Mapping[str, Array]) -> Array | None:
        """From J of every second sample."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.abs(np.log(kept["information"][0] / kept["half"][0])) / 2)


def products_of(parts: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """What :class:`Products` holds, and squared norms, of responses and derivatives that came in parts.

    They are (rows, F) each. All stays on the device.
    """
    narrow, change = (torch.cat(part) for part in zip(*parts, strict=True))
    r, t = wide(narrow), wide(change)
    found = {"squares": squared_norm(narrow), "mean_square": r.square().mean()}
    r = r - r.mean(dim=0)
    return {**found, "rr": r @ r.T, "tr": t @ r.T, "tt": t @ t.T}


EMPIRICAL = Empirical(
    estimators=("jvp", "central"),
    keeps=("half",),
    shows_all_samples=True,
    fewest_samples=6,  # For a covariance, and one of half of them.
    has_intervals=False,
    is_estimate=True,
)
