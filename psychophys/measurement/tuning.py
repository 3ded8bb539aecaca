"""Tuning curves: what is asked for, and how a model is asked. Nothing here knows of images or passes."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Unpack

import numpy as np
import pyarrow as pa

from psychophys.base.digest import digest
from psychophys.base.errors import UsageError
from psychophys.base.types import Progress
from psychophys.measurement.curves import Curves, Part, gather_curves
from psychophys.measurement.measure import enter, takes_options
from psychophys.measurement.options import Options
from psychophys.measurement.plan import plan
from psychophys.measurement.record import identify, measuring, provenance
from psychophys.measurement.spec import Measurement
from psychophys.measurement.ways import find_ways
from psychophys.observers.layers import Layer
from psychophys.observers.names import DEFAULT_MODEL
from psychophys.observers.observer import Observer
from psychophys.observers.units import GRAINS, Axes, Grain, Indices, find_axes
from psychophys.results.tuning_curves import TuningCurves, curves_table
from psychophys.stimuli import Stimulus

MOST_ROWS = 50_000_000
"""Of one run: some gigabytes of a file."""
UNUSED = ("noise", "noise_level", "noise_options", "dprime", "confidence", "precision", "pooling")
"""Options of :func:`psychophys.plan` that say nothing of responses."""


@dataclass(frozen=True)
class Tuning:
    """What is measured, made by :func:`plan_tuning`.

    Attributes
    ----------
    per
        What a curve is of.
    units
        By glob pattern of layers: the channels or units of these to keep. Of other layers all are kept.
    most
        How many curves of a layer are kept, those that are modulated most; None for all.
    derivative
        Whether the derivative of the mean response is taken, too.
    """

    measurement: Measurement
    per: Grain
    units: Mapping[str, tuple[int, ...]]
    most: int | None
    derivative: bool

    @property
    def as_dict(self) -> dict[str, Any]:
        """Plain values, for provenance and the run id."""
        return {
            "per": self.per.name,
            "units": {pattern: _ranges(indices) for pattern, indices in self.units.items()},
            "most": self.most,
            "derivative": self.derivative,
        }

    def chosen(self, layer: Layer, axes: Axes, observer: Observer) -> Indices:
        """The channels or units of a layer to look at."""
        count = self.per.count(axes)
        named = [of for pattern, of in self.units.items() if fnmatch.fnmatchcase(layer.name, pattern)]
        wanted = sorted({index for of in named for index in of})
        if wanted and wanted[-1] >= count:
            raise UsageError(
                f"layer {layer.name} of {observer.name} has {self.per.plural} 0 to {count - 1:,}, "
                f"not {wanted[-1]}",
                "Give others with --units.",
            )
        return np.array(wanted, dtype=np.int64) if wanted else np.arange(count)


@takes_options(*UNUSED)
def tuning_curves(
    model: str | Observer = DEFAULT_MODEL,
    stimulus: str | Stimulus | None = None,
    dimension: str | None = None,
    *,
    per: str = "channel",
    units: Mapping[str, Sequence[int]] | None = None,
    most: int | None = None,
    derivative: bool = False,
    batch_size: int | None = None,
    progress: Progress | None = None,
    **options: Unpack[Options],
) -> TuningCurves:
    """Measure how units or channels of every chosen layer respond, by the value of one dimension.

    Parameters
    ----------
    model, stimulus, dimension
        See :func:`psychophys.measure`.
    per
        ``channel``, each averaged over positions, or ``unit``.
    units
        By name or glob pattern of layers, the channels or units to keep. Unless ``layers`` says others,
        these layers alone are measured.
    most
        Keep so many curves of a layer: those with the largest range over the values.
    derivative
        Whether to take the exact derivative of the mean response, too.
    batch_size, progress
        See :func:`psychophys.measure`.
    **options
        As for :func:`psychophys.measure`, except those of noise, thresholds and their intervals;
        ``estimator`` and ``step`` are of the derivative.

    Returns
    -------
    TuningCurves
        One row for each layer, channel or unit, and value: the response averaged over the nuisance samples.

    Raises
    ------
    UsageError
        For an unknown name, an impossible value, or more than 50 million rows.
    MeasurementError
        For a measurement that fails while it runs.

    Examples
    --------
    >>> import psychophys
    >>> curves = psychophys.tuning_curves(layers="blocks.5", values=4, parameters={"phase": 2}, most=3)
    >>> curves.to_pandas()[["layer", "channel", "value", "response"]].shape
    (12, 4)
    """
    asked = {"stimulus": stimulus, "dimension": dimension, **options}
    planner = partial(plan_tuning, per=per, units=units, most=most, derivative=derivative)
    tuning, observer = enter(model, planner, asked, batch_size)
    run = TuningRun(tuning, observer)
    parts = list(run.tables(batch_size, progress))
    return TuningCurves(pa.concat_tables(parts), {run.identifier: run.record()})


def plan_tuning(
    *,
    per: str = "channel",
    units: Mapping[str, Sequence[int]] | None = None,
    most: int | None = None,
    derivative: bool = False,
    **settings: Any,
) -> Tuning:
    """Resolve defaults and check before anything is computed; see :func:`tuning_curves`."""
    given = {name: settings.get(name) for name in ("estimator", "step")}
    if not derivative and (name := next((name for name, of in given.items() if of is not None), "")):
        raise UsageError(
            f"{name} {getattr(given[name], 'name', given[name])} without a derivative",
            "Add --derivative, or leave it out.",
        )
    if most is not None and most < 1:
        raise UsageError(f"{most} curves of a layer", "Give one or more.")
    kept = {pattern: _indices(pattern, of) for pattern, of in (units or {}).items()}
    layers = settings.pop("layers", "default")
    if kept and layers in ("default", ["default"], ("default",)):
        layers = list(kept)
    return Tuning(plan(layers=layers, **settings), GRAINS.find(per), kept, most, derivative)


def _indices(pattern: str, given: Sequence[int]) -> tuple[int, ...]:
    try:
        indices = tuple(int(index) for index in given)
    except (TypeError, ValueError):
        raise UsageError(f"units {given!r} of {pattern!r} are no list of numbers") from None
    if not indices or min(indices) < 0:
        raise UsageError(f"units {list(indices)[:3]} of {pattern!r}", "Give indices, the first is 0.")
    return indices


def _ranges(indices: Sequence[int]) -> str:
    """Indices in their order, as ``0,5,10-20``."""
    runs: list[list[int]] = []
    for index in sorted(set(indices)):
        if runs and index == runs[-1][-1] + 1:
            runs[-1][1:] = [index]
        else:
            runs.append([index])
    return ",".join("-".join(map(str, run)) for run in runs)


def identify_tuning(tuning: Tuning, observer: Observer) -> str:
    """The run id of tuning curves of this observer."""
    return digest([identify(tuning.measurement, observer), tuning.as_dict])


class TuningRun:
    """Tuning curves of one observer, which are measured as they are asked for.

    Raises
    ------
    UsageError
        For layers or units that are not there, or more rows than a table is to have.
    MeasurementError
        When no layer keeps its contract.
    """

    def __init__(self, tuning: Tuning, observer: Observer) -> None:
        tuning.measurement.check_size(min(observer.input_size))
        self.tuning, self.observer, self.seconds = tuning, observer, 0.0
        self.estimators: dict[str, str] = {}
        self.identifier = identify_tuning(tuning, observer)
        with measuring(observer):
            self.ways = find_ways(tuning.measurement, observer)
        layers = self.ways.layers
        self._check_patterns(layers)
        self.axes = {layer.name: find_axes(layer, observer.input_size) for layer in layers}
        self.chosen = {layer.name: tuning.chosen(layer, self.axes[layer.name], observer) for layer in layers}
        self._check_rows()

    def _check_patterns(self, layers: Sequence[Layer]) -> None:
        for pattern in self.tuning.units:
            if not any(fnmatch.fnmatchcase(layer.name, pattern) for layer in layers):
                raise UsageError(
                    f"no layer that is measured in {self.observer.name} is called {pattern!r}",
                    f"Name one of --layers in --units; see `psychophys layers {self.observer.name}`.",
                )

    def _check_rows(self) -> None:
        most = self.tuning.most
        curves = sum(len(of) if most is None else min(len(of), most) for of in self.chosen.values())
        rows = curves * len(self.tuning.measurement.values)
        if rows > MOST_ROWS:
            raise UsageError(
                f"{rows:,} rows: {curves:,} {self.tuning.per.plural} at "
                f"{len(self.tuning.measurement.values):,} values",
                f"Ask for at most {MOST_ROWS:,}: fewer --layers or --values, --units, --most, --per channel.",
            )

    def tables(self, batch_size: int | None = None, progress: Progress | None = None) -> Iterator[pa.Table]:
        """Rows of the table, some curves of one layer at a time, in the order of the forward pass."""
        parts = [Part(layer, self.axes[layer.name], self.chosen[layer.name]) for layer in self.ways.layers]
        found = gather_curves(
            self.tuning.measurement,
            self.ways,
            parts,
            self.tuning.per,
            most=self.tuning.most,
            derivative=self.tuning.derivative,
            batch_size=batch_size,
            progress=progress,
        )
        for one in found:
            self.seconds = one.seconds
            if one.estimator:
                self.estimators[one.part.layer.name] = one.estimator
            yield self._rows(one.part, one.curves)

    def _rows(self, part: Part, curves: Curves) -> pa.Table:
        measurement, observer = self.tuning.measurement, self.observer
        words = {
            "run_id": self.identifier,
            "model": observer.name,
            "weights": observer.weights,
            "layer": part.layer.name,
            "dimension": measurement.dimension,
            "unit_of_value": measurement.unit,
        }
        names = ("unit", "channel", "y", "x")
        places = dict(zip(names, self.tuning.per.places(part.axes, curves.chosen), strict=True))
        derivative = curves.derivative
        if derivative is not None and part.layer.name in self._without_derivative:
            derivative = None
        numbers = {"response": curves.response, "sd": curves.sd, "derivative": derivative}
        return curves_table(words, places, np.array(measurement.values), numbers)

    @property
    def _without_derivative(self) -> frozenset[str]:
        return self.ways.jumping if self.tuning.measurement.estimator.exact else frozenset()

    def record(self) -> dict[str, Any]:
        """Provenance, when all has been measured."""
        measurement, observer = self.tuning.measurement, self.observer
        record = provenance(measurement, observer, self.ways.selection, self.seconds)
        return record | {
            **self.ways.record(self.estimators),
            "tuning": self.tuning.as_dict,
            "n_samples": len(measurement.samples),
            "checkpoint": observer.checkpoint,
            "step": observer.step,
        }
