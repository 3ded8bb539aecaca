"""Figure of threshold ratios over depth."""

from __future__ import annotations

from psychophys.base.errors import UsageError
from psychophys.comparison.ratio_table import Ratios
from psychophys.plots.dimensions import label_depth, plain_log
from psychophys.plots.drawing import Drawing, draw_band, draw_legend, draw_line
from psychophys.plots.style import COLOURS, SIZES, USUAL_SIZE

HEIGHT_INCHES = 2.8


def plot_ratios(ratios: Ratios, *, size: str = USUAL_SIZE) -> Drawing:
    """The ratio of every layer over its depth in ``a``, with its interval as a band, a colour a pair.

    Parameters
    ----------
    size
        Of the figure: ``column``, ``page`` or ``talk``.

    Raises
    ------
    UsageError
        Without any ratio.
    """
    frame = ratios.to_pandas()
    frame = frame[frame["ratio"].notna()]
    if frame.empty:
        raise UsageError("no ratio to draw", "Give runs that have thresholds at the same values.")
    chosen = SIZES.find(size)
    with chosen.context():
        figure = Drawing(chosen, HEIGHT_INCHES)
        axes = figure.subplots()
        axes.axhline(1, color="grey", linewidth=0.6, linestyle=(0, (4, 3)))
        lines = []
        for place, rows in frame.groupby("pair"):
            colour = COLOURS[(int(str(place)) - 1) % len(COLOURS)]
            name = f"{rows['b'].iloc[0]} over {rows['a'].iloc[0]}"
            ends = (rows["ratio_low"], rows["ratio_high"])
            draw_band(axes, rows["depth_a"], *ends, name, color=colour, alpha=0.2)
            look = {"color": colour, "marker": "o", "markersize": 3}
            lines.append(draw_line(axes, rows["depth_a"], rows["ratio"], name, **look))
        axes.set_yscale("log")
        plain_log(axes.yaxis, *axes.get_ylim())
        label_depth(axes)
        axes.set_ylabel("ratio of thresholds")
        draw_legend(figure, lines)
        return figure.finish()
