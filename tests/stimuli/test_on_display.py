"""Stimuli on a display: units, sizes and light. The oracle is the same stimulus in units of the image."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

import psychophys
from psychophys.base.errors import UsageError
from psychophys.stimuli import DISPLAYS, STIMULI, Display, Parameter, Stimulus, find_display, on_display
from psychophys.stimuli.base import REFERENCE_SIDE
from psychophys.stimuli.contrast import contrast_table
from psychophys.stimuli.display import pixels_per_degree
from psychophys.stimuli.transfer import GAMMAS, light_from_srgb, srgb_from_light

PLAIN = Display("mine", 37.0, 120.0)
CURVED = replace(PLAIN, gamma="srgb")
SIZE = (40, 56)
CASES = [(s, p) for s in STIMULI.values() for p in s.parameters if p.measurable]
IDS = [f"{s.name}-{p.name}" for s, p in CASES]
every_dimension = pytest.mark.parametrize(("stimulus", "parameter"), CASES, ids=IDS)
every_stimulus = pytest.mark.parametrize("stimulus", STIMULI.values(), ids=lambda stimulus: stimulus.name)
LIGHT = [stimulus for stimulus in STIMULI.values() if stimulus.light]
UNITS = {"image": "deg", "cycles/image": "cycles/deg"}


def inside(parameter: Parameter) -> Tensor:
    """Values inside the default range, away from its ends and from the kinks of HSV hue."""
    first, last = parameter.sweep
    return first + (last - first) * torch.tensor([0.11, 0.38, 0.77], dtype=torch.float64)


def both(
    stimulus: Stimulus, name: str, side: int
) -> tuple[Stimulus, dict[str, float], dict[str, float], float]:
    """The stimulus on a display, the other parameters there and in units of the image, and the factor."""
    shown = on_display(stimulus, PLAIN)
    others = {
        p.name: p.default if p.conversion is None else p.conversion.of.default / p.conversion.factor(side)
        for p in shown.parameters
        if p.name != name
    }
    drawn = {p.name: p.drawn(others[p.name], side) for p in shown.parameters if p.name != name}
    conversion = shown.parameter(name).conversion
    return shown, others, drawn, 1.0 if conversion is None else conversion.factor(side)


def tangent_of(
    stimulus: Stimulus, name: str, values: Tensor, others: dict[str, float], size: tuple[int, int]
):
    with forward_ad.dual_level():
        moving = forward_ad.make_dual(values, torch.ones_like(values))
        image, tangent = forward_ad.unpack_dual(stimulus.render({**others, name: moving}, size))
    assert tangent is not None
    return image, tangent


@every_dimension
def test_a_display_changes_units_and_no_pixel(stimulus: Stimulus, parameter: Parameter) -> None:
    shown, others, drawn, factor = both(stimulus, parameter.name, min(SIZE))
    values = inside(parameter) / factor
    image, tangent = tangent_of(shown, parameter.name, values, others, SIZE)
    expected, slope = tangent_of(stimulus, parameter.name, values * factor, drawn, SIZE)
    assert torch.equal(image, expected)
    assert torch.allclose(tangent, slope * factor, rtol=1e-12, atol=1e-12 * float(tangent.abs().max()))
    assert slope.abs().max() > 0


@every_stimulus
def test_units_are_those_of_the_display(stimulus: Stimulus) -> None:
    shown = on_display(stimulus, PLAIN)
    degrees = {"deg": REFERENCE_SIDE / 37, "cycles/deg": 37 / REFERENCE_SIDE, "cd/m2": 120.0}
    for before, after in zip(stimulus.parameters, shown.parameters, strict=True):
        expected = UNITS.get(before.unit, before.unit)
        if stimulus.paints_light and before.unit == "0-1":
            expected = "cd/m2"
        assert after.unit == expected
        factor = 1.0 if after.unit == before.unit else degrees[after.unit]
        for name in ("default", "low", "high", "step", "sweep"):
            wanted = np.array(getattr(before, name)) * factor
            assert np.array(getattr(after, name)) == pytest.approx(wanted, rel=1e-11), name
    assert on_display(shown, None) == stimulus
    assert on_display(on_display(stimulus, Display("other", 7.0, 3.0)), PLAIN) == shown
    if stimulus.unit_range:
        assert psychophys.plan(on_display(stimulus, CURVED)).stimulus == on_display(stimulus, CURVED)


@every_stimulus
def test_only_light_is_encoded(stimulus: Stimulus) -> None:
    if not stimulus.unit_range:
        with pytest.raises(
            UsageError, match=rf"{stimulus.name} has values below 0.*as srgb\. Use --gamma linear"
        ):
            on_display(stimulus, CURVED)
        return
    plain, curved = (on_display(stimulus, display).render({}, (64, 64)) for display in (PLAIN, CURVED))
    if stimulus.light:
        assert torch.equal(curved, srgb_from_light(plain))
        assert (curved - plain).abs().max() > 0.1
    else:
        assert torch.equal(curved, plain)
    assert 0 <= float(curved.min()) < float(curved.max()) + 1e-9 <= 1 + 1e-6


@every_stimulus
def test_michelson_contrast_is_that_of_light(stimulus: Stimulus) -> None:
    """What is painted in luminance says so: otherwise a display's gamma would pass it by."""
    units = {p.name: p.unit for p in stimulus.parameters}
    assert stimulus.light == (units.get("contrast") == "Michelson" and "luminance" in units)


