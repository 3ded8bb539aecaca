"""J by what units prefer: an identity, the J of `measure`, and known causes found again."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import psychophys
from psychophys.physiology.population import FACTORS, Bins, shapley

WORDS = {"weights": "random", "layers": ["layer1*", "layer4*", "fc"], "values": 4}
COUNT = 12


def populations(units: psychophys.UnitTuning) -> dict[str, Bins]:
    (record,) = units.runs.values()
    return {name: Bins.restore(bins) for name, bins in record["population"].items()}


@pytest.fixture(scope="module")
def units() -> psychophys.UnitTuning:
    return psychophys.tune("test_resnet", **WORDS, parameters={"phase": 1}, places=0, population=COUNT)


def test_the_bins_add_up_to_j_of_measure(units: psychophys.UnitTuning) -> None:
    options = {**WORDS, "values": COUNT, "noise": "gaussian"}
    table = psychophys.measure("test_resnet", **options).to_pandas()
    found = populations(units)
    assert set(found) == set(table["layer"])
    for layer, rows in table.groupby("layer"):
        np.testing.assert_allclose(found[layer].total, rows["fisher_information"], rtol=1e-5)
        assert found[layer].count.sum() == rows["n_features"].iloc[0]


def test_the_product_of_number_gain_and_sharpness_is_j(units: psychophys.UnitTuning) -> None:
    for bins in populations(units).values():
        known = bins.count > 0
        gain = bins.gain[known] / bins.count[known]
        alive = bins.gain[known] > 0
        sharpness = bins.information[known][alive] / bins.gain[known][alive, None]
        product = (bins.count[known][alive] * gain[alive]) @ sharpness
        np.testing.assert_allclose(product, bins.total, rtol=1e-9)
        parts = bins.parts()
        # The last norm of a block begins at 0, and tells nothing.
        assert (parts is None) == (not bins.total.any())
        if parts is None:
            continue
        cardinal, oblique = (
            sum(bins.total[quarter * COUNT // 4] for quarter in pair) for pair in ((0, 2), (1, 3))
        )
        assert parts.ratio == pytest.approx(cardinal / oblique, rel=1e-9)
        assert sum(parts.shares.values()) == pytest.approx(math.log(parts.ratio), abs=1e-9)


def test_bins_are_those_of_a_slow_loop() -> None:
    observer = psychophys.load_observer("test_vit", weights="random", dtype="float64")
    stimulus, step = psychophys.STIMULI["gabor"], 1e-3
    orientations = torch.arange(8, dtype=torch.float64) * 180 / 8

    def shown(orientation: torch.Tensor, phase: float, contrast: float = 1.0) -> np.ndarray:
        values = {"orientation": orientation, "phase": phase, "contrast": contrast}
        with torch.no_grad():
            images = observer.preprocess(stimulus.render(values, observer.input_size))
            found: np.ndarray = observer.model(images).numpy()
        return found

    blank = shown(orientations[:1], 0.0, 0.0)
    energy, information = (np.zeros((8, blank.shape[1])) for _ in range(2))
    for phase in np.arange(8) * 45.0:
        energy += (shown(orientations, phase) - blank) ** 2 / 8
        sides = [shown(orientations + side, phase) for side in (-step, step)]
        information += ((sides[1] - sides[0]) / (2 * step)) ** 2 / 8
    turned = (energy * np.exp(2j * np.deg2rad(orientations.numpy()))[:, None]).sum(axis=0)
    place = np.round(np.rad2deg(np.angle(turned)) / 2 * 8 / 180).astype(int) % 8
    place[np.abs(turned) < 0.05 * energy.sum(axis=0)] = 8
    options = {"values": 4, "parameters": {"phase": 1}, "places": 0, "population": 8}
    bins = populations(psychophys.tune(observer, layers="head", **options))["head"]
    every = range(9)
    np.testing.assert_array_equal(bins.count, [(place == b).sum() for b in every])
    slow = [energy[:, place == b].mean(axis=0).sum() for b in every]
    np.testing.assert_allclose(bins.gain, slow, rtol=1e-6)
    slow = [information[:, place == b].sum(axis=1) for b in every]
    np.testing.assert_allclose(bins.information, slow, rtol=1e-5)


def made(number: np.ndarray, gain: np.ndarray, sharp: np.ndarray, untuned: np.ndarray) -> Bins:
    """Units of every preference, whose slopes are steepest at the distance of one bin."""
    n, k = len(number), np.arange(len(number))
    apart = np.minimum((k[:, None] - k) % n, (k - k[:, None]) % n)
    slopes = np.exp(-((apart - 1.0) ** 2)) * sharp[None, :]
    tuned = number[:, None] * gain[:, None] * slopes
    return Bins(
        180 / n * k,
        np.append(number, 5.0),
        np.append(number * gain, 1.0),
        np.vstack([tuned, untuned]),
    )


@pytest.mark.parametrize("cause", range(len(FACTORS)))
def test_a_known_cause_is_found(cause: int) -> None:
    n = 24
    wave = 1 + 0.5 * np.cos(4 * np.deg2rad(180 / n * np.arange(n)))
    causes = [np.ones(n) * (1e-3 if i == 3 and cause != 3 else 1.0) for i in range(4)]
    causes[cause] = causes[cause] * wave
    parts = made(*causes).parts()
    assert parts is not None
    assert parts.ratio > 1.2
    for name, share in parts.shares.items():
        expected = math.log(parts.ratio) if name == FACTORS[cause] else 0
        assert share == pytest.approx(expected, abs=1e-9)
    assert (parts.cardinal_share > 0.55) == (cause == 0)


def test_a_bin_that_is_empty_on_one_side_tells_by_its_number() -> None:
    number = np.ones(8)
    number[1] = 0
    parts = made(number, np.ones(8), np.ones(8), np.zeros(8)).parts()
    assert parts is not None
    assert all(map(math.isfinite, parts.shares.values()))
    assert parts.shares["number"] == pytest.approx(math.log(parts.ratio))


def test_shares_of_a_product_are_its_logarithms() -> None:
    worth = {"a": 2.0, "b": 5.0, "c": 0.1}
    found = shapley(list(worth), lambda of: sum(math.log(worth[name]) for name in of))
    assert found == pytest.approx({name: math.log(value) for name, value in worth.items()})


def test_a_layer_that_tells_nothing_has_no_parts() -> None:
    assert made(np.ones(8), np.ones(8), np.zeros(8), np.zeros(8)).parts() is None
    assert made(np.ones(8), np.ones(8), np.full(8, np.nan), np.zeros(8)).parts() is None
