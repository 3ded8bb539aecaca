"""Masked, surround, vernier and isoluminant: closed forms, geometry, and derivatives through a network."""

from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import Tensor
from torch.autograd import forward_ad

import psychophys
from psychophys import Observer, UsageError
from psychophys.stimuli import STIMULI
from psychophys.stimuli.cones import highest_contrast, rgb_to_lms
from psychophys.stimuli.transfer import light_from_srgb

SIZE = (64, 64)
PHASES = torch.arange(0.0, 360, 45, dtype=torch.float64)
NEW = [STIMULI[name] for name in ("masked", "surround", "vernier", "isoluminant")]
CASES = [(s.name, p.name) for s in NEW for p in s.parameters if p.measurable]


def images(name: str, **values: float) -> Tensor:
    """At eight phases: (8, 3, H, W)."""
    return STIMULI[name].render({"phase": PHASES, **values}, SIZE)


def refusal(name: str, **values: float) -> str:
    with pytest.raises(UsageError) as caught:
        STIMULI[name].check({p.name: p.default for p in STIMULI[name].parameters} | values)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def observer() -> Observer:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        network = timm.create_model("test_resnet")
    return Observer(network, input_size=32, dtype="float64")


@pytest.mark.parametrize(("stimulus", "dimension"), CASES, ids=[f"{s}-{d}" for s, d in CASES])
def test_derivatives_are_those_of_differences(observer: Observer, stimulus: str, dimension: str) -> None:
    parameters = {} if dimension == "frequency" else {"frequency": 3}
    parameters |= {} if dimension == "phase" else {"phase": [20.0, 110.0]}
    first, last = STIMULI[stimulus].parameter(dimension).sweep
    values = [first + share * (last - first) for share in (0.2, 0.6)]
    if dimension == "frequency":
        values = [3.0, 5.0]
    more: dict[str, Any] = {"stimulus": stimulus, "dimension": dimension, "values": values}
    more |= {"parameters": parameters, "layers": ["maxpool", "layer2.0", "fc"]}
    exact = psychophys.measure(observer, **more).to_pandas()
    # So short that hardly a unit has the kink of its ReLU within it.
    slow = psychophys.measure(observer, **more, estimator="central", step=1e-8 * (last - first)).to_pandas()
    assert (exact["estimator"] == "jvp").all()
    np.testing.assert_allclose(exact["fisher_information"], slow["fisher_information"], rtol=1e-4)


# --- masked and surround -----------------------------------------------------------------------------------


def test_without_a_masker_the_test_is_a_gabor_bit_for_bit() -> None:
    for contrast in (0.0, 0.3, 1.0):
        shared = {"contrast": contrast, "orientation": 20.0, "frequency": 6.0, "x": 0.1}
        assert torch.equal(images("masked", masker_contrast=0.0, **shared), images("gabor", **shared))


def test_a_masker_in_phase_adds_its_contrast_and_one_out_of_phase_takes_it_away() -> None:
    for turned, sign in ((0.0, 1), (180.0, -1)):
        found = images("masked", contrast=0.4, masker_contrast=0.1, masker_phase=turned)
        assert torch.allclose(found, images("gabor", contrast=0.4 + sign * 0.1), atol=1e-12)


def test_a_masker_is_a_gabor_turned_and_scaled_from_the_test() -> None:
    found = images(
        "masked", contrast=0.0, masker_contrast=0.4, orientation=20.0, frequency=4.0, size=0.1,
        masker_orientation=30.0, masker_frequency=1.5, masker_size=2.0, masker_phase=90.0,
    )  # fmt: skip
    turned = {"orientation": 50.0, "frequency": 6.0, "size": 0.2, "contrast": 0.4, "phase": PHASES + 90}
    assert torch.allclose(found, STIMULI["gabor"].render(turned, SIZE), atol=1e-12)


def test_the_derivative_at_contrast_0_is_the_test_itself() -> None:
    zero = torch.zeros(8, dtype=torch.float64)
    with forward_ad.dual_level():
        contrast = forward_ad.make_dual(zero, torch.ones_like(zero))
        drawn = STIMULI["masked"].render({"phase": PHASES, "contrast": contrast}, SIZE)
        tangent = forward_ad.unpack_dual(drawn).tangent
    assert tangent is not None
    assert torch.allclose(tangent, images("gabor", contrast=1.0) - 0.5, atol=1e-12)


