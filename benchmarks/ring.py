"""Derivatives from one image a value, layer by layer: would more neighbours do better than `chained`?

    python benchmarks/ring.py [--models NAME ...] [-o ring.csv]

Gabors of one phase are shown at every orientation of a full turn, and responses are kept as products of each
with each (their Gram matrix), of which J is a quadratic form for any rule that is linear in responses:

- ``chained``: the slope between values half a step away;
- ``two_steps``: central differences between the neighbours;
- ``fourth``: of fourth order, over four neighbours; ``fourth_staggered``: the same, half a step away;
- ``spectral``: the derivative of the interpolant by harmonics, over the whole turn;
- ``extrapolated``: J of `chained` less half of what J falls by between differences over one step and three.
  Where responses bend suddenly, as with ReLU, J falls with the width itself.

Given are the mean relative error of sqrt(J) over orientations, against exact derivatives in float64, and the
correlation of the logarithms, for values a half turn.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import psychophys
from psychophys.base.types import Array
from psychophys.observers.layers import module_names, recording, select_layers
from psychophys.observers.memory import keep_freed_memory
from psychophys.observers.names import DEFAULT_MODEL
from psychophys.stimuli import get_stimulus

warnings.filterwarnings("ignore", category=FutureWarning)
PHASE_DEG, COUNTS, BATCH, COLUMNS = 40.0, (36, 72, 144), 8, 8192
FINE = 4 * max(COUNTS)
"""Orientations in a full turn: halves of the finest step."""
EXACT = np.arange(0, FINE, FINE // (2 * min(COUNTS)))
"""Places of those that are measured exactly."""
SCHEMES: dict[str, list[tuple[float, dict[int, float]]]] = {
    "chained": [(1, {1: 1})],
    "two_steps": [(1, {2: 1 / 2})],
    "fourth": [(1, {2: 8 / 12, 4: -1 / 12})],
    "fourth_staggered": [(1, {1: 27 / 24, 3: -1 / 24})],
    "extrapolated": [(1.5, {1: 1}), (-0.5, {3: 1 / 3})],
}
"""Sums of J: a weight each, and by half steps to either side the factor of the difference over one step."""


def products(model: str, weights: str) -> dict[str, Array]:
    """Of the responses to all orientations, each with each, by layer: (FINE, FINE)."""
    observer = psychophys.load_observer(model, weights=weights)
    layers = select_layers(observer, ("default",)).layers
    kept: dict[str, list[torch.Tensor]] = {layer.name: [] for layer in layers}
    angles = torch.arange(FINE) * (360 / FINE)
    for part in angles.split(BATCH):
        images = get_stimulus("gabor").render({"orientation": part, "phase": PHASE_DEG}, observer.input_size)
        with (
            torch.no_grad(),
            recording(
                observer.model, module_names(layers), lambda name, out: kept[name].append(out.flatten(1) + 0)
            ),
        ):
            observer.model(observer.preprocess(images))
    found = {}
    for name in list(kept):
        responses = torch.cat(kept.pop(name))
        total = torch.zeros(FINE, FINE, dtype=torch.float64)
        for part in responses.split(COLUMNS, dim=1):
            centred = (part - part.mean(dim=0)).double()
            total += centred @ centred.T
        found[name] = total.numpy()
    return found


def by_scheme(gram: Array, count: int) -> dict[str, Array]:
    """J at the exact places, from so many values a half turn."""
    half, step = FINE // count // 4, 180 / count
    found = {}
    for name, terms in SCHEMES.items():
        found[name] = np.zeros(len(EXACT))
        for weight, factors in terms:
            rule = np.zeros((len(EXACT), FINE))
            for offset, factor in factors.items():
                for side in (1, -1):
                    rule[np.arange(len(EXACT)), (EXACT + side * offset * half) % FINE] += side * factor / step
            found[name] += weight * np.einsum("ij,jk,ik->i", rule, gram, rule)
    shown = slice(None, None, 2 * half)
    waves = np.fft.fftfreq(2 * count, 1 / (2 * count))
    waves[count] = 0
    waves = 2j * np.pi / 360 * waves
    rule = np.fft.ifft(waves[:, None] * np.fft.fft(np.eye(2 * count), axis=0), axis=0).real
    every = np.einsum("ij,jk,ik->i", rule, gram[shown, shown], rule)
    return {**found, "spectral": every[EXACT // (2 * half)]}


def compared(model: str) -> list[dict[str, Any]]:
    """A row a layer, number of values and scheme."""
    weights = "pretrained" if model == DEFAULT_MODEL else "random"
    angles = EXACT * (360 / FINE)
    settings = {"values": list(angles), "parameters": {"phase": PHASE_DEG}, "noise": "gaussian"}
    exact = psychophys.measure(model, weights=weights, dtype="float64", **settings).to_pandas()
    rows = []
    for layer, gram in products(model, weights).items():
        true = exact.loc[exact["layer"] == layer, "sensitivity"].to_numpy()
        for count in COUNTS:
            for name, j in by_scheme(gram, count).items():
                curve = np.sqrt(j.clip(min=1e-30))
                r = np.corrcoef(np.log(curve), np.log(true))[0, 1]
                row = {"model": model, "layer": layer, "values": count, "scheme": name}
                rows.append({**row, "error": np.abs(curve / true - 1).mean(), "r": r})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", nargs="+", default=[DEFAULT_MODEL, "vit_tiny_patch16_224"])
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    keep_freed_memory()
    table = pd.DataFrame(row for model in options.models for row in compared(model))
    columns = ["values", "scheme"]
    print(table.pivot_table("error", ["model", "layer"], columns, sort=False).round(3).to_string())
    if options.output:
        table.to_csv(options.output, index=False, float_format="%.3g")


if __name__ == "__main__":
    main()
