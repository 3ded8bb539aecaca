"""Weights from a file somebody else made: read without running code, matched or refused."""

from __future__ import annotations

import glob
import hashlib
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from psychophys.base.errors import ModelError, UsageError

MOST_DIGITS = 18
"""Of a training step: what a 64-bit integer holds."""
Create = Callable[..., nn.Module]


def load_checkpoint(create: Create, path: Path) -> tuple[nn.Module, str]:
    """Create the network and fill it from ``path``.

    Parameters
    ----------
    create
        Makes the network; takes ``num_classes`` when the file's classifier has another width.
    path
        ``.pth``, ``.pt``, ``.safetensors`` and what else timm reads; a training checkpoint is
        reduced to its model (its moving average, where it has one).

    Returns
    -------
    tuple
        The network, and a description of the source with the file's SHA-256.
    """
    state = _read(path)
    network = create()
    classes = _classes(network, state)
    if classes is not None:
        network = create(num_classes=classes)
    _fill(network, state, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return network, f"checkpoint: {path} sha256 {digest}"


def find_checkpoints(pattern: str | Path) -> list[str]:
    """The files that a path or glob pattern names, by the numbers in their names (2 before 10)."""
    pattern = str(pattern)
    if Path(pattern).is_file():
        return [pattern]
    if not glob.has_magic(pattern):
        raise UsageError(f"checkpoint {pattern!r} is not a file", "Give the path of a weights file.")
    files = [path for path in glob.glob(pattern, recursive=True) if Path(path).is_file()]  # noqa: PTH207
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


def read_weights(path: Path) -> Any:
    """All that a file written by ``torch.save`` holds, read without running code.

    Raises
    ------
    UsageError
        If there is no such file.
    ModelError
        For a file that is damaged, or holds more than tensors and plain values.
    """
    return _guarded(path, lambda: torch.load(path, map_location="cpu", weights_only=True))


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors in a file of weights, by name."""
    state = _guarded(path, lambda: timm.models.load_state_dict(str(path), weights_only=True))
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ModelError(
            f"checkpoint {str(path)!r} is not a state dict (names to tensors)",
            "Save model.state_dict(), alone or under the key 'state_dict'.",
        )
    return state


def _guarded(path: Path, load: Callable[[], Any]) -> Any:
    if not path.is_file():
        raise UsageError(f"checkpoint {str(path)!r} is not a file", "Give the path of a weights file.")
    try:
        return load()
    except Exception as error:
        if "weights_only" in str(error) or isinstance(error, pickle.UnpicklingError):
            reason = "it is damaged or holds Python objects, which could run code"
        else:
            first = (str(error).strip().splitlines() or ["no message"])[0]
            reason = f"it is damaged or of no known format ({first[:120]})"
        raise ModelError(
            f"checkpoint {str(path)!r} was not loaded: {reason}",
            "Save the state dict alone (torch.save(model.state_dict(), FILE)) or use safetensors.",
        ) from error


def _classes(network: nn.Module, state: dict[str, Tensor]) -> int | None:
    """The file's number of classes, if that is where it differs from the network."""
    own = network.state_dict()
    wrong = [key for key in own if key in state and own[key].shape != state[key].shape]
    head = (getattr(network, "pretrained_cfg", None) or {}).get("classifier")
    if not wrong or not isinstance(head, str):
        return None
    if all(key.startswith(head + ".") for key in wrong) and f"{head}.weight" in wrong:
        return int(state[f"{head}.weight"].shape[0])
    return None


def _fill(network: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    own = network.state_dict()
    missing = [key for key in own if key not in state]
    extra = [key for key in state if key not in own]
    wrong = [key for key in own if key in state and own[key].shape != state[key].shape]
    if missing or extra or wrong:
        first = (wrong or missing or extra)[0]
        raise ModelError(
            f"checkpoint {str(path)!r} is of another architecture: {len(missing)} tensors missing, "
            f"{len(extra)} unknown, {len(wrong)} of another shape (first: {first})",
            "Name the model the file was trained as.",
        )
    network.load_state_dict(state)