def test_contrasts_that_do_not_fit_are_refused() -> None:
    assert "under 0" in refusal("masked", contrast=0.6, masker_contrast=0.5, luminance=0.2)
    assert "over 1" in refusal("masked", contrast=0.5, masker_contrast=0.5, luminance=0.6)
    assert "surround_contrast 1" in refusal("surround", surround_contrast=1.0, contrast=0.1, luminance=0.6)
    assert "no surround" in refusal("surround", size=0.5, gap=0.2)
    masked = {"frequency": 10.0, "masker_frequency": 4.0}
    with pytest.raises(
        UsageError,
        match=r"frequency 10 .* \(4 times that is drawn\) is over the Nyquist limit .* at most 8\.",
    ):
        STIMULI["masked"].check_size(masked, 64)
    STIMULI["masked"].check_size(masked, 80)


def test_without_a_surround_the_centre_is_a_grating() -> None:
    found = images("surround", surround_contrast=0.0, contrast=0.7, size=0.3)
    assert torch.equal(found, images("grating", frequency=8.96, contrast=0.7, size=0.3))


def test_a_surround_like_its_centre_is_one_grating() -> None:
    shared = {"contrast": 0.6, "frequency": 7.0, "orientation": 35.0}
    found = images("surround", surround_contrast=0.6, surround_size=0.8, size=0.3, **shared)
    assert torch.allclose(found, images("grating", size=0.8, **shared), atol=1e-12)


def test_a_surround_has_its_own_contrast_and_orientation_and_a_gap_is_grey() -> None:
    found = images("surround", contrast=0.0, surround_orientation=90.0, size=0.3, gap=0.05)
    rows, columns = torch.meshgrid(*[(torch.arange(64.0) - 31.5) / 64] * 2, indexing="ij")
    radius = torch.hypot(rows, columns)
    assert torch.equal(found[..., radius < 0.15], torch.full_like(found[..., radius < 0.15], 0.5))
    ring = (radius > 0.21) & (radius < 0.39)
    alone = images("grating", contrast=0.5, orientation=90.0, frequency=8.96, size=0.9)
    assert torch.allclose(found[..., ring], alone[..., ring], atol=1e-12)


# --- vernier -----------------------------------------------------------------------------------------------


def test_without_offset_and_gap_a_vernier_is_a_grating() -> None:
    for orientation in (0.0, 30.0, 90.0):
        found = images("vernier", orientation=orientation)
        assert torch.allclose(found, images("grating", orientation=orientation), atol=1e-12)


def test_an_offset_moves_the_upper_half_right_and_the_lower_left_by_half_of_it() -> None:
    found = images("vernier", offset=0.06, size=5.0)
    for rows, by in ((slice(0, 31), 0.03), (slice(33, 64), -0.03)):
        moved = images("grating", orientation=90.0, x=by, size=5.0)
        assert torch.allclose(found[:, :, rows], moved[:, :, rows], atol=1e-12)


def test_an_offset_of_a_period_is_none_up_to_a_turn_of_both_halves() -> None:
    found = images("vernier", offset=0.25, frequency=4.0)
    turned = STIMULI["grating"].render({"phase": PHASES + 180, "frequency": 4.0, "orientation": 90.0}, SIZE)
    assert torch.allclose(found, turned, atol=1e-12)


def test_a_vernier_seen_in_a_mirror_has_the_opposite_offset() -> None:
    seen = images("vernier", offset=0.03, orientation=90.0, gap=0.1).flip(-1)
    mirrored = STIMULI["vernier"].render({"phase": -PHASES, "offset": -0.03, "gap": 0.1}, SIZE)
    assert torch.allclose(seen, mirrored, atol=1e-12)


def test_the_information_on_an_offset_does_not_depend_on_its_side() -> None:
    torch.manual_seed(0)
    # A filter that is its own mirror image, at every place: mirrored images have mirrored responses.
    filters = torch.nn.Conv2d(3, 4, 5, padding=2)
    filters.weight.data = (filters.weight.data + filters.weight.data.flip(-1)) / 2
    network = torch.nn.Sequential(filters, torch.nn.ReLU())
    seen = Observer(network, input_size=32, dtype="float64")
    table = psychophys.measure(
        seen, stimulus="vernier", values=[-0.04, 0.04], parameters={"frequency": 3, "phase": 8}, layers="0"
    ).to_pandas()
    left, right = table["fisher_information"]
    assert left == pytest.approx(right, rel=1e-9)


def test_the_information_on_an_offset_is_half_of_that_on_the_place_of_a_half() -> None:
    def information(name: str, dimension: str) -> float:
        value = torch.zeros(8, dtype=torch.float64)
        fixed = {"phase": PHASES, "orientation": 90.0, "size": 5.0, "frequency": 6.0}
        with forward_ad.dual_level():
            moved = forward_ad.make_dual(value, torch.ones_like(value))
            tangent = forward_ad.unpack_dual(STIMULI[name].render({**fixed, dimension: moved}, SIZE)).tangent
        assert tangent is not None
        return float(tangent.square().sum())

    # Both halves move with a grating, so that its place has twice the information of one.
    whole = information("grating", "x")
    assert information("vernier", "offset") == pytest.approx(whole / 2 / 2, rel=0.02)


