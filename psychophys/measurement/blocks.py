"""Blocks: some values in some nuisance samples, as they are shown to an observer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from psychophys.measurement.spec import Measurement, grid_step
from psychophys.measurement.sums import Span
from psychophys.observers.layers import Layer
from psychophys.observers.observer import Observer
from psychophys.responses.estimators import Estimator
from psychophys.responses.presentation import Nuisance, Presentation


def present(
    measurement: Measurement,
    observer: Observer,
    layers: Sequence[Layer],
    block: Span,
    estimator: Estimator,
) -> Presentation:
    """A block of a measurement, about to be shown."""
    rows, columns = block
    samples = measurement.samples[rows]

    def render(grid: Tensor) -> Tensor:
        return render_block(measurement, observer, samples, grid)

    return Presentation(
        observer,
        layers,
        estimator,
        render,
        torch.tensor(measurement.values[columns], dtype=observer.dtype, device=observer.device),
        len(samples),
        grid_step(measurement.values) if estimator.on_grid else measurement.step,
        _nuisance(measurement),
    )


def _nuisance(measurement: Measurement) -> Nuisance | None:
    """What is known of the samples, where they are shown together."""
    if not measurement.noise.method.shows_all_samples:
        return None
    return Nuisance(measurement.nuisance_groups(), measurement.drawn)


def render_block(
    measurement: Measurement, observer: Observer, samples: Sequence[Mapping[str, float]], grid: Tensor
) -> Tensor:
    """Draw every value of ``grid`` (S, K) for the sample of its row: (S * K, 3, H, W)."""
    values = block_parameters(measurement, observer, samples, grid)
    return measurement.stimulus.render(values, observer.input_size)


def block_parameters(
    measurement: Measurement, observer: Observer, samples: Sequence[Mapping[str, float]], grid: Tensor
) -> dict[str, Tensor | float]:
    """What every value of ``grid`` (S, K) is drawn from in the sample of its row: numbers, or (S * K,)."""
    values: dict[str, Tensor | float] = {measurement.dimension: grid.flatten()}
    for name in measurement.parameters:
        column = [sample[name] for sample in samples]
        if len(set(column)) == 1:
            values[name] = column[0]
        else:
            tensor = torch.tensor(column, dtype=observer.dtype, device=observer.device)
            values[name] = tensor.repeat_interleave(grid.shape[1])
    return values
