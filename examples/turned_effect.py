"""What turning the photographs of a training did to what is told apart, layer by layer.

python examples/turned_effect.py turned.parquet --prior prior.parquet [--figure effect.png]

Reads thresholds over orientation or hue of networks of train_turned.py, as written by
`psychophys measure local-dir:upright-0 local-dir:turned-0 ... -o turned.parquet`. Trainings are paired by
their seed: the same initial weights, the same crops. `follows` is the correlation over values of
log S(as they are) - log S(turned) with log p(value) - log p(value - turn), p from `psychophys statistics`:
what the photographs alone would make. What is the architecture's cancels in the difference. `opposite` is
the same with p turned by half a round, 90 deg of orientation or 180 of hue: where it is as high, it is not
told which of the two is followed. Intervals (95 %) are Student's t over pairs.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import psychophys
from psychophys.comparison.priors import Density
from psychophys.comparison.priors.table import statistic_for
from psychophys.learning import trends
from psychophys.learning.trends import with_interval
from psychophys.results.indices import cardinal_oblique_ratio

mpl.use("Agg")
TURNS = {"orientation": "turn_deg", "hue": "hue_deg"}
"""By statistic of photographs, the option of train_turned.py."""


def trainings(models: list[str]) -> pd.DataFrame:
    """Settings of each network's training, from the directory that its name says."""
    rows = []
    for model in models:
        path = Path(model.removeprefix("local-dir:"), "settings.json")
        if not path.is_file():
            raise SystemExit(f"error: {model} is not of train_turned.py: {path} is not there")
        rows.append({"model": model, **json.loads(path.read_text())})
    return pd.DataFrame(rows)


def pairs(table: pd.DataFrame, turn: str) -> list[tuple[str, str, float]]:
    """Networks that differ in the turn alone: as the photographs are, turned, and by how much."""
    others = [name for name in TURNS.values() if name != turn]
    plain = table[(table[turn] == 0) & (table[others] == 0).all(axis=1)]
    turned = table[(table[turn] != 0) & (table[others] == 0).all(axis=1)]
    same = [name for name in table.columns if name not in ("model", turn)]
    both = plain.merge(turned, on=same, suffixes=("", "_turned"))
    return list(zip(both["model"], both["model_turned"], both[f"{turn}_turned"], strict=True))


def effect(results: psychophys.Results, prior: psychophys.Prior | None) -> pd.DataFrame:
    """A row for each network and layer."""
    frame = results.to_pandas()
    statistic = measured(frame)
    turn = TURNS[statistic]
    density = None if prior is None else prior.density(statistic)
    settings = trainings(list(frame["model"].unique()))
    networks = dict(zip(settings["model"], settings["network"], strict=True))
    curves = {
        key: part.sort_values("value").set_index("value")["sensitivity"]
        for key, part in frame.groupby(["model", "layer"], sort=False)
    }
    found = pairs(settings, turn)
    if len(angles := {deg for *_, deg in found}) != 1:
        raise SystemExit(
            f"error: trainings in the file that differ in their {turn} alone do so by {sorted(angles)}. "
            "Measure networks of one angle, and those that are not turned."
        )
    rows = []
    for network in dict.fromkeys(networks[plain] for plain, *_ in found):
        own = [pair for pair in found if networks[pair[0]] == network]
        for layer in dict.fromkeys(name for model, name in curves if networks[model] == network):
            both = [
                (curves[a, layer], curves[b, layer], deg)
                for a, b, deg in own
                if {(a, layer), (b, layer)} <= curves.keys()
            ]
            row: dict[str, Any] = {"network": network, "layer": layer, "pairs": len(both)}
            if statistic == "orientation":
                row |= ratios(both)
            if density is not None and density.period is not None:
                for name, one in (("follows", density), ("opposite", density.turned(density.period / 2))):
                    row |= with_interval(name, [follows(*pair, one) for pair in both], scale="correlation")
            rows.append(row)
    return pd.DataFrame(rows)


