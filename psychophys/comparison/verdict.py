"""What a comparison says, in sentences of no more than its numbers show."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from psychophys.comparison.correlation import FEWEST_VALUES
from psychophys.comparison.untrained import ALIKE
from psychophys.observers.names import CONTROLS
from psychophys.results.summary import run_name

GOOD_P = 0.05
ENOUGH = round(1 / GOOD_P) - 1
"""Control networks with which p can be as small as that: 1 / (K + 1)."""
MOST_NAMED = 4
"""Layers in a sentence."""


def conclusions(comparison: pd.DataFrame) -> list[str]:
    """A sentence or two for each network, and one for each set of control networks.

    What decides is whether a layer goes with the prior more closely than in untrained networks, over all
    layers at once. Turns of the curve, cardinal peaks of any kind and other priors are named beside.
    """
    said: list[str] = []
    pooled = bool((comparison["networks"] > 1).any())
    for rows in single_runs(comparison):
        said += _of_run(rows, pooled=pooled)
    controls = comparison[~comparison["tested"]].groupby(ALIKE, sort=False)
    said += [_of_controls(rows) for _, rows in controls]
    return list(dict.fromkeys(said))


def how_many_pass(comparison: pd.DataFrame) -> list[str]:
    """A sentence for each kind of control networks: in how many of the tested networks a layer passes."""
    said = []
    for kind in CONTROLS:
        runs = [layers_of(rows) for rows in single_runs(comparison) if kind in kinds_of(rows)]
        able = [rows for rows in runs if rows[f"{kind}_n"].max() >= ENOUGH]
        count, word = sum(len(passing(rows, kind)) > 0 for rows in able), _word(kind)
        few = f" ({len(runs) - len(able)} more have too few to tell)" if len(able) < len(runs) else ""
        if runs:
            said.append(
                f"{count} of {len(able)} networks go with {_beside(comparison)} more closely than {word} "
                f"ones of theirs in at least one layer (p <= {GOOD_P:g} over all layers at once){few}."
            )
    return said


def _word(kind: str) -> str:
    return "untrained" if kind == "random" else kind


def single_runs(comparison: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows of every run that is tested."""
    return [rows for _, rows in comparison[comparison["tested"]].groupby("run_id", sort=False)]


def shown_runs(comparison: pd.DataFrame) -> list[pd.DataFrame]:
    """The tested runs, or the first one where there are none."""
    return single_runs(comparison) or [comparison[comparison["run_id"] == comparison["run_id"].iloc[0]]]


def layers_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Without the row of the pixels."""
    return rows[rows["layer_index"] >= 0]


def passing(layers: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Layers with a slope over 0, whose r is larger than control networks' over all layers at once."""
    return layers[(layers["slope_low"] > 0) & (layers[f"{kind}_p_family"] <= GOOD_P)]


def kinds_of(rows: pd.DataFrame) -> list[str]:
    """Kinds of control networks that a run is compared with."""
    return [k for k in CONTROLS if f"{k}_n" in rows and layers_of(rows)[f"{k}_n"].notna().any()]


def _of_run(rows: pd.DataFrame, *, pooled: bool) -> list[str]:
    first, layers = rows.iloc[0], layers_of(rows)
    who, what = run_name(first), _beside(rows)
    known = layers[layers["r"].notna()]
    if known.empty:
        return [f"{who}: nothing to compare ({_why_not(rows)})."]
    if known["slope_low"].isna().all() and known["n_values"].max() < FEWEST_VALUES:
        most = known["n_values"].max()
        best = known.iloc[int(np.argmax(known["r"]))]
        return [
            f"{who}: {most} values of {axis_of(first)} are too few; measure at least {FEWEST_VALUES} "
            f"(highest r {best['r']:.2f}, in {best['layer']})."
        ]
    if first["networks"] > 1:
        return [_of_several(known, who, what)]
    kinds = kinds_of(rows)
    if not kinds:
        return [f"{who}: {_range(known, what)}{_pixels(rows)}.", *([] if pooled else [_no_control(first)])]
    return [line for kind in kinds for line in _against(rows, known, kind, who, what)]


def _of_several(known: pd.DataFrame, who: str, what: str) -> str:
    """The exponent of networks that are taken as one, where their r is highest."""
    best = known.iloc[int(np.argmax(known["r"]))]
    base = "p" if "prior" in known else f"({what})"
    return (
        f"{who}, {best['networks']} networks as one: r with {what} is {best['r']:.2f} at most, in "
        f"{best['layer']}; there J goes with {base}^{best['q']:.2f} ({best['q_low']:.2f} to "
        f"{best['q_high']:.2f}; +- {best['q_of_networks']:.2f} for networks alone)."
    )


def _why_not(rows: pd.DataFrame) -> str:
    """Why no layer has an r."""
    if (layers_of(rows)["n_values"] < FEWEST_VALUES).all():
        return f"too few values of {axis_of(rows.iloc[0])} that {_beside(rows)} covers"
    return "what is even has no r"


def _no_control(first: pd.Series) -> str:
    if first["weights"] in CONTROLS:
        return f"{run_name(first)} is untrained itself: a control for trained networks, and no test."
    more = "pretrained,random" if first["weights"] == "pretrained" else "random"
    return (
        "Whether training contributes is not tested without untrained networks, measured in the same way, "
        f"beside it: measure with --weights {more} --seeds {ENOUGH}."
    )


def still_to_measure(comparison: pd.DataFrame) -> dict[str, int]:
    """How many more untrained networks a test takes, by run: of trained runs that have too few."""
    found = {}
    for rows in single_runs(comparison):
        first = rows.iloc[0]
        held = [int(layers_of(rows)[f"{kind}_n"].max()) for kind in kinds_of(rows)]
        if first["weights"] in CONTROLS or first["networks"] > 1 or max(held, default=0) >= ENOUGH:
            continue
        found[str(first["run_id"])] = ENOUGH - (held[0] if "random" in kinds_of(rows) else 0)
    return found


