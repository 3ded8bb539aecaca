"""Replicates of densities over images: against slow ways to the same numbers, and how often they cover."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from psychophys.base.types import Array
from psychophys.comparison.priors.replicates import FARTHEST, Sums, densities, interval

REPLICATES = 200


def weights_of(images: int, seed: int) -> Array:
    drawn = np.random.default_rng(seed).poisson(1.0, (images, REPLICATES))
    return np.concatenate([np.ones((images, 1)), drawn], axis=1)


def sums_of(counts: Array, seed: int = 0) -> Sums:
    sums, weights = Sums.empty([counts.shape[1]], REPLICATES), weights_of(len(counts), seed)
    for part in np.array_split(np.arange(len(counts)), 3):
        sums.add(counts[part], weights[part], [counts.shape[1]])
    return sums


def heavy(images: int, bins: int, seed: int) -> Array:
    """Histograms of which a few images make most of some bins."""
    generator = np.random.default_rng(seed)
    return np.round(1000 * generator.gamma(0.5, size=(images, bins)) * generator.gamma(2, size=(images, 1)))


def error_and_freedom(counts: Array) -> tuple[Array, float]:
    """Of one bin's log density, image by image: counts (images, 2) of the bin and of all."""
    share = counts[:, 0].sum() / counts[:, 1].sum()
    left = counts[:, 0] - share * counts[:, 1]
    n = len(left)
    kurtosis = n * (left**4).sum() / (left**2).sum() ** 2
    return np.sqrt((left**2).sum() * n / (n - 1)) / counts[:, 0].sum(), 2 * n / (kurtosis - 1)


def test_sums_give_what_the_images_give() -> None:
    counts = heavy(30, 4, 1)
    density, replicates = densities(sums_of(counts), 2.0)
    assert replicates is not None
    assert density == pytest.approx(counts.sum(axis=0) / counts.sum() / 2)
    weights = weights_of(30, 0)[:, 1:].astype(int)
    for bin_ in range(4):
        pair = np.stack([counts[:, bin_], counts.sum(axis=1)], axis=1)
        error, freedom = error_and_freedom(pair)
        wide = stats.t.ppf(0.975, freedom) / stats.norm.ppf(0.975)
        for replicate in range(0, REPLICATES, 20):
            again = np.repeat(pair, weights[:, replicate], axis=0)
            off = np.log(again[:, 0].sum() / again[:, 1].sum() / 2 / density[bin_])
            errors = np.clip(off / error_and_freedom(again)[0] * wide, -FARTHEST, FARTHEST)
            expected = density[bin_] * np.exp(-errors * error)
            assert replicates[replicate, bin_] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("images", [20, 60])
def test_intervals_cover_where_plain_percentiles_do_not(images: int) -> None:
    population = heavy(2000, 6, 2)
    truth = population.sum(axis=0) / population.sum()
    ours, plain = [], []
    for seed in range(200):
        counts = population[np.random.default_rng((3, seed)).integers(len(population), size=images)]
        sums = sums_of(counts, seed)
        _, replicates = densities(sums, 1.0)
        assert replicates is not None
        low, high = interval(replicates)
        ours.append((low <= truth) & (truth <= high))
        low, high = np.percentile(
            sums.counts[1:] / sums.counts[1:].sum(axis=1, keepdims=True), [2.5, 97.5], 0
        )
        plain.append((low <= truth) & (truth <= high))
    assert 0.93 <= np.mean(ours) <= 0.98
    assert np.mean(ours) > np.mean(plain) + 0.01


def test_a_bin_of_few_images_or_none() -> None:
    counts = heavy(10, 4, 4)
    counts[:, 0] = 0
    counts[1:, 1] = 0
    counts[0, 1] = 50
    density, replicates = densities(sums_of(counts), 1.0)
    assert replicates is not None
    assert density[0] == 0
    assert (replicates[:, 0] == 0).all()
    assert np.isfinite(replicates).all()
    assert (replicates[:, 1:] > 0).all()
    low, high = interval(replicates)
    assert low[1] < density[1] < high[1]


def test_an_image_that_makes_nearly_all_of_a_bin_leaves_it_open_within_reason() -> None:
    counts = heavy(200, 4, 5)
    counts[:, 1] = 1
    counts[0, 1] = 5000
    density, replicates = densities(sums_of(counts), 1.0)
    assert replicates is not None
    low, high = interval(replicates)
    assert 3 < high[1] / density[1] < 100
    assert low[1] < density[1] / 1.3


def test_few_images_leave_open_much_but_no_more_than_all() -> None:
    for images in range(2, 8):
        density, replicates = densities(sums_of(heavy(images, 4, images), images), 0.5)
        assert replicates is not None
        assert np.isfinite(replicates).all()
        assert replicates.max() <= 2
        low, high = interval(replicates)
        assert ((low <= density) & (density <= high)).all()


def test_images_that_are_alike_leave_no_doubt_and_one_tells_nothing_of_it() -> None:
    alike = np.tile([[10.0, 20.0, 70.0]], (6, 1))
    density, replicates = densities(sums_of(alike), 1.0)
    assert replicates is not None
    assert replicates == pytest.approx(np.tile(density, (REPLICATES, 1)), rel=1e-4)
    assert densities(sums_of(alike[:1]), 1.0)[1] is None
    nothing, none = densities(sums_of(0 * alike), 1.0)
    assert np.isnan(nothing).all()
    assert none is None
