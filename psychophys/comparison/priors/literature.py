"""Priors of the literature: formulas. A new one is one :class:`Formula` and one entry in the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from psychophys.base.types import Array
from psychophys.comparison.priors.table import Prior


@dataclass(frozen=True)
class Formula:
    """How common each value is, up to a factor.

    Attributes
    ----------
    statistic
        What it is of: a name that :func:`psychophys.comparison.priors.table.statistic_for` gives.
    values, width
        Centres of the bins that it is tabulated at, and their width, in ``unit``.
    period
        In ``unit``; None where the axis has ends.
    """

    name: str
    summary: str
    statistic: str
    unit: str
    values: Array
    width: float
    period: float | None
    density: Callable[[Array], Array]

    def prior(self) -> Prior:
        """As a table of densities."""
        density = self.density(self.values)
        density = density / (density.sum() * self.width)
        rows = [
            {
                "statistic": self.statistic,
                "scale": 0.0,
                "value": float(value),
                "width": self.width,
                "unit": self.unit,
                "period": self.period,
                "density": float(d),
                "n_images": 0,
                "n_pixels": 0,
            }
            for value, d in zip(self.values, density, strict=True)
        ]
        return Prior.from_rows(rows, {"summary": self.summary}, self.name)


def wei_stocker_2015(orientation_deg: Array) -> Array:
    """Orientation statistics of the literature, up to a factor (Wei & Stocker 2015, their figure 4)."""
    return np.asarray(2 - np.abs(np.sin(np.deg2rad(2 * orientation_deg))), dtype=float)


LITERATURE = (
    Formula(
        "wei-stocker-2015",
        "2 - |sin 2 theta|, an approximation of the literature's (Wei & Stocker 2015)",
        "orientation",
        "deg",
        np.arange(0, 180, 2.5),
        2.5,
        180.0,
        wei_stocker_2015,
    ),
)
