"""Human sensitivity from published data and formulas: what the sensitivity of a layer can be set beside.

A new reference is one entry in the file of its field in :mod:`psychophys.comparison.people`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psychophys.base.errors import UsageError
from psychophys.base.registry import Registry
from psychophys.comparison.people.colour import COLOUR
from psychophys.comparison.people.contrast import CONTRAST, contrast_sensitivity
from psychophys.comparison.people.frequency import FREQUENCY
from psychophys.comparison.people.masking import MASKING
from psychophys.comparison.people.orientation import ORIENTATION
from psychophys.comparison.people.position import POSITION
from psychophys.comparison.people.reference import Recipe, Reference

__all__ = ["REFERENCES", "Recipe", "Reference", "contrast_sensitivity", "reference_for"]

REFERENCES = Registry(
    "human reference",
    (*ORIENTATION, *CONTRAST, *MASKING, *FREQUENCY, *POSITION, *COLOUR),
    Reference,
    group="psychophys.references",
    hint="See `psychophys priors`.",
)


def reference_for(
    dimension: str,
    stimulus: str,
    name: str | None = None,
    parameters: Mapping[str, Sequence[float]] | None = None,
) -> Reference:
    """The reference of that name, or the first for a dimension of a stimulus.

    Parameters
    ----------
    parameters
        Values of the stimulus's other parameters, as some references are for some values alone.

    Raises
    ------
    UsageError
        If there is none, or it is for something else.
    """
    every = REFERENCES.values() if name is None else [REFERENCES.find(name)]
    for reference in every:
        if reference.fits(dimension, stimulus, parameters or {}):
            return reference
    which = "there is no human reference" if name is None else f"{name} is no human reference"
    raise UsageError(f"{which} for {dimension} of {stimulus}", f"There is: {_known(dimension, stimulus)}.")


def _known(dimension: str, stimulus: str) -> str:
    """What there is for a dimension of a stimulus and at which values, or for which dimensions."""
    near = [r for r in REFERENCES.values() if r.dimension == dimension and stimulus in r.stimuli]
    if near:
        return "; ".join(f"{r.name}{_condition(r)}" for r in near)
    named: dict[str, dict[str, None]] = {}
    for one in REFERENCES.values():
        named.setdefault(one.dimension, {}).update(dict.fromkeys(one.stimuli))
    return "; ".join(f"{which} ({', '.join(shown)})" for which, shown in named.items())


def _condition(reference: Reference) -> str:
    if not reference.only:
        return ""
    return " at " + ", ".join(f"{name} {held[0]:g}" for name, held in reference.only.items())
