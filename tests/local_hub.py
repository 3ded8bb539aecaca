"""A model hub on this machine: the addresses and headers of the real one, and a line as slow as one likes."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

CHUNK = 1 << 16


class LocalHub(ThreadingHTTPServer):
    """Serves folders of models.

    Parameters
    ----------
    folders
        Of each repository (``OWNER/NAME``); several may share one.
    bytes_per_second
        Of each connection.
    """

    daemon_threads = True

    def __init__(self, folders: Mapping[str, Path], bytes_per_second: float) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.folders, self.bytes_per_second = dict(folders), bytes_per_second
        self.sent: Counter[str] = Counter()
        """Bytes of weights by repository."""
        self.times: list[tuple[float, str]] = []
        """When each download of weights began."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: who asked was killed."""

    def size(self, name: str) -> int:
        """Bytes of a repository's weights."""
        return (self.folders[name] / "model.safetensors").stat().st_size

    @property
    def environment(self) -> dict[str, str]:
        """What makes Hugging Face's client ask here."""
        return {
            "HF_ENDPOINT": f"http://127.0.0.1:{self.server_port}",
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
        }


class _Answers(BaseHTTPRequestHandler):
    server: LocalHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        parts = unquote(self.path.partition("?")[0]).strip("/").split("/")
        name = "/".join(parts[:2])
        folder = self.server.folders.get(name)
        if len(parts) < 5 or parts[2] != "resolve" or folder is None:
            self._refuse("RepoNotFound")
            return
        file = folder / parts[4]
        if not file.is_file():
            self._refuse("EntryNotFound")
            return
        content = file.read_bytes()
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", hashlib.sha1(name.encode()).hexdigest())
        self.send_header("ETag", f'"{hashlib.sha256(content + name.encode()).hexdigest()}"')
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if body:
            self._send(name, content[start:], counted=file.suffix != ".json")

    def _send(self, name: str, content: bytes, *, counted: bool) -> None:
        if counted:
            self.server.times.append((time.monotonic(), name))
        for place in range(0, len(content), CHUNK):
            part = content[place : place + CHUNK]
            time.sleep(len(part) / self.server.bytes_per_second)
            try:
                self.wfile.write(part)
            except OSError:  # Who asked is gone.
                return
            if counted:
                self.server.sent[name] += len(part)

    def _refuse(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        """Nothing."""


@contextmanager
def local_hub(folders: Mapping[str, Path], bytes_per_second: float = 1e9) -> Iterator[LocalHub]:
    """Have a hub for a while."""
    with LocalHub(folders, bytes_per_second) as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        try:
            yield hub
        finally:
            hub.shutdown()
