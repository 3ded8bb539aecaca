"""The experiment ``rearing``: what is left of a world that was seen for a while, and when it mattered.

The network is that of ``supervised``. Two controls of visual development: statistics that are switched
halfway, and a burst of other statistics at different times in an otherwise even world.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from psychophys.base.types import Array
from psychophys.learning.conditions import check_shared
from psychophys.learning.gratings import worlds
from psychophys.learning.gratings.worlds import BINS, Schedule, World, peaked, plan_worlds, uniform
from psychophys.learning.training import Learned, Training
from psychophys.learning.trends import (
    Curve,
    Findings,
    at,
    curves,
    interval,
    pseudo_values,
    told,
    trend,
    with_interval,
)

LAYER = "layer1"
BURST = 0.2
"""Length of a burst, as a share of the training. What it does is measured at its end, and as long after."""
STARTS = {"burst-early": 0.0, "burst-middle": 0.3, "burst-late": 0.6}
"""Where bursts begin, as a share of the training."""
ENDS = ("at burst's end", "as long after")
"""When the effect of a burst is told."""
CONDITIONS = {
    "first": "90 deg is seen three times as often as 0, throughout",
    "second": "0 deg is seen three times as often as 90, throughout",
    "switched": "the first world, and from halfway the second",
    "even": "all are seen alike, throughout",
    "burst-early": "all are seen alike, but for a burst of the first world at the beginning",
    "burst-middle": "all are seen alike, but for a burst of the first world from 0.3 of the training on",
    "burst-late": "all are seen alike, but for a burst of the first world from 0.6 of the training on",
}


@dataclass(frozen=True)
class RearingSettings:
    """Of the experiment ``rearing``.

    Attributes
    ----------
    conditions
        Names in :data:`CONDITIONS`.
    runs
        Trainings of each, with seeds from ``seed`` on. Networks of one seed begin with the same weights.
    batch
        Images in a step.
    snapshots
        How many steps thresholds are measured at besides step 0, evenly spread; the switch, the ends of
        bursts and as long after them are added.
    """

    conditions: tuple[str, ...] = tuple(CONDITIONS)
    runs: int = 5
    seed: int = 0
    batch: int = 1024
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
            fewest_steps=10,
        )


def burst(condition: str, steps: int) -> tuple[int, int, int]:
    """First step of a burst, the first after it, and as long after that."""
    begin, length = round(STARTS[condition] * steps), round(BURST * steps)
    return begin, begin + length, begin + 2 * length


def schedule(condition: str, steps: int) -> Schedule:
    """The world of a condition at every step."""
    every = np.ones(BINS)
    first, second, even = World(peaked(90), every), World(peaked(0), every), World(uniform(), every)
    if condition in STARTS:
        begin, end, _ = burst(condition, steps)
        return lambda step: first if begin <= step < end else even
    if condition == "switched":
        return lambda step: first if step < steps // 2 else second
    return lambda _: {"first": first, "second": second, "even": even}[condition]


def measured_steps(steps: int, snapshots: int) -> tuple[int, ...]:
    """Evenly spread, with the switch, the ends of bursts and as long after them."""
    spread = {round(step) for step in np.linspace(0, steps, snapshots + 1)}
    ends = {step for condition in STARTS for step in burst(condition, steps)[1:]}
    return tuple(sorted(spread | ends | {steps // 2}))


def plan_rearing(settings: RearingSettings) -> list[Training]:
    """Every condition with every seed."""
    return plan_worlds(
        "rearing",
        settings,
        measured_steps(settings.steps, settings.snapshots),
        {name: partial(schedule, name, settings.steps) for name in CONDITIONS},
        {name: {"burst": BURST, "condition": meaning} for name, meaning in CONDITIONS.items()},
    )


def bias(curve: Curve) -> float:
    """Natural logarithm of the sensitivity at 90 over that at 0 deg: 0 for none."""
    return float(np.log(at(curve, 90) / at(curve, 0)))


def find_rearing(learned: Learned) -> Findings:
    """The first layer's bias to 90 deg, and what a world that is past has to do with it.

    Everything is compared within a seed. After a burst: the bias less that of the even world, when the burst
    ends (``at burst's end``) and as long after that (``as long after``). After the switch, ``left`` is how
    far the last bias is from that of a network which saw the second world alone, over how far that of the
    first world is: a ratio of means, with a jackknife's interval.
    """
    over = trend(curves(learned.thresholds, layer=LAYER), bias)
    over["condition"] = over["model"].str.removeprefix("rearing-")
    last = int(over["step"].max())
    whole = over.pivot_table(index=["seed", "step"], columns="condition", values="index", dropna=False)
    end = pd.DataFrame(whole.xs(last, level="step"))
    rows = []
    for name in (name for name in CONDITIONS if name in end):
        row: dict[str, Any] = {"network": name, **with_interval("bias", end[name].to_numpy(float))}
        for column, step in zip(ENDS, _ends(name, last), strict=True):
            moved = np.array([])
            if step in whole.index.get_level_values("step") and "even" in whole:
                then = whole.xs(step, level="step")
                moved = (then[name] - then["even"]).to_numpy(float)
            row |= with_interval(column, moved)
        switched = name == "switched" and {"first", "second"} <= set(end.columns)
        rows.append({**row, **with_interval("left", _left(end) if switched else [])})
    return Findings(
        f"log sensitivity at 90 over 0 deg in the first layer at step {last}; added by bursts; left",
        pd.DataFrame(rows),
        [sentence for row in rows if (sentence := _conclusion(row))],
        over,
        "log sensitivity at 90 over 0 deg",
        LAYER,
        marks=_marks(last),
    )


def _ends(name: str, steps: int) -> tuple[int, int]:
    """Steps at which a burst is told; -1 for other conditions."""
    return burst(name, steps)[1:] if name in STARTS else (-1, -1)


def _marks(steps: int) -> tuple[int, ...]:
    """The switch, and where bursts begin and end."""
    return tuple(sorted({steps // 2, *(step for name in STARTS for step in burst(name, steps)[:2])} - {0}))


def _left(end: pd.DataFrame) -> Array:
    """Pseudo-values of the share that is left of the first world; none where the worlds do not differ."""
    above = (end["switched"] - end["second"]).to_numpy(float)
    whole = (end["first"] - end["second"]).to_numpy(float)
    known = np.isfinite(above) & np.isfinite(whole)
    above, whole = above[known], whole[known]
    if not interval(whole)[0] > 0:
        return np.array([])
    total = above.sum() / whole.sum()
    without = (above.sum() - above) / (whole.sum() - whole)
    return pseudo_values(float(total), without - total)


def _conclusion(row: Mapping[str, Any]) -> str:
    if np.isfinite(row["left"]):
        return (
            f"After the switch, {told(row, 'left', '.0%')} of the difference between the worlds is left: "
            "0 % is a network that forgot, 100 % one that learned nothing new."
        )
    if not np.isfinite(row[ENDS[0]]):
        return ""
    when = row["network"].removeprefix("burst-")
    return (
        f"The {when} burst has moved the bias by {told(row, ENDS[0], '.2f')} when it ends, and by "
        f"{told(row, ENDS[1], '.2f')} as long after."
    )
