"""The contract: what became of hostile networks, false alarms over timm, and its cost.

    python benchmarks/contract.py hostile [-o contract_hostile.csv]
    python benchmarks/contract.py timm [-o contract_timm.csv] [--part 0/1] [--device cpu]
    python benchmarks/contract.py cost

`hostile`: every network of tests/observers/hostile.py, with J as measured and as differences in float64 of an
independent implementation have it. `timm`: the smallest model of every architecture file (see
coverage.py), random weights. `cost`: seconds of the contract over those of a default measurement.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import psychophys
from psychophys.measurement.ways import find_ways
from psychophys.observers.memory import keep_freed_memory

ROOT = Path(__file__).parents[1]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
THETA = torch.tensor([17.0, 40.0, 73.0], dtype=torch.float64)


def hostile() -> pd.DataFrame:
    """A row a network: what should be done, what was done, and J at 17 degrees."""
    sys.path.insert(0, str(ROOT / "tests"))
    from observers import hostile as networks  # noqa: PLC0415
    from observers.test_contract import GABORS  # noqa: PLC0415

    rows = []
    for case in networks.CASES:
        torch.manual_seed(0)
        right = networks.right_j(case, networks.gabors, THETA, MEAN, STD, call=0)
        row = {
            "network": case.__name__,
            "kind": case.kind,
            "should": case.verdict,
            "j": None,
            "why": case.why,
        }
        row["right_j"] = None if right is None else float(right[0])
        try:
            observer = psychophys.Observer(case(), input_size=32, mean=MEAN, std=STD)
            table = psychophys.measure(
                observer, GABORS, "orientation", values=THETA.tolist(), noise="gaussian", layers="out"
            ).to_pandas()
            row |= {"did": table["status"].iloc[0], "estimator": table["estimator"].iloc[0]}
            row["j"] = float(table["fisher_information"].iloc[0])
        except psychophys.PsychophysError as error:
            row |= {"did": "refused", "reason": str(error)}
        rows.append(row)
    return pd.DataFrame(rows)


def over_timm(part: str, device: str) -> pd.DataFrame:
    """A row a model: whether all of its default layers keep the contract, and how far they are off."""
    models = pd.read_csv(ROOT / "benchmarks" / "coverage.csv")["model"]
    index, count = map(int, part.split("/"))
    rows = []
    for model in models[index::count]:
        observer = psychophys.load_observer(model, weights="random", device=device)
        started = time.perf_counter()
        contract = observer.check()
        faults = {name: v.faults[0] for name, v in contract.verdicts.items() if v.faults}
        rows.append(
            {
                "model": model,
                "seconds": round(time.perf_counter() - started, 1),
                "layers": len(contract.verdicts),
                "tested_in": contract.dtype,
                "error": max(v.error for v in contract.verdicts.values()),
                "precision": max(v.precision for v in contract.verdicts.values()),
                "faults": "; ".join(f"{name} {fault}" for name, fault in faults.items()),
                "reverse": "; ".join(f"{name} {why}" for name, why in contract.reverse.items() if why),
                "skipped": len(contract.skipped),
                "notes": "; ".join(contract.notes),
            }
        )
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def cost() -> pd.DataFrame:
    """Seconds of the contract and of the default measurement around it."""
    rows = []
    for model, weights in (("tf_efficientnet_lite0", "pretrained"), ("resnet18", "random")):
        observer = psychophys.load_observer(model, weights=weights)
        plan = psychophys.plan()
        psychophys.measure(observer, values=2, parameters={"phase": 1})  # Warm.
        observer.known.clear()
        started = time.perf_counter()
        find_ways(plan, observer)
        tested = time.perf_counter() - started
        started = time.perf_counter()
        psychophys.measure(observer)
        measured = time.perf_counter() - started
        rows.append({"model": model, "contract_s": tested, "rest_s": measured, "share": tested / measured})
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("hostile", "timm", "cost"))
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    keep_freed_memory()
    made: dict[str, Any] = {
        "hostile": hostile,
        "timm": lambda: over_timm(options.part, options.device),
        "cost": cost,
    }
    table = made[options.what]()
    print(table.to_string())
    if options.output:
        table.to_csv(options.output, index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
