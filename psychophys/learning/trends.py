"""How sensitivity changes over training: curves, their correlations, ratios and shifts, over several runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from psychophys.base.types import Array
from psychophys.results.indices import cardinal_oblique_ratio
from psychophys.results.thresholds import Results

CONFIDENCE = 0.95
HALF_ROUND_DEG = 180.0
"""After which orientations repeat."""
R_MOST = 1 - 1e-6


@dataclass(frozen=True)
class Findings:
    """What an experiment comes to.

    Attributes
    ----------
    table
        A row for each line that is told; ``x_low`` and ``x_high`` are the ends of the interval of ``x``.
    conclusions
        What it means.
    trend
        ``model, seed, step, index``: one number for each network and step.
    index
        What that number is.
    layer, dimension, period_deg
        That it is of, and after which the dimension repeats.
    ratio
        Whether that number is a ratio.
    marks
        Steps at which something happens.
    expected
        By network, values and a curve over its mean that its sensitivity is held to.
    """

    title: str
    table: pd.DataFrame
    conclusions: list[str]
    trend: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=["model", "seed", "step", "index"])
    )
    index: str = ""
    layer: str = ""
    dimension: str = "orientation"
    period_deg: float = HALF_ROUND_DEG
    ratio: bool = False
    marks: tuple[int, ...] = ()
    expected: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)


def interval(numbers: Sequence[float] | Array, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Of the mean, by Student's t; NaN with fewer than two."""
    if len(numbers) < 2:
        return float("nan"), float("nan")
    half = stdtrit(len(numbers) - 1, 0.5 + confidence / 2) * np.std(numbers, ddof=1) / np.sqrt(len(numbers))
    return float(np.mean(numbers) - half), float(np.mean(numbers) + half)


SCALES: dict[str, tuple[Callable[[Array], Array], Callable[[float], float]]] = {
    "linear": (np.asarray, float),
    "ratio": (np.log, lambda x: float(np.exp(x))),
    # Fisher's z; a correlation of exactly 1 would have none.
    "correlation": (lambda r: np.arctanh(np.clip(r, -R_MOST, R_MOST)), lambda x: float(np.tanh(x))),
}
"""On which mean and interval are taken: there and back."""


def with_interval(name: str, numbers: Sequence[float] | Array, *, scale: str = "linear") -> dict[str, float]:
    """Mean and interval under the names ``name``, ``name_low`` and ``name_high``; NaNs are left out.

    Parameters
    ----------
    scale
        Name in :data:`SCALES`: an interval of ratios stays over 0, one of correlations within 1.
    """
    there, back = SCALES[scale]
    with np.errstate(divide="ignore", invalid="ignore"):
        known = there(np.asarray(numbers, float))
    known = known[np.isfinite(known)]
    ends = (float(known.mean()) if len(known) else float("nan"), *interval(known))
    mean, low, high = (back(end) for end in ends)
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def pseudo_values(whole: float, change: Array) -> Array:
    """Of a jackknife: one for each run, whose mean and standard error are those of a statistic.

    See Efron & Tibshirani (1993), chapter 11.

    Parameters
    ----------
    whole
        The statistic of all runs.
    change
        By which it changes where one run is left out: (n,).
    """
    return np.asarray(whole - (len(change) - 1) * change)


def told(row: Mapping[str, Any], name: str, form: str) -> str:
    """A number of :func:`with_interval` in words: ``1.68 (1.32 to 2.05)``."""
    number, low, high = (format(row[f"{name}{end}"], form) for end in ("", "_low", "_high"))
    return f"{number} ({low} to {high})" if np.isfinite(row[f"{name}_low"]) else number


@dataclass(frozen=True)
class Curve:
    """Sensitivity of one layer at one step of a training.

    Attributes
    ----------
    value, sensitivity
        In the order of the values: (K,) each.
    """

    model: str
    seed: int
    step: int
    layer: str
    value: Array
    sensitivity: Array


def curves(results: Results, dimension: str = "orientation", layer: str | None = None) -> list[Curve]:
    """Every curve of a dimension: of one layer, or of all."""
    frame = results.to_pandas()
    frame = frame[(frame["dimension"] == dimension) & frame["step"].notna()]
    if layer is not None:
        frame = frame[frame["layer"] == layer]
    found = []
    for (model, seed, step, name), part in frame.groupby(["model", "seed", "step", "layer"], sort=False):
        ordered = part.sort_values("value")
        arrays = (ordered[column].to_numpy(float) for column in ("value", "sensitivity"))
        found.append(Curve(str(model), int(str(seed)), int(str(step)), str(name), *arrays))
    return found


