"""The efficient-coding test of one model: the trained network and untrained ones, measured and compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Unpack

import pandas as pd
import torch

from psychophys.base.errors import MeasurementError, unknown
from psychophys.comparison.compare import DEFAULT_PRIOR, compare, density_of
from psychophys.comparison.priors import Density, Prior, load_prior
from psychophys.comparison.verdict import conclusions
from psychophys.measurement.measure import OBSERVER_OPTIONS
from psychophys.measurement.options import Options
from psychophys.measurement.plan import plan
from psychophys.measurement.presets import CODING, PRESETS
from psychophys.measurement.spec import Measurement
from psychophys.observers.devices import pick_device
from psychophys.observers.imports import import_modules
from psychophys.observers.memory import physical_bytes
from psychophys.observers.names import CONTROLS, DEFAULT_MODEL, make_jobs
from psychophys.results.thresholds import MEASURED, Results, concat, read
from psychophys.stimuli import Stimulus
from psychophys.stimuli.base import REFERENCE_SIDE
from psychophys.sweeps.engines import Engine, Processes, Serial
from psychophys.sweeps.store import Store
from psychophys.sweeps.sweep import State, Sweep
from psychophys.sweeps.tasks import Task

SEEDS = 20
"""Untrained networks: one more than p = 0.05 needs."""
JOB_BYTES = 4 * 2**30
"""Of memory for one measurement among several."""


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
    density
        Of the prior, over what was measured.
    """

    results: Results
    comparison: pd.DataFrame
    failures: dict[str, str]
    density: Density

    @property
    def conclusions(self) -> list[str]:
        """The verdict, and how specific it is, in sentences."""
        return conclusions(self.comparison)


def plan_coding(**settings: Any) -> Measurement:
    """As :func:`psychophys.plan`, with the test's own preset where it has one and none is named."""
    usual = plan(**settings)
    own = PRESETS[CODING].settings.get(usual.dimension)
    names = {parameter.name for parameter in usual.stimulus.parameters}
    if settings.get("preset") is not None or own is None or not names.issuperset(own["parameters"]):
        return usual
    return plan(**{**settings, "dimension": usual.dimension, "preset": CODING})


def find_density(
    measurement: Measurement,
    prior: str | Prior | None = None,
    scale: float | None = None,
    side: int = REFERENCE_SIDE,
) -> Density:
    """What a measurement is compared with; :class:`UsageError` where the prior says nothing of it.

    Parameters
    ----------
    side
        Pixels along the image's shorter side, on which frequencies hang on a display.
    """
    chosen = prior if isinstance(prior, Prior) else load_prior(DEFAULT_PRIOR if prior is None else prior)
    stimulus, unit = measurement.stimulus, measurement.unit
    return density_of(stimulus.name, measurement.dimension, unit, chosen, scale, stimulus.display, side)


def plan_test(tasks: Sequence[Task], folder: str | Path, *, retry_failed: bool = False) -> Sweep:
    """The sweep that measures all networks into the folder; what is there is not measured again."""
    return Sweep(list(tasks), Store(Path(folder) / MEASURED), retry_failed)


def evaluate(
    sweep: Sweep, tested: Sequence[Task], prior: str | Prior | None = None, scale: float | None = None
) -> CodingTest:
    """Compare what a sweep has measured.

    Raises
    ------
    MeasurementError
        Where the tested networks, or all that they are compared with, could not be measured.
    """
    done = [task for task in sweep.tasks if sweep.state(task) is State.DONE]
    missing = {task.job.label: _reason(sweep, task) for task in sweep.tasks if task not in done}
    asked = {task.key for task in tested}
    own = [task for task in done if task.key in asked]
    if not own or len(own) == len(done):
        label, reason = next(iter(missing.items()))
        raise MeasurementError(
            f"{label}: {reason}", "Begin the test again with --retry-failed; what is measured is kept."
        )
    tables = {task.key: read(sweep.store.path(task)) for task in done}
    runs = {run for task in own for run in tables[task.key].identifiers}
    results = concat(tables.values())
    side = min(min(record["input_size"]) for record in results.runs.values())
    density = find_density(own[0].measurement, prior, scale, side)
    return CodingTest(results, compare(results, prior, scale=scale, tested=runs), missing, density)