@pytest.mark.parametrize("stimulus", LIGHT, ids=lambda stimulus: stimulus.name)
def test_derivatives_through_the_encoding_are_exact(stimulus: Stimulus) -> None:
    shown = on_display(stimulus, CURVED)
    for parameter in shown.parameters:
        if not parameter.measurable:
            continue
        factor = 1.0 if parameter.conversion is None else parameter.conversion.factor(48)
        bare = stimulus.parameter(parameter.name)
        values, step = inside(bare) / factor, 1e-6 * (bare.sweep[1] - bare.sweep[0]) / factor
        others = {
            p.name: p.conversion.of.default / p.conversion.factor(48)
            for p in shown.parameters
            if p.conversion is not None and p.name != parameter.name
        }
        if parameter.name != "contrast":
            others["contrast"] = 0.9  # At black the curve of sRGB has a kink near by.
        _, tangent = tangent_of(shown, parameter.name, values, others, (48, 48))
        ends = [shown.render({**others, parameter.name: values + by}, (48, 48)) for by in (step, -step)]
        difference = (ends[0] - ends[1]) / (2 * step)
        scale = difference.abs().amax(dim=(1, 2, 3), keepdim=True)
        assert float(scale.max()) > 0, parameter.name
        # A soft seam is narrower than these pixels: between two of them nothing changes.
        scale = torch.where(scale > 0, scale, 1.0)
        assert ((tangent - difference).abs() / scale > 1e-5).double().mean() < 1e-3, parameter.name


def test_the_curve_is_that_of_iec_61966_2_1() -> None:
    light = torch.tensor([0.0, 0.0031308, 0.214041, 0.5, 1.0], dtype=torch.float64)
    pixels = srgb_from_light(light)
    assert pixels.tolist() == pytest.approx([0, 0.04045, 0.5, 0.7354, 1], abs=5e-5)
    assert light_from_srgb(pixels).tolist() == pytest.approx(light.tolist(), abs=1e-7)
    every = torch.linspace(0, 1, 1001, dtype=torch.float64)
    assert torch.allclose(light_from_srgb(srgb_from_light(every)), every, atol=1e-7)
    for gamma in GAMMAS.values():
        assert torch.allclose(gamma.decode(gamma.encode(every)), every, atol=1e-7)
        assert gamma.curved == bool((gamma.encode(every) != every).any())


