"""One photograph as it is shown to an observer: by its file, or by the name of one that comes along."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

import torch
from torch import Tensor

from psychophys.base.errors import unknown
from psychophys.stimuli.images import Pictures
from psychophys.stimuli.photographs import PACKAGED, Source, packaged


def packaged_names() -> dict[str, Source]:
    """The photographs that come along, by their names."""
    return {PurePath(name).stem: source for name, source in zip(PACKAGED, packaged(), strict=True)}


def find_picture(given: str | Path) -> Source:
    """The photograph of a file, of an archive's member (``shots.zip:a.png``), or of that name.

    Raises
    ------
    UsageError
        If there is none.
    """
    text, known = str(given), packaged_names()
    if text in known:
        return known[text]
    if os.path.isfile(text) or ":" in text:  # noqa: PTH113 - a text may be too long for a path
        return Source.named(text)
    raise unknown("photograph", text, known, "Or give a file.")


def shown_picture(source: Source, size: tuple[int, int]) -> Tensor:
    """Its middle, of that height and width: (3, H, W), values 0 to 1 in steps of 1/255.

    Raises
    ------
    UsageError
        For a file that is no image.
    """
    height, width = size
    side = max(size)
    (square,) = Pictures((source,)).squares([0], side, side, torch.zeros((), dtype=torch.float64))
    top, left = (side - height) // 2, (side - width) // 2
    shown: Tensor = square[:, top : top + height, left : left + width]
    return shown
