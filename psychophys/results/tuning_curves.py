"""Tuning curves as a table: one row for each layer, unit or channel, and value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from psychophys.base.types import Array
from psychophys.results.kinds import KINDS
from psychophys.results.tables import NUMBER, Column, RunTable

LABEL, PLACE = pa.dictionary(pa.int32(), pa.string()), pa.int32()
"""Types of columns of which there may be millions of rows: words are kept once."""
COLUMNS = (
    Column("run_id", LABEL, "", "names the measurement; provenance is kept under it"),
    Column("model", LABEL, "", "as it was asked for"),
    Column("weights", LABEL, "", "pretrained, random, shuffled, checkpoint or given"),
    Column("layer", LABEL, "", "module name; @2 for a module's second call"),
    Column(
        "unit",
        PLACE,
        "",
        "flat index in the layer's output for one image; empty where rows are channels",
    ),
    Column("channel", PLACE, "", "index of the channel: the last axis of tokens, the feature of vectors"),
    Column("y", PLACE, "", "row of the unit, from above; empty where there is none"),
    Column("x", PLACE, "", "column of the unit, or the token's index; empty where there is none"),
    Column("dimension", LABEL, "", "the parameter that varies"),
    Column("value", NUMBER, "unit_of_value", "where the response was measured"),
    Column("unit_of_value", LABEL, "", ""),
    Column("response", NUMBER, "activation", "mean over the samples, and over a channel's positions"),
    Column("sd", NUMBER, "activation", "s.d. of the response over the samples (n - 1); empty with one"),
    Column(
        "derivative",
        NUMBER,
        "activation/unit_of_value",
        "of the mean response by the value; empty unless --derivative asks for it",
    ),
)
TUNED = 0.1
"""Modulation from which a unit counts as tuned."""


class TuningCurves(RunTable):
    """A table of tuning curves with the provenance of every run in it.

    Rows of one unit follow each other, in the order of the values.

    Parameters
    ----------
    table
        With the columns of ``COLUMNS``.
    runs
        Provenance by run id; ``tuning`` says what the rows are of.
    """

    columns = COLUMNS
    kind = KINDS["responses"]
    version = 1
    older: ClassVar[Mapping[int, tuple[str, ...]]] = {}


def curves_table(
    words: Mapping[str, str],
    places: Mapping[str, np.ndarray[Any, np.dtype[np.int64]] | None],
    values: Array,
    numbers: Mapping[str, Array | None],
) -> pa.Table:
    """Rows of a layer's curves.

    Parameters
    ----------
    words
        What all rows have in common, by column.
    places
        Of the U units, by column: (U,), or None.
    values
        (K,).
    numbers
        By column: (U, K), or None.
    """
    n_values = len(values)
    rows = next(len(of) for of in places.values() if of is not None) * n_values
    columns: dict[str, pa.Array] = {
        name: pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([word]))
        for name, word in words.items()
    }
    for name, of in places.items():
        columns[name] = pa.nulls(rows, PLACE) if of is None else pa.array(np.repeat(of, n_values), PLACE)
    columns["value"] = pa.array(np.tile(values, rows // n_values))
    for name, table in numbers.items():
        columns[name] = pa.nulls(rows, NUMBER) if table is None else pa.array(table.ravel(), NUMBER)
    return pa.table([columns[name] for name in TuningCurves.schema.names], schema=TuningCurves.schema)


@dataclass
class LayerTuning:
    """What the curves of one layer come to.

    Attributes
    ----------
    unit, values
        Where the responses were measured: (K,).
    modulation
        Of every unit that is not dead: range of the mean response over values, over the largest r.m.s.
        response over samples at one value.
    preferred
        How many tuned units respond most at each value: (K,).
    dead
        Units whose response is 0 at every value, in every sample.
    """

    run_id: str
    layer: str
    unit: str
    values: Array
    n_units: int = 0
    dead: int = 0
    modulation: list[Array] = field(default_factory=list)
    preferred: Array = field(default_factory=lambda: np.zeros(0))

    def add(self, response: Array, sd: Array) -> None:
        """Take the curves of some more units: (U, K) each."""
        # With the spread over samples: a mean of 0 has rounding alone that changes with the value.
        size = np.hypot(response, np.nan_to_num(sd)).max(axis=1)
        silent = size == 0
        seen = ~silent & np.isfinite(response).all(axis=1)
        alive = response[seen]
        modulation = np.ptp(alive, axis=1) / size[seen]
        best = alive[modulation >= TUNED].argmax(axis=1)
        self.n_units += len(response)
        self.dead += int(silent.sum())
        self.modulation.append(modulation)
        before = self.preferred if len(self.preferred) else np.zeros(len(self.values))
        self.preferred = before + np.bincount(best, minlength=len(self.values))

    @property
    def tuned(self) -> int:
        """Units whose modulation is at least ``TUNED``."""
        return sum(int((part >= TUNED).sum()) for part in self.modulation)

    @property
    def median_modulation(self) -> float:
        """Over the units that are not dead; NaN where there is none."""
        every = np.concatenate(self.modulation) if self.modulation else np.zeros(0)
        return float(np.median(every)) if len(every) else float("nan")


class Summary:
    """What tuning curves come to, layer by layer, gathered as the parts of a table go by."""

    def __init__(self) -> None:
        self.layers: dict[tuple[str, str], LayerTuning] = {}
        self.rows = 0

    def add(self, part: pa.Table) -> None:
        """Take the curves of some units, of one layer of one run or of several."""
        self.rows += len(part)
        for rows in _of_one_layer(part):
            run_id, layer, unit = (
                rows.column(name)[0].as_py() for name in ("run_id", "layer", "unit_of_value")
            )
            value, response, sd = (
                rows.column(name).to_numpy(zero_copy_only=False) for name in ("value", "response", "sd")
            )
            n_values = _period(rows)
            shape = -1, n_values
            found = self.layers.setdefault(
                (run_id, layer), LayerTuning(run_id, layer, unit, np.array(value[:n_values]))
            )
            found.add(response.reshape(shape), sd.reshape(shape).astype(float))

    def of(self, run_id: str) -> list[LayerTuning]:
        """Layers of a run, in the order of the table."""
        return [layer for (run, _), layer in self.layers.items() if run == run_id]


def summarize_curves(curves: TuningCurves) -> Summary:
    """What a table comes to."""
    summary = Summary()
    summary.add(curves.table)
    return summary


def _of_one_layer(table: pa.Table) -> Iterator[pa.Table]:
    """Consecutive rows of one run and layer."""
    starts = _starts(table, ("run_id", "layer"))
    for start, stop in zip(starts, [*starts[1:], len(table)], strict=True):
        yield table.slice(start, stop - start)


def _period(rows: pa.Table) -> int:
    """How many values a unit has: where the next unit begins."""
    starts = _starts(rows, ("unit", "channel"))
    return starts[1] if len(starts) > 1 else len(rows)


def _starts(table: pa.Table, names: Iterable[str]) -> list[int]:
    """Where rows begin that have another entry in one of these columns than those before."""
    if not len(table):
        return []
    changes = np.zeros(len(table), dtype=bool)
    changes[0] = True
    table = table.select(list(names)).unify_dictionaries().combine_chunks()
    for column in table.columns:
        chunk = column.chunk(0)
        codes = chunk.indices if pa.types.is_dictionary(chunk.type) else chunk.fill_null(-1)
        changes[1:] |= np.diff(codes.to_numpy(zero_copy_only=False)) != 0
    return [int(place) for place in np.flatnonzero(changes)]


def name_of_run(record: Mapping[str, Any]) -> str:
    """A run in a few words, from its provenance."""
    weights = record["weights"]
    if record.get("checkpoint"):
        weights = PurePath(str(record["checkpoint"])).name
    step = "" if record.get("step") is None else f", step {record['step']:g}"
    seeded = f", seed {record['seed']}" if weights in ("random", "shuffled") else ""
    return f"{record['model']} ({weights}{seeded}{step})"
