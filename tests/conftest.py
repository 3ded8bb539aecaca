"""Two test processes share the cores: one PyTorch thread each, in what they start too. None asks a hub."""

import gc
import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

gc.disable()  # What is imported from here on stays: nothing of it is looked for among garbage, then or later.

LONGEST = ("docs", "cli/test_fuzz.py", "learning", "sweeps", "responses", "simulation")
"""Their files begin first, so that no process is left alone with a long one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files; the order within a file stays."""
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        name = item.path.relative_to(here).as_posix()
        return next((i for i, long in enumerate(LONGEST) if name.startswith(long)), len(LONGEST))

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()