def _reason(sweep: Sweep, task: Task) -> str:
    """Why there are no results of a measurement."""
    note = sweep.store.failure(task)
    return sweep.state(task).value if note is None else str(note["error"])


def coding_test(
    model: str = DEFAULT_MODEL,
    stimulus: str | Stimulus | None = None,
    dimension: str | None = None,
    *,
    controls: str | Sequence[str] = "random",
    seeds: int = SEEDS,
    prior: str | Prior | None = None,
    scale: float | None = None,
    folder: str | Path | None = None,
    retry_failed: bool = False,
    imports: Sequence[str] = (),
    batch_size: int | None = None,
    jobs: int = 1,
    **options: Unpack[Options],
) -> CodingTest:
    """Test whether a model is most sensitive to what is most common in images, and untrained ones are not.

    Parameters
    ----------
    model
        See :func:`psychophys.load_observer`. A pattern of checkpoints tests each of them.
    stimulus, dimension
        See :func:`psychophys.plan`. Default: the preset ``efficient-coding``.
    controls, seeds
        Kinds of weights that it is compared with, ``random`` or ``shuffled``, and how many networks of each.
    prior, scale
        See :func:`psychophys.compare`.
    folder
        Where results are kept, and found again by a test that goes on. Default: nowhere.
    retry_failed
        Whether what failed earlier is tried again.
    imports
        Modules to import first: see :func:`psychophys.import_modules`.
    jobs
        Measurements at a time; more than one have processes of their own.
    **options
        Of the measurement and the observer, as :func:`psychophys.measure` takes them.

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
    import_modules(imports)
    asked: dict[str, Any] = {"stimulus": stimulus, "dimension": dimension, **options}
    observing = {name: asked.pop(name) for name in list(asked) if name in OBSERVER_OPTIONS}
    device = str(observing.pop("device", "auto"))
    chosen = make_jobs([model], [observing.pop("weights", "pretrained")], **observing)
    measurement = plan_coding(**asked)
    tested = [Task(measurement, job, device, batch_size, tuple(imports)) for job in chosen]
    tasks = add_controls(tested, [controls] if isinstance(controls, str) else controls, seeds)
    find_density(measurement, prior, scale)
    with TemporaryDirectory() as spare:
        sweep = plan_test(tasks, spare if folder is None else folder, retry_failed=retry_failed)
        for _ in sweep.run(choose_engine(jobs, device)):
            pass
        return evaluate(sweep, tested, prior, scale)


def usual_jobs(device: str, tasks: int) -> int:
    """Measurements at a time: one for each GPU; on a CPU one for each core, as far as memory goes.

    Networks with a thread each take less time than one after the other with all threads, which wait for each
    other in every layer.
    """
    chosen = pick_device(device)
    if chosen.type != "cpu":
        most = torch.cuda.device_count() if chosen.type == "cuda" and chosen.index is None else 1
    else:
        most = min(torch.get_num_threads(), physical_bytes() // JOB_BYTES)
    return max(min(most, tasks), 1)


def choose_engine(jobs: int, device: str) -> Engine:
    """One process, this one, for one measurement at a time; otherwise processes of their own."""
    return Serial() if jobs == 1 else Processes(jobs, device)


def add_controls(tested: Sequence[Task], kinds: Sequence[str], seeds: int) -> list[Task]:
    """Networks that are tested, and those that they are compared with: alike but for their weights.

    Raises
    ------
    UsageError
        For weights that no control network has, or too many seeds.
    """
    tasks = list(tested)
    for kind in kinds:
        if kind not in CONTROLS:
            raise unknown("controls", kind, CONTROLS)
        for task in tested:
            # Shuffled are the weights that are tested. Random ones need one checkpoint, for its shapes.
            origin = task if kind == "shuffled" else tested[0]
            # A network is no control of itself.
            first = task.job.seed + 1 if task.job.weights in kinds else task.job.seed
            drawn = make_jobs(
                [task.job.model], [kind], seed=first, seeds=seeds, checkpoint=origin.job.checkpoint
            )
            tasks += [
                replace(task, job=replace(task.job, weights=kind, seed=one.seed, checkpoint=one.checkpoint))
                for one in drawn
            ]
    return tasks
