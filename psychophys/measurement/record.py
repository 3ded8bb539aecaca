"""What is kept beside the numbers: the run's id, what was measured, provenance, and what went wrong."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from psychophys.base.errors import MeasurementError, PsychophysError
from psychophys.measurement.spec import Measurement, run_id
from psychophys.observers.arithmetic import computing
from psychophys.observers.layers import Layer, Selection
from psychophys.observers.memory import out_of_memory
from psychophys.observers.observer import Observer
from psychophys.stimuli import Stimulus

PACKAGES = ("psychophys", "torch", "timm", "numpy", "pyarrow")


@contextmanager
def measuring(observer: Observer) -> Iterator[None]:
    """Compute in the observer's arithmetic; what a library below raises becomes an error of one line."""
    try:
        with computing(observer.arithmetic):
            yield
    except PsychophysError:
        raise
    except Exception as error:
        raise _failure(error, observer) from error


def _failure(error: Exception, observer: Observer) -> MeasurementError:
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
    if not observer.arithmetic.exact:
        identity["arithmetic"] = observer.arithmetic.name
    if observer.noise_seed is not None:
        identity["noise_seed"] = observer.noise_seed
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
        "n_parameters": observer.n_parameters,
        "license": observer.license,
        "layer": layer.name,
        "layer_index": layer.index,
        "layer_depth": layer.depth,
        "n_features": layer.n_features,
        "stimulus": measurement.stimulus.name,
        "n_samples": len(measurement.samples),
        "noise": measurement.noise.name,
        "noise_level": measurement.noise_level,
        "criterion_dprime": measurement.dprime,
    }


def provenance(
    measurement: Measurement, observer: Observer, selection: Selection, seconds: float
) -> dict[str, Any]:
    """All that is needed to make a measurement again."""
    return {
        "model": observer.name,
        "weights": observer.weights,
        "seed": observer.seed,
        "source": observer.source,
        "sha256": observer.sha256,
        "adapted": list(observer.adapted),
        "pretrained_cfg": _plain_cfg(observer.pretrained_cfg),
        "input_size": list(observer.input_size),
        "mean": list(observer.mean),
        "std": list(observer.std),
        "measurement": measurement.as_dict(),
        "images": _own_images(measurement.stimulus),
        **({"unusable_images": measurement.stimulus.unusable} if measurement.stimulus.unusable else {}),
        "skipped_layers": selection.skipped,
        "device": name_device(observer.device),
        "dtype": str(observer.dtype).removeprefix("torch."),
        "arithmetic": observer.arithmetic.name,
        "noise_seed": observer.noise_seed,
        "machine": name_machine(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "seconds": round(seconds, 3),
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def name_device(device: torch.device) -> str:
    """A device in words, a GPU with its name."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def name_machine() -> str:
    """The machine in words: system, processor and threads."""
    return f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads"


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
