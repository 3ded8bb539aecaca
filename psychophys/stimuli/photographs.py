"""Photographs from folders, archives and files: found, opened whatever their kind, or refused by name."""

from __future__ import annotations

import importlib.resources
import io
import lzma
import os
import re
import tarfile
import warnings
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageOps

from psychophys.base.errors import UsageError

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2")
)
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
SHORTEST_SIDE = 32
"""Pixels: a smaller image says nothing of orientation."""
GREY = 128
"""What shows through where an image is transparent."""

PACKAGED = {
    "astronaut.png": "NASA, public domain",
    "camera.png": "Lav Varshney, CC0",
    "chelsea.png": "Stefan van der Walt, CC0",
    "coffee.png": "Rachel Michetti, CC0",
    "rocket.jpg": "SpaceX, public domain",
    "brick.png": "CC0Textures, CC0",
    "grass.png": "linolafett, CC0",
    "gravel.png": "CC0Textures, CC0",
}
"""The photographs that come in scikit-image's wheel, and their licences."""

DAMAGE = (
    *(OSError, EOFError, KeyError, RuntimeError),
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
)
"""What a file or archive that is damaged raises."""
LONGEST_ASPECT = 2.0
"""Of a longer image the middle is taken: nobody looks at more, and a strip could fill the memory."""

MOST_NAMED, FEW = 100, 5
"""Of the images that cannot be used, so many are kept by name, and so many are named in a sentence."""

T = TypeVar("T")

# A large image is no reason to warn; one over twice Pillow's limit is refused. The filter is set once
# because a warning's context is shared by all threads.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class UnreadableError(Exception):
    """An image that cannot be used, and why."""


@dataclass(frozen=True)
class Source:
    """Where one image lies: a file, or a member of an archive."""

    path: str
    member: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.member}" if self.member else self.path

    @classmethod
    def named(cls, text: str) -> Source:
        """What is written so.

        Raises
        ------
        UsageError
            If its file is not there.
        """
        found = cls(text)
        for end in (f"{suffix}:" for suffix in ARCHIVES if f"{suffix}:" in text.lower()):
            place = text.lower().index(end) + len(end)
            if not Path(text).is_file() and Path(text[: place - 1]).is_file():
                found = cls(text[: place - 1], text[place:])
        if not Path(found.path).is_file():
            raise UsageError(
                f"photograph {text!r} that was shown is not there",
                "Put it back, or give others with --images.",
            )
        return found


@dataclass
class Unusable:
    """Images that cannot be used: how many, and the first ones by name, with why."""

    named: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, source: Source, why: UnreadableError) -> None:
        """Count one."""
        self.count += 1
        if len(self.named) < MOST_NAMED:
            self.named.append(f"{source}: {why}")

    def few(self) -> str:
        """A few by name."""
        more = self.count - FEW
        return "; ".join(self.named[:FEW]) + (f" and {more:,} more" if more > 0 else "")

    def words(self, found: int) -> str:
        """How many of those that were found, and a few by name."""
        return f"{self.count:,} of {found:,} could not be used: {self.few()}"


def packaged() -> list[Source]:
    """The photographs of ``PACKAGED``."""
    folder = importlib.resources.files("skimage") / "data"
    return [Source(str(folder / name)) for name in PACKAGED]


def find_images(paths: Iterable[str | Path]) -> list[Source]:
    """Every image in folders (whatever their depth), zip and tar archives, and files, in a fixed order.

    In folders and archives, an image is what has an image's suffix.

    Raises
    ------
    UsageError
        For a path that is not there, or without any image in all of them.
    """
    found: list[Source] = []
    for given in paths:
        path = Path(given)
        if path.is_dir():
            found += _in_folder(path)
        elif not path.is_file():
            raise UsageError(f"no file or folder of images at {str(path)!r}", "Give a path that is there.")
        elif path.name.lower().endswith(ARCHIVES):
            found += _in_archive(path)
        else:
            found.append(Source(str(path)))
    if not found:
        shown = " ".join(str(path) for path in paths)
        raise UsageError(f"no images in {shown!r}", f"Images end in {', '.join(sorted(SUFFIXES))}.")
    return found


def _in_folder(folder: Path) -> list[Source]:
    names = [
        os.path.join(where, name)  # noqa: PTH118 - a million times
        for where, _, files in os.walk(folder, followlinks=False)
        for name in files
        if _has_suffix(name)
    ]
    return [Source(name) for name in sorted(names)]


