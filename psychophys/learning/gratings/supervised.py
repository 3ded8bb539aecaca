"""The experiment ``supervised``: is it frequency, or information about the label, that makes sensitivity?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq

from psychophys.base.types import Array
from psychophys.learning.conditions import check_shared
from psychophys.learning.gratings import worlds
from psychophys.learning.gratings.noisy import balanced_noise, reliable_noise
from psychophys.learning.gratings.rates import growth_exponents
from psychophys.learning.gratings.worlds import BINS, Schedule, World, peaked, plan_worlds, uniform
from psychophys.learning.training import (
    Learned,
    Training,
    spread_steps,
)
from psychophys.learning.trends import (
    Curve,
    Findings,
    at,
    curves,
    rank_correlation,
    told,
    trend,
    with_interval,
)

FIRST_STEP = 5
LAYER = "layer1"
EARLY_GROWTH = 1.25
SMALL_R = 0.3
"""Rank correlation that is not told as an order."""
EVEN = 1.1
"""Sensitivity at 90 deg over that at 0, within which it is told as even."""
PAPER_A, PAPER_B = 0.15, 1.3
"""Of the label noise H = b (1 - a / p) in Benjamin et al. (2022); b = 1 is what balances."""


@dataclass(frozen=True)
class Condition:
    """One way in which orientations differ."""

    name: str
    meaning: str
    world: Callable[[], World]

    def schedule(self) -> Schedule:
        """The same world at every step."""
        world = self.world()
        return lambda _: world


def information(world: World) -> Array:
    """Bits that the labels give about each class: frequency times what one of its labels tells, (60,).

    What a label tells of a class is the divergence of that class's labels from all labels. A flipped label
    looks like any other: one is right with probability ``kept + (1 - kept) / 60``. A dropped one tells
    nothing.
    """
    shown = world.frequency * world.kept
    if world.manner == "drop":
        return np.asarray(shown * np.log2(shown.sum() / shown))
    return np.asarray(world.frequency * _divergence(world.kept, _label_frequency(world)))


def _label_frequency(world: World) -> Array:
    wrong = world.frequency @ (1 - world.kept) / BINS
    return np.asarray(world.frequency * world.kept + wrong)


def _divergence(kept: Array, labels: Array) -> Array:
    """Of the labels of each class, under flips, from all labels: (60,)."""
    table = np.diag(kept) + (1 - kept[:, None]) / BINS
    terms = np.where(table > 0, table * np.log2(np.where(table > 0, table, 1) / labels), 0)
    return np.asarray(terms.sum(axis=1))


def balance_flips(frequency: Array) -> Array:
    """Share of right labels with which every class gets the same bits; the rarest keeps all: (60,).

    Every share depends on the others through the labels that are flipped: they are found by turns.
    """
    kept = frequency.min() / frequency
    for _ in range(100):
        labels = _label_frequency(World(frequency, kept, "flip"))
        bits = frequency.min() * _divergence(np.ones(BINS), labels)[frequency.argmin()]
        found = np.array([_kept_for(bits / p, place, labels) for place, p in enumerate(frequency)])
        if np.abs(found - kept).max() < 1e-12:
            break
        kept = found
    return found


def _kept_for(bits: float, place: int, labels: Array) -> float:
    def missing(share: float) -> float:
        row = np.full(BINS, (1 - share) / BINS)
        row[place] += share
        known = row > 0
        return float((row[known] * np.log2(row[known] / labels[known])).sum() - bits)

    return 1.0 if missing(1.0) <= 0 else float(brentq(missing, labels[place], 1.0, xtol=1e-14))


def _thinned() -> Array:
    """Shares kept so that labels of every class are learned from alike: p kept is the same for all."""
    return np.asarray(peaked().min() / peaked())


def _paper() -> Array:
    density = peaked() * BINS / np.pi
    return np.asarray(1 - np.clip(PAPER_B * (1 - PAPER_A / density), 0, 1))


def _reliable() -> Array:
    return np.asarray(peaked() / peaked().max())


CONDITIONS: dict[str, Condition] = {
    condition.name: condition
    for condition in (
        Condition(
            "frequency", "90 deg is seen three times as often as 0", lambda: World(peaked(), np.ones(BINS))
        ),
        Condition(
            "labels-dropped",
            "all are seen alike; at 0 deg two thirds of the labels are dropped",
            lambda: World(uniform(), _reliable()),
        ),
        Condition(
            "labels-flipped",
            "all are seen alike; at 0 deg two thirds of the labels are random",
            lambda: World(uniform(), _reliable(), "flip"),
        ),
        Condition(
            "balanced-dropped",
            "90 deg is seen more often, and labels are dropped so that the information is the same, b = 1",
            lambda: World(peaked(), _thinned()),
        ),
        Condition(
            "balanced-flipped",
            "90 deg is seen more often, and labels are flipped so that the bits are the same",
            lambda: World(peaked(), balance_flips(peaked()), "flip"),
        ),
        Condition(
            "paper-dropped",
            "as in the paper, b = 1.3: information is higher at 0 deg, the rare one",
            lambda: World(peaked(), _paper()),
        ),
        Condition(
            "signal-flipped",
            "90 deg is seen more often, and labels are flipped so that as many are right",
            lambda: World(peaked(), _thinned(), "flip"),
        ),
        Condition(
            "images-noisy",
            "all are seen alike; at 0 deg images are so noisy that they tell a third of what one at 90 does",
            lambda: World(uniform(), np.ones(BINS), noise=reliable_noise()),
        ),
        Condition(
            "balanced-noisy",
            "90 deg is seen more often, and images are noisier there so that they tell as many bits in all",
            lambda: World(peaked(), np.ones(BINS), noise=balanced_noise()),
        ),
        Condition("uniform", "all are seen alike", lambda: World(uniform(), np.ones(BINS))),
    )
}
USUAL = (
    "frequency",
    "labels-dropped",
    "labels-flipped",
    "balanced-dropped",
    "balanced-flipped",
    "paper-dropped",
)


@dataclass(frozen=True)
class SupervisedSettings:
    """Of the experiment ``supervised``; as in the paper, unless given.

    Attributes
    ----------
    conditions
        Names in :data:`CONDITIONS`.
    runs
        Trainings of each, with seeds from ``seed`` on. A seed draws the initial weights and the images.
    batch
        Images in a step.
    snapshots
        How many steps thresholds are measured at besides step 0.
    """

    conditions: tuple[str, ...] = USUAL
    runs: int = 5
    seed: int = 0
    batch: int = 2048
    learning_rate: float = 0.5
    steps: int = 300
    snapshots: int = 10

    def __post_init__(self) -> None:
        """Raise :class:`UsageError` for what cannot be done."""
        check_shared(
            self,
            tuple(CONDITIONS),
            batch=worlds.BATCHES,
            learning_rate=worlds.LEARNING_RATES,
            fewest_steps=2 * FIRST_STEP,
        )


def plan_supervised(settings: SupervisedSettings) -> list[Training]:
    """Every condition with every seed."""
    return plan_worlds(
        "supervised",
        settings,
        spread_steps(FIRST_STEP, settings.steps, settings.snapshots),
        {name: condition.schedule for name, condition in CONDITIONS.items()},
        {name: {"condition": condition.meaning} for name, condition in CONDITIONS.items()},
    )


def find_supervised(learned: Learned) -> Findings:
    """How the first layer's sensitivity goes with the distribution that peaks at 90 deg.

    The gain is sensitivity less that of step 0, which is not even. Early is the last measured step at which
    the mean sensitivity has grown by less than a quarter.
    """
    every = curves(learned.thresholds, layer=LAYER)
    start = {(c.model, c.seed): c.sensitivity for c in every if c.step == 0}
    rows = []
    for model in dict.fromkeys(c.model for c in every):
        own = [c for c in every if c.model == model]
        steps, last = _early(own, start), max(c.step for c in own)
        early = [c for c in own if c.step == steps]
        end = [c for c in own if c.step == last]
        rows.append(
            {
                "network": model.removeprefix("supervised-"),
                "step": steps,
                **with_interval("gain", [_gain(c, start) for c in early], scale="correlation"),
                **with_interval("r", [_agreement(c) for c in early], scale="correlation"),
                **with_interval("ratio", [_ratio(c) for c in early], scale="ratio"),
                **with_interval("ratio, last", [_ratio(c) for c in end], scale="ratio"),
            }
        )
    return Findings(
        "rank correlation of the first layer's gain and sensitivity (r) with 2 - cos 2 theta; sensitivity "
        "at 90 over 0 deg, early and at the last step",
        pd.DataFrame(rows),
        [*(_conclusion(row) for row in rows), *_said_of_growth(every)],
        trend([c for c in every if c.step > 0], lambda c: _gain(c, start)),
        "rank correlation of gain with 2 - cos 2 theta",
        LAYER,
    )


def _early(every: Sequence[Curve], start: Mapping[tuple[str, int], Array]) -> int:
    growth = pd.DataFrame(
        {"step": c.step, "growth": c.sensitivity.mean() / start[c.model, c.seed].mean()} for c in every
    )
    mean = growth[growth["step"] > 0].groupby("step")["growth"].mean()
    within = mean[mean < EARLY_GROWTH]
    return int(within.index.max() if len(within) else mean.index.min())


def _profile(value: Array) -> Array:
    return np.asarray(2 - np.cos(2 * np.radians(value)))


def _gain(curve: Curve, start: Mapping[tuple[str, int], Array]) -> float:
    return rank_correlation(curve.sensitivity - start[curve.model, curve.seed], _profile(curve.value))


def _agreement(curve: Curve) -> float:
    return rank_correlation(curve.sensitivity, _profile(curve.value))


def _ratio(curve: Curve) -> float:
    return at(curve, 90) / at(curve, 0)


def _conclusion(row: Mapping[str, Any]) -> str:
    condition = CONDITIONS.get(row["network"])
    meaning = f" ({condition.meaning})" if condition else ""
    return f"{row['network']}{meaning}: {_found(row)} at step {row['step']}."


def _said_of_growth(every: Sequence[Curve]) -> list[str]:
    """Exponents of growth over what sensitivity is already, and over orientation where it is as high."""
    table = growth_exponents(every, _profile)
    known = [dict(row) for _, row in table.iterrows() if np.isfinite(row["a"]) and np.isfinite(row["b"])]
    if not known:
        return []

    def listed(name: str) -> str:
        return "; ".join(
            f"{row['model'].removeprefix('supervised-')} {told(row, name, '.2f')}" for row in known
        )

    return [
        f"Where sensitivity S is as high, it grows as (2 - cos 2 theta)^b, b: {listed('b')}.",
        f"It grows as S^a, a: {listed('a')}; as (S_last - S) S^a, a: {listed('a to last')}.",
    ]


def _found(row: Mapping[str, Any]) -> str:
    first = 90 if row["gain"] > 0 else 0
    correlation = f"rank correlation of the gain {told(row, 'gain', '.2f')}"
    ratio = f"ratio {told(row, 'ratio', '.2f')}"
    if not np.isfinite(row["gain"]):
        return "nothing has changed"
    if not np.isfinite(row["gain_low"]):
        return f"in one run, {correlation} and {ratio}"
    if abs(row["gain"]) >= SMALL_R and not row["gain_low"] < 0 < row["gain_high"]:
        return f"sensitivity is gained first at {first} deg, {correlation}"
    if row["ratio_high"] < EVEN and row["ratio_low"] > 1 / EVEN:
        return f"sensitivity stays even, {ratio}"
    return f"it cannot be told from these runs which is gained first, {correlation}"
