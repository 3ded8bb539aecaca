"""Changes of a photograph by layer, as pictures: what is seen most, and what is seen least."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.gridspec import GridSpec

from psychophys.base.errors import UsageError, unknown
from psychophys.base.types import Array
from psychophys.plots.drawing import Drawing, say_empty
from psychophys.plots.style import SIZES, USUAL_SIZE, Size
from psychophys.results.distortions import ENDS, Distortions, Shown, pictures
from psychophys.results.summary import run_name
from psychophys.results.words import number

NORM, THRESHOLD = "norm", "threshold"
RMS = 0.1
"""Of changes that are shown at equal norm: well seen, and not so large that much is cut off."""
MOST_ROWS = 100
GAP = 0.06
"""Between pictures, as a share of one."""
FEWEST_LETTERS, WIDEST_WORDS = 15, 0.3
"""Of the column of words: letters, and the largest share of the width."""
FULL = 0.998
"""Share of pixel values that a picture of a change shows in full; the rest are cut off."""


def settle_shown(at: str, rms: float | None) -> float | None:
    """The r.m.s. that :func:`plot_distortions` takes: None for changes at threshold."""
    if at not in (NORM, THRESHOLD):
        raise unknown("way to show changes", at, (NORM, THRESHOLD))
    if at == THRESHOLD:
        if rms is not None:
            raise UsageError(f"r.m.s. {rms:g} of changes at threshold", "Leave out --rms, or give --at norm.")
        return None
    if rms is not None and not 0 < rms <= 1:
        raise UsageError(f"r.m.s. {rms:g} of pixel values from 0 to 1", "Give a number over 0, up to 1.")
    return RMS if rms is None else rms


def plot_distortions(found: Distortions, *, rms: float | None = RMS, size: str = USUAL_SIZE) -> Drawing:
    """Draw the photograph, and for every layer the changes at both ends and the photograph with them.

    Parameters
    ----------
    rms
        Of the changes that are added, over all pixel values; None adds each at its threshold.
    size
        ``column``, ``page`` or ``talk``.
    """
    if rms is not None:
        settle_shown(NORM, rms)
    rows, chosen = _by_layer(found), SIZES.find(size)
    with chosen.context():
        if not rows or len(rows) > MOST_ROWS:
            figure = Drawing(chosen, 1.0)
            many = f"{len(rows)} rows of pictures are too many: choose layers"
            say_empty(figure.subplots(), many if rows else "no layer depends on the photograph")
            return figure.finish()
        layout = _Layout(chosen, rows, rms)
        figure = Drawing(chosen, 1.0, layout=None)
        figure.set_size_inches(chosen.width_inches, layout.height)
        grid = layout.grid(figure)
        _head(figure, grid, rows, layout.caption)
        for place, row in enumerate(rows, start=2):
            _draw_row(figure, grid, place, row, rms, layout.letters)
        return figure.finish()


class _Layout:
    """What is where, in inches."""

    def __init__(self, size: Size, rows: Sequence[Mapping[str, Shown]], rms: float | None) -> None:
        self.size, self.count = size, len(rows)
        self.line = 1.3 * size.font_points / 72
        letter = 0.58 * size.font_points / 72
        longest = max(len(_name(next(iter(row.values())).row)) for row in rows)
        self.letters = min(max(longest, FEWEST_LETTERS), int(WIDEST_WORDS * size.width_inches / letter))
        self.words = self.letters * letter
        self.cell = (size.width_inches * 0.98 - self.words) / (4 + 4 * GAP)
        first = next(iter(rows[0].values()))
        tall, wide = first.photograph.shape[:2]
        self.tall = self.cell * tall / wide
        self.caption = fill(_caption(first.row, rms), int(2.95 * self.cell / (0.52 * size.font_points / 72)))
        self.head = max(self.tall, (1 + self.caption.count("\n")) * self.line)

    @property
    def height(self) -> float:
        """Of all."""
        gaps = (self.count + 1) * GAP * self.tall
        return float(self.head + self.line + self.count * self.tall + gaps) / 0.98

    def grid(self, figure: Drawing) -> GridSpec:
        """A row of the photograph, one of labels, and one for each of the rows."""
        mean = (self.head + self.line + self.count * self.tall) / (2 + self.count)
        return GridSpec(
            2 + self.count,
            5,
            figure,
            width_ratios=[self.words, *([self.cell] * 4)],
            height_ratios=[self.head, self.line, *([self.tall] * self.count)],
            left=0.01,
            right=0.99,
            bottom=0.01,
            top=0.99,
            wspace=GAP * self.cell / ((self.words + 4 * self.cell) / 5),
            hspace=GAP * self.tall / mean,
        )


def _by_layer(found: Distortions) -> list[dict[str, Shown]]:
    """By run, layer and rank, in the order of the table: what there is of each end."""
    rows: dict[tuple[Any, ...], dict[str, Shown]] = {}
    for shown in pictures(found):
        key = tuple(shown.row[name] for name in ("run_id", "model", "layer", "rank"))
        rows.setdefault(key, {})[str(shown.row["end"])] = shown
    return list(rows.values())


def _ends(row: Mapping[str, Shown]) -> tuple[str, str]:
    return ("more", "less") if "more" in row or "less" in row else ("most", "least")


def _head(figure: Drawing, grid: GridSpec, rows: Sequence[Mapping[str, Shown]], caption: str) -> None:
    """The photograph as it is, and what the pictures below are."""
    axes = figure.add_subplot(grid[0, 1])
    axes.set_anchor("N")
    _show(axes, next(iter(rows[0].values())).photograph)
    place = grid[0, 2].get_position(figure)
    figure.text(place.x0, place.y1, caption, va="top")
    for column, end in zip((1, 3), _ends(rows[0]), strict=True):
        for beside, text in enumerate((ENDS[end], "added")):
            label = grid[1, column + beside].get_position(figure)
            middle = (label.x0 + label.x1) / 2
            figure.text(middle, label.y0, text, ha="center", va="bottom", fontsize="small")


def _caption(row: pd.Series, rms: float | None) -> str:
    who = run_name(row)
    size = "at threshold" if rms is None else f"at a r.m.s. of {rms:g} of all pixel values (0 to 1)"
    words = f"{row['image']}, and the changes of it that {who} sees "
    words += (
        f"more and less than {row['against']} does"
        if isinstance(row["against"], str)
        else "most and least, layer by layer"
    )
    return (
        f"{words}. Changes are drawn about grey, each in its own contrast; added to the photograph they "
        f"are {size}. Numbers: thresholds, r.m.s. at d' {row['criterion_dprime']:g}."
    )


def _draw_row(
    figure: Drawing, grid: GridSpec, place: int, row: Mapping[str, Shown], rms: float | None, letters: int
) -> None:
    """Words, and two pictures for each end."""
    first, words = next(iter(row.values())).row, grid[place, 0].get_position(figure)
    line = 1.3 * figure.size.font_points / 72 / figure.get_figheight()
    name = fill(_name(first), letters)
    figure.text(words.x0, words.y1, name, va="top", weight="bold")
    below = words.y1 - (1 + name.count("\n")) * line
    figure.text(words.x0, below, _numbers(row), va="top", fontsize="small")
    for column, end in zip((1, 3), _ends(row), strict=True):
        if end not in row:
            continue
        shown = row[end]
        changed = figure.add_subplot(grid[place, column])
        _show(changed, about_grey(shown.change))
        _show(figure.add_subplot(grid[place, column + 1]), shown.changed(rms))
        figure.note(changed, name=f"{_name(first)} {ENDS[end]}", x=[place], y=[shown.row["threshold"]])


def _name(row: pd.Series) -> str:
    name = str(row["layer"]) if pd.notna(row["layer_index"]) else str(row["model"])
    return f"{name}, {row['rank']}" if row["rank"] > 1 else name


def _numbers(row: Mapping[str, Shown]) -> str:
    lines = []
    for end, shown in row.items():
        lines.append(f"{end} {_threshold(shown.row['threshold'])}")
        if isinstance(shown.row["against"], str):
            lines.append(f" other {_threshold(shown.row['threshold_against'])}")
        if pd.notna(shown.row["threshold_human"]) and pd.notna(shown.row["layer_index"]):
            lines.append(f" people {_threshold(shown.row['threshold_human'])}")
    return "\n".join(lines)


def _threshold(value: float) -> str:
    return "not seen" if np.isinf(value) else number(value)


def about_grey(change: Array) -> Array:
    """A change as a picture: 0 is mid-grey, and nearly all of it is in full."""
    most = float(np.quantile(np.abs(change), FULL)) or float(np.abs(change).max())
    return np.clip(0.5 + 0.5 * change / most, 0, 1) if most > 0 else np.full_like(change, 0.5)


def _show(axes: Axes, picture: Array) -> None:
    axes.imshow(picture, interpolation="none", vmin=0, vmax=1)
    axes.set_axis_off()
