"""Small networks trained by ``psychophys learn``, and their checkpoints, which say what they are of.

A new architecture is one function of plain settings and one entry in the table.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from psychophys.base.errors import ModelError
from psychophys.base.files import write_atomically
from psychophys.observers.checkpoints import read_weights
from psychophys.observers.classics import disc

LEARNED = "learned"
"""Stands for the network that a checkpoint says it is of."""
FAMILIES = ("linear", "supervised", "autoencoder", "planted", "hue", "classifier", "rearing")
"""First words of the networks' names: those of the experiments."""
LONGEST_SIDE = 4096
MOST_CLASSES = 100_000
"""More cannot be meant."""
_KEY = "psychophys"


@dataclass(frozen=True)
class Described:
    """A network in plain values: all that is needed to make it, and to show it images.

    Attributes
    ----------
    name
        Written to the results as ``model``.
    architecture
        In :data:`ARCHITECTURES`.
    settings
        Of the architecture.
    input_size
        Height and width in pixels.
    mean, std
        Of one channel (grey networks) or three: see :class:`psychophys.Observer`.
    seed, step
        Of the training.
    """

    name: str
    architecture: str
    settings: Mapping[str, Any]
    input_size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    seed: int = 0
    step: int | None = None

    def build(self) -> nn.Module:
        """The network with weights that torch draws."""
        return ARCHITECTURES[self.architecture](**self.settings)


def is_learned(model: str) -> bool:
    """Whether a name is of a network that was trained by ``psychophys learn``."""
    family, _, rest = model.partition("-")
    return model == LEARNED or (family in FAMILIES and bool(rest))


def save_learned(described: Described, network: nn.Module, path: Path) -> None:
    """Write weights and description in one file that is read without running code."""
    plain = {**asdict(described), "settings": dict(described.settings)}
    state = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    write_atomically(path, partial(torch.save, {"state_dict": state, _KEY: plain}))


def load_learned(path: Path) -> tuple[Described, nn.Module]:
    """Read what :func:`save_learned` wrote.

    Raises
    ------
    ModelError
        For a file of something else, or a damaged one.
    """
    whole = read_weights(path)
    try:
        described, state = _checked(whole[_KEY]), whole["state_dict"]
        if described.architecture != "timm":
            # On no device: a description may ask for more memory than there is.
            with torch.device("meta"):
                _match(described.build(), state)
        network = described.build()
        network.load_state_dict(state)
    except Exception as error:
        raise ModelError(
            f"checkpoint {str(path)!r} is not of a network trained by psychophys ({type(error).__name__})",
            "Give a file written by `psychophys learn --checkpoints`, or name the model the file is of.",
        ) from error
    return described, network


def _match(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    if shapes != {name: tensor.shape for name, tensor in state.items()}:
        raise ValueError("tensors of other shapes")


def _checked(record: Any) -> Described:
    """The description in a file that anyone may have written; ValueError and the like if it is none."""
    name, step = record["name"], record["step"]
    mean, std, size = (tuple(record[key]) for key in ("mean", "std", "input_size"))
    whole = [record["seed"], *size, *([] if step is None else [step])]
    good = (
        isinstance(name, str)
        and name.isprintable()
        and is_learned(name)
        and len(size) == 2
        and all(isinstance(number, int) and 0 <= number < 2**63 for number in whole)
        and all(0 < side <= LONGEST_SIDE for side in size)
        and len(mean) == len(std)
        and len(mean) in (1, 3)
        and all(isinstance(number, float) and math.isfinite(number) for number in mean + std)
        and all(number > 0 for number in std)
    )
    if not good:
        raise ValueError("a description that cannot be")
    architecture, settings = record["architecture"], dict(record["settings"])
    return Described(name, architecture, settings, (size[0], size[1]), mean, std, record["seed"], step)


class Centre(nn.Module):
    """From grey images, (N, 1, H, W), to pixels less their mean over patches, (N, H * W)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.mean: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """Row by row, centred."""
        return images.flatten(1) - self.mean


def linear(size: int, layers: int) -> nn.Sequential:
    """Matrices without bias, of as many rows as columns: ``pixels``, then ``layer1`` to the last."""
    modules: OrderedDict[str, nn.Module] = OrderedDict(pixels=Centre(size))
    for place in range(1, layers + 1):
        modules[f"layer{place}"] = nn.Linear(size, size, bias=False)
    return nn.Sequential(modules)


def dense(widths: Sequence[int]) -> nn.Sequential:
    """Fully connected, with ReLU between: ``pixels``, ``layer1``, ``relu1`` ... to the logits."""
    modules: OrderedDict[str, nn.Module] = OrderedDict(pixels=nn.Flatten())
    for place in range(1, len(widths)):
        modules[f"layer{place}"] = nn.Linear(widths[place - 1], widths[place])
        if place < len(widths) - 1:
            modules[f"relu{place}"] = nn.ReLU()
    return nn.Sequential(modules)


class RoundConv2d(nn.Conv2d):
    """A convolution of stride 1 whose kernels are discs, so that their corners favour no orientation."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__(inputs, outputs, width, padding=width // 2)
        self.register_buffer("inside", disc(width))
        self.inside: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """As a convolution, without the kernels' corners."""
        return functional.conv2d(images, self.weight * self.inside, self.bias, padding=self.padding)


def convolutional(channels: Sequence[int], width: int, colours: int = 1) -> nn.Sequential:
    """Round convolutions with ReLU between, from images to images: ``conv1``, ``relu1`` ... ``output``."""
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for place, (inputs, outputs) in enumerate(zip((colours, *channels), channels, strict=False), start=1):
        modules[f"conv{place}"] = RoundConv2d(inputs, outputs, width)
        modules[f"relu{place}"] = nn.ReLU()
    modules["output"] = RoundConv2d(channels[-1], colours, width)
    return nn.Sequential(modules)


def from_timm(model: str, classes: int, channels: int) -> nn.Module:
    """A timm network for so many classes and channels, with random weights; nothing is downloaded."""
    if not timm.is_model(model) or not (0 < classes <= MOST_CLASSES and 0 < channels <= MOST_CLASSES):
        raise ValueError(f"{model} of {classes} classes and {channels} channels")
    network = timm.create_model(
        model.partition(".")[0], pretrained=False, num_classes=classes, in_chans=channels
    )
    assert isinstance(network, nn.Module)
    return network


ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "linear": linear,
    "dense": dense,
    "convolutional": convolutional,
    "timm": from_timm,
}
