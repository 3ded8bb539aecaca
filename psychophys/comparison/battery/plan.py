"""Which of people's data a network is set beside, and what is measured for it."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psychophys.base.digest import digest
from psychophys.base.errors import UsageError, unknown
from psychophys.comparison.references import REFERENCES, Reference
from psychophys.measurement.plan import plan
from psychophys.measurement.record import identify
from psychophys.measurement.spec import Measurement
from psychophys.observers.observer import Observer
from psychophys.stimuli import Display, find_display

SCREEN = Display("", 100.0, 80.0, "srgb")
"""What people and networks look at unless another display is said: images of 224 pixels are 2.24 deg wide,
as in Benjamin et al. 2022; white and its encoding are those of sRGB (IEC 61966-2-1)."""
FEWEST_VALUES = 3
"""Of a curve across runs."""


@dataclass(frozen=True)
class Part:
    """What is measured for a reference.

    Attributes
    ----------
    left_out
        Why some of its values, or all, cannot be shown; empty if all can.
    """

    reference: Reference
    measurements: tuple[Measurement, ...]
    left_out: str = ""


@dataclass(frozen=True)
class Battery:
    """References and how they are measured, made by :func:`plan_battery`."""

    references: tuple[Reference, ...]
    display: Display
    layers: tuple[str, ...]

    def parts(self, side: int) -> list[Part]:
        """What is measured for every reference, in images of so many pixels along their shorter side."""
        return [self._part(reference, side) for reference in self.references]

    def _part(self, reference: Reference, side: int) -> Part:
        shown: list[Measurement] = []
        why = ""
        assert reference.recipe is not None  # Those that have none are not planned.
        for settings in reference.recipe.measurements(side, self.display):
            values, wanted = [], settings.pop("values")
            for value in wanted:
                try:
                    self._plan({**settings, "values": [value]}).check_size(side)
                    values.append(value)
                except UsageError as error:
                    why = str(error)
            if values:
                shown.append(self._plan({**settings, "values": values}))
        if reference.across and len(shown) < FEWEST_VALUES:
            return Part(reference, (), why)
        return Part(reference, tuple(shown), why)

    def _plan(self, settings: Mapping[str, Any]) -> Measurement:
        return plan(layers=self.layers, **settings)


def plan_battery(
    references: str | Sequence[str] = "all",
    *,
    display: str | Display | Mapping[str, Any] | None = None,
    layers: str | Sequence[str] = "default",
) -> Battery:
    """Resolve defaults and check before anything is computed.

    Parameters
    ----------
    references
        ``all``, or names or glob patterns of :data:`psychophys.REFERENCES`.
    display
        As :func:`psychophys.plan` takes it. Default: ``SCREEN``.
    layers
        ``default``, ``all`` or glob patterns.

    Raises
    ------
    UsageError
        For a name that is not known, or a reference that says nothing of what to measure.
    """
    wanted = [references] if isinstance(references, str) else _texts(references)
    found = {name: None for pattern in wanted for name in _named(pattern)}
    if not found:
        raise UsageError("no references", "Leave them out for all, or see `psychophys priors`.")
    if isinstance(display, Mapping) and display.get("preset") is None:
        display = {**SCREEN.as_dict(), **display}  # What is not said is as usual.
    patterns = (layers,) if isinstance(layers, str) else tuple(layers)
    chosen = tuple(REFERENCES[name] for name in found)
    return Battery(chosen, find_display(display) or SCREEN, patterns)


def _texts(references: Any) -> list[str]:
    """As a list, of names alone."""
    if not isinstance(references, Iterable) or not all(isinstance(name, str) for name in references):
        raise UsageError(
            f"references {str(references)[:60]!r} are no names",
            "Give a name, a glob pattern, or a list of them.",
        )
    return list(references)


def _named(pattern: str) -> list[str]:
    planned = [name for name, reference in REFERENCES.items() if reference.recipe is not None]
    found = planned if pattern == "all" else fnmatch.filter(planned, pattern)
    if not found:
        if pattern in REFERENCES:
            raise UsageError(
                f"reference {pattern} says nothing of what to measure", f"Give one of {', '.join(planned)}."
            )
        raise unknown("human reference", pattern, planned, "See `psychophys priors`.")
    return found


def identify_battery(battery: Battery, observer: Observer) -> str:
    """The run id of a battery of this observer: of all that is measured, and what it is set beside."""
    return identify_parts(battery.parts(min(observer.input_size)), observer)


def identify_parts(parts: Sequence[Part], observer: Observer) -> str:
    """The same of what has been planned for this observer's images."""
    return digest([[p.reference.name, *(identify(m, observer) for m in p.measurements)] for p in parts])
