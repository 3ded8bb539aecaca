"""Which of a network's layers are measured, and in which way: what the contract's verdicts come to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from psychophys.base.errors import MeasurementError
from psychophys.base.types import Progress
from psychophys.measurement.batches import accumulate
from psychophys.measurement.blocks import present
from psychophys.measurement.spec import Measurement
from psychophys.measurement.sums import Sums
from psychophys.observers.contract import FORWARD, NONE, Contract, Verdict, adjoint, examine
from psychophys.observers.layers import Layer, Selection, select_layers
from psychophys.observers.observer import Observer
from psychophys.responses.estimators import Estimator, get_estimator

FINER = 100.0
"""By which differences in float64 have a smaller step: their error is of the order of its square."""


@dataclass(frozen=True)
class Way:
    """Layers that are measured together.

    Attributes
    ----------
    observer
        The one that was asked for, or the same in float64.
    finer
        By which steps are smaller than those asked for.
    """

    estimator: Estimator
    observer: Observer
    layers: tuple[Layer, ...]
    finer: float = 1.0

    def of(self, measurement: Measurement) -> Measurement:
        """The measurement as these layers are measured."""
        if self.estimator is measurement.estimator and self.finer == 1:
            return measurement
        return replace(measurement, estimator=self.estimator, step=measurement.step / self.finer)


@dataclass(frozen=True)
class Ways:
    """How every chosen layer of an observer is measured.

    Attributes
    ----------
    selection
        All layers that are, in the order of the forward pass, and why others are not.
    contract
        What was found of them.
    """

    observer: Observer
    selection: Selection
    every: tuple[Way, ...]
    contract: Contract

    @property
    def layers(self) -> tuple[Layer, ...]:
        """In the order of the forward pass."""
        return self.selection.layers

    def without(self, reasons: Mapping[str, str]) -> Ways:
        """The same with fewer layers; :class:`MeasurementError` where none is left."""
        kept = tuple(layer for layer in self.layers if layer.name not in reasons)
        if not kept:
            name, reason = next(iter(reasons.items()))
            more = f" (and {len(reasons) - 1} others)" if len(reasons) > 1 else ""
            raise MeasurementError(
                f"no layer of {self.observer.name} can be measured: {name} {reason}{more}",
                "See `psychophys check` or observer.check().",
            )
        return replace(self, selection=Selection(kept, {**self.selection.skipped, **reasons}))

    @property
    def jumping(self) -> frozenset[str]:
        """Layers without a derivative."""
        verdicts = self.contract.verdicts
        return frozenset(layer.name for layer in self.layers if verdicts[layer.name].derivative == NONE)

    def record(self, estimators: Mapping[str, str]) -> dict[str, Any]:
        """What provenance keeps of it, with the estimator that each layer had in the end."""
        verdicts = {layer.name: self.contract.verdicts[layer.name] for layer in self.layers}
        return {
            "estimator": " and ".join(dict.fromkeys(estimators.values())),
            "estimators": dict(estimators),
            "contract": {
                "dtype": self.contract.dtype,
                "notes": list(self.contract.notes),
                "error": {name: _number(verdict.error) for name, verdict in verdicts.items()},
                "precision": {name: _number(verdict.precision) for name, verdict in verdicts.items()},
            },
        }


def _number(value: float) -> float | None:
    return float(f"{value:.2g}") if np.isfinite(value) else None


def find_ways(measurement: Measurement, observer: Observer) -> Ways:
    """Select layers, examine them, and leave out what cannot be measured rightly.

    Raises
    ------
    UsageError
        When a pattern matches no module, or no layer is there.
    MeasurementError
        When no layer keeps its contract.
    """
    selection = select_layers(observer, measurement.layers)
    contract = examine(observer, selection.layers)
    reasons = _reasons(measurement, observer, selection.layers, contract.verdicts)
    ways = Ways(observer, selection, (), contract).without(reasons)
    return replace(ways, every=_every(measurement.estimator, observer, ways.layers, contract))


def _reasons(
    measurement: Measurement, observer: Observer, layers: Sequence[Layer], verdicts: Mapping[str, Verdict]
) -> dict[str, str]:
    """Why layers cannot be measured, or not under this noise."""
    method = measurement.noise.method
    reasons = {layer.name: verdicts[layer.name].reason for layer in layers if verdicts[layer.name].reason}
    rest = [layer for layer in layers if layer.name not in reasons]
    fallback = measurement.estimator.fallback
    if fallback and method.estimators and fallback not in method.estimators:
        for layer in rest:
            if verdicts[layer.name].derivative != FORWARD:
                reasons[layer.name] = f"has no exact derivative, which {measurement.noise.name} noise needs"
        rest = [layer for layer in rest if layer.name not in reasons]
    if method.needs_adjoint and rest:
        reasons |= {name: reason for name, reason in adjoint(observer, rest).items() if reason}
    return reasons


def _every(
    estimator: Estimator, observer: Observer, layers: Sequence[Layer], contract: Contract
) -> tuple[Way, ...]:
    if not estimator.fallback:
        return (Way(estimator, observer, tuple(layers)),)
    verdicts = contract.verdicts
    exact = tuple(layer for layer in layers if verdicts[layer.name].derivative == FORWARD)
    rest = tuple(layer for layer in layers if layer not in exact)
    if not rest and contract.own_forward_mode:
        return (Way(estimator, observer, exact),)
    wide, finer = _widest(observer)
    ways = [Way(estimator, observer if contract.own_forward_mode else wide, exact)] if exact else []
    if rest:
        ways.append(Way(get_estimator(estimator.fallback), wide, rest, finer))
    return tuple(ways)


def _widest(observer: Observer) -> tuple[Observer, float]:
    """The observer in float64, where small steps are possible, or as it is."""
    try:
        return observer.double(), FINER
    except Exception:  # The contract has noted why.
        return observer, 1.0


def in_turn(ways: Ways, progress: Progress | None) -> Iterator[tuple[Way, Progress]]:
    """Each way with what it calls as it goes on, so that progress is that of all."""
    count = len(ways.every)
    for place, way in enumerate(ways.every):

        def advance(done: int, total: int, place: int = place) -> None:
            if progress is not None:
                progress(done + place * total, count * total)

        yield way, advance


def gather(
    measurement: Measurement, ways: Ways, batch_size: int | None = None, progress: Progress | None = None
) -> tuple[Sums, dict[str, str]]:
    """Show every layer every block, each in its way; return the sums and the estimators used, by layer."""
    parts: list[Sums] = []
    used: dict[str, str] = {}
    for way, advance in in_turn(ways, progress):
        sums, estimator = accumulate(way.of(measurement), way.observer, way.layers, batch_size, advance)
        used |= {layer.name: estimator.name for layer in way.layers}
        parts.append(sums)
    whole = Sums.joined(parts)
    if measurement.estimator.exact:
        for name in ways.jumping:
            whole.information[name][:] = np.nan
    return whole, used


def confirm(measurement: Measurement, ways: Ways, sums: Sums) -> Ways:
    """Show three stimuli again, alone; layers that answer otherwise than they did are left out.

    What the contract could not see with images of its own: another answer to these ones in a batch, or one
    that has drifted since.
    """
    ends = [(0, 0), (len(measurement.samples) // 2, len(measurement.values) // 2)]
    ends.append((len(measurement.samples) - 1, len(measurement.values) - 1))
    reasons = {}
    for way in ways.every:
        if not way.estimator.exact and way.finer == 1:
            continue  # Its responses are not those at the values.
        own = way.of(measurement)
        for sample, value in dict.fromkeys(ends):
            block = slice(sample, sample + 1), slice(value, value + 1)
            shown = present(own, way.observer, way.layers, block, way.estimator)
            for name, square in shown.squares().items():
                before, now = float(sums.response[name][sample, value]), float(square[0])
                if abs(now - before) > way.observer.arithmetic.repeats * max(now, before):
                    reasons[name] = "answers a stimulus otherwise when it is shown again, alone"
    return ways.without(reasons)
