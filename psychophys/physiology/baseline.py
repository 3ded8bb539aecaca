"""What counts as a unit's response: a neuron fires, a unit of a network may be negative."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from psychophys.base.registry import Registry
from psychophys.base.types import Array


@dataclass(frozen=True)
class Baseline:
    """How activations become responses.

    Attributes
    ----------
    response
        ``(activation, activation for the blank grey) -> response``: (..., U), (U,) to (..., U).
    """

    name: str
    summary: str
    response: Callable[[Array, Array], Array]


def _over(activation: Array, blank: Array) -> Array:
    return activation - blank


def _rectified(activation: Array, blank: Array) -> Array:
    return np.maximum(activation - blank, 0)


BASELINES = Registry(
    "baseline",
    (
        Baseline("rectified", "what an activation is over that for the blank grey, or 0", _rectified),
        Baseline("signed", "an activation less that for the blank grey, negative or not", _over),
    ),
    Baseline,
)