def measured(frame: pd.DataFrame) -> str:
    """The statistic of photographs that was measured: one curve for each network and layer."""
    asked = frame[["stimulus", "dimension"]].drop_duplicates()
    statistic = statistic_for(*asked.iloc[0])
    if len(asked) > 1 or statistic not in TURNS:
        shown = ", ".join(f"{dimension} of {stimulus}" for stimulus, dimension in asked.to_numpy())
        raise SystemExit(f"error: thresholds over {shown}. Measure orientation, or the hue of patch.")
    networks = frame.groupby("value")["model"].nunique()
    if frame.duplicated(["model", "layer", "value"]).any() or networks.min() < networks.max():
        raise SystemExit("error: networks are not all measured once, at the same values. Use one `measure`.")
    return statistic


def ratios(both: list[tuple[pd.Series, pd.Series, float]]) -> dict[str, float]:
    """Cardinal over oblique sensitivity, and the difference of its logarithms."""
    upright, turned = (
        np.array([cardinal_oblique_ratio(pair[k].index.to_numpy(), pair[k].to_numpy()) for pair in both])
        for k in (0, 1)
    )
    return {
        **with_interval("upright", upright, scale="ratio"),
        **with_interval("turned", turned, scale="ratio"),
        **with_interval("difference", np.log(upright) - np.log(turned)),
    }


def follows(plain: pd.Series, turned: pd.Series, deg: float, density: Density) -> float:
    """Correlation of the difference of logarithms with what the prior of the images would make of it."""
    value = plain.index.to_numpy()
    common = density.at(value) / density.turned(deg).at(value)
    return float(np.corrcoef(np.log(plain / turned), np.log(common))[0, 1])


def told(table: pd.DataFrame) -> str:
    """A table for each network, with numbers and their intervals in one column each."""
    parts = []
    for network, part in table.groupby("network", sort=False):
        shown = part[["layer"]].copy()
        for name in ("upright", "turned", "difference", "follows", "opposite"):
            if name in part:
                shown[name] = [trends.told(dict(row), name, "z.2f") for _, row in part.iterrows()]
        count = part["pairs"].max()
        parts += [f"{network}, {count} {'pair' if count == 1 else 'pairs'}:", shown.to_string(index=False)]
    return "\n".join(parts)


def draw(table: pd.DataFrame, path: Path) -> None:
    """What the photographs made, by layer, with intervals; a panel for each network."""
    names = [name for name in ("difference", "follows") if name in table]
    titles = {
        "difference": "cardinal over oblique,\nlog upright - log turned",
        "follows": "correlation of the difference\nwith that of the priors",
    }
    networks = table["network"].unique()
    layout = {"squeeze": False, "sharex": "row", "layout": "constrained"}
    size = (1.5 + 4.5 * len(names), 2.8 * len(networks) + 0.8)
    figure, every = plt.subplots(len(networks), len(names), figsize=size, **layout)
    for axes, network in zip(every, networks, strict=True):
        part = table[table["network"] == network]
        for ax, name in zip(axes, names, strict=True):
            place, mean = np.arange(len(part)), part[name].to_numpy()
            ends = np.abs(part[[f"{name}_low", f"{name}_high"]].to_numpy().T - mean)
            ax.axhline(0, color="0.6", linewidth=0.8)
            ax.errorbar(place, mean, ends, fmt="o", color="#0072B2", markersize=4, elinewidth=1)
            ax.set_xticks(place, part["layer"], rotation=90, fontsize="small")
            ax.set_ylabel(titles[name])
            ax.set_title(network, fontsize="medium")
    figure.savefig(path, dpi=200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--prior", help="file of `psychophys statistics`, or a name of `psychophys priors`")
    parser.add_argument("-o", "--output", type=Path, help="all numbers as CSV")
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    prior = psychophys.load_prior(given.prior) if given.prior else None
    table = effect(psychophys.read(given.results), prior)
    if not {"difference", "follows"} & set(table):
        raise SystemExit("error: what the photographs would make of hues is not known. Give --prior.")
    if given.output:
        table.to_csv(given.output, index=False)
    if given.figure:
        draw(table, given.figure)
    print(told(table))


if __name__ == "__main__":
    main()
