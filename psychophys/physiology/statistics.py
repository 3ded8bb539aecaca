"""What tuning curves come to, for many units at once: peaks, widths, selectivity.

Nothing here knows of images. A curve is a column: (K, U) for K values and U units. What means nothing is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from psychophys.base.types import Array

FINE_DEG = 0.25
"""Between orientations of an interpolated curve."""
FINE_OCTAVES = 1 / 64
"""Between frequencies, or diameters, of an interpolated curve."""
HALF, ROOT_HALF = 0.5, 0.5**0.5


@dataclass(frozen=True)
class Peaks:
    """Where interpolated curves are highest, and where they fall below a share of that on both sides.

    Attributes
    ----------
    at, height
        (U,).
    below, above
        By share: distance of the crossing on either side, NaN where there is none. (U,).
    """

    at: Array
    height: Array
    below: dict[float, Array]
    above: dict[float, Array]


def circular_variance(curves: Array, orientation_deg: Array) -> Array:
    """1 - |sum r exp(2 i theta)| / sum r (Ringach, Shapley & Hawken 2002); NaN where responses are negative.

    Orientations are spread evenly over 180 deg.
    """
    turned = np.abs(np.exp(2j * np.deg2rad(orientation_deg)) @ curves)
    whole = curves.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = 1 - turned / whole
    return np.where((curves.min(axis=0) < 0) | (whole <= 0), np.nan, found)


def orientation_peaks(curves: Array, orientation_deg: Array) -> Peaks:
    """Of curves over orientation, by a periodic cubic spline.

    Orientations rise, and are spread over less than 180 deg.
    """
    first = orientation_deg[0]
    wrapped = np.append(orientation_deg, first + 180)
    spline = CubicSpline(wrapped, np.vstack([curves, curves[:1]]), bc_type="periodic")
    count = round(180 / FINE_DEG)
    fine = spline(first + FINE_DEG * np.arange(count))
    top = fine.argmax(axis=0)
    around = [_rolled(fine, top, step) for step in (1, -1)]
    shift, height = _summit(around[1][1], around[0][0], around[0][1])
    steps = {s: [_first_under(rows, s * height) for rows in around] for s in (HALF, ROOT_HALF)}
    above = {share: FINE_DEG * (rows[0] - shift) for share, rows in steps.items()}
    below = {share: FINE_DEG * (rows[1] + shift) for share, rows in steps.items()}
    return Peaks((first + FINE_DEG * (top + shift)) % 180, height, below, above)


def _rolled(fine: Array, top: NDArray[np.intp], step: int) -> Array:
    """From the peak on, in one direction, a quarter turn far: no bandwidth is more."""
    count = len(fine)
    rows: NDArray[np.intp] = (top + step * np.arange(count // 2 + 1)[:, None]) % count
    return np.take_along_axis(fine, rows, axis=0)


def peaks(curves: Array, octaves: Array) -> Peaks:
    """Of curves over the logarithm to base 2 of something, by a cubic spline; ends may be peaks."""
    count = max(2, round((octaves[-1] - octaves[0]) / FINE_OCTAVES) + 1)
    at, step = np.linspace(octaves[0], octaves[-1], count, retstep=True)
    fine = CubicSpline(octaves, curves)(at)
    top = fine.argmax(axis=0)
    inside = top.clip(1, count - 2)
    sides = [np.take_along_axis(fine, (inside + by)[None], axis=0)[0] for by in (-1, 0, 1)]
    shift, height = _summit(*sides)
    end = (top == 0) | (top == count - 1)
    shift = np.where(end, 0.0, shift)
    height = np.where(end, fine.max(axis=0), height)
    rows = np.arange(count)[:, None]
    below, above = {}, {}
    for share in (HALF, ROOT_HALF):
        right = np.where(rows >= top, fine, np.inf)
        left = np.where(rows <= top, fine, np.inf)[::-1]
        above[share] = step * (_first_under(right, share * height) - top - shift)
        below[share] = step * (_first_under(left, share * height) - (count - 1 - top) + shift)
    return Peaks(at[top] + step * shift, height, below, above)


def _summit(before: Array, here: Array, after: Array) -> tuple[Array, Array]:
    """Where a parabola through three points is highest, in steps from the middle one, and how high it is."""
    bend = before - 2 * here + after
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(bend < 0, 0.5 * (before - after) / bend, 0.0).clip(-0.5, 0.5)
    return shift, here - 0.25 * (before - after) * shift


def _first_under(rows: Array, level: Array) -> Array:
    """Place, between rows, where a curve first falls to a level; NaN where it does not."""
    under = rows <= level
    first = under.argmax(axis=0)
    high, low = (np.take_along_axis(rows, at[None], axis=0)[0] for at in ((first - 1).clip(0), first))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (high - level) / (high - low)
    return np.where(under.any(axis=0) & (first > 0), first - 1 + share, np.nan)


def first_reached(curves: Array, octaves: Array, share: float) -> Array:
    """Where interpolated curves first reach a share of their highest value, in octaves."""
    count = max(2, round((octaves[-1] - octaves[0]) / FINE_OCTAVES) + 1)
    at = np.linspace(octaves[0], octaves[-1], count)
    fine = CubicSpline(octaves, curves)(at)
    return np.asarray(at[(fine >= share * fine.max(axis=0)).argmax(axis=0)], dtype=np.float64)


@dataclass(frozen=True)
class Harmonics:
    """Responses over a cycle of phases: their mean, and amplitude and phase of the fundamental."""

    mean: Array
    amplitude: Array
    phase_deg: Array


def harmonics(responses: Array, phase_deg: Array) -> Harmonics:
    """F0 and F1 over the last axis but one: (..., P, U) to (..., U).

    Phases are spread evenly over 360 deg; with fewer than three there is no F1: it is 0.
    """
    wave = np.exp(1j * np.deg2rad(phase_deg))
    mean = responses.mean(axis=-2)
    if len(phase_deg) < FEWEST_PHASES:
        return Harmonics(mean, np.zeros_like(mean), np.full_like(mean, np.nan))
    first = 2 / len(wave) * np.einsum("...pu,p->...u", responses, wave)
    return Harmonics(mean, np.abs(first), np.rad2deg(np.angle(first)) % 360)


FEWEST_PHASES = 3
"""That tell amplitude and mean apart."""
