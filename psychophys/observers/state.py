"""What a network could remember: whether showing it something has changed it, or drawn random numbers."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def random_state() -> tuple[Any, ...]:
    """The state of every global source of random numbers."""
    kind, keys, place, *_ = np.random.get_state()  # noqa: NPY002
    own = torch.get_rng_state().numpy().tobytes()
    devices = tuple(state.numpy().tobytes() for state in torch.cuda.get_rng_state_all())
    if torch.backends.mps.is_available():
        devices = (*devices, torch.mps.get_rng_state().numpy().tobytes())
    return own, devices, random.getstate(), kind, np.asarray(keys).tobytes(), place


def has_changed(before: nn.Module, after: nn.Module) -> bool:
    """Whether modules hold other buffers, plain values or generators, or a collection of another length."""
    pairs = zip(before.modules(), after.modules(), strict=False)
    return any(_differs(vars(a), vars(b)) for a, b in pairs)


def _differs(before: dict[str, Any], after: dict[str, Any]) -> bool:
    if before.keys() != after.keys():
        return True
    return any(
        not _same(value, after[name])
        for name, value in before.items()
        if name not in ("_modules", "_parameters") and not name.endswith("_hooks")
    )


def _same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.shape == b.shape and torch.equal(a.detach(), b.detach())
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(value, b[key]) for key, value in a.items())
    if isinstance(a, torch.Generator) and isinstance(b, torch.Generator):
        return torch.equal(a.get_state(), b.get_state())
    if isinstance(a, np.random.Generator) and isinstance(b, np.random.Generator):
        return str(a.bit_generator.state) == str(b.bit_generator.state)
    if isinstance(a, random.Random) and isinstance(b, random.Random):
        return a.getstate() == b.getstate()
    if isinstance(a, (list, tuple, set)) and isinstance(b, (list, tuple, set)):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, (int, float, str, bytes, type(None))):
        return bool(a == b) or (a != a and b != b)  # noqa: PLR0124
    return True
