"""Weights of a file fitted to a network: what may differ is adapted and said, all else is refused."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from psychophys.base.errors import ModelError
from psychophys.observers.checkpoints import State, hash_checkpoint, joined_parts, read_states

Create = Callable[..., nn.Module]
COUNTER = "num_batches_tracked"
"""Counts batches in training and does nothing in evaluation."""
HEADS = ("head", "fc", "classifier")
"""Names of classifiers, for networks of which timm knows none."""
VISIBLE = (1, 3)
"""Numbers of channels of networks that can be shown images: grey and RGB."""
SHOWN = 3
"""So many names of each kind are in a message."""
_AVERAGED = re.compile(r"(^|[._])(ema|teacher)([._]|$)")
_SHARD = re.compile(r"-\d{5}-of-\d{5}\.")


@dataclass(frozen=True)
class Loaded:
    """A network with its weights, and in which ways it is not as its name says.

    Attributes
    ----------
    source
        Where the weights are from.
    adapted
        What was adapted to the file of weights, in sentences.
    without_weights
        Modules for which the file has no weights, those around them, and those inside them.
    channels
        Of the images; None for those of timm's record.
    input_size
        Height and width in pixels; None for those of timm's record.
    """

    network: nn.Module
    source: str
    adapted: tuple[str, ...] = ()
    without_weights: frozenset[str] = frozenset()
    channels: int | None = None
    input_size: tuple[int, int] | None = None


@dataclass(frozen=True)
class _Found:
    """The part of a file that is the network's: its key, its names' prefix, and what lies beside it."""

    key: str
    prefix: str
    state: State
    beside: tuple[str, ...]
    other_keys: tuple[str, ...]
    other_prefixes: tuple[str, ...]

    def sentences(self) -> Iterator[str]:
        """What was chosen of the file."""
        if self.key:
            yield f"weights were read from the key {self.key!r}{_besides(self.other_keys)}"
        if self.prefix:
            sentence = (
                f"the prefix {self.prefix!r}{_besides(self.other_prefixes)} was taken off tensors' names"
            )
            if self.beside:
                sentence += f"; {len(self.beside)} without it were ignored ({_some(self.beside)})"
            yield sentence
        kinds = {str(t.dtype).removeprefix("torch.") for t in self.state.values() if t.is_floating_point()}
        for kind in sorted(kinds - {"float32"}):
            yield f"numbers of type {kind} were read as float32"


@dataclass(frozen=True)
class _Difference:
    """Names of tensors: those that the file lacks, those that only it has, those of unlike shapes."""

    missing: list[str]
    unknown: list[str]
    unlike: list[str]

    def part(self, wanted: Callable[[str], bool]) -> _Difference:
        """That of some names."""
        return _Difference(*([n for n in names if wanted(n)] for names in self))

    def __iter__(self) -> Iterator[list[str]]:
        return iter((self.missing, self.unknown, self.unlike))


def load_checkpoint(create: Create, path: Path, *, fill: bool = True) -> Loaded:
    """Create a network that fits the weights in ``path``, and fill it.

    Parameters
    ----------
    create
        Makes the network; takes timm's ``num_classes``, ``in_chans`` and ``img_size`` where those of the
        file are others.
    path
        As :func:`read_states` takes it. The dictionary of tensors and the prefix of their names are those
        under which most of the network is found; a moving average goes first.
    fill
        Otherwise the network keeps the weights that ``create`` gave it.

    Raises
    ------
    UsageError
        If there is no such file.
    ModelError
        If it cannot be read, or differs from the network in more than its head, its numbers of classes
        and channels, and the size of its images.
    """
    states, network = read_states(path), create()
    found = _find(network, joined_parts(states, network.state_dict()))
    options, sentences = _options(network, found.state, path)
    if options:
        try:
            network = create(**options)
        except ModelError as error:
            raise _refusal(network, found, path) from error
    side = options.get("img_size")
    size = None if side is None else (side, side)
    made = Loaded(network, "", tuple(sentences), channels=options.get("in_chans"), input_size=size)
    return _filled(made, found, path) if fill else made


def _filled(made: Loaded, found: _Found, path: Path) -> Loaded:
    """The network with the file's weights."""
    absent = _fill(made.network, found, path)
    adapted = [*found.sentences(), *made.adapted]
    if absent:
        adapted.append(f"the checkpoint has no weights for {_some(_owners(absent))}, which is not measured")
    source = f"checkpoint: {path} sha256 {hash_checkpoint(path)}"
    without = _modules(made.network, absent)
    return replace(made, source=source, adapted=tuple(adapted), without_weights=without)


