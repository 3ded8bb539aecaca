"""Linear Fisher information of an observer who does not know the nuisance parameters.

The covariance of responses over nuisance samples is the noise. It has far fewer samples than units, so
everything is computed from inner products between samples, and the covariance is shrunk towards a
multiple of the identity. Numbers in, numbers out (NumPy alone).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
RANK_TOLERANCE = 1e-10


@dataclass(frozen=True)
class Products:
    """Inner products of S samples' responses r and derivatives t of one layer.

    Attributes
    ----------
    rr, tr, tt
        Shape (S, S): r r', t r' and t t'. A constant may have been taken off every r.
    n_features
        Units in the layer.
    """

    rr: Array
    tr: Array
    tt: Array
    n_features: int

    def without(self, sample: int) -> Products:
        """The same for all samples but one."""
        rr, tr, tt = (np.delete(np.delete(a, sample, 0), sample, 1) for a in (self.rr, self.tr, self.tt))
        return Products(rr, tr, tt, self.n_features)


def linear_information(products: Products, shrinkage: float) -> float:
    """J = t' C^-1 t for the mean derivative t and the covariance C of the responses.

    The mean derivative is estimated too: pairs of unlike samples alone give its square without bias. The
    inverse of an unshrunk sample covariance is too large by (S - 1) / (S - F - 2), which is taken out
    (Kanitscheider et al. 2015); with shrinkage what remains is the shrinkage's own bias.

    Parameters
    ----------
    shrinkage
        Weight of the identity: C = (1 - w) C_sample + w tr(C_sample) / F I.
    """
    count, n_features = len(products.rr), products.n_features
    rr = _centred(products.rr)
    tr = products.tr - products.tr.mean(axis=1, keepdims=True)
    size, vectors = np.linalg.eigh(rr)
    kept = size > RANK_TOLERANCE * max(size[-1], 0.0)
    size, vectors = size[kept], vectors[:, kept]
    along = tr @ vectors / np.sqrt(size)  # t in the principal directions of the responses
    identity = shrinkage * size.sum() / ((count - 1) * n_features)
    variance = (1 - shrinkage) * size / (count - 1) + identity
    pairs = (along / variance) @ along.T
    if identity > 0:
        pairs += (products.tt - along @ along.T) / identity
    mean_square = (pairs.sum() - np.trace(pairs)) / (count * (count - 1))
    bias = (count - n_features - 2) / (count - 1) if shrinkage == 0 else 1.0
    return float(bias * mean_square)


def _centred(products: Array) -> Array:
    left = products - products.mean(axis=0, keepdims=True)
    return np.asarray(left - left.mean(axis=1, keepdims=True))


def ledoit_wolf(products: Products) -> float:
    """The best weight of the identity (Ledoit & Wolf 2004, J Multivar Anal 88:365)."""
    rr, n_features = _centred(products.rr), products.n_features
    count = len(rr)
    square = float((rr**2).sum()) / count**2  # of the covariance's Frobenius norm
    mean = float(np.trace(rr)) / (count * n_features)
    distance = square - n_features * mean**2
    if distance <= 0:
        return 1.0
    own = np.diag(rr) ** 2 - 2 * (rr**2).sum(axis=1) / count + square
    return float(np.clip(own.sum() / count**2 / distance, 0.0, 1.0))


def information_by_sample(products: Products, shrinkage: float) -> Array:
    """J as a mean over samples: jackknife pseudo-values (S,), so that it can be resampled like the others.

    Their mean is :func:`linear_information`; a sample's value says what it contributes.
    """
    weight = ledoit_wolf(products) if shrinkage < 0 else shrinkage
    whole = linear_information(products, weight)
    count = len(products.rr)
    left_out = np.array([linear_information(products.without(s), weight) for s in range(count)])
    return np.asarray(whole + (count - 1) * (left_out.mean() - left_out))
