"""Several models and weights variants in one call, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from psychophys.errors import PsychophysError, UsageError, unknown
from psychophys.measurement import run
from psychophys.observers import WEIGHTS, check_model_name, load_observer, pick_device
from psychophys.results import Results
from psychophys.spec import Measurement

Progress = Callable[[str, int, int], None]
"""Called with what is measured, the images done and the images in all."""


@dataclass(frozen=True)
class Outcome:
    """What came of one model: results, or the error in their place."""

    model: str
    weights: str
    results: Results | None
    error: PsychophysError | None = None


def measure_each(
    measurement: Measurement,
    models: Sequence[str],
    weights: Sequence[str] = ("pretrained",),
    *,
    device: str = "auto",
    batch_size: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Iterator[Outcome]:
    """Measure every model with every weights variant; a model that fails does not stop the others.

    Names and the device are checked before the first measurement, so that a misspelt name costs
    nothing. ``options`` (``seed``, ``checkpoint``, ``dtype``) go to
    :func:`psychophys.load_observer`.

    Yields
    ------
    Outcome
        As soon as each is known.

    Raises
    ------
    UsageError
        For a name or an option that is wrong for all.
    """
    if batch_size is not None and batch_size < 1:
        raise UsageError(f"batch size {batch_size}", "Give one or more.")
    for variant in weights:
        if variant not in WEIGHTS:
            raise unknown("weights", variant, WEIGHTS)
    for model in models:
        check_model_name(model)
    chosen = pick_device(device)
    for model in models:
        for variant in weights:
            label = f"{model} {variant}"
            try:
                observer = load_observer(model, weights=variant, device=chosen, **options)
                report = None if progress is None else _labelled(progress, label)
                yield Outcome(
                    model, variant, run(measurement, observer, batch_size=batch_size, progress=report)
                )
            except PsychophysError as error:
                yield Outcome(model, variant, None, error)


def _labelled(progress: Progress, label: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(label, done, total)
