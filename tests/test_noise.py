"""Noise models against closed forms, dense solves and repeated draws."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

import psychophys
from psychophys.covariance import Products, information_by_sample, ledoit_wolf, linear_information
from psychophys.errors import UsageError
from psychophys.layers import select_layers
from psychophys.noise import NOISE, get_noise, information, read_out, read_out_variance, saturated
from psychophys.observers import Observer
from psychophys.propagation import propagate, quadratic_form
from psychophys.summary import cautions

PIXELS = 16
INDEPENDENT = [name for name, noise in NOISE.items() if noise.independent]


def observer_of(*modules: nn.Module, seed: int = 0) -> Observer:
    torch.manual_seed(seed)
    network = nn.Sequential(*modules)
    network(torch.zeros(1, 3, PIXELS, PIXELS))
    return Observer(network, input_size=(PIXELS, PIXELS), mean=(0.5,) * 3, std=(0.5,) * 3, name="small")


def small(seed: int = 0) -> Observer:
    torch.manual_seed(seed)
    return observer_of(
        nn.Conv2d(3, 6, 3, stride=2), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2), nn.Tanh(), nn.Flatten(),
        nn.Linear(72, 10), seed=seed,
    )  # fmt: skip


def measured(observer: Observer, **settings: object) -> psychophys.Results:
    usual = {"values": [20.0, 70.0], "parameters": {"phase": 8, "frequency": 3}, "layers": "all"}
    return psychophys.measure(observer, **{**usual, **settings})


# Independent noise


def test_poisson_is_the_sum_over_units_with_a_floor() -> None:
    response = torch.tensor([[4.0, 1.0, 0.0]])
    tangent = torch.tensor([[2.0, 3.0, 1.0]])
    rms = (17 / 3) ** 0.5
    j = information(get_noise("poisson"), {"floor": 0.1, "rectify": 0}, response, tangent)
    assert j.item() == pytest.approx(4 / 4 + 9 / 1 + 1 / (0.1 * rms), rel=1e-6)


def test_poisson_refuses_negative_responses_unless_rectified() -> None:
    response, tangent = torch.tensor([[4.0, -1.0], [4.0, 1.0]]), torch.ones(2, 2)
    options = {"floor": 0.01, "rectify": 0.0}
    refused = information(get_noise("poisson"), options, response, tangent)
    assert torch.isnan(refused[0])
    assert refused[1].item() == pytest.approx(1.25)
    rectified = information(get_noise("poisson"), {**options, "rectify": 1.0}, response, tangent)
    assert rectified[0].item() == pytest.approx(0.25)


@pytest.mark.parametrize("name", INDEPENDENT)
def test_the_ideal_read_out_holds_all_the_information(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    response = torch.rand(3, 40, generator=generator, dtype=torch.float64)
    tangent = torch.randn(3, 40, generator=generator, dtype=torch.float64)
    noise, options = get_noise(name), get_noise(name).settings({})
    weights = read_out(noise, options, response, tangent)
    signal = (weights * tangent).sum(dim=1)
    j = signal**2 / read_out_variance(noise, options, weights, response)
    torch.testing.assert_close(j, information(noise, options, response, tangent))
    # No other read-out does better.
    other = weights * torch.rand(3, 40, generator=generator, dtype=torch.float64)
    worse = (other * tangent).sum(dim=1) ** 2 / read_out_variance(noise, options, other, response)
    assert (worse < j).all()


@pytest.mark.parametrize(
    ("name", "power"), [("relative", 2), ("gaussian", 2), ("poisson", 1), ("empirical", 2)]
)
def test_information_falls_with_the_level_as_its_variance_grows(name: str, power: int) -> None:
    options = {"rectify": 1} if name == "poisson" else {}
    one, three = (
        measured(small(), noise=name, noise_level=level, noise_options=options, layers="5").to_pandas()
        for level in (1, 3)
    )
    np.testing.assert_allclose(one["fisher_information"] / three["fisher_information"], 3**power, rtol=1e-6)


def test_differential_correlations_saturate_information() -> None:
    epsilon = 10.0
    plain, limited = (
        measured(small(), noise="gaussian", noise_options=options, parameters={"phase": 1, "frequency": 3})
        .to_pandas()["fisher_information"]
        .to_numpy()
        for options in ({}, {"differential": epsilon})
    )
    np.testing.assert_allclose(limited, plain / (1 + epsilon * plain), rtol=1e-9)
    assert saturated(np.array([1e12]), epsilon)[0] == pytest.approx(1 / epsilon)


def test_negative_layers_are_named_and_the_others_measured() -> None:
    table = measured(small(), noise="poisson")
    status = table.to_pandas().groupby("layer")["status"].first()
    assert status["1"] == "ok"  # ReLU
    assert status["0"] == status["5"] == "negative"
    said = " ".join(cautions(table))
    assert "negative responses" in said
    assert "rectify=1" in said


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"noise": "poisson", "noise_options": {"flor": 1}}, ("option of poisson", "'flor'", "floor")),
        ({"noise": "gaussian", "noise_options": {"floor": 1}}, ("option of gaussian", "differential")),
        ({"noise": "poisson", "noise_options": {"rectify": 2}}, ("rectify 2", "0 to 1")),
        ({"noise_options": {"differential": float("nan")}}, ("differential nan",)),
        ({"noise": "input", "estimator": "central"}, ("input noise", "jvp")),
        ({"noise": "empirical", "estimator": "chained"}, ("empirical noise", "chained")),
        ({"noise": "empirical", "parameters": {"phase": 2}}, ("2 samples", "3 or more")),
    ],
)
def test_what_a_noise_model_cannot_do_is_said(settings: dict, words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        psychophys.plan(**settings)
    for word in words:
        assert word in str(caught.value)


# Pixel noise


def dense(
    observer: Observer, name: str, image: torch.Tensor, change: torch.Tensor, sd: float, own: float
) -> float:
    """J by a dense float64 solve."""
    network = copy.deepcopy(observer.model).double()

    def upto(pixels: torch.Tensor) -> torch.Tensor:
        r = (pixels.reshape(1, 3, PIXELS, PIXELS) - 0.5) / 0.5
        for label, module in network.named_children():
            r = module(r)
            if label == name:
                break
        return r.flatten()

    pixels = image.double().flatten()
    jacobian = torch.autograd.functional.jacobian(upto, pixels)
    r = upto(pixels)
    tangent = jacobian @ change.double().flatten()
    matrix = sd**2 * jacobian @ jacobian.T
    matrix += own**2 * r.square().mean() * torch.eye(len(r), dtype=torch.float64)
    return float(tangent @ torch.linalg.solve(matrix, tangent))


@pytest.mark.parametrize("own", [0.5, 0.05])
def test_input_noise_agrees_with_a_dense_solve(own: float) -> None:
    observer = small()
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(3, 3, PIXELS, PIXELS, generator=generator)
    change = torch.randn(3, 3, PIXELS, PIXELS, generator=generator)
    for layer in select_layers(observer, ["all"]).layers:
        found = propagate(observer, layer, images, change, 0.1, own, 1e-6, 1000)
        for i in range(3):
            exact = dense(observer, layer.name, images[i], change[i], 0.1, own)
            assert found.lower[i].item() == pytest.approx(exact, rel=1e-4)
            assert found.upper[i].item() == pytest.approx(exact, rel=1e-4)


def test_bounds_hold_at_every_step() -> None:
    generator = torch.Generator().manual_seed(0)
    factor = torch.randn(60, 60, generator=generator, dtype=torch.float64)
    matrix = factor @ factor.T + 0.3 * torch.eye(60, dtype=torch.float64)
    b = torch.randn(4, 60, generator=generator, dtype=torch.float64)
    exact = (b @ torch.linalg.inv(matrix) * b).sum(dim=1)
    least, most = torch.full((4,), 0.3, dtype=torch.float64), torch.full((4,), torch.inf, dtype=torch.float64)
    gaps = []
    for steps in (1, 2, 5, 10, 20, 40, 80):
        lower, upper = quadratic_form(lambda v: v @ matrix, b, least, most, 1e-12, steps)
        assert (lower <= exact * (1 + 1e-9)).all()
        assert (upper >= exact * (1 - 1e-9)).all()
        gaps.append(float(((upper - lower) / exact).max()))
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 1e-6


def test_an_invertible_linear_layer_keeps_all_information() -> None:
    n = 3 * PIXELS**2
    torch.manual_seed(0)
    mixing = nn.Linear(n, n)
    with torch.no_grad():
        mixing.weight.copy_(torch.eye(n) + 0.2 * torch.randn(n, n) / n**0.5)
    observer = observer_of(nn.Flatten(), mixing)
    options = {"response": 0.0, "tolerance": 1e-5}
    table = measured(observer, noise="input", noise_options=options, layers="1", parameters={"phase": 2})
    kept = table.to_pandas()["retained_information"]
    np.testing.assert_allclose(kept, 1, atol=1e-4)


def test_no_layer_of_a_real_network_holds_more_than_the_pixels() -> None:
    options = {"tolerance": 0.1, "iterations": 40}
    table = psychophys.measure(
        layers=["conv_stem", "blocks.1", "blocks.4", "classifier"], values=[30.0], parameters={"phase": 2},
        noise="input", noise_options=options,
    )  # fmt: skip
    frame = table.to_pandas()
    kept = frame["retained_information"].to_numpy()
    assert (kept > 0).all()
    assert (kept <= 1 + 1e-4).all()
    assert kept[0] > 0.5  # The first convolution keeps most of it,
    assert kept[-1] < 0.01  # a thousand class scores hardly any.
    assert ((frame["solver_gap"] >= 0) & (frame["solver_gap"] < 1)).all()


def test_a_solver_that_stops_early_is_reported() -> None:
    table = measured(small(), noise="input", noise_options={"iterations": 1, "response": 0.01}, layers="2")
    frame = table.to_pandas()
    assert (frame["status"] == "not_converged").all()
    assert (frame["solver_gap"] > 0.01).all()
    assert "has not converged" in " ".join(cautions(table))


# Noise over nuisance samples


def drawn(count: int, n_features: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return generator.normal(size=(count, n_features)), generator.normal(size=(count, n_features))


def products_of(r: np.ndarray, t: np.ndarray) -> Products:
    return Products(r @ r.T, t @ r.T, t @ t.T, r.shape[1])


@pytest.mark.parametrize(("count", "n_features"), [(12, 4), (6, 30)])
def test_empirical_information_from_products_is_that_from_the_covariance(count: int, n_features: int) -> None:
    r, t = drawn(count, n_features, np.random.default_rng(0))
    for shrinkage in (0.1, 0.7):
        sample = np.cov(r, rowvar=False)
        shrunk = (1 - shrinkage) * sample + shrinkage * np.trace(sample) / n_features * np.eye(n_features)
        inverse = np.linalg.inv(shrunk)
        pairs = [t[a] @ inverse @ t[b] for a in range(count) for b in range(count) if a != b]
        assert linear_information(products_of(r, t), shrinkage) == pytest.approx(np.mean(pairs), rel=1e-8)


def test_empirical_information_without_shrinkage_has_no_bias() -> None:
    generator = np.random.default_rng(1)
    mixing, mean = generator.normal(size=(4, 4)), generator.normal(size=4)
    exact = mean @ np.linalg.solve(mixing @ mixing.T, mean)
    found = []
    for _ in range(3000):
        r, t = drawn(12, 4, generator)
        found.append(linear_information(products_of(r @ mixing.T, mean + 0.7 * t), 0.0))
    assert np.mean(found) == pytest.approx(exact, abs=3.5 * np.std(found) / 3000**0.5)
    assert np.std(found) / 3000**0.5 < 0.03 * exact  # The test can fail.


def test_jackknife_values_average_to_the_information() -> None:
    r, t = drawn(9, 50, np.random.default_rng(2))
    products = products_of(r, 1 + t)
    by_sample = information_by_sample(products, 0.3)
    assert by_sample.mean() == pytest.approx(linear_information(products, 0.3))
    assert by_sample.std() > 0


def test_ledoit_wolf_is_the_published_formula() -> None:
    r, t = drawn(8, 20, np.random.default_rng(3))
    r = r * np.linspace(0.2, 3, 20)
    x = r - r.mean(axis=0)
    sample = x.T @ x / 8
    mean = np.trace(sample) / 20
    distance = ((sample - mean * np.eye(20)) ** 2).sum()
    spread = sum(((np.outer(row, row) - sample) ** 2).sum() for row in x) / 8**2
    assert ledoit_wolf(products_of(r, t)) == pytest.approx(min(spread, distance) / distance)


def test_unshrunk_covariance_needs_more_samples_than_units() -> None:
    with pytest.raises(UsageError, match="shrinkage 0"):
        measured(small(), noise="empirical", noise_options={"shrinkage": 0})
    table = measured(
        small(), noise="empirical", noise_options={"shrinkage": 0}, layers="5", parameters={"phase": 20}
    )
    assert np.isfinite(table.to_pandas()["fisher_information"]).all()
