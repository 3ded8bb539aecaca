"""Measurements on a GPU that is emulated: the CPU's numbers, no tensor left on the host, few waits."""

import itertools
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import emulated
import numpy as np
import pandas as pd
import pytest
import timm
import torch
from torch import Tensor, nn

import psychophys
from psychophys import NOISE, Observer
from psychophys.base.errors import MeasurementError, UsageError
from psychophys.learning.training import drawing
from psychophys.measurement.batches import CPU_BATCH, GPU_BATCH
from psychophys.measurement.blocks import present
from psychophys.measurement.fisher_matrix import _Sums, plan_fisher
from psychophys.measurement.plan import plan
from psychophys.noise import pixels
from psychophys.noise.pixels import quadratic_form
from psychophys.observers import prepare
from psychophys.observers.devices import pick_device
from psychophys.observers.layers import select_layers
from psychophys.observers.state import random_state
from psychophys.responses.estimators import ESTIMATORS
from psychophys.responses.presentation import fetched
from psychophys.stimuli import STIMULI
from psychophys.sweeps import forecast

pytestmark = pytest.mark.filterwarnings("ignore:.*batching rule:UserWarning")
NETWORKS: dict[str, dict[str, int]] = {
    "test_resnet": {},
    "test_vit": {"img_size": 32},
    "test_coatnet": {"img_size": 32},
}
DTYPES = {"test_resnet": "float32", "test_vit": "float64", "test_coatnet": "float64"}
"""Attention is made of other products on the two devices: differences show rounding in float32."""
LAYERS = {
    "test_resnet": ["maxpool", "layer2.0", "fc"],
    "test_vit": ["patch_embed", "blocks.2", "head"],
    "test_coatnet": ["stages.0", "stages.3", "head"],
}
PAIRS = [
    (estimator.name, noise.name)
    for noise in NOISE.own.values()
    for estimator in ESTIMATORS.own.values()
    if not noise.method.estimators or estimator.name in noise.method.estimators
]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    with emulated.gpu(monkeypatch) as found:
        yield found


_observers: dict[tuple[str, str], Observer] = {}


def observer(name: str, device: str) -> Observer:
    """One for all tests: what the contract found of it is kept."""
    if (name, device) not in _observers:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            network = timm.create_model(name, **NETWORKS[name])
        size = NETWORKS[name].get("img_size", 32)
        _observers[name, device] = Observer(
            network, input_size=size, name=name, device=device, dtype=DTYPES[name]
        )
    return _observers[name, device]


def measured(name: str, device: str, **more: Any) -> pd.DataFrame:
    settings: dict[str, Any] = {"values": 2, "layers": LAYERS[name], "parameters": {"frequency": 3}}
    table = psychophys.measure(observer(name, device), **{**settings, **more})
    assert {one["device"] for one in table.runs.values()} == {
        "cpu" if device == "cpu" else "cuda:0 (emulated)"
    }
    return table.to_pandas()


