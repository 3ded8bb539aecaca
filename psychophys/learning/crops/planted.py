"""The experiment ``planted``: does sensitivity follow the prior of the world that is learned, whichever?

Denoising autoencoders learn dead leaves whose orientations have a density that was planted: a ground truth,
where photographs have an estimate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from psychophys.base.types import Array
from psychophys.learning.conditions import check_shared, plan_conditions
from psychophys.learning.crops import leaves
from psychophys.learning.crops.denoising import FIRST_STEP, SIDE, orientations, train
from psychophys.learning.training import Learned, Training, check_limits, spread_steps
from psychophys.learning.trends import (
    Curve,
    Findings,
    curves,
    pseudo_values,
    rank_correlation,
    share,
    told,
    trend,
    with_interval,
)

IMAGES = 4000
FLAT = "flat"
"""The world without a prior to follow."""
FEWEST_RUNS = 3
"""Of a world, from which it is said how even its curve is."""
PEAKED = tuple(name for name in leaves.DENSITIES if name != FLAT)


@dataclass(frozen=True)
class PlantedSettings:
    """Of the experiment ``planted``.

    Attributes
    ----------
    conditions
        Planted priors: ``cardinal``, ``oblique``, ``tilted`` (one peak at 30 deg) and ``flat``.
    runs
        Trainings of each, with seeds from ``seed`` on. A seed draws the images and the initial weights, which
        are the same in all conditions but for the orientations of the leaves.
    noise
        Standard deviation of the noise on the pixels, which is to be removed; 0 for none.
    batch
        Images in a step.
    learning_rate
        Of Adam.
    snapshots
        How many steps thresholds are measured at besides step 0.
    """

    conditions: tuple[str, ...] = tuple(leaves.DENSITIES)
    runs: int = 5
    seed: int = 0
    noise: float = 0.25
    batch: int = 64
    learning_rate: float = 0.003
    steps: int = 800
    snapshots: int = 4

    def __post_init__(self) -> None:
        """Raise :class:`UsageError` for what cannot be done."""
        check_shared(
            self,
            tuple(leaves.DENSITIES),
            batch=(1, 4096),
            learning_rate=(1e-6, 1.0),
            fewest_steps=2 * FIRST_STEP,
        )
        check_limits({"noise": (self.noise, 0, 10)})


def plan_planted(settings: PlantedSettings) -> list[Training]:
    """Every condition with every seed."""
    steps = spread_steps(FIRST_STEP, settings.steps, settings.snapshots)
    record = {"images": IMAGES, "leaves": leaves.LEAVES, "noise": settings.noise}
    return plan_conditions(
        "planted",
        settings,
        steps,
        (orientations(),),
        {name: partial(train, settings, partial(_draw, name), steps) for name in leaves.DENSITIES},
        {name: {**record, "prior": name, "concentration": leaves.CONCENTRATION} for name in leaves.DENSITIES},
    )


def _draw(prior: str, seed: int) -> Tensor:
    return leaves.draw(prior, SIDE, IMAGES, seed)


def find_planted(learned: Learned) -> Findings:
    """Rank correlation of every layer's sensitivity with the planted prior, and how flat it is without one.

    ``flat`` and ``peaked`` are the standard deviation over orientations of the logarithm of what the curves
    of a world's runs share: in the flat world, and on average over the others. From three runs on.
    """
    every = curves(learned.thresholds)
    last = max(curve.step for curve in every)
    end = [curve for curve in every if curve.step == last and (curve.sensitivity > 0).all()]
    names = list(dict.fromkeys(curve.layer for curve in every))
    rows = [_row(name, [c for c in end if c.layer == name]) for name in names]
    final = [curve for curve in end if curve.layer == names[-1]]
    followed = [c for c in every if c.layer == names[-1] and _world(c) != FLAT]
    return Findings(
        f"rank correlation of sensitivity with the planted prior at step {last}; s.d. of its logarithm",
        pd.DataFrame(rows),
        _conclusions(names[-1], rows[-1], final),
        trend(followed, _own),
        "rank correlation with the planted prior",
        names[-1],
        expected={name: _expected(name, final) for name in dict.fromkeys(c.model for c in final)},
    )


def _world(curve: Curve) -> str:
    return curve.model.partition("-")[2]


def _own(curve: Curve) -> float:
    return _with(curve, _world(curve))


def _with(curve: Curve, prior: str) -> float:
    return rank_correlation(curve.sensitivity, leaves.density_at(prior, curve.value))


def _row(layer: str, own: Sequence[Curve]) -> dict[str, Any]:
    row: dict[str, Any] = {"layer": layer}
    for world in PEAKED:
        found = [_own(curve) for curve in own if _world(curve) == world]
        row |= with_interval(world, found, scale="correlation")
    row |= {f"flat{end}": root for end, root in _spread(own, FLAT).items()}
    known = [spread for world in PEAKED if np.isfinite(spread := _spread(own, world)[""])]
    return {**row, "peaked": float(np.mean(known)) if known else float("nan")}


def _spread(own: Sequence[Curve], world: str) -> dict[str, float]:
    """How far from even the logarithm of what a world's runs share is, and the ends of an interval.

    The mean product of the curves of two runs has no part of what is each run's own: where the curve is even
    it is 0 on average. Of it, its jackknife's ends and the square roots of all, with their signs; NaN below
    three runs.
    """
    logs = np.array([np.log(share(curve)) for curve in own if _world(curve) == world])
    if len(logs) < FEWEST_RUNS:
        return dict.fromkeys(("", "_low", "_high"), float("nan"))
    logs -= logs.mean(axis=1, keepdims=True)
    whole = _shared(logs)
    without = np.array([_shared(np.delete(logs, run, axis=0)) for run in range(len(logs))])
    found = with_interval("", pseudo_values(whole, without - whole))
    return {end: float(np.sign(square) * np.sqrt(abs(square))) for end, square in found.items()}


def _shared(logs: Array) -> float:
    """Mean product of two different runs' curves, over their pairs and the values."""
    products = logs @ logs.T / logs.shape[1]
    runs = len(logs)
    return float((products.sum() - np.trace(products)) / (runs * (runs - 1)))


