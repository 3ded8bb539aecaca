"""The experiment ``autoencoder``: does the preferred orientation of a network turn with its images?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from torch import Tensor

from psychophys.learning.acuities import acuity
from psychophys.learning.conditions import check_shared, plan_conditions
from psychophys.learning.crops import cuts
from psychophys.learning.crops.denoising import CROPS, FIRST_STEP, SIDE, frequencies, orientations, train
from psychophys.learning.photographs import Photographs, load_photographs
from psychophys.learning.training import Learned, Training, check_limits, spread_steps
from psychophys.learning.trends import (
    Curve,
    Findings,
    curves,
    jackknife_shifts,
    ratio,
    share,
    shift_deg,
    told,
    trend,
    with_interval,
    with_turns,
)
from psychophys.results.thresholds import Results

ANGLES = {"upright": 0.0, "rotated": 45.0}
"""By which the photographs are turned, counter-clockwise."""


@dataclass(frozen=True)
class AutoencoderSettings:
    """Of the experiment ``autoencoder``.

    Attributes
    ----------
    conditions
        ``upright`` and ``rotated``.
    runs
        Trainings of each, with seeds from ``seed`` on. A seed draws the crops and the initial weights, which
        are the same in both conditions.
    images
        Photographs: folders, archives, files. Default: those that come along.
    noise
        Standard deviation of the noise on the pixels, which is to be removed; 0 for none.
    batch
        Crops in a step.
    learning_rate
        Of Adam.
    snapshots
        How many steps thresholds are measured at besides step 0.
    """

    conditions: tuple[str, ...] = tuple(ANGLES)
    runs: int = 5
    seed: int = 0
    images: tuple[str, ...] = ()
    noise: float = 0.25
    batch: int = 64
    learning_rate: float = 0.003
    steps: int = 800
    snapshots: int = 6

    def __post_init__(self) -> None:
        """Raise :class:`UsageError` for what cannot be done."""
        check_shared(
            self,
            tuple(ANGLES),
            batch=(1, 4096),
            learning_rate=(1e-6, 1.0),
            fewest_steps=2 * FIRST_STEP,
        )
        check_limits({"noise": (self.noise, 0, 10)})


def plan_autoencoder(settings: AutoencoderSettings) -> list[Training]:
    """Every condition with every seed.

    Raises
    ------
    UsageError
        For images that cannot be used.
    """
    photographs = load_photographs(settings.images, shorter_side=cuts.SHORTER_SIDE)
    steps = spread_steps(FIRST_STEP, settings.steps, settings.snapshots)
    record = {"photographs_sha256": photographs.sha256, "crops": CROPS, "noise": settings.noise}
    return plan_conditions(
        "autoencoder",
        settings,
        steps,
        (orientations(), frequencies()),
        {
            name: partial(train, settings, partial(_draw, photographs, angle), steps)
            for name, angle in ANGLES.items()
        },
        {name: {**record, "angle_deg": angle} for name, angle in ANGLES.items()},
    )


def _draw(photographs: Photographs, angle_deg: float, seed: int) -> Tensor:
    return cuts.draw(photographs, SIDE, CROPS, angle_deg, seed).images


def find_autoencoder(learned: Learned) -> Findings:
    """Cardinal over oblique sensitivity of every layer, and how far the curve turns with the images.

    ``shift`` is that of each run, ``of means`` that of curves averaged over the runs, with a jackknife's
    interval. Hidden layers begin with a preference for one cardinal orientation that stays in single runs.
    """
    every = curves(learned.thresholds)
    last = max(c.step for c in every)
    rows = [
        _row(layer, [c for c in every if c.layer == layer], last)
        for layer in dict.fromkeys(c.layer for c in every)
    ]
    final = rows[-1]["layer"]
    return Findings(
        f"cardinal over oblique sensitivity at steps 0 and {last}; shift of its curve in deg",
        pd.DataFrame(rows),
        [*_conclusions(rows[-1]), *_acuities(learned)],
        trend([c for c in every if c.layer == final], ratio),
        "cardinal over oblique sensitivity",
        final,
        ratio=True,
    )


def _row(layer: str, own: Sequence[Curve], last: int) -> dict[str, Any]:
    end = {(c.model, c.seed): c for c in own if c.step == last}
    pairs = [
        (share(end[_name("upright"), seed]), share(end[_name("rotated"), seed]))
        for model, seed in end
        if model == _name("upright") and (_name("rotated"), seed) in end
    ]
    pairs = [pair for pair in pairs if np.isfinite(pair).all()]
    # Both conditions begin with the same weights.
    before = {c.seed: ratio(c) for c in own if c.step == 0}
    row: dict[str, Any] = {"layer": layer, **with_interval("untrained", list(before.values()), scale="ratio")}
    for name in ANGLES:
        found = [ratio(c) for (model, _), c in end.items() if model == _name(name)]
        row |= with_interval(name, found, scale="ratio")
    pseudo = jackknife_shifts(pairs)
    centre = float(pseudo.mean()) if len(pseudo) else 0.0
    row |= with_turns("shift", np.array([shift_deg(*pair) for pair in pairs]), centre)
    return {**row, **with_turns("of means", pseudo, centre)}


def _name(condition: str) -> str:
    return f"autoencoder-{condition}"


def _conclusions(row: Mapping[str, Any]) -> list[str]:
    said = [
        f"Trained on {name} photographs, the {row['layer']} is {told(row, name, '.2f')} times as sensitive "
        f"at cardinal as at oblique orientations; untrained, {told(row, 'untrained', '.2f')}."
        for name in ANGLES
        if np.isfinite(row[name])
    ]
    turned = f"The photographs were turned by {ANGLES['rotated'] - ANGLES['upright']:.0f} deg;"
    if np.isfinite(row["of means"]):
        said.append(f"{turned} the mean curve of sensitivity turns by {told(row, 'of means', '.1f')} deg.")
    elif all(np.isfinite(row[name]) for name in ANGLES):
        said.append(f"{turned} whether the curve of sensitivity turns cannot be told from these runs.")
    return said


def _acuities(learned: Learned) -> list[str]:
    """How the highest frequency that is told apart grows: the mean over all runs."""
    whole = learned.thresholds
    part = Results(whole.table.filter(pc.equal(whole.table["dimension"], "frequency")), whole.runs)
    if not len(part):
        return []
    mean = acuity(part).groupby("step")["acuity"].mean().dropna()
    if len(mean) < 2:
        return []
    return [
        "Acuity (the frequency up to which thresholds are within twice the last one of the lowest) grows "
        f"from {mean.iloc[0]:.1f} cycles/image at step {mean.index[0]} to {mean.iloc[-1]:.1f} at step "
        f"{mean.index[-1]}."
    ]
