"""A command line in a process of its own that starts at once.

What takes seconds is to import PyTorch and timm. Here a fork server has done it: the process can be killed,
has its own streams, locks and signals, and differs from ``python -m psychophys`` in nothing but its start.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

PLACE = ("_forkserver_address", "_forkserver_authkey")
"""Where the server is found, and from Python 3.14 on what it asks for."""


def server() -> ForkServerContext:
    """Where processes come from that have the package loaded."""
    context = multiprocessing.get_context("forkserver")
    # The workers of sweeps come from the same server. A command imports the rest when it is called.
    later = ("app", "each", "outputs", "sweep", "tables.sweeps", "values")
    own = [f"psychophys.cli.{name}" for name in later]
    others = "pydantic.type_adapter", "pyarrow.pandas_compat"
    context.set_forkserver_preload(["psychophys.sweeps.engines.preload", *own, *others])
    return context


class Forked:
    """A process that has been started, and what it has written so far."""

    def __init__(self, *words: str | Path, cwd: Path) -> None:
        context = server()
        streams = tempfile.mkdtemp(prefix="streams-", dir=cwd.parent)
        self._out, self._err = (Path(streams, name) for name in ("out", "err"))
        forkserver.ensure_running()
        known = vars(forkserver._forkserver)  # type: ignore[attr-defined]
        place = {name: known[name] for name in PLACE if name in known}
        arguments = [str(word) for word in words], str(cwd), str(self._out), str(self._err), place
        self._process = context.Process(target=_run, args=arguments)
        self._process.start()

    @property
    def err(self) -> str:
        """What is on standard error by now."""
        return self._err.read_text() if self._err.exists() else ""

    def send_signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        self._process.kill()
        self._process.join()

    def wait(self, timeout: float = 600) -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""
        self._process.join(timeout)
        code = self._process.exitcode
        assert code is not None, f"still running after {timeout} s"
        return code, self._out.read_text(), self.err


def _run(words: list[str], cwd: str, out: str, err: str, place: dict[str, Any]) -> None:
    # A sweep's workers come from the same server: another would import everything anew.
    vars(forkserver._forkserver).update(place, ensure_running=lambda: None)  # type: ignore[attr-defined]
    for descriptor, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, descriptor)
        os.close(file)
    os.chdir(cwd)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.argv = ["psychophys", *words]
    from psychophys.cli import main

    main()
