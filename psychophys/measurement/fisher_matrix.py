"""The Fisher matrix over two or more dimensions of a stimulus, layer by layer."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor

from psychophys.base.digest import digest
from psychophys.base.errors import UsageError
from psychophys.base.types import Array, Progress
from psychophys.measurement.batches import run_blocks
from psychophys.measurement.blocks import block_parameters
from psychophys.measurement.measure import enter, takes_options
from psychophys.measurement.options import StimulusOptions
from psychophys.measurement.plan import plan
from psychophys.measurement.record import about, identify, measuring, provenance
from psychophys.measurement.spec import Measurement
from psychophys.measurement.sums import Span
from psychophys.measurement.ways import Ways, find_ways, in_turn
from psychophys.noise.information import divided, squared_norm
from psychophys.noise.models import NOISE
from psychophys.observers.layers import Layer
from psychophys.observers.names import DEFAULT_MODEL
from psychophys.observers.observer import Observer
from psychophys.responses.estimators import ESTIMATORS, Estimator
from psychophys.responses.presentation import fetched
from psychophys.results.fisher_algebra import (
    correlations,
    pairs,
    symmetric,
    thresholds_alone,
    thresholds_joint,
)
from psychophys.results.fisher_matrices import FisherResults

DEFAULT_DIMENSIONS = ("orientation", "frequency")
SINGULAR = 1000.0
"""Eigenvalue of the correlations, in spacings of the numbers at 1, that cannot be told from 0."""


@dataclass(frozen=True)
class Joint:
    """What is measured: along the first dimension as planned, with the others among its parameters.

    Made by :func:`plan_fisher`.
    """

    measurement: Measurement
    dimensions: tuple[str, ...]
    finer: float = 1.0
    """By which the other parameters' steps are smaller than usual."""

    @property
    def units(self) -> tuple[str, ...]:
        """Of the dimensions."""
        return tuple(self.measurement.stimulus.dimension(name).unit for name in self.dimensions)

    @property
    def points(self) -> list[tuple[float, ...]]:
        """Every combination of the dimensions' values."""
        others = (self.measurement.parameters[name] for name in self.dimensions[1:])
        return list(itertools.product(self.measurement.values, *others))

    @property
    def n_samples(self) -> int:
        """Nuisance samples averaged over at every point."""
        return len(self.measurement.samples) * len(self.measurement.values) // len(self.points)

    @property
    def steps(self) -> tuple[float, ...]:
        """Half-widths of central differences: the measurement's, and those of the other parameters."""
        stimulus = self.measurement.stimulus
        others = (stimulus.dimension(name).step / self.finer for name in self.dimensions[1:])
        return (self.measurement.step, *others)

    def averaged(self, numbers: Array) -> Array:
        """Mean over the nuisance samples at every point: (samples, values, ...) -> (points, ...)."""
        names = list(self.measurement.parameters)
        counts = [len(values) for values in self.measurement.parameters.values()]
        grid = numbers.reshape(*counts, *numbers.shape[1:])
        others = [names.index(name) for name in self.dimensions[1:]]
        nuisance = [place for place in range(len(names)) if place not in others]
        rest = range(len(names) + 1, grid.ndim)
        ordered = grid.transpose(*nuisance, len(names), *others, *rest)
        return np.asarray(ordered.reshape(-1, len(self.points), *numbers.shape[2:]).mean(axis=0))


@takes_options("dimension", "confidence", "precision", "pooling")
def fisher_matrix(
    model: str | Observer = DEFAULT_MODEL,
    dimensions: Sequence[str] = DEFAULT_DIMENSIONS,
    *,
    batch_size: int | None = None,
    progress: Progress | None = None,
    **options: Unpack[StimulusOptions],
) -> FisherResults:
    """Measure the Fisher matrix of every chosen layer of a model, J_ij = dr/di . dr/dj / sigma^2.

    Parameters
    ----------
    model
        A name for :func:`psychophys.load_observer`, or an :class:`psychophys.Observer`.
    dimensions
        Two or more parameters of the stimulus.
    batch_size, progress
        See :func:`psychophys.measure`.
    **options
        As for :func:`psychophys.measure`, except ``dimension``, ``confidence``, ``precision`` and
        ``pooling``. ``values`` are of the first dimension; the others are measured at the values that
        ``parameters`` has for them, by default the stimulus's own, and all combinations are points of their
        own. Over the other parameters J is averaged before it is inverted. ``step`` is along the first
        dimension; the others have their own. The noise must be independent between units.

    Returns
    -------
    FisherResults
        One row for each layer, point and pair of dimensions.

    Raises
    ------
    UsageError
        For an unknown name or an impossible value.
    MeasurementError
        For a measurement that fails while it runs.

    Examples
    --------
    >>> import psychophys
    >>> table = psychophys.fisher_matrix(layers="blocks.5", values=4, parameters={"phase": 2})
    >>> table.to_pandas()[["dimension_i", "dimension_j", "correlation"]].shape
    (12, 3)
    """
    joint, observer = enter(model, partial(plan_fisher, dimensions), options, batch_size)
    return run_fisher(joint, observer, batch_size=batch_size, progress=progress)


