"""Join stimulus, observer, estimator and noise model into a table of thresholds."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from psychophys.errors import MeasurementError, PsychophysError, UsageError
from psychophys.layers import Layer, Selection, select_layers
from psychophys.memory import release_freed_memory
from psychophys.noise import get_noise, squared_norm, threshold
from psychophys.observers import DEFAULT_MODEL, Observer, load_observer, pick_device
from psychophys.responses import Block, NoForwardDerivativeError, get_estimator
from psychophys.results import Results
from psychophys.spec import Measurement, Values, check, grid_step, plan, run_id
from psychophys.stimuli import Stimulus

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]
"""Called with the images done and the images in all."""

PACKAGES = ("psychophys", "torch", "timm", "numpy", "pyarrow")
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


def measure(
    model: str | Observer = DEFAULT_MODEL,
    stimulus: str | Stimulus | None = None,
    dimension: str | None = None,
    *,
    weights: str = "pretrained",
    seed: int = 0,
    checkpoint: str | Path | None = None,
    values: Values = None,
    parameters: Mapping[str, Values] | None = None,
    layers: str | Sequence[str] = "default",
    estimator: str | None = None,
    step: float | None = None,
    noise: str | None = None,
    noise_level: float = 1.0,
    dprime: float = 1.0,
    preset: str | None = None,
    images: Sequence[str | Path] = (),
    device: str = "auto",
    dtype: str = "float32",
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> Results:
    """Measure discrimination thresholds of every chosen layer of a model.

    Parameters
    ----------
    model
        A name for :func:`psychophys.load_observer`, or an :class:`psychophys.Observer`.
    weights, seed, checkpoint, device, dtype
        See :func:`psychophys.load_observer`; an ``Observer`` brings its own.
    stimulus, dimension, values, parameters, layers, estimator, step, noise, noise_level, dprime
        See :func:`psychophys.plan`.
    preset
        Name of a published experiment whose settings replace the defaults.
    images
        Photographs of your own for the stimuli ``image`` and ``image-band``.
    batch_size
        Images in one forward pass; halved as often as memory needs. Does not change results
        beyond rounding.
    progress
        Called with the images done and the images in all.

    Returns
    -------
    Results
        One row for each layer and value.

    Raises
    ------
    UsageError
        For an unknown name or an impossible value.
    MeasurementError
        For a measurement that fails while it runs.

    Examples
    --------
    >>> import psychophys
    >>> table = psychophys.measure(layers="blocks.*", values=4, parameters={"phase": 2})
    >>> table.to_pandas()[["layer", "value", "threshold"]].shape
    (92, 3)
    """
    measurement = plan(
        stimulus,
        dimension,
        values=values,
        parameters=parameters,
        layers=layers,
        estimator=estimator,
        step=step,
        noise=noise,
        noise_level=noise_level,
        dprime=dprime,
        preset=preset,
        images=images,
    )
    if batch_size is not None and batch_size < 1:
        raise UsageError(f"batch size {batch_size}", "Give one or more.")
    if isinstance(model, str):
        model = load_observer(
            model,
            weights=weights,
            seed=seed,
            checkpoint=checkpoint,
            device=pick_device(device),
            dtype=dtype,
        )
    return run(measurement, model, batch_size=batch_size, progress=progress)


def run(
    measurement: Measurement,
    observer: Observer,
    *,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> Results:
    """Measure an observer as planned: see :func:`measure`."""
    check(measurement, min(observer.input_size))
    started = time.perf_counter()
    try:
        selection = select_layers(observer, measurement.layers)
        sums = _Sums(selection.layers, measurement)
        estimator = _accumulate(measurement, observer, selection.layers, sums, batch_size, progress)
    except PsychophysError:
        raise
    except Exception as error:
        raise _failure(error, observer) from error
    identity: dict[str, Any] = {
        "model": observer.name,
        "sha256": observer.sha256,
        "input_size": list(observer.input_size),
        "mean": list(observer.mean),
        "std": list(observer.std),
        "dtype": str(observer.dtype),
    }
    if observer.checkpoint is not None:
        # Two files may hold the same weights: they are still two points of a training run.
        identity |= {"checkpoint": observer.checkpoint, "step": observer.step}
    identifier = run_id(measurement, identity)
    seconds = time.perf_counter() - started
    rows = _rows(measurement, observer, selection.layers, sums, estimator, identifier)
    record = _provenance(measurement, observer, selection, estimator, seconds)
    return Results.from_rows(rows, {identifier: record})


@dataclass
class _Sums:
    """What is kept of each layer: per value and sample, J at unit noise and the response's norm."""

    information: dict[str, Array]
    response: dict[str, Array]
    n_samples: int

    def __init__(self, layers: Sequence[Layer], measurement: Measurement) -> None:
        samples = measurement.samples
        shape = (len(samples), len(measurement.values))
        self.information = {layer.name: np.zeros(shape) for layer in layers}
        self.response = {layer.name: np.zeros(shape) for layer in layers}
        self.n_samples = len(samples)


