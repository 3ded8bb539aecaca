"""Photographs: every kind of file is converted, or refused by name."""

import io
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from psychophys.base.errors import UsageError
from psychophys.stimuli.photographs import (
    PACKAGED,
    Source,
    UnreadableError,
    decode,
    find_images,
    packaged,
    stream,
)


def picture(mode: str = "RGB", size: tuple[int, int] = (64, 48)) -> Image.Image:
    """Dark on the left, light on the right."""
    ramp = np.tile(np.linspace(0, 255, size[0]).astype(np.uint8), (size[1], 1))
    return Image.fromarray(ramp).convert(mode)


def encoded(image: Image.Image, kind: str = "png", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def animated() -> bytes:
    frames = [picture("L"), Image.new("L", (64, 48), 255)]
    return encoded(frames[0], "gif", save_all=True, append_images=frames[1:])


def sixteen_bit() -> bytes:
    return encoded(Image.fromarray(np.asarray(picture("L")).astype(np.uint16) * 257))


def with_alpha() -> bytes:
    image = picture("RGBA")
    image.putalpha(Image.new("L", image.size, 255))
    return encoded(image)


@pytest.mark.parametrize(
    ("content", "tolerance"),
    [
        (encoded(picture()), 0),
        (encoded(picture("L")), 0),
        (encoded(picture(), "jpeg", quality=95), 4),
        (encoded(picture("CMYK"), "jpeg", quality=95), 8),
        (encoded(picture("P")), 8),
        (encoded(picture("LA")), 0),
        (with_alpha(), 0),
        (sixteen_bit(), 1),
        (animated(), 2),
        (encoded(picture(), "webp", lossless=True), 1),
        (encoded(picture(), "tiff"), 0),
    ],
    ids=[
        "rgb",
        "grey",
        "jpeg",
        "cmyk",
        "palette",
        "grey-alpha",
        "alpha",
        "16-bit",
        "animated",
        "webp",
        "tiff",
    ],
)
def test_every_kind_becomes_the_same_rgb(content: bytes, tolerance: int) -> None:
    image = decode(content)
    assert image.mode == "RGB"
    difference = np.asarray(image).astype(int) - np.asarray(picture()).astype(int)
    assert np.abs(difference).max() <= tolerance


def test_transparent_pixels_are_grey() -> None:
    image = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    assert decode(encoded(image)).getpixel((20, 20)) == (128, 128, 128)


def test_what_a_camera_turned_is_turned_back() -> None:
    image = picture()
    exif = image.getexif()
    exif[0x0112] = 6  # To be shown turned by 90 degrees clockwise.
    shown = decode(encoded(image, "jpeg", exif=exif, quality=95))
    assert shown.size == (48, 64)
    assert shown.getpixel((24, 2))[0] < 30
    assert shown.getpixel((24, 61))[0] > 225


@pytest.mark.parametrize("shorter", [32, 48, 100])
def test_the_shorter_side_is_scaled(shorter: int) -> None:
    image = decode(encoded(picture(), "jpeg"), shorter)
    assert min(image.size) == shorter
    assert max(image.size) == round(shorter * 64 / 48)


def test_a_hundred_megapixels_are_read() -> None:
    assert decode(encoded(Image.new("L", (10_000, 10_000), 7)), 64).size == (64, 64)


def bomb() -> bytes:
    """A small file that claims 30,000 x 30,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read"),
        (b"", "cannot identify"),
        (b"no image", "cannot identify"),
        (encoded(picture())[:100], "truncated|broken|not enough"),
        (encoded(picture(), "jpeg")[:300], "truncated|broken"),
        (encoded(Image.new("RGB", (1, 1))), "1 x 1 pixels are too few"),
        (encoded(Image.new("F", (64, 64)), "tiff"), "no known range"),
        (bomb(), "decompression bomb"),
    ],
    ids=["none", "empty", "text", "png", "jpeg", "one pixel", "float", "bomb"],
)
def test_what_cannot_be_used_says_why(content: bytes | None, why: str) -> None:
    with pytest.raises(UnreadableError, match=f"(?i){why}"):
        decode(content, 64)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An ImageFolder tree with what else lies in such folders."""
    for name in ("b/2.png", "a/1.JPEG", "a/deep/3.jpg"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture()))
    (tmp_path / "tree" / "labels.csv").write_text("a,b")
    (tmp_path / "tree" / "._1.jpg").write_bytes(b"what macOS leaves")
    return tmp_path / "tree"


def test_folders_and_archives_hold_the_same_images(folder: Path, tmp_path: Path) -> None:
    names = ["a/1.JPEG", "a/deep/3.jpg", "b/2.png"]
    assert [Path(s.path).relative_to(folder).as_posix() for s in find_images([folder])] == names
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in names:
            archive.write(folder / name, name)
        archive.writestr("notes.txt", "none")
    for kind in ("tar", "tar.gz"):
        with tarfile.open(tmp_path / f"x.{kind}", f"w:{kind.partition('.')[2]}") as tar:
            tar.add(folder, ".")
    for name in ("x.zip", "x.tar", "x.tar.gz"):
        found = find_images([tmp_path / name])
        assert sorted(Path(s.member).as_posix() for s in found) == names
        sizes = [made.size for _, made in stream(found, decode) if not isinstance(made, UnreadableError)]
        assert sizes == [(64, 48)] * 3


def test_images_come_in_order_and_bad_ones_among_them(tmp_path: Path) -> None:
    for i in range(40):
        image = Image.new("RGB", (32 + i, 40))
        (tmp_path / f"{i:02}.png").write_bytes(b"bad" if i % 7 == 3 else encoded(image))
    for number, (source, made) in enumerate(stream(find_images([tmp_path]), decode)):
        assert Path(source.path).stem == f"{number:02}"
        assert isinstance(made, UnreadableError) == (number % 7 == 3)
        assert isinstance(made, UnreadableError) or made.width == 32 + number


def test_a_damaged_member_is_one_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.png", "b.png"):
            archive.writestr(name, encoded(Image.effect_noise((60, 60), 50)))
    content = bytearray(path.read_bytes())
    content[200:260] = b"x" * 60
    path.write_bytes(content)
    made = [image for _, image in stream(find_images([path]), decode)]
    assert [isinstance(image, UnreadableError) for image in made] == [True, False]


def test_a_long_strip_takes_no_memory() -> None:
    assert decode(encoded(Image.new("L", (32, 100_000))), 256).size == (256, 512)


def test_a_file_that_goes_away_is_one_that_cannot_be_read(folder: Path) -> None:
    gone = Source(str(folder / "gone.png"))
    [(source, made)] = list(stream([gone], decode))
    assert source == gone
    assert isinstance(made, UnreadableError)


@pytest.mark.parametrize("what", ["missing", "empty", "broken.zip", "broken.tar"])
def test_what_holds_no_images_is_refused(what: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("broken.zip", "broken.tar"):
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(UsageError, match=what):
        find_images([tmp_path / what])


def test_the_packaged_photographs_are_there() -> None:
    assert len(packaged()) == len(PACKAGED)
    for _, image in stream(packaged(), decode):
        assert not isinstance(image, UnreadableError)
        assert min(image.size) >= 300