# --- which tensors of the file are meant -----------------------------------------------------------


def _find(network: nn.Module, states: Mapping[str, State]) -> _Found:
    """The dictionary and prefix with most of the body's tensors; of equals an average, then the first."""
    own = network.state_dict()
    in_head = _head(network)
    body = {key for key in own if not in_head(key) and not key.endswith(COUNTER)}
    best: dict[str, tuple[tuple[Any, ...], list[str]]] = {}
    for key, state in states.items():
        scores = _prefix_scores(own, body, state)
        ranked = sorted(scores, key=lambda prefix, s=scores: s[prefix], reverse=True)  # type: ignore[misc]
        top = scores[ranked[0]]
        best[key] = (top, [prefix for prefix in ranked if scores[prefix][0] == top[0]])
    keys = sorted(best, key=lambda k: (best[k][0][0], bool(_AVERAGED.search(k)), best[k][0]), reverse=True)
    key = keys[0]
    prefix, *others = best[key][1]
    if 2 * best[key][0][3] < len(body):
        prefix, others = "", []  # Names that agree by chance.
    state = {name.removeprefix(prefix): t for name, t in states[key].items() if name.startswith(prefix)}
    beside = tuple(name for name in states[key] if not name.startswith(prefix))
    alike = [k for k in keys[1:] if best[k][0][0] == best[key][0][0]]
    return _Found(key, prefix, state, beside, tuple(alike), tuple(others))


def _prefix_scores(own: State, body: set[str], state: State) -> dict[str, tuple[int, bool, int, int]]:
    """For every prefix: the body's tensors of equal shape, whether it names an average, and other finds."""
    equal, named, whole = Counter[str](), Counter[str](), Counter[str]()
    for key, tensor in state.items():
        start = 0
        while start >= 0:
            prefix, name = key[:start], key[start:]
            if name in own:
                same = own[name].shape == tensor.shape
                equal[prefix] += same and name in body
                whole[prefix] += same
                named[prefix] += 1
            start = key.find(".", start) + 1 or -1
    prefixes = dict.fromkeys(["", *named])
    return {p: (equal[p], bool(_AVERAGED.search(p)), whole[p], named[p]) for p in prefixes}


def _head(network: nn.Module) -> Callable[[str], bool]:
    """Whether a tensor's name is in the place of the classifier."""
    named = _record(network).get("classifier") or HEADS
    names = [named] if isinstance(named, str) else list(named)
    own = network.state_dict()

    def place(name: str) -> str:
        top = name.partition(".")[0] + "."
        # A head may hold a norm beside its classifier, but not half of the network.
        return top if sum(key.startswith(top) for key in own) < len(own) / 2 else name + "."

    places = tuple(place(name) for name in names)
    return lambda key: key.startswith(places)


def _record(network: nn.Module) -> Mapping[str, Any]:
    return getattr(network, "pretrained_cfg", None) or {}


# --- how the network is made to fit ----------------------------------------------------------------


