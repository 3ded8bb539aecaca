"""What a network must keep to be measured: each layer's promise, tested before a measurement.

A layer answers each image by itself, the same whenever it is shown, and its forward-mode derivative is the
derivative of what it computes. The tests are made in float64, where a difference over a millionth of the
images' range is a derivative to six digits, on three small forward passes; what does not hold costs more
passes, which find out why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from psychophys.observers.evidence import NAN, Differences, Passed, Tolerance, is_faint
from psychophys.observers.layers import MIXES, RANDOM, STATE, Layer, seeded, select_layers
from psychophys.observers.memory import out_of_memory
from psychophys.observers.passes import DRAWS, Passes
from psychophys.observers.viewer import Viewer

FORWARD, DIFFERENCES, NONE = "forward mode", "differences", "none"
"""Where a layer's derivative is from."""
COARSELY = 0.3
"""Relative error of a tangent against a difference over the larger step: more is of jumps."""
ROUNDING = 1e-4
"""Relative change of an element that another batch may make."""
ADJOINT = 1e-3
"""Relative difference of forward and reverse products."""
INFLATED = 3.0
"""Where a difference over a larger step has so many times the norm, the response jumps."""
MOST_KEPT = 2**25
"""Activations of an image that are compared at once; more layers take more passes."""


@dataclass(frozen=True)
class Verdict:
    """What was found of one layer.

    Attributes
    ----------
    reason
        Why it cannot be measured; empty where it can.
    derivative
        ``forward mode``; ``differences`` where the tangent is not that of the function, or there is none;
        or ``none``, where the function has no derivative that differences could show.
    error
        Relative difference between the tangent and a difference of the function; NaN without a tangent.
    precision
        Relative error of its sensitivity as it is measured, against float64; NaN where that is not known.
    """

    reason: str = ""
    derivative: str = FORWARD
    error: float = 0.0
    precision: float = float("nan")

    @property
    def faults(self) -> list[str]:
        """What is not as it should be, in words that go on from the layer's name."""
        if self.reason:
            return [self.reason]
        if self.derivative == DIFFERENCES:
            missed = "" if self.error != self.error else f" (it misses {self.error:.0%})"
            return [f"has no forward-mode derivative that is its own{missed}: differences are measured"]
        if self.derivative == NONE:
            return ["has no derivative: differences go with the step"]
        return []


@dataclass(frozen=True)
class Contract:
    """Every layer's verdict, and what the tests were made in.

    Attributes
    ----------
    verdicts
        By layer.
    dtype
        Of the numbers.
    notes
        What could not be tested as it should, and why.
    own_forward_mode
        Whether the observer has the forward mode that the same has in float64: a fused kernel may have none.
    skipped
        Modules that were asked for and are no layers, and why.
    reverse
        What is wrong with a layer's reverse mode, which pixel noise needs; empty where nothing is.
    """

    verdicts: dict[str, Verdict]
    dtype: str
    notes: tuple[str, ...] = ()
    own_forward_mode: bool = True
    skipped: Mapping[str, str] = field(default_factory=dict)
    reverse: Mapping[str, str] = field(default_factory=dict)

    @property
    def kept(self) -> bool:
        """Whether every layer can be measured."""
        reasons = {*(verdict.reason for verdict in self.verdicts.values()), *self.skipped.values()}
        return not reasons & {RANDOM, STATE, MIXES}

    def conclusions(self) -> list[str]:
        """What was found, a sentence a layer that is not as it should be, and one of all others."""
        good = [name for name, verdict in self.verdicts.items() if not verdict.faults]
        lines = []
        if good:
            error = max(self.verdicts[name].error for name in good)
            lines.append(
                f"{len(good)} of {len(self.verdicts)} layers answer each image by itself, the same whenever "
                f"it is shown; their derivative is right to {error:.1g} (tested in {self.dtype})."
            )
        lines += [f"{name} {why}." for name, v in self.verdicts.items() for why in v.faults]
        lines += [f"{name} under input noise: {why}." for name, why in self.reverse.items() if why]
        lines += [f"Left out: {name} {why}." for name, why in self.skipped.items()]
        known = [v.precision for v in self.verdicts.values() if v.precision == v.precision]
        if known:
            lines.append(f"Sensitivities are within {max(known):.1g} of those in float64.")
        return lines + [f"Note: {note}." for note in self.notes]


def examine(observer: Viewer, layers: Sequence[Layer]) -> Contract:
    """Test what the layers promise; what is known of an observer is not tested again.

    Raises
    ------
    MeasurementError
        Where the network does not run on other numbers of images.
    """
    known: Contract = observer.known.get("contract", Contract({}, ""))
    fresh = [layer for layer in layers if layer.name not in known.verdicts]
    for part in _parts(fresh):
        known = _joined(known, _made(Passes(observer, part)))
    observer.known["contract"] = known
    return replace(known, verdicts={layer.name: known.verdicts[layer.name] for layer in layers})


def examine_all(observer: Viewer, patterns: Sequence[str]) -> Contract:
    """Test all that can be promised of the layers that patterns choose."""
    selection = select_layers(observer, patterns)
    contract = examine(observer, selection.layers)
    exact = [layer for layer in selection.layers if not contract.verdicts[layer.name].faults]
    reverse = adjoint(observer, exact) if exact else {}
    return replace(contract, skipped=selection.skipped, reverse=reverse)


