"""Responses of units by value, some layers at a time: what is held does not grow with the layers."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from psychophys.base.types import Array, Progress
from psychophys.measurement.batches import run_blocks
from psychophys.measurement.blocks import present
from psychophys.measurement.moments import Moments
from psychophys.measurement.record import measuring
from psychophys.measurement.spec import Measurement
from psychophys.measurement.sums import Span
from psychophys.measurement.ways import Way, Ways
from psychophys.observers.layers import Layer
from psychophys.observers.observer import Observer
from psychophys.observers.units import Axes, Grain, Indices
from psychophys.responses.estimators import ESTIMATORS, Estimator
from psychophys.responses.presentation import Presentation, fetched
from psychophys.responses.single import rows_of

MOST_IN_PART = 2**20
"""Units times values that are written at once: a row group."""
MOST_HELD = 2**24
"""The same of all that is measured in one go, some hundreds of megabytes; more takes more passes."""
PLAIN = ESTIMATORS["jvp"]
"""Its blocks are those of plain passes: one image for each value."""


@dataclass(frozen=True)
class Part:
    """Some channels or units of one layer."""

    layer: Layer
    axes: Axes
    chosen: Indices

    def split(self, n_values: int) -> list[Part]:
        """In parts that are small enough to be written at once."""
        size = max(1, MOST_IN_PART // n_values)
        starts = range(0, len(self.chosen), size)
        return [replace(self, chosen=self.chosen[start : start + size]) for start in starts]


@dataclass(frozen=True)
class Curves:
    """Responses of U units at K values.

    Attributes
    ----------
    chosen
        Which channels or units: (U,).
    response, sd, derivative
        (U, K); None where there is none.
    """

    chosen: Indices
    response: Array
    sd: Array | None
    derivative: Array | None

    def most_modulated(self, count: int) -> Curves:
        """Those with the largest range over the values, in the order of their index."""
        with np.errstate(invalid="ignore"):
            ranges = np.nan_to_num(np.ptp(self.response, axis=1), nan=-1.0)
        best = np.sort(np.argsort(-ranges, kind="stable")[:count])
        others = (None if of is None else of[best] for of in (self.sd, self.derivative))
        return Curves(self.chosen[best], self.response[best], *others)

    def joined(self, more: Curves) -> Curves:
        """These, then those."""

        def both(name: str) -> Array | None:
            own, other = getattr(self, name), getattr(more, name)
            return None if own is None else np.concatenate([own, other])

        return Curves(
            np.concatenate([self.chosen, more.chosen]),
            np.concatenate([self.response, more.response]),
            both("sd"),
            both("derivative"),
        )


@dataclass(frozen=True)
class Found:
    """Curves of a part of a layer.

    Attributes
    ----------
    estimator
        Name of what took the derivative; empty where none did.
    seconds
        That measuring has taken so far.
    """

    part: Part
    curves: Curves
    estimator: str
    seconds: float


def gather_curves(
    measurement: Measurement,
    ways: Ways,
    layers: Sequence[Part],
    per: Grain,
    *,
    most: int | None = None,
    derivative: bool = False,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Found]:
    """Curves of every layer, part by part.

    Parameters
    ----------
    most
        Give so many of a layer, in one part.
    """
    n_values = len(measurement.values)
    parts = [part for layer in layers for part in layer.split(n_values)]
    groups = list(_groups(parts, n_values))
    turns = _Turns(progress, len(groups) * (1 + len(ways.every) * derivative))
    last = {part.layer.name: part for part in parts}
    held: dict[str, Curves] = {}
    seconds = 0.0
    for group in groups:
        started = time.perf_counter()
        with measuring(ways.observer):
            means = _Responses(measurement, ways.observer, group, per)
            plain = replace(measurement, estimator=PLAIN)
            run_blocks(plain, ways.observer, means.add, batch_size, turns.next())
            slopes: dict[int, tuple[Array, str]] = {}
            for way in ways.every if derivative else ():
                slopes |= _slopes(way, measurement, group, per, batch_size, turns.next())
        seconds += time.perf_counter() - started
        for index, part in enumerate(group):
            slope, estimator = slopes.pop(index, (None, ""))
            curves = means.curves(index, slope)
            if most is not None:
                name = part.layer.name
                held[name] = (held[name].joined(curves) if name in held else curves).most_modulated(most)
                if part is not last[name]:
                    continue
                curves = held.pop(name)
            yield Found(part, curves, estimator, seconds)


class _Turns:
    """Progress over all that is shown: once for the responses of each group, and for its derivatives."""

    def __init__(self, progress: Progress | None, count: int) -> None:
        self._progress, self._count, self._places = progress, count, itertools.count()

    def next(self) -> Progress:
        """What the next turn calls as it goes on."""
        place = next(self._places)

        def advance(done: int, total: int) -> None:
            if self._progress is not None:
                self._progress(done + place * total, self._count * total)

        return advance


def _groups(parts: Sequence[Part], n_values: int) -> Iterator[list[Part]]:
    """Parts that are measured together."""
    group: list[Part] = []
    for part in parts:
        if group and sum(len(one.chosen) for one in (*group, part)) * n_values > MOST_HELD:
            yield group
            group = []
        group.append(part)
    yield group


def _slopes(
    way: Way,
    measurement: Measurement,
    group: Sequence[Part],
    per: Grain,
    batch_size: int | None,
    progress: Progress,
) -> dict[int, tuple[Array, str]]:
    """Derivatives of the parts that are measured in one way, (U, K), and by what, by place in the group."""
    names = {layer.name for layer in way.layers}
    places = [place for place, part in enumerate(group) if part.layer.name in names]
    if not places:
        return {}
    own = way.of(measurement)
    slopes = _Derivatives(own, way.observer, [group[place] for place in places], per)
    used = run_blocks(own, way.observer, slopes.add, batch_size, progress)
    return {place: (slopes.curves(index), used.name) for index, place in enumerate(places)}


class _Gathered:
    """Moments of every part, over blocks; a block counts when all of it is there."""

    def __init__(
        self, measurement: Measurement, observer: Observer, parts: Sequence[Part], per: Grain
    ) -> None:
        self.measurement, self.observer, self.parts, self.per = measurement, observer, parts, per
        self.layers = list({part.layer.name: part.layer for part in parts}.values())
        self.by_layer: dict[str, list[int]] = {}
        for place, part in enumerate(parts):
            self.by_layer.setdefault(part.layer.name, []).append(place)
        self.begin()

    def begin(self) -> None:
        """Forget what has been taken."""
        n_values = len(self.measurement.values)
        self.moments = [Moments(n_values, len(part.chosen)) for part in self.parts]

    def read(self, name: str, rows: Tensor) -> dict[int, Tensor]:
        """Responses of the parts of a layer from those of its units: (N, units)."""
        places = self.by_layer.get(name, ())
        return {
            place: self.per.chosen(self.parts[place].axes, rows, self.parts[place].chosen) for place in places
        }

    def take(self, block: Span, shown: Presentation, found: dict[int, Tensor], width: float = 1.0) -> None:
        """Add what was found in a block: (S * K, U) of every part."""
        for place, numbers in fetched(found).items():
            self.moments[place].add(block[1], numbers.reshape(*shown.shape, -1) / width)


class _Responses(_Gathered):
    """Of plain passes."""

    def add(self, block: Span, estimator: Estimator) -> None:
        """Show a block of samples and values."""
        shown = present(self.measurement, self.observer, self.layers, block, estimator)
        images = shown.shape[0] * shown.shape[1]
        found: dict[int, Tensor] = {}

        def receive(name: str, output: Tensor) -> None:
            found.update(self.read(name, rows_of(output, images, in_order=True)))

        shown.plain(receive)
        self.take(block, shown, found)

    def curves(self, place: int, derivative: Array | None) -> Curves:
        """Curves of a part, which are held no longer."""
        moments, self.moments[place] = self.moments[place], Moments(0, 0)
        sd = moments.sd
        return Curves(self.parts[place].chosen, moments.mean.T, None if sd is None else sd.T, derivative)


class _Derivatives(_Gathered):
    """By an estimator; where another takes over, all is measured again."""

    estimator: Estimator | None = None

    def add(self, block: Span, estimator: Estimator) -> None:
        """Show a block of samples and values."""
        if estimator is not self.estimator:
            self.estimator = estimator
            self.begin()
        shown = present(self.measurement, self.observer, self.layers, block, estimator)
        pieces: dict[int, list[Tensor]] = {}

        def receive(name: str, response: Tensor, change: Tensor | None) -> None:
            rows = torch.zeros_like(response) if change is None else change
            for place, numbers in self.read(name, rows).items():
                pieces.setdefault(place, []).append(numbers)

        width = shown.respond(receive, in_order=True)
        self.take(block, shown, {place: torch.cat(of) for place, of in pieces.items()}, width)

    def curves(self, place: int) -> Array:
        """Derivatives of a part."""
        return self.moments[place].mean.T
