"""Measure all that people's data ask for, and set each layer beside them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import numpy as np
import pandas as pd

from psychophys.base.errors import MeasurementError, PsychophysError
from psychophys.base.types import Progress
from psychophys.comparison.battery.plan import Battery, Part, identify_parts, plan_battery
from psychophys.comparison.battery.table import BatteryResults, finished
from psychophys.comparison.human import Matched, match
from psychophys.measurement.measure import PLAN_OPTIONS, enter, takes_options
from psychophys.measurement.options import ObserverOptions
from psychophys.measurement.record import identify
from psychophys.measurement.run import run
from psychophys.measurement.spec import Measurement
from psychophys.observers.layers import select_layers
from psychophys.observers.names import DEFAULT_MODEL
from psychophys.observers.observer import Observer
from psychophys.results.shared_columns import LAYER_COLUMNS
from psychophys.results.thresholds import Results, concat
from psychophys.stimuli import Display

FEWEST_CORRELATED = 3
EVEN = 1e-6
"""S.d. of people's log thresholds, under which they do not vary."""


@takes_options(*(name for name in PLAN_OPTIONS if name not in ("display", "layers")))
def battery(
    model: str | Observer = DEFAULT_MODEL,
    references: str | Sequence[str] = "all",
    *,
    display: str | Display | Mapping[str, Any] | None = None,
    layers: str | Sequence[str] = "default",
    batch_size: int | None = None,
    progress: Progress | None = None,
    **options: Unpack[ObserverOptions],
) -> BatteryResults:
    """Set every chosen layer of a model beside all of people's data.

    Parameters
    ----------
    model
        A name for :func:`psychophys.load_observer`, or an :class:`psychophys.Observer`.
    references
        ``all``, or names or glob patterns of :data:`psychophys.REFERENCES`.
    display
        As :func:`psychophys.plan` takes it. Default: 100 pixels/deg, white of 80 cd/m2, sRGB.
    layers
        ``default``, ``all`` or glob patterns.
    batch_size, progress
        See :func:`psychophys.measure`.
    **options
        Of the observer: see :func:`psychophys.measure`.

    Returns
    -------
    BatteryResults
        One row for each reference and layer.

    Raises
    ------
    UsageError
        For an unknown name or an impossible value.
    MeasurementError
        Where nothing can be measured.

    Examples
    --------
    >>> import psychophys
    >>> found = psychophys.battery(references="heeley*", layers="blocks.5")
    >>> found.to_pandas()[["reference", "unit", "human_threshold"]].values.tolist()
    [['heeley-buchanan-smith-1990', 'deg', 0.6]]
    """
    asked = {"references": references, "display": display, "layers": layers, **options}
    planned, observer = enter(model, plan_battery, asked, batch_size)
    return run_battery(planned, observer, batch_size=batch_size, progress=progress)[0]


def run_battery(
    planned: Battery,
    observer: Observer,
    *,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> tuple[BatteryResults, Results]:
    """Measure an observer as planned: what it comes to, and the thresholds that it is made of."""
    started = time.perf_counter()
    select_layers(observer, planned.layers)  # Refuses what the network does not have.
    parts = planned.parts(min(observer.input_size))
    identifier = identify_parts(parts, observer)
    left_out = {part.reference.name: part.left_out for part in parts if part.left_out}
    measured = _measured(parts, observer, left_out, batch_size, progress)
    rows: list[dict[str, Any]] = []
    for part in parts:
        runs = [identify(measurement, observer) for measurement in part.measurements]
        if part.measurements and all(one in measured for one in runs):
            found = concat(measured[one] for one in runs)
            for matched in match(found, None, part.reference.name):
                rows += [{"run_id": identifier, **row} for row in _rows(matched)]
    if not rows:
        name, why = next(iter(left_out.items()))
        raise MeasurementError(f"nothing could be measured of {observer.name}: {name}: {why}")
    every = concat(measured.values())
    first = next(iter(every.runs.values()))
    record = {name: value for name, value in first.items() if name not in ("measurement", "contract")}
    record |= {"display": planned.display.as_dict(), "measurements": list(measured), "left_out": left_out}
    record |= {"seconds": round(time.perf_counter() - started, 3)}
    return finished(rows, {identifier: record}), every


def _measured(
    parts: Sequence[Part],
    observer: Observer,
    left_out: dict[str, str],
    batch_size: int | None,
    progress: Progress | None,
) -> dict[str, Results]:
    """Thresholds by run id; measurements that references share are made once."""
    wanted: dict[str, tuple[Measurement, list[str]]] = {}
    for part in parts:
        for one in part.measurements:
            wanted.setdefault(identify(one, observer), (one, []))[1].append(part.reference.name)
    total = sum(map(_images, (measurement for measurement, _ in wanted.values())))
    done: dict[str, Results] = {}
    so_far = 0
    for identifier, (measurement, references) in wanted.items():

        def advance(shown: int, of: int, before: int = so_far, images: int = _images(measurement)) -> None:
            if progress is not None:
                progress(before + images * shown // of, total)

        try:
            done[identifier] = run(measurement, observer, batch_size=batch_size, progress=advance)
        except PsychophysError as error:
            left_out |= dict.fromkeys(references, str(error))
        so_far += _images(measurement)
    return done


def _images(measurement: Measurement) -> int:
    return len(measurement.values) * len(measurement.samples)


def _rows(matched: Matched) -> list[dict[str, Any]]:
    """What a reference comes to in every layer of one network."""
    reference, curve = matched.reference, matched.curve
    with np.errstate(divide="ignore"):
        human = pd.Series(-np.log(curve.density), index=curve.centres)
    shared = [column.name for column in LAYER_COLUMNS if column.name != "run_id"]
    rows = []
    for _, part in matched.rows.groupby("layer", sort=False):
        layer = pd.Series(np.log(part["threshold"].to_numpy(dtype=float)), index=part["value"].to_numpy())
        both = pd.DataFrame({"people": human, "layer": layer})
        known = both.loc[np.isfinite(both.to_numpy()).all(axis=1)]
        first = part.iloc[0]
        rows.append(
            {
                **{name: first[name] for name in shared},
                "reference": reference.name,
                "kind": reference.kind,
                "dimension": reference.dimension,
                "unit": first["unit"],
                "axis": reference.axis,
                "axis_unit": reference.axis_unit,
                "n_values": len(known),
                "assumed": matched.assumed,
                **_numbers(known, absolute=reference.kind == "absolute"),
            }
        )
    return rows


def _numbers(known: pd.DataFrame, *, absolute: bool) -> dict[str, float]:
    """Means and likeness of log thresholds at the values that both have."""
    if known.empty:
        return {}
    apart = known["layer"] - known["people"]
    found = {"threshold": float(np.exp(known["layer"].mean()))}
    if absolute:
        found["human_threshold"] = float(np.exp(known["people"].mean()))
        found["ratio"] = float(np.exp(apart.mean()))
    if len(known) >= FEWEST_CORRELATED:
        found["mismatch"] = float(np.exp(apart.std(ddof=0)))
        found["even_mismatch"] = float(np.exp(known["people"].std(ddof=0)))
        if known["people"].std(ddof=0) > EVEN and known["layer"].std(ddof=0) > EVEN:
            found["correlation"] = float(known["people"].corr(known["layer"]))
    return found
