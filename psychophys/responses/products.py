"""A layer's Jacobian by the pixels, A = dr/dpixels, as its products from both sides: it is never formed."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from psychophys.base.errors import MeasurementError
from psychophys.observers.answer import answer
from psychophys.observers.fast_rules import FastRules
from psychophys.observers.layers import Layer
from psychophys.observers.observer import Observer
from psychophys.responses.single import is_unsupported


class Products:
    """Of one layer at N images: exact, by forward and by reverse mode.

    Parameters
    ----------
    images
        Shape (N, 3, H, W).
    remedy
        What to do where the network has no forward mode.

    Attributes
    ----------
    response
        The layer's answers: (N, F).
    depends
        Whether they depend on the pixels at all.
    """

    def __init__(self, observer: Observer, layer: Layer, images: Tensor, remedy: str) -> None:
        self.observer, self.layer, self.images, self.remedy = observer, layer, images.detach(), remedy
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            self._source = self.images.clone().requires_grad_()
            self._answer = answer(observer, layer, self._source)
        self.response = self._answer.detach()
        self.depends = self._answer.requires_grad

    def forward(self, u: Tensor) -> Tensor:
        """A u for each image: (N, 3, H, W) -> (N, F)."""
        with torch.no_grad(), forward_ad.dual_level(), sdpa_kernel(SDPBackend.MATH), FastRules():
            try:
                dual = answer(self.observer, self.layer, forward_ad.make_dual(self.images, u))
            except (NotImplementedError, RuntimeError) as error:
                if is_unsupported(error):
                    raise MeasurementError(
                        f"{self.observer.name} has an operation without a forward-mode derivative",
                        self.remedy,
                    ) from error
                raise
            found = forward_ad.unpack_dual(dual).tangent
            return torch.zeros_like(self.response) if found is None else found.detach()

    def backward(self, v: Tensor) -> Tensor:
        """A'v for each image: (N, F) -> (N, 3, H, W)."""
        if not self.depends:
            return torch.zeros_like(self.images)
        (pixels,) = torch.autograd.grad(
            self._answer, self._source, v, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return pixels
