"""Which layers a model has, which are measured, and how their outputs are caught."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from psychophys.base.errors import MeasurementError, UsageError, unknown
from psychophys.observers.observer import Observer

_SILENT = (nn.Identity, nn.Dropout, nn.Dropout2d)
_CONTAINERS = (nn.Sequential, nn.ModuleList)
SHELL_SHARE = 0.9
"""A module that holds more of the parameters is the network itself in a shell."""
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


def first_tensor(output: Any) -> Tensor | None:
    """The first floating-point tensor in a module's output, looking into tuples, lists and dicts."""
    if isinstance(output, Tensor):
        return output if output.is_floating_point() else None
    if isinstance(output, dict):
        output = list(output.values())
    if isinstance(output, (list, tuple)):
        for item in output:
            if (tensor := first_tensor(item)) is not None:
                return tensor
    return None


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


def list_layers(observer: Observer) -> Selection:
    """Every module output that is a response to each image on its own.

    Two unlike images are shown together and one alone. An output is a layer if its first axis
    holds the images in order and the first image's part is the same in both.
    """
    modules = [
        name for name, module in observer.model.named_modules() if name and not isinstance(module, _SILENT)
    ]
    height, width = observer.input_size
    generator = torch.Generator().manual_seed(0)
    probe = torch.rand(2, 3, height, width, generator=generator)
    probe[1] *= 0.25
    together = _trace(observer, modules, probe)
    alone = _trace(observer, modules, probe[:1])
    skipped = dict.fromkeys(modules, "gives no tensor")
    found: list[tuple[str, tuple[int, ...], int]] = []
    for label, (shape, norms, size) in together.items():
        module = label.partition("@")[0]
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
            skipped[module] = "output mixes the images of a batch"
            continue
        skipped.pop(module, None)
        found.append((label, shape[1:], alone[label][2]))
    last = max(len(found) - 1, 1)
    named = dict(observer.model.named_modules())
    layers = tuple(
        Layer(name, i, i / last, n, shape, type(named[name.partition("@")[0]]).__name__)
        for i, (name, shape, n) in enumerate(found)
    )
    return Selection(layers, skipped)


Trace = dict[str, tuple[tuple[int, ...], Tensor | None, int]]


def _trace(observer: Observer, modules: Sequence[str], images: Tensor) -> Trace:
    count = len(images)
    seen: Trace = {}

    def receive(label: str, output: Tensor) -> None:
        norms = None
        if output.ndim > 0 and output.shape[0] % count == 0 and output.numel() > 0:
            norms = torch.linalg.vector_norm(output.reshape(count, -1), dim=1).cpu()
        seen[label] = (tuple(output.shape), norms, output.numel() // count)

    with torch.no_grad(), recording(observer.model, modules, receive):
        observer.model(observer.preprocess(images.to(observer.device, observer.dtype)))
    return seen


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


def select_layers(observer: Observer, patterns: Sequence[str] = ("default",)) -> Selection:
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
        reasons = "; ".join(f"{name} {why}" for name, why in list(skipped.items())[:3])
        raise UsageError(
            f"no layer of {observer.name} to measure in {' '.join(patterns)!r} ({reasons or 'silent'})",
            f"See `psychophys layers {observer.name}`.",
        )
    return Selection(chosen, skipped)


def module_names(layers: Sequence[Layer]) -> list[str]:
    """The modules to hook for these layers, each once."""
    return list(dict.fromkeys(layer.name.partition("@")[0] for layer in layers))
