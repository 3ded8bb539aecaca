"""The changes of a photograph that layers see most and least, and those that tell two observers apart."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import torch
from torch import Tensor

from psychophys.base.errors import UsageError
from psychophys.base.types import Progress
from psychophys.comparison.people_pixels import PeopleInformation
from psychophys.measurement.measure import enter
from psychophys.measurement.options import ObserverOptions
from psychophys.measurement.pixels.ends import LayerEnds, find_ends
from psychophys.measurement.pixels.plan import STEPS, TOLERANCE, Pixels, find_exact, plan_pixels
from psychophys.measurement.pixels.unlike import Unlike, find_unlike
from psychophys.measurement.record import about, identify, measuring, provenance
from psychophys.measurement.ways import Way, Ways
from psychophys.noise.information import Noise
from psychophys.observers.layers import Layer
from psychophys.observers.load import load_observer
from psychophys.observers.names import DEFAULT_MODEL, Job
from psychophys.observers.observer import Observer
from psychophys.results.distortions import Distortions, flat
from psychophys.stimuli.display import check_pixels_per_degree
from psychophys.stimuli.pictures import shown_picture

REGULARIZATION = 1.0
"""Floor under the eigenvalues of both observers, in means of all of them."""
PEOPLE, PEOPLE_LAYER = "people", "contrast sensitivity"


@dataclass(frozen=True)
class Beside:
    """What changes are set beside.

    Attributes
    ----------
    against
        Another observer, of changes that tell the two apart.
    regularization
        Of these: the floor under both observers' eigenvalues, in means of all of them.
    pixels_per_degree
        Of visual angle, for thresholds of people; None without.
    """

    against: Observer | None = None
    regularization: float = REGULARIZATION
    pixels_per_degree: float | None = None

    def __post_init__(self) -> None:
        if not 1e-6 <= self.regularization <= 1e6:
            raise UsageError(f"regularization {self.regularization:g}", "Give a number from 1e-6 to 1e6.")
        if self.pixels_per_degree is not None:
            check_pixels_per_degree(self.pixels_per_degree)

    def as_dict(self, pixels: Pixels) -> dict[str, Any]:
        """Plain values, for provenance and the run id."""
        other = self.against
        pair = (
            {}
            if other is None
            else {"against": identify(pixels.measurement, other), "regularization": self.regularization}
        )
        return {**pair, "pixels_per_degree": self.pixels_per_degree}


def distort(
    image: str | Path,
    model: str | Observer = DEFAULT_MODEL,
    *,
    layers: str | Sequence[str] = "default",
    count: int = 1,
    space: str = "rgb",
    noise: str | Noise | None = None,
    noise_level: float | None = None,
    dprime: float = 1.0,
    steps: int = STEPS,
    tolerance: float = TOLERANCE,
    start_seed: int = 0,
    against: str | Observer | None = None,
    against_weights: str | None = None,
    regularization: float = REGULARIZATION,
    pixels_per_degree: float | None = None,
    progress: Progress | None = None,
    **options: Unpack[ObserverOptions],
) -> Distortions:
    """Find the changes of a photograph that layers see most and least (eigen-distortions).

    They are the first and the last eigenvectors of J = A'A / sigma^2, A the layer's derivative by the pixels
    (Berardino, Balle, Laparra & Simoncelli 2017), by forward and reverse mode. With ``against`` they are the
    changes that two observers see most unlike (principal distortions; Feather et al. 2025).

    Parameters
    ----------
    image
        A file, or the name of a photograph that comes along, such as ``astronaut``.
    model
        A name for :func:`psychophys.load_observer`, or an :class:`psychophys.Observer`.
    layers
        ``default``, five of the usual ones; ``all`` or glob patterns.
    count
        Changes at each end.
    space
        ``rgb``, of all pixel values, or ``luminance``, grey changes.
    noise, noise_level
        ``relative`` (to the layer's r.m.s. response to the photograph) or ``gaussian``.
    dprime
        Criterion of the thresholds.
    steps, tolerance
        Products with J at most, and the residual, as a fraction of its eigenvalue, that ends the search.
    start_seed
        Of the direction it begins with.
    against, against_weights
        Another observer or model, with these weights (``pretrained``); weights alone are of the same model.
    regularization
        Of ``against``: the floor under both observers' eigenvalues, in means of all of them.
    pixels_per_degree
        Adds thresholds of people, by their contrast sensitivity.
    progress
        Called with the products made and those in all.
    **options
        Of the observer, as for :func:`psychophys.measure`.

    Returns
    -------
    Distortions
        One row for each layer, end and rank, with the pictures.

    Raises
    ------
    UsageError
        For an unknown name or an impossible value.
    MeasurementError
        For a measurement that fails while it runs.

    Examples
    --------
    >>> import psychophys
    >>> found = psychophys.distort("astronaut", "test_resnet", weights="random", layers="layer4", steps=20)
    >>> list(found.to_pandas()["end"])
    ['most', 'least']
    """
    planner = partial(
        plan_pixels,
        image,
        layers=layers,
        count=count,
        space=space,
        noise=noise,
        noise_level=noise_level,
        dprime=dprime,
        steps=steps,
        tolerance=tolerance,
        start_seed=start_seed,
    )
    pixels, observer = enter(model, planner, options)
    other = _other(observer, model, against, against_weights)
    return run_distort(pixels, observer, Beside(other, regularization, pixels_per_degree), progress)


def _other(
    observer: Observer, model: str | Observer, against: str | Observer | None, weights: str | None
) -> Observer | None:
    """The other observer that is asked for from Python."""
    if against is None and weights is not None:
        against = model
    if against is observer:
        raise UsageError(f"{observer.name} against itself", "Give another as against.")
    if against is None or (isinstance(against, Observer) and weights is None):
        return against
    if not isinstance(against, str):
        raise UsageError(
            f"against of type {type(against).__name__}", "Give a model's name, or an observer alone."
        )
    dtype = str(observer.dtype).removeprefix("torch.")
    return load_observer(against, weights=weights or "pretrained", device=observer.device, dtype=dtype)


def settle_against(job: Job, model: str | None, weights: str | None) -> Job | None:
    """The other observer that is asked for, which is of the same model unless another is named.

    Raises
    ------
    UsageError
        If it is the same observer.
    """
    if model is None and weights is None:
        return None
    other = replace(
        job,
        model=job.model if model is None else model,
        weights="pretrained" if weights is None else weights,
        checkpoint=None,
    )
    if other == job:
        raise UsageError(
            f"{job.label} against itself", "Name another with --against, or give --against-weights."
        )
    return other


def identify_distort(pixels: Pixels, beside: Beside, observer: Observer) -> str:
    """The run id of the changes for this observer."""
    return pixels.identify(observer, **beside.as_dict(pixels))


def run_distort(
    pixels: Pixels, observer: Observer, beside: Beside, progress: Progress | None = None
) -> Distortions:
    """Find changes as planned: see :func:`distort`."""
    started = time.perf_counter()
    run = _Run(pixels, observer, beside)
    with measuring(observer):
        ways, way = find_exact(pixels, observer)
        find = _of_one if beside.against is None else _of_two
        found = list(find(pixels, way, beside, progress))
    rows = [row for layer, numbers in found for row in run.rows(layer, numbers)]
    record = provenance(pixels.measurement, observer, ways.selection, time.perf_counter() - started)
    record |= _record(ways, [layer.name for layer, _ in found]) | run.record()
    runs = {run.identifier: record}
    if beside.pixels_per_degree is not None and beside.against is None:
        rows += run.people()
    return Distortions.from_rows(rows, runs)


def _record(ways: Ways, names: Sequence[str]) -> dict[str, Any]:
    return ways.record(dict.fromkeys(names, "jvp"))


Found = Iterator[tuple[Layer, list[dict[str, Any]]]]
"""By layer, the rows' own numbers; ``pixels`` is the change, of length 1."""


def _of_one(pixels: Pixels, way: Way, _beside: Beside, progress: Progress | None) -> Found:
    total = len(way.layers) * pixels.steps
    for place, layer in enumerate(way.layers):
        ends = find_ends(pixels, way.observer, layer, _advance(progress, place * pixels.steps, total))
        yield layer, _rows_of(pixels, ends)
    if progress is not None:
        progress(total, total)


def _rows_of(pixels: Pixels, ends: LayerEnds) -> list[dict[str, Any]]:
    of = ends.traces
    shared = {"trace": of.first, "trace_error": of.error, "effective_dimension": of.effective_dimension}
    if not ends.changes:
        rest = {"eigenvalue": 0.0, "threshold": math.inf, "residual": 0.0, "status": "insensitive"}
        return [{**shared, "end": "most", "rank": 1, **rest}]
    rows, sum_of = [], 0.0
    for one in ends.changes:
        row = {
            name: getattr(one, name) for name in ("end", "rank", "eigenvalue", "residual", "status", "pixels")
        }
        row["threshold"] = _threshold(pixels, one.eigenvalue, one.pixels)
        if one.end == "most":
            sum_of += one.eigenvalue
            row["share"] = sum_of / of.first
        rows.append({**shared, **row})
    return rows


def _threshold(pixels: Pixels, eigenvalue: float, change: Tensor) -> float:
    """R.m.s. change of all pixel values at criterion."""
    length = pixels.measurement.dprime / math.sqrt(eigenvalue) if eigenvalue > 0 else math.inf
    return length / math.sqrt(change.numel())


def _of_two(pixels: Pixels, way: Way, beside: Beside, progress: Progress | None) -> Found:
    assert beside.against is not None
    _, other = find_exact(pixels, beside.against)
    if len(other.layers) != len(way.layers) or beside.against.input_size != way.observer.input_size:
        raise UsageError(
            f"{len(way.layers)} layers of {way.observer.name} at {_size(way.observer)} against "
            f"{len(other.layers)} of {beside.against.name} at {_size(beside.against)}",
            "Give models that are shown images of one size, and --layers of which both have as many.",
        )
    total = len(way.layers) * 3 * pixels.steps
    for place, pair in enumerate(zip(way.layers, other.layers, strict=True)):
        advance = _advance(progress, place * 3 * pixels.steps, total)
        observers = way.observer, other.observer
        unlike = find_unlike(pixels, observers, pair, beside.regularization, advance)
        yield pair[0], _rows_of_two(pixels, unlike, pair[1].name)
    if progress is not None:
        progress(total, total)


def _size(observer: Observer) -> str:
    return "{} x {}".format(*observer.input_size)


def _rows_of_two(pixels: Pixels, unlike: Sequence[Unlike], name: str) -> list[dict[str, Any]]:
    rows = []
    for one in unlike:
        row: dict[str, Any] = {
            "layer_against": name,
            "end": one.end,
            "rank": one.rank,
            "eigenvalue": one.ratio,
            "residual": one.residual,
            "status": one.status,
            "pixels": one.pixels,
        }
        row["threshold"], row["threshold_against"] = (
            _threshold(pixels, energy, one.pixels) for energy in one.energies
        )
        rows.append(row)
    return rows


def _advance(progress: Progress | None, before: int, total: int) -> Callable[[int], None]:
    def advance(done: int) -> None:
        if progress is not None:
            progress(before + done, total)

    return advance


class _Run:
    """What all rows of a run have in common."""

    def __init__(self, pixels: Pixels, observer: Observer, beside: Beside) -> None:
        self.pixels, self.observer, self.beside = pixels, observer, beside
        self.identifier = identify_distort(pixels, beside, observer)
        self.picture = shown_picture(pixels.source, observer.input_size)
        self.people_matrix = (
            None
            if beside.pixels_per_degree is None
            else PeopleInformation(self.picture, beside.pixels_per_degree)
        )

    @property
    def shared(self) -> dict[str, Any]:
        """Columns that do not depend on the layer."""
        height, width = self.observer.input_size
        other = self.beside.against
        return {
            "image": self.pixels.name,
            "space": self.pixels.space.name,
            "n_pixels": self.pixels.space.n_pixels(self.observer.input_size),
            "against": None if other is None else f"{other.name} ({other.weights})",
            "height": height,
            "width": width,
            "photograph": (self.picture * 255).round().to(torch.uint8).flatten().numpy(),
        }

    def rows(self, layer: Layer, numbers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Rows of a layer."""
        measurement = self.pixels.measurement
        shared = about(measurement, self.observer, layer, self.identifier) | self.shared
        shared["null_dimension"] = max(shared["n_pixels"] - layer.n_features, 0)
        return [shared | self._own(row) for row in numbers]

    def _own(self, numbers: Mapping[str, Any]) -> dict[str, Any]:
        row = dict(numbers)
        change: Tensor | None = row.pop("pixels", None)
        if change is not None:
            row["change"] = flat(change.double().numpy())
            if self.people_matrix is not None:
                energy = float(self.people_matrix.energy(change[None])[0])
                row["threshold_human"] = _threshold(self.pixels, energy, change)
        return row

    def people(self) -> list[dict[str, Any]]:
        """The change that people see most."""
        assert self.people_matrix is not None
        change, eigenvalue, residual = self.people_matrix.most_visible(self.pixels.space)
        threshold = _threshold(self.pixels, eigenvalue, change)
        own = {"end": "most", "rank": 1, "eigenvalue": eigenvalue, "threshold": threshold, "status": "ok"}
        row = {
            "run_id": self.identifier,
            "model": PEOPLE,
            "weights": "",
            "layer": PEOPLE_LAYER,
            "residual": residual,
        }
        return [{**row, **self.shared, **self._own({**own, "pixels": change})}]

    def record(self) -> dict[str, Any]:
        """What provenance says of the photograph and of what was asked for."""
        asked = self.pixels.as_dict
        return {
            "measurement": asked,
            "pixels": asked | self.beside.as_dict(self.pixels),
            "images": [str(self.pixels.source)],
        }
