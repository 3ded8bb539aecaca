"""What a sweep of small models costs over measuring them one by one.

    python benchmarks/sweep_overhead.py [--repeats 3] [-o sweep_overhead.csv]

Each of timm's small test models is measured once with random weights by a command of its own
(`psychophys measure`), then all of them by one `psychophys sweep` with one process for each model.
A command spends most of its time importing PyTorch and timm; a sweep does so once and stays warm.
``ratio`` is therefore the sweep's time over the sum of the commands' times less all start-ups but one,
where a start-up is the time of a command that imports the same modules and ends. Medians over repeats.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

MODELS = [
    *("test_byobnet", "test_convnext", "test_convnext2", "test_efficientnet", "test_efficientnet_ln"),
    *("test_mambaout", "test_nfnet", "test_resnet", "test_vit", "test_vit2", "test_vit3", "test_vit4"),
]
PSYCHOPHYS = [sys.executable, "-m", "psychophys"]
QUIET = ["--weights", "random", "--device", "cpu", "-q"]


def seconds(command: list[str], folder: str) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    start_up = [sys.executable, "-c", "import psychophys.cli.each"]
    rows = []
    for _ in range(arguments.repeats):
        with tempfile.TemporaryDirectory() as folder:
            alone = [seconds([*PSYCHOPHYS, "measure", m, *QUIET], folder) for m in MODELS]
            together = seconds([*PSYCHOPHYS, "sweep", *MODELS, *QUIET], folder)
            rows.append((sum(alone), seconds(start_up, folder), together))
    single, start, sweep = (statistics.median(column) for column in zip(*rows, strict=True))
    table = pd.DataFrame(
        [
            {
                "models": len(MODELS),
                "single_seconds": round(single, 1),
                "start_up_seconds": round(start, 1),
                "sweep_seconds": round(sweep, 1),
                "ratio": round(sweep / (single - (len(MODELS) - 1) * start), 2),
                "sweep_over_single": round(sweep / single, 2),
            }
        ]
    )
    print(table.to_string(index=False))
    if arguments.output:
        table.to_csv(arguments.output, index=False)


if __name__ == "__main__":
    main()
