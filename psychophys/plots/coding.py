"""Figure of the efficient-coding test: the best layer, r and q over depth, beside untrained networks."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from psychophys.comparison.priors import Density
from psychophys.comparison.untrained import control_key
from psychophys.comparison.verdict import kinds_of, layers_of, passing, shown_runs
from psychophys.plots.style import COLOURS, STYLE, WIDTH_INCHES
from psychophys.results.summary import run_name
from psychophys.results.thresholds import Results

BAND: dict[str, Any] = {"color": "0.85", "linewidth": 0, "zorder": 0}
BAND_PERCENT = (2.5, 97.5)
LAWS = {2.0: "infomax", 0.5: "discrimax"}
"""Exponents q of J proportional to p^q (Wei & Stocker 2015; Morais & Pillow 2018)."""


def plot_coding(results: Results, comparison: pd.DataFrame, density: Density | None = None) -> Figure:
    """The best layer's curve, and r and q over depth; grey is where 95 % of the untrained networks lie.

    Parameters
    ----------
    results
        Of the networks that were compared, untrained ones among them.
    comparison
        Of :func:`psychophys.compare`.
    density
        Of the prior, to draw beside the curve.
    """
    tested = shown_runs(comparison)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, 2.4), layout="constrained")
        curve, r, q = figure.subplots(1, 3)
        _draw_best(curve, results, tested[0], density)
        for number, rows in enumerate(tested):
            colour = COLOURS[number % len(COLOURS)]
            _draw_r(r, rows, colour, band=number == 0)
            _draw_q(q, rows, colour, band=number == 0)
        for axes in (r, q):
            axes.set_xlim(-0.03, 1.03)
            axes.set_xlabel("depth (0 first layer, 1 last)")
        r.legend(loc="lower right")
    return figure


def _kind(rows: pd.DataFrame) -> str | None:
    kinds = kinds_of(rows)
    return kinds[0] if kinds else None


def _draw_best(axes: Axes, results: Results, rows: pd.DataFrame, density: Density | None) -> None:
    """Sensitivity over its mean, of the layer with the highest r, beside the prior and the controls' band."""
    layers = layers_of(rows)
    known = layers[layers["r"].notna()]
    if known.empty:
        axes.set_axis_off()
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
    own = own.groupby("value", as_index=False).agg({"share": "mean", "unit": "first", "dimension": "first"})
    kind = _kind(rows)
    if kind is not None:
        others = frame[(frame["weights"] == kind) & (frame["run_id"] != best["run_id"])]
        wide = others.pivot_table(index="run_id", columns="value", values="share")
        low, high = np.nanpercentile(wide.to_numpy(dtype=float), BAND_PERCENT, axis=0)
        axes.fill_between(wide.columns.to_numpy(dtype=float), low, high, **BAND)
    if density is not None:
        values = np.sort(own["value"].unique())
        shown = (density.centres >= values[0]) & (density.centres <= values[-1])
        share = density.density[shown] / np.nanmean(density.at(values))
        axes.plot(density.centres[shown], share, color="black", linewidth=1, linestyle=":", label="prior")
    axes.plot(own["value"], own["share"], color=COLOURS[0], linewidth=1.2, label=str(best["layer"]))
    first = own.iloc[0]
    if first["unit"] == "deg" and len(own) > 1:
        ends = own["value"].iloc[0], own["value"].iloc[-1] + 5
        axes.set_xticks([tick for tick in np.arange(-720, 721, 45) if ends[0] <= tick <= ends[1]])
    axes.set_xlabel(f"{first['dimension']} ({first['unit']})")
    axes.set_ylabel("sensitivity or density\nover its mean")
    axes.legend(loc="upper center")


def _draw_r(axes: Axes, rows: pd.DataFrame, colour: str, band: bool) -> None:
    layers, kind = layers_of(rows), _kind(rows)
    depth = layers["layer_depth"]
    if kind is not None and band:
        label = f"95 % of {int(layers[f'{kind}_n'].max())} {'untrained' if kind == 'random' else kind}"
        axes.fill_between(depth, layers[f"{kind}_r_low"], layers[f"{kind}_r_high"], label=label, **BAND)
    axes.plot(
        depth, layers["r"], color=colour, linewidth=1, marker="o", markersize=3, markerfacecolor="white"
    )
    good = passing(layers, kind) if kind is not None else layers.iloc[:0]
    axes.plot(
        good["layer_depth"],
        good["r"],
        color=colour,
        linestyle="",
        marker="o",
        markersize=3,
        label=run_name(rows.iloc[0]),
    )
    axes.axhline(0, color="grey", linewidth=0.6)
    axes.set_ylim(-1.05, 1.05)
    axes.set_ylabel("r with the prior" if "prior" in rows else "r with human sensitivity")


def _draw_q(axes: Axes, rows: pd.DataFrame, colour: str, band: bool) -> None:
    layers, kind = layers_of(rows), _kind(rows)
    depth, q = layers["layer_depth"], layers["q"]
    if kind is not None and band:
        axes.fill_between(depth, 2 * layers[f"{kind}_slope_low"], 2 * layers[f"{kind}_slope_high"], **BAND)
    ends = np.stack([q - layers["q_low"], layers["q_high"] - q]).astype(float)
    ends = np.where(np.isfinite(ends), np.maximum(ends, 0), np.nan)
    axes.errorbar(depth, q, ends, color=colour, linewidth=1, elinewidth=0.7, marker="o", markersize=2.5)
    axes.axhline(0, color="grey", linewidth=0.6)
    for law, name in LAWS.items():
        axes.axhline(law, color="grey", linewidth=0.6, linestyle=(0, (4, 3)))
        axes.annotate(name, (0.01, law), xytext=(0, 1), textcoords="offset points", fontsize=6, color="0.4")
    axes.set_ylabel("q of J proportional to p$^q$" if "prior" in rows else "exponent q")
