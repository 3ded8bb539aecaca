"""Checkpoints as people have them: each gives exactly the network that was saved, or is refused."""

from __future__ import annotations

import argparse
import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
from inside import call_inside
from observers.filled import network
from torch import Tensor, nn

import psychophys
from psychophys.base.errors import ModelError, PsychophysError, UsageError
from psychophys.observers.checkpoints import find_checkpoints, hash_checkpoint
from psychophys.observers.layers import AFTER_NO_WEIGHTS, NO_WEIGHTS, list_layers, recording, select_layers
from psychophys.observers.load import load_observer
from psychophys.observers.matching import COUNTER
from psychophys.observers.names import Job
from psychophys.observers.observer import Observer
from psychophys.sweeps.tasks import Task

State = dict[str, Tensor]
SMALL = ("test_resnet", "test_vit", "test_convnext")
WIDE = ("test_resnet", "test_vit", "test_convnext", "test_efficientnet", "resnet18", "test_vit2")


def headless(model: nn.Module, *heads: str) -> State:
    heads = heads or ("fc.", "head.", "classifier.")
    return {key: tensor for key, tensor in model.state_dict().items() if not key.startswith(heads)}


def prefixed(state: State, prefix: str) -> State:
    return {prefix + key: tensor for key, tensor in state.items()}


def save(content: Any, folder: Path, name: str = "weights.pth") -> Path:
    path = folder / name
    if path.suffix == ".safetensors":
        safetensors.torch.save_file({k: v.contiguous() for k, v in content.items()}, path)
    else:
        torch.save(content, path)
    return path


def outputs(observer: Observer, modules: list[str] | None = None) -> dict[str, Tensor]:
    """What every module answers to two images, and the network itself."""
    height, width = observer.input_size
    images = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    names = [name for name, _ in observer.model.named_modules()] if modules is None else modules
    seen: dict[str, Tensor] = {}
    with torch.no_grad(), recording(observer.model, names, lambda n, out: seen.update({n: out.clone()})):
        observer.model(observer.preprocess(images.to(observer.dtype)))
    return seen


def assert_same(loaded: Observer, model: nn.Module, without: tuple[str, ...] = ()) -> None:
    """The same answer of every module as the network that was saved, but of modules in ``without``."""
    original = Observer(model, input_size=loaded.input_size, mean=loaded.mean, std=loaded.std)
    expected, found = outputs(original), outputs(loaded)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        if name and not any(name == w or name.startswith(w + ".") for w in without):
            assert torch.equal(found[name], tensor), name
    if not without:
        assert expected[""].std() > 0
        assert torch.equal(found[""], expected[""])


def refused(
    path: Path, *parts: str, model: str = "test_resnet", kind: type[PsychophysError] = ModelError
) -> str:
    with pytest.raises(kind) as caught:
        load_observer(model, checkpoint=path)
    text = str(caught.value)
    assert "\n" not in text
    for part in (str(path), *parts):
        assert part in text
    return text


# --- without a head --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*WIDE, "deit_tiny_distilled_patch16_224"])
def test_a_backbone_is_measured_without_its_head(name: str, tmp_path: Path) -> None:
    model = network(name)
    heads = {"deit_tiny_distilled_patch16_224": ("head.", "head_dist.")}.get(name, ())
    observer = load_observer(name, checkpoint=save(headless(model, *heads), tmp_path))
    tops = {key.partition(".")[0] for key in model.state_dict()} - {
        key.partition(".")[0] for key in headless(model, *heads)
    }
    assert_same(observer, model, tuple(tops))
    assert tops <= observer.without_weights
    assert all(name.partition(".")[0] in tops for name in observer.without_weights)
    (sentence,) = observer.adapted
    assert "no weights for" in sentence
    selection = select_layers(observer)
    assert selection.layers
    assert not tops & {layer.name.partition(".")[0] for layer in selection.layers}
    assert selection.skipped.keys() >= tops - {"head_dist"}
    assert set(selection.skipped.values()) <= {NO_WEIGHTS, AFTER_NO_WEIGHTS}


