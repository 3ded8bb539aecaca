"""Where a network computes, and in which numbers."""

from __future__ import annotations

import torch

from psychophys.base.errors import UsageError, unknown

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def pick_device(device: str = "auto", dtype: str = "float32") -> torch.device:
    """``auto`` takes CUDA, then MPS unless float64 is asked for, then the CPU; other names are checked."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return torch.device("cuda" if cuda else "mps" if mps and not _is_double(dtype) else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise unknown("device", device, ["auto", "cpu", "cuda", "cuda:0", "mps"]) from None
    if chosen.type not in ("cpu", "cuda", "mps"):
        raise unknown("device", device, ["auto", "cpu", "cuda", "cuda:0", "mps"])
    count = torch.cuda.device_count() if cuda else 0
    if chosen.type == "cuda" and (chosen.index or 0) >= count:
        have = f"{count} CUDA device{'s are' if count != 1 else ' is'} available here"
        raise UsageError(f"device {device} asked for, but {have}", "Use --device auto or cpu.")
    if chosen.type == "mps" and not mps:
        raise UsageError(f"device {device} asked for, but there is none", "Use --device auto or cpu.")
    check_numbers(chosen, dtype)
    return chosen


def check_numbers(device: torch.device, dtype: str | torch.dtype) -> None:
    """Raise :class:`UsageError` for numbers that a device does not have."""
    if device.type == "mps" and _is_double(dtype):
        raise UsageError("float64 on mps, which has no such numbers", "Use --dtype float32, or --device cpu.")


def _is_double(dtype: str | torch.dtype) -> bool:
    return str(dtype).removeprefix("torch.") == "float64"
