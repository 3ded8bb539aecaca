"""The table of estimators: how derivatives are taken. A new one is one :class:`Estimator` and one entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from psychophys.base.registry import Registry
from psychophys.observers.layers import Layer
from psychophys.observers.observer import Observer
from psychophys.responses import several, single
from psychophys.responses.several import DrawPoints, ReceiveChanges
from psychophys.responses.single import Block, ReceiveChange, Render

Single = Callable[[Observer, Sequence[Layer], Render, Block, ReceiveChange], float]
"""See :mod:`psychophys.responses.single`."""
Several = Callable[
    [Observer, Sequence[Layer], DrawPoints, Sequence[Tensor], Sequence[float], ReceiveChanges], list[float]
]
"""See :mod:`psychophys.responses.several`."""


@dataclass(frozen=True)
class Estimator:
    """A way to take derivatives.

    Attributes
    ----------
    single
        Along one dimension.
    several
        Along several dimensions at the same images; None where there is no such way.
    exact
        Whether it gives derivatives, and not differences.
    passes
        Cost of a measured image in plain forward passes of the network as timm makes it: the mean of
        benchmarks/cost.csv. Less than one where the observer lays the weights out better.
    sides
        Images shown for each value along each dimension.
    on_grid
        Whether values must be equally spaced, and their spacing is the step.
    fallback
        Name of the estimator that takes over where an operation of a model has no such derivative.
    """

    name: str
    meaning: str
    single: Single
    several: Several | None
    exact: bool
    passes: float
    sides: int = 1
    on_grid: bool = False
    fallback: str = ""

    def values_at_once(self, images: int, n_values: int, *, dimensions: int = 1, longest: int = 4) -> int:
        """How many values may be measured together where a batch holds so many images.

        Parameters
        ----------
        n_values
            That a chain has.
        longest
            A chain may be so many times as long as the batch: each draws one image more than it measures.
        """
        if self.on_grid:
            return max(images, min(n_values, longest * images))
        return max(images // (self.sides * dimensions), 1) if self.sides > 1 else images


ESTIMATORS = Registry(
    "estimator",
    (
        Estimator(
            "jvp",
            "exact, by forward-mode differentiation",
            single.jvp,
            several.jvp,
            exact=True,
            passes=2.2,
            fallback="central",
        ),
        Estimator(
            "central",
            "central differences over value - step and value + step",
            single.central,
            several.central,
            exact=False,
            passes=1.9,
            sides=2,
        ),
        Estimator(
            "chained",
            "differences of neighbours on a uniform grid",
            single.chained,
            None,
            exact=False,
            passes=0.9,
            on_grid=True,
        ),
    ),
    Estimator,
)


def get_estimator(estimator: str | Estimator) -> Estimator:
    """Return the estimator of that name, or the one given."""
    return ESTIMATORS.find(estimator)
