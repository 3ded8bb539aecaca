"""The formulas of Benjamin et al. 2022 as their published code has them, and what the preset measures.

Written from the formulas in float64, with images, hooks and sums of its own. There, orientation and phase are
in radians, hue is in degrees, and J of hue is a sum over 64 colours where that of orientation is a mean.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

import psychophys
from psychophys import Observer, plan

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LAYERS = ("conv_stem", "bn1", "blocks.1", "blocks.3.1.conv_dw", "blocks.5", "conv_head", "classifier")
Average = Callable[[Tensor], Tensor]


def gabor(angle: float, phase: float) -> Tensor:
    """224 pixels, 100 a degree, 2 cycles a degree, s.d. half a degree; rescaled from -1 to 1; grey."""
    x, y = np.meshgrid(np.arange(224), np.arange(224))
    x, y = (x - 112) / 100, (y - 112) / 100
    turn = -angle - np.pi / 2
    across = x * np.cos(turn) + y * np.sin(turn)
    pattern = np.exp(-(x**2 + y**2) / (2 * 0.5**2)) * np.cos(2 * np.pi * 2 * across + phase)
    low, high = pattern.min(), pattern.max()
    return torch.tensor(2 * (pattern - low) / (high - low) - 1).expand(3, 224, 224)


def gabors(angle: float) -> Tensor:
    """One for each of ten phases, of which the last is the first in negative."""
    return torch.stack([gabor(angle, phase) for phase in np.linspace(0, np.pi, 10)])


def patches(hue: float, colours: Sequence[tuple[float, float]], side: int) -> Tensor:
    """Uniform images, one for each saturation and value."""
    rgb = [colorsys.hsv_to_rgb(hue / 360, s, v) for s, v in colours]
    return torch.tensor(rgb, dtype=torch.float64).reshape(-1, 3, 1, 1).expand(-1, 3, side, side)


@torch.no_grad()
def responses(network: nn.Module, layers: Sequence[str], images: Tensor) -> dict[str, Tensor]:
    """What hooks have kept when the network has answered, as there: what writes in place has written."""
    kept: dict[str, Tensor] = {}
    handles = [
        network.get_submodule(name).register_forward_hook(
            lambda m, i, o, n=name: kept.update({n: o.detach()})
        )
        for name in layers
    ]
    mean, std = (torch.tensor(v, dtype=torch.float64).reshape(3, 1, 1) for v in (MEAN, STD))
    network((images - mean) / std)
    for handle in handles:
        handle.remove()
    return kept


def root_of_information(
    network: nn.Module,
    layers: Sequence[str],
    images: Callable[[float], Tensor],
    values: Sequence[float],
    delta: float,
    average: Average,
) -> dict[str, np.ndarray]:
    """The square root of J of each layer at each value, per unit of the values."""
    found: dict[str, list[float]] = {name: [] for name in layers}
    for value in values:
        sides = [responses(network, layers, images(value + sign * delta)) for sign in (1, -1)]
        for name in layers:
            slope = (sides[0][name] - sides[1][name]).flatten(1) / (2 * delta)
            found[name].append(math.sqrt(average(slope.square().sum(1))))
    return {name: np.array(roots) for name, roots in found.items()}


@pytest.fixture(scope="module")
def network() -> nn.Module:
    model: nn.Module = psychophys.load_observer(dtype="float64").model
    return model


def seen(network: nn.Module, side: int) -> Observer:
    return Observer(network, input_size=side, mean=MEAN, std=STD, dtype="float64")


def measured(observer: Observer, layers: Sequence[str], **options: object) -> dict[str, np.ndarray]:
    table = psychophys.measure(observer, preset="benjamin2022", layers=layers, **options).to_pandas()
    return {name: rows["sensitivity"].to_numpy() for name, rows in table.groupby("layer")}


@pytest.mark.slow
def test_sensitivity_to_orientation_is_the_published_one(network: nn.Module) -> None:
    angles = np.linspace(0, np.pi, 4)[1:]
    theirs = root_of_information(network, LAYERS, gabors, list(angles), 0.01, torch.mean)
    ours = measured(seen(network, 224), LAYERS, values=list(np.rad2deg(angles)))
    for name in LAYERS:
        assert ours[name] == pytest.approx(np.deg2rad(theirs[name]), rel=1e-6), name


@pytest.mark.parametrize(
    ("colours", "average", "ratio"),
    [
        # Saturation 1 and value 0.8; then all of 8 and 8, whose J is added up there and averaged here.
        pytest.param(((1.0,), (0.8,)), torch.mean, 1.0, id="one-colour"),
        pytest.param(
            (tuple(np.linspace(0.5, 0.9, 8)),) * 2, torch.sum, 8.0, id="64-colours", marks=pytest.mark.slow
        ),
    ],
)
def test_sensitivity_to_hue_is_the_published_one(
    network: nn.Module, colours: tuple[tuple[float, ...], ...], average: Average, ratio: float
) -> None:
    side, hues = 32, [25.0, 360.0]
    pairs = [(s, v) for s in colours[0] for v in colours[1]]
    theirs = root_of_information(network, LAYERS, lambda h: patches(h, pairs, side), hues, 0.1, average)
    parameters = {"saturation": colours[0], "value": colours[1]}
    ours = measured(seen(network, side), LAYERS, dimension="hue", values=hues, parameters=parameters)
    for name in LAYERS:
        assert ratio * ours[name] == pytest.approx(theirs[name], rel=1e-6), name


def test_published_hue_0_is_not_hue_360(network: nn.Module) -> None:
    layers, hues = ("conv_stem", "blocks.1"), [0.0, 360.0]
    theirs = root_of_information(network, layers, lambda h: patches(h, [(1, 0.8)], 32), hues, 0.1, torch.mean)
    parameters = {"saturation": 1.0, "value": 0.8}
    ours = measured(seen(network, 32), layers, dimension="hue", values=hues, parameters=parameters)
    # Just below 0 colorsys takes green on below the least of the three, in place of blue upwards.
    assert colorsys.hsv_to_rgb(-0.1 / 360, 1, 0.8)[1] < 0
    for name in layers:
        assert ours[name] == pytest.approx(theirs[name][1], rel=1e-6)
        assert theirs[name][0] > 1.2 * theirs[name][1]


def test_the_preset_has_the_published_values() -> None:
    spec = plan(preset="benjamin2022")
    assert np.allclose(spec.values, np.rad2deg(np.linspace(0, np.pi, 180)), rtol=1e-12)
    assert np.allclose(spec.parameters["phase"], np.rad2deg(np.linspace(0, np.pi, 10)), rtol=1e-12)
    assert math.radians(spec.step) == pytest.approx(0.01)
    hue = plan(preset="benjamin2022", dimension="hue")
    assert np.allclose(hue.values, np.linspace(0, 360, 360), rtol=1e-12)
    assert all(np.allclose(hue.parameters[n], np.linspace(0.5, 0.9, 8)) for n in ("saturation", "value"))
    assert hue.step == 0.1
    assert {(s.estimator.name, s.noise.name) for s in (spec, hue)} == {("central", "gaussian")}


def test_published_layers_before_a_relu_are_read_after_it() -> None:
    torch.manual_seed(0)
    small = timm.create_model("alexnet", hidden=16).double().eval()
    layers, hues = ("features.0", "features.1", "features.3", "features.4"), [25.0]
    theirs = root_of_information(small, layers, lambda h: patches(h, [(1, 0.8)], 64), hues, 0.1, torch.mean)
    parameters = {"saturation": 1.0, "value": 0.8}
    ours = measured(seen(small, 64), layers, dimension="hue", values=hues, parameters=parameters)
    for convolution, relu in (layers[:2], layers[2:]):
        # Their hooks keep the tensor that torchvision's ReLU then writes into.
        assert theirs[convolution] == theirs[relu]
        assert ours[relu] == pytest.approx(theirs[relu], rel=1e-6)
        assert ours[convolution] > 1.1 * ours[relu]
