"""Positions compared: two abutting gratings of which one is offset (vernier).

Two halves of a disc hold the same grating; the seam between them runs along the grating's normal. Each half
is moved by half the offset, in opposite directions, so that where the whole pattern is says nothing of it.
The halves fade into each other over ``SEAM``, and their windows add up to the disc where there is no gap.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from psychophys.stimuli.base import Parameter, Stimulus
from psychophys.stimuli.gratings import (
    COMMON,
    DIAMETER,
    FREQUENCY,
    ORIENTATION,
    PHASE,
    Values,
    carrier,
    disc,
    smooth_step,
    within_unit_range,
)

SEAM = 0.01
"""Width of the raised cosine by which a half fades into the other or the gap, in fractions of the image."""

OFFSET = Parameter(
    "offset", "image", 0.0, -1.0, 1.0, (-0.05, 0.05), 1e-4,
    "of one half over the other, across the bars: at orientation 90 the upper one to the right", count=11,
)  # fmt: skip
GAP = Parameter("gap", "image", 0.0, 0.0, 1.0, (0.0, 0.2), 1e-4, "between the halves, along the bars")


def _draw_vernier(p: Values, x: Tensor, y: Tensor) -> Tensor:
    dx, dy = x - p["x"], y - p["y"]
    theta = torch.deg2rad(p["orientation"])
    along, across = (torch.cos(theta), torch.sin(theta)), (torch.sin(theta), -torch.cos(theta))
    place = dx * along[0] + dy * along[1]
    edge = (p["gap"] - SEAM) / 2
    pattern = torch.zeros_like(dx)
    for side in (1, -1):
        half = smooth_step(edge - side * place, SEAM)
        shift = side * p["offset"] / 2
        moved = carrier(p, dx - shift * across[0], dy - shift * across[1], p["orientation"])
        pattern = pattern + half * moved
    return p["luminance"] + (p["luminance"] * p["contrast"] * disc(dx, dy, p["size"])) * pattern


POSITIONS = (
    Stimulus(
        "vernier",
        "two abutting gratings, halves of a soft-edged disc, offset across their bars",
        (OFFSET, replace(ORIENTATION, default=90.0), FREQUENCY, PHASE, DIAMETER, GAP, *COMMON),
        _draw_vernier,
        {"phase": 8},
        within_unit_range,
        light=True,
    ),
)
