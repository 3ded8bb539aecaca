"""Numerosity: dots of a number that is continuous, the last of which is faded in.

7.3 dots are seven and an eighth of three tenths of the contrast. So the derivative by the number is, up to the
next whole number, the difference that one more dot makes; at a whole number it is that of larger numbers.
Dots lie at random in a disc, no two nearer than ``spacing``: their order and places are those of a seed.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from psychophys.stimuli.base import Parameter, Stimulus
from psychophys.stimuli.gratings import (
    CONTRAST,
    LUMINANCE,
    SAMPLE,
    Values,
    X,
    Y,
    smooth_step,
    within_unit_range,
)
from psychophys.stimuli.images import numbers_of

MOST_DOTS = 64
DENSITY = 0.25
"""Of discs as wide as the spacing, over the field: low enough for places to be found at random."""
SOFT = 0.01
"""Width of the raised-cosine edge of a dot, in fractions of the image: half inside its diameter."""
REFERENCE = 16
"""Dots have the diameter ``size`` at this number where their total area is constant."""

NUMBER = Parameter(
    "number", "dots", 8.0, 1.0, MOST_DOTS, (2, 32), 1e-3, "of dots: the last is faded in", log=True, count=5
)
DOT_DIAMETER = Parameter(
    "size", "image", 0.05, 1e-3, 1.0, (0.02, 0.1), 1e-4,
    f"diameter of a dot; with constant_area, of each of {REFERENCE}", log=True,
)  # fmt: skip
FIELD = Parameter(
    "field", "image", 0.8, 0.01, 2.0, (0.4, 0.9), 1e-4, "diameter of the disc that the dots' centres lie in"
)
CONSTANT_AREA = Parameter(
    "constant_area", "0 or 1", 0, 0, 1, (0, 1), 1,
    f"1 keeps the dots' total area, that of {REFERENCE}", measurable=False,
)  # fmt: skip
WEBER = replace(
    CONTRAST, unit="Weber", meaning="nominal: a dot's pixel value over that of the ground, less 1"
)


def spacing(number: int) -> float:
    """Least distance of the first ``number`` dots from each other, over the field's diameter."""
    return math.sqrt(DENSITY / number)


@functools.lru_cache(maxsize=256)
def places(sample: int) -> Tensor:
    """Centres in a disc of diameter 1, in the order in which dots are added: (MOST_DOTS + 1, 2)."""
    # Drawn on the CPU so that a sample is the same on every device.
    generator = torch.Generator().manual_seed(sample)
    found = torch.empty(0, 2, dtype=torch.float64)
    while len(found) <= MOST_DOTS:
        tried = torch.rand(2, generator=generator, dtype=torch.float64) - 0.5
        apart = (found - tried).square().sum(dim=1)
        if float(tried.square().sum()) <= 0.25 and bool((apart >= DENSITY / (len(found) + 1)).all()):
            found = torch.cat([found, tried[None]])
    return found


def _draw_dots(p: Values, x: Tensor, y: Tensor) -> Tensor:
    known = numbers_of({name: p[name] for name in ("number", "sample")})
    centres = torch.stack([places(int(sample)) for sample in known["sample"]])
    centres = centres.to(device=x.device, dtype=x.dtype) * p["field"]
    # Rounding of a whole number must not take its derivative to that of smaller ones.
    whole = torch.floor(p["number"].detach() + 1e-4)
    area = REFERENCE / p["number"]
    diameter = p["size"] * torch.where(p["constant_area"] > 0.5, torch.sqrt(area), torch.ones_like(area))
    light = torch.zeros_like(x)
    for k in range(int(max(known["number"]) + 1e-4) + 1):
        dx, dy = (x - p["x"] - centres[:, k, 0, None, None], y - p["y"] - centres[:, k, 1, None, None])
        radius = torch.sqrt(dx * dx + dy * dy + 1e-24)
        present = torch.where(whole == k, p["number"] - whole, (whole > k).to(x.dtype))
        light = light + present * smooth_step(radius - diameter / 2 - SOFT / 2, SOFT)
    return p["luminance"] + p["luminance"] * p["contrast"] * light


def _apart(p: Mapping[str, float]) -> str | None:
    """What is wrong with luminance and contrast, or with dots that touch."""
    shrunk = math.sqrt(REFERENCE / p["number"]) if p["constant_area"] > 0.5 else 1.0
    room = p["field"] * spacing(int(p["number"] + 1e-4) + 1)
    if p["size"] * shrunk + SOFT > room * (1 + 1e-9):
        possible = max(math.floor((room - SOFT) / shrunk * 1e4) / 1e4, 0)
        return (
            f"{p['number']:g} dots of size {p['size']:g} may touch in a field of {p['field']:g}. "
            f"Give a size of at most {possible:g}, fewer dots or a wider field"
        )
    return within_unit_range(p)


DOTS = (
    Stimulus(
        "dots",
        "bright dots on grey, at random in a disc, none touching another: of numerosity",
        (NUMBER, DOT_DIAMETER, FIELD, CONSTANT_AREA, SAMPLE, WEBER, LUMINANCE, X, Y),
        _draw_dots,
        {"sample": 8},
        _apart,
    ),
)
