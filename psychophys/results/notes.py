"""What a table's provenance says of how it was measured: layers left out, and what was done otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

DOUBTFUL = 0.02
"""Error of a sensitivity by rounding that is worth a line."""


def notes(runs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What was adapted to checkpoints, which modules asked for could not be measured and why, a line each."""
    every = [sentence for record in runs.values() for sentence in record.get("adapted", ())]
    said = [f"adapted: {sentence}" for sentence in dict.fromkeys(every)]
    return [*said, *(line for record in runs.values() for line in _of_run(record))]


def _of_run(record: Mapping[str, Any]) -> Iterable[str]:
    for why, names in _by_value(record["skipped_layers"]).items():
        yield f"not measured ({why}): {_some(names)}"
    others = _by_value(record.get("estimators", {}))
    others.pop(record["measurement"]["estimator"], None)
    if (seed := record.get("noise_seed")) is not None:
        yield f"{record['model']}: its random numbers are the same for every image, seed {seed}"
    contract = record.get("contract", {})
    yield from (f"{record['model']}: {note}" for note in contract.get("notes", []))
    for name, error in contract.get("precision", {}).items():
        if error is not None and error > DOUBTFUL:
            off = f"sensitivity of {name} is off by {error:.1%} in {record['dtype']}"
            yield f"{off}: use --dtype float64"
    for used, names in others.items():
        yield f"by {used} differences, for want of a forward-mode derivative: {_some(names)}"


def _by_value(named: Mapping[str, str]) -> dict[str, list[str]]:
    """Names by what is said of them."""
    found: dict[str, list[str]] = {}
    for name, value in named.items():
        found.setdefault(value, []).append(name)
    return found


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
