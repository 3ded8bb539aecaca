"""A server that has the package loaded and forks for each command, so that a page's commands start at once.

python warm.py SOCKET

Listens at SOCKET. A client sends its words, directory and environment as JSON with its standard streams, and
gets the exit code. ``psychophys`` as first word is the command line, ``python`` a script on standard input or
after ``-c``.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import socket
import sys

CLIENT = """#!{python} -SE
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
words = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
message = json.dumps([words, os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(server, [len(message).to_bytes(4, "big")], [0, 1, 2])
server.sendall(message)
sys.exit(int.from_bytes(server.recv(1), "big"))
"""


def run(words: list[str]) -> int:
    """The exit code of a command, in this process."""
    sys.argv = words
    try:
        if words[0] == "psychophys":
            from psychophys.cli import main

            main()
        elif words[1:2] == ["-c"]:
            exec(compile(words[2], "-c", "exec"), {"__name__": "__main__"})
        else:
            exec(compile(sys.stdin.read(), "block.py", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
        return 1
    return 0


def answer(client: socket.socket) -> None:
    """Run what one client asks for, in a child."""
    length, streams, _, _ = socket.recv_fds(client, 4, 3)
    size, message = int.from_bytes(length, "big"), b""
    while len(message) < size:
        message += client.recv(size - len(message))
    words, folder, environment = json.loads(message)
    child = os.fork()
    if child == 0:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        code = run(words)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code)
    for stream in streams:
        os.close(stream)
    _, status = os.waitpid(child, 0)
    client.sendall(bytes([os.waitstatus_to_exitcode(status) & 255]))
    client.close()


def keep_a_fork_server() -> None:
    """Start the process that workers of sweeps come from once for all commands: it loads the package too."""
    from multiprocessing import forkserver

    from psychophys.sweeps.engines.processes import _context

    _context()
    forkserver.ensure_running()
    # Who has not started it cannot ask whether it runs.
    forkserver._forkserver.ensure_running = lambda: None  # type: ignore[attr-defined]


def serve(address: str) -> None:
    """Answer clients, a child for each."""
    import gc
    import warnings

    gc.disable()
    warnings.simplefilter("ignore")
    import matplotlib as mpl

    mpl.use("Agg")
    import pandas  # noqa: F401
    import timm  # noqa: F401

    import psychophys

    # Commands import much of it when they are called, each child anew.
    for module in pkgutil.walk_packages(psychophys.__path__, "psychophys."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    keep_a_fork_server()
    gc.freeze()
    gc.enable()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        while True:
            client, _ = server.accept()
            # A pipe's commands run at the same time.
            if os.fork() == 0:
                answer(client)
                os._exit(0)
            client.close()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


if __name__ == "__main__":
    serve(sys.argv[1])
