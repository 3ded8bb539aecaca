"""Words of a page that not everybody knows, each with what it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from psychophys.report.words import Terms
from psychophys.results.glossary import COMPARISON, HEADINGS, TERMS

_MEASURED = ("threshold", "d'", "J", "sensitivity")
_ORIENTED = ("cardinal", "oblique")
_COMPARED = ("prior", "pixels", "untrained", "turns of the curve")


def explained(runs: Mapping[str, Mapping[str, Any]], compared: Sequence[pd.DataFrame]) -> Terms:
    """Terms that a page of these runs and comparisons uses."""
    made = [record["measurement"] for record in runs.values()]
    used = list(_MEASURED)
    used += _ORIENTED if any(one["dimension"] == "orientation" for one in made) else ()
    used += dict.fromkeys(f"{one['noise']} noise" for one in made)
    used += ["differential noise"] if any("differential" in one["noise_options"] for one in made) else []
    used += dict.fromkeys(str(one["estimator"]) for one in made)
    used += _COMPARED if compared else ()
    terms = [(word, TERMS[word]) for word in used if word in TERMS]
    return [*terms, ("q", HEADINGS["q", COMPARISON])] if compared else terms