def _parts(layers: Sequence[Layer]) -> Iterator[list[Layer]]:
    part: list[Layer] = []
    for layer in layers:
        if part and sum(one.n_features for one in (*part, layer)) > MOST_KEPT:
            yield part
            part = []
        part.append(layer)
    if part:
        yield part


def _joined(known: Contract, more: Contract) -> Contract:
    notes = tuple(dict.fromkeys((*known.notes, *more.notes)))
    own = known.own_forward_mode and more.own_forward_mode
    return Contract({**known.verdicts, **more.verdicts}, more.dtype, notes, own_forward_mode=own)


def _made(passes: Passes) -> Contract:
    try:
        with seeded(0):
            verdicts, own = _verdicts(passes)
    except Exception as error:
        if not out_of_memory(error):
            raise
        passes.notes.append("not tested: there was no memory for it")
        verdicts, own = {layer.name: Verdict(error=NAN) for layer in passes.layers}, True
    dtype = str(passes.wide.dtype).removeprefix("torch.")
    return Contract(verdicts, dtype, tuple(passes.notes), own_forward_mode=own)


def _verdicts(passes: Passes) -> tuple[dict[str, Verdict], bool]:
    """By layer; and whether the observer itself has a forward mode, where the same in float64 has one."""
    first = passes.first()
    forward = passes.second(first)
    verdicts = _changing(passes, first, forward)
    doubted = [name for name, of in first.items() if name not in verdicts and not _agrees(passes, of)]
    steps = passes.differences(doubted, forward) if doubted else {}
    precision = passes.precision(first) if forward else {}
    for name, of in first.items():
        if name in steps:
            verdicts[name] = _judge(steps[name], passes.tolerance)
        elif name not in verdicts:
            verdicts[name] = Verdict(error=min(of.errors))
        if precision and name in precision:
            verdicts[name] = replace(verdicts[name], precision=precision[name])
    return {layer.name: verdicts[layer.name] for layer in passes.layers}, precision is not None


def _agrees(passes: Passes, of: Passed) -> bool:
    """Whether the tangent is that of the function beyond doubt; a layer without one is in doubt."""
    near, far = of.errors
    if not of.tangent or far > COARSELY:
        return False
    # A faint one is lost in the rounding of the response over the small step.
    limit = passes.tolerance
    return near <= limit.agrees or is_faint(of.tangent, float(of.response.norm()), limit)


def _changing(passes: Passes, first: dict[str, Passed], forward: bool) -> dict[str, Verdict]:
    """Verdicts of the layers that answer the same image with other numbers."""
    same = passes.tolerance.same
    suspect = passes.draws or passes.has_changed()
    unlike = {name: of for name, of in first.items() if suspect or of.unlike > same}
    if not unlike:
        return {}
    again, verdicts = passes.again(unlike), {}
    for name, of in unlike.items():
        change = {how: changes.get(name, 0.0) for how, changes in again.items()}
        if change["time"] > same or change["history"] > ROUNDING:
            verdicts[name] = Verdict(STATE, NONE, NAN)
        elif change["seed"] > same:
            verdicts[name] = Verdict(RANDOM, NONE, NAN)
        elif max(change[how] for how in ("order", "others", "number")) > ROUNDING:
            verdicts[name] = Verdict(MIXES, NONE, NAN)
        elif change["first"] > ROUNDING:
            verdicts[name] = Verdict(STATE, NONE, NAN)
        elif of.unlike > ROUNDING and forward:
            # It is a function, but another one where there are tangents.
            verdicts[name] = Verdict(derivative=DIFFERENCES, error=of.errors[0])
    if passes.draws and not any(verdict.reason == RANDOM for verdict in verdicts.values()):
        passes.notes.append(
            f"it draws random numbers, which changed none of these layers in {DRAWS} presentations"
        )
    return verdicts


def _judge(found: Differences, tolerance: Tolerance) -> Verdict:
    """What differences over many steps say of a layer whose tangent is in doubt."""
    if not any(found.norms):
        return Verdict() if found.tangent == 0 else Verdict(derivative=NONE, error=1.0)
    changes = [change if change == change else 1.0 for change in found.changes]  # noqa: PLR0124
    if found.is_rounded(tolerance.nearly):
        return Verdict(error=min(found.errors))
    best = min(range(len(changes)), key=changes.__getitem__)
    own = found.norms[best + 1]
    inflated = [i for i, norm in enumerate(found.norms[:-1]) if i > best and norm > INFLATED * own]
    jumps = not own or (bool(inflated) and not found.is_curved(inflated[0]))
    error = found.errors[best + 1]
    if changes[best] > tolerance.nearly or jumps:
        return Verdict(derivative=NONE, error=error)
    # Where float64 is kept to the end, what the tangent misses is no rounding.
    limit = tolerance.agrees if changes[0] <= tolerance.agrees else tolerance.nearly
    return Verdict(derivative=FORWARD if error <= limit else DIFFERENCES, error=error)


def adjoint(observer: Viewer, layers: Sequence[Layer]) -> dict[str, str]:
    """What is wrong with the reverse mode of the layers: that it is not the adjoint of forward mode."""
    known: dict[str, str] = observer.known.setdefault("adjoint", {})
    fresh = [layer for layer in layers if layer.name not in known]
    if fresh:
        with seeded(0):
            found = Passes(observer, fresh).adjoint()
        for name, error in found.items():
            if isinstance(error, str):
                known[name] = f"cannot be shown to be adjoint: {error}"
            else:
                known[name] = "" if error <= ADJOINT else "reverse mode is not the adjoint of forward mode"
    return {layer.name: known[layer.name] for layer in layers}
