"""Networks that timm lacks: AlexNet as torchvision has it, versions of it, and two for 32 x 32 pixels.

They are registered with timm when this module is imported. Weights of them are to be given as a checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import timm
import torch
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn
from torch.nn import functional

Make = Callable[..., nn.Module]
_IMAGENET = {
    "num_classes": 1000,
    "input_size": (3, 224, 224),
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
    "first_conv": "features.0",
    "classifier": "classifier.6",
}
_CIFAR10 = {
    "num_classes": 10,
    "input_size": (3, 32, 32),
    "mean": (0.4914, 0.4822, 0.4465),
    "std": (0.2470, 0.2435, 0.2616),
    "crop_pct": 1.0,
}
default_cfgs = generate_default_cfgs(
    {
        "alexnet": _IMAGENET,
        "alexnet_nooverlap": _IMAGENET,
        "alexnet_nopool": _IMAGENET,
        "alexnet_circular": _IMAGENET,
        "alexnet_cifar": {**_CIFAR10, "first_conv": "features.0", "classifier": "classifier.6"},
        "resnet20_cifar": {**_CIFAR10, "first_conv": "conv1", "classifier": "fc"},
    }
)


def disc(width: int) -> Tensor:
    """1 at the positions of a square kernel whose centres are in its circle, 0 in its corners."""
    offset = torch.arange(width) - (width - 1) / 2
    return (offset[:, None] ** 2 + offset**2 <= (width / 2) ** 2).float()


class MaskedConv2d(nn.Conv2d):
    """A convolution without the corners of its kernels; the names in its state dict are those of Conv2d."""

    def __init__(self, inputs: int, outputs: int, width: int, **options: int) -> None:
        super().__init__(inputs, outputs, width, **options)  # type: ignore[arg-type]
        self.register_buffer("inside", disc(width), persistent=False)
        self.inside: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """As a convolution, whatever the weights in the corners are."""
        weight = self.weight * self.inside
        return functional.conv2d(images, weight, self.bias, self.stride, self.padding)


def _max_pool(_channels: int) -> list[nn.Module]:
    return [nn.MaxPool2d(3, 2)]


def _pool_apart(_channels: int) -> list[nn.Module]:
    return [nn.MaxPool2d(2, 2)]


def _stride(channels: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, channels, 3, padding=1, stride=2), nn.ReLU(inplace=True)]


class AlexNet(nn.Module):
    """Five convolutions and three linear layers, with the names and order of torchvision's.

    Parameters
    ----------
    pool
        What halves the image, for so many channels.
    conv
        The class of convolutions.
    first
        Width, stride and padding of the first one.
    grid, hidden
        Height and width of what the linear layers see, and how many units they have.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_rate: float = 0.5,
        *,
        pool: Callable[[int], list[nn.Module]] = _max_pool,
        conv: type[nn.Conv2d] = nn.Conv2d,
        first: tuple[int, int, int] = (11, 4, 2),
        grid: int = 6,
        hidden: int = 4096,
    ) -> None:
        super().__init__()
        width, stride, padding = first
        self.num_classes, self.num_features = num_classes, hidden
        self.features = nn.Sequential(
            conv(in_chans, 64, width, stride=stride, padding=padding),
            nn.ReLU(inplace=True),
            *pool(64),
            conv(64, 192, 5, padding=2),
            nn.ReLU(inplace=True),
            *pool(192),
            conv(192, 384, 3, padding=1),
            nn.ReLU(inplace=True),
            conv(384, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            conv(256, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            *pool(256),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((grid, grid))
        self.classifier = nn.Sequential(
            nn.Dropout(drop_rate),
            nn.Linear(256 * grid**2, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(drop_rate),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        grid: Tensor = self.avgpool(self.features(images))
        logits: Tensor = self.classifier(grid.flatten(1))
        return logits


class Residual(nn.Module):
    """Two convolutions and what goes past them: every other pixel, and zeros for channels that are new."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU(inplace=True)
        self.stride, self.more = stride, outputs - inputs

    def forward(self, images: Tensor) -> Tensor:
        """The sum of both ways, rectified."""
        past = images[:, :, :: self.stride, :: self.stride]
        if self.more:
            past = functional.pad(past, (0, 0, 0, 0, 0, self.more))
        inner = self.relu1(self.bn1(self.conv1(images)))
        summed: Tensor = self.relu2(self.bn2(self.conv2(inner)) + past)
        return summed


class ResNet20(nn.Module):
    """Three stages of three blocks: the network of 20 layers with which He et al. 2016 learned CIFAR-10."""

    def __init__(self, num_classes: int = 10, in_chans: int = 3) -> None:
        super().__init__()
        self.num_classes, self.num_features = num_classes, 64
        self.conv1 = nn.Conv2d(in_chans, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = self._stage(16, 16, 1)
        self.layer2 = self._stage(16, 32, 2)
        self.layer3 = self._stage(32, 64, 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @staticmethod
    def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
        blocks = [Residual(outputs, outputs, 1) for _ in range(2)]
        return nn.Sequential(Residual(inputs, outputs, stride), *blocks)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        images = self.relu(self.bn1(self.conv1(images)))
        images = self.layer3(self.layer2(self.layer1(images)))
        logits: Tensor = self.fc(self.avgpool(images).flatten(1))
        return logits


def _offer(make: Make) -> Make:
    """Register with timm, unless timm or a module of one's own has a network of that name."""
    return make if timm.is_model(make.__name__) else register_model(make)


def _build(network: type[nn.Module], name: str, pretrained: bool, options: dict[str, Any]) -> nn.Module:
    made = build_model_with_cfg(network, name, pretrained, **options)
    assert isinstance(made, nn.Module)
    return made


@_offer
def alexnet(pretrained: bool = False, **options: Any) -> nn.Module:
    """As torchvision has it."""
    return _build(AlexNet, "alexnet", pretrained, options)


@_offer
def alexnet_nooverlap(pretrained: bool = False, **options: Any) -> nn.Module:
    """Pools of 2 x 2 in place of 3 x 3, so that none sees what another sees; weights fit AlexNet's."""
    return _build(AlexNet, "alexnet_nooverlap", pretrained, {"pool": _pool_apart, **options})


@_offer
def alexnet_nopool(pretrained: bool = False, **options: Any) -> nn.Module:
    """Convolutions of stride 2, with ReLU, in place of pools."""
    return _build(AlexNet, "alexnet_nopool", pretrained, {"pool": _stride, **options})


@_offer
def alexnet_circular(pretrained: bool = False, **options: Any) -> nn.Module:
    """Kernels without corners: of those 11 and 5 pixels wide, as the corners of 3 x 3 are in the circle."""
    return _build(AlexNet, "alexnet_circular", pretrained, {"conv": MaskedConv2d, **options})


@_offer
def alexnet_cifar(pretrained: bool = False, **options: Any) -> nn.Module:
    """AlexNet for 32 x 32 pixels: a first convolution of 5 x 5 with stride 1, linear layers of 1024 units."""
    sizes = {"first": (5, 1, 2), "grid": 3, "hidden": 1024}
    return _build(AlexNet, "alexnet_cifar", pretrained, {**sizes, **options})


@_offer
def resnet20_cifar(pretrained: bool = False, **options: Any) -> nn.Module:
    """ResNet-20 for 32 x 32 pixels."""
    return _build(ResNet20, "resnet20_cifar", pretrained, options)
