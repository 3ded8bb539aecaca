"""Cost of a measurement over a plain forward pass of the same images, in the same run.

    python benchmarks/cost.py [--models NAME ...] [--device cpu] [--repeats 7] [-o cost.csv]

For each model and estimator, all default layers are measured for gabors of 36 orientations and
8 phases (--phases). The plain pass shows the same images, already drawn, in batches of the same size
and the same arithmetic: in the network as timm makes it (plain), as the observer lays out its weights,
and as a frozen graph with folded norms. Plain and measured runs alternate; the ratios are those of the
medians. Memory is the peak of the process (CPU) or of the allocator (CUDA) during a run, each in a
process of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import multiprocessing
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from psychophys import Observer, load_observer, plan, run
from psychophys.measurement.batches import CPU_BATCH, GPU_BATCH
from psychophys.measurement.blocks import render_block
from psychophys.observers.arithmetic import computing
from psychophys.observers.devices import pick_device
from psychophys.observers.layers import select_layers
from psychophys.observers.memory import keep_freed_memory
from psychophys.observers.names import DEFAULT_MODEL
from psychophys.observers.prepare import lay_out

warnings.filterwarnings("ignore", category=FutureWarning)
ESTIMATORS = ("jvp", "central", "chained")


def load(model: str, device: str) -> Observer:
    keep_freed_memory()
    weights = "pretrained" if model == DEFAULT_MODEL else "random"
    return load_observer(model, weights=weights, device=pick_device(device))


def timed(work: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def time_model(model: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    observer = load(model, options.device)
    size = options.batch_size or (CPU_BATCH if observer.device.type == "cpu" else GPU_BATCH)
    shown = {"values": options.n_values, "parameters": {"phase": options.phases}}
    plans = {name: plan(estimator=name, **shown) for name in ESTIMATORS}
    spec = plans["jvp"]
    values = torch.tensor(spec.values, dtype=observer.dtype, device=observer.device)
    images = torch.cat([render_block(spec, observer, [sample], values[None]) for sample in spec.samples])

    works: dict[str, Callable[[], object]] = {
        name: partial(show, observer, network, images.split(size))
        for name, network in plain_networks(observer, images[:size]).items()
    }
    for name, measurement in plans.items():
        works[name] = lambda m=measurement: run(m, observer, batch_size=size)
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(options.repeats):
        for name, work in works.items():
            seconds[name].append(timed(work, observer.device))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    fastest = min(medians[name] for name in works if name not in ESTIMATORS)
    return [
        {
            "model": model,
            "device": device_name(observer.device),
            "run": name,
            "batch": size,
            "ms_per_image": round(1e3 * medians[name] / len(images), 3),
            "ratio": round(medians[name] / medians["plain"], 2),
            "ratio_to_fastest": round(medians[name] / fastest, 2),
        }
        for name in works
    ]


def plain_networks(observer: Observer, images: torch.Tensor) -> dict[str, Callable[[torch.Tensor], object]]:
    """The network as timm makes it, as the observer lays it out, and as a frozen graph with folded norms."""
    eager = copy.deepcopy(observer.model)
    lay_out(eager, torch.contiguous_format)
    found: dict[str, Callable[[torch.Tensor], object]] = {"plain": eager, "plain_as_measured": observer.model}
    with torch.no_grad(), contextlib.suppress(Exception):  # Not every network can be traced.
        traced = torch.jit.freeze(torch.jit.trace(eager, observer.preprocess(images)))
        frozen = torch.jit.optimize_for_inference(traced)
        frozen(observer.preprocess(images))
        found["plain_frozen"] = frozen
    return found


@torch.inference_mode()
def show(
    observer: Observer, network: Callable[[torch.Tensor], object], batches: Sequence[torch.Tensor]
) -> None:
    with computing(observer.arithmetic):
        for part in batches:
            network(observer.preprocess(part))


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def _kib(name: str) -> float:
    """KiB of memory: in use now (``VmRSS``), or at most (``VmHWM``; that may have been while loading)."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(name))


def peak_memory(model: str, device: str, layers: str) -> float:
    """Peak MiB above what the loaded model takes."""
    observer = load(model, device)
    measurement = plan(layers=layers, values=8, parameters={"phase": 1})
    if observer.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run(measurement, observer, batch_size=8)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    before = _kib("VmRSS")
    run(measurement, observer, batch_size=8)
    return (_kib("VmHWM") - before) / 2**10  # getrusage's peak begins at that of the process before.


def memory_model(model: str, device: str, repeats: int) -> list[dict[str, Any]]:
    """One layer, the last, against all: peak memory and time."""
    observer = load(model, device)
    last = select_layers(observer).layers[-1].name
    works = {layers: partial(run, plan(layers=layers, parameters={"phase": 2})) for layers in (last, "all")}
    seconds: dict[str, list[float]] = {layers: [] for layers in works}
    for count in range(repeats + 1):
        for layers, work in works.items():
            took = timed(partial(work, observer, batch_size=8), observer.device)
            seconds[layers] += [took] if count else []
    peaks = {}
    for layers in works:
        # A fresh process: a peak cannot be taken back.
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            peaks[layers] = pool.submit(peak_memory, model, device, layers).result()
    times = {layers: statistics.median(took) for layers, took in seconds.items()}
    return [
        {
            "model": model,
            "layers": layers,
            "peak_mib": round(peak),
            "ratio": round(peak / peaks[last], 2),
            "seconds": round(times[layers], 2),
            "time_ratio": round(times[layers] / times[last], 2),
        }
        for layers, peak in peaks.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", nargs="+", default=[DEFAULT_MODEL, "resnet18"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--phases", type=int, default=8)
    parser.add_argument("--values", dest="n_values", type=int, default=36)
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--only-memory", action="store_true")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    if not options.only_memory:
        times = pd.DataFrame(row for model in options.models for row in time_model(model, options))
        print(times.to_string(index=False))
        if options.output:
            times.to_csv(options.output, index=False)
    if options.no_memory:
        return
    memory = pd.DataFrame(
        row for model in options.models for row in memory_model(model, options.device, options.repeats)
    )
    print(memory.to_string(index=False))
    if options.output:
        memory.to_csv(options.output.with_stem(options.output.stem + "_memory"), index=False)


if __name__ == "__main__":
    main()
