"""Experiments of several conditions: what their settings share, and their trainings."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import torch

from psychophys.base.errors import UsageError, unknown
from psychophys.learning.training import MOST_RUNS, Advance, Snapshot, Training, check_limits
from psychophys.measurement.spec import Measurement

Limits = tuple[float, float]
"""The least and the most."""
MOST_STEPS = 1_000_000


class Shared(Protocol):
    """Settings that every experiment of several conditions has."""

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names."""

    @property
    def runs(self) -> int:
        """Trainings of each condition."""

    @property
    def seed(self) -> int:
        """Of the first run."""

    @property
    def batch(self) -> int:
        """Images in a step."""

    @property
    def learning_rate(self) -> float:
        """Of a step."""

    @property
    def steps(self) -> int:
        """Of gradient descent."""

    @property
    def snapshots(self) -> int:
        """How many steps are measured besides step 0."""


def check_shared(
    settings: Shared,
    known: Sequence[str],
    *,
    batch: Limits,
    learning_rate: Limits,
    fewest_steps: int,
    most_seed: int = 2**62,
) -> None:
    """Raise :class:`UsageError` for a condition that is not known, or a value outside its limits."""
    if not settings.conditions:
        raise UsageError("no conditions", f"Give some of {', '.join(known)}.")
    for name in settings.conditions:
        if name not in known:
            raise unknown("condition", name, known)
    check_limits(
        {
            "runs": (settings.runs, 1, MOST_RUNS),
            "seed": (settings.seed, 0, most_seed),
            "batch": (settings.batch, *batch),
            "learning rate": (settings.learning_rate, *learning_rate),
            "steps": (settings.steps, fewest_steps, MOST_STEPS),
            "snapshots": (settings.snapshots, 2, 1000),
        }
    )


Train = Callable[[str, int, torch.device, Advance], Generator[Snapshot, None, None]]
"""Trains the network of a name with a seed."""


def plan_conditions(
    experiment: str,
    settings: Shared,
    steps: tuple[int, ...],
    measurements: tuple[Measurement, ...],
    train: Mapping[str, Train],
    record: Mapping[str, Mapping[str, Any]],
) -> list[Training]:
    """A training for each condition and seed, seed by seed.

    Parameters
    ----------
    train, record
        By condition: how it is trained, and what decides its numbers beside batch and learning rate.
    """
    shared = {"batch": settings.batch, "learning_rate": settings.learning_rate}
    return [
        Training(
            experiment,
            f"{experiment}-{name}",
            seed,
            steps,
            measurements,
            {**shared, **record[name]},
            partial(train[name], f"{experiment}-{name}", seed),
        )
        for seed in range(settings.seed, settings.seed + settings.runs)
        for name in dict.fromkeys(settings.conditions)
    ]
