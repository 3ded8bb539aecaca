"""Time and memory of `psychophys statistics` over folders of photographs.

    python benchmarks/image_statistics.py FOLDER [--counts 200 1000] [-o image_statistics.csv]

For each count, the first so many images of the folder are counted by a process of its own; its wall
time and peak memory are taken. Memory should not grow with the number of images.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from psychophys.stimuli.photographs import find_images


def count(paths: list[str]) -> tuple[float, float]:
    """Seconds and peak MiB of one run."""
    with tempfile.TemporaryDirectory() as folder:
        for number, path in enumerate(paths):
            Path(folder, f"{number:07}{Path(path).suffix}").symlink_to(Path(path).resolve())
        started = time.perf_counter()
        command = [
            sys.executable,
            "-m",
            "psychophys",
            "statistics",
            folder,
            "-q",
            "-o",
            f"{folder}/p.parquet",
        ]
        process = subprocess.Popen(command)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"the run ended with status {status}")
        return time.perf_counter() - started, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[200, 1000])
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    paths = [source.path for source in find_images([arguments.folder])]
    rows = []
    for number in arguments.counts:
        seconds, peak = count(paths[:number])
        rows.append({"images": len(paths[:number]), "seconds": round(seconds, 1), "peak_mib": round(peak)})
    table = pd.DataFrame(rows)
    print(table.to_string(index=False))
    if arguments.output:
        table.to_csv(arguments.output, index=False)


if __name__ == "__main__":
    main()
