"""Derivatives of every layer's responses along several dimensions, from one pass over the images.

All dimensions are measured at the same images, so that the responses are computed once: forward mode
carries the stack of tangents beside them. As in :mod:`psychophys.responses.single`, layers are handed to
``receive`` inside the forward pass and nothing is kept; the caller divides by the widths.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from psychophys.base.errors import PsychophysError
from psychophys.observers.fast_rules import FastRules
from psychophys.observers.layers import Layer, module_names, recording
from psychophys.observers.memory import out_of_memory
from psychophys.observers.observer import Observer
from psychophys.responses.single import NoForwardDerivativeError, spans

DrawPoints = Callable[[Sequence[Tensor]], Tensor]
"""``values -> images``: one tensor of shape (N,) for each dimension to (N, 3, H, W)."""
ReceiveChanges = Callable[[str, Tensor, Tensor], None]
"""``(layer, responses, changes)``: shapes (rows, F) and (dimensions, rows, F), consecutive rows of N."""
Deliver = Callable[[Tensor, Tensor], None]


class _Deliver(torch.autograd.Function):
    """Hand a layer's responses and the stack of its tangents to ``sink``.

    Inside ``vmap`` one tangent stands for all; a function's own ``vmap`` rule is the public way to the
    tensor behind it.
    """

    @staticmethod
    def forward(response: Tensor, tangent: Tensor, count: int, sink: Deliver) -> Tensor:
        # Reached where the tangent is the same along all dimensions: there is none.
        sink(response, tangent.expand(count, *tangent.shape))
        return response.new_zeros(())

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def vmap(
        _info: Any, in_dims: Any, response: Tensor, tangent: Tensor, _count: int, sink: Deliver
    ) -> tuple[Tensor, None]:
        if in_dims[0] is not None:
            raise NoForwardDerivativeError("a response depends on the direction of the derivative")
        sink(response, tangent.movedim(in_dims[1], 0))
        return response.new_zeros(()), None


def jvp(
    observer: Observer,
    layers: Sequence[Layer],
    draw: DrawPoints,
    values: Sequence[Tensor],
    _steps: Sequence[float],
    receive: ReceiveChanges,
) -> list[float]:
    """Exact derivatives along all dimensions, by forward mode; return the widths, which are 1.

    Raises
    ------
    NoForwardDerivativeError
        Where the model cannot be differentiated in this way, whatever the reason.
    """
    count, n_images = len(values), len(values[0])

    def reduce(name: str, output: Tensor) -> None:
        def sink(response: Tensor, tangents: Tensor) -> None:
            response = response.reshape(n_images, -1)
            tangents = tangents.reshape(count, n_images, -1)
            for span in spans(n_images, response.shape[1], response.device):
                receive(name, response[span], tangents[:, span])

        response, tangent = forward_ad.unpack_dual(output)
        _Deliver.apply(response, torch.zeros_like(response) if tangent is None else tangent, count, sink)

    def network(images: Tensor) -> Tensor:
        with FastRules(), recording(observer.model, module_names(layers), reduce):
            observer.model(images)
        return images.new_zeros(())

    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), _quiet():
        images, tangents = _stimuli(observer, draw, values)
        try:
            torch.func.vmap(lambda t: torch.func.jvp(network, (images,), (t,))[1], randomness="same")(
                tangents
            )
        except PsychophysError:
            raise
        except Exception as error:
            # Transforms fail in many ways. An error of the model's own comes again with differences.
            if out_of_memory(error):
                raise
            raise NoForwardDerivativeError(str(error)) from error
    return [1.0] * count


def _stimuli(observer: Observer, draw: DrawPoints, values: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Images and their tangents along each dimension: (N, 3, H, W) and (dimensions, N, 3, H, W)."""
    tangents = []
    for place, value in enumerate(values):
        with forward_ad.dual_level():
            shown = list(values)
            shown[place] = forward_ad.make_dual(value, torch.ones_like(value))
            images, tangent = forward_ad.unpack_dual(observer.preprocess(draw(shown)))
            # Equal channels are views of one: memory of their own, outside the level.
            images = images.clone(memory_format=torch.contiguous_format)
            tangents.append(torch.zeros_like(images) if tangent is None else tangent)
    return images, torch.stack(tangents)


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        # A few operations are done one tangent after the other, which PyTorch warns of.
        warnings.filterwarnings("ignore", ".*batching rule", UserWarning)
        yield


def central(
    observer: Observer,
    layers: Sequence[Layer],
    draw: DrawPoints,
    values: Sequence[Tensor],
    steps: Sequence[float],
    receive: ReceiveChanges,
) -> list[float]:
    """Central differences along all dimensions in one batch; return the widths, twice the steps.

    Two images for each dimension and value; the error is of the order of the step squared.
    """
    count, n_images = len(values), len(values[0])

    def reduce(name: str, output: Tensor) -> None:
        sides = output.reshape(count, 2, n_images, -1)
        for span in spans(n_images, sides.shape[3], output.device):
            below, above = sides[:, 0, span], sides[:, 1, span]
            # One side stands in for the response, as along one dimension.
            receive(name, above[0], above - below)

    with torch.no_grad():
        images = []
        for place, step in enumerate(steps):
            for side in (-step, step):
                shown = list(values)
                shown[place] = shown[place] + side
                images.append(draw(shown))
        with recording(observer.model, module_names(layers), reduce):
            observer.model(observer.preprocess(torch.cat(images)))
    return [2 * step for step in steps]
