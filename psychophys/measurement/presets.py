"""Settings of experiments, published and ours. A new one is one :class:`Preset`, an entry in the table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from psychophys.base.errors import unknown
from psychophys.base.registry import Registry

CODING = "efficient-coding"
"""The name of the last one of the table, which `psychophys test` takes."""


@dataclass(frozen=True)
class Preset:
    """An experiment's settings, by dimension."""

    name: str
    summary: str
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def _linspace(start: float, stop: float, count: int) -> tuple[float, ...]:
    return tuple(float(v) for v in np.linspace(start, stop, count))


PRESETS = Registry(
    "preset",
    (
        Preset(
            "benjamin2022",
            "Benjamin et al. 2022: central differences, end points counted twice, unit Gaussian noise",
            {
                "orientation": {
                    "stimulus": "gabor-benjamin2022",
                    "values": _linspace(0, 180, 180),
                    "parameters": {
                        "phase": _linspace(0, 180, 10),
                        "frequency": 4.48,
                        "size": 50 / 224,
                        "contrast": 1.0,
                    },
                    "estimator": "central",
                    "step": math.degrees(0.01),
                    "noise": "gaussian",
                },
                "hue": {
                    "stimulus": "patch",
                    "values": _linspace(0, 360, 360),
                    "parameters": {
                        "saturation": _linspace(0.5, 0.9, 8),
                        "value": _linspace(0.5, 0.9, 8),
                    },
                    "estimator": "central",
                    "step": 0.1,
                    "noise": "gaussian",
                },
            },
        ),
        Preset(
            "efficient-coding",
            "what `psychophys test` measures: J over three frequencies an octave apart, or over colours",
            {
                "orientation": {"parameters": {"phase": 2, "frequency": (2.24, 4.48, 8.96)}},
                "hue": {
                    "stimulus": "patch",
                    "parameters": {"saturation": _linspace(0.5, 0.9, 3), "value": _linspace(0.5, 0.9, 3)},
                },
                "frequency": {"parameters": {"phase": 4, "orientation": (0.0, 45.0, 90.0, 135.0)}},
                "contrast": {"parameters": {"phase": 4, "orientation": (0.0, 45.0, 90.0, 135.0)}},
            },
        ),
    ),
    Preset,
)


def preset_settings(preset: str | None, dimension: str | None) -> dict[str, Any]:
    """The arguments of :func:`psychophys.plan` that a preset stands for; none without one."""
    if preset is None:
        return {}
    settings = PRESETS.find(preset).settings
    name = dimension or next(iter(settings))
    if name not in settings:
        raise unknown(f"dimension of preset {preset}", name, settings)
    return {"dimension": name, **settings[name]}
