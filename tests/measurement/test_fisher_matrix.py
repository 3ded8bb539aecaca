"""Fisher matrices against closed forms, separate passes and finite differences."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import psychophys
from psychophys import MeasurementError, Observer, Stimulus, UsageError, confusable, fisher_matrix
from psychophys.cli import main
from psychophys.measurement.fisher_matrix import plan_fisher, run_fisher
from psychophys.noise.information import Setting
from psychophys.noise.models import NOISE
from psychophys.observers.layers import Layer, select_layers
from psychophys.plots.ellipses import ellipse, magnification, plot_ellipses
from psychophys.responses.several import jvp
from psychophys.responses.single import Block
from psychophys.responses.single import jvp as single_jvp
from psychophys.results.fisher_algebra import (
    hardest_change,
    pairs,
    symmetric,
    thresholds_alone,
    thresholds_joint,
)
from psychophys.results.fisher_matrices import FisherResults, cautions, conclusions, stacks
from psychophys.stimuli import STIMULI
from psychophys.stimuli.gratings import X, Y

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
SMALL = {"values": 3, "parameters": {"phase": 2, "frequency": 3.0}}


class Affine(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.flat = nn.Flatten()
        self.linear = nn.Linear(3 * 16 * 16, 11)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.flat(x))


class Through(nn.Module):
    """A convolution, a function, and a read-out."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.act, self.flat = nn.Conv2d(3, 8, 5, stride=4), nn.ReLU(), nn.Flatten()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.flat(self.function(self.act(self.conv(x))))


def observe(network: nn.Module, side: int = 16, dtype: str = "float64") -> Observer:
    return Observer(network, input_size=(side, side), dtype=dtype, **PLAIN)


@pytest.fixture(scope="module")
def affine() -> Observer:
    torch.manual_seed(0)
    return observe(Affine())


@pytest.fixture(scope="module")
def resnet() -> Observer:
    return psychophys.load_observer("test_resnet", weights="random", dtype="float64")


def matrices(results: FisherResults) -> dict[str, np.ndarray]:
    return {stack.first["layer"]: stack.information for stack in stacks(results)}


@pytest.mark.parametrize("noise", ["gaussian", "relative"])
@pytest.mark.parametrize(("estimator", "tolerance"), [("jvp", 1e-8), ("central", 1e-5)])
def test_linear_model_has_its_closed_form(
    affine: Observer, noise: str, estimator: str, tolerance: float
) -> None:
    values, phases, frequencies = [30.0, 100.0], [0.0, 50.0, 200.0], [2.5, 3.0]
    results = fisher_matrix(
        affine, values=values, parameters={"phase": phases, "frequency": frequencies}, layers="linear",
        noise=noise, noise_level=0.5, dprime=2.0, estimator=estimator, step=1e-3,
    )  # fmt: skip
    weight, bias = (t.detach() for t in (affine.model.linear.weight, affine.model.linear.bias))

    def answer(**point: float) -> Tensor:
        one = {name: torch.tensor([value], dtype=torch.float64) for name, value in point.items()}
        return STIMULI["gabor"].render(one, (16, 16)).flatten() @ weight.T + bias

    step, sums, responses = 1e-5, {}, []
    for value in values:
        for frequency in frequencies:
            for phase in phases:
                p = {"orientation": value, "frequency": frequency, "phase": phase}
                slopes = torch.stack(
                    [
                        (answer(**{**p, n: p[n] + step}) - answer(**{**p, n: p[n] - step})) / (2 * step)
                        for n in ("orientation", "frequency")
                    ]
                )
                at = f"orientation={value:g} frequency={frequency:g}"
                sums[at] = sums.get(at, 0) + slopes @ slopes.T / len(phases)
                responses.append(answer(**p))
    sigma = 0.5 * (torch.stack(responses).square().mean().sqrt().item() if noise == "relative" else 1)
    (stack,) = stacks(results)
    assert stack.named == tuple(sums)
    assert stack.points.tolist() == [[v, f] for v in values for f in frequencies]
    for k, total in enumerate(sums.values()):
        expected = total.numpy() / sigma**2
        scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
        assert np.abs((stack.information[k] - expected) / scale).max() < tolerance * (
            100 if noise == "relative" and estimator == "central" else 1
        )
        assert np.allclose(stack.alone[k], 2 / np.sqrt(np.diag(stack.information[k])), rtol=1e-12)
        assert np.allclose(stack.joint[k], 2 * np.sqrt(np.diag(np.linalg.inv(stack.information[k]))))
    frame = results.to_pandas()
    assert set(frame["n_samples"]) == {3}
    assert set(frame["status"]) == {"ok"}
    off = frame[frame["dimension_i"] != frame["dimension_j"]]
    assert off[["threshold_alone", "threshold_joint"]].isna().all(axis=None)
    assert len(frame) == 4 * 3
    assert len(off) == 4


