"""Worlds with a planted prior: their images, and networks that learn them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

import psychophys
from psychophys.learning.crops import leaves, planted
from psychophys.learning.crops.cuts import window_of
from psychophys.learning.experiments import findings
from psychophys.learning.trends import Curve

SIDE = 32


def edges(images: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Orientation in deg and strength of the edge at every pixel well within the disc."""
    pictures = images[:, 0].numpy()
    down, right = (gaussian_filter(pictures, (0, 1, 1), order=order) for order in ((0, 1, 0), (0, 0, 1)))
    along = np.arange(SIDE) - (SIDE - 1) / 2
    inside = np.hypot(along[:, None], along[None, :]) < 0.35 * SIDE
    across = np.degrees(np.arctan2(-down[:, inside], right[:, inside]))
    return (across + 90) % 180, np.hypot(down[:, inside], right[:, inside])


@pytest.mark.parametrize("name", planted.PEAKED)
def test_edges_have_the_planted_density(name: str) -> None:
    orientation, strength = edges(leaves.draw(name, SIDE, 3000, seed=1))
    # Gradients of pixels lean to some angles: those of the flat world do so, too.
    flat, weight = edges(leaves.draw("flat", SIDE, 3000, seed=1))
    bins = np.arange(0, 181, 10)
    found = np.histogram(orientation, bins, weights=strength)[0] / np.histogram(flat, bins, weights=weight)[0]
    wanted = leaves.density_at(name, bins[:-1] + 5.0)
    assert np.corrcoef(found, wanted)[0, 1] > 0.98
    # Where edges cross, their gradients are of both.
    assert found.max() / found.min() > 0.3 * wanted.max() / wanted.min()


def test_orientations_are_those_of_gratings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaves, "CONCENTRATION", 400.0)
    images = leaves.draw("tilted", SIDE, 200, seed=0)
    orientation, strength = edges(images)
    turned = (strength * np.exp(2j * np.radians(orientation))).sum()
    stripes = psychophys.plan(
        "grating", "orientation", values=[leaves.TILT_DEG], parameters={"frequency": 3.0, "size": 1.0}
    )
    values = {"orientation": torch.tensor([leaves.TILT_DEG]), **stripes.samples[0]}
    grating = stripes.stimulus.render(values, (SIDE, SIDE))
    own, weight = edges(grating[:, :1])
    assert np.degrees(np.angle(turned)) / 2 == pytest.approx(leaves.TILT_DEG, abs=3)
    assert np.degrees(np.angle((weight * np.exp(2j * np.radians(own))).sum())) / 2 == pytest.approx(30, abs=3)


def test_worlds_differ_in_orientation_alone() -> None:
    every = [leaves.draw(name, SIDE, 1200, seed=3) for name in leaves.DENSITIES]
    spread = [float(images.std()) for images in every]
    assert max(spread) / min(spread) < 1.02
    window = window_of(SIDE)
    for images in every:
        assert images.shape == (1200, 1, SIDE, SIDE)
        assert float(images.sum(dim=(1, 2, 3)).abs().max()) < 1e-3
        assert not images[..., window == 0].any()
    assert torch.equal(every[0], leaves.draw("cardinal", SIDE, 1200, seed=3))
    assert not torch.equal(every[0], leaves.draw("cardinal", SIDE, 1200, seed=4))


def test_densities_are_over_their_mean() -> None:
    angles = np.arange(0, 180, 2.0)
    for name in leaves.DENSITIES:
        assert leaves.density_at(name, angles).mean() == pytest.approx(1, abs=1e-6)
    assert np.ptp(leaves.density_at("flat", angles)) == 0
    assert angles[leaves.density_at("tilted", angles).argmax()] == leaves.TILT_DEG
    assert np.allclose(leaves.density_at("cardinal", angles), leaves.density_at("oblique", angles + 45))


def curve(world: str, seed: int, sensitivity: np.ndarray) -> Curve:
    return Curve(f"planted-{world}", seed, 100, "output", np.arange(36) * 5.0, sensitivity)


def test_what_follows_a_planted_curve_is_found() -> None:
    value, generator = np.arange(36) * 5.0, np.random.default_rng(0)
    own = []
    for seed in range(4):
        for world in leaves.DENSITIES:
            noise = np.exp(0.05 * generator.standard_normal(36))
            own.append(curve(world, seed, leaves.density_at(world, value) ** 0.4 * noise))
    row = planted._row("output", own)
    assert all(row[world] > 0.9 for world in planted.PEAKED)
    assert row["flat_low"] < 0.01 < row["flat_high"] < 0.05
    assert row["peaked"] == pytest.approx(0.4 * leaves.CONCENTRATION / np.sqrt(2), rel=0.05)
    said = planted._conclusions("output", row, own)
    assert len(said) == len(planted.PEAKED) + 2
    for sentence in said[: len(planted.PEAKED)]:
        assert float(sentence.split("as its power ")[1].split()[0]) == pytest.approx(0.8, abs=0.05)


def test_two_runs_do_not_say_how_even_a_world_is() -> None:
    row = planted._row("output", [curve("flat", seed, np.linspace(1, 2, 36)) for seed in range(2)])
    assert np.isnan([row["flat"], row["flat_low"], row["peaked"]]).all()


@pytest.mark.parametrize("modes", [1, 3])
@pytest.mark.parametrize("spread", [0.0, 0.1])
def test_intervals_of_evenness_hold_what_they_say(spread: float, modes: int) -> None:
    value, generator = np.radians(np.arange(36) * 10.0), np.random.default_rng(modes)
    held, draws = 0, 400
    for _ in range(draws):
        own = []
        for seed in range(5):
            parts = generator.standard_normal((modes, 2)) / np.sqrt(modes)
            noise = sum(a * np.cos(k * value) + b * np.sin(k * value) for k, (a, b) in enumerate(parts, 2))
            log = np.sqrt(2) * spread * np.cos(value) + 0.1 * noise
            own.append(curve("flat", seed, np.exp(log)))
        found = planted._spread(own, "flat")
        held += found["_low"] <= spread <= found["_high"]
    assert held / draws > 0.91


@pytest.mark.slow
def test_sensitivity_follows_the_planted_prior(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planted, "IMAGES", 1500)
    worlds = ("tilted", "flat")
    learned = psychophys.learn("planted", conditions=worlds, runs=3, batch=32, steps=120, snapshots=2)
    found = findings(learned)
    output = found.table.set_index("layer").loc["output"]
    assert output["tilted"] > 0.8
    assert output["flat"] < 0.5 * output["peaked"]
    assert output["flat_low"] < 0.05
    before = found.trend[found.trend["step"] == 0].groupby("model")["index"].mean()
    assert before.abs().max() < 0.6
    assert set(found.expected) == {f"planted-{world}" for world in worlds}
