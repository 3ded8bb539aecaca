"""Cost of the Fisher matrix over two and three dimensions, over a measurement along one.

    python benchmarks/fisher.py [--models NAME ...] [--device cpu] [--repeats 9] [-o fisher.csv]

All show the same gabors (36 orientations, 2 phases; J, noise and tables included) in batches of the same
size, and measure all default layers. Runs alternate; the ratio is that of the medians.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cost import device_name, load, timed

from psychophys import plan, run
from psychophys.measurement.batches import CPU_BATCH, GPU_BATCH
from psychophys.measurement.fisher_matrix import plan_fisher, run_fisher
from psychophys.observers.names import DEFAULT_MODEL

PHASES = {"phase": 2}
DIMENSIONS = ("orientation", "frequency", "x")


def time_model(model: str, device: str, repeats: int, batch: int | None) -> list[dict[str, Any]]:
    observer = load(model, device)
    size = batch or (CPU_BATCH if observer.device.type == "cpu" else GPU_BATCH)
    one = plan(parameters=PHASES)
    works: dict[int, Callable[[], object]] = {1: lambda: run(one, observer, batch_size=size)}
    for count in range(2, len(DIMENSIONS) + 1):
        joint = plan_fisher(DIMENSIONS[:count], parameters=PHASES)
        works[count] = lambda joint=joint: run_fisher(joint, observer, batch_size=size)
    seconds: dict[int, list[float]] = {count: [] for count in works}
    for work in works.values():
        work()
    for _ in range(repeats):
        for count, work in works.items():
            seconds[count].append(timed(work, observer.device))
    medians = {count: float(np.median(times)) for count, times in seconds.items()}
    images = len(one.samples) * len(one.values)
    return [
        {
            "model": model,
            "device": device_name(observer.device),
            "batch": size,
            "dimensions": count,
            "ms_per_image": round(1e3 * median / images, 2),
            "ratio": round(median / medians[1], 2),
        }
        for count, median in medians.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", nargs="+", default=[DEFAULT_MODEL, "resnet18"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    times = pd.DataFrame(
        row
        for model in options.models
        for row in time_model(model, options.device, options.repeats, options.batch_size)
    )
    print(times.to_string(index=False))
    if options.output:
        times.to_csv(options.output, index=False)


if __name__ == "__main__":
    main()
