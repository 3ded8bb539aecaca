"""The experiment ``supervised``: is it frequency, or information about the label, that makes sensitivity?"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq

from psychophys.errors import UsageError, unknown
from psychophys.learning import orientations
from psychophys.learning.orientations import BINS, World, peaked, uniform
from psychophys.learning.training import (
    MOST_RUNS,
    Advance,
    Learned,
    Snapshot,
    Training,
    check_limits,
    spread_steps,
)
from psychophys.learning.trends import Curve, Findings, at, curves, rank_correlation, trend, with_interval

Array = NDArray[np.float64]
FIRST_STEP = 5
LAYER = "layer1"
EARLY_GROWTH = 1.25
SMALL_R = 0.3
"""Rank correlation that is not told as an order."""
PAPER_A, PAPER_B = 0.15, 1.3
"""Of the label noise H = b (1 - a / p) in Benjamin et al. (2022); b = 1 is what balances."""


@dataclass(frozen=True)
class Condition:
    """One way in which orientations differ."""

    name: str
    meaning: str
    world: Callable[[], World]


def information(kept: Array, manner: str) -> Array:
    """Bits that a label gives about its class, where all classes are alike: (K,) -> (K,).

    Parameters
    ----------
    kept
        Share of labels that are right. Of a dropped label nothing is learned. A flipped one looks like any
        other: the label is right with probability ``kept + (1 - kept) / 60``.
    """
    every = np.log2(BINS)
    if manner == "drop":
        return np.asarray(kept * every)
    wrong = (1 - np.asarray(kept, float)) / BINS
    right = kept + wrong
    rest = np.where(wrong > 0, wrong, 1.0)
    return np.asarray(every + right * np.log2(right) + (BINS - 1) * rest * np.log2(rest) * (wrong > 0))


def kept_for(bits: Array) -> Array:
    """Share of labels that must be right so that flipped labels give so many bits: the inverse."""
    top = float(np.log2(BINS))
    found = [
        1.0 if wanted >= top else brentq(lambda k, w=wanted: float(information(k, "flip")) - w, 0, 1)
        for wanted in bits
    ]
    return np.array(found)


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
            lambda: World(peaked(), kept_for(_thinned() * np.log2(BINS)), "flip"),
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
class Settings:
    """Of the experiment ``supervised``; as in the paper, unless given.

    Attributes
    ----------
    conditions
        Names in :data:`CONDITIONS`.
    runs
        Trainings of each, with seeds from ``seed`` on. A seed draws the initial weights and the images.
    batch
        Images in a step.
    checkpoints
        How many steps thresholds are measured at besides step 0.
    """

    conditions: tuple[str, ...] = USUAL
    runs: int = 5
    seed: int = 0
    batch: int = 2048
    learning_rate: float = 0.5
    steps: int = 300
    checkpoints: int = 10

    def __post_init__(self) -> None:
        """Raise :class:`UsageError` for what cannot be done."""
        check_conditions(self.conditions, tuple(CONDITIONS))
        check_limits(
            {
                "runs": (self.runs, 1, MOST_RUNS),
                "seed": (self.seed, 0, 2**62),
                "batch": (self.batch, 16, 2**16),
                "learning rate": (self.learning_rate, 1e-4, 10),
                "steps": (self.steps, 2 * FIRST_STEP, 1_000_000),
                "checkpoints": (self.checkpoints, 2, 1000),
            }
        )


def check_conditions(given: tuple[str, ...], known: tuple[str, ...]) -> None:
    """Raise :class:`UsageError` for none, or one that is not known."""
    if not given:
        raise UsageError("no conditions", f"Give some of {', '.join(known)}.")
    for name in given:
        if name not in known:
            raise unknown("condition", name, known)


def plan_supervised(settings: Settings) -> list[Training]:
    """Every condition with every seed."""
    measurements = (orientations.thresholds_of_orientation(),)
    steps = spread_steps(FIRST_STEP, settings.steps, settings.checkpoints)
    record = {"batch": settings.batch, "learning_rate": settings.learning_rate}
    return [
        Training(
            "supervised",
            f"supervised-{name}",
            seed,
            steps,
            measurements,
            {**record, "condition": CONDITIONS[name].meaning},
            partial(_train, settings, name, seed, steps),
        )
        for seed in range(settings.seed, settings.seed + settings.runs)
        for name in dict.fromkeys(settings.conditions)
    ]


def _train(
    settings: Settings, name: str, seed: int, steps: tuple[int, ...], device: torch.device, advance: Advance
) -> Generator[Snapshot, None, None]:
    world = CONDITIONS[name].world()
    return orientations.train(
        orientations.describe(f"supervised-{name}", seed),
        lambda _: world,
        steps,
        batch=settings.batch,
        learning_rate=settings.learning_rate,
        device=device,
        advance=advance,
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
                **with_interval("gain", [_gain(c, start) for c in early]),
                **with_interval("r", [_agreement(c) for c in early]),
                **with_interval("ratio", [_ratio(c) for c in early]),
                **with_interval("ratio, last", [_ratio(c) for c in end]),
            }
        )
    return Findings(
        "rank correlation of the first layer's gain and sensitivity (r) with 2 - cos 2 theta; sensitivity "
        "at 90 over 0 deg, early and at the last step",
        pd.DataFrame(rows),
        [_sentence(row) for row in rows],
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


def _sentence(row: Mapping[str, Any]) -> str:
    low, high = row["gain_low"], row["gain_high"]
    if not np.isfinite(row["gain"]):
        found = "nothing can be said"
    elif abs(row["gain"]) < SMALL_R or low < 0 < high:
        found = "sensitivity does not go with the distribution"
    else:
        found = f"sensitivity is gained first at {90 if row['gain'] > 0 else 0} deg"
    condition = CONDITIONS.get(row["network"])
    meaning = condition.meaning if condition else ""
    return f"{row['network']} ({meaning}): {found} (r {row['gain']:.2f} at step {row['step']})."
