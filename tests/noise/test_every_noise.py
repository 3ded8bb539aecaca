"""What holds for every noise model: those in the table, and one of a user's own with its own variance."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import psychophys
from psychophys import NOISE, Domain, Noise, Observer, Option
from psychophys.base.errors import MeasurementError, UsageError
from psychophys.measurement.plan import plan
from psychophys.noise.information import Setting
from psychophys.responses.estimators import ESTIMATORS
from psychophys.results.summary import cautions

PIXELS = 16


def variance_of_square(response: torch.Tensor, options: dict[str, float]) -> torch.Tensor:
    return response.square() + options["floor"] ** 2


def twice_the_square(response: torch.Tensor, options: dict[str, float]) -> torch.Tensor:
    return 2 * response.square() + options["floor"] ** 2


def minus_one(_level: float, _response_rms: float) -> float:
    return -1.0


def as_level(level: float, _response_rms: float) -> float:
    return level


def over_half(response: torch.Tensor) -> torch.Tensor:
    return (response > 0.5).any(dim=1)


def sign_of(response: torch.Tensor, _options: dict[str, float]) -> torch.Tensor:
    return response


OWN = Noise(
    "of this test",
    "J = sum over units of (dr/dtheta)^2 / (level * (r^2 + floor^2))",
    "variance over r^2 + floor^2",
    "this test",
    as_level,
    variance_of_square,
    (Option("floor", "activation units", 0.1, 1e-6, 1e6, "keeps the variance over 0"),),
)
EVERY = [*NOISE.values(), OWN]
INDEPENDENT = [noise for noise in EVERY if noise.method.is_independent]


def name(noise: Noise) -> str:
    return noise.name


def observer(last: nn.Module) -> Observer:
    """Responses of both signs behind Tanh, and none under 0 behind Sigmoid."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 5, 5, stride=3), nn.Tanh(), nn.Flatten(), nn.Linear(80, 12), last)
    return Observer(network, input_size=(PIXELS, PIXELS), mean=(0.5,) * 3, std=(0.5,) * 3, name="small")


def settings(noise: Noise, **more: object) -> dict[str, object]:
    phases = max(noise.method.fewest_samples, 6)
    return {"values": [20.0, 70.0], "parameters": {"phase": phases, "frequency": 3}, "noise": noise, **more}


@pytest.mark.parametrize("noise", EVERY, ids=name)
def test_it_says_what_it_is(noise: Noise) -> None:
    assert noise.formula.startswith("J = ")
    assert noise.source
    assert noise.level_unit
    assert noise.level > 0
    for option in noise.options:
        assert option.low <= option.default <= option.high
        assert option.meaning
        assert option.unit
    assert noise.settings({}).keys() == {"differential", *(option.name for option in noise.options)}


@pytest.mark.parametrize("noise", EVERY, ids=name)
def test_it_can_be_sent_to_another_process(noise: Noise) -> None:
    made = plan(**settings(noise))
    assert pickle.loads(pickle.dumps(made)) == made


@pytest.mark.parametrize("noise", INDEPENDENT, ids=name)
def test_information_is_that_of_the_declared_variance_or_refused(noise: Noise) -> None:
    """Rows of responses of both signs, of none under 0, and of zeros among them."""
    generator = torch.Generator().manual_seed(1)
    response = torch.randn(3, 20, generator=generator, dtype=torch.float64)
    response[1] = response[1].abs()
    response[2, :5] = 0
    tangents = torch.randn(2, 3, 20, generator=generator, dtype=torch.float64)
    setting = Setting(noise, 1.0, noise.settings({}))
    plain = torch.ones_like(response)
    variance = plain if noise.unit_variance is None else noise.unit_variance(response, setting.options)
    dense = torch.stack([(tangents[0] * tangents[k] / variance).sum(dim=1) for k in range(2)])
    refused = torch.zeros(3, dtype=torch.bool) if noise.domain is None else noise.domain.refuses(response)
    wanted = torch.where(refused, torch.nan, dense)
    torch.testing.assert_close(setting.information(response, tangents[0]), wanted[0], equal_nan=True)
    torch.testing.assert_close(setting.products(response, tangents)[:, :2].T, wanted, equal_nan=True)
    if noise.domain is None:
        assert torch.isfinite(wanted).all()


