"""Intervals over nuisance samples: their coverage, what they resample, and indices with intervals."""

from __future__ import annotations

import numpy as np
import pytest

import psychophys
from psychophys.base.errors import UsageError
from psychophys.measurement.batches import accumulate
from psychophys.measurement.intervals import halves_error, interval, resampling_weights
from psychophys.measurement.thresholds import Done
from psychophys.observers.layers import select_layers
from psychophys.observers.observer import Observer
from psychophys.results.indices import INDICES, Index
from psychophys.results.summary import cautions, conclusions, summarize
from psychophys.stimuli import STIMULI

LAYERS = ["layer2.0", "fc"]


@pytest.fixture(scope="module")
def network() -> Observer:
    return psychophys.load_observer("test_resnet", weights="random")


@pytest.mark.slow
def test_intervals_cover_the_many_sample_threshold(network: Observer) -> None:
    """Noise images of a real network: intervals from 16 against the threshold of 384 of them."""
    many, few = 384, 16
    measurement = psychophys.plan("noise", values=[0.0, 45.0], parameters={"sample": many}, layers=LAYERS)
    layers = select_layers(network, LAYERS).layers
    sums, _ = accumulate(measurement, network, layers)
    whole = Done(measurement, layers, sums)
    generator = np.random.default_rng(0)
    covered = []
    part = psychophys.plan("noise", values=[0.0, 45.0], parameters={"sample": few}, layers=LAYERS)
    for _ in range(200):
        rows = generator.choice(many, few, replace=False)
        done = Done(part, layers, sums.extended(sums, list(rows)))
        for layer in layers:
            low, high = done.interval(layer)
            truth = 1 / np.sqrt(whole.information(layer))
            covered.append((low <= truth) & (truth <= high))
    share = np.mean(covered, axis=0)
    assert ((share >= 0.90) & (share <= 0.98)).all(), share


def test_nuisance_is_resampled_and_the_rest_is_kept() -> None:
    weights = resampling_weights([3, 4], [False, True])
    assert weights is not None
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    by_frequency = weights.reshape(-1, 3, 4)
    np.testing.assert_allclose(by_frequency.sum(axis=2), 1 / 3)  # Each frequency counts as it was asked for,
    np.testing.assert_allclose(
        by_frequency, np.repeat(by_frequency[:, :1], 3, axis=1)
    )  # with the same phases drawn for all.
    np.testing.assert_allclose(weights.mean(axis=0), 1 / 12, atol=5e-3)
    assert resampling_weights([3, 1], [False, True]) is None
    assert resampling_weights([3, 4], [False, False]) is None


def test_two_nuisance_parameters_are_resampled_as_a_whole() -> None:
    """Samples that share an image are alike: what counts is the number of images."""
    weights = resampling_weights([5, 40], [True, True], replicates=4000)
    image = np.repeat([1.0, 2.0, 3.0, 4.0, 5.0], 40)
    assert weights is not None
    assert (weights @ image).std() == pytest.approx(np.sqrt(2 / 5), rel=0.05)


def test_intervals_are_expanded_percentiles() -> None:
    drawn = np.random.default_rng(0).normal(size=(20_000, 1))
    many_low, many_high = interval(drawn, 10_000, 0.95)
    assert many_high[0] == pytest.approx(1.96, abs=0.05)
    assert many_low[0] == pytest.approx(-1.96, abs=0.05)
    few_low, few_high = interval(drawn, 8, 0.95)
    assert few_high[0] == pytest.approx(2.365 * (8 / 7) ** 0.5, abs=0.1)
    assert few_low[0] < many_low[0]


def test_halves_say_how_far_a_finer_grid_would_move_thresholds() -> None:
    samples = np.array([[1.0], [4.0], [1.0], [4.0]])
    error = halves_error(samples, [4], [True])
    assert error is not None
    assert error[0] == pytest.approx(np.log(4) / 4)
    assert halves_error(samples, [4], [False]) is None
    crossed = halves_error(samples, [2, 2], [True, True])  # The worse of both.
    assert crossed is not None
    assert crossed[0] == pytest.approx(np.log(4) / 4)


