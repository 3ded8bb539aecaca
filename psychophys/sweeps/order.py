"""The order of a sweep: where several networks are measured at a time, the largest should not come last."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cache

import timm
import torch

from psychophys.observers.names import is_source
from psychophys.sweeps.tasks import Task


def largest_first(tasks: Sequence[Task]) -> list[Task]:
    """Tasks by their networks' parameters, most first; those of one model stay together.

    What cannot be counted without a download comes last. Counting takes a tenth of a second an architecture.
    """
    return sorted(tasks, key=lambda task: -_parameters(_architecture(task.job.model)))


def _architecture(model: str) -> str:
    """A model's name without its tag."""
    return model if is_source(model) else model.partition(".")[0]


@cache
def _parameters(architecture: str) -> int:
    """Of an architecture, which is built without memory for its weights; 0 where that fails."""
    if is_source(architecture) and not architecture.startswith("local-dir:"):
        return 0
    with suppress(Exception), torch.device("meta"):
        return sum(parameter.numel() for parameter in timm.create_model(architecture).parameters())
    return 0
