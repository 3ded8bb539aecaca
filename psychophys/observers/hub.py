"""The model hub and its cache here: whose weights it has, how large others are, getting and removing them.

The cache is Hugging Face's own, and so are its locks: a measurement waits for what is being fetched.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import (
    DeleteCacheStrategy,
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
)
from huggingface_hub.errors import EntryNotFoundError
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils.tqdm import disable_progress_bars

from psychophys.observers.hub_cache import WEIGHT_FILES, is_cached, split_revision
from psychophys.observers.learned import is_learned
from psychophys.observers.names import has_pretrained, is_embedded, is_source

_CLAIM = ".fetched-by-psychophys"
"""In the folder of a repository: who brought it into the cache."""


def repository(model: str) -> str | None:
    """Where the hub has a model's pretrained weights, as ``OWNER/NAME`` or ``OWNER/NAME@REVISION``.

    None for what comes from elsewhere: the embedded network, ``local-dir:``, trained ones, and the few tags
    of timm that have an address of their own.
    """
    if is_embedded(model) or is_learned(model) or model.startswith("local-dir:"):
        return None
    if is_source(model):
        return model.partition(":")[2]
    cfg = timm.get_pretrained_cfg(model)
    return (cfg.hf_hub_id or None) if cfg is not None else None


def is_here(model: str) -> bool:
    """Whether a model's weights need no download."""
    name = repository(model)
    if name is not None:
        return is_cached(name)
    if is_embedded(model) or is_source(model) or not has_pretrained(model):
        return True
    cfg = timm.get_pretrained_cfg(model)
    address = Path(cfg.url).name if cfg is not None and cfg.url else ""
    return bool(address) and Path(torch.hub.get_dir(), "checkpoints", address).is_file()


def all_revisions(name: str) -> str:
    """A repository without its revision: the cache keeps all of them in one folder."""
    return split_revision(name)[0]


def remote_bytes(name: str) -> int:
    """What the weights of a repository will take; 0 where there are none, or the hub does not say.

    Raises
    ------
    Exception
        Whatever the hub's client raises, such as for a repository that is not there.
    """
    repo, revision = split_revision(name)
    for file in WEIGHT_FILES:
        with suppress(EntryNotFoundError):
            return get_hf_file_metadata(hf_hub_url(repo, file, revision=revision)).size or 0
    return 0


def fetch(name: str) -> None:
    """Bring the weights of a repository into the cache; nothing is done where they are there.

    Raises
    ------
    Exception
        Whatever the hub's client raises.
    """
    disable_progress_bars()
    repo, revision = split_revision(name)
    with suppress(EntryNotFoundError):
        hf_hub_download(repo, "config.json", revision=revision)
    for file in WEIGHT_FILES:
        with suppress(EntryNotFoundError):
            hf_hub_download(repo, file, revision=revision)
            return


def claim(name: str, owner: str) -> bool:
    """Note that a repository is about to be brought into the cache; false where somebody else did before.

    Whoever makes its folder is the first. The note lies in that folder and goes with it, so that it says
    nothing of another cache, and nothing of what is fetched again after somebody has removed it.
    """
    folder = _folder(name)
    try:
        folder.mkdir(parents=True)
        (folder / _CLAIM).write_text(owner, encoding="utf-8")
    except OSError:
        return _owner(folder) == owner
    return True


def claimed(owner: str) -> list[str]:
    """Repositories in the cache that an owner brought, oldest first."""
    notes = [
        note for note in Path(constants.HF_HUB_CACHE).glob(f"*/{_CLAIM}") if _owner(note.parent) == owner
    ]
    return [note.parent.name.partition("--")[2].replace("--", "/") for note in sorted(notes, key=_time)]


def cached_bytes(name: str) -> int:
    """What a repository takes of this machine's disk in all its revisions, unfinished downloads included."""
    return sum(_sizes(_folder(name)))


def remove(name: str) -> None:
    """Take a repository out of the cache, in all its revisions."""
    folder = _folder(name)
    where: dict[str, Any] = {}
    # Newer clients keep contents beside the repositories, and know whether another one has the same.
    if "cache_dir" in {field.name for field in fields(DeleteCacheStrategy)}:
        where["cache_dir"] = folder.parent
    nothing: frozenset[Path] = frozenset()
    with suppress(OSError):
        DeleteCacheStrategy(
            expected_freed_size=0,
            blobs=nothing,
            refs=nothing,
            repos=frozenset([folder]) if folder.exists() else nothing,
            snapshots=nothing,
            **where,
        ).execute()
    # Locks stay, as the hub's client leaves them: another process may hold one.
    shutil.rmtree(folder, ignore_errors=True)


def _folder(name: str) -> Path:
    return Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=split_revision(name)[0], repo_type="model"))


def _owner(folder: Path) -> str | None:
    try:
        return (folder / _CLAIM).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def _time(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _sizes(folder: Path) -> Iterator[int]:
    for place, _, names in os.walk(folder):  # Which passes over folders that are removed meanwhile.
        # Contents may be links to what repositories share; those of snapshots are links to contents.
        look = os.stat if Path(place).name == "blobs" else os.lstat
        for name in names:
            with suppress(OSError):
                found = look(Path(place, name))
                if stat.S_ISREG(found.st_mode) and name != _CLAIM:
                    yield found.st_size
