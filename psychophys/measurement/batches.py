"""Show every stimulus value in every nuisance sample, and keep one number a layer, sample and value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import forward_ad

from psychophys.base.errors import MeasurementError
from psychophys.measurement.spec import Measurement, grid_step
from psychophys.noise.empirical import Products, Regularity, linear_information
from psychophys.noise.models import get_noise, information, squared_norm, wide
from psychophys.noise.pixels import propagate
from psychophys.observers.layers import Layer
from psychophys.observers.observer import Observer
from psychophys.responses.memory import release_freed_memory
from psychophys.responses.single import Block, NoForwardDerivativeError, Receive, get_estimator

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]
"""Called with the images done and the images in all."""
Span = tuple[slice, slice]
"""Samples and values of a block."""

CPU_BATCH, GPU_BATCH = 8, 64
NO_MEMORY = (
    "out of memory",
    "can't allocate",
    "bad_alloc",
    "alloc_failed",  # cuBLAS and cuDNN
    "could not create a primitive",  # oneDNN: its own allocations
    "could not create a memory object",
)
"""What the libraries below say where memory ends."""


@dataclass
class Sums:
    """What is kept, by layer, of S samples and K values; all arrays have shape (S, K).

    Attributes
    ----------
    information
        J at unit noise; NaN where the noise model refuses the response.
    response
        Squared norm of the response.
    half
        J from every second sample (``empirical`` noise alone, where ``information`` is that of all samples).
    pixels
        J of the image itself under the same pixel noise (``input`` noise alone).
    gap
        Gap between the bounds on J, as a fraction of the upper one (``input`` noise alone).
    """

    information: dict[str, Array]
    response: dict[str, Array]
    pixels: Array | None = None
    gap: dict[str, Array] = field(default_factory=dict)
    half: dict[str, Array] = field(default_factory=dict)

    @classmethod
    def empty(cls, layers: Sequence[Layer], measurement: Measurement) -> Sums:
        """Zeros for every layer."""
        shape = (len(measurement.samples), len(measurement.values))

        def zeros() -> dict[str, Array]:
            return {layer.name: np.zeros(shape) for layer in layers}

        if measurement.noise == "input":
            return cls(zeros(), zeros(), np.zeros(shape), zeros())
        if measurement.noise == "empirical":
            return cls(zeros(), zeros(), half=zeros())
        return cls(zeros(), zeros())

    @property
    def n_samples(self) -> int:
        """Samples averaged over."""
        return len(next(iter(self.information.values())))

    def extended(self, more: Sums, rows: Sequence[int]) -> Sums:
        """Those rows, of the samples here followed by those of ``more``."""
        order = list(rows)

        def pick(own: Array, added: Array) -> Array:
            return np.asarray(np.concatenate([own, added])[order])

        def each(own: dict[str, Array], added: dict[str, Array]) -> dict[str, Array]:
            return {name: pick(array, added[name]) for name, array in own.items()}

        both = self.pixels is not None and more.pixels is not None
        return Sums(
            each(self.information, more.information),
            each(self.response, more.response),
            pick(self.pixels, more.pixels) if both else None,  # type: ignore[arg-type]
            each(self.gap, more.gap),
        )


def accumulate(
    measurement: Measurement,
    observer: Observer,
    layers: Sequence[Layer],
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> tuple[Sums, str]:
    """Run every block, halving the batch where memory ends; return the sums and the estimator used."""
    sums = Sums.empty(layers, measurement)
    work = BLOCKS.get(measurement.noise, _independent_block)

    def measure_block(block: Span, estimator: str) -> None:
        work(measurement, observer, layers, sums, block, estimator)

    return sums, run_blocks(measurement, observer.device, measure_block, batch_size, progress)


def run_blocks(
    measurement: Measurement,
    device: torch.device,
    measure_block: Callable[[Span, str], None],
    batch_size: int | None = None,
    progress: Progress | None = None,
    dimensions: int = 1,
) -> str:
    """Call ``measure_block(block, estimator)`` until all is measured; return the estimator used.

    Parameters
    ----------
    dimensions
        Along which a block is measured at once: central differences show two images for each.
    """
    estimator = measurement.estimator
    size = largest = batch_size or (CPU_BATCH if device.type == "cpu" else GPU_BATCH)
    n_samples, n_values = len(measurement.samples), len(measurement.values)
    total = n_samples * n_values
    done = 0
    while done < total:
        # Once memory has ended, a chain is no longer than the batch.
        chains = 4 if size == largest else 1
        block = _next_block(done, size, n_samples, n_values, estimator, chains, 2 * dimensions)
        if measurement.noise == "empirical":
            block = _all_samples(done, n_samples)
        try:
            measure_block(block, estimator)
        except NoForwardDerivativeError:
            # The whole run changes over, so that one table has one estimator.
            estimator, done = "central", 0
            continue
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error) or size == 1:
                raise
            too_large = True
        else:
            too_large = False
        if too_large:
            # Out of the handler: the error holds what the failed block took.
            size //= 2
            _free(device)
            continue
        done += (block[0].stop - block[0].start) * (block[1].stop - block[1].start)
        if progress is not None:
            progress(done, total)
    if size < largest:
        _free(device)
    return estimator


def _all_samples(done: int, n_samples: int) -> Span:
    """One value in all samples: their covariance is wanted."""
    value = done // n_samples
    return slice(0, n_samples), slice(value, value + 1)


def _next_block(
    done: int, size: int, n_samples: int, n_values: int, estimator: str, chains: int = 4, sides: int = 2
) -> tuple[slice, slice]:
    """Samples and values to measure next: whole rows of values where they fit, else parts of one."""
    if estimator == "chained":
        # Each chain draws one image more than it measures: long chains waste less.
        size = max(size, min(n_values, chains * size))
    elif estimator == "central":
        size = max(size // sides, 1)  # so many images a value
    sample, value = divmod(done, n_values)
    if value or size < n_values:
        parts = -(-n_values // size)
        length = -(-n_values // parts)
        return slice(sample, sample + 1), slice(value, min(value + length, n_values))
    return slice(sample, min(sample + size // n_values, n_samples)), slice(0, n_values)


def respond(
    measurement: Measurement,
    observer: Observer,
    layers: Sequence[Layer],
    block: Span,
    estimator: str,
    receive: Receive,
) -> float:
    """Show a block to the network; return the width that changes are over."""
    rows, columns = block
    samples = measurement.samples[rows]
    values = torch.tensor(measurement.values[columns], dtype=observer.dtype, device=observer.device)
    step = grid_step(measurement.values) if estimator == "chained" else measurement.step

    def render(grid: Tensor) -> Tensor:
        return render_block(measurement, observer, samples, grid)

    return get_estimator(estimator)(observer, layers, render, Block(values, len(samples), step), receive)


def _independent_block(
    measurement: Measurement,
    observer: Observer,
    layers: Sequence[Layer],
    sums: Sums,
    block: Span,
    estimator: str,
) -> None:
    noise, options = get_noise(measurement.noise), measurement.noise_options
    names = {layer.name for layer in layers}
    j: dict[str, list[Tensor]] = {name: [] for name in names}
    response: dict[str, list[Tensor]] = {name: [] for name in names}

    def receive(name: str, r: Tensor, tangent: Tensor | None) -> None:
        if name in names:
            norms = squared_norm(r)
            response[name].append(norms)
            j[name].append(
                torch.zeros_like(norms)
                if tangent is None
                else information(noise, options, r, tangent, exact=estimator == "jvp")
            )

    width = respond(measurement, observer, layers, block, estimator, receive)
    shape = sums.response[layers[0].name][block].shape
    for name in names:
        sums.information[name][block] = torch.cat(j[name]).cpu().double().reshape(shape) / width**2
        sums.response[name][block] = torch.cat(response[name]).cpu().double().reshape(shape)


def _empirical_block(
    measurement: Measurement,
    observer: Observer,
    layers: Sequence[Layer],
    sums: Sums,
    block: Span,
    estimator: str,
) -> None:
    names = {layer.name for layer in layers}
    parts: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in names}
    products: dict[str, Products] = {}

    def receive(name: str, r: Tensor, tangent: Tensor | None) -> None:
        if name not in names:
            return
        parts[name].append((r, torch.zeros_like(r) if tangent is None else tangent))
        if sum(len(part) for part, _ in parts[name]) == sums.n_samples:
            sums.response[name][block] = squared_norm(torch.cat([a for a, _ in parts[name]])).cpu()[:, None]
            products[name] = _products(parts.pop(name))

    try:
        width = respond(measurement, observer, layers, block, estimator, receive)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise MeasurementError(
            f"out of memory with {sums.n_samples} images at once, as empirical noise shows them",
            "Give fewer phases or images, or another --device.",
        ) from error
    groups, drawn = measurement.nuisance_groups(), measurement.drawn
    options = measurement.noise_options
    added = Regularity(options["response"], options["shrinkage"])
    for name in names:
        every = [linear_information(products[name].of(rows), added, drawn=drawn) for rows in groups]
        half = [linear_information(products[name].of(rows[::2]), added, drawn=drawn) for rows in groups]
        sums.information[name][block] = np.mean(every) / width**2
        sums.half[name][block] = np.mean(half) / width**2


def _products(parts: Sequence[tuple[Tensor, Tensor]]) -> Products:
    r, t = (wide(torch.cat(part)) for part in zip(*parts, strict=True))
    mean_square = float(r.square().mean())
    r = r - r.mean(dim=0)
    rr, tr, tt = ((a @ b.T).cpu().double().numpy() for a, b in ((r, r), (t, r), (t, t)))
    return Products(rr, tr, tt, mean_square, r.shape[1])


def _input_block(
    measurement: Measurement,
    observer: Observer,
    layers: Sequence[Layer],
    sums: Sums,
    block: Span,
    _estimator: str,
) -> None:
    rows, columns = block
    options = measurement.noise_options
    samples = measurement.samples[rows]
    values = torch.tensor(measurement.values[columns], dtype=observer.dtype, device=observer.device)
    grid = values.repeat(len(samples), 1)
    with torch.no_grad(), forward_ad.dual_level():
        drawn = render_block(
            measurement, observer, samples, forward_ad.make_dual(grid, torch.ones_like(grid))
        )
        images, tangent = forward_ad.unpack_dual(drawn)
        tangent = torch.zeros_like(images) if tangent is None else tangent
        # Images of one value in all channels are views: what follows needs their own memory.
        images, tangent = images.contiguous(), tangent.contiguous()
    assert sums.pixels is not None
    sums.pixels[block] = _table(squared_norm(tangent.flatten(1)), grid) / measurement.noise_level**2
    for layer in layers:
        found = propagate(
            observer,
            layer,
            images,
            tangent,
            measurement.noise_level,
            options["response"],
            options["tolerance"],
            int(options["iterations"]),
        )
        gap = torch.where(found.upper > 0, (found.upper - found.lower) / found.upper, 0.0)
        sums.information[layer.name][block] = _table(found.lower, grid)
        sums.response[layer.name][block] = _table(found.response, grid)
        sums.gap[layer.name][block] = _table(gap, grid)


def _table(numbers: Tensor, grid: Tensor) -> Array:
    return np.asarray(numbers.cpu().double().reshape(grid.shape).numpy())


BLOCKS = {"input": _input_block, "empirical": _empirical_block}
"""How a block is measured under noise that one image's response does not describe."""


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


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory has ended."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in NO_MEMORY)


def _free(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
    release_freed_memory()
