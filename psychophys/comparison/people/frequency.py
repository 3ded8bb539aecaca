"""Discrimination of spatial frequency."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from psychophys.base.types import Array
from psychophys.comparison.people.reference import Recipe, Reference

FREQUENCIES_CPD = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)


def _weber(name: str, low: float, high: float, citation: str, doi: str, caveat: str) -> Reference:
    """A constant share of the frequency: the middle of the published range, on a logarithmic scale."""
    share = float(np.sqrt(low * high))

    def rate(frequency_cpd: Array, _parameters: Mapping[str, float]) -> Array:
        return np.asarray(1 / (share * frequency_cpd))

    def spread(frequency_cpd: Array) -> Array:
        return np.full_like(frequency_cpd, np.sqrt(high / low))

    return Reference(
        name=name,
        summary=f"Weber's law: people tell apart frequencies that differ by {low:.0%} to {high:.0%}",
        dimension="frequency",
        stimuli=("grating", "gabor"),
        formula=f"threshold = {share:.3g} f, the geometric middle of {low:g} f to {high:g} f",
        citation=citation,
        doi=doi,
        kind="absolute",
        unit="cycles/deg",
        axis="frequency",
        axis_unit="cycles/deg",
        valid=(FREQUENCIES_CPD[0], FREQUENCIES_CPD[-1]),
        period=None,
        reads=(),
        rate=rate,
        caveat=caveat,
        spread=spread,
        spread_is="the published range",
        recipe=Recipe("grating", "frequency", FREQUENCIES_CPD, {"orientation": 90, "size": 2}),
    )


FREQUENCY = (
    _weber(
        "campbell-1970",
        0.02,
        0.04,
        "Campbell, Nachmias & Jukes 1970, J Opt Soc Am 60:555, and others, by Greenlee, Gerling & "
        "Waltenspiel 1990, Vision Res 30:1331",
        "10.1364/JOSA.60.000555",
        "2 to 4 % is of gratings well above threshold; the range of frequencies is that of Greenlee et al.",
    ),
    _weber(
        "burbeck-regan-1983",
        0.03,
        0.07,
        "Burbeck & Regan 1983, Independence of orientation and size in spatial discriminations, J Opt Soc "
        "Am 73",
        "",
        "the abstract gives 3 to 7 % and no frequencies: the range is that of Greenlee et al. 1990",
    ),
)
