"""The experiment ``classifier``: a network of timm's, trained from scratch on upright or turned photographs.

The control of Benjamin et al. (2022) at the scale of a desk. What a network tells apart has two sources, its
images and its architecture: strides favour cardinal orientations in a network without any training. So the
two trainings are compared with each other, and with the network before.
"""

from __future__ import annotations

import copy
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import timm
import torch
from torch import Tensor
from torch.nn import functional

from psychophys.base.errors import UsageError, unknown
from psychophys.learning.conditions import MOST_STEPS, check_shared, plan_conditions
from psychophys.learning.crops import cuts
from psychophys.learning.crops.autoencoder import ANGLES
from psychophys.learning.photographs import Photographs, load_photographs
from psychophys.learning.training import (
    Advance,
    Learned,
    Snapshot,
    Training,
    drawing,
    seeded,
    spread_steps,
)
from psychophys.learning.trends import Findings, curves, ratio, told, trend, with_interval
from psychophys.measurement.plan import plan
from psychophys.measurement.spec import Measurement
from psychophys.observers.learned import Described, from_timm

TASKS = {
    "rotation": "by which of 0, 90, 180 and 270 deg a crop is turned (Gidaris, Singh & Komodakis 2018)",
    "labels": "from which folder a crop is",
}
SIDE, CROPS = 64, 8000
FIRST_STEP = 20
FREQUENCIES = (4.0, 8.0)
GREY, CONTRAST = 0.5, 0.25
"""Pixel values that are 0 and 1 unit to the network."""
WEIGHT_DECAY = 0.02
NOISE_LEVEL = 0.1


@dataclass(frozen=True)
class ClassifierSettings:
    """Of the experiment ``classifier``.

    Attributes
    ----------
    conditions
        ``upright`` and ``rotated``.
    network
        An architecture of timm's that takes images of 64 x 64 pixels.
    task
        In :data:`TASKS`.
    runs
        Trainings of each, with seeds from ``seed`` on. A seed draws the crops and the initial weights, which
        are the same in both conditions.
    images
        Photographs: folders, archives, files. Default: those that come along. For ``labels``, a folder for
        each class.
    batch
        Crops in a step.
    learning_rate
        Of AdamW.
    snapshots
        How many steps thresholds are measured at besides step 0.
    """

    conditions: tuple[str, ...] = tuple(ANGLES)
    network: str = "test_resnet"
    task: str = "rotation"
    runs: int = 5
    seed: int = 0
    images: tuple[str, ...] = ()
    batch: int = 64
    learning_rate: float = 0.001
    steps: int = 300
    snapshots: int = 4

    def __post_init__(self) -> None:
        """Raise :class:`UsageError` for what cannot be done."""
        check_shared(
            self,
            tuple(ANGLES),
            batch=(2, 4096),
            learning_rate=(1e-6, 1.0),
            fewest_steps=2 * FIRST_STEP,
            most_seed=2**40,
        )
        if self.task not in TASKS:
            raise unknown("task", self.task, TASKS)
        if "." in self.network or not timm.is_model(self.network):
            raise unknown("network", self.network, timm.list_models(), "See `psychophys models`.")
        if self.task == "labels" and not self.images:
            raise UsageError(
                "task labels without images", "Give --images FOLDER with a folder for each class."
            )


def plan_classifier(settings: ClassifierSettings) -> list[Training]:
    """Every condition with every seed.

    Raises
    ------
    UsageError
        For images that cannot be used, or a network that does not take them.
    """
    photographs = load_photographs(settings.images, shorter_side=cuts.SHORTER_SIDE)
    classes = len(photographs.classes) if settings.task == "labels" else 4
    if classes < 2:
        raise UsageError(
            f"labels of images that are all in one folder, {photographs.classes[0]!r}",
            "Give --images FOLDER with a folder for each class, or --task rotation.",
        )
    plain = {"model": settings.network, "classes": classes, "channels": 1}
    _try(plain)
    steps = spread_steps(FIRST_STEP, settings.steps, settings.snapshots)
    record = {
        "network": settings.network,
        "task": settings.task,
        "classes": classes,
        "photographs_sha256": photographs.sha256,
        "crops": CROPS,
    }
    return plan_conditions(
        "classifier",
        settings,
        steps,
        (_measurement(),),
        {name: partial(_train, settings, photographs, plain, angle, steps) for name, angle in ANGLES.items()},
        {name: {**record, "angle_deg": angle} for name, angle in ANGLES.items()},
    )


def _try(plain: Mapping[str, Any]) -> None:
    try:
        with drawing(0):
            from_timm(**plain).train()(torch.zeros(2, 1, SIDE, SIDE))
    except Exception as error:
        words = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"network {plain['model']} does not take grey images of {SIDE} x {SIDE} pixels ({words[:120]})",
            "Give another, such as test_resnet or resnet10t.",
        ) from error


