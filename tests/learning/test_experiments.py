"""Networks trained here: their training against plain ones, their images, findings and checkpoints."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
import torch
from PIL import Image
from scipy.special import logsumexp
from torch.nn import functional

import psychophys
from psychophys import cli
from psychophys.base.errors import ModelError, UsageError
from psychophys.learning.crops import classifier, cuts
from psychophys.learning.experiments import EXPERIMENTS, findings
from psychophys.learning.gratings import noisy, rearing, supervised, worlds
from psychophys.learning.gratings.rates import growth_exponents
from psychophys.learning.photographs import Photographs, load_photographs
from psychophys.learning.training import Learned, run_trainings
from psychophys.learning.trends import (
    Curve,
    curves,
    interval,
    jackknife_shifts,
    rank_correlation,
    shift_deg,
    with_interval,
    with_turns,
)
from psychophys.observers.learned import (
    ARCHITECTURES,
    FAMILIES,
    Described,
    convolutional,
    dense,
    load_learned,
    save_learned,
)
from psychophys.observers.load import observe_learned
from psychophys.plots.learning import plot_learning
from psychophys.results.thresholds import Results

SMALL = {
    "linear": {"depths": ("2",), "runs": 2, "patch": 8, "steps": 100, "snapshots": 3},
    "supervised": {
        "conditions": ("frequency", "paper-dropped"),
        "runs": 2,
        "batch": 256,
        "steps": 60,
        "snapshots": 3,
    },
    "autoencoder": {"runs": 2, "batch": 16, "steps": 40, "snapshots": 2},
    "planted": {"conditions": ("tilted", "flat"), "runs": 2, "batch": 16, "steps": 40, "snapshots": 2},
    "hue": {"runs": 2, "batch": 64, "steps": 40, "snapshots": 2},
    "classifier": {"runs": 2, "batch": 8, "steps": 40, "snapshots": 2},
    "rearing": {"conditions": ("even", "burst-late"), "runs": 2, "batch": 256, "steps": 40, "snapshots": 2},
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


WITH_SLOW = [
    name if name in ("linear", "autoencoder") else pytest.param(name, marks=pytest.mark.slow)
    for name in EXPERIMENTS
]


@pytest.fixture(scope="module", params=WITH_SLOW)
def learned(request: pytest.FixtureRequest, weights: Path) -> Learned:
    name = request.param
    return psychophys.learn(name, checkpoints=weights / name, **SMALL[name])


def test_every_experiment_measures_over_training(learned: Learned) -> None:
    frame = learned.thresholds.to_pandas()
    assert set(frame["model"].str.partition("-")[0]) == {learned.experiment}
    assert set(frame["seed"]) == {0, 1}
    assert set(frame["weights"]) == {"checkpoint"}
    for one in learned.thresholds.runs.values():
        assert one["learning"]["experiment"] == learned.experiment
        assert math.isfinite(one["learning"].get("loss", 0.0))
    for _, part in frame.groupby(["model", "seed"]):
        assert part["step"].nunique() >= 3
        assert part["step"].max() == SMALL[learned.experiment]["steps"]


def test_every_experiment_says_and_draws_what_it_found(learned: Learned, tmp_path: Path) -> None:
    found = findings(learned)
    assert len(found.table) > 0
    assert found.conclusions
    assert all(sentence.endswith(".") and "nan" not in sentence for sentence in found.conclusions)
    psychophys.save_figure(plot_learning(learned), tmp_path / "f.png")
    assert (tmp_path / "f.png").stat().st_size > 10_000


def test_every_experiment_is_read_again(learned: Learned, tmp_path: Path) -> None:
    learned.thresholds.write(tmp_path / "a.parquet")
    learned.modes.write(tmp_path / "a-modes.parquet")
    again = psychophys.read_learned(tmp_path / "a.parquet")
    assert again.experiment == learned.experiment
    assert findings(again).conclusions == findings(learned).conclusions


def test_checkpoints_are_measured_as_they_were(learned: Learned) -> None:
    frame = learned.thresholds.to_pandas()
    for identifier in (frame["run_id"].iloc[0], frame["run_id"].iloc[-1]):
        part = frame[frame["run_id"] == identifier]
        first, record = part.iloc[0], learned.thresholds.runs[identifier]["measurement"]
        for name in ("learned", first["model"]):
            again = psychophys.measure(
                name, record["stimulus"], record["dimension"], checkpoint=first["checkpoint"],
                values=record["values"], parameters=record["parameters"], layers=record["layers"],
                noise=record["noise"], noise_level=record["noise_level"], device="cpu",
            ).to_pandas()  # fmt: skip
            # The same measurement of the same weights has the same name.
            assert set(again["run_id"]) == {identifier}
            np.testing.assert_allclose(again["threshold"], part["threshold"], rtol=1e-4)
            assert (again["step"] == first["step"]).all()
            assert (again["seed"] == first["seed"]).all()


def test_networks_of_every_experiment_are_known_by_name() -> None:
    assert set(FAMILIES) == set(EXPERIMENTS.own)


def test_trainings_are_resumed(learned: Learned, weights: Path) -> None:
    experiment = EXPERIMENTS[learned.experiment]
    trainings = experiment.plan(experiment.settle(SMALL[learned.experiment]))
    done: list[int] = []
    again = run_trainings(
        trainings,
        folder=weights / learned.experiment,
        previous=learned,
        progress=lambda so_far, _: done.append(so_far),
    )
    assert not done
    assert again.thresholds.table.equals(learned.thresholds.table)
    assert again.modes.table.equals(learned.modes.table)
    more = experiment.settle({**SMALL[learned.experiment], "runs": 3})
    assert len({training.identifier for training in experiment.plan(more)}) * 2 == 3 * len(trainings)


# The network in the basis of gratings.


def test_gratings_are_those_of_the_stimulus() -> None:
    seen = worlds.gratings()
    classes = torch.tensor([3, 40])
    drawn = seen.draw(classes, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    within = torch.randint(12, (2,), generator=generator)
    phase_deg = torch.rad2deg(2 * torch.pi * torch.rand(2, 1, generator=generator))[:, 0]
    stimulus = psychophys.STIMULI["grating"]
    images = stimulus.render(
        {"orientation": (classes * 12 + within) * 0.25, "phase": phase_deg, "frequency": 5.0}, (64, 64)
    )[:, 0]
    expected = 2 * images.flatten(1) - 1
    torch.testing.assert_close(drawn @ seen.basis.float().T, expected, atol=2e-4, rtol=0)


@pytest.mark.parametrize(("manner", "noise"), [("drop", None), ("flip", None), ("drop", np.full(60, 5.0))])
def test_training_in_the_basis_of_gratings_is_training_on_pixels(
    manner: str, noise: np.ndarray | None
) -> None:
    """Against autograd on all 4,096 pixels with the same images, and the same noise on them.

    At a higher rate rounding decides on which side of its kink some ReLU is, and grows from step to step.
    """
    world = worlds.World(worlds.peaked(), np.full(60, 0.7), manner, noise)
    described = worlds.describe("supervised-test", 3)
    last = 24 if noise is None and manner == "drop" else 8
    steps = (0, last)
    made = list(
        worlds.train(
            described, lambda _: world, steps,
            batch=64, learning_rate=0.5, device=torch.device("cpu"), advance=lambda _: None,
        )
    )  # fmt: skip
    network = copy.deepcopy(made[0].network)
    seen, generator = worlds.gratings(), torch.Generator().manual_seed(3)
    losses = []
    for _ in range(last + 1):
        coordinates, labels, _, counts = worlds._batch(seen, world, 64, generator)
        pixels = (coordinates @ seen.basis.float().T).reshape(-1, 1, 64, 64)
        each = functional.cross_entropy(network(pixels), labels, reduction="none")
        loss = (each * counts).mean()
        losses.append(float((loss / counts.mean()).detach()))
        slopes = torch.autograd.grad(loss, list(network.parameters()))
        if len(losses) <= last:
            with torch.no_grad():
                for parameter, slope in zip(network.parameters(), slopes, strict=True):
                    parameter.sub_(0.5 * slope)
    assert made[-1].notes["loss"] == pytest.approx(losses[-1], rel=1e-4)
    for mine, theirs in zip(made[-1].network.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=2e-6, rtol=1e-4)
    before, after = (one.network.state_dict()["layer1.weight"] for one in made)
    assert (before - after).abs().max() > 2e-5


def test_worlds_are_drawn_as_they_are_described() -> None:
    seen, generator = worlds.gratings(), torch.Generator().manual_seed(0)
    world = worlds.World(worlds.peaked(), np.linspace(0, 1, 60), "flip")
    _, labels, true, counts = worlds._batch(seen, world, 200_000, generator)
    share = np.bincount(true, minlength=60) / 200_000
    np.testing.assert_allclose(share, world.frequency, atol=0.002)
    right = np.bincount(true[labels == true], minlength=60) / np.bincount(true, minlength=60)
    np.testing.assert_allclose(right, world.kept + (1 - world.kept) / 60, atol=0.04)
    assert counts.min() == 1
    dropped = worlds.World(world.frequency, world.kept)
    _, labels, true, counts = worlds._batch(seen, dropped, 200_000, generator)
    assert bool((labels == true).all())
    kept = np.bincount(true, weights=counts.numpy(), minlength=60) / np.bincount(true, minlength=60)
    np.testing.assert_allclose(kept, world.kept, atol=0.04)


def test_the_distribution_is_that_of_the_paper() -> None:
    peaked = worlds.peaked()
    density = (2 - np.cos(2 * np.radians(worlds.CENTRES))) / (2 * np.pi)
    np.testing.assert_allclose(peaked, density * np.pi / 60, rtol=1e-3)
    assert peaked.max() / peaked.min() == pytest.approx(3, rel=0.01)
    assert worlds.CENTRES[peaked.argmax()] == pytest.approx(90, abs=1.6)
    assert worlds.CENTRES[worlds.peaked(0).argmax()] == pytest.approx(0, abs=1.6)


def test_balanced_conditions_balance_and_the_papers_does_not() -> None:
    for name in ("balanced-dropped", "balanced-flipped"):
        world = supervised.CONDITIONS[name].world()
        bits = supervised.information(world)
        assert np.ptp(bits) < 1e-9 * bits.mean()
        assert ((world.kept > 0) & (world.kept <= 1)).all()
    paper = supervised.CONDITIONS["paper-dropped"].world()
    bits = paper.frequency * paper.kept
    # b (1 - a / p): the rare orientations have almost three times the information.
    assert bits[0] / bits[30] == pytest.approx(2.8, abs=0.2)


def test_information_is_that_of_the_channel() -> None:
    """Summed over the classes, against the mutual information of classes and labels, from their table."""
    generator = np.random.default_rng(0)
    for _ in range(3):
        frequency, kept = generator.dirichlet(np.full(60, 3.0)), generator.random(60)
        joint = frequency[:, None] * (np.diag(kept) + (1 - kept[:, None]) / 60)
        mutual = (joint * np.log2(joint / np.outer(joint.sum(1), joint.sum(0)))).sum()
        world = worlds.World(frequency, kept, "flip")
        assert supervised.information(world).sum() == pytest.approx(mutual, abs=1e-9)
        # Of labels that are not dropped, each says its class for sure.
        shown = frequency * kept
        entropy = -(shown / shown.sum() * np.log2(shown / shown.sum())).sum()
        dropped = worlds.World(frequency, kept, "drop")
        assert supervised.information(dropped).sum() == pytest.approx(shown.sum() * entropy)
    clean = worlds.World(worlds.uniform(), np.ones(60), "flip")
    assert supervised.information(clean).sum() == pytest.approx(np.log2(60))


def test_noise_on_images_is_drawn_as_it_is_described() -> None:
    """In the basis, of the s.d. of each class; and worlds without it draw what they drew before."""
    seen, level = worlds.gratings(), np.linspace(1, 20, 60)
    quiet = worlds.World(worlds.uniform(), np.ones(60))
    drawn = [
        worlds._batch(seen, replace(quiet, noise=noise), 30_000, torch.Generator().manual_seed(0))
        for noise in (None, level)
    ]
    assert torch.equal(drawn[0][2], drawn[1][2])
    added = (drawn[1][0] - drawn[0][0]).numpy()
    for place in (0, 30, 59):
        own = added[drawn[0][2].numpy() == place]
        assert own.std() == pytest.approx(level[place], rel=0.03)
        assert np.abs(own.mean(axis=0)).max() < 0.25 * level[place]


def test_the_mean_over_phases_is_that_of_many_phases() -> None:
    """Likelihoods of classes, against sums over 720 phases of every orientation."""
    seen, generator = worlds.gratings(), np.random.default_rng(0)
    even, odd = seen.even.double().numpy(), seen.odd.double().numpy()
    noise = np.linspace(4, 12, 60)
    images = even[[30, 400]] + 6 * generator.standard_normal((2, even.shape[1]))
    found = noisy.log_likelihoods(images, noise)
    phases = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    for place in (0, 2, 33, 50):
        own = slice(12 * place, 12 * (place + 1))
        shown = (
            np.cos(phases)[:, None, None] * even[own] + np.sin(phases)[:, None, None] * odd[own]
        ).reshape(-1, even.shape[1])
        for image, mine in zip(images, found[:, place], strict=True):
            exponent = -((image - shown) ** 2).sum(axis=1) / (2 * noise[place] ** 2)
            slow = logsumexp(exponent) - np.log(len(phases)) - even.shape[1] * np.log(noise[place])
            assert mine == pytest.approx(float(slow), abs=0.05)


def test_what_noisy_images_tell_is_mutual_information() -> None:
    """It falls from the entropy of the classes to nothing, and prior and levels go in as they should."""
    peaked = worlds.peaked()
    classes = tuple(range(0, 60, 3))
    clean = noisy.image_bits(peaked, np.full(60, 0.2), classes, 20)
    np.testing.assert_allclose(clean, -np.log2(peaked[list(classes)]), atol=0.35)
    assert np.abs(noisy.image_bits(peaked, np.full(60, 300.0), classes, 20)).max() < 0.01
    # The same level everywhere tells nothing by itself; where levels differ, they do.
    even = np.full(60, 9.0)
    plain, knowing = (noisy.image_bits(peaked, even, (5, 40), 50, knows=k) for k in (False, True))
    np.testing.assert_allclose(plain, knowing)
    loud = np.where(np.arange(60) < 30, 300.0, 4.0)
    assert noisy.image_bits(worlds.uniform(), loud, (5,), 50, knows=True)[0] == pytest.approx(1, abs=0.1)


@pytest.mark.slow
def test_noise_is_chosen_so_that_images_tell_as_much() -> None:
    for name, profile in (("balanced-noisy", 1 / worlds.peaked()), ("images-noisy", worlds.peaked())):
        world = supervised.CONDITIONS[name].world()
        assert world.noise is not None
        assert world.noise.min() == pytest.approx(noisy.LEAST)
        assert world.noise[:30].argmin() == profile[:30].argmax()
        # Classes between those that it was chosen for among them, and more images.
        classes = (0, 10, 18, 29, 36)
        share = noisy.image_bits(world.frequency, world.noise, classes, 2000) / profile[list(classes)]
        np.testing.assert_allclose(share / share.mean(), 1, atol=0.07)


def test_growth_is_compared_at_equal_sensitivity() -> None:
    """Curves that grow as S^a p^b, measured at few steps, have these exponents."""
    value = np.arange(0, 180, 15.0)
    p = supervised._profile(value)
    every = [
        # dS/dt = 0.01 p S: S = exp(0.01 p t).
        Curve("supervised-frequency", seed, step, "layer1", value, np.exp(0.01 * p * step))
        for seed in range(2)
        for step in range(0, 200, 10)
    ]
    row = growth_exponents(every, supervised._profile).iloc[0]
    assert (row["a"], row["b"]) == pytest.approx((1, 1))
    # dS/dt = 0.02 p (5 - S): to an asymptote.
    held = [replace(c, sensitivity=5 - 4 * np.exp(-0.002 * p * c.step * 10)) for c in every]
    row = growth_exponents(held, supervised._profile).iloc[0]
    assert (row["a to last"], row["b to last"]) == pytest.approx((0, 1), abs=0.15)
    assert row["a"] < -0.5
    flat = growth_exponents([replace(c, sensitivity=1 + 0 * p) for c in every], supervised._profile).iloc[0]
    assert np.isnan(flat["a"])


@pytest.mark.slow
def test_frequent_orientations_gain_sensitivity_first() -> None:
    names = (
        "frequency",
        "labels-flipped",
        "balanced-dropped",
        "balanced-flipped",
        "paper-dropped",
        "signal-flipped",
    )
    found = psychophys.learn("supervised", conditions=names, runs=1, batch=1024, steps=80, snapshots=4)
    table = findings(found).table.set_index("network")
    assert table["gain"]["frequency"] > 0.9
    assert table["r"]["frequency"] > 0.8
    assert table["gain"]["labels-flipped"] > 0.9
    assert table["gain"]["balanced-flipped"] > 0.6
    assert table["gain"]["paper-dropped"] < -0.7
    last = table["ratio, last"]
    assert last["frequency"] > 1.5
    assert last["balanced-dropped"] == pytest.approx(1, abs=0.04)
    assert last["signal-flipped"] == pytest.approx(1, abs=0.04)
    assert last["balanced-flipped"] > 1.04
    assert last["paper-dropped"] < 0.96


def test_what_cannot_be_told_is_not_told() -> None:
    def row(gain: float, half: float, ratio_half: float) -> dict[str, float]:
        ends = {"gain_low": gain - half, "gain_high": gain + half}
        return {"gain": gain, **ends, "ratio": 1.0, "ratio_low": 1 - ratio_half, "ratio_high": 1 + ratio_half}

    assert "first at 90 deg" in supervised._found(row(0.9, 0.2, 0.3))
    assert "first at 0 deg" in supervised._found(row(-0.9, 0.2, 0.3))
    assert "stays even" in supervised._found(row(0.3, 0.5, 0.02))
    assert "cannot be told" in supervised._found(row(0.8, 0.9, 0.3))
    assert "in one run" in supervised._found(row(0.8, float("nan"), float("nan")))


@pytest.mark.slow
def test_the_output_of_an_autoencoder_turns_with_its_photographs() -> None:
    found = psychophys.learn("autoencoder", runs=1, seed=2, batch=16, steps=300, snapshots=2)
    output = findings(found).table.set_index("layer").loc["output"]
    assert output["upright"] > 1.2
    assert output["rotated"] < 0.9
    assert output["of means"] == pytest.approx(45, abs=12)


def test_worlds_change_when_the_condition_says() -> None:
    def peak(name: str) -> list[float]:
        found = []
        for step in range(20):
            frequency = rearing.schedule(name, 20)(step).frequency
            found.append(0.0 if np.ptp(frequency) < 1e-9 else float(frequency[30] / frequency[0]))
        return [round(value) if value >= 1 else value for value in found]

    assert peak("first") == [3] * 20
    assert all(0 < value < 0.4 for value in peak("second"))
    switched = peak("switched")
    assert switched[:10] == [3] * 10
    assert max(switched[10:]) < 0.4
    assert peak("even") == [0] * 20
    assert peak("burst-early") == [3] * 4 + [0] * 16
    assert peak("burst-middle") == [0] * 6 + [3] * 4 + [0] * 10
    assert peak("burst-late") == [0] * 12 + [3] * 4 + [0] * 4
    for steps, snapshots in ((20, 2), (77, 3), (300, 10)):
        measured = rearing.measured_steps(steps, snapshots)
        assert {0, steps // 2, steps} <= set(measured)
        for name in rearing.STARTS:
            begin, end, after = rearing.burst(name, steps)
            assert end - begin == after - end == round(steps / 5)
            assert {end, after} <= set(measured)


@pytest.mark.slow
def test_what_is_left_is_relative_to_both_worlds() -> None:
    found = psychophys.learn(
        "rearing", conditions=("first", "second", "switched"), runs=2, batch=256, steps=40, snapshots=2
    )
    table = findings(found).table.set_index("network")
    bias, row = table["bias"], table.loc["switched"]
    assert row["left"] == pytest.approx(
        (bias["switched"] - bias["second"]) / (bias["first"] - bias["second"]), abs=0.02
    )
    assert 0.2 < row["left"] < 0.8
    assert row["left_low"] < row["left"] < row["left_high"]
    assert table["left"].drop("switched").isna().all()
    # One run has no interval, and so the worlds might not differ.
    whole = found.thresholds
    first = Results(whole.table.filter(pc.equal(whole.table["seed"], 0)), whole.runs)
    one = replace(found, thresholds=first)
    assert findings(one).table["left"].isna().all()


# Crops.


def striped(orientation_deg: float) -> Photographs:
    y, x = np.mgrid[:300, :400].astype(float)
    angle = np.radians(orientation_deg)
    # Bars that rise to the right go upwards, and rows downwards.
    wave = 0.5 + 0.4 * np.cos(2 * np.pi * (-y * np.cos(angle) - x * np.sin(angle)) / 16)
    return Photographs((wave.astype(np.float32),), (0,), ("",), "")


@pytest.mark.parametrize("orientation_deg", [0.0, 20.0, 110.0])
@pytest.mark.parametrize("angle_deg", [0.0, 45.0, 30.0])
def test_crops_are_turned_counter_clockwise(orientation_deg: float, angle_deg: float) -> None:
    cut = cuts.draw(striped(orientation_deg), 32, 20, angle_deg, seed=0).images
    stimulus = psychophys.STIMULI["grating"]
    orientation = torch.arange(0, 180, 5.0).repeat(2)
    phase = torch.tensor([0.0, 90.0]).repeat_interleave(36)
    # 16 pixels of the photograph are 8 of the crop.
    shown = stimulus.render(
        {"orientation": orientation, "phase": phase, "frequency": 4.0, "size": 1.0}, (32, 32)
    )
    alike = (cut.flatten(1) @ (shown[:, 0].flatten(1) - 0.5).T) ** 2
    power = alike.mean(dim=0).reshape(2, 36).sum(dim=0)
    assert float(orientation[power.argmax()]) == (orientation_deg + angle_deg) % 180


def test_crops_of_a_seed_have_the_same_places_and_a_round_window() -> None:
    photographs = load_photographs(shorter_side=cuts.SHORTER_SIDE)
    upright, turned = (cuts.draw(photographs, 32, 100, angle, seed=3) for angle in (0.0, 45.0))
    assert torch.equal(upright.labels, turned.labels)
    # What does not depend on the angle: the centre, where four pixels meet, and the power in the disc.
    centre = [cut.images[:, 0, 15:17, 15:17].mean(dim=(1, 2)) for cut in (upright, turned)]
    assert np.corrcoef(*centre)[0, 1] > 0.98
    spread = [cut.images.std(dim=(1, 2, 3)) for cut in (upright, turned)]
    assert np.corrcoef(*spread)[0, 1] > 0.99
    window = cuts.window_of(32)
    for cut in (upright, turned):
        assert float(cut.images[:, 0, window == 0].abs().max()) == 0
        assert float(window[0, 0]) == 0
        inside = (cut.images[:, 0] * window).sum(dim=(1, 2)) / window.sum()
        assert float(inside.abs().max()) < 0.05
    assert not torch.equal(cuts.draw(photographs, 32, 100, 0.0, seed=4).images, upright.images)


def test_crops_have_the_same_power_at_every_angle() -> None:
    photographs = load_photographs(shorter_side=cuts.SHORTER_SIDE)
    stimulus = psychophys.STIMULI["grating"]
    orientation = torch.tensor([0.0, 45.0, 90.0, 135.0]).repeat(2)
    phase = torch.tensor([0.0, 90.0]).repeat_interleave(4)
    for side, frequencies in ((32, (6.0, 8.0)), (64, (4.0, 8.0))):
        cut = [cuts.draw(photographs, side, 1000, angle, seed=0).images.flatten(1) for angle in (0.0, 45.0)]
        for frequency in frequencies:
            parameters = {"orientation": orientation, "phase": phase, "frequency": frequency, "size": 1.0}
            shown = stimulus.render(parameters, (side, side))[:, 0].flatten(1) - 0.5
            upright, turned = (((rows @ shown.T) ** 2).mean(dim=0).reshape(2, 4).sum(dim=0) for rows in cut)
            np.testing.assert_allclose(turned.roll(-1) / upright, 1, atol=0.02)


def test_small_photographs_are_cropped_in_their_middle() -> None:
    image = np.random.default_rng(0).random((60, 70)).astype(np.float32)
    cut = cuts.draw(Photographs((image,), (0,), ("",), ""), 32, 4, 45.0, seed=0)
    assert bool(torch.isfinite(cut.images).all())


# Findings.


def test_shifts_are_found() -> None:
    value = np.arange(36) * 5.0
    curve = 2 + np.cos(2 * np.radians(value - 20)) + 0.5 * np.cos(4 * np.radians(value - 35))
    for shift in (45.0, -45.0, 12.0, 90.0, 0.0):
        turned = (
            2 + np.cos(2 * np.radians(value - shift - 20)) + 0.5 * np.cos(4 * np.radians(value - shift - 35))
        )
        assert (shift_deg(curve, 3 * turned) - shift + 90) % 180 - 90 == pytest.approx(0, abs=0.3)
    assert np.isnan(shift_deg(curve, np.ones(36)))


def test_the_jackknife_of_shifts_has_their_mean_and_spread() -> None:
    value, generator = np.radians(np.arange(36) * 5.0), np.random.default_rng(0)
    shifts = 40 + 4 * generator.standard_normal(400)
    pairs = [(np.cos(2 * value), np.cos(2 * (value - np.radians(s)))) for s in shifts]
    found = jackknife_shifts(pairs)
    assert found.mean() == pytest.approx(shifts.mean(), abs=0.2)
    assert found.std() == pytest.approx(4, rel=0.1)
    assert len(jackknife_shifts(pairs[:1])) == 1


def test_turns_go_the_short_way_round() -> None:
    near = with_turns("turn", np.array([88.0, -89.0, -88.0]), 90.0)
    assert near["turn"] == pytest.approx(90.3, abs=0.1)
    assert near["turn_high"] - near["turn_low"] < 15
    lost = with_turns("turn", np.array([45.0, -45.0, 44.0, -44.0]), 45.0)
    assert np.isnan(lost["turn"])
    value = np.radians(np.arange(36) * 5.0)
    fourfold = [(np.cos(4 * value), np.cos(4 * (value - np.radians(s)))) for s in (44.0, 45.0, 46.0)]
    lobes = jackknife_shifts([(a + 0.3 * np.cos(2 * value), b) for a, b in fourfold])
    assert np.isfinite(lobes).all()


def test_ratios_are_averaged_as_logarithms() -> None:
    found = with_interval("x", [0.5, 2.0, np.nan], scale="ratio")
    assert found["x"] == pytest.approx(1)
    assert found["x_low"] == pytest.approx(1 / found["x_high"])
    assert found["x_low"] > 0


def test_intervals_of_correlations_stay_within_one() -> None:
    found = with_interval("r", [0.9, 0.99, 1.0], scale="correlation")
    assert -1 < found["r_low"] < found["r"] < found["r_high"] < 1
    assert with_interval("r", [0.3, 0.3], scale="correlation")["r"] == pytest.approx(0.3)


def test_intervals_and_rank_correlations() -> None:
    low, high = interval([1.0, 2.0, 3.0])
    assert (low, high) == pytest.approx((2 - 2.4841, 2 + 2.4841), abs=1e-3)
    assert np.isnan(interval([1.0])[0])
    assert rank_correlation(np.array([1, 2, 3.0]), np.array([1, 4, 90.0])) == pytest.approx(1)
    assert np.isnan(rank_correlation(np.ones(3), np.array([1, 4, 90.0])))


def test_a_quarter_of_a_turn_is_exact() -> None:
    images = torch.rand(5, 1, 8, 8)
    turned = classifier._turned(images, torch.tensor([0, 1, 2, 3, 1]))
    for image, quarter, found in zip(images, (0, 1, 2, 3, 1), turned, strict=True):
        assert torch.equal(found, torch.rot90(image, quarter, (1, 2)))


@pytest.mark.slow
def test_classifiers_learn_folders_too(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for name, level in (("dark", 60), ("light", 190)):
        (tmp_path / name).mkdir()
        for k in range(3):
            noise = generator.integers(-level // 4, level // 4, (80, 80, 1)) + level
            Image.fromarray(np.repeat(noise, 3, 2).astype(np.uint8)).save(tmp_path / name / f"{k}.png")
    found = psychophys.learn(
        "classifier", task="labels", images=(str(tmp_path),), runs=1, steps=40, batch=32,
        snapshots=2, conditions=("upright",), learning_rate=0.003,
    )  # fmt: skip
    notes = [one["learning"] for one in found.thresholds.runs.values()]
    assert {note["classes"] for note in notes} == {2}
    assert notes[-1]["loss"] < notes[0]["loss"]
    with pytest.raises(UsageError, match="all in one folder, 'dark'"):
        psychophys.learn("classifier", task="labels", images=(str(tmp_path / "dark"),))


# Checkpoints.


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_networks_survive_their_checkpoint(name: str, tmp_path: Path) -> None:
    settings = {
        "linear": {"size": 64, "layers": 2},
        "dense": {"widths": [64, 8, 4]},
        "convolutional": {"channels": [2, 3], "width": 5},
        "timm": {"model": "test_resnet", "classes": 3, "channels": 1},
    }[name]
    size = (32, 32) if name == "timm" else (8, 8)
    described = Described(f"supervised-{name}", name, settings, size, (0.5,), (0.25,), seed=4, step=70)
    network = described.build().eval()
    path = tmp_path / "any-name.pth"
    save_learned(described, network, path)
    again, loaded = load_learned(path)
    assert again == described
    images = torch.rand(2, 1, *size)
    assert torch.equal(loaded.eval()(images), network(images))
    mine, theirs = (observe_learned(described, one) for one in (network, loaded))
    assert mine.sha256 == theirs.sha256
    observer = psychophys.load_observer("learned", checkpoint=path)
    assert (observer.name, observer.seed, observer.step) == (f"supervised-{name}", 4, 70)
    assert observer.weights == "checkpoint"
    shuffled = psychophys.load_observer("learned", checkpoint=path, weights="shuffled", seed=1)
    assert shuffled.sha256 != observer.sha256


def test_kernels_are_discs_and_strides_one() -> None:
    network = convolutional((4,), 7)
    torch.nn.init.ones_(network[0].weight)
    torch.nn.init.zeros_(network[0].bias)
    image = torch.zeros(1, 1, 15, 15)
    image[0, 0, 7, 7] = 1.0
    response = network[0](image)[0, 0]
    assert response.shape == (15, 15)
    offset = np.arange(15) - 7
    inside = np.hypot(offset[:, None], offset) <= 3.5
    np.testing.assert_array_equal(response.detach().numpy() > 0, inside)


def test_files_of_something_else_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "other.pth")
    (tmp_path / "damaged.pth").write_bytes(b"nothing")
    described = worlds.describe("supervised-frequency", 0)
    save_learned(described, described.build(), tmp_path / "mine.pth")
    for name, checkpoint, error, words in (
        ("learned", None, UsageError, "without a checkpoint"),
        ("learned", "missing.pth", UsageError, "not a file"),
        ("learned", "other.pth", ModelError, "not of a network trained by psychophys"),
        ("learned", "damaged.pth", ModelError, "damaged"),
        (
            "supervised-uniform",
            "mine.pth",
            UsageError,
            "is of supervised-frequency, not of supervised-uniform",
        ),
    ):
        path = None if checkpoint is None else tmp_path / checkpoint
        with pytest.raises(error, match=words):
            psychophys.load_observer(name, checkpoint=path)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (Path(str(tmp_path / "ran")),)  # type: ignore[return-value]

    torch.save({"state_dict": {}, "psychophys": Bomb()}, tmp_path / "bomb.pth")
    with pytest.raises(ModelError):
        psychophys.load_observer("learned", checkpoint=tmp_path / "bomb.pth")
    assert not (tmp_path / "ran").exists()


def write(path: Path, **changes: object) -> Path:
    """A checkpoint whose description is not what :func:`save_learned` writes."""
    record = {"name": "supervised-a", "architecture": "dense", "input_size": [8, 8]}
    record |= {
        "settings": {"widths": [64, 8, 4]},
        "mean": [0.5],
        "std": [0.5],
        "seed": 0,
        "step": 3,
        **changes,
    }
    torch.save({"state_dict": dense((64, 8, 4)).state_dict(), "psychophys": record}, path)
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {"step": "x"}, {"step": 2**70}, {"seed": -1}, {"name": 5}, {"name": "supervised-\x1b[31m"},
        {"name": "resnet18"}, {"mean": 0.5}, {"std": [0.0]}, {"std": [0.5] * 3}, {"input_size": [8]},
        {"input_size": [8, 10**9]}, {"architecture": "nonsense"}, {"settings": {"widths": [10**6, 10**7]}},
        {"settings": {"widths": "ab"}}, {"architecture": "timm", "settings": {"model": "hf-hub:no/such",
        "classes": 2, "channels": 1}}, {"architecture": "timm", "settings": {"model": "test_resnet",
        "classes": 10**12, "channels": 1}},
    ],
)  # fmt: skip
def test_descriptions_that_cannot_be_are_refused(
    changes: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reach(*_: object, **__: object) -> None:
        raise AssertionError("a checkpoint must not reach the network")

    monkeypatch.setattr("socket.create_connection", reach)
    good = write(tmp_path / "good.pth")
    assert psychophys.load_observer("learned", checkpoint=good).step == 3
    bad = write(tmp_path / "bad.pth", **changes)
    with pytest.raises(ModelError, match="not of a network trained by psychophys"):
        psychophys.load_observer("learned", checkpoint=bad)


# Resuming.


def test_checkpoints_of_other_settings_are_not_overwritten(tmp_path: Path) -> None:
    shared = {"conditions": ("frequency",), "runs": 1, "steps": 10, "snapshots": 2, "checkpoints": tmp_path}
    for batch in (16, 32):
        psychophys.learn("supervised", batch=batch, **shared)
    assert len(list(tmp_path.iterdir())) == 2 * 3


@pytest.mark.slow
def test_random_draws_are_the_trainings_own() -> None:
    """Dropout is drawn from the seed, and the caller's random state stays as it is."""
    settings = classifier.ClassifierSettings(
        conditions=("upright",), runs=1, steps=40, batch=4, snapshots=2, network="rexnet_100"
    )
    losses = []
    for state in (1, 2):
        torch.manual_seed(state)
        expected = torch.rand(1, generator=torch.Generator().manual_seed(state))
        (training,) = classifier.plan_classifier(settings)
        going = training.train(torch.device("cpu"), lambda _: None)
        losses.append([next(going).notes["loss"], next(going).notes["loss"]])
        assert torch.rand(1) == expected
    assert losses[0] == losses[1]


