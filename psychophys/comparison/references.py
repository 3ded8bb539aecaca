"""Human sensitivity from published formulas: what the sensitivity of a layer can be set beside."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from skimage.color import deltaE_ciede2000

from psychophys.base.errors import UsageError
from psychophys.base.registry import Registry
from psychophys.base.types import Array
from psychophys.comparison.priors.literature import wei_stocker_2015
from psychophys.stimuli.color import hsv_to_rgb, rgb_to_lch

HUE_STEP_DEG = 1e-3
"""Between the two colours whose difference gives a rate: small beside the ring, large beside rounding."""


@dataclass(frozen=True)
class Reference:
    """Human sensitivity to one dimension of a stimulus.

    Attributes
    ----------
    dimension, stimuli
        What it is for.
    formula, citation, doi
        The formula in words, and where it is from.
    kind
        ``absolute``: thresholds are in ``unit``. ``shape``: how they vary alone is meant.
    unit
        Of a threshold.
    axis, axis_unit
        What the curve runs over, and the unit of the values it takes: for contrast not the dimension
        itself, but spatial frequency.
    valid
        Lowest and highest value, in ``axis_unit``: one round where there is a ``period``.
    reads
        Other parameters of the stimulus that the formula takes.
    rate
        ``(values, parameters) -> sensitivity``, 1 / threshold; of a shape up to a factor.
    caveat
        What must be known of a comparison with it: said below every one.
    """

    name: str
    summary: str
    dimension: str
    stimuli: tuple[str, ...]
    formula: str
    citation: str
    doi: str
    kind: Literal["absolute", "shape"]
    unit: str
    axis: str
    axis_unit: str
    valid: tuple[float, float]
    period: float | None
    reads: tuple[str, ...]
    rate: Callable[[Array, Mapping[str, float]], Array]
    caveat: str = ""

    def sensitivity(self, values: Array, parameters: Mapping[str, Sequence[float]]) -> Array:
        """1 / threshold, averaged over the combinations of parameters; NaN beyond the valid range.

        Parameters
        ----------
        values
            In ``axis_unit``.
        parameters
            Values of the stimulus's parameters; those in ``reads`` are needed.
        """
        values = np.asarray(values, dtype=float)
        if self.period is not None:
            values = values % self.period
        low, high = self.valid
        inside = (values >= low * (1 - 1e-9)) & (values <= high * (1 + 1e-9))
        read = {name: parameters[name] for name in self.reads if name in parameters}
        every = [
            self.rate(values[inside], dict(zip(read, chosen, strict=True)))
            for chosen in itertools.product(*read.values())
        ]
        found = np.full(values.shape, np.nan)
        found[inside] = np.mean(every, axis=0)
        return found


def _orientation_rate(orientation_deg: Array, _parameters: Mapping[str, float]) -> Array:
    return wei_stocker_2015(orientation_deg)


def contrast_sensitivity(frequency_cpd: Array, orientation_deg: Array | float = 0.0) -> Array:
    """Contrast sensitivity filter of the standard spatial observer (Watson & Ahumada 2005).

    The observer pools what passes the filter over the image. Sensitivity to a gabor is less: that to those
    which it was fitted to, 1.7 to 2.2 times.

    Parameters
    ----------
    frequency_cpd
        Spatial frequency in cycles/deg.
    orientation_deg
        Of the bars; oblique ones are seen less well from 3.481 cycles/deg on.
    """
    f = np.asarray(frequency_cpd, dtype=float)
    gain = 373.08 * (1 / np.cosh((f / 4.1726) ** 0.7786) - 0.8493 / np.cosh(f / 1.3625))
    loss = 1 - np.exp(-np.maximum(f - 3.481, 0) / 13.57149)
    oblique = 1 - loss * np.sin(2 * np.deg2rad(orientation_deg)) ** 2
    return np.asarray(gain * oblique, dtype=float)


def _contrast_rate(frequency_cpd: Array, parameters: Mapping[str, float]) -> Array:
    return contrast_sensitivity(frequency_cpd, parameters["orientation"])


def hue_rate(hue_deg: Array, parameters: Mapping[str, float], step_deg: float = HUE_STEP_DEG) -> Array:
    """CIEDE2000 colour difference per degree of hue along the ring of a colour patch.

    The difference is that to the next larger hue: at the corners of the HSV ring the derivatives of layers
    are those of larger hues, too.

    Parameters
    ----------
    parameters
        ``saturation`` and ``value`` of the HSV ring, or ``lightness`` and ``chroma`` of the CIE LCh ring.
    """
    here, there = (_lab(hue_deg + by, parameters) for by in (0, step_deg))
    return np.asarray(deltaE_ciede2000(here, there) / step_deg, dtype=float)


def cielab_rate(hue_deg: Array, parameters: Mapping[str, float], step_deg: float = HUE_STEP_DEG) -> Array:
    """Distance in CIELAB per degree of hue, in a straight line; otherwise as :func:`hue_rate`."""
    here, there = (_lab(hue_deg + by, parameters) for by in (0, step_deg))
    return np.asarray(np.linalg.norm(there - here, axis=-1) / step_deg, dtype=float)


def _lab(hue_deg: Array, parameters: Mapping[str, float]) -> Array:
    if "chroma" in parameters:
        hue, lightness, chroma = np.broadcast_arrays(hue_deg, parameters["lightness"], parameters["chroma"])
    else:
        ring = (hue_deg, parameters["saturation"], parameters["value"])
        rgb = hsv_to_rgb(*(torch.as_tensor(number, dtype=torch.float64) for number in ring))
        lightness, chroma, hue = (channel.numpy() for channel in rgb_to_lch(rgb))
    angle = np.deg2rad(hue)
    return np.stack([lightness, chroma * np.cos(angle), chroma * np.sin(angle)], axis=-1)


REFERENCES = Registry(
    "human reference",
    (
        Reference(
            name="wei-stocker-2015",
            summary="the oblique effect of an efficient code: oblique thresholds twice the cardinal ones",
            dimension="orientation",
            stimuli=("grating", "gabor", "gabor-benjamin2022", "noise", "image-band"),
            formula="threshold proportional to 1 / (2 - |sin 2 theta|)",
            citation="Wei & Stocker 2015, Nat Neurosci 18:1509",
            doi="10.1038/nn.4105",
            kind="shape",
            unit="deg",
            axis="orientation",
            axis_unit="deg",
            valid=(0, 180),
            period=180,
            reads=(),
            rate=_orientation_rate,
        ),
        Reference(
            name="watson-ahumada-2005",
            summary="shape of contrast sensitivity alone: the filter of a pooling model, 1.7 to 2.2 times as "
            "high as the sensitivity to gabors of the 16 observers (ModelFest) that it was fitted to",
            dimension="contrast",
            stimuli=("grating", "gabor"),  # Contrast of gabor-benjamin2022 is no Michelson contrast.
            formula="1 / threshold proportional to 373.08 (sech((f / 4.1726)^0.7786) "
            "- 0.8493 sech(f / 1.3625)), times the oblique effect "
            "1 - (1 - exp(-(f - 3.481) / 13.57149)) sin^2 2 theta over 3.481 cycles/deg",
            citation="Watson & Ahumada 2005, J Vision 5(9):6",
            doi="10.1167/5.9.6",
            kind="shape",
            unit="Michelson",
            axis="frequency",
            axis_unit="cycles/deg",
            valid=(1.12, 30),  # The lowest and highest frequency that the observers were shown.
            period=None,
            reads=("orientation",),
            rate=_contrast_rate,
            caveat="contrast is nominal (`psychophys stimuli gabor` says what is rendered of it), and the "
            "reference a shape: its thresholds are those of no stimulus",
        ),
        Reference(
            name="ciede2000",
            summary="hue step for a colour difference of 1, along the ring of the stimulus",
            dimension="hue",
            stimuli=("patch", "patch-lch"),
            formula="threshold = 1 / (d Delta-E00 / d hue)",
            citation="Sharma, Wu & Dalal 2005, Color Res Appl 30:21",
            doi="10.1002/col.20070",
            kind="absolute",
            unit="deg",
            axis="hue",
            axis_unit="deg",
            valid=(0, 360),
            period=360,
            reads=("saturation", "value", "lightness", "chroma"),
            rate=hue_rate,
        ),
        Reference(
            name="cielab",
            summary="how far apart neighbouring hues are in CIELAB (Delta-E 1976), in a straight line",
            dimension="hue",
            stimuli=("patch", "patch-lch"),
            formula="1 / threshold proportional to |d (L*, a*, b*) / d hue|",
            citation="Robertson 1977, Color Res Appl 2:7",
            doi="10.1002/j.1520-6378.1977.tb00104.x",
            kind="shape",
            unit="deg",
            axis="hue",
            axis_unit="deg",
            valid=(0, 360),
            period=360,
            reads=("saturation", "value", "lightness", "chroma"),
            rate=cielab_rate,
            caveat="CIELAB is far from uniform: among saturated colours, distances of the same size are seen "
            "unlike",
        ),
    ),
    Reference,
    group="psychophys.references",
    hint="See `psychophys priors`.",
)


def reference_for(dimension: str, stimulus: str, name: str | None = None) -> Reference:
    """The reference of that name, or the first for a dimension of a stimulus.

    Raises
    ------
    UsageError
        If there is none, or it is for something else.
    """
    every = REFERENCES.values() if name is None else [REFERENCES.find(name)]
    for reference in every:
        if reference.dimension == dimension and stimulus in reference.stimuli:
            return reference
    known = "; ".join(f"{r.name}: {r.dimension} ({', '.join(r.stimuli)})" for r in REFERENCES.values())
    which = "there is no human reference" if name is None else f"{name} is no human reference"
    raise UsageError(f"{which} for {dimension} of {stimulus}", f"There is: {known}.")
