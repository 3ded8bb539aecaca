"""Both ends of the spectrum of a symmetric matrix that is known by its products alone.

A block Krylov space is kept whole, orthogonal to rounding, and the matrix is solved in it (block Lanczos
with full reorthogonalisation: Golub & Van Loan 2013, ch. 10.3). Both ends come from the same products,
residuals are those of the products themselves, and what has not converged is still a bound: the largest
eigenvalue is never over the true one, and the smallest never under it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]
"""``v -> J v`` for rows: (K, n) -> (K, n)."""
DEPENDENT = 1e-4
"""Share of a vector's length that must be new for it to be a direction of its own."""


@dataclass(frozen=True)
class Pairs:
    """Eigenvalues with their vectors, the wanted ones first.

    Attributes
    ----------
    values
        (K,), float64.
    vectors
        Of length 1: (K, n).
    residuals
        |J v - lambda v|: (K,), float64.
    """

    values: Tensor
    vectors: Tensor
    residuals: Tensor


class Subspace:
    """An orthonormal basis, and what a matrix, or several, make of it.

    Parameters
    ----------
    products
        Of each matrix.
    most
        Vectors that it can hold.
    like
        A vector of the space: (n,).
    generator
        Of directions that are drawn.
    """

    def __init__(
        self, products: Sequence[Product], most: int, like: Tensor, generator: torch.Generator
    ) -> None:
        self.products, self.generator = tuple(products), generator
        self.size, self.n = 0, like.numel()
        self.most = min(most, self.n)
        self._basis = like.new_empty(self.most, self.n)
        self._images = like.new_empty(len(self.products), self.most, self.n)

    @property
    def basis(self) -> Tensor:
        """Q: (m, n)."""
        return self._basis[: self.size]

    @property
    def images(self) -> Tensor:
        """J Q of every matrix: (matrices, m, n)."""
        return self._images[:, : self.size]

    @property
    def image(self) -> Tensor:
        """J Q of the first matrix: (m, n)."""
        return self._images[0, : self.size]

    @property
    def is_full(self) -> bool:
        """Whether it holds as many vectors as it can."""
        return self.size == self.most

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the space: what comes of it is exact."""
        return self.size == self.n

    def draw(self, count: int) -> Tensor:
        """Random directions: (count, n)."""
        drawn = torch.randn(count, self.n, generator=self.generator, dtype=torch.float64)
        return drawn.to(self._basis)

    def add(self, vectors: Tensor) -> Tensor:
        """Take directions that are new, drawn ones where none is; return their images by the first matrix."""
        fresh = self._new(vectors)
        while not len(fresh):
            fresh = self._new(self.draw(len(vectors)))
        fresh = fresh[: self.most - self.size]
        place = slice(self.size, self.size + len(fresh))
        self._basis[place] = fresh
        for image, product in zip(self._images, self.products, strict=True):
            image[place] = product(fresh)
        self.size = place.stop
        return self._images[0, place]

    def _new(self, vectors: Tensor) -> Tensor:
        """The parts of vectors outside the space, orthonormal; those within rounding of it are left out."""
        found: list[Tensor] = []
        for vector in vectors:
            rest = vector / vector.norm().clamp(min=torch.finfo(vector.dtype).tiny)
            for again in range(2):
                before = rest.norm()
                rest = rest - (self.basis @ rest) @ self.basis
                for other in found:
                    rest = rest - (other @ rest) * other
                kept = float(rest.norm() / before.clamp(min=torch.finfo(vector.dtype).tiny))
                if kept < (0.5 if again else DEPENDENT):
                    break
                rest = rest / rest.norm()
            else:
                found.append(rest)
        return torch.stack(found) if found else vectors[:0]

    def solved(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues of the matrix within the space, rising, and their vectors as rows: in float64."""
        values, columns = torch.linalg.eigh(self.inner(0))
        return values, columns.T

    def inner(self, which: int) -> Tensor:
        """Q' J Q of a matrix: (m, m), float64."""
        found = (self.basis @ self.images[which].T).cpu().double()
        return (found + found.T) / 2

    def pairs(self, places: Tensor, values: Tensor, rows: Tensor) -> Pairs:
        """Some of what :meth:`solved` gives, as vectors of the whole space with their residuals."""
        weights = rows[places].to(self._basis)
        vectors, images = weights @ self.basis, weights @ self.image
        of = values[places]
        off = images - of.to(images)[:, None] * vectors
        return Pairs(of, vectors, off.norm(dim=1).cpu().double())


def both_ends(
    space: Subspace,
    count: int,
    width: int,
    tolerance: float,
    advance: Callable[[int], None],
    *,
    least: bool = True,
) -> tuple[Pairs, Pairs]:
    """The largest and the smallest eigenvalues of the matrix of a space that is still empty.

    Parameters
    ----------
    count
        At each end.
    width
        Of a block: as often an eigenvalue is found that is there several times.
    tolerance
        Stops where every residual is at most this fraction of its eigenvalue.
    advance
        Called with the products made so far.
    least
        Whether to wait for the smallest, too.

    Returns
    -------
    most, least
        The largest, falling, and the smallest, rising.
    """
    block = space.draw(width)
    while True:
        block = space.add(block)
        advance(space.size)
        if space.size < 2 * count and not space.is_full:
            continue
        values, rows = space.solved()
        order = torch.arange(len(values))
        top = space.pairs(order.flip(0)[:count], values, rows)
        bottom = space.pairs(order[:count], values, rows)
        if space.is_full or (
            has_converged(top, tolerance).all() and (not least or has_converged(bottom, tolerance).all())
        ):
            return top, bottom


def has_converged(found: Pairs, tolerance: float) -> Tensor:
    """Whether an eigenvalue lies within a fraction of each: (K,)."""
    return found.residuals <= tolerance * found.values.abs()
