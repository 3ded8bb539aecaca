"""Statistics of photographs: from folders of any size to a table of densities with intervals.

Images are streamed and what follows from their histograms is added up, once as they are and once for each
replicate of a Poisson bootstrap over images (:mod:`psychophys.comparison.priors.replicates`), so that memory
does not grow with their number. The sums are kept in a file beside the output from time to time; a run that
is begun again goes on from there.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from psychophys.base.errors import MeasurementError, UsageError
from psychophys.base.files import write_atomically
from psychophys.base.types import Array, Progress
from psychophys.comparison.priors import Prior
from psychophys.comparison.priors.quantities import QUANTITIES, SIDE, SLOPE_RANGE, Quantity, ring_sizes
from psychophys.comparison.priors.replicates import Sums, densities, interval
from psychophys.stimuli.photographs import Source, UnreadableError, Unusable, decode, find_images, stream

BATCH = 16
SAVE_SECONDS = 20.0
REPLICATES = 200
SIZES = tuple(len(quantity.centres) for quantity in QUANTITIES)
MARGIN = SIDE // 4
"""Pixels by which a square turned by any angle reaches beyond itself, and some."""


@dataclass
class _Counted:
    """What was added up so far, and of which images."""

    sums: Sums
    done: int = 0
    counted: int = 0
    unusable: Unusable = field(default_factory=Unusable)


@dataclass(frozen=True)
class CountSettings:
    """What decides the numbers, apart from the images.

    Attributes
    ----------
    rotate_deg
        Images are turned by so much, counter-clockwise, before they are counted: a control.
    seed
        Of the bootstrap.
    """

    rotate_deg: float = 0.0
    seed: int = 0
    replicates: int = REPLICATES


def image_statistics(
    images: Sequence[str | Path],
    *,
    rotate_deg: float = 0.0,
    seed: int = 0,
    title: str = "",
    device: str | torch.device = "cpu",
    resume: str | Path | None = None,
    progress: Progress | None = None,
) -> Prior:
    """Count what is in photographs.

    Parameters
    ----------
    images
        Folders, zip and tar archives, files.
    rotate_deg
        Turn every image first, counter-clockwise. Orientations must turn with it: what does not is made
        by the grid on which they are counted.
    title
        What the images are, in a few words, kept with the numbers.
    resume
        File in which the sums are kept, and from which it goes on. Remove it once the result is safe.

    Returns
    -------
    Prior
        Densities with 95 % intervals by bootstrap over images. ``meta`` holds the exponent of the
        amplitude spectrum, the images that could not be read, and the settings.

    Raises
    ------
    UsageError
        Without images, or for an angle that is no number.
    MeasurementError
        If none of the images can be read.
    """
    settings = _settings(rotate_deg, seed)
    sources = find_images(images)
    state = None if resume is None else Path(resume)
    print_of = _fingerprint(sources, settings)
    so_far = _load(state, print_of) or _Counted(Sums.empty(SIZES, settings.replicates))
    started = time.perf_counter()
    _add_up(sources, so_far, settings, torch.device(device), state, print_of, progress)
    if so_far.counted == 0:
        raise MeasurementError(
            f"none of {len(sources):,} images can be used ({so_far.unusable.few()})", "Give photographs."
        )
    about = {"n_found": len(sources), "fingerprint": print_of}
    prior = _to_prior(so_far, settings, images, about, time.perf_counter() - started, title)
    if state is not None:
        _save(state, so_far, print_of)
    return prior


def counted_again(held: Prior, images: Sequence[str | Path], rotate_deg: float = 0.0, seed: int = 0) -> bool:
    """Whether :func:`image_statistics` is about to make a prior again: of the same files, in the same way."""
    return held.meta.get("fingerprint") == _fingerprint(find_images(images), _settings(rotate_deg, seed))


def _settings(rotate_deg: float, seed: int) -> CountSettings:
    if not np.isfinite(rotate_deg):
        raise UsageError(f"rotation by {rotate_deg} deg", "Give a number, such as 45.")
    return CountSettings(float(rotate_deg) % 360, seed)


def _fingerprint(sources: Sequence[Source], settings: CountSettings) -> str:
    version = importlib.metadata.version("psychophys")
    digest = hashlib.sha256(json.dumps([asdict(settings), sum(SIZES), version]).encode())
    stamps = {path: _stamp(path) for path in {source.path for source in sources}}
    for source in sources:
        digest.update(f"{source} {stamps[source.path]}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _stamp(path: str) -> tuple[int, int]:
    """What changes when a file is written again."""
    try:
        status = Path(path).stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _add_up(
    sources: Sequence[Source],
    so_far: _Counted,
    settings: CountSettings,
    device: torch.device,
    state: Path | None,
    print_of: str,
    progress: Progress | None,
) -> None:
    saved = time.monotonic()
    for batch in _batches(sources[so_far.done :], settings.rotate_deg):
        pictures = []
        for number, (source, square) in enumerate(batch, start=so_far.done):
            if isinstance(square, UnreadableError):
                so_far.unusable.add(source, square)
            else:
                pictures.append((number, square))
        if pictures:
            counts = _count(np.stack([square for _, square in pictures]), device)
            so_far.sums.add(counts, _weights([n for n, _ in pictures], settings), SIZES)
        so_far.counted += len(pictures)
        so_far.done += len(batch)
        if progress is not None:
            progress(so_far.done, len(sources))
        if state is not None and time.monotonic() - saved > SAVE_SECONDS:
            _save(state, so_far, print_of)
            saved = time.monotonic()


Square = NDArray[np.uint8]


def _batches(
    sources: Sequence[Source], rotate_deg: float
) -> Iterator[list[tuple[Source, Square | UnreadableError]]]:
    batch: list[tuple[Source, Square | UnreadableError]] = []
    for item in stream(sources, lambda content: middle_square(decode(content, SIDE), rotate_deg)):
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def middle_square(image: Image.Image, rotate_deg: float = 0.0) -> Square:
    """The middle of an image whose shorter side has ``SIDE`` pixels, turned first: (SIDE, SIDE, 3)."""
    if rotate_deg:
        # Mirrored beyond its border: a plain ground would have an edge, which would turn too.
        margin = ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0))
        image = Image.fromarray(np.pad(np.asarray(image), margin, mode="symmetric"))
        image = image.rotate(rotate_deg, Image.Resampling.BICUBIC)
    left, top = (image.width - SIDE) // 2, (image.height - SIDE) // 2
    return np.asarray(image.crop((left, top, left + SIDE, top + SIDE)))


def _weights(numbers: Sequence[int], settings: CountSettings) -> Array:
    """How often each image counts in each row of the sums; the same however the run was cut."""
    rows = [
        np.random.default_rng((settings.seed, number)).poisson(1.0, settings.replicates) for number in numbers
    ]
    return np.concatenate([np.ones((len(rows), 1)), np.array(rows)], axis=1)


@torch.inference_mode()
def _count(squares: NDArray[np.uint8], device: torch.device) -> Array:
    rgb = torch.from_numpy(squares).to(device).permute(0, 3, 1, 2).float() / 255
    counts = [quantity.count(rgb) for quantity in QUANTITIES]
    return torch.cat(counts, dim=1).cpu().double().numpy()


def _save(path: Path, so_far: _Counted, print_of: str) -> None:
    unusable = so_far.unusable
    about = json.dumps([print_of, so_far.done, so_far.counted, unusable.named, unusable.count])
    arrays = {each.name: getattr(so_far.sums, each.name) for each in fields(Sums)}
    write_atomically(path, lambda stream: np.savez(stream, about=about, **arrays))


def _load(path: Path | None, print_of: str) -> _Counted | None:
    """What an earlier run of the same images and settings kept."""
    if path is None or not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as kept:
            found, done, counted, unreadable, n_unreadable = json.loads(str(kept["about"]))
            sums = Sums(**{each.name: kept[each.name] for each in fields(Sums)})
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error):
        return None
    unusable = Unusable([str(name) for name in unreadable], n_unreadable)
    return _Counted(sums, done, counted, unusable) if found == print_of else None


def _to_prior(
    so_far: _Counted,
    settings: CountSettings,
    images: Sequence[str | Path],
    about: Mapping[str, Any],
    seconds: float,
    title: str,
) -> Prior:
    rows: list[dict[str, Any]] = []
    exponent: dict[str, float] = {}
    for number, (quantity, end) in enumerate(zip(QUANTITIES, np.cumsum(SIZES), strict=True)):
        part = so_far.sums.of(end - SIZES[number], end, number)
        density, replicates = densities(part, quantity.width)
        counted = round(float(part.counts[0].sum())) if quantity.name != "frequency" else 0
        rows += _rows(quantity, density, replicates, {"n_images": so_far.counted, "n_pixels": counted})
        if quantity.name == "frequency":
            exponent = _exponent(density, replicates)
    meta = {
        "summary": title or f"{so_far.counted:,} photographs",
        "images": [Path(path).name for path in images],
        **about,
        "n_unreadable": so_far.unusable.count,
        "unreadable": so_far.unusable.named,
        "amplitude_exponent": exponent,
        "settings": asdict(settings),
        "versions": {name: importlib.metadata.version(name) for name in ("psychophys", "torch", "pillow")},
        "seconds": round(seconds, 1),
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    return Prior.from_rows(rows, meta, title)


def _rows(
    quantity: Quantity, density: Array, replicates: Array | None, about: Mapping[str, int]
) -> list[dict[str, Any]]:
    axis = {name: getattr(quantity, name) for name in ("scale", "width", "unit", "period")}
    rows: list[dict[str, Any]] = [
        {"statistic": quantity.name, **axis, "value": float(value), "density": float(d), **about}
        for value, d in zip(quantity.centres, density, strict=True)
    ]
    if replicates is None:
        return rows
    low, high = interval(replicates)
    for i in range(len(rows)):
        rows[i]["replicates"] = replicates[:, i]
        if density[i] > 0:  # Of what no image has, it is not known how rare it is.
            rows[i] |= {"density_low": float(low[i]), "density_high": float(high[i])}
    return rows


def _exponent(density: Array, replicates: Array | None) -> dict[str, float]:
    """Alpha of an amplitude spectrum proportional to f^-alpha, with its interval over the replicates."""
    first, last = SLOPE_RANGE
    rings = slice(first - 1, last)
    if not (density[rings] > 0).all():
        return {}
    rows = density[None] if replicates is None else np.concatenate([density[None], replicates])
    power = np.log(rows[:, rings] / ring_sizes()[rings])
    # Amplitude is the root of power.
    alpha = -np.polyfit(np.log(np.arange(first, last + 1)), power.T, 1)[0] / 2
    found = {"alpha": float(alpha[0])}
    if replicates is not None:
        found["low"], found["high"] = (float(end) for end in interval(alpha[1:]))
    return found
