"""Photographs in memory: what patches, crops and pixels are cut from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from psychophys.base.errors import UsageError
from psychophys.stimuli.photographs import Source, UnreadableError, decode, find_images, packaged, read

MOST_PHOTOGRAPHS = 1000
"""Of more, so many are taken, evenly spread."""


@dataclass(frozen=True)
class Photographs:
    """Photographs.

    Attributes
    ----------
    images
        Values in [0, 1]: (H, W) each, the mean of three channels, or (H, W, 3) in colour.
    labels
        Of each, a number for the name of its folder.
    classes
        Names of the folders.
    sha256
        Of pixels and labels.
    """

    images: tuple[NDArray[np.float32], ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    sha256: str


def load_photographs(
    images: Sequence[str | Path] = (), *, shorter_side: int, colour: bool = False
) -> Photographs:
    """Read photographs as grey or in colour, the shorter side scaled to so many pixels.

    Parameters
    ----------
    images
        Folders, archives and files. Default: the packaged photographs.

    Raises
    ------
    UsageError
        For a path that is not there or without images, or an image that cannot be used.
    """
    sources = find_images(images) if images else packaged()
    if len(sources) > MOST_PHOTOGRAPHS:
        chosen = np.linspace(0, len(sources), MOST_PHOTOGRAPHS, endpoint=False).astype(int)
        sources = [sources[i] for i in chosen]
    folders = [PurePosixPath(source.member or source.path).parent.name for source in sources]
    classes = tuple(sorted(set(folders)))
    labels = tuple(classes.index(folder) for folder in folders)
    known = tuple(_read(source, shorter_side, colour) for source in sources)
    digest = hashlib.sha256(repr(labels).encode())
    for image in known:
        digest.update(f"{image.shape}".encode() + image.tobytes())
    return Photographs(known, labels, classes, digest.hexdigest())


def _read(source: Source, shorter_side: int, colour: bool) -> NDArray[np.float32]:
    try:
        image = decode(read(source), shorter_side)
    except UnreadableError as error:
        raise UsageError(f"image {source} cannot be used: {error}", "Leave it out.") from error
    rgb = np.asarray(image, np.float32)
    return np.asarray((rgb if colour else rgb.mean(axis=2)) / 255, np.float32)
