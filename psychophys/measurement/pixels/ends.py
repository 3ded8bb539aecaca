"""The changes of a photograph that a layer sees most and least, and what all of its information comes to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from psychophys.base.errors import MeasurementError
from psychophys.measurement.pixels.information import LayerInformation, Traces, traces
from psychophys.measurement.pixels.krylov import Pairs, Subspace, both_ends
from psychophys.measurement.pixels.plan import PROBES, Pixels
from psychophys.observers.layers import Layer
from psychophys.observers.observer import Observer
from psychophys.responses.products import Products
from psychophys.stimuli.pictures import shown_picture

ROUNDING = 1000.0
"""A layer's response to a change of so many spacings of the numbers at 1, over that to the change that it
sees most, cannot be told from 0: single precision keeps four digits of a derivative in deep networks."""


@dataclass(frozen=True)
class Change:
    """One change of the photograph.

    Attributes
    ----------
    end
        ``most`` or ``least`` visible.
    rank
        From 1.
    pixels
        Of length 1: (3, H, W).
    eigenvalue
        J along it.
    residual
        |J v - lambda v| over the largest eigenvalue.
    """

    end: str
    rank: int
    pixels: Tensor
    eigenvalue: float
    residual: float
    status: str


@dataclass(frozen=True)
class LayerEnds:
    """What was found in one layer."""

    layer: Layer
    changes: tuple[Change, ...]
    traces: Traces
    response_rms: float


def layer_information(
    pixels: Pixels, observer: Observer, layer: Layer
) -> tuple[LayerInformation | None, float]:
    """The layer's Fisher matrix at the photograph, None where it does not depend on it; and its response."""
    picture = shown_picture(pixels.source, observer.input_size).to(observer.device, observer.dtype)
    images = picture.expand(pixels.width, -1, -1, -1).contiguous()
    products = Products(observer, layer, images, "Leave out such layers with --layers.")
    rms = float(torch.linalg.vector_norm(products.response[0]).double()) / layer.n_features**0.5
    if not torch.isfinite(products.response).all():
        raise MeasurementError(
            f"layer {layer.name} of {observer.name} gives NaN or infinity for the photograph",
            "Check the weights, or try --dtype float64.",
        )
    variance = pixels.measurement.setting.variance(rms)
    if variance == 0 or not products.depends:
        return None, rms
    return LayerInformation(products, variance, pixels.space), rms


def find_ends(pixels: Pixels, observer: Observer, layer: Layer, advance: Callable[[int], None]) -> LayerEnds:
    """The most and the least visible changes in a layer; ``advance`` is called with the products made."""
    matrix, rms = layer_information(pixels, observer, layer)
    if matrix is None:
        return LayerEnds(layer, (), Traces(0.0, 0.0, 0.0), rms)
    space = subspace(pixels, matrix)
    top, bottom = both_ends(space, pixels.count, pixels.width, pixels.tolerance, advance, least=pixels.least)
    largest = float(top.values[0])
    if not largest > 0:
        return LayerEnds(layer, (), Traces(0.0, 0.0, 0.0), rms)
    ends = {"most": top, "least": bottom} if pixels.least else {"most": top}
    changes = [one for end, found in ends.items() for one in _changes(pixels, matrix, end, found, largest)]
    return LayerEnds(layer, tuple(changes), traces(matrix, space, PROBES), rms)


def subspace(pixels: Pixels, matrix: LayerInformation) -> Subspace:
    """An empty Krylov space of a layer's Fisher matrix."""
    generator = torch.Generator().manual_seed(pixels.seed)
    like = matrix.products.images.new_empty(matrix.n)
    return Subspace([matrix.apply], pixels.steps, like, generator)


def _changes(
    pixels: Pixels, matrix: LayerInformation, end: str, found: Pairs, largest: float
) -> list[Change]:
    vectors = found.vectors / found.vectors.norm(dim=1, keepdim=True)
    energies = matrix.energy(vectors)
    nothing = (ROUNDING * torch.finfo(vectors.dtype).eps) ** 2 * largest
    images = matrix.space.changes(vectors, matrix.size).cpu()
    changes = []
    for place, (energy, residual) in enumerate(zip(energies.tolist(), found.residuals.tolist(), strict=True)):
        status = "ok" if residual <= pixels.tolerance * energy else "not_converged"
        status = "insensitive" if energy <= nothing else status
        seen = energy if energy > nothing else 0.0
        changes.append(Change(end, place + 1, images[place], seen, residual / largest, status))
    return changes
