"""Layers: which are found, which are chosen, and what is recorded of them."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from psychophys.base.errors import MeasurementError, UsageError
from psychophys.measurement.measure import measure
from psychophys.observers.layers import (
    Selection,
    default_modules,
    first_tensor,
    list_layers,
    module_names,
    recording,
    select_layers,
)
from psychophys.observers.load import load_observer
from psychophys.observers.observer import Observer


@pytest.fixture(scope="session")
def lite0() -> Observer:
    return load_observer()


@pytest.fixture(scope="session")
def vit() -> Observer:
    return load_observer("test_vit", weights="random")


def watch(model: nn.Module, size: int = 16) -> Observer:
    return Observer(model, input_size=(size, size), name="mine")


def names(selection: Selection) -> list[str]:
    return [layer.name for layer in selection.layers]


def hook_count(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


class Net(nn.Module):
    """Convolution, then whatever ``middle`` does, then a linear read-out that ignores it."""

    def __init__(self, middle: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2)
        self.middle = middle
        self.fc = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        self.middle(x)
        return self.fc(x.mean((2, 3)))


class Apply(nn.Module):
    """A module that answers with any function of its input."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


# --- defaults --------------------------------------------------------------------------------------


def test_default_layers_of_lite0(lite0: Observer) -> None:
    selection = select_layers(lite0)
    blocks = [f"blocks.{i}" for i in range(7)]
    last = ["conv_head", "bn2", "global_pool", "classifier"]
    assert names(selection) == ["conv_stem", "bn1", *blocks, *last]
    assert selection.skipped == {}
    by_name = {layer.name: layer for layer in selection.layers}
    assert by_name["conv_stem"].shape == (32, 112, 112)
    assert by_name["conv_stem"].n_features == 32 * 112 * 112
    assert by_name["classifier"].shape == (1000,)
    assert by_name["classifier"].kind == "Linear"


def test_default_layers_of_resnet18() -> None:
    selection = select_layers(load_observer("resnet18", weights="random"))
    blocks = [f"layer{stage}.{block}" for stage in range(1, 5) for block in range(2)]
    assert names(selection) == ["conv1", "bn1", "act1", "maxpool", *blocks, "global_pool", "fc"]


def test_default_layers_of_a_transformer(vit: Observer) -> None:
    assert names(select_layers(vit)) == ["patch_embed", *(f"blocks.{i}" for i in range(6)), "norm", "head"]


def test_default_layers_of_a_plain_sequence() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten())
    assert names(select_layers(watch(model))) == ["0", "1", "2"]


@pytest.mark.parametrize("wraps", [1, 2])
def test_default_layers_of_a_wrapped_model_are_those_inside(wraps: int) -> None:
    model: nn.Module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Sequential(nn.Flatten(), nn.ReLU()))
    prefix = ""
    for _ in range(wraps):
        outer = nn.Sequential()
        outer.add_module("net", model)
        model, prefix = outer, prefix + "net."
    assert names(select_layers(watch(model))) == [prefix + n for n in ("0", "1", "2.0", "2.1")]


def test_default_layers_lie_inside_an_encoder_that_is_nearly_the_whole_network() -> None:
    with torch.device("meta"):
        model = timm.create_model("qwen3_vit_88m")
    found = default_modules(model)
    assert [f"encoder.blocks.{i}" for i in range(12)] == [n for n in found if ".blocks." in n]
    assert found[-1] == "head"


def test_default_layers_of_a_single_module_in_a_wrapper() -> None:
    assert names(select_layers(watch(nn.Sequential(nn.Conv2d(3, 4, 3))))) == ["0"]


@pytest.mark.parametrize("pattern", ["default", "all"])
def test_layers_are_in_forward_order_with_increasing_depth(lite0: Observer, pattern: str) -> None:
    layers = select_layers(lite0, [pattern]).layers
    index, depth = [layer.index for layer in layers], [layer.depth for layer in layers]
    assert index == sorted(set(index))
    assert depth == sorted(set(depth))
    assert depth[-1] == 1
    assert depth[0] == 0
    assert all(0 <= d <= 1 for d in depth)


