"""Changes of a photograph as a table: one row for each layer, end of the spectrum and rank."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from psychophys.base.types import Array
from psychophys.results.kinds import KINDS
from psychophys.results.shared_columns import LAYER_COLUMNS, NOISE_COLUMNS
from psychophys.results.summary import run_name
from psychophys.results.tables import COUNT, NUMBER, TEXT, Column, RunTable
from psychophys.results.words import number

ENDS = {
    "most": "most visible",
    "least": "least visible",
    "more": "seen more",
    "less": "seen less",
}
"""Ends of a spectrum, in words: of one matrix, and of two."""

COLUMNS = (
    *(column for column in LAYER_COLUMNS if column.name != "stimulus"),
    Column("against", TEXT, "", "the other observer, of changes that tell two apart; empty otherwise"),
    Column("layer_against", TEXT, "", "its layer"),
    Column("image", TEXT, "", "the photograph, as it was named"),
    Column("space", TEXT, "", "rgb: changes of every pixel value; luminance: grey ones alone"),
    Column("n_pixels", COUNT, "numbers", "that can be changed: dimensions of the space"),
    Column("null_dimension", COUNT, "dimensions", "n_pixels - n_features: so many, at least, are not seen"),
    Column(
        "end", TEXT, "", "most or least visible; of two observers more or less, by this than by the other"
    ),
    Column("rank", COUNT, "", "from 1, the end itself"),
    Column(
        "eigenvalue",
        NUMBER,
        "1/pixel value^2",
        "J along the change; of two observers the ratio of both J, each with its floor",
    ),
    Column(
        "threshold",
        NUMBER,
        "pixel value",
        "r.m.s. over all pixel values (0 to 1) of the change at criterion d'; infinite where nothing is seen",
    ),
    Column("threshold_against", NUMBER, "pixel value", "of the other observer"),
    Column("threshold_human", NUMBER, "pixel value", "of people, by their contrast sensitivity; --human"),
    Column(
        "residual",
        NUMBER,
        "1",
        "|J v - eigenvalue v| over the largest eigenvalue; of two observers, with their floors, |J v - "
        "eigenvalue J' v| over |J v| of the first",
    ),
    Column("trace", NUMBER, "1/pixel value^2", "of J: the sum of all eigenvalues"),
    Column("trace_error", NUMBER, "1/pixel value^2", "its standard error; 0 where it is exact"),
    Column(
        "share", NUMBER, "0-1", "of the trace, in this change and those of lower rank; of the most visible"
    ),
    Column(
        "effective_dimension", NUMBER, "dimensions", "trace^2 over trace of J^2: of as many equal eigenvalues"
    ),
    *NOISE_COLUMNS,
    Column(
        "status",
        TEXT,
        "",
        "ok; not_converged: the eigenvalue is a bound, the largest is no smaller and the smallest no larger; "
        "insensitive: J is 0 within rounding",
    ),
    Column("height", COUNT, "pixels", "of the photograph as it was shown"),
    Column("width", COUNT, "pixels", ""),
    Column("photograph", pa.list_(pa.uint8()), "1/255", "as it was shown: (3, height, width), flat"),
    Column(
        "change",
        pa.list_(pa.float32()),
        "r.m.s. 1",
        "(3, height, width), flat: times threshold it is at threshold; up to its sign",
    ),
)


class Distortions(RunTable):
    """A table of changes of a photograph, with the pictures and the provenance of every run in it.

    Parameters
    ----------
    table
        With the columns of ``COLUMNS``.
    runs
        Provenance by run id; ``pixels`` says what was asked for.
    """

    columns = COLUMNS
    kind = KINDS["distortions"]
    version = 1


@dataclass(frozen=True)
class Shown:
    """One row as pictures.

    Attributes
    ----------
    row
        Its numbers.
    photograph, change
        (H, W, 3); values 0 to 1, and changes of r.m.s. 1.
    """

    row: pd.Series
    photograph: Array
    change: Array

    def changed(self, rms: float | None = None) -> Array:
        """The photograph with the change added, at a r.m.s. or at threshold, cut off at 0 and 1."""
        size = float(self.row["threshold"]) if rms is None else rms
        return np.clip(self.photograph + (size if np.isfinite(size) else 0.0) * self.change, 0, 1)


def pictures(found: Distortions) -> Iterator[Shown]:
    """Every row with its pictures, in the order of the table; without those that have none."""
    for row in found.to_pandas().to_dict("records"):
        if row["change"] is None:
            continue
        shape = 3, int(row["height"]), int(row["width"])
        photograph = np.asarray(row["photograph"], dtype=float).reshape(shape) / 255
        change = np.asarray(row["change"], dtype=float).reshape(shape)
        yield Shown(pd.Series(row), photograph.transpose(1, 2, 0), change.transpose(1, 2, 0))


def flat(picture: Array) -> NDArray[np.float32]:
    """A change as the table keeps it: (3, H, W) at r.m.s. 1."""
    scaled = picture / np.sqrt(np.mean(np.square(picture)))
    return np.asarray(scaled, dtype=np.float32).ravel()


def conclusions(found: Distortions) -> list[str]:
    """What was found, a sentence or two a run."""
    said = []
    for _, run in found.to_pandas().drop(columns=["photograph", "change"]).groupby("run_id", sort=False):
        said += _of_pair(run) if run["against"].notna().any() else _of_run(run)
    return said


def _of_run(run: pd.DataFrame) -> list[str]:
    who = f"{run_name(run.iloc[0])}, {run['image'].iloc[0]}"
    run = run[run["layer_index"].notna()]
    seen = run[(run["end"] == "most") & (run["rank"] == 1) & np.isfinite(run["threshold"])]
    if seen.empty:
        return [f"{who}: no layer depends on the photograph."]
    finest = seen.loc[seen["threshold"].idxmin()]
    at = f"a r.m.s. of {number(finest['threshold'])} of the range of pixel values"
    said = [
        f"{who}: {finest['layer']} sees its most visible change at {at}."
        if len(seen) == 1
        else f"{who}: of all changes the most visible is seen in {finest['layer']}, at {at}."
    ]
    null = run[(run["null_dimension"] > 0) & (run["end"] == "most") & (run["rank"] == 1)]
    if len(null):
        named = ", ".join(f"{row['layer']} {int(row['null_dimension']):,}" for row in null.to_dict("records"))
        said.append(
            f"Layers with fewer units than pixels cannot see all changes. Not seen at all are, of "
            f"{int(null['n_pixels'].iloc[0]):,} dimensions, at least: {named}."
        )
    return said


def _of_pair(run: pd.DataFrame) -> list[str]:
    said = []
    for end, word in (("more", "more"), ("less", "less")):
        rows = run[(run["end"] == end) & (run["rank"] == 1)]
        ratio = rows["threshold_against"] / rows["threshold"]
        if not ratio.notna().any():
            continue
        place = int(np.nanargmax(ratio) if end == "more" else np.nanargmin(ratio))
        row, times = rows.iloc[place], float(ratio.iloc[place])
        said.append(
            f"{run_name(row)} sees {word} than {row['against']}, most so in {row['layer']}: the other's "
            f"threshold for that change is {number(times)} times its own."
        )
    return said


def cautions(found: Distortions) -> list[str]:
    """What a reader should know of the numbers."""
    frame = found.table.drop_columns(["photograph", "change"]).to_pandas()
    said = []
    for end, rows in frame[frame["status"] == "not_converged"].groupby("end", sort=False):
        layers = ", ".join(dict.fromkeys(rows["layer"]))
        bound = "at least" if end in ("most", "more") else "at most"
        said.append(
            f"not converged, {ENDS[str(end)]}: the true eigenvalue is {bound} the one given, in {layers}; "
            "more --steps come nearer."
        )
    return said
