"""Figure of the efficient-coding test over many models: r over depth, and the exponent q of each."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from psychophys.base.errors import UsageError
from psychophys.base.types import Array
from psychophys.comparison.priors import Density
from psychophys.comparison.verdict import kinds_of, layers_of
from psychophys.comparison.zoo import Overall, over_models, rank_models
from psychophys.plots.coding import LAWS, plot_coding
from psychophys.plots.dimensions import label_depth
from psychophys.plots.drawing import Drawing, draw_band, draw_legend, draw_line, drawing_of
from psychophys.plots.style import BAND, DEPTH_MAP, SIZES, USUAL_SIZE
from psychophys.plots.thresholds import MOST_RUNS, plot_comparison
from psychophys.results.thresholds import Results

GRID = np.linspace(0, 1, 41)
UNTRAINED = "95 % of untrained, mean of models"
MOST_LABELS = 40
"""Models whose names are written: more would lie over each other."""


def plot_any(
    results: Results,
    comparison: pd.DataFrame,
    density: Density | None,
    pixels_per_degree: float | None,
    *,
    size: str = USUAL_SIZE,
) -> Drawing:
    """The figure that a comparison asks for: of few runs, of one model and untrained ones, or of many models.

    Parameters
    ----------
    density
        Of the prior; None for human sensitivity.
    """
    pooled = (comparison["networks"] > 1).any()
    if density is None or (len(comparison["run_id"].unique()) <= MOST_RUNS and not pooled):
        return plot_comparison(results, comparison, density, pixels_per_degree=pixels_per_degree, size=size)
    ranking = rank_models(comparison)
    if len(ranking) > 1:
        return plot_models(comparison, ranking, over_models(ranking), size=size)
    return plot_coding(results, comparison, density, size=size)


def plot_models(
    comparison: pd.DataFrame,
    ranking: pd.DataFrame,
    overall: Overall | None = None,
    *,
    size: str = USUAL_SIZE,
) -> Drawing:
    """R over depth, a line a model, and q at one depth in the order of r.

    Parameters
    ----------
    comparison
        Of :func:`psychophys.compare`. Grey is where untrained networks lie, over the models' mean.
    ranking
        Of :func:`psychophys.comparison.zoo.rank_models`, with one model or more.
    overall
        Drawn under the models.
    size
        ``column``, ``page`` or ``talk``.

    Raises
    ------
    UsageError
        Without any model.
    """
    if ranking.empty:
        raise UsageError("no trained model to draw", "Compare results of trained networks.")
    chosen = SIZES.find(size)
    with chosen.context():
        height = max(2.4, 0.13 * min(len(ranking), MOST_LABELS) + 1)
        stacked = chosen.beside == 1
        figure = Drawing(chosen, height + (2.4 if stacked else 0) + 0.2)
        depth, q = figure.subplots(2, 1, height_ratios=(2.4, height)) if stacked else figure.subplots(1, 2)
        handles = _draw_depth(depth, comparison, ranking)
        _draw_forest(q, ranking, overall)
        draw_legend(figure, handles)
        return figure.finish()


def _colours(ranking: pd.DataFrame) -> Array:
    """One a model, the same in both halves of the figure: (models, 4)."""
    return np.asarray(DEPTH_MAP(np.linspace(0, 1, len(ranking))), dtype=np.float64)


def _draw_depth(axes: Axes, comparison: pd.DataFrame, ranking: pd.DataFrame) -> list[Line2D]:
    bands = []
    for colour, run, name in zip(_colours(ranking), ranking["run_id"], ranking["name"], strict=True):
        rows = comparison[comparison["run_id"] == run]
        layers = layers_of(rows)
        layers = layers[layers["r"].notna()]
        draw_line(axes, layers["layer_depth"], layers["r"], str(name), color=tuple(colour))
        for kind in kinds_of(rows)[:1]:
            at = layers["layer_depth"].to_numpy(dtype=float)
            ends = [layers[f"{kind}_r_{end}"].to_numpy(dtype=float) for end in ("low", "high")]
            bands.append([np.interp(GRID, at, end, left=np.nan, right=np.nan) for end in ends])
    if bands:
        known = ~np.isnan(bands).all(axis=(0, 1))
        low, high = np.nanmean(np.array(bands)[..., known], axis=0)
        draw_band(axes, GRID[known], low, high, UNTRAINED, **BAND)
    axes.axhline(0, color="grey", linewidth=0.6)
    axes.set_ylim(-1.05, 1.05)
    label_depth(axes)
    axes.set_ylabel("r with the prior" if "prior" in comparison else "r with human sensitivity")
    return [Line2D([], [], color=BAND["color"], linewidth=6, label=UNTRAINED)] if bands else []


def _draw_forest(axes: Axes, ranking: pd.DataFrame, overall: Overall | None) -> None:
    place = np.arange(len(ranking))
    q = ranking["q"].to_numpy(dtype=float)
    ends = np.stack([q - ranking["q_low"], ranking["q_high"] - q]).astype(float)
    ends = np.where(np.isfinite(ends), np.maximum(ends, 0), np.nan)
    axes.errorbar(q, place, xerr=ends, linestyle="", elinewidth=0.7, ecolor="0.4")
    axes.scatter(q, place, s=10, c=_colours(ranking), zorder=3)
    drawing_of(axes).note(axes, name=ranking["name"], x=q, low=ranking["q_low"], high=ranking["q_high"])
    alone = not ranking["model"].duplicated().any()
    names = list(ranking["model" if alone else "name"])
    if overall is not None:
        place = np.append(place, len(place))
        names.append(f"{overall.n} models")
        reach = [[overall.mean - overall.low], [overall.high - overall.mean]]
        axes.errorbar(
            [overall.mean], place[-1:], xerr=reach, marker="D", markersize=4, color="black", linestyle=""
        )
    if len(place) <= MOST_LABELS + 1:
        axes.set_yticks(place, names, fontsize="small")
    else:
        axes.set_yticks([])
        axes.set_ylabel(f"{len(ranking)} models")
    axes.invert_yaxis()
    for law, name in LAWS.items():
        axes.axvline(law, color="grey", linewidth=0.6, linestyle=(0, (4, 3)))
        axes.annotate(
            name, (law, 1), xycoords=("data", "axes fraction"), fontsize="small", color="0.4", ha="center"
        )
    axes.axvline(0, color="grey", linewidth=0.6)
    axes.set_xlabel("q of J proportional to p$^q$,\nwith 95 % interval")
