"""Fisher information of all units of a layer by what they prefer: is it of more, stronger, sharper ones?

For unit i and orientation theta, averaged over the phases: J_i(theta) is the mean square of its exact
derivative, and its gain g_i the mean square of what it responds over the blank grey, over all orientations.
Units are in bins b by preferred orientation. With n_b units in a bin, G_b their mean gain and

    s_b(theta) = sum of J_i(theta) over the bin / sum of g_i over the bin,

J(theta) = sum over b of n_b G_b s_b(theta): an identity. It is J of `measure` with gaussian noise of level 1.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from psychophys.base.types import Array, Progress
from psychophys.measurement.batches import run_blocks
from psychophys.measurement.blocks import present
from psychophys.measurement.curves import PLAIN
from psychophys.measurement.spec import Measurement
from psychophys.measurement.sums import Span
from psychophys.measurement.ways import Way
from psychophys.noise.information import wide
from psychophys.observers.layers import Layer
from psychophys.observers.observer import Observer
from psychophys.responses.estimators import Estimator
from psychophys.responses.presentation import Presentation, fetched
from psychophys.responses.single import rows_of

UNTUNED = 0.05
"""Vector strength of a unit's squared responses under which it prefers no orientation."""
FACTORS = ("number", "gain", "sharpness", "untuned")
"""What the ratio of J at cardinal over J at oblique orientations is shared out among."""


