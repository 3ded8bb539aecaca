"""Measure units as physiologists do, layer by layer, and what all units of a layer tell together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar, Unpack

import numpy as np
import pyarrow as pa

from psychophys.base.types import Array, Progress
from psychophys.measurement.curves import Part
from psychophys.measurement.measure import enter, takes_options
from psychophys.measurement.options import ObserverOptions
from psychophys.measurement.plan import Values
from psychophys.measurement.record import measuring, provenance
from psychophys.measurement.ways import Way, find_ways
from psychophys.observers.layers import Layer
from psychophys.observers.names import DEFAULT_MODEL
from psychophys.observers.observer import Observer
from psychophys.observers.units import find_axes
from psychophys.physiology.gratings import Columns, Responses, grating_columns, read_curve, read_responses
from psychophys.physiology.places import choose_places, contrast_columns, size_columns
from psychophys.physiology.plan import MOST_UNITS, PLACES, POPULATION, UNUSED, Tune, identify_tune, plan_tune
from psychophys.physiology.population import sum_populations
from psychophys.physiology.shown import Held, Steps, images_of, show_units
from psychophys.results.unit_tuning import UnitTuning

MOST_HELD = 2**26
"""Units times images that are measured in one go, some hundreds of megabytes; more takes more passes."""
MOST_SUMMED = 2**25
"""Units of a population, of which a few numbers each are kept."""
REASONS = ("orientation_reason", "frequency_reason", "phase_reason", "size_reason", "contrast_reason")
Item = TypeVar("Item")


class TuneOptions(ObserverOptions, total=False):
    """Of :func:`psychophys.tune`: what :func:`psychophys.plan` takes of the gratings, and of the observer."""

    values: Values
    parameters: Mapping[str, Values] | None
    layers: str | Sequence[str]


@takes_options(*UNUSED)
def tune(
    model: str | Observer = DEFAULT_MODEL,
    *,
    per: str = "centre",
    baseline: str = "rectified",
    most: int = MOST_UNITS,
    places: int = PLACES,
    diameters: Values = None,
    contrasts: Values = None,
    population: int = POPULATION,
    pixels_per_degree: float | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
    **options: Unpack[TuneOptions],
) -> UnitTuning:
    """Measure units of every chosen layer as physiologists measure neurons.

    Parameters
    ----------
    model
        See :func:`psychophys.measure`.
    per
        ``centre``, of every channel the unit in the middle of the map; ``channel``, each averaged over
        positions; or ``unit``.
    baseline
        What a response is: ``rectified``, what is over the activation for the blank grey, or ``signed``.
    most
        Units of a layer; of more, so many that are spread evenly.
    places
        Pairs of orientation and frequency at which size and contrast are varied; 0 leaves these out.
    diameters, contrasts
        Rising, or how many; fractions of the image, and Michelson contrasts.
    population
        Orientations at which J of all units is taken apart by what they prefer; 0 leaves it out.
    pixels_per_degree
        Of visual angle, for who would look at the images: without it nothing is set beside what was published
        in degrees.
    batch_size, progress
        See :func:`psychophys.measure`.
    **options
        ``values`` (orientations), ``parameters`` (``frequency``, ``phase`` and one number for any other of a
        grating) and ``layers``, as for :func:`psychophys.measure`; and those of the observer.

    Returns
    -------
    UnitTuning
        One row a unit.

    Raises
    ------
    UsageError
        For an unknown name or an impossible value.
    MeasurementError
        For a measurement that fails while it runs.

    Examples
    --------
    >>> import psychophys
    >>> units = psychophys.tune(
    ...     layers="blocks.1", values=6, parameters={"phase": 4}, places=2, population=0
    ... )
    >>> units.to_pandas()[["layer", "channel", "preferred_orientation", "c50"]].shape
    (24, 4)
    """
    own: dict[str, Any] = {"per": per, "baseline": baseline, "most": most, "places": places}
    own |= {"diameters": diameters, "contrasts": contrasts, "population": population}
    own |= {"pixels_per_degree": pixels_per_degree}
    planned, observer = enter(model, partial(plan_tune, **own), options, batch_size)
    return run_tune(planned, observer, batch_size, progress)


def run_tune(
    planned: Tune, observer: Observer, batch_size: int | None = None, progress: Progress | None = None
) -> UnitTuning:
    """Measure an observer as planned: see :func:`psychophys.tune`."""
    run = TuneRun(planned, observer)
    parts = list(run.tables(batch_size, progress))
    return UnitTuning(pa.concat_tables(parts), {run.identifier: run.record()})


@dataclass
class TuneRun:
    """Units of one observer, which are measured as they are asked for.

    Raises
    ------
    UsageError
        For layers that are not there, or gratings that its images cannot show.
    MeasurementError
        When no layer keeps its contract.
    """

    tune: Tune
    observer: Observer
    seconds: float = 0.0
    pairs: list[list[tuple[float, float]]] = field(default_factory=list)
    population: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        observer = self.observer
        tune = self.tune = self.tune.fitting(observer)
        tune.gratings.check_size(min(observer.input_size))
        if tune.population is not None:
            tune.population.check_size(min(observer.input_size))
        self.identifier = identify_tune(tune, observer)
        with measuring(observer):
            self.ways = find_ways(tune.population or tune.gratings, observer)
        parts = [self._part(layer) for layer in self.ways.layers]
        images = images_of(tune.gratings)
        self._groups = list(_groups(parts, [len(part.chosen) * images for part in parts], MOST_HELD))
        self._summed = [] if tune.population is None else list(self._summed_together())

    def _part(self, layer: Layer) -> Part:
        axes = find_axes(layer, self.observer.input_size)
        count = self.tune.per.count(axes)
        kept = np.unique(np.linspace(0, count - 1, min(count, self.tune.most)).round().astype(np.int64))
        return Part(layer, axes, kept)

    def _summed_together(self) -> Iterator[Way]:
        """Layers with derivatives, in groups that memory holds."""
        for way in self.ways.every:
            layers = [layer for layer in way.layers if layer.name not in self.ways.jumping]
            for group in _groups(layers, [layer.n_features for layer in layers], MOST_SUMMED):
                yield Way(way.estimator, way.observer, tuple(group), way.finer)

    def tables(self, batch_size: int | None = None, progress: Progress | None = None) -> Iterator[pa.Table]:
        """Rows of the table, a layer at a time, in the order of the forward pass."""
        tune = self.tune
        images = len(self._groups) * (1 + images_of(tune.gratings) + tune.places * tune.images_at_place)
        if tune.population is not None:
            images += 2 * len(self._summed) * images_of(tune.population)
        steps = Steps(images, progress)
        started = time.perf_counter()
        with measuring(self.observer):
            self._sum(batch_size, steps)
            for group in self._groups:
                for part, columns in zip(group, self._measure(group, batch_size, steps), strict=True):
                    self.seconds = time.perf_counter() - started
                    yield self._rows(part, columns)

    def _sum(self, batch_size: int | None, steps: Steps) -> None:
        for way in self._summed:
            assert self.tune.population is not None
            images = images_of(self.tune.population)
            turns = [steps.next(images), steps.next(images)]
            found = sum_populations(self.tune.population, way, batch_size, turns)
            self.population |= {name: bins.as_dict for name, bins in found.items()}

    def _measure(self, group: Sequence[Part], batch_size: int | None, steps: Steps) -> list[Columns]:
        show = partial(
            show_units, observer=self.observer, parts=group, per=self.tune.per, batch_size=batch_size
        )
        blanks = [held[0, 0].astype(np.float64) for held in show(self.tune.blank, progress=steps.next(1))]
        shown = show(self.tune.gratings, progress=steps.next(images_of(self.tune.gratings)))
        finite = [_finite(held, blank) for held, blank in zip(shown, blanks, strict=True)]
        found = [read_responses(self.tune, held, blank) for held, blank in zip(shown, blanks, strict=True)]
        columns = [grating_columns(self.tune, one) for one in found]
        more = self._places(group, found, batch_size, steps)
        return [
            _with_reasons(own | others, known)
            for own, others, known in zip(columns, more, finite, strict=True)
        ]

    def _places(
        self, group: Sequence[Part], found: Sequence[Responses], batch_size: int | None, steps: Steps
    ) -> list[Columns]:
        """Size and contrast: every place is shown once, and units whose own it is are read."""
        tune, phases = self.tune, self.tune.parameter("phase")
        places = choose_places(tune, found)
        self.pairs.append(places.pairs)
        steps.total -= (tune.places - len(places.pairs)) * tune.images_at_place
        ends = {"size": tune.diameters, "contrast": tune.contrasts}
        curves = {name: [np.zeros((len(of), len(one.blank))) for one in found] for name, of in ends.items()}
        for place, (orientation, frequency) in enumerate(places.pairs):
            own = [np.flatnonzero(of == place) for of in places.of]
            parts = [Part(p.layer, p.axes, p.chosen[of]) for p, of in zip(group, own, strict=True) if len(of)]
            for name in ends:
                measurement = tune.at(orientation, frequency, name)
                advance = steps.next(images_of(measurement))
                shown = iter(show_units(measurement, self.observer, parts, tune.per, batch_size, advance))
                for one, of, held in zip(found, own, curves[name], strict=True):
                    if len(of):
                        activation = next(shown)
                        _finite(activation, one.blank[of])
                        fundamental = one.fundamental[of]
                        held[:, of] = read_curve(
                            activation, one.blank[of], phases, tune.baseline, fundamental
                        )
        return [
            {
                "share_at_place": np.where(one.responds & bool(places.pairs), share, np.nan),
                **size_columns(tune, size, one.responds, share),
                **contrast_columns(tune, contrast, one.responds, share),
            }
            for one, share, size, contrast in zip(
                found, places.share, curves["size"], curves["contrast"], strict=True
            )
        ]

    def _rows(self, part: Part, columns: Columns) -> pa.Table:
        count = len(part.chosen)
        words = {
            "run_id": self.identifier,
            "model": self.observer.name,
            "weights": self.observer.weights,
            "layer": part.layer.name,
            "layer_index": part.layer.index,
        }
        places = zip(("unit", "channel", "y", "x"), self.tune.per.places(part.axes, part.chosen), strict=True)
        whole: dict[str, Any] = {name: [word] * count for name, word in words.items()}
        whole |= {name: [None] * count if of is None else of for name, of in places}
        whole |= columns
        arrays = [pa.array(whole[each.name], each.type, from_pandas=True) for each in UnitTuning.schema]
        return pa.table(arrays, schema=UnitTuning.schema)

    def record(self) -> dict[str, Any]:
        """Provenance, when all has been measured."""
        observer = self.observer
        record = provenance(self.tune.gratings, observer, self.ways.selection, self.seconds)
        used = {layer.name: way.estimator.name for way in self.ways.every for layer in way.layers}
        return record | {
            **self.ways.record(used if self.tune.population is not None else {}),
            "tune": self.tune.as_dict,
            "places": self.pairs,
            "pixels_per_degree": self.tune.pixels_per_degree,
            "population": self.population,
            "checkpoint": observer.checkpoint,
            "step": observer.step,
        }


def _with_reasons(columns: Columns, finite: Any) -> Columns:
    """The same, where what is put to 0 is not called silent."""
    said = {name: zip(columns[name], finite, strict=True) for name in REASONS}
    return columns | {name: [w if known else "not finite" for w, known in of] for name, of in said.items()}


def _finite(held: Held, blank: Array) -> Any:
    """Which units gave numbers throughout; the others are put to 0, so that they are silent."""
    known = np.isfinite(held).all(axis=(0, 1)) & np.isfinite(blank)
    held[..., ~known] = 0
    blank[~known] = 0
    return known


def _groups(items: Sequence[Item], sizes: Sequence[int], most: int) -> Iterator[list[Item]]:
    """Consecutive items that are together no larger than that, or single."""
    group: list[Item] = []
    held = 0
    for item, size in zip(items, sizes, strict=True):
        if group and held + size > most:
            yield group
            group, held = [], 0
        group.append(item)
        held += size
    if group:
        yield group