def blob(turn_deg: float) -> Stimulus:
    """An elongated spot whose place is given along axes that are turned."""
    cos, sin = np.cos(np.deg2rad(turn_deg)), np.sin(np.deg2rad(turn_deg))

    def draw(p: Any, x: Tensor, y: Tensor) -> Tensor:
        dx, dy = x - (cos * p["x"] - sin * p["y"]), y - (sin * p["x"] + cos * p["y"])
        return torch.exp(-(dx**2) / 0.02 - dy**2 / 0.08 - dx * dy / 0.1)

    return Stimulus("blob", "", (X, Y), draw)


def test_turned_coordinates_turn_the_matrix(resnet: Observer) -> None:
    angle = 30.0
    turn = np.array(
        [
            [np.cos(np.deg2rad(angle)), -np.sin(np.deg2rad(angle))],
            [np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle))],
        ]
    )
    place = np.array([0.04, -0.07])
    there = turn @ place

    def measured(stimulus: Stimulus, at: np.ndarray) -> dict[str, np.ndarray]:
        found = fisher_matrix(
            resnet, ("x", "y"), stimulus=stimulus, values=[at[0]], parameters={"y": at[1]}, noise="gaussian"
        )
        return matrices(found)

    plain, turned = measured(blob(0), there), measured(blob(angle), place)
    assert len(plain) > 4
    for layer, j in plain.items():
        assert np.allclose(turned[layer][0], turn.T @ j[0] @ turn, rtol=1e-9, atol=1e-9 * np.trace(j[0]))
        assert abs(j[0, 0, 1]) > 0.01 * np.trace(j[0])


