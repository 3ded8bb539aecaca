"""A command line run in this process, for tests of many: a process of its own takes seconds to start."""

from __future__ import annotations

import contextlib
import io
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from psychophys.cli import main


def call_inside(*words: str | Path, cwd: Path, offline: bool = True) -> subprocess.CompletedProcess[bytes]:
    """Exit code, standard output and standard error, as of a process; usually without the network."""
    arguments = ["psychophys", *map(str, words)]
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace")
    handler = signal.getsignal(signal.SIGTERM)
    patch = pytest.MonkeyPatch()
    patch.chdir(cwd)
    patch.setattr(sys, "argv", arguments)
    patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as end,
        ):
            main()
    finally:
        patch.undo()
        signal.signal(signal.SIGTERM, handler)
    out.flush()
    err.flush()
    code = end.value.code
    assert isinstance(code, int)
    return subprocess.CompletedProcess(arguments, code, _bytes(out), _bytes(err))


def _bytes(stream: io.TextIOWrapper) -> bytes:
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue()
