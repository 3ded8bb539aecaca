"""A network made ready to be measured: copied, cast and in evaluation mode, it is the same function."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from psychophys.base.errors import ModelError, UsageError, first_line

_OVERRIDES = ("train", "eval", "to", "_apply", "float", "double")
"""Methods of modules by which a network could change what it computes when it is prepared."""
LEAST_TOLERANCE, EPS_TOLERANCE = 1e-3, 30.0
"""Of the output's norm, and of the spacing of the coarser numbers at 1: what preparing may change."""
MANY_GROUPS = 4
FEWEST_CONVOLUTIONS = 8
"""With fewer there is little to gain."""
_COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}


def refuse_unmeasurable(model: Any) -> None:
    """Raise :class:`UsageError` for what is no network with layers and derivatives."""
    if isinstance(model, torch.export.ExportedProgram):
        raise UsageError("an exported program", "Give the network that it was exported from.")
    if not isinstance(model, nn.Module):
        raise UsageError(
            f"a network of type {type(model).__name__}",
            "Give a torch.nn.Module, as of timm.create_model(...).",
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise UsageError(
            "a scripted network, whose layers cannot be watched",
            "Give the network that it was scripted from.",
        )
    for name, module in model.named_modules():
        kind = f"{type(module).__module__}.{type(module).__name__}"
        where = f"module {name} ({kind})" if name else kind
        if any(is_lazy(tensor) for tensor in module.parameters(recurse=False)):
            raise UsageError(f"{where} without its size", "Show the network an image first.")
        if ".quantized" in kind or any(t.is_quantized for t in module.parameters(recurse=False)):
            raise UsageError(
                f"a quantised network, {where}: integer arithmetic has no derivative",
                "Give the network that it was quantised from.",
            )
    if isinstance(model, torch.fx.GraphModule) and "eval" in vars(type(model)) | vars(model):
        raise UsageError("an exported network", "Give the network that it was exported from.")


def copied(model: nn.Module, name: str) -> nn.Module:
    """A copy that shares no tensor with the network."""
    memo: dict[int, Any] = {}
    for module in model.modules():
        for tensor in vars(module).values():
            # What a hook computes of the weights (weight norm) is no leaf, which deepcopy refuses.
            if isinstance(tensor, Tensor) and not tensor.is_leaf:
                memo[id(tensor)] = tensor.detach().clone()
    try:
        found = copy.deepcopy(model, memo)
        if {id(module) for module in model.modules()} & {id(module) for module in found.modules()}:
            raise TypeError("its copy holds the same modules")
        return found
    except Exception as error:
        raise ModelError(
            f"{name} cannot be copied ({first_line(error)})",
            "Give Observer(..., copy=False): the network itself is changed then.",
        ) from error


def shared(model: nn.Module) -> nn.Module:
    """A copy with the same weights, and buffers of its own; the network itself, where none can be made."""
    memo: dict[int, Any] = {id(weight): weight for weight in model.parameters()}
    for module in model.modules():
        # What a hook computes of the weights (weight norm) is no leaf, which deepcopy refuses.
        held = (t for t in vars(module).values() if isinstance(t, Tensor) and not t.is_leaf)
        memo |= {id(tensor): tensor.detach().clone() for tensor in held}
    try:
        return copy.deepcopy(model, memo)
    except Exception:  # What keeps a copy from being made is said where one is needed.
        return model


def prepare(
    model: nn.Module, device: torch.device, dtype: torch.dtype, image: Tensor, name: str
) -> nn.Module:
    """Move, cast and put in evaluation mode a network, in place.

    Numbers of more digits than its weights have are left to it: they are there for a reason. Weights are not
    frozen: there are networks that ask.

    Parameters
    ----------
    image
        What the network is shown before and after, (1, C, H, W), where there is anything to doubt.

    Raises
    ------
    ModelError
        Where it computes something else afterwards.
    """
    doubtful = _could_change(model, dtype)
    coarse = max(
        [torch.finfo(dtype).eps, *(torch.finfo(t.dtype).eps for t in _tensors(model) if _is_real(t))]
    )
    for module in model.modules() if doubtful else ():
        module.training = False  # By the flag alone, without any method of the network's own.
    before = _answer(shared(model), image) if doubtful else None
    _prepare(model, device, dtype)
    if before is None:
        return model
    allowed = max(LEAST_TOLERANCE, EPS_TOLERANCE * coarse)
    if _unlike(_answer(shared(model), image.to(device), times=1), before, allowed):
        after = _answer(shared(model), image.to(device))
        if after is None:  # No function any more, or none that runs: the contract says so.
            return model
        raise ModelError(
            f"{name} computes something else once it is cast to {str(dtype).removeprefix('torch.')} and in "
            "evaluation mode",
            "Look at its own train(), eval() and to(), or cast it yourself before.",
        )
    return model


def with_channels_last(model: nn.Module, image: Tensor) -> nn.Module:
    """The network with the weights of its convolutions in the order in which a CPU is fastest, in place.

    Their outputs come in that order then, too. Where the network minds (it looks at strides, or takes views
    that there are none of), it is left as it was.

    Parameters
    ----------
    image
        What the network is shown before and after, (1, C, H, W).
    """
    few = sum(1 for _ in _convolutions(model)) < FEWEST_CONVOLUTIONS
    if image.device.type != "cpu" or image.dtype != torch.float32 or few:
        return model
    before = _answer(shared(model), image)
    if before is None:
        return model
    lay_out(model, torch.channels_last)
    if _unlike(_answer(shared(model), image, times=1), before, LEAST_TOLERANCE):
        lay_out(model, torch.contiguous_format)
    return model


def _unlike(after: Tensor | None, before: Tensor, tolerance: float) -> bool:
    if after is None or after.shape != before.shape:
        return True
    return not bool((after - before).norm() <= tolerance * before.norm())


def lay_out(model: nn.Module, memory_format: torch.memory_format) -> None:
    """Lay the weights of a network's convolutions out in memory, in place."""
    for module in _convolutions(model):
        module.weight.data = module.weight.data.contiguous(memory_format=memory_format)


def _convolutions(model: nn.Module) -> Iterator[nn.Conv2d]:
    """Those with a weight of their own, and none that a hook computes."""
    return (m for m in model.modules() if isinstance(m, nn.Conv2d) and "weight" in m._parameters)


def _answer(model: nn.Module, image: Tensor, times: int = 2) -> Tensor | None:
    """The network's output, if it is a function of the image that runs here: the same so many times."""
    kinds = [t.dtype for t in _tensors(model) if _is_real(t)]
    image = image.to(kinds[0] if kinds else image.dtype)
    try:
        with torch.no_grad(), torch.random.fork_rng(), best_threads(model, image.device, image.dtype):
            found = [first_tensor(model(image.clone())) for _ in range(times)]
    except Exception:  # The measurement says what is wrong with it.
        return None
    first = found[0]
    if first is None or any(other is None or not torch.equal(first, other) for other in found):
        return None
    return first.detach().cpu().double()


@contextmanager
def best_threads(model: nn.Module, device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Compute with one thread where several would wait for each other most of the time.

    On a CPU all threads meet after each group of a convolution in float64.
    """
    before = torch.get_num_threads()
    grouped = (isinstance(m, nn.Conv2d) and m.groups >= MANY_GROUPS for m in model.modules())
    few = device.type == "cpu" and dtype == torch.float64 and any(grouped)
    try:
        if few:
            torch.set_num_threads(1)
        yield
    finally:
        if few:
            torch.set_num_threads(before)


def _prepare(model: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    if any(
        t.device.type != device.type or (device.index or 0) != (t.device.index or 0) for t in _tensors(model)
    ):
        model.to(device)
    if _to_be_cast(model, dtype):
        if any(t.is_complex() for t in _tensors(model)):
            # ``Module.to`` would drop imaginary parts.
            model._apply(lambda t: t.to(_type_of(t, dtype)))
        else:
            model.to(dtype)
    model.eval()  # What it returns is not looked at: some return nothing.


def _to_be_cast(model: nn.Module, dtype: torch.dtype) -> bool:
    weights: list[Tensor] = [*model.parameters()] or [*model.buffers()]
    if dtype == torch.float64:
        weights = _tensors(model)
    return any(_type_of(t, dtype) != t.dtype for t in weights)


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _is_real(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.numel() > 0


def _type_of(tensor: Tensor, dtype: torch.dtype) -> torch.dtype:
    if tensor.is_complex():
        return _COMPLEX[dtype]
    return dtype if tensor.is_floating_point() else tensor.dtype


def _could_change(model: nn.Module, dtype: torch.dtype) -> bool:
    """Whether preparing does more to it than to a network of PyTorch's own modules."""
    if _to_be_cast(model, dtype):
        return True
    return any(
        getattr(type(module), method) is not getattr(nn.Module, method)
        for module in model.modules()
        for method in _OVERRIDES
    )


def first_tensor(output: Any) -> Tensor | None:
    """The first floating-point tensor in a module's output, looking into tuples, lists and dicts."""
    if isinstance(output, Tensor):
        return output if output.is_floating_point() else None
    if isinstance(output, dict):
        output = list(output.values())
    if isinstance(output, (list, tuple)):
        for item in output:
            if (tensor := first_tensor(item)) is not None:
                return tensor
    return None