def test_order_is_that_of_the_forward_pass_not_of_the_definition() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Flatten()
            self.first = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.last(self.first(x))
            return out

    assert names(select_layers(watch(Backwards()))) == ["first", "last"]


def test_index_and_depth_do_not_depend_on_the_choice(lite0: Observer) -> None:
    every = {layer.name: layer for layer in select_layers(lite0, ["all"]).layers}
    for layer in select_layers(lite0, ["blocks.*.0"]).layers:
        assert layer == every[layer.name]


# --- patterns --------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["blocks.*", "blocks.5.*", "*.conv_pw", "bn?", "blocks.[01].0.conv_*"])
def test_globs_choose_by_name(lite0: Observer, pattern: str) -> None:
    every = names(select_layers(lite0, ["all"]))
    expected = [name for name in every if fnmatch.fnmatchcase(name, pattern)]
    assert len(expected) > 1
    assert names(select_layers(lite0, [pattern])) == expected


def test_a_narrow_glob_holds_the_inner_modules(lite0: Observer) -> None:
    chosen = names(select_layers(lite0, ["blocks.5.*"]))
    assert {"blocks.5.0", "blocks.5.0.conv_pw", "blocks.5.3"} <= set(chosen)
    assert all(name.startswith("blocks.5.") for name in chosen)
    assert "blocks.5" not in chosen


def test_several_patterns_are_a_union_in_forward_order(lite0: Observer) -> None:
    assert names(select_layers(lite0, ["classifier", "conv_stem", "blocks.3", "conv_*"])) == [
        "conv_stem", "blocks.3", "conv_head", "classifier",
    ]  # fmt: skip


def test_all_holds_every_module_that_answers(lite0: Observer) -> None:
    selection = select_layers(lite0, ["all"])
    silent = (nn.Identity, nn.Dropout)
    every = [n for n, m in lite0.model.named_modules() if n and not isinstance(m, silent)]
    assert set(names(selection)) | set(selection.skipped) == set(every)
    assert set(select_layers(lite0).layers) < set(selection.layers)


@pytest.mark.parametrize(("pattern", "near"), [("block.5", "blocks.5"), ("clasifier", "classifier")])
def test_a_pattern_without_match_gets_near_names(lite0: Observer, pattern: str, near: str) -> None:
    with pytest.raises(UsageError) as caught:
        select_layers(lite0, ["default", pattern])
    text = str(caught.value)
    assert caught.value.exit_code == 2
    assert "\n" not in text
    assert repr(pattern) in text
    assert near in text
    assert "psychophys layers" in text


def test_a_pattern_of_silent_modules_alone_is_refused() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout())
    with pytest.raises(UsageError, match="no layer of mine"):
        select_layers(watch(model), ["1"])


def test_a_model_without_modules_is_a_layer_itself() -> None:
    (layer,) = select_layers(watch(nn.Conv2d(3, 4, 3))).layers
    assert (layer.name, layer.kind) == ("0", "Conv2d")


# --- outputs ---------------------------------------------------------------------------------------


class Twice(nn.Module):
    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 6, 3)
        self.relu = nn.ReLU(inplace=inplace)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.relu(self.conv2(self.relu(self.conv1(x)))))


def test_a_module_called_twice_gives_two_layers() -> None:
    observer = watch(Twice())
    selection = select_layers(observer)
    assert names(selection) == ["conv1", "relu", "conv2", "relu@2"]
    assert [layer.shape for layer in selection.layers] == [(4, 14, 14)] * 2 + [(6, 12, 12)] * 2
    assert names(select_layers(observer, ["relu@2"])) == ["relu@2"]
    assert names(select_layers(observer, ["relu"])) == ["relu", "relu@2"]
    assert module_names(selection.layers) == ["conv1", "relu", "conv2"]


