"""What a value of somebody's own is, in plain data: for run ids, where a name says too little."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any


def definition(value: Any) -> Any:
    """Plain data that are the same for the same definition, and differ where numbers would.

    Functions are named, with a hash of their source; what they read elsewhere is not looked into.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: definition(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): definition(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [definition(item) for item in value]
    if callable(value):
        return f"{_home(value)} {_hash(value)}"
    return value if value is None or isinstance(value, (str, int, float, bool)) else _home(type(value))


def _home(value: Any) -> str:
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__qualname__)}"


def _hash(function: Any) -> str:
    """Eight hexadecimal digits of a function's source, or of its code where there is no source."""
    try:
        text = inspect.getsource(function)
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        text = "" if code is None else f"{code.co_code!r}{code.co_names}{code.co_varnames}"
    return hashlib.sha256(text.encode()).hexdigest()[:8]
