"""Units of known tuning are recovered to 1 %, real ones are those of a slow loop, and the command."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from inside import call_inside
from torch import Tensor, nn

import psychophys
from psychophys import UsageError
from psychophys.observers.units import Axes
from psychophys.physiology.plan import DISC, plan_tune
from psychophys.physiology.tune import _groups

SIDE, SD, CYCLES = 64, 4.0, 8.0
"""Pixels of an image, and of Gabor filters: s.d., and cycles over the image."""
WAVE = 2 * math.pi * CYCLES / SIDE
KAPPA = (SD * WAVE) ** 2
"""At the preferred frequency a filter's response goes with exp(kappa (cos delta - 1))."""
PREFERRED = (0.0, 33.0, 90.0, 141.0)
C50, EXPONENT = 0.2, 2.0
CENTRE_SD, SURROUND_SD, SURROUND = 5.0, 12.0, 0.6
GREY = 0.5


class Filters(nn.Module):
    """Gabor filters in even and odd phase over the whole image, which give 1 for their own grating."""

    def __init__(self) -> None:
        super().__init__()
        index = torch.arange(SIDE, dtype=torch.float64) - (SIDE - 1) / 2
        y, x = torch.meshgrid(-index, index, indexing="ij")
        window = torch.exp(-(x**2 + y**2) / (2 * SD**2))
        kernels = []
        for theta in map(math.radians, PREFERRED):
            wave = WAVE * (y * math.cos(theta) - x * math.sin(theta))
            kernels += [window * torch.cos(wave), -window * torch.sin(wave)]
        # Half of a wave's amplitude lies at the filter's own frequency, and the grey is one half.
        kernel = torch.stack(kernels) * 2 / (GREY * window.sum())
        kernel -= window * (kernel.sum((1, 2)) / window.sum())[:, None, None]
        self.conv = nn.Conv2d(3, len(kernels), SIDE, bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(kernel[:, None].expand(-1, 3, -1, -1) / 3)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.conv(images).flatten(1)
        return found


class Complex(nn.Module):
    def forward(self, filtered: Tensor) -> Tensor:
        return torch.sqrt(filtered.unflatten(1, (-1, 2)).square().sum(2) + 1e-12)


class Saturating(nn.Module):
    def forward(self, contrast: Tensor) -> Tensor:
        power = contrast**EXPONENT
        return power / (power + C50**EXPONENT)


class Sized(nn.Module):
    """Contrast energy under a Gaussian centre, less that under a wider surround."""

    def __init__(self) -> None:
        super().__init__()
        index = torch.arange(SIDE, dtype=torch.float64) - (SIDE - 1) / 2
        square = index[:, None] ** 2 + index**2
        weight = sum(
            sign * torch.exp(-square / (2 * sd**2)) / (2 * math.pi * sd**2)
            for sign, sd in ((1, CENTRE_SD), (-SURROUND, SURROUND_SD))
        )
        self.weight: Tensor
        self.register_buffer("weight", weight)

    def forward(self, images: Tensor) -> Tensor:
        energy = (images.mean(1) / GREY - 1).square() * 2
        return (energy * self.weight).sum((1, 2))[:, None]


class Known(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.filters, self.complex, self.saturating, self.sized = Filters(), Complex(), Saturating(), Sized()
        self.relu = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        filtered = self.filters(images)
        self.relu(filtered.clone())
        return torch.cat([self.saturating(self.complex(filtered)), self.sized(images)], 1)


@pytest.fixture(scope="module")
def known() -> pd.DataFrame:
    observer = psychophys.Observer(Known(), input_size=SIDE, mean=(0.0,) * 3, std=(1.0,) * 3, name="known")
    units = psychophys.tune(
        observer,
        layers=["filters", "relu", "complex", "saturating", "sized"],
        values=30,
        parameters={"phase": 8, "frequency": np.geomspace(4, 16, 13)},
        places=6,
        diameters=np.geomspace(0.1, 0.9, 12),
        population=0,
    )
    return units.to_pandas()


def of(known: pd.DataFrame, layer: str) -> pd.DataFrame:
    return known[known["layer"] == layer]


@pytest.mark.parametrize(("layer", "times"), [("filters", 2), ("relu", 2), ("complex", 1)])
def test_known_orientation_and_frequency_are_recovered(layer: str, times: int, known: pd.DataFrame) -> None:
    found = of(known, layer)
    apart = (found["preferred_orientation"] - np.repeat(PREFERRED, times) + 90) % 180 - 90
    assert np.abs(apart).max() < 0.2
    # cos(delta) = 1 - ln 2 / kappa, where the grating is that of the preferred frequency.
    width = np.rad2deg(np.arccos(1 - math.log(2) / KAPPA))
    np.testing.assert_allclose(found["orientation_bandwidth"], width, rtol=0.01)
    delta = np.deg2rad(np.arange(-90, 90, 0.1))
    curve = np.exp(KAPPA * (np.cos(delta) - 1))
    variance = 1 - np.abs((curve * np.exp(2j * delta)).sum()) / curve.sum()
    np.testing.assert_allclose(found["circular_variance"], variance, rtol=0.01)
    np.testing.assert_allclose(found["preferred_frequency"], CYCLES, rtol=0.01)
    half, root = (math.sqrt(2 * math.log(by)) / SD for by in (2, math.sqrt(2)))
    octaves = math.log2((WAVE + half) / (WAVE - half))
    np.testing.assert_allclose(found["frequency_bandwidth"], octaves, rtol=0.01)
    np.testing.assert_allclose(found["frequency_selectivity"], 100 * (WAVE - root) / (WAVE + root), rtol=0.01)
    assert found["orientation_reason"].isna().all()


def test_simple_units_are_told_from_complex_ones(known: pd.DataFrame) -> None:
    for layer in ("filters", "relu"):
        simple = of(known, layer)
        # Of a half-wave, 1.57 and what 8 phases make of it.
        wave = np.maximum(np.cos(np.arange(8) * np.pi / 4), 0)
        ratio = 2 * (wave * np.cos(np.arange(8) * np.pi / 4)).sum() / wave.sum()
        np.testing.assert_allclose(simple["modulation_ratio"], ratio, rtol=0.01)
        phase = (simple["preferred_phase"] - np.tile([0, 90], len(PREFERRED)) + 180) % 360 - 180
        assert np.abs(phase).max() < 1.0
        assert set(simple["component"]) == {"F1"}
    assert of(known, "complex")["modulation_ratio"].max() < 0.01
    assert set(of(known, "complex")["component"]) == {"F0"}


def test_contrast_responses_are_recovered(known: pd.DataFrame) -> None:
    found = of(known, "saturating")
    np.testing.assert_allclose(found["exponent"], EXPONENT, rtol=0.01)
    # A unit's place is the nearest on the grid, where its filter gives less than the contrast: so much, that
    # c50 is higher.
    lines = of(known, "complex")
    there = (lines["response"] * lines["share_at_place"]).to_numpy()
    assert there.min() < 0.99
    np.testing.assert_allclose(found["c50"] * there, C50, rtol=0.01)
    assert found["contrast_residual"].max() < 0.01
    assert set(lines["contrast_reason"]) == {"unsaturated"}
    assert lines["c50"].isna().all()


def test_size_tuning_is_recovered(known: pd.DataFrame) -> None:
    (found,) = of(known, "sized").to_dict("records")
    radius = np.linspace(0, SIDE, 40_001)

    def response(diameter: float) -> float:
        edge = 0.1 * diameter
        phase = np.clip((diameter / 2 - radius) / edge, 0, 1)
        energy = (0.5 - 0.5 * np.cos(np.pi * phase)) ** 2
        weights = [
            sign * np.exp(-(radius**2) / (2 * sd**2)) / sd**2
            for sign, sd in ((1, CENTRE_SD), (-SURROUND, SURROUND_SD))
        ]
        return float(np.trapezoid(energy * sum(weights) * radius, radius))

    diameters = np.geomspace(0.1, 0.9, 400)
    curve = np.array([response(SIDE * d) for d in diameters])
    assert found["suppression_index"] == pytest.approx(1 - curve[-1] / curve.max(), rel=0.01)
    assert found["preferred_diameter"] == pytest.approx(diameters[curve.argmax()], rel=0.01)
    first = diameters[(curve >= 0.95 * curve.max()).argmax()]
    assert found["summation_diameter"] == pytest.approx(first, rel=0.02)
    assert found["orientation_reason"] == "flat"


def test_real_units_are_those_of_a_slow_loop() -> None:
    observer = psychophys.load_observer("test_resnet", weights="random")
    orientations, phases, frequencies = np.arange(6) * 30.0, np.arange(4) * 90.0, (2.0, 4.0, 8.0, 16.0)
    units = psychophys.tune(
        observer,
        layers="layer2.0",
        values=6,
        parameters={"phase": 4, "frequency": frequencies},
        places=0,
        population=0,
    ).to_pandas()
    stimulus, seen = psychophys.STIMULI["grating"], []
    hook = observer.model.get_submodule("layer2.0").register_forward_hook(
        lambda _module, _inputs, output: seen.append(output[0].double().numpy())
    )

    def respond(orientation: float, frequency: float, phase: float, contrast: float = 1.0) -> Any:
        values = {"orientation": torch.tensor([float(orientation)]), "frequency": frequency, "phase": phase}
        with torch.no_grad():
            image = stimulus.render({**values, "contrast": contrast}, observer.input_size)
            observer.model(observer.preprocess(image))
        output = seen.pop()
        return output[:, output.shape[1] // 2, output.shape[2] // 2]

    blank = respond(0.0, 2.0, 0.0, 0.0)
    table = np.array([[[respond(o, f, p) for p in phases] for o in orientations] for f in frequencies])
    hook.remove()
    for channel, row in enumerate(units.to_dict("records")):
        own = np.maximum(table[..., channel] - blank[channel], 0)
        if row["orientation_reason"] == "silent":
            assert own.max() < 1e-4
            continue
        means = own.mean(axis=2)
        waves = 2 / 4 * np.abs((own * np.exp(1j * np.deg2rad(phases))).sum(axis=2))
        curves = waves if waves.max() > means.max() else means
        f, o = np.unravel_index(curves.argmax(), curves.shape)
        assert row["response"] == pytest.approx(curves.max(), rel=1e-3)
        assert row["modulation_ratio"] == pytest.approx(waves[f, o] / means[f, o], rel=1e-2)
        turned = abs((curves[f] * np.exp(2j * np.deg2rad(orientations))).sum()) / curves[f].sum()
        assert row["circular_variance"] == pytest.approx(1 - turned, rel=1e-2, abs=1e-3)
        assert row["baseline"] == pytest.approx(blank[channel], rel=1e-4, abs=1e-5)


def test_a_signed_response_may_have_no_circular_variance() -> None:
    options = {"weights": "random", "layers": "conv1.0", "values": 6, "parameters": {"phase": 4}}
    found = {
        baseline: psychophys.tune("test_resnet", **options, baseline=baseline, places=0, population=0)
        for baseline in ("signed", "rectified")
    }
    signed, rectified = (found[name].to_pandas() for name in found)
    # Over the phases a linear unit's mean is nothing, and its fundamental all.
    assert (rectified["modulation_ratio"] > 1.2).all()
    assert ((signed["modulation_ratio"] > 20) | signed["modulation_ratio"].isna()).all()
    assert set(signed["component"]) == {"F1"}


@pytest.mark.parametrize(
    ("shape", "channel", "ratio", "centre"),
    [
        ((4, 7, 7), 0, 1.0, 3 * 7 + 3),
        ((14, 14, 5), 2, 1.0, (7 * 14 + 7) * 5),
        ((197, 6), 1, 1.0, (1 + 7 * 14 + 7) * 6),
        ((201, 6), 1, 1.0, (5 + 7 * 14 + 7) * 6),
        ((50, 2), 1, 2.0, (5 * 5 + 2) * 2),
        ((9,), 0, 1.0, 0),
    ],
)
def test_the_middle_of_a_map(shape: tuple[int, ...], channel: int, ratio: float, centre: int) -> None:
    found = Axes(shape, channel, ratio).centres
    assert len(found) == shape[channel]
    assert found[0] == centre


def test_units_are_spread_evenly_where_there_are_too_many() -> None:
    found = psychophys.tune(
        "test_resnet",
        weights="random",
        layers=["layer4.0", "fc"],
        per="unit",
        most=5,
        values=4,
        parameters={"phase": 1, "frequency": (2, 4, 8, 16)},
        places=1,
        population=0,
    ).to_pandas()
    fc = found[found["layer"] == "fc"]
    np.testing.assert_allclose(np.diff(fc["unit"]), np.diff(fc["unit"]).mean(), atol=1)
    assert len(found) == 10


def test_groups_are_no_larger_than_they_may_be() -> None:
    assert list(_groups("abcd", [3, 3, 9, 1], 6)) == [["a", "b"], ["c"], ["d"]]


def test_results_do_not_depend_on_how_layers_are_grouped(monkeypatch: pytest.MonkeyPatch) -> None:
    words = {"weights": "random", "layers": ["layer1.0", "fc"], "values": 4, "places": 0, "population": 8}
    words |= {"parameters": {"phase": 1, "frequency": (2, 4, 8, 16)}}
    whole = psychophys.tune("test_resnet", **words)
    monkeypatch.setattr("psychophys.physiology.tune.MOST_HELD", 1)
    monkeypatch.setattr("psychophys.physiology.tune.MOST_SUMMED", 1)
    pd.testing.assert_frame_equal(psychophys.tune("test_resnet", **words).to_pandas(), whole.to_pandas())


def test_small_discs_keep_their_contrast() -> None:
    drawn = DISC.render({"size": torch.tensor([0.1, 0.8]), "frequency": 1e-3}, (160, 160))
    assert drawn[:, 0].amax((1, 2)) == pytest.approx([1.0, 1.0], abs=1e-4)
    assert drawn[0, 0, 80, 100] == 0.5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"values": 3}, "orientations"),
        ({"values": [0.0, 10.0, 50.0, 90.0]}, "orientations"),
        ({"parameters": {"frequency": (4, 8)}}, "frequencies 4, 8"),
        ({"parameters": {"frequency": (8, 4, 2, 1)}}, "frequencies"),
        ({"parameters": {"phase": (0, 10, 20)}}, "phases"),
        ({"parameters": {"contrast": (0.5, 1)}}, "2 values of contrast"),
        ({"population": 10}, "10 orientations of the population"),
        ({"places": -1}, "-1 places"),
        ({"places": 1.5}, "places '1.5' is no whole number"),
        ({"most": 2.5}, "most '2.5' is no whole number"),
        ({"most": 0}, "0 units"),
        ({"contrasts": (0.1, 0.2)}, "contrasts"),
        ({"diameters": (0.4, 0.3, 0.2, 0.1)}, "diameters"),
        ({"per": "neuron"}, "kind of response"),
        ({"baseline": "none"}, "baseline"),
        ({"pixels_per_degree": 0.5}, "pixels per degree"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plan_tune(**options)


def test_options_of_noise_are_not_taken() -> None:
    with pytest.raises(TypeError, match="noise"):
        psychophys.tune("test_resnet", noise="poisson")


QUICK = ("test_resnet", "--weights", "random", "--values", "4", "--phases", "1", "--places", "1")
FEW = ("--frequencies", "2,4,8,16", "--layers", "layer1.0,fc", "--population", "8")


def test_the_command_writes_draws_and_says_what_was_found(tmp_path: Path) -> None:
    done = call_inside("tune", *QUICK, *FEW, "--figure", "f.png", "--pixels-per-degree", "40", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    units = psychophys.UnitTuning.read(tmp_path / "units.parquet")
    frame = units.to_pandas()
    assert list(frame["layer"].unique()) == ["layer1.0", "fc"]
    (record,) = units.runs.values()
    assert record["tune"]["per"] == "centre"
    assert (record["tune"]["baseline"], record["pixels_per_degree"]) == ("rectified", 40)
    assert len(record["places"][0]) == 1
    said = b" ".join(done.stderr.split())
    assert b"is the layer" not in said
    assert b"J at 0 and 90 deg is" in said
    assert (tmp_path / "f.png").stat().st_size > 10_000
    shown = call_inside("show", "units.parquet", cwd=tmp_path)
    assert b"units as physiologists measure them" in shown.stdout
    again = call_inside("tune", *QUICK, *FEW, "-o", "-", "--format", "csv", "-q", cwd=tmp_path)
    assert again.returncode == 0
    assert len(again.stdout.splitlines()) == 1 + len(frame)
    assert not again.stderr


def test_a_summary_has_distances_in_degrees_where_these_are_known(tmp_path: Path) -> None:
    units = psychophys.tune(
        "test_resnet",
        weights="random",
        layers="layer3.0",
        values=4,
        parameters={"phase": 1},
        places=2,
        population=0,
    )
    without, given = (psychophys.layers_of_units(units, scale).iloc[0] for scale in (None, 40))
    assert np.isnan(without["distance_frequency"])
    assert 0 <= given["distance_frequency"] <= 1
    assert without["distance_orientation"] == given["distance_orientation"]
    assert np.isnan(given["ratio"])
    figure = psychophys.plot_units(units)
    drawn = figure.data
    assert set(drawn[drawn["panel"] == "a"]["name"]) == {"layer3.0", "neurons of V1"}
    assert "layer3.0" in units._repr_html_()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--noise", "poisson"], "--noise is not for tune"),
        (["--stimulus", "gabor"], "--stimulus is not for tune"),
        (["--phases", "0,10"], "phases"),
        (["--frequencies", "4,8"], "frequencies"),
        (["--figure", "f.txt"], "f.txt"),
        (["--weights", "random", "--seeds", "5", "--figure", "f.png"], "5 networks in one figure"),
    ],
)
def test_a_command_line_that_is_wrong_is_refused_in_one_line(
    words: list[str], said: str, tmp_path: Path
) -> None:
    done = call_inside("tune", "test_resnet", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr.decode()
    assert len(done.stderr.decode().splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("given", [-1.0, 0.0, float("nan"), 1e9])
def test_units_are_not_set_beside_v1_on_a_screen_that_cannot_be(given: float) -> None:
    with pytest.raises(UsageError, match="pixels per degree"):
        psychophys.layers_of_units(psychophys.UnitTuning.from_rows([], {}), pixels_per_degree=given)


def test_gratings_without_contrast_are_refused() -> None:
    with pytest.raises(UsageError, match="gratings of contrast 0"):
        psychophys.tune("test_resnet", weights="random", parameters={"contrast": 0.0})
