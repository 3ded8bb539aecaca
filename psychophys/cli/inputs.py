"""What several commands read, and what they say of it."""

from __future__ import annotations

from pathlib import Path

from psychophys.base.errors import UsageError
from psychophys.comparison.viewing import PIXELS_PER_DEGREE, viewed_at
from psychophys.results.thresholds import Results, read


def read_rows(path: Path) -> Results:
    """Results with at least one row."""
    results = read(path)
    if not len(results):
        raise UsageError(f"{str(path)!r} holds no rows", "Give one written by `psychophys measure`.")
    return results


def check_human(human: bool, reference: str | None, pixels_per_degree: float | None) -> None:
    """A reference and pixels per degree are of human sensitivity alone."""
    if reference is not None and not human:
        raise UsageError("--reference is of human sensitivity", "Give --human, too, or leave it out.")
    if pixels_per_degree is not None and not human:
        raise UsageError("--pixels-per-degree is of human sensitivity", "Give --human, too, or leave it out.")


def settle_human(results: Results, human: bool, reference: str | None, given: float | None) -> float | None:
    """Pixels per degree of visual angle; None where runs have several."""
    check_human(human, reference, given)
    if not human:
        return PIXELS_PER_DEGREE
    every = {viewed_at(record, given) for record in results.runs.values()}
    return every.pop() if len(every) == 1 else None