def plan_fisher(dimensions: Sequence[str] = DEFAULT_DIMENSIONS, **settings: Any) -> Joint:
    """Resolve defaults and check before anything is computed.

    Parameters
    ----------
    settings
        Arguments of :func:`psychophys.plan` apart from ``dimension``, ``confidence``, ``precision`` and
        ``pooling``.
    """
    names = (dimensions,) if isinstance(dimensions, str) else tuple(dimensions)
    if len(names) < 2 or len(set(names)) < len(names) or not all(names):
        raise UsageError(
            f"dimensions {', '.join(names) or '(none)'}", "Give two or more different ones, with commas."
        )
    if settings.get("stimulus") is None and not settings.get("images") and "hue" in names:
        settings["stimulus"] = "patch"
    measurement = plan(dimension=names[0], **settings)
    given = settings.get("parameters") or {}
    pedestals = dict(measurement.parameters)
    for name in names[1:]:
        parameter = measurement.stimulus.dimension(name)
        if name in measurement.stimulus.nuisance and name not in given:
            pedestals[name] = (parameter.default,)  # It is no nuisance here.
    joint = Joint(replace(measurement, parameters=pedestals), names)
    _check(joint.measurement)
    return joint


def _check(measurement: Measurement) -> None:
    if not measurement.noise.method.is_independent:
        raise UsageError(
            f"{measurement.noise.name} noise is of one dimension",
            f"Use {' or '.join(n.name for n in NOISE.own.values() if n.method.is_independent)} noise.",
        )
    if measurement.setting.differential:
        raise UsageError(
            "differential correlations are along one dimension", "Leave the option differential out."
        )
    if measurement.estimator.several is None:
        raise UsageError(
            f"estimator {measurement.estimator.name} follows one dimension",
            f"Use --estimator {' or '.join(e.name for e in ESTIMATORS.own.values() if e.several)}.",
        )


def identify_fisher(joint: Joint, observer: Observer) -> str:
    """The run id of a Fisher matrix of this observer."""
    return digest([identify(joint.measurement, observer), *joint.dimensions])


def run_fisher(
    joint: Joint, observer: Observer, *, batch_size: int | None = None, progress: Progress | None = None
) -> FisherResults:
    """Measure an observer as planned: see :func:`fisher_matrix`."""
    measurement = joint.measurement
    measurement.check_size(min(observer.input_size))
    started = time.perf_counter()
    with measuring(observer):
        ways = find_ways(measurement, observer)
        by_layer, estimators = _gather(joint, ways, batch_size, progress)
    identifier = identify_fisher(joint, observer)
    tolerance = SINGULAR * torch.finfo(observer.dtype).eps
    rows = []
    for layer in ways.layers:
        shared = about(measurement, observer, layer, identifier)
        shared |= {"n_samples": joint.n_samples, "estimator": estimators[layer.name]}
        found = _rows(joint, *by_layer[layer.name].matrices(layer), tolerance)
        if layer.name in ways.jumping:
            found = [_without_derivative(row, exact=measurement.estimator.exact) for row in found]
        rows += [{**shared, **row} for row in found]
    record = provenance(measurement, observer, ways.selection, time.perf_counter() - started)
    record |= ways.record(estimators)
    record |= {"dimensions": list(joint.dimensions), "units": list(joint.units)}
    return FisherResults.from_rows(rows, {identifier: record})


def _gather(
    joint: Joint, ways: Ways, batch_size: int | None, progress: Progress | None
) -> tuple[dict[str, _Sums], dict[str, str]]:
    """Show every layer every block, each in its way; return what was kept and the estimators, by layer."""
    kept: dict[str, _Sums] = {}
    used: dict[str, str] = {}
    for way, advance in in_turn(ways, progress):
        own = replace(joint, measurement=way.of(joint.measurement), finer=way.finer)
        sums = _Sums(own, way.observer, way.layers)
        estimator = run_blocks(
            own.measurement, way.observer, sums.add, batch_size, advance, len(joint.dimensions)
        )
        kept |= {layer.name: sums for layer in way.layers}
        used |= {layer.name: estimator.name for layer in way.layers}
    return kept, used


def _without_derivative(row: dict[str, Any], *, exact: bool) -> dict[str, Any]:
    """The row of a layer whose differences go with the step."""
    numbers = ("fisher_information", "correlation", "threshold_alone", "threshold_joint")
    nothing = {name: np.nan for name in numbers if exact and row[name] is not None}
    return {**row, **nothing, "status": "not_differentiable"}