@dataclass(frozen=True)
class Bins:
    """Units of a layer by preferred orientation, in bins about the K orientations, and one of the others.

    Attributes
    ----------
    count, gain
        Number of units, and sum of their gains: (K + 1,); the last is of units without a preference.
    information
        Sum of their J at every orientation: (K + 1, K).
    """

    orientation_deg: Array
    count: Array
    gain: Array
    information: Array

    @property
    def total(self) -> Array:
        """J at every orientation: (K,)."""
        return np.asarray(self.information.sum(axis=0))

    @property
    def as_dict(self) -> dict[str, Any]:
        """Plain values, for provenance."""
        rounded = [[float(f"{value:.9g}") for value in row] for row in self.information]
        gain = [float(f"{value:.9g}") for value in self.gain]
        count = [int(n) for n in self.count]
        return {
            "orientation_deg": list(self.orientation_deg),
            "count": count,
            "gain": gain,
            "information": rounded,
        }

    @classmethod
    def restore(cls, record: Mapping[str, Any]) -> Bins:
        """What :attr:`as_dict` wrote."""
        return cls(*(np.array(record[name], float) for name in _KEPT))

    def parts(self) -> Parts | None:
        """Why J differs at 0 and 90 deg from 45 and 135 deg; None where it is 0 or not known."""
        total = self.total
        cardinal, oblique = (self._sides(axes) for axes in ((0, 2), (1, 3)))
        if not np.isfinite(total).all() or not (cardinal.total > 0 and oblique.total > 0):
            return None
        shares = shapley(FACTORS, lambda of: _log(_mixed(cardinal, oblique, of)))
        if not all(map(math.isfinite, shares.values())):
            return None
        return Parts(cardinal.total / oblique.total, shares, self.cardinal_share)

    @property
    def cardinal_share(self) -> float:
        """Of the units that prefer an orientation, those within 22.5 deg of 0 or 90 deg; NaN without any."""
        apart = np.abs((self.orientation_deg + 45) % 90 - 45)
        # Half of a bin that lies across the border.
        weight = np.where(np.isclose(apart, 22.5), 0.5, apart < 22.5)
        tuned = self.count[:-1]
        return float(tuned @ weight / tuned.sum()) if tuned.sum() else float("nan")

    def _sides(self, quarters: Sequence[int]) -> Side:
        """Means over two orientations, by how far bins are from them."""
        count = len(self.orientation_deg)
        turns = [quarter * count // 4 for quarter in quarters]
        number, gain, j = (
            np.mean([np.roll(of, -turn) for turn, of in zip(turns, rows, strict=True)], axis=0)
            for rows in (
                [self.count[:-1]] * len(turns),
                [self.gain[:-1]] * len(turns),
                [self.information[:-1, turn] for turn in turns],
            )
        )
        return Side(number, gain, j, float(np.mean([self.information[-1, turn] for turn in turns])))


_KEPT = ("orientation_deg", "count", "gain", "information")


@dataclass(frozen=True)
class Side:
    """Units by distance from an orientation: their number, summed gain and J; and J of those without one."""

    number: Array
    gain: Array
    information: Array
    untuned: float

    @property
    def total(self) -> float:
        """J."""
        return float(self.information.sum() + self.untuned)


@dataclass(frozen=True)
class Parts:
    """J at cardinal over J at oblique orientations, and what it is due to.

    Attributes
    ----------
    shares
        By factor: parts of the ratio's logarithm, which add up to it.
    cardinal_share
        Of units that prefer an orientation.
    """

    ratio: float
    shares: dict[str, float]
    cardinal_share: float


def _mixed(cardinal: Side, oblique: Side, taken: frozenset[str]) -> float:
    """J with some factors of the cardinal side, and the others of the oblique one."""
    number, mean_gain, sharpness = (
        np.where([name in taken], one, other)
        for name, one, other in (
            ("number", cardinal.number, oblique.number),
            ("gain", *_quotients(cardinal.gain, cardinal.number, oblique.gain, oblique.number)),
            (
                "sharpness",
                *_quotients(cardinal.information, cardinal.gain, oblique.information, oblique.gain),
            ),
        )
    )
    rest = cardinal.untuned if "untuned" in taken else oblique.untuned
    return float((number * mean_gain * sharpness).sum() + rest)


def _log(value: float) -> float:
    return math.log(value) if value > 0 else math.nan


def _quotients(one: Array, of_one: Array, other: Array, of_other: Array) -> tuple[Array, Array]:
    """Both sides' quotients; a side that has nothing takes the other's, so that only its number tells."""
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = one / of_one, other / of_other
    first, second = np.where(of_one > 0, first, second), np.where(of_other > 0, second, first)
    return np.nan_to_num(first, nan=0.0), np.nan_to_num(second, nan=0.0)


def shapley(names: Sequence[str], value: Callable[[frozenset[str]], float]) -> dict[str, float]:
    """What each name adds, averaged over all orders of adding them (Shapley 1953); adds up to the whole."""
    worth = {
        frozenset(some): value(frozenset(some))
        for size in range(len(names) + 1)
        for some in itertools.combinations(names, size)
    }
    shares = {}
    for name in names:
        others = [of for of in worth if name not in of]
        weights = [
            math.factorial(len(of)) * math.factorial(len(names) - len(of) - 1) / math.factorial(len(names))
            for of in others
        ]
        shares[name] = sum(
            w * (worth[of | {name}] - worth[of]) for w, of in zip(weights, others, strict=True)
        )
    return shares


@dataclass
class _Preferred:
    """Sums over images of every unit's squared response, as it is and turned by twice the orientation."""

    blank: dict[str, Tensor]
    sums: dict[str, Tensor]

    def add(self, shown: Presentation) -> None:
        angle = 2 * torch.deg2rad(shown.values).repeat(shown.n_samples)
        waves = torch.stack([torch.ones_like(angle), torch.cos(angle), torch.sin(angle)])
        images = len(angle)

        def receive(name: str, output: Tensor) -> None:
            energy = (rows_of(output, images, in_order=True) - self.blank[name]).square()
            more = waves @ energy
            self.sums[name] = self.sums[name] + more if name in self.sums else more

        shown.plain(receive)

    def bins(self, name: str, count: int) -> Tensor:
        """Of every unit, the bin of the orientation that it prefers; the last is of none."""
        whole, cosine, sine = self.sums[name]
        strength = torch.hypot(cosine, sine)
        preferred = torch.rad2deg(torch.atan2(sine, cosine)) / 2
        place = torch.remainder(torch.round(preferred * count / 180), count).long()
        return torch.where((whole > 0) & (strength >= UNTUNED * whole), place, count)


def sum_populations(
    measurement: Measurement,
    way: Way,
    batch_size: int | None,
    progress: Sequence[Progress],
) -> dict[str, Bins]:
    """Two passes over the same images: what units prefer, from their responses; then their derivatives.

    Parameters
    ----------
    way
        How these layers' derivatives are taken.
    progress
        Of either pass.
    """
    own, observer, layers = way.of(measurement), way.observer, way.layers
    preferred = _Preferred(_blank(own, observer, layers), {})

    def look(block: Span, estimator: Estimator) -> None:
        preferred.add(present(own, observer, layers, block, estimator))

    run_blocks(_plain(own), observer, look, batch_size, progress[0])
    count, images = len(own.values), len(own.values) * len(own.samples)
    bins = {layer.name: preferred.bins(layer.name, count) for layer in layers}
    gains = {layer.name: preferred.sums[layer.name][0] / images for layer in layers}
    slopes = _Slopes(own, observer, layers, bins)
    run_blocks(own, observer, slopes.add, batch_size, progress[1])
    orientation = np.array(own.values)
    return {
        name: Bins(
            orientation,
            _binned(of, torch.ones_like(gains[name]), count),
            _binned(of, gains[name], count),
            slopes.information[name] / len(own.samples),
        )
        for name, of in bins.items()
    }


def _plain(measurement: Measurement) -> Measurement:
    return replace(measurement, estimator=PLAIN)


def _blank(measurement: Measurement, observer: Observer, layers: Sequence[Layer]) -> dict[str, Tensor]:
    """Activations of every unit for the grey that the stimulus is shown on: (1, F)."""
    grey = {**measurement.parameters, "contrast": (0.0,)}
    shown = present(
        replace(_plain(measurement), parameters=grey), observer, layers, (slice(0, 1), slice(0, 1)), PLAIN
    )
    found: dict[str, Tensor] = {}

    def receive(name: str, output: Tensor) -> None:
        found[name] = rows_of(output, 1, in_order=True).clone()

    shown.plain(receive)
    return found


def _binned(bins: Tensor, numbers: Tensor, count: int) -> Array:
    """Sums by bin."""
    return fetched({"": torch.bincount(bins, weights=wide(numbers), minlength=count + 1)})[""]


class _Slopes:
    """J by bin; where another estimator takes over, all is measured again."""

    estimator: Estimator | None = None

    def __init__(
        self, measurement: Measurement, observer: Observer, layers: Sequence[Layer], bins: dict[str, Tensor]
    ) -> None:
        self.measurement, self.observer, self.layers, self.bins = measurement, observer, layers, bins
        self.information: dict[str, Array] = {}

    def add(self, block: Span, estimator: Estimator) -> None:
        """Show a block of samples and values."""
        count = len(self.measurement.values)
        if estimator is not self.estimator:
            self.estimator = estimator
            self.information = {layer.name: np.zeros((count + 1, count)) for layer in self.layers}
        shown = present(self.measurement, self.observer, self.layers, block, estimator)
        pieces: dict[str, list[Tensor]] = {}

        def receive(name: str, response: Tensor, change: Tensor | None) -> None:
            rows = torch.zeros_like(response) if change is None else change
            of = self.bins[name]
            found = [torch.bincount(of, weights=wide(row).square(), minlength=count + 1) for row in rows]
            pieces.setdefault(name, []).append(torch.stack(found))

        width = shown.respond(receive, in_order=True)
        for name, numbers in fetched({name: torch.cat(of) for name, of in pieces.items()}).items():
            table = numbers.reshape(*shown.shape, count + 1).sum(axis=0).T / width**2
            self.information[name][:, block[1]] += table
