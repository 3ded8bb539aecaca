"""The Fisher matrix of a picture's pixels in one layer, J = A'A / sigma^2, by its products, and its trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from psychophys.measurement.pixels.krylov import Subspace
from psychophys.measurement.pixels.spaces import Space
from psychophys.responses.products import Products

EXACT = 512
"""Dimensions up to which a trace is that of all columns."""


class Information(Protocol):
    """Any Fisher matrix of pixels."""

    def apply(self, vectors: Tensor) -> Tensor:
        """J v for rows: (K, n) -> (K, n)."""

    def energy(self, vectors: Tensor) -> Tensor:
        """V' J v for rows: (K, n) -> (K,), float64."""


class LayerInformation:
    """That of a layer.

    Parameters
    ----------
    products
        With the layer's Jacobian at copies of one photograph: so many vectors go through at once.
    variance
        sigma^2 of every unit.
    """

    def __init__(self, products: Products, variance: float, space: Space) -> None:
        self.products, self.variance, self.space = products, variance, space
        self.size = products.images.shape[-2], products.images.shape[-1]
        self.n = space.n_pixels(self.size)

    def apply(self, vectors: Tensor) -> Tensor:
        """J v, by forward and then by reverse mode."""
        parts = [
            self.space.vectors(self.products.backward(self.products.forward(part)))[:count]
            for part, count in self._batches(vectors)
        ]
        return torch.cat(parts) / self.variance

    def energy(self, vectors: Tensor) -> Tensor:
        """|A v|^2 / sigma^2, by forward mode alone: exact to the square of its rounding, and not under 0."""
        parts = [
            torch.linalg.vector_norm(self.products.forward(part)[:count], dim=1).cpu().double().square()
            for part, count in self._batches(vectors)
        ]
        return torch.cat(parts) / self.variance

    def _batches(self, vectors: Tensor) -> list[tuple[Tensor, int]]:
        """Changes of images, so many as go through at once, with how many of them are asked for."""
        width = len(self.products.images)
        found = []
        for part in vectors.split(width):
            whole = torch.cat([part, part.new_zeros(width - len(part), self.n)])
            found.append((self.space.changes(whole, self.size), len(part)))
        return found


@dataclass(frozen=True)
class Traces:
    """What all eigenvalues come to.

    Attributes
    ----------
    first, second
        tr J and tr J^2.
    error
        Standard error of tr J over the random directions; 0 where it is exact.
    """

    first: float
    second: float
    error: float

    @property
    def effective_dimension(self) -> float:
        """(tr J)^2 / tr J^2: how many equal eigenvalues would have the same sums."""
        return self.first**2 / self.second if self.second > 0 else float("nan")


def traces(matrix: Information, space: Subspace, probes: int) -> Traces:
    """Traces of a matrix: exact within a Krylov space, from random directions beside it.

    A trace is the sum of that within the space and that of its complement, which is small where the space
    holds the large eigenvalues (Meyer, Musco, Musco & Woodruff 2021, Hutch++).

    Parameters
    ----------
    probes
        Random directions, of signs.
    """
    if space.n <= EXACT and not space.is_whole:
        columns = matrix.apply(torch.eye(space.n, dtype=space.basis.dtype, device=space.basis.device))
        return Traces(float(columns.diagonal().double().sum()), float(columns.double().square().sum()), 0.0)
    basis, image = space.basis, space.image
    first = float((basis * image).sum(dim=1).double().sum())
    second = float(image.square().sum(dim=1).double().sum())
    if space.is_whole:
        return Traces(first, second, 0.0)
    found = []
    for _ in range(probes):
        signs = space.draw(1).sign()
        beside = signs - (signs @ basis.T) @ basis
        product = matrix.apply(beside)
        found.append((float((beside * product).sum()), float(product.square().sum())))
    samples = torch.tensor(found, dtype=torch.float64)
    error = float(samples[:, 0].std()) / probes**0.5 if probes > 1 else float("nan")
    return Traces(first + float(samples[:, 0].mean()), second + float(samples[:, 1].mean()), error)
