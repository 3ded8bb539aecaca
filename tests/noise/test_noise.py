"""Noise models against closed forms, dense solves and repeated draws."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

import psychophys
from psychophys.base.errors import UsageError
from psychophys.noise.empirical import Products, Regularity, linear_information
from psychophys.noise.information import Setting
from psychophys.noise.models import NOISE, get_noise
from psychophys.noise.pixels import propagate, quadratic_form
from psychophys.observers.layers import select_layers
from psychophys.observers.observer import Observer
from psychophys.results.summary import cautions, conclusions

PIXELS = 16
INDEPENDENT = [name for name, noise in NOISE.items() if noise.method.is_independent]


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
    j = Setting(get_noise("poisson"), 1.0, {"floor": 0.1, "rectify": 0}).information(response, tangent)
    assert j.item() == pytest.approx(4 / 4 + 9 / 1 + 1 / (0.1 * rms), rel=1e-6)


def test_poisson_refuses_negative_responses_unless_rectified() -> None:
    response, tangent = torch.tensor([[4.0, -1.0], [4.0, 1.0]]), torch.ones(2, 2)
    options = {"floor": 0.01, "rectify": 0.0}
    refused = Setting(get_noise("poisson"), 1.0, options).information(response, tangent)
    assert torch.isnan(refused[0])
    assert refused[1].item() == pytest.approx(1.25)
    rectified = Setting(get_noise("poisson"), 1.0, {**options, "rectify": 1.0}).information(response, tangent)
    assert rectified[0].item() == pytest.approx(0.25)


@pytest.mark.parametrize("name", INDEPENDENT)
def test_the_ideal_read_out_holds_all_the_information(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    response = torch.rand(3, 40, generator=generator, dtype=torch.float64)
    tangent = torch.randn(3, 40, generator=generator, dtype=torch.float64)
    setting = Setting(get_noise(name), 1.0, get_noise(name).settings({}))
    weights = setting.read_out(response, tangent)
    signal = (weights * tangent).sum(dim=1)
    j = signal**2 / setting.read_out_variance(weights, response)
    torch.testing.assert_close(j, setting.information(response, tangent))
    # No other read-out does better.
    other = weights * torch.rand(3, 40, generator=generator, dtype=torch.float64)
    worse = (other * tangent).sum(dim=1) ** 2 / setting.read_out_variance(other, response)
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
    setting = Setting(get_noise("gaussian"), 1.0, {"differential": epsilon})
    assert setting.saturated(np.array([1e12]))[0] == pytest.approx(1 / epsilon)


def test_negative_layers_are_named_and_the_others_measured() -> None:
    table = measured(small(), noise="poisson")
    status = table.to_pandas().groupby("layer")["status"].first()
    assert status["1"] == "ok"  # ReLU
    assert status["0"] == status["5"] == "negative"
    said = " ".join(cautions(table))
    assert "negative responses" in said
    assert "rectify=1" in said


@pytest.mark.parametrize("estimator", ["central", "chained"])
def test_differences_are_rectified_before_they_are_taken(estimator: str) -> None:
    """Poisson noise on max(r, 0) of a convolution is that on the real ReLU behind it."""
    settings = {"noise": "poisson", "estimator": estimator, "values": [20.0, 30.0, 40.0], "step": 3.0}
    before = measured(small(), layers="0", noise_options={"rectify": 1}, **settings).to_pandas()
    behind = measured(small(), layers="1", **settings).to_pandas()
    np.testing.assert_allclose(before["fisher_information"], behind["fisher_information"], rtol=1e-4)


class Shown(nn.Module):
    """Not finite on grey images, which gabors are and the ones that layers are listed with are not."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        colour = (x[:, 0] - x[:, 1]).abs().amax()
        return x if colour > 0.2 else x * torch.nan


def test_layers_that_are_not_finite_are_not_called_insensitive() -> None:
    observer = Observer(nn.Sequential(Shown(), nn.Flatten()), input_size=(16, 16), name="nan")
    for noise in ("relative", "gaussian"):
        table = measured(observer, noise=noise, layers="0")
        assert (table.to_pandas()["status"] == "not_finite").all()
        assert "no layer could be measured" in conclusions(table)[0]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"noise": "poisson", "noise_options": {"flor": 1}}, ("option of poisson", "'flor'", "floor")),
        ({"noise": "gaussian", "noise_options": {"floor": 1}}, ("option of gaussian", "differential")),
        ({"noise": "poisson", "noise_options": {"rectify": 2}}, ("rectify 2", "0 to 1")),
        ({"noise_options": {"differential": float("nan")}}, ("differential nan",)),
        ({"noise": "input", "estimator": "central"}, ("input noise", "jvp")),
        ({"noise": "empirical", "estimator": "chained"}, ("empirical noise", "chained")),
        ({"noise": "empirical", "parameters": {"phase": 2}}, ("2 phases", "6 or more")),
        ({"noise": "empirical", "precision": 0.1}, ("no intervals",)),
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
    return float((tangent @ torch.linalg.solve(matrix, tangent)).detach())


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