def _accumulate(
    measurement: Measurement,
    observer: Observer,
    layers: Sequence[Layer],
    sums: _Sums,
    batch_size: int | None,
    progress: Progress | None,
) -> str:
    """Run every block, halving the batch where memory ends; return the estimator that was used."""
    estimator = measurement.estimator
    size = largest = batch_size or (CPU_BATCH if observer.device.type == "cpu" else GPU_BATCH)
    total = sums.n_samples * len(measurement.values)
    done = 0
    while done < total:
        # Once memory has ended, a chain is no longer than the batch.
        chains = 4 if size == largest else 1
        block = _next_block(done, size, sums.n_samples, len(measurement.values), estimator, chains)
        try:
            _measure_block(measurement, observer, layers, sums, block, estimator)
        except NoForwardDerivativeError:
            # The whole run changes over, so that one table has one estimator.
            estimator, done = "central", 0
            continue
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error) or size == 1:
                raise
            too_large = True
        else:
            too_large = False
        if too_large:
            # Out of the handler: the error holds what the failed block took.
            size //= 2
            _free(observer.device)
            continue
        done += (block[0].stop - block[0].start) * (block[1].stop - block[1].start)
        if progress is not None:
            progress(done, total)
    if size < largest:
        _free(observer.device)
    return estimator


