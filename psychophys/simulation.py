"""Simulated observers: do noisy responses, read out and fitted, give the threshold that J predicts?

The local-linear threshold is a statement about small changes. Here the stimuli are really shown: the
network answers to value - difference / 2 and value + difference / 2, noise is added, a linear observer
decides, and a psychometric function is fitted to its answers. A linear read-out of Gaussian noise is one
Gaussian number, so that trials are drawn from its mean and variance, not unit by unit.

The observer knows the nuisance parameters, as an average of J over them supposes: the differences shown
in each sample are in proportion to that sample's own predicted threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from psychophys.accumulation import Progress, accumulate, render_block, respond
from psychophys.errors import UsageError, unknown
from psychophys.inference import Done
from psychophys.layers import Layer
from psychophys.noise import get_noise, read_out, read_out_variance, rectified, saturated
from psychophys.observers import Observer
from psychophys.propagation import answer
from psychophys.psychometrics import Task, get_task
from psychophys.spec import Measurement

Array = NDArray[np.float64]
LEVELS = tuple(float(level) for level in np.geomspace(0.4, 2.5, 9))
"""Differences shown, in predicted thresholds."""
READ_OUTS = {
    "ideal": "derivative over variance: the best linear read-out at the value",
    "trained": "difference of the mean responses in training trials, over variance",
}


@dataclass(frozen=True)
class Experiment:
    """How an observer is simulated.

    Attributes
    ----------
    task
        Name in :data:`psychophys.psychometrics.TASKS`.
    read_out
        Name in ``READ_OUTS``.
    trials
        At each of ``LEVELS``, over all nuisance samples.
    training_trials
        Of each of the two stimuli of the largest difference, in each nuisance sample (``trained``).
    seed
        Of all that is drawn.
    """

    task: str = "2afc"
    read_out: str = "ideal"
    trials: int = 1000
    training_trials: int = 1000
    seed: int = 0

    def check(self, measurement: Measurement) -> None:
        """Raise :class:`UsageError` for what cannot be simulated."""
        get_task(self.task)
        if self.read_out not in READ_OUTS:
            raise unknown("read-out", self.read_out, READ_OUTS)
        for name, count in (("trials", self.trials), ("training trials", self.training_trials)):
            if not 1 <= count <= 10**9:
                raise UsageError(f"{count} {name}", "Give 1 to 1,000,000,000.")
        if self.seed < 0:
            raise UsageError(f"seed {self.seed} of the trials", "Give 0 or more.")
        if not get_noise(measurement.noise).independent:
            raise UsageError(
                f"{measurement.noise} noise cannot be simulated trial by trial",
                "Use relative, gaussian or poisson noise.",
            )
        if measurement.estimator == "chained":
            raise UsageError("estimator chained cannot be simulated", "Use --estimator jvp or central.")


@dataclass(frozen=True)
class Prepared:
    """An observer about to be simulated: its local-linear measurement, and the estimator it took."""

    observer: Observer
    done: Done
    estimator: str


def prepare(
    measurement: Measurement, observer: Observer, layers: Sequence[Layer], batch_size: int | None = None
) -> Prepared:
    """Make the local-linear measurement that a simulation is placed by, and compared with."""
    sums, estimator = accumulate(measurement, observer, layers, batch_size)
    return Prepared(observer, Done(measurement, layers, sums), estimator)


def proportions_correct(
    prepared: Prepared, index: int, experiment: Experiment, progress: Progress | None = None
) -> dict[str, Array]:
    """How often each layer's observer is right at one value.

    Parameters
    ----------
    index
        Of the value.

    Returns
    -------
    dict
        By layer, shape (levels, samples); NaN for a difference that cannot be shown.
    """
    done, task = prepared.done, get_task(experiment.task)
    n_samples = done.sums.n_samples
    generator = torch.Generator().manual_seed(experiment.seed * 1_000_003 + index)
    found = {layer.name: np.full((len(LEVELS), n_samples), np.nan) for layer in done.layers}
    for sample in range(n_samples):
        pedestals = _pedestals(prepared, sample, index)
        for layer in done.layers:
            trial = _Trial(prepared, layer, sample, index, *pedestals.pop(layer.name))
            found[layer.name][:, sample] = trial.proportion_correct(task, experiment, generator)
        if progress is not None:
            progress(sample + 1, n_samples)
    return found


def _pedestals(prepared: Prepared, sample: int, index: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Every layer's response and derivative, (1, F) each, at one value in one sample."""
    measurement, layers = prepared.done.measurement, prepared.done.layers
    names = {layer.name for layer in layers}
    found: dict[str, tuple[Tensor, Tensor]] = {}

    def receive(name: str, response: Tensor, tangent: Tensor | None) -> None:
        if name in names:
            tangent = torch.zeros_like(response) if tangent is None else tangent
            found[name] = response.clone(), tangent.clone()

    block = slice(sample, sample + 1), slice(index, index + 1)
    width = respond(measurement, prepared.observer, layers, block, prepared.estimator, receive)
    return {name: (response, tangent / width) for name, (response, tangent) in found.items()}