def test_the_layers_that_are_left_are_those_of_the_whole_network_and_differ_in_nothing(
    tmp_path: Path,
) -> None:
    model = network()
    whole, part = (
        load_observer("test_resnet", checkpoint=save(state, tmp_path, name))
        for state, name in ((model.state_dict(), "whole.pth"), (headless(model), "part.pth"))
    )
    names = [layer.name for layer in list_layers(whole).layers]
    assert [layer.name for layer in list_layers(part).layers] == [name for name in names if name != "fc"]
    one, other = (
        psychophys.measure(o, values=2, parameters={"phase": 1}, layers="layer*") for o in (whole, part)
    )
    assert one.to_pandas()["threshold"].equals(other.to_pandas()["threshold"])


def test_a_head_without_weights_does_not_depend_on_the_seed(tmp_path: Path) -> None:
    path = save(headless(network()), tmp_path)
    assert load_observer("test_resnet", checkpoint=path).sha256 == (
        load_observer("test_resnet", checkpoint=path, seed=3).sha256
    )


def test_a_part_of_the_head_keeps_what_comes_before_it(tmp_path: Path) -> None:
    model = network("test_convnext")
    observer = load_observer("test_convnext", checkpoint=save(headless(model, "head.fc."), tmp_path))
    assert observer.without_weights == {"head", "head.fc"}
    labels = [layer.name for layer in list_layers(observer).layers]
    assert "head.norm" in labels
    assert not {"head", "head.fc"} & set(labels)
    original = Observer(model, input_size=observer.input_size, mean=observer.mean, std=observer.std)
    found, expected = (outputs(o, ["head.norm"])["head.norm"] for o in (observer, original))
    assert torch.equal(found, expected)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_head_of_another_kind_is_left_out(prefix: str, tmp_path: Path) -> None:
    model = network()
    other = {"fc.0.weight": torch.ones(8, 96), "fc.2.weight": torch.ones(4, 8)}
    path = save(prefixed({**headless(model), **other}, prefix), tmp_path)
    observer = load_observer("test_resnet", checkpoint=path)
    assert_same(observer, model, ("fc",))
    assert observer.without_weights == {"fc"}


def test_a_classifier_of_other_features_is_left_out(tmp_path: Path) -> None:
    model = network()
    state = {**model.state_dict(), "fc.weight": torch.ones(7, 5), "fc.bias": torch.ones(7)}
    observer = load_observer("test_resnet", checkpoint=save(state, tmp_path))
    assert observer.without_weights == {"fc"}
    assert_same(observer, model, ("fc",))


def test_what_is_left_out_is_in_the_provenance_and_refused_when_named(tmp_path: Path) -> None:
    path = save(headless(network()), tmp_path)
    results = psychophys.measure("test_resnet", checkpoint=path, values=2, parameters={"phase": 1})
    (record,) = results.runs.values()
    assert record["adapted"] == ["the checkpoint has no weights for fc, which is not measured"]
    assert record["skipped_layers"] == {"fc": NO_WEIGHTS}
    assert "fc" not in set(results.to_pandas()["layer"])
    with pytest.raises(UsageError, match=r"no layer of test_resnet to measure in 'fc'.*no weights for it"):
        psychophys.measure("test_resnet", checkpoint=path, values=2, layers="fc")


