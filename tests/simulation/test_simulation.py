"""Simulated observers against closed forms, and against trials drawn unit by unit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import nn

import psychophys
from psychophys.base.errors import MeasurementError, UsageError
from psychophys.observers.layers import select_layers
from psychophys.observers.observer import Observer
from psychophys.plots.psychometric import plot_psychometric
from psychophys.simulation.check import check_results
from psychophys.simulation.psychometrics import TASKS, fit
from psychophys.simulation.run import run_simulation
from psychophys.simulation.table import Simulations, conclusions
from psychophys.simulation.trials import LEVELS, Procedure, prepare, proportions_correct

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
PIXELS = 16


def linear(seed: int, *last: nn.Module) -> Observer:
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(3 * PIXELS**2, 50), nn.Linear(50, 30), nn.Linear(30, 8), *last
    )
    return Observer(network, input_size=(PIXELS, PIXELS), dtype="float64", name=f"linear{seed}", **PLAIN)


def contrast(**settings: object) -> psychophys.Measurement:
    """Contrast changes images in a straight line, so a linear network answers in one too."""
    usual = {
        "values": [0.4, 0.5, 0.6], "parameters": {"phase": [30.0], "frequency": 3}, "noise": "gaussian",
        "noise_level": 0.01,
    }  # fmt: skip
    return psychophys.plan("grating", "contrast", **{**usual, **settings})


@pytest.mark.slow
def test_linear_gaussian_observers_have_the_predicted_threshold() -> None:
    """200 random cases: the prediction lies in 95 % intervals as often as it should."""
    generator = np.random.default_rng(0)
    agree = []
    for case in range(23):
        task, dprime = list(TASKS)[case % 2], float(generator.uniform(0.7, 1.5))
        measurement = contrast(
            noise_level=float(generator.uniform(0.002, 0.02)), dprime=dprime, layers=["1", "2", "3"],
            parameters={"phase": list(generator.uniform(0, 360, 1 + case % 3)), "frequency": 3},
        )  # fmt: skip
        frame = run_simulation(measurement, linear(case), Procedure(task, seed=case)).to_pandas()
        agree += list(frame["status"])
    assert len(agree) >= 200
    assert set(agree) <= {"agrees", "parts"}
    assert np.mean(np.array(agree) == "agrees") >= 0.93


def by_hand(
    observer: Observer,
    layer: str,
    measurement: psychophys.Measurement,
    task: str,
    difference: float,
    count: int,
) -> float:
    """Share of right answers, from noise drawn for every unit in every trial."""
    (layer_,) = select_layers(observer, [layer]).layers
    generator = torch.Generator().manual_seed(0)
    (sample,) = measurement.samples
    value = measurement.values[0]

    def respond(at: torch.Tensor) -> torch.Tensor:
        values = {**sample, measurement.dimension: at}
        r = observer.preprocess(measurement.stimulus.render(values, observer.input_size))
        for name, module in observer.model.named_children():
            r = module(r)
            if name == layer_.name:
                break
        return r.flatten(1)

    at = torch.tensor([value], dtype=torch.float64)
    tangent = (respond(at + 1e-6) - respond(at - 1e-6)) / 2e-6
    noise, options = measurement.noise, measurement.noise_options
    weights = measurement.setting.read_out(respond(at), tangent).flatten()

    def decisions(place: float) -> torch.Tensor:
        r = respond(torch.tensor([place], dtype=torch.float64))
        variance = torch.ones_like(r) if noise.unit_variance is None else noise.unit_variance(r, options)
        sd = (variance * noise.scale(measurement.noise_level, 1.0)).sqrt()
        drawn = torch.randn(count, r.shape[1], generator=generator, dtype=torch.float64)
        along = torch.randn(count, 1, generator=generator, dtype=torch.float64)
        along = along * options["differential"] ** 0.5 * tangent
        return (r + sd * drawn + along) @ weights

    below, above = decisions(value - difference / 2), decisions(value + difference / 2)
    if task == "2afc":
        return float((above > below).double().mean())
    criterion = (respond(at - difference / 2) + respond(at + difference / 2)).flatten() @ weights / 2
    return float(((above > criterion).double().mean() + (below < criterion).double().mean()) / 2)


@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize(
    ("noise", "level", "options"),
    [("gaussian", 0.005, {}), ("poisson", 5e-5, {}), ("gaussian", 0.005, {"differential": 0.01})],
)
def test_trials_are_those_of_noise_in_every_unit(
    task: str, noise: str, level: float, options: dict[str, float]
) -> None:
    observer = linear(1, nn.Sigmoid())
    layer = "4"
    measurement = contrast(
        values=[0.5], noise=noise, noise_level=level, noise_options=options, layers=[layer]
    )
    prepared = prepare(measurement, observer)
    found = proportions_correct(prepared, 0, Procedure(task))[layer]
    fast, threshold = found.correct[:, 0], found.unit
    assert threshold == pytest.approx(prepared.done.rows(prepared.done.layers[0])[0]["threshold"])
    shown = [0, 4, 7]
    assert np.isfinite(fast[shown]).all()
    count = 200_000
    slow = [by_hand(observer, layer, measurement, task, LEVELS[k] * threshold, count) for k in shown]
    np.testing.assert_allclose(fast[shown], slow, atol=4 * 0.5 / count**0.5)


def test_a_trained_read_out_loses_what_its_trials_cost() -> None:
    """Noise of the means over n trials adds 2 F sigma^2 / n to what the read-out weighs."""
    torch.manual_seed(0)
    n_features, trials = 20_000, 50
    wide = nn.Sequential(nn.Flatten(), nn.Linear(3 * PIXELS**2, n_features))
    observer = Observer(wide, input_size=(PIXELS, PIXELS), name="wide", **PLAIN)
    measurement = contrast(values=[0.5], noise_level=0.05, layers=["1"])
    procedure = Procedure(read_out="trained", training_trials=trials, trials=10_000)
    row = run_simulation(measurement, observer, procedure).to_pandas().iloc[0]
    loss = (1 + 2 * n_features / (trials * LEVELS[-1] ** 2)) ** 0.5
    assert row["fitted_threshold"] / row["predicted_threshold"] == pytest.approx(loss, rel=0.05)
    assert row["status"] == "parts"
    well = Procedure(read_out="trained", training_trials=10**8)
    assert abs(run_simulation(measurement, observer, well).to_pandas()["deviation"].iloc[0]) < 0.1


class Bent(nn.Module):
    """Answers with a sigmoid of contrast about that of an image."""

    def __init__(self, image: torch.Tensor) -> None:
        super().__init__()
        self.middle = float(image.flatten(1).std(dim=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(20 * (x.flatten(1).std(dim=1, keepdim=True) - self.middle))


def bent(measurement: psychophys.Measurement) -> Observer:
    at_half = {**measurement.samples[0], "contrast": torch.tensor([0.5], dtype=torch.float64)}
    network = nn.Sequential(Bent(measurement.stimulus.render(at_half, (64, 64))))
    return Observer(network, input_size=(64, 64), dtype="float64", name="bent", **PLAIN)


def test_where_responses_bend_the_fit_parts_from_the_prediction_as_it_should() -> None:
    measurement = contrast(
        values=[0.5], noise_level=1.0, parameters={"frequency": 4, "phase": 1}, layers=["0"]
    )
    observer = bent(measurement)
    row = run_simulation(measurement, observer, Procedure(trials=10_000)).to_pandas().iloc[0]

    def response(c: float) -> float:
        at = torch.tensor([c], dtype=torch.float64)
        values = {**measurement.samples[0], "contrast": at}
        return float(observer.model(measurement.stimulus.render(values, (64, 64))))

    differences = np.linspace(0.01, 0.9, 500)
    dprimes = [(response(0.5 + d / 2) - response(0.5 - d / 2)) / 1.0 for d in differences]
    exact = np.interp(1.0, dprimes, differences)
    assert exact > 1.08 * row["predicted_threshold"]
    assert row["fitted_threshold"] == pytest.approx(exact, rel=0.03)
    assert row["status"] == "parts"
    assert row["power"] < 0.95


def test_tasks_have_their_textbook_forms() -> None:
    assert TASKS["2afc"].by_dprime(1) == pytest.approx(0.7602, abs=1e-4)
    assert TASKS["2afc"].by_dprime(0.954) == pytest.approx(0.75, abs=1e-3)
    assert TASKS["single"].by_dprime(1) == pytest.approx(norm.cdf(0.5))
    one = np.array([1.0])
    for task in TASKS.values():
        assert task.correct(one * 1.3, one, one)[0] == pytest.approx(task.by_dprime(1.3))


def test_fits_find_the_function_that_made_the_data() -> None:
    levels, trials = np.array(LEVELS), np.full(9, 10_000)
    for power in (0.6, 1.0, 1.8):
        correct = np.round(norm.cdf(levels**power / 2**0.5) * trials)
        found = fit(levels, correct, trials, TASKS["2afc"].by_dprime(1))
        assert found.threshold == pytest.approx(1, abs=0.02)
        assert found.power == pytest.approx(power, rel=0.05)
        assert found.low < found.threshold < found.high
        np.testing.assert_allclose(
            found.proportion_correct(levels, TASKS["2afc"].by_dprime(1)), correct / trials, atol=0.01
        )


def test_differences_that_cannot_be_shown_are_left_out() -> None:
    table = psychophys.simulate(
        "test_resnet", weights="random", layers="fc", values=[0.0], parameters={"phase": 1}, noise_level=1e6
    )
    row = table.to_pandas().iloc[0]
    assert row["status"] == "out_of_range"
    assert np.isnan(row["fitted_threshold"])
    assert "cannot be shown" in conclusions(table)[0]


def test_thresholds_beyond_what_was_shown_are_not_given() -> None:
    """At this noise the sigmoid's whole height is less than the criterion."""
    settings = {"values": [0.5], "parameters": {"frequency": 4, "phase": 1}, "layers": ["0"]}
    measurement = contrast(noise_level=2.2, **settings)
    row = run_simulation(measurement, bent(measurement), Procedure()).to_pandas().iloc[0]
    assert row["status"] == "not_reached"
    assert np.isnan(row["fitted_threshold"])
    assert np.isfinite(row["predicted_threshold"])
    assert len(json.loads(row["curve"])) >= 4


