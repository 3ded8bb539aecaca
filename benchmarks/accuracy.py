"""Error of each estimator against float64 central differences, layer by layer.

    python benchmarks/accuracy.py [--model NAME] [--weights pretrained] [-o accuracy.csv]

Reference: float64, central differences with a half-width of 1e-6 rad. Prints the mean relative
error of the sensitivity over orientations.
"""

from __future__ import annotations

import argparse
import math
import warnings
from pathlib import Path

import pandas as pd

import psychophys
from psychophys.observers.memory import keep_freed_memory
from psychophys.observers.names import DEFAULT_MODEL

warnings.filterwarnings("ignore", category=FutureWarning)

CASES = {
    "jvp": {"estimator": "jvp"},
    "central, 0.01 rad": {"estimator": "central", "step": math.degrees(0.01)},
    "central, 0.001 rad": {"estimator": "central", "step": math.degrees(0.001)},
    "chained, 5 deg": {"estimator": "chained"},
}


def sensitivity(model: str, weights: str, dtype: str, **settings: object) -> pd.Series:
    table = psychophys.measure(model, weights=weights, dtype=dtype, parameters={"phase": 2}, **settings)
    return table.to_pandas().set_index(["layer", "value"])["sensitivity"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--weights", default="pretrained")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    keep_freed_memory()
    names = options.model, options.weights
    reference = sensitivity(*names, "float64", estimator="central", step=math.degrees(1e-6))
    errors = {}
    for name, settings in CASES.items():
        relative = (sensitivity(*names, "float32", **settings) / reference - 1).abs()
        errors[name] = relative.groupby("layer", sort=False).mean()
    table = pd.DataFrame(errors)
    print(table.to_string(float_format=lambda v: f"{v:.1e}"))
    print("largest", table.max().map("{:.1e}".format).to_dict())
    if options.output:
        table.to_csv(options.output, float_format="%.2e")


if __name__ == "__main__":
    main()
