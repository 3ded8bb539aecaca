"""The seconds before the first image, and of whole short commands, of this version and others, in turns.

    python benchmarks/start.py [--others FOLDER ...] [--repeats 7] [-o start.csv]

FOLDER is a checkout of another version: its commands run with the same packages. Medians over repeats of
``layers resnet18``, ``measure --values 1`` of the default network, the time until that shows its first image,
and what ``python -X importtime`` says of importing what a measurement imports, by package (one run each: the
option itself costs time).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parents[1]
COMMANDS = {
    "layers resnet18": ["layers", "resnet18", "--weights", "random"],
    "measure --values 1": ["measure", "--values", "1", "--device", "cpu", "-q", "-o", "out.parquet"],
}
FIRST_IMAGE = """
import builtins, sys, time
began = time.perf_counter()
imported = builtins.__import__
def watched(*words, **more):
    found = imported(*words, **more)
    batches = sys.modules.get("psychophys.measurement.batches")
    if hasattr(batches, "present"):
        builtins.__import__ = imported
        present = batches.present
        def first(*words):
            print("first image", time.perf_counter() - began)
            batches.present = present
            return present(*words)
        batches.present = first
    return found
builtins.__import__ = watched
from psychophys.cli import main
main()
"""
"""Nothing is imported sooner than it would be."""
PACKAGES = ("torch", "timm", "torchvision", "huggingface_hub", "scipy", "pandas", "pyarrow", "psychophys")


def environment(version: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(version), "PYTHONWARNINGS": "ignore"}


def run(version: Path, *words: str) -> tuple[float, str, str]:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        command = [sys.executable, *words]
        done = subprocess.run(
            command, cwd=folder, env=environment(version), capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - began
    assert done.returncode == 0, done.stderr
    return seconds, done.stdout, done.stderr


def imports(version: Path) -> dict[str, float]:
    """Seconds spent in the modules of each package, without what they import of others."""
    _, _, text = run(
        version, "-X", "importtime", "-c", "import psychophys.cli.each, psychophys.measurement.run"
    )
    found: dict[str, float] = defaultdict(float)
    for line in text.splitlines():
        if line.startswith("import time:") and line.split("|")[0].split(":")[1].strip().isdigit():
            own, _, name = line.removeprefix("import time:").split("|")
            package = name.strip().split(".")[0]
            found[package if package in PACKAGES else "others"] += int(own) / 1e6
    return dict(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--others", type=Path, nargs="*", default=[])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    versions = {"this": HERE, **{path.name: path.resolve() for path in arguments.others}}
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(arguments.repeats):
        for name, version in versions.items():
            for command, words in COMMANDS.items():
                seconds[name, command].append(run(version, "-m", "psychophys", *words)[0])
            _, out, _ = run(version, "-c", FIRST_IMAGE, *COMMANDS["measure --values 1"])
            seconds[name, "first image"].append(float(out.split()[-1]))
    rows = [(*key, round(statistics.median(times), 2)) for key, times in seconds.items()]
    for name, version in versions.items():
        rows += [(name, f"import {package}", round(took, 2)) for package, took in imports(version).items()]
    table = pd.DataFrame(rows, columns=["version", "what", "seconds"])
    table = table.pivot_table(index="what", columns="version", values="seconds", sort=False).reset_index()
    print(table.to_string(index=False))
    if arguments.output:
        table.to_csv(arguments.output, index=False)


if __name__ == "__main__":
    main()
