"""Many models at once: one row a model, and what they have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from psychophys.base.types import Array
from psychophys.comparison.intervals import NORMAL_975
from psychophys.comparison.verdict import kinds_of, layers_of, passing, single_runs
from psychophys.observers.names import CONTROLS
from psychophys.results.summary import run_name

DEPTH = 0.75
"""Where in a network models are compared: chosen beforehand, so that no layer is picked for what it shows."""
FEWEST_MODELS = 3
_NAMED = ("run_id", "model", "weights", "stimulus", "dimension", "layer", "layer_depth")


def rank_models(comparison: pd.DataFrame, depth: float = DEPTH) -> pd.DataFrame:
    """One row for each network that is tested, by r at a depth.

    Parameters
    ----------
    comparison
        Of :func:`psychophys.compare`.
    depth
        0 to 1: the layer nearest to it stands for the network.

    Returns
    -------
    DataFrame
        ``run_id``, ``name``, ``model``, ``weights``, ``stimulus``, ``dimension``, ``layers`` and ``passing``
        (those that go with the prior more closely than in untrained networks; NaN without any), ``layer``,
        ``layer_depth``,
        ``r``, ``q``, ``q_low``, ``q_high``, ``p_family``, ``r_low`` and ``r_high`` of untrained networks at
        that depth; highest r first.
    """
    rows = []
    for run in single_runs(comparison):
        layers = layers_of(run)
        known = layers[layers["r"].notna()]
        if known.empty or run["weights"].iloc[0] in CONTROLS:
            continue
        chosen = known.iloc[int(np.argmin((known["layer_depth"] - depth).abs()))]
        kinds = kinds_of(run)
        row = {name: chosen[name] for name in _NAMED} | {"name": run_name(chosen)}
        row |= {name: float(chosen[name]) for name in ("r", "q", "q_low", "q_high")}
        row |= {"layers": len(known)} | dict.fromkeys(("passing", "p_family", "r_low", "r_high"), np.nan)
        if kinds:
            row["passing"] = len(passing(known, kinds[0]))
            row |= {name: float(chosen[f"{kinds[0]}_{name}"]) for name in ("p_family", "r_low", "r_high")}
        rows.append(row)
    table = pd.DataFrame(rows)
    return table.sort_values("r", ascending=False, kind="stable") if len(table) else table


@dataclass(frozen=True)
class Overall:
    """What models have in common.

    Attributes
    ----------
    n
        Models.
    mean, low, high
        With a 95 % interval.
    spread
        Standard deviation between models beyond their own intervals.
    low_next, high_next
        Between which 95 % of further models of this kind are to be expected.
    """

    n: int
    mean: float
    low: float
    high: float
    spread: float
    low_next: float
    high_next: float


def over_models(ranking: pd.DataFrame) -> Overall | None:
    """The exponent q over models: a random-effects mean; None with fewer than ``FEWEST_MODELS``.

    None, too, where a model comes more than once (checkpoints, settings), or models were not shown the same:
    these are not so many draws from one population.

    By Paule & Mandel (1982), with the interval of Hartung & Knapp (2001), which minds that the spread between
    few models is itself uncertain. All models share the prior: its error is in every q, not averaged out.
    """
    if ranking["model"].duplicated().any() or len(ranking[["stimulus", "dimension"]].drop_duplicates()) > 1:
        return None
    every = ranking[["q", "q_low", "q_high"]].to_numpy(dtype=float)
    q, low, high = every[np.isfinite(every).all(axis=1)].T
    variances = ((high - low) / (2 * NORMAL_975)) ** 2
    if len(q) < FEWEST_MODELS or not (variances > 0).all():
        return None
    return _random_effects(q, variances)


def _random_effects(q: Array, variances: Array) -> Overall:
    from scipy.stats import t as student  # noqa: PLC0415
    from statsmodels.stats.meta_analysis import combine_effects  # noqa: PLC0415

    found = combine_effects(q, variances, method_re="pm", use_t=True)
    mean, tau2 = float(found.mean_effect_re), max(float(found.tau2), 0.0)
    error = float(found.sd_eff_w_re_hksj)
    reach = float(student.ppf(0.975, len(q) - 1))
    ahead = float(student.ppf(0.975, max(len(q) - 2, 1)) * np.sqrt(tau2 + error**2))
    return Overall(
        len(q),
        mean,
        mean - reach * error,
        mean + reach * error,
        float(np.sqrt(tau2)),
        mean - ahead,
        mean + ahead,
    )