@dataclass(frozen=True)
class _Trial:
    """One layer's observer, at one value in one nuisance sample."""

    prepared: Prepared
    layer: Layer
    sample: int
    index: int
    response: Tensor
    tangent: Tensor

    def proportion_correct(self, task: Task, experiment: Experiment, generator: torch.Generator) -> Array:
        """At each of ``LEVELS``; NaN for a difference that cannot be shown."""
        found = np.full(len(LEVELS), np.nan)
        scale = self._scale
        differences = np.array(LEVELS) * self._threshold(scale)
        shown = np.array([self._can_show(difference) for difference in differences])
        if not shown.any():
            return found
        below, above = self._answers(differences[shown])
        measurement = self.prepared.done.measurement
        noise, options = get_noise(measurement.noise), measurement.noise_options
        weights = read_out(noise, options, self.response, self.tangent)
        if experiment.read_out == "trained":
            change = _rectified(above[-1:], options) - _rectified(below[-1:], options)
            weights = read_out(noise, options, self.response, change)
            weights = weights + self._training_noise(weights, scale, experiment, generator)
        separation = _dot(weights, _rectified(above, options) - _rectified(below, options))
        shared = options["differential"] * _dot(weights, _tangent(self, options)) ** 2
        variances = [
            scale * read_out_variance(noise, options, weights, rows).double().cpu().numpy() + shared
            for rows in (below, above)
        ]
        found[shown] = task.correct(separation, *variances)
        return found

    @property
    def _scale(self) -> float:
        measurement, done = self.prepared.done.measurement, self.prepared.done
        return get_noise(measurement.noise).scale(measurement.noise_level, done.response_rms(self.layer))

    def _threshold(self, scale: float) -> float:
        """What J predicts for this sample alone."""
        measurement = self.prepared.done.measurement
        j = self.prepared.done.sums.information[self.layer.name][self.sample, self.index]
        if not (np.isfinite(j) and j > 0 and scale > 0):
            return np.inf
        j = saturated(np.array(j / scale), measurement.noise_options["differential"])
        return float(measurement.dprime / np.sqrt(j))

    def _can_show(self, difference: float) -> bool:
        measurement = self.prepared.done.measurement
        parameter = measurement.stimulus.dimension(measurement.dimension)
        if not np.isfinite(difference) or (
            parameter.period is not None and difference > parameter.period / 2
        ):
            return False
        value, sample = measurement.values[self.index], measurement.samples[self.sample]
        try:
            for end in (value - difference / 2, value + difference / 2):
                measurement.stimulus.check(
                    {**sample, measurement.dimension: end}, min(self.prepared.observer.input_size)
                )
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

    def _training_noise(
        self, weights: Tensor, scale: float, experiment: Experiment, generator: torch.Generator
    ) -> Tensor:
        """Noise of a difference of two means over training trials, weighted as the read-out is."""
        measurement = self.prepared.done.measurement
        noise, options = get_noise(measurement.noise), measurement.noise_options
        drawn = torch.randn(weights.shape, generator=generator, dtype=torch.float64)
        drawn = drawn.to(weights) * (2 * scale / experiment.training_trials) ** 0.5
        if noise.unit_variance is None:
            return drawn
        response, _ = rectified(options, self.response, self.response)
        return drawn / noise.unit_variance(response, options).sqrt()


def _tangent(trial: _Trial, options: dict[str, float]) -> Tensor:
    return rectified(options, trial.response, trial.tangent)[1]


def _rectified(response: Tensor, options: dict[str, float]) -> Tensor:
    return rectified(options, response, response)[0]


def _dot(weights: Tensor, rows: Tensor) -> Array:
    return np.asarray((rows.double() @ weights.double().flatten()).cpu().numpy())
