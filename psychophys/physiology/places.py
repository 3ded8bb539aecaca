"""Size and contrast, near what each unit prefers: a few pairs of orientation and frequency, shared by all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from psychophys.base.types import Array
from psychophys.physiology.gratings import Columns, Responses, only, said
from psychophys.physiology.naka_rushton import fit_naka_rushton
from psychophys.physiology.plan import Tune
from psychophys.physiology.statistics import first_reached, peaks

NEAR = 0.5
"""Share of its best that a unit must respond at its place."""
SUMMATION = 0.95
"""Share of the highest response that the summation field's diameter reaches (Cavanaugh et al. 2002)."""
SUPPRESSED = 0.1
"""Suppression from which there is a preferred diameter."""


@dataclass(frozen=True)
class Places:
    """Pairs of orientation and frequency.

    Attributes
    ----------
    pairs
        Orientation in degrees and frequency in cycles/image.
    of, share
        By layer, for each unit: which pair is its own, and what share of its best it responds there.
    """

    pairs: list[tuple[float, float]]
    of: list[Any]
    share: list[Array]


def choose_places(tune: Tune, layers: Sequence[Responses]) -> Places:
    """One after the other, the pair that adds most to what units respond at the best pair so far.

    Every layer counts the same, however many units it has.
    """
    relative = [layer.relative for layer in layers]
    every = np.concatenate([part / max(part.shape[1], 1) for part in relative], axis=1)
    count = min(tune.places, len(every))
    chosen: list[int] = []
    reached = np.zeros(every.shape[1])
    for _ in range(count):
        gain = np.maximum(every, reached).sum(axis=1)
        best = int(gain.argmax())
        if chosen and gain[best] <= reached.sum() * (1 + 1e-12):
            break
        chosen.append(best)
        reached = np.maximum(reached, every[best])
    orientations, frequencies = tune.gratings.values, tune.parameter("frequency")
    pairs = [
        (float(orientations[place % len(orientations)]), float(frequencies[place // len(orientations)]))
        for place in chosen
    ]
    of = [part[chosen].argmax(axis=0) if chosen else np.zeros(part.shape[1], int) for part in relative]
    share = [part[chosen].max(axis=0) if chosen else np.zeros(part.shape[1]) for part in relative]
    return Places(pairs, of, share)


def size_columns(tune: Tune, curves: Array, responds: Any, share: Array) -> Columns:
    """Of responses by diameter: (K, U)."""
    octaves = np.log2(np.array(tune.diameters))
    found = peaks(curves, octaves)
    top = curves.max(axis=0)
    near = responds & (share >= NEAR)
    seen = near & (top > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        index = 1 - curves[-1] / found.height
    index = np.where(found.at >= octaves[-1], 0.0, index)
    grows = index < SUPPRESSED
    return {
        "suppression_index": only(seen, index),
        "preferred_diameter": only(seen & ~grows, 2.0**found.at),
        "summation_diameter": only(seen, 2.0 ** first_reached(curves, octaves, SUMMATION)),
        "size_reason": said(
            (~responds, "silent"), (~near, "far"), (~seen, "negative"), (grows, "unsuppressed")
        ),
    }


def contrast_columns(tune: Tune, curves: Array, responds: Any, share: Array) -> Columns:
    """Of responses by contrast: (K, U)."""
    contrast = np.array(tune.contrasts)
    near = responds & (share >= NEAR)
    seen = near & (curves.max(axis=0) > 0)
    found = fit_naka_rushton(np.where(seen, curves, 1.0), contrast)
    bends, low = found.c50 <= contrast[-1], found.c50 < contrast[0]
    known = seen & bends & ~low
    return {
        "rmax": only(known, found.rmax),
        "c50": only(known, found.c50),
        "exponent": only(seen & ~low, found.exponent),
        "contrast_residual": only(seen, found.residual),
        "contrast_reason": said(
            (~responds, "silent"),
            (~near, "far"),
            (~seen, "negative"),
            (~bends, "unsaturated"),
            (low, "saturated"),
        ),
    }
