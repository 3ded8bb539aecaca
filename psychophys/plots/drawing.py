"""A figure that knows its numbers, and the parts that all figures are made of."""

from __future__ import annotations

import io
import string
from collections.abc import Iterable, Iterator
from textwrap import fill
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from psychophys.base.types import Array
from psychophys.plots.style import STYLE, Size

COLUMNS = ("panel", "x_label", "y_label", "name", "x", "y", "low", "high")
LONGEST_LABEL = 20
"""Characters of a line beside a panel."""
PREVIEW_DOTS_PER_INCH = 100


class Drawing(Figure):
    """A Matplotlib figure with the numbers that it shows; Jupyter shows it as it is.

    Attributes
    ----------
    data
        ``panel`` (its letter), ``x_label``, ``y_label``, ``name`` (of the line, band or row of a map), ``x``,
        and ``y`` or ``low`` and ``high``: one row a point. Lines that only guide the eye are left out.
    """

    def __init__(self, size: Size, height_inches: float, **settings: Any) -> None:
        width = size.width_inches
        settings = {"figsize": (width, height_inches * size.scale), "layout": "constrained"} | settings
        super().__init__(**settings)
        self.size = size
        self.letters: dict[Axes, str] = {}
        self._noted: list[tuple[Axes, pd.DataFrame]] = []

    def note(self, axes: Axes, **columns: Any) -> None:
        """Remember numbers that are shown as something else than a line."""
        self._noted.append((axes, pd.DataFrame(columns)))

    @property
    def data(self) -> pd.DataFrame:
        """The numbers that are shown."""
        parts = [(axes, frame) for panel in panels(self) for axes, frame in _lines(panel)] + self._noted
        frames = [
            frame.assign(
                panel=self.letters.get(axes, ""), x_label=axes.get_xlabel(), y_label=axes.get_ylabel()
            )
            for axes, frame in parts
            if axes.get_figure() is not None and len(frame)
        ]
        empty = pd.DataFrame(columns=list(COLUMNS))
        return pd.concat(frames, ignore_index=True).reindex(columns=list(COLUMNS)) if frames else empty

    def finish(self) -> Drawing:
        """Letter the panels, where there are several, break long labels, and widen lines with the size."""
        every = [axes for axes in panels(self) if not axes.images]
        for axes in every:
            label = axes.get_ylabel()
            axes.set_ylabel(label if "\n" in label else fill(label, LONGEST_LABEL))
        for axes, letter in zip(every, _letters(), strict=False) if len(every) > 1 else ():
            self.letters[axes] = letter
            axes.annotate(
                letter,
                (0, 1),
                xytext=(-24 * self.size.scale, 5 * self.size.scale),
                xycoords="axes fraction",
                textcoords="offset points",
                fontsize="large",
                fontweight="bold",
                ha="right",
                va="baseline",
            )
        if self.size.scale > 1:
            for line in self.findobj(Line2D):
                line.set_linewidth(line.get_linewidth() * self.size.scale)
        return self

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        with mpl.rc_context(STYLE):
            self.savefig(stream, format="png", dpi=PREVIEW_DOTS_PER_INCH)
        return stream.getvalue()


def panels(figure: Figure) -> list[Axes]:
    """All axes but colour bars."""
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


def drawing_of(axes: Axes) -> Drawing:
    """The figure that axes are in, or in a part of."""
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Drawing)
    return figure


def _letters() -> Iterator[str]:
    yield from string.ascii_lowercase
    yield from (f"{first}{second}" for first in string.ascii_lowercase for second in string.ascii_lowercase)


def _lines(axes: Axes) -> Iterable[tuple[Axes, pd.DataFrame]]:
    for line in axes.get_lines():
        name = str(line.get_label())
        if not name.startswith("_"):
            x, y = (np.asarray(data, dtype=float) for data in line.get_data())
            yield axes, pd.DataFrame({"name": name, "x": x, "y": y})


