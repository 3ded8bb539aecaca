"""What is asked of a photograph's pixels, checked before anything is computed; and who is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from psychophys.base.digest import digest
from psychophys.base.errors import UsageError
from psychophys.measurement.pixels.spaces import SPACES, Space
from psychophys.measurement.plan import plan
from psychophys.measurement.record import identify
from psychophys.measurement.spec import Measurement
from psychophys.measurement.ways import Way, Ways, find_ways
from psychophys.noise.information import Noise
from psychophys.noise.models import NOISE
from psychophys.observers.contract import FORWARD, adjoint
from psychophys.observers.layers import select_layers
from psychophys.observers.observer import Observer
from psychophys.stimuli.photographs import SHORTEST_SIDE, Source, read
from psychophys.stimuli.pictures import find_picture, shown_picture

USUAL_LAYERS = 5
"""Of the default ones, so many are taken, evenly spread from the first to the last."""
STEPS, TOLERANCE, PROBES = 100, 1e-3, 8
MOST_STEPS = 2000


@dataclass(frozen=True)
class Pixels:
    """What is measured, made by :func:`plan_pixels`.

    Attributes
    ----------
    measurement
        For its noise, its layers and its criterion: the stimulus is the photograph.
    name
        Of the photograph, as it was given.
    count
        Changes at each end.
    steps
        Products with the Fisher matrix at most, in each layer.
    tolerance
        A change has converged where its residual is at most this fraction of its eigenvalue.
    seed
        Of the directions that are drawn first.
    least
        Whether the least visible ones are wanted, too.
    """

    measurement: Measurement
    source: Source
    name: str
    space: Space
    count: int
    steps: int
    tolerance: float
    seed: int
    least: bool = True

    @property
    def width(self) -> int:
        """Changes that are followed at once: what is not seen at all is found as often as it is asked for."""
        return self.count if self.least else 1

    @property
    def as_dict(self) -> dict[str, Any]:
        """Plain values, for provenance and the run id."""
        measurement = self.measurement
        return {
            "photograph": hashlib.sha256(read(self.source) or b"").hexdigest(),
            "layers": list(measurement.layers),
            "space": self.space.name,
            "noise": measurement.noise.name,
            "noise_level": measurement.noise_level,
            "dprime": measurement.dprime,
            "estimator": measurement.estimator.name,
            **{name: getattr(self, name) for name in ("count", "steps", "tolerance", "seed", "least")},
        }

    def identify(self, observer: Observer, **more: Any) -> str:
        """The run id with this observer."""
        return digest([identify(self.measurement, observer), self.as_dict, more])


def plan_pixels(
    image: str | Path,
    *,
    layers: str | Sequence[str] = "default",
    count: int = 1,
    space: str = "rgb",
    noise: str | Noise | None = None,
    noise_level: float | None = None,
    dprime: float = 1.0,
    steps: int = STEPS,
    tolerance: float = TOLERANCE,
    start_seed: int = 0,
    least: bool = True,
) -> Pixels:
    """Resolve defaults and check: see :func:`psychophys.distort`."""
    measurement = plan(layers=layers, noise=noise, noise_level=noise_level, dprime=dprime)
    model = measurement.noise
    if model.unit_variance is not None or not model.method.is_independent:
        alike = [n.name for n in NOISE.own.values() if n.method.is_independent and n.unit_variance is None]
        raise UsageError(
            f"{model.name} noise of a photograph's pixels: it is not the same in every unit",
            f"Use {' or '.join(alike)} noise.",
        )
    for name, given in (("count", count), ("steps", steps), ("start_seed", start_seed)):
        if not isinstance(given, Integral):
            raise UsageError(f"{name} {str(given)[:40]!r} is no whole number", "Give one.")
    if not 1 <= steps <= MOST_STEPS:
        raise UsageError(f"{steps} steps", f"Give 1 to {MOST_STEPS:,}.")
    if not 1 <= 2 * count <= steps:
        raise UsageError(f"{count} changes at each end in {steps} steps", "Give 1 to half of --steps.")
    if not 0 < tolerance < 1:
        raise UsageError(f"tolerance {tolerance:g}", "Give a number between 0 and 1.")
    if not 0 <= start_seed < 2**63:
        raise UsageError(f"start seed {start_seed}", "Give a whole number from 0 to 2^63 - 1.")
    chosen = find_picture(image)
    shown_picture(chosen, (SHORTEST_SIDE, SHORTEST_SIDE))  # It is an image.
    return Pixels(
        measurement, chosen, str(image), SPACES.find(space), count, steps, float(tolerance), start_seed, least
    )


def find_exact(pixels: Pixels, observer: Observer) -> tuple[Ways, Way]:
    """The layers whose Jacobian has products from both sides, and how they are made.

    Raises
    ------
    MeasurementError
        Where no layer has, in the words of every measurement.
    """
    ways = find_ways(_narrowed(pixels.measurement, observer), observer)
    verdicts = ways.contract.verdicts
    reasons = {
        layer.name: "has no exact derivative, which products with its Jacobian need"
        for layer in ways.layers
        if verdicts[layer.name].derivative != FORWARD
    }
    rest = [layer for layer in ways.layers if layer.name not in reasons]
    reasons |= {name: why for name, why in adjoint(observer, rest).items() if why}
    ways = ways.without(reasons)
    way = next(way for way in ways.every if way.estimator.exact)
    return ways, Way(way.estimator, way.observer, ways.layers)


def _narrowed(measurement: Measurement, observer: Observer) -> Measurement:
    """With some of the default layers, evenly spread, the first and the last among them."""
    if measurement.layers != ("default",):
        return measurement
    layers = select_layers(observer, measurement.layers).layers
    places = np.linspace(0, len(layers) - 1, min(USUAL_LAYERS, len(layers))).round().astype(int)
    return replace(measurement, layers=tuple(layers[place].name for place in places))
