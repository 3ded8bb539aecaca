"""What one layer answers to images, without the layers behind it."""

from __future__ import annotations

from torch import Tensor

from psychophys.observers.layers import Layer, recording
from psychophys.observers.viewer import Viewer


class _Reached(Exception):  # noqa: N818
    """The layer has answered; the rest of the network is not needed."""


def answer(observer: Viewer, layer: Layer, images: Tensor) -> Tensor:
    """A layer's response, flattened: (N, F). The network is run no further than the layer."""
    found: list[Tensor] = []

    def take(name: str, output: Tensor) -> None:
        if name == layer.name:
            found.append(output.reshape(len(images), -1))
            raise _Reached

    try:
        with recording(observer.model, [layer.name.partition("@")[0]], take):
            observer.model(observer.preprocess(images))
    except _Reached:
        pass
    return found[0]