def separate(
    observer: Observer, layers: tuple[Layer, ...], dimension: str, fixed: dict[str, Tensor]
) -> dict[str, list[Tensor]]:
    """Responses and tangents of every layer along one dimension, from a pass of their own."""
    kept: dict[str, list[tuple[Tensor, Tensor]]] = {}

    def receive(name: str, r: Tensor, t: Tensor | None) -> None:
        kept.setdefault(name, []).append((r.clone(), torch.zeros_like(r) if t is None else t.clone()))

    def render(grid: Tensor) -> Tensor:
        return STIMULI["gabor"].render({**fixed, dimension: grid.flatten()}, observer.input_size)

    single_jvp(observer, layers, render, Block(fixed[dimension], 1, 0.0), receive)
    return {name: [torch.cat(part) for part in zip(*parts, strict=True)] for name, parts in kept.items()}


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "tf_efficientnet_lite0", "test_convnext"])
def test_one_pass_is_as_good_as_one_for_each_dimension(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psychophys.responses.single.CHUNK", 10_000)  # Layers come in parts.
    weights = "pretrained" if "lite0" in name else "random"
    observer = psychophys.load_observer(name, weights=weights, dtype="float64")
    layers = select_layers(observer, ("default",) if weights == "pretrained" else ("all",)).layers
    dimensions = ("orientation", "frequency", "x")
    fixed = {
        "orientation": torch.tensor([3.0, 40.0], dtype=torch.float64),
        "frequency": torch.tensor([3.0, 4.48], dtype=torch.float64),
        "x": torch.tensor([0.0, 0.1], dtype=torch.float64),
    }
    alone = [separate(observer, layers, dimension, fixed) for dimension in dimensions]
    together: dict[str, list[tuple[Tensor, Tensor]]] = {}

    def draw(values: Any) -> Tensor:
        return STIMULI["gabor"].render(dict(zip(dimensions, values, strict=True)), observer.input_size)

    def receive(layer: str, r: Tensor, t: Tensor) -> None:
        assert t.shape == (3, *r.shape)
        for noise, options in (("gaussian", {}), ("poisson", {"floor": 0.01, "rectify": 1.0})):
            found = Setting(NOISE[noise], 1.0, options).products(r, t)
            together.setdefault(f"{layer} {noise}", []).append((r.square().sum(1), found))

    widths = jvp(observer, layers, draw, list(fixed.values()), (), receive)
    assert widths == [1.0] * 3
    assert {key.rpartition(" ")[0] for key in together} == set(alone[0])
    assert {len(parts) for parts in together.values()} == {1, 2}
    for key, parts in together.items():
        layer, _, noise = key.rpartition(" ")
        norms, found = (torch.cat(part) for part in zip(*parts, strict=True))
        r = alone[0][layer][0]
        tangents = torch.stack([run[layer][1] for run in alone])
        assert torch.allclose(norms, r.square().sum(1), rtol=1e-10)
        if noise == "poisson":
            tangents = torch.where(r > 0, tangents, 0)
            r = r.clamp(min=0)
            floor = 0.01 * r.square().mean(1, keepdim=True).sqrt()
            tangents = tangents / torch.maximum(r, floor).clamp(min=torch.finfo(r.dtype).tiny).sqrt()
        size = tangents.norm(dim=2)
        for place, (i, j) in enumerate(pairs(3)):
            error = (found[:, place] - (tangents[i] * tangents[j]).sum(1)).abs()
            assert (error <= 1e-10 * size[i] * size[j]).all(), key


def test_thresholds_alone_are_those_of_one_dimension(resnet: Observer) -> None:
    fixed = {"phase": 2}
    both = fisher_matrix(resnet, values=[20.0], parameters={**fixed, "frequency": 4.0}).to_pandas()
    one = psychophys.measure(resnet, values=[20.0], parameters={**fixed, "frequency": 4.0}).to_pandas()
    other = psychophys.measure(
        resnet, dimension="frequency", values=[4.0], parameters={**fixed, "orientation": 20.0}
    ).to_pandas()
    for dimension, expected in (("orientation", one), ("frequency", other)):
        rows = both[(both["dimension_i"] == dimension) & (both["dimension_j"] == dimension)]
        assert list(rows["layer"]) == list(expected["layer"])
        assert np.allclose(rows["threshold_alone"], expected["threshold"], rtol=1e-9)
        assert (rows["threshold_joint"] >= rows["threshold_alone"] * (1 - 1e-12)).all()


def test_central_differences_agree(resnet: Observer) -> None:
    shared = {"values": [20.0], "parameters": {"phase": 2, "x": [0.03]}, "noise": "gaussian"}
    exact = matrices(fisher_matrix(resnet, ("orientation", "x"), **shared))
    near = fisher_matrix(resnet, ("orientation", "x"), estimator="central", step=1e-4, **shared)
    assert set(near.to_pandas()["estimator"]) == {"central"}
    for layer, j in matrices(near).items():
        assert np.allclose(j, exact[layer], rtol=0.02, atol=0.02 * np.abs(exact[layer]).max())


class Custom(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * ctx.saved_tensors[0].cos()


def buffered(x: Tensor) -> Tensor:
    buffer = torch.zeros(x.shape, dtype=x.dtype)
    buffer[:, :2] = x[:, :2].sin()
    return buffer


def in_a_view(x: Tensor) -> Tensor:
    x = x.clone()
    x.view(len(x), -1)[:, ::2].mul_(2)
    return x


def attention(x: Tensor) -> Tensor:
    tokens = x.flatten(2).transpose(1, 2)
    return torch.nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)


def branching(x: Tensor) -> Tensor:
    return x * x.max().item() if x.mean() > 0 else x


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + float(x.detach().numpy().mean()),
        lambda x: x.contiguous(memory_format=torch.channels_last),
        Custom.apply,
    ],
    ids=["numpy", "channels_last", "custom"],
)
def test_what_cannot_be_transformed_changes_over_as_a_whole(function: Any) -> None:
    torch.manual_seed(0)
    observer = observe(Through(function), 32)
    found = fisher_matrix(observer, **SMALL).to_pandas()
    asked = fisher_matrix(observer, estimator="central", **SMALL).to_pandas()
    assert set(found["estimator"]) == {"central"}
    columns = ["fisher_information", "threshold_alone", "threshold_joint"]
    np.testing.assert_allclose(found[columns], asked[columns], rtol=1e-2)


