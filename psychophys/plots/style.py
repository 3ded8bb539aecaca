"""The look of all figures, and saving them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from psychophys.base.files import write_atomically
from psychophys.base.registry import Registry
from psychophys.results.tables import check_output

FIGURE_FORMATS = ("png", "svg", "pdf")
DOTS_PER_INCH = 300
DEPTH_MAP = ListedColormap(mpl.colormaps["viridis"](np.linspace(0, 0.87, 256)), "depth")
"""Readable without colour vision, and in grey; without the yellow that is too light for a line."""
RATIO_MAP = "RdBu_r"
"""Of ratios: white is 1."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe & Ito's, which can be told apart without full colour vision."""
STYLES = {"pretrained": "-", "random": "--", "shuffled": ":"}
GREYS = {"random": "0.45", "shuffled": "0.6"}
"""Of untrained networks."""
BAND: dict[str, Any] = {"color": "0.85", "linewidth": 0, "zorder": 0}
"""Where untrained networks lie."""


@dataclass(frozen=True)
class Size:
    """How large a figure is.

    Attributes
    ----------
    beside
        Most panels of the usual kind in one row.
    """

    name: str
    width_inches: float
    font_points: float
    beside: int

    @property
    def scale(self) -> float:
        """Of heights and lines, over those of a page."""
        return self.font_points / 8

    def context(self) -> AbstractContextManager[None]:
        """In which a figure of this size is drawn."""
        return mpl.rc_context({**STYLE, "font.size": self.font_points})


SIZES = Registry(
    "size of figures",
    (
        Size("column", 3.5, 7.0, 1),
        Size("page", 7.0, 8.0, 2),
        Size("talk", 11.0, 14.0, 2),
    ),
    of=Size,
)
"""One column of a journal, two columns, and a slide."""
USUAL_SIZE = "page"

STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": "medium",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": "small",
    "pdf.fonttype": 42,  # Text stays text, which can be searched and edited.
    "svg.fonttype": "none",
    "svg.hashsalt": "psychophys",
}


def check_figure(path: str | Path) -> str:
    """The format of a figure; :class:`UsageError` where it cannot be written."""
    return check_output(Path(path), formats=FIGURE_FORMATS)


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a PNG of 300 dots an inch, an SVG or a PDF, whole or not at all."""
    chosen = check_figure(path)
    with mpl.rc_context(STYLE):
        write_atomically(Path(path), lambda stream: figure.savefig(stream, format=chosen, dpi=DOTS_PER_INCH))
