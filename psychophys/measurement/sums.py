"""What is kept of every image that is shown: a few numbers a layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from psychophys.base.types import Array
from psychophys.measurement.spec import Measurement
from psychophys.noise.information import Quantities
from psychophys.observers.layers import Layer

Span = tuple[slice, slice]
"""Samples and values of a block."""


@dataclass(frozen=True)
class Sums:
    """Quantities of every layer, in S samples and at K values.

    Attributes
    ----------
    quantities
        By name and layer, (S, K): ``information`` is J at unit noise (NaN where the noise is not for the
        response), ``response`` the squared norm of the response; a noise's method may keep more.
    """

    quantities: Quantities

    @classmethod
    def empty(cls, layers: Sequence[Layer], measurement: Measurement) -> Sums:
        """Zeros for every layer."""
        shape = (len(measurement.samples), len(measurement.values))
        names = ("information", "response", *measurement.noise.method.keeps)
        return cls({name: {layer.name: np.zeros(shape) for layer in layers} for name in names})

    @classmethod
    def joined(cls, parts: Sequence[Sums]) -> Sums:
        """Those of layers that were measured apart."""
        whole: Quantities = {name: {} for name in parts[0].quantities}
        for part in parts:
            for name, by_layer in part.quantities.items():
                whole[name] |= by_layer
        return cls(whole)

    @property
    def information(self) -> dict[str, Array]:
        """J at unit noise, by layer."""
        return self.quantities["information"]

    @property
    def response(self) -> dict[str, Array]:
        """Squared norm of the response, by layer."""
        return self.quantities["response"]

    @property
    def n_samples(self) -> int:
        """Samples averaged over."""
        return len(next(iter(self.information.values())))

    def of(self, layer: str) -> dict[str, Array]:
        """Every quantity of one layer."""
        return {name: by_layer[layer] for name, by_layer in self.quantities.items()}

    def put(self, block: Span, found: Quantities) -> None:
        """Take what was found in a block."""
        for name, by_layer in self.quantities.items():
            for layer, table in by_layer.items():
                table[block] = found[name][layer]

    def extended(self, more: Sums, rows: Sequence[int]) -> Sums:
        """Those rows, of the samples here followed by those of ``more``."""
        order = list(rows)
        return Sums(
            {
                name: {
                    layer: np.concatenate([own, more.quantities[name][layer]])[order]
                    for layer, own in by_layer.items()
                }
                for name, by_layer in self.quantities.items()
            }
        )