def test_the_table_holds_intervals_around_its_thresholds(network: Observer) -> None:
    settings = {"layers": LAYERS, "values": [10.0, 60.0], "parameters": {"phase": 6}}
    frame = psychophys.measure(network, **settings).to_pandas()
    assert (frame["threshold_low"] < frame["threshold"]).all()
    assert (frame["threshold"] < frame["threshold_high"]).all()
    wider = psychophys.measure(network, confidence=0.99, **settings).to_pandas()
    assert (
        wider["threshold_high"] - wider["threshold_low"] > frame["threshold_high"] - frame["threshold_low"]
    ).all()
    few = psychophys.measure(network, **{**settings, "parameters": {"phase": 5}}).to_pandas()
    assert few["threshold_low"].isna().all()


@pytest.mark.slow
def test_samples_are_added_until_intervals_are_tight(network: Observer) -> None:
    settings = {"layers": LAYERS, "values": [10.0, 60.0]}
    table = psychophys.measure(network, precision=0.02, parameters={"phase": 2}, **settings)
    frame = table.to_pandas()
    n = int(frame["n_samples"].iloc[0])
    assert n > 8
    half_width = (frame["threshold_high"] - frame["threshold_low"]) / 2
    assert (half_width <= 0.02 * frame["threshold"]).all()
    direct = psychophys.measure(network, parameters={"phase": n}, **settings).to_pandas()
    columns = ["threshold", "threshold_low", "threshold_high", "response_rms"]
    np.testing.assert_allclose(frame[columns], direct[columns], rtol=1e-5)
    coarser = psychophys.measure(network, parameters={"phase": n // 2}, **settings).to_pandas()
    assert ((coarser["threshold_high"] - coarser["threshold_low"]) / 2 > 0.02 * coarser["threshold"]).any()
    (record,) = table.runs.values()
    assert len(record["measurement"]["parameters"]["phase"]) == n


def test_precision_that_cannot_be_reached_is_said(network: Observer) -> None:
    with pytest.raises(UsageError, match="nothing to add"):
        psychophys.plan("patch", precision=0.1)
    with pytest.raises(UsageError, match="nothing to add"):
        psychophys.plan(parameters={"phase": [0.0, 10.0]}, precision=0.1)
    with pytest.raises(UsageError, match="precision 5"):
        psychophys.plan(precision=5)
    table = psychophys.measure(
        network, "image", values=[0.0], parameters={"sample": 4}, layers="fc", precision=0.001
    )
    assert table.to_pandas()["n_samples"].iloc[0] == 8  # All the photographs that come along.
    assert "is not reached" in " ".join(cautions(table))


def test_too_few_samples_are_said(network: Observer) -> None:
    few = psychophys.measure(network, "noise", values=1, parameters={"sample": 2}, layers="fc")
    assert "samples are few" in " ".join(cautions(few))
    many = psychophys.measure(network, "noise", values=1, parameters={"sample": 256}, layers="fc")
    assert cautions(many) == []


def test_differential_correlations_bound_intervals_too(network: Observer) -> None:
    """No threshold can be under sqrt(epsilon), nor can an interval's end."""
    table = psychophys.measure(
        network,
        layers=LAYERS,
        values=[10.0, 60.0],
        parameters={"phase": 8},
        noise_options={"differential": 1e6},
    )
    frame = table.to_pandas()
    assert (frame["threshold_low"] >= 1000).all()
    assert (frame["threshold_low"] <= frame["threshold"]).all()


# Indices


VALUES = np.arange(0, 180, 15.0)


def test_an_even_sensitivity_has_no_effect() -> None:
    even = np.ones((2, 12))
    expected = {"cardinal_oblique_ratio": 1, "oblique_effect_index": 0, "anisotropy": 0, "tuning_entropy": 1}
    for name, value in expected.items():
        np.testing.assert_allclose(INDICES[name].compute(VALUES, even), value, atol=1e-12)


def test_indices_of_a_known_sensitivity() -> None:
    s = np.where(VALUES % 90 == 0, 3.0, 1.0)
    assert INDICES["cardinal_oblique_ratio"].compute(VALUES, s) == pytest.approx(3)
    assert INDICES["oblique_effect_index"].compute(VALUES, s) == pytest.approx(0.5)
    assert INDICES["anisotropy"].compute(VALUES, s) == pytest.approx(s.std() / s.mean())
    one_place = np.where(VALUES == 0, 1.0, 0.0)
    assert INDICES["tuning_entropy"].compute(VALUES, one_place) == pytest.approx(0)
    contrast = np.array([0.1, 0.2, 0.4])
    assert INDICES["weber_slope"].compute(contrast, 1 / contrast**0.7) == pytest.approx(0.7)
    assert np.isnan(INDICES["weber_slope"].compute(np.array([0.0, 1.0]), np.ones(2)))


def test_summaries_hold_indices_with_intervals(network: Observer) -> None:
    table = psychophys.measure(network, layers=LAYERS, values=12, parameters={"phase": 6})
    summary = summarize(table)
    for name in ("cardinal_oblique_ratio", "oblique_effect_index", "anisotropy", "tuning_entropy"):
        assert (summary[f"{name}_low"] <= summary[f"{name}_high"]).all()
    ratio = summary["cardinal_oblique_ratio"]
    assert (summary["cardinal_oblique_ratio_low"] < ratio).all()
    assert (ratio < summary["cardinal_oblique_ratio_high"]).all()
    assert "weber_slope" not in summary
    assert "interval" in conclusions(table)[0]


def test_interpolated_indices_have_intervals_and_missing_ones_none(network: Observer) -> None:
    settings = {"layers": LAYERS[:1], "parameters": {"phase": 6}}
    few, enough = (summarize(psychophys.measure(network, values=count, **settings)) for count in (7, 13))
    for name in ("cardinal_oblique_ratio", "oblique_effect_index"):
        assert few[[name, f"{name}_low", f"{name}_high"]].isna().all(axis=None)
        assert (enough[f"{name}_low"] < enough[name]).all()
        assert (enough[name] < enough[f"{name}_high"]).all()
    assert few[["anisotropy_low", "anisotropy_high"]].notna().all(axis=None)


def test_webers_law_has_a_slope_and_an_interval() -> None:
    settings = {"values": [0.1, 0.2, 0.4], "parameters": {"phase": 6}, "layers": ["blocks.0", "blocks.6"]}
    summary = summarize(psychophys.measure(dimension="contrast", **settings)).set_index("layer")
    assert (summary["weber_slope_low"] < summary["weber_slope"]).all()
    assert (summary["weber_slope"] < summary["weber_slope_high"]).all()
    assert summary["weber_slope"]["blocks.6"] > summary["weber_slope"]["blocks.0"] + 0.2


@pytest.mark.parametrize("index", INDICES.values(), ids=lambda index: index.name)
def test_every_index_is_one_number_a_row_whatever_the_rows_before_it(index: Index) -> None:
    """A bootstrap's resamples go through the same function as the measurement itself."""
    assert index.meaning
    for dimension in index.dimensions:
        assert any(p.name == dimension for s in STIMULI.values() for p in s.parameters if p.measurable)
    generator = np.random.default_rng(0)
    values = np.linspace(5, 175, 35)
    rows = generator.uniform(0.5, 2.0, (4, 35))
    together = index.compute(values, rows)
    assert together.shape == (4,)
    assert np.isfinite(together).all()
    np.testing.assert_allclose(together, [index.compute(values, row) for row in rows])
    assert len(np.unique(together)) == 4
    # An index is of the shape of a curve: sensitivity in other units has the same.
    np.testing.assert_allclose(index.compute(values, 7 * rows), together)
