"""Files that are either as they were or whole and new."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO


def write_atomically(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Let ``fill`` write to a hidden file beside ``path``, then put it in its place in one step."""
    # A name may be as long as the file system takes: the hidden one begins like it.
    prefix = os.fsdecode(os.fsencode(f".{path.name}")[:200])
    descriptor, temporary = tempfile.mkstemp(prefix=f"{prefix}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            fill(stream)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