@pytest.fixture(scope="module")
def results() -> psychophys.Results:
    settings = {"layers": ["layer2.0", "fc"], "values": 4, "parameters": {"phase": 2}, "noise_level": 0.1}
    return psychophys.measure("test_resnet", weights="random", **settings)


def test_a_file_is_checked_layer_by_layer(results: psychophys.Results, tmp_path: Path) -> None:
    results.write(tmp_path / "r.parquet")
    table = check_results(psychophys.read(tmp_path / "r.parquet"), values=2)
    frame = table.to_pandas()
    assert list(frame["layer"].unique()) == ["layer2.0", "fc"]
    file = results.to_pandas().set_index(["layer", "value"])["threshold"]
    for row in frame.itertuples():
        assert row.predicted_threshold == pytest.approx(file[row.layer, row.value], rel=1e-4)
        assert json.loads(row.curve)[0][0] == pytest.approx(LEVELS[0] * row.predicted_threshold)
    assert (frame[frame["layer"] == "layer2.0"]["deviation"].abs() < 0.15).all()
    plot_psychometric(table).savefig(tmp_path / "figure.png")
    with pytest.raises(UsageError, match="layer of the results"):
        check_results(results, layers=["blocks.*"])
    with pytest.raises(UsageError, match="9 of 4 values"):
        check_results(results, values=9)


