"""Figure of threshold ratios over depth."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from psychophys.base.errors import UsageError
from psychophys.comparison.ratio_table import Ratios
from psychophys.plots.style import COLOURS, STYLE, WIDTH_INCHES


def plot_ratios(ratios: Ratios) -> Figure:
    """The ratio of every layer over its depth in ``a``, with its interval, a colour a pair.

    Raises
    ------
    UsageError
        Without any ratio.
    """
    frame = ratios.to_pandas()
    frame = frame[frame["ratio"].notna()]
    if frame.empty:
        raise UsageError("no ratio to draw", "Give runs that have thresholds at the same values.")
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES * 0.7, 3.2), layout="constrained")
        axes = figure.subplots()
        for place, rows in frame.groupby("pair"):
            ratio = rows["ratio"].to_numpy(dtype=float)
            ends = np.stack([ratio - rows["ratio_low"], rows["ratio_high"] - ratio]).astype(float)
            colour = COLOURS[(int(str(place)) - 1) % len(COLOURS)]
            label = f"{rows['b'].iloc[0]} over {rows['a'].iloc[0]}"
            axes.errorbar(
                rows["depth_a"], ratio, yerr=ends, color=colour, marker="o", markersize=3, linewidth=1,
                elinewidth=0.7, label=label,
            )  # fmt: skip
        axes.axhline(1, color="grey", linewidth=0.6, linestyle=(0, (4, 3)))
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(
            FuncFormatter(lambda value, _: f"{value:g}")
            if np.ptp(np.log10(frame["ratio"])) < 1
            else NullFormatter()
        )
        axes.set_xlabel("depth (0 first layer, 1 last)")
        axes.set_ylabel("ratio of thresholds")
        axes.legend(loc="best")
    return figure
