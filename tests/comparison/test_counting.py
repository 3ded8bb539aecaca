"""What is counted in images, on images whose answer is known."""

import colorsys
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skimage.data
import torch
from PIL import Image
from skimage.color import rgb2lab
from torch import Tensor

import psychophys
from psychophys.base.errors import MeasurementError, UsageError
from psychophys.comparison.priors import Prior, list_priors, load_prior
from psychophys.comparison.priors.counting import image_statistics, middle_square
from psychophys.comparison.priors.quantities import (
    DIAMETER,
    QUANTITIES,
    SCALES_PIXELS,
    SIDE,
    luminance_of,
    structure,
)
from psychophys.stimuli import STIMULI
from psychophys.stimuli.color import rgb_to_hsv, rgb_to_lch


def grating(orientation_deg: float, cycles: float = 20, pixels: int = SIDE) -> Tensor:
    one = {"orientation": torch.tensor([orientation_deg]).double(), "frequency": cycles, "size": 2.0}
    return STIMULI["grating"].render(one, (pixels, pixels))


def as_image(picture: Tensor) -> Image.Image:
    array = (picture[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return Image.fromarray(array)


def spectral_noise(alpha: float, seed: int, pixels: int = 320) -> Image.Image:
    """Grey noise whose amplitude falls as 1/f^alpha in every direction."""
    generator = np.random.default_rng(seed)
    f = np.hypot(np.fft.fftfreq(pixels)[:, None], np.fft.fftfreq(pixels)[None])
    f[0, 0] = np.inf
    field = np.fft.ifft2(np.fft.fft2(generator.normal(size=(pixels, pixels))) * f**-alpha).real
    grey = np.clip(0.5 + 0.15 * field / field.std(), 0, 1)
    return Image.fromarray((grey * 255).astype(np.uint8)).convert("RGB")


@pytest.mark.parametrize("scale", SCALES_PIXELS)
@pytest.mark.parametrize("orientation", [0.0, 17.0, 45.0, 90.0, 111.3, 179.0])
def test_structure_finds_the_orientation_of_bars(scale: float, orientation: float) -> None:
    angle, coherence, energy = structure(luminance_of(grating(orientation)), scale)
    middle = slice(80, 176)
    error = (angle[0, middle, middle] - orientation + 90) % 180 - 90
    assert error.abs().max() < 0.1
    assert coherence[0, middle, middle].min() > 0.95
    assert energy[0, middle, middle].min() > 0


def test_hsv_and_lch_are_those_of_others() -> None:
    rgb = torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pixels = rgb[0].permute(1, 2, 0).reshape(-1, 3).numpy()
    ours = np.stack([channel[0].flatten().numpy() for channel in rgb_to_hsv(rgb)], axis=1)
    theirs = np.array([colorsys.rgb_to_hsv(*pixel) for pixel in pixels]) * [360, 1, 1]
    assert np.allclose(ours, theirs, atol=1e-9)
    lightness, chroma, hue = (channel[0].flatten().numpy() for channel in rgb_to_lch(rgb))
    lab = rgb2lab(pixels[None])[0]
    assert np.allclose(lightness, lab[:, 0], atol=0.05)
    assert np.allclose(chroma, np.hypot(lab[:, 1], lab[:, 2]), atol=0.1)
    far = (hue - np.rad2deg(np.arctan2(lab[:, 2], lab[:, 1])) + 180) % 360 - 180
    assert np.abs(far[chroma > 5]).max() < 1


def test_grey_has_no_hue_and_black_no_saturation() -> None:
    for level in (0.0, 0.5, 1.0):
        hue, saturation, value = rgb_to_hsv(torch.full((1, 3, 2, 2), level))
        assert (hue == 0).all()
        assert (saturation == 0).all()
        assert (value == level).all()


def test_every_quantity_counts_whole_pixels_in_the_disc() -> None:
    images = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    area = np.pi * DIAMETER**2 / 4
    for quantity in QUANTITIES:
        counts = quantity.count(images)
        assert counts.shape == (2, len(quantity.centres))
        assert (counts >= 0).all()
        if quantity.name != "frequency":
            assert (counts == counts.round()).all()
            assert (counts.sum(dim=1) < 1.01 * area).all()
    luminance = next(q for q in QUANTITIES if q.name == "luminance")
    assert luminance.count(images).sum(dim=1).numpy() == pytest.approx(area, rel=0.01)


def mode_of(prior: Prior, statistic: str, scale: float | None = None) -> float:
    density = prior.density(statistic, scale)
    return float(density.centres[np.argmax(density.density)])


@pytest.mark.parametrize("orientation", [0.0, 30.0, 90.0, 122.5])
def test_statistics_of_gratings_peak_at_their_orientation(orientation: float, tmp_path: Path) -> None:
    as_image(grating(orientation, cycles=40, pixels=320)).save(tmp_path / "grating.png")
    prior = image_statistics([tmp_path])
    for scale in (*SCALES_PIXELS, None):
        assert (mode_of(prior, "orientation", scale) - orientation + 90) % 180 - 90 == pytest.approx(
            0, abs=1.25
        )
    # 40 cycles over 320 pixels, of which the middle 224 (scaled by 256 / 320) are looked at.
    assert mode_of(prior, "frequency") == pytest.approx(40 * DIAMETER / SIDE, abs=1)


@pytest.mark.parametrize("alpha", [0.7, 1.0, 1.4])
def test_the_slope_of_the_spectrum_is_found(alpha: float, tmp_path: Path) -> None:
    for seed in range(24):
        image = spectral_noise(alpha, seed, pixels=SIDE)
        image.save(tmp_path / f"{seed}.png")
    found = image_statistics([tmp_path]).meta["amplitude_exponent"]
    assert found["alpha"] == pytest.approx(alpha, abs=0.05)
    assert found["low"] < found["alpha"] < found["high"]
    assert found["high"] - found["low"] < 0.1


@pytest.fixture(scope="module")
def oriented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise with more horizontal and vertical than oblique contours."""
    folder = tmp_path_factory.mktemp("oriented")
    for seed in range(12):
        generator = torch.Generator().manual_seed(seed)
        angles = torch.tensor([0.0, 90.0, 10.0, 60.0])[torch.randint(4, (1,), generator=generator)]
        values = {"orientation": angles.double(), "frequency": 24.0, "size": 2.0, "sample": float(seed)}
        as_image(STIMULI["noise"].render(values, (320, 320))).save(folder / f"{seed}.png")
    return folder


def test_the_histogram_turns_with_the_images(oriented: Path) -> None:
    upright, turned = image_statistics([oriented]), image_statistics([oriented], rotate_deg=45)
    for scale in SCALES_PIXELS[1:]:
        before = upright.density("orientation", scale).density
        after = turned.density("orientation", scale).density
        shifted = np.roll(before, round(45 / 2.5))
        distance = 0.5 * np.abs(after - shifted).sum() * 2.5
        assert distance < 0.1
        assert distance < 0.2 * 0.5 * np.abs(after - before).sum() * 2.5


def test_a_prior_that_is_turned_is_that_of_turned_photographs() -> None:
    folder = Path(skimage.data.__file__).parent
    files = [folder / f"{name}.png" for name in ("astronaut", "camera", "chelsea", "coffee", "brick", "text")]
    upright, turned = (image_statistics([f for f in files if f.is_file()], rotate_deg=a) for a in (0, 45))
    assert upright.meta["n_found"] >= 3
    before, after = upright.density("orientation"), turned.density("orientation")
    expected = before.turned(45).at(after.centres)
    assert np.corrcoef(after.density, expected)[0, 1] > 0.8
    assert np.corrcoef(after.density, before.density)[0, 1] < 0.5


def test_turning_makes_no_orientations_of_its_own(tmp_path: Path) -> None:
    for seed in range(8):
        spectral_noise(1.0, seed).point(lambda v: 200 + 0.2 * v).save(tmp_path / f"{seed}.png")
    for scale in SCALES_PIXELS:
        density = image_statistics([tmp_path], rotate_deg=30).density("orientation", scale)
        near = np.abs((density.centres - 30 + 45) % 90 - 45) <= 5
        # What an edge of the square would add to.
        assert density.density[near].sum() / density.density.sum() < 2 * near.mean()


def test_an_even_image_has_no_spectrum(tmp_path: Path) -> None:
    Image.new("RGB", (256, 256), (90, 90, 90)).save(tmp_path / "grey.png")
    assert image_statistics([tmp_path]).meta["amplitude_exponent"] == {}


def test_rotation_is_counter_clockwise() -> None:
    image = as_image(grating(20, pixels=SIDE))
    rgb = torch.from_numpy(middle_square(image, 30).copy()).permute(2, 0, 1)[None].double() / 255
    angle, _, _ = structure(luminance_of(rgb), 1.5)
    assert angle[0, 100:150, 100:150].median() == pytest.approx(50, abs=0.5)


def test_hue_luminance_and_contrast_of_known_images(tmp_path: Path) -> None:
    Image.new("RGB", (300, 300), tuple(round(255 * v) for v in colorsys.hsv_to_rgb(0.5, 0.8, 0.9))).save(
        tmp_path / "cyan.png"
    )
    prior = image_statistics([tmp_path])
    assert mode_of(prior, "hue") == 180
    assert mode_of(prior, "contrast") == pytest.approx(0.01)
    (tmp_path / "cyan.png").unlink()
    picture = STIMULI["grating"].render(
        {"contrast": torch.tensor([0.4]), "frequency": 30.0, "size": 2.0}, (SIDE, SIDE)
    )
    as_image(picture).save(tmp_path / "grating.png")
    assert mode_of(image_statistics([tmp_path]), "contrast") == pytest.approx(0.4, abs=0.02)


def test_densities_integrate_to_one_and_intervals_hold_them(oriented: Path) -> None:
    frame = image_statistics([oriented]).to_pandas()
    for (statistic, _), part in frame.groupby(["statistic", "scale"]):
        if part["n_pixels"].iloc[0] or statistic == "frequency":
            assert (part["density"] * part["width"]).sum() == pytest.approx(1)
            some = part[part["density"] > 0]
            inside = (some["density_low"] <= some["density"]) & (some["density"] <= some["density_high"])
            assert inside.mean() > 0.9
            assert part[part["density"] == 0][["density_low", "density_high"]].isna().all(axis=None)


def test_sums_that_an_earlier_version_kept_are_counted_again(oriented: Path, tmp_path: Path) -> None:
    whole = image_statistics([oriented])
    about = json.dumps([whole.meta["fingerprint"], 12, 12, [], 0])
    with (tmp_path / "state").open("wb") as stream:
        np.savez(stream, totals=np.zeros((201, len(whole))), about=about)
    again = image_statistics([oriented], resume=tmp_path / "state")
    pd.testing.assert_frame_equal(again.to_pandas(), whole.to_pandas())


def test_one_photograph_has_no_interval(oriented: Path) -> None:
    prior = image_statistics([oriented / "0.png"])
    assert prior.to_pandas()[["density_low", "density_high", "replicates"]].isna().all(axis=None)
    assert prior.density("orientation").replicates is None
    assert set(prior.meta["amplitude_exponent"]) == {"alpha"}


@pytest.mark.slow
def test_a_run_that_was_cut_goes_on_to_the_same_numbers(
    oriented: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = 5
    monkeypatch.setattr("psychophys.comparison.priors.counting.BATCH", batch)
    for i in range(3 * batch):
        (tmp_path / f"{i:03}.png").write_bytes((oriented / f"{i % 12}.png").read_bytes())
    (tmp_path / "bad.png").write_bytes(b"bad")
    whole = image_statistics([tmp_path])
    monkeypatch.setattr("psychophys.comparison.priors.counting.SAVE_SECONDS", 0.0)
    state = tmp_path.with_suffix(".partial")

    def stop(done: int, total: int) -> None:
        if done >= 2 * batch:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        image_statistics([tmp_path], resume=state, progress=stop)
    assert state.is_file()
    seen: list[int] = []
    resumed = image_statistics([tmp_path], resume=state, progress=lambda done, _: seen.append(done))
    assert seen[0] > batch
    assert state.is_file()
    pd.testing.assert_frame_equal(resumed.to_pandas(), whole.to_pandas())
    first, second = (prior.density("orientation").replicates for prior in (whole, resumed))
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first, second)
    assert resumed.meta["n_unreadable"] == 1
    state.write_bytes(b"damaged")
    pd.testing.assert_frame_equal(image_statistics([tmp_path], resume=state).to_pandas(), whole.to_pandas())


def test_unreadable_images_are_counted_and_named(oriented: Path, tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes((oriented / "0.png").read_bytes())
    (tmp_path / "cut.png").write_bytes((oriented / "0.png").read_bytes()[:500])
    (tmp_path / "dot.png").write_bytes((oriented / "0.png").read_bytes())
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    about = image_statistics([tmp_path]).meta
    assert (about["n_found"], about["n_unreadable"]) == (3, 2)
    assert "cut.png" in about["unreadable"][0]
    (tmp_path / "good.png").unlink()
    with pytest.raises(MeasurementError, match=r"none of 2 images.*cut\.png"):
        image_statistics([tmp_path])


def test_a_prior_is_read_as_it_was_written(oriented: Path, tmp_path: Path) -> None:
    prior = image_statistics([oriented], title="noise")
    prior.write(tmp_path / "p.parquet")
    again = load_prior(tmp_path / "p.parquet")
    pd.testing.assert_frame_equal(again.to_pandas(), prior.to_pandas())
    assert again.meta["summary"] == "noise"
    psychophys.Results.from_rows([], {}).write(tmp_path / "results.parquet")
    for name, words in {"results.parquet": "not a prior", "none.parquet": "not a file"}.items():
        with pytest.raises(UsageError, match=words):
            load_prior(tmp_path / name)


def test_the_priors_that_come_along() -> None:
    names = {prior.name: prior for prior in list_priors()}
    assert set(names) == {"imagenet-sample", "wei-stocker-2015"}
    natural = names["imagenet-sample"].density("orientation")
    cardinal, oblique = natural.at(np.array([0.0, 90.0])), natural.at(np.array([45.0, 135.0]))
    assert cardinal.min() > 3 * oblique.max()
    literature = names["wei-stocker-2015"].density("orientation")
    assert literature.at(np.array([0.0]))[0] == pytest.approx(2 * literature.at(np.array([45.0]))[0])
    assert names["imagenet-sample"].meta["amplitude_exponent"]["alpha"] == pytest.approx(1.2, abs=0.1)


def test_a_density_goes_round() -> None:
    density = load_prior("wei-stocker-2015").density("orientation")
    angles = np.array([-10.0, 0.0, 33.0, 178.9])
    assert density.at(angles) == pytest.approx(density.at(angles + 180))
    assert np.isnan(load_prior("imagenet-sample").density("contrast").at(np.array([-0.5, 1.5]))).all()
