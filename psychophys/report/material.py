"""What a report is made of: the tables in a file, or in a directory of a sweep, of a test or of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from psychophys.base.errors import UsageError
from psychophys.comparison.table import Comparison
from psychophys.results.kinds import KINDS, Kind, look, refusal
from psychophys.results.thresholds import MEASURED, Results, concat
from psychophys.simulation.table import Simulations
from psychophys.sweeps.store import read_failures

_READERS: dict[str, Any] = {"results": Results, "simulation": Simulations, "comparison": Comparison}
"""What reads a file of each kind that a report is of."""
OTHERWISE = "Give a file written by `psychophys measure` or `psychophys simulate`, or a directory of them."


@dataclass(frozen=True)
class Material:
    """Tables, and what a directory says besides.

    Attributes
    ----------
    comparisons
        That were kept beside the results.
    failures
        Notes of a sweep on what could not be measured.
    left_out
        Sentences on files that a report is not of.
    """

    path: Path
    results: Results
    simulations: Simulations
    comparisons: tuple[Comparison, ...] = ()
    failures: Sequence[dict[str, Any]] = ()
    left_out: tuple[str, ...] = field(default_factory=tuple)

    @property
    def is_swept(self) -> bool:
        """Whether a sweep wrote it."""
        return (self.path / "_sweep").is_dir()


def gather(path: str | Path) -> Material:
    """Read everything that a report can be of.

    Raises
    ------
    UsageError
        For a file of another kind or program, and where there is nothing to report.
    """
    path = Path(path)
    if not (path.is_file() or path.is_dir()):
        raise UsageError(f"{str(path)!r} is not a file or a directory", OTHERWISE)
    files = [path]
    if path.is_dir():
        inner = path / MEASURED
        files = sorted(path.glob("*.parquet")) + (sorted(inner.glob("*.parquet")) if inner.is_dir() else [])
    found: dict[str, list[Any]] = {name: [] for name in _READERS}
    left_out = []
    for file in files:
        kind = _kind(file, path.is_dir())
        if kind.name in _READERS:
            found[kind.name].append(_READERS[kind.name].read(file))
        else:
            left_out.append(f"{file.name} is a {kind.called}: `psychophys show` shows it.")
    results, simulations = concat(found["results"]), Simulations.join(found["simulation"])
    if not len(results) and not len(simulations):
        raise _nothing(path, files)
    failures = [*read_failures(path), *read_failures(path / MEASURED)] if path.is_dir() else []
    return Material(path, results, simulations, tuple(found["comparison"]), failures, tuple(left_out))


def _kind(file: Path, in_folder: bool) -> Kind:
    kind = look(file).kind
    if kind is None:
        raise refusal(file, KINDS["results"], in_folder=in_folder)
    return kind


def _nothing(path: Path, files: list[Path]) -> UsageError:
    if not path.is_dir():
        what = look(path).words
        return UsageError(f"{str(path)!r} is {what}, and has no measurements to report", OTHERWISE)
    failed = len([*read_failures(path), *read_failures(path / MEASURED)])
    if failed:
        return UsageError(
            f"directory {str(path)!r} holds no results: {failed} measurements failed",
            f"`psychophys show {path}` says why.",
        )
    held = f", but {len(files)} files of other kinds" if files else ""
    return UsageError(f"directory {str(path)!r} holds no results{held}", OTHERWISE)


def only(results: Results, runs: Sequence[str]) -> Results:
    """The rows and the provenance of some runs."""
    kept = results.table.filter(pc.is_in(results.table.column("run_id"), pa.array(runs, pa.string())))
    return Results(kept, {run: results.runs[run] for run in runs})


def parts(results: Results) -> list[Results]:
    """Results by what was measured: a stimulus and a dimension each."""
    frame = results.to_pandas().drop_duplicates("run_id")
    groups = frame.groupby(["stimulus", "dimension"], sort=False)["run_id"]
    return [only(results, list(runs)) for _, runs in groups]
