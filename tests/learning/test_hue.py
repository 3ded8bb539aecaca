"""Photographs whose hues are turned: their pixels, what is best done with them, and what is found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

import psychophys
from psychophys.learning.crops import colours, hue
from psychophys.learning.crops.denoising import GREY
from psychophys.learning.experiments import findings
from psychophys.learning.photographs import Photographs, load_photographs
from psychophys.learning.trends import Curve, jackknife_shifts, shift_deg, with_turns
from psychophys.observers.learned import convolutional
from psychophys.stimuli.color import hsv_to_rgb, rgb_to_hsv

HUES = np.arange(72) * 5.0


@pytest.fixture(scope="module")
def photographs() -> Photographs:
    return load_photographs(shorter_side=hue.SHORTER_SIDE, colour=True)


def some_colours(count: int = 500) -> Tensor:
    return torch.rand(count, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_turned_colours_keep_all_but_their_hue() -> None:
    rgb = some_colours()
    torch.testing.assert_close(colours.turned(rgb, 0.0), rgb)
    before, after = rgb_to_hsv(rgb), rgb_to_hsv(colours.turned(rgb, 90.0))
    torch.testing.assert_close(torch.remainder(after[0] - before[0], 360), torch.full((500,), 90.0).double())
    for was, now in zip(before[1:], after[1:], strict=True):
        torch.testing.assert_close(was, now)
    # A third of a round: green for red, blue for green, red for blue.
    torch.testing.assert_close(colours.turned(rgb, 120.0), rgb[:, [2, 0, 1]])


def test_pixels_of_photographs_are_the_same_but_for_the_turn(photographs: Photographs) -> None:
    upright, turned = (colours.draw(photographs, 3000, turn, seed=2) + GREY for turn in (0.0, 90.0))
    assert upright.shape == (3000, 3, 1, 1)
    torch.testing.assert_close(colours.turned(upright[:, :, 0, 0], 90.0), turned[:, :, 0, 0])
    assert 0 <= float(turned.min()) < float(turned.max()) <= 1
    grey = load_photographs(shorter_side=hue.SHORTER_SIDE)
    for coloured, plain in zip(photographs.images, grey.images, strict=True):
        np.testing.assert_allclose(coloured.mean(axis=2), plain, atol=1e-6)


def test_pixels_themselves_are_even_along_the_ring() -> None:
    """So that no layer's curve can be that of the pixels of its images."""
    network = torch.nn.Sequential(torch.nn.Flatten())
    observer = psychophys.Observer(network, input_size=(8, 8), mean=(0.5,) * 3, std=(1.0,) * 3, name="pixels")
    shades = {"saturation": 0.7, "value": 0.9}
    found = psychophys.measure(observer, "patch", values=36, parameters=shades, layers="0", noise="gaussian")
    expected = 8 * 0.7 * 0.9 / 60
    np.testing.assert_allclose(found.to_pandas()["sensitivity"], expected, rtol=1e-4)


def test_the_ideal_is_the_derivative_of_the_mean_of_what_a_colour_can_have_been() -> None:
    known, shown = some_colours(200) - GREY, some_colours(20) - GREY
    change = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def mean(colour: Tensor) -> Tensor:
        squares = (colour[:, None] - known).square().sum(dim=2)
        likelihood = torch.exp(-squares / (2 * 0.2**2))
        return likelihood @ known / likelihood.sum(dim=1, keepdim=True)

    _, expected = torch.func.jvp(mean, (shown,), (change,))
    torch.testing.assert_close(colours.denoised_change(known, 0.2, shown, change), expected)


def test_the_ideal_has_its_closed_form_for_two_colours() -> None:
    one = torch.tensor([[0.2, -0.1, 0.3]], dtype=torch.float64)
    shown, change = some_colours(10) - GREY, some_colours(10)
    found = colours.denoised_change(torch.cat([one, -one]), 0.3, shown, change)
    along = (shown @ one.T) / 0.3**2
    torch.testing.assert_close(found, one * (change @ one.T) / 0.3**2 / torch.cosh(along) ** 2)


def test_the_ideal_turns_with_the_channels(photographs: Photographs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hue, "KNOWN", 4000)
    known = {name: hue._known(photographs, turn, 0.1, hue.hues()) for name, turn in hue.TURNS_DEG.items()}
    for curve in ("ideal", "common"):
        upright, swapped = (np.array(known[name][curve]) for name in ("upright", "swapped"))
        # In single precision, a hue between two bins may be counted in the other one once it is turned.
        assert np.abs(np.roll(upright, 24) - swapped).mean() < 0.01
        assert upright.mean() == pytest.approx(1, abs=1e-3)
        assert np.ptp(upright) > 0.5