def assert_same(here: pd.DataFrame, there: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(here, there, rtol=1e-6, atol=0)
    assert np.isfinite(here["fisher_information"]).any()


def both(name: str, monkeypatch: pytest.MonkeyPatch, **more: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    # Weights lie on the CPU as on a device, so that numbers are added up in the same order.
    monkeypatch.setattr(prepare, "FEWEST_CONVOLUTIONS", sys.maxsize)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        here = measured(name, "cpu", **more)
        with emulated.gpu(monkeypatch):
            return here, measured(name, "cuda:0", **more)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("estimator", "noise"), PAIRS)
def test_every_estimator_and_noise_gives_the_cpus_numbers(
    name: str, estimator: str, noise: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"rectify": 1} if noise == "poisson" else {"iterations": 4} if noise == "input" else {}
    phases = NOISE[noise].method.fewest_samples
    more = {"estimator": estimator, "noise": noise, "noise_options": options}
    if noise == "input":
        more["layers"] = LAYERS[name][1]
    assert_same(*both(name, monkeypatch, parameters={"frequency": 3, "phase": phases}, **more))


@pytest.mark.parametrize("stimulus", STIMULI.own)
def test_every_stimulus_is_drawn_on_the_device(stimulus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {p.name for p in STIMULI[stimulus].parameters}
    parameters = {"frequency": 3} if "frequency" in known else {}
    more = {"stimulus": stimulus, "values": 2, "layers": "fc", "parameters": parameters}
    assert_same(*both("test_resnet", monkeypatch, **more))


def waits_of_a_block(waits: list[str], **settings: Any) -> list[str]:
    """Who makes the host wait while one block of four layers is measured."""
    seen = observer("test_resnet", "cuda:0")
    layers = select_layers(seen, ["maxpool", "layer1.0", "layer2.0", "fc"]).layers
    asked = plan(layers=["fc"], values=4, **settings)
    every = asked.noise.method.shows_all_samples
    block = slice(0, len(asked.samples)), slice(0, 1 if every else 4)
    shown = present(asked, seen, layers, block, asked.estimator)
    waits.clear()
    asked.noise.method.block(asked.setting, shown)
    return list(waits)


@pytest.mark.parametrize(("estimator", "noise"), PAIRS)
def test_the_host_waits_once_a_block(estimator: str, noise: str, waits: list[str]) -> None:
    options = {"iterations": 9, "tolerance": 1e-8} if noise == "input" else {}
    parameters = {"frequency": 3, "phase": NOISE[noise].method.fewest_samples}
    found = waits_of_a_block(
        waits, estimator=estimator, noise=noise, noise_options=options, parameters=parameters
    )
    steps = [line for line in found if line.startswith("pixels.py")]
    assert len(found) - len(steps) == 1
    # Of nine steps in each of four layers: after none, 1, 2, 4 and 8.
    assert len(steps) == (4 * 5 if noise == "input" else 0)


@pytest.mark.parametrize("stimulus", STIMULI.own)
def test_a_stimulus_makes_the_host_wait_once_at_most(stimulus: str, waits: list[str]) -> None:
    known = {p.name for p in STIMULI[stimulus].parameters}
    parameters = {"frequency": 3} if "frequency" in known else {}
    assert len(waits_of_a_block(waits, stimulus=stimulus, parameters=parameters)) <= 2


@pytest.mark.parametrize("noise", [noise.name for noise in NOISE.own.values() if noise.method.is_independent])
def test_a_block_of_a_fisher_matrix_makes_the_host_wait_once(noise: str, waits: list[str]) -> None:
    seen = observer("test_resnet", "cuda:0")
    layers = select_layers(seen, ["maxpool", "layer1.0", "layer2.0", "fc"]).layers
    joint = plan_fisher(noise=noise, values=4, parameters={"phase": 2, "frequency": 3}, layers=["fc"])
    sums = _Sums(joint, seen, layers)
    waits.clear()
    sums.add((slice(0, 2), slice(0, 4)), joint.measurement.estimator)
    assert len(waits) == 1


def test_numbers_of_any_type_and_place_are_fetched_together(waits: list[str]) -> None:
    tensors = {
        "wide": torch.tensor([[1 / 3]], dtype=torch.float64, device="cuda"),
        "narrow": torch.tensor([0.1, 0.2], device="cuda", requires_grad=True),
        "none": torch.zeros(0, 4, device="cuda"),
        "here": torch.tensor(0.3, dtype=torch.bfloat16),
    }
    found = fetched(tensors)
    assert list(found) == list(tensors)
    assert len(waits) == 1
    for name, tensor in tensors.items():
        assert found[name].dtype == np.float64
        np.testing.assert_array_equal(found[name], tensor.detach().cpu().double().numpy())


def test_steps_after_all_rows_are_done_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    factor = torch.randn(30, 30, generator=generator, dtype=torch.float64)
    matrix = factor @ factor.T / 30 + torch.diag(torch.linspace(0.1, 3, 30, dtype=torch.float64))
    b = torch.randn(6, 30, generator=generator, dtype=torch.float64)
    b[2] = 0
    b[3] *= 1e-8
    least, most = torch.full((6,), 0.1, dtype=torch.float64), 20 * b.square().sum(dim=1)
    counts, looked_at = [], pixels._is_looked_at

    def product(v: Tensor) -> Tensor:
        counts[-1] += 1
        return v @ matrix

    def solved(tolerance: float, iterations: int) -> tuple[Tensor, Tensor]:
        counts.append(0)
        return quadratic_form(product, b, least, most, tolerance, iterations)

    for tolerance, iterations in itertools.product((1e-2, 1e-12), (3, 7, 21, 33, 1000)):
        usual = solved(tolerance, iterations)
        with monkeypatch.context() as patch:
            patch.setattr(pixels, "_is_looked_at", lambda done, _device: looked_at(done, emulated.GPU))
            late = solved(tolerance, iterations)
        assert all(map(torch.equal, usual, late))
        assert counts[-2] <= counts[-1] <= min(iterations, 2 * counts[-2] + 1, counts[-2] + pixels.LOOK)
    assert counts[::2] != counts[1::2]


@pytest.mark.parametrize("noise", [noise.name for noise in NOISE.own.values() if noise.method.is_independent])
@pytest.mark.parametrize("estimator", [e.name for e in ESTIMATORS.own.values() if e.several is not None])
def test_fisher_matrices_are_the_cpus(estimator: str, noise: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(device: str) -> pd.DataFrame:
        table = psychophys.fisher_matrix(
            observer("test_vit", device),
            values=2,
            layers=LAYERS["test_vit"],
            parameters={"frequency": 3, "phase": 2},
            estimator=estimator,
            noise=noise,
            noise_options={"rectify": 1} if noise == "poisson" else {},
        )
        return table.to_pandas()

    here = found("cpu")
    with emulated.gpu(monkeypatch):
        assert_same(here, found("cuda:0"))


def test_the_contract_is_tested_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    here = observer("test_resnet", "cpu").check(LAYERS["test_resnet"])
    with emulated.gpu(monkeypatch):
        there = observer("test_resnet", "cuda:0").check(LAYERS["test_resnet"])
    assert there.kept
    assert (there.dtype, there.notes, there.reverse) == (here.dtype, here.notes, here.reverse)
    for name, verdict in there.verdicts.items():
        assert verdict.derivative == here.verdicts[name].derivative
        assert verdict.error == pytest.approx(here.verdicts[name].error, rel=1e-2)


class Forgetful(nn.Module):
    """Makes a tensor where the numbers are not."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 2, 3), nn.Linear(2, 2)

    def made(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), 2)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.first(x).mean(dim=(2, 3))
        return self.last(pooled) + self.made(pooled)


class ByNumpy(Forgetful):
    """Goes by way of NumPy."""

    def made(self, x: Tensor) -> Tensor:
        return torch.from_numpy(np.tanh(x.numpy()))


class DrawsOnTheHost(Forgetful):
    """Draws from a generator of the CPU."""

    def made(self, x: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.rand(len(x), 2, generator=generator, device=x.device)


FAULTS = {
    Forgetful: "on the same device",
    ByNumpy: "can't convert cuda:0 device type tensor to numpy",
    DrawsOnTheHost: "Expected a 'cuda' device type for generator but found 'cpu'",
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_network_that_leaves_the_device_fails_as_on_a_gpu(kind: type[Forgetful], waits: list[str]) -> None:
    settings: dict[str, Any] = {"values": 2, "parameters": {"frequency": 3, "phase": 1}, "layers": "first"}
    network = kind()
    with pytest.raises((RuntimeError, TypeError), match=FAULTS[kind]), torch.no_grad():
        network.to("cuda")(torch.rand(2, 3, 16, 16, device="cuda"))
    with pytest.raises(MeasurementError, match=FAULTS[kind]):
        psychophys.measure(Observer(network, input_size=16, device="cuda"), **settings)


@pytest.mark.parametrize("kind", [Forgetful, DrawsOnTheHost])
def test_without_a_gpu_the_same_network_is_measured(kind: type[Forgetful]) -> None:
    network = Observer(kind(), input_size=16)
    psychophys.measure(network, values=2, parameters={"frequency": 3, "phase": 1}, layers="first")


def test_tensors_say_that_they_are_on_the_gpu(waits: list[str]) -> None:
    made = [
        torch.zeros(2, device="cuda"),
        torch.tensor([1.0, 2.0], device="cuda:0"),
        torch.as_tensor(np.ones(2), device="cuda"),
        torch.ones(2).to("cuda"),
        torch.ones(2).cuda(),
    ]
    made += [torch.empty_like(made[0]), made[0].new_ones(2), torch.arange(2, device=made[0].device)]
    for tensor in made:
        assert str(tensor.device) == "cuda:0"
        assert tensor.is_cuda
    assert str(torch.ones(2).device) == "cpu"
    assert waits == []


def test_what_cuda_refuses_is_refused(waits: list[str]) -> None:
    there, here = torch.rand(3, 4, device="cuda"), torch.rand(4)
    for mixed in (
        lambda: there + here,
        lambda: there @ here,
        lambda: torch.cat([there, here[None]]),
        lambda: torch.where(here > 0.5, there, 0.0),
        lambda: nn.Linear(4, 2)(there),
        lambda: here[torch.tensor([0], device="cuda")],
        lambda: here + torch.tensor(2.0, device="cuda"),
    ):
        with pytest.raises(RuntimeError, match="same device"):
            mixed()
    with pytest.raises(RuntimeError, match="generator"):
        there.normal_(generator=torch.Generator())
    with pytest.raises(TypeError, match="numpy"):
        there.numpy()
    scaled = there * torch.tensor(2.0)
    assert torch.equal(scaled.cpu(), 2 * there.cpu())
    assert there[torch.tensor([0, 2])].shape == (2, 4)
    assert waits == ["elsewhere"] * 2


@pytest.mark.parametrize(
    "fetch",
    [
        lambda x: x.cpu(),
        lambda x: x.to("cpu"),
        lambda x: x.sum().item(),
        lambda x: float(x.sum()),
        lambda x: bool(x.any()),
        lambda x: x.tolist(),
        lambda x: torch.zeros(3).copy_(x),
        lambda x: x[x > 0],
        lambda x: torch.equal(x, x),
    ],
)
def test_every_wait_of_the_host_is_counted(fetch: Any, waits: list[str]) -> None:
    there = torch.ones(3, device="cuda")
    assert waits == []
    fetch(there)
    assert waits == ["elsewhere"]


def test_a_plain_operation_makes_nobody_wait(waits: list[str]) -> None:
    there = torch.ones(3, device="cuda", requires_grad=True)
    (slope,) = torch.autograd.grad(there.square().sum(), there)
    _, tangent = torch.func.jvp(torch.sin, (there,), (slope,))
    assert tangent.is_cuda
    assert waits == []
    assert tangent.tolist() == pytest.approx([2 * np.cos(1.0)] * 3)


@pytest.fixture
def metal(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """An MPS device that has a generator and no numbers."""
    kept = {"state": torch.tensor([1], dtype=torch.uint8)}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda *_device: kept["state"].clone())
    monkeypatch.setattr(torch.mps, "set_rng_state", lambda state, *_device: kept.update(state=state))
    return kept


NO_DOUBLE = "float64 on mps, which has no such numbers. Use --dtype float32, or --device cpu."


@pytest.mark.parametrize(
    "ask",
    [
        lambda: pick_device("mps", "float64"),
        lambda: psychophys.load_observer("test_resnet", weights="random", device="mps", dtype="float64"),
        lambda: psychophys.measure("test_resnet", weights="random", device="mps", dtype="float64"),
        lambda: Observer(Forgetful(), input_size=16, device="mps", dtype="float64"),
        lambda: Observer(Forgetful(), input_size=16, device="mps", dtype=torch.float64),
    ],
)
def test_float64_is_refused_where_there_is_none(ask: Any, metal: dict[str, Tensor]) -> None:
    with pytest.raises(UsageError) as raised:
        ask()
    assert str(raised.value) == NO_DOUBLE


def test_an_observer_on_mps_has_its_double_on_the_cpu(metal: dict[str, Tensor]) -> None:
    seen = Observer(Forgetful(), input_size=16)
    seen.device = torch.device("mps")
    assert seen.double().device == emulated.CPU
    with pytest.raises(UsageError, match="float64 on mps"):
        psychophys.measure(seen, values=2, dtype="float64")


def test_auto_takes_the_cpu_where_mps_has_not_the_numbers(metal: dict[str, Tensor]) -> None:
    assert pick_device("auto").type == "mps"
    assert pick_device("auto", "float64").type == "cpu"
    assert psychophys.load_observer(
        "test_resnet", weights="random", device="auto", dtype="float64"
    ).device == (emulated.CPU)


def test_drawing_leaves_the_callers_random_numbers_on_mps(metal: dict[str, Tensor]) -> None:
    before = metal["state"].clone()

    def fail() -> None:
        with drawing(3):
            metal["state"] = torch.tensor([7], dtype=torch.uint8)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert torch.equal(metal["state"], before)


def test_random_numbers_of_mps_are_seen_to_be_drawn(metal: dict[str, Tensor]) -> None:
    before = random_state()
    assert random_state() == before
    metal["state"] = torch.tensor([7], dtype=torch.uint8)
    assert random_state() != before


@pytest.mark.parametrize(("device", "batch"), [("cpu", CPU_BATCH), ("cuda", GPU_BATCH)])
def test_a_forecast_times_the_batch_that_is_measured(
    device: str, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "_YARDSTICK", "test_resnet")
    monkeypatch.setattr(forecast, "_operations_and_bytes", lambda _name: (1e6, 0.0))
    monkeypatch.setattr(forecast, "_input_size", lambda _network: (3, 16, 16))
    shown = []

    def look(module: nn.Module, inputs: Any) -> None:
        if type(module).__name__ == "ResNet":
            shown.append((inputs[0].shape[0], str(inputs[0].device)))

    with ExitStack() as stack:
        if device == "cuda":
            stack.enter_context(emulated.gpu(monkeypatch))
        stack.callback(nn.modules.module.register_module_forward_pre_hook(look).remove)
        assert forecast._seconds_per_operation(pick_device(device)) > 0
    assert set(shown) == {(batch, "cpu" if device == "cpu" else "cuda:0")}