@pytest.mark.parametrize("noise", INDEPENDENT, ids=name)
def test_the_ideal_read_out_holds_all_the_information_of_negative_responses_too(noise: Noise) -> None:
    generator = torch.Generator().manual_seed(2)
    response = torch.randn(3, 20, generator=generator, dtype=torch.float64)
    response = response if noise.domain is None else response.abs()
    tangent = torch.randn(3, 20, generator=generator, dtype=torch.float64)
    setting = Setting(noise, 1.0, noise.settings({}))
    weights = setting.read_out(response, tangent)
    j = (weights * tangent).sum(dim=1) ** 2 / setting.read_out_variance(weights, response)
    torch.testing.assert_close(j, setting.information(response, tangent))


@pytest.mark.parametrize("last", [nn.Tanh(), nn.Sigmoid()], ids=["both-signs", "positive"])
@pytest.mark.parametrize("noise", EVERY, ids=name)
def test_layers_within_its_domain_are_measured(noise: Noise, last: nn.Module) -> None:
    table = psychophys.measure(observer(last), layers="4", **settings(noise))
    frame = table.to_pandas()
    refused = noise.domain is not None and isinstance(last, nn.Tanh)
    assert set(frame["status"]) == ({noise.domain.status} if noise.domain and refused else {"ok"})
    assert np.isfinite(frame["threshold"]).all() != refused
    assert frame["threshold_low"].notna().all() == (noise.method.has_intervals and not refused)
    assert (table.to_pandas()["noise"] == noise.name).all()


@pytest.mark.parametrize("noise", EVERY, ids=name)
def test_more_noise_is_less_information(noise: Noise) -> None:
    watched = observer(nn.Sigmoid())
    low, high = (
        psychophys.measure(watched, layers="4", **settings(noise, noise_level=level)).to_pandas()
        for level in (noise.level, 3 * noise.level)
    )
    assert (high["fisher_information"] < low["fisher_information"]).all()
    assert (low["fisher_information"] > 0).all()


@pytest.mark.parametrize("noise", EVERY, ids=name)
def test_it_says_which_estimators_it_can_use(noise: Noise) -> None:
    for estimator in ESTIMATORS.values():
        asked = settings(noise, estimator=estimator.name, values=[20.0, 45.0, 70.0])
        if noise.method.estimators and estimator.name not in noise.method.estimators:
            with pytest.raises(UsageError, match=f"{noise.name} noise cannot use estimator {estimator.name}"):
                plan(**asked)
        else:
            frame = psychophys.measure(observer(nn.Sigmoid()), layers="4", **asked).to_pandas()
            assert set(frame["status"]) == {"ok"}
            assert set(frame["estimator"]) == {estimator.name}


def level_for(noise: Noise, watched: Observer, threshold: float) -> float:
    """The level at which thresholds are that small, where responses are local-linear."""
    levels = np.array([1.0, 0.01]) * noise.level
    found = [
        psychophys.measure(watched, layers="4", **settings(noise, noise_level=float(level))).to_pandas()
        for level in levels
    ]
    first, second = (frame["threshold"].max() for frame in found)
    power = np.log(first / second) / np.log(100)
    return float(noise.level * (threshold / first) ** (1 / power))


@pytest.mark.parametrize("noise", EVERY, ids=name)
def test_it_can_be_simulated_and_has_a_matrix_where_units_are_independent(noise: Noise) -> None:
    watched = observer(nn.Sigmoid())
    asked = settings(noise, layers="4")
    if not noise.method.is_independent:
        with pytest.raises(UsageError, match=f"{noise.name} noise cannot be simulated"):
            psychophys.simulate(watched, **asked)
        with pytest.raises(UsageError, match=f"{noise.name} noise is of one dimension"):
            psychophys.fisher_matrix(watched, **{**asked, "parameters": {"phase": 6}})
        return
    asked["noise_level"] = level_for(noise, watched, threshold=0.5)
    matrix = {**asked, "parameters": {"phase": 6}}
    simulated = psychophys.simulate(watched, trials=4000, **asked).to_pandas()
    assert set(simulated["status"]) <= {"agrees", "parts"}
    np.testing.assert_allclose(simulated["fitted_threshold"], simulated["predicted_threshold"], rtol=0.15)
    found = psychophys.fisher_matrix(watched, ("orientation", "frequency"), **matrix).to_pandas()
    assert set(found["status"]) == {"ok"}
    alone = found[found["dimension_j"] == "orientation"]["fisher_information"].to_numpy()
    measured = psychophys.measure(watched, **matrix).to_pandas()
    np.testing.assert_allclose(alone, measured["fisher_information"], rtol=1e-4)