def test_a_file_that_the_model_no_longer_gives_is_refused(results: psychophys.Results) -> None:
    rows = [{**row, "threshold": 1.1 * row["threshold"]} for row in results.table.to_pylist()]
    changed = psychophys.Results.from_rows(rows, results.runs)
    with pytest.raises(MeasurementError, match="Measure again"):
        check_results(changed, values=1)


def test_an_observer_of_ones_own_must_be_given_again() -> None:
    observer = linear(0)
    table = psychophys.measure(
        observer, "grating", "contrast", values=[0.5], parameters={"frequency": 3, "phase": 1}, layers="3",
        noise="gaussian", noise_level=0.01,
    )  # fmt: skip
    with pytest.raises(UsageError, match="observer="):
        check_results(table)
    assert len(check_results(table, observer=observer)) == 1


@pytest.mark.parametrize(
    ("procedure", "settings", "words"),
    [
        (Procedure("3afc"), {}, "task '3afc'"),
        (Procedure(read_out="best"), {}, "read-out 'best'"),
        (Procedure(trials=0), {}, "0 trials"),
        (Procedure(), {"dprime": 8}, "d' 8"),
        (Procedure(), {"dprime": 0.001}, "d' 0.001"),
        (Procedure(), {"precision": 0.1}, "no precision"),
        (Procedure(), {"noise": "input"}, "input noise cannot be simulated"),
        (Procedure(), {"estimator": "chained"}, "chained cannot be simulated"),
    ],
)
def test_what_cannot_be_simulated_is_said(procedure: Procedure, settings: dict, words: str) -> None:
    measurement = psychophys.plan(values=4, layers=["fc"], **settings)
    with pytest.raises(UsageError, match=words):
        procedure.check(measurement)


def test_a_simulation_keeps_the_run_id_and_all_its_experiments(results: psychophys.Results) -> None:
    parts = [
        check_results(results, layers=["layer2.0"], values=1, procedure=Procedure(task)) for task in TASKS
    ]
    both = Simulations.join(parts)
    assert list(both.runs) == list(results.runs)
    (record,) = both.runs.values()
    assert [made["task"] for made in record["experiments"]] == list(TASKS)
    assert len(both) == 2
