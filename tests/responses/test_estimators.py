"""Every estimator against independent slow oracles."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import psychophys
from psychophys import Observer, UsageError, plan
from psychophys.stimuli import STIMULI

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


class Affine(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.flat = nn.Flatten()
        self.linear = nn.Linear(3 * 16 * 16, 11)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.flat(x))


@pytest.fixture(scope="module")
def affine() -> Observer:
    torch.manual_seed(0)
    return Observer(Affine(), input_size=(16, 16), dtype="float64", **PLAIN)


@pytest.fixture(scope="module")
def lite0() -> Observer:
    return psychophys.load_observer(dtype="float64")


@pytest.mark.parametrize(("estimator", "tolerance"), [("jvp", 1e-8), ("central", 1e-6), ("chained", 1e-4)])
@pytest.mark.parametrize("noise", ["gaussian", "relative"])
def test_linear_model_has_its_closed_form(
    affine: Observer, estimator: str, tolerance: float, noise: str
) -> None:
    values, phases = [30.0, 30.05, 30.1], [0.0, 50.0]
    table = psychophys.measure(
        affine, values=values, parameters={"phase": phases, "frequency": 3.0}, layers="linear",
        estimator=estimator, noise=noise, noise_level=0.5, dprime=2.0,
    ).to_pandas()  # fmt: skip
    weight, bias = (t.detach() for t in (affine.model.linear.weight, affine.model.linear.bias))
    grid = torch.tensor(values, dtype=torch.float64)

    def images(v: Tensor, phase: float) -> Tensor:
        return STIMULI["gabor"].render({"orientation": v, "phase": phase, "frequency": 3.0}, (16, 16))

    step = 1e-4
    slopes = [(images(grid + step, p) - images(grid - step, p)) / (2 * step) for p in phases]
    norms = torch.stack([(s.flatten(1) @ weight.T).square().sum(1) for s in slopes]).mean(0)
    answers = torch.stack([images(grid, p).flatten(1) @ weight.T + bias for p in phases])
    sigma = 0.5 * (answers.square().mean().sqrt().item() if noise == "relative" else 1)
    expected = norms.numpy() / sigma**2
    # The response of `chained` is that of the neighbour half a step away.
    slack = tolerance if noise == "gaussian" or estimator == "jvp" else 2e-2
    assert np.allclose(table["fisher_information"], expected, rtol=slack)
    assert np.allclose(table["threshold"], 2 / table["sensitivity"])
    assert np.allclose(table["sensitivity"] ** 2, table["fisher_information"])


def oracle(
    observer: Observer, layers: list[str], values: list[float], phases: list[float]
) -> dict[str, Tensor]:
    """Sensitivity by float64 central differences of 1e-6 rad, with hooks of its own."""
    delta = math.degrees(1e-6)
    kept: dict[str, Tensor] = {}
    named = dict(observer.model.named_modules())
    handles = [
        named[n].register_forward_hook(lambda m, i, o, n=n: kept.__setitem__(n, o.detach().clone()))
        for n in layers
    ]
    sums = {name: torch.zeros(len(values), dtype=torch.float64) for name in layers}
    grid = torch.tensor(values, dtype=torch.float64)
    for phase in phases:
        sides = []
        for side in (grid + delta, grid - delta):
            images = STIMULI["gabor"].render({"orientation": side, "phase": phase}, observer.input_size)
            with torch.no_grad():
                observer.model((images - 0.5) / 0.5)
            sides.append(dict(kept))
        for name in layers:
            slope = (sides[0][name] - sides[1][name]).flatten(1) / (2 * delta)
            sums[name] += slope.square().sum(1) / len(phases)
    for handle in handles:
        handle.remove()
    return {name: total.sqrt() for name, total in sums.items()}


@pytest.mark.parametrize(
    ("estimator", "dtype", "values", "tolerance"),
    [
        ("jvp", "float32", [0.0, 17.0, 45.0, 90.0], 1e-3),
        pytest.param("jvp", "float64", [0.0, 17.0, 45.0, 90.0], 1e-3, marks=pytest.mark.slow),
        pytest.param("central", "float64", [0.0, 17.0, 45.0, 90.0], 1e-3, marks=pytest.mark.slow),
        ("chained", "float64", [17.0, 17.0001, 17.0002], 1e-3),
    ],
)
def test_estimator_agrees_with_differences_in_every_layer(
    lite0: Observer, estimator: str, dtype: str, values: list[float], tolerance: float
) -> None:
    phases = [0.0, 100.0]
    observer = lite0 if dtype == "float64" else psychophys.load_observer(dtype=dtype)
    frame = psychophys.measure(
        observer,
        values=values,
        parameters={"phase": phases},
        estimator=estimator,
        step=1e-4,
        noise="gaussian",
    ).to_pandas()
    layers = list(frame["layer"].unique())
    assert len(layers) == 13
    for name, expected in oracle(lite0, layers, values, phases).items():
        ours = frame.loc[frame["layer"] == name, "sensitivity"].to_numpy()
        assert np.abs(ours / expected.numpy() - 1).mean() <= tolerance, name


@pytest.mark.parametrize("estimator", ["jvp", "central", "chained"])
def test_batch_size_changes_nothing(affine: Observer, estimator: str) -> None:
    def measured(size: int) -> np.ndarray:
        table = psychophys.measure(
            affine, values=7, estimator=estimator, batch_size=size, parameters={"phase": 3, "frequency": 3.0}
        )
        return table.to_pandas()["fisher_information"].to_numpy()

    first = measured(64)
    for size in (1, 3, 8):
        assert np.allclose(measured(size), first, rtol=1e-9)


class Stubborn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(48, 5, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.lstm(x.permute(0, 2, 1, 3).flatten(2))[0]


SHARED = {"values": 4, "parameters": {"phase": 2, "frequency": 3.0}}


def test_a_kernel_without_forward_mode_gives_way_to_that_of_float64() -> None:
    torch.manual_seed(0)
    observer = Observer(Stubborn(), input_size=(16, 16), **PLAIN)  # float32: a fused kernel
    exact = psychophys.measure(observer, **SHARED)
    asked = psychophys.measure(observer, **SHARED, estimator="central", dtype="float64", step=1e-4)
    assert set(exact.to_pandas()["estimator"]) == {"jvp"}
    (record,) = exact.runs.values()
    assert any("no forward mode in float32" in note for note in record["contract"]["notes"])
    np.testing.assert_allclose(exact.to_pandas()["sensitivity"], asked.to_pandas()["sensitivity"], rtol=1e-5)


class Undifferentiated(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, x: Tensor) -> Tensor:
        return x.sin()

    @staticmethod
    def backward(_ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class Bare(Affine):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(Undifferentiated.apply(x))


def test_model_without_forward_mode_falls_back_to_central() -> None:
    torch.manual_seed(0)
    observer = Observer(Bare(), input_size=(16, 16), **PLAIN)
    fallen = psychophys.measure(observer, **SHARED)
    asked = psychophys.measure(observer, **SHARED, estimator="central", dtype="float64", step=1e-4)
    assert set(fallen.to_pandas()["estimator"]) == {"central"}
    np.testing.assert_allclose(fallen.to_pandas()["sensitivity"], asked.to_pandas()["sensitivity"], rtol=1e-4)


class Deaf(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.constant = nn.AdaptiveAvgPool2d(1)
        self.hears = nn.AdaptiveAvgPool2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.hears(x) + self.constant(torch.ones_like(x))


@pytest.mark.parametrize("estimator", ["jvp", "central", "chained"])
def test_layer_that_does_not_depend_on_the_stimulus_says_so(estimator: str) -> None:
    observer = Observer(Deaf(), input_size=(16, 16), **PLAIN)
    table = psychophys.measure(
        observer, values=4, estimator=estimator, parameters={"phase": 2, "frequency": 3.0}
    )
    frame = table.to_pandas().groupby("layer")
    assert set(frame.get_group("constant")["status"]) == {"insensitive"}
    assert np.isinf(frame.get_group("constant")["threshold"]).all()
    assert set(frame.get_group("hears")["status"]) == {"ok"}


class Hungry(Affine):
    """Raises what a full GPU raises when shown more images than fit."""

    def __init__(self, fits: int) -> None:
        super().__init__()
        self.fits, self.refused = fits, 0

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.fits:
            self.refused += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().forward(x)


@pytest.mark.parametrize("estimator", ["jvp", "central", "chained"])
def test_batch_is_halved_until_it_fits(affine: Observer, estimator: str) -> None:
    hungry = Hungry(4)
    hungry.load_state_dict(affine.model.state_dict())
    observer = Observer(hungry, input_size=(16, 16), dtype="float64", name=f"hungry {estimator}", **PLAIN)
    shared = {"values": 6, "parameters": {"phase": 2, "frequency": 3.0}, "estimator": estimator}
    wanted = psychophys.measure(affine, **shared).to_pandas()["sensitivity"]
    ours = psychophys.measure(observer, batch_size=32, **shared).to_pandas()
    assert np.allclose(ours["sensitivity"], wanted)
    assert observer.model.refused > 0  # type: ignore[union-attr, operator]
    observer.model.refused = 0  # type: ignore[assignment]
    again = psychophys.measure(observer, batch_size=32, **shared).to_pandas()
    # What has fitted once is known: nothing larger is tried.
    assert observer.model.refused == 0
    assert np.allclose(again["sensitivity"], wanted)


def test_no_room_for_one_image_is_said() -> None:
    observer = Observer(Hungry(0), input_size=(16, 16), **PLAIN)
    with pytest.raises(psychophys.MeasurementError, match="out of memory"):
        psychophys.measure(observer, values=2, parameters={"phase": 1, "frequency": 3.0})
    assert not any(m._forward_hooks for m in observer.model.modules())


def test_hooks_are_gone_after_a_measurement(lite0: Observer) -> None:
    psychophys.measure(lite0, values=1, parameters={"phase": 1}, layers="all")
    assert not any(m._forward_hooks for m in lite0.model.modules())


def test_chained_needs_a_uniform_grid() -> None:
    with pytest.raises(UsageError, match="equally spaced"):
        plan(estimator="chained", values=[0, 10, 30])