@pytest.mark.parametrize("contrast", [0.05, 0.5, 1.0])
def test_contrast_on_a_screen_is_what_it_is_called(contrast: float) -> None:
    """A large grating of a few periods: nothing of its extremes is missed."""
    large = {"frequency": 2 * 37 / 224, "size": 3 * 224 / 37, "contrast": contrast, "phase": 0.0}
    for display in (PLAIN, CURVED):
        found = psychophys.rendered_contrast(on_display(STIMULI["grating"], display), large)
        assert found.michelson == pytest.approx([contrast], abs=1e-3)
    encoded = on_display(STIMULI["grating"], CURVED).render(
        {**large, "x": torch.zeros(1).double()}, (224, 224)
    )
    michelson = float((encoded.max() - encoded.min()) / (encoded.max() + encoded.min()))
    if contrast < 1:
        assert michelson < 0.9 * contrast


@pytest.mark.parametrize("stimulus", LIGHT, ids=lambda stimulus: stimulus.name)
def test_contrast_is_listed_for_a_display_as_without_one(stimulus: Stimulus) -> None:
    without, shown = contrast_table(stimulus), contrast_table(on_display(stimulus, CURVED))
    assert [line.frequency for line in shown] == pytest.approx(
        [line.frequency * 37 / 224 for line in without]
    )
    for one, other in zip(without, shown, strict=True):
        for name in ("michelson", "rms", "share"):
            assert getattr(other, name) == pytest.approx(getattr(one, name), abs=1e-5)


