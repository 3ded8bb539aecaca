"""Figure of the efficient-coding test: the best layer, r and q over depth, beside untrained networks."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from psychophys.comparison.priors import Density
from psychophys.comparison.untrained import control_key
from psychophys.comparison.verdict import kinds_of, layers_of, passing, shown_runs
from psychophys.plots.dimensions import label_depth, label_dimension
from psychophys.plots.drawing import Drawing, draw_band, draw_legend, draw_line, say_empty
from psychophys.plots.style import BAND, COLOURS, GREYS, SIZES, USUAL_SIZE
from psychophys.results.summary import run_name
from psychophys.results.thresholds import Results

BAND_PERCENT = (2.5, 97.5)
LAWS = {2.0: "infomax", 0.5: "discrimax"}
"""Exponents q of J proportional to p^q (Wei & Stocker 2015; Morais & Pillow 2018)."""
ROW, PRIOR_SHARE = 3.0, 0.4
"""Height in inches, and how much of it the prior takes."""


def plot_coding(
    results: Results, comparison: pd.DataFrame, density: Density | None = None, *, size: str = USUAL_SIZE
) -> Drawing:
    """The best layer's curve, and r and q over depth; grey is where 95 % of the untrained networks lie.

    Parameters
    ----------
    results
        Of the networks that were compared, untrained ones among them.
    comparison
        Of :func:`psychophys.compare`.
    density
        Of the prior, to draw above the curve.
    size
        ``column``, ``page`` or ``talk``.
    """
    chosen = SIZES.find(size)
    tested = shown_runs(comparison)
    beside = 1 if chosen.beside == 1 else 3
    with chosen.context():
        figure = Drawing(chosen, ROW * 3 / beside)
        grid = figure.add_gridspec(3 // beside, beside)
        places = [grid[i // beside, i % beside] for i in range(3)]
        halves = places[0].subgridspec(2, 1, height_ratios=(PRIOR_SHARE, 1 - PRIOR_SHARE))
        prior = figure.add_subplot(halves[0]) if density is not None else None
        _draw_best(
            figure.add_subplot(halves[1] if density else places[0]), prior, results, tested[0], density
        )
        r, q = (figure.add_subplot(place) for place in places[1:])
        lines: list[Line2D] = []
        for number, rows in enumerate(tested):
            colour = GREYS.get(str(rows["weights"].iloc[0]), COLOURS[number % len(COLOURS)])
            lines += _draw_r(r, rows, colour, band=number == 0)
            _draw_q(q, rows, colour, band=number == 0)
        _draw_laws(q)
        for axes in (r, q):
            label_depth(axes)
        draw_legend(figure, lines)
        return figure.finish()


def _kind(rows: pd.DataFrame) -> str | None:
    kinds = kinds_of(rows)
    return kinds[0] if kinds else None


def _draw_best(
    axes: Axes, prior: Axes | None, results: Results, rows: pd.DataFrame, density: Density | None
) -> None:
    """Sensitivity over its mean, of the layer with the highest r, under the prior; the controls' band."""
    layers = layers_of(rows)
    known = layers[layers["r"].notna()]
    if known.empty:
        for panel in filter(None, (axes, prior)):
            say_empty(panel, "no correlation is known")
        return
    best = known.iloc[int(np.argmax(known["r"]))]
    frame = results.to_pandas()
    key = control_key(results.runs[best["run_id"]])
    alike = [run for run, record in results.runs.items() if control_key(record) == key]
    frame = frame[(frame["layer"] == best["layer"]) & frame["run_id"].isin(alike)]
    frame = frame.assign(
        share=frame["sensitivity"] / frame.groupby("run_id")["sensitivity"].transform("mean")
    )
    of_run = frame["run_id"] == best["run_id"]
    own = frame[frame["weights"] == best["weights"] if best["networks"] > 1 else of_run]
    own = own.groupby("value", as_index=False).agg(
        {"share": "mean", "unit": "first", "dimension": "first", "stimulus": "first"}
    )
    kind = _kind(rows)
    if kind is not None:
        others = frame[(frame["weights"] == kind) & (frame["run_id"] != best["run_id"])]
        wide = others.pivot_table(index="run_id", columns="value", values="share")
        low, high = np.nanpercentile(wide.to_numpy(dtype=float), BAND_PERCENT, axis=0)
        draw_band(axes, wide.columns.to_numpy(dtype=float), low, high, kind, **BAND)
    line = draw_line(axes, own["value"], own["share"], str(best["layer"]), color=COLOURS[0], linewidth=1.2)
    label_dimension(axes, own)
    axes.set_ylabel("sensitivity")
    axes.set_title(fill(f"{line.get_label()} over its mean", 26))
    if density is not None and prior is not None:
        values = np.sort(own["value"].unique())
        shown = (density.centres >= values[0]) & (density.centres <= values[-1])
        share = density.density[shown] / np.nanmean(density.at(values))
        label_dimension(prior, own)
        draw_line(prior, density.centres[shown], share, "prior", color="black")
        prior.set_xlim(axes.get_xlim())
        prior.set_xlabel("")
        prior.set_ylabel("density")
        prior.set_title("prior over its mean")


