"""From the responses of units to gratings to their columns: orientation, frequency and phase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from psychophys.base.types import Array
from psychophys.physiology.baseline import Baseline
from psychophys.physiology.plan import Tune
from psychophys.physiology.shown import Held
from psychophys.physiology.statistics import (
    FEWEST_PHASES,
    HALF,
    ROOT_HALF,
    Harmonics,
    circular_variance,
    harmonics,
    orientation_peaks,
    peaks,
)

SILENT = 1e-5
"""Share of a unit's own activation that may be rounding."""
FLAT = 0.01
"""Range of a curve over its highest value, under which it has no peak."""
MEAN, FUNDAMENTAL = "F0", "F1"
Columns = dict[str, Any]
"""Arrays of U numbers or words, by column."""


@dataclass(frozen=True)
class Responses:
    """What U units respond to gratings.

    Attributes
    ----------
    blank
        Activation for the blank grey.
    responds
        Whether anything is over the rounding.
    fundamental
        Whether a unit's response is F1, the larger of the two at its best, and not F0.
    curves
        That component: (F, O, U).
    ratio, phase_deg
        F1 over F0 and the preferred phase at the best grating.
    """

    blank: Array
    responds: Any
    fundamental: Any
    curves: Array
    ratio: Array
    phase_deg: Array

    @property
    def peak(self) -> Array:
        """The highest response: (U,)."""
        return np.asarray(self.curves.reshape(-1, self.curves.shape[-1]).max(axis=0))

    @property
    def relative(self) -> Array:
        """Share of its best that each unit responds at every place: (F * O, U); 0 of silent ones."""
        flat = self.curves.reshape(-1, self.curves.shape[-1])
        return np.where(self.responds, flat / np.where(self.responds, self.peak, 1), 0.0)


def component(of: Harmonics, fundamental: Any) -> Array:
    """F1 or F0, unit by unit."""
    return np.where(fundamental, of.amplitude, of.mean)


def read_responses(tune: Tune, activation: Held, blank: Array) -> Responses:
    """Of activations in samples and at orientations: (S, O, U)."""
    measurement = tune.gratings
    shape = [len(values) for values in measurement.parameters.values()]
    names = list(measurement.parameters)
    table = activation.astype(np.float64).reshape(*shape, *activation.shape[1:])
    table = np.moveaxis(table, (names.index("frequency"), names.index("phase"), -2), (0, -2, 1))
    table = table.reshape(shape[names.index("frequency")], activation.shape[1], -1, activation.shape[2])
    found = harmonics(tune.baseline.response(table, blank), tune.parameter("phase"))
    flat = Harmonics(*(of.reshape(-1, len(blank)) for of in (found.mean, found.amplitude, found.phase_deg)))
    fundamental = flat.amplitude.max(axis=0) > flat.mean.max(axis=0)
    curves = component(found, fundamental)
    best = component(flat, fundamental).argmax(axis=0)[None]
    f0, f1, phase = (
        np.take_along_axis(of, best, axis=0)[0] for of in (flat.mean, flat.amplitude, flat.phase_deg)
    )
    size = np.maximum(np.abs(activation).max(axis=(0, 1)), np.abs(blank))
    responds = np.where(fundamental, f1, f0) > SILENT * size
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(f0 > 0, f1 / f0, np.nan)
    return Responses(blank, responds, fundamental, curves, ratio, phase)


def grating_columns(tune: Tune, found: Responses) -> Columns:
    """Every column that the first set of gratings gives."""
    units = np.arange(len(found.blank))
    flat = found.curves.reshape(-1, len(units)).argmax(axis=0)
    row, column = np.unravel_index(flat, found.curves.shape[:2])
    over_orientation = found.curves[row, :, units].T
    over_frequency = found.curves[:, column, units]
    return {
        "baseline": found.blank,
        "response": np.where(found.responds, found.peak, np.nan),
        "component": [
            None if not seen else FUNDAMENTAL if first else MEAN
            for seen, first in zip(found.responds, found.fundamental, strict=True)
        ],
        **_orientation(over_orientation, np.array(tune.gratings.values), found.responds),
        **_frequency(over_frequency, tune.parameter("frequency"), found.responds),
        **_phase(found, tune.parameter("phase")),
    }


def said(*reasons: tuple[Any, str]) -> list[str | None]:
    """For each unit the first reason that holds of it, or None."""
    count = next(len(which) for which, _ in reasons)
    return [next((word for which, word in reasons if which[unit]), None) for unit in range(count)]


def only(where: Any, numbers: Array) -> Array:
    """Numbers where they mean something, and NaN elsewhere."""
    return np.where(where, numbers, np.nan)


def _orientation(curves: Array, orientation_deg: Array, responds: Any) -> Columns:
    found = orientation_peaks(curves, orientation_deg)
    flat = np.ptp(curves, axis=0) < FLAT * curves.max(axis=0)
    peaked = responds & ~flat
    width = (found.below[HALF] + found.above[HALF]) / 2
    negative = curves.min(axis=0) < 0
    return {
        "preferred_orientation": only(peaked, found.at),
        "orientation_bandwidth": only(peaked, width),
        "circular_variance": only(responds, circular_variance(curves, orientation_deg)),
        "orientation_reason": said(
            (~responds, "silent"), (flat, "flat"), (np.isnan(width), "broad"), (negative, "negative")
        ),
    }


def _frequency(curves: Array, frequency: Array, responds: Any) -> Columns:
    found = peaks(curves, np.log2(frequency))
    flat = np.ptp(curves, axis=0) < FLAT * curves.max(axis=0)
    peaked = responds & ~flat
    low, high = np.isnan(found.below[HALF]), np.isnan(found.above[HALF])
    ratio = 100 * 2.0 ** -(found.below[ROOT_HALF] + found.above[ROOT_HALF])
    return {
        "preferred_frequency": only(peaked, 2.0**found.at),
        "frequency_bandwidth": only(peaked, found.below[HALF] + found.above[HALF]),
        "frequency_selectivity": only(peaked, ratio),
        "frequency_reason": said(
            (~responds, "silent"),
            (flat, "flat"),
            (low & high, "broad"),
            (low, "low-pass"),
            (high, "high-pass"),
        ),
    }


def _phase(found: Responses, phases_deg: Array) -> Columns:
    few = np.full(len(found.blank), len(phases_deg) < FEWEST_PHASES)
    ratio = only(found.responds & ~few, found.ratio)
    return {
        "modulation_ratio": ratio,
        "preferred_phase": only(found.responds & ~few, found.phase_deg),
        "phase_reason": said((~found.responds, "silent"), (few, "phases"), (np.isnan(ratio), "negative")),
    }


def read_curve(
    activation: Held, blank: Array, phase_deg: Array, baseline: Baseline, fundamental: Any
) -> Array:
    """The responses to gratings that differ in one thing: activations (P, K, U) to (K, U)."""
    table = np.moveaxis(activation.astype(np.float64), 0, -2)
    return component(harmonics(baseline.response(table, blank), phase_deg), fundamental)
