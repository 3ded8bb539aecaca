"""Simulated observers: do noisy responses, read out and fitted, give the threshold that J predicts?

The local-linear threshold is a statement about small changes. Here the stimuli are really shown: the
network answers to value - difference / 2 and value + difference / 2, noise is added, and a decider judges
by a linear read-out. A linear read-out of Gaussian noise is one Gaussian number, so that trials are drawn
from its mean and variance, not unit by unit.

The decider knows the nuisance parameters, as an average of J over them supposes: the differences shown
in each sample are in proportion to the read-out's local-linear threshold in that sample. For the ideal
read-out that is the threshold of J. One observer, the network, has a decider in every layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from psychophys.base.errors import UsageError
from psychophys.base.registry import Registry
from psychophys.base.types import Array, Progress
from psychophys.measurement.blocks import present, render_block
from psychophys.measurement.spec import Measurement
from psychophys.measurement.thresholds import Done
from psychophys.measurement.ways import Ways, confirm, find_ways, gather
from psychophys.noise.information import Setting, divided, wide
from psychophys.noise.models import NOISE
from psychophys.observers.answer import answer
from psychophys.observers.layers import Layer
from psychophys.observers.observer import Observer
from psychophys.responses.estimators import ESTIMATORS, get_estimator
from psychophys.simulation.psychometrics import TASKS, Task

LEVELS = tuple(float(level) for level in np.geomspace(0.6, 1 / 0.6, 9))
"""Differences shown, in local-linear thresholds of the read-out."""
MOST_TRIALS = 10_000
LEAST_CORRECT, MOST_CORRECT = 0.52, 0.995
"""Criteria that a fit to so many trials can find."""


@dataclass(frozen=True)
class ReadOut:
    """Where a decider's weights come from: the derivative, or training trials."""

    name: str
    meaning: str
    trained: bool


READ_OUTS = Registry(
    "read-out",
    (
        ReadOut("ideal", "derivative over variance: the best linear read-out at the value", trained=False),
        ReadOut(
            "trained", "difference of the mean responses in training trials, over variance", trained=True
        ),
    ),
    ReadOut,
)


@dataclass(frozen=True)
class Procedure:
    """How deciders are simulated.

    Attributes
    ----------
    task
        Name in :data:`psychophys.simulation.psychometrics.TASKS`.
    read_out
        Name in ``READ_OUTS``.
    trials
        At each of ``LEVELS``, over all nuisance samples; at most 10,000, where the fit's own grid ends.
    training_trials
        Of each of two stimuli, in each nuisance sample, for ``trained``; their difference is the largest
        of ``LEVELS``, in thresholds of J.
    seed
        Of all that is drawn.
    """

    task: str = "2afc"
    read_out: str = "ideal"
    trials: int = 1000
    training_trials: int = 1000
    seed: int = 0

    @property
    def record(self) -> dict[str, Any]:
        """Plain values, for provenance."""
        return {**asdict(self), "levels": list(LEVELS)}

    def check(self, measurement: Measurement) -> None:
        """Raise :class:`UsageError` for what cannot be simulated."""
        TASKS.find(self.task)
        READ_OUTS.find(self.read_out)
        for name, count, most in (
            ("trials", self.trials, MOST_TRIALS),
            ("training trials", self.training_trials, 10**9),
        ):
            if not 1 <= count <= most:
                raise UsageError(f"{count} {name}", f"Give 1 to {most:,}.")
        if self.seed < 0:
            raise UsageError(f"seed {self.seed} of the trials", "Give 0 or more.")
        if not measurement.noise.method.is_independent:
            raise UsageError(
                f"{measurement.noise.name} noise cannot be simulated trial by trial",
                f"Use {' or '.join(n.name for n in NOISE.own.values() if n.method.is_independent)} noise.",
            )
        if measurement.precision is not None:
            raise UsageError("a simulation has no precision to reach", "Leave --until-precision out.")
        if measurement.pooling.together:
            raise UsageError("simulated observers see one sample at a time", "Use --pooling mean.")
        criterion = TASKS.find(self.task).by_dprime(measurement.dprime)
        if not LEAST_CORRECT <= criterion <= MOST_CORRECT:
            raise UsageError(
                f"d' {measurement.dprime:g} is {criterion:.2%} correct in task {self.task}",
                f"Give a d' of {LEAST_CORRECT:.0%} to {MOST_CORRECT:.1%} correct: trials show no others.",
            )
        if measurement.estimator.on_grid:
            raise UsageError(
                f"estimator {measurement.estimator.name} cannot be simulated",
                f"Use --estimator {' or '.join(e.name for e in ESTIMATORS.values() if not e.on_grid)}.",
            )


