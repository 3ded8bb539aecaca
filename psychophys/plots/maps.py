"""Maps of sensitivity by layer and value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm

from psychophys.comparison.human import Matched
from psychophys.plots.dimensions import beyond, label_layers, ratio_norm, tick_cells, ticks_around_one
from psychophys.plots.drawing import drawing_of, line_height
from psychophys.plots.style import RATIO_MAP
from psychophys.results.summary import run_name


def share_of_mean(run: pd.DataFrame) -> pd.Series:
    """Sensitivity over that of its layer on average."""
    sensitivity = run["sensitivity"]
    return sensitivity / sensitivity.groupby(run["layer"]).transform("mean")


def sharing(every: Sequence[Axes]) -> list[list[Axes]]:
    """Panels that have one colour bar: all, or, where other panels lie between them, each its own."""
    alone = drawing_of(every[0]).size.beside == 1
    return [[axes] for axes in every] if alone else [list(every)]


def shrink_bar(every: Sequence[Axes]) -> float:
    """Long bars are no easier to read than those of one panel or two."""
    return min(1.0, 1.5 / len(every)) if len(every) > 1 else 1.0


def draw_maps(
    every: Sequence[Axes], runs: Sequence[pd.DataFrame], beside: Sequence[Matched], height_inches: float
) -> None:
    """Sensitivity by layer and value, in colours that all maps share.

    Parameters
    ----------
    height_inches
        Of a map, about.
    """
    if not every:
        return
    ratios = pd.concat([share_of_mean(run) for run in runs]).to_numpy(dtype=float)
    norm = ratio_norm(ratios)
    for number, (axes, run) in enumerate(zip(every, runs, strict=True)):
        image = _draw_map(axes, run, norm, height_inches)
        if beside and beside[number].across:
            axes.set_xlabel(f"{beside[number].reference.axis} ({beside[number].reference.axis_unit})")
    for group in sharing(every):
        bar = group[0].figure.colorbar(
            image, ax=group, pad=0.02, aspect=30, extend=beyond(ratios, norm), shrink=shrink_bar(group)
        )
        bar.set_label("sensitivity over\nthe layer's mean")
        ticks = ticks_around_one(norm)
        bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
        bar.minorticks_off()
        bar.outline.set_visible(False)


def _draw_map(axes: Axes, run: pd.DataFrame, norm: LogNorm, height_inches: float) -> QuadMesh:
    table = run.assign(share=share_of_mean(run)).pivot_table(
        "share", "layer", "value", sort=False, dropna=False
    )
    table = table[sorted(table.columns)]
    # Cells of one size: the values may be spaced in any way.
    image = axes.pcolormesh(
        np.arange(len(table.columns)),
        np.arange(len(table)),
        table.to_numpy(),
        cmap=RATIO_MAP,
        norm=norm,
        rasterized=True,
    )
    axes.set_facecolor("0.8")
    for name, row in table.iterrows():
        drawing_of(axes).note(axes, name=str(name), x=table.columns.to_numpy(dtype=float), y=row.to_numpy())
    label_layers(axes, [str(name) for name in table.index], int(72 * (height_inches) / line_height(axes)))
    for label in axes.get_yticklabels():
        label.set_fontsize("small")
    axes.invert_yaxis()
    tick_cells(axes, run, table.columns.to_numpy(dtype=float))
    axes.set_xlabel(f"{run['dimension'].iloc[0]} ({run['unit'].iloc[0]})")
    axes.set_title(run_name(run.iloc[0]))
    return image
