"""Two measurements side by side: how many times the difference one needs that the other needs, by layer.

The ratio is of thresholds at the same d', as geometric mean over the values. Its interval is over nuisance
samples. Where both were shown the same ones, they are paired: a jackknife leaves out a level of a nuisance
parameter in both at once, and its standard error, with Student's t, makes the interval of the log ratio
(Miller 1974, Biometrika 61:1; over several parameters the variances add up). Where they were not, the samples
are taken for independent, and the errors of the values of one curve for one and the same, which is wide.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import ndtri, stdtrit

from psychophys.base.errors import UsageError
from psychophys.base.types import Array
from psychophys.comparison.ratio_table import Ratios, finite_or_none
from psychophys.noise.information import Noise
from psychophys.noise.models import NOISE
from psychophys.results.summary import run_name
from psychophys.results.thresholds import Results

_NETWORK = ("model", "weights", "seed", "checkpoint", "step")
_NOISE = ("noise", "noise_level", "noise_options", "noise_definition")
_NOT_SHOWN = (*_NOISE, "values", "layers", "estimator", "step", "dprime", "confidence", "precision", "preset")
"""What of a measurement is not of the images."""


@dataclass(frozen=True)
class _Run:
    """A run: its rows and its provenance."""

    rows: pd.DataFrame
    record: Mapping[str, Any]

    @property
    def first(self) -> pd.Series:
        return self.rows.iloc[0]

    @property
    def measured(self) -> Mapping[str, Any]:
        measured: Mapping[str, Any] = self.record["measurement"]
        return measured

    @property
    def network(self) -> tuple[Any, ...]:
        return tuple(None if pd.isna(value) else value for value in self.first[list(_NETWORK)])

    def noise(self) -> list[Any]:
        return [self.measured.get(name) for name in _NOISE]


def threshold_ratios(
    a: Results, b: Results | None = None, *, confidence: float = 0.95, by_depth: bool = False
) -> Ratios:
    """How many times the difference runs of ``b`` need that those of ``a`` need, layer by layer.

    Parameters
    ----------
    a, b
        Results of one run each. Without ``b``, the first run of ``a`` against each of its others. One run
        against several is taken against each; of several and several, those of the same network are pairs.
    confidence
        Of the intervals.
    by_depth
        Match layers by their depth, though they have the same names. Default: by name where all layers of
        one are in the other, and else each layer of the one that has fewer with the nearest of the other.

    Returns
    -------
    Ratios
        One row for each pair of runs and of layers.

    Raises
    ------
    UsageError
        For runs that no ratio can be taken of: of another dimension, without a common value, or of two
        networks under noise that means another thing in each.

    Examples
    --------
    >>> import psychophys
    >>> shown = {"layers": ["blocks.4", "blocks.5"], "values": 4, "parameters": {"phase": 6}}
    >>> trained, shuffled = (psychophys.measure(weights=w, **shown) for w in ("pretrained", "shuffled"))
    >>> psychophys.threshold_ratios(trained, shuffled).to_pandas()[["layer_a", "ratio"]].shape
    (2, 2)
    """
    if not 0 < confidence < 1:
        raise UsageError(f"confidence {confidence:g} cannot be used", "Give a number between 0 and 1.")
    rows: list[dict[str, Any]] = []
    pairs: list[dict[str, Any]] = []
    for place, (one, other) in enumerate(_pairs(_runs(a), None if b is None else _runs(b)), start=1):
        found, whole = _compare(one, other, confidence, by_depth)
        rows += [{"pair": place, **row} for row in found]
        pairs.append(whole)
    settings = {"confidence": confidence, "by_depth": by_depth}
    return Ratios(Ratios.rows(rows), {"settings": settings, "pairs": pairs})


def _runs(results: Results) -> list[_Run]:
    groups = results.to_pandas().groupby("run_id", sort=False)
    return [_Run(rows, results.runs[str(run_id)]) for run_id, rows in groups]


def _pairs(a: list[_Run], b: list[_Run] | None) -> list[tuple[_Run, _Run]]:
    if not a or (b is not None and not b):
        raise UsageError("results without rows", "Give some written by `psychophys measure`.")
    if b is None:
        if len(a) == 1:
            raise UsageError("one run alone", "Give a second file, or one of several runs.")
        return [(a[0], other) for other in a[1:]]
    if 1 in (len(a), len(b)):
        return list(itertools.product(a, b))
    named = {run.network: run for run in b}
    same = [(run, named[run.network]) for run in a if run.network in named]
    if not same:
        raise UsageError(
            f"{len(a)} runs and {len(b)}, no two of the same network", "Give a file of one run on one side."
        )
    return same


# Whether they can be compared ---------------------------------------------------------------------------


def _refuse(a: _Run, b: _Run) -> None:
    """Raise :class:`UsageError` for runs of which a ratio says nothing."""
    for name in ("dimension", "unit"):
        if a.first[name] != b.first[name]:
            raise UsageError(
                f"{name} {a.first[name]} in one and {b.first[name]} in the other",
                "Give runs of one dimension.",
            )
    pooled = [run.measured.get("pooling", "mean") for run in (a, b)]
    if pooled[0] != pooled[1]:
        raise UsageError(
            f"J is the {pooled[0]} of the samples in one, the {pooled[1]} in the other", "Measure again."
        )
    if not set(a.rows["value"]) & set(b.rows["value"]):
        raise UsageError("the runs have no value in common", "Measure both with the same --values.")
    if a.first["model"] == b.first["model"]:
        return
    again = "Measure one as the other was: psychophys measure MODEL --from OTHER_FILE."
    if a.noise() != b.noise():
        raise UsageError(
            f"{a.first['model']} under {_noise_words(a)} and {b.first['model']} under {_noise_words(b)}",
            again,
        )
    if in_activation_units(a.measured["noise"]):
        raise UsageError(
            f"{_noise_words(a)} is in units of activation, which {a.first['model']} and {b.first['model']} "
            "do not share",
            "Measure both with --noise relative.",
        )


def in_activation_units(noise: str) -> bool:
    """Whether thresholds under a noise change where all responses are scaled; true of one not known here."""
    if noise not in NOISE:
        return True
    known = NOISE[noise]
    return known.method.is_independent and not _goes_with_responses(known)


def _goes_with_responses(noise: Noise) -> bool:
    """Whether the variance goes with the square of a factor of all responses, as J without noise does."""
    response, options = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64), noise.settings({})

    def variance(factor: float) -> torch.Tensor:
        scaled = factor * response
        unit = (
            torch.ones_like(scaled) if noise.unit_variance is None else noise.unit_variance(scaled, options)
        )
        return unit * noise.scale(noise.level, float(scaled.square().mean().sqrt()))

    return torch.allclose(variance(2.0), 4 * variance(1.0))


def _noise_words(run: _Run) -> str:
    return f"{run.measured['noise']} noise {run.measured['noise_level']:g}"


def _notes(a: _Run, b: _Run, names: tuple[str, str]) -> list[str]:
    """What to know of the ratio besides its number."""
    notes = []
    if a.noise() != b.noise():
        notes.append(
            f"{names[0]} is under {_noise_words(a)}, {names[1]} under {_noise_words(b)}: the ratio is of the "
            "noise, too."
        )
    elif in_activation_units(a.measured["noise"]) and a.network != b.network:
        notes.append(
            f"{_noise_words(a)} is in units of activation: the ratio goes with the size of each network's "
            "responses (response_rms_a, response_rms_b). Relative noise does not."
        )
    if differing := _shown_otherwise(a, b):
        notes.append(f"{names[1]} was not shown what {names[0]} was: {', '.join(differing)} differ.")
    return notes


def _shown_otherwise(a: _Run, b: _Run) -> list[str]:
    """Names of what decides the images and differs, nuisances among them."""
    names = [
        name for name in dict.fromkeys([*a.measured, *b.measured]) if name not in (*_NOT_SHOWN, "parameters")
    ]
    differing = [name for name in names if a.measured.get(name) != b.measured.get(name)]
    mine, others = a.measured["parameters"], b.measured["parameters"]
    return differing + [
        name for name in dict.fromkeys([*mine, *others]) if mine.get(name) != others.get(name)
    ]


def _names(a: _Run, b: _Run) -> tuple[str, str]:
    """Both in words that differ."""
    words = [run_name(run.first) for run in (a, b)]
    more = (lambda run: f"seed {run.first['seed']}", _noise_words, lambda run: str(run.first["run_id"]))
    for tell in more:
        if words[0] != words[1]:
            break
        told = [tell(run) for run in (a, b)]
        if told[0] != told[1]:
            words = [f"{word}, {one}" for word, one in zip(words, told, strict=True)]
    return (words[0], words[1]) if words[0] != words[1] else (f"{words[0]}, A", f"{words[1]}, B")


# Numbers ------------------------------------------------------------------------------------------------


def _compare(
    a: _Run, b: _Run, confidence: float, by_depth: bool
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    _refuse(a, b)
    names = _names(a, b)
    matched, how = _match(a, b, by_depth)
    first = {"run_id_a": a.first["run_id"], "run_id_b": b.first["run_id"], "a": names[0], "b": names[1]}
    first |= {"dimension": a.first["dimension"], "unit": a.first["unit"]}
    whole = not _shown_otherwise(a, b) and list(a.measured["values"]) == list(b.measured["values"])
    rows, errors, halves = [], [], []
    for one, other in matched:
        row = _layer_pair(a.rows[a.rows["layer"] == one], b.rows[b.rows["layer"] == other])
        error = _paired(a, b, one, other) if whole else {}
        half = (
            half_of_jackknife(error, confidence)
            if error
            else _half_of_independent(a, b, one, other, confidence)
        )
        errors.append(error)
        halves.append(half)
        ends = row["ratio"] * np.exp([-half, half])
        row |= {"ratio_low": finite_or_none(ends[0]), "ratio_high": finite_or_none(ends[1])}
        row |= {"matched_by": how, "confidence": confidence, "paired_over": ", ".join(error)}
        rows.append({**first, **row})
    known = [
        place for place, row in enumerate(rows) if row["ratio"] is not None and np.isfinite(row["ratio"])
    ]
    notes = [*_notes(a, b, names), *_of_interval([rows[i] for i in known])]
    mean = float(np.mean([np.log(rows[i]["ratio"]) for i in known])) if known else float("nan")
    half = _half_of_all([errors[i] for i in known], [halves[i] for i in known], confidence)
    ends = np.exp([mean, mean - half, mean + half])
    numbers = dict(zip(("ratio", "ratio_low", "ratio_high"), map(finite_or_none, ends), strict=True))
    return rows, {"a": names[0], "b": names[1], **numbers, "notes": notes}


def _match(a: _Run, b: _Run, by_depth: bool) -> tuple[list[tuple[str, str]], str]:
    """Pairs of layers, and by what."""
    depths = [run.rows.groupby("layer", sort=False)["layer_depth"].first() for run in (a, b)]
    mine, others = (list(depth.index) for depth in depths)
    if not by_depth and (set(mine) <= set(others) or set(others) <= set(mine)):
        return [(name, name) for name in mine if name in set(others)], "name"
    swap = len(others) < len(mine)
    few, many = depths[::-1] if swap else depths
    nearest = [(name, str((many - depth).abs().idxmin())) for name, depth in few.items()]
    return [(other, str(one)) if swap else (str(one), other) for one, other in nearest], "depth"


def _layer_pair(one: pd.DataFrame, other: pd.DataFrame) -> dict[str, Any]:
    """Names, depths and geometric means of two layers over the values at which both have a threshold."""
    both = one.merge(other, on="value", suffixes=("_a", "_b"))
    sensitivity = both[["sensitivity_a", "sensitivity_b"]].to_numpy(dtype=float)
    good = np.isfinite(sensitivity).all(axis=1) & (sensitivity > 0).all(axis=1)
    means = np.exp(-np.log(sensitivity[good]).mean(axis=0)) if good.any() else np.full(2, np.nan)
    found: dict[str, Any] = {"n_values": int(good.sum()), "ratio": float(means[1] / means[0])}
    for end, rows, mean in (("a", one, means[0]), ("b", other, means[1])):
        first = rows.iloc[0]
        found |= {f"layer_{end}": first["layer"], f"depth_{end}": first["layer_depth"]}
        found |= {f"threshold_{end}": float(mean), f"response_rms_{end}": first["response_rms"]}
    return found


def _paired(a: _Run, b: _Run, one: str, other: str) -> dict[str, Array]:
    """Log ratios without each level in turn, by nuisance parameter; none where they are not known."""
    mine = a.record.get("left_out", {}).get(one, {})
    others = b.record.get("left_out", {}).get(other, {})
    if mine.keys() != others.keys():
        return {}
    return {name: np.subtract(others[name], mine[name]) for name in mine}


def half_of_jackknife(left_out: Mapping[str, Array], confidence: float) -> float:
    """Half-width of an interval from values of a statistic without each level of a parameter in turn.

    Parameters
    ----------
    left_out
        By parameter, shape (levels,). Their variances are added; the degrees of freedom are those of the
        parameter that has the fewest levels.
    """
    if not left_out:
        return float("nan")
    every = [np.asarray(values, dtype=float) for values in left_out.values()]
    variance = sum(float((len(v) - 1) * np.mean((v - v.mean()) ** 2)) for v in every)
    fewest = min(map(len, every))
    return float(stdtrit(fewest - 1, (1 + confidence) / 2) * np.sqrt(variance))


def _half_of_independent(a: _Run, b: _Run, one: str, other: str, confidence: float) -> float:
    """From the intervals of both curves, as if the errors of each were the same at every value."""
    errors = []
    for run, layer in ((a, one), (b, other)):
        rows = run.rows[(run.rows["layer"] == layer) & run.rows["sensitivity"].gt(0)]
        low, high = (rows[f"threshold_{end}"].to_numpy(dtype=float) for end in ("low", "high"))
        with np.errstate(divide="ignore", invalid="ignore"):
            width = float(np.log(high / low).mean()) if len(rows) else float("nan")
        errors.append(width / 2 / ndtri(0.5 + run.measured["confidence"] / 2))
    return float(np.hypot(errors[0], errors[1]) * ndtri((1 + confidence) / 2))


def _half_of_all(errors: Sequence[Mapping[str, Array]], halves: Sequence[float], confidence: float) -> float:
    """Of the mean over layers: paired if all are, and else as if the errors of all were the same."""
    if errors and all(error and error.keys() == errors[0].keys() for error in errors):
        means = {name: np.mean([error[name] for error in errors], axis=0) for name in errors[0]}
        return half_of_jackknife(means, confidence)
    return float(np.mean(halves)) if halves else float("nan")


def _of_interval(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the intervals are of."""
    bounded = [row for row in rows if row["ratio_low"] is not None]
    if not bounded:
        few = "No intervals: they take six nuisance samples or more (phases, images) on both sides."
        return [few] if rows else []
    share = f"{bounded[0]['confidence']:.0%}"
    found = [
        f"Intervals ({share}) are over {over}, the same levels for both, and not over other weights."
        for over in dict.fromkeys(row["paired_over"] for row in bounded if row["paired_over"])
    ]
    if any(not row["paired_over"] for row in bounded):
        found.append(
            f"Intervals ({share}) without pairs take the nuisance samples of both for independent, for they "
            "differ or are not kept one by one: they are wide, and not over other weights."
        )
    return found
