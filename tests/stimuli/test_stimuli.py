"""Every stimulus and dimension by the same properties; conventions by looking at the pixels."""

import colorsys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

import psychophys
from psychophys.base.errors import UsageError
from psychophys.stimuli import STIMULI, Parameter, Stimulus
from psychophys.stimuli.contrast import contrast_table

SIZE = (48, 48)
CASES = [(s, p) for s in STIMULI.values() for p in s.parameters if p.measurable]
IDS = [f"{s.name}-{p.name}" for s, p in CASES]
every_dimension = pytest.mark.parametrize(("stimulus", "parameter"), CASES, ids=IDS)


def inside(parameter: Parameter) -> Tensor:
    """Values inside the default range, away from its ends and from the kinks of HSV hue."""
    first, last = parameter.sweep
    return first + (last - first) * torch.tensor([0.11, 0.38, 0.77], dtype=torch.float64)


def draw(name: str, pixels: int = 64, **values: float) -> Tensor:
    """One grey image, shape (pixels, pixels); row 0 is the top."""
    one = {key: torch.tensor([value], dtype=torch.float64) for key, value in values.items()}
    return STIMULI[name].render(one or {"contrast": torch.ones(1).double()}, (pixels, pixels))[0, 0]


@every_dimension
def test_images_have_their_shape_and_range(stimulus: Stimulus, parameter: Parameter) -> None:
    images = stimulus.render({parameter.name: torch.tensor(parameter.grid(7))}, (40, 56))
    assert images.shape == (7, 3, 40, 56)
    assert torch.isfinite(images).all()
    low = 0.0 if stimulus.unit_range else -1.0
    assert images.min() >= low - 1e-6
    assert images.max() <= 1 + 1e-6
    assert (images[0] - images[-1]).abs().max() > 1e-3


@every_dimension
def test_derivative_is_exact(stimulus: Stimulus, parameter: Parameter) -> None:
    values, step = inside(parameter), 1e-6 * (parameter.sweep[1] - parameter.sweep[0])
    others = {"phase": 33.0} if any(p.name == "phase" for p in stimulus.parameters) else {}
    others.pop(parameter.name, None)

    def render(v: Tensor) -> Tensor:
        return stimulus.render({**others, parameter.name: v}, SIZE)

    with forward_ad.dual_level():
        dual = render(forward_ad.make_dual(values, torch.ones_like(values)))
        tangent = forward_ad.unpack_dual(dual).tangent
    difference = (render(values + step) - render(values - step)) / (2 * step)
    assert tangent is not None
    assert difference.abs().max() > 0
    scale = difference.abs().amax(dim=(1, 2, 3), keepdim=True)
    # A pixel on the border of a disc or on the image's extreme has a kink there.
    assert ((tangent - difference).abs() / scale > 1e-5).double().mean() < 1e-3


@every_dimension
def test_period_brings_the_same_image(stimulus: Stimulus, parameter: Parameter) -> None:
    if parameter.period is None:
        pytest.skip("not periodic")
    values = inside(parameter)
    first = stimulus.render({parameter.name: values}, SIZE)
    again = stimulus.render({parameter.name: values + parameter.period}, SIZE)
    # At phase 0 a cosine grating turned by 180 degrees is itself, up to the half pixel of the
    # published grid, whose centre is between no two pixels.
    tolerance = 1e-9 if stimulus.unit_range else 0.2
    assert torch.allclose(first, again, atol=tolerance)


def with_parameters(*names: str, without: tuple[str, ...] = ()) -> list[str]:
    """Stimuli that have all of these parameters, and none of those."""
    return [
        stimulus.name
        for stimulus in STIMULI.values()
        if {*names} <= (own := {p.name for p in stimulus.parameters}) and not own & {*without}
    ]


# A plaid has two orientations; a photograph in a band has what the photograph has.
@pytest.mark.parametrize("name", with_parameters("orientation", without=("angle", "random_phase")))
def test_orientation_is_that_of_the_bars(name: str) -> None:
    def change(angle: float, right: int, up: int) -> float:
        image = draw(name, orientation=angle, frequency=8.0)
        moved = torch.roll(image, (-up, right), dims=(0, 1))
        return float((image - moved)[16:48, 16:48].abs().mean())

    # Pixels change least in the direction along the bars.
    directions = {0: (4, 0), 45: (3, 3), 90: (0, 4), 135: (-3, 3)}
    for angle in directions:
        changes = {other: change(angle, *shift) for other, shift in directions.items()}
        assert min(changes, key=changes.__getitem__) == angle


