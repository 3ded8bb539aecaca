"""What is asked for: which gratings are shown, and of which units the responses are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
import torch

from psychophys.base.digest import digest
from psychophys.base.errors import UsageError
from psychophys.measurement.plan import Values, plan
from psychophys.measurement.record import identify
from psychophys.measurement.spec import Measurement
from psychophys.observers.observer import Observer
from psychophys.observers.units import GRAINS, Grain
from psychophys.physiology.baseline import BASELINES, Baseline
from psychophys.stimuli import STIMULI, Stimulus
from psychophys.stimuli.display import check_pixels_per_degree
from psychophys.stimuli.gratings import carrier, smooth_step

ORIENTATIONS, PHASES, POPULATION = 18, 8, 36
LOWEST, HIGHEST, N_FREQUENCIES = 2.0, 64.0, 12
"""Cycles per image."""
HIGHEST_PER_PIXEL = 2 / 7
"""Of small images: as 64 cycles are of 224 pixels."""
DIAMETERS = tuple(float(d) for d in np.geomspace(0.02, 0.9, 10))
CONTRASTS = tuple(float(c) for c in np.geomspace(0.03, 1, 8))
PLACES = 24
"""Pairs of orientation and frequency at which size and contrast vary."""
MOST_PLACES = 1000
MOST_UNITS = 4096
"""Of a layer; of more, so many that are spread evenly."""
EDGE_SHARE = 0.1
"""Of a disc's diameter, along which its edge fades."""
FEWEST_ORIENTATIONS, FEWEST_FREQUENCIES, FEWEST_LEVELS = 4, 4, 4
MOST_LEVELS = 1000
"""Of diameters and contrasts."""
UNUSED = (
    "stimulus",
    "dimension",
    "estimator",
    "step",
    "noise",
    "noise_level",
    "noise_options",
    "dprime",
    "confidence",
    "precision",
    "preset",
    "pooling",
    "images",
    "display",
)
"""Options of :func:`psychophys.plan` that say nothing here."""


