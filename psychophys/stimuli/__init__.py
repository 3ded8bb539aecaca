"""The table of stimuli. A new stimulus is one :class:`Stimulus` and one entry here."""

from __future__ import annotations

from psychophys.base.errors import UsageError
from psychophys.base.registry import Registry
from psychophys.stimuli.base import MOST_VALUES, Parameter, Stimulus
from psychophys.stimuli.color import PATCHES
from psychophys.stimuli.cones import CONES
from psychophys.stimuli.display import DISPLAYS, Display, find_display
from psychophys.stimuli.gratings import GRATINGS
from psychophys.stimuli.images import IMAGES, with_images, with_same_images
from psychophys.stimuli.masking import MASKING
from psychophys.stimuli.on_display import on_display
from psychophys.stimuli.position import POSITIONS

STIMULI = Registry(
    "stimulus",
    (*GRATINGS, *MASKING, *POSITIONS, *PATCHES, *CONES, *IMAGES),
    Stimulus,
    group="psychophys.stimuli",
    hint="See `psychophys stimuli`.",
)


def get_stimulus(stimulus: str | Stimulus) -> Stimulus:
    """Return the stimulus of that name, or the one given.

    Raises
    ------
    UsageError
        For a name that is not known, and for one given that has the name of another.
    """
    found = STIMULI.find(stimulus)
    # With photographs of somebody's own it is another value under the same name, and says so by their hash.
    own_images = found.images not in ("", "packaged")
    if found.name in STIMULI and _in_the_table(found) != found and not own_images:
        raise UsageError(
            f"stimulus {found.name!r} is another one than that of this name in the table",
            "Give yours a name of its own.",
        )
    return found


def _in_the_table(stimulus: Stimulus) -> Stimulus:
    known = STIMULI[stimulus.name]
    return known if stimulus.display is None else on_display(known, stimulus.display)


__all__ = [
    "DISPLAYS",
    "MOST_VALUES",
    "STIMULI",
    "Display",
    "Parameter",
    "Stimulus",
    "find_display",
    "get_stimulus",
    "on_display",
    "with_images",
    "with_same_images",
]