def test_a_gap_is_grey() -> None:
    found = images("vernier", gap=0.2)
    assert torch.equal(found[:, :, 28:36], torch.full_like(found[:, :, 28:36], 0.5))
    assert (found[:, :, :24] - 0.5).abs().max() > 0.4


# --- isoluminant -------------------------------------------------------------------------------------------


def cones(**values: float) -> Tensor:
    """L, M and S of every pixel, decoded from what is drawn: (8, 3, H, W)."""
    linear = light_from_srgb(images("isoluminant", **values))
    return torch.einsum("ij,njhw->nihw", torch.from_numpy(rgb_to_lms()), linear)


def grey(luminance: float) -> Tensor:
    return luminance * torch.from_numpy(rgb_to_lms()).sum(dim=1)


def test_the_cones_responses_to_the_white_are_the_published_ones() -> None:
    # The D65 background of 50 cd/m2 in the data of Ashraf et al. 2024.
    assert 50 * grey(1.0).numpy() == pytest.approx([36.7372648, 15.8141237, 1.0410019], rel=1e-6)


@pytest.mark.parametrize("direction", [0.0, 35.0, 90.0, 200.0])
@pytest.mark.parametrize("luminance", [0.1, 0.214, 0.6])
def test_luminance_is_constant(direction: float, luminance: float) -> None:
    shown = cones(direction=direction, luminance=luminance, contrast=0.06)
    assert shown.var(dim=(0, 2, 3)).max() > 0
    total = shown[:, 0] + shown[:, 1]
    assert torch.allclose(total, grey(luminance)[:2].sum().expand_as(total), rtol=0, atol=1e-12)


@pytest.mark.parametrize("direction", [0.0, 35.0, 90.0, 200.0])
def test_contrast_is_the_root_mean_square_of_the_cones(direction: float) -> None:
    # Without a frequency the carrier is the cosine of its phase in every pixel.
    flat = {"frequency": 0.0, "size": 1e6, "contrast": 0.07, "direction": direction}
    middle = cones(**flat)[:, :, 32, 32]
    contrasts = (middle / grey(0.214) - 1).square().mean(dim=1).sqrt()
    peak = torch.cos(torch.deg2rad(PHASES)).abs()
    assert torch.allclose(contrasts, 0.07 * peak, atol=1e-9)


def test_directions_are_along_the_cones() -> None:
    for direction, still in ((0.0, [2]), (90.0, [0, 1]), (180.0, [2]), (270.0, [0, 1])):
        change = cones(direction=direction) - grey(0.214)[:, None, None]
        assert change[:, still].abs().max() < 1e-12
        assert change.abs().max() > 5e-4
    reddish, violet, greenish, yellowish = (
        images("isoluminant", direction=d, frequency=1e-3)[0, :, 32, 32] for d in (0.0, 90.0, 180.0, 270.0)
    )
    assert reddish[0] > greenish[0]
    assert reddish[1] < greenish[1]
    assert violet[2] > yellowish[2]


@pytest.mark.parametrize("direction", [0.0, 35.0, 90.0, 200.0])
@pytest.mark.parametrize("luminance", [0.2, 0.7])
def test_the_highest_contrast_reaches_the_edge_of_the_gamut(direction: float, luminance: float) -> None:
    flat = {"frequency": 1e-3, "size": 10.0, "direction": direction, "luminance": luminance}
    highest = highest_contrast(direction, luminance)
    ends = light_from_srgb(images("isoluminant", contrast=highest, **flat)[::4, :, 32, 32])
    assert torch.minimum(ends.min(), 1 - ends.max()) == pytest.approx(0, abs=1e-6)
    shown = {p.name: p.default for p in STIMULI["isoluminant"].parameters} | flat
    STIMULI["isoluminant"].check(shown | {"contrast": highest})
    said = refusal("isoluminant", contrast=highest * 1.01, **flat).rpartition(" ")[2]
    assert float(said.rstrip(".")) == pytest.approx(highest, abs=1e-4)
    STIMULI["isoluminant"].check(shown | {"contrast": float(said.rstrip("."))})


def test_every_direction_can_be_shown_at_the_default_contrast() -> None:
    least = min(highest_contrast(direction, 0.214) for direction in range(360))
    assert least == pytest.approx(0.09303, abs=5e-6)
    assert STIMULI["isoluminant"].parameter("contrast").default < least


def test_a_direction_turned_by_half_a_circle_is_the_opposite_phase() -> None:
    turned = STIMULI["isoluminant"].render({"phase": PHASES + 180, "direction": 215.0}, SIZE)
    assert torch.allclose(images("isoluminant", direction=35.0), turned, atol=1e-12)
