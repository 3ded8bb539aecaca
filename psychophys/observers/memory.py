"""Memory: where it ends, and how the C library keeps what is freed: a third less time on a CPU."""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch

NO_MEMORY = (
    "out of memory",
    "can't allocate",
    "bad_alloc",
    "alloc_failed",  # cuBLAS and cuDNN
    "could not create a primitive",  # oneDNN: its own allocations
    "could not create a memory object",
)
"""What the libraries below say where memory ends."""
MOST_KEPT_BYTES = 2 * 2**30
"""Of a process between networks."""
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Keep large freed blocks in the process instead of handing them back after every layer.

    What is no longer used is looked for from here on, where a command line has put that off until now.

    Activations are tens of megabytes. glibc by default maps each from the system and unmaps it,
    and the page faults cost about a third of a forward pass. The setting holds for the whole
    process, so the command line makes it and the library leaves it to its caller.

    Returns
    -------
    bool
        Whether the setting was made; it is for glibc on Linux.
    """
    gc.enable()
    mallopt = _glibc("mallopt")
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 2**26))
    return mallopt is not None and all(mallopt(option, value) == 1 for option, value in settings)


def physical_bytes() -> int:
    """Memory of this machine; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows
        return 0


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory has ended."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in NO_MEMORY)


def release_freed_memory(device: torch.device) -> None:
    """Hand freed blocks back after all: where memory has ended, other allocators need them."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    if device.type == "mps":
        torch.mps.empty_cache()
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(0)


def release_everything() -> None:
    """Hand back what nothing holds any more, between one network and the next.

    What is little is kept: the next network would have to ask for it again, which takes a third of a second.
    """
    gc.collect()
    if torch.cuda.is_initialized():
        release_freed_memory(torch.device("cuda"))
    elif resident_bytes() > MOST_KEPT_BYTES:
        release_freed_memory(torch.device("cpu"))


def resident_bytes() -> int:
    """Memory that this process holds; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * mmap.PAGESIZE
    except (OSError, ValueError, IndexError):
        return 0


def _glibc(name: str) -> Callable[..., int] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        function: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError):
        return None
    return function
