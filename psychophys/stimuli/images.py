"""Photographs as stimuli: turned, shifted, zoomed, blurred, recoloured, or filtered to a band.

The photograph's middle square covers the image. Colour is changed first (on the photograph's own
pixels), then it is blurred, then moved: sampled by Catmull-Rom cubic interpolation from twice as many
pixels as are shown, which is differentiable everywhere, with the photograph mirrored at its border. A
soft-edged disc on mid-grey shows it. Values are cut off at 0 and 1 in the end.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.autograd import forward_ad

from psychophys.base.errors import UsageError
from psychophys.stimuli.base import Parameter, Stimulus
from psychophys.stimuli.color import hsv_to_rgb, rgb_to_hsv
from psychophys.stimuli.gratings import (
    COMMON,
    DIAMETER,
    FREQUENCY,
    FREQUENCY_BANDWIDTH,
    ORIENTATION,
    ORIENTATION_BANDWIDTH,
    PHASE,
    SAMPLE,
    X,
    Y,
    disc,
    draw_band,
    white_spectrum,
    within_unit_range,
)
from psychophys.stimuli.photographs import (
    SHORTEST_SIDE,
    Source,
    UnreadableError,
    Unusable,
    decode,
    find_images,
    packaged,
    read,
    stream,
)

Values = Mapping[str, Tensor]
GREY = 0.5
OVERSAMPLING = 2
"""Of the pixels that are sampled: the slope of a cubic through the image's own pixels would be too small
just where they are hit, and so at every turn by a right angle."""
MOST_PICTURES = 64
"""Of a folder with more, so many are taken, evenly spread."""
USUAL_PICTURES = 8

ROTATION = Parameter(
    "rotation", "deg", 0.0, -720, 720, (0, 360), 1e-2, "counter-clockwise", period=360, count=36
)
HUE_SHIFT = Parameter(
    "hue_shift", "deg", 0.0, -720, 720, (0, 360), 1e-2, "added to every pixel's HSV hue", period=360, count=36
)
SATURATION = Parameter("saturation", "factor", 1.0, 0.0, 1.0, (0.1, 1), 1e-4, "0 is grey")
CONTRAST = Parameter(
    "contrast", "factor", 1.0, 0.0, 1.0, (0.05, 1), 1e-4,
    "nominal: of every pixel's difference from the mean, before the disc", log=True,
)  # fmt: skip
LUMINANCE = Parameter("luminance", "factor", 1.0, 0.0, 1.0, (0.2, 1), 1e-4, "of every pixel value", log=True)
ZOOM = Parameter("zoom", "factor", 1.0, 0.25, 8.0, (0.8, 2), 1e-4, "magnification", log=True)
BLUR = Parameter("blur", "image", 0.0, 0.0, 0.25, (0.002, 0.05), 1e-5, "s.d. of the Gaussian", log=True)
RANDOM_PHASE = Parameter(
    "random_phase", "0 or 1", 1, 0, 1, (0, 1), 1, "1 keeps the amplitude spectrum alone", measurable=False
)


@dataclass(frozen=True)
class Pictures:
    """Photographs that are drawn from: ``sample`` counts through them."""

    sources: tuple[Source, ...]

    def squares(self, sample: Sequence[float], pixels: int, side: int, like: Tensor) -> Tensor:
        """Middle squares in [0, 1] for the numbers in ``sample``: (N, 3, side, side)."""
        chosen = [_square(self.sources[int(i)], side, pixels) for i in sample]
        return torch.stack(chosen).to(device=like.device, dtype=like.dtype) / 255

    def draw(self, p: Values, x: Tensor, y: Tensor) -> Tensor:
        """The moved, blurred and recoloured photograph: (N, 3, H, W)."""
        side = OVERSAMPLING * min(x.shape)
        known = _numbers({name: p[name] for name in ("sample", *_AT_REST)})
        photograph = _recolour(self.squares(known["sample"], min(x.shape), side, x), p, known)
        if not _is_still(p, known, "blur"):
            photograph = _blur(photograph, p["blur"], side)
        moved = _move(photograph, p, x, y)
        window = disc(x, y, p["size"]).unsqueeze(1)
        return torch.clamp(GREY + window * (moved - GREY), 0, 1)

    def draw_band(self, p: Values, x: Tensor, y: Tensor) -> Tensor:
        """The photograph's luminance in a band of orientation and frequency: (N, H, W)."""
        height, width = x.shape
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        sample = _numbers({"sample": p["sample"]})["sample"]
        rgb = self.squares(sample, side, side, x)[:, :, top : top + height, left : left + width]
        luminance = rgb.mean(dim=1)
        spectrum = torch.fft.rfft2(luminance - luminance.mean(dim=(1, 2), keepdim=True))
        noise = [white_spectrum(int(i), height, width) for i in sample]
        phases = torch.stack(noise).to(spectrum)
        scrambled = spectrum.abs() * phases / phases.abs().clamp(min=1e-12)
        return draw_band(p, x, y, torch.where(p["random_phase"] > 0.5, scrambled, spectrum))


