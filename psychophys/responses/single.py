"""Local linear responses: the derivative of every layer's activations along one dimension.

All functions share one signature: they draw a block of values for a block of samples, run the
network once, and hand each layer's responses and changes to ``receive`` inside the forward pass.
Nothing is kept, so memory does not grow with the number of layers. They return the width that
the changes are over: ``change / width`` is the derivative. Fisher information is quadratic in
the derivative, so the caller divides one number by ``width**2``, not every activation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from psychophys.base.errors import MeasurementError
from psychophys.observers.fast_rules import FastRules
from psychophys.observers.layers import Layer, module_names, recording
from psychophys.observers.observer import Observer

Render = Callable[[Tensor], Tensor]
"""``values -> images``: shape (S, K) for S samples of K values to (S * K, 3, H, W)."""
ReceiveChange = Callable[[str, Tensor, Tensor | None], None]
"""``(layer, response, change)``: shapes (rows, F) for consecutive rows of the S * K block."""

CHUNK = 2**21
"""Activations reduced at once: small enough for a CPU's cache, so temporaries stay small."""
GPU_CHUNK = 2**25


class NoForwardDerivativeError(MeasurementError):
    """The model uses an operation that has no forward-mode derivative."""


@dataclass(frozen=True)
class Block:
    """What one estimator call works on.

    Attributes
    ----------
    values
        Stimulus values in the dimension's unit, shape (K,).
    samples
        Number S of nuisance samples that ``render`` draws for each row of its input.
    step
        Half-width of the central difference, or the spacing of the uniform grid for ``chained``.
    in_order
        Whether features come in the order of the network's output. Otherwise they come as they lie in
        memory, which saves a copy; responses and changes always go together.
    """

    values: Tensor
    samples: int
    step: float
    in_order: bool = False


def rows_of(output: Tensor, images: int, *, in_order: bool = False, like: Tensor | None = None) -> Tensor:
    """A row an image: (images, F), features in the order of ``like`` in memory, or of the output."""
    like = output if like is None else like
    # Channels may lie side by side: to flatten them in the order of their index would copy all.
    last = (
        like.ndim == 4 and not like.is_contiguous() and like.is_contiguous(memory_format=torch.channels_last)
    )
    return (output.permute(0, 2, 3, 1) if last and not in_order else output).reshape(images, -1)


def spans(rows: int, n_features: int, device: torch.device) -> Sequence[slice]:
    """Consecutive rows to reduce at once, so that temporaries stay small."""
    limit = CHUNK if device.type == "cpu" else GPU_CHUNK
    size = max(1, limit // max(n_features, 1))
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def jvp(
    observer: Observer, layers: Sequence[Layer], render: Render, block: Block, receive: ReceiveChange
) -> float:
    """Exact derivative, by forward-mode differentiation (source: Griewank & Walther 2008, ch. 3)."""
    images = block.samples * len(block.values)

    def reduce(name: str, output: Tensor) -> None:
        response, tangent = forward_ad.unpack_dual(output)
        tangent = (
            None if tangent is None else rows_of(tangent, images, in_order=block.in_order, like=response)
        )
        response = rows_of(response, images, in_order=block.in_order)
        for span in spans(images, response.shape[1], output.device):
            receive(name, response[span], None if tangent is None else tangent[span])

    grid = block.values.repeat(block.samples, 1)
    with torch.no_grad(), forward_ad.dual_level():
        stimulus = render(forward_ad.make_dual(grid, torch.ones_like(grid)))
        try:
            with (
                sdpa_kernel(SDPBackend.MATH),
                FastRules(reuse=True),
                recording(observer.model, module_names(layers), reduce),
            ):
                observer.model(observer.preprocess(stimulus))
        except (NotImplementedError, RuntimeError) as error:
            if is_unsupported(error):
                raise NoForwardDerivativeError(str(error)) from error
            raise
    return 1.0


def is_unsupported(error: Exception) -> bool:
    """Whether an error says that an operation has no forward-mode derivative."""
    text = str(error).lower()
    return isinstance(error, NotImplementedError) or "forward ad" in text or "forward mode" in text


def central(
    observer: Observer, layers: Sequence[Layer], render: Render, block: Block, receive: ReceiveChange
) -> float:
    """Central difference over ``value - step`` and ``value + step``; error of order step squared."""
    images = block.samples * len(block.values)

    def reduce(name: str, output: Tensor) -> None:
        rows = rows_of(output, 2 * images, in_order=block.in_order)
        below, above = rows[:images], rows[images:]
        for span in spans(images, rows.shape[1], output.device):
            # One side stands in for the response; the mean of both would cost another pass.
            receive(name, above[span], above[span] - below[span])

    grid = block.values.repeat(block.samples, 1)
    with torch.no_grad():
        stimulus = torch.cat([render(grid - block.step), render(grid + block.step)])
        with recording(observer.model, module_names(layers), reduce):
            observer.model(observer.preprocess(stimulus))
    return 2 * block.step


def chained(
    observer: Observer, layers: Sequence[Layer], render: Render, block: Block, receive: ReceiveChange
) -> float:
    """Differences of neighbours on a uniform grid, at one forward pass a value.

    The grid is shifted by half a step, so that the derivatives lie at the values asked for; one
    image more than values is drawn in each block.
    """
    samples, edges = block.samples, len(block.values) + 1

    def reduce(name: str, output: Tensor) -> None:
        rows = rows_of(output, samples * edges, in_order=block.in_order)
        for sample in range(samples):
            chain = rows[sample * edges : (sample + 1) * edges]
            for span in spans(edges - 1, rows.shape[1], output.device):
                above = chain[span.start + 1 : span.stop + 1]
                receive(name, above, above - chain[span])

    shifted = torch.cat([block.values[:1] - block.step / 2, block.values + block.step / 2])
    with torch.no_grad():
        stimulus = render(shifted.expand(samples, -1))
        with recording(observer.model, module_names(layers), reduce):
            observer.model(observer.preprocess(stimulus))
    return block.step
