"""Errors a user can cause. Each is one line: what was given, what was expected, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PsychophysError(Exception):
    """A failure with a remedy.

    Parameters
    ----------
    message
        What was given and what was expected.
    hint
        What to do next.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        one_line = " ".join(message.split()).rstrip(".")
        remedy = " ".join(hint.split())
        super().__init__(f"{one_line}. {remedy}" if remedy else f"{one_line}.")


class UsageError(PsychophysError):
    """The request itself is wrong: an unknown name, an impossible value, an unwritable path."""

    exit_code = 2


class ModelError(PsychophysError):
    """The model or its weights cannot be loaded or cannot be measured."""


class MeasurementError(PsychophysError):
    """A measurement that was well asked for failed while it ran."""


def unknown(kind: str, given: str, known: Iterable[str], hint: str = "") -> UsageError:
    """The error for a name that is not in a table, with the nearest names that are."""
    names = list(known)
    near = difflib.get_close_matches(given, names, n=3, cutoff=0.6)
    if near:
        remedy = f"Did you mean {', '.join(near)}?"
    elif len(names) <= 20:
        remedy = f"Known: {', '.join(names)}."
    else:
        remedy = ""
    return UsageError(f"unknown {kind} {given!r}", " ".join(part for part in (remedy, hint) if part))


def first_line(error: Exception) -> str:
    """What an error of a library below says, in a line."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else "no message"
