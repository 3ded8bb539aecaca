"""Files of weights that somebody else made: found, hashed, and read without running code."""

from __future__ import annotations

import argparse
import glob
import hashlib
import json
import pickle
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from psychophys.base.errors import ModelError, PsychophysError, UsageError

MOST_DIGITS = 18
"""Of a training step: what a 64-bit integer holds."""
DEEPEST = 4
"""How far inside each other dictionaries are looked into for weights."""
IN_FOLDER = (
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
    "model.safetensors",
    "pytorch_model.bin",
)
"""What is read of a folder: the first of these that it holds."""
WRAPPED = ".module."
_INDEX = ".index.json"
State = dict[str, Tensor]


def find_checkpoints(pattern: str | Path) -> list[str]:
    """The files that a path or glob pattern names, by the numbers in their names (2 before 10).

    A folder that holds weights under a usual name (``model.safetensors.index.json``) is one of them.
    """
    pattern = str(pattern)
    if _file_of(Path(pattern)) is not None:
        return [pattern]
    if not glob.has_magic(pattern):
        raise _no_file(Path(pattern))
    found = glob.glob(pattern, recursive=True)  # noqa: PTH207
    # With ** the files in a folder are found themselves.
    usable = Path.is_file if "**" in pattern else _file_of
    files = [path for path in found if usable(Path(path))]
    if not files:
        raise UsageError(
            f"no checkpoint matches {pattern!r}", "Quote the pattern, as in --checkpoint 'run/epoch_*.pth'."
        )
    return sorted(files, key=_natural)


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]


def step_of(path: str | Path) -> int | None:
    """How far in training a checkpoint was written: the last number in its file name.

    ``run2/epoch_010.pth`` gives 10; a name without a number, or with one of over 18
    digits, gives ``None``.
    """
    name = re.sub(r"(\.(pth|pt|tar|bin|ckpt|safetensors))+$", "", Path(path).name)
    numbers = re.findall(r"\d+", name)
    return int(numbers[-1]) if numbers and len(numbers[-1]) <= MOST_DIGITS else None


def hash_checkpoint(path: Path) -> str:
    """SHA-256 of a file; of a sharded checkpoint, over the names and contents of all its files."""
    files = _files_of(path)
    digests = [_hash_file(file) for file in files]
    if len(files) == 1:
        return digests[0]
    lines = [f"{digest} {file.name}\n" for digest, file in zip(digests, files, strict=True)]
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def _hash_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_weights(path: Path) -> Any:
    """All that a file written by ``torch.save`` holds, read without running code.

    Raises
    ------
    UsageError
        If there is no such file.
    ModelError
        For a file that is damaged, or holds more than tensors and plain values.
    """
    return _guarded(path, _load_pickle)


def read_states(path: Path) -> dict[str, State]:
    """Every dictionary of tensors in a checkpoint, by the keys that lead to it, joined by dots.

    Parameters
    ----------
    path
        A file of ``torch.save`` or safetensors, the index of a sharded one (its shards lie beside it),
        or a folder that holds one of these under a usual name.

    Raises
    ------
    UsageError
        If there is no such file.
    ModelError
        For a file that is damaged, incomplete, without tensors, or holds what could run code.
    """
    file, *shards = _files_of(path)
    states = {"": _joined(file, shards)} if shards else dict(_states(_guarded(file, _load), (), set()))
    if not states:
        raise ModelError(
            f"checkpoint {str(path)!r} is not a state dict (names to tensors)",
            "Save model.state_dict(), alone or under the key 'state_dict'.",
        )
    return states


def _states(content: Any, keys: tuple[str, ...], seen: set[int]) -> Iterator[tuple[str, State]]:
    if not isinstance(content, dict) or id(content) in seen or len(keys) > DEEPEST:
        return
    seen.add(id(content))
    named = {key: value for key, value in content.items() if isinstance(key, str)}
    tensors = {key: value for key, value in named.items() if isinstance(value, Tensor)}
    if tensors:
        yield ".".join(keys), tensors
    for key, value in named.items():
        yield from _states(value, (*keys, key), seen)


