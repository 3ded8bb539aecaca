"""Linear Fisher information of an observer who does not know the nuisance parameters.

The covariance C of responses over nuisance samples is noise, on top of the layer's own. There are far
fewer samples than units, so everything is computed from inner products between samples. NumPy alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
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
