"""How often the intervals of `psychophys statistics` hold the density of the photographs' population.

    python benchmarks/prior_coverage.py FOLDER [--sets 500] [-o prior_coverage.csv]

The photographs of the folder are the population, and its density the truth. Sets of 20, 60, 200 and 1,000
are drawn from it with replacement, by the seeds 0, 1, ..., each with a Poisson bootstrap of 200 replicates.
Given is the percentage of bins (of sets, where it is no density) whose 95 % interval holds the truth, by

- ``percentile``: percentiles of the bootstrap itself;
- ``bca``: bias-corrected and accelerated percentiles (Efron 1987);
- ``normal``: the log density, and its standard error times Student's t of images - 1 degrees of freedom;
- ``bootstrap-t``: studentised on the log scale;
- ``replicates``: bootstrap-t, widened: what a prior's file holds, and what its intervals are from.

A bin that no photograph of a set fills has no interval, and is not covered. "orientation, mean of scales" is
what `compare` uses by default, "amplitude exponent" the slope of the spectrum. "slope on ..." is that of
log s on log density at 36 values, where s is the root of the population's density: it is 0.5 then, and less
on a density that has an error of its own. Replicates have that error twice. "..., reflected" is the interval
from 2 slope - high to 2 slope - low of the replicates' slopes, which makes up for it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import stats

from psychophys.comparison.priors.counting import SIZES, _batches, _count
from psychophys.comparison.priors.quantities import QUANTITIES, SLOPE_RANGE, ring_sizes
from psychophys.comparison.priors.replicates import (
    INTERVAL_PERCENT,
    Sums,
    _error_of_log,
    _filled,
    densities,
    interval,
)
from psychophys.stimuli.photographs import UnreadableError, find_images

Array = NDArray[np.float64]
IMAGES, REPLICATES = (20, 60, 200, 1000), 200
MEAN, EXPONENT = "orientation, mean of scales", "amplitude exponent"
SLOPES = {
    "slope on orientation": (MEAN, slice(None, None, 2)),
    "slope on hue-lch": ("hue-lch", slice(None, None, 2)),
    "slope on contrast": ("contrast", slice(None, 36)),
}


def histograms(folder: Path) -> Array:
    """Of every image: (images, bins)."""
    found = []
    for batch in _batches(find_images([folder]), 0.0):
        squares = [square for _, square in batch if not isinstance(square, UnreadableError)]
        if squares:
            found.append(_count(np.stack(squares), torch.device("cpu")))
    return np.concatenate(found)


def parts() -> Iterator[tuple[str, int, int, int]]:
    """Name, number, first and last column of every statistic."""
    for number, (quantity, end) in enumerate(zip(QUANTITIES, np.cumsum(SIZES), strict=True)):
        scale = f", {quantity.scale:g} pixels" if quantity.scale else ""
        yield f"{quantity.name}{scale}", number, int(end) - SIZES[number], int(end)


def plain(replicates: Array) -> tuple[Array, Array]:
    """Ends by percentiles at NumPy's default ranks: (bins,) each."""
    kept = replicates[np.isfinite(replicates).reshape(len(replicates), -1).all(axis=1)]
    if not len(kept):
        return (np.full(replicates.shape[1:], np.nan),) * 2
    low, high = np.percentile(kept, INTERVAL_PERCENT, axis=0)
    return low, high


def bca(shares: Array, left: Array) -> tuple[Array, Array]:
    """Ends by Efron's BCa: of shares (1 + replicates, bins), and what every image leaves (images, bins)."""
    acceleration = np.nan_to_num((left**3).sum(0) / (6 * (left**2).sum(0) ** 1.5))
    below = (shares[1:] < shares[0]).mean(0)
    bias = stats.norm.ppf(np.clip(below, 1 / REPLICATES, 1 - 1 / REPLICATES))
    ends = []
    for percent in INTERVAL_PERCENT:
        z = bias + stats.norm.ppf(percent / 100)
        rank = stats.norm.cdf(bias + z / (1 - acceleration * z)) * (REPLICATES + 1) - 1
        rank = np.clip(np.round(rank).astype(int), 0, REPLICATES - 1)
        ends.append(np.sort(shares[1:], axis=0)[rank, np.arange(shares.shape[1])])
    return ends[0], ends[1]


def of_bins(counts: Array, sums: Sums) -> tuple[dict[str, tuple[Array, Array]], dict[str, Array]]:
    """Ends of the intervals of one quantity's shares, and its replicates, by method."""
    share = sums.counts / sums.counts.sum(axis=1, keepdims=True)
    error = _error_of_log(sums, share)
    off = _filled((np.log(share[1:]) - np.log(share[0])) / error[1:])
    reach = stats.t.ppf(0.975, len(counts) - 1) * error[0]
    left = counts - share[0] * counts.sum(axis=1, keepdims=True)
    _, replicates = densities(sums, 1.0)
    assert replicates is not None
    studentised = share[0] * np.exp(-off * error[0])
    ends = {
        "percentile": plain(share[1:]),
        "bca": bca(np.nan_to_num(share), left),
        "normal": (share[0] * np.exp(-reach), share[0] * np.exp(reach)),
        "bootstrap-t": interval(studentised),
        "replicates": interval(replicates),
    }
    return ends, {"percentile": share[1:], "bootstrap-t": studentised, "replicates": replicates}