def test_a_noise_of_ones_own_agrees_with_poisson_where_both_say_the_same() -> None:
    """Variance r is Poisson's; a user's own function of it gives the same numbers under another name."""
    poisson = NOISE["poisson"]
    twin = Noise(
        "twin", poisson.formula, poisson.level_unit, poisson.source, as_level, poisson.unit_variance,
        poisson.options, domain=poisson.domain,
    )  # fmt: skip
    one, other = (
        psychophys.measure(observer(nn.Sigmoid()), layers="4", **settings(noise)).to_pandas()
        for noise in (poisson, twin)
    )
    assert (one["fisher_information"] == other["fisher_information"]).all()
    assert not set(one["run_id"]) & set(other["run_id"])


def test_two_noises_of_one_name_are_two_runs(tmp_path: Path) -> None:
    """A name of somebody's own says nothing of what it is: run ids and files hold its definition."""
    wide = replace(OWN, unit_variance=twice_the_square)
    watched, asked = observer(nn.Sigmoid()), {"layers": "4", "parameters": {"phase": 1}}
    one, other = (psychophys.measure(watched, noise=noise, values=[20.0], **asked) for noise in (OWN, wide))
    assert len(psychophys.concat([one, other]).runs) == 2
    one.write(tmp_path / "one.parquet")
    kept = psychophys.read(tmp_path / "one.parquet")
    again = psychophys.check_results(kept, observer=watched, noise=OWN)
    assert set(again.to_pandas()["noise"]) == {OWN.name}
    with pytest.raises(UsageError, match="is not the one that was measured"):
        psychophys.check_results(kept, observer=watched, noise=wide)
    with pytest.raises(UsageError, match="unknown noise model"):
        psychophys.check_results(kept, observer=watched)
    with pytest.raises(UsageError, match=f"noise gaussian where {OWN.name} was measured"):
        psychophys.check_results(kept, observer=watched, noise=NOISE["gaussian"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"options": (Option("differential", "-", 1, 0, 2, "-"),)}, "differential"),
        ({"options": (Option("a", "-", 1, 0, 2, "-"),) * 2}, "a name of its own"),
        ({"options": (Option("a", "-", 5, 0, 2, "-"),)}, "between its limits"),
        ({"method": NOISE["empirical"].method}, "does not ask for"),
        ({"domain": Domain("ok", "-", over_half)}, "status 'ok'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_noise_that_cannot_be_is_refused_when_it_is_made(changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(OWN, **changes)


def test_a_variance_of_a_layer_under_zero_is_an_error() -> None:
    with pytest.raises(MeasurementError, match="has a variance of -1 at level 1"):
        psychophys.measure(observer(nn.Tanh()), layers="4", **settings(replace(OWN, scale=minus_one)))


def test_a_domain_of_ones_own_names_the_layers_that_are_refused() -> None:
    weak = Noise(
        "weak", "J = |dr|^2 / r^2", "-", "this test", as_level, variance_of_square, OWN.options,
        domain=Domain("too_strong", "responses over 0.5", over_half),
    )  # fmt: skip
    table = psychophys.measure(observer(nn.Sigmoid()), layers="4", **settings(weak))
    assert set(table.to_pandas()["status"]) == {"too_strong"}
    assert "no weak noise for 1 layers" in " ".join(cautions(table))


def test_a_variance_that_is_not_over_zero_is_an_error_and_not_a_number() -> None:
    wrong = Noise("wrong", "J = |dr|^2 / r", "-", "this test", as_level, sign_of)
    with pytest.raises(MeasurementError, match="noise 'wrong' has a unit variance of -"):
        psychophys.measure(observer(nn.Tanh()), layers="4", **settings(wrong))


def test_another_noise_cannot_pass_for_one_that_comes_along() -> None:
    with pytest.raises(UsageError, match="noise model 'poisson' is another one"):
        plan(noise=Noise("poisson", "J = 1", "-", "this test", as_level))
    assert plan(noise=NOISE["poisson"]).noise == plan(noise="poisson").noise