def draw_band(axes: Axes, x: Any, low: Any, high: Any, name: str, **look: Any) -> None:
    """An interval, as a band; as a bar where there is one value."""
    x, low, high = (np.asarray(part, dtype=float) for part in (x, low, high))
    known = np.isfinite(low) & np.isfinite(high)
    if not known.any():
        return
    drawing_of(axes).note(axes, name=name, x=x[known], low=low[known], high=high[known])
    if known.sum() == 1:
        look = {"color": look.get("color", "0.85"), "zorder": 0, "alpha": look.get("alpha")}
        axes.vlines(x[known], low[known], high[known], linewidth=3, **look)
    else:
        axes.fill_between(x, low, high, where=known, label=f"_{name}", **({"linewidth": 0} | look))


def draw_line(axes: Axes, x: Any, y: Any, name: str, **look: Any) -> Line2D:
    """A line; a point that has no neighbour is marked, or it could not be seen."""
    y = np.asarray(y, dtype=float)
    known = np.isfinite(y)
    alone = known & ~np.append(known[1:], False) & ~np.append(False, known[:-1])
    if alone.any() and "marker" not in look:
        look |= {"marker": "o", "markersize": 3, "markevery": np.flatnonzero(alone).tolist()}
    (line,) = axes.plot(x, y, label=name, **({"linewidth": 1.0} | look))
    return line


def name_ends(axes: Axes, lines: list[Line2D], height_inches: float) -> None:
    """Name lines at their ends, in their colours; names that would lie over each other move apart.

    Parameters
    ----------
    height_inches
        Of the axes, about.
    """
    ends = [(line, *end) for line in lines if (end := _last_known(line)) is not None]
    transform = axes.transData + axes.transAxes.inverted()
    places = np.array([transform.transform((x, y))[1] for _, x, y in ends])
    gap = line_height(axes) / (72 * height_inches)
    for (line, x, y), place in zip(ends, spread(places, gap), strict=True):
        axes.annotate(
            str(line.get_label()),
            (x, y),
            xytext=(1.03, float(place)),
            textcoords="axes fraction",
            color=line.get_color(),
            fontsize="small",
            va="center",
            arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": line.get_color(), "shrinkB": 2},
        )


def line_height(axes: Axes) -> float:
    """Of small text, in points."""
    return 1.15 * 0.833 * drawing_of(axes).size.font_points


def spread(places: Array, gap: float) -> Array:
    """Move places apart to a gap at least, keeping their order and, where they fit, within 0 and 1."""
    order = np.argsort(places, kind="stable")
    sorted_places = np.clip(places[order], 0, 1)
    # Pushed up and pushed down: gaps of both are wide enough, and so are those of their mean.
    moved = (_push_up(sorted_places, gap) - _push_up(-sorted_places[::-1], gap)[::-1]) / 2
    if len(moved) and moved[0] < 0:
        moved = _push_up(np.maximum(moved, 0), gap)
    if len(moved) and moved[-1] > 1:
        moved = -_push_up(-np.minimum(moved, 1)[::-1], gap)[::-1]
    found = np.empty_like(moved)
    found[order] = moved
    return found


def _push_up(ascending: Array, gap: float) -> Array:
    """Move each over the one before it."""
    moved = ascending.copy()
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + gap)
    return moved


def _last_known(line: Line2D) -> tuple[float, float] | None:
    x, y = (np.asarray(data, dtype=float) for data in line.get_data())
    known = np.flatnonzero(np.isfinite(y))
    return (float(x[known[-1]]), float(y[known[-1]])) if len(known) else None


def say_empty(axes: Axes, text: str) -> None:
    """Say why a panel shows nothing."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="0.4")
    axes.set_yticks([])


def draw_legend(figure: Drawing, lines: Iterable[Line2D]) -> None:
    """Below all panels, where it covers nothing."""
    unique = {str(line.get_label()): line for line in lines}
    longest = max(map(len, unique), default=0)
    room = figure.size.width_inches * 72 / (0.55 * figure.size.font_points)
    columns = max(1, min(len(unique), int(room // (longest + 8))))
    if unique:
        figure.legend(
            list(unique.values()),
            list(unique),
            loc="outside lower center",
            ncols=columns,
        )
