"""Figures of Fisher matrices over two dimensions."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator

from psychophys.base.errors import UsageError
from psychophys.base.types import Array
from psychophys.plots.drawing import Drawing, drawing_of
from psychophys.plots.style import DEPTH_MAP, SIZES, USUAL_SIZE
from psychophys.plots.thresholds import MOST_RUNS
from psychophys.results.fisher_matrices import FisherResults, Stack, stacks
from psychophys.results.summary import run_name

MOST_LAYERS = 8
COLUMNS = 4
FILL = 0.45
"""Half-width of the largest ellipse, in distances between neighbouring points."""


def check_ellipses(n_dimensions: int, n_runs: int = 1) -> None:
    """Raise :class:`UsageError` for what has no figure."""
    if n_dimensions != 2:
        raise UsageError(
            f"a figure of {n_dimensions} dimensions", "Draw two, or leave the figure out and keep the table."
        )
    if n_runs > MOST_RUNS:
        raise UsageError(f"{n_runs} runs are too many for one figure", f"Draw at most {MOST_RUNS}.")


def plot_ellipses(results: FisherResults, *, size: str = USUAL_SIZE) -> Drawing:
    """Draw the changes of two dimensions that are at threshold, delta' J delta = d'^2, around every point.

    Up to ``MOST_LAYERS`` layers of each run, spread over depth. Ellipses are drawn larger than they are;
    each panel's title says by how much. A point without one is marked alone.
    """
    runs: dict[str, list[Stack]] = {}
    for stack in stacks(results):
        runs.setdefault(str(stack.first["run_id"]), []).append(stack)
    if not runs:
        raise UsageError("the results hold no rows", "Give some made by `psychophys fisher`.")
    for layers in runs.values():
        check_ellipses(len(layers[0].dimensions), len(runs))
    shown = [_spread(layers) for layers in runs.values()]
    chosen = SIZES.find(size)
    columns = chosen.beside * COLUMNS // 2
    rows = [-(-len(layers) // columns) for layers in shown]
    with chosen.context():
        figure = Drawing(chosen, 1.9 * sum(rows) + 0.3 * len(rows))
        parts = np.ravel(np.asarray(figure.subfigures(len(rows), 1, height_ratios=rows)))
        for part, layers, count in zip(parts, shown, rows, strict=True):
            part.suptitle(run_name(layers[0].first))
            grid = part.subplots(count, min(columns, len(layers)), squeeze=False)
            for axes in grid.flat[len(layers) :]:
                axes.remove()
            for axes, stack in zip(grid.flat, layers, strict=False):
                _draw(axes, stack)
            for axes in grid[:, 0]:
                axes.set_ylabel(f"{layers[0].dimensions[1]} ({layers[0].units[1]})")
            for axes in grid.flat[max(0, len(layers) - grid.shape[1]) : len(layers)]:
                axes.set_xlabel(f"{layers[0].dimensions[0]} ({layers[0].units[0]})")
        return figure.finish()


def _spread(layers: list[Stack]) -> list[Stack]:
    places = np.linspace(0, len(layers) - 1, min(len(layers), MOST_LAYERS)).round().astype(int)
    return [layers[place] for place in np.unique(places)]


def ellipse(information: Array, dprime: float, count: int = 61) -> Array:
    """Changes at threshold in all directions, from a matrix that has an inverse: (count, 2)."""
    angle = np.linspace(0, 2 * np.pi, count)
    root = np.sqrt(np.diagonal(information))
    # The Cholesky factor of the correlations: units may be of any size.
    factor = np.linalg.cholesky(information / root / root[:, None])
    around = np.stack([np.cos(angle), np.sin(angle)])
    return np.asarray(dprime * np.linalg.solve(factor.T, around).T / root)


def magnification(extents: Array, spacing: Array) -> float:
    """By how much ellipses may be enlarged before neighbours touch, rounded down to one digit.

    Parameters
    ----------
    extents
        Largest half-widths along both dimensions.
    spacing
        Distance between neighbouring points; infinite where there is one value.
    """
    largest = float((FILL * spacing / extents).min())
    if not np.isfinite(largest):
        return 1.0
    power = 10.0 ** np.floor(np.log10(largest))
    return float(max(step * power for step in (1, 2, 3, 5, 7) if step * power <= largest * (1 + 1e-9)))


def _draw(axes: Axes, stack: Stack) -> None:
    colour = DEPTH_MAP(float(stack.first["layer_depth"]))
    drawn = np.isfinite(stack.joint).all(axis=1)
    axes.plot(*stack.points.T, ".", color="grey", markersize=2)
    title = f"{stack.first['layer']}"
    values = [np.unique(column) for column in stack.points.T]
    spacing = np.array([np.diff(v).min() if len(v) > 1 else np.inf for v in values])
    reach = np.where(np.isfinite(spacing), spacing / 2, 0.0)
    if drawn.any():
        extents = stack.joint[drawn].max(axis=0)
        times = magnification(extents, spacing)
        for point, matrix in zip(stack.points[drawn], stack.information[drawn], strict=True):
            around = ellipse(matrix, stack.dprime).T
            axes.plot(*(point[:, None] + times * around), color=colour, linewidth=0.9)
            x, y = point[:, None] + around
            drawing_of(axes).note(axes, name=str(stack.first["layer"]), x=x, y=y)
        title += f" (\u00d7 {times:g})"
        reach = np.where(reach > 0, reach, 1.15 * times * extents)
    axes.set_title(title if drawn.all() else f"{title}, {(~drawn).sum()} without")
    low, high = ([v[end] for v in values] for end in (0, -1))
    if reach.all():
        axes.set_xlim(low[0] - reach[0], high[0] + reach[0])
        axes.set_ylim(low[1] - reach[1], high[1] + reach[1])
    axes.locator_params(nbins=4)
    for axis, unit, ends in zip(
        (axes.xaxis, axes.yaxis), stack.units, (axes.get_xlim(), axes.get_ylim()), strict=True
    ):
        if unit == "deg" and ends[1] - ends[0] >= 90:
            axis.set_major_locator(MultipleLocator(45 if ends[1] - ends[0] < 270 else 120))
