"""The file of a comparison: its rows, and what they were compared with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, ClassVar

import pandas as pd
import pyarrow as pa

from psychophys.base.errors import UsageError
from psychophys.results.kinds import KINDS, Kind
from psychophys.results.notebook import as_html
from psychophys.results.tables import MOST_NAMED, dump_table, opened, write_table

_ABOUT = (
    "run_id",
    "model",
    "weights",
    "seed",
    "stimulus",
    "dimension",
    "layer",
    "layer_index",
    "layer_depth",
    "tested",
    "networks",
)
_NUMBERS = ("n_values", "r", "slope", "slope_low", "q", "q_low", "q_high", "p_turned", "r_given_cardinal")
FILE_OF_TEST = "comparison.parquet"
"""In the directory of `psychophys test`."""
NEEDED = (*_ABOUT, *_NUMBERS, "r_ceiling")
"""Columns of every comparison; ``prior`` or ``reference`` is another."""


@dataclass(frozen=True)
class Comparison:
    """A comparison as a table that can be written.

    Attributes
    ----------
    frame
        Of :func:`psychophys.compare`.
    settings
        What was asked for, apart from the results.
    """

    frame: pd.DataFrame
    settings: Mapping[str, Any] = field(default_factory=dict)
    kind: ClassVar[Kind] = KINDS["comparison"]

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def summary(self) -> str:
        """What is compared with what, in a few words."""
        beside = "reference" if "reference" in self.frame else "prior"
        named = (", ".join(map(str, self.frame[name].unique()[:MOST_NAMED])) for name in ("model", beside))
        return " with ".join(named)

    def _repr_html_(self) -> str:
        """For notebooks."""
        return as_html(self.frame, self.summary)

    def made_again(self, runs: Collection[str], settings: Mapping[str, Any]) -> bool:
        """Whether a comparison of these runs, with these settings, has all that is in this one."""
        return self.settings == settings and set(self.frame["run_id"]) <= set(runs)

    @property
    def _table(self) -> pa.Table:
        return pa.Table.from_pandas(self.frame, preserve_index=False)

    def write(self, path: str | Path, file_format: str | None = None) -> None:
        """Write to a file, whole or not at all."""
        write_table(self._table, self.kind.key, dict(self.settings), path, file_format)

    def dump(self, stream: IO[bytes], file_format: str) -> None:
        """Write to an open binary stream."""
        dump_table(self._table, self.kind.key, dict(self.settings), stream, file_format)

    @classmethod
    def read(cls, path: str | Path) -> Comparison:
        """Read a Parquet file; :class:`UsageError` if it is not there, or is of another kind."""
        path = Path(path)
        with opened(path, cls.kind) as (table, settings):
            frame = table.to_pandas()
        lacking = [name for name in NEEDED if name not in frame]
        if lacking:
            named = ", ".join(lacking[:MOST_NAMED])
            raise UsageError(
                f"{str(path)!r} is a comparison of another version, without {named}",
                "Compare again, or use the psychophys that wrote it.",
            )
        return cls(frame, settings)


def read_comparison(path: str | Path) -> pd.DataFrame:
    """Read what ``psychophys compare -o FILE.parquet`` wrote.

    Returns
    -------
    DataFrame
        As :func:`psychophys.compare` gives it.

    Raises
    ------
    UsageError
        If the file is not there, or is of another kind.
    """
    return Comparison.read(path).frame