def test_each_call_is_measured_on_its_own() -> None:
    rows = measure(watch(Twice()), values=2, parameters={"phase": 1}, device="cpu").to_pandas()
    assert set(rows.layer) == {"conv1", "relu", "conv2", "relu@2"}
    assert rows.groupby("layer").response_rms.first().nunique() == 4


@pytest.mark.parametrize(
    "wrap",
    [
        lambda x: (x, 2 * x),
        lambda x: [x],
        lambda x: {"out": x, "aux": 1},
        lambda x: (None, "text", {"inner": (torch.ones(2, dtype=torch.int64), x)}),
    ],
    ids=["tuple", "list", "dict", "nested"],
)
def test_the_first_tensor_of_a_structure_is_the_response(wrap: Callable[[Tensor], Any]) -> None:
    x = torch.rand(2, 3)
    assert first_tensor(wrap(x)) is x
    selection = list_layers(watch(Net(Apply(wrap))))
    assert "middle" in names(selection)
    assert next(layer.shape for layer in selection.layers if layer.name == "middle") == (4, 7, 7)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: None, "no tensor"),
        (lambda x: "text", "no tensor"),
        (lambda x: x.argmax(1), "no tensor"),
        (lambda x: x > 0, "no tensor"),
        (lambda x: (), "no tensor"),
        (lambda x: x.mean(), "axis of images"),
        (lambda x: x.mean(0)[:3], "axis of images"),
        (lambda x: x[:, :0], "axis of images"),
        (lambda x: x - x.mean(0), "mixes"),
        (lambda x: x / x.std(), "mixes"),
        (lambda x: x.flip(0), "mixes"),
        (lambda x: x.mean(0), "no axis"),
        (lambda x: x.transpose(0, 1).contiguous(), "mixes"),
        (lambda x: torch.ones(4, 2), "no axis"),
    ],
)
def test_an_output_that_is_no_response_is_skipped_with_the_reason(
    function: Callable[[Tensor], Any], reason: str
) -> None:
    observer = watch(Net(Apply(function)))
    selection = select_layers(observer)
    assert names(selection) == ["conv", "fc"]
    assert list(selection.skipped) == ["middle"]
    assert reason in selection.skipped["middle"]
    with pytest.raises(UsageError, match="middle"):
        select_layers(observer, ["middle"])


def test_a_constant_of_zeros_is_not_a_response() -> None:
    # Such as a relative position bias before training: as many numbers for one image as for two.
    observer = watch(Net(Apply(lambda x: torch.zeros(4, 3))))
    assert names(select_layers(observer)) == ["conv", "fc"]
    assert len(measure(observer, values=2, parameters={"phase": 1}, device="cpu")) == 4


def test_a_module_that_is_never_called_is_skipped() -> None:
    model = Net(nn.Identity())
    model.unused = nn.Linear(2, 2)
    selection = select_layers(watch(model))
    assert names(selection) == ["conv", "fc"]
    assert list(selection.skipped) == ["unused"]


def test_skipped_layers_are_not_fatal_to_a_measurement() -> None:
    observer = watch(Net(Apply(lambda x: x - x.mean(0))))
    results = measure(observer, values=2, parameters={"phase": 1}, device="cpu")
    assert set(results.to_pandas().layer) == {"conv", "fc"}
    (record,) = results.runs.values()
    assert "mixes" in record["skipped_layers"]["middle"]


def test_a_layer_that_is_not_finite_is_named() -> None:
    with pytest.raises(MeasurementError, match="middle") as caught:
        list_layers(watch(Net(Apply(lambda x: x / 0))))
    assert "\n" not in str(caught.value)


