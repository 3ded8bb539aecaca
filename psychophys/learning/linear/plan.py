"""Settings of the experiment ``linear``, and the trainings that they ask for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from psychophys.base.errors import UsageError, unknown
from psychophys.base.types import Array
from psychophys.learning.linear import theory
from psychophys.learning.linear.patches import PATCHES, Statistics, draw_patches, statistics_of
from psychophys.learning.linear.theory import Depth, get_depth
from psychophys.learning.photographs import Photographs
from psychophys.learning.training import MOST_RUNS, check_limits
from psychophys.measurement.plan import plan
from psychophys.measurement.spec import Measurement

INITS = {
    "balanced": "random rotations: every layer has the same share in every mode",
    "uniform": "independent weights from -0.01 to 0.01, as in Benjamin et al. 2022",
}
MODES = 20
"""That are followed: those of the largest eigenvalues."""
INITIAL_STRENGTH = 0.05
"""Of every mode, with balanced weights."""
UNIFORM_SCALE = 0.02
SMALLEST_SHARE = 1e-6
"""Of an eigenvalue that is learned in any time, over the largest."""
MARGIN = {"balanced": 1.25, "uniform": 1.5}
"""Steps over the last predicted half-time: uniform weights scatter."""
PATCH_SIDES = (8, 32)
MOST_LEARNING_RATE, MOST_STEPS = 0.2, 1_000_000
FREQUENCIES = 12
NOISE_LEVEL = 0.1
"""S.d. of each unit, where images go from 0 to 1. It scales all thresholds, and acuity not at all."""


@dataclass(frozen=True)
class LinearSettings:
    """Of the experiment ``linear``.

    Attributes
    ----------
    depths
        Names in :data:`psychophys.learning.linear.theory.DEPTHS`.
    runs
        Trainings of each, with seeds from ``seed`` on. A seed draws the patches and the initial weights.
    patch
        Side of the patches in pixels.
    images
        Photographs: folders, archives, files. Default: those that come along.
    init
        Name in ``INITS``.
    learning_rate
        Times the largest eigenvalue, so that it has no unit. Small: the closed forms are of continuous
        time.
    steps
        Default: by the closed form, until the last of 20 modes is learned.
    snapshots
        How many steps thresholds are measured at, spread over the logarithm of the step.
    """

    depths: tuple[str, ...] = tuple(theory.DEPTHS)
    runs: int = 5
    seed: int = 0
    patch: int = 16
    images: tuple[str, ...] = ()
    init: str = "balanced"
    learning_rate: float = 0.05
    steps: int | None = None
    snapshots: int = 12

    def __post_init__(self) -> None:
        """Raise :class:`UsageError` for what cannot be done."""
        if not self.depths:
            raise UsageError("no depths", f"Give some of {', '.join(theory.DEPTHS)}.")
        for name in self.depths:
            get_depth(name)
        if self.init not in INITS:
            raise unknown("init", self.init, INITS)
        check_limits(
            {
                "runs": (self.runs, 1, MOST_RUNS),
                "seed": (self.seed, 0, 2**62),
                "patch": (self.patch, *PATCH_SIDES),
                "learning rate": (self.learning_rate, 1e-3, MOST_LEARNING_RATE),
                "steps": (MOST_STEPS if self.steps is None else self.steps, 10, MOST_STEPS),
                "snapshots": (self.snapshots, 2, 1000),
            }
        )


@dataclass(frozen=True)
class Plan:
    """One training that is asked for.

    Attributes
    ----------
    steps
        Where thresholds are measured; the last is the last.
    draw
        Gives the statistics of the patches that a seed draws.
    """

    settings: LinearSettings
    depth: Depth
    seed: int
    steps: tuple[int, ...]
    photographs: Photographs
    measurement: Measurement
    draw: Callable[[int], Statistics]

    @property
    def record(self) -> dict[str, Any]:
        """Plain values that decide its numbers, apart from those that every training has."""
        return {
            "depth": self.depth.name,
            "patch": self.settings.patch,
            "patches": PATCHES,
            "photographs_sha256": self.photographs.sha256,
            "init": self.settings.init,
            "init_scale": INITIAL_STRENGTH if self.settings.init == "balanced" else UNIFORM_SCALE,
            "learning_rate_times_largest_eigenvalue": self.settings.learning_rate,
        }


def make_plans(settings: LinearSettings, photographs: Photographs) -> list[Plan]:
    """All trainings, seed by seed; a depth has the same steps in each, from the first seed's patches."""
    # All depths of a seed follow each other, and have the same patches.
    draw = functools.lru_cache(maxsize=1)(partial(training_statistics, settings, photographs))
    statistics = draw(settings.seed)
    rate = settings.learning_rate * statistics.eigenvalues[:MODES] / statistics.eigenvalues[0]
    # Gratings fill the patch: the edge of a disc would add frequencies of its own.
    measurement = plan(
        "grating",
        "frequency",
        values=[float(f) for f in np.geomspace(1, 0.45 * settings.patch, FREQUENCIES)],
        parameters={"orientation": [0, 45, 90, 135], "phase": 4, "size": 2},
        layers=["layer*"],
        noise="gaussian",
        noise_level=NOISE_LEVEL,
    )
    steps = {name: _steps(settings, get_depth(name), rate) for name in settings.depths}
    return [
        Plan(settings, get_depth(name), seed, steps[name], photographs, measurement, draw)
        for seed in range(settings.seed, settings.seed + settings.runs)
        for name in dict.fromkeys(settings.depths)
    ]


def _steps(settings: LinearSettings, depth: Depth, rate: Array) -> tuple[int, ...]:
    """From where the second mode, the first that is a wave, is half learned, to the last step."""
    typical = INITIAL_STRENGTH
    if settings.init == "uniform":
        # The mean square of a column of weights.
        column = settings.patch**2 * UNIFORM_SCALE**2 / 12
        typical = {"1": 0.0, "2": column / 2, "3": column**1.5, "tied": column}[depth.name]
    times = theory.half_time(depth, np.full(len(rate), typical), rate)
    last = settings.steps or min(int(np.ceil(MARGIN[settings.init] * times[-1])), MOST_STEPS)
    first = min(max(float(times[1]), 1.0), last / 4)
    return tuple(int(step) for step in np.unique(np.geomspace(first, last, settings.snapshots).round()))


def training_statistics(settings: LinearSettings, photographs: Photographs, seed: int) -> Statistics:
    """Of the patches that a seed draws."""
    patches = draw_patches(photographs, settings.patch, np.random.default_rng((seed, 0)))
    statistics = statistics_of(patches)
    largest, last = statistics.eigenvalues[0], statistics.eigenvalues[MODES - 1]
    if not last > SMALLEST_SHARE * largest:
        raise UsageError(
            f"patches of these images vary in fewer than {MODES} ways", "Give photographs, or more of them."
        )
    return statistics


def has_closed_form(init: str, depth: Depth) -> bool:
    """In three layers, the closed form needs balanced weights."""
    return init == "balanced" or depth.layers < 3
