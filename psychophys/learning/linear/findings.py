"""What the experiment ``linear`` comes to: half-times against the closed forms, and the growth of acuity."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from psychophys.learning.acuities import acuity, power_law
from psychophys.learning.linear.theory import DEPTHS
from psychophys.learning.training import Learned
from psychophys.learning.trends import Findings

FLATTEST = 0.2
"""Exponent of a spectrum from which a sentence is built."""


def find_linear(learned: Learned) -> Findings:
    """Half-times of the first and the last mode, largest error of any, and the exponent of acuity."""
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
                "acuity": law.exponent,
                "acuity_low": law.low,
                "acuity_high": law.high,
                "theory": own["predicted_exponent"].astype(float).mean(),
            }
        )
    first = next(iter(learned.modes.runs.values()))
    title = (
        f"{first['patch']} x {first['patch']} patches, {first['init']} weights: half-times of modes in "
        "steps, exponent of acuity"
    )
    return Findings(title, pd.DataFrame(rows), _conclusions(rows, learned), dimension="frequency")


def _conclusions(rows: list[dict[str, Any]], learned: Learned) -> list[str]:
    said = []
    errors = [row["error (%)"] for row in rows if np.isfinite(row["error (%)"])]
    if errors:
        said.append(
            f"Half-times of the modes are those of the closed forms within {max(errors):.1f}%; theory: the "
            "exponent of acuity by the closed forms."
        )
    modes = learned.modes.to_pandas()
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
