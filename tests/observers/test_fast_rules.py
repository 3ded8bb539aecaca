"""The fast forward-mode rules against PyTorch's own."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from psychophys.observers import fast_rules
from psychophys.observers.fast_rules import RULES, FastRules


def dual(function: Callable[[Tensor], Tensor], x: Tensor, t: Tensor, fast: bool) -> tuple[Tensor, Any]:
    mode = FastRules(reuse=True) if fast else nullcontext()
    with torch.no_grad(), forward_ad.dual_level(), sdpa_kernel(SDPBackend.MATH), mode:
        return tuple(forward_ad.unpack_dual(function(forward_ad.make_dual(x.clone(), t.clone()))))


def same(function: Callable[[Tensor], Tensor], *shape: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x = 3 * torch.randn(*shape, dtype=torch.float64, generator=generator)
    t = torch.randn(*shape, dtype=torch.float64, generator=generator)
    fast, slow = dual(function, x, t, True), dual(function, x, t, False)
    for ours, theirs in zip(fast, slow, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-10)
    assert fast[1].abs().max() > 0


def weight(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


RULE_CASES = {
    "conv2d": (lambda x: F.conv2d(x, weight(6, 4, 3, 3)), (2, 4, 9, 9)),
    "conv2d bias stride": (lambda x: F.conv2d(x, weight(6, 4, 3, 3), weight(6), 2, 1), (2, 4, 9, 9)),
    "conv2d groups": (lambda x: F.conv2d(x, weight(4, 1, 3, 3), bias=weight(4), groups=4), (2, 4, 9, 9)),
    "conv2d of a weight that varies": (
        lambda x: F.conv2d(x, weight(6, 4, 3, 3) * x.mean(), weight(6) * x.max()),
        (2, 4, 9, 9),
    ),
    "batch norm of a weight that varies": (
        lambda x: F.batch_norm(x, weight(4), weight(4).abs(), weight(4) * x.mean()),
        (2, 4, 5, 5),
    ),
    "linear": (lambda x: F.linear(x, weight(5, 7), weight(5)), (3, 7)),
    "linear tokens": (lambda x: F.linear(x, weight(5, 7)), (3, 4, 7)),
    "batch norm": (
        lambda x: F.batch_norm(x, weight(4), weight(4).abs(), weight(4), weight(4), eps=1e-3),
        (2, 4, 5, 5),
    ),
    "batch norm plain": (lambda x: F.batch_norm(x, weight(4), weight(4).abs()), (3, 4)),
    "batch norm training": (lambda x: F.batch_norm(x, None, None, training=True), (4, 4, 5, 5)),
    "layer norm": (lambda x: F.layer_norm(x, (5,), weight(5), weight(5), 1e-3), (2, 4, 5)),
    "layer norm plain, of two axes": (lambda x: F.layer_norm(x, (4, 5)), (2, 4, 5)),
    "layer norm of a weight that varies": (lambda x: F.layer_norm(x, (5,), x.mean((0, 1))), (2, 4, 5)),
    "attention": (lambda x: F.scaled_dot_product_attention(x, 2 * x.sin(), x.cos()), (2, 3, 7, 5)),
    "attention of one head": (lambda x: F.scaled_dot_product_attention(x, x.flip(1), x * x), (2, 7, 5)),
    "attention to fewer": (
        lambda x: F.scaled_dot_product_attention(x, x[:, :, 2:], x[:, :, 2:, :3], scale=0.7),
        (2, 3, 7, 5),
    ),
    "attention with a bias": (
        lambda x: F.scaled_dot_product_attention(x, x + 1, x, attn_mask=weight(3, 7, 7)),
        (2, 3, 7, 5),
    ),
    "attention with a bias of keys": (
        lambda x: F.scaled_dot_product_attention(x, x + 1, x, attn_mask=weight(2, 1, 1, 7)),
        (2, 3, 7, 5),
    ),
    "attention with a bias that varies": (
        lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=x[..., :1] * weight(7)),
        (2, 3, 7, 5),
    ),
    "attention with a mask": (
        lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=weight(7, 7) > -1),
        (2, 3, 7, 5),
    ),
    "attention that sees what was before": (
        lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
        (2, 3, 7, 5),
    ),
    "attention of queries that do not vary": (
        lambda x: F.scaled_dot_product_attention(weight(1, 3, 2, 5).expand(2, 3, 2, 5), x, x),
        (2, 3, 7, 5),
    ),
    "relu": (F.relu, (2, 4, 5)),
    "relu in place": (lambda x: F.relu(x, inplace=True), (2, 4, 5)),
    "relu6": (F.relu6, (2, 4, 5)),
    "relu6 in place": (lambda x: F.relu6(x, True), (2, 4, 5)),
    "hardtanh": (F.hardtanh, (2, 4, 5)),
    "hardtanh of other limits in place": (lambda x: F.hardtanh(x, 0.0, 2.5, True), (2, 4, 5)),
    "module of relu6": (torch.nn.ReLU6(inplace=True), (2, 4, 5)),
    "relu in place of what is read again": (lambda x: F.relu(x, inplace=True) * 2 + x, (2, 4, 5)),
    "relu6 in place of a view that is read again": (lambda x: F.relu6(x[:, 1:], True).sum() + x, (2, 4, 5)),
    "hardtanh in place of what is read again": (lambda x: F.hardtanh(x, 0.0, 2.5, True) * 2 + x, (2, 4, 5)),
    "relu in place of a new tensor": (lambda x: F.relu(new(x), inplace=True), (2, 4, 9, 9)),
    "two in place": (lambda x: F.hardtanh(F.relu(new(x), True), 0.0, 2.0, True), (2, 4, 9, 9)),
    "in place of what is read again": (lambda x: written(x, lambda y: y, F.relu6), (2, 4, 9, 9)),
    "in place of what a view was taken of": (lambda x: written(x, lambda y: y[:, 1:], F.relu), (2, 4, 9, 9)),
    "in place of what another was made of": (lambda x: written(x, lambda y: y - 1, F.relu), (2, 4, 9, 9)),
    "in place of what zero was added to": (lambda x: written(x, lambda y: y + 0, F.hardtanh), (2, 4, 9, 9)),
}


def new(x: Tensor) -> Tensor:
    """A tensor that a rule has made."""
    return F.conv2d(x, weight(4, 4, 3, 3))


def written(x: Tensor, other: Callable[[Tensor], Tensor], activation: Callable[..., Tensor]) -> Tensor:
    """What was made of a new tensor before an activation wrote into it, and after."""
    y = new(x)
    z = other(y)
    return torch.cat([activation(y, inplace=True).flatten(), z.flatten(), y.flatten()])


@pytest.mark.parametrize("case", RULE_CASES)
def test_rule_agrees_with_pytorch(case: str) -> None:
    function, shape = RULE_CASES[case]
    same(function, *shape)


def test_attention_is_the_same_for_some_queries_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_rules, "ATTENTION_CPU", 100)  # Two of seven queries.
    cases = [case for case in RULE_CASES if case.startswith("attention")]
    assert len(cases) > 5
    for case in cases:
        test_rule_agrees_with_pytorch(case)


def test_attention_never_holds_the_weights_of_all_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    softmax = torch.softmax
    monkeypatch.setattr(fast_rules, "ATTENTION_CPU", 2**10)
    monkeypatch.setattr(torch, "softmax", lambda x, dim: sizes.append(x.numel()) or softmax(x, dim=dim))
    same(lambda x: F.scaled_dot_product_attention(x, x, x), 1, 2, 64, 4)
    assert len(sizes) == 8
    assert max(sizes) <= 2**10


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet18", "test_vit", "test_convnext"])
def test_whole_network_agrees_with_pytorch(name: str) -> None:
    torch.manual_seed(0)
    network = timm.create_model(name).double().eval().requires_grad_(False)
    side = timm.data.resolve_model_data_config(network)["input_size"][-1] if "vit" in name else 64
    same(network, 2, 3, side, side)


def test_tensors_without_a_derivative_pass_through() -> None:
    x = torch.randn(2, 4, 5, 5)
    with FastRules():
        assert torch.equal(F.relu(x), x.clamp(min=0))
        assert F.conv2d(x, torch.randn(1, 4, 3, 3)).shape == (2, 1, 3, 3)


def test_every_rule_is_reached_under_the_name_pytorch_calls_it() -> None:
    seen: set[Any] = set()

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.add(func)
            return func(*args, **(kwargs or {}))

    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.ReLU6(),
        torch.nn.Flatten(),
        torch.nn.Linear(144, 2),
    )
    attending = timm.create_model("test_vit").eval()
    with Watch():
        network.eval()(torch.zeros(1, 3, 8, 8))
        attending(torch.zeros(1, 3, *attending.patch_embed.img_size))
    # nn.ReLU6 is nn.Hardtanh: networks reach F.relu6 through timm's own module or F.hardtanh.
    assert set(RULES) - seen <= {F.relu6}