@pytest.mark.parametrize("function", [buffered, in_a_view, attention, branching])
def test_unusual_operations_are_right(function: Any) -> None:
    torch.manual_seed(0)
    observer = observe(Through(function), 32)
    found = fisher_matrix(observer, **SMALL).to_pandas()
    assert set(found["estimator"]) == {"jvp"}
    phases = {"phase": 2}
    for dimension, settings in (
        ("orientation", SMALL),
        ("frequency", {"values": [3.0], "parameters": {**phases, "orientation": [0, 60, 120]}}),
    ):
        one = psychophys.measure(observer, dimension=dimension, noise="gaussian", **settings).to_pandas()
        rows = fisher_matrix(observer, noise="gaussian", **SMALL).to_pandas()
        rows = rows[(rows["dimension_i"] == dimension) & (rows["dimension_j"] == dimension)]
        means = rows.groupby("layer")["fisher_information"].mean()
        assert np.allclose(means, one.groupby("layer")["fisher_information"].mean(), rtol=1e-9)


def test_an_error_of_the_model_is_its_own() -> None:
    def broken(x: Tensor) -> Tensor:
        if len(x) > 2:  # Layers are found with one and two images.
            raise ValueError("no idea")
        return x

    observer = observe(Through(broken), 32)
    with pytest.raises(MeasurementError, match="ValueError: no idea"):
        fisher_matrix(observer, **SMALL)
    assert not any(m._forward_hooks for m in observer.model.modules())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_shift_and_a_phase_of_an_endless_grating_are_the_same(dtype: str) -> None:
    observer = psychophys.load_observer("test_resnet", weights="random", dtype=dtype)
    frequency = 5.0
    results = fisher_matrix(
        observer, ("x", "contrast", "phase"), stimulus="grating", values=[0.0, 0.02],
        parameters={"size": 10, "orientation": 90, "contrast": 0.5, "frequency": frequency, "phase": [30.0]},
    )  # fmt: skip
    for stack in stacks(results):
        assert stack.singular.all()
        assert np.isinf(stack.joint[:, [0, 2]]).all()
        assert np.isfinite(stack.joint[:, 1]).all()
        assert np.isfinite(stack.alone).all()
    rows = confusable(results)
    assert np.isinf(rows["times_larger"]).all()
    assert (rows["eigenvalue"] == 0).all()
    assert np.allclose(rows["change_phase"] / rows["change_x"], -360 * frequency, rtol=1e-3)
    assert (rows["change_x"] > 0).all()
    frame = results.to_pandas()
    status = frame.groupby(["dimension_i", "dimension_j"])["status"].agg(set).to_dict()
    assert status["x", "x"] == status["x", "phase"] == status["phase", "phase"] == {"singular"}
    assert status["contrast", "contrast"] == {"ok"}
    assert "x, contrast and phase cannot be told apart" in conclusions(results)[0]
    assert "matrices are singular" in cautions(results)[0]


