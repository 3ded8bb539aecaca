"""Forward-mode derivatives through a network, near the cost of two forward passes.

``torch.autograd.forward_ad`` is exact but spends several passes over memory in batch
normalisation, convolution and clamped activations. Inside :class:`FastRules` these compute the
response and its derivative with one call each; every other operation keeps PyTorch's own rule.
The tests compare the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode

Rule = Callable[..., Any]
ATTENTION_CPU, ATTENTION_GPU = 2**21, 2**27
"""Attention weights at once."""


def _is_dual(tensor: Tensor | None) -> bool:
    return tensor is not None and forward_ad.unpack_dual(tensor).tangent is not None


class FastRules(TorchFunctionMode):
    """Within this context, the functions of ``RULES`` carry dual tensors by their own rule.

    Parameters
    ----------
    reuse
        Let activations that the network writes into their argument do so with the derivative, too. It needs
        tensors of their own: not within ``torch.func`` transforms.
    """

    def __init__(self, *, reuse: bool = False) -> None:
        super().__init__()
        self.reuse = reuse
        self._newest: Tensor | None = None

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        newest, self._newest = self._newest, None
        if (rule := RULES.get(func)) is not None:
            own = self.reuse and newest is not None and bool(args) and args[0] is newest
            result = rule(func, own, *args, **kwargs)
            if result is not NotImplemented:
                self._newest = result
                return result
        return func(*args, **kwargs)


# Rules take the function, whether its first argument is theirs to write into, and what it was called with.
# An argument is theirs where a rule made it and nothing was computed since: then no other tensor shares the
# memory of its derivative. What a rule returns has a derivative in memory of its own.


def _convolution(
    function: Rule, _own: bool, x: Tensor, weight: Tensor, bias: Tensor | None = None, *a: Any, **k: Any
) -> Any:
    response, tangent = forward_ad.unpack_dual(x)
    # Weights may depend on the stimulus too (conditional convolution): leave those to PyTorch.
    if tangent is None or _is_dual(weight) or _is_dual(bias):
        return NotImplemented
    return forward_ad.make_dual(
        function(response, weight, bias, *a, **k), function(tangent, weight, None, *a, **k)
    )


def _linear(function: Rule, own: bool, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    return _convolution(function, own, x, weight, bias)


def _batch_norm(
    function: Rule,
    _own: bool,
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


def _clamped(own: bool, x: Tensor, low: float, high: float | None, inplace: Any) -> Any:
    """Clamp a response, and let its tangent through where it is within the limits."""
    response, tangent = forward_ad.unpack_dual(x)
    # The argument of an in-place activation may be read again: unless it is new, that is PyTorch's.
    if tangent is None or (inplace and not own):
        return NotImplemented
    aten = torch.ops.aten
    if not inplace:
        passed = (
            aten.threshold_backward(tangent, response, low)
            if high is None
            else aten.hardtanh_backward(tangent, response, low, high)
        )
        return forward_ad.make_dual(torch.clamp(response, low, high), passed)
    if high is None:
        aten.threshold_backward.grad_input(tangent, response, low, grad_input=tangent)
    else:
        aten.hardtanh_backward.grad_input(tangent, response, low, high, grad_input=tangent)
    response.clamp_(low, high)
    return x


def _relu(_function: Rule, own: bool, x: Tensor, inplace: bool = False) -> Any:
    return _clamped(own, x, 0.0, None, inplace)


def _relu6(_function: Rule, own: bool, x: Tensor, inplace: bool = False) -> Any:
    return _clamped(own, x, 0.0, 6.0, inplace)


def _hardtanh(
    _function: Rule,
    own: bool,
    x: Tensor,
    min_val: float = -1.0,
    max_val: float = 1.0,
    inplace: bool = False,
) -> Any:
    return _clamped(own, x, min_val, max_val, inplace)


def _layer_norm(
    _function: Rule,
    _own: bool,
    x: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Any:
    response, tangent = forward_ad.unpack_dual(x)
    if tangent is None or _is_dual(weight) or _is_dual(bias):
        return NotImplemented
    axes = tuple(range(-len(normalized_shape), 0))
    y, mean, scale = torch.native_layer_norm(response, list(normalized_shape), weight, bias, eps)
    normal = (response - mean).mul_(scale)
    # Of a centred and scaled tangent, what goes along 1 and along the response is lost.
    change = tangent - tangent.mean(dim=axes, keepdim=True)
    along = (normal * tangent).mean(dim=axes, keepdim=True)
    change = torch.addcmul(change, normal, along, value=-1).mul_(scale)
    return forward_ad.make_dual(y, change if weight is None else change.mul_(weight))


def _attention(
    _function: Rule,
    _own: bool,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """Some queries at a time, so that the weights of all never lie in memory at once."""
    q, k, v = parts = [forward_ad.unpack_dual(tensor) for tensor in (query, key, value)]
    odd = dropout_p or is_causal or enable_gqa or _is_dual(attn_mask)
    odd = odd or (attn_mask is not None and attn_mask.dtype != query.dtype)
    if odd or any(part.tangent is None for part in parts):
        return NotImplemented
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    keys, values = k.primal.transpose(-2, -1) * scale, v.primal
    # Products of two factors change by two products, which are one of longer factors.
    both_keys = torch.cat([keys, k.tangent.transpose(-2, -1) * scale], dim=-2)
    both_values = torch.cat([values, v.tangent], dim=-2)
    both_queries = torch.cat([q.tangent, q.primal], dim=-1)
    found = []
    for span in _queries(query, key):
        similar = q.primal[..., span, :] @ keys
        if attn_mask is not None:
            similar = similar + (attn_mask[..., span, :] if attn_mask.shape[-2] > 1 else attn_mask)
        weights = torch.softmax(similar, dim=-1)
        change = (both_queries[..., span, :] @ both_keys).mul_(weights)
        change = torch.addcmul(change, weights, change.sum(dim=-1, keepdim=True), value=-1)
        found.append((weights @ values, torch.cat([change, weights], dim=-1) @ both_values))
    return forward_ad.make_dual(*(torch.cat(part, dim=-2) for part in zip(*found, strict=True)))


def _queries(query: Tensor, key: Tensor) -> list[slice]:
    """Consecutive queries whose attention weights are so many numbers at most."""
    n = query.shape[-2]
    rows = query.numel() // max(n * query.shape[-1], 1) * key.shape[-2]
    step = max(1, (ATTENTION_CPU if query.device.type == "cpu" else ATTENTION_GPU) // max(rows, 1))
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


RULES: dict[Any, Rule] = {
    F.scaled_dot_product_attention: _attention,
    F.layer_norm: _layer_norm,
    F.conv2d: _convolution,
    F.linear: _linear,
    F.batch_norm: _batch_norm,
    F.relu: _relu,
    F.relu6: _relu6,
    F.hardtanh: _hardtanh,
}
