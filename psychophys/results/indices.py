"""Indices: one number for how a layer's sensitivity goes over the values. NumPy alone.

Every index takes the values (K,) and sensitivities (..., K) and gives one number for each row, so that a
bootstrap's resamples go through the same function. A new index is one function and one entry in the table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from psychophys.base.registry import Registry
from psychophys.base.types import Array

CARDINAL_DEG, OBLIQUE_DEG = (0.0, 90.0), (45.0, 135.0)
AXIS_TOLERANCE_DEG = 1e-6
"""An orientation this near to an axis is at it."""
STEP_TOLERANCE_DEG = 0.01
"""By which steps round the ring may differ: orientations that were written with two decimals are even."""
FEWEST_INTERPOLATED = 13
"""Orientations, evenly spread over 180 deg, from which others are interpolated.

So many resolve cos 4, 8 and 12 theta, a curve that is the same at both axes with two overtones. With 9 to 11,
peaks of 10 deg at the axes come out 8 to 9 % too low, and of 7 deg 15 to 18 %.
"""


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


def is_at(orientation_deg: Array, axis_deg: float) -> NDArray[np.bool_]:
    """Which orientations are at an axis."""
    distance = np.abs((orientation_deg - axis_deg + 90) % 180 - 90)
    return np.asarray(distance <= AXIS_TOLERANCE_DEG, dtype=bool)


def at_axis(orientation_deg: Array, sensitivity: Array, axis_deg: float) -> Array | None:
    """Sensitivity at an axis: as it was measured, or interpolated where that was at other orientations.

    Interpolation is trigonometric, with a period of 180 deg: exact for a curve without harmonics over half
    the number of orientations.

    Parameters
    ----------
    sensitivity
        Shape (..., K).

    Returns
    -------
    Array or None
        Shape (...), NaN where the interpolated curve is under 0; None where it cannot be interpolated.
    """
    measured = is_at(orientation_deg, axis_deg)
    if measured.any():
        return np.asarray(sensitivity[..., measured].mean(axis=-1))
    if not is_ring(orientation_deg):
        return None
    found = sensitivity @ _weights(orientation_deg, axis_deg)
    return np.where(found >= 0, found, np.nan)


def _places(orientation_deg: Array) -> tuple[Array, NDArray[np.intp], NDArray[np.intp]]:
    """Different orientations in their order, which of them each one is, and how often each comes."""
    turned = np.round(orientation_deg % 180, 6) % 180  # 180 deg is 0 deg.
    places, place, count = np.unique(turned, return_inverse=True, return_counts=True)
    return places, place, count


def is_ring(orientation_deg: Array) -> bool:
    """Whether these are enough equal steps of one round."""
    places, _, _ = _places(orientation_deg)
    if len(places) < FEWEST_INTERPOLATED:
        return False
    steps = np.diff(places, append=places[0] + 180)
    return bool(np.ptp(steps) <= 2 * STEP_TOLERANCE_DEG)


def _weights(orientation_deg: Array, at_deg: float) -> Array:
    """Of every orientation in the interpolated curve: (K,)."""
    places, place, count = _places(orientation_deg)
    turn = np.deg2rad(at_deg - orientation_deg)
    waves = np.arange(1, (len(places) - 1) // 2 + 1)
    kernel = 1 + 2 * np.cos(2 * waves * turn[:, None]).sum(axis=-1)
    if len(places) % 2 == 0:
        kernel = kernel + np.cos(len(places) * turn)
    return np.asarray(kernel / (len(places) * count[place]), dtype=float)


def _cardinal_and_oblique(value: Array, sensitivity: Array) -> tuple[Array, Array]:
    return _mean_at(value, sensitivity, CARDINAL_DEG), _mean_at(value, sensitivity, OBLIQUE_DEG)


def _mean_at(value: Array, sensitivity: Array, axes_deg: Sequence[float]) -> Array:
    """Mean over the axes that are known; NaN where none is."""
    known = [at for axis in axes_deg if (at := at_axis(value, sensitivity, axis)) is not None]
    return np.mean(known, axis=0) if known else np.full(sensitivity.shape[:-1], np.nan)


def cardinal_oblique_ratio(value: Array, sensitivity: Array) -> Array:
    """Mean sensitivity at 0 and 90 deg over that at 45 and 135 deg: see :func:`at_axis`."""
    cardinal, oblique = _cardinal_and_oblique(value, sensitivity)
    return _divide(cardinal, oblique)


def oblique_effect_index(value: Array, sensitivity: Array) -> Array:
    """(cardinal - oblique) / (cardinal + oblique), of the same means: from -1 to 1, 0 for none."""
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
            "cardinal over oblique sensitivity: mean at 0 and 90 over that at 45 and 135 deg",
            cardinal_oblique_ratio,
            ("orientation",),
        ),
        Index(
            "oblique_effect_index",
            "(cardinal - oblique) / (cardinal + oblique) sensitivity, of the same means",
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