class Late(nn.Module):
    """A network in which something without weights of its own comes after the head."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.act = nn.Conv2d(3, 4, 3), nn.ReLU()
        self.head, self.after = nn.Conv2d(4, 4, 1), nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.after(self.head(self.act(self.body(x)))))  # type: ignore[no-any-return]


def test_what_comes_after_missing_weights_is_left_out() -> None:
    selection = list_layers(Observer(Late(), input_size=(8, 8), without_weights={"head"}))
    assert [layer.name for layer in selection.layers] == ["body", "act"]
    assert selection.skipped == {"head": NO_WEIGHTS, "after": AFTER_NO_WEIGHTS, "act": AFTER_NO_WEIGHTS}


def test_tensors_missing_in_the_body_are_refused(tmp_path: Path) -> None:
    state = network().state_dict()
    for lost in ("conv1.0.weight", "layer4.0.bn1.running_mean"):
        less = {key: tensor for key, tensor in state.items() if key != lost}
        refused(save(less, tmp_path), "1 tensors missing", lost, "whole state dict")
        refused(save(headless_of(less), tmp_path), "1 tensors missing", lost)


def headless_of(state: State) -> State:
    return {key: tensor for key, tensor in state.items() if not key.startswith("fc.")}


# --- counters, keys and prefixes -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "resnet18"])
def test_counters_of_batches_may_be_missing(name: str, tmp_path: Path) -> None:
    model = network(name)
    path = save({k: v for k, v in model.state_dict().items() if not k.endswith(COUNTER)}, tmp_path)
    observer = load_observer(name, checkpoint=path)
    assert_same(observer, model)
    assert observer.adapted == ()


PREFIXES = (
    "model.", "net.", "network.", "module.", "backbone.", "encoder.", "_orig_mod.", "module._orig_mod.",
    "_orig_mod.module.", "model.module.", "model._orig_mod.backbone.", "module.encoder_q.", "a.b.c.d.e.",
)  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_a_prefix_of_every_name_is_taken_off(name: str, prefix: str, tmp_path: Path) -> None:
    model = network(name)
    path = save({"state_dict": prefixed(dict(model.state_dict()), prefix), "epoch": 3}, tmp_path, "x.ckpt")
    observer = load_observer(name, checkpoint=path)
    assert_same(observer, model)
    key, taken = observer.adapted
    assert "'state_dict'" in key
    assert f"the prefix {prefix!r}" in taken


def test_a_contrastive_checkpoint_gives_its_query_encoder(tmp_path: Path) -> None:
    query, momentum = network(seed=1), network(seed=2)
    own = {"fc.0.weight": torch.ones(8, 96), "fc.2.weight": torch.ones(4, 8)}
    state = prefixed({**headless(query), **own}, "module.encoder_q.")
    state |= prefixed({**headless(momentum), **own}, "module.encoder_k.")
    state |= {"module.queue": torch.ones(4, 16), "module.queue_ptr": torch.zeros(1, dtype=torch.long)}
    observer = load_observer("test_resnet", checkpoint=save({"state_dict": state}, tmp_path))
    assert_same(observer, query, ("fc",))
    text = " ".join(observer.adapted)
    assert "'module.encoder_q.' (as good: 'module.encoder_k.')" in text
    assert "were ignored (module.encoder_k." in text


def test_what_lies_beside_the_network_is_ignored_and_said(tmp_path: Path) -> None:
    model = network("test_vit")
    state = prefixed(headless(model), "backbone.")
    state |= {"head.mlp.0.weight": torch.ones(3, 64), "loss.center": torch.ones(1, 3)}
    observer = load_observer("test_vit", checkpoint=save(state, tmp_path))
    assert_same(observer, model, ("head",))
    assert "2 without it were ignored (head.mlp.0.weight, loss.center)" in observer.adapted[0]


def test_an_average_among_prefixes_goes_first(tmp_path: Path) -> None:
    raw, averaged = network(seed=1), network(seed=2)
    state = prefixed(dict(raw.state_dict()), "model.") | prefixed(
        dict(averaged.state_dict()), "model_ema.module."
    )
    assert_same(load_observer("test_resnet", checkpoint=save({"state_dict": state}, tmp_path)), averaged)


def test_an_averaged_model_of_torch_loads(tmp_path: Path) -> None:
    model = network()
    averaged = torch.optim.swa_utils.AveragedModel(model)
    observer = load_observer("test_resnet", checkpoint=save(averaged.state_dict(), tmp_path))
    assert_same(observer, model)
    assert "1 without it were ignored (n_averaged)" in observer.adapted[0]


KEYS = (
    "state_dict", "model_state_dict", "model", "net", "network", "weights", "params", "ema", "state_dict_ema",
    "model_ema", "teacher", "anything else",
)  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_weights_under_any_key_are_found(key: str, tmp_path: Path) -> None:
    model = network()
    training = {"epoch": 3, "args": argparse.Namespace(lr=0.1), "optimizer": momentum(model), "name": "x"}
    observer = load_observer("test_resnet", checkpoint=save({**training, key: model.state_dict()}, tmp_path))
    assert_same(observer, model)
    assert observer.adapted == (f"weights were read from the key {key!r}",)


def momentum(model: nn.Module) -> dict[str, Any]:
    """State of an optimiser that has made a step."""
    copy = network()
    optimizer = torch.optim.SGD(copy.parameters(), lr=0.1, momentum=0.9)
    for parameter in copy.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    state: dict[str, Any] = optimizer.state_dict()
    return state


@pytest.mark.parametrize("key", ["state_dict_ema", "model_ema", "ema", "ema_state_dict", "teacher"])
@pytest.mark.parametrize("other", ["state_dict", "model", "student"])
@pytest.mark.parametrize("first", [True, False])
def test_a_moving_average_goes_first(key: str, other: str, first: bool, tmp_path: Path) -> None:
    raw, averaged = network(seed=1), network(seed=2)
    content = {other: raw.state_dict(), key: averaged.state_dict()}
    path = save(content if first else dict(reversed(content.items())), tmp_path)
    observer = load_observer("test_resnet", checkpoint=path)
    assert_same(observer, averaged)
    assert observer.adapted == (f"weights were read from the key {key!r} (as good: {other!r})",)


def test_keys_within_keys_and_values_beside_tensors_are_looked_through(tmp_path: Path) -> None:
    model = network()
    inner = {"module": {**prefixed(dict(model.state_dict()), "model."), "version": 2}, "decay": 0.9}
    observer = load_observer("test_resnet", checkpoint=save({"ema": inner, "epoch": 1}, tmp_path))
    assert_same(observer, model)
    assert "'ema.module'" in observer.adapted[0]


def test_of_two_networks_in_a_file_the_one_that_fits_is_taken(tmp_path: Path) -> None:
    generator, judge = network("test_vit"), network("test_resnet")
    path = save({"first": generator.state_dict(), "second": judge.state_dict()}, tmp_path)
    assert_same(load_observer("test_vit", checkpoint=path), generator)
    assert_same(load_observer("test_resnet", checkpoint=path), judge)


def test_a_dictionary_that_holds_itself_ends(tmp_path: Path) -> None:
    model = network()
    content: dict[str, Any] = {"model": dict(model.state_dict())}
    content["self"] = content
    assert_same(load_observer("test_resnet", checkpoint=save(content, tmp_path)), model)


# --- channels, classes, images ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [*WIDE, "vit_tiny_r_s16_p8_224", pytest.param("tresnet_m", marks=pytest.mark.slow)]
)
def test_one_channel_is_shown_luminance(name: str, tmp_path: Path) -> None:
    model = network(name, in_chans=1)
    observer = load_observer(name, checkpoint=save(model.state_dict(), tmp_path))
    usual = timm.data.resolve_model_data_config(network(name))
    assert observer.mean == pytest.approx((sum(usual["mean"]) / 3,))
    assert observer.std == pytest.approx((sum(usual["std"]) / 3,))
    assert observer.channels == 1
    assert_same(observer, model)
    assert "one channel" in observer.adapted[0]
    images = torch.rand(1, 3, 8, 8)
    expected = (images.mean(1, keepdim=True) - observer.mean[0]) / observer.std[0]
    torch.testing.assert_close(observer.preprocess(images), expected)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("channels", [2, 4, 6, 13])
def test_other_numbers_of_channels_are_refused(name: str, channels: int, tmp_path: Path) -> None:
    path = save(network(name, in_chans=channels).state_dict(), tmp_path)
    refused(path, f"{channels} channels", "one channel (luminance) or three (RGB)", model=name)


VITS = [
    ("test_vit", 96), ("test_vit", 224), ("test_vit2", 64), ("vit_tiny_patch16_224", 384),
    ("deit_tiny_distilled_patch16_224", 160), ("vit_tiny_r_s16_p8_224", 384), ("eva02_tiny_patch14_224", 112),
    pytest.param("beitv2_base_patch16_224", 64, marks=pytest.mark.slow),
]  # fmt: skip


@pytest.mark.parametrize(("name", "size"), VITS)
def test_another_size_of_images_is_read_from_the_tokens(name: str, size: int, tmp_path: Path) -> None:
    model = network(name, img_size=size)
    observer = load_observer(name, checkpoint=save(model.state_dict(), tmp_path))
    assert observer.input_size == (size, size)
    assert_same(observer, model)
    assert f"{size} x {size} pixels" in observer.adapted[0]


def test_all_at_once(tmp_path: Path) -> None:
    model = network("test_vit", in_chans=1, img_size=96, num_classes=7)
    state = {key: tensor.half() for key, tensor in prefixed(dict(model.state_dict()), "net.").items()}
    model.load_state_dict({key.removeprefix("net."): tensor for key, tensor in state.items()})
    observer = load_observer("test_vit", checkpoint=save({"model": state}, tmp_path))
    assert_same(observer, model)
    assert (observer.input_size, observer.channels, len(observer.adapted)) == ((96, 96), 1, 6)
    assert outputs(observer)[""].shape == (2, 7)
    table = psychophys.measure(observer, values=2, parameters={"phase": 1}, layers=["blocks.0", "head"])
    assert (table.to_pandas()["threshold"] > 0).all()


@pytest.mark.parametrize("name", ["test_resnet", "deit_tiny_distilled_patch16_224"])
def test_another_number_of_classes_is_said(name: str, tmp_path: Path) -> None:
    model = network(name, num_classes=7)
    observer = load_observer(name, checkpoint=save(model.state_dict(), tmp_path))
    assert_same(observer, model)
    assert observer.adapted == ("the network was made for 7 classes, as the checkpoint's",)


def test_tokens_of_no_square_are_refused_with_both_shapes(tmp_path: Path) -> None:
    path = save(network("test_vit", img_size=(96, 64)).state_dict(), tmp_path)
    refused(path, "pos_embed: 1 x 25 x 64 in the file, 1 x 101 x 64 in the network", model="test_vit")


# --- formats and numbers ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_other_types_of_numbers_are_read_and_said(dtype: torch.dtype, name: str, tmp_path: Path) -> None:
    model = network().to(dtype)
    observer = load_observer("test_resnet", checkpoint=save(dict(model.state_dict()), tmp_path, name))
    assert_same(observer, model.float())
    assert observer.adapted == (f"numbers of type {str(dtype)[6:]} were read as float32",)


def test_weights_in_whole_numbers_are_refused(tmp_path: Path) -> None:
    state = network().state_dict()
    state["layer1.0.conv1.weight"] = state["layer1.0.conv1.weight"].mul(127).to(torch.int8)
    refused(save(state, tmp_path), "layer1.0.conv1.weight", "(int8) in the file")


def shard(model: nn.Module, folder: Path, count: int = 3) -> Path:
    """The index of a checkpoint in several files."""
    folder.mkdir(exist_ok=True)
    state, places = model.state_dict(), {}
    for part in range(count):
        name = f"model-{part + 1:05d}-of-{count:05d}.safetensors"
        kept = list(state)[part::count]
        save({key: state[key] for key in kept}, folder, name)
        places |= dict.fromkeys(kept, name)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
    return index


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
@pytest.mark.parametrize("folder", [True, False])
def test_shards_are_joined(name: str, folder: bool, tmp_path: Path) -> None:
    model = network(name)
    index = shard(model, tmp_path / "step_20")
    path = index.parent if folder else index
    observer = load_observer(name, checkpoint=path)
    assert_same(observer, model)
    assert observer.adapted == ()
    assert hash_checkpoint(path) in observer.source
    assert find_checkpoints(path) == [str(path)]
    assert observer.step == (20 if folder else None)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_folder_with_one_file_of_a_usual_name_loads(name: str, tmp_path: Path) -> None:
    model = network()
    path = save(dict(model.state_dict()), tmp_path, name)
    observer = load_observer("test_resnet", checkpoint=tmp_path)
    assert_same(observer, model)
    assert hash_checkpoint(tmp_path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_pattern_finds_folders_in_the_order_of_their_steps(tmp_path: Path) -> None:
    for step in (10, 2):
        shard(network(seed=step), tmp_path / f"step_{step}")
    (tmp_path / "step_1").mkdir()
    (tmp_path / "step_3.pth").touch()
    names = [Path(path).name for path in find_checkpoints(tmp_path / "step_*")]
    assert names == ["step_2", "step_3.pth", "step_10"]


def test_the_hash_covers_every_shard(tmp_path: Path) -> None:
    index = shard(network(), tmp_path)
    task = partial(Task, psychophys.plan(), Job("test_resnet", checkpoint=str(index)))
    hashes, keys = {hash_checkpoint(index)}, {task().key}
    for path in sorted(tmp_path.glob("*.safetensors")):
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        hashes.add(hash_checkpoint(index))
        keys.add(task().key)
        path.write_bytes(data)
    assert len(hashes) == len(keys) == 4
    assert hash_checkpoint(index) in hashes


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"weight_map": {}}', '{"weight_map": {"a": "../b"}}', '{"weight_map": {"a": 1}}',
     '{"weight_map": ["a"]}', '{"weight_map": {"a": ""}}'],
)  # fmt: skip
def test_a_file_that_is_no_index_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(content)
    refused(path, "not an index of shards")


def test_incomplete_shards_are_refused(tmp_path: Path) -> None:
    index = shard(network(), tmp_path)
    gone = tmp_path / "model-00002-of-00003.safetensors"
    data = gone.read_bytes()
    gone.write_bytes(data[:100])
    with pytest.raises(ModelError, match=r"00002-of-00003.*was not loaded"):
        load_observer("test_resnet", checkpoint=index)
    gone.unlink()
    refused(index, "lacks 1 of 3 shards", gone.name)
    refused(tmp_path, "lacks 1 of 3 shards")
    gone.write_bytes((tmp_path / "model-00001-of-00003.safetensors").read_bytes())
    refused(index, "tensors that no shard holds")


def test_one_shard_alone_is_refused_with_the_remedy(tmp_path: Path) -> None:
    shard(network(), tmp_path)
    refused(tmp_path / "model-00001-of-00003.safetensors", "missing", "one shard of several", "index")


# --- refusals --------------------------------------------------------------------------------------


def test_a_deeper_network_is_refused_with_names(tmp_path: Path) -> None:
    for prefix in ("", "module."):
        state = prefixed(dict(timm.create_model("resnet34").state_dict()), prefix)
        text = refused(save(state, tmp_path), "unknown (layer1.2.", "Name the model", model="resnet18")
        assert "missing" not in text
        assert "ignored" not in text


def test_another_width_is_refused_with_both_shapes(tmp_path: Path) -> None:
    path = save(timm.create_model("vit_small_patch16_224").state_dict(), tmp_path)
    refused(
        path,
        "cls_token: 1 x 1 x 384 in the file, 1 x 1 x 192 in the network",
        "Name the model",
        model="vit_tiny_patch16_224",
    )


def test_names_of_another_library_are_refused_with_a_hint(tmp_path: Path) -> None:
    state = {f"vit.encoder.layer.{i}.attention.query.weight": torch.ones(2, 2) for i in range(4)}
    refused(save(state, tmp_path), "4 unknown (vit.encoder.layer.0.", "another library")


def test_tensors_too_many_are_refused_without_a_prefix(tmp_path: Path) -> None:
    state = {**network().state_dict(), "mask_token": torch.ones(1), "decoder.0.weight": torch.ones(1)}
    refused(save(state, tmp_path), "2 unknown (mask_token, decoder.0.weight)", "alone")


def test_strange_names_stay_on_one_short_line(tmp_path: Path) -> None:
    state = {**network().state_dict(), "a\n\x1bb" * 300: torch.ones(1)}
    text = refused(save(state, tmp_path), "1 unknown (a??b")
    assert text.isprintable()
    assert len(text) < 600 + len(str(tmp_path))


def test_objects_in_a_file_are_named(tmp_path: Path) -> None:
    content = {"state_dict": network().state_dict(), "path": Path("x")}
    refused(save(content, tmp_path), "Python objects (pathlib", "state dict alone")
    refused(save(network(), tmp_path), "Python objects (")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "is not a file and holds no model.safetensors.index.json", kind=UsageError)


# --- the command line ------------------------------------------------------------------------------


def test_the_command_line_says_what_was_adapted_once(tmp_path: Path) -> None:
    for step in (1, 2):
        save({"model_state_dict": headless(network(seed=step))}, tmp_path, f"epoch_{step}.pth")
    words = ("--values", "2", "--phases", "1", "-o", "t.parquet")
    done = call_inside("measure", "test_resnet", "--checkpoint", "epoch_*.pth", *words, cwd=tmp_path)
    assert done.returncode == 0
    for text in (done.stderr.decode(), call_inside("show", "t.parquet", cwd=tmp_path).stdout.decode()):
        assert text.count("adapted: weights were read from the key 'model_state_dict'") == 1
        assert text.count("adapted: the checkpoint has no weights for fc, which is not measured") == 1
        assert f"not measured ({NO_WEIGHTS}): fc" in text
    done = call_inside("layers", "test_resnet", "--checkpoint", "epoch_1.pth", cwd=tmp_path)
    assert "adapted: the checkpoint has no weights for fc" in done.stderr.decode()
    assert f"not a layer: fc: {NO_WEIGHTS}" in done.stderr.decode()


def test_the_command_line_takes_a_folder_of_shards(tmp_path: Path) -> None:
    shard(network(), tmp_path / "step_20")
    words = ("--checkpoint", "step_20", "--values", "2", "--phases", "1", "-o", "t.csv")
    assert call_inside("measure", "test_resnet", *words, cwd=tmp_path).returncode == 0
    assert ',"step_20",20,' in (tmp_path / "t.csv").read_text()
