"""Which layers a model has, which are measured, and how their outputs are caught."""

from __future__ import annotations

import fnmatch
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from psychophys.base.errors import MeasurementError, UsageError, first_line, unknown
from psychophys.observers.arithmetic import computing
from psychophys.observers.prepare import first_tensor
from psychophys.observers.viewer import Viewer

_SILENT = (nn.Identity, nn.Dropout, nn.Dropout2d)
_CONTAINERS = (nn.Sequential, nn.ModuleList)
SHELL_SHARE = 0.9
"""A module that holds more of the parameters is the network itself in a shell."""
RANDOM = "is random: the same images get other answers when random numbers are others"
STATE = "keeps a state: the same images get another answer when they are shown again"
MIXES = "output mixes the images of a batch"
NO_WEIGHTS = "the checkpoint has no weights for it"
AFTER_NO_WEIGHTS = "it comes after modules that the checkpoint has no weights for"
ReceiveOutput = Callable[[str, Tensor], None]


@dataclass(frozen=True)
class Layer:
    """A place where responses are read: the output of one call of one module.

    Attributes
    ----------
    name
        Module name; ``@2`` and so on are added where a module is called again.
    index
        Order in which outputs appear in the forward pass.
    depth
        ``index`` scaled to 0 (first) to 1 (last) over all the model's layers.
    n_features
        Activations per image.
    shape
        Output shape for one image.
    """

    name: str
    index: int
    depth: float
    n_features: int
    shape: tuple[int, ...]
    kind: str


@dataclass(frozen=True)
class Selection:
    """Layers to measure, and why the other modules asked for are not among them."""

    layers: tuple[Layer, ...]
    skipped: dict[str, str]


