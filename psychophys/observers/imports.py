"""Modules and files that register models of one's own with timm."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from psychophys.base.errors import UsageError


def import_modules(names: Sequence[str]) -> None:
    """Import modules, or Python files by path, that register models with timm.

    Raises
    ------
    UsageError
        For one that cannot be imported.
    """
    for name in names:
        try:
            if name.endswith(".py"):
                _import_file(Path(name))
            else:
                importlib.import_module(name)
        except (Exception, SystemExit) as error:
            raise UsageError(
                f"cannot import {name!r}: {type(error).__name__}: {error}",
                "Give a Python file or an importable module.",
            ) from error


def _import_file(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError("no such file")
    if (namesake := sys.modules.get(path.stem)) is not None:
        if Path(getattr(namesake, "__file__", None) or "").resolve() == path.resolve():
            return
        raise ImportError(f"there is another module {path.stem}; rename the file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError("not a Python file")
    module = importlib.util.module_from_spec(spec)
    # Known by its name from here on, so that what it defines can be sent to other processes.
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
