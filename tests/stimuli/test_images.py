"""Photographs as stimuli: transformations against what else does them."""

import colorsys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from inside import call_inside
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import Tensor

import psychophys
from psychophys.base.errors import UsageError
from psychophys.measurement.spec import restore, run_id
from psychophys.stimuli import STIMULI, with_images
from psychophys.stimuli.images import MOST_PICTURES, sample_cubic

PIXELS = 96


def show(name: str = "image", stimulus: object = None, **values: float) -> Tensor:
    """One picture in float64: (3, PIXELS, PIXELS)."""
    one = {key: torch.tensor([value], dtype=torch.float64) for key, value in values.items()}
    one.setdefault("size", torch.tensor([5.0], dtype=torch.float64))  # The whole square.
    return (stimulus or STIMULI[name]).render(one, (PIXELS, PIXELS))[0]


def inner(picture: Tensor, margin: int = 8) -> Tensor:
    return picture[:, margin:-margin, margin:-margin]


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_right_angles_turn_the_pixels(turns: int) -> None:
    turned = show(rotation=90.0 * turns)
    assert torch.allclose(inner(turned), inner(torch.rot90(show(), turns, dims=(1, 2))), atol=1e-9)


def test_rotation_is_even_over_angles() -> None:
    """No angle is favoured by interpolation: the pixels' own sensitivity hardly depends on it."""
    sensitivity = []
    for angle in np.arange(0, 90, 7.5):
        change = show(rotation=angle + 0.01, size=0.7) - show(rotation=angle - 0.01, size=0.7)
        sensitivity.append(float(change.norm()))
    assert np.std(sensitivity) / np.mean(sensitivity) < 0.03


def test_x_moves_right_and_y_up_by_fractions_of_the_image() -> None:
    step = 12 / PIXELS
    assert torch.allclose(show(x=step)[:, :, 14:], show()[:, :, 2:-12], atol=1e-9)
    assert torch.allclose(show(y=step)[:, :-14], show()[:, 12:-2], atol=1e-9)


