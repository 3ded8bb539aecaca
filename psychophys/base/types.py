"""Types that everyone uses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
STATUSES = ("ok", "insensitive", "not_finite", "not_converged", "singular", "not_differentiable")
"""What a layer can be called whatever the noise; other statuses are of a noise's domain."""
Progress = Callable[[int, int], None]
"""Called with what is done and what there is in all: images, values or steps."""
