"""Networks that learn to tell the orientation of a grating, in worlds where some are more frequent.

The experiment of Benjamin et al. (2022), figure 6: gratings of 64 x 64 pixels and 5 cycles in a blurred disc,
60 classes of 3 deg, a network of 4096, 1024, 256 and 60 units with ReLU, and stochastic gradient descent.

All gratings of one frequency lie in some 50 dimensions of the 4096, and gradient descent changes the first
layer in no others. It is trained in a basis of those: the same training, with a thirteenth of the products.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from psychophys.base.types import Array
from psychophys.learning.conditions import Shared, plan_conditions
from psychophys.learning.training import Advance, Snapshot, Training, seeded
from psychophys.measurement.plan import plan
from psychophys.measurement.spec import Measurement
from psychophys.observers.learned import Described, dense
from psychophys.stimuli import get_stimulus

SIDE, CYCLES, BINS = 64, 5.0, 60
WIDTHS = (SIDE * SIDE, 1024, 256, BINS)
INITIAL_SCALE = 0.1
"""Times torch's own initial weights."""
FINE = 720
"""Orientations that images are drawn from: 12 in a class."""
SMALLEST = 1e-6
"""Singular value, over the largest, of a dimension that gratings vary in."""
CENTRES = (np.arange(BINS) + 0.5) * 180 / BINS
"""Of the classes, in deg."""
BACKGROUND = 0.5
"""Grey that is zero to the network, which sees -1 to 1."""
NOISE_LEVEL = 0.1
BATCHES, LEARNING_RATES = (16, 2**16), (1e-4, 10.0)
"""That can be asked for: the least and the most."""
LAYERS = ("layer*", "relu*")


@dataclass(frozen=True)
class World:
    """What is seen, and how it is named.

    Attributes
    ----------
    frequency
        Probability of every class: (60,).
    kept
        Share of its labels that are right: (60,).
    manner
        Of the others: ``drop``, not learned from, or ``flip``, drawn from all classes alike.
    noise
        S.d. on the images of every class, in each dimension that gratings vary in: (60,). White noise on the
        pixels has the same there, in the network's unit, in which images go from -1 to 1. Default: none.
    """

    frequency: Array
    kept: Array
    manner: str = "drop"
    noise: Array | None = None


Schedule = Callable[[int], World]
"""The world at every step."""


def peaked(peak_deg: float = 90.0) -> Array:
    """The distribution of Benjamin et al. (2022), (2 - cos 2 theta) / 2 pi, three times as high at its peak.

    Returns
    -------
    Array
        Probability of every class: (60,).
    """
    density = 2 + np.cos(2 * np.radians(CENTRES - peak_deg))
    return np.asarray(density / density.sum())


def uniform() -> Array:
    """All classes alike: (60,)."""
    return np.full(BINS, 1 / BINS)


