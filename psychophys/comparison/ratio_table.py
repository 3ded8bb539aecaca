"""The table of threshold ratios: its columns, its file, and what it comes to in sentences."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from psychophys.results.kinds import KINDS, refusal
from psychophys.results.tables import COUNT, MOST_NAMED, NUMBER, TEXT, Column, Table

COLUMNS = (
    Column("pair", COUNT, "", "counts the pairs of runs from 1"),
    Column("run_id_a", TEXT, "", ""),
    Column("run_id_b", TEXT, "", ""),
    Column("a", TEXT, "", "the run that others are measured against, in words"),
    Column("b", TEXT, "", "the other one"),
    Column("dimension", TEXT, "", "the parameter that varies"),
    Column("unit", TEXT, "", "of thresholds"),
    Column("layer_a", TEXT, "", ""),
    Column("layer_b", TEXT, "", "the layer that it is matched with"),
    Column("depth_a", NUMBER, "0-1", "layer_index scaled to the model"),
    Column("depth_b", NUMBER, "0-1", ""),
    Column("matched_by", TEXT, "", "name or depth"),
    Column("n_values", COUNT, "", "values at which both have a threshold: the means are over these"),
    Column("threshold_a", NUMBER, "unit", "geometric mean over the values, at d' 1"),
    Column("threshold_b", NUMBER, "unit", ""),
    Column("ratio", NUMBER, "1", "threshold_b over threshold_a: how many times the difference b needs"),
    Column(
        "ratio_low", NUMBER, "1", "lower end of the interval over nuisance samples; empty if there is none"
    ),
    Column("ratio_high", NUMBER, "1", "upper end"),
    Column("confidence", NUMBER, "0-1", "of the interval"),
    Column(
        "paired_over",
        TEXT,
        "",
        "nuisance parameters whose levels both were shown; empty: the samples are taken for independent",
    ),
    Column("response_rms_a", NUMBER, "activation", "r.m.s. response of the layer over all images shown"),
    Column("response_rms_b", NUMBER, "activation", ""),
)


class Ratios(Table):
    """Threshold ratios of pairs of runs, layer by layer: of :func:`psychophys.threshold_ratios`.

    Parameters
    ----------
    table
        With the columns of ``COLUMNS``.
    meta
        ``settings``, what was asked for; ``pairs``, one mapping for each pair: ``a`` and ``b`` in words, the
        ``ratio`` over all layers with ``ratio_low`` and ``ratio_high``, and ``notes``, what to know of it.
    """

    columns = COLUMNS
    kind = KINDS["ratios"]
    version = 1

    @property
    def pairs(self) -> list[dict[str, Any]]:
        """What there is of every pair as a whole."""
        pairs: list[dict[str, Any]] = self.meta["pairs"]
        return pairs

    @property
    def summary(self) -> str:
        """What is in it, in a few words."""
        named = [f"{pair['b']} against {pair['a']}" for pair in self.pairs]
        more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
        return ", ".join(named[:MOST_NAMED]) + more

    def made_again(self, runs: Collection[str], settings: Mapping[str, Any]) -> bool:
        """Whether ratios of these runs, with these settings, have all that is in this table."""
        held = {run for name in ("run_id_a", "run_id_b") for run in self.table.column(name).to_pylist()}
        return bool(self.meta["settings"] == settings) and held <= set(runs)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a Parquet file; :class:`UsageError` if it is not there, or is of another kind."""
        table, meta = cls.load(Path(path))
        if not isinstance(meta.get("pairs"), list):
            raise refusal(Path(path), cls.kind, "no pairs")
        return cls(table, meta)

    def conclusions(self) -> list[str]:
        """One sentence for each pair, and what to know of it."""
        frame = self.to_pandas()
        said = []
        for place, pair in enumerate(self.pairs, start=1):
            rows = frame[frame["pair"] == place]
            said += [_sentence(pair, rows), *pair["notes"]]
        return list(dict.fromkeys(said))


def _sentence(pair: Mapping[str, Any], rows: pd.DataFrame) -> str:
    known = rows[rows["ratio"].notna()]
    first = rows.iloc[0]
    if known.empty:
        return f"{pair['b']} and {pair['a']} have no layer in which both have a threshold at one value."
    low, high = pair["ratio_low"], pair["ratio_high"]
    ends = "" if low is None else f" ({times(low)} to {times(high)})"
    said = (
        f"{pair['b']} needs {times(pair['ratio'])} times{ends} the difference in {first['dimension']} that "
    )
    said += f"{pair['a']} needs, "
    if len(known) == 1:
        one = known.iloc[0]
        both = (
            one["layer_a"]
            if one["layer_a"] == one["layer_b"]
            else f"{one['layer_b']} against {one['layer_a']}"
        )
        return f"{said}in {both}."
    said += f"over {len(known)} layers matched by {first['matched_by']}"
    bounded = known[known["ratio_low"].notna()]
    if bounded.empty:
        more, less = _more_and_less(known["ratio"], known["ratio"])
        return f"{said}: more in {more} of them and less in {less}."
    more, less = _more_and_less(bounded["ratio_low"], bounded["ratio_high"])
    return f"{said}: more in {more} of them and less in {less}, by intervals that leave out 1."


def _more_and_less(low: pd.Series, high: pd.Series) -> tuple[int, int]:
    return sum(side_of_one(one, times) > 0 for one in low), sum(side_of_one(one, times) < 0 for one in high)


def side_of_one(ratio: float, shown: Callable[[float], str]) -> int:
    """1 if a ratio is over 1, -1 if it is under, as it is shown: a difference of rounding is none.

    0 for what is shown as 1, and for NaN.
    """
    if np.isnan(ratio):
        return 0
    return int(np.sign(float(shown(ratio)) - 1))


def times(ratio: float) -> str:
    """A ratio with two decimals, or two digits where it is small."""
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"


def finite_or_none(value: float) -> float | None:
    """A number for JSON, which knows no NaN."""
    return float(value) if np.isfinite(value) else None
