"""The changes that two Fisher matrices see most unlike: ends of v'(J1 + d1)v / v'(J2 + d2)v.

Both matrices are known by their products alone. The space grows by preconditioned residuals of both ends
(generalised Davidson: Morgan 1990), and the pencil is solved in it. The preconditioner is the inverse of what
a Krylov space holds of a matrix, which is exact for its large eigenvalues.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.linalg import eigh
from torch import Tensor

from psychophys.measurement.pixels.krylov import Pairs, Subspace


@dataclass(frozen=True)
class Floored:
    """A matrix with a floor under its eigenvalues, J + d I, by what a Krylov space knows of it.

    Attributes
    ----------
    space
        Of J.
    floor
        d.
    """

    space: Subspace
    floor: float

    def inverse(self) -> Callable[[Tensor], Tensor]:
        """About (J + d)^-1, for rows: positive, and exact where the space has converged."""
        values, rows = self.space.solved()
        weights = 1 / (values.clamp(min=0) + self.floor) - 1 / self.floor
        inner = (rows.T @ (weights[:, None] * rows)).to(self.space.basis) * self.floor

        def apply(vectors: Tensor) -> Tensor:
            basis = self.space.basis
            return vectors + (vectors @ basis.T) @ inner @ basis

        return apply

    def seen_most(self, count: int) -> Tensor:
        """The vectors of its largest eigenvalues: (count, n)."""
        values, rows = self.space.solved()
        order = torch.arange(len(values)).flip(0)[:count]
        return self.space.pairs(order, values, rows).vectors


def unlike_ends(
    space: Subspace,
    first: Floored,
    second: Floored,
    count: int,
    tolerance: float,
    advance: Callable[[int], None],
) -> tuple[Pairs, Pairs]:
    """The largest and the smallest ratios, in a space of both matrices that is still empty.

    Returns
    -------
    more, less
        Seen more by the first matrix than by the second, and less; values are the ratios. Residuals are
        |(J1 + d1) v - ratio (J2 + d2) v| / |(J1 + d1) v|.
    """
    inverses = second.inverse(), first.inverse()
    fresh = torch.cat([first.seen_most(count), second.seen_most(count)])
    while True:
        space.add(fresh)
        advance(space.size)
        identity = torch.eye(space.size, dtype=torch.float64)
        inner = [space.inner(i) + one.floor * identity for i, one in enumerate((first, second))]
        values, columns = (torch.from_numpy(part) for part in eigh(*(one.numpy() for one in inner)))
        order = torch.arange(len(values))
        places = order.flip(0)[:count], order[:count]
        found = [_pairs(space, (first.floor, second.floor), values[p], columns.T[p]) for p in places]
        pairs = [pair for pair, _ in found]
        if space.is_full or all((pair.residuals <= tolerance).all() for pair in pairs):
            return pairs[0], pairs[1]
        fresh = torch.cat([inverse(off) for inverse, (_, off) in zip(inverses, found, strict=True)])


def _pairs(
    space: Subspace, floors: tuple[float, float], values: Tensor, rows: Tensor
) -> tuple[Pairs, Tensor]:
    """Ratios with their vectors of length 1, and what these leave over: (K, n)."""
    weights = (rows / rows.norm(dim=1, keepdim=True)).to(space.basis)
    vectors = weights @ space.basis
    a, b = (weights @ image + floor * vectors for image, floor in zip(space.images, floors, strict=True))
    off = a - values.to(a)[:, None] * b
    residuals = (off.norm(dim=1) / a.norm(dim=1)).cpu().double()
    return Pairs(values, vectors, residuals), off
