"""How many phases are enough, layer by layer, and where `--until-precision` stops.

    python benchmarks/phases.py [--models NAME ...] [-o phases.csv]

The default measurement of a model (gabors of 36 orientations) is made once, with the phases of all grids.
Each grid is a choice of these: its numbers are those that a measurement of its own would have. Its error is
against 48 phases: relative, of sqrt(J), median and largest over orientations; `r` is the correlation of the
curves' logarithms. A grid starts at 0, or at half of its own step. `interval` is the half-width of the
threshold's interval as a fraction of it. The second table has the phases at which `--until-precision` stops,
for each layer alone and for all together, with the largest error there; none where 32 are not enough.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import psychophys
from psychophys.base.types import Array
from psychophys.measurement.sums import Sums
from psychophys.measurement.thresholds import Done
from psychophys.measurement.ways import find_ways, gather
from psychophys.observers.layers import Layer
from psychophys.observers.memory import keep_freed_memory
from psychophys.observers.names import DEFAULT_MODEL

warnings.filterwarnings("ignore", category=FutureWarning)
REFERENCE, COUNTS, DOUBLED = 48, (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 24, 32), (8, 16, 32)
PRECISIONS = (0.2, 0.1, 0.05)


def grid(count: int, start: float = 0.0) -> tuple[float, ...]:
    """Phases in degrees, beginning at a fraction of their step."""
    return tuple(float(phase) for phase in np.round((np.arange(count) + start) * 360 / count, 9))


def measured(model: str) -> Done:
    """With the phases of all grids."""
    phases = sorted({phase for count in (REFERENCE, *COUNTS) for phase in grid(count)})
    observer = psychophys.load_observer(model, weights="pretrained" if model == DEFAULT_MODEL else "random")
    measurement = psychophys.plan(parameters={"phase": phases})
    ways = find_ways(measurement, observer)
    return Done(measurement, ways.layers, gather(measurement, ways)[0])


def chosen(every: Done, phases: tuple[float, ...]) -> Done:
    """The measurement of these phases alone."""
    shown = [sample["phase"] for sample in every.measurement.samples]
    rows = [shown.index(phase) for phase in phases]
    kept = {
        name: {layer: table[rows] for layer, table in by_layer.items()}
        for name, by_layer in every.sums.quantities.items()
    }
    parameters = {**every.measurement.parameters, "phase": phases}
    return Done(replace(every.measurement, parameters=parameters), every.layers, Sums(kept))


def errors(done: Done, truth: Done, layer: Layer) -> tuple[Array, float]:
    """Relative errors of sqrt(J) at every orientation, and the correlation of the curves."""
    curve, true = (np.log(of.information(layer)) / 2 for of in (done, truth))
    return np.abs(np.expm1(curve - true)), float(np.corrcoef(curve, true)[0, 1])


def compared(done: Done, truth: Done, start: float) -> list[dict[str, Any]]:
    """A row a layer."""
    rows = []
    for layer in done.layers:
        error, r = errors(done, truth, layer)
        row = {"layer": layer.name, "phases": done.sums.n_samples, "start": start}
        row |= {"error_median": np.median(error), "error_max": error.max(), "r": r}
        if (ends := done.interval(layer)) is not None:
            width = (ends[1] - ends[0]) / 2 * np.sqrt(done.information(layer))
            row |= {"interval_median": np.median(width), "interval_max": width.max()}
        rows.append(row)
    return rows


def stop(every: Done, truth: Done, precision: float) -> dict[str, Any]:
    """Where these layers are as precise as that: a row."""
    row = {"precision": precision, "layer": every.layers[0].name if len(every.layers) == 1 else "all"}
    for count in DOUBLED:
        done = chosen(every, grid(count))
        if replace(done, measurement=replace(done.measurement, precision=precision)).precise:
            error = max(errors(done, truth, layer)[0].max() for layer in every.layers)
            return {**row, "phases": count, "error_max": error}
    return row


def tables(model: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    every = measured(model)
    truth, shown = chosen(every, grid(REFERENCE)), {sample["phase"] for sample in every.measurement.samples}
    grids = [(count, start) for count in COUNTS for start in (0.0, 0.5) if set(grid(count, start)) <= shown]
    rows = [row for grid_ in grids for row in compared(chosen(every, grid(*grid_)), truth, grid_[1])]
    sets = [*((layer,) for layer in every.layers), every.layers]
    stops = [stop(replace(every, layers=layers), truth, share) for share in PRECISIONS for layers in sets]
    return pd.DataFrame(rows).assign(model=model), pd.DataFrame(stops).assign(model=model)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", nargs="+", default=[DEFAULT_MODEL, "vit_tiny_patch16_224"])
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    keep_freed_memory()
    for suffix, parts in zip(("", "_stops"), zip(*map(tables, options.models), strict=True), strict=True):
        table = pd.concat(parts).set_index("model")
        print(table.to_string(float_format="{:.3g}".format))
        if options.output:
            path = options.output.with_stem(options.output.stem + suffix)
            table.to_csv(path, float_format="%.3g")


if __name__ == "__main__":
    main()
