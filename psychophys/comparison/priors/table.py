"""The table of densities, its files, and the priors that come along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from psychophys.base.errors import UsageError, unknown
from psychophys.results.tables import Column, NotOursError, Table, read_table

Array = NDArray[np.float64]
METADATA_KEY = b"psychophys_prior"
SCHEMA_VERSION = 1
_TEXT, _NUMBER, _COUNT = pa.string(), pa.float64(), pa.int64()

COLUMNS = (
    Column("statistic", _TEXT, "", "orientation, hue, hue-lch, frequency, luminance or contrast"),
    Column("scale", _NUMBER, "pixels", "s.d. of the gradient's Gaussian; 0 where there is none"),
    Column("value", _NUMBER, "unit", "centre of the bin"),
    Column("width", _NUMBER, "unit", "of the bin"),
    Column("unit", _TEXT, "", "of value and width"),
    Column("period", _NUMBER, "unit", "of the axis; empty if it has ends"),
    Column("density", _NUMBER, "1/unit", "probability density"),
    Column("density_low", _NUMBER, "1/unit", "lower end of the 95 % interval, by bootstrap over images"),
    Column("density_high", _NUMBER, "1/unit", "upper end"),
    Column("n_images", _COUNT, "images", "that were counted"),
    Column("n_pixels", _COUNT, "pixels", "that were counted"),
)
SCHEMA = pa.schema([(column.name, column.type) for column in COLUMNS])
LITERATURE = "wei-stocker-2015"
_FOLDER = Path(__file__).parent
_STATISTIC_OF = {("patch-lch", "hue"): "hue-lch"}


@dataclass(frozen=True)
class Density:
    """One statistic's density on the axis of its values: at the centres of the bins."""

    centres: Array
    density: Array
    period: float | None
    unit: str

    def at(self, values: Array) -> Array:
        """Density at any values, linear between the bins' centres; NaN beyond the bins."""
        if self.period is not None:
            return np.asarray(np.interp(values, self.centres, self.density, period=self.period), dtype=float)
        found = np.asarray(np.interp(values, self.centres, self.density), dtype=float)
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

    schema = SCHEMA
    key = METADATA_KEY

    def __init__(self, table: pa.Table, meta: Mapping[str, Any], name: str = "") -> None:
        super().__init__(table)
        self.meta = dict(meta)
        self.name = name

    @classmethod
    def from_rows(cls, rows: Sequence[Mapping[str, Any]], meta: Mapping[str, Any], name: str = "") -> Prior:
        """Build from one mapping a row."""
        return cls(pa.Table.from_pylist(list(rows), schema=SCHEMA), meta, name)

    def _meta(self) -> dict[str, Any]:
        return {**self.meta, "schema_version": SCHEMA_VERSION}

    @property
    def statistics(self) -> list[str]:
        """What there are densities of."""
        return list(dict.fromkeys(self.table.column("statistic").to_pylist()))

    def density(self, statistic: str, scale: float | None = None) -> Density:
        """The density of one statistic.

        Parameters
        ----------
        scale
            In pixels. Default: the mean of the densities at all scales.

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
        )


def statistic_for(stimulus: str, dimension: str) -> str:
    """Which statistic says how common the values of a measured dimension are."""
    return _STATISTIC_OF.get((stimulus, dimension), dimension)


def wei_stocker_2015(orientation_deg: Array) -> Array:
    """Orientation statistics of the literature, up to a factor (Wei & Stocker 2015, their figure 4)."""
    return np.asarray(2 - np.abs(np.sin(np.deg2rad(2 * orientation_deg))), dtype=float)


def literature_prior() -> Prior:
    """P proportional to 2 - abs(sin 2 theta): Wei & Stocker 2015, Nat Neurosci 18:1509, their figure 4."""
    values = np.arange(0, 180, 2.5)
    density = wei_stocker_2015(values)
    density /= density.sum() * 2.5
    rows = [
        {
            "statistic": "orientation",
            "scale": 0.0,
            "value": float(value),
            "width": 2.5,
            "unit": "deg",
            "period": 180.0,
            "density": float(d),
            "n_images": 0,
            "n_pixels": 0,
        }
        for value, d in zip(values, density, strict=True)
    ]
    meta = {"summary": "2 - |sin 2 theta|, an approximation of the literature's (Wei & Stocker 2015)"}
    return Prior.from_rows(rows, meta, LITERATURE)


def list_priors() -> list[Prior]:
    """The priors that come along."""
    files = sorted(_FOLDER.glob("*.parquet"))
    return [*(_read(file, file.stem) for file in files), literature_prior()]


def load_prior(name: str | Path) -> Prior:
    """A prior that comes along, by its name, or one from a file.

    Raises
    ------
    UsageError
        If there is none, or the file is not one of ours.
    """
    path = Path(name)
    if path.suffix == ".parquet" or path.exists():
        if not path.is_file():
            raise UsageError(
                f"prior {str(path)!r} is not a file", "Give one that `psychophys statistics` wrote."
            )
        return _read(path, str(path))
    known = {prior.name: prior for prior in list_priors()}
    if str(name) not in known:
        raise unknown("prior", str(name), known, "See `psychophys priors`.")
    return known[str(name)]


def _read(path: Path, name: str) -> Prior:
    try:
        table, meta = read_table(path, METADATA_KEY)
        if meta["schema_version"] == SCHEMA_VERSION:
            return Prior(table, meta, name)
        kind = f"version {meta['schema_version']}"
    except (NotOursError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        kind = str(error) if isinstance(error, NotOursError) else type(error).__name__
    raise UsageError(
        f"{str(path)!r} is not a prior of ours, or is damaged ({kind})",
        "Give a Parquet file written by `psychophys statistics`.",
    )