def test_the_command_line_does_not_lose_other_trainings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["learn", "supervised", "--runs", "1", "--batch", "16", "--steps", "10", "--snapshots", "2", "-q"]
    assert cli._run([*words, "--conditions", "frequency"], debug=False) == 0
    before = Path("supervised.parquet").read_bytes()
    assert cli._run([*words, "--conditions", "uniform"], debug=False) == 2
    assert "of a learning experiment, 900 rows of supervised-frequency" in capsys.readouterr().err
    assert Path("supervised.parquet").read_bytes() == before
    assert cli._run([*words, "--conditions", "frequency,uniform"], debug=False) == 0
    assert len(psychophys.read("supervised.parquet").runs) == 6
    capsys.readouterr()
    assert cli._run(["show", "supervised.parquet"], debug=False) == 0
    assert "rank correlation" in capsys.readouterr().out
    assert cli._run(["plot", "supervised.parquet"], debug=False) == 0
    psychophys.measure("test_resnet", weights="random", values=2, layers="fc").write("other.parquet")
    before = Path("other.parquet").read_bytes()
    assert cli._run([*words, "-o", "other.parquet"], debug=False) == 2
    assert "holds something else" in capsys.readouterr().err
    assert Path("other.parquet").read_bytes() == before


# Errors.


