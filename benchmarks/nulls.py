"""Calibration of the efficient-coding test: false positives under hard nulls, power, error over many layers.

    python benchmarks/nulls.py simulated [--sets 4000] [-o nulls.csv]
    python benchmarks/nulls.py power coding-MODEL/measured [-o nulls_power.csv]

`simulated`: how often a test calls curves significant at 0.05 that were drawn without regard to the prior
(imagenet-sample, 36 orientations), beside 20 more of the same kind as untrained networks: by r among them, by
turns of the curve, and over 13 layers at once that are correlated from each to the next. `power`: untrained
curves that a test measured, each multiplied by p^0.4 and tested against the others, in every layer.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import psychophys
from psychophys.base.types import Array
from psychophys.comparison.correlation import turned_p_value
from psychophys.comparison.untrained import familywise_p, rank_p

LEVEL, NULLS, LAYERS, ALIKE = 0.05, 20, 13, 0.8
ANGLES = np.arange(0, 180, 5.0)
ROUND = np.deg2rad(2 * ANGLES)
"""Once round the ring of orientation."""
PLANTED = 0.4

Draw = Callable[[np.random.Generator, int], Array]
"""``(generator, count) -> (count, n)`` log sensitivities."""


def harmonics(orders: Array, mirrored: bool = False) -> Draw:
    """Sums of harmonics with Gaussian coefficients that fall as 1 / order."""

    def draw(generator: np.random.Generator, count: int) -> Array:
        a, b = generator.normal(size=(2, count, len(orders))) / orders
        waves = np.outer(orders, ROUND)
        return a @ np.cos(waves) + (0 if mirrored else b @ np.sin(waves))

    return draw


def aligned(generator: np.random.Generator, count: int) -> Array:
    """Curves of the pixel grid: plus or minus cos 4 theta, and a little else."""
    sign = generator.choice([-1.0, 1.0], size=(count, 1)) * generator.uniform(0.5, 1.5, size=(count, 1))
    return sign * np.cos(2 * ROUND) + 0.2 * harmonics(np.arange(1, 7))(generator, count)


NULL_KINDS: dict[str, Draw] = {
    "white": lambda generator, count: generator.normal(size=(count, len(ANGLES))),
    "smooth, 8 modes": harmonics(np.arange(1, 9)),
    "smooth, 3 modes": harmonics(np.arange(1, 4)),
    "repeats after 90 deg": harmonics(np.arange(2, 9, 2)),
    "mirror-symmetric": harmonics(np.arange(1, 9), mirrored=True),
    "aligned with the grid": aligned,
}


def every_r(sensitivity: Array, density: Array) -> Array:
    """Correlations of (..., n) curves with a density."""
    s = sensitivity - sensitivity.mean(axis=-1, keepdims=True)
    p = density - density.mean()
    return (s @ p) / np.sqrt((s * s).sum(axis=-1) * (p @ p))


def simulated(sets: int) -> pd.DataFrame:
    """A row a kind of null."""
    prior = psychophys.load_prior("imagenet-sample").density("orientation")
    density = prior.at(ANGLES)
    rows = []
    for number, (kind, draw) in enumerate(NULL_KINDS.items()):
        generator = np.random.default_rng(number)
        lone, ring, family = [], [], []
        for _ in range(sets):
            curves = np.empty((LAYERS, 1 + NULLS, len(ANGLES)))
            curves[0] = draw(generator, 1 + NULLS)
            for layer in range(1, LAYERS):
                fresh = draw(generator, 1 + NULLS)
                curves[layer] = ALIKE * curves[layer - 1] + np.sqrt(1 - ALIKE**2) * fresh
            sensitivity = np.exp(0.1 * curves)
            r = every_r(sensitivity, density).T
            lone.append(rank_p(r[0], r[1:])[0])
            family.append(familywise_p(r[0], r[1:]).min())
            ring.append(turned_p_value(sensitivity[0, 0], density)[1])
        shares = {
            "untrained": lone,
            "over 13 layers": family,
            "turned": ring,
        }
        found = {name: float(np.mean(np.array(p) <= LEVEL)) for name, p in shares.items()}
        rows.append({"null": kind, "sets": sets, "seed": number, **found})
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def power(folder: Path) -> pd.DataFrame:
    """A row a layer: how often a planted slope is found with the curves of real untrained networks."""
    frame = psychophys.read(folder).to_pandas()
    frame = frame[frame["weights"] == "random"]
    prior = psychophys.load_prior("imagenet-sample").density("orientation")
    layers = list(dict.fromkeys(frame["layer"]))
    wide = frame.pivot_table(index="run_id", columns=["layer", "value"], values="sensitivity")
    angles = np.sort(frame["value"].unique())
    curves = np.stack([wide[layer][angles].to_numpy(dtype=float) for layer in layers], axis=1)
    density = prior.at(angles)
    null, planted = every_r(curves, density), every_r(curves * density**PLANTED, density)
    lone, family = [], []
    for k in range(len(curves)):
        others = np.delete(null, k, axis=0)
        lone.append(rank_p(planted[k], others))
        family.append(familywise_p(planted[k], others))
    return pd.DataFrame(
        {
            "layer": layers,
            "networks": len(curves),
            "found": (np.array(lone) <= LEVEL).mean(axis=0),
            "found over all layers": (np.array(family) <= LEVEL).mean(axis=0),
            "r planted": planted.mean(axis=0),
            "r untrained": null.mean(axis=0),
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("simulated", "power"))
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--sets", type=int, default=4000)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    table = simulated(options.sets) if options.what == "simulated" else power(options.folder)
    print(table.to_string(index=False))
    if options.output:
        table.to_csv(options.output, index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
