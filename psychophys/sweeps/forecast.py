"""How long a sweep will take and what it will download, before it is begun."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from huggingface_hub import try_to_load_from_cache
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from psychophys.measurement.batches import usual_batch
from psychophys.observers.devices import pick_device
from psychophys.observers.learned import is_learned
from psychophys.observers.names import has_pretrained, is_embedded, is_source
from psychophys.sweeps.tasks import Task

LOADING_SECONDS = 1.0
LARGEST_SAMPLE = 40
_YARDSTICK = "resnet18"
_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class Estimate:
    """A guess, good to a factor of two or so.

    Attributes
    ----------
    seconds
        On this machine, with one measurement at a time.
    download_bytes
        Weights that are not in the cache.
    sampled, models
        How many models were looked at, and how many there are.
    """

    seconds: float
    download_bytes: float
    sampled: int
    models: int


def estimate(tasks: Sequence[Task], device: str = "auto") -> Estimate:
    """Count operations and parameters of up to ``LARGEST_SAMPLE`` models, and time one network here.

    Models are built without memory for their weights. Where there are more models than are looked
    at, the others are taken to be like these.
    """
    models = list(dict.fromkeys(task.job.model for task in tasks))
    stride = max(-(-len(models) // LARGEST_SAMPLE), 1)
    looked_at = {name: facts for name in models[::stride] if (facts := _operations_and_bytes(name))}
    if not looked_at:
        return Estimate(float("nan"), float("nan"), 0, len(models))
    seconds_per_operation = _seconds_per_operation(pick_device(device))
    typical = [statistics.fmean(column) for column in zip(*looked_at.values(), strict=True)]
    seconds = 0.0
    for task in tasks:
        operations, _ = looked_at.get(task.job.model, typical)
        images = len(task.measurement.samples) * len(task.measurement.values)
        cost = task.measurement.noise.method.passes or task.measurement.estimator.passes
        seconds += LOADING_SECONDS + operations * images * cost * seconds_per_operation
    wanted = dict.fromkeys(t.job.model for t in tasks if t.job.weights != "random")
    download = sum(looked_at.get(name, typical)[1] for name in wanted if not _is_here(name))
    return Estimate(seconds, download, len(looked_at), len(models))


def _operations_and_bytes(model: str) -> tuple[float, float] | None:
    """Floating-point operations of one image and bytes of weights in float32."""
    if is_source(model):
        return None
    try:
        with torch.device("meta"):
            network = timm.create_model(model).eval()
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                network(torch.zeros(1, *_input_size(network)))
    except Exception:
        # Some networks look at their numbers, which are not there. They are taken to be like the others.
        return None
    return float(counter.get_total_flops()), 4.0 * sum(t.numel() for t in network.state_dict().values())


def _input_size(network: nn.Module) -> tuple[int, int, int]:
    channels, height, width = timm.data.resolve_model_data_config(network)["input_size"]
    return channels, height, width


def _seconds_per_operation(device: torch.device) -> float:
    network = timm.create_model(_YARDSTICK).eval().to(device)
    images = torch.zeros(usual_batch(device), *_input_size(network), device=device)
    facts = _operations_and_bytes(_YARDSTICK)
    assert facts is not None
    times = []
    with torch.no_grad():
        for _ in range(4):
            started = time.perf_counter()
            float(network(images).sum())
            times.append(time.perf_counter() - started)
    return min(times) / (facts[0] * len(images))


def _is_here(model: str) -> bool:
    """Whether a model's weights need no download."""
    if is_embedded(model) or model.startswith("local-dir:") or is_learned(model):
        return True
    if not has_pretrained(model):
        return True
    if is_source(model):
        name = model.partition(":")[2].partition("@")[0]
        return any(isinstance(try_to_load_from_cache(name, file), str) for file in _WEIGHT_FILES)
    cfg = timm.get_pretrained_cfg(model)
    if cfg is not None and cfg.hf_hub_id:
        return any(isinstance(try_to_load_from_cache(cfg.hf_hub_id, name), str) for name in _WEIGHT_FILES)
    name = Path(cfg.url).name if cfg is not None and cfg.url else ""
    return bool(name) and Path(torch.hub.get_dir(), "checkpoints", name).is_file()
