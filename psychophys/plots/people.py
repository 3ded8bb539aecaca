"""All human references in one figure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from psychophys.comparison.human_curve import human_curve
from psychophys.comparison.people.reference import Reference
from psychophys.comparison.references import REFERENCES
from psychophys.plots.dimensions import find_parameter, log_thresholds, scale_dimension
from psychophys.plots.drawing import Drawing, draw_band, draw_line
from psychophys.plots.style import COLOURS, SIZES, USUAL_SIZE

ROW = 2.5
"""Height in inches of a row of panels."""
ROOM = 0.12
"""For the name of a curve, as a share of the height of the others."""


def plot_people(*, size: str = USUAL_SIZE) -> Drawing:
    """People's thresholds: a panel for each dimension and unit, with the published spread as a band.

    Curves of shape alone are dashed, and scaled to the others of their panel, or to a mean of 1.

    Parameters
    ----------
    size
        ``column``, ``page`` or ``talk``.
    """
    panels: dict[tuple[str, str, str], list[Reference]] = {}
    for one in REFERENCES.values():
        if one.recipe is not None:
            panels.setdefault((one.recipe.stimulus, one.dimension, one.axis), []).append(one)
    chosen = SIZES.find(size)
    with chosen.context():
        lines = -(-len(panels) // chosen.beside)
        figure = Drawing(chosen, ROW * lines + 0.2)
        grid = figure.add_gridspec(lines, chosen.beside)
        for number, (what, references) in enumerate(panels.items()):
            place = grid[number // chosen.beside, number % chosen.beside]
            _draw_panel(figure.add_subplot(place), what, references)
        return figure.finish()


def _draw_panel(axes: Axes, what: tuple[str, str, str], references: Sequence[Reference]) -> None:
    absolute = [one for one in references if one.kind == "absolute"]
    values = []
    for number, one in enumerate(references):
        curve, colour = human_curve(one), COLOURS[number % len(COLOURS)]
        is_shape = one.kind == "shape"
        scale = _scale(one, curve, absolute) if is_shape else 1.0
        look = {"color": colour, "linestyle": "--" if is_shape else "-"}
        name = f"{one.name} (shape)" if is_shape else one.name
        draw_line(axes, curve["value"], scale * curve["threshold"], name, **look)
        ends = (scale * curve["low"], scale * curve["high"])
        draw_band(axes, curve["value"], *ends, one.name, color=colour, alpha=0.15)
        values.append(curve["value"].to_numpy())
    stimulus, dimension, axis = what
    scale_dimension(axes, np.unique(np.concatenate(values)), find_parameter(stimulus, axis))
    axes.set_title(f"{dimension} of {stimulus}")
    axes.set_xlabel(f"{axis} ({references[0].axis_unit})")
    axes.set_ylabel(f"threshold ({absolute[0].unit if absolute else 'over its mean'})")
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** (ROOM * len(references)))
    log_thresholds(axes)
    axes.legend(loc="upper left", fontsize="x-small")


def _scale(shape: Reference, curve: pd.DataFrame, absolute: Sequence[Reference]) -> float:
    """Factor that puts a shape on the first absolute curve, where both are known; or its mean on 1."""
    if not absolute:
        return float(np.exp(-np.nanmean(np.log(curve["threshold"]))))
    other = human_curve(absolute[0])
    here = human_curve(shape, other["value"].to_numpy())
    return float(np.exp(np.nanmean(np.log(other["threshold"] / here["threshold"]))))
