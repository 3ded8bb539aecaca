"""What lists print, kept between calls: made from the real tables once, read without PyTorch from then on.

A file a list lies in the user's cache directory, under a name that holds a fingerprint of all that the list
is made from: the files of this package and of timm's models, and the versions of what they use. What changes
any of these makes a new file. Nothing is kept where an installed package offers stimuli, noise or the like,
nor in a process that has loaded PyTorch, whose tables may have been added to.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from psychophys.cli.names import has_plugins

MOST_KEPT = 4
"""Files of one list, of several installations that are used in turn."""
USED = ("torch", "timm", "numpy", "scikit-image", "huggingface_hub")
"""Packages whose version may change what a list says."""


def kept(name: str, make: Callable[[], Any]) -> Any:
    """What ``make`` gives, as plain lists, mappings, texts and numbers: from the cache where it is there."""
    if "torch" in sys.modules or has_plugins():
        return _plain(make())
    path = cache_folder() / f"{name}-{fingerprint()}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # It is not there yet, or is damaged.
        made = make()
    _keep(path, name, made)
    return _plain(made)


def cache_folder() -> Path:
    """``PSYCHOPHYS_CACHE``, or a folder of ours where this system keeps what can be made again."""
    if given := os.environ.get("PSYCHOPHYS_CACHE"):
        return Path(given)
    usual = {"darwin": "~/Library/Caches", "win32": os.environ.get("LOCALAPPDATA", "~/AppData/Local")}
    base = os.environ.get("XDG_CACHE_HOME") or usual.get(sys.platform, "~/.cache")
    return Path(base).expanduser() / "psychophys"


def fingerprint() -> str:
    """Of all that the lists are made from."""
    timm = importlib.util.find_spec("timm")
    folders = [Path(__file__).parents[1]]
    folders += [Path(folder, "models") for folder in (timm and timm.submodule_search_locations) or ()]
    parts = [sys.version, *(f"{one} {_version(one)}" for one in USED), *map(_files, folders)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _files(folder: Path) -> str:
    """Every file in a folder with its size and when it was changed; compiled ones follow from these."""
    found = []
    for here, inside, names in os.walk(folder):
        inside[:] = sorted(set(inside) - {"__pycache__"})
        for name in sorted(names):
            about = Path(here, name).stat()
            found.append(f"{here}/{name} {about.st_size} {about.st_mtime_ns}")
    return "\n".join(found)


def _plain(made: Any) -> Any:
    """As it would be read back."""
    return json.loads(json.dumps(made))


def _keep(path: Path, name: str, made: Any) -> None:
    """Write it, and remove what is oldest; where that cannot be, the list is made again the next time."""
    from psychophys.base.files import write_atomically

    text = json.dumps(made).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda stream: stream.write(text))
        others = sorted(path.parent.glob(f"{name}-*.json"), key=lambda one: one.stat().st_mtime)
        for old in others[:-MOST_KEPT]:
            old.unlink(missing_ok=True)
    except OSError:
        return