def test_windowed_modules_of_a_swin_transformer_are_layers() -> None:
    import timm

    model = timm.create_model(
        "swin_tiny_patch4_window7_224",
        img_size=56,
        embed_dim=12,
        depths=(2, 2),
        num_heads=(2, 2),
        num_classes=5,
    )
    observer = Observer(model, input_size=(56, 56))
    selection = select_layers(observer, ["all"])
    windowed = [layer for layer in selection.layers if layer.name.endswith("attn.qkv")]
    assert len(windowed) == 4
    # 4 windows of 49 tokens for each image at the first stage, 3 * 12 features each.
    assert windowed[0].shape == (49, 36)
    assert windowed[0].n_features == 4 * 49 * 36
    assert selection.skipped == {}


# --- recording -------------------------------------------------------------------------------------


def stack(inplace: bool) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace), nn.Conv2d(4, 4, 3), nn.ReLU6(inplace)
        )
        nn.init.normal_(model[1].bias)
    return model.eval()


def record(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    seen: dict[str, Tensor] = {}
    modules = [name for name, _ in model.named_modules() if name]
    with torch.no_grad(), recording(model, modules, lambda name, out: seen.update({name: out.clone()})):
        model(images)
    return seen


def test_an_activation_in_place_does_not_change_the_layer_before_it() -> None:
    images = torch.rand(2, 3, 12, 12)
    apart, inplace = (record(stack(flag), images) for flag in (False, True))
    assert apart.keys() == inplace.keys()
    assert all(torch.equal(apart[name], inplace[name]) for name in apart)
    assert bool((inplace["1"] < 0).any())


@pytest.mark.parametrize("estimator", ["jvp", "central", "chained"])
def test_an_activation_in_place_does_not_change_a_measurement(estimator: str) -> None:
    tables = [
        measure(watch(stack(flag)), values=3, parameters={"phase": 2}, estimator=estimator, device="cpu")
        for flag in (False, True)
    ]
    first, second = (t.to_pandas().drop(columns="run_id") for t in tables)
    assert first.equals(second)


def test_hooks_are_gone_after_success(vit: Observer) -> None:
    before = hook_count(vit.model)
    select_layers(vit)
    measure(vit, values=2, parameters={"phase": 1}, device="cpu")
    assert hook_count(vit.model) == before == 0


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, ValueError])
def test_hooks_are_gone_after_an_exception(error: type[BaseException]) -> None:
    def fail(x: Tensor) -> Tensor:
        raise error("stop")

    model = Net(Apply(fail))
    with pytest.raises(error):
        record(model, torch.rand(1, 3, 16, 16))
    assert hook_count(model) == 0


def test_hooks_are_gone_when_receiving_fails() -> None:
    model = stack(False)

    def receive(name: str, output: Tensor) -> None:
        raise RuntimeError(name)

    with pytest.raises(RuntimeError, match=r"^3$"), recording(model, ["3", "4"], receive):
        model(torch.rand(1, 3, 12, 12))
    assert hook_count(model) == 0


def test_hooks_are_gone_when_a_name_is_wrong() -> None:
    model = stack(False)
    with pytest.raises(KeyError), recording(model, ["0", "nope"], lambda *_: None):
        pass
    assert hook_count(model) == 0


def test_hooks_are_gone_when_a_measurement_fails() -> None:
    class Late(nn.Module):
        """Fails on its third call: after the layers are listed, while it is measured."""

        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            if self.calls > 2:
                raise RuntimeError("first line\nsecond line")
            return x

    model = Net(Late())
    with pytest.raises(MeasurementError) as caught:
        measure(watch(model), values=2, parameters={"phase": 1}, device="cpu")
    assert "\n" not in str(caught.value)
    assert "first line" in str(caught.value)
    assert hook_count(model) == 0


def test_listing_layers_does_not_change_the_model(lite0: Observer) -> None:
    from psychophys.observers.viewer import hash_weights

    list_layers(lite0)
    assert hash_weights(lite0.model) == lite0.sha256
    assert not lite0.model.training


def test_default_modules_exist(lite0: Observer, vit: Observer) -> None:
    for observer in (lite0, vit):
        known = dict(observer.model.named_modules())
        assert set(default_modules(observer.model)) <= set(known)
