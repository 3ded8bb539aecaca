"""Types that everyone uses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]
"""Called with what is done and what there is in all: images, values or steps."""
