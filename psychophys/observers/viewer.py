"""A network with the preprocessing it was trained with, on a device, ready to be shown images."""

from __future__ import annotations

import copy
import hashlib
import pickle
from collections.abc import Collection, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from psychophys.base.errors import ModelError, UsageError, unknown
from psychophys.observers.arithmetic import ARITHMETIC, Arithmetic, computing
from psychophys.observers.common_noise import with_common_noise
from psychophys.observers.devices import DTYPES, check_numbers
from psychophys.observers.prepare import (
    copied,
    lay_out,
    prepare,
    refuse_unmeasurable,
    shared,
    with_channels_last,
)

_LICENSED = ("pretrained", "shuffled")
"""Weights that are those of a model's configuration."""


class Viewer:
    """A network with its preprocessing, ready to be shown images: see :class:`psychophys.Observer`."""

    def __init__(
        self,
        model: nn.Module,
        *,
        input_size: int | Sequence[int] = (224, 224),
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225),
        name: str = "",
        weights: str = "given",
        seed: int = 0,
        source: str = "module",
        checkpoint: str | None = None,
        step: int | None = None,
        pretrained_cfg: dict[str, Any] | None = None,
        adapted: Sequence[str] = (),
        without_weights: Collection[str] = (),
        device: str | torch.device = "cpu",
        dtype: str | torch.dtype = "float32",
        arithmetic: str | Arithmetic = "exact",
        noise_seed: int | None = None,
        copy: bool = True,
    ) -> None:
        refuse_unmeasurable(model)
        word = str(dtype).removeprefix("torch.")
        if word not in DTYPES:
            raise unknown("dtype", word, DTYPES)
        self.name = name or type(model).__name__
        self.weights = weights
        self.seed = seed
        self.source = source
        self.checkpoint, self.step = checkpoint, step
        self.pretrained_cfg = pretrained_cfg or {}
        self.adapted, self.without_weights = tuple(adapted), frozenset(without_weights)
        self.device = torch.device(device)
        self.dtype = DTYPES[word]
        check_numbers(self.device, self.dtype)
        self.arithmetic, self.noise_seed = ARITHMETIC.find(arithmetic), noise_seed
        self.mean, self.std = self._numbers("mean", mean), self._numbers("std", std)
        self.channels = len(self.mean)
        if len(self.std) != self.channels:
            raise UsageError(f"{self.channels} means and {len(self.std)} std of {self.name}", "Give as many.")
        self.input_size = _size(input_size, self.channels)
        self._mean, self._std = self._per_channel(self.mean), self._per_channel(self.std)
        self.known: dict[str, Any] = {}
        """What was found out about it: its layers, and what the contract found of them."""
        _refuse_non_finite(model, self.name)
        self.sha256 = hash_weights(model)
        self.n_parameters = sum(parameter.numel() for parameter in model.parameters())
        if not list(model.children()):
            model = nn.Sequential(model)
        image = torch.rand(1, 3, *self.input_size, generator=torch.Generator().manual_seed(0))
        with computing():  # What preparing changes is not to be told from rounding.
            own = copied(model, self.name) if copy else model
            if noise_seed is not None:
                own = with_common_noise(own, noise_seed)
            shown = self.preprocess(image.to(self.device, self.dtype)).cpu()
            made = prepare(own, self.device, self.dtype, shown, self.name)
            self.model = with_channels_last(made, shown.to(self.device))
        self.unused = shared(self.model)
        """The network as it is before it has seen anything."""

    @property
    def license(self) -> str | None:
        """Of the weights, as timm or the model's own configuration names it; None where it is not known.

        Weights that are drawn, from a checkpoint or given are not those that the configuration is of.
        """
        if self.checkpoint is not None or self.weights not in _LICENSED:
            return None
        # The embedded weights' package states none in its metadata; its licence file and timm name the same.
        stated = self.pretrained_cfg.get("license")
        return stated if isinstance(stated, str) and stated not in ("", "unknown") else None

    def _numbers(self, what: str, values: Sequence[float]) -> tuple[float, ...]:
        numbers = tuple(values) if isinstance(values, Sequence) else (values,)
        if len(numbers) not in (1, 3) or not all(isinstance(v, (int, float)) for v in numbers):
            raise UsageError(f"{what} {numbers} of {self.name}", "Give one or three numbers.")
        return numbers

    def _per_channel(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=self.dtype, device=self.device).reshape(1, -1, 1, 1)

    def double(self) -> Self:
        """The same observer in float64, with a network of its own; on the CPU where its device has none."""
        wide = copy.copy(self)
        wide.dtype, wide.known = torch.float64, {}
        wide.device = torch.device("cpu") if self.device.type == "mps" else self.device
        wide._mean, wide._std = wide._per_channel(self.mean), wide._per_channel(self.std)
        shown = wide.preprocess(torch.zeros(1, 3, *self.input_size, dtype=wide.dtype, device=wide.device))
        with computing():
            own = copied(self.unused, self.name)
            lay_out(own, torch.contiguous_format)  # A CPU's convolutions in float64 are thrice as fast so.
            wide.model = prepare(own, wide.device, wide.dtype, shown, self.name)
        wide.unused = shared(wide.model)
        return wide

    def fresh(self) -> Self:
        """The same observer with a network that has seen nothing."""
        found = copy.copy(self)
        found.model = shared(self.unused)
        return found

    def preprocess(self, images: Tensor) -> Tensor:
        """Normalise RGB images in [0, 1], shape (N, 3, H, W), as the model was trained."""
        if self.channels == 1:
            images = images.mean(dim=1, keepdim=True)
        return (images - self._mean) / self._std


def _size(given: int | Sequence[int], channels: int) -> tuple[int, int]:
    """Height and width."""
    sides = (given, given) if isinstance(given, int) else tuple(given)
    if len(sides) == 3 and sides[0] == channels:
        sides = sides[1:]
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise UsageError(f"input_size {given}", "Give height and width in pixels, as (224, 224).")
    return sides


def hash_weights(model: nn.Module) -> str:
    """SHA-256 over names, shapes and bytes of every parameter and buffer."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if not isinstance(tensor, Tensor):  # A module's extra state.
            digest.update(f"{name}".encode() + pickle.dumps(tensor))
            continue
        array = tensor.detach().cpu().contiguous()
        digest.update(f"{name}{tuple(array.shape)}{array.dtype}".encode())
        digest.update(array.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _refuse_non_finite(model: nn.Module, name: str) -> None:
    parameters = dict(model.named_parameters())
    for key, tensor in model.state_dict().items():
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            continue
        # A buffer may hold a limit that is infinite, but a batch's statistics may not.
        weighs = key in parameters or key.endswith(("running_mean", "running_var"))
        good = torch.isfinite(tensor) if weighs else ~torch.isnan(tensor)
        if not good.all():
            raise ModelError(
                f"weights of {name} are not finite: {key} has NaN or infinity",
                "Use another checkpoint: no derivative of this network means anything.",
            )
