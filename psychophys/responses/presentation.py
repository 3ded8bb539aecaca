"""A block of stimuli about to be shown to an observer."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import forward_ad

from psychophys.base.types import Array
from psychophys.observers.layers import Layer, ReceiveOutput, module_names, recording
from psychophys.observers.observer import Observer
from psychophys.responses.estimators import Estimator
from psychophys.responses.single import Block, ReceiveChange, Render, rows_of

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Nuisance:
    """Which of the samples differ in nuisance parameters alone.

    Attributes
    ----------
    groups
        Places of such samples, group by group.
    drawn
        Whether samples are drawn at random (images, noise), and are not a regular grid (phases).
    """

    groups: Sequence[NDArray[np.intp]]
    drawn: bool


@dataclass(frozen=True)
class Presentation:
    """K values of a dimension in each of S nuisance samples, and who is shown them.

    Attributes
    ----------
    render
        ``values -> images``: (S, K) to (S * K, 3, H, W).
    values
        In the dimension's unit: (K,).
    step
        Half-width of differences, or the spacing of the grid.
    nuisance
        What is known of the samples, where all of the measurement are shown together.
    """

    observer: Observer
    layers: Sequence[Layer]
    estimator: Estimator
    render: Render
    values: Tensor
    n_samples: int
    step: float
    nuisance: Nuisance | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Samples and values."""
        return self.n_samples, len(self.values)

    def respond(self, receive: ReceiveChange, *, in_order: bool = False) -> float:
        """Hand the responses and changes of the layers to ``receive``; return the width of the changes.

        Parameters
        ----------
        in_order
            Whether features come in the order of the network's output: for what is shown in other ways, too.
        """
        wanted = {layer.name for layer in self.layers}

        def receive_wanted(name: str, response: Tensor, change: Tensor | None) -> None:
            if name in wanted:  # A module that is called twice answers twice.
                receive(name, response, change)

        block = Block(self.values, self.n_samples, self.step, in_order)
        return self.estimator.single(self.observer, self.layers, self.render, block, receive_wanted)

    def squares(self) -> dict[str, Array]:
        """Squared norms of the layers' responses to the images, (S * K,), without a derivative."""
        found: dict[str, Tensor] = {}
        images = self.n_samples * len(self.values)

        def receive(name: str, output: Tensor) -> None:
            found[name] = torch.linalg.vector_norm(rows_of(output, images), dim=1).square()

        self.plain(receive)
        return fetched(found)

    def plain(self, receive: ReceiveOutput) -> None:
        """Hand the layers' outputs for the images to ``receive``, without a derivative."""
        wanted = {layer.name for layer in self.layers}
        grid = self.values.repeat(self.n_samples, 1)

        def receive_wanted(name: str, output: Tensor) -> None:
            if name in wanted:
                receive(name, output)

        with torch.no_grad(), recording(self.observer.model, module_names(self.layers), receive_wanted):
            self.observer.model(self.observer.preprocess(self.render(grid)))

    def images(self) -> tuple[Tensor, Tensor]:
        """The images and their exact derivatives by the value: (S * K, 3, H, W) each."""
        grid = self.values.repeat(self.n_samples, 1)
        with torch.no_grad(), forward_ad.dual_level():
            drawn = self.render(forward_ad.make_dual(grid, torch.ones_like(grid)))
            images, tangent = forward_ad.unpack_dual(drawn)
            tangent = torch.zeros_like(images) if tangent is None else tangent
            # Images of one value in all channels are views: what follows needs their own memory.
            return images.contiguous(), tangent.contiguous()

    def tables(self, numbers: Mapping[Name, Tensor]) -> dict[Name, Array]:
        """One number for each image, as tables of samples and values: (S * K,) to (S, K)."""
        return {name: found.reshape(self.shape) for name, found in fetched(numbers).items()}


def fetched(tensors: Mapping[Name, Tensor]) -> dict[Name, Array]:
    """Copies on the host, in double precision; one transfer for all, as each makes the host wait."""
    found: dict[Name, Array] = {}
    for device in dict.fromkeys(tensor.device for tensor in tensors.values()):
        here = {name: tensor for name, tensor in tensors.items() if tensor.device == device}
        whole = torch.cat([tensor.detach().flatten() for tensor in here.values()]).cpu().double().numpy()
        ends = np.cumsum([tensor.numel() for tensor in here.values()])[:-1]
        for (name, tensor), part in zip(here.items(), np.split(whole, ends), strict=True):
            found[name] = part.reshape(tuple(tensor.shape))
    return {name: found[name] for name in tensors}