def _options(network: nn.Module, state: State, path: Path) -> tuple[dict[str, int], list[str]]:
    """What the network is created with so that it fits the file, and the sentences that say so."""
    own = network.state_dict()
    options, sentences = {}, []
    if (classes := _classes(network, own, state)) is not None:
        options["num_classes"] = classes
        sentences.append(f"the network was made for {classes} classes, as the checkpoint's")
    if (channels := _channels(network, own, state)) is not None:
        if channels not in VISIBLE:
            raise ModelError(
                f"checkpoint {str(path)!r} is of a network that sees {channels} channels",
                "Only networks of one channel (luminance) or three (RGB) can be shown images.",
            )
        options["in_chans"] = channels
        seen = "one channel: it is shown the mean of red, green and blue" if channels == 1 else "RGB images"
        sentences.append(f"the network was made for {seen}")
    if (side := _side(network, own, state)) is not None:
        options["img_size"] = side
        sentences.append(f"the network was made for images of {side} x {side} pixels, as the checkpoint's")
    return options, sentences


def _classes(network: nn.Module, own: State, state: State) -> int | None:
    """The file's number of classes, if it is another."""
    named = _record(network).get("classifier") or ()
    for name in [named] if isinstance(named, str) else named:
        mine, theirs = own.get(f"{name}.weight"), state.get(f"{name}.weight")
        if mine is not None and theirs is not None and mine.shape[1:] == theirs.shape[1:]:
            return None if len(mine) == len(theirs) else len(theirs)
    return None


def _channels(network: nn.Module, own: State, state: State) -> int | None:
    """The file's number of channels, if it is another."""
    named = _record(network).get("first_conv") or ()
    usual = (_record(network).get("input_size") or (3,))[0]
    for name in [named] if isinstance(named, str) else named:
        mine, theirs = own.get(f"{name}.weight"), state.get(f"{name}.weight")
        if mine is None or theirs is None or mine.ndim < 2 or mine.ndim != theirs.ndim:
            continue
        ours, others = list(mine.shape), list(theirs.shape)
        # A stem that folds pixels into channels has several of each.
        channels, rest = divmod(others.pop(1) * usual, ours.pop(1))
        if ours == others and rest == 0 and channels != usual:
            return int(channels)
    return None


