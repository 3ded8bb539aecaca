"""What a comparison with people says beyond its correlations, in sentences."""

from __future__ import annotations

import numpy as np
import pandas as pd

from psychophys.comparison.references import REFERENCES
from psychophys.comparison.verdict import layers_of, shown_runs
from psychophys.results.summary import run_name


def caveats(comparison: pd.DataFrame) -> list[str]:
    """What must be known of the human references, and what is assumed of how images are seen."""
    if "reference" not in comparison:
        return []
    names = list(comparison["reference"].unique())
    known = [REFERENCES[name] for name in names if name in REFERENCES]
    said = [f"{one.name}: {one.caveat}" for one in known if one.caveat]
    if "assumed" in comparison:
        pairs = comparison[["reference", "assumed"]].drop_duplicates()
        said += [f"{name}: {what}" for name, what in pairs.itertuples(index=False) if what]
    return said


def thresholds_beside(comparison: pd.DataFrame) -> list[str]:
    """People's threshold and the layer that is nearest to it, a sentence a run; none for shapes."""
    if "human_threshold" not in comparison:
        return []
    return [line for rows in shown_runs(comparison) for line in _of_run(rows)]


def _of_run(rows: pd.DataFrame) -> list[str]:
    layers = layers_of(rows)
    known = layers[np.isfinite(layers["threshold_ratio"])]
    if known.empty:
        return []
    first = known.iloc[0]
    nearest = known.iloc[int(np.argmin(np.abs(np.log(known["threshold_ratio"]))))]
    reference = REFERENCES.get(str(first["reference"]))
    spread = ""
    if reference is not None and np.isfinite(first["human_low"]):
        spread = f" ({first['human_low']:.3g} to {first['human_high']:.3g}: {reference.spread_is})"
    one = len(known) == 1
    which = (
        f"that of {nearest['layer']}" if one else f"the nearest layer is {nearest['layer']}, whose threshold"
    )
    return [
        f"{run_name(first)}: people's threshold of {first['dimension']} is {first['human_threshold']:.3g} "
        f"{first['unit']}{spread}, a geometric mean over the values; {which} is "
        f"{nearest['threshold_ratio']:.3g} times as high at this noise."
    ]
