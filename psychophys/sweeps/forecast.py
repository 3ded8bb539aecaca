"""How long a sweep will take and what it will download, before it is begun."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import timm
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from psychophys.base.types import Array
from psychophys.measurement.batches import usual_batch
from psychophys.observers import hub
from psychophys.observers.devices import pick_device
from psychophys.observers.names import is_source
from psychophys.sweeps.past import FEWEST, LOADING_SECONDS, Past, find_past, passes
from psychophys.sweeps.speed import Speed, errors_of_fit, fit, spread
from psychophys.sweeps.tasks import Task

LARGEST_SAMPLE = 40
MOST_LEARNED = 20
"""Models of past measurements that are looked at."""
_YARDSTICK = "resnet18"


@dataclass(frozen=True)
class Estimate:
    """What a sweep will cost. Where nothing has been measured, a guess that is good to a factor of two or so.

    Attributes
    ----------
    seconds
        On this machine, with one measurement at a time; NaN where there is no telling.
    download_bytes
        Weights that are not in the cache; NaN where there is no telling.
    sampled, models
        How many models were looked at, and how many there are.
    measured
        How many past measurements it rests on.
    timed
        Whether it rests on one network that was timed here.
    low, high
        Seconds between which 8 of 10 such sweeps end, if they are off as past ones are; NaN where these
        are too few.
    larger
        Whether most of the time goes to networks of more operations than any that was learned from.
    """

    seconds: float
    download_bytes: float
    sampled: int
    models: int
    measured: int = 0
    timed: bool = False
    low: float = float("nan")
    high: float = float("nan")
    larger: bool = False


@dataclass(frozen=True)
class _Learned:
    """A speed, the past measurements that it is from, how far off it was, and the most operations."""

    speed: Speed
    past: tuple[Past, ...]
    errors: Array
    largest: float


def estimate(tasks: Sequence[Task], device: str = "auto", folder: Path | None = None) -> Estimate:
    """Say what tasks of one plan will cost, from what was measured or else from one network timed here.

    Up to ``LARGEST_SAMPLE`` models are looked at, built without memory for their weights. Where there
    are more, the others are taken to be like these.

    Parameters
    ----------
    folder
        With past measurements.
    """
    counts, each = Counter(task.job.model for task in tasks), passes(tasks[0])
    models = list(counts)
    looked_at = _look_at(models[:: max(-(-len(models) // LARGEST_SAMPLE), 1)])
    past = [] if folder is None else find_past(folder, replace(tasks[0], device=device))
    own = {model: runs for model in models if (runs := [one for one in past if one.model == model])}
    learned = _learn(past)
    timed = learned is None and len(own) < len(models) and bool(looked_at)
    per_operation = _seconds_per_operation(pick_device(device)) if timed else float("nan")
    speed = learned.speed if learned else Speed(LOADING_SECONDS, per_operation)
    typical = _mean([operations for operations, _ in looked_at.values()])
    work = {model: each * looked_at.get(model, (typical, 0.0))[0] for model in models}
    parts = {
        model: counts[model] * (_own(own[model], each, speed) if model in own else speed.seconds(work[model]))
        for model in models
    }
    used = dict.fromkeys(
        [*(one for runs in own.values() for one in runs), *(learned.past if learned else ())]
    )
    low, high = _range(parts, own, past, learned)
    beyond = [parts[m] for m in models if m not in own and learned and work[m] > learned.largest]
    wanted = dict.fromkeys(t.job.model for t in tasks if t.job.weights != "random")
    size = _mean([size for _, size in looked_at.values()])
    download = sum(looked_at.get(name, (0.0, size))[1] for name in wanted if not hub.is_here(name))
    return Estimate(
        sum(parts.values()),
        download,
        len(looked_at),
        len(models),
        measured=len(used),
        timed=timed,
        low=low,
        high=high,
        larger=sum(beyond) > sum(parts.values()) / 2,
    )


def _mean(numbers: Sequence[float]) -> float:
    return statistics.fmean(numbers) if numbers else float("nan")


def _look_at(models: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Operations and bytes of those models that can be looked into."""
    return {name: facts for name in models if (facts := _operations_and_bytes(name)) is not None}


def _learn(past: Sequence[Past]) -> _Learned | None:
    """The speed of up to ``MOST_LEARNED`` models, quick and slow ones; None if there are too few."""
    times: dict[str, float] = {}
    for one in past:
        times.setdefault(one.model, one.seconds / one.passes)
    slowest_first = sorted(times, key=lambda model: -times[model])
    places = np.linspace(0, max(len(times) - 1, 0), min(len(times), MOST_LEARNED)).round().astype(int)
    chosen = _look_at([slowest_first[place] for place in places])
    if len(chosen) < FEWEST:
        return None
    runs = tuple(one for one in past if one.model in chosen)
    operations = [one.passes * chosen[one.model][0] for one in runs]
    seconds = [one.seconds for one in runs]
    errors = errors_of_fit([one.model for one in runs], operations, seconds)
    return _Learned(fit(operations, seconds), runs, errors, max(operations))


def _own(runs: Sequence[Past], passes: float, speed: Speed) -> float:
    """Seconds of a network that was measured, in so many passes: what is more than the fixed part scales."""
    fixed = [min(one.seconds, speed.fixed) for one in runs]
    return statistics.median(
        part + (one.seconds - part) * passes / one.passes for one, part in zip(runs, fixed, strict=True)
    )


def _range(
    parts: Mapping[str, float],
    own: Mapping[str, Sequence[Past]],
    past: Sequence[Past],
    learned: _Learned | None,
) -> tuple[float, float]:
    """Between which seconds a sum lies; NaN where nothing is known of how far off it may be."""
    if learned is None:
        return float("nan"), float("nan")
    repeated = _errors_of_own(past, learned.speed)
    # What is off between runs of one network is less than between networks, if it is known.
    known = repeated if len(repeated) >= FEWEST else learned.errors
    return spread(list(parts.values()), [known if model in own else learned.errors for model in parts])


def _errors_of_own(past: Sequence[Past], speed: Speed) -> Array:
    """True over forecast time of measurements whose network was measured more than once."""
    runs: dict[str, list[Past]] = {}
    for one in past:
        runs.setdefault(one.model, []).append(one)
    return np.array(
        [
            one.seconds / _own([*same[:place], *same[place + 1 :]], one.passes, speed)
            for same in runs.values()
            if len(same) > 1
            for place, one in enumerate(same)
        ]
    )


def _operations_and_bytes(model: str) -> tuple[float, float] | None:
    """Floating-point operations of one image and bytes of weights in float32."""
    if is_source(model) and not model.startswith("local-dir:"):
        return None  # What they are is on the hub, or in a checkpoint.
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
    """Of one network, shown images without derivatives."""
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