def joined_parts(states: dict[str, State], own: Iterable[str]) -> dict[str, State]:
    """States with the names of ``own``, where parts of the network were wrapped to train on several GPUs.

    ``DataParallel`` over a part, as scripts of torchvision wrap the ``features`` of AlexNet and VGG, puts
    ``module`` into the names inside it.
    """
    known = set(own)
    return {
        key: {_joined_name(name, state, known): tensor for name, tensor in state.items()}
        for key, state in states.items()
    }


def _joined_name(name: str, state: State, known: set[str]) -> str:
    joined = name.replace(WRAPPED, ".")
    return joined if joined in known and name not in known and joined not in state else name


def _file_of(path: Path) -> Path | None:
    """The file that is read first: the path itself, or what a folder holds."""
    if path.is_dir():
        return next((path / name for name in IN_FOLDER if (path / name).is_file()), None)
    return path if path.is_file() else None


def _files_of(path: Path) -> list[Path]:
    """All files of a checkpoint: one, or an index and the shards that it names."""
    file = _file_of(path)
    if file is None:
        raise _no_file(path)
    if not file.name.endswith(_INDEX):
        return [file]
    shards = [file.with_name(name) for name in sorted(set(_weight_map(file).values()))]
    if absent := [shard.name for shard in shards if not shard.is_file()]:
        raise ModelError(
            f"checkpoint {str(file)!r} lacks {len(absent)} of {len(shards)} shards (first: {absent[0]})",
            "Put all shards beside the index.",
        )
    return [file, *shards]


def _weight_map(index: Path) -> dict[str, str]:
    """Which tensor is in which shard."""
    try:
        named = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        good = bool(named) and all(name and Path(name).name == name for name in named.values())
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        good = False
    if not good:
        raise ModelError(
            f"checkpoint {str(index)!r} is not an index of shards (weight_map: tensor to file beside it)",
            "Give the index that was written with the shards, or one whole file.",
        )
    return dict(named)


def _joined(index: Path, shards: list[Path]) -> State:
    state: State = {}
    for shard in shards:
        part = _guarded(shard, _load)
        if not isinstance(part, dict) or not all(isinstance(value, Tensor) for value in part.values()):
            raise ModelError(f"shard {str(shard)!r} is not a state dict (names to tensors)")
        state |= part
    if absent := [name for name in _weight_map(index) if name not in state]:
        raise ModelError(
            f"checkpoint {str(index)!r} names {len(absent)} tensors that no shard holds (first: {absent[0]})",
            "Give the index that was written with these shards.",
        )
    return state


def _load(path: Path) -> Any:
    return safetensors.torch.load_file(path) if path.suffix == ".safetensors" else _load_pickle(path)


def _load_pickle(path: Path) -> Any:
    # Scripts of training keep their arguments beside the weights: plain values under names.
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(path, map_location="cpu", weights_only=True)


def _no_file(path: Path) -> UsageError:
    held = f" and holds no {IN_FOLDER[0]}" if path.is_dir() else ""
    return UsageError(f"checkpoint {str(path)!r} is not a file{held}", "Give the path of a weights file.")


def _guarded(path: Path, load: Callable[[Path], Any]) -> Any:
    if not path.is_file():
        raise _no_file(path)
    try:
        return load(path)
    except PsychophysError:
        raise
    except Exception as error:
        if "weights_only" in str(error) or isinstance(error, pickle.UnpicklingError):
            reason = f"it is damaged or holds Python objects{_objects(path)}, which could run code"
        else:
            first = (str(error).strip().splitlines() or ["no message"])[0]
            reason = f"it is damaged or of no known format ({first[:120]})"
        raise ModelError(
            f"checkpoint {str(path)!r} was not loaded: {reason}",
            "Save the state dict alone (torch.save(model.state_dict(), FILE)) or use safetensors.",
        ) from error


def _objects(path: Path) -> str:
    """The first classes and functions that a file asks for, in brackets, where they can be told."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # Damaged, or of an older format.
        return ""
    return f" ({', '.join(name[:60] for name in sorted(names)[:3])})" if names else ""