def _side(network: nn.Module, own: State, state: State) -> int | None:
    """Of the file's images in pixels, if its tokens are of another square grid."""
    patches = getattr(network, "patch_embed", None)
    grid, size = getattr(patches, "grid_size", None), getattr(patches, "img_size", None)
    if grid is None or size is None or grid[0] != grid[1]:
        return None
    for key, mine in own.items():
        theirs = state.get(key)
        if theirs is None or theirs.shape == mine.shape:
            continue
        new = _grid(key, mine, theirs, int(grid[0]))
        if new is not None:
            return new * (int(size[0]) // int(grid[0]))
    return None


def _grid(key: str, mine: Tensor, theirs: Tensor, grid: int) -> int | None:
    """Tokens along a side of the file's images: a table has a row for each token, or each offset of two."""
    if key.endswith("pos_embed") and mine.ndim == theirs.ndim == 3:
        # Class tokens and registers may have rows before those of the patches.
        rows = theirs.shape[1] - (mine.shape[1] - grid**2)
        side = math.isqrt(max(rows, 0))
        return side if 0 < rows == side**2 else None
    if key.endswith("relative_position_bias_table") and mine.ndim == theirs.ndim == 2:
        rows = theirs.shape[0] - (mine.shape[0] - (2 * grid - 1) ** 2)
        side = math.isqrt(max(rows, 0))
        return (side + 1) // 2 if 0 < rows == side**2 and side % 2 else None
    return None


# --- filling, and what is refused ------------------------------------------------------------------


def _difference(network: nn.Module, state: State) -> _Difference:
    own = network.state_dict()
    # A tensor with two names may be in the file under one of them.
    held = {own[key].data_ptr() for key in own if key in state}
    # Older versions wrote tables that a network now computes by itself.
    computed = {name: buffer.shape for name, buffer in network.named_buffers() if name not in own}
    return _Difference(
        [k for k in own if k not in state and not k.endswith(COUNTER) and own[k].data_ptr() not in held],
        [
            k
            for k, tensor in state.items()
            if k not in own and not k.endswith(COUNTER) and computed.get(k) != tensor.shape
        ],
        [k for k in own if k in state and not _alike(own[k], state[k])],
    )


def _alike(mine: Tensor, theirs: Tensor) -> bool:
    """Whether one can be copied to the other: quantised weights are whole numbers and cannot."""
    return mine.shape == theirs.shape and (theirs.is_floating_point() or not mine.is_floating_point())


def _fill(network: nn.Module, found: _Found, path: Path) -> list[str]:
    """Copy the weights; names of the head's tensors that the file has not, which become zero."""
    in_head = _head(network)
    difference = _difference(network, found.state)
    if any(difference.part(lambda key: not in_head(key))):
        raise _refusal(network, found, path)
    own, head = network.state_dict(), difference.part(in_head)
    absent = head.missing
    if head.unknown or head.unlike:
        # Another head has stood there: what fits of it does not compute what it did.
        absent = [key for key in own if in_head(key)]
    with torch.no_grad():
        for key in absent:
            own[key].zero_()
    fitting = {key: tensor for key, tensor in found.state.items() if key in own and key not in absent}
    network.load_state_dict(fitting, strict=False)
    return absent


def _refusal(network: nn.Module, found: _Found, path: Path) -> ModelError:
    own, in_head = network.state_dict(), _head(network)
    difference = _difference(network, found.state)
    body = difference.part(lambda key: not in_head(key))
    missing, unknown, unlike = body if any(body) else difference
    shapes = [f"{k}: {_shape(found.state[k])} in the file, {_shape(own[k])} in the network" for k in unlike]
    counts = (("tensors missing", missing), ("unknown", unknown), ("of another shape or type", shapes))
    said = ", ".join(f"{len(names)} {what} ({_some(names)})" for what, names in counts if names)
    places = (("key", found.key), ("prefix", found.prefix))
    where = "".join(f", {what} {name!r}" for what, name in places if name)
    return ModelError(
        f"checkpoint {str(path)!r}{where} is of another architecture: {said}",
        _remedy(own, found.state, path, (missing, unknown, unlike)),
    )


def _remedy(own: State, state: State, path: Path, names: tuple[list[str], ...]) -> str:
    """The likeliest one. ``names``: of missing, unknown and unlike tensors."""
    if _SHARD.search(path.name):
        return "It is one shard of several: give their index, or the folder that holds it."
    if not own.keys() & state.keys():
        return "Name the model the file was trained as; the names of another library are not timm's."
    more = {
        (True, False, False): ", or save its whole state dict",
        (False, True, False): ", or save the tensors of this one alone",
    }.get((bool(names[0]), bool(names[1]), bool(names[2])), "")
    return f"Name the model the file was trained as{more}."


def _shape(tensor: Tensor) -> str:
    size = " x ".join(map(str, tensor.shape)) or "one number"
    return size if tensor.is_floating_point() else f"{size} ({str(tensor.dtype).removeprefix('torch.')})"


def _some(names: Sequence[str]) -> str:
    """The first names, each cut where it is long and without control characters: a file may hold any text."""
    cut = [n if len(n) <= 100 else f"{n[:97]}..." for n in names[:SHOWN]]
    shown = ", ".join("".join(c if c.isprintable() else "?" for c in n) for n in cut)
    return shown if len(names) <= SHOWN else f"{shown}, ..."


def _besides(names: Sequence[str]) -> str:
    return f" (as good: {_some([repr(name) for name in names])})" if names else ""


# --- what cannot be measured -----------------------------------------------------------------------


def _owners(keys: Sequence[str]) -> list[str]:
    """The modules whose own tensors these are."""
    return list(dict.fromkeys(key.rpartition(".")[0] for key in keys))


def _modules(network: nn.Module, keys: Sequence[str]) -> frozenset[str]:
    """The modules whose tensors these are, with all those inside and around them, but the network."""
    owners = _owners(keys)
    # A module with two names is listed under one.
    same = {id(network.get_submodule(owner)) for owner in owners}
    return frozenset(
        name
        for name, module in network.named_modules()
        if name
        and (id(module) in same or any(o.startswith(f"{name}.") or name.startswith(f"{o}.") for o in owners))
    )