@functools.lru_cache(maxsize=4 * MOST_PICTURES)
def _square(source: Source, side: int, pixels: int) -> Tensor:
    """The middle at ``pixels`` a side, interpolated to ``side``: (3, side, side)."""
    try:
        image = decode(read(source), pixels)
    except UnreadableError as error:
        raise UsageError(f"image {source} cannot be used: {error}", "Leave it out.") from error
    left, top = (image.width - pixels) // 2, (image.height - pixels) // 2
    square = image.crop((left, top, left + pixels, top + pixels)).resize(
        (side, side), Image.Resampling.LANCZOS
    )
    return torch.from_numpy(np.asarray(square).copy()).permute(2, 0, 1)


_AT_REST = {"hue_shift": 0, "saturation": 1, "contrast": 1, "luminance": 1, "blur": 0}
"""Values with which a photograph stays as it is."""


def _numbers(p: Values) -> dict[str, list[float]]:
    """Parameters' values on the host: one transfer for all, as each makes the host wait for a device."""
    flat = [forward_ad.unpack_dual(tensor).primal.detach().flatten() for tensor in p.values()]
    every = iter(torch.cat(flat).tolist())
    return {name: list(itertools.islice(every, len(part))) for name, part in zip(p, flat, strict=True)}


def _is_still(p: Values, known: Mapping[str, Sequence[float]], *names: str) -> bool:
    """Whether parameters leave the photograph as it is, and have no tangent."""
    return all(
        forward_ad.unpack_dual(p[name]).tangent is None and set(known[name]) == {_AT_REST[name]}
        for name in names
    )


def _recolour(photograph: Tensor, p: Values, known: Mapping[str, Sequence[float]]) -> Tensor:
    if _is_still(p, known, "hue_shift", "saturation", "contrast", "luminance"):
        return photograph
    if not _is_still(p, known, "hue_shift"):
        hue, saturation, value = rgb_to_hsv(photograph)
        photograph = hsv_to_rgb(hue + p["hue_shift"], saturation, value)
    # One value an image, against channels and pixels.
    saturation, contrast, luminance = (p[n].unsqueeze(1) for n in ("saturation", "contrast", "luminance"))
    grey = photograph.mean(dim=1, keepdim=True)
    photograph = grey + saturation * (photograph - grey)
    mean = photograph.mean(dim=(1, 2, 3), keepdim=True)
    return luminance * (mean + contrast * (photograph - mean))


def _blur(photograph: Tensor, sd: Tensor, side: int) -> Tensor:
    # Mirrored into twice the size, so that opposite borders do not run into each other.
    wide = torch.cat([photograph, photograph.flip(-1)], dim=-1)
    tile = torch.cat([wide, wide.flip(-2)], dim=-2)
    fx = torch.fft.rfftfreq(2 * side, dtype=tile.dtype, device=tile.device) * side
    fy = torch.fft.fftfreq(2 * side, dtype=tile.dtype, device=tile.device)[:, None] * side
    gain = torch.exp(-2 * (math.pi * sd) ** 2 * (fx * fx + fy * fy)).unsqueeze(1)
    spectrum = torch.fft.rfft2(tile)
    blurred = torch.fft.irfft2(torch.complex(gain * spectrum.real, gain * spectrum.imag), s=tile.shape[-2:])
    middle: Tensor = blurred[..., :side, :side]
    return middle


