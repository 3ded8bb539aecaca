"""Figure of the efficient-coding test over many models: r over depth, and the exponent q of each."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from psychophys.base.errors import UsageError
from psychophys.base.types import Array
from psychophys.comparison.priors import Density
from psychophys.comparison.verdict import kinds_of, layers_of
from psychophys.comparison.zoo import Overall, over_models, rank_models
from psychophys.plots.coding import BAND, LAWS, plot_coding
from psychophys.plots.style import DEPTH_MAP, STYLE, WIDTH_INCHES
from psychophys.plots.thresholds import MOST_RUNS, plot_comparison
from psychophys.results.thresholds import Results

GRID = np.linspace(0, 1, 41)
MOST_LABELS = 40
"""Models whose names are written: more would lie over each other."""


def plot_any(
    results: Results, comparison: pd.DataFrame, density: Density | None, pixels_per_degree: float
) -> Figure:
    """The figure that a comparison asks for: of few runs, of one model and untrained ones, or of many models.

    Parameters
    ----------
    density
        Of the prior; None for human sensitivity.
    """
    pooled = (comparison["networks"] > 1).any()
    if density is None or (len(comparison["run_id"].unique()) <= MOST_RUNS and not pooled):
        return plot_comparison(results, comparison, density, pixels_per_degree=pixels_per_degree)
    ranking = rank_models(comparison)
    if len(ranking) > 1:
        return plot_models(comparison, ranking, over_models(ranking))
    return plot_coding(results, comparison, density)


def plot_models(comparison: pd.DataFrame, ranking: pd.DataFrame, overall: Overall | None = None) -> Figure:
    """R over depth, a line a model, and q at one depth in the order of r.

    Parameters
    ----------
    comparison
        Of :func:`psychophys.compare`. Grey is where untrained networks lie, over the models' mean.
    ranking
        Of :func:`psychophys.comparison.zoo.rank_models`, with one model or more.
    overall
        Drawn under the models.

    Raises
    ------
    UsageError
        Without any model.
    """
    if ranking.empty:
        raise UsageError("no trained model to draw", "Compare results of trained networks.")
    with mpl.rc_context(STYLE):
        height = max(2.4, 0.13 * min(len(ranking), MOST_LABELS) + 1)
        figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        depth, q = figure.subplots(1, 2)
        _draw_depth(depth, comparison, ranking)
        _draw_forest(q, ranking, overall)
    return figure


def _colours(ranking: pd.DataFrame) -> Array:
    """One a model, the same in both halves of the figure: (models, 4)."""
    return np.asarray(mpl.colormaps[DEPTH_MAP](np.linspace(0, 0.9, len(ranking))), dtype=float)


def _draw_depth(axes: Axes, comparison: pd.DataFrame, ranking: pd.DataFrame) -> None:
    bands = []
    for colour, run in zip(_colours(ranking), ranking["run_id"], strict=True):
        rows = comparison[comparison["run_id"] == run]
        layers = layers_of(rows)
        layers = layers[layers["r"].notna()]
        axes.plot(layers["layer_depth"], layers["r"], color=colour, linewidth=1)
        for kind in kinds_of(rows)[:1]:
            at = layers["layer_depth"].to_numpy(dtype=float)
            ends = [layers[f"{kind}_r_{end}"].to_numpy(dtype=float) for end in ("low", "high")]
            bands.append([np.interp(GRID, at, end, left=np.nan, right=np.nan) for end in ends])
    if bands:
        known = ~np.isnan(bands).all(axis=(0, 1))
        low, high = np.nanmean(np.array(bands)[..., known], axis=0)
        axes.fill_between(GRID[known], low, high, label="95 % of untrained, mean of models", **BAND)
        axes.legend(loc="lower right")
    axes.axhline(0, color="grey", linewidth=0.6)
    axes.set_ylim(-1.05, 1.05)
    axes.set_xlabel("depth (0 first layer, 1 last)")
    axes.set_ylabel("r with the prior" if "prior" in comparison else "r with human sensitivity")


def _draw_forest(axes: Axes, ranking: pd.DataFrame, overall: Overall | None) -> None:
    place = np.arange(len(ranking))
    q = ranking["q"].to_numpy(dtype=float)
    ends = np.stack([q - ranking["q_low"], ranking["q_high"] - q]).astype(float)
    ends = np.where(np.isfinite(ends), np.maximum(ends, 0), np.nan)
    axes.errorbar(q, place, xerr=ends, linestyle="", elinewidth=0.7, ecolor="0.4")
    axes.scatter(q, place, s=10, c=_colours(ranking), zorder=3)
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
        axes.set_yticks(place, names, fontsize=6)
    else:
        axes.set_yticks([])
        axes.set_ylabel(f"{len(ranking)} models")
    axes.invert_yaxis()
    for law, name in LAWS.items():
        axes.axvline(law, color="grey", linewidth=0.6, linestyle=(0, (4, 3)))
        axes.annotate(
            name, (law, 1), xycoords=("data", "axes fraction"), fontsize=6, color="0.4", ha="center"
        )
    axes.axvline(0, color="grey", linewidth=0.6)
    axes.set_xlabel("q of J proportional to p$^q$, with 95 % interval")