@pytest.mark.slow
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


def products_of(r: np.ndarray, t: np.ndarray) -> Products:
    """As the package takes them, with the responses' mean off."""
    mean_square = float((r**2).mean())
    r = r - r.mean(axis=0)
    return Products(r @ r.T, t @ r.T, t @ t.T, mean_square, r.shape[1])


def normal(count: int, n_features: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, n_features)), generator.normal(size=(count, n_features))


@pytest.mark.parametrize(("count", "n_features"), [(12, 4), (8, 30)])
@pytest.mark.parametrize("added", [Regularity(0.3, 0.0), Regularity(0.0, 0.4), Regularity(0.1, 0.2)])
def test_products_give_what_the_whole_covariance_gives(
    count: int, n_features: int, added: Regularity
) -> None:
    r, t = normal(count, n_features)

    def inverse(rows: np.ndarray, ddof: int) -> np.ndarray:
        sample = np.cov(rows, rowvar=False, ddof=ddof)
        shrunk = (1 - added.shrinkage) * sample
        own = added.shrinkage * np.trace(sample) / n_features + added.response**2 * (r**2).mean()
        return np.linalg.inv(shrunk + own * np.eye(n_features))

    grid = t.mean(axis=0) @ inverse(r, 0) @ t.mean(axis=0)
    assert linear_information(products_of(r, t), added, drawn=False) == pytest.approx(grid, rel=1e-8)
    fold = np.arange(count) % 5
    forms = [
        t[i] @ inverse(r[(fold != fold[i]) & (fold != fold[j])], 1) @ t[j]
        for i in range(count)
        for j in range(count)
        if i != j
    ]
    found = linear_information(products_of(r, t), added, drawn=True)
    assert found == pytest.approx(np.mean(forms), rel=1e-8)


@pytest.mark.slow
def test_drawn_samples_give_information_without_bias() -> None:
    generator = np.random.default_rng(1)
    mixing, mean = generator.normal(size=(3, 3)), generator.normal(size=3)
    exact = mean @ np.linalg.solve(mixing @ mixing.T, mean)
    found = []
    for _ in range(2000):
        r = generator.normal(size=(30, 3)) @ mixing.T
        # Derivatives that go with the responses, as those of a network do.
        t = mean + 0.5 * generator.normal(size=(30, 3)) + 0.5 * r
        found.append(linear_information(products_of(r, t), Regularity(0, 0), drawn=True))
    error = np.std(found) / 2000**0.5
    assert np.mean(found) == pytest.approx(exact, abs=3.5 * error)
    assert error < 0.03 * exact  # The test can fail.


@pytest.mark.parametrize(("n_features", "count"), [(60, 16), (10, 20)])
def test_where_the_mean_does_not_change_there_is_no_information(n_features: int, count: int) -> None:
    """Contrast of noise: responses grow, and their mean stays zero."""
    found = []
    for seed in range(400):
        r, _ = normal(count, n_features, seed)
        found.append(linear_information(products_of(r, r), Regularity(0.3, 0.0), drawn=True))
    assert abs(np.mean(found)) < 3.5 * np.std(found) / 400**0.5


@pytest.mark.parametrize("layer", ["0", "1", "3", "5"])
def test_more_phases_give_the_same_information(layer: str) -> None:
    """A grid of phases is an integral: it converges, and does not grow with its points."""
    j = [
        measured(small(), noise="empirical", layers=layer, parameters={"phase": n, "frequency": 3})
        .to_pandas()["fisher_information"]
        .to_numpy()
        for n in (48, 192)
    ]
    np.testing.assert_allclose(j[0], j[1], rtol=0.15, atol=2e-3)


def test_settings_that_are_listed_are_no_noise() -> None:
    """J is that of each frequency, averaged; phases alone are unknown."""
    settings = {"noise": "empirical", "layers": "5", "values": [20.0]}
    both, low, high = (
        measured(small(), **settings, parameters={"phase": 12, "frequency": f})
        .to_pandas()["fisher_information"]
        .iloc[0]
        for f in ([2, 3], 2, 3)
    )
    # The layer's own noise goes with the responses to both.
    assert both == pytest.approx((low + high) / 2, rel=0.2)


def test_covariances_inverted_as_they_are_need_more_samples_than_units() -> None:
    options = {"response": 0.0}
    with pytest.raises(UsageError, match="response 0"):
        measured(small(), noise="empirical", noise_options=options)
    table = measured(small(), noise="empirical", noise_options=options, layers="5", parameters={"phase": 60})
    assert np.isfinite(table.to_pandas()["fisher_information"]).all()


def test_knowing_the_phase_is_worth_something() -> None:
    options = {"response": 0.1}
    unknown = measured(small(), noise="empirical", noise_options=options, layers=["0", "5"]).to_pandas()
    known = measured(small(), noise="relative", noise_level=0.1, layers=["0", "5"]).to_pandas()
    assert (unknown["fisher_information"] < known["fisher_information"]).all()
    assert unknown["threshold_low"].isna().all()
