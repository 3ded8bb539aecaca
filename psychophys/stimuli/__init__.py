"""The table of stimuli. A new stimulus is one :class:`Stimulus` and one entry here."""

from __future__ import annotations

from psychophys.base.errors import unknown
from psychophys.stimuli.base import MOST_VALUES, Parameter, Stimulus
from psychophys.stimuli.color import PATCHES
from psychophys.stimuli.gratings import GRATINGS
from psychophys.stimuli.images import IMAGES, with_images

STIMULI: dict[str, Stimulus] = {stimulus.name: stimulus for stimulus in (*GRATINGS, *PATCHES, *IMAGES)}


def get_stimulus(stimulus: str | Stimulus) -> Stimulus:
    """Return the stimulus of that name, or the one given."""
    if isinstance(stimulus, Stimulus):
        return stimulus
    if stimulus not in STIMULI:
        raise unknown("stimulus", stimulus, STIMULI, "See `psychophys stimuli`.")
    return STIMULI[stimulus]


__all__ = ["MOST_VALUES", "STIMULI", "Parameter", "Stimulus", "get_stimulus", "with_images"]
