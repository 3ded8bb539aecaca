"""The table of stimuli. A new stimulus is one :class:`Stimulus` and one entry here."""

from __future__ import annotations

from psychophys.base.registry import Registry
from psychophys.stimuli.base import MOST_VALUES, Parameter, Stimulus
from psychophys.stimuli.color import PATCHES
from psychophys.stimuli.gratings import GRATINGS
from psychophys.stimuli.images import IMAGES, with_images

STIMULI = Registry(
    "stimulus",
    (*GRATINGS, *PATCHES, *IMAGES),
    offers=Stimulus,
    group="psychophys.stimuli",
    hint="See `psychophys stimuli`.",
)


def get_stimulus(stimulus: str | Stimulus) -> Stimulus:
    """Return the stimulus of that name, or the one given."""
    return STIMULI.find(stimulus)


__all__ = ["MOST_VALUES", "STIMULI", "Parameter", "Stimulus", "get_stimulus", "with_images"]
