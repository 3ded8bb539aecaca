"""Join stimulus, observer, estimator and noise model into a table of thresholds."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from psychophys.base.errors import MeasurementError, PsychophysError, UsageError
from psychophys.measurement.batches import Progress, Sums, accumulate, out_of_memory
from psychophys.measurement.spec import Measurement, Values, check, plan, run_id
from psychophys.measurement.thresholds import Done
from psychophys.observers.layers import Layer, Selection, select_layers
from psychophys.observers.load import load_observer
from psychophys.observers.names import DEFAULT_MODEL
from psychophys.observers.observer import Observer, pick_device
from psychophys.results.thresholds import Results
from psychophys.stimuli import Stimulus

PACKAGES = ("psychophys", "torch", "timm", "numpy", "pyarrow")


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
    noise_level: float | None = None,
    noise_options: Mapping[str, float] | None = None,
    dprime: float = 1.0,
    confidence: float = 0.95,
    precision: float | None = None,
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
    stimulus, dimension, values, parameters, layers, estimator, step, noise, noise_level
        See :func:`psychophys.plan`.
    noise_options, dprime, confidence, precision
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
        noise_options=noise_options,
        dprime=dprime,
        confidence=confidence,
        precision=precision,
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
        _check_layers(measurement, selection.layers)
        sums, estimator = accumulate(measurement, observer, selection.layers, batch_size, progress)
        done = Done(measurement, selection.layers, sums)
        while not done.precise and (larger := done.measurement.enlarged()) is not None:
            sums = _extend(done, larger, observer, estimator, batch_size, progress)
            done = Done(larger, selection.layers, sums)
    except PsychophysError:
        raise
    except Exception as error:
        raise failure(error, observer) from error
    identifier = identify(measurement, observer)
    seconds = time.perf_counter() - started
    rows = _rows(done, observer, estimator, identifier)
    record = provenance(done.measurement, observer, selection, estimator, seconds)
    record |= {"indices": done.indices, "halves_error": done.halves_error}
    return Results.from_rows(rows, {identifier: record})


def _check_layers(measurement: Measurement, layers: Sequence[Layer]) -> None:
    """A covariance that is inverted as it is needs more samples than units."""
    options = measurement.noise_options
    if measurement.noise != "empirical" or options["shrinkage"] > 0 or options["response"] > 0:
        return
    units, count = max(layer.n_features for layer in layers), len(measurement.nuisance_groups()[0])
    # It is fitted to three fifths of the samples, and for a check to those of half.
    least = 4 * (units + 4)
    if count < least:
        raise UsageError(
            f"empirical noise with response 0 and shrinkage 0, {count} samples and {units:,} units",
            f"Give {least:,} samples or more, fewer --layers, or response=0.1.",
        )


def _extend(
    done: Done,
    larger: Measurement,
    observer: Observer,
    estimator: str,
    batch_size: int | None,
    progress: Progress | None,
) -> Sums:
    """Measure the samples that are new in ``larger``."""
    (name,) = (n for n, values in larger.parameters.items() if done.measurement.parameters[n] != values)
    old, every = done.measurement.parameters[name], larger.parameters[name]
    fresh = tuple(value for value in every if not np.isclose(value, old).any())
    part = replace(larger, parameters={**larger.parameters, name: fresh}, estimator=estimator)
    added, _ = accumulate(part, observer, done.layers, batch_size, progress)
    known = [*done.measurement.samples, *part.samples]
    place = {_key(sample): row for row, sample in enumerate(known)}
    return done.sums.extended(added, [place[_key(sample)] for sample in larger.samples])


def _key(sample: Mapping[str, float]) -> tuple[float, ...]:
    return tuple(round(value, 9) for value in sample.values())


def failure(error: Exception, observer: Observer) -> MeasurementError:
    """The error to show for one that a library below raised."""
    if out_of_memory(error):
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


def _rows(done: Done, observer: Observer, estimator: str, identifier: str) -> list[dict[str, Any]]:
    shared = {"dimension": done.measurement.dimension, "unit": done.measurement.unit, "estimator": estimator}
    return [
        {**about(done.measurement, observer, layer, identifier), **shared, **numbers}
        for layer in done.layers
        for numbers in done.rows(layer)
    ]


def identify(measurement: Measurement, observer: Observer) -> str:
    """The run id of a measurement of this observer."""
    identity: dict[str, Any] = {
        "model": observer.name,
        "sha256": observer.sha256,
        "input_size": list(observer.input_size),
        "mean": list(observer.mean),
        "std": list(observer.std),
        "dtype": str(observer.dtype),
    }
    if observer.checkpoint is not None or observer.step is not None:
        # Two steps may hold the same weights: they are still two points of a training run.
        identity |= {"checkpoint": observer.checkpoint, "step": observer.step}
    return run_id(measurement, identity)


def about(measurement: Measurement, observer: Observer, layer: Layer, identifier: str) -> dict[str, Any]:
    """The columns that say what was measured: the first ones of every table of layers."""
    return {
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
        "n_samples": len(measurement.samples),
        "noise": measurement.noise,
        "noise_level": measurement.noise_level,
        "criterion_dprime": measurement.dprime,
    }


def provenance(
    measurement: Measurement, observer: Observer, selection: Selection, estimator: str, seconds: float
) -> dict[str, Any]:
    """All that is needed to make a measurement again."""
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