@contextmanager
def recording(model: nn.Module, modules: Sequence[str], receive: ReceiveOutput) -> Iterator[None]:
    """Call ``receive(layer name, output)`` whenever one of the modules answers.

    The output is handed over inside the forward pass, before a later in-place operation can
    overwrite it, and is not kept. The hooks are removed however the block ends.
    """
    calls: Counter[str] = Counter()
    named = dict(model.named_modules())
    handles = []

    def hook_for(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            calls[name] += 1
            label = name if calls[name] == 1 else f"{name}@{calls[name]}"
            if (tensor := first_tensor(output)) is not None:
                receive(label, tensor)

        return hook

    try:
        # One at a time: what is registered must be removed even if a later name is unknown.
        for name in modules:
            handles.append(named[name].register_forward_hook(hook_for(name)))  # noqa: PERF401
        yield
    finally:
        for handle in handles:
            handle.remove()


def list_layers(observer: Viewer) -> Selection:
    """Every module output that is a response to each image on its own.

    Two unlike images are shown together and one alone. An output is a layer if its first axis
    holds the images in order and the first image's part is the same in both.
    """
    if "layers" not in observer.known:
        with computing(observer.arithmetic), seeded(0):
            observer.known["layers"] = _list_layers(observer)
    listed: Selection = observer.known["layers"]
    return listed


def _list_layers(observer: Viewer) -> Selection:
    modules, scripted = [], set()
    for name, module in observer.model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            scripted.add(name)
        elif name and not isinstance(module, _SILENT):
            modules.append(name)
    height, width = observer.input_size
    generator = torch.Generator().manual_seed(0)
    probe = torch.rand(2, 3, height, width, generator=generator)
    probe[1] *= 0.25
    together, alone = _trace(observer, modules, probe), _alone(observer, modules, probe)
    unlike: dict[str, str] | None = None
    skipped = dict.fromkeys(scripted, "is scripted, and cannot be watched")
    skipped |= {m: NO_WEIGHTS if m in observer.without_weights else "gives no tensor" for m in modules}
    untrained = _untrained(observer, together)
    found: list[tuple[str, tuple[int, ...], int]] = []
    for label, (shape, norms, size) in together.items():
        module = label.partition("@")[0]
        if label in untrained:
            skipped[module] = untrained[label]
            continue
        if label not in alone or norms is None or alone[label][1] is None or size != alone[label][2]:
            skipped[module] = "output has no axis of images"
            continue
        single = alone[label][1]
        assert single is not None
        if not torch.isfinite(norms).all():
            raise MeasurementError(
                f"layer {label} of {observer.name} gives NaN or infinity for a random image",
                "Check the weights, or try --dtype float64.",
            )
        if not torch.allclose(norms[:1], single, rtol=1e-3, atol=1e-6):
            unlike = unlike or _why_unlike(observer, modules, probe)
            skipped[module] = unlike.get(label, MIXES)
            continue
        skipped.pop(module, None)
        found.append((label, shape[1:], alone[label][2]))
    return Selection(_in_order(observer, found), skipped)


def _in_order(observer: Viewer, found: Sequence[tuple[str, tuple[int, ...], int]]) -> tuple[Layer, ...]:
    """Layers of names, shapes and sizes, in the order of the forward pass."""
    last = max(len(found) - 1, 1)
    named = dict(observer.model.named_modules())
    return tuple(
        Layer(name, i, i / last, n, shape, type(named[name.partition("@")[0]]).__name__)
        for i, (name, shape, n) in enumerate(found)
    )


def _untrained(observer: Viewer, labels: Iterable[str]) -> dict[str, str]:
    """Why not to measure the outputs, of these in their order, that weights of no checkpoint went into."""
    reasons: dict[str, str] = {}
    for label in labels:
        if label.partition("@")[0] in observer.without_weights:
            reasons[label] = NO_WEIGHTS
        elif reasons:
            reasons[label] = AFTER_NO_WEIGHTS
    return reasons


Trace = dict[str, tuple[tuple[int, ...], Tensor | None, int]]


def _alone(observer: Viewer, modules: Sequence[str], probe: Tensor) -> Trace:
    try:
        return _trace(observer, modules, probe[:1])
    except Exception as error:
        raise MeasurementError(
            f"{observer.name} fails when it is shown another number of images ({first_line(error)})",
            "It keeps a state, or is made for one batch.",
        ) from error


def _why_unlike(observer: Viewer, modules: Sequence[str], probe: Tensor) -> dict[str, str]:
    """The layers that answer differently to the same batch, and why."""
    traces = []
    for seed in (0, 0, 1):
        with seeded(seed):
            traces.append({name: norms for name, (_, norms, _) in _trace(observer, modules, probe).items()})
    first, again, other = traces
    found = {}
    for name, norms in first.items():
        if norms is None:
            continue
        if not _equal(norms, again.get(name)):
            found[name] = STATE
        elif not _equal(norms, other.get(name)):
            found[name] = RANDOM
    return found


def _equal(a: Tensor, b: Tensor | None) -> bool:
    return b is not None and a.shape == b.shape and torch.allclose(a, b, rtol=1e-6)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw random numbers from a seed, and leave the caller's as they were."""
    kept = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(kept[0])
            np.random.set_state(kept[1])  # noqa: NPY002


def _trace(observer: Viewer, modules: Sequence[str], images: Tensor) -> Trace:
    count = len(images)
    seen: Trace = {}

    def receive(label: str, output: Tensor) -> None:
        norms = None
        if output.ndim > 0 and output.shape[0] % count == 0 and output.numel() > 0:
            norms = torch.linalg.vector_norm(output.reshape(count, -1), dim=1).cpu()
        seen[label] = (tuple(output.shape), norms, output.numel() // count)

    shown = observer.preprocess(images.to(observer.device, observer.dtype))
    with torch.no_grad(), recording(observer.model, modules, receive):
        try:
            observer.model(shown)
        except Exception as error:
            _refuse_channels(observer, shown, error)
            raise
    return seen


def _refuse_channels(observer: Viewer, shown: Tensor, error: Exception) -> None:
    """Raise :class:`UsageError` where the network runs with the other number of channels."""
    other, numbers = (1, "one number") if observer.channels == 3 else (3, "three numbers")
    try:
        with torch.no_grad():
            observer.model(shown[:, :1].expand(-1, other, -1, -1).contiguous())
    except Exception:  # It is something else.
        return
    raise UsageError(
        f"{observer.name} takes images of {other} channel{'s' if other > 1 else ''}, and mean has "
        f"{observer.channels}",
        f"Give mean and std {numbers} each.",
    ) from error


def default_modules(model: nn.Module) -> list[str]:
    """Top-level modules, with each sequence replaced by its members: stem, stages or blocks, head.

    A shell around nearly the whole network (an encoder) is looked into.
    """
    children = list(model.named_children())
    if len(children) == 1:
        name, child = children[0]
        return [f"{name}.{inner}".rstrip(".") for inner in default_modules(child)]
    names: list[str] = []
    for name, child in children:
        inside: list[str] = []
        if isinstance(child, _CONTAINERS):
            inside = [member for member, _ in child.named_children()]
        elif _is_shell(child, model):
            inside = default_modules(child)
        names += [f"{name}.{inner}" for inner in inside] or [name]
    return names or [""]


def _is_shell(child: nn.Module, parent: nn.Module) -> bool:
    """Whether a module is nearly the whole of its parent, around a sequence of blocks."""
    blocks = any(isinstance(c, _CONTAINERS) and len(list(c.children())) > 1 for c in child.children())
    return blocks and _size(child) > SHELL_SHARE * _size(parent)


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def select_layers(observer: Viewer, patterns: Sequence[str] = ("default",)) -> Selection:
    """Choose layers by ``default``, ``all`` or glob patterns of module names.

    Raises
    ------
    UsageError
        When a pattern matches no module, or no layer is left.
    """
    every = list_layers(observer)
    modules = [name for name, _ in observer.model.named_modules() if name]
    wanted: set[str] = set()
    for pattern in patterns:
        if pattern == "default":
            matched = default_modules(observer.model)
        elif pattern == "all":
            matched = modules
        else:
            labels = [*modules, *(layer.name for layer in every.layers)]
            matched = [name for name in labels if fnmatch.fnmatchcase(name, pattern)]
        if not matched:
            hint = f"See `psychophys layers {observer.name}`."
            raise unknown(f"layer of {observer.name}", pattern, modules, hint)
        wanted.update(matched)
    chosen = tuple(
        layer for layer in every.layers if layer.name in wanted or layer.name.partition("@")[0] in wanted
    )
    skipped = {name: why for name, why in every.skipped.items() if name in wanted}
    if not chosen:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(skipped.items())[:3])
        raise UsageError(
            f"no layer of {observer.name} to measure in {' '.join(patterns)!r} ({reasons or 'silent'})",
            f"See `psychophys layers {observer.name}`.",
        )
    return Selection(chosen, skipped)


def module_names(layers: Sequence[Layer]) -> list[str]:
    """The modules to hook for these layers, each once."""
    return list(dict.fromkeys(layer.name.partition("@")[0] for layer in layers))
