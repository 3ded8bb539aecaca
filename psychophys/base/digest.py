"""Names of things by what they are."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def digest(plain: Any) -> str:
    """Sixteen hexadecimal digits that name what JSON can hold, the same in whatever order its keys are."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