@pytest.mark.parametrize("name", with_parameters("frequency", without=("random_phase",)))
def test_frequency_is_where_the_power_is(name: str) -> None:
    fine = {"frequency_bandwidth": 0.1} if name in with_parameters("frequency_bandwidth") else {}
    still = {"angle": 0.0} if name in with_parameters("angle") else {}
    for frequency in (6.0, 12.0):
        image = draw(name, 96, frequency=frequency, orientation=30.0, size=0.9, **fine, **still)
        power = torch.fft.fft2(image - image.mean()).abs() ** 2
        steps = torch.fft.fftfreq(96, 1 / 96).double()
        radius = torch.hypot(steps[:, None], steps[None])
        assert float((radius * power).sum() / power.sum()) == pytest.approx(frequency, rel=0.12)


@pytest.mark.parametrize("stimulus", STIMULI.values(), ids=lambda stimulus: stimulus.name)
def test_what_can_be_drawn_stays_in_range_and_what_cannot_is_refused(stimulus: Stimulus) -> None:
    """Corners of the parameters' ranges, and places within them: an image in range, or one line."""
    generator = np.random.default_rng(0)
    low, high = (0.0, 1.0) if stimulus.unit_range else (-1.0, 1.0)
    drawn = 0
    for round_ in range(40):
        values = {}
        for p in stimulus.parameters:
            ends = [*p.sweep, p.default] if p.measurable else [p.default]
            if p.measurable and p.unit in ("0-1", "Michelson", "factor"):
                ends += [p.low, min(p.high, 1.0)]
            values[p.name] = float(generator.choice(ends))
        try:
            stimulus.check(values)
        except UsageError:
            continue
        drawn += 1
        image = stimulus.render({k: torch.tensor([v]) for k, v in values.items()}, (32, 32))
        assert low - 1e-5 <= float(image.min()), (round_, values)
        assert float(image.max()) <= high + 1e-5, (round_, values)
    assert drawn >= 5


def test_a_stimulus_whose_nuisance_is_no_parameter_is_refused() -> None:
    gabor = STIMULI["gabor"]
    with pytest.raises(ValueError, match=r"'gabor'.*\['phas'\]"):
        replace(gabor, nuisance={"phas": 8})
    with pytest.raises(ValueError, match="a name of its own"):
        replace(gabor, parameters=(*gabor.parameters, gabor.parameters[0]))


def test_plaid_lies_between_its_gratings() -> None:
    single = draw("plaid", orientation=30, angle=0, frequency=6)
    assert torch.allclose(single, draw("grating", orientation=30, frequency=6), atol=1e-12)
    pair = draw("grating", orientation=10, frequency=6) + draw("grating", orientation=50, frequency=6)
    assert torch.allclose(draw("plaid", orientation=30, angle=40, frequency=6), pair / 2, atol=1e-12)


@pytest.mark.parametrize("frequency", [4, 7, 12])
def test_frequency_is_in_cycles_per_image(frequency: int) -> None:
    image = draw("grating", orientation=90, frequency=frequency, size=1.0)
    spectrum = np.abs(np.fft.rfft(image[32].numpy() - 0.5))
    assert int(spectrum.argmax()) == frequency


@pytest.mark.parametrize("contrast", [0.1, 0.5, 1.0])
def test_contrast_is_michelson_and_the_surround_has_the_mean(contrast: float) -> None:
    image = draw("grating", pixels=256, contrast=contrast, luminance=0.4, frequency=8.0)
    centre = image[100:156, 100:156]
    high, low = float(centre.max()), float(centre.min())
    assert (high - low) / (high + low) == pytest.approx(contrast, rel=0.01)
    assert float(image[0, 0]) == pytest.approx(0.4)


def test_contrast_as_rendered_is_that_of_the_pixels() -> None:
    found = psychophys.rendered_contrast(
        "gabor", {"frequency": 1.0, "phase": 90.0, "contrast": 0.5}, (64, 80)
    )
    image = (
        STIMULI["gabor"]
        .render({"frequency": torch.ones(1).double(), "phase": 90.0, "contrast": 0.5}, (64, 80))[0, 0]
        .numpy()
    )
    assert found.michelson == pytest.approx([(image.max() - image.min()) / (image.max() + image.min())])
    assert found.rms == pytest.approx([image.std() / image.mean()])
    assert len(psychophys.rendered_contrast("gabor").michelson) == 8
    assert psychophys.rendered_contrast("gabor", {"contrast": 0.0}).michelson == pytest.approx([0] * 8)
    assert len(psychophys.rendered_contrast("patch", {"saturation": 0.0}).michelson) == 1
    with pytest.raises(UsageError, match=r"luminance 0\.8"):
        psychophys.rendered_contrast("gabor", {"luminance": 0.8})
    with pytest.raises(UsageError, match="over the Nyquist limit"):
        psychophys.rendered_contrast("gabor", {"frequency": 40.0}, (64, 80))