def at(curve: Curve, orientation_deg: float, within_deg: float = 7.5) -> float:
    """Mean sensitivity near an orientation; NaN where there is none."""
    distance = np.abs((curve.value - orientation_deg + 90) % 180 - 90)
    near = curve.sensitivity[distance <= within_deg]
    return float(near.mean()) if len(near) else float("nan")


def share(curve: Curve) -> Array:
    """Sensitivity over its mean: (K,); NaN where there is none."""
    with np.errstate(invalid="ignore"):
        return np.asarray(curve.sensitivity / curve.sensitivity.mean())


def trend(every: Sequence[Curve], index: Callable[[Curve], float]) -> pd.DataFrame:
    """One number for each curve: ``model, seed, step, layer, index``."""
    return pd.DataFrame(
        {"model": c.model, "seed": c.seed, "step": c.step, "layer": c.layer, "index": index(c)} for c in every
    )


def shift_deg(first: Array, second: Array, period_deg: float = HALF_ROUND_DEG) -> float:
    """How far the second curve must be turned back to be most like the first.

    The curves are of values that are evenly spread over a period. The shift is where their circular
    correlation is largest, with a parabola through the largest value and its neighbours.

    Returns
    -------
    float
        In deg, half a period to either side at most; NaN where a curve is flat.
    """
    a, b = first - first.mean(), second - second.mean()
    if not (a.std() > 0 and b.std() > 0):
        return float("nan")
    # Of a curve that is turned by k places, the correlation with the first is largest at k.
    like = np.fft.irfft(np.fft.rfft(a).conj() * np.fft.rfft(b), len(a))
    best = int(like.argmax())
    before, top, after = like[best - 1], like[best], like[(best + 1) % len(like)]
    bend = before - 2 * top + after
    place = best + (0.5 * (before - after) / bend if bend else 0.0)
    return float(nearest_turn(np.array(place * period_deg / len(a)), period_deg))


def nearest_turn(angle_deg: Array, period_deg: float = HALF_ROUND_DEG) -> Array:
    """The same turn, by half a period to either side at most."""
    return np.asarray((angle_deg + period_deg / 2) % period_deg - period_deg / 2)


def jackknife_shifts(pairs: Sequence[tuple[Array, Array]], period_deg: float = HALF_ROUND_DEG) -> Array:
    """Pseudo-values of the shift between the means of two sets of curves, one for each pair."""
    firsts, seconds = (np.array([pair[place] for pair in pairs]) for place in (0, 1))
    count = len(pairs)
    if not count:
        return np.array([])
    whole = shift_deg(firsts.mean(axis=0), seconds.mean(axis=0), period_deg)
    if count == 1:
        return np.array([whole])
    means = (
        (np.delete(every, left, axis=0).mean(axis=0) for every in (firsts, seconds)) for left in range(count)
    )
    without = np.array([shift_deg(first, second, period_deg) for first, second in means])
    return pseudo_values(whole, nearest_turn(without - whole, period_deg))


def with_turns(
    name: str, shifts_deg: Array, about_deg: float, period_deg: float = HALF_ROUND_DEG
) -> dict[str, float]:
    """:func:`with_interval` of turns, each taken the short way round from ``about_deg``.

    NaN where the interval is wider than half a period: then nothing is known of the direction.
    """
    known = np.asarray(shifts_deg, float)
    found = with_interval(name, about_deg + nearest_turn(known - about_deg, period_deg))
    if found[f"{name}_high"] - found[f"{name}_low"] > period_deg / 2:
        return dict.fromkeys(found, float("nan"))
    return found


def ratio(curve: Curve) -> float:
    """Sensitivity at cardinal over that at oblique orientations."""
    return float(cardinal_oblique_ratio(curve.value, curve.sensitivity))


def rank_correlation(first: Array, second: Array) -> float:
    """Spearman's; NaN where one does not vary."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    from scipy.stats import spearmanr  # noqa: PLC0415 - it takes a second to load

    return float(spearmanr(first, second).statistic)
