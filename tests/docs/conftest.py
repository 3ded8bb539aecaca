"""Where the documents' commands are run: at once, by a server that has the package loaded."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from docs.warm import CLIENT


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """The environment in which ``psychophys`` and ``python`` are of that server."""
    root = tmp_path_factory.mktemp("warm")
    address = str(root / "socket")
    for name in ("psychophys", "python"):
        client = root / name
        client.write_text(CLIENT.format(python=sys.executable, address=address))
        client.chmod(0o755)
    server = subprocess.Popen([sys.executable, str(Path(__file__).with_name("warm.py")), address])
    begun = time.monotonic()
    while not Path(address).exists():
        assert server.poll() is None
        assert time.monotonic() < begun + 300
        time.sleep(0.05)
    environment = {**os.environ, "PATH": f"{root}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}
    environment.pop("COLUMNS", None)
    try:
        yield environment
    finally:
        server.terminate()
        server.wait()
