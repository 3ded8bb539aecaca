"""castleCSF: contrast sensitivity by colour, area, frequency in space and time, luminance, eccentricity.

Ashraf, Mantiuk, Chapiro & Wuerger 2024, J Vision 24(4):5, fitted to 18 data sets; the parameters are those of
version 0.2.4, which its authors publish. Three mechanisms see achromatic, red-green and yellow-violet
modulation; the achromatic one is the sum of a sustained and a transient channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from psychophys.base.types import Array

GREY = (0.6991, 0.3009, 0.0198)
"""L, M and S of D65 at 1 cd/m2."""
TO_MECHANISMS = ((1.0, 1.0, 0.0), (1.0, -2.3112, 0.0), (-1.0, -1.0, 50.9875))
"""From L, M and S to achromatic, red-green and yellow-violet."""


class Drop(NamedTuple):
    """Loss of sensitivity in log10 units per deg of eccentricity, and per deg and cycle/deg."""

    plain: float
    with_frequency: float


@dataclass(frozen=True)
class Channel:
    """One channel: its sensitivity to a pattern that does not change.

    Attributes
    ----------
    peak, frequency
        Height and place of its peak, by luminance: see :func:`by_luminance`.
    width
        Of the parabola of log sensitivity over log frequency: log2 of its square.
    loss
        How far it falls at most below the peak's frequency, as a share.
    area_deg2, bend_cpd
        Up to which area, and from which frequency on by how many cycles, it sums.
    """

    peak: tuple[float, ...]
    frequency: tuple[float, ...]
    width: float
    loss: float
    area_deg2: float
    bend_cpd: float

    def sensitivity(self, frequency_cpd: Array, area_deg2: Array, luminance_cd_m2: Array) -> Array:
        """1 / contrast at threshold, without change in time, at the fovea."""
        best = by_luminance(self.frequency, luminance_cd_m2)
        parabola = 10 ** (-((np.log10(frequency_cpd) - np.log10(best)) ** 2) / 2**self.width)
        parabola = np.where(frequency_cpd < best, np.maximum(parabola, 1 - self.loss), parabola)
        critical = self.area_deg2 / (1 + (frequency_cpd / self.bend_cpd) ** 2)
        summed = np.sqrt(critical / (1 + critical / area_deg2)) * frequency_cpd
        return np.asarray(by_luminance(self.peak, luminance_cd_m2) * parabola * summed)


SUSTAINED = Channel(
    (56.4947, 7.54726, 0.144532, 5.58341e-07, 9.66862e09),
    (1.78119, 91.5718, 0.256682), 0.000213047, 0.100207, 157.103, 0.702338,
)  # fmt: skip
TRANSIENT = Channel((0.193434, 2748.09), (0.000316696,), 2.6761, 0.000241177, 3.81611, 3.01389)
RED_GREEN = Channel((681.434, 38.0038, 0.480386), (0.0178364,), 2.42104, 0, 2816.44, 0.0711058)
YELLOW_VIOLET = Channel((166.683, 62.8974, 0.41193), (0.00425753,), 2.68197, 0, 2.82789e07, 0.000635093)

DROPS = (
    (Drop(0.0239853, 0.0189038), Drop(0.0400662, 0.00813619)),
    (Drop(0.0591402, 2.04986e-69), Drop(2.89615e-05, 0.18108)),
    (Drop(0.00356865, 0.00806631), Drop(5.85804e-141, 0.0110662)),
)
"""Of each mechanism: towards the temple and up or down, and towards the nose."""


def by_luminance(numbers: tuple[float, ...], luminance_cd_m2: Array) -> Array:
    """A quantity by luminance: constant, a power, or one or two hyperbolas, by how many parameters it has."""
    light = np.asarray(luminance_cd_m2, dtype=float)
    if len(numbers) == 1:
        return np.full_like(light, numbers[0])
    if len(numbers) == 2:
        return np.asarray(numbers[1] * light ** numbers[0])
    found = numbers[0] * (1 + numbers[1] / light) ** -numbers[2]
    if len(numbers) == 5:
        found = found * (1 - (1 + numbers[3] / light) ** -numbers[4])
    return np.asarray(found)


def mechanisms(
    frequency_cpd: Array,
    area_deg2: Array,
    luminance_cd_m2: Array,
    *,
    temporal_hz: float = 0.0,
    eccentricity_deg: float = 0.0,
    nasal: bool = True,
) -> Array:
    """Sensitivity of the achromatic, red-green and yellow-violet mechanism, stacked: shape (3, ...).

    Parameters
    ----------
    area_deg2
        Of a gabor: of a circle whose radius is the s.d. of its Gaussian.
    nasal
        Whether the eccentric pattern lies towards the nose.
    """
    frequency, area = np.asarray(frequency_cpd, dtype=float), np.asarray(area_deg2, dtype=float)
    light = np.asarray(luminance_cd_m2, dtype=float)
    fast = temporal_hz**0.1898
    # At very low luminance the peak's frequency is under 0 Hz: its power is complex, and its size is taken.
    best = np.asarray(np.log10(light) * 2.41482 + 4.7036, dtype=complex) ** 0.1898
    transient = np.exp(-(np.abs(fast - best) ** 2) / 0.0844836)
    achromatic = np.exp(-(temporal_hz**1.3314) / 10.5795) * SUSTAINED.sensitivity(frequency, area, light)
    achromatic = achromatic + transient * TRANSIENT.sensitivity(frequency, area, light)
    red_green = np.exp(-(temporal_hz**1.15591) / 16.4325) * RED_GREEN.sensitivity(frequency, area, light)
    violet = np.exp(-(temporal_hz**0.969123) / 7.15012) * YELLOW_VIOLET.sensitivity(frequency, area, light)
    every = np.broadcast_arrays(achromatic, red_green, violet)
    lost = [drops[nasal].plain + frequency * drops[nasal].with_frequency for drops in DROPS]
    return np.stack([s * 10 ** (-eccentricity_deg * a) for s, a in zip(every, lost, strict=True)])


def cone_sensitivity(change_lms: Array, sensitivities: Array) -> Array:
    """Sensitivity to a modulation of the cones round grey: 1 / cone contrast at threshold.

    Parameters
    ----------
    change_lms
        Its direction, L, M and S.
    sensitivities
        Of the three mechanisms, which are added as squares: of :func:`mechanisms`.
    """
    change, grey = np.asarray(change_lms, dtype=float), np.array(GREY)
    matrix = np.array(TO_MECHANISMS)
    contrasts = np.abs(matrix @ change) / (matrix @ grey)[0]
    seen = np.sqrt(np.sum((contrasts[:, None] * sensitivities.reshape(3, -1)) ** 2, axis=0))
    contrast = np.sqrt(np.mean((change / grey) ** 2))
    return np.asarray(seen / contrast).reshape(sensitivities.shape[1:])
