"""A table and a figure from the directory of a sweep: the oblique effect through the depth of networks.

python examples/analyse_zoo.py RESULTS [-o zoo]

Writes zoo.csv (one row a run and layer) and zoo.png.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

import psychophys

mpl.use("Agg")
# Okabe and Ito's colours, which the colour-blind can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = {"pretrained": "-", "random": "--", "shuffled": ":"}


def table_of(results: psychophys.Results) -> pd.DataFrame:
    """The summary of every layer, with its depth and the index of its layer."""
    frame = results.to_pandas()
    if set(frame["dimension"]) != {"orientation"}:
        raise SystemExit("this example is for sweeps over orientation")
    depth = frame.groupby(["run_id", "layer"], sort=False)["layer_depth"].first()
    return psychophys.summarize(results).join(depth, on=["run_id", "layer"])


def draw(axes: Axes, table: pd.DataFrame) -> None:
    """Ratio of sensitivities over depth, a line a run."""
    colour = dict(zip(table["model"].unique(), COLOURS * len(table), strict=False))
    for _, run in table.groupby("run_id", sort=False):
        model, weights = run[["model", "weights"]].iloc[0]
        axes.plot(
            run["layer_depth"],
            run["cardinal_oblique_ratio"],
            color=colour[model],
            linestyle=STYLES.get(weights, "-."),
            marker=".",
            label=f"{model} ({weights})",
        )
    axes.axhline(1, color="grey", linewidth=0.8)
    axes.set_xlabel("depth in the network (0: first layer, 1: last)")
    axes.set_ylabel("sensitivity, cardinal / oblique")
    axes.set_yscale("log")
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 1.5, 2, 3, 5, 10) if _within(t, axes.get_ylim())]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.legend(fontsize="small", frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


def _within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("results", type=Path, help="directory of a sweep")
    parser.add_argument("-o", "--output", type=Path, default=Path("zoo"))
    arguments = parser.parse_args()
    table = table_of(psychophys.read(arguments.results))
    table.to_csv(arguments.output.with_suffix(".csv"), index=False)
    figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    draw(axes, table)
    figure.savefig(arguments.output.with_suffix(".png"), dpi=200)
    last = table.groupby(["model", "weights", "run_id"], sort=False)["cardinal_oblique_ratio"].last()
    print(last.sort_values(ascending=False).to_string())


if __name__ == "__main__":
    main()
