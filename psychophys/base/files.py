"""Files that are either as they were or whole and new, and that several processes may change."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from psychophys.base.errors import MeasurementError

PATIENCE_S = 60.0
"""Waiting for another process that changes a file: that takes it well under a second."""


@contextmanager
def locked(path: Path, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Hold a file while it is read and written again, so that no other process changes it between.

    The system gives the lock back when the process ends, however it ends. The lock is a hidden file beside
    ``path``, which is removed again.

    Raises
    ------
    MeasurementError
        Where another process holds it for so long.
    """
    lock = _hidden(path, "lock")
    try:
        with FileLock(lock, timeout=patience_s):
            try:
                yield
            finally:
                # While it is held: who waits for it finds that it is gone, and makes another.
                _remove(lock)
    except Timeout as error:
        raise MeasurementError(
            f"another process has held {str(path)!r} for {patience_s:g} s",
            "Wait for it, or write to another file.",
        ) from error


def _remove(lock: Path) -> None:
    try:
        lock.unlink(missing_ok=True)
    except PermissionError:  # Windows keeps what is open: the lock is removed when it is given back.
        return


def _hidden(path: Path, end: str) -> Path:
    """A hidden file beside one: a name may be as long as the file system takes, so that it begins like it."""
    return path.with_name(os.fsdecode(os.fsencode(f".{path.name}")[:200]) + f".{end}")


def write_atomically(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Let ``fill`` write to a hidden file beside ``path``, then put it in its place in one step."""
    descriptor, temporary = tempfile.mkstemp(prefix=_hidden(path, "").name, dir=path.parent)
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
