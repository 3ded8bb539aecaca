"""How often 95 % intervals hold what they are of, in simulations.

    python benchmarks/calibration.py slope [--sets 2000] [-o calibration_slope.csv]

`slope`: of log sensitivity on the log density of the prior that comes along. log s = 0.4 log p + 0.1 e,
with e of s.d. 1: white, or of the first 3 or 8 harmonics with amplitudes 1 / k, fixed with random phases
(`phases`) or Gaussian; on luminance, which has ends, a first-order autoregression. `source`: what is
uncertain besides e. `method`: `interval` is that of psychophys.comparison.intervals; Student's t, block
bootstraps and an inverted test over turns of the prior stand beside it. Every row has the seed that repeats
it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student

from psychophys.base.types import Array
from psychophys.comparison.intervals import slope_interval
from psychophys.comparison.priors import load_prior

SLOPE, SIZE = 0.4, 0.1
RESIDUALS = ("white", "8 phases", "8 Gaussian", "3 phases", "3 Gaussian")
PRIOR = load_prior("imagenet-sample")
Ends = tuple[float, float]


def residuals(kind: str, n: int, sets: int, generator: np.random.Generator) -> Array:
    """Shape (sets, n), s.d. 1."""
    if kind == "white":
        return generator.normal(size=(sets, n))
    most, how = kind.split()
    k = np.arange(1, int(most) + 1)
    wave = np.exp(2j * np.pi * np.outer(k, np.arange(n)) / n) / k[:, None] / np.sqrt(np.sum(1 / k**2))
    if how == "phases":
        weight = np.sqrt(2) * np.exp(2j * np.pi * generator.random((sets, len(k))))
    else:
        weight = generator.normal(size=(sets, len(k))) + 1j * generator.normal(size=(sets, len(k)))
    return (weight @ wave).real


def autoregression(r: float, n: int, sets: int, generator: np.random.Generator) -> Array:
    found = generator.normal(size=(sets, n))
    for i in range(1, n):
        found[:, i] = r * found[:, i - 1] + np.sqrt(1 - r * r) * found[:, i]
    return found


def plain_t(y: Array, x: Array) -> Ends:
    slope = y @ x / (x @ x)
    error = np.sqrt(np.sum((y - slope * x) ** 2) / (len(x) - 2) / (x @ x))
    half = student.ppf(0.975, len(x) - 2) * error
    return slope - half, slope + half


def blocks(y: Array, x: Array, length: int = 0) -> Ends:
    """Circular block bootstrap; the length is that of compare_with_prior, n^(1/3), if none is given."""
    n = len(x)
    length = length or max(round(n ** (1 / 3)), 2)
    starts = np.random.default_rng(0).integers(n, size=(1000, -(-n // length)))
    index = (starts[..., None] + np.arange(length)).reshape(1000, -1)[:, :n] % n
    drawn, of = x[index], y[index]
    drawn = drawn - drawn.mean(axis=1, keepdims=True)
    low, high = np.percentile((drawn * of).sum(axis=1) / (drawn**2).sum(axis=1), (2.5, 97.5))
    return float(low), float(high)


def long_blocks(y: Array, x: Array) -> Ends:
    """With the length of Politis & White (2004) for the mean of residual times density."""
    n = len(x)
    score = (y - x * (x @ y) / (x @ x)) * x
    score = score - score.mean()
    covariance = np.array([score @ np.roll(score, k) for k in range(n // 2 + 1)]) / n
    small = np.abs(covariance / covariance[0]) < 2 * np.sqrt(np.log10(n) / n)
    run = [m for m in range(len(small) - 5) if small[m + 1 : m + 6].all()]
    lag = np.arange(min(2 * max(run[0], 1) if run else n // 2, n // 2) + 1)
    taper = np.clip(2 * (1 - lag / max(lag[-1], 1)), 0, 1) * np.where(lag > 0, 2, 1)
    spread, level = np.sum(taper * lag * covariance[lag]), np.sum(taper * covariance[lag])
    best = (1.5 * spread**2 / max(level**2, 1e-300) * n) ** (1 / 3)
    return blocks(y, x, int(np.clip(np.ceil(best), 1, n // 2)))


def turns(y: Array, x: Array, turned: Array) -> Ends:
    """Slopes whose residual leans on the prior more than on all but 95 % of its turns, (turns, n)."""
    slope = y @ x / (x @ x)
    unit = np.sqrt(np.mean((y - slope * x) ** 2) / (x @ x))
    candidates = slope + unit * np.sinh(np.linspace(-8, 8, 201))
    lean = np.abs((y - candidates[:, None] * x) @ turned.T)
    kept = candidates[np.mean(lean >= lean[:, :1] * (1 - 1e-9), axis=1) > 0.05]
    low, high = kept.min(), kept.max()
    return (
        -np.inf if low == candidates[0] else float(low),
        np.inf if high == candidates[-1] else float(high),
    )


def row(about: dict[str, object], sets: int, seed: int, interval: Callable[[int], Ends]) -> dict[str, object]:
    started = time.perf_counter()
    low, high = np.array([interval(i) for i in range(sets)]).T
    about = {
        **about,
        "sets": sets,
        "seed": seed,
        "coverage": np.mean((low <= SLOPE) & (high >= SLOPE)),
        "median_width": np.median(high - low),
        "unbounded": np.mean(~np.isfinite(high - low)),
        "ms": 1000 * (time.perf_counter() - started) / sets,
    }
    print(*about.values(), flush=True)
    return about


def ends_of(*arguments: Array, **more: object) -> Ends:
    found = slope_interval(*arguments, **more)  # type: ignore[arg-type]
    return found.low, found.high


def of_misfit(sets: int) -> Iterator[dict[str, object]]:
    density = PRIOR.density("orientation")
    for seed, (n, kind) in enumerate((n, kind) for n in (12, 36, 72) for kind in RESIDUALS):
        values = np.arange(n) * 180 / n
        p = density.at(values)
        x = np.log(p) - np.log(p).mean()
        y = SLOPE * x + SIZE * residuals(kind, n, sets, np.random.default_rng(seed))
        turned = np.log([density.at(values - turn) for turn in np.arange(0, 180, 1.25)])
        turned -= turned.mean(axis=1, keepdims=True)
        turned /= np.linalg.norm(turned, axis=1, keepdims=True)
        methods: dict[str, Callable[[Array, Array], Ends]] = {
            "interval": lambda y, x: ends_of(np.exp(y), np.exp(x)),
            "Student's t": plain_t,
            "blocks": blocks,
            "blocks, Politis & White": long_blocks,
            "turns": lambda y, x, turned=turned: turns(y, x, turned),
        }
        for name, method in methods.items():
            about = {"axis": "orientation", "n": n, "residual": kind, "source": "misfit", "method": name}
            yield row(about, sets, seed, lambda i, m=method, y=y, x=x: m(y[i], x))


def of_sources(sets: int, n: int = 36) -> Iterator[dict[str, object]]:
    p = PRIOR.density("orientation").at(np.arange(n) * 180 / n)
    x = np.log(p) - np.log(p).mean()

    def prior(i: int, rest: Array, noise: float) -> Ends:
        generator = np.random.default_rng((seed, i))
        # As counts have it: the rarer, the less certain.
        spread = noise * np.sqrt(p.mean() / p)
        seen = p * np.exp(spread * generator.normal(size=n))
        again = seen * np.exp(spread * generator.normal(size=(100, n)))
        return ends_of(np.exp(SLOPE * x + SIZE * rest), seen, density_replicates=again)

    def samples(i: int, rest: Array, noise: float) -> Ends:
        generator = np.random.default_rng((seed, i))
        s = np.exp(SLOPE * x + SIZE * rest + noise * generator.normal(size=n))
        again = s * np.exp(noise * generator.normal(size=(100, n)))
        return ends_of(s, p, sensitivity_replicates=again)

    def networks(i: int, count: int, share: float) -> Ends:
        generator = np.random.default_rng((seed, i))
        own = (SLOPE + 0.05 * generator.normal(size=(count, 1))) * x
        rest = np.sqrt(share) * residuals(kind, n, 1, generator)
        return ends_of(
            np.exp(own + SIZE * (rest + np.sqrt(1 - share) * residuals(kind, n, count, generator))), p
        )

    seed = 100
    for kind in ("white", "8 Gaussian", "3 phases"):
        rest = residuals(kind, n, sets, np.random.default_rng(seed))
        sources: dict[str, Callable[[int], Ends]] = {
            "prior, 3 %": lambda i, rest=rest: prior(i, rest[i], 0.03),
            "prior, 10 %": lambda i, rest=rest: prior(i, rest[i], 0.1),
            "prior, 10 %, a tenth of the misfit": lambda i, rest=rest: prior(i, rest[i] / 10, 0.1),
            "samples, 10 %": lambda i, rest=rest: samples(i, rest[i], 0.1),
            "3 networks, misfit half shared": lambda i: networks(i, 3, 0.5),
            "5 networks, misfit shared": lambda i: networks(i, 5, 1),
            "5 networks, misfit half shared": lambda i: networks(i, 5, 0.5),
            "5 networks, misfit their own": lambda i: networks(i, 5, 0),
            "10 networks, misfit half shared": lambda i: networks(i, 10, 0.5),
        }
        for name, source in sources.items():
            about = {"axis": "orientation", "n": n, "residual": kind, "source": name, "method": "interval"}
            yield row(about, sets, seed, source)
            seed += 1


def of_ends(sets: int) -> Iterator[dict[str, object]]:
    density = PRIOR.density("luminance")
    for seed, (n, r) in enumerate(((n, r) for n in (8, 12, 20, 36) for r in (0.0, 0.5, 0.8, 0.9)), 200):
        p = density.at(np.linspace(0.05, 0.95, n))
        x = np.log(p) - np.log(p).mean()
        y = SLOPE * x + SIZE * autoregression(r, n, sets, np.random.default_rng(seed))
        about = {"axis": "luminance", "n": n, "residual": f"autoregression {r:g}", "source": "misfit"}
        for name, method in {
            "interval": lambda y, x: ends_of(np.exp(y), np.exp(x), circular=False),
            "Student's t": plain_t,
        }.items():
            yield row({**about, "method": name}, sets, seed, lambda i, m=method, y=y, x=x: m(y[i], x))


SIMULATIONS = {"slope": (of_misfit, of_sources, of_ends)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=SIMULATIONS)
    parser.add_argument("--sets", type=int, default=2000, help="simulated curves for each row")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    rows = [found for simulation in SIMULATIONS[options.what] for found in simulation(options.sets)]
    table = pd.DataFrame(rows).drop(columns="ms")
    print(table.to_string(index=False, float_format=lambda v: f"{v:.3f}"))
    if options.output:
        table.to_csv(options.output, index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