class Deaf(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.constant, self.mean = nn.AvgPool2d(4), nn.AvgPool2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.constant(torch.ones_like(x)) + self.mean(x)


@pytest.mark.parametrize("estimator", ["jvp", "central"])
def test_layer_that_sees_nothing_says_so(estimator: str) -> None:
    results = fisher_matrix(observe(Deaf()), estimator=estimator, **SMALL)
    frame = results.to_pandas().set_index("layer")
    deaf = frame.loc["constant"]
    assert set(deaf["status"]) == {"insensitive"}
    assert set(frame.loc["mean", "status"]) == {"ok"}
    assert deaf["correlation"].isna().all()
    own = deaf[deaf["dimension_i"] == deaf["dimension_j"]]
    assert np.isinf(own[["threshold_alone", "threshold_joint"]]).all(axis=None)
    assert (deaf["fisher_information"] == 0).all()
    rows = confusable(results).set_index("layer")
    assert rows.loc["constant", "eigenvalue"].isna().all()
    assert set(rows.loc["constant", "change"]) == {""}


def test_negative_responses_have_no_poisson_noise() -> None:
    torch.manual_seed(0)
    observer = observe(Through(lambda x: x), 32)
    refused = fisher_matrix(observer, noise="poisson", layers=["conv", "act"], **SMALL)
    frame = refused.to_pandas().set_index("layer")
    assert set(frame.loc["conv", "status"]) == {"negative"}
    assert frame.loc["conv", "fisher_information"].isna().all()
    assert set(frame.loc["act", "status"]) == {"ok"}
    assert "rectify=1" in cautions(refused)[0]
    options = {"rectify": 1}
    counted = matrices(fisher_matrix(observer, noise="poisson", noise_options=options, **SMALL))
    assert np.allclose(counted["conv"], counted["act"], rtol=1e-9)


class Hungry(Affine):
    def __init__(self, fits: int) -> None:
        super().__init__()
        self.fits = fits

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().forward(x)


@pytest.mark.parametrize("estimator", ["jvp", "central"])
def test_the_batch_changes_nothing_and_is_halved_where_memory_ends(affine: Observer, estimator: str) -> None:
    shared = {"values": 5, "parameters": {"phase": 2, "frequency": [2.0, 3.0]}, "estimator": estimator}
    expected = matrices(fisher_matrix(affine, **shared))["linear"]
    hungry = Hungry(4)
    hungry.load_state_dict(affine.model.state_dict())
    done: list[tuple[int, int]] = []
    for observer, size in ((affine, 1), (affine, 3), (observe(hungry), 32)):
        found = fisher_matrix(observer, batch_size=size, progress=lambda *n: done.append(n), **shared)
        assert np.allclose(matrices(found)["linear"], expected, rtol=1e-9)
        assert set(found.to_pandas()["estimator"]) == {estimator}
        assert done[-1] == (20, 20)


@pytest.mark.parametrize(
    ("dimensions", "settings", "words"),
    [
        (("orientation",), {}, "two or more"),
        ("orientation", {}, "two or more"),
        (("x", "x"), {}, "two or more"),
        (("orientation", "frequenzy"), {}, "Did you mean frequency"),
        (("orientation", "x"), {"stimulus": "patch"}, "unknown dimension"),
        (("x", "y"), {"noise": "input"}, "independent between units|one dimension"),
        (("x", "y"), {"noise": "empirical"}, "one dimension"),
        (("x", "y"), {"noise_options": {"differential": 0.1}}, "differential"),
        (("x", "y"), {"estimator": "chained", "values": 4}, "chained"),
        (("x", "y"), {"parameters": {"x": 1.0}}, "measured dimension"),
        (("x", "y"), {"parameters": {"y": 2.0}}, "cannot be drawn"),
    ],
)
def test_refusals_say_what_to_do(dimensions: Any, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plan_fisher(dimensions, **settings)


def test_a_nuisance_parameter_that_is_a_dimension_is_one_no_more() -> None:
    joint = plan_fisher(("orientation", "phase"), values=2)
    assert joint.points == [(0.0, 0.0), (90.0, 0.0)]
    assert joint.n_samples == 1
    several = plan_fisher(("orientation", "phase"), values=2, parameters={"phase": 4})
    assert [phase for _, phase in several.points] == [0, 90, 180, 270] * 2
    assert plan_fisher(("saturation", "hue"), values=[0.5]).measurement.stimulus.name == "patch"


def random_matrices(count: int, n: int) -> np.ndarray:
    factors = np.random.default_rng(0).normal(size=(count, n, n + 1))
    units = 10.0 ** np.random.default_rng(1).uniform(-3, 3, size=n)
    return factors @ factors.swapaxes(1, 2) * units * units[:, None]


def test_the_hardest_change_is_at_criterion_and_the_longest() -> None:
    j = random_matrices(20, 3)
    alone, joint = thresholds_alone(j, 2.0), thresholds_joint(j, 2.0)
    assert np.allclose(joint, 2 * np.sqrt(np.diagonal(np.linalg.inv(j), axis1=1, axis2=2)))
    change, least = hardest_change(j, 2.0)
    assert np.allclose(np.einsum("ki,kij,kj->k", change, j, change), 4.0)
    length = np.linalg.norm(change / alone, axis=1)
    assert np.allclose(length, 1 / np.sqrt(least))
    for other in np.random.default_rng(2).normal(size=(200, 3)):
        along = other * alone
        along *= 2.0 / np.sqrt(np.einsum("ki,kij,kj->k", along, j, along))[:, None]
        assert (np.linalg.norm(along / alone, axis=1) <= length * (1 + 1e-9)).all()
    # Seconds of arc for degrees change no more than the numbers.
    units = np.array([3600.0, 1.0, 0.01])
    assert np.allclose(hardest_change(j / units / units[:, None], 2.0)[0], change * units)


@pytest.mark.parametrize("correlation", [-0.9, 0.3])
def test_two_dimensions_have_their_closed_form(correlation: float) -> None:
    j = symmetric(np.array([4.0, correlation * 2 * 0.5, 0.25]), 2)
    assert np.allclose(thresholds_joint(j), np.array([0.5, 2]) / np.sqrt(1 - correlation**2))
    change, least = hardest_change(j)
    assert least == pytest.approx(1 - abs(correlation))
    scale = np.sqrt(0.5 / (1 - abs(correlation)))
    assert np.allclose(change, scale * np.array([0.5, -np.sign(correlation) * 2]))


def test_ellipses_are_at_threshold_whatever_the_units() -> None:
    for j in random_matrices(5, 2):
        around = ellipse(j, 1.5)
        assert np.allclose(np.einsum("ki,ij,kj->k", around, j, around), 2.25)
        # Their extent is what the joint thresholds are.
        assert np.allclose(ellipse(j, 1.5, 100_001).max(axis=0), thresholds_joint(j, 1.5), rtol=1e-6)
    assert magnification(np.array([1.0, 0.1]), np.array([10.0, np.inf])) == pytest.approx(3)
    assert magnification(np.array([1.0, 0.1]), np.array([np.inf, np.inf])) == 1


def test_the_table_keeps_its_provenance(affine: Observer, tmp_path: Path) -> None:
    joint = plan_fisher(**SMALL)
    first, other = run_fisher(joint, affine), run_fisher(plan_fisher(("x", "y"), **SMALL), affine)
    assert len(first.runs.keys() | other.runs.keys()) == 2
    both = FisherResults.join([first, other, first])
    assert len(both) == len(FisherResults.join([both, other])) == len(first) + len(other)
    both.write(tmp_path / "both.parquet")
    again = FisherResults.read(tmp_path / "both.parquet")
    assert again.table.equals(both.table)
    assert again.runs == both.runs
    (record,) = first.runs.values()
    assert record["dimensions"] == ["orientation", "frequency"]
    assert record["measurement"]["parameters"]["frequency"] == [3.0]
    psychophys.measure(affine, **SMALL).write(tmp_path / "other.parquet")
    for path in ("other.parquet", "missing.parquet"):
        with pytest.raises(UsageError, match="psychophys fisher"):
            FisherResults.read(tmp_path / path)
    with pytest.raises(UsageError, match="not a results file"):
        psychophys.read(tmp_path / "both.parquet")


def test_the_figure_shows_eight_layers_and_marks_what_has_no_ellipse(resnet: Observer) -> None:
    results = fisher_matrix(resnet, values=2, layers="all", parameters={"phase": 1})
    shown = [axes for axes in plot_ellipses(results).get_axes() if axes.axison]
    assert len(shown) == 8
    assert all(len(axes.get_lines()) == 3 for axes in shown)
    with pytest.raises(UsageError, match="3 dimensions"):
        plot_ellipses(fisher_matrix(resnet, ("x", "y", "size"), values=1, parameters={"phase": 1}))
    deaf = plot_ellipses(fisher_matrix(observe(Deaf()), layers="constant", **SMALL))
    (axes,) = deaf.get_axes()
    assert axes.get_title(loc="left") == "constant, 3 without"


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["psychophys", "fisher", *words])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_command_writes_table_and_figure_and_concludes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["test_resnet", "--weights", "random,shuffled", "--values", "2", "--phases", "1", "--frequencies"]
    words += ["3,6", "--layers", "layer1,fc", "--figure", "f.png"]
    assert call(monkeypatch, *words) == 1  # Nothing to shuffle: the other one is kept.
    frame = pd.read_parquet("fisher.parquet")
    assert len(frame) == 2 * 4 * 3
    assert set(frame["weights"]) == {"random"}
    said = capfd.readouterr().err
    assert "error: test_resnet shuffled" in said
    assert "orientation and frequency are most alike in" in said
    assert "24 rows in fisher.parquet" in said
    assert Path("f.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--dimension", "x"], "Use --dimensions"),
        (["--confidence", "0.9"], "no intervals"),
        (["--until-precision", "5%"], "no intervals"),
        (["--dimensions", "x,y,size", "--figure", "f.png"], "3 dimensions"),
        (["--dimensions", "x"], "two or more"),
    ],
)
def test_command_refuses_before_it_measures(
    words: list[str], error: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "test_resnet", "--weights", "random", *words) == 2
    said = capfd.readouterr().err
    assert error in said
    assert said.count("\n") == 1
