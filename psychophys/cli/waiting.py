"""A line on the terminal until a command says something: PyTorch takes seconds to load."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO, cast

LINE = "loading ..."
ERASE = "\r\x1b[K"
SAYS = ("write", "writelines", "buffer")
"""By which of its attributes a stream is written to."""
AT_ONCE = {"-q", "--quiet", "-h", "--help", "-V", "--version"}


class _Covered:
    """A stream that removes the line when it is first written to, and is as before otherwise."""

    def __init__(self, stream: TextIO, uncover: Any) -> None:
        self._stream, self._uncover = stream, uncover

    def __getattr__(self, name: str) -> Any:
        if name in SAYS:
            self._uncover()
        return getattr(self._stream, name)


@contextmanager
def waiting(arguments: Sequence[str]) -> Iterator[None]:
    """Say on a terminal that something is coming; nothing in pipes and files, nor in quiet."""
    out, err = sys.stdout, sys.stderr
    quiet = not arguments or AT_ONCE & set(arguments) or os.environ.get("PSYCHOPHYS_QUIET")
    if quiet or not err.isatty() or os.environ.get("TERM") == "dumb":
        yield
        return

    def uncover() -> None:
        if isinstance(sys.stderr, _Covered):
            sys.stdout, sys.stderr = out, err
            err.write(ERASE)
            err.flush()

    err.write(LINE)
    err.flush()
    sys.stdout, sys.stderr = (cast(TextIO, _Covered(stream, uncover)) for stream in (out, err))
    try:
        yield
    finally:
        uncover()
