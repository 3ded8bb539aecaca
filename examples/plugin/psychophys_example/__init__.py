"""What this package offers psychophys, under the entry points of its pyproject.toml."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from psychophys import Noise, Option, Parameter, Reference, Stimulus
from psychophys.comparison.priors.literature import Formula

Array = NDArray[np.float64]


def _draw_bar(p: Mapping[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    return 0.2 + 0.6 * torch.exp(-0.5 * ((x - 0 * y) / p["width"]) ** 2)


BAR = Stimulus(
    "bar",
    "vertical bar with soft sides",
    (Parameter("width", "image", 0.1, 0.01, 0.5, (0.05, 0.3), 1e-4, "s.d. of the bar", log=True),),
    _draw_bar,
)


def _variance(response: Tensor, options: Mapping[str, float]) -> Tensor:
    return response.square() + options["floor"] ** 2


def _as_level(level: float, _response_rms: float) -> float:
    return level


MULTIPLICATIVE = Noise(
    "multiplicative",
    "J = sum over units of (dr/dtheta)^2 / (level * (r^2 + floor^2))",
    "variance over r^2 + floor^2",
    "an example",
    _as_level,
    _variance,
    (Option("floor", "activation units", 0.1, 1e-6, 1e6, "s.d. of a silent unit"),),
)


def _mostly_horizontal(orientation_deg: Array) -> Array:
    return np.asarray(2 + np.cos(np.deg2rad(2 * orientation_deg)))


HORIZONTAL = Formula(
    "horizontal",
    "2 + cos 2 theta: a world of horizons",
    "orientation",
    "deg",
    np.arange(0, 180, 2.5),
    2.5,
    180.0,
    _mostly_horizontal,
).prior()


def _rate(width: Array, _parameters: Mapping[str, float]) -> Array:
    return 1 / (0.05 * width)


WEBER = Reference(
    name="weber",
    summary="width is told apart by a constant share",
    dimension="width",
    stimuli=("bar",),
    formula="threshold = 0.05 width",
    citation="an example",
    doi="-",
    kind="shape",
    unit="image",
    axis="width",
    axis_unit="image",
    valid=(0.01, 0.5),
    period=None,
    reads=(),
    rate=_rate,
)