def test_zoom_magnifies_about_the_middle() -> None:
    near = show(zoom=2.0)
    coarse = near.reshape(3, PIXELS // 2, 2, PIXELS // 2, 2).mean(dim=(2, 4))
    quarter = PIXELS // 4
    error = coarse - show()[:, quarter:-quarter, quarter:-quarter]
    assert error.abs().mean() < 0.02


def test_hue_shift_is_that_of_hsv() -> None:
    flat = Image.new("RGB", (PIXELS, PIXELS), (200, 120, 40))
    stimulus = _shown(flat)
    r, g, b = show(stimulus=stimulus, hue_shift=77.0)[:, 40, 40].tolist()
    h, s, v = colorsys.rgb_to_hsv(200 / 255, 120 / 255, 40 / 255)
    assert (r, g, b) == pytest.approx(colorsys.hsv_to_rgb(h + 77 / 360, s, v), abs=1e-9)


def _shown(image: Image.Image, folder: list[Path] | None = None) -> psychophys.Stimulus:
    import tempfile

    path = Path(tempfile.mkdtemp()) / "picture.png"
    image.save(path)
    return with_images(STIMULI["image"], [path])


def test_blur_is_a_gaussian() -> None:
    sd = 0.03
    blurred, sharp = show(blur=sd), show()
    expected = np.stack([gaussian_filter(channel, sd * PIXELS, mode="reflect") for channel in sharp.numpy()])
    assert np.abs(inner(blurred).numpy() - inner(torch.from_numpy(expected)).numpy()).max() < 0.01


def test_colour_factors_at_their_ends() -> None:
    grey = show(saturation=0.0)
    assert torch.allclose(grey[0], grey[1], atol=1e-12)
    assert inner(show(contrast=0.0)).std() < 1e-9
    assert torch.allclose(inner(show(luminance=0.5)), inner(show()) / 2, atol=0.03)  # Overshoot is cut off.


def test_the_surround_is_grey() -> None:
    picture = STIMULI["image"].render({"rotation": torch.tensor([30.0])}, (PIXELS, PIXELS))[0]
    assert (picture[:, :3, :3] == 0.5).all()


def test_cubic_interpolation_is_exact_for_parabolas() -> None:
    grid = torch.arange(12, dtype=torch.float64)
    image = (0.3 * grid[:, None] ** 2 - 0.7 * grid[None] ** 2 + grid[:, None] * grid[None])[None, None]
    row = torch.tensor([[[3.2, 4.75, 6.5]]], dtype=torch.float64)
    column = torch.tensor([[[5.1, 3.9, 7.25]]], dtype=torch.float64)
    expected = 0.3 * row**2 - 0.7 * column**2 + row * column
    assert torch.allclose(sample_cubic(image, row, column)[:, 0], expected, atol=1e-9)


def test_a_band_holds_its_orientation_and_frequency() -> None:
    picture = show("image-band", orientation=30.0, frequency=12.0, frequency_bandwidth=0.3, contrast=0.5)[0]
    power = np.abs(np.fft.fft2(picture.numpy() - picture.mean().item())) ** 2
    fy, fx = np.meshgrid(*[np.fft.fftfreq(PIXELS, 1 / PIXELS)] * 2, indexing="ij")
    # Bars at 30 deg have their wave vector at 120 deg, with y upwards.
    angle = np.rad2deg(np.arctan2(-fy, fx)) % 180
    near = np.abs((angle - 120 + 90) % 180 - 90) < 20
    assert power[near].sum() > 0.85 * power.sum()
    radius = np.hypot(fx, fy)
    assert (power * radius).sum() / power.sum() == pytest.approx(12, abs=3)


def test_random_phase_keeps_the_amplitudes_and_loses_the_picture() -> None:
    settings = {"orientation": 0.0, "frequency": 8.0, "orientation_bandwidth": 80.0, "contrast": 0.1}
    kept, lost = (show("image-band", **settings, random_phase=v)[0] for v in (0.0, 1.0))
    assert float(kept.std()) == pytest.approx(float(lost.std()), rel=0.15)
    assert abs(float(np.corrcoef(kept.flatten(), lost.flatten())[0, 1])) < 0.3


def test_images_of_ones_own_are_part_of_the_run(tmp_path: Path) -> None:
    for name, level in (("a.png", 20), ("b.png", 40)):
        Image.effect_noise((80, 80), level).save(tmp_path / name)
    plan = psychophys.plan(images=[tmp_path / "a.png"])
    assert plan.stimulus.name == "image"
    assert plan.dimension == "rotation"
    other = psychophys.plan(images=[tmp_path / "b.png"])
    assert len({run_id(p, {}) for p in (plan, other, psychophys.plan("image"))}) == 3
    again = restore(plan.as_dict(), [str(tmp_path / "a.png")])
    assert run_id(again, {}) == run_id(plan, {})
    Image.effect_noise((80, 80), 60).save(tmp_path / "a.png")
    with pytest.raises(UsageError, match="have changed"):
        restore(plan.as_dict(), [str(tmp_path / "a.png")])


def test_a_large_folder_is_sampled_evenly(tmp_path: Path) -> None:
    for i in range(MOST_PICTURES + 20):
        Image.new("L", (40, 40), i).save(tmp_path / f"{i:03}.png")
    chosen = with_images(STIMULI["image"], [tmp_path])
    assert len(chosen.sources) == MOST_PICTURES
    assert chosen.sources[0].path.endswith("000.png")
    assert chosen.sources[7].path.endswith("083.png")
    assert chosen.parameter("sample").high == MOST_PICTURES - 1


def test_photographs_are_measured_with_exact_derivatives() -> None:
    settings = {"values": [20.0, 110.0], "parameters": {"sample": [0, 4]}, "layers": "conv1", "device": "cpu"}
    exact, steps = (
        psychophys.measure(
            "test_resnet", "image", weights="random", dtype="float64", estimator=e, step=1e-4, **settings
        )
        for e in ("jvp", "central")
    )
    assert exact.to_pandas()["sensitivity"].to_numpy() == pytest.approx(
        steps.to_pandas()["sensitivity"].to_numpy(), rel=1e-4
    )


def test_unusable_pictures_are_named_and_left_out(tmp_path: Path) -> None:
    for i in range(4):
        Image.effect_noise((80, 80), 20 + i).save(tmp_path / f"{i}.png")
    whole = with_images(STIMULI["image"], [tmp_path])
    assert whole.unusable == ""
    (tmp_path / "0a.png").write_bytes(b"bad")
    Image.new("L", (8, 8)).save(tmp_path / "small.png")
    chosen = with_images(STIMULI["image"], [tmp_path])
    assert chosen.sources == whole.sources
    assert chosen.images == whole.images
    assert chosen.unusable.startswith("2 of 6 could not be used: ")
    assert "0a.png" in chosen.unusable
    assert "8 x 8 pixels are too few" in chosen.unusable
    with pytest.raises(UsageError, match=r"none of 2 images can be used \(.*0a\.png"):
        with_images(STIMULI["image"], [tmp_path / "0a.png", tmp_path / "small.png"])


@pytest.mark.parametrize("command", ["measure", "fisher", "simulate"])
def test_commands_say_which_pictures_are_left_out(command: str, tmp_path: Path) -> None:
    Image.effect_noise((80, 80), 20).save(tmp_path / "good.png")
    for i in range(7):
        (tmp_path / f"bad{i}.png").write_bytes(b"bad")
    words = [command, "test_resnet", "--weights", "random", "--layers", "fc", "--values", "2"]
    words += ["--images", "."]
    words += ["--dimensions", "rotation,blur"] if command == "fisher" else []
    done = call_inside(*words, "-o", "r.parquet", cwd=tmp_path)
    first = done.stderr.decode().splitlines()[0]
    assert done.returncode == 0, done.stderr.decode()
    assert first.startswith("images: 7 of 8 could not be used: ./bad0.png: ")
    assert first.endswith(" and 2 more")
    meta = next(iter(pq.read_schema(tmp_path / "r.parquet").metadata.values()))
    assert "7 of 8 could not be used" in meta.decode()
    assert call_inside(*words, "-q", "-o", "r.parquet", cwd=tmp_path).stderr == b""