@dataclass(frozen=True)
class Prepared:
    """An observer whose deciders are about to be simulated: what was measured of it, and how."""

    observer: Observer
    done: Done
    ways: Ways
    estimators: Mapping[str, str]


def prepare(measurement: Measurement, observer: Observer, batch_size: int | None = None) -> Prepared:
    """Make the local-linear measurement that a simulation is placed by, and compared with."""
    ways = find_ways(measurement, observer)
    sums, estimators = gather(measurement, ways, batch_size)
    ways = confirm(measurement, ways, sums)
    return Prepared(observer, Done(measurement, ways.layers, sums, ways.jumping), ways, estimators)


@dataclass(frozen=True)
class Proportions:
    """How often one layer's decider is right at one value.

    Attributes
    ----------
    unit
        Difference that level 1 stands for: the read-out's local-linear threshold over all samples.
    correct
        Shape (levels, samples); NaN for a difference that cannot be shown.
    """

    unit: float
    correct: Array


def proportions_correct(
    prepared: Prepared, index: int, procedure: Procedure, progress: Progress | None = None
) -> dict[str, Proportions]:
    """Every layer's decider at the value of that index."""
    done, task = prepared.done, TASKS.find(procedure.task)
    n_samples = done.sums.n_samples
    generator = torch.Generator().manual_seed(procedure.seed * 1_000_003 + index)
    correct = {layer.name: np.full((len(LEVELS), n_samples), np.nan) for layer in done.layers}
    units = {layer.name: np.full(n_samples, np.inf) for layer in done.layers}
    for sample in range(n_samples):
        pedestals = _pedestals(prepared, sample, index)
        for layer in done.layers:
            decider = _Decider(prepared, layer, sample, index, *pedestals.pop(layer.name))
            weights = decider.read_out(procedure, generator)
            if weights is None:
                if done.sums.information[layer.name][sample, index] == 0:
                    correct[layer.name][:, sample] = 0.5  # Guesses, in this sample.
                continue
            units[layer.name][sample] = unit = decider.threshold(weights)
            correct[layer.name][:, sample] = decider.proportion_correct(task, weights, unit)
        if progress is not None:
            progress(sample + 1, n_samples)
    # As J is averaged over the samples, so are inverse squares of thresholds.
    return {
        layer.name: Proportions(float(np.mean(units[layer.name] ** -2.0) ** -0.5), correct[layer.name])
        if np.isfinite(units[layer.name]).any()
        else Proportions(np.inf, correct[layer.name])
        for layer in done.layers
    }