class _Sums:
    """What is kept of every image, by layer: products of derivatives, and the response.

    Attributes
    ----------
    products
        J_ij at unit noise, for every pair: (samples, values, pairs).
    response
        Squared norm of the response: (samples, values).
    """

    def __init__(self, joint: Joint, observer: Observer, layers: Sequence[Layer]) -> None:
        self.joint, self.observer, self.layers = joint, observer, layers
        shape = len(joint.measurement.samples), len(joint.measurement.values)
        n_pairs = len(pairs(len(joint.dimensions)))
        self.products = {layer.name: np.zeros((*shape, n_pairs)) for layer in layers}
        self.response = {layer.name: np.zeros(shape) for layer in layers}

    def add(self, block: Span, estimator: Estimator) -> None:
        """Measure a block of samples and values."""
        measurement, observer, dimensions = self.joint.measurement, self.observer, self.joint.dimensions
        setting = measurement.setting
        samples = measurement.samples[block[0]]
        values = torch.tensor(measurement.values[block[1]], dtype=observer.dtype, device=observer.device)
        grid = values.repeat(len(samples), 1)
        fixed = block_parameters(measurement, observer, samples, grid)
        points = [_column(fixed[name], grid) for name in dimensions]
        found: dict[str, list[tuple[Tensor, Tensor]]] = {layer.name: [] for layer in self.layers}
        least: list[Tensor] = []

        def draw(shown: Sequence[Tensor]) -> Tensor:
            moved = dict(zip(dimensions, shown, strict=True))
            return measurement.stimulus.render({**fixed, **moved}, observer.input_size)

        def receive(name: str, response: Tensor, tangents: Tensor) -> None:
            if name in found:
                found[name].append((squared_norm(response), setting.products(response, tangents, least)))

        assert estimator.several is not None  # Checked when it was planned.
        widths = np.array(estimator.several(observer, self.layers, draw, points, self.joint.steps, receive))
        scale = np.array([widths[i] * widths[j] for i, j in pairs(len(dimensions))])
        numbers = {("least", str(place)): part for place, part in enumerate(least)}
        for name, parts in found.items():
            norms, j = zip(*parts, strict=True)
            numbers |= {("response", name): torch.cat(norms), ("products", name): torch.cat(j)}
        arrays = fetched(numbers)
        setting.check_least([part for (what, _), part in arrays.items() if what == "least"])
        for name in found:
            self.response[name][block] = arrays["response", name].reshape(grid.shape)
            self.products[name][block] = arrays["products", name].reshape(*grid.shape, -1) / scale

    def matrices(self, layer: Layer) -> tuple[Array, bool]:
        """J of a layer at every point, (points, n, n), and whether all responses were finite."""
        measurement = self.joint.measurement
        square = float(self.response[layer.name].mean()) / layer.n_features
        variance = measurement.setting.variance(float(np.sqrt(square)))
        unit = self.joint.averaged(self.products[layer.name])
        return symmetric(divided(unit, variance), len(self.joint.dimensions)), bool(
            np.isfinite(self.response[layer.name]).all()
        )


def _column(value: Tensor | float, grid: Tensor) -> Tensor:
    return value if isinstance(value, Tensor) else torch.full_like(grid, value).flatten()


def _rows(joint: Joint, information: Array, finite: bool, tolerance: float) -> list[dict[str, Any]]:
    """The columns of the table that are computed, for every point and pair."""
    dprime = joint.measurement.dprime
    known = correlations(information)
    alone = thresholds_alone(information, dprime)
    together = thresholds_joint(information, dprime, tolerance)
    domain = joint.measurement.noise.domain
    refused = domain.status if domain is not None and finite else "not_finite"
    rows = []
    for k, point in enumerate(joint.points):
        at = " ".join(f"{name}={value:g}" for name, value in zip(joint.dimensions, point, strict=True))
        for i, j in pairs(len(point)):
            status = "ok"
            if not np.isfinite(information[k]).all():
                status = refused
            elif not np.isfinite(alone[k, [i, j]]).all():
                status = "insensitive"
            elif not np.isfinite(together[k, [i, j]]).all():
                status = "singular"
            row = {
                "at": at,
                "fisher_information": float(information[k, i, j]),
                "correlation": float(known[k, i, j]) if np.isfinite(known[k, i, j]) else None,
                "threshold_alone": float(alone[k, i]) if i == j else None,
                "threshold_joint": float(together[k, i]) if i == j else None,
                "status": status,
            }
            for name, place in (("i", i), ("j", j)):
                row[f"dimension_{name}"] = joint.dimensions[place]
                row[f"value_{name}"], row[f"unit_{name}"] = point[place], joint.units[place]
            rows.append(row)
    return rows