@pytest.mark.parametrize(
    ("experiment", "settings", "words"),
    [
        ("supervised", {"conditions": ("frequent",)}, "Did you mean frequency"),
        ("supervised", {"conditions": ()}, "no conditions"),
        ("supervised", {"depths": ("1",)}, "experiment supervised has no depths"),
        ("supervised", {"batch": 1}, "batch 1"),
        ("supervised", {"batch": "16"}, "batch '16'"),
        ("supervised", {"steps": 20.5}, "steps 20.5"),
        ("supervised", {"conditions": "frequent"}, "Did you mean frequency"),
        ("autoencoder", {"learning_rate": "a"}, "learning_rate 'a'"),
        ("classifier", {"network": "test_resnet.nonsense"}, "unknown network"),
        ("supervised", {"steps": 3}, "steps 3"),
        ("supervised", {"learning_rate": float("nan")}, "learning rate nan"),
        ("rearing", {"conditions": ("first", "last")}, "unknown condition 'last'"),
        ("rearing", {"seed": -1}, "seed -1"),
        ("autoencoder", {"noise": -0.1}, "noise -0.1"),
        ("autoencoder", {"conditions": ("turned",)}, "unknown condition 'turned'"),
        ("autoencoder", {"images": ("no/such",)}, "no file or folder of images"),
        ("planted", {"conditions": ("peaked",)}, "unknown condition 'peaked'"),
        ("planted", {"noise": 11.0}, "noise 11"),
        ("classifier", {"network": "test_resnt"}, "Did you mean test_resnet"),
        ("classifier", {"network": "vit_tiny_patch16_224"}, "does not take grey images of 64 x 64"),
        ("classifier", {"task": "rotate"}, "Did you mean rotation"),
        ("classifier", {"task": "labels"}, "task labels without images"),
        ("classifier", {"runs": 0}, "runs 0"),
    ],
)
def test_what_cannot_be_learned_is_said(experiment: str, settings: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        psychophys.learn(experiment, **settings)


def test_training_that_diverges_says_so() -> None:
    with pytest.raises(psychophys.MeasurementError, match="supervised-frequency diverged"):
        psychophys.learn(
            "supervised", conditions=("frequency",), runs=1, batch=64, steps=40, learning_rate=10.0
        )


@pytest.mark.slow
def test_trainings_that_learned_nothing_are_named() -> None:
    found = psychophys.learn("autoencoder", learning_rate=1.0, runs=1, batch=16, steps=60, snapshots=2)
    said = findings(found).conclusions
    assert any("has learned nothing" in sentence for sentence in said)
    psychophys.plot_learning(found)


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "no" / "such", tmp_path / "file"):
        with pytest.raises(UsageError):
            psychophys.learn("supervised", runs=1, checkpoints=folder)


