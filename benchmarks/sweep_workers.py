"""What a sweep costs over the measuring in it, and what a second worker brings.

    python benchmarks/sweep_workers.py [--seeds 9] [-o sweep_workers.csv]

Twelve of timm's small test networks, each with so many seeds of random weights, are measured by one
`psychophys sweep` with one worker and by one with two, each with one thread, in turns. ``measuring`` is the
sum of what each run's provenance says under ``seconds`` (from the search for layers, contract included, to
the last image); ``over_measuring`` is the sweep's wall time, start and summary included, over that and times
the number of workers; ``efficiency`` is the wall time of one worker over twice that of two.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

import psychophys

MODELS = (
    *("test_byobnet", "test_convnext", "test_convnext2", "test_efficientnet", "test_efficientnet_ln"),
    *("test_mambaout", "test_nfnet", "test_resnet", "test_vit", "test_vit2", "test_vit3", "test_vit4"),
)
PLAN = ["--weights", "random", "--device", "cpu"]


def sweep(jobs: int, words: list[str]) -> tuple[float, float, int]:
    """Wall time, measuring time and number of measurements."""
    command = [sys.executable, "-m", "psychophys", "sweep", *MODELS, *PLAN, *words, "--jobs", str(jobs)]
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        environment = {**os.environ, "OMP_NUM_THREADS": str(jobs)}  # They share these.
        subprocess.run(command, cwd=folder, check=True, stderr=subprocess.DEVNULL, env=environment)
        seconds = time.perf_counter() - began
        runs = psychophys.read(Path(folder, "results")).runs
    return seconds, sum(run["seconds"] for run in runs.values()), len(runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", default="9")
    parser.add_argument("--phases", default="2")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    words = ["--seeds", arguments.seeds, "--phases", arguments.phases]
    found: dict[int, list[tuple[float, float, int]]] = {1: [], 2: []}
    for _ in range(arguments.repeats):
        for jobs, times in found.items():
            times.append(sweep(jobs, words))
    rows = []
    for jobs, times in found.items():
        wall, measuring, runs = (statistics.median(column) for column in zip(*times, strict=True))
        rows.append(
            {
                "workers": jobs,
                "measurements": int(runs),
                "wall_seconds": round(wall, 1),
                "measuring_seconds": round(measuring, 1),
                "over_measuring": round(wall * jobs / measuring, 2),
                "efficiency": round(rows[0]["wall_seconds"] / wall / 2, 2) if rows else 1.0,
            }
        )
    table = pd.DataFrame(rows)
    print(table.to_string(index=False))
    if arguments.output:
        table.to_csv(arguments.output, index=False)


if __name__ == "__main__":
    main()
