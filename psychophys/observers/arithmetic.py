"""The arithmetic that a network computes in during a measurement, whatever the caller has set.

On recent GPUs PyTorch rounds what a convolution multiplies to 10 bits (TF32), by default. That is not
enough for a derivative: the sensitivity of deep layers is then off by several per cent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from psychophys.base.registry import Registry

_GROUPS = ("", "cudnn", "cuda.matmul", "mkldnn")
_LEAVES = ("cudnn.conv", "cudnn.rnn", "mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn")
"""Switches of PyTorch from 2.9 on: those below take the setting of their group where they have none."""
_HAS_SWITCHES = hasattr(torch.backends, "fp32_precision")
_OLD_WORDS = {"ieee": "highest", "tf32": "high"}


@dataclass(frozen=True)
class Arithmetic:
    """How products of float32 numbers are computed.

    Attributes
    ----------
    precision
        PyTorch's word for that of float32 numbers.
    autocast
        Type that convolutions and matrix products are made of; None for that of their arguments.
    repeats
        Relative change of a response's squared norm that rounding in another batch may make.
    """

    name: str
    meaning: str
    precision: str = "ieee"
    autocast: torch.dtype | None = None
    repeats: float = 1e-3

    @property
    def exact(self) -> bool:
        """Whether products have all digits of their factors' type."""
        return self.precision == "ieee" and self.autocast is None


ARITHMETIC = Registry(
    "arithmetic",
    (
        Arithmetic("exact", "IEEE arithmetic of 24 bits in all products"),
        Arithmetic(
            "tf32",
            "factors of 11 bits in convolutions and matrix products, where a GPU has it",
            precision="tf32",
            repeats=1e-2,
        ),
        Arithmetic(
            "bf16",
            "convolutions and matrix products in bfloat16, of 8 bits",
            autocast=torch.bfloat16,
            repeats=0.1,
        ),
    ),
    Arithmetic,
)
EXACT = ARITHMETIC["exact"]


@contextmanager
def computing(arithmetic: Arithmetic = EXACT) -> Iterator[None]:
    """Compute in this arithmetic, whatever the caller has set, and put all back as it was.

    A caller's autocast is left, which rounds to 8 bits, and inference mode, in which tensors lose their
    derivatives without a word.
    """
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.no_grad())
        there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        for kind in ("cpu", "cuda", "mps"):
            # One that is not on need not be switched off, and one without a device not on.
            wanted = arithmetic.autocast is not None and there.get(kind, True)
            if wanted or torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, arithmetic.autocast, enabled=wanted))
        stack.enter_context(_switched(arithmetic.precision))
        yield


@contextmanager
def _switched(precision: str) -> Iterator[None]:
    switches = [*map(_backend, _GROUPS), *map(_backend, _LEAVES)] if _HAS_SWITCHES else []
    old = _old_switches()
    before = []
    try:
        # From the top down: with the groups out of the way, each shows the setting of its own.
        for switch in switches:
            before.append((switch, switch.fp32_precision))
            switch.fp32_precision = "none"
        # Both generations, so that who reads the old ones finds them in accord.
        _set_old_switches(precision != "ieee", _OLD_WORDS[precision])
        for switch in switches:
            switch.fp32_precision = precision
        yield
    finally:
        _set_old_switches(*old)
        # From the bottom up: setting mkldnn's sets the one over all.
        for switch, own in reversed(before):
            switch.fp32_precision = own


def _backend(path: str) -> Any:
    found: Any = torch.backends
    for name in filter(None, path.split(".")):
        found = getattr(found, name)
    return found


def _old_switches() -> tuple[bool | None, str | None]:
    """Those of PyTorch up to 2.8; None for one that new ones contradict: it cannot be read then."""
    try:
        convolutions: bool | None = torch.backends.cudnn.allow_tf32
    except RuntimeError:
        convolutions = None
    try:
        products: str | None = torch.get_float32_matmul_precision()
    except RuntimeError:
        products = None
    return convolutions, products


def _set_old_switches(convolutions: bool | None, products: str | None) -> None:
    if convolutions is not None:
        torch.backends.cudnn.allow_tf32 = convolutions
    if products is not None:
        torch.set_float32_matmul_precision(products)
