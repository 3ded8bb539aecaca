"""Linear autoencoders: closed forms against integration, training against closed forms and autograd."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from inside import call_inside
from scipy.integrate import solve_ivp

import psychophys
from psychophys import cli
from psychophys.base.errors import UsageError
from psychophys.learning.acuities import acuity, crossing, power_law
from psychophys.learning.experiments import EXPERIMENTS, findings
from psychophys.learning.linear import descent, theory
from psychophys.learning.linear.findings import rate_exponents, sensitivity_errors
from psychophys.learning.linear.patches import (
    SHORTER_SIDE,
    Statistics,
    draw_patches,
    spectrum_exponent,
    statistics_of,
)
from psychophys.learning.linear.plan import LinearSettings
from psychophys.learning.linear.run import plan_linear
from psychophys.learning.linear.theory import DEPTHS, Depth
from psychophys.learning.modes import Modes
from psychophys.learning.photographs import Photographs, load_photographs
from psychophys.learning.training import Learned, run_trainings
from psychophys.plots.learning import plot_learning
from psychophys.results.tables import write_table

RATE = 0.05
SMALL = LinearSettings(depths=("1", "2"), runs=2, patch=8, steps=400, snapshots=4)


def packaged_photographs() -> Photographs:
    return load_photographs(shorter_side=SHORTER_SIDE)


def learn_linear(settings: LinearSettings, **how: Any) -> Learned:
    return run_trainings(plan_linear(settings), **how)


@pytest.fixture(scope="module")
def natural() -> dict[int, Statistics]:
    photographs = packaged_photographs()
    return {
        side: statistics_of(draw_patches(photographs, side, np.random.default_rng(0))) for side in (8, 16)
    }


@pytest.fixture(scope="module")
def learned() -> Learned:
    return learn_linear(SMALL)


@pytest.mark.parametrize("depth", DEPTHS.values(), ids=list(DEPTHS))
def test_closed_forms_are_the_integrals_of_their_equations(depth: Depth) -> None:
    n, factor = depth.layers, 4 if depth.tied else depth.layers
    for initial in (0.003, 0.05, 0.3):
        steps = np.linspace(0, 30, 61)

        def slope(_: float, s: np.ndarray) -> np.ndarray:
            return factor * s ** (2 - 2 / n) * (1 - s)

        found = solve_ivp(slope, (0, 1500), [initial], rtol=1e-10, atol=1e-12, dense_output=True)
        one = np.ones(1)
        closed = theory.strength(depth, initial * one, one, steps)[:, 0]
        np.testing.assert_allclose(closed, found.sol(steps)[0], atol=2e-7)
        half = float(theory.half_time(depth, initial * one, one)[0])
        assert found.sol(half)[0] == pytest.approx(0.5, abs=1e-7)
        # Twice the rate takes half the time.
        assert theory.half_time(depth, initial * one, 2 * one)[0] == pytest.approx(half / 2)


def test_closed_forms_are_the_known_ones() -> None:
    start, rate = np.array([0.01]), np.array([0.003])
    logistic = np.log(1 / 0.01 - 1) / 0.003
    assert theory.half_time(DEPTHS["2"], start, rate)[0] == pytest.approx(logistic / 2)
    assert theory.half_time(DEPTHS["tied"], start, rate)[0] == pytest.approx(logistic / 4)
    assert theory.half_time(DEPTHS["1"], 0 * start, rate)[0] == pytest.approx(np.log(2) / 0.003)


def test_a_mode_without_a_beginning_has_no_prediction() -> None:
    start = np.array([-0.1, 0.0, 0.5, 0.7, 1.2])
    for depth in DEPTHS.values():
        known = np.isfinite(theory.half_time(depth, start, np.ones(5)))
        assert list(known) == [depth.layers == 1] * 2 + [False] * 3
    curves = theory.strength(DEPTHS["3"], start, np.ones(5), np.array([1.0, 2.0]))
    assert list(np.isfinite(curves).all(axis=0)) == [False, False, True, True, False]


def simulate(depth: Depth, statistics: Statistics, weights: list[torch.Tensor], modes: int) -> np.ndarray:
    """Relative errors of half-times."""
    learning_rate = RATE / statistics.eigenvalues[0]
    initial = descent.initial_strengths(depth, weights)[:modes]
    predicted = theory.half_time(depth, initial, learning_rate * statistics.eigenvalues[:modes])
    last = int(1.15 * np.nanmax(predicted)) + 10
    found = descent.train(depth, weights, statistics.eigenvalues, learning_rate, [last], modes)
    return descent.half_times(found.strengths) / predicted - 1


@pytest.mark.parametrize("depth", DEPTHS.values(), ids=list(DEPTHS))
def test_balanced_modes_are_learned_when_the_closed_form_says(
    depth: Depth, natural: dict[int, Statistics]
) -> None:
    weights = descent.balanced(depth, 64, 0.05, np.random.default_rng(1))
    errors = simulate(depth, natural[8], weights, 20)
    assert np.abs(errors).max() < 0.03


@pytest.mark.parametrize(
    ("name", "modes"), [("1", 20), pytest.param("2", 20, marks=pytest.mark.slow), ("tied", 20)]
)
def test_uniform_modes_are_learned_when_the_effective_closed_form_says(
    name: str, modes: int, natural: dict[int, Statistics]
) -> None:
    depth = DEPTHS[name]
    weights = descent.uniform(depth, natural[16].eigenvectors, 0.02, np.random.default_rng(1))
    assert np.abs(simulate(depth, natural[16], weights, modes)).max() < 0.05


def pixel_network(depth: Depth, weights: list[torch.Tensor], basis: torch.Tensor) -> list[torch.Tensor]:
    turned = [weight.clone() for weight in weights]
    turned[0] = turned[0] @ basis.T
    if not depth.tied:
        turned[-1] = basis @ turned[-1]
    return turned


@pytest.mark.parametrize("init", ["balanced", "uniform"])
@pytest.mark.parametrize("depth", DEPTHS.values(), ids=list(DEPTHS))
def test_training_is_gradient_descent_on_the_patches(depth: Depth, init: str) -> None:
    """Fifty steps from the covariance are those of autograd on patches, in the basis of pixels."""
    patches = draw_patches(packaged_photographs(), 8, np.random.default_rng(0), 500)
    statistics = statistics_of(patches)
    basis = torch.from_numpy(statistics.eigenvectors.copy())
    generator = np.random.default_rng(3)
    weights = (
        descent.balanced(depth, 64, 0.1, generator)
        if init == "balanced"
        else descent.uniform(depth, statistics.eigenvectors, 0.3, generator)
    )
    rate = float(RATE / statistics.eigenvalues[0])
    found = descent.train(depth, weights, statistics.eigenvalues, rate, [50], 20, dtype=torch.float64)
    x = torch.from_numpy(patches - statistics.mean)
    layers = [weight.requires_grad_() for weight in pixel_network(depth, weights, basis)]
    for _ in range(50):
        hidden = x
        for layer in layers:
            hidden = hidden @ layer.T
        shown = hidden @ layers[0] if depth.tied else hidden
        loss = 0.5 * ((x - shown) ** 2).sum(dim=1).mean()
        slopes = torch.autograd.grad(loss, layers)
        layers = [(w - rate * g).detach().requires_grad_() for w, g in zip(layers, slopes, strict=True)]
    for mine, theirs in zip(pixel_network(depth, found.weights[50], basis), layers, strict=True):
        torch.testing.assert_close(mine, theirs.detach(), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("depth", DEPTHS.values(), ids=list(DEPTHS))
def test_balanced_training_is_that_of_all_weights(depth: Depth, natural: dict[int, Statistics]) -> None:
    """D numbers a step give the matrices that gradient descent on all of them gives."""
    values = natural[8].eigenvalues
    rate, keep = float(RATE / values[0]), [0, 7, 400]
    spaces = descent.rotations(depth, 64, np.random.default_rng(5))
    weights = descent.balanced(depth, 64, 0.05, np.random.default_rng(5))
    slow = descent.train(depth, weights, values, rate, keep, 20, dtype=torch.float64)
    fast = descent.train_balanced(depth, spaces, 0.05, values, rate, keep, 20)
    assert slow.strengths[-1, 0] > 0.9
    for step in keep:
        for mine, theirs in zip(fast.weights[step], slow.weights[step], strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(fast.strengths, slow.strengths, rtol=1e-9)
    np.testing.assert_allclose(fast.sensitivities, slow.sensitivities, rtol=1e-9)


@pytest.mark.parametrize("depth", DEPTHS.values(), ids=list(DEPTHS))
def test_sensitivities_to_modes_are_those_of_the_network(
    depth: Depth, natural: dict[int, Statistics]
) -> None:
    """|W v| on the way is the length of the derivative of the network on pixels along the eigenvector."""
    statistics = natural[8]
    mean, basis = torch.from_numpy(statistics.mean), torch.from_numpy(statistics.eigenvectors.copy())
    weights = descent.uniform(depth, statistics.eigenvectors, 0.3, np.random.default_rng(2))
    rate = float(RATE / statistics.eigenvalues[0])
    found = descent.train(depth, weights, statistics.eigenvalues, rate, [0, 40], 20, dtype=torch.float64)
    for step in (0, 40):
        model = descent.network(depth, mean, found.weights[step], basis).double()
        shown = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
        for mode in (0, 3, 19):
            direction = basis[:, mode].reshape(1, 1, 8, 8)
            _, along = torch.func.jvp(model, (shown,), (direction,))
            assert found.sensitivities[step, mode] == pytest.approx(float(along.detach().norm()), rel=1e-5)
    # Weights that are not aligned are more sensitive to a mode than its strength says.
    assert (found.sensitivities[0] > 1.1 * np.abs(found.strengths[0])).all()


def test_rates_of_learning_go_with_eigenvalues() -> None:
    modes = pd.DataFrame(
        {"seed": seed, "eigenvalue": value, "half_time": 3 / value**power}
        for seed, power in enumerate((1.0, 0.8))
        for value in (1.0, 2.0, 5.0, 20.0)
    )
    assert rate_exponents(modes, "half_time") == pytest.approx([1.0, 0.8])
    learned = learn_linear(LinearSettings(depths=("1", "2"), runs=2, patch=8, snapshots=2))
    found = learned.modes.to_pandas()
    for _, part in found.groupby("model"):
        assert rate_exponents(part, "predicted_half_time") == pytest.approx([1, 1])
        assert rate_exponents(part, "half_time") == pytest.approx([1, 1], abs=0.02)
    assert 0 < np.max(sensitivity_errors(found)) < 0.03
    text = " ".join(findings(learned).conclusions)
    assert "Sensitivity to a mode" in text
    assert "closed form 1.000" in text


def test_modes_of_the_version_before_are_read(learned: Learned, tmp_path: Path) -> None:
    """Without sensitivities: the figure draws strengths, and nothing is said of what is not there."""
    before = learned.modes.table.drop_columns(["sensitivity_curve"])
    runs = {
        name: {key: value for key, value in run.items() if key != "components"}
        for name, run in learned.modes.runs.items()
    }
    path = tmp_path / "a-modes.parquet"
    write_table(before, Modes.key, {"trainings": runs, "schema_version": 1}, path)
    learned.thresholds.write(tmp_path / "a.parquet")
    again = psychophys.read_learned(tmp_path / "a.parquet")
    assert again.modes.to_pandas()["sensitivity_curve"].isna().all()
    assert "|Wv|" not in " ".join(findings(again).conclusions)
    plot_learning(again)


def test_balanced_weights_multiply_to_a_multiple_of_the_identity() -> None:
    for depth in DEPTHS.values():
        weights = descent.balanced(depth, 30, 0.07, np.random.default_rng(0))
        whole = weights[0].T @ weights[0] if depth.tied else weights[0]
        for weight in weights[1:]:
            whole = weight @ whole
        torch.testing.assert_close(whole, 0.07 * torch.eye(30, dtype=torch.float64))
        assert descent.initial_strengths(depth, weights) == pytest.approx(np.full(30, 0.07))


def test_half_times_are_interpolated_first_crossings() -> None:
    strengths = np.array([[0.1, 0.6, 0.1, 0.0], [0.4, 0.4, 0.2, 0.9], [0.6, 0.7, 0.3, 0.1]])
    np.testing.assert_allclose(descent.half_times(strengths), [1.5, np.nan, np.nan, 0.5 / 0.9])


def test_training_that_diverges_says_so(natural: dict[int, Statistics]) -> None:
    weights = descent.balanced(DEPTHS["2"], 64, 0.05, np.random.default_rng(0))
    with pytest.raises(psychophys.MeasurementError, match="smaller --learning-rate"):
        descent.train(DEPTHS["2"], weights, natural[8].eigenvalues, 100.0, [50], 20)


def test_the_network_reconstructs_what_it_has_learned(natural: dict[int, Statistics]) -> None:
    statistics = natural[8]
    mean, basis = torch.from_numpy(statistics.mean), torch.from_numpy(statistics.eigenvectors.copy())
    images = torch.rand(5, 1, 8, 8)
    for depth in DEPTHS.values():
        weights = descent.balanced(depth, 64, 1.0, np.random.default_rng(0))
        model = descent.network(depth, mean, weights, basis)
        expected = images.flatten(1) - mean.float()
        torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-5)
        assert [name for name, _ in model.named_children()] == [
            "pixels", *(f"layer{k + 1}" for k in range(depth.layers)),
        ]  # fmt: skip


def test_patches_have_their_moments() -> None:
    patches = draw_patches(packaged_photographs(), 8, np.random.default_rng(0), 1000)
    statistics = statistics_of(patches)
    np.testing.assert_allclose(statistics.covariance, np.cov(patches.T, bias=True), atol=1e-12)
    whole = statistics.eigenvectors * statistics.eigenvalues @ statistics.eigenvectors.T
    np.testing.assert_allclose(whole, statistics.covariance, atol=1e-12)
    assert (np.diff(statistics.eigenvalues) <= 0).all()
    assert not np.array_equal(
        patches, draw_patches(packaged_photographs(), 8, np.random.default_rng(1), 1000)
    )


def test_the_exponent_of_a_spectrum_is_found() -> None:
    """Cosine covariances, whose power at every frequency is known."""
    side, exponent = 16, 2.0
    frequencies = np.fft.fftfreq(side) * side
    fx, fy = np.meshgrid(frequencies, frequencies)
    radius = np.hypot(fx, fy)
    power = np.where(radius > 0, np.maximum(radius, 1e-9) ** -exponent, 1.0)
    kernel = np.fft.ifft2(power).real
    y, x = (grid.ravel() for grid in np.mgrid[:side, :side])
    covariance = kernel[(y[:, None] - y) % side, (x[:, None] - x) % side]
    statistics = Statistics(np.zeros(side**2), covariance, np.ones(1), np.ones((1, 1)))
    # At 45 deg, whole periods do not fit, which leaks a little.
    assert spectrum_exponent(statistics, [1, 2, 3, 4]) == pytest.approx(exponent, abs=0.2)


def test_thresholds_develop_over_training_in_one_table(learned: Learned) -> None:
    frame = learned.thresholds.to_pandas()
    assert list(frame["model"].unique()) == ["linear-depth1", "linear-depth2"]
    assert set(frame["seed"]) == {0, 1}
    assert set(frame["weights"]) == {"given"}
    for _, part in frame.groupby(["model", "seed"]):
        assert part["step"].nunique() == part["run_id"].nunique() == SMALL.snapshots
        assert part["step"].max() == SMALL.steps
        mean = part.groupby("step")["sensitivity"].mean()
        assert mean.is_monotonic_increasing
    assert set(learned.thresholds.runs) == set(frame["run_id"])
    assert len(psychophys.summarize(learned.thresholds)) == 2 * 4 * (1 + 2)


def test_thresholds_are_those_of_the_closed_form() -> None:
    """Where every mode follows its closed form, acuity does, too."""
    found = psychophys.learn("linear", depths=("2", "3", "tied"), runs=1, patch=8)
    acuities = psychophys.acuity(found.thresholds)
    for record in found.modes.runs.values():
        own = acuities[acuities["model"] == DEPTHS[record["depth"]].model]["acuity"].to_numpy()
        predicted = np.array(record["predicted_acuity"], dtype=float)
        np.testing.assert_allclose(own, predicted, rtol=0.01)
        assert power_law(acuities[acuities["model"] == DEPTHS[record["depth"]].model]).exponent == (
            pytest.approx(record["predicted_exponent"], abs=0.01)
        )


def test_seeds_draw_patches_and_weights(learned: Learned) -> None:
    modes = learned.modes.to_pandas()
    first = modes[modes["mode"] == 1].set_index(["model", "seed"])["eigenvalue"]
    assert first["linear-depth1", 0] != first["linear-depth1", 1]
    assert first["linear-depth1", 0] == first["linear-depth2", 0]
    again = learn_linear(replace(SMALL, depths=("1",), runs=1))
    pd.testing.assert_frame_equal(
        again.modes.to_pandas(), modes[(modes["model"] == "linear-depth1") & (modes["seed"] == 0)]
    )
    shifted = learn_linear(replace(SMALL, depths=("1",), runs=1, seed=1))
    assert set(shifted.modes.runs) == {
        key for key, run in learned.modes.runs.items() if run["seed"] == 1 and run["depth"] == "1"
    }


def test_finished_trainings_are_not_made_again(
    learned: Learned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned.thresholds.write(tmp_path / "a.parquet")
    learned.modes.write(tmp_path / "a-modes.parquet")
    previous = psychophys.read_learned(tmp_path / "a.parquet")
    trained = []
    train = descent.train_balanced
    monkeypatch.setattr(
        descent, "train_balanced", lambda depth, *a, **k: trained.append(depth.name) or train(depth, *a, **k)
    )
    same = learn_linear(SMALL, previous=previous)
    assert not trained
    assert same.thresholds.table.equals(learned.thresholds.table)
    assert same.modes.table.equals(learned.modes.table)
    written: list[int] = []
    more = learn_linear(
        replace(SMALL, runs=3), previous=previous, finished=lambda so_far: written.append(len(so_far.modes))
    )
    assert trained == ["1", "2"]
    assert written == [100, 120]
    assert len(more.modes) == 120
    other = learn_linear(replace(SMALL, depths=("1",), steps=200), previous=previous)
    assert trained == ["1", "2", "1", "1"]
    assert not set(other.modes.runs) & set(learned.modes.runs)


def test_checkpoints_are_made_again_where_they_are_gone(tmp_path: Path) -> None:
    settings = LinearSettings(depths=("3", "tied"), runs=1, patch=8, steps=300, snapshots=3)
    found = learn_linear(settings, folder=tmp_path)
    frame = found.thresholds.to_pandas()
    assert sorted(map(str, tmp_path.iterdir())) == sorted(frame["checkpoint"].unique())
    next(tmp_path.glob("linear-tied*")).unlink()
    learn_linear(settings, folder=tmp_path, previous=found)
    assert len(list(tmp_path.iterdir())) == 6


def test_acuity_is_where_thresholds_cross_the_criterion() -> None:
    frequencies = np.array([1.0, 2.0, 4.0])
    assert crossing(frequencies, np.array([1.0, 2.0, 8.0]), 4.0) == pytest.approx(2 * 2**0.5)
    assert crossing(frequencies, np.array([1.0, 2.0, np.inf]), 4.0) == 2
    assert np.isnan(crossing(frequencies, np.array([5.0, 2.0, 8.0]), 4.0))
    assert np.isnan(crossing(frequencies, np.array([1.0, 2.0, 3.0]), 4.0))


def test_power_laws_are_found_with_their_intervals() -> None:
    steps = np.array([10, 100, 1000, 5000])
    rows = [
        {"seed": seed, "step": step, "acuity": step**exponent}
        for seed, exponent in enumerate((0.4, 0.5, 0.6))
        for step in steps
    ]
    law = power_law(pd.DataFrame(rows))
    assert law.each == pytest.approx((0.4, 0.5, 0.6))
    assert (law.exponent, law.low, law.high) == pytest.approx((0.5, 0.5 - 0.2484, 0.5 + 0.2484), abs=1e-3)
    few = pd.DataFrame(rows[:2])
    assert np.isnan(power_law(few).exponent)


def test_acuity_of_other_tables_is_refused(learned: Learned) -> None:
    other = psychophys.measure(
        "test_resnet", weights="random", values=2, layers="fc", parameters={"phase": 1}
    )
    with pytest.raises(UsageError, match="thresholds of frequency"):
        acuity(other)
    with pytest.raises(UsageError, match="criterion 0"):
        acuity(learned.thresholds, criterion=0)
    lax = acuity(learned.thresholds, criterion=10.0)
    assert lax["acuity"].isna().all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"depths": ("4",)}, "unknown depth '4'"),
        ({"depths": ()}, "no depths"),
        ({"init": "balancd"}, "Did you mean balanced"),
        ({"runs": 0}, "runs 0"),
        ({"seed": -1}, "seed -1"),
        ({"patch": 7}, "patch 7"),
        ({"learning_rate": 0.3}, "learning rate 0.3"),
        ({"learning_rate": float("nan")}, "learning rate nan"),
        ({"steps": 9}, "steps 9"),
    ],
)
def test_what_cannot_be_learned_is_said(settings: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        psychophys.learn("linear", **settings)


def test_unknown_experiments_are_named() -> None:
    with pytest.raises(UsageError, match="Did you mean linear"):
        EXPERIMENTS.find("liner")


def test_images_without_contrast_are_refused(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (64, 64), "grey").save(tmp_path / "grey.png")
    with pytest.raises(UsageError, match="fewer than 20 ways"):
        psychophys.learn("linear", images=(str(tmp_path),), patch=8)
    (tmp_path / "bad.png").write_text("no image")
    with pytest.raises(UsageError, match=r"bad.png cannot be used"):
        psychophys.learn("linear", images=(str(tmp_path),), patch=8)


def test_three_uniform_layers_have_no_prediction() -> None:
    found = psychophys.learn("linear", depths=("3",), runs=1, patch=8, steps=100, init="uniform", snapshots=3)
    modes = found.modes.to_pandas()
    assert modes["predicted_half_time"].isna().all()
    assert all(point[2] is None for point in json.loads(modes["curve"].iloc[0]))
    assert next(iter(found.modes.runs.values()))["predicted_exponent"] is None
    plot_learning(found)


def test_the_figure_draws_every_network(learned: Learned, tmp_path: Path) -> None:
    figure = plot_learning(learned)
    psychophys.save_figure(figure, tmp_path / "f.png")
    assert (tmp_path / "f.png").stat().st_size > 10_000


def test_files_that_hold_no_modes_are_refused(learned: Learned, tmp_path: Path) -> None:
    learned.thresholds.write(tmp_path / "results.parquet")
    for name, words in (("results.parquet", "not a file of modes"), ("missing.parquet", "is not a file")):
        with pytest.raises(UsageError, match=words):
            psychophys.read_modes(tmp_path / name)


def test_the_command_line_learns_draws_and_goes_on(tmp_path: Path) -> None:
    words = ["linear", "--quick", "--depths", "1,tied", "--figure", "f.png", "--checkpoints", "weights"]
    done = call_inside("learn", *words, cwd=tmp_path)
    said = done.stderr.decode()
    assert done.returncode == 0, said
    assert not done.stdout
    assert "linear-tied" in said
    assert "closed forms" in said
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"linear-quick.parquet", "linear-quick-modes.parquet", "f.png", "weights"}
    modes = psychophys.read_modes(tmp_path / "linear-quick-modes.parquet").to_pandas()
    assert modes["relative_error"].abs().max() < 0.05
    before = psychophys.read(tmp_path / "linear-quick.parquet")
    assert call_inside("learn", *words, "-q", cwd=tmp_path).stderr == b""
    # What was measured when stays: nothing was made again.
    assert psychophys.read(tmp_path / "linear-quick.parquet").runs == before.runs


def test_the_command_line_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for words, said in (
        (["liner"], "Did you mean linear?"),
        (["linear", "--depths", "1,5"], "unknown depth '5'"),
        (["linear", "-o", "a.parquet", "--modes", "a.parquet"], "name one file"),
        (["linear", "--checkpoints", "no/such"], "does not exist"),
    ):
        assert cli._run(["learn", *words], debug=False) == 2
        error = capsys.readouterr().err
        assert said in error
        assert len(error.splitlines()) == 1
        assert not list(tmp_path.iterdir())
