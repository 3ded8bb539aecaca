"""The experiment ``linear``: trainings of linear autoencoders, and the half-times of their modes."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from psychophys.base.types import Array
from psychophys.learning.acuities import growth
from psychophys.learning.linear import descent, theory
from psychophys.learning.linear.patches import SHORTER_SIDE, Statistics, spectrum_exponent
from psychophys.learning.linear.plan import (
    INITIAL_STRENGTH,
    MODES,
    UNIFORM_SCALE,
    LinearSettings,
    Plan,
    has_closed_form,
    make_plans,
)
from psychophys.learning.linear.prediction import predicted_acuity, projections
from psychophys.learning.photographs import load_photographs
from psychophys.learning.training import Advance, HalfTimes, Snapshot, Training

CURVE_POINTS = 60
PICTURED = (1, 2, 3, 5, 10, 20)
"""Modes whose pictures are kept, and whose curves are drawn."""


def plan_linear(settings: LinearSettings) -> list[Training]:
    """Every depth with every seed.

    Raises
    ------
    UsageError
        For images that cannot be used.
    """
    photographs = load_photographs(settings.images, shorter_side=SHORTER_SIDE)
    return [
        Training(
            "linear",
            plan.depth.model,
            plan.seed,
            plan.steps,
            (plan.measurement,),
            plan.record,
            partial(_train, plan),
            has_modes=True,
        )
        for plan in make_plans(settings, photographs)
    ]


def _train(plan: Plan, device: torch.device, advance: Advance) -> Generator[Snapshot, None, HalfTimes]:
    depth, statistics = plan.depth, plan.draw(plan.seed)
    learning_rate = float(plan.settings.learning_rate / statistics.eigenvalues[0])
    trained, initial = _descend(plan, statistics, learning_rate, device, advance)
    mean, basis = torch.from_numpy(statistics.mean), torch.from_numpy(statistics.eigenvectors.copy())
    described = descent.describe(depth, plan.settings.patch, plan.seed)
    for step, kept in trained.weights.items():
        yield Snapshot(replace(described, step=step), descent.network(depth, mean, kept, basis))
    rows = _rows(plan, trained, statistics.eigenvalues, initial, learning_rate)
    notes = _expected(plan, statistics, initial, learning_rate)
    return HalfTimes(rows, {**notes, "components": _pictures(statistics)})


def _descend(
    plan: Plan, statistics: Statistics, learning_rate: float, device: torch.device, advance: Advance
) -> tuple[descent.Trained, Array]:
    """The training, and the strengths at step 0 that the closed forms begin with."""
    depth, size = plan.depth, len(statistics.mean)
    generator = np.random.default_rng((plan.seed, 1))
    if plan.settings.init == "balanced":
        trained = descent.train_balanced(
            depth,
            descent.rotations(depth, size, generator),
            INITIAL_STRENGTH,
            statistics.eigenvalues,
            learning_rate,
            plan.steps,
            MODES,
        )
        advance(plan.steps[-1])
        return trained, np.full(size, INITIAL_STRENGTH)
    weights = descent.uniform(depth, statistics.eigenvectors, UNIFORM_SCALE, generator)
    trained = descent.train(
        depth,
        weights,
        statistics.eigenvalues,
        learning_rate,
        plan.steps,
        MODES,
        device=device,
        progress=advance,
    )
    return trained, descent.initial_strengths(depth, weights)


def _pictures(statistics: Statistics) -> dict[str, str]:
    """Some modes as pictures: by number, a byte a pixel from -max (1) to max (255), in hexadecimal digits."""
    shown = {}
    for mode in PICTURED:
        vector = statistics.eigenvectors[:, mode - 1]
        # Of two signs, that with which the largest value is over 0.
        whole = np.round(127 * vector / vector[np.abs(vector).argmax()]) + 128
        shown[str(mode)] = whole.astype(np.uint8).tobytes().hex()
    return shown


def _expected(plan: Plan, statistics: Statistics, initial: Array, learning_rate: float) -> dict[str, Any]:
    """What the images and the closed forms say of acuity."""
    found: dict[str, Any] = {
        "spectrum_exponent": spectrum_exponent(statistics, plan.measurement.values),
        "predicted_acuity": None,
        "predicted_exponent": None,
    }
    if has_closed_form(plan.settings.init, plan.depth):
        acuities = predicted_acuity(
            plan.measurement,
            projections(plan.measurement, statistics),
            plan.depth,
            initial,
            learning_rate * statistics.eigenvalues,
            plan.steps,
        )
        found["predicted_acuity"] = [_known(value) for value in acuities]
        found["predicted_exponent"] = _known(growth(np.array(plan.steps, float), acuities))
    return found


def _rows(
    plan: Plan, trained: descent.Trained, eigenvalues: Array, initial: Array, learning_rate: float
) -> list[dict[str, Any]]:
    depth, strengths, initial = plan.depth, trained.strengths, initial[:MODES]
    last = len(strengths) - 1
    rate = learning_rate * eigenvalues[:MODES]
    simulated = descent.half_times(strengths)
    predicted = np.full(MODES, np.nan)
    shown = np.unique(np.geomspace(1, last, CURVE_POINTS).round().astype(int))
    closed = np.full((len(shown), MODES), np.nan)
    if has_closed_form(plan.settings.init, depth):
        predicted = theory.half_time(depth, initial, rate)
        closed = theory.strength(depth, initial, rate, shown.astype(float))
    return [
        {
            "model": depth.model,
            "init": plan.settings.init,
            "seed": plan.seed,
            "mode": k + 1,
            "eigenvalue": float(eigenvalues[k]),
            "learning_rate": learning_rate,
            "initial_strength": float(initial[k]),
            "half_time": _known(simulated[k]),
            "predicted_half_time": _known(predicted[k]),
            "relative_error": _known(simulated[k] / predicted[k] - 1),
            "curve": _curve(shown, strengths[shown, k], closed[:, k]),
            "sensitivity_curve": json.dumps([round(float(s), 6) for s in trained.sensitivities[shown, k]]),
        }
        for k in range(MODES)
    ]


def _curve(steps: NDArray[np.int64], simulated: Array, closed: Array) -> str:
    points = zip(steps, simulated, closed, strict=True)
    return json.dumps([[int(t), round(float(s), 6), _known(round(float(c), 6))] for t, s, c in points])


def _known(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None