def _has_suffix(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in SUFFIXES and not path.name.startswith("._")


def _in_archive(path: Path) -> list[Source]:
    try:
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                names = [info.filename for info in archive.infolist() if not info.is_dir()]
        else:
            with tarfile.open(path) as tar:
                names = [info.name for info in tar if info.isfile()]
    except DAMAGE as error:
        raise UsageError(
            f"archive {str(path)!r} cannot be read: {error}", "Give a whole zip or tar file."
        ) from error
    return [Source(str(path), name) for name in names if _has_suffix(name)]


def _contents(sources: Iterable[Source]) -> Iterator[tuple[Source, bytes | None]]:
    """The bytes of each; None where there are none to be had. An archive is opened once."""
    archive: Any = None
    opened = ""
    members: dict[str, tarfile.TarInfo] = {}
    try:
        for source in sources:
            try:
                if not source.member:
                    yield source, Path(source.path).read_bytes()
                    continue
                if opened != source.path:
                    if archive is not None:
                        archive.close()
                    is_zip = source.path.lower().endswith(".zip")
                    archive = zipfile.ZipFile(source.path) if is_zip else tarfile.open(source.path)  # noqa: SIM115
                    members = {} if is_zip else {info.name: info for info in archive}
                    opened = source.path
                yield source, _member(archive, members.get(source.member, source.member))
            except DAMAGE:
                yield source, None
    finally:
        if archive is not None:
            archive.close()


def _member(archive: Any, name: Any) -> bytes:
    if isinstance(archive, zipfile.ZipFile):
        return archive.read(name)
    stream = archive.extractfile(name)
    return bytes(stream.read()) if stream is not None else b""


def read(source: Source) -> bytes | None:
    """The bytes of one image; None where there are none to be had."""
    return next(_contents([source]))[1]


def decode(content: bytes | None, shorter_side: int | None = None) -> Image.Image:
    """An image as upright RGB.

    Palettes, CMYK and 16-bit grey are converted, transparent pixels become grey, and an animation is
    its first frame.

    Parameters
    ----------
    content
        Of the file; None where it could not be read.
    shorter_side
        Pixels to scale the shorter side to; None leaves the size as it is.

    Raises
    ------
    UnreadableError
        For a file that is damaged, no image, too small, or so large that it may be a decompression
        bomb (by Pillow's limit of 179 megapixels).
    """
    if content is None:
        raise UnreadableError("cannot be read")
    try:
        with Image.open(io.BytesIO(content)) as image:
            if min(image.size) < SHORTEST_SIDE:
                raise UnreadableError(f"{image.width} x {image.height} pixels are too few")
            if shorter_side is not None:
                image.draft(None, (2 * shorter_side, 2 * shorter_side))
            upright = _to_rgb(ImageOps.exif_transpose(image))
            if shorter_side is None:
                return upright
            upright = _middle(upright)
            scale = shorter_side / min(upright.size)
            size = (max(round(upright.width * scale), 1), max(round(upright.height * scale), 1))
            return upright.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    except UnreadableError:
        raise
    except Exception as error:
        # Pillow's readers fail in many ways on damaged files.
        words = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UnreadableError(re.sub(r"\s*<_io\.BytesIO[^>]*>", "", words)[:120]) from error


def _middle(image: Image.Image) -> Image.Image:
    """The middle of an image that is longer than ``LONGEST_ASPECT`` times its width."""
    most = round(LONGEST_ASPECT * min(image.size))
    width, height = min(image.width, most), min(image.height, most)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise UnreadableError("floating-point pixels have no known range")
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.int64)
        if grey.min() < 0 or grey.max() > 65535:
            raise UnreadableError("32-bit pixels have no known range")
        return Image.fromarray((grey // 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (GREY, GREY, GREY, 255))
        return Image.alpha_composite(ground, layer).convert("RGB")
    return image.convert("RGB")


def stream(
    sources: Sequence[Source], make: Callable[[bytes | None], T], threads: int = 2
) -> Iterator[tuple[Source, T | UnreadableError]]:
    """Read and ``make`` something of every image, in order, a few ahead; memory does not grow."""
    ahead = 8 * threads
    waiting: deque[tuple[Source, Future[T]]] = deque()

    def first() -> tuple[Source, T | UnreadableError]:
        source, future = waiting.popleft()
        try:
            return source, future.result()
        except UnreadableError as error:
            return source, error

    with ThreadPoolExecutor(threads) as pool:
        for source, content in _contents(sources):
            waiting.append((source, pool.submit(make, content)))
            if len(waiting) >= ahead:
                yield first()
        while waiting:
            yield first()
