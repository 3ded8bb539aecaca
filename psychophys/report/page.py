"""A report as one page of HTML that loads nothing: style, script, figures and numbers are within it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from psychophys.base.errors import UsageError
from psychophys.base.files import write_atomically
from psychophys.comparison.verdict import ENOUGH
from psychophys.report.content import Report
from psychophys.report.drawings import STRIP_LIMIT, strip_scale
from psychophys.report.side_by_side import SideBySide
from psychophys.results.kinds import look
from psychophys.results.tables import check_output

TEMPLATES = Path(__file__).parent / "templates"
GENERATOR = "psychophys report"
"""By this word in its head a page is known to be one of these."""
HEAD_BYTES = 2000
LONGEST_WORD = 24
"""Letters; what is longer is a hash or a path, and may be broken anywhere."""


def check_page(path: str | Path, *, force: bool = False) -> None:
    """Refuse a path that cannot be written to, or that holds something else than a report.

    Raises
    ------
    UsageError
        With what is there, and what to do.
    """
    path = Path(path)
    check_output(path, formats=("html",))
    if force or not path.is_file() or path.stat().st_size == 0 or _is_page(path):
        return
    raise UsageError(
        f"output {str(path)!r} holds something else: it is {look(path).words}",
        "Replace it with --force, or name another output.",
    )


def _is_page(path: Path) -> bool:
    with path.open("rb") as stream:
        return f'content="{GENERATOR}"'.encode() in stream.read(HEAD_BYTES)


def render(report: Report) -> str:
    """The page as text."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["anchor"] = anchor
    environment.tests["long"] = lambda text: max(map(len, re.split(r"[\s-]", text))) > LONGEST_WORD
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}  # Layers stay in their order.
    page = environment.get_template("page.html.jinja").render(
        report=report,
        generator=GENERATOR,
        style=Markup(_own("page.css")),
        script=Markup(_own("page.js")),
        scale=strip_scale(),
        limit=STRIP_LIMIT,
        enough=ENOUGH,
        data=[{"curves": part.curves, "side": _changing(part.side)} for part in report.parts],
        svg=Markup,
    )
    return re.sub(r"\n\s*\n+", "\n", page)


def _changing(side: SideBySide | None) -> dict[str, Any] | None:
    """What a choice of another value changes: words and cells, value by value."""
    if side is None:
        return None
    return {
        "captions": [table.caption for table in side.tables],
        "cells": [[[[c.text, c.value] for c in row[1:]] for row in table.rows] for table in side.tables],
        "said": side.said,
    }


def anchor(text: str) -> str:
    """A name that an id can have."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower()


def _own(name: str) -> str:
    """A file of ours that goes into the page as it is."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def write(report: Report, path: str | Path) -> None:
    """Write the page, whole or not at all."""
    text = render(report)
    write_atomically(Path(path), lambda stream: stream.write(text.encode()))
