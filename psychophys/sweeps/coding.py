"""The efficient-coding test of one model: the trained network and untrained ones, measured and compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from psychophys.base.errors import MeasurementError, unknown
from psychophys.comparison.compare import DEFAULT_PRIOR, compare, density_of
from psychophys.comparison.priors import Density, Prior, load_prior
from psychophys.comparison.verdict import conclusions
from psychophys.measurement.plan import plan
from psychophys.measurement.presets import CODING, PRESETS
from psychophys.measurement.spec import Measurement
from psychophys.observers.names import CONTROLS, DEFAULT_MODEL, make_jobs
from psychophys.results.thresholds import Results, concat, read
from psychophys.sweeps.engines import Serial
from psychophys.sweeps.store import Store
from psychophys.sweeps.sweep import State, Sweep
from psychophys.sweeps.tasks import Task

SEEDS = 20
"""Untrained networks: one more than p = 0.05 needs."""
MEASURED = "measured"
"""Folder of the results in that of a test."""


@dataclass(frozen=True)
class CodingTest:
    """What came of a test.

    Attributes
    ----------
    results
        Thresholds of all networks.
    comparison
        Of :func:`psychophys.compare`.
    failures
        What could not be measured, and why.
    """

    results: Results
    comparison: pd.DataFrame
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def conclusions(self) -> list[str]:
        """The verdict, and how specific it is, in sentences."""
        return conclusions(self.comparison)


def with_preset(settings: dict[str, Any]) -> dict[str, Any]:
    """Arguments of :func:`psychophys.plan` with the test's own preset, where it has one and none is named."""
    if settings.get("preset") is not None:
        return settings
    usual = plan(**settings)
    own = PRESETS[CODING].settings.get(usual.dimension)
    names = {parameter.name for parameter in usual.stimulus.parameters}
    if own is None or not names.issuperset(own["parameters"]):
        return settings
    return {**settings, "dimension": usual.dimension, "preset": CODING}


def find_density(
    measurement: Measurement, prior: str | Prior | None = None, scale: float | None = None
) -> Density:
    """What a measurement is compared with; :class:`UsageError` where the prior says nothing of it."""
    chosen = prior if isinstance(prior, Prior) else load_prior(DEFAULT_PRIOR if prior is None else prior)
    unit = measurement.stimulus.parameter(measurement.dimension).unit
    return density_of(measurement.stimulus.name, measurement.dimension, unit, chosen, scale)


def plan_test(tasks: Sequence[Task], folder: str | Path, *, retry_failed: bool = False) -> Sweep:
    """The sweep that measures all networks into the folder; what is there is not measured again."""
    return Sweep(list(tasks), Store(Path(folder) / MEASURED), retry_failed)


def evaluate(sweep: Sweep, prior: str | Prior | None = None, scale: float | None = None) -> CodingTest:
    """Compare what a sweep has measured.

    Raises
    ------
    MeasurementError
        Where the tested network, or all that it is compared with, could not be measured.
    """
    done = [task for task in sweep.tasks if sweep.state(task) is State.DONE]
    notes = {task.job.label: sweep.store.failure(task) for task in sweep.tasks if task not in done}
    failures = {label: str((note or {}).get("error", "not measured")) for label, note in notes.items()}
    tested = sweep.tasks[0]
    if tested not in done or not any(task.job.weights in CONTROLS for task in done if task is not tested):
        label, reason = next(iter(failures.items()))
        raise MeasurementError(
            f"{label}: {reason}", "Begin the test again with --retry-failed; what is measured is kept."
        )
    results = concat(read(sweep.store.path(task)) for task in done)
    return CodingTest(results, compare(results, prior, scale=scale), failures)


def coding_test(
    model: str = DEFAULT_MODEL,
    *,
    weights: str = "pretrained",
    controls: str | Sequence[str] = "random",
    seeds: int = SEEDS,
    checkpoint: str | Path | None = None,
    prior: str | Prior | None = None,
    scale: float | None = None,
    folder: str | Path | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    **settings: Any,
) -> CodingTest:
    """Test whether a model is most sensitive to what is most common in images, and untrained ones are not.

    Parameters
    ----------
    model, weights, checkpoint
        See :func:`psychophys.load_observer`.
    controls, seeds
        Kinds of weights that it is compared with, ``random`` or ``shuffled``, and how many networks of each.
    prior, scale
        See :func:`psychophys.compare`.
    folder
        Where results are kept, and found again by a test that goes on. Default: nowhere.
    **settings
        Of the measurement, as :func:`psychophys.plan` takes them. Default: the preset ``efficient-coding``.

    Returns
    -------
    CodingTest
        Its ``conclusions`` are the verdict.

    Raises
    ------
    UsageError
        For an unknown name or an impossible value.
    MeasurementError
        Where the network, or all that it is compared with, could not be measured.
    """
    with TemporaryDirectory() as spare:
        tasks = plan_networks(model, weights, controls, seeds, checkpoint, settings, device, batch_size)
        find_density(tasks[0].measurement, prior, scale)
        sweep = plan_test(tasks, spare if folder is None else folder)
        for _ in sweep.run(Serial()):
            pass
        return evaluate(sweep, prior, scale)


def with_controls(tested: Sequence[Task], kinds: Sequence[str], seeds: int) -> list[Task]:
    """Networks that are tested, and those that they are compared with: alike but for their weights.

    Raises
    ------
    UsageError
        For weights that no control network has, or too many seeds.
    """
    for kind in kinds:
        if kind not in CONTROLS:
            raise unknown("controls", kind, CONTROLS)
    tasks = list(tested)
    for task in tested:
        job = task.job
        # A network is no control of itself.
        first = job.seed + 1 if job.weights in kinds else job.seed
        for kind in kinds:
            # Shuffled are the weights that are tested; random ones are of no checkpoint.
            origin = job.checkpoint if kind == "shuffled" else None
            drawn = make_jobs(
                [job.model],
                [kind],
                seed=first,
                seeds=seeds,
                checkpoint=origin,
                dtype=job.dtype,
                arithmetic=job.arithmetic,
                noise_seed=job.noise_seed,
            )
            tasks += [replace(task, job=one) for one in drawn]
    return tasks


def plan_networks(
    model: str,
    weights: str,
    controls: str | Sequence[str],
    seeds: int,
    checkpoint: str | Path | None,
    settings: dict[str, Any],
    device: str,
    batch_size: int | None,
) -> list[Task]:
    """The network that is tested, and those that it is compared with."""
    measurement = plan(**with_preset(settings))
    jobs = make_jobs([model], [weights], checkpoint=checkpoint)
    kinds = [controls] if isinstance(controls, str) else list(controls)
    return with_controls([Task(measurement, job, device, batch_size) for job in jobs], kinds, seeds)
