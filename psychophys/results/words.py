"""Numbers in words, the same on every screen and page."""

from __future__ import annotations

import numpy as np
import pandas as pd


def number(value: float) -> str:
    """Three significant digits, and a dash for what there is not."""
    return "-" if not np.isfinite(value) else f"{value:.3g}"


def large(count: float) -> str:
    """A count in three digits or so, as 11.7 M; a dash where there is none."""
    if pd.isna(count):
        return "-"
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        # What rounds to 1000 of a unit is one of the next.
        if count >= 0.9995 * size:
            scaled = count / size
            return f"{scaled:.{0 if scaled >= 99.95 else 1}f} {unit}"
    return f"{count:.0f}"
