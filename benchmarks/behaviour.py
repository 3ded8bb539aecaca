"""Predicted thresholds against those of simulated observers, by noise level.

    python benchmarks/behaviour.py [--layers blocks.2,blocks.5,classifier] [-o behaviour.csv]

Twelve orientations, one phase. Prints the median and the largest deviation of the fitted threshold from
the local-linear one, and how often that lies in the fit's 95 % interval.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import pandas as pd

import psychophys
from psychophys.observers.memory import keep_freed_memory

warnings.filterwarnings("ignore", category=FutureWarning)

LEVELS = (0.1, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--layers", default="blocks.2,blocks.5,classifier")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    keep_freed_memory()
    parts = []
    for level in LEVELS:
        settings = {"values": 12, "parameters": {"phase": 1}, "noise_level": level}
        parts.append(psychophys.simulate(layers=options.layers.split(","), **settings).to_pandas())
    frame = pd.concat(parts)
    rows = []
    for (level, layer), part in frame.groupby(["noise_level", "layer"], sort=False):
        rows.append(
            {
                "noise_level": level,
                "layer": layer,
                "predicted_deg": part["predicted_threshold"].mean(),
                "fitted_deg": part["fitted_threshold"].mean(),
                "median_abs_deviation": part["deviation"].abs().median(),
                "median_deviation": part["deviation"].median(),
                "largest_deviation": part["deviation"].abs().max(),
                "agree": (part["status"] == "agrees").mean(),
            }
        )
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda v: f"{v:.3f}"))
    for level, part in frame.groupby("noise_level"):
        print(f"noise {level}: median |deviation| {part['deviation'].abs().median():.1%}")
    if options.output:
        columns = ["noise_level", "layer", "value", "predicted_threshold", "fitted_threshold", "fitted_low",
                   "fitted_high", "deviation", "power"]  # fmt: skip
        frame[columns].to_csv(options.output, index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
