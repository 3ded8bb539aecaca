"""Statistics of photographs: from folders of any size to a table of densities with intervals.

Images are streamed and their histograms added up, once as they are and once for each replicate of a
Poisson bootstrap over images (every image counts as often as a Poisson variable of mean 1 says), so
that memory does not grow with their number. The sums are kept in a file beside the output from time to
time; a run that is begun again goes on from there.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
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
from psychophys.stimuli.photographs import Source, UnreadableError, Unusable, decode, find_images, stream

BATCH = 16
SAVE_SECONDS = 20.0
REPLICATES, INTERVAL_PERCENT = 200, (2.5, 97.5)
MARGIN = SIDE // 4
"""Pixels by which a square turned by any angle reaches beyond itself, and some."""


@dataclass
class _Sums:
    """What is added up: row 0 counts every image once, the others are bootstrap replicates."""

    totals: Array
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
    sums = _load(state, print_of) or _Sums(np.zeros((1 + settings.replicates, _bins())))
    started = time.perf_counter()
    _add_up(sources, sums, settings, torch.device(device), state, print_of, progress)
    if sums.counted == 0:
        raise MeasurementError(
            f"none of {len(sources):,} images can be used ({sums.unusable.few()})", "Give photographs."
        )
    about = {"n_found": len(sources), "fingerprint": print_of}
    prior = _to_prior(sums, settings, images, about, time.perf_counter() - started, title)
    if state is not None:
        _save(state, sums, print_of)
    return prior


def counted_again(held: Prior, images: Sequence[str | Path], rotate_deg: float = 0.0, seed: int = 0) -> bool:
    """Whether :func:`image_statistics` is about to make a prior again: of the same files, in the same way."""
    return held.meta.get("fingerprint") == _fingerprint(find_images(images), _settings(rotate_deg, seed))


def _settings(rotate_deg: float, seed: int) -> CountSettings:
    if not np.isfinite(rotate_deg):
        raise UsageError(f"rotation by {rotate_deg} deg", "Give a number, such as 45.")
    return CountSettings(float(rotate_deg) % 360, seed)


def _bins() -> int:
    return sum(len(quantity.centres) for quantity in QUANTITIES)


def _fingerprint(sources: Sequence[Source], settings: CountSettings) -> str:
    version = importlib.metadata.version("psychophys")
    digest = hashlib.sha256(json.dumps([asdict(settings), _bins(), version]).encode())
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
    sums: _Sums,
    settings: CountSettings,
    device: torch.device,
    state: Path | None,
    print_of: str,
    progress: Progress | None,
) -> None:
    saved = time.monotonic()
    for batch in _batches(sources[sums.done :], settings.rotate_deg):
        pictures = []
        for number, (source, square) in enumerate(batch, start=sums.done):
            if isinstance(square, UnreadableError):
                sums.unusable.add(source, square)
            else:
                pictures.append((number, square))
        if pictures:
            sums.totals += _weights([n for n, _ in pictures], settings).T @ _count(
                np.stack([square for _, square in pictures]), device
            )
        sums.counted += len(pictures)
        sums.done += len(batch)
        if progress is not None:
            progress(sums.done, len(sources))
        if state is not None and time.monotonic() - saved > SAVE_SECONDS:
            _save(state, sums, print_of)
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


def _save(path: Path, sums: _Sums, print_of: str) -> None:
    about = [print_of, sums.done, sums.counted, sums.unusable.named, sums.unusable.count]
    write_atomically(path, lambda stream: np.savez(stream, totals=sums.totals, about=json.dumps(about)))


def _load(path: Path | None, print_of: str) -> _Sums | None:
    """What an earlier run of the same images and settings kept."""
    if path is None or not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as kept:
            found, done, counted, unreadable, n_unreadable = json.loads(str(kept["about"]))
            totals = kept["totals"]
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error):
        return None
    unusable = Unusable([str(name) for name in unreadable], n_unreadable)
    return _Sums(totals, done, counted, unusable) if found == print_of else None


def _to_prior(
    sums: _Sums,
    settings: CountSettings,
    images: Sequence[str | Path],
    about: Mapping[str, Any],
    seconds: float,
    title: str,
) -> Prior:
    rows: list[dict[str, Any]] = []
    start = 0
    for quantity in QUANTITIES:
        part = sums.totals[:, start : start + len(quantity.centres)]
        start += len(quantity.centres)
        rows += _rows(quantity, part, sums.counted)
    meta = {
        "summary": title or f"{sums.counted:,} photographs",
        "images": [Path(path).name for path in images],
        **about,
        "n_unreadable": sums.unusable.count,
        "unreadable": sums.unusable.named,
        "amplitude_exponent": _exponent(sums.totals),
        "settings": asdict(settings),
        "versions": {name: importlib.metadata.version(name) for name in ("psychophys", "torch", "pillow")},
        "seconds": round(seconds, 1),
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    return Prior.from_rows(rows, meta, title)


def _rows(quantity: Quantity, totals: Array, n_images: int) -> list[dict[str, Any]]:
    with np.errstate(invalid="ignore", divide="ignore"):
        density = totals / (totals.sum(axis=1, keepdims=True) * quantity.width)
    low, high = np.nanpercentile(density[1:], INTERVAL_PERCENT, axis=0) if totals.any() else density[:2]
    counted = round(float(totals[0].sum())) if quantity.name != "frequency" else 0
    return [
        {
            "statistic": quantity.name,
            "scale": quantity.scale,
            "value": float(value),
            "width": quantity.width,
            "unit": quantity.unit,
            "period": quantity.period,
            "density": float(density[0, i]),
            "density_low": float(low[i]),
            "density_high": float(high[i]),
            "n_images": n_images,
            "n_pixels": counted,
        }
        for i, value in enumerate(quantity.centres)
    ]


def _exponent(totals: Array) -> dict[str, float]:
    """Alpha of an amplitude spectrum proportional to f^-alpha, with its interval over the replicates."""
    names = [q.name for q in QUANTITIES]
    start = sum(len(q.centres) for q in QUANTITIES[: names.index("frequency")])
    power = totals[:, start : start + len(ring_sizes())] / ring_sizes()
    first, last = SLOPE_RANGE
    part = power[:, first - 1 : last]
    frequency = np.log(np.arange(first, last + 1))
    if not (part[0] > 0).all():
        return {}
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = np.polyfit(frequency, np.log(part[(part > 0).all(axis=1)]).T, 1)[0]
    # Amplitude is the root of power.
    low, high = np.percentile(slopes[1:], INTERVAL_PERCENT) if len(slopes) > 1 else (np.nan, np.nan)
    return {"alpha": float(-slopes[0] / 2), "low": float(-high / 2), "high": float(-low / 2)}
