"""Networks that draw random numbers, measured on purpose: every image meets the same ones.

With common random numbers a stochastic network is a function of the image, whatever the batch: the contract
holds of it, or says that numbers come from elsewhere (NumPy, a generator of its own).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

_ATEN = torch.ops.aten
_FILLED = {
    _ATEN.normal_.default,
    _ATEN.uniform_.default,
    _ATEN.exponential_.default,
    _ATEN.log_normal_.default,
    _ATEN.cauchy_.default,
    _ATEN.geometric_.default,
    _ATEN.random_.default,
    _ATEN.bernoulli_.float,
}
"""They write into a tensor without a look at what it holds."""
_LIKE = {_ATEN.rand_like.default: Tensor.uniform_, _ATEN.randn_like.default: Tensor.normal_}
_MADE = {_ATEN.rand.default: Tensor.uniform_, _ATEN.randn.default: Tensor.normal_}
"""Their first argument is a shape."""
_COMPARED = {_ATEN.bernoulli.default, _ATEN.bernoulli_.Tensor, _ATEN.bernoulli.p}


class _SameForAll(TorchDispatchMode):
    """Draw once, for one image, and give all images of a batch the same."""

    def __init__(self, images: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.images = images

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _FILLED:
            return args[0].copy_(func(self._blank(args[0]), *args[1:], **kwargs))
        if func in _LIKE:
            return torch.empty_like(args[0]).copy_(_LIKE[func](self._blank(args[0])))
        if func in _MADE:
            made = torch.empty(args[0], **kwargs)
            return made.copy_(_MADE[func](self._blank(made)))
        if func in _COMPARED:
            # Spikes where a number of all images is under the probability of each.
            chance = args[1] if len(args) > 1 else args[0]
            spikes = (self._blank(args[0]).uniform_() < chance).to(args[0].dtype)
            return args[0].copy_(spikes) if func is _ATEN.bernoulli_.Tensor else spikes
        if func is _ATEN.native_dropout.default and args[2]:
            kept = self._blank(args[0]).uniform_().expand(args[0].shape) >= args[1]
            return args[0] * kept / (1 - args[1]), kept
        return func(*args, **kwargs)

    def _blank(self, like: Tensor) -> Tensor:
        """To be filled: for one image, where there is one for each; in float64, whatever the type."""
        one = like.ndim > 0 and like.shape[0] == self.images
        dtype = torch.float64 if like.is_floating_point() else like.dtype
        shape = (1, *like.shape[1:]) if one else like.shape
        return torch.empty(shape, dtype=dtype, device=like.device)


def with_common_noise(model: nn.Module, seed: int) -> nn.Module:
    """Let every forward pass begin with the same random numbers, the same ones for every image, in place."""
    within: list[tuple[_SameForAll, Callable[[], None]]] = []

    def enter(_module: nn.Module, args: tuple[Any, ...]) -> None:
        state = torch.get_rng_state()
        devices = torch.cuda.get_rng_state_all()

        def restore() -> None:
            torch.set_rng_state(state)
            torch.cuda.set_rng_state_all(devices)

        torch.manual_seed(seed)
        mode = _SameForAll(len(args[0]))
        mode.__enter__()  # type: ignore[no-untyped-call]
        within.append((mode, restore))

    def leave(*_: Any) -> None:
        if within:
            mode, restore = within.pop()
            mode.__exit__(None, None, None)  # type: ignore[no-untyped-call]
            restore()

    model.register_forward_pre_hook(enter)
    model.register_forward_hook(leave, always_call=True)
    return model
