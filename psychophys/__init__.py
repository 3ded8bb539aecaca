"""Artificial psychophysics: what a vision model can tell apart, layer by layer.

Public names are loaded when first used, so that importing the package does not load PyTorch.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psychophys.errors import MeasurementError, ModelError, PsychophysError, UsageError
    from psychophys.measurement import measure, run
    from psychophys.observers import Observer, load_observer
    from psychophys.results import Results, concat, read
    from psychophys.spec import Measurement, plan
    from psychophys.stimuli import STIMULI, Parameter, Stimulus
    from psychophys.summary import summarize

_HOMES = {
    "errors": ("MeasurementError", "ModelError", "PsychophysError", "UsageError"),
    "measurement": ("measure", "run"),
    "observers": ("Observer", "load_observer"),
    "results": ("Results", "concat", "read"),
    "spec": ("Measurement", "plan"),
    "stimuli": ("STIMULI", "Parameter", "Stimulus"),
    "summary": ("summarize",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "STIMULI",
    "Measurement",
    "MeasurementError",
    "ModelError",
    "Observer",
    "Parameter",
    "PsychophysError",
    "Results",
    "Stimulus",
    "UsageError",
    "concat",
    "load_observer",
    "measure",
    "plan",
    "read",
    "run",
    "summarize",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.metadata.version("psychophys")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'psychophys' has no attribute {name!r}")
    return getattr(importlib.import_module(f"psychophys.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
