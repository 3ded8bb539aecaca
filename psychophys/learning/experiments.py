"""The table of learning experiments, and running one. A new one is one entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any, get_type_hints

from psychophys.base.errors import UsageError
from psychophys.base.registry import Registry
from psychophys.learning.crops import autoencoder, classifier, hue, planted
from psychophys.learning.gratings import rearing, supervised
from psychophys.learning.linear.findings import find_linear
from psychophys.learning.linear.plan import LinearSettings
from psychophys.learning.linear.run import plan_linear
from psychophys.learning.training import Learned, Training, run_trainings
from psychophys.learning.trends import Findings

WORSE = 1.05
"""Last loss over the first, beyond which nothing was learned."""


@dataclass(frozen=True)
class Experiment:
    """One experiment that ``psychophys learn`` knows.

    Attributes
    ----------
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
        kinds = get_type_hints(self.settings)
        for name in given:
            if name not in kinds:
                raise UsageError(
                    f"experiment {self.name} has no {name}", f"It has {', '.join(sorted(kinds))}."
                )
        typed = {name: _typed(name, value, kinds[name]) for name, value in given.items()}
        return self.settings(**{**(self.quick if quick else {}), **typed})


def _typed(name: str, value: Any, kind: Any) -> Any:
    """A value of the kind that a setting has; one word stands for a list of it."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if kind is int or kind == int | None:
        fits, words = whole or (value is None and kind is not int), "a whole number"
    elif kind is float:
        fits, words = isinstance(value, Real) and not isinstance(value, bool), "a number"
    elif kind is str:
        fits, words = isinstance(value, str), "a name"
    else:
        value = (value,) if isinstance(value, str | Path) else value
        fits = isinstance(value, Sequence) and all(isinstance(part, str | Path) for part in value)
        words = "names"
    if not fits:
        raise UsageError(f"{name} {value!r}", f"Give {words}.")
    return tuple(map(str, value)) if words == "names" else value


EXPERIMENTS = Registry(
    "experiment",
    (
        Experiment(
            "linear",
            LinearSettings,
            plan_linear,
            find_linear,
            {"runs": 2, "patch": 8, "snapshots": 8},
            has_modes=True,
        ),
        Experiment(
            "supervised",
            supervised.SupervisedSettings,
            supervised.plan_supervised,
            supervised.find_supervised,
            {"runs": 2, "batch": 512, "steps": 80, "snapshots": 4},
        ),
        Experiment(
            "autoencoder",
            autoencoder.AutoencoderSettings,
            autoencoder.plan_autoencoder,
            autoencoder.find_autoencoder,
            {"runs": 2, "steps": 120, "snapshots": 2},
        ),
        Experiment(
            "planted",
            planted.PlantedSettings,
            planted.plan_planted,
            planted.find_planted,
            {"runs": 2, "steps": 120, "snapshots": 2},
        ),
        Experiment(
            "hue",
            hue.HueSettings,
            hue.plan_hue,
            hue.find_hue,
            {"runs": 2, "steps": 200, "snapshots": 2},
        ),
        Experiment(
            "classifier",
            classifier.ClassifierSettings,
            classifier.plan_classifier,
            classifier.find_classifier,
            {"runs": 2, "steps": 60, "snapshots": 2},
        ),
        Experiment(
            "rearing",
            rearing.RearingSettings,
            rearing.plan_rearing,
            rearing.find_rearing,
            {"runs": 2, "batch": 512, "steps": 60, "snapshots": 5},
        ),
    ),
    Experiment,
)


def learn(
    experiment: str = "linear",
    *,
    quick: bool = False,
    device: str = "auto",
    checkpoints: str | Path | None = None,
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
    checkpoints
        Where weights are written, for every training and measured step:
        ``psychophys.measure("learned", checkpoint=FILE)`` reads them.
    progress
        Called with the steps done and the steps in all.
    **settings
        Of the experiment: see its settings, such as
        :class:`psychophys.learning.gratings.supervised.SupervisedSettings`.

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
    chosen = EXPERIMENTS.find(experiment)
    trainings = chosen.plan(chosen.settle(settings, quick))
    folder = None if checkpoints is None else Path(checkpoints)
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
    if not len(learned.thresholds):
        raise UsageError("there are no trainings", "Give some of `psychophys learn`.")
    found = EXPERIMENTS.find(learned.experiment).find(learned)
    return replace(found, conclusions=[*found.conclusions, *_failures(learned, found.layer)])


def _failures(learned: Learned, layer: str) -> list[str]:
    """Trainings that did not do what they were to."""
    records = [one["learning"] | {"training": one["training"]} for one in learned.thresholds.runs.values()]
    said = []
    for training in dict.fromkeys(record["training"] for record in records):
        own = [record for record in records if record["training"] == training]
        losses = [record["loss"] for record in own if "loss" in record]
        name = f"{own[0]['model']}, seed {own[0]['seed']}"
        if losses and losses[-1] > WORSE * losses[0]:
            said.append(
                f"{name}, has learned nothing: its loss went from {losses[0]:.3g} to {losses[-1]:.3g}."
            )
    frame = learned.thresholds.to_pandas()
    dead = frame[
        (frame["layer"] == layer) & (frame["step"] == frame["step"].max()) & (frame["sensitivity"] == 0)
    ]
    said += [
        f"{model}, seed {seed}, does not respond in {layer} at the last step, and is left out there."
        for model, seed in dict.fromkeys(zip(dead["model"], dead["seed"], strict=True))
    ]
    return said
