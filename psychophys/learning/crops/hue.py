"""The experiment ``hue``: does sensitivity turn with the hues of the photographs, and what does it follow?

Networks remove noise from single pixels, whose colours are all that they can know. What is best done is
known, too: the mean of what a pixel can have been.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from psychophys.base.types import Array
from psychophys.learning.conditions import check_shared, plan_conditions
from psychophys.learning.crops import colours
from psychophys.learning.crops.denoising import FIRST_STEP, NOISE_LEVEL, Design, train
from psychophys.learning.photographs import Photographs, load_photographs
from psychophys.learning.training import Learned, Training, check_limits, spread_steps
from psychophys.learning.trends import (
    Curve,
    Findings,
    curves,
    jackknife_shifts,
    nearest_turn,
    rank_correlation,
    share,
    shift_deg,
    told,
    trend,
    with_interval,
    with_turns,
)
from psychophys.measurement.plan import plan
from psychophys.measurement.spec import Measurement

ROUND_DEG = 360.0
UPRIGHT = "upright"
TURNS_DEG = {UPRIGHT: 0.0, "rotated": 90.0, "swapped": 120.0}
"""Of the hues. The second is the paper's; the third puts green for red, blue for green and red for blue: what
is best done turns with it exactly."""
SHORTER_SIDE, PIXELS, KNOWN = 128, 64_000, 32_000
"""Of the photographs; that a network learns from; that say what is best done and how common hues are."""
DESIGN = Design(channels=(32, 32), width=1, colours=3, side=8)
LEAST_NOISE = 0.02
"""Under which the pixels are too few to say what is best done."""
DIGITS = 4
"""That are kept of curves."""


@dataclass(frozen=True)
class HueSettings:
    """Of the experiment ``hue``.

    Attributes
    ----------
    conditions
        ``upright``, ``rotated`` (hues turned by 90 deg) and ``swapped`` (by 120 deg).
    runs
        Trainings of each, with seeds from ``seed`` on. A seed draws the pixels and the initial weights, which
        are the same in all conditions.
    images
        Photographs: folders, archives, files. Default: those that come along.
    noise
        Standard deviation of the noise on the pixels, which is to be removed.
    batch
        Pixels in a step.
    learning_rate
        Of Adam.
    snapshots
        How many steps thresholds are measured at besides step 0.
    """

    conditions: tuple[str, ...] = tuple(TURNS_DEG)
    runs: int = 5
    seed: int = 0
    images: tuple[str, ...] = ()
    noise: float = 0.1
    batch: int = 512
    learning_rate: float = 0.003
    steps: int = 2000
    snapshots: int = 4

    def __post_init__(self) -> None:
        """Raise :class:`UsageError` for what cannot be done."""
        check_shared(
            self,
            tuple(TURNS_DEG),
            batch=(1, 65_536),
            learning_rate=(1e-6, 1.0),
            fewest_steps=2 * FIRST_STEP,
        )
        check_limits({"noise": (self.noise, LEAST_NOISE, 10)})


def plan_hue(settings: HueSettings) -> list[Training]:
    """Every condition with every seed.

    Raises
    ------
    UsageError
        For images that cannot be used.
    """
    photographs = load_photographs(settings.images, shorter_side=SHORTER_SIDE, colour=True)
    steps = spread_steps(FIRST_STEP, settings.steps, settings.snapshots)
    measurement = hues()
    shared = {"photographs_sha256": photographs.sha256, "pixels": PIXELS, "noise": settings.noise}
    return plan_conditions(
        "hue",
        settings,
        steps,
        (measurement,),
        {
            name: partial(train, settings, partial(_draw, photographs, turn), steps, design=DESIGN)
            for name, turn in TURNS_DEG.items()
        },
        {
            name: {**shared, **_known(photographs, turn, settings.noise, measurement)}
            for name, turn in TURNS_DEG.items()
            if name in settings.conditions
        },
    )


def hues() -> Measurement:
    """Of uniform patches along the HSV ring.

    The first layer is left out: it is linear, and each sixth of the ring changes one channel, so that its
    curve has three values and repeats after half a round.
    """
    shades = [0.5, 0.7, 0.9]
    return plan(
        "patch",
        "hue",
        parameters={"saturation": shades, "value": shades},
        layers=["relu*", "conv2", "output"],
        noise="gaussian",
        noise_level=NOISE_LEVEL,
    )


def _draw(photographs: Photographs, turn_deg: float, seed: int) -> Tensor:
    return colours.draw(photographs, PIXELS, turn_deg, seed)


def _known(
    photographs: Photographs, turn_deg: float, noise: float, measurement: Measurement
) -> dict[str, Any]:
    """What is known of the pixels without a network: kept with the training, to be compared with it."""
    pixels = colours.draw(photographs, KNOWN, turn_deg, seed=0)
    ideal = colours.ideal_sensitivity(pixels, noise, measurement)
    common = colours.hue_density(pixels, np.array(measurement.values))
    rounded = {"ideal": ideal, "common": common}
    return {
        "turn_deg": turn_deg,
        **{name: [float(f"{number:.{DIGITS}g}") for number in curve] for name, curve in rounded.items()},
    }


def find_hue(learned: Learned) -> Findings:
    """How far every layer's curve turns with the hues, and its rank correlations.

    ``rotated`` and ``swapped`` are turns of curves averaged over the runs, with a jackknife's interval.
    ``ideal`` is the correlation with who removes the noise best, ``common`` that with how common hues are:
    means over the conditions of each run. ``untrained`` is ``ideal`` at step 0.
    """
    every = curves(learned.thresholds, "hue")
    known = {str(one["learning"]["model"]): one["learning"] for one in learned.thresholds.runs.values()}
    last = max(curve.step for curve in every)
    alive = [curve for curve in every if (curve.sensitivity > 0).all()]
    names = list(dict.fromkeys(curve.layer for curve in every))
    rows = [_row(name, [c for c in alive if c.layer == name], known, last) for name in names]
    final = [curve for curve in alive if curve.layer == names[-1]]
    return Findings(
        f"turn of the curve of sensitivity to hue at step {last}, in deg; its rank correlations",
        pd.DataFrame(rows),
        [
            *_turns_told(rows[-1], [c for c in final if c.step == last], known),
            *_followed_told(rows[-1], [c for c in final if c.step == last], known),
        ],
        trend(final, partial(_with, known, "ideal")),
        "rank correlation with the ideal",
        names[-1],
        dimension="hue",
        period_deg=ROUND_DEG,
        expected={c.model: (c.value, np.array(known[c.model]["ideal"])) for c in final},
    )


Known = Mapping[str, Mapping[str, Any]]
"""Records of the trainings, by network."""


def _row(layer: str, own: Sequence[Curve], known: Known, last: int) -> dict[str, Any]:
    row: dict[str, Any] = {"layer": layer}
    end = [curve for curve in own if curve.step == last]
    for name in TURNS_DEG:
        if name != UPRIGHT:
            pseudo = jackknife_shifts(_pairs(end, name), ROUND_DEG)
            centre = float(pseudo.mean()) if len(pseudo) else 0.0
            row |= with_turns(name, pseudo, centre, ROUND_DEG)
    before = [curve for curve in own if curve.step == 0]
    for name, some, curve in (
        ("untrained", before, "ideal"),
        ("ideal", end, "ideal"),
        ("common", end, "common"),
    ):
        row |= with_interval(name, _by_run(some, partial(_with, known, curve)), scale="correlation")
    return row


def _pairs(end: Sequence[Curve], name: str) -> list[tuple[Array, Array]]:
    """Curves of the photographs as they are, and turned, of the seeds that have both."""
    found = {(curve.model, curve.seed): share(curve) for curve in end}
    return [
        (upright, found[_name(name), seed])
        for (model, seed), upright in found.items()
        if model == _name(UPRIGHT) and (_name(name), seed) in found
    ]


def _name(condition: str) -> str:
    return f"hue-{condition}"


def _with(known: Known, name: str, curve: Curve) -> float:
    return rank_correlation(curve.sensitivity, np.array(known[curve.model][name]))


def _at_common(known: Known, curve: Curve) -> float:
    """Sensitivity at hues, each as often as it is found, over its mean."""
    return float(np.average(share(curve), weights=np.array(known[curve.model]["common"])))


def _by_run(own: Sequence[Curve], index: Callable[[Curve], float]) -> list[float]:
    """Means over the conditions, which have the same initial weights."""
    seeds = dict.fromkeys(curve.seed for curve in own)
    return [float(np.mean([index(curve) for curve in own if curve.seed == seed])) for seed in seeds]


def _turns_told(row: Mapping[str, Any], end: Sequence[Curve], known: Known) -> list[str]:
    said = []
    for name, turn in TURNS_DEG.items():
        pairs = _pairs(end, name)
        if name == UPRIGHT or not pairs:
            continue
        hues_turned = f"The hues of {name} photographs were turned by {turn:.0f} deg;"
        if not np.isfinite(row[name]):
            said.append(
                f"{hues_turned} whether the curve of sensitivity turns cannot be told from these runs."
            )
            continue
        before, after = (np.array(known[_name(one)]["ideal"]) for one in (UPRIGHT, name))
        best = nearest_turn(np.array(shift_deg(before, after, ROUND_DEG)), ROUND_DEG)
        shifts = np.array([shift_deg(*pair, ROUND_DEG) for pair in pairs])
        single = with_turns("turn", shifts, row[name], ROUND_DEG)
        runs = f" (single runs: {told(single, 'turn', '.0f')})" if np.isfinite(single["turn"]) else ""
        said.append(
            f"{hues_turned} the mean curve of sensitivity of the {row['layer']} turns by "
            f"{told(row, name, '.0f')} deg{runs}, the ideal one by {best:.0f}."
        )
    return said


def _followed_told(row: Mapping[str, Any], end: Sequence[Curve], known: Known) -> list[str]:
    best = [rank_correlation(np.array(one["ideal"]), np.array(one["common"])) for one in known.values()]
    common = with_interval("common", _by_run(end, partial(_at_common, known)), scale="ratio")
    return [
        f"Its rank correlation with the ideal curve is {told(row, 'ideal', '.2f')}; untrained, "
        f"{told(row, 'untrained', '.2f')}.",
        f"That with how common hues are is {told(row, 'common', '.2f')}, and that of the ideal curve "
        f"{np.mean(best):.2f}.",
        f"Over hues as common as they are, sensitivity is {told(common, 'common', '.2f')} times its mean.",
    ]
