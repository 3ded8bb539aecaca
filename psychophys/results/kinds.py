"""Kinds of files: how each is recognised, what it is called, what writes and what reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from psychophys.base.errors import UsageError

UNREADABLE = (pa.ArrowException, KeyError, TypeError, ValueError, OSError, AttributeError)
"""What a file raises that is damaged or of something else."""
MAGIC = b"PAR1"
"""The first and the last bytes of a Parquet file."""
HEAD_BYTES = 200


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes
    ----------
    name
        In :data:`KINDS`.
    called
        In a sentence, after "a".
    key
        Of the Parquet metadata that holds the provenance: by that it is recognised.
    command
        Writes one.
    reader
        Name in :mod:`psychophys` of the function that reads one.
    first
        The first column, by which rows alone are recognised, in CSV or JSON lines.
    mark
        What the provenance of a run has in this kind alone, where kinds share a key.
    """

    name: str
    called: str
    key: bytes
    command: str
    reader: str
    first: str = "run_id"
    mark: str = ""

    @property
    def readers(self) -> str:
        """Which command and which function read one."""
        return f"`psychophys show` shows it, psychophys.{self.reader} reads it"


KINDS = {
    kind.name: kind
    for kind in (
        # Before results, whose key it shares.
        Kind(
            "learning",
            "results file of a learning experiment",
            b"psychophys",
            "psychophys learn",
            "read_learned",
            mark="training",
        ),
        Kind("results", "results file", b"psychophys", "psychophys measure", "read"),
        Kind(
            "fisher",
            "file of Fisher matrices",
            b"psychophys_fisher",
            "psychophys fisher",
            "FisherResults.read",
        ),
        Kind(
            "responses",
            "file of tuning curves",
            b"psychophys_responses",
            "psychophys responses",
            "TuningCurves.read",
        ),
        Kind(
            "units",
            "file of units",
            b"psychophys_units",
            "psychophys tune",
            "UnitTuning.read",
        ),
        Kind(
            "distortions",
            "file of changes of a photograph",
            b"psychophys_distortions",
            "psychophys distort",
            "Distortions.read",
        ),
        Kind(
            "simulation",
            "file of simulations",
            b"psychophys_simulation",
            "psychophys simulate",
            "Simulations.read",
        ),
        Kind(
            "comparison",
            "comparison",
            b"psychophys_comparison",
            "psychophys compare",
            "read_comparison",
        ),
        Kind(
            "battery",
            "battery of human references",
            b"psychophys_battery",
            "psychophys battery",
            "BatteryResults.read",
        ),
        Kind(
            "ratios",
            "file of threshold ratios",
            b"psychophys_ratios",
            "psychophys versus",
            "Ratios.read",
            first="pair",
        ),
        Kind(
            "prior",
            "prior",
            b"psychophys_prior",
            "psychophys statistics",
            "load_prior",
            first="statistic",
        ),
        Kind(
            "modes",
            "file of modes",
            b"psychophys_modes",
            "psychophys learn linear",
            "read_modes",
            first="training_id",
        ),
    )
}
"""All kinds by name."""


@dataclass(frozen=True)
class Found:
    """What a file turns out to be.

    Attributes
    ----------
    kind
        None if it is none of ours, or cannot be told.
    words
        After "is".
    damaged
        Whether it should have been a Parquet file.
    """

    kind: Kind | None
    words: str
    damaged: bool = False


def look(path: Path) -> Found:
    """What a file is, from its ends: what lies between may still be damaged."""
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
            stream.seek(max(path.stat().st_size - len(MAGIC), 0))
            tail = stream.read()
    except OSError as error:
        return Found(None, f"not to be read ({error.strerror})", damaged=True)
    if not head:
        return Found(None, "damaged: it is empty", damaged=True)
    if MAGIC not in (head[: len(MAGIC)], tail):
        first = re.match(r"\W*(\w+)", head.decode(errors="replace"))
        if first is not None and first[1] in {kind.first for kind in KINDS.values()}:
            return Found(None, "a table without provenance, CSV or JSON lines")
        return Found(None, "a file of another program")
    try:
        # What was added when the file was closed is not in its schema.
        metadata = pq.read_metadata(path).metadata or {}
    except UNREADABLE as error:
        return Found(None, f"damaged ({type(error).__name__})", damaged=True)
    kind = next((kind for kind in KINDS.values() if _has(metadata, kind)), None)
    if kind is None:
        return Found(None, "a Parquet file of another program")
    return Found(kind, f"a {kind.called}")


def _has(metadata: Mapping[bytes, bytes], kind: Kind) -> bool:
    if kind.key not in metadata or not kind.mark:
        return kind.key in metadata
    try:
        runs: Any = json.loads(metadata[kind.key])["runs"].values()
        return any(kind.mark in run for run in runs)
    except UNREADABLE:
        return False


def refusal(path: Path, wanted: Kind, why: str = "", *, in_folder: bool = False) -> UsageError:
    """The error for a file that is not of the kind that is wanted: what it is, and what reads it.

    Parameters
    ----------
    why
        It cannot be read though it is of that kind.
    in_folder
        Whether it was found in a directory of results, and not named.
    """
    found, give = look(path), f"Give a Parquet file written by `{wanted.command}`."
    if found.damaged or (found.kind is not None and found.kind.key == wanted.key):
        state = found.words if found.damaged else f"a {wanted.called} that is damaged ({why})"
        again = "If a sweep wrote it, that sweep begun again measures it anew; if not, move it elsewhere."
        return UsageError(f"{str(path)!r} is {state}", again if in_folder else give)
    line = f"{str(path)!r} is {found.words}, not a {wanted.called}"
    move = "Move it out of this directory of results"
    if found.kind is None:
        return UsageError(line, f"{move}." if in_folder else give)
    readers = found.kind.readers
    return UsageError(line, f"{move}: {readers}." if in_folder else f"{_capital(readers)}. {give}")


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