def _next_block(
    done: int, size: int, n_samples: int, n_values: int, estimator: str, chains: int = 4
) -> tuple[slice, slice]:
    """Samples and values to measure next: whole rows of values where they fit, else parts of one."""
    if estimator == "chained":
        # Each chain draws one image more than it measures: long chains waste less.
        size = max(size, min(n_values, chains * size))
    elif estimator == "central":
        size = max(size // 2, 1)  # two images a value
    sample, value = divmod(done, n_values)
    if value or size < n_values:
        parts = -(-n_values // size)
        length = -(-n_values // parts)
        return slice(sample, sample + 1), slice(value, min(value + length, n_values))
    return slice(sample, min(sample + size // n_values, n_samples)), slice(0, n_values)


def _measure_block(
    measurement: Measurement,
    observer: Observer,
    layers: Sequence[Layer],
    sums: _Sums,
    block: tuple[slice, slice],
    estimator: str,
) -> None:
    rows, columns = block
    samples = measurement.samples[rows]
    values = torch.tensor(measurement.values[columns], dtype=observer.dtype, device=observer.device)
    step = grid_step(measurement.values) if estimator == "chained" else measurement.step
    noise = get_noise(measurement.noise)
    names = {layer.name for layer in layers}
    information: dict[str, list[Tensor]] = {name: [] for name in names}
    response: dict[str, list[Tensor]] = {name: [] for name in names}

    def receive(name: str, r: Tensor, tangent: Tensor | None) -> None:
        if name in names:
            norms = squared_norm(r)
            response[name].append(norms)
            information[name].append(
                torch.zeros_like(norms) if tangent is None else noise.information(r, tangent)
            )

    def render(grid: Tensor) -> Tensor:
        return render_block(measurement, observer, samples, grid)

    width = get_estimator(estimator)(observer, layers, render, Block(values, len(samples), step), receive)
    shape = (len(samples), len(values))
    for name in names:
        j = torch.cat(information[name]).double().cpu().reshape(shape)
        sums.information[name][block] = j / width**2
        sums.response[name][block] = torch.cat(response[name]).double().cpu().reshape(shape)


def render_block(
    measurement: Measurement, observer: Observer, samples: Sequence[Mapping[str, float]], grid: Tensor
) -> Tensor:
    """Draw every value of ``grid`` (S, K) for the sample of its row: (S * K, 3, H, W)."""
    values: dict[str, Tensor | float] = {measurement.dimension: grid.flatten()}
    for name in measurement.parameters:
        column = [sample[name] for sample in samples]
        if len(set(column)) == 1:
            values[name] = column[0]
        else:
            tensor = torch.tensor(column, dtype=observer.dtype, device=observer.device)
            values[name] = tensor.repeat_interleave(grid.shape[1])
    return measurement.stimulus.render(values, observer.input_size)


def _out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in NO_MEMORY)


def _free(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
    release_freed_memory()


def _failure(error: Exception, observer: Observer) -> MeasurementError:
    if _out_of_memory(error):
        height, width = observer.input_size
        return MeasurementError(
            f"out of memory on {observer.device} with a single {height} x {width} image in {observer.name}",
            "Use a smaller model, another --device, or --dtype float32.",
        )
    words = (str(error).strip().splitlines() or ["no message"])[0]
    kind = "" if type(error) is RuntimeError else f"{type(error).__name__}: "
    return MeasurementError(
        f"{observer.name} failed on a stimulus: {kind}{words[:300]}", "Run with --debug for the traceback."
    )


def _rows(
    measurement: Measurement,
    observer: Observer,
    layers: Sequence[Layer],
    sums: _Sums,
    estimator: str,
    identifier: str,
) -> list[dict[str, Any]]:
    noise = get_noise(measurement.noise)
    rows = []
    for layer in layers:
        rms = float(np.sqrt(sums.response[layer.name].mean() / layer.n_features))
        unit_information = sums.information[layer.name].mean(axis=0)
        variance = noise.variance(measurement.noise_level, rms)
        j = unit_information / variance if variance > 0 else np.zeros_like(unit_information)
        status = "ok"
        if not np.isfinite(j).all():
            status = "not_finite"
        elif not j.any():
            status = "insensitive"
        for value, information, limit in zip(
            measurement.values, j, threshold(j, measurement.dprime), strict=True
        ):
            rows.append(
                {
                    "run_id": identifier,
                    "model": observer.name,
                    "weights": observer.weights,
                    "seed": observer.seed,
                    "checkpoint": observer.checkpoint,
                    "step": observer.step,
                    "layer": layer.name,
                    "layer_index": layer.index,
                    "layer_depth": layer.depth,
                    "n_features": layer.n_features,
                    "stimulus": measurement.stimulus.name,
                    "dimension": measurement.dimension,
                    "value": value,
                    "unit": measurement.unit,
                    "n_samples": sums.n_samples,
                    "fisher_information": float(information),
                    "sensitivity": float(np.sqrt(information)),
                    "threshold": float(limit),
                    "threshold_low": None,
                    "threshold_high": None,
                    "response_rms": rms,
                    "noise": noise.name,
                    "noise_level": measurement.noise_level,
                    "criterion_dprime": measurement.dprime,
                    "estimator": estimator,
                    "status": status,
                }
            )
    return rows


def _provenance(
    measurement: Measurement, observer: Observer, selection: Selection, estimator: str, seconds: float
) -> dict[str, Any]:
    device = str(observer.device)
    if observer.device.type == "cuda":
        device += f" ({torch.cuda.get_device_name(observer.device)})"
    return {
        "model": observer.name,
        "weights": observer.weights,
        "seed": observer.seed,
        "source": observer.source,
        "sha256": observer.sha256,
        "pretrained_cfg": _plain_cfg(observer.pretrained_cfg),
        "input_size": list(observer.input_size),
        "mean": list(observer.mean),
        "std": list(observer.std),
        "measurement": measurement.as_dict(),
        "images": _own_images(measurement.stimulus),
        "estimator": estimator,
        "skipped_layers": selection.skipped,
        "device": device,
        "dtype": str(observer.dtype).removeprefix("torch."),
        "machine": f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads",
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "seconds": round(seconds, 3),
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _own_images(stimulus: Stimulus) -> list[str]:
    """Where photographs lie that do not come along."""
    return (
        []
        if stimulus.images in ("", "packaged")
        else [str(Path(str(source)).resolve()) for source in stimulus.sources]
    )


def _plain_cfg(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """What JSON can hold, as JSON gives it back."""
    plain: dict[str, Any] = json.loads(json.dumps({k: v for k, v in cfg.items() if _is_plain(v)}))
    return plain


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, (str, int, float, bool))
