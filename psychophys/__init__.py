"""Artificial psychophysics: what a vision model can tell apart, layer by layer.

Public names are loaded when first used, so that importing the package does not load PyTorch.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psychophys.base.errors import MeasurementError, ModelError, PsychophysError, UsageError
    from psychophys.comparison.battery.run import battery
    from psychophys.comparison.battery.table import BatteryResults
    from psychophys.comparison.compare import compare
    from psychophys.comparison.distort import distort
    from psychophys.comparison.human_curve import human_curve
    from psychophys.comparison.priors import PRIORS, Prior, list_priors, load_prior
    from psychophys.comparison.priors.counting import image_statistics
    from psychophys.comparison.ratio_table import Ratios
    from psychophys.comparison.ratios import threshold_ratios
    from psychophys.comparison.references import REFERENCES, Recipe, Reference
    from psychophys.comparison.table import read_comparison
    from psychophys.learning.acuities import acuity
    from psychophys.learning.experiments import EXPERIMENTS, findings, learn
    from psychophys.learning.modes import Modes, read_modes
    from psychophys.learning.training import Learned, read_learned
    from psychophys.learning.trends import Findings
    from psychophys.measurement.fisher_matrix import fisher_matrix
    from psychophys.measurement.measure import measure
    from psychophys.measurement.plan import plan
    from psychophys.measurement.repeat import Specification, specifications
    from psychophys.measurement.run import run
    from psychophys.measurement.spec import Measurement
    from psychophys.measurement.tuning import tuning_curves
    from psychophys.measurement.written import read_specifications
    from psychophys.noise import NOISE, Domain, Noise, Option
    from psychophys.observers.load import load_observer
    from psychophys.observers.observer import Observer
    from psychophys.physiology.summary import layers_of_units
    from psychophys.physiology.tune import tune
    from psychophys.physiology.v1 import V1, Published
    from psychophys.plots.distortions import plot_distortions
    from psychophys.plots.learning import plot_learning
    from psychophys.plots.people import plot_people
    from psychophys.plots.ratios import plot_ratios
    from psychophys.plots.style import save_figure
    from psychophys.plots.thresholds import plot_comparison, plot_thresholds
    from psychophys.plots.tune import plot_units
    from psychophys.results.distortions import Distortions
    from psychophys.results.fisher_matrices import FisherResults, confusable
    from psychophys.results.summary import summarize
    from psychophys.results.thresholds import Results, concat, read
    from psychophys.results.tuning_curves import TuningCurves
    from psychophys.results.unit_tuning import UnitTuning
    from psychophys.simulation.check import check_results
    from psychophys.simulation.run import simulate
    from psychophys.simulation.table import Simulations
    from psychophys.stimuli import DISPLAYS, STIMULI, Display, Parameter, Stimulus, on_display, with_images
    from psychophys.stimuli.contrast import rendered_contrast
    from psychophys.sweeps.coding import CodingTest, coding_test

_HOMES = {
    "base.errors": (
        "MeasurementError",
        "ModelError",
        "PsychophysError",
        "UsageError",
    ),
    "stimuli": (
        "DISPLAYS",
        "STIMULI",
        "Display",
        "Parameter",
        "Stimulus",
        "on_display",
        "with_images",
    ),
    "stimuli.contrast": ("rendered_contrast",),
    "observers.observer": ("Observer",),
    "observers.load": ("load_observer",),
    "noise": (
        "NOISE",
        "Domain",
        "Noise",
        "Option",
    ),
    "measurement.spec": ("Measurement",),
    "measurement.plan": ("plan",),
    "measurement.repeat": ("Specification", "specifications"),
    "measurement.written": ("read_specifications",),
    "measurement.run": ("run",),
    "measurement.measure": ("measure",),
    "measurement.fisher_matrix": ("fisher_matrix",),
    "measurement.tuning": ("tuning_curves",),
    "results.thresholds": (
        "Results",
        "concat",
        "read",
    ),
    "results.fisher_matrices": (
        "FisherResults",
        "confusable",
    ),
    "results.tuning_curves": ("TuningCurves",),
    "results.unit_tuning": ("UnitTuning",),
    "results.distortions": ("Distortions",),
    "results.summary": ("summarize",),
    "simulation.run": ("simulate",),
    "simulation.check": ("check_results",),
    "simulation.table": ("Simulations",),
    "comparison.compare": ("compare",),
    "comparison.distort": ("distort",),
    "comparison.ratios": ("threshold_ratios",),
    "comparison.ratio_table": ("Ratios",),
    "comparison.table": ("read_comparison",),
    "comparison.priors": (
        "PRIORS",
        "Prior",
        "list_priors",
        "load_prior",
    ),
    "comparison.priors.counting": ("image_statistics",),
    "comparison.references": (
        "REFERENCES",
        "Recipe",
        "Reference",
    ),
    "comparison.human_curve": ("human_curve",),
    "comparison.battery.run": ("battery",),
    "comparison.battery.table": ("BatteryResults",),
    "physiology.tune": ("tune",),
    "physiology.summary": ("layers_of_units",),
    "physiology.v1": (
        "V1",
        "Published",
    ),
    "learning.experiments": (
        "EXPERIMENTS",
        "findings",
        "learn",
    ),
    "learning.trends": ("Findings",),
    "learning.training": (
        "Learned",
        "read_learned",
    ),
    "learning.modes": (
        "Modes",
        "read_modes",
    ),
    "learning.acuities": ("acuity",),
    "sweeps.coding": ("CodingTest", "coding_test"),
    "plots.thresholds": (
        "plot_comparison",
        "plot_thresholds",
    ),
    "plots.people": ("plot_people",),
    "plots.ratios": ("plot_ratios",),
    "plots.tune": ("plot_units",),
    "plots.distortions": ("plot_distortions",),
    "plots.style": ("save_figure",),
    "plots.learning": ("plot_learning",),
}
"""Where public names are defined, in the order in which data flows."""
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "DISPLAYS",
    "EXPERIMENTS",
    "NOISE",
    "PRIORS",
    "REFERENCES",
    "STIMULI",
    "V1",
    "BatteryResults",
    "CodingTest",
    "Display",
    "Distortions",
    "Domain",
    "Findings",
    "FisherResults",
    "Learned",
    "Measurement",
    "MeasurementError",
    "ModelError",
    "Modes",
    "Noise",
    "Observer",
    "Option",
    "Parameter",
    "Prior",
    "PsychophysError",
    "Published",
    "Ratios",
    "Recipe",
    "Reference",
    "Results",
    "Simulations",
    "Specification",
    "Stimulus",
    "TuningCurves",
    "UnitTuning",
    "UsageError",
    "acuity",
    "battery",
    "check_results",
    "coding_test",
    "compare",
    "concat",
    "confusable",
    "distort",
    "findings",
    "fisher_matrix",
    "human_curve",
    "image_statistics",
    "layers_of_units",
    "learn",
    "list_priors",
    "load_observer",
    "load_prior",
    "measure",
    "on_display",
    "plan",
    "plot_comparison",
    "plot_distortions",
    "plot_learning",
    "plot_people",
    "plot_ratios",
    "plot_thresholds",
    "plot_units",
    "read",
    "read_comparison",
    "read_learned",
    "read_modes",
    "read_specifications",
    "rendered_contrast",
    "run",
    "save_figure",
    "simulate",
    "specifications",
    "summarize",
    "threshold_ratios",
    "tune",
    "tuning_curves",
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