def test_tables_of_something_else_are_refused(tmp_path: Path) -> None:
    other = psychophys.measure(
        "test_resnet", weights="random", values=2, layers="fc", parameters={"phase": 1}
    )
    other.write(tmp_path / "other.parquet")
    with pytest.raises(UsageError, match="not of one experiment"):
        psychophys.read_learned(tmp_path / "other.parquet")
    empty = Learned("supervised", psychophys.Results.from_rows([], {}), psychophys.Modes.from_rows([], {}))
    with pytest.raises(UsageError, match="no trainings"):
        plot_learning(empty)


def test_the_command_line_learns_and_measures_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [
        "learn",
        "supervised",
        "--conditions",
        "frequency",
        "--runs",
        "1",
        "--batch",
        "64",
        "--steps",
        "20",
    ]
    assert cli._run([*words, "--checkpoints", "w", "--figure", "f.svg"], debug=False) == 0
    said = capsys.readouterr()
    assert not said.out
    assert "supervised, 1 run" in said.err
    assert {path.name for path in tmp_path.iterdir()} == {"supervised.parquet", "w", "f.svg"}
    measure = ["measure", "learned", "--checkpoint", "w/*.pth", "--dimension", "orientation", "--values", "4"]
    assert cli._run([*measure, "--stimulus", "grating"], debug=False) == 0
    frame = psychophys.read("results.parquet").to_pandas()
    assert set(frame["model"]) == {"supervised-frequency"}
    assert sorted(frame["step"].unique()) == sorted(
        psychophys.read("supervised.parquet").to_pandas()["step"].unique()
    )
    for wrong, why in (
        ([*words, "--modes", "m.parquet"], "Only linear has half-times"),
        ([*words, "--depths", "1"], "has no depths"),
        (["learn", "linear", "--batch", "3"], "has no batch"),
        (["sweep", "learned"], "learned without a checkpoint"),
    ):
        capsys.readouterr()
        assert cli._run(wrong, debug=False) == 2
        error = capsys.readouterr().err
        assert why in error
        assert len(error.splitlines()) == 1


def test_curves_are_in_the_order_of_their_values() -> None:
    found = psychophys.learn("supervised", conditions=("uniform",), runs=1, batch=64, steps=10, snapshots=2)
    every = curves(found.thresholds, layer="layer1")
    assert all(isinstance(curve, Curve) for curve in every)
    assert all((np.diff(curve.value) > 0).all() for curve in every)
    assert [curve.step for curve in every] == [0, 5, 10]
