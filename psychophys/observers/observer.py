"""Observers: a model with the preprocessing it was trained with, on a device, ready to be measured."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from psychophys.base.errors import ModelError, UsageError, unknown

DTYPES = {"float32": torch.float32, "float64": torch.float64}


class Observer:
    """A model that can be shown images in [0, 1].

    Parameters
    ----------
    model
        Any module that takes images of shape (N, 3, H, W). It is put in evaluation mode and its
        parameters stop requiring gradients.
    input_size
        Height and width in pixels.
    mean, std
        Of each channel, as in training: the model sees ``(image - mean) / std``.
    name, weights, seed
        Written to the results.
    source
        Where the weights are from.
    checkpoint, step
        The file they are from, and how far in training it was written.
    pretrained_cfg
        timm's record of the weights, kept in the results.

    Raises
    ------
    ModelError
        If a parameter or a running mean or variance is NaN or infinite, or another buffer NaN.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        input_size: tuple[int, int] = (224, 224),
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225),
        name: str = "",
        weights: str = "given",
        seed: int = 0,
        source: str = "module",
        checkpoint: str | None = None,
        step: int | None = None,
        pretrained_cfg: dict[str, Any] | None = None,
        device: str | torch.device = "cpu",
        dtype: str = "float32",
    ) -> None:
        if dtype not in DTYPES:
            raise unknown("dtype", dtype, DTYPES)
        self.name = name or type(model).__name__
        self.weights = weights
        self.seed = seed
        self.source = source
        self.checkpoint, self.step = checkpoint, step
        self.pretrained_cfg = pretrained_cfg or {}
        self.input_size = input_size
        self.device = torch.device(device)
        self.dtype = DTYPES[dtype]
        _refuse_non_finite(model, self.name)
        self.sha256 = hash_weights(model)
        self.model = model.to(self.device, self.dtype).eval().requires_grad_(False)
        self.channels = len(mean)
        self.mean, self.std = tuple(mean), tuple(std)
        self._mean = self._per_channel(mean)
        self._std = self._per_channel(std)

    def _per_channel(self, values: Sequence[float]) -> Tensor:
        if len(values) not in (1, 3) or not all(isinstance(v, (int, float)) for v in values):
            raise UsageError(f"mean and std {tuple(values)} of {self.name}", "Give one or three numbers.")
        return torch.tensor(values, dtype=self.dtype, device=self.device).reshape(1, -1, 1, 1)

    def preprocess(self, images: Tensor) -> Tensor:
        """Normalise RGB images in [0, 1], shape (N, 3, H, W), as the model was trained."""
        if self.channels == 1:
            images = images.mean(dim=1, keepdim=True)
        return (images - self._mean) / self._std


def hash_weights(model: nn.Module) -> str:
    """SHA-256 over names, shapes and bytes of every parameter and buffer."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        array = tensor.detach().cpu().contiguous()
        digest.update(f"{name}{tuple(array.shape)}{array.dtype}".encode())
        digest.update(array.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _refuse_non_finite(model: nn.Module, name: str) -> None:
    parameters = dict(model.named_parameters())
    for key, tensor in model.state_dict().items():
        if not tensor.is_floating_point():
            continue
        # A buffer may hold a limit that is infinite, but a batch's statistics may not.
        weighs = key in parameters or key.endswith(("running_mean", "running_var"))
        good = torch.isfinite(tensor) if weighs else ~torch.isnan(tensor)
        if not good.all():
            raise ModelError(
                f"weights of {name} are not finite: {key} has NaN or infinity",
                "Use another checkpoint: no derivative of this network means anything.",
            )


def pick_device(device: str = "auto") -> torch.device:
    """``auto`` takes CUDA, then MPS, then the CPU; other names are checked."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise unknown("device", device, ["auto", "cpu", "cuda", "cuda:0", "mps"]) from None
    if chosen.type not in ("cpu", "cuda", "mps"):
        raise unknown("device", device, ["auto", "cpu", "cuda", "cuda:0", "mps"])
    count = torch.cuda.device_count() if cuda else 0
    if chosen.type == "cuda" and (chosen.index or 0) >= count:
        have = f"{count} CUDA device{'s are' if count != 1 else ' is'} available here"
        raise UsageError(f"device {device} asked for, but {have}", "Use --device auto or cpu.")
    if chosen.type == "mps" and not mps:
        raise UsageError(f"device {device} asked for, but there is none", "Use --device auto or cpu.")
    return chosen