@dataclass(frozen=True)
class Gratings:
    """Gratings in a basis of the dimensions that they vary in.

    Attributes
    ----------
    basis
        Orthonormal columns: (4096, k).
    even, odd
        Of phase 0 and 90 deg, at every fine orientation: (720, k). Of phase f: cos f even + sin f odd.
    """

    basis: Tensor
    even: Tensor
    odd: Tensor

    def draw(self, classes: Tensor, generator: torch.Generator) -> Tensor:
        """Images of the classes, with random orientation within them and random phase: (N, k)."""
        within = torch.randint(FINE // BINS, classes.shape, generator=generator)
        chosen = classes * (FINE // BINS) + within
        phase = 2 * torch.pi * torch.rand(len(classes), 1, generator=generator)
        return torch.cos(phase) * self.even[chosen] + torch.sin(phase) * self.odd[chosen]


@functools.cache
def gratings() -> Gratings:
    """Draw every orientation at two phases, and find the basis."""
    stimulus = get_stimulus("grating")
    orientation = torch.arange(FINE, dtype=torch.float64) * 180 / FINE
    phase = torch.tensor([0.0, 90.0], dtype=torch.float64).repeat_interleave(FINE)
    images = stimulus.render(
        {"orientation": orientation.repeat(2), "phase": phase, "frequency": CYCLES}, (SIDE, SIDE)
    )[:, 0].flatten(1)
    seen = (images - BACKGROUND) / BACKGROUND
    # Eigenvectors of the images' products are six times as fast as singular vectors of the images.
    squares, mixtures = torch.linalg.eigh(seen @ seen.T)
    kept = squares > SMALLEST**2 * squares[-1]
    basis, _ = torch.linalg.qr(seen.T @ mixtures[:, kept].flip(1))
    along = (seen @ basis).float()
    return Gratings(basis, along[:FINE], along[FINE:])


def describe(name: str, seed: int) -> Described:
    """What a checkpoint says of the network."""
    grey = (BACKGROUND,)
    return Described(name, "dense", {"widths": list(WIDTHS)}, (SIDE, SIDE), grey, grey, seed)


def thresholds_of_orientation() -> Measurement:
    """At the centre of every class, of the gratings that are learned."""
    return plan(
        "grating",
        "orientation",
        values=[float(centre) for centre in CENTRES],
        parameters={"frequency": CYCLES, "phase": 4},
        layers=LAYERS,
        noise="gaussian",
        noise_level=NOISE_LEVEL,
    )


@dataclass
class _Reduced:
    """The network whose first layer is in the basis of gratings."""

    whole: nn.Module
    first: Tensor
    rest: list[nn.Parameter]
    basis: Tensor

    def logits(self, images: Tensor) -> Tensor:
        rest = self.rest
        hidden = torch.relu(images @ self.first.T + rest[0])
        hidden = torch.relu(functional.linear(hidden, rest[1], rest[2]))
        return functional.linear(hidden, rest[3], rest[4])

    def expanded(self) -> nn.Module:
        """A copy of the network with the first layer in the basis of pixels."""
        network = copy.deepcopy(self.whole)
        first = network.get_parameter("layer1.weight").data
        change = self.first.detach() - first @ self.basis
        first.add_(change @ self.basis.T)
        return network


def _start(seed: int, basis: Tensor, device: torch.device) -> _Reduced:
    network = seeded(lambda: dense(WIDTHS), seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(INITIAL_SCALE)
    network, basis = network.to(device), basis.float().to(device)
    weight, *rest = network.parameters()
    return _Reduced(network, (weight.detach() @ basis).requires_grad_(), rest, basis)


def plan_worlds(
    experiment: str,
    settings: Shared,
    steps: tuple[int, ...],
    schedules: Mapping[str, Callable[[], Schedule]],
    record: Mapping[str, Mapping[str, Any]],
) -> list[Training]:
    """A training for each condition and seed, in the worlds of each condition's schedule."""

    def train_in(
        schedule: Callable[[], Schedule], name: str, seed: int, device: torch.device, advance: Advance
    ) -> Generator[Snapshot, None, None]:
        return train(
            describe(name, seed),
            schedule(),
            steps,
            batch=settings.batch,
            learning_rate=settings.learning_rate,
            device=device,
            advance=advance,
        )

    trainings = {name: partial(train_in, schedule) for name, schedule in schedules.items()}
    return plan_conditions(experiment, settings, steps, (thresholds_of_orientation(),), trainings, record)


def train(
    described: Described,
    schedule: Schedule,
    steps: Sequence[int],
    *,
    batch: int,
    learning_rate: float,
    device: torch.device,
    advance: Advance,
) -> Generator[Snapshot, None, None]:
    """Train with plain stochastic gradient descent, and yield a snapshot at each of the steps.

    A dropped label has no gradient: the loss is summed over the others and divided by the whole batch. In the
    notes, it is divided by their number.
    """
    seen = gratings()
    generator = torch.Generator().manual_seed(described.seed)
    network = _start(described.seed, seen.basis, device)
    parameters = [network.first, *network.rest]
    for step in range(steps[-1] + 1):
        images, labels, true, counts = _batch(seen, schedule(step), batch, generator)
        logits = network.logits(images.to(device))
        losses = functional.cross_entropy(logits, labels.to(device), reduction="none")
        total = (losses * counts.to(device)).sum()
        loss = total / batch
        if step in steps:
            told = float(total.detach()) / max(float(counts.sum()), 1.0)
            right = float((logits.argmax(dim=1).cpu() == true).float().mean())
            yield Snapshot(
                replace(described, step=step),
                network.expanded(),
                {"loss": told, "correct": right},
            )
        if step < steps[-1]:
            slopes = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                for parameter, slope in zip(parameters, slopes, strict=True):
                    parameter.sub_(slope, alpha=learning_rate)
            advance(1)


def _batch(
    seen: Gratings, world: World, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images, their labels, their true classes, and 1 where a label is learned from, else 0."""
    true = torch.multinomial(torch.from_numpy(world.frequency), count, True, generator=generator)
    images = seen.draw(true, generator)
    right = torch.rand(count, generator=generator) < torch.from_numpy(world.kept)[true]
    if world.noise is not None:
        drawn = torch.randn(images.shape, generator=generator)
        images = images + torch.from_numpy(world.noise).float()[true, None] * drawn
    if world.manner == "drop":
        return images, true, true, right.float()
    others = torch.randint(BINS, (count,), generator=generator)
    return images, torch.where(right, true, others), true, torch.ones(count)
