"""Learning experiments: networks trained here, and what they can tell apart on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from psychophys.errors import unknown
from psychophys.learning.planning import Settings
from psychophys.learning.runs import Learned, learn_linear


@dataclass(frozen=True)
class Experiment:
    """One experiment that ``psychophys learn`` knows.

    Attributes
    ----------
    settings
        Makes its settings of keywords.
    run
        Takes the settings, and the keywords of :func:`psychophys.learning.runs.learn_linear`.
    source
        What it is after.
    """

    name: str
    summary: str
    source: str
    settings: Callable[..., Any]
    run: Callable[..., Learned]


EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            "linear",
            "linear autoencoders of natural image patches, against their closed forms",
            "Saxe, McClelland & Ganguli 2014, arXiv:1312.6120; Benjamin et al. 2022, fig. 5",
            Settings,
            learn_linear,
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
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> Learned:
    """Run a learning experiment.

    Parameters
    ----------
    experiment
        Name in ``EXPERIMENTS``.
    progress
        Called with the steps done and the steps in all.
    **settings
        Of the experiment: see :class:`psychophys.learning.planning.Settings`.

    Returns
    -------
    Learned
        ``thresholds`` over training, and ``modes``: half-times, simulated and predicted.

    Raises
    ------
    UsageError
        For an unknown name, or an impossible value.

    Examples
    --------
    >>> import psychophys
    >>> learned = psychophys.learn("linear", depths=("2",), runs=1, patch=8)
    >>> bool(learned.modes.to_pandas()["relative_error"].abs().max() < 0.05)
    True
    """
    chosen = get_experiment(experiment)
    return chosen.run(chosen.settings(**settings), device=device, progress=progress)