def _move(photograph: Tensor, p: Values, x: Tensor, y: Tensor) -> Tensor:
    side = photograph.shape[-1]
    theta = torch.deg2rad(p["rotation"])
    dx, dy = x - p["x"], y - p["y"]
    u = (dx * torch.cos(theta) + dy * torch.sin(theta)) / p["zoom"]
    v = (dy * torch.cos(theta) - dx * torch.sin(theta)) / p["zoom"]
    middle = (side - 1) / 2
    return sample_cubic(photograph, middle - v * side, middle + u * side)


def sample_cubic(images: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Catmull-Rom interpolation at positions in pixels, mirrored at the border.

    A tangent is carried by the cubic's own slopes, at a third of the cost of forward differentiation.

    Parameters
    ----------
    images
        Shape (N, C, S, S).
    row, column
        Shape (N or 1, H, W).

    Returns
    -------
    Tensor
        Shape (N, C, H, W).
    """
    (image, image_dot), (r, r_dot), (c, c_dot) = (forward_ad.unpack_dual(t) for t in (images, row, column))
    value, by_row, by_column = _interpolate(image, r, c)
    parts = [] if image_dot is None else [_interpolate(image_dot, r, c)[0]]
    parts += [] if r_dot is None else [by_row * r_dot.unsqueeze(1)]
    parts += [] if c_dot is None else [by_column * c_dot.unsqueeze(1)]
    return forward_ad.make_dual(value, sum(parts[1:], parts[0])) if parts else value


def _interpolate(image: Tensor, row: Tensor, column: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The value at each position and its slopes by row and by column."""
    channels, side = image.shape[1:3]
    count = max(len(image), len(row))
    flat = image.flatten(2).expand(count, -1, -1)
    nothing = torch.zeros(count, channels, *row.shape[1:], dtype=image.dtype, device=image.device)
    value, by_row, by_column = nothing, nothing, nothing
    for row_index, row_weight, row_slope in _neighbours(row, side):
        line, line_slope = nothing, nothing
        for column_index, weight, slope in _neighbours(column, side):
            index = (row_index * side + column_index).flatten(1).unsqueeze(1)
            pixels = flat.gather(2, index.expand(count, channels, -1)).reshape(nothing.shape)
            line = torch.addcmul(line, pixels, weight)
            line_slope = torch.addcmul(line_slope, pixels, slope)
        value = torch.addcmul(value, line, row_weight)
        by_row = torch.addcmul(by_row, line, row_slope)
        by_column = torch.addcmul(by_column, line_slope, row_weight)
    return value, by_row, by_column


def _neighbours(position: Tensor, side: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Index, weight and the weight's slope of the four pixels around positions along one axis."""
    start = torch.floor(position)
    t = (position - start).unsqueeze(1)
    weights = (
        t * (-0.5 + t * (1 - 0.5 * t)),
        1 + t * t * (-2.5 + 1.5 * t),
        t * (0.5 + t * (2 - 1.5 * t)),
        t * t * (-0.5 + 0.5 * t),
    )
    slopes = (-0.5 + t * (2 - 1.5 * t), t * (-5 + 4.5 * t), 0.5 + t * (4 - 4.5 * t), t * (-1 + 1.5 * t))
    indices = [torch.remainder(start.long() + k, 2 * side) for k in (-1, 0, 1, 2)]
    mirrored = [torch.minimum(i, 2 * side - 1 - i) for i in indices]
    return list(zip(mirrored, weights, slopes, strict=True))


def with_images(stimulus: Stimulus, paths: Sequence[str | Path]) -> Stimulus:
    """``image`` or ``image-band`` drawn from other photographs.

    Parameters
    ----------
    paths
        Folders, archives, files. Of more than ``MOST_PICTURES`` photographs, so many are taken.

    Returns
    -------
    Stimulus
        Of the photographs that can be used. The others are left out: ``unusable`` says which.

    Raises
    ------
    UsageError
        Without images, if none can be used, or for a stimulus that shows none.
    """
    if stimulus.name not in _DRAWS:
        raise UsageError(f"stimulus {stimulus.name} shows no images", f"Use {' or '.join(_DRAWS)}.")
    found = find_images(paths)
    if len(found) > MOST_PICTURES:
        found = [found[i] for i in np.linspace(0, len(found) - 1, MOST_PICTURES).round().astype(int)]
    tried, (found, unusable) = len(found), _usable(found)
    if not found:
        raise UsageError(f"none of {tried:,} images can be used ({unusable.few()})", "Give photographs.")
    # The first ones are shown unless more are asked for: they too are to be evenly spread.
    first = np.linspace(0, len(found) - 1, min(len(found), USUAL_PICTURES)).round().astype(int)
    found = [found[i] for i in dict.fromkeys([*first.tolist(), *range(len(found))])]
    shown = _with_pictures(stimulus, Pictures(tuple(found)), _digest(found))
    return replace(shown, unusable=unusable.words(tried) if unusable.count else "")


def with_same_images(stimulus: Stimulus, names: Sequence[str]) -> Stimulus:
    """The same drawn from photographs that were shown before: those, in that order.

    Parameters
    ----------
    names
        Of the stimulus's ``sources``, as text.

    Raises
    ------
    UsageError
        If one is not there any more, or for a stimulus that shows none.
    """
    if stimulus.name not in _DRAWS:
        raise UsageError(f"stimulus {stimulus.name} shows no images", f"Use {' or '.join(_DRAWS)}.")
    found = tuple(Source.named(name) for name in names)
    return _with_pictures(stimulus, Pictures(found), _digest(found))


def _usable(sources: Sequence[Source]) -> tuple[list[Source], Unusable]:
    """Those of the images that can be read, and the others: known before anything is measured."""
    usable, unusable = [], Unusable()
    for source, image in stream(sources, lambda content: decode(content, SHORTEST_SIDE)):
        if isinstance(image, UnreadableError):
            unusable.add(source, image)
        else:
            usable.append(source)
    return usable, unusable


def _digest(sources: Sequence[Source]) -> str:
    """SHA-256 over the contents of images, in order."""
    total = hashlib.sha256()
    for source in sources:
        total.update(hashlib.sha256(read(source) or b"").digest())
    return total.hexdigest()


def _with_pictures(stimulus: Stimulus, pictures: Pictures, images: str) -> Stimulus:
    last = len(pictures.sources) - 1
    sample = replace(SAMPLE, high=last, sweep=(0, last), meaning="which photograph")
    parameters = tuple(sample if p.name == "sample" else p for p in stimulus.parameters)
    return replace(
        stimulus,
        parameters=parameters,
        draw=getattr(pictures, _DRAWS[stimulus.name]),
        nuisance={"sample": min(len(pictures.sources), USUAL_PICTURES)},
        sources=pictures.sources,
        images=images,
    )


_DRAWS = {"image": "draw", "image-band": "draw_band"}
_PACKAGED = Pictures(tuple(packaged()))

IMAGES = tuple(
    _with_pictures(stimulus, _PACKAGED, "packaged")
    for stimulus in (
        Stimulus(
            "image",
            "photographs in a soft-edged disc, turned, moved, blurred or recoloured",
            (
                *(ROTATION, HUE_SHIFT, SATURATION, CONTRAST, LUMINANCE, ZOOM, X, Y, BLUR),
                *(SAMPLE, DIAMETER),
            ),
            _PACKAGED.draw,
        ),
        Stimulus(
            "image-band",
            "photographs filtered to a band of orientation and frequency (after Henderson & Serences 2021)",
            (
                ORIENTATION,
                replace(FREQUENCY, default=16.0),
                replace(ORIENTATION_BANDWIDTH, default=5.7),
                replace(FREQUENCY_BANDWIDTH, default=1.8),
                *(PHASE, RANDOM_PHASE, SAMPLE, DIAMETER),
                *COMMON,
            ),
            _PACKAGED.draw_band,
            constraint=within_unit_range,
            light=True,
        ),
    )
)
