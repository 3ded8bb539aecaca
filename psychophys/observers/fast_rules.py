"""Forward-mode derivatives through a network, near the cost of two forward passes.

``torch.autograd.forward_ad`` is exact but spends several passes over memory in batch
normalisation, convolution and clamped activations. Inside :class:`FastRules` these compute the
response and its derivative with one call each; every other operation keeps PyTorch's own rule.
The tests compare the two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode

Rule = Callable[..., Any]


def _is_dual(tensor: Tensor | None) -> bool:
    return tensor is not None and forward_ad.unpack_dual(tensor).tangent is not None


def _convolution(
    function: Rule, x: Tensor, weight: Tensor, bias: Tensor | None = None, *a: Any, **k: Any
) -> Any:
    response, tangent = forward_ad.unpack_dual(x)
    # Weights may depend on the stimulus too (conditional convolution): leave those to PyTorch.
    if tangent is None or _is_dual(weight) or _is_dual(bias):
        return NotImplemented
    return forward_ad.make_dual(
        function(response, weight, bias, *a, **k), function(tangent, weight, None, *a, **k)
    )


def _linear(function: Rule, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    return _convolution(function, x, weight, bias)


def _batch_norm(
    function: Rule,
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    response, tangent = forward_ad.unpack_dual(x)
    varies = _is_dual(weight) or _is_dual(bias)
    if tangent is None or varies or training or running_mean is None or running_var is None:
        return NotImplemented
    gain = torch.rsqrt(running_var + eps)
    if weight is not None:
        gain = gain * weight
    y = function(response, running_mean, running_var, weight, bias, False, momentum, eps)
    return forward_ad.make_dual(y, tangent * gain.reshape(1, -1, *[1] * (x.ndim - 2)))


def _clamp(low: float, high: float | None) -> Rule:
    def rule(_function: Rule, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        response, tangent = forward_ad.unpack_dual(x)
        # The argument of an in-place activation may be read again: what writes into it is PyTorch's.
        # So is what comes with limits of its own, as extra arguments.
        if tangent is None or any(extra is not False for extra in (*args, *kwargs.values())):
            return NotImplemented
        if high is None:
            slope = torch.ops.aten.threshold_backward(tangent, response, low)
        else:
            slope = torch.ops.aten.hardtanh_backward(tangent, response, low, high)
        return forward_ad.make_dual(torch.clamp(response, low, high), slope)

    return rule


def _hardtanh(
    _function: Rule,
    x: Tensor,
    min_val: float = -1.0,
    max_val: float = 1.0,
    inplace: bool = False,
) -> Any:
    response, tangent = forward_ad.unpack_dual(x)
    if tangent is None or inplace:
        return NotImplemented
    slope = torch.ops.aten.hardtanh_backward(tangent, response, min_val, max_val)
    return forward_ad.make_dual(torch.clamp(response, min_val, max_val), slope)


RULES: dict[Any, Rule] = {
    F.conv2d: _convolution,
    F.linear: _linear,
    F.batch_norm: _batch_norm,
    F.relu: _clamp(0.0, None),
    F.relu6: _clamp(0.0, 6.0),
    F.hardtanh: _hardtanh,
}


class FastRules(TorchFunctionMode):
    """Within this context, the functions of ``RULES`` carry dual tensors by their own rule."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if (rule := RULES.get(func)) is not None:
            result = rule(func, *args, **kwargs)
            if result is not NotImplemented:
                return result
        return func(*args, **kwargs)
