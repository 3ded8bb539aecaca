"""What a file says of its runs, as arguments: to make them again, or to change one thing."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pyarrow as pa
import torch

from psychophys.base.definition import definition
from psychophys.base.errors import UsageError
from psychophys.measurement.plan import plan
from psychophys.measurement.record import name_device
from psychophys.measurement.spec import Measurement
from psychophys.noise.information import Noise
from psychophys.noise.models import NOISE, get_noise
from psychophys.observers.names import Job
from psychophys.results.tables import RunTable
from psychophys.stimuli import STIMULI, Stimulus, get_stimulus, on_display, with_same_images

OBSERVER = ("model", "weights", "seed", "checkpoint", "dtype", "arithmetic", "noise_seed")
"""Arguments of :class:`psychophys.observers.names.Job` that a record has under their own name."""
SETTINGS = (
    "stimulus",
    "dimension",
    "values",
    "parameters",
    "layers",
    "estimator",
    "step",
    "noise",
    "noise_level",
    "noise_options",
    "dprime",
    "confidence",
    "precision",
    "preset",
    "pooling",
    "display",
)
"""Arguments of :func:`psychophys.plan` that a record has."""
_BESIDE_PRESET = ("layers", "dprime", "confidence", "display")
"""What no preset decides."""
GIVEN = "given"
"""Weights of a network that was given from Python."""
_MODULE = "module"
"""Source of a network that is none of a name."""
_TOLD = ("psychophys", "torch", "timm", "numpy")


@dataclass(frozen=True)
class Specification:
    """One run as arguments, in plain values.

    Attributes
    ----------
    observer
        Of :func:`psychophys.load_observer`, with ``model``.
    settings
        Of :func:`psychophys.plan`.
    dimensions
        Of a Fisher matrix; empty for thresholds.
    images, images_sha256
        Photographs of one's own that were shown, and what named their contents.
    noise_definition
        Of a noise that is in no table.
    run_id, sha256
        Of the run, and of its weights; empty where they are not known.
    imports
        Modules that registered the model.
    made_with
        Versions of packages, and the device.
    """

    observer: Mapping[str, Any]
    settings: Mapping[str, Any]
    dimensions: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    images_sha256: str = ""
    noise_definition: Any = None
    run_id: str = ""
    sha256: str = ""
    imports: tuple[str, ...] = ()
    made_with: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def job(self) -> Job:
        """The observer that is asked for.

        Raises
        ------
        UsageError
            For a network that was given from Python, or a name that is not known here.
        """
        model = self.observer["model"]
        if self.observer.get("weights") == GIVEN:
            raise UsageError(
                f"{model} is a network that was given from Python, or trained on the way",
                "No file holds it: name a model, to measure that one in the same way.",
            )
        try:
            return Job(**self.observer)
        except UsageError as error:
            if not self.imports:
                raise
            raise UsageError(
                str(error), f"It was measured with --import {' --import '.join(self.imports)}."
            ) from error

    def measurement(self, *, stimulus: Stimulus | None = None, noise: Noise | None = None) -> Measurement:
        """What was measured, planned again.

        Parameters
        ----------
        stimulus, noise
            Those that were measured, where they are not in their tables.

        Raises
        ------
        UsageError
            For a stimulus or noise that is in no table, or photographs that are gone or changed.
        """
        settings = {**self.settings, "stimulus": self._stimulus(stimulus)}
        wanted = settings.get("noise")
        if noise is not None:
            settings["noise"] = get_noise(noise)
        elif isinstance(wanted, str) and (wanted not in NOISE or self.noise_definition is not None):
            raise _not_here("noise", wanted)
        if self.noise_definition not in (None, definition(settings.get("noise"))):
            raise UsageError(f"noise {wanted} is not the one that was measured", "Give that one.")
        return plan(**settings)

    def _stimulus(self, given: Stimulus | None) -> str | Stimulus | None:
        wanted = self.settings.get("stimulus")
        if given is None and isinstance(wanted, str) and wanted not in STIMULI:
            raise _not_here("stimulus", wanted)
        chosen: str | Stimulus | None = wanted if given is None else get_stimulus(given)
        if self.images:
            chosen = with_same_images(get_stimulus(chosen or "image"), self.images)
            if self.images_sha256 not in ("", chosen.images):
                raise UsageError(
                    f"the photographs of stimulus {chosen.name} have changed since they were shown",
                    "Put the former ones back, or give others with --images.",
                )
        return chosen

    @property
    def arguments(self) -> dict[str, Any]:
        """All of :func:`psychophys.measure`; it raises as :attr:`job` and :meth:`measurement` do."""
        measurement = self.measurement()
        return {**vars(self.job), **self.settings, "stimulus": measurement.stimulus}

    def changed(self, **said: Any) -> Specification:
        """The same with other settings: what had its meaning with one that is replaced goes with it.

        Parameters
        ----------
        said
            Arguments of :func:`psychophys.plan`; None leaves one as it is. ``parameters`` and
            ``noise_options`` are changed one by one, as are the numbers of a display. Another noise has its
            own level and options, another dimension its own values and step, and a preset decides all that it
            decides without a file. Values in units that are no longer those of the parameter are left out.
        """
        said = {name: value for name, value in said.items() if value is not None}
        if said.get("preset"):
            kept = {name: self.settings[name] for name in _BESIDE_PRESET if name in self.settings}
            return replace(
                self, settings={**kept, **said}, images=(), images_sha256="", noise_definition=None
            )
        own: dict[str, Any] = dict(self.settings)
        changes: dict[str, Any] = {}
        own["parameters"] = dict(own.get("parameters") or {})
        if "noise" in said:
            if _name(said["noise"]) != own.get("noise"):
                own |= {"noise_level": None, "noise_options": {}}
            changes["noise_definition"] = None
        changes |= _shown_otherwise(own, said, self.images)
        if "dimension" in said and said["dimension"] != own.get("dimension"):
            _forget_dimension(own)
        if said.get("images"):
            own["parameters"].pop("sample", None)
            changes |= {"images": (), "images_sha256": ""}
        for name in ("parameters", "noise_options"):
            said[name] = {**(own.get(name) or {}), **(said.get(name) or {})}
        said["parameters"].pop(said.get("dimension", own.get("dimension")), None)
        return replace(self, settings={**own, **said}, **changes)


def _name(value: Any) -> Any:
    return getattr(value, "name", value)


def _forget_dimension(own: dict[str, Any]) -> None:
    own |= dict.fromkeys(("dimension", "values", "step", "preset"))


def _shown_otherwise(own: dict[str, Any], said: dict[str, Any], images: Sequence[str]) -> dict[str, Any]:
    """Forget what another stimulus or display has not, or has in another unit; what else changes."""
    changes: dict[str, Any] = {}
    if "display" in said:
        said["display"] = _other_display(own.get("display"), said["display"])
    before = _units(own.get("stimulus"), own.get("display"))
    if "stimulus" in said and _name(said["stimulus"]) != own.get("stimulus"):
        own["preset"] = None
        if not (images and get_stimulus(said["stimulus"]).sources):
            changes = {"images": (), "images_sha256": ""}
    after = _units(said.get("stimulus", own.get("stimulus")), said.get("display", own.get("display")))
    if before != after:
        _forget_units(own, before, after)
    return changes


def _units(stimulus: Any, display: Any) -> dict[str, str]:
    """Of a stimulus's parameters; none for one that is not known here."""
    if not isinstance(stimulus, Stimulus) and stimulus not in STIMULI:
        return {}
    chosen = get_stimulus(stimulus)
    shown = chosen if display is None else on_display(chosen, display)
    return {parameter.name: parameter.unit for parameter in shown.parameters}


