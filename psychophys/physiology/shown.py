"""Responses of some units of every layer to every image of a measurement, in plain forward passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from psychophys.base.types import Progress
from psychophys.measurement.batches import run_blocks
from psychophys.measurement.blocks import present
from psychophys.measurement.curves import PLAIN, Part
from psychophys.measurement.spec import Measurement
from psychophys.measurement.sums import Span
from psychophys.observers.observer import Observer
from psychophys.observers.units import Grain
from psychophys.responses.estimators import Estimator
from psychophys.responses.presentation import fetched
from psychophys.responses.single import rows_of

Held = NDArray[np.float32]
"""As the network gives them: there may be many."""


@dataclass
class Steps:
    """Progress over several measurements: what is done, and what there is in all, in images."""

    total: int
    progress: Progress | None
    done: int = 0

    def next(self, images: int) -> Progress:
        """What the next measurement, of so many images, calls as it goes on."""
        before = self.done
        self.done += images

        def advance(done: int, total: int) -> None:
            if self.progress is not None:
                self.progress(before + round(done * images / total), self.total)

        return advance


def images_of(measurement: Measurement) -> int:
    """That a measurement shows."""
    return len(measurement.samples) * len(measurement.values)


def show_units(
    measurement: Measurement,
    observer: Observer,
    parts: Sequence[Part],
    per: Grain,
    batch_size: int | None,
    progress: Progress,
) -> list[Held]:
    """Responses of every part, (S, K, U) each."""
    shape = len(measurement.samples), len(measurement.values)
    layers = [part.layer for part in parts]
    of = {part.layer.name: part for part in parts}
    held: dict[str, Held] = {
        name: np.zeros((*shape, len(part.chosen)), np.float32) for name, part in of.items()
    }

    def add(block: Span, estimator: Estimator) -> None:
        shown = present(measurement, observer, layers, block, estimator)
        found: dict[str, Tensor] = {}

        def receive(name: str, output: Tensor) -> None:
            rows = rows_of(output, shown.shape[0] * shown.shape[1], in_order=True)
            found[name] = per.chosen(of[name].axes, rows, of[name].chosen)

        shown.plain(receive)
        for name, numbers in fetched(found).items():
            held[name][block] = numbers.reshape(*shown.shape, -1)

    run_blocks(replace(measurement, estimator=PLAIN), observer, add, batch_size, progress)
    return [held[part.layer.name] for part in parts]