def slope_on(log_density: Array, sensitivity: Array) -> Array:
    """Of log sensitivity (values,) on rows of log densities."""
    x = log_density - log_density.mean(axis=-1, keepdims=True)
    return np.asarray((x * (sensitivity - sensitivity.mean())).sum(-1) / (x * x).sum(-1))


def exponent(share: Array) -> Array:
    """Of the amplitude spectrum, for rows of shares of power."""
    first, last = SLOPE_RANGE
    power = np.log(np.atleast_2d(share)[:, first - 1 : last] / ring_sizes()[first - 1 : last])
    return np.asarray(-np.polyfit(np.log(np.arange(first, last + 1)), power.T, 1)[0] / 2)


def with_mean(shares: dict[str, Array]) -> dict[str, Array]:
    """And the mean over the scales of orientation."""
    scales = [each for name, each in shares.items() if name.startswith("orientation")]
    return {**shares, MEAN: np.mean(scales, axis=0)}


def of_functions(
    shares: dict[str, Array], replicates: dict[str, Array], truth: dict[str, Array], ends: Callable[..., Any]
) -> Iterator[tuple[str, Any, float]]:
    """What follows from densities: its name, ends, truth."""
    found, every = exponent(shares["frequency"])[0], exponent(replicates["frequency"])
    yield EXPONENT, ends(every), float(exponent(truth["frequency"])[0])
    for name, (statistic, values) in SLOPES.items():
        sensitivity = 0.5 * np.log(truth[statistic][values])
        found = slope_on(np.log(shares[statistic][values]), sensitivity)
        # A replicate without some bin has no slope, and perhaps none has one.
        every = slope_on(np.log(replicates[statistic][:, values]), sensitivity)
        low, high = ends(every)
        yield name, (low, high), 0.5
        yield f"{name}, reflected", (2 * found - high, 2 * found - low), 0.5


def one_set(counts: Array, truth: dict[str, Array], seed: int) -> Iterator[tuple[str, str, float]]:
    """What is covered, by which method, and the share that is."""
    drawn = np.random.default_rng((seed, 1)).poisson(1.0, (len(counts), REPLICATES))
    sums = Sums.empty(SIZES, REPLICATES)
    sums.add(counts, np.concatenate([np.ones((len(counts), 1)), drawn], axis=1), SIZES)
    shares: dict[str, Array] = {}
    replicates: dict[str, dict[str, Array]] = {"percentile": {}, "bootstrap-t": {}, "replicates": {}}
    checked = []
    for name, number, start, stop in parts():
        part = sums.of(start, stop, number)
        shares[name] = part.counts[0] / part.counts[0].sum()
        ends, made = of_bins(counts[:, start:stop], part)
        checked += [(name, method, each, truth[name]) for method, each in ends.items()]
        for method, rows in made.items():
            replicates[method][name] = rows
    for method, rows in ((method, with_mean(rows)) for method, rows in replicates.items()):
        ends_of = plain if method == "percentile" else interval
        checked.append((MEAN, method, ends_of(rows[MEAN]), truth[MEAN]))
        for what, each, true in of_functions(with_mean(shares), rows, truth, ends_of):
            checked.append((what, method, each, true))
    for what, method, (low, high), true in checked:
        yield what, method, float(np.mean((low <= true) & (true <= high)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", type=int, default=500)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    population = histograms(arguments.folder)
    total = population.sum(axis=0)
    truth = with_mean({name: total[a:b] / total[a:b].sum() for name, _, a, b in parts()})
    rows = []
    for images in IMAGES:
        for seed in range(arguments.sets):
            chosen = np.random.default_rng((seed, 0)).integers(len(population), size=images)
            with np.errstate(divide="ignore", invalid="ignore"):
                found = list(one_set(population[chosen], truth, seed))
            rows += [(images, *each) for each in found]
    table = pd.DataFrame(rows, columns=["images", "what", "method", "percent"])
    order = {name: list(dict.fromkeys(table[name])) for name in ("what", "method")}
    means = (100 * table.pivot_table("percent", ["images", "what"], "method")).round(1)
    means = means.reindex(pd.MultiIndex.from_product([IMAGES, order["what"]], names=["images", "what"]))
    means = means[order["method"]].reset_index()
    means.insert(2, "sets", arguments.sets)
    means.insert(3, "seeds", f"0-{arguments.sets - 1}")
    print(means.to_string(index=False))
    if arguments.output:
        means.to_csv(arguments.output, index=False)


if __name__ == "__main__":
    main()
