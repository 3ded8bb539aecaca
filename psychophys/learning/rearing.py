"""The experiment ``rearing``: what is left of a world that was seen for a while, and when it mattered.

The network is that of ``supervised``. Two controls of visual development: statistics that are switched
halfway, and a burst of other statistics at different times in an otherwise even world.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

from psychophys.learning import orientations
from psychophys.learning.orientations import BINS, Schedule, World, peaked, uniform
from psychophys.learning.supervised import check_conditions
from psychophys.learning.training import MOST_RUNS, Advance, Learned, Snapshot, Training, check_limits
from psychophys.learning.trends import Curve, Findings, at, curves, told, trend, with_interval

LAYER = "layer1"
BURST = 0.2
"""Of the training."""
STARTS = {"burst-early": 0.0, "burst-middle": 0.4, "burst-late": 0.8}
"""Where bursts begin, as a share of the training."""
CONDITIONS = {
    "first": "90 deg is seen three times as often as 0, throughout",
    "second": "0 deg is seen three times as often as 90, throughout",
    "switched": "the first world, and from halfway the second",
    "even": "all are seen alike, throughout",
    "burst-early": "all are seen alike, after a fifth of the training in the first world",
    "burst-middle": "all are seen alike, but for the middle fifth of the training in the first world",
    "burst-late": "all are seen alike, until the last fifth of the training in the first world",
}


@dataclass(frozen=True)
class Settings:
    """Of the experiment ``rearing``.

    Attributes
    ----------
    conditions
        Names in :data:`CONDITIONS`.
    runs
        Trainings of each, with seeds from ``seed`` on. Networks of one seed begin with the same weights.
    batch
        Images in a step.
    checkpoints
        How many steps thresholds are measured at besides step 0, evenly spread.
    """

    conditions: tuple[str, ...] = tuple(CONDITIONS)
    runs: int = 5
    seed: int = 0
    batch: int = 1024
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
                "steps": (self.steps, 10, 1_000_000),
                "checkpoints": (self.checkpoints, 2, 1000),
            }
        )


def schedule(condition: str, steps: int) -> Schedule:
    """The world of a condition at every step."""
    every = np.ones(BINS)
    first, second, even = World(peaked(90), every), World(peaked(0), every), World(uniform(), every)
    if condition in STARTS:
        begin = STARTS[condition] * steps
        return lambda step: first if begin <= step < begin + BURST * steps else even
    if condition == "switched":
        return lambda step: first if step < steps / 2 else second
    return lambda _: {"first": first, "second": second, "even": even}[condition]


def plan_rearing(settings: Settings) -> list[Training]:
    """Every condition with every seed."""
    measurements = (orientations.thresholds_of_orientation(),)
    steps = tuple(sorted({round(s) for s in np.linspace(0, settings.steps, settings.checkpoints + 1)}))
    record = {"batch": settings.batch, "learning_rate": settings.learning_rate, "burst": BURST}
    return [
        Training(
            "rearing",
            f"rearing-{name}",
            seed,
            steps,
            measurements,
            {**record, "condition": CONDITIONS[name]},
            partial(_train, settings, name, seed, steps),
        )
        for seed in range(settings.seed, settings.seed + settings.runs)
        for name in dict.fromkeys(settings.conditions)
    ]


def _train(
    settings: Settings, name: str, seed: int, steps: tuple[int, ...], device: torch.device, advance: Advance
) -> Generator[Snapshot, None, None]:
    return orientations.train(
        orientations.describe(f"rearing-{name}", seed),
        schedule(name, settings.steps),
        steps,
        batch=settings.batch,
        learning_rate=settings.learning_rate,
        device=device,
        advance=advance,
    )


def bias(curve: Curve) -> float:
    """Natural logarithm of the sensitivity at 90 over that at 0 deg: 0 for none."""
    return float(np.log(at(curve, 90) / at(curve, 0)))


def find_rearing(learned: Learned) -> Findings:
    """The first layer's bias to 90 deg, and what a world that is past has to do with it.

    Everything is compared within a seed. ``left``: after the switch, how far the last bias is from that of a
    network which saw the second world alone, over how far that of the first world is; after a burst, the last
    bias less that of the even world, unless the burst ends there. ``largest``: the largest difference
    from the even world at any step.
    """
    over = trend(curves(learned.thresholds, layer=LAYER), bias)
    over["condition"] = over["model"].str.removeprefix("rearing-")
    last = over["step"].max()
    whole = over.pivot_table(index=["seed", "step"], columns="condition", values="index")
    end = whole.xs(last, level="step")
    rows = []
    for name in (name for name in CONDITIONS if name in end):
        row: dict[str, Any] = {"network": name, **_interval("bias", end[name])}
        left = largest = pd.Series(np.nan, end.index)
        if name == "switched" and {"first", "second"} <= set(end.columns):
            left = (end[name] - end["second"]) / (end["first"] - end["second"])
        if name in STARTS and "even" in end:
            if STARTS[name] + BURST < 1:
                left = end[name] - end["even"]
            largest = (whole[name] - whole["even"]).groupby(level="seed").max()
        rows.append({**row, **_interval("largest", largest), **_interval("left", left)})
    return Findings(
        f"log sensitivity at 90 over 0 deg in the first layer: at step {last}, largest after a burst, left",
        pd.DataFrame(rows),
        [sentence for row in rows if (sentence := _sentence(row))],
        over,
        "log sensitivity at 90 over 0 deg",
        LAYER,
    )


def _interval(name: str, numbers: pd.Series) -> dict[str, float]:
    return with_interval(name, numbers.to_numpy(float))


def _sentence(row: Mapping[str, Any]) -> str:
    if row["network"] == "switched" and np.isfinite(row["left"]):
        return (
            f"After the switch, {told(row, 'left', '.0%')} of the difference between the worlds is left: "
            "0 % is a network that forgot, 100 % one that learned nothing new."
        )
    if not np.isfinite(row["largest"]):
        return ""
    moved = (
        f"The {row['network'].removeprefix('burst-')} burst moves the bias by {told(row, 'largest', '.2f')}"
    )
    if not np.isfinite(row["left"]):
        return f"{moved} until the end, where it ends itself."
    return f"{moved} at most; {told(row, 'left', '.2f')} is left at the end."
