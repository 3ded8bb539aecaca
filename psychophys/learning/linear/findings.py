"""What the experiment ``linear`` comes to: modes against the closed forms, and the growth of acuity."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from psychophys.learning.acuities import acuity, growth, power_law
from psychophys.learning.linear.theory import DEPTHS
from psychophys.learning.training import Learned
from psychophys.learning.trends import Findings, told, with_interval

FLATTEST = 0.2
"""Exponent of a spectrum from which a sentence is built."""


def find_linear(learned: Learned) -> Findings:
    """Half-times of the first and the last mode, largest error of any, and exponents.

    ``rate`` is that of the rate of learning, 1 / half-time, over eigenvalues; ``acuity`` that of acuity over
    steps, and ``theory`` the closed forms'.
    """
    modes, acuities = learned.modes.to_pandas(), acuity(learned.thresholds)
    trainings = pd.DataFrame(list(learned.modes.runs.values()))
    rows = []
    for model, part in modes.groupby("model", sort=False):
        own = trainings[[DEPTHS[depth].model == model for depth in trainings["depth"]]]
        law = power_law(acuities[acuities["model"] == model])
        rows.append(
            {
                "network": str(model),
                "1st": part[part["mode"] == 1]["half_time"].mean(),
                f"{part['mode'].max()}th": part[part["mode"] == part["mode"].max()]["half_time"].mean(),
                "error (%)": 100 * part["relative_error"].abs().max(),
                **with_interval("rate", rate_exponents(part, "half_time")),
                "acuity": law.exponent,
                "acuity_low": law.low,
                "acuity_high": law.high,
                "theory": own["predicted_exponent"].astype(float).mean(),
            }
        )
    first = next(iter(learned.modes.runs.values()))
    title = (
        f"{first['patch']} x {first['patch']} patches, {first['init']} weights: half-times of modes in "
        "steps, exponents of their rate (over eigenvalues) and of acuity (over steps)"
    )
    return Findings(title, pd.DataFrame(rows), _conclusions(rows, learned), dimension="frequency")


def rate_exponents(modes: pd.DataFrame, half_time: str) -> list[float]:
    """Of rate = constant * eigenvalue^exponent, training by training.

    Parameters
    ----------
    modes
        Rows of one network.
    half_time
        The column whose inverse is the rate.
    """
    return [
        growth(run["eigenvalue"].to_numpy(float), 1 / run[half_time].to_numpy(float))
        for _, run in modes.groupby("seed")
    ]


def sensitivity_errors(modes: pd.DataFrame) -> list[float]:
    """Largest difference of |Wv| from the closed form's strength, at any step, by training and mode.

    NaN without a closed form, or in files that are older than the column.
    """
    found = []
    for _, row in modes.iterrows():
        closed = np.array(json.loads(row["curve"]), dtype=float)[:, 2]
        known = isinstance(row["sensitivity_curve"], str) and np.isfinite(closed).all()
        found.append(np.abs(json.loads(row["sensitivity_curve"]) - closed).max() if known else np.nan)
    return found


def _conclusions(rows: list[dict[str, Any]], learned: Learned) -> list[str]:
    said = []
    errors = [row["error (%)"] for row in rows if np.isfinite(row["error (%)"])]
    if errors:
        said.append(
            f"Half-times of the modes are those of the closed forms within {max(errors):.1f}%; theory: the "
            "exponent of acuity by the closed forms."
        )
    modes = learned.modes.to_pandas()
    apart = sensitivity_errors(modes)
    if np.isfinite(apart).any():
        said.append(
            f"Sensitivity to a mode, |Wv|, is the closed form's strength within {np.nanmax(apart):.2g} of "
            "the final one, at every step."
        )
    if rates := _said_of_rates(modes):
        said.append(f"1 / half-time goes as the eigenvalue to the power of: {rates}.")
    if missed := int(modes["half_time"].isna().sum()):
        said.append(f"{missed} modes were not learned by half: give more --steps.")
    known = modes.groupby("model", sort=False)["predicted_half_time"].any()
    if without := [str(model) for model, closed in known.items() if not closed]:
        said.append(f"No prediction for {', '.join(without)}: in three layers it needs balanced weights.")
    spectrum = np.mean([record["spectrum_exponent"] for record in learned.modes.runs.values()])
    if spectrum > FLATTEST:
        said.append(
            f"The power of gratings falls as frequency^-{spectrum:.2f}, so that acuity would grow as "
            f"step^{1 / spectrum:.2f} if a change of frequency stayed within its own band."
        )
    return said


def _said_of_rates(modes: pd.DataFrame) -> str:
    """Exponents of the rate of learning, and those of the closed forms."""
    parts = []
    for model, part in modes.groupby("model", sort=False):
        own = with_interval("rate", rate_exponents(part, "half_time"))
        closed = with_interval("rate", rate_exponents(part, "predicted_half_time"))
        expected = f", closed form {closed['rate']:.3f}" if np.isfinite(closed["rate"]) else ""
        if np.isfinite(own["rate"]):
            parts.append(f"{model} {told(own, 'rate', '.3f')}{expected}")
    return "; ".join(parts)
