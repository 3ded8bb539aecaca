"""Error of sensitivities by the arithmetic of products, layer by layer, against float64.

    python benchmarks/precision.py [--model NAME] [--weights pretrained] [--device cpu] [-o precision.csv]

All are what `--precision` gives on the device, but for TF32 where it is not a GPU. It is simulated there:
factors of convolutions and matrix products are rounded to 10 bits of mantissa, as a GPU rounds them, and
sums are of float32. Prints mean and largest relative error over orientations.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

import psychophys
from psychophys.observers.arithmetic import ARITHMETIC
from psychophys.observers.memory import keep_freed_memory
from psychophys.observers.names import DEFAULT_MODEL

warnings.filterwarnings("ignore", category=FutureWarning)
DROPPED = 13
"""Bits of float32's mantissa that TF32 has not."""


def rounded(x: Tensor) -> Tensor:
    """To the nearest number of 10 bits of mantissa, ties to even; (any shape)."""
    if x.dtype != torch.float32:
        return x
    bits = x.contiguous().view(torch.int32)
    half = (1 << (DROPPED - 1)) - 1 + ((bits >> DROPPED) & 1)
    return ((bits + half) & ~((1 << DROPPED) - 1)).view(torch.float32)


class Tf32(TorchFunctionMode):
    """Round the factors of convolutions and linear layers."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in (F.conv2d, F.linear):
            args = (rounded(args[0]), rounded(args[1]), *args[2:])
        return func(*args, **(kwargs or {}))


def sensitivity(model: str, **settings: str) -> pd.Series:
    """Of every layer and value."""
    observer = psychophys.load_observer(model, **settings)
    table = psychophys.measure(observer, parameters={"phase": 2})
    return table.to_pandas().set_index(["layer", "value"])["sensitivity"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--weights", default="pretrained")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    keep_freed_memory()
    shown = {"model": options.model, "weights": options.weights, "device": options.device}
    reference = sensitivity(**shown, dtype="float64")
    real = options.device.startswith("cuda")
    found = {name: sensitivity(**shown, arithmetic=name) for name in ARITHMETIC if real or name != "tf32"}
    if not real:
        with Tf32():
            found["tf32 (simulated)"] = sensitivity(**shown)
    columns = {}
    for name, measured in found.items():
        groups = (measured / reference - 1).abs().groupby("layer", sort=False)
        columns[f"{name}, mean"], columns[f"{name}, largest"] = groups.mean(), groups.max()
    table = pd.DataFrame(columns)
    print(table.to_string(float_format=lambda v: f"{v:.1e}"))
    if options.output:
        table.to_csv(options.output, float_format="%.2e")


if __name__ == "__main__":
    main()