def _expected(model: str, final: Sequence[Curve]) -> tuple[Array, Array]:
    """The planted prior to the power that fits best, over its mean, at the values of a network's curves."""
    own = [curve for curve in final if curve.model == model]
    value, mean = own[0].value, np.mean([share(curve) for curve in own], axis=0)
    density = leaves.density_at(_world(own[0]), value)
    power = density ** (_exponent(mean, density) / 2)
    return value, power / power.mean()


def _exponent(sensitivity: Array, density: Array) -> float:
    """Of J, as a power of the density; 0 where that is flat."""
    x, y = np.log(density) - np.log(density).mean(), np.log(sensitivity)
    return float(2 * (x @ y) / (x @ x)) if x.any() else 0.0


def _conclusions(layer: str, row: Mapping[str, Any], final: Sequence[Curve]) -> list[str]:
    said = []
    for world in PEAKED:
        own = [curve for curve in final if _world(curve) == world]
        if not own or not np.isfinite(row[world]):
            continue
        power = [_exponent(c.sensitivity, leaves.density_at(world, c.value)) for c in own]
        exponent = told(with_interval("q", power), "q", ".2f")
        others = [np.mean([_with(curve, other) for curve in own]) for other in PEAKED if other != world]
        said.append(
            f"In the {world} world the {layer}'s sensitivity has a rank correlation of "
            f"{told(row, world, '.2f')} with the planted prior, and of at most {max(others):.2f} on average "
            f"with the others'; information goes as its power {exponent}."
        )
    flat = [curve for curve in final if _world(curve) == FLAT]
    if flat:
        found = {
            name: with_interval("r", [_with(c, name) for c in flat], scale="correlation") for name in PEAKED
        }
        words = ", ".join(f"{told(one, 'r', '.2f')} with the {name}" for name, one in found.items())
        said.append(f"In the flat world its correlations are {words} prior.")
        if np.isfinite([row["flat"], row["peaked"]]).all():
            said.append(
                f"What its runs share varies by {told(row, 'flat', '.3f')} there (s.d. of the logarithm over "
                f"orientations), and by {row['peaked']:.3f} in the others."
            )
    return said
