"""What several commands read, and what they say of it."""

from __future__ import annotations

from pathlib import Path

from psychophys.base.errors import UsageError
from psychophys.comparison.human import PIXELS_PER_DEGREE
from psychophys.results.thresholds import Results, read


def read_rows(path: Path) -> Results:
    """Results with at least one row."""
    results = read(path)
    if not len(results):
        raise UsageError(f"{str(path)!r} holds no rows", "Give one written by `psychophys measure`.")
    return results


def settle_pixels_per_degree(human: bool, given: float | None) -> float:
    """Pixels per degree of visual angle, which only human sensitivity needs."""
    if given is not None and not human:
        raise UsageError("--pixels-per-degree is of human sensitivity", "Give --human, too, or leave it out.")
    return PIXELS_PER_DEGREE if given is None else given
