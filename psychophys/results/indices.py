"""Indices: one number for how a layer's sensitivity goes over the values. NumPy alone.

Every index takes the values (K,) and sensitivities (..., K) and gives one number for each row, so that a
bootstrap's resamples go through the same function. A new index is one function and one entry in the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from psychophys.base.registry import Registry
from psychophys.base.types import Array

AXIS_TOLERANCE_DEG = 7.5
"""Orientations this near to 0/90 count as cardinal, this near to 45/135 as oblique."""


@dataclass(frozen=True)
class Index:
    """One number for a layer.

    Attributes
    ----------
    dimensions
        Which it is for; empty for all.
    """

    name: str
    meaning: str
    compute: Callable[[Array, Array], Array]
    dimensions: tuple[str, ...] = ()

    def applies(self, dimension: str) -> bool:
        """Whether it says something of this dimension."""
        return not self.dimensions or dimension in self.dimensions


def is_cardinal(orientation_deg: Array) -> NDArray[np.bool_]:
    """The values nearest to 0 or 90 deg, if within ``AXIS_TOLERANCE_DEG``."""
    return _nearest(orientation_deg, 0.0)


def is_oblique(orientation_deg: Array) -> NDArray[np.bool_]:
    """The values nearest to 45 or 135 deg, if within ``AXIS_TOLERANCE_DEG``."""
    return _nearest(orientation_deg, 45.0)


def _nearest(orientation_deg: Array, axis_deg: float) -> NDArray[np.bool_]:
    distance = np.abs((orientation_deg - axis_deg + 45) % 90 - 45)
    near = distance <= distance.min() + 1e-9
    return np.asarray(near & (distance <= AXIS_TOLERANCE_DEG), dtype=bool)


def _cardinal_and_oblique(value: Array, sensitivity: Array) -> tuple[Array, Array]:
    groups = (sensitivity[..., chosen(value)] for chosen in (is_cardinal, is_oblique))
    cardinal, oblique = (
        part.mean(axis=-1) if part.shape[-1] else np.full(part.shape[:-1], np.nan) for part in groups
    )
    return cardinal, oblique


def cardinal_oblique_ratio(value: Array, sensitivity: Array) -> Array:
    """Mean sensitivity at cardinal over that at oblique orientations."""
    cardinal, oblique = _cardinal_and_oblique(value, sensitivity)
    return _divide(cardinal, oblique)


def oblique_effect_index(value: Array, sensitivity: Array) -> Array:
    """(cardinal - oblique) / (cardinal + oblique) of mean sensitivity: from -1 to 1, 0 for none."""
    cardinal, oblique = _cardinal_and_oblique(value, sensitivity)
    return _divide(cardinal - oblique, cardinal + oblique)


def anisotropy(_value: Array, sensitivity: Array) -> Array:
    """Standard deviation of sensitivity over the values, over its mean: 0 where it is even."""
    return _divide(sensitivity.std(axis=-1), sensitivity.mean(axis=-1))


def tuning_entropy(_value: Array, sensitivity: Array) -> Array:
    """Entropy of sensitivity as a share over the values, over its maximum: 1 where it is even."""
    count = sensitivity.shape[-1]
    if count < 2:
        return np.full(sensitivity.shape[:-1], np.nan)
    share = _divide(sensitivity, sensitivity.sum(axis=-1, keepdims=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(share > 0, share * np.log(share), share * 0)
    return np.asarray(-terms.sum(axis=-1) / np.log(count))


def weber_slope(value: Array, sensitivity: Array) -> Array:
    """Slope of log threshold on log value: 1 is Weber's law, 0 a threshold that does not change."""
    if len(np.unique(value)) < 2 or (value <= 0).any():
        return np.full(sensitivity.shape[:-1], np.nan)
    x = np.log(value) - np.log(value).mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = -np.log(sensitivity) @ x / (x @ x)
    return np.where(np.isfinite(slope), slope, np.nan)


def _divide(numerator: Array, denominator: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.asarray(denominator) > 0, numerator / denominator, np.nan)


INDICES = Registry(
    "index",
    (
        Index(
            "cardinal_oblique_ratio",
            "cardinal over oblique sensitivity",
            cardinal_oblique_ratio,
            ("orientation",),
        ),
        Index(
            "oblique_effect_index",
            "(cardinal - oblique) / (cardinal + oblique) sensitivity",
            oblique_effect_index,
            ("orientation",),
        ),
        Index("anisotropy", "s.d. over mean of sensitivity; 0 where it is even", anisotropy),
        Index(
            "tuning_entropy", "entropy of sensitivity over its maximum; 1 where it is even", tuning_entropy
        ),
        Index(
            "weber_slope",
            "slope of log threshold on log value; 1 is Weber's law",
            weber_slope,
            ("contrast", "frequency"),
        ),
    ),
    Index,
)
