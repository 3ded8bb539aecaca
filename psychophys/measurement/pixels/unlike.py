"""The changes of a photograph that the layers of two observers see most unlike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from psychophys.base.errors import MeasurementError
from psychophys.measurement.pixels.ends import layer_information, subspace
from psychophys.measurement.pixels.information import LayerInformation, traces
from psychophys.measurement.pixels.krylov import Pairs, Subspace, both_ends
from psychophys.measurement.pixels.pencil import Floored, unlike_ends
from psychophys.measurement.pixels.plan import PROBES, Pixels
from psychophys.observers.layers import Layer
from psychophys.observers.observer import Observer


@dataclass(frozen=True)
class Unlike:
    """One change.

    Attributes
    ----------
    end
        ``more`` or ``less``: seen by the first observer than by the second.
    ratio
        Of both eigenvalues, each with its floor.
    energies
        J of each observer along it, without the floors.
    residual
        |(J1 + d1) v - ratio (J2 + d2) v| / |(J1 + d1) v|.
    """

    end: str
    rank: int
    pixels: Tensor
    ratio: float
    energies: tuple[float, float]
    residual: float
    status: str


def find_unlike(
    pixels: Pixels,
    observers: tuple[Observer, Observer],
    layers: tuple[Layer, Layer],
    regularization: float,
    advance: Callable[[int], None],
) -> list[Unlike]:
    """The changes that two layers see most unlike.

    Parameters
    ----------
    regularization
        The floor under each layer's eigenvalues, in means of all of them.
    advance
        Called with the products made.
    """
    matrices, floored = [], []
    for place, (observer, layer) in enumerate(zip(observers, layers, strict=True)):
        matrix, _ = layer_information(pixels, observer, layer)
        if matrix is None:
            raise MeasurementError(
                f"layer {layer.name} of {observer.name} does not depend on the photograph",
                "Leave it out with --layers.",
            )
        before = place * pixels.steps
        floored.append(_floored(pixels, matrix, regularization, partial(_later, advance, before)))
        matrices.append(matrix)
    first, second = floored
    space = Subspace(
        [matrix.apply for matrix in matrices],
        pixels.steps,
        matrices[0].products.images.new_empty(matrices[0].n),
        torch.Generator().manual_seed(pixels.seed),
    )
    ends = unlike_ends(
        space,
        first,
        second,
        pixels.count,
        pixels.tolerance,
        partial(_later, advance, 2 * pixels.steps),
    )
    return [
        one
        for end, found in zip(("more", "less"), ends, strict=True)
        for one in _changes(pixels, matrices, end, found)
    ]


def _later(advance: Callable[[int], None], before: int, done: int) -> None:
    advance(before + done)


def _floored(
    pixels: Pixels, matrix: LayerInformation, regularization: float, advance: Callable[[int], None]
) -> Floored:
    space = subspace(pixels, matrix)
    # To the last step, whatever has converged: what the space holds makes the search of both short.
    both_ends(space, 1, pixels.width, 0.0, advance)
    mean = traces(matrix, space, PROBES).first / matrix.n
    return Floored(space, regularization * mean)


def _changes(pixels: Pixels, matrices: list[LayerInformation], end: str, found: Pairs) -> list[Unlike]:
    energies = [matrix.energy(found.vectors).tolist() for matrix in matrices]
    images = matrices[0].space.changes(found.vectors, matrices[0].size).cpu()
    return [
        Unlike(
            end,
            rank + 1,
            images[rank],
            float(found.values[rank]),
            (energies[0][rank], energies[1][rank]),
            float(found.residuals[rank]),
            "ok" if found.residuals[rank] <= pixels.tolerance else "not_converged",
        )
        for rank in range(pixels.count)
    ]
