"""How values are written on the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from psychophys.base.errors import UsageError
from psychophys.stimuli import MOST_VALUES

Values = int | list[float]
MOST_UNITS = 1_000_000
"""In a range of them: more are chosen by layer."""


def parse_values(name: str, text: str) -> Values:
    """A count (``8``), a list (``0,45,90``; ``0.5``) or ``START:STOP:COUNT`` (both ends included)."""
    try:
        if ":" in text:
            start, stop, count = text.split(":")
            if int(count) > MOST_VALUES:
                raise UsageError(f"{count} values of {name}", f"Ask for 1 to {MOST_VALUES:,}.")
            return [float(v) for v in np.linspace(float(start), float(stop), int(count))]
        if "," not in text and text.strip().lstrip("+-").isdigit():
            return int(text)
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise UsageError(
            f"{name} {text!r} is not a list of numbers",
            "Write 0,45,90, START:STOP:COUNT, or a count.",
        ) from None


def parse_list(name: str, text: str) -> list[float]:
    """Like :func:`parse_values`, but a lone integer is a value, not a count."""
    values = parse_values(name, text)
    return [float(values)] if isinstance(values, int) else values


def parse_settings(settings: list[str]) -> dict[str, list[float]]:
    """``NAME=VALUES`` options to a mapping."""
    parsed = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name or not text:
            raise UsageError(f"setting {setting!r} is not NAME=VALUES", "Write --set contrast=0.5.")
        parsed[name] = parse_list(name, text)
    return parsed


def parse_options(settings: list[str]) -> dict[str, float]:
    """``NAME=VALUE`` options to a mapping of numbers."""
    parsed = {}
    for setting in settings:
        name, _, text = setting.partition("=")
        try:
            parsed[name] = float(text)
        except ValueError:
            raise UsageError(
                f"noise option {setting!r} is not NAME=NUMBER", "Write --noise-option rectify=1."
            ) from None
    return parsed


def parse_units(settings: list[str]) -> dict[str, list[int]]:
    """``LAYERS:INDICES`` options, as ``conv1:0,5,10-20``, to indices by pattern of layers."""
    parsed: dict[str, list[int]] = {}
    for setting in settings:
        pattern, _, text = setting.rpartition(":")
        found: list[int] = []
        for part in text.split(","):
            ends = re.fullmatch(r"\s*(\d{1,12})(?:\s*-\s*(\d{1,12}))?\s*", part, re.ASCII)
            if ends is None or not pattern:
                raise UsageError(
                    f"units {setting[:80]!r} are not LAYERS:INDICES", "Write --units conv1:0,5,10-20."
                )
            first, last = int(ends[1]), int(ends[2] or ends[1])
            if not 0 <= last - first < MOST_UNITS:
                raise UsageError(
                    f"units {part.strip()} in {setting[:80]!r}", f"Give 1 to {MOST_UNITS:,}, rising."
                )
            found += range(first, last + 1)
        parsed.setdefault(pattern, []).extend(found)
    return parsed


def parse_share(text: str) -> float:
    """``5%`` or ``0.05`` to 0.05."""
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise UsageError(f"{text!r} is not a share", "Write 5% or 0.05.") from None


def parse_bytes(text: str) -> int:
    """``50GB``, ``1.5 TB``, ``800MiB``: a size of memory or disk."""
    written = re.fullmatch(r"\s*(\d{1,18}(?:\.\d*)?)\s*([kMGT]?)(i?)B?\s*", text, re.IGNORECASE | re.ASCII)
    if written is None:
        raise UsageError(f"size {text!r} is not a number of bytes", "Write 50GB, 800MB or 2TiB.")
    number, unit, binary = written.groups()
    return int(float(number) * (1024 if binary else 1000) ** " KMGT".index(unit.upper() or " "))


def split_words(given: Sequence[str] | None, usual: str) -> list[str]:
    """What an option that may be repeated says, each time one or several with commas."""
    return [part for words in given or [usual] for part in words.split(",") if part]