@pytest.mark.parametrize("side", [96, 224, 384])
def test_cycles_per_degree_are_the_same_in_images_of_any_size(side: int) -> None:
    shown = on_display(STIMULI["grating"], Display("", side / 8))  # Images of 8 deg at this size.
    image = shown.render(
        {"frequency": torch.tensor([1.5]).double(), "orientation": 90.0, "size": 20.0}, (side, side)
    )
    spectrum = torch.fft.rfft(image[0, 0, side // 2] - 0.5).abs()
    assert int(spectrum.argmax()) == 12
    fixed = on_display(STIMULI["grating"], Display("", 24.0))
    image = fixed.render(
        {"frequency": torch.tensor([1.5]).double(), "orientation": 90.0, "size": 40.0}, (side, side)
    )
    spectrum = torch.fft.rfft(image[0, 0, side // 2] - 0.5).abs()
    assert int(spectrum.argmax()) == side / 24 * 1.5


def test_the_gabor_of_the_paper_is_two_cycles_per_degree_and_half_a_degree() -> None:
    shown = on_display(STIMULI["gabor"], "benjamin2022")
    assert (shown.parameter("frequency").default, shown.parameter("size").default) == (2.0, 0.5)
    image, expected = (
        s.render({"x": torch.zeros(1).double()}, (224, 224)) for s in (shown, STIMULI["gabor"])
    )
    assert torch.allclose(image, expected, atol=1e-12)


# Displays -----------------------------------------------------------------------------------------------


def test_a_degree_is_as_many_pixels_as_the_formula_says() -> None:
    # A pixel of 0.25 mm (a 4:3 screen of 20 inches, 1625.6 x 1219.2 of these) at 57.29 cm: 1 deg is 1 cm.
    assert pixels_per_degree(57.29, 20, 1626, 1219) == pytest.approx(40, rel=1e-3)
    assert pixels_per_degree(100, 20, 1600, 1200) == 2 * pixels_per_degree(50, 20, 1600, 1200)
    for numbers in ((0, 24, 1920, 1080), (57, -24, 1920, 1080), (57, 24, 0, 0), (math.nan, 24, 1920, 1080)):
        with pytest.raises(UsageError, match="Give numbers over 0"):
            pixels_per_degree(*numbers)


@pytest.mark.parametrize("display", DISPLAYS.values(), ids=lambda display: display.name)
def test_every_preset_says_where_it_is_from(display: Display) -> None:
    assert display.source
    assert 20 < display.pixels_per_degree < 200
    assert find_display(display.name) is display
    assert find_display(display.as_dict()) == display
    assert f"{display.pixels_per_degree:g} pixels/deg" in str(display)


def test_presets_are_at_their_published_numbers() -> None:
    assert DISPLAYS["srgb"].luminance_cd_m2 == 80  # IEC 61966-2-1.
    # CSS Values and Units: the reference pixel is "about 0.0213 degrees".
    assert 1 / DISPLAYS["srgb"].pixels_per_degree == pytest.approx(0.0213, abs=5e-5)
    assert DISPLAYS["standard-4k"].pixels_per_degree == pytest.approx(75.4, abs=0.05)
    assert DISPLAYS["benjamin2022"].pixels_per_degree == 100


def test_what_is_said_takes_the_place_of_what_a_preset_says() -> None:
    assert find_display({"preset": "srgb"}) is DISPLAYS["srgb"]
    other = find_display({"preset": "srgb", "gamma": "linear"})
    assert other == Display("", DISPLAYS["srgb"].pixels_per_degree, 80.0)
    assert find_display({"preset": "srgb", "gamma": "srgb"}) is DISPLAYS["srgb"]
    assert find_display({"pixels_per_degree": 40}) == Display("", 40)
    assert find_display(None) is None


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ("sgrb", r"unknown display 'sgrb'. Did you mean srgb\?"),
        ({"gamma": "srgb"}, "without pixels per degree. Give --pixels-per-degree, or --display"),
        ({"pixels_per_degree": 0}, "0 pixels per degree. Give 1 to 10,000"),
        ({"pixels_per_degree": math.nan}, "nan pixels per degree"),
        ({"pixels_per_degree": "40"}, "pixels per degree '40' is no number"),
        ({"pixels_per_degree": True}, "'True' is no number"),
        ({"pixels_per_degree": 40, "luminance_cd_m2": -1}, "-1 cd/m2 of white"),
        ({"pixels_per_degree": 40, "gamma": "2.2"}, "unknown gamma '2.2'"),
        ({"pixel_per_degree": 40}, "unknown setting of a display 'pixel_per_degree'"),
        (40, "display '40' is of type int"),
    ],
)
def test_what_is_no_display_is_named(given: object, part: str) -> None:
    with pytest.raises(UsageError, match=part) as caught:
        find_display(given)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "part"),
    [
        (
            {"frequency": 30.0},
            r"30 cycles/deg is over the Nyquist limit of a 64-pixel image\. Give at most 18.5",
        ),
        ({"size": 0.0}, r"size 0 deg cannot be drawn\. Give a value from"),
        ({"x": 1.5}, r"x 1\.5 deg cannot be drawn in a 64-pixel image\. Give a value from -0\.86.* to 0\.86"),
        (
            {"luminance": 130.0, "contrast": 0.0},
            r"luminance 130 cd/m2 cannot be drawn\. Give a value from 0 to 120",
        ),
        ({"luminance": 90.0}, r"luminance 0\.75 with contrast 1 .*luminance 90 cd/m2 is 0\.75 here"),
        ({"frequency": math.nan}, "frequency nan cycles/deg"),
    ],
)
def test_what_a_display_cannot_show_is_said_in_its_units(values: dict[str, float], part: str) -> None:
    shown = on_display(STIMULI["gabor"], PLAIN)
    whole = {p.name: p.default for p in shown.parameters} | {"size": 0.2} | values

    def check(side: int) -> None:
        shown.check(whole)
        shown.check_size(whole, side)

    with pytest.raises(UsageError, match=part):
        check(64)
    if "x" in values:
        check(224)  # In a larger image there is room.


def test_a_combination_that_hangs_on_the_image_is_judged_by_its_size() -> None:
    def constraint(p: object) -> str | None:
        assert isinstance(p, dict)
        return "size 0.5 and more is too large" if p["size"] > 0.5 else None

    shown = on_display(replace(STIMULI["gabor"], name="mine", constraint=constraint), Display("", 64.0))
    whole = {p.name: p.default for p in shown.parameters} | {"size": 1.0}
    shown.check(whole)  # Large images can show it.
    shown.check_size(whole, 224)
    with pytest.raises(UsageError, match=r"too large\. size 1 deg is 1 here"):
        shown.check_size(whole, 64)


def test_numbers_of_a_display_are_plain() -> None:
    made = Display("", np.float32(40), np.int64(80))  # type: ignore[arg-type]
    assert json.dumps(made.as_dict()) == json.dumps(Display("", 40.0, 80.0).as_dict())
    assert json.dumps(Display("", 40, 80).as_dict()) == json.dumps(made.as_dict())
