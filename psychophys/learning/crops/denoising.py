"""Denoising autoencoders of small crops and of pixels: their training, and what is measured of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from psychophys.learning.training import Advance, Snapshot, seeded
from psychophys.measurement.plan import plan
from psychophys.measurement.spec import Measurement
from psychophys.observers.learned import Described

SIDE, CROPS = 32, 8000
FIRST_STEP = 10
NOISE_LEVEL = 0.1
FREQUENCIES = (6.0, 8.0)
"""Of the gratings whose orientation is told apart, in cycles/image: where photographs have little power, so
that a network which removes noise must choose what to keep."""
GREY = 0.5
"""That is zero to the network."""


@dataclass(frozen=True)
class Design:
    """A network that removes noise.

    Attributes
    ----------
    channels, width
        Of its hidden layers, and of its kernels in pixels.
    colours
        Channels of the images.
    side
        Of the images that it is measured with.
    """

    channels: tuple[int, ...] = (8, 8)
    width: int = 7
    colours: int = 1
    side: int = SIDE

    def describe(self, name: str, seed: int) -> Described:
        """The network of a training."""
        plain = {"channels": list(self.channels), "width": self.width}
        if self.colours != 1:
            plain["colours"] = self.colours
        size, grey, one = (self.side, self.side), (GREY,) * self.colours, (1.0,) * self.colours
        return Described(name, "convolutional", plain, size, grey, one, seed)


class Denoising(Protocol):
    """Settings of the training."""

    @property
    def noise(self) -> float:
        """Standard deviation on the pixels."""

    @property
    def batch(self) -> int:
        """Crops in a step."""

    @property
    def learning_rate(self) -> float:
        """Of Adam."""


def orientations() -> Measurement:
    """Of gratings in the window of the crops."""
    return plan(
        "grating",
        "orientation",
        values=36,
        parameters={"frequency": list(FREQUENCIES), "phase": 4, "size": 1.0},
        **_shared(),
    )


def frequencies() -> Measurement:
    """The same along spatial frequency."""
    return plan(
        "grating",
        "frequency",
        values=[float(f) for f in np.geomspace(2, 0.4 * SIDE, 8)],
        parameters={"orientation": [0, 45, 90, 135], "phase": 4, "size": 1.0},
        **_shared(),
    )


def _shared() -> dict[str, Any]:
    return {"layers": ["conv*", "relu*", "output"], "noise": "gaussian", "noise_level": NOISE_LEVEL}


def train(
    settings: Denoising,
    draw: Callable[[int], Tensor],
    steps: tuple[int, ...],
    name: str,
    seed: int,
    device: torch.device,
    advance: Advance,
    design: Design = Design(),
) -> Generator[Snapshot, None, None]:
    """Train a network to remove noise from images that ``draw`` makes of its seed."""
    images = draw(seed).to(device)
    described = design.describe(name, seed)
    network = seeded(described.build, seed).to(device)
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(network.parameters(), settings.learning_rate)
    variance = float((images**2).mean())
    for step in range(steps[-1] + 1):
        some = images[torch.randint(len(images), (settings.batch,), generator=generator).to(device)]
        noise = torch.randn(some.shape, generator=generator).to(device)
        loss = _unexplained(network, some, settings.noise * noise) / variance
        if step in steps:
            found = {"loss": float(loss.detach())}
            yield Snapshot(replace(described, step=step), copy.deepcopy(network), found)
        if step < steps[-1]:
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            advance(1)


def _unexplained(network: nn.Module, images: Tensor, noise: Tensor) -> Tensor:
    error: Tensor = network(images + noise) - images
    return (error**2).mean()
