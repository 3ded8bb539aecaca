"""AlexNet, its versions and networks for 32 x 32 pixels: what they compute, and their names."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

import psychophys
from psychophys.base.errors import UsageError
from psychophys.observers import classics
from psychophys.observers.layers import list_layers
from psychophys.observers.learned import from_timm
from psychophys.observers.load import load_observer
from psychophys.observers.names import Job

NAMES = sorted(classics.default_cfgs)


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    torch.manual_seed(0)
    network: nn.Module = torchvision.models.alexnet(weights=None).eval()
    return network


@pytest.fixture(scope="module")
def file(theirs: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "alexnet-owt-7be5be79.pth"
    torch.save(theirs.state_dict(), path)
    return path


def images(count: int = 2, side: int = 224) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_alexnet_answers_as_torchvisions_with_the_same_file(theirs: nn.Module, file: Path) -> None:
    observer = load_observer("alexnet", checkpoint=file)
    assert observer.adapted == ()
    assert torch.equal(observer.model(images()), theirs(images()))
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    assert torch.allclose(observer.preprocess(images()), (images() - mean) / std, atol=1e-6)


def by_hand(state: dict[str, Tensor], x: Tensor, pool: int) -> Tensor:
    """AlexNet with pools of so many pixels, each 2 from the last."""
    for place, (stride, padding, pooled) in {
        0: (4, 2, True), 3: (1, 2, True), 6: (1, 1, False), 8: (1, 1, False), 10: (1, 1, True)
    }.items():  # fmt: skip
        weight, bias = state[f"features.{place}.weight"], state[f"features.{place}.bias"]
        x = functional.conv2d(x, weight, bias, stride, padding).relu()
        x = functional.max_pool2d(x, pool, 2) if pooled else x
    assert x.shape[1:] == (256, 6, 6)
    x = x.flatten(1)
    for place in (1, 4):
        x = functional.linear(
            x, state[f"classifier.{place}.weight"], state[f"classifier.{place}.bias"]
        ).relu()
    return functional.linear(x, state["classifier.6.weight"], state["classifier.6.bias"])


@torch.no_grad()
@pytest.mark.parametrize(("name", "pool"), [("alexnet", 3), ("alexnet_nooverlap", 2)])
def test_pools_overlap_or_not(theirs: nn.Module, file: Path, name: str, pool: int) -> None:
    # 224 pixels give 55, then 27, 13 and 6 with both pools: the average before the linear layers is of one.
    answer = load_observer(name, checkpoint=file).model(images())
    assert torch.allclose(answer, by_hand(theirs.state_dict(), images(), pool), rtol=1e-4, atol=1e-6)


def test_strides_take_the_place_of_pools() -> None:
    observer = load_observer("alexnet_nopool", weights="random")
    selection = list_layers(observer)
    shapes = {layer.name: layer.shape for layer in selection.layers}
    assert not any(isinstance(m, nn.MaxPool2d) for m in observer.model.modules())
    sides = {0: (64, 55), 2: (64, 28), 4: (192, 28), 6: (192, 14), 8: (384, 14), 10: (256, 14), 14: (256, 7)}
    assert {p: shapes[f"features.{p}"][:2] for p in sides} == sides
    assert shapes["avgpool"] == (256, 6, 6)
    more = sum(9 * n * n + n for n in (64, 192, 256))
    assert _size(observer.model) == _size(timm.create_model("alexnet")) + more


@torch.no_grad()
def test_kernels_without_corners(file: Path) -> None:
    observer, square = (load_observer(f"alexnet{end}", checkpoint=file) for end in ("_circular", ""))
    assert observer.adapted == ()
    for (width, left), place in zip({11: 97, 5: 21, 3: 9}.items(), (0, 3, 6), strict=True):
        inside = torch.zeros(width, width)
        for row in range(width):
            for column in range(width):
                inside[row, column] = math.hypot(row + 0.5 - width / 2, column + 0.5 - width / 2) < width / 2
        assert int(inside.sum()) == left
        square.model.get_submodule(f"features.{place}").weight.mul_(inside)
    assert torch.equal(observer.model(images()), square.model(images()))


@torch.no_grad()
def test_resnet20_is_that_of_its_paper() -> None:
    network = timm.create_model("resnet20_cifar").eval()
    assert _size(network) == 269_722  # "0.27M" there.
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in network.modules()) == 20
    kept: dict[str, Tensor] = {}
    for name in ("layer1", "layer2.0"):
        network.get_submodule(name).register_forward_hook(lambda m, i, o, n=name: kept.update({n: o.clone()}))
    network.layer2[0].bn2.weight.zero_()
    network(images(side=32))
    # What goes past two convolutions that add nothing: every other pixel, and new channels of zero.
    assert torch.equal(kept["layer2.0"][:, :16], kept["layer1"][:, :, ::2, ::2])
    assert kept["layer1"].any()
    assert kept["layer2.0"].shape == (2, 32, 16, 16)
    assert not kept["layer2.0"][:, 16:].any()


def _size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_layers_numbers_are_those_before_anything_is_overwritten(name: str) -> None:
    side = 32 if "cifar" in name else 64
    torch.manual_seed(0)
    few = {} if name == "resnet20_cifar" else {"hidden": 64}
    networks = [timm.create_model(name, **few).double() for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    for module in networks[1].modules():
        if isinstance(module, nn.ReLU):
            assert module.inplace
            module.inplace = False
    asked = {"values": [20.0], "parameters": {"phase": [30.0]}, "layers": "all", "noise": "gaussian"}
    tables = [
        psychophys.measure(
            psychophys.Observer(network, input_size=(side, side), dtype="float64"), **asked, **estimator
        ).to_pandas()
        for network, estimator in zip(
            networks, ({"estimator": "jvp"}, {"estimator": "central", "step": 1e-6}), strict=True
        )
    ]
    ours, reference = (table.set_index(["layer", "value"])["sensitivity"] for table in tables)
    assert list(ours.index) == list(reference.index)
    assert (ours > 0).all()
    assert np.allclose(ours, reference, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_weights_must_be_given(name: str) -> None:
    for weights in ("pretrained", "shuffled"):
        with pytest.raises(UsageError, match=f"model {name} has no pretrained weights.*--checkpoint FILE"):
            load_observer(name, weights=weights)


def test_a_file_of_other_classes_and_channels_is_fitted(tmp_path: Path) -> None:
    torch.save({"state_dict": from_timm("alexnet_cifar", 7, 1).state_dict()}, tmp_path / "grey.pth")
    observer = load_observer("alexnet_cifar", checkpoint=tmp_path / "grey.pth", weights="shuffled")
    assert (observer.channels, observer.input_size) == (1, (32, 32))
    assert [line for line in observer.adapted if "7 classes" in line]
    assert observer.model(observer.preprocess(images(side=32))).shape == (2, 7)


@pytest.mark.parametrize("name", NAMES)
def test_crops_can_be_classified(name: str) -> None:
    assert from_timm(name, 4, 1).train()(torch.zeros(2, 1, 64, 64)).shape == (2, 4)


def test_random_weights_are_drawn_by_their_seed() -> None:
    one, same, other = (load_observer("resnet20_cifar", weights="random", seed=s) for s in (0, 0, 1))
    assert torch.equal(one.model.fc.weight, same.model.fc.weight)
    assert not torch.equal(one.model.fc.weight, other.model.fc.weight)


def test_a_process_that_loads_networks_knows_the_names() -> None:
    line = "from psychophys.observers.learned import from_timm; from_timm('resnet20_cifar', 4, 1)"
    subprocess.run([sys.executable, "-c", line], check=True)


def test_near_names_are_told() -> None:
    with pytest.raises(UsageError, match="alexnet_nopool"):
        Job("alexnet_nopol", "random")


def test_a_network_of_timm_keeps_its_name() -> None:
    before = timm.models.model_entrypoint("resnet18")

    def resnet18(**_: object) -> nn.Module:
        raise AssertionError

    assert classics._offer(resnet18) is resnet18
    assert timm.models.model_entrypoint("resnet18") is before


def test_a_part_that_was_trained_on_several_gpus_is_read(tmp_path: Path) -> None:
    """Scripts of torchvision wrap the features of AlexNet alone: the paper's trainings are named so."""
    network = timm.create_model("alexnet_cifar", num_classes=3)
    network.features = torch.nn.DataParallel(network.features)
    path = tmp_path / "epoch_3.pth.tar"
    torch.save({"state_dict": network.state_dict(), "epoch": 3}, path)
    assert "features.module.0.weight" in network.state_dict()
    read = load_observer("alexnet_cifar", checkpoint=path).model
    assert torch.equal(read.features[0].weight, network.features.module[0].weight)
