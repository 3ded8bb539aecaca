"""The table of densities of a prior, and its files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from psychophys.base.errors import UsageError, unknown
from psychophys.base.types import Array
from psychophys.results.kinds import KINDS
from psychophys.results.tables import COUNT, NUMBER, TEXT, Column, Table

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = pa.list_(pa.float32())

COLUMNS = (
    Column("statistic", TEXT, "", "orientation, hue, hue-lch, frequency, luminance or contrast"),
    Column("scale", NUMBER, "pixels", "s.d. of the gradient's Gaussian; 0 where there is none"),
    Column("value", NUMBER, "unit", "centre of the bin"),
    Column("width", NUMBER, "unit", "of the bin"),
    Column("unit", TEXT, "", "of value and width"),
    Column("period", NUMBER, "unit", "of the axis; empty if it has ends"),
    Column("density", NUMBER, "1/unit", "probability density"),
    Column("density_low", NUMBER, "1/unit", "lower end of the 95 % interval, over the replicates"),
    Column("density_high", NUMBER, "1/unit", "upper end; empty, as the lower, where no image has any"),
    Column("n_images", COUNT, "images", "that were counted"),
    Column("n_pixels", COUNT, "pixels", "that were counted"),
    Column("replicates", NUMBERS, "1/unit", "the density in 200 replicates over images; in Parquet alone"),
)
_STATISTIC_OF = {
    ("patch-lch", "hue"): "hue-lch",
    # What photographs are counted for is contrast by itself, and power and luminance of pixel values.
    ("masked", "contrast"): "increment",
    ("isoluminant", "frequency"): "chromatic-frequency",
    ("isoluminant", "luminance"): "linear-luminance",
}


@dataclass(frozen=True)
class Density:
    """One statistic's density on the axis of its values: at the centres of the bins.

    Attributes
    ----------
    replicates
        Shape (replicates, bins): whatever is computed from each of them has their spread for its
        uncertainty. None where there are none, as in the literature.
    """

    centres: Array
    density: Array
    period: float | None
    unit: str
    replicates: Array | None = None
    _known: dict[bytes, Array] = field(default_factory=dict, init=False, repr=False, compare=False)

    def at(self, values: Array) -> Array:
        """Density at any values, linear between the bins' centres; NaN beyond the bins."""
        return self._between(values, self.density)

    def replicates_at(self, values: Array) -> Array | None:
        """Every replicate at any values, as :meth:`at`: (replicates, n); None without replicates."""
        if self.replicates is None:
            return None
        # All layers of a network are compared at the same values.
        asked = np.asarray(values, dtype=float).tobytes()
        if asked not in self._known:
            self._known[asked] = np.stack([self._between(values, one) for one in self.replicates])
        return self._known[asked]

    def turned(self, angle: float) -> Density:
        """The density of what is turned by an angle, in ``unit``, with its replicates.

        What is as common at an angle as this is at 0: a control, since whoever follows what is common in
        images follows this one no longer.

        Raises
        ------
        UsageError
            On an axis that does not go round.
        """
        if self.period is None or not np.isfinite(angle):
            what = f"by {angle:g} {self.unit}" if self.period is not None else "on an axis that has ends"
            raise UsageError(f"a density cannot be turned {what}", "Turn orientation or hue by a number.")
        centres = (self.centres + angle) % self.period
        order = np.argsort(centres)
        moved = None if self.replicates is None else self.replicates[:, order]
        return Density(centres[order], self.density[order], self.period, self.unit, moved)

    def scaled(self, factor: float, unit: str) -> Density:
        """The density over values that are so many times as large, in another unit."""
        many = None if self.replicates is None else self.replicates / factor
        period = None if self.period is None else self.period * factor
        return Density(self.centres * factor, self.density / factor, period, unit, many)

    def _between(self, values: Array, density: Array) -> Array:
        if self.period is not None:
            return np.asarray(np.interp(values, self.centres, density, period=self.period), dtype=float)
        found = np.asarray(np.interp(values, self.centres, density), dtype=float)
        half = (self.centres[1] - self.centres[0]) / 2
        outside = (values < self.centres[0] - half - 1e-9) | (values > self.centres[-1] + half + 1e-9)
        return np.where(outside, np.nan, found)


class Prior(Table):
    """A table of densities with its provenance.

    Parameters
    ----------
    table
        With the columns of ``COLUMNS``.
    meta
        Where the numbers are from.
    name
        For people.
    """

    columns = COLUMNS
    kind = KINDS["prior"]
    version = 2
    older: ClassVar[Mapping[int, tuple[str, ...]]] = {1: ("replicates",)}

    def __init__(self, table: pa.Table, meta: Mapping[str, Any], name: str = "") -> None:
        super().__init__(table, meta)
        self.name = name

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]], meta: Mapping[str, Any], name: str = "") -> Prior:
        """Build from one mapping a row."""
        return cls(cls.rows(rows), meta, name)

    @classmethod
    def read(cls, path: str | Path, name: str = "") -> Prior:
        """Read a Parquet file: see :meth:`psychophys.results.tables.Table.load`."""
        table, meta = cls.load(Path(path))
        return cls(table, meta, name or str(path))

    @property
    def summary(self) -> str:
        """What was counted, in a few words."""
        return str(self.meta.get("summary", "of unknown images"))

    @property
    def statistics(self) -> list[str]:
        """What there are densities of."""
        return list(dict.fromkeys(self.table.column("statistic").to_pylist()))

    def density(self, statistic: str, scale: float | None = None) -> Density:
        """The density of one statistic.

        Parameters
        ----------
        scale
            In pixels. Default: the mean of the densities at all scales, and of each replicate: it is of
            the same images at every scale.

        Raises
        ------
        UsageError
            Without that statistic or scale.
        """
        if statistic not in self.statistics:
            raise unknown(f"statistic of prior {self.name}", statistic, self.statistics)
        rows = self.table.filter(pc.equal(self.table.column("statistic"), statistic)).to_pandas()
        scales = sorted(rows["scale"].unique())
        if scale is not None and scale not in scales:
            raise UsageError(
                f"prior {self.name} has no scale {scale:g}",
                f"Give one of {', '.join(f'{s:g}' for s in scales)} pixels.",
            )
        chosen = rows if scale is None else rows[rows["scale"] == scale]
        mean = chosen.groupby("value")["density"].mean()
        period = rows["period"].iloc[0]
        return Density(
            mean.index.to_numpy(dtype=float),
            mean.to_numpy(dtype=float),
            float(period) if np.isfinite(period) else None,
            str(rows["unit"].iloc[0]),
            _mean_replicates(chosen),
        )


def _mean_replicates(rows: pd.DataFrame) -> Array | None:
    if rows["replicates"].isna().any():
        return None
    scales = [part.sort_values("value")["replicates"] for _, part in rows.groupby("scale")]
    return np.asarray(np.mean([np.array(part.tolist(), dtype=float).T for part in scales], axis=0))


def statistic_for(stimulus: str, dimension: str) -> str:
    """Which statistic says how common the values of a measured dimension are."""
    return _STATISTIC_OF.get((stimulus, dimension), dimension)