def _draw_r(axes: Axes, rows: pd.DataFrame, colour: str, band: bool) -> list[Line2D]:
    """Full where training made the difference; returns what the legend names."""
    layers, kind = layers_of(rows), _kind(rows)
    depth, name = layers["layer_depth"], run_name(rows.iloc[0])
    handles: list[Line2D] = []
    if kind is not None and band:
        label = f"95 % of {int(layers[f'{kind}_n'].max())} {'untrained' if kind == 'random' else kind}"
        draw_band(axes, depth, layers[f"{kind}_r_low"], layers[f"{kind}_r_high"], label, **BAND)
        handles.append(Line2D([], [], color=BAND["color"], linewidth=6, label=label))
    look: dict[str, Any] = {"color": colour, "marker": "o", "markersize": 3}
    handles.append(draw_line(axes, depth, layers["r"], name, markerfacecolor="white", **look))
    good = passing(layers, kind) if kind is not None else layers.iloc[:0]
    if len(good):
        label = f"beyond untrained: {name}" if kind == "random" else f"beyond {kind}: {name}"
        axes.plot(good["layer_depth"], good["r"], linestyle="", label="_good", **look)
        handles.append(Line2D([], [], linestyle="", label=label, **look))
    axes.axhline(0, color="grey", linewidth=0.6)
    axes.set_ylim(-1.05, 1.05)
    axes.set_ylabel("r with the prior" if "prior" in rows else "r with human sensitivity")
    return handles


def _draw_q(axes: Axes, rows: pd.DataFrame, colour: str, band: bool) -> None:
    layers, kind = layers_of(rows), _kind(rows)
    depth, q = layers["layer_depth"], layers["q"]
    if kind is not None and band:
        ends = (2 * layers[f"{kind}_slope_low"], 2 * layers[f"{kind}_slope_high"])
        draw_band(axes, depth, *ends, f"{kind} networks", **BAND)
    name = run_name(rows.iloc[0])
    draw_band(axes, depth, layers["q_low"], layers["q_high"], name, color=colour, alpha=0.2)
    draw_line(axes, depth, q, name, color=colour, marker="o", markersize=2.5)
    if not q.notna().any():
        say_empty(axes, "no exponent is known")
    # An interval may be far wider than all else: it goes on beyond the panel.
    least, most = (-0.3, 2.2) if band else axes.get_ylim()
    axes.set_ylim(np.nanmin([least, q.min() - 0.6]), np.nanmax([most, q.max() + 0.6]))
    axes.set_ylabel("q of J proportional to p$^q$" if "prior" in rows else "exponent q")


def _draw_laws(axes: Axes) -> None:
    axes.axhline(0, color="grey", linewidth=0.6)
    for law, name in LAWS.items():
        axes.axhline(law, color="grey", linewidth=0.6, linestyle=(0, (4, 3)))
        axes.annotate(
            name, (0.01, law), xytext=(0, 1), textcoords="offset points", fontsize="small", color="0.4"
        )
