"""Learning experiments: networks trained here, and what they can tell apart on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from psychophys.errors import UsageError, unknown
from psychophys.learning import autoencoder, classifier, linear_plan, rearing, supervised
from psychophys.learning.linear_findings import find_linear
from psychophys.learning.linear_run import plan_linear
from psychophys.learning.training import Learned, Training, run_trainings
from psychophys.learning.trends import Findings


@dataclass(frozen=True)
class Experiment:
    """One experiment that ``psychophys learn`` knows.

    Attributes
    ----------
    source
        What it is after.
    settings
        Makes its settings of keywords: a dataclass.
    plan
        Trainings of the settings.
    find
        What the results come to.
    quick
        Settings of ``--quick``, where nothing else is said.
    has_modes
        Whether half-times come of it.
    """

    name: str
    summary: str
    source: str
    settings: Callable[..., Any]
    plan: Callable[[Any], list[Training]]
    find: Callable[[Learned], Findings]
    quick: Mapping[str, Any]
    has_modes: bool = False

    def settle(self, given: Mapping[str, Any], quick: bool = False) -> Any:
        """Settings of what is given, and of ``quick`` where nothing is.

        Raises
        ------
        UsageError
            For an impossible value, or a setting that the experiment does not have.
        """
        known = [field.name for field in fields(self.settings)]  # type: ignore[arg-type]
        for name in given:
            if name not in known:
                raise UsageError(
                    f"experiment {self.name} has no setting {name}", f"It has {', '.join(sorted(known))}."
                )
        return self.settings(**{**(self.quick if quick else {}), **given})


_BENJAMIN = "Benjamin et al. 2022"
EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            "linear",
            "linear autoencoders of natural image patches, against their closed forms",
            f"Saxe, McClelland & Ganguli 2014, arXiv:1312.6120; {_BENJAMIN}, fig. 5",
            linear_plan.Settings,
            plan_linear,
            find_linear,
            {"runs": 2, "patch": 8, "checkpoints": 8},
            has_modes=True,
        ),
        Experiment(
            "supervised",
            "orientation classifiers: frequency against information about the label",
            f"{_BENJAMIN}, fig. 6",
            supervised.Settings,
            supervised.plan_supervised,
            supervised.find_supervised,
            {"runs": 2, "batch": 512, "steps": 80, "checkpoints": 4},
        ),
        Experiment(
            "autoencoder",
            "denoising convolutional autoencoders of upright and of turned photographs",
            f"{_BENJAMIN}",
            autoencoder.Settings,
            autoencoder.plan_autoencoder,
            autoencoder.find_autoencoder,
            {"runs": 2, "steps": 120, "checkpoints": 2},
        ),
        Experiment(
            "classifier",
            "a network of timm's, trained from scratch on upright and on turned photographs",
            f"{_BENJAMIN}, fig. 2; Henderson & Serences 2021",
            classifier.Settings,
            classifier.plan_classifier,
            classifier.find_classifier,
            {"runs": 2, "steps": 60, "checkpoints": 2},
        ),
        Experiment(
            "rearing",
            "orientation classifiers whose world changes: switched statistics, bursts",
            f"after {_BENJAMIN}, fig. 6",
            rearing.Settings,
            rearing.plan_rearing,
            rearing.find_rearing,
            {"runs": 2, "batch": 512, "steps": 60, "checkpoints": 5},
        ),
    )
}


def get_experiment(name: str) -> Experiment:
    """Return the experiment called ``name``."""
    if name not in EXPERIMENTS:
        raise unknown("experiment", name, EXPERIMENTS)
    return EXPERIMENTS[name]


def learn(
    experiment: str = "linear",
    *,
    quick: bool = False,
    device: str = "auto",
    checkpoints_folder: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> Learned:
    """Run a learning experiment.

    Parameters
    ----------
    experiment
        Name in ``EXPERIMENTS``.
    quick
        A small version, where nothing else is said.
    checkpoints_folder
        Where weights are written, for every training and measured step:
        ``psychophys.measure("learned", checkpoint=FILE)`` reads them.
    progress
        Called with the steps done and the steps in all.
    **settings
        Of the experiment: see ``Settings`` in its module, such as
        :class:`psychophys.learning.supervised.Settings`.

    Returns
    -------
    Learned
        ``thresholds`` over training; and ``modes``, half-times, of ``linear``.

    Raises
    ------
    UsageError
        For an unknown name, or an impossible value.
    MeasurementError
        Where a training diverges.

    Examples
    --------
    >>> import psychophys
    >>> learned = psychophys.learn("linear", depths=("2",), runs=1, patch=8)
    >>> bool(learned.modes.to_pandas()["relative_error"].abs().max() < 0.05)
    True
    """
    chosen = get_experiment(experiment)
    trainings = chosen.plan(chosen.settle(settings, quick))
    folder = None if checkpoints_folder is None else Path(checkpoints_folder)
    return run_trainings(trainings, device=device, folder=folder, progress=progress)


def findings(learned: Learned) -> Findings:
    """What an experiment comes to: a table, sentences, and an index over training.

    Examples
    --------
    >>> import psychophys
    >>> learned = psychophys.learn("supervised", conditions=("frequency",), runs=1, batch=64, steps=20)
    >>> list(psychophys.findings(learned).table["network"])
    ['frequency']
    """
    return get_experiment(learned.experiment).find(learned)
