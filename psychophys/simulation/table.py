"""The table of simulated observers: predicted thresholds beside fitted ones, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from psychophys.results.kinds import KINDS
from psychophys.results.shared_columns import ADDED_COLUMNS, LAYER_COLUMNS, NOISE_COLUMNS, VALUE_COLUMNS
from psychophys.results.summary import not_for_layers, run_name
from psychophys.results.tables import COUNT, NUMBER, TEXT, Column, RunTable
from psychophys.simulation.trials import LEVELS, READ_OUTS

MOST_SAID = 5

COLUMNS = (
    *LAYER_COLUMNS,
    *VALUE_COLUMNS,
    Column("n_samples", COUNT, "images", "nuisance samples, all of which are shown"),
    Column("task", TEXT, "", "2afc or single"),
    Column("read_out", TEXT, "", "ideal or trained"),
    Column("n_trials", COUNT, "trials", "in all"),
    Column("predicted_threshold", NUMBER, "unit", "d' / sqrt(J): the local-linear threshold"),
    Column("fitted_threshold", NUMBER, "unit", "of the psychometric function; empty if out of range"),
    Column("fitted_low", NUMBER, "unit", "lower end of its credible interval"),
    Column("fitted_high", NUMBER, "unit", "upper end"),
    Column("deviation", NUMBER, "", "fitted over predicted, less 1"),
    Column("power", NUMBER, "", "by which d' grows with the difference; 1 for a linear read-out"),
    Column("curve", TEXT, "", "difference, trials, correct answers at each level, as JSON"),
    *NOISE_COLUMNS,
    Column(
        "status",
        TEXT,
        "",
        "agrees; parts; not_reached (the threshold is beyond the differences shown); "
        "out_of_range (they cannot be shown); or why it was not measured",
    ),
)


class Simulations(RunTable):
    """Predicted and simulated thresholds, with the provenance of every run.

    Parameters
    ----------
    table
        With the columns of ``COLUMNS``.
    runs
        Provenance by run id, of the measurements that are simulated.
    """

    columns = COLUMNS
    kind = KINDS["simulation"]
    version = 2
    older: ClassVar[Mapping[int, tuple[str, ...]]] = {1: ADDED_COLUMNS}

    def is_by(self, procedure: Mapping[str, Any]) -> bool:
        """Whether all of it was simulated in one way, which rows alone do not say."""
        return all(self.runs.get(name, {}).get("experiments") == [procedure] for name in self.identifiers)

    @classmethod
    def join(cls, parts: Iterable[Self]) -> Self:
        """One table of several; one measurement may be simulated by several procedures."""
        rows: list[dict[str, Any]] = []
        runs: dict[str, dict[str, Any]] = {}
        for part in parts:
            rows += part.table.to_pylist()
            for name, run in part.runs.items():
                before = runs.get(name, {"experiments": []})["experiments"]
                new = [made for made in run["experiments"] if made not in before]
                runs[name] = {**run, "experiments": [*before, *new]}
        return cls.from_rows(rows, runs)


def conclusions(simulations: Simulations) -> list[str]:
    """One sentence a run, and one for each layer whose deciders part from the prediction."""
    said = []
    for _, run in simulations.to_pandas().groupby("run_id", sort=False):
        known, who = run[run["deviation"].notna()], run_name(run.iloc[0])
        if len(known):
            agree = int((known["status"] == "agrees").sum())
            said.append(
                f"{who}: {agree} of {len(known)} fitted thresholds agree with the prediction within their "
                f"interval; the median deviation is {known['deviation'].abs().median():.1%}."
            )
        parting = [s for layer, part in known.groupby("layer", sort=False) if (s := _parting(layer, part))]
        said += parting[:MOST_SAID]
        if len(parting) > MOST_SAID:
            said.append(f"{who}: {len(parting) - MOST_SAID} more layers part.")
        said += _without(who, run)
    return said


def _without(who: str, run: pd.DataFrame) -> list[str]:
    """Why there are no fitted thresholds."""
    reasons = {
        "not_reached": f"are beyond {LEVELS[-1]:.2g} times the prediction",
        "out_of_range": "could not be simulated: such differences cannot be shown; use less noise",
        "insensitive": "could not be simulated: the layer does not depend on the dimension",
        "not_finite": "could not be simulated: responses are not finite",
    }
    counts = run[run["deviation"].isna()]["status"].value_counts()
    said = [
        f"{who}: {counts[s]} of {len(run)} thresholds {why}." for s, why in reasons.items() if s in counts
    ]
    return said + not_for_layers(run[~run["status"].isin(("agrees", "parts", *reasons))])


def _parting(layer: Any, part: pd.DataFrame) -> str:
    """What to say of a layer: nothing, as long as no more of it parts than chance would have."""
    apart = part[part["status"] == "parts"]
    if len(apart) <= max(1, round(0.1 * len(part))):
        return ""
    worst = apart.iloc[int(np.argmax(apart["deviation"].abs()))]
    trained = READ_OUTS[worst["read_out"]].trained
    why = "trained on finite trials" if trained else "responses are not local-linear at that scale"
    return (
        f"{layer} parts at {len(apart)} of {len(part)} values ({why}): fitted thresholds are "
        f"{worst['deviation']:+.0%} at {worst['value']:g} {worst['unit']}, where the prediction is "
        f"{worst['predicted_threshold']:.3g} {worst['unit']} (median of the layer "
        f"{part['deviation'].median():+.0%})."
    )
