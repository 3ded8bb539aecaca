"""Models that end badly, each in its own way; for ``--import``."""

import ctypes
import os
import signal
import time
from collections.abc import Callable

import torch
from timm.models import register_model
from torch import Tensor, nn


class Odd(nn.Module):
    """A small network that does something at every forward pass."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.act = act
        self.pretrained_cfg = {"input_size": (3, 32, 32), "mean": (0.5,) * 3, "std": (0.5,) * 3}

    def forward(self, x: Tensor) -> Tensor:
        self.act()
        return self.conv(x).relu().mean((2, 3))


@register_model
def odd_segfault(pretrained: bool = False, **_: object) -> nn.Module:
    return Odd(lambda: ctypes.string_at(0))


@register_model
def odd_killed(pretrained: bool = False, **_: object) -> nn.Module:
    return Odd(lambda: os.kill(os.getpid(), signal.SIGKILL))


@register_model
def odd_hungry(pretrained: bool = False, **_: object) -> nn.Module:
    return Odd(lambda: torch.zeros(2**50))


@register_model
def odd_slow(pretrained: bool = False, **_: object) -> nn.Module:
    return Odd(lambda: time.sleep(1000))


@register_model
def odd_exit(pretrained: bool = False, **_: object) -> nn.Module:
    return Odd(lambda: os._exit(5))


@register_model
def odd_nan(pretrained: bool = False, **_: object) -> nn.Module:
    model = Odd(lambda: None)
    model.conv.weight.data[0, 0, 0, 0] = float("nan")
    return model


@register_model
def odd_typeerror(pretrained: bool = False, **_: object) -> nn.Module:
    return Odd(lambda: None + None)  # type: ignore[operator]


@register_model
def odd_loud(pretrained: bool = False, **_: object) -> nn.Module:
    return Odd(lambda: print("a model that prints"))


@register_model
def odd_pause(pretrained: bool = False, **_: object) -> nn.Module:
    return Odd(lambda: time.sleep(0.1))


@register_model
def odd_fine(pretrained: bool = False, **_: object) -> nn.Module:
    return Odd(lambda: None)