def _range(known: pd.DataFrame, what: str) -> str:
    """The largest r and the smallest, which may go against what it is with."""
    best, least = (known.iloc[int(place(known["r"]))] for place in (np.argmax, np.argmin))
    if len(known) == 1:
        return f"r with {what} is {best['r']:.2f}, in {best['layer']}"
    said = f"r with {what} is {best['r']:.2f} at most, in {best['layer']}"
    if f"{least['r']:.2f}" == f"{best['r']:.2f}":
        return said
    return f"{said}, and {least['r']:.2f} at least, in {least['layer']}"


def _against(rows: pd.DataFrame, known: pd.DataFrame, kind: str, who: str, what: str) -> Iterator[str]:
    """The verdict, and how specific it is."""
    first, n = rows.iloc[0], int(known[f"{kind}_n"].max())
    word = _word(kind)
    if n < ENOUGH:
        many = f"{n} {word} networks are no test" if n > 1 else f"one {word} network is no test"
        yield (
            f"{who}: {_range(known, what)}; {many} (p cannot be under {1 / (n + 1):.2g}): measure "
            f"{ENOUGH - n} more, {ENOUGH} in all (--seeds {ENOUGH})."
        )
        return
    good = passing(known, kind)
    best = (known if good.empty else good).sort_values("r").iloc[-1]
    band = f"highest r {best['r']:.2f}, in {best['layer']}; {word} there {best[f'{kind}_r_low']:.2f} to "
    band += f"{best[f'{kind}_r_high']:.2f}"
    where = f"{len(good)} of {len(known)} layers (p <= {GOOD_P:g} over all at once; {band})"
    yield (
        f"{who}: sensitivity to {first['dimension']} goes with {what} more closely than in {n} {word} "
        f"networks in {f'no layer ({band})' if good.empty else where}{_lowest(known, best)}{_pixels(rows)}."
    )
    yield from _reservations(known, kind, word)
    if len(good):
        yield _specific(best, "human sensitivity" if "reference" in rows else "p")


def _lowest(known: pd.DataFrame, best: pd.Series) -> str:
    """The layer that goes against it most, if any does."""
    least = known.iloc[int(np.argmin(known["r"]))]
    if f"{least['r']:.2f}" == f"{best['r']:.2f}" or round(least["r"], 2) >= 0:
        return ""
    return f"; lowest r {least['r']:.2f}, in {least['layer']}"


def _reservations(known: pd.DataFrame, kind: str, word: str) -> Iterator[str]:
    """Layers that r alone would let pass, and those that control networks lack."""
    loose = known[(known[f"{kind}_p_family"] <= GOOD_P) & ~(known["slope_low"] > 0)]
    if len(loose):
        yield (
            f"In {_named(loose)} r is as high against {word} networks (p <= {GOOD_P:g}), but the interval of "
            "the slope holds 0 or is not known: not counted."
        )
    lacking = known[known[f"{kind}_n_without"] > 0]
    if len(lacking):
        most = int(lacking[f"{kind}_n_without"].max())
        yield (
            f"{_named(lacking)} could not be measured in {'up to ' if len(lacking) > 1 else ''}{most} of the "
            f"{word} networks, which count against it."
        )


def _named(layers: pd.DataFrame) -> str:
    """Names of layers: a few, and how many more."""
    names = list(layers["layer"])
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _specific(best: pd.Series, base: str) -> str:
    """What else could be behind it: noise, direction, cardinal peaks, another prior."""
    power = f"p^{best['q']:.2f}" if base == "p" else f"({base})^{best['q']:.2f}"
    parts = [f"J goes with {power} ({best['q_low']:.2f} to {best['q_high']:.2f})"]
    if best["r_ceiling"] < 0.995:
        parts.append(f"noise leaves r {best['r_ceiling']:.2f} at most")
    if pd.notna(best["p_turned"]):
        parts.append(f"turns of the curve do as well with p {best['p_turned']:.3f}")
    if pd.notna(best["r_given_cardinal"]):
        parts.append(f"r given cardinal peaks of any kind {best['r_given_cardinal']:.2f}")
    if pd.notna(best["r_turned"]):
        parts.append(f"r with it turned by a quarter {best['r_turned']:.2f}")
    others = [name for name in best.index if str(name).startswith("r with ") and pd.notna(best[name])]
    parts += [f"{name} {best[name]:.2f}" for name in others]
    return f"In {best['layer']}: {'; '.join(parts)}."


def _of_controls(rows: pd.DataFrame) -> str:
    first, known = rows.iloc[0], layers_of(rows)["r"].dropna()
    n = rows["seed"].nunique()
    if known.empty:
        return f"{first['model']} ({n} {first['weights']}): nothing to compare ({_why_not(rows)})."
    return (
        f"{first['model']} ({n} {first['weights']}): r {known.min():.2f} to {known.max():.2f} over all "
        "layers and networks."
    )


def _beside(rows: pd.DataFrame) -> str:
    return "human sensitivity" if "reference" in rows else "the prior"


def axis_of(row: pd.Series) -> str:
    """What a comparison runs over."""
    return str(row["axis"] if "axis" in row else row["dimension"])


def _pixels(rows: pd.DataFrame) -> str:
    pixels = rows[rows["layer_index"] < 0]["r"]
    if pixels.empty:
        return ""
    r = pixels.iloc[0]
    return "; the pixels' own sensitivity is even" if np.isnan(r) else f"; the pixels' own r is {r:.2f}"
