"""Every architecture file of timm: is its smallest model measured, by which estimator, how exactly?

    python benchmarks/coverage.py [--files NAME ...] [--jobs 2] [--oracle-limit 100] [-o coverage.csv]

For each file of ``timm.models`` the model with the fewest parameters gets random weights (seed 0)
and its own input size. Gabors of 4 orientations are measured in all its default layers in float32,
with the estimator left to the program. Two float64 measurements check it: ``error`` is against central
differences over 1e-5 or 1e-3 deg, whichever is nearer in a layer (rounding spoils the one where a
random network hardly answers, curvature the other); ``error_jvp64`` against the exact derivative.
Both are the mean over orientations of the relative error of the sensitivity, in the worst layer.
Models over ``--oracle-limit`` million parameters are not checked. Every model has a process of its own.
"""

from __future__ import annotations

import argparse
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import timm
import torch

from psychophys import PsychophysError, Results, load_observer, plan, run
from psychophys.observers.memory import keep_freed_memory

warnings.filterwarnings("ignore")
SETTINGS: dict[str, Any] = {
    "stimulus": "gabor",
    "values": [10.0, 55.0, 100.0, 145.0],
    "parameters": {"phase": [30.0]},
    "noise": "gaussian",
}
ORACLE_STEPS_DEG = (1e-5, 1e-3)


def smallest(file: str) -> tuple[str, int]:
    """The model of an architecture file with the fewest parameters, and how many."""
    counts = {}
    for name in timm.list_models(module=file):
        with torch.device("meta"):
            counts[name] = sum(p.numel() for p in timm.create_model(name).parameters())
    best = min(counts, key=counts.__getitem__)
    return best, counts[best]


def errors(measured: Results, reference: Results) -> pd.Series:
    """Mean relative error of each layer's sensitivity."""
    frame = measured.to_pandas().merge(reference.to_pandas(), on=["layer", "value"], suffixes=("", "_true"))
    true = frame["sensitivity_true"]
    frame["error"] = np.where(true > 0, (frame["sensitivity"] - true).abs() / true, frame["sensitivity"])
    return frame.groupby("layer")["error"].mean()


def cover(model: str, check: bool = True) -> dict[str, Any]:
    """What became of one model; with errors where they are checked."""
    row: dict[str, Any] = {}
    try:
        observer = load_observer(model, weights="random")
        row["input"] = "x".join(map(str, observer.input_size))
        started = time.perf_counter()
        results = run(plan(**SETTINGS), observer)
        row["seconds"] = round(time.perf_counter() - started, 2)
    except PsychophysError as error:
        return {**row, "status": f"failed: {error}"}
    frame = results.to_pandas()
    record = next(iter(results.runs.values()))
    row["layers"] = frame["layer"].nunique()
    row["left_out"] = len(record["skipped_layers"])
    row["estimator"] = record["estimator"]
    row["status"] = " ".join(sorted(set(frame["status"])))
    if check:
        del observer
        exact = load_observer(model, weights="random", dtype="float64")
        steps = [run(plan(**SETTINGS, estimator="central", step=h), exact) for h in ORACLE_STEPS_DEG]
        error = pd.concat([errors(results, step) for step in steps], axis=1).min(axis=1)
        row["error"], row["worst_layer"] = float(f"{error.max():.2g}"), error.idxmax()
        row["error_jvp64"] = float(f"{errors(results, run(plan(**SETTINGS), exact)).max():.2g}")
    return row


def cover_file(file: str, threads: int, oracle_limit: float) -> dict[str, Any]:
    """What became of the smallest model of a file."""
    torch.set_num_threads(threads)
    keep_freed_memory()
    model, parameters = smallest(file)
    millions = parameters / 1e6
    row = {"file": file, "model": model, "parameters_millions": round(millions, 2)}
    return {**row, **cover(model, check=millions <= oracle_limit)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    files = [name for name in sorted(timm.models.list_modules()) if find_spec(f"timm.models.{name}")]
    parser.add_argument("--files", nargs="*", default=files)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--oracle-limit", type=float, default=100, help="million parameters")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    rows = []
    with ProcessPoolExecutor(arguments.jobs, get_context("spawn"), max_tasks_per_child=1) as pool:
        tasks = [
            pool.submit(cover_file, f, arguments.threads, arguments.oracle_limit) for f in arguments.files
        ]
        for task in tasks:
            rows.append(task.result())
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    measured = table["status"].str.endswith("ok")
    print(table.to_string())
    print(f"timm {timm.__version__}: {int(measured.sum())} of {len(table)} architecture files measured")
    if arguments.output:
        table.to_csv(arguments.output, index=False)


if __name__ == "__main__":
    main()