def _pedestals(prepared: Prepared, sample: int, index: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Every layer's response and derivative, (1, F) each, at one value in one sample."""
    found: dict[str, tuple[Tensor, Tensor]] = {}
    block = slice(sample, sample + 1), slice(index, index + 1)
    for way in prepared.ways.every:
        estimator = get_estimator(prepared.estimators[way.layers[0].name])
        measurement = replace(way.of(prepared.done.measurement), estimator=estimator)
        own: dict[str, tuple[Tensor, Tensor]] = {}

        def receive(
            name: str,
            response: Tensor,
            tangent: Tensor | None,
            own: dict[str, tuple[Tensor, Tensor]] = own,
        ) -> None:
            tangent = torch.zeros_like(response) if tangent is None else tangent
            own[name] = response.clone(), tangent.clone()

        width = present(measurement, way.observer, way.layers, block, estimator).respond(
            receive, in_order=True
        )
        dtype = prepared.observer.dtype
        found |= {name: (r.to(dtype), (t / width).to(dtype)) for name, (r, t) in own.items()}
    return found


@dataclass(frozen=True)
class _Decider:
    """One layer's decider, at one value in one nuisance sample."""

    prepared: Prepared
    layer: Layer
    sample: int
    index: int
    response: Tensor
    tangent: Tensor

    def read_out(self, procedure: Procedure, generator: torch.Generator) -> Tensor | None:
        """Weights of the linear read-out, (1, F); None where the layer tells nothing."""
        if not np.isfinite(self._threshold):
            return None
        if not READ_OUTS[procedure.read_out].trained:
            return self._setting.read_out(self.response, self.tangent)
        differences = np.array(LEVELS) * self._threshold
        shown = [difference for difference in differences if self._can_show(difference)]
        if not shown:
            return None
        below, above = self._answers(np.array(shown[-1:]))
        weights = self._setting.read_out(self.response, self._rectified(above) - self._rectified(below))
        return weights + self._training_noise(weights, procedure, generator)

    def threshold(self, weights: Tensor) -> float:
        """Local-linear threshold of a read-out; infinite where it is not right more often than wrong."""
        slope = _dot(weights, self._slopes)[0]
        if slope <= 0:
            return np.inf
        deviation = self._variances(weights, self.response)[0] ** 0.5
        return float(self.prepared.done.measurement.dprime * deviation / slope)

    def proportion_correct(self, task: Task, weights: Tensor, unit: float) -> Array:
        """At each of ``LEVELS`` times ``unit``; NaN for a difference that cannot be shown."""
        found = np.full(len(LEVELS), np.nan)
        differences = np.array(LEVELS) * unit
        shown = np.array([self._can_show(difference) for difference in differences])
        if shown.any():
            below, above = self._answers(differences[shown])
            separation = _dot(weights, self._rectified(above) - self._rectified(below))
            found[shown] = task.correct(
                separation, self._variances(weights, below), self._variances(weights, above)
            )
        return found

    @property
    def _setting(self) -> Setting:
        return self.prepared.done.measurement.setting

    @property
    def _slopes(self) -> Tensor:
        """Derivatives of the responses as the noise has them: (1, F)."""
        return self._setting.rectified(self.response, self.tangent)[1]

    def _rectified(self, response: Tensor) -> Tensor:
        return self._setting.rectified(response, response)[0]

    @property
    def _scale(self) -> float:
        return self._setting.variance(self.prepared.done.response_rms(self.layer))

    @property
    def _threshold(self) -> float:
        """What J predicts for this sample alone."""
        measurement, scale = self.prepared.done.measurement, self._scale
        j = self.prepared.done.sums.information[self.layer.name][self.sample, self.index]
        if not (np.isfinite(j) and j > 0 and scale > 0):
            return np.inf
        j = self._setting.saturated(divided(np.array(j), scale))
        return float(measurement.dprime / np.sqrt(j))

    def _variances(self, weights: Tensor, rows: Tensor) -> Array:
        """Of the read-out's answer to each row of responses, differential correlations included."""
        setting = self._setting
        own = setting.read_out_variance(weights, rows).expand(len(rows)).cpu().double().numpy()
        shared = _dot(weights, self._slopes)[0] ** 2
        return np.asarray(self._scale * own + setting.differential * shared)

    def _can_show(self, difference: float) -> bool:
        measurement = self.prepared.done.measurement
        parameter = measurement.stimulus.dimension(measurement.dimension)
        if not np.isfinite(difference) or (
            parameter.period is not None and difference > parameter.period / 2
        ):
            return False
        value, sample = measurement.values[self.index], measurement.samples[self.sample]
        shorter_side = min(self.prepared.observer.input_size)
        try:
            for end in (value - difference / 2, value + difference / 2):
                shown = {**sample, measurement.dimension: end}
                measurement.stimulus.check(shown)
                measurement.stimulus.check_size(shown, shorter_side)
        except UsageError:
            return False
        return True

    def _answers(self, differences: Array) -> tuple[Tensor, Tensor]:
        """Responses to value - difference / 2 and value + difference / 2: (L, F) each."""
        measurement, observer = self.prepared.done.measurement, self.prepared.observer
        value, sample = measurement.values[self.index], measurement.samples[self.sample]
        ends = np.concatenate([value - differences / 2, value + differences / 2])
        grid = torch.tensor(ends[None], dtype=observer.dtype, device=observer.device)
        with torch.no_grad():
            images = render_block(measurement, observer, [sample], grid)
            rows = torch.cat([answer(observer, self.layer, part) for part in images.split(len(differences))])
        below, above = rows.split(len(differences))
        return below, above

    def _training_noise(self, weights: Tensor, procedure: Procedure, generator: torch.Generator) -> Tensor:
        """Noise of a difference of two means over training trials, weighted as the read-out is."""
        drawn = torch.randn(weights.shape, generator=generator, dtype=torch.float64)
        drawn = drawn.to(weights) * (2 * self._scale / procedure.training_trials) ** 0.5
        if self._setting.noise.unit_variance is not None:
            drawn = drawn / self._setting.unit_variance(self._rectified(self.response)).sqrt()
        return torch.as_tensor(drawn)


def _dot(weights: Tensor, rows: Tensor) -> Array:
    return np.asarray((wide(rows) @ wide(weights).flatten()).cpu().double().numpy())
