"""Figure of a battery: how far each layer is from people, reference by reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from psychophys.base.errors import UsageError
from psychophys.comparison.battery.table import BatteryResults
from psychophys.comparison.people.reference import Reference
from psychophys.plots.dimensions import plain_log
from psychophys.plots.drawing import Drawing, drawing_of
from psychophys.plots.style import DEPTH_MAP, SIZES, USUAL_SIZE
from psychophys.results.summary import run_name

INCHES_A_LINE, FURNITURE_INCHES = 0.22, 1.1
MOST_RUNS = 3


def check_battery(references: Sequence[Reference], n_networks: int) -> None:
    """Raise :class:`UsageError` for a battery that cannot be drawn."""
    if n_networks > MOST_RUNS:
        raise UsageError(f"a figure of {n_networks} networks", f"Draw {MOST_RUNS} or fewer.")
    kinds = {(one.dimension, one.stimuli[0]) for one in references if one.kind == "absolute"}
    if len(kinds) < 2:
        raise UsageError(
            "a figure of ratios, which need references with absolute thresholds of two dimensions or more",
            "Give more --references, or leave the figure out.",
        )


def plot_battery(found: BatteryResults, *, size: str = USUAL_SIZE) -> Drawing:
    """Ratios of thresholds to people's, each layer with the one noise that fits it best; a panel a network.

    Parameters
    ----------
    size
        ``column``, ``page`` or ``talk``.

    Raises
    ------
    UsageError
        For more than ``MOST_RUNS`` networks.
    """
    frame = found.to_pandas()
    frame = frame[(frame["kind"] == "absolute") & frame["n_values"].gt(0)]
    runs = list(frame.groupby("run_id", sort=False))
    if not 1 <= len(runs) <= MOST_RUNS:
        raise UsageError(f"a figure of {len(runs)} networks", f"Draw 1 to {MOST_RUNS}.")
    names = list(dict.fromkeys(frame["reference"]))
    chosen = SIZES.find(size)
    with chosen.context():
        figure = Drawing(chosen, FURNITURE_INCHES + INCHES_A_LINE * len(names))
        panels = np.atleast_1d(figure.subplots(1, len(runs), sharex=True, sharey=True))
        for axes, (_, rows) in zip(panels, runs, strict=True):
            axes.set_title(run_name(rows.iloc[0]))
            axes.axvline(1, color="grey", linewidth=0.6, linestyle=(0, (4, 3)))
            _draw(axes, rows, names)
        panels[0].set_yticks(range(len(names)), names)
        panels[0].invert_yaxis()
        panels[0].set_xscale("log")
        plain_log(panels[0].xaxis, *panels[0].get_xlim())
        figure.supxlabel("threshold over people's (dark: early layers, light: late)")
        return figure.finish()


def _draw(axes: Axes, rows: pd.DataFrame, names: list[str]) -> None:
    places = rows["reference"].map(names.index)
    axes.scatter(rows["matched_ratio"], places, c=rows["layer_depth"], cmap=DEPTH_MAP, vmin=0, vmax=1, s=14)
    for reference, part in rows.groupby("reference", sort=False):
        drawing_of(axes).note(axes, name=str(reference), x=part["matched_ratio"], y=places[part.index])
