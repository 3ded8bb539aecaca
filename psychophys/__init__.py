"""Artificial psychophysics: what a vision model can tell apart, layer by layer.

Public names are loaded when first used, so that importing the package does not load PyTorch.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psychophys.base.errors import MeasurementError, ModelError, PsychophysError, UsageError
    from psychophys.comparison.compare import compare
    from psychophys.comparison.priors import Prior, list_priors, load_prior
    from psychophys.comparison.priors.counting import image_statistics
    from psychophys.comparison.references import REFERENCES, Reference
    from psychophys.learning import EXPERIMENTS, findings, learn
    from psychophys.learning.acuities import acuity
    from psychophys.learning.modes import Modes, read_modes
    from psychophys.learning.training import Learned, read_learned
    from psychophys.learning.trends import Findings
    from psychophys.measurement.joint import fisher_matrix
    from psychophys.measurement.run import measure, run
    from psychophys.measurement.spec import Measurement, plan
    from psychophys.observers.load import load_observer
    from psychophys.observers.observer import Observer
    from psychophys.plots.learning import plot_learning
    from psychophys.plots.thresholds import plot_comparison, plot_thresholds, save_figure
    from psychophys.results.matrices import confusable
    from psychophys.results.summary import summarize
    from psychophys.results.thresholds import Results, concat, read
    from psychophys.simulation.table import Simulations, check_results, simulate
    from psychophys.stimuli import STIMULI, Parameter, Stimulus, with_images

_HOMES = {
    "simulation.table": ("Simulations", "check_results", "simulate"),
    "comparison.compare": ("compare",),
    "base.errors": ("MeasurementError", "ModelError", "PsychophysError", "UsageError"),
    "measurement.joint": ("fisher_matrix",),
    "results.matrices": ("confusable",),
    "learning": ("EXPERIMENTS", "findings", "learn"),
    "learning.acuities": ("acuity",),
    "learning.modes": ("Modes", "read_modes"),
    "learning.training": ("Learned", "read_learned"),
    "learning.trends": ("Findings",),
    "measurement.run": ("measure", "run"),
    "observers.load": ("load_observer",),
    "observers.observer": ("Observer",),
    "plots.thresholds": ("plot_comparison", "plot_thresholds", "save_figure"),
    "plots.learning": ("plot_learning",),
    "comparison.priors": ("Prior", "list_priors", "load_prior"),
    "comparison.references": ("REFERENCES", "Reference"),
    "results.thresholds": ("Results", "concat", "read"),
    "measurement.spec": ("Measurement", "plan"),
    "comparison.priors.counting": ("image_statistics",),
    "stimuli": ("STIMULI", "Parameter", "Stimulus", "with_images"),
    "results.summary": ("summarize",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "EXPERIMENTS",
    "REFERENCES",
    "STIMULI",
    "Findings",
    "Learned",
    "Measurement",
    "MeasurementError",
    "ModelError",
    "Modes",
    "Observer",
    "Parameter",
    "Prior",
    "PsychophysError",
    "Reference",
    "Results",
    "Simulations",
    "Stimulus",
    "UsageError",
    "acuity",
    "check_results",
    "compare",
    "concat",
    "confusable",
    "findings",
    "fisher_matrix",
    "image_statistics",
    "learn",
    "list_priors",
    "load_observer",
    "load_prior",
    "measure",
    "plan",
    "plot_comparison",
    "plot_learning",
    "plot_thresholds",
    "read",
    "read_learned",
    "read_modes",
    "run",
    "save_figure",
    "simulate",
    "summarize",
    "with_images",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.metadata.version("psychophys")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'psychophys' has no attribute {name!r}")
    return getattr(importlib.import_module(f"psychophys.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