def _measurement() -> Measurement:
    # The gratings have the window of the crops.
    return plan(
        "grating",
        "orientation",
        values=24,
        parameters={"frequency": list(FREQUENCIES), "phase": 4, "size": 1.0},
        noise="gaussian",
        noise_level=NOISE_LEVEL,
    )


def _train(
    settings: ClassifierSettings,
    photographs: Photographs,
    plain: Mapping[str, Any],
    angle_deg: float,
    steps: tuple[int, ...],
    name: str,
    seed: int,
    device: torch.device,
    advance: Advance,
) -> Generator[Snapshot, None, None]:
    drawn = cuts.draw(photographs, SIDE, CROPS, angle_deg, seed)
    images, labels = (drawn.images / CONTRAST).to(device), drawn.labels.to(device)
    network = seeded(lambda: from_timm(**plain), seed).to(device).train()
    described = Described(name, "timm", plain, (SIDE, SIDE), (GREY,), (CONTRAST,), seed)
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=WEIGHT_DECAY)
    for step in range(steps[-1] + 1):
        chosen = torch.randint(len(images), (settings.batch,), generator=generator).to(device)
        turns = torch.randint(4, (settings.batch,), generator=generator).to(device)
        some, wanted = images[chosen], labels[chosen]
        if settings.task == "rotation":
            some, wanted = _turned(some, turns), turns
        # In training, a pass changes the statistics of batch normalisation.
        before = copy.deepcopy(network) if step in steps else None
        # Dropout and the like are drawn alike in every condition.
        with drawing(seed * MOST_STEPS + step):
            logits = network(some)
        loss = functional.cross_entropy(logits, wanted)
        if before is not None:
            right = float((logits.argmax(dim=1) == wanted).float().mean())
            found = {"loss": float(loss.detach()), "correct": right}
            yield Snapshot(replace(described, step=step), before, found)
        if step < steps[-1]:
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            advance(1)


def _turned(images: Tensor, turns: Tensor) -> Tensor:
    """Each image by so many quarters of a turn, which needs no interpolation."""
    turned = torch.empty_like(images)
    for quarter in range(4):
        those = turns == quarter
        turned[those] = torch.rot90(images[those], quarter, (2, 3))
    return turned


def find_classifier(learned: Learned) -> Findings:
    """Cardinal over oblique sensitivity of every layer: before training, and after either."""
    every = curves(learned.thresholds)
    last = max(c.step for c in every)
    rows = []
    for layer in dict.fromkeys(c.layer for c in every):
        own = [c for c in every if c.layer == layer]
        end = {(c.model, c.seed): ratio(c) for c in own if c.step == last}
        before = {c.seed: ratio(c) for c in own if c.step == 0}
        row: dict[str, Any] = {
            "layer": layer,
            **with_interval("untrained", list(before.values()), scale="ratio"),
        }
        for name in ANGLES:
            found = [value for (model, _), value in end.items() if model == f"classifier-{name}"]
            row |= with_interval(name, found, scale="ratio")
        apart = [_apart(end, seed) for seed in before]
        rows.append({**row, **with_interval("difference", apart)})
    final = rows[-1]["layer"]
    return Findings(
        f"cardinal over oblique sensitivity at step {last}; difference: of logarithms, upright less rotated",
        pd.DataFrame(rows),
        _conclusions(rows),
        trend([c for c in every if c.layer == final], ratio),
        "cardinal over oblique sensitivity",
        final,
        ratio=True,
    )


def _apart(ratios: Mapping[tuple[str, int], float], seed: int) -> float:
    """Of the logarithms of the two conditions; NaN where one is not there."""
    upright, rotated = (ratios.get((f"classifier-{name}", seed), np.nan) for name in ANGLES)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.log(upright) - np.log(rotated))


def _conclusions(rows: list[dict[str, Any]]) -> list[str]:
    known = [row for row in rows if np.isfinite(row["difference_low"])]
    if not known:
        return ["Differences have intervals with two or more runs of both conditions that have learned."]
    higher = [row for row in known if row["difference_low"] > 0]
    lower = [row for row in known if row["difference_high"] < 0]
    said = [
        f"Upright photographs leave cardinal orientations more sensitive than turned ones do in "
        f"{len(higher)} of {len(known)} layers, less in {len(lower)}; by chance, about "
        f"{max(round(0.05 * len(known)), 1)} would have an interval without 0."
    ]
    if higher:
        most = max(higher, key=lambda row: row["difference"])
        said.append(f"Most in {most['layer']}: {told(most, 'difference', '.2f')} log units.")
    return said
