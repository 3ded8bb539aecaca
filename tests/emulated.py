"""A GPU that is not there: tensors that say ``cuda:0`` over numbers of the CPU, with a GPU's own refusals.

Every operation runs on the CPU's numbers, so that a whole measurement must come out as the CPU's does.
Refused is what CUDA refuses: tensors of two devices in one operation (a CPU number without axes is let
through), a
generator of the other device, ``.numpy()``. Counted is what makes the host wait for a GPU, with the line of
the package that asks.

To PyTorch itself the tensors are on its device ``meta``, which needs no driver: its engine of reverse mode
then runs them in the calling thread, and its functions that are made of others ask for new tensors there too.
Python is told ``cuda:0``. What PyTorch does for CUDA alone (cuDNN, fused attention, autocast, streams) is
therefore not tried.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_map_only

import psychophys

GPU, INSIDE, CPU = torch.device("cuda:0"), torch.device("meta"), torch.device("cpu")
PACKAGE = str(Path(psychophys.__file__).parent)
aten = torch.ops.aten
WAITING = (aten._local_scalar_dense, aten.equal, aten.nonzero, aten.masked_select)
"""Whose result's value or shape the host must know."""
MAY_MIX = (aten._to_copy, aten.copy_, aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_)
FROM_DATA = (torch.tensor, torch.as_tensor, torch.asarray, torch.Tensor.new_tensor)


class OnGpu(torch.Tensor):
    """Numbers of the CPU, as a tensor of the first GPU."""

    numbers: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, numbers: torch.Tensor) -> OnGpu:
        place = numbers.size(), numbers.stride(), numbers.storage_offset()
        return torch.Tensor._make_wrapper_subclass(cls, *place, dtype=numbers.dtype, device=INSIDE)

    def __init__(self, numbers: torch.Tensor) -> None:
        self.numbers = numbers

    def __repr__(self, **_options: Any) -> str:
        return f"OnGpu({self.numbers})"

    def numpy(self, *_options: Any, **_more: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __deepcopy__(self, memo: dict[int, Any]) -> torch.Tensor:
        copied: torch.Tensor = OnGpu(self.numbers.clone())
        if isinstance(self, torch.nn.Parameter):
            copied = torch.nn.Parameter(copied, self.requires_grad)
        memo[id(self)] = copied
        return copied

    # What makes ``Module.to`` exchange tensors, and not the insides of one.
    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["numbers"], None

    @staticmethod
    def __tensor_unflatten__(parts: dict[str, torch.Tensor], *_more: Any) -> OnGpu:
        return OnGpu(parts["numbers"])

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {}, [])


def compute(func: Any, args: Any, kwargs: dict[str, Any], waits: list[str]) -> Any:
    """Run an operation on the CPU's numbers; its results are on the device that they would be on."""
    packet, asked = func.overloadpacket, kwargs.get("device")
    given = [item for item in tree_flatten((args, kwargs))[0] if isinstance(item, torch.Tensor)]
    here = [tensor for tensor in given if isinstance(tensor, OnGpu)]
    on_gpu = bool(here) if asked is None else asked == INSIDE
    refuse(func, args, kwargs, here, given, on_gpu=on_gpu)
    fetched = packet in (aten._to_copy, aten.copy_) and not (on_gpu and isinstance(args[0], OnGpu))
    # A mask's result is as long as the mask says.
    masked = packet in MAY_MIX[2:] and any(t.dtype == torch.bool for t in here[1:])
    if here and (packet in WAITING or fetched or masked):
        waits.append(caller())
    if packet is aten._fused_sdp_choice:
        return 0  # The plain one: the CPU's fused kernels are not a GPU's.
    if packet is aten._efficientzerotensor:
        func = aten.zeros.default
    plain_args, plain = tree_map_only(OnGpu, lambda t: t.numbers, (args, dict(kwargs)))
    if asked is not None:
        plain["device"] = CPU
    found = func(*plain_args, **plain)
    if "out" in kwargs:
        return kwargs["out"]
    if func._schema.is_mutable and found is plain_args[0]:
        return args[0]
    return tree_map(lambda t: OnGpu(t) if isinstance(t, torch.Tensor) else t, found) if on_gpu else found


def refuse(func: Any, args: Any, kwargs: Any, here: list[Any], given: list[Any], *, on_gpu: bool) -> None:
    """Raise what CUDA does."""
    packet, others = func.overloadpacket, [t for t in given if not isinstance(t, OnGpu)]
    if here and packet not in MAY_MIX and any(t.ndim for t in others):
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two, cuda:0 and cpu ({func})"
        )
    if here and packet in MAY_MIX[2:] and not isinstance(args[0], OnGpu):
        raise RuntimeError(
            "indices should be either on cpu or on the same device as the indexed tensor (cpu)"
        )
    generator = kwargs.get("generator")
    if on_gpu and generator is not None:
        raise RuntimeError(f"Expected a 'cuda' device type for generator but found '{generator.device}'")


def caller() -> str:
    """File and line of the first frame within the package, beside the one that all functions pass through."""
    frame: Any = sys._getframe()
    while frame is not None and (
        not frame.f_code.co_filename.startswith(PACKAGE) or frame.f_code.co_name == "__torch_function__"
    ):
        frame = frame.f_back
    return "elsewhere" if frame is None else f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


class _Operations(TorchDispatchMode):
    """Operations: of tensors that are given, and those that make new ones."""

    def __init__(self, waits: list[str]) -> None:
        super().__init__()
        self.waits = waits

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {}, self.waits)


def _inside(item: Any) -> Any:
    """The device that PyTorch is told in place of a GPU."""
    named = isinstance(item, torch.device) or (isinstance(item, str) and item.partition(":")[0] == "cuda")
    return INSIDE if named and torch.device(item).type == "cuda" else item


class _Names(TorchFunctionMode):
    """Python's view: devices by the name that they have for it."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func == torch.Tensor.device.__get__:
            return GPU if (found := func(*args)) == INSIDE else found
        if func == torch.Tensor.is_cuda.__get__:
            return func(*args) or args[0].device == INSIDE
        if func == torch.Tensor.cuda:
            return args[0].to(INSIDE)
        if func is torch.device:
            return func(*args, **(kwargs or {}))
        args, kwargs = tree_map(_inside, args), {k: _inside(v) for k, v in (kwargs or {}).items()}
        if func in FROM_DATA and kwargs.get("device") == INSIDE:
            return func(*args, **{**kwargs, "device": CPU}).to(INSIDE)
        return func(*args, **kwargs)


@contextmanager
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Have a GPU for a while; the list fills with who made the host wait for it."""
    state = torch.get_rng_state()
    facts = {
        "is_available": True,
        "is_initialized": True,
        "device_count": 1,
        "get_device_name": "emulated",
        "manual_seed_all": None,
        "get_rng_state": state,
        "get_rng_state_all": [state],
        "set_rng_state": None,
        "empty_cache": None,
        "is_current_stream_capturing": False,
    }
    waits: list[str] = []
    with monkeypatch.context() as patch, _Names(), _Operations(waits):
        for name, value in facts.items():
            patch.setattr(torch.cuda, name, lambda *_a, value=value, **_k: value)
        # Optimizers ask it for streams.
        patch.setattr(torch.accelerator, "current_accelerator", lambda *_a, **_k: None)
        yield waits