def test_a_gabor_has_the_contrast_that_the_documentation_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "studies" / "people.md").read_text()
    by_frequency = {line.frequency: line for line in contrast_table(STIMULI["gabor"])}
    for frequency in (1, 2.24, 4.48, 8.96, 16, 32, 56):
        ends = (by_frequency[frequency].michelson, by_frequency[frequency].share)
        cells = " | ".join(f"{low:.2f} to {high:.2f}" for low, high in ends)
        assert f"| {frequency:g} | {cells} |" in page
    rms = [line.rms for line in by_frequency.values()]
    assert rms[0] == pytest.approx((0.24, 0.31), abs=0.005)
    assert np.array(rms[1:]) == pytest.approx(0.28, abs=0.005)


@pytest.mark.parametrize("stimulus", STIMULI.values(), ids=lambda stimulus: stimulus.name)
def test_contrast_is_said_to_be_nominal_where_less_is_rendered(stimulus: Stimulus) -> None:
    contrast = [p for p in stimulus.parameters if p.name == "contrast"]
    for line in contrast_table(stimulus):
        assert contrast[0].meaning.startswith("nominal: ")
        assert 0 < line.michelson[0] <= line.michelson[1] <= 1 + 1e-9
    if contrast and not contrast[0].meaning.startswith("nominal: "):
        c = torch.tensor([0.25, 1.0]).double()
        image = stimulus.render({"contrast": c}, (64, 64)).flatten(1)
        assert (image.amax(1) - image.amin(1)) / 2 == pytest.approx(c)


def test_x_moves_right_and_y_moves_up() -> None:
    def centre(**position: float) -> tuple[float, float]:
        weight = (draw("gabor", **position, frequency=1e-3) - 0.5).abs()
        rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
        return float((weight * columns).sum() / weight.sum()), float((weight * rows).sum() / weight.sum())

    middle = centre(x=0.0)
    assert centre(x=0.2)[0] > middle[0] + 3
    assert centre(y=0.2)[1] < middle[1] - 3


def test_gabor_is_dark_nowhere_at_the_border() -> None:
    image = draw("gabor", orientation=20)
    border = torch.cat([image[0], image[-1], image[:, 0], image[:, -1]])
    assert (border - 0.5).abs().max() < 0.02


def test_noise_samples_are_reproducible_and_differ() -> None:
    assert torch.equal(draw("noise", sample=3), draw("noise", sample=3))
    assert not torch.allclose(draw("noise", sample=3), draw("noise", sample=4))


def test_hsv_is_the_standard_one() -> None:
    hue = torch.arange(0.0, 360, 7, dtype=torch.float64)
    ours = STIMULI["patch"].render({"hue": hue, "saturation": 0.6, "value": 0.7}, (1, 1))[:, :, 0, 0]
    theirs = [colorsys.hsv_to_rgb(float(h) / 360, 0.6, 0.7) for h in hue]
    assert np.allclose(ours.numpy(), theirs, atol=1e-7)


@pytest.mark.parametrize(
    ("lch", "rgb"),
    [
        ((53.24, 104.55, 40.0), (1, 0, 0)),
        ((87.73, 119.78, 136.02), (0, 1, 0)),
        ((32.30, 133.81, 306.28), (0, 0, 1)),
        ((100.0, 0.0, 0.0), (1, 1, 1)),
        ((53.585, 0.0, 0.0), (0.5, 0.5, 0.5)),
    ],
)
def test_lch_gives_the_published_srgb(lch: tuple[float, ...], rgb: tuple[float, ...]) -> None:
    names = ("lightness", "chroma", "hue")
    values = {n: torch.tensor([v], dtype=torch.float64) for n, v in zip(names, lch, strict=True)}
    assert np.allclose(STIMULI["patch-lch"].render(values, (1, 1))[0, :, 0, 0], rgb, atol=0.03)


@pytest.mark.parametrize(
    ("name", "values", "part"),
    [
        ("gabor", {"contrast": 2.0}, "contrast 2"),
        ("gabor", {"contrast": float("nan")}, "contrast nan"),
        ("gabor", {"size": 0.0}, "size 0"),
        ("grating", {"size": -1.0}, "size -1"),
        ("gabor", {"frequency": 33.0}, "Nyquist"),
        ("gabor", {"luminance": 0.8, "contrast": 1.0}, "luminance 0.8"),
        ("patch-lch", {"lightness": 50.0, "chroma": 140.0, "hue": 0.0}, "gamut"),
    ],
)
def test_what_cannot_be_drawn_is_named(name: str, values: dict[str, float], part: str) -> None:
    whole = {p.name: p.default for p in STIMULI[name].parameters} | values

    def check() -> None:
        STIMULI[name].check(whole)
        STIMULI[name].check_size(whole, 64)

    with pytest.raises(UsageError, match=part):
        check()


def test_unknown_dimension_suggests_a_near_one() -> None:
    with pytest.raises(UsageError, match="orientation"):
        STIMULI["gabor"].dimension("orientaton")
    with pytest.raises(UsageError, match="sample"):
        STIMULI["noise"].dimension("sample")