def test_hues_are_counted_where_they_are() -> None:
    hues = torch.tensor([10.0, 11.0, 12.0, 200.0]).double()
    rgb = hsv_to_rgb(hues, torch.full_like(hues, 0.5), torch.full_like(hues, 0.8))
    grey = torch.full((5, 3), 0.7).double()
    pixels = torch.cat([rgb, grey])[:, :, None, None] - GREY
    found = colours.hue_density(pixels, HUES)
    # 12 deg is nearer to 10 than to 15; greys have no hue.
    assert dict(zip(HUES[found > 0], found[found > 0], strict=True)) == {10: 54, 200: 18}


def test_turns_of_hues_go_a_whole_round() -> None:
    value = np.radians(HUES)
    curve = 1 + 0.5 * np.cos(value - 1) + 0.2 * np.cos(2 * value)
    for places in (0, 18, 24, 40, -3):
        turned = np.roll(curve, places)
        expected = (5 * places + 180) % 360 - 180
        assert shift_deg(curve, turned, 360.0) == pytest.approx(expected, abs=0.5)
    pairs = [(curve + 0.01 * k, np.roll(curve, 33 + k)) for k in (-1, 0, 1)]
    turns = jackknife_shifts(pairs, 360.0)
    assert np.mean(turns) == pytest.approx(165, abs=1)
    ends = with_turns("turn", np.array([170.0, -175.0, -170.0]), 175.0, 360.0)
    assert ends["turn"] == pytest.approx(182 - 1 / 3, abs=0.1)
    assert np.isnan(with_turns("turn", np.array([0.0, 180.0, 10.0]), 0.0, 360.0)["turn"])


def known_of(ideal: np.ndarray) -> dict[str, dict[str, Any]]:
    return {
        f"hue-{name}": {
            "ideal": np.roll(ideal, round(turn / 5)),
            "common": np.roll(ideal, round(turn / 5) + 36),
        }
        for name, turn in hue.TURNS_DEG.items()
    }


def test_what_follows_the_ideal_is_found_and_what_does_not_is_not_told() -> None:
    generator, value = np.random.default_rng(0), np.radians(HUES)
    known = known_of(1 + 0.4 * np.cos(value - 1) + 0.2 * np.cos(2 * value))
    own = [
        Curve(model, seed, step, "output", HUES, sensitivity * np.exp(0.02 * generator.standard_normal(72)))
        for seed in range(4)
        for model, record in known.items()
        for step, sensitivity in ((0, np.ones(72)), (9, record["ideal"]))
    ]
    row = hue._row("output", own, known, 9)
    assert row["rotated"] == pytest.approx(90, abs=2)
    assert row["swapped"] == pytest.approx(120, abs=2)
    assert row["ideal"] > 0.95
    assert abs(row["untrained"]) < 0.2
    assert row["common"] < 0.3
    said = hue._turns_told(row, [curve for curve in own if curve.step == 9], known)
    assert [sentence.split("the ideal one by ")[1] for sentence in said] == ["90.", "120."]
    untrained = [curve for curve in own if curve.step == 0]
    # The common hues are half a round away from those that are seen best.
    common = hue._at_common(known, own[1])
    curve = known["hue-upright"]["ideal"]
    assert common == pytest.approx((curve * np.roll(curve, 36)).mean(), abs=0.01)
    assert common < 0.97
    before = hue._row("output", untrained, known, 0)
    assert np.isnan(before["rotated"])
    assert "cannot be told" in hue._turns_told(before, untrained, known)[0]


def test_a_network_of_single_pixels_is_a_perceptron_of_each() -> None:
    torch.manual_seed(0)
    network = convolutional((4, 5), 1, 3)
    images = torch.rand(2, 3, 8, 8)
    pixels = images.permute(0, 2, 3, 1)
    for name in ("conv1", "conv2", "output"):
        layer = network.get_submodule(name)
        pixels = functional.linear(pixels, layer.weight[:, :, 0, 0], layer.bias)
        pixels = pixels if name == "output" else pixels.relu()
    torch.testing.assert_close(network(images), pixels.permute(0, 3, 1, 2))


def test_too_little_noise_is_refused() -> None:
    with pytest.raises(psychophys.UsageError, match=r"noise 0\.01. Give 0\.02 to 10"):
        psychophys.learn("hue", noise=0.01)


@pytest.mark.slow
def test_the_output_turns_with_the_hues() -> None:
    found = findings(psychophys.learn("hue", runs=2, steps=800, snapshots=2))
    output = found.table.set_index("layer").loc["output"]
    assert output["rotated"] == pytest.approx(85, abs=12)
    assert output["swapped"] == pytest.approx(120, abs=12)
    assert output["ideal"] > 0.65
    assert output["ideal"] > output["untrained"] + 0.3
    assert abs(output["common"]) < 0.4
