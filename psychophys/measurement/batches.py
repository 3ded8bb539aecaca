"""Show every stimulus value in every nuisance sample, in batches that memory holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from psychophys.base.errors import UsageError
from psychophys.base.types import Progress
from psychophys.measurement.blocks import present
from psychophys.measurement.spec import Measurement
from psychophys.measurement.sums import Span, Sums
from psychophys.observers.layers import Layer
from psychophys.observers.memory import out_of_memory, release_freed_memory
from psychophys.observers.observer import Observer
from psychophys.responses.estimators import Estimator, get_estimator
from psychophys.responses.single import NoForwardDerivativeError

CPU_BATCH, GPU_BATCH = 8, 64
_held: dict[tuple[object, ...], int] = {}
"""The batches of networks for which memory has ended in this process: they are not tried larger again."""


def accumulate(
    measurement: Measurement,
    observer: Observer,
    layers: Sequence[Layer],
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> tuple[Sums, Estimator]:
    """Show every block, halving the batch where memory ends; return the sums and the estimator used."""
    sums, setting = Sums.empty(layers, measurement), measurement.setting

    def measure_block(block: Span, estimator: Estimator) -> None:
        shown = present(measurement, observer, layers, block, estimator)
        sums.put(block, measurement.noise.method.block(setting, shown))

    return sums, run_blocks(measurement, observer, measure_block, batch_size, progress)


def run_blocks(
    measurement: Measurement,
    observer: Observer,
    measure_block: Callable[[Span, Estimator], None],
    batch_size: int | None = None,
    progress: Progress | None = None,
    dimensions: int = 1,
) -> Estimator:
    """Call ``measure_block(block, estimator)`` until all is measured; return the estimator used.

    Parameters
    ----------
    dimensions
        Along which a block is measured at once.
    """
    check_batch(batch_size)
    estimator = measurement.estimator
    device = observer.device
    key = observer.name, observer.input_size, observer.dtype, device, estimator.name, dimensions
    largest = batch_size or usual_batch(device)
    size = min(largest, _held.get(key, largest))
    n_samples, n_values = len(measurement.samples), len(measurement.values)
    total = n_samples * n_values
    done = 0
    while done < total:
        # Once memory has ended, a chain is no longer than the batch.
        longest = 4 if size == largest else 1
        count = estimator.values_at_once(size, n_values, dimensions=dimensions, longest=longest)
        block = _next_block(done, count, n_samples, n_values)
        if measurement.noise.method.shows_all_samples:
            block = _all_samples(done, n_samples)
        try:
            held = _memory_held(measure_block, block, estimator, size)
        except NoForwardDerivativeError:
            if not estimator.fallback:
                raise
            # The whole run changes over, so that one table has one estimator.
            estimator, done = get_estimator(estimator.fallback), 0
            continue
        if not held:
            size //= 2
            _held[key] = size
            release_freed_memory(device)
            continue
        done += (block[0].stop - block[0].start) * (block[1].stop - block[1].start)
        if progress is not None:
            progress(done, total)
    if size < largest:
        release_freed_memory(device)
    return estimator


def usual_batch(device: torch.device) -> int:
    """Images in one forward pass where nothing is said."""
    return CPU_BATCH if device.type == "cpu" else GPU_BATCH


def check_batch(batch_size: int | None) -> None:
    """Raise :class:`UsageError` for a batch without images."""
    if batch_size is not None and batch_size < 1:
        raise UsageError(f"batch size {batch_size}", "Give one or more.")


def _memory_held(
    measure_block: Callable[[Span, Estimator], None], block: Span, estimator: Estimator, size: int
) -> bool:
    """Measure a block; false where memory has ended, and a smaller one can be tried.

    What the failed block took is held by its error, which is gone when this returns.
    """
    try:
        measure_block(block, estimator)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error) or size == 1:
            raise
        return False
    return True


def _all_samples(done: int, n_samples: int) -> Span:
    """One value in all samples."""
    value = done // n_samples
    return slice(0, n_samples), slice(value, value + 1)


def _next_block(done: int, count: int, n_samples: int, n_values: int) -> Span:
    """Samples and values to measure next, at most ``count``: whole rows of values, or parts of one."""
    sample, value = divmod(done, n_values)
    if value or count < n_values:
        parts = -(-n_values // count)
        length = -(-n_values // parts)
        return slice(sample, sample + 1), slice(value, min(value + length, n_values))
    return slice(sample, min(sample + count // n_values, n_samples)), slice(0, n_values)
