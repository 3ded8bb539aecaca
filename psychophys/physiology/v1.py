"""Published distributions of neurons in macaque V1, and how far those of units are from them.

A new one is one :class:`Published` and one entry. Counts are of histograms in the papers, as Marques,
Schrimpf & DiCarlo 2021 (bioRxiv 2021.03.01.433495) read them off and published them with Brain-Score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from psychophys.base.registry import Registry
from psychophys.base.types import Array

FEWEST = 5
"""Units of a distribution."""


@dataclass(frozen=True)
class Published:
    """A histogram of neurons.

    Attributes
    ----------
    column
        Of :class:`psychophys.UnitTuning`, whose numbers are set beside it.
    edges, counts
        Of the bins.
    circular
        Whether the last edge is the first again.
    log
        Whether bins are of equal width in logarithms.
    scaled
        ``(value, pixels, pixels per degree) -> value``: from the column's unit to that of the histogram,
        where this is of visual angle; pixels are those of the image's shorter side.
    """

    name: str
    summary: str
    column: str
    unit: str
    citation: str
    doi: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    circular: bool = False
    log: bool = False
    scaled: Callable[[Array, float, float], Array] | None = None

    @property
    def n_neurons(self) -> int:
        """In the histogram."""
        return sum(self.counts)

    def distance(self, values: Array) -> float:
        """Largest difference of the shares below a bin's edge, 0 to 1 (Kolmogorov & Smirnov).

        Between edges nothing is known of the neurons. Of orientations, which begin nowhere, it is the largest
        difference over any run of bins (Kuiper). NaN for fewer than five values.
        """
        values = values[np.isfinite(values)]
        if len(values) < FEWEST:
            return float("nan")
        own = np.cumsum(self.histogram(values)) / len(values)
        apart = np.append(0.0, own - np.cumsum(self.counts) / self.n_neurons)
        return float(np.ptp(apart) if self.circular else np.abs(apart).max())

    def histogram(self, values: Array) -> Array:
        """How many values lie in each bin; those beyond the ends are in the first and the last."""
        low, high = self.edges[0], self.edges[-1]
        if self.circular:
            values = (values - low) % (high - low) + low
        inside = values.clip(low, np.nextafter(high, low))
        return np.asarray(np.histogram(inside, self.edges)[0], dtype=np.float64)


def _cycles_per_degree(frequency: Array, pixels: float, pixels_per_degree: float) -> Array:
    return frequency / pixels * pixels_per_degree


def _degrees(length: Array, pixels: float, pixels_per_degree: float) -> Array:
    return length * pixels / pixels_per_degree


V1 = Registry(
    "distribution of V1",
    (
        Published(
            name="orientation",
            summary="preferred orientation",
            column="preferred_orientation",
            unit="deg",
            citation="De Valois, Yund & Hepler 1982, Vision Res 22:531",
            doi="10.1016/0042-6989(82)90112-2",
            edges=(-22.5, 22.5, 67.5, 112.5, 157.5),
            counts=(110, 83, 100, 92),
            circular=True,
        ),
        Published(
            name="frequency",
            summary="preferred spatial frequency, foveal and parafoveal, simple and complex cells",
            column="preferred_frequency",
            unit="cycles/deg",
            citation="De Valois, Albrecht & Thorell 1982, Vision Res 22:545",
            doi="10.1016/0042-6989(82)90113-4",
            edges=(0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0, 11.2, 16.0, 22.4),
            # Foveal simple, foveal complex, parafoveal simple, parafoveal complex, added up.
            counts=(3, 10, 15, 31, 57, 62, 67, 63, 31, 15, 5, 4),
            log=True,
            scaled=_cycles_per_degree,
        ),
        Published(
            name="frequency-selectivity",
            summary="low over high frequency at 1/sqrt(2) of the highest response",
            column="frequency_selectivity",
            unit="%",
            citation="Schiller, Finlay & Volman 1976, J Neurophysiol 39:1334",
            doi="10.1152/jn.1976.39.6.1334",
            edges=(0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100),
            counts=(0, 3, 4, 16, 22, 16, 9, 3, 0, 0),
        ),
        Published(
            name="suppression",
            summary="surround suppression index",
            column="suppression_index",
            unit="",
            citation="Cavanaugh, Bair & Movshon 2002, J Neurophysiol 88:2530",
            doi="10.1152/jn.00692.2001",
            edges=(0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0),
            counts=(66, 44, 38, 23, 16, 3, 0, 0, 0, 0),
        ),
        Published(
            name="summation",
            summary="grating summation field of neurons that are suppressed by more than a tenth",
            column="summation_diameter",
            unit="deg",
            citation="Cavanaugh, Bair & Movshon 2002, J Neurophysiol 88:2530",
            doi="10.1152/jn.00692.2001",
            edges=(0.0625, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0),
            counts=(0, 9, 30, 55, 42, 10, 2, 0),
            log=True,
            scaled=_degrees,
        ),
    ),
    Published,
)
"""Ringach, Shapley & Hawken 2002 have histograms of circular variance and bandwidth: not read off."""
