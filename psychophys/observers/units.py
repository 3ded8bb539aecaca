"""The units of a layer: which axis of its output holds channels, and where a unit lies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from psychophys.base.registry import Registry
from psychophys.observers.layers import Layer

Indices = NDArray[np.int64]
MOST_BEFORE = 16
"""Tokens before those of the map."""


@dataclass(frozen=True)
class Axes:
    """What the axes of a layer's output are.

    Attributes
    ----------
    shape
        Of the output for one image.
    channel
        The axis of channels; all others are of positions.
    height_over_width
        Of the images.
    """

    shape: tuple[int, ...]
    channel: int
    height_over_width: float = 1.0

    @property
    def n_channels(self) -> int:
        """Channels of the layer."""
        return self.shape[self.channel]

    @property
    def n_units(self) -> int:
        """Channels at all positions."""
        return math.prod(self.shape)

    @property
    def positions(self) -> list[int]:
        """The axes of positions."""
        return [axis for axis in range(len(self.shape)) if axis != self.channel]

    @property
    def centres(self) -> Indices:
        """Flat index of each channel's unit in the middle of the map.

        Tokens are a map by rows, after some that are of no place (class, registers).
        """
        middle = [self.shape[axis] // 2 for axis in self.positions]
        if len(middle) == 1:
            middle = [self._middle_token(self.shape[self.positions[0]])]
        place: list[int | Indices] = [0] * len(self.shape)
        place[self.channel] = np.arange(self.n_channels)
        for axis, at in zip(self.positions, middle, strict=True):
            place[axis] = at
        return np.asarray(np.ravel_multi_index(np.broadcast_arrays(*place), self.shape), dtype=np.int64)

    def _middle_token(self, tokens: int) -> int:
        for before in range(min(MOST_BEFORE, tokens - 1) + 1):
            rows = round(math.sqrt((tokens - before) * self.height_over_width))
            columns = round((tokens - before) / rows) if rows else 0
            fits = rows * columns == tokens - before
            if fits and math.isclose(rows, columns * self.height_over_width, rel_tol=0.01):
                return before + rows // 2 * columns + columns // 2
        return tokens // 2

    def channel_means(self, rows: Tensor) -> Tensor:
        """Each channel's mean over positions: (N, units) to (N, channels)."""
        output = rows.reshape(-1, *self.shape)
        return output.mean([1 + axis for axis in self.positions]) if self.positions else output

    def places(self, units: Indices) -> tuple[Indices, Indices | None, Indices | None]:
        """Channel, y and x of units; None where the layer has no such axis.

        The last axis of positions is x. Those before it, if there are any, are y, counted through.
        """
        every = np.unravel_index(units, self.shape)
        x = every[self.positions[-1]] if self.positions else None
        y: Indices | None = None
        for axis in self.positions[:-1]:
            y = every[axis] if y is None else y * self.shape[axis] + every[axis]
        return every[self.channel], y, x


def find_axes(layer: Layer, input_size: Sequence[int]) -> Axes:
    """What the axes of a layer's output are.

    Of three axes two are the image's, as far as their lengths say: those whose ratio is nearest that of the
    images. Where that fits both ways, channels come first, as in PyTorch's convolutions. Of tokens, channels
    are the last axis.
    """
    shape = layer.shape or (1,)
    folded = layer.n_features // math.prod(shape)
    before = 0 if folded == 1 else 1  # Windows of an image may be folded into the axis of images.
    channel = _first_or_last(shape, input_size) if len(shape) == 3 else len(shape) - 1
    ratio = input_size[0] / input_size[1]
    return Axes((folded, *shape) if before else shape, channel + before, ratio)


def _first_or_last(shape: tuple[int, ...], input_size: Sequence[int]) -> int:
    def misfit(height: int, width: int) -> float:
        return abs(math.log(height / width) - math.log(input_size[0] / input_size[1]))

    return 2 if misfit(*shape[:2]) < misfit(*shape[1:]) else 0


@dataclass(frozen=True)
class Grain:
    """What a response is of: a channel, or a unit.

    Attributes
    ----------
    plural
        What they are called.
    count
        How many a layer has.
    read
        Responses of all of them from those of the units: (N, units) to (N, count).
    places
        Of some of them: the unit's flat index, channel, y and x; None where there is none.
    """

    name: str
    summary: str
    plural: str
    count: Callable[[Axes], int]
    read: Callable[[Axes, Tensor], Tensor]
    places: Callable[[Axes, Indices], tuple[Indices | None, ...]]

    def chosen(self, axes: Axes, rows: Tensor, indices: Indices) -> Tensor:
        """Responses of some of them: (N, units) to (N, indices)."""
        return self.read(axes, rows)[:, torch.from_numpy(indices).to(rows.device)]


def _units(_axes: Axes, rows: Tensor) -> Tensor:
    return rows


def _unit_places(axes: Axes, units: Indices) -> tuple[Indices | None, ...]:
    return units, *axes.places(units)


def _channel_places(_axes: Axes, channels: Indices) -> tuple[Indices | None, ...]:
    return None, channels, None, None


def _centre_places(axes: Axes, channels: Indices) -> tuple[Indices | None, ...]:
    return _unit_places(axes, axes.centres[channels])


def _at_centres(axes: Axes, rows: Tensor) -> Tensor:
    return rows[:, torch.from_numpy(axes.centres).to(rows.device)]


GRAINS = Registry(
    "kind of response",
    (
        Grain(
            "channel",
            "a channel, averaged over positions",
            "channels",
            lambda axes: axes.n_channels,
            Axes.channel_means,
            _channel_places,
        ),
        Grain("unit", "every unit by itself", "units", lambda axes: axes.n_units, _units, _unit_places),
        Grain(
            "centre",
            "of every channel the unit in the middle of the map",
            "units in the middle",
            lambda axes: axes.n_channels,
            _at_centres,
            _centre_places,
        ),
    ),
    Grain,
)
