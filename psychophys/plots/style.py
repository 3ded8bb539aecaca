"""The look of all figures, and saving them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from psychophys.base.files import write_atomically
from psychophys.results.tables import check_output

FIGURE_FORMATS = ("png", "svg", "pdf")
WIDTH_INCHES = 7.0
"""Of a figure over two columns of a journal."""
DEPTH_MAP = "viridis"
"""Readable without colour vision, and in grey."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe & Ito's, which can be told apart without full colour vision."""
STYLES = {"pretrained": "-", "random": "--", "shuffled": ":"}
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "svg.hashsalt": "psychophys",
}


def check_figure(path: str | Path) -> str:
    """The format of a figure; :class:`UsageError` where it cannot be written."""
    return check_output(Path(path), formats=FIGURE_FORMATS)


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a PNG, SVG or PDF, whole or not at all."""
    chosen = check_figure(path)
    with mpl.rc_context(STYLE):
        write_atomically(Path(path), lambda stream: figure.savefig(stream, format=chosen, dpi=200))