def _forget_units(own: dict[str, Any], before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Forget values of what is not there any more, or is in another unit."""
    alike = {name for name, unit in before.items() if after.get(name) == unit}
    own["parameters"] = {name: values for name, values in own["parameters"].items() if name in alike}
    if own.get("dimension") not in alike:
        _forget_dimension(own)


def _other_display(before: Any, said: Any) -> Any:
    """What is said of a display, beside what was said before."""
    if not isinstance(said, Mapping) or "preset" in said or not isinstance(before, Mapping):
        return said
    return {**before, **said} if "name" in said else {**before, **said, "name": ""}


def _not_here(kind: str, name: str) -> UsageError:
    return UsageError(
        f"{kind} {name} was given from Python, or by a package that is not installed here",
        f"Install that package, or give another with --{kind}.",
    )


def specifications(results: RunTable) -> list[Specification]:
    """What every run of a table was, as arguments to make it again.

    Parameters
    ----------
    results
        Of :func:`psychophys.measure`, or of another function that gives a table of runs.

    Examples
    --------
    >>> import psychophys
    >>> table = psychophys.measure(layers="blocks.5", values=4, parameters={"phase": 2})
    >>> (run,) = psychophys.specifications(table)
    >>> again = psychophys.measure(**run.arguments)
    >>> again.table.equals(table.table)
    True
    """
    return of_runs(results.table, results.runs)


def of_runs(table: pa.Table, runs: Mapping[str, Any]) -> list[Specification]:
    """The same of rows, with the columns ``run_id`` and ``checkpoint``, and provenance."""
    named = table.select(["run_id", "checkpoint"]).group_by("run_id", use_threads=False)
    rows = named.aggregate([("checkpoint", "first")]).to_pylist()
    return [_of_run(row["run_id"], runs[row["run_id"]], row["checkpoint_first"]) for row in rows]


def _of_run(run_id: str, record: Mapping[str, Any], checkpoint: str | None) -> Specification:
    measured = record["measurement"]
    known = {**record, "checkpoint": checkpoint}
    observer = {name: known[name] for name in OBSERVER if known.get(name) is not None}
    if record.get("source") == _MODULE:
        observer["weights"] = GIVEN
    elif observer["weights"] == "checkpoint":
        observer["weights"] = "pretrained"
    settings = {name: measured[name] for name in SETTINGS if name in measured}
    settings["preset"] = measured.get("preset") or None
    settings["parameters"] = record.get("planned_parameters", measured["parameters"])
    images = tuple(record.get("images", ()))
    return Specification(
        observer,
        settings,
        tuple(record.get("dimensions", ())),
        images,
        measured.get("images", "") if images else "",
        measured.get("noise_definition"),
        run_id,
        record.get("sha256", ""),
        tuple(record.get("imports", ())),
        {**record.get("versions", {}), "device": record.get("device", "")},
    )


def differences(runs: Sequence[Specification], device: torch.device) -> list[str]:
    """In what this machine differs from those that runs were made with, in a few words each."""
    here = {name: importlib.metadata.version(name) for name in _TOLD} | {"device": name_device(device)}
    there: dict[str, dict[str, None]] = {}
    for run in runs:
        for name, value in run.made_with.items():
            if value and here.get(name, value) != value:
                there.setdefault(name, {})[value] = None
    return [f"{name} {' and '.join(values)} there, {here[name]} here" for name, values in there.items()]


def other_weights(runs: Sequence[Specification], results: RunTable) -> list[str]:
    """A sentence for each observer whose weights are no longer those of the run that was repeated."""
    known: dict[tuple[Any, ...], set[str]] = {}
    for run in runs:
        if run.sha256:
            known.setdefault(_observer(run), set()).add(run.sha256)
    found = {_observer(new): new for new in specifications(results)}
    return [
        f"weights of {new.observer['model']} are others than those that were measured "
        f"(SHA-256 {new.sha256[:12]}, not {', '.join(digest[:12] for digest in sorted(known[key]))})"
        for key, new in found.items()
        if new.sha256 not in known.get(key, {new.sha256})
    ]


def _observer(run: Specification) -> tuple[Any, ...]:
    usual = {"weights": "pretrained", "seed": 0, "checkpoint": None}
    return run.observer["model"], *(run.observer.get(name, value) for name, value in usual.items())