def _draw_disc(p: Mapping[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    dx, dy = x - p["x"], y - p["y"]
    radius = torch.sqrt(dx * dx + dy * dy + 1e-24)
    # An edge of one width for all would take contrast from the small ones.
    edge = EDGE_SHARE * p["size"]
    window = smooth_step((radius - p["size"] / 2) / edge, 1.0)
    return p["luminance"] + p["luminance"] * p["contrast"] * window * carrier(p, dx, dy, p["orientation"])


DISC: Stimulus = replace(
    STIMULI["grating"],
    name="grating-disc",
    summary="grating in a disc whose edge is a tenth of its diameter",
    draw=_draw_disc,
)


@dataclass(frozen=True)
class Tune:
    """What is measured, made by :func:`plan_tune`.

    Attributes
    ----------
    gratings
        Orientations in samples of frequency and phase.
    population
        Gabors of which J is taken, for its parts; None where it is not.
    places
        Pairs of orientation and frequency at which size and contrast vary.
    most
        Units of a layer.
    usual_frequencies
        Whether none were asked for.
    pixels_per_degree
        For the comparison with what was published; None where that is not known.
    """

    gratings: Measurement
    population: Measurement | None
    per: Grain
    baseline: Baseline
    most: int
    places: int
    diameters: tuple[float, ...]
    contrasts: tuple[float, ...]
    usual_frequencies: bool = True
    pixels_per_degree: float | None = None

    def fitting(self, observer: Observer) -> Tune:
        """The same with frequencies that images of its size can show, where none were asked for."""
        highest = HIGHEST_PER_PIXEL * min(observer.input_size)
        if not self.usual_frequencies or highest >= HIGHEST:
            return self
        held = {**self.gratings.parameters, "frequency": _frequencies(highest)}
        return replace(self, gratings=replace(self.gratings, parameters=held))

    @property
    def images_at_place(self) -> int:
        """That size and contrast take, at one orientation and frequency."""
        return len(self.gratings.parameters["phase"]) * (len(self.diameters) + len(self.contrasts))

    def parameter(self, name: str) -> Any:
        """Values of a parameter of the gratings, as an array."""
        return np.array(self.gratings.parameters[name])

    @property
    def as_dict(self) -> dict[str, Any]:
        """Plain values, for provenance and the run id."""
        return {
            "per": self.per.name,
            "baseline": self.baseline.name,
            "most": self.most,
            "places": self.places,
            "diameters": list(self.diameters),
            "contrasts": list(self.contrasts),
            "population": None if self.population is None else self.population.as_dict(),
        }

    def at(self, orientation: float, frequency: float, dimension: str) -> Measurement:
        """The gratings of one orientation and frequency, at every diameter or every contrast."""
        measured = {"size": self.diameters, "contrast": self.contrasts}[dimension]
        held = {**self.gratings.parameters, "orientation": (orientation,), "frequency": (frequency,)}
        del held[dimension]
        return plan(DISC, dimension, values=measured, parameters=held, layers=self.gratings.layers)

    @property
    def blank(self) -> Measurement:
        """The grey that gratings are shown on."""
        one = {name: values[0] for name, values in self.gratings.parameters.items()}
        return plan("grating", "orientation", values=[0.0], parameters={**one, "contrast": 0.0})


def plan_tune(
    *,
    values: Values = None,
    parameters: Mapping[str, Values] | None = None,
    layers: Any = "default",
    per: str = "centre",
    baseline: str = "rectified",
    most: int = MOST_UNITS,
    places: int = PLACES,
    diameters: Values = None,
    contrasts: Values = None,
    population: int = POPULATION,
    pixels_per_degree: float | None = None,
) -> Tune:
    """Resolve defaults and check before anything is computed; see :func:`psychophys.tune`."""
    given: dict[str, Values] = {"phase": PHASES, "frequency": _frequencies(HIGHEST), **(parameters or {})}
    asked = ORIENTATIONS if values is None else values
    gratings = plan("grating", "orientation", values=asked, parameters=given, layers=layers)
    _check_gratings(gratings)
    _check_counts(places=places, most=most, population=population)
    if population and (population < 8 or population % 4):
        raise UsageError(
            f"{population} orientations of the population", "Give 0, or a multiple of 4 from 8 on."
        )
    if not 0 <= places <= MOST_PLACES:
        raise UsageError(f"{places} places of size and contrast", f"Give 0 to {MOST_PLACES:,}.")
    if most < 1:
        raise UsageError(f"{most} units of a layer", "Give 1 or more.")
    if pixels_per_degree is not None:
        check_pixels_per_degree(pixels_per_degree)
    gabors = None
    if population:
        gabors = plan("gabor", "orientation", values=population, layers=layers, noise="gaussian")
    return Tune(
        gratings,
        gabors,
        GRAINS.find(per),
        BASELINES.find(baseline),
        most,
        places,
        _spread("size", "diameters", diameters, DIAMETERS),
        _spread("contrast", "contrasts", contrasts, CONTRASTS),
        "frequency" not in (parameters or {}),
        pixels_per_degree,
    )


def _check_counts(**given: Any) -> None:
    for name, value in given.items():
        if not isinstance(value, Integral):
            raise UsageError(f"{name} {str(value)[:40]!r} is no whole number", "Give one.")


def _frequencies(highest: float) -> tuple[float, ...]:
    lowest = min(LOWEST, highest / 8)
    return tuple(float(f) for f in np.geomspace(lowest, highest, N_FREQUENCIES))


def _check_gratings(gratings: Measurement) -> None:
    orientations, frequencies = np.array(gratings.values), np.array(gratings.parameters["frequency"])
    even = np.allclose(np.diff(orientations), 180 / len(orientations))
    if len(orientations) < FEWEST_ORIENTATIONS or not even:
        raise UsageError(
            f"orientations {_some(gratings.values)}",
            "Give a number of them from 4 on, which 180 deg is cut into.",
        )
    if len(frequencies) < FEWEST_FREQUENCIES or (np.diff(frequencies) <= 0).any():
        raise UsageError(f"frequencies {_some(frequencies)}", "List four or more, rising: 2,4,8,16.")
    phases = np.array(gratings.parameters["phase"])
    if not np.allclose(np.diff(phases), 360 / len(phases)):
        raise UsageError(f"phases {_some(phases)}", "Give a number of them, which 360 deg is cut into.")
    if not all(gratings.parameters["contrast"]):
        raise UsageError("gratings of contrast 0", "Give more: blanks are shown besides.")
    for name, held in gratings.parameters.items():
        if name not in ("frequency", "phase") and len(held) > 1:
            raise UsageError(f"{len(held)} values of {name}", "Give one.")


def _some(values: Any) -> str:
    shown = ", ".join(f"{value:g}" for value in list(values)[:4])
    return f"{shown} and {len(values) - 4} more" if len(values) > 4 else shown


def _spread(name: str, plural: str, given: Values, usual: tuple[float, ...]) -> tuple[float, ...]:
    parameter = DISC.parameter(name)
    if given is None:
        return usual
    if isinstance(given, int):
        if not FEWEST_LEVELS <= given <= MOST_LEVELS:
            raise UsageError(f"{given} {plural}", f"Give {FEWEST_LEVELS} to {MOST_LEVELS:,}.")
        found = tuple(float(v) for v in np.geomspace(usual[0], usual[-1], given))
    else:
        found = tuple(float(v) for v in np.atleast_1d(given))
    if len(found) < FEWEST_LEVELS or (np.diff(found) <= 0).any() or found[0] <= 0:
        raise UsageError(f"{plural} {_some(found)}", "Give four or more, rising, over 0.")
    for value in found:
        parameter.check(value)
    return found


def identify_tune(tune: Tune, observer: Observer) -> str:
    """The run id of units of this observer."""
    tune = tune.fitting(observer)
    return digest([identify(tune.gratings, observer), tune.as_dict])
