"""Which models a request names: timm's names and filters, files of names, and what is left out."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import timm

from psychophys.base.errors import UsageError, unknown
from psychophys.observers.observer import check_model_name, is_embedded, is_source


def find_models(
    patterns: Sequence[str], *, pretrained: bool = False, exclude: Sequence[str] = ()
) -> list[str]:
    """Expand names and timm filters to models, each once, in the order of the request.

    Parameters
    ----------
    patterns
        Names, filters with ``*`` and ``?``, or ``hf-hub:`` and ``local-dir:`` sources. A filter
        with a dot is one of tagged names (``resnet50.*``).
    pretrained
        Take every set of pretrained weights of an architecture (the tagged names), not its default.
    exclude
        Filters of names to leave out, with or without their tags.

    Raises
    ------
    UsageError
        For a name or filter that matches nothing.
    """
    found: list[str] = []
    for pattern in patterns:
        if is_source(pattern) or not _is_filter(pattern):
            check_model_name(pattern)
            tags = timm.list_pretrained(pattern) if pretrained and timm.is_model(pattern) else []
            found += tags or [pattern]
            continue
        names = timm.list_models(pattern, pretrained=pretrained or "." in pattern)
        if not names:
            raise unknown("model", pattern, timm.list_models(), "See `psychophys models`.")
        found += names
    left_out = {name for word in exclude for name in _matching(word, found)}
    kept = [name for name in dict.fromkeys(found) if name not in left_out]
    if not kept:
        raise UsageError("no model is left to measure", "Give fewer --exclude filters.")
    return kept


def _is_filter(pattern: str) -> bool:
    return any(sign in pattern for sign in "*?[")


def _matching(word: str, names: Sequence[str]) -> list[str]:
    return [n for n in names if fnmatchcase(n, word) or fnmatchcase(n.partition(".")[0], word)]


def read_names(path: str | Path) -> list[str]:
    """Names or filters from a text file, one a line; ``#`` starts a comment.

    Raises
    ------
    UsageError
        If the file cannot be read or names nothing.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"models file {str(path)!r} cannot be read: {error}", "Give a text file.") from error
    names = [name for line in lines if (name := line.partition("#")[0].strip())]
    if not names:
        raise UsageError(f"models file {str(path)!r} names no model", "Write one name or filter a line.")
    return names


def has_pretrained(model: str) -> bool:
    """Whether there are pretrained weights of a model."""
    return is_embedded(model) or is_source(model) or bool(timm.is_model_pretrained(model))
