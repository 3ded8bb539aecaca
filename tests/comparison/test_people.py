"""People's data and formulas: each against numbers of its source, and beside what a network measures."""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from inside import call_inside
from torch import nn

import psychophys
from psychophys.base.errors import UsageError
from psychophys.base.types import Array
from psychophys.comparison.human import match
from psychophys.comparison.people.castle import GREY, cone_sensitivity, mechanisms
from psychophys.comparison.people.colour import chromaticity_metric, macadam_ellipses, macadam_rate
from psychophys.comparison.people.masking import FOLEY, increment_threshold, transducer
from psychophys.comparison.people.reference import Reference
from psychophys.comparison.references import REFERENCES, reference_for
from psychophys.comparison.viewing import viewing
from psychophys.results.thresholds import Results
from psychophys.stimuli.cones import rgb_to_lms

SIDE = 64
AUTHORS_DELTA = (0.6855, 0.2951, 0.0194)
"""Direction of the achromatic modulation that castleCSF takes by default."""
CASTLE = (
    (1, 0.125, 8, 0.5, 6.9831494, 2.6892367, 0.25066575, 6.9848916, 4.2627679, 0.43831319),
    (1, 0.125, 8, 2, 7.2199037, 4.3224991, 0.3571303, 7.2217147, 6.8516878, 0.62447669),
    (1, 0.125, 8, 8, 4.1171331, 4.6660326, 0.35313499, 4.1181904, 7.3962302, 0.6174905),
    (1, 0.125, 8, 32, 1.218985, 2.100684, 0.14640751, 1.2193112, 3.3298401, 0.25600762),
    (30, 0.5, 0, 0.5, 21.72451, 82.196439, 9.8833203, 21.732021, 130.29137, 17.281937),
    (30, 0.5, 0, 2, 85.954806, 121.1824, 12.676084, 85.977304, 192.08888, 22.165352),
    (30, 0.5, 0, 8, 66.984723, 74.5162, 6.8167267, 67.001913, 118.11726, 11.919703),
    (30, 0.5, 0, 32, 4.7149219, 18.143428, 1.6000501, 4.7165502, 28.759545, 2.7978416),
    (100, 1, 0, 0.5, 43.921964, 204.43828, 25.124331, 43.939367, 324.05958, 43.93231),
    (100, 1, 0, 2, 176.04906, 247.65642, 25.731855, 176.09513, 392.56561, 44.994625),
    (100, 1, 0, 8, 124.38072, 103.53463, 9.5701111, 124.41219, 164.11501, 16.73426),
    (100, 1, 0, 32, 8.4407295, 23.179531, 2.0957448, 8.4432444, 36.742381, 3.6646115),
    (1000, 0.5, 8, 0.5, 94.657766, 61.011286, 5.3765334, 94.681545, 96.710323, 9.4013859),
    (1000, 0.5, 8, 2, 97.428338, 89.949082, 6.8957987, 97.453086, 142.58026, 12.057968),
    (1000, 0.5, 8, 8, 60.880879, 55.310537, 3.7083042, 60.89633, 87.673941, 6.4843268),
    (1000, 0.5, 8, 32, 8.7909735, 13.467176, 0.87042841, 8.7932902, 21.347115, 1.5220278),
)
"""From the authors' MATLAB: cd/m2, s.d. in deg, Hz, cycles/deg; sensitivity of the achromatic, red-green and
yellow-violet mechanism; 1 / cone contrast of the achromatic, red-green and yellow-violet direction."""


def people(name: str, values: Array) -> dict[str, Array]:
    """Columns of a curve."""
    curve = psychophys.human_curve(name, values)
    return {column: curve[column].to_numpy() for column in curve}


@pytest.mark.parametrize("row", CASTLE, ids=lambda row: "-".join(f"{value:g}" for value in row[:4]))
def test_castlecsf_has_the_numbers_of_its_authors_program(row: tuple[float, ...]) -> None:
    luminance, size, rate_hz, frequency, *expected = row
    seen = mechanisms(
        np.array([frequency]), np.array(np.pi * size**2), np.array(luminance), temporal_hz=rate_hz
    )
    assert seen[:, 0] == pytest.approx(expected[:3], rel=1e-7)
    directions = (AUTHORS_DELTA, (1.0, -1.0, 0.0), (0.0, 0.0, 1.0))
    found = [float(cone_sensitivity(np.array(delta), seen)[0]) for delta in directions]
    assert found == pytest.approx(expected[3:], rel=1e-7)


@pytest.mark.parametrize(
    ("degrees", "nasal", "expected"),
    [
        (5, False, (42.199340483, 61.3392637574, 10.1036606131)),
        (5, True, (44.9342258246, 1.8728144494, 9.82478600284)),
        (20, False, (4.99358174407, 7.95491528307, 5.11634356209)),
        (20, True, (6.41946098305, 6.9129008656e-06, 4.57443119463)),
    ],
)
def test_castlecsf_falls_with_eccentricity(degrees: float, nasal: bool, expected: tuple[float, ...]) -> None:
    place = {"eccentricity_deg": degrees, "nasal": nasal}
    found = mechanisms(np.array(2.0), np.array(np.pi / 4), np.array(30.0), **place)
    assert found == pytest.approx(expected, rel=1e-9)


def test_the_references_of_castlecsf_are_its_directions() -> None:
    """Round the grey that it is defined at; a gabor of 0.5 deg s.d. at 30 cd/m2."""
    rows = [row for row in CASTLE if row[:3] == (30, 0.5, 0) and row[3] <= 8]
    seen = {"area_deg2": (np.pi / 4,), "luminance_cd_m2": (30.0,)}
    frequencies = np.array([row[3] for row in rows])
    for name, direction, column in (
        ("castlecsf-2024", 0, 7),
        ("castlecsf-2024-red-green", 0, 8),
        ("castlecsf-2024-red-green", 180, 8),
        ("castlecsf-2024-yellow-violet", 90, 9),
        ("castlecsf-2024-yellow-violet", 270, 9),
    ):
        found = REFERENCES[name].sensitivity(frequencies, {**seen, "direction": (direction,)})
        assert found == pytest.approx([row[column] for row in rows], rel=5e-4)


def test_the_isoluminant_directions_of_the_stimulus_are_those_of_castlecsf() -> None:
    """The grey of both is D65 within half a per cent."""
    grey = rgb_to_lms() @ np.ones(3)
    assert grey / grey[:2].sum() == pytest.approx(GREY, abs=5e-3)
    for name, direction in (("red-green", 0.0), ("yellow-violet", 90.0)):
        parameters = {"direction": (direction,)}
        assert reference_for("contrast", "isoluminant", None, parameters).name.endswith(name)


def test_castlecsf_lies_where_observers_were() -> None:
    """Gabors of ModelFest, one of its 18 data sets, which it fits with an error of 3.59 dB in all."""
    modelfest = people("modelfest", np.array([1.12, 2, 2.83, 4, 5.66, 8, 11.3, 16, 22.6, 30]))
    frequency, light = modelfest["value"], {"luminance_cd_m2": (30.0,), "area_deg2": (np.pi / 4,)}
    model = REFERENCES["castlecsf-2024"].sensitivity(frequency, light)
    decibels = 20 * np.log10(model * modelfest["threshold"])
    assert np.sqrt((decibels**2).mean()) < 3.59
    assert np.abs(decibels).max() > 1  # They are two things.


def test_modelfest_has_its_means_and_its_spread() -> None:
    curve = people("modelfest", np.array([1.12, 4.0, 30.0]))
    assert -np.log10(curve["threshold"]) == pytest.approx([1.821, 2.106, 0.567], abs=1e-3)
    assert np.log10(curve["high"] / curve["threshold"]) == pytest.approx([0.134, 0.213, 0.197], abs=1e-3)
    assert curve["threshold"] ** 2 == pytest.approx(curve["low"] * curve["high"])
    between = people("modelfest", np.array([4.0, np.sqrt(4 * 5.66), 5.66]))["threshold"]
    assert between[1] == pytest.approx(np.sqrt(between[0] * between[2]))
    assert REFERENCES["modelfest"].observers == 16


def test_the_transducer_has_its_published_parameters() -> None:
    assert transducer(np.array([0.0075, 1.0])) == pytest.approx([22.5 * 0.0075**0.4, 45], rel=1e-4)
    strong = np.geomspace(0.1, 0.5, 5)
    slope = np.polyfit(np.log(strong), np.log(increment_threshold(strong)), 1)[0]
    assert slope == pytest.approx(0.6, abs=0.03)  # "exponents near 0.6"
    alone, weak = increment_threshold(np.array([0.0, 0.005]))
    assert weak < alone / 2  # Weak maskers lower thresholds.
    added = increment_threshold(strong)
    assert transducer(strong + added) - transducer(strong) == pytest.approx(1, rel=1e-6)


def test_the_dipper_has_its_points() -> None:
    found = people("foley-1994", np.array([0.00496, 0.0127, 0.0501, 0.326, 0.4]))["threshold"]
    assert found[:4] == pytest.approx([0.0215, 0.0138, 0.0335, 0.164], rel=5e-3)
    assert np.isnan(found[4])
    assert min(FOLEY, key=FOLEY.__getitem__) == 0.0127


def test_frequencies_are_told_apart_by_a_constant_share() -> None:
    for name, low, high in (("campbell-1970", 0.02, 0.04), ("burbeck-regan-1983", 0.03, 0.07)):
        curve = people(name, np.array([1.0, 4.0, 12.0]))
        assert curve["low"] / curve["value"] == pytest.approx(low)
        assert curve["high"] / curve["value"] == pytest.approx(high)
        assert curve["threshold"] / curve["value"] == pytest.approx(np.sqrt(low * high))


def test_vernier_thresholds_are_ten_seconds_of_arc() -> None:
    vernier = REFERENCES["bradley-skottun-1987"]
    for contrast, seconds in ((0.5, 10), (0.25, 10 * 2**0.8), (1.0, 10 / 2**0.8)):
        threshold = 1 / vernier.sensitivity(np.array([6.0, 10.0, 16.0]), {"contrast": (contrast,)})
        assert threshold * 3600 == pytest.approx(seconds)
    assert np.isnan(vernier.sensitivity(np.array([5.0, 17.0]), {"contrast": (0.5,)})).all()


def test_position_goes_with_size() -> None:
    threshold = people("toet-koenderink-1988", np.array([0.05, 0.1, 0.4]))["threshold"]
    assert threshold / threshold[0] == pytest.approx([1, 2, 8])


def test_orientation_is_known_on_the_meridians_alone() -> None:
    values = np.array([0.0, 90.0, 180.0, 45.0, 1.0])
    threshold = people("heeley-buchanan-smith-1990", values)["threshold"]
    assert threshold[:3] == pytest.approx(0.6)
    assert np.isnan(threshold[3:]).all()


def test_the_ellipses_are_the_printed_ones() -> None:
    printed = {0: (0.160, 0.057, 0.85, 0.35, 62.5), 12: (0.305, 0.323, 2.30, 0.90, 58.0)}
    printed[24] = (0.365, 0.153, 3.60, 0.95, 40.0)
    ellipses = macadam_ellipses()
    assert ellipses.shape == (25, 5)
    for row, (x, y, a, b, angle) in printed.items():
        assert ellipses[row] == pytest.approx([x, y, a / 1000, b / 1000, angle])


def test_an_ellipse_is_all_at_distance_one() -> None:
    x, y, a, b, angle = macadam_ellipses().T
    xx, xy, yy = chromaticity_metric(np.column_stack([x, y])).T
    for turn in np.deg2rad(np.arange(0, 360, 30)):
        along, across = a * np.cos(turn), b * np.sin(turn)
        cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        dx, dy = along * cosine - across * sine, along * sine + across * cosine
        assert xx * dx**2 + 2 * xy * dx * dy + yy * dy**2 == pytest.approx(np.ones(25), rel=1e-6)


def test_the_rate_of_hue_in_ellipses_is_that_of_larger_steps() -> None:
    hues, ring = np.arange(3.0, 360, 11), {"lightness": 65.0, "chroma": 30.0}
    fine, coarse = (macadam_rate(hues, ring, step) for step in (1e-3, 1e-1))
    assert fine == pytest.approx(coarse, rel=5e-3)
    half = macadam_rate(hues, {"lightness": 65.0, "chroma": 15.0})
    assert half / fine == pytest.approx(0.5, abs=0.2)


def test_what_is_seen_is_the_same_on_a_display() -> None:
    """A run in fractions of the image at 50 pixels/deg, and one that was made for such a display."""
    plain = psychophys.plan("gabor", "contrast", values=[0.1], parameters={"frequency": 4.0, "size": 0.25})
    record = {"measurement": plain.as_dict(), "input_size": (100, 120)}
    seen = viewing(record, 50)
    assert seen.degrees == 2
    assert seen.parameters["frequency_cpd"] == (2.0,)
    assert seen.parameters["size_deg"] == (0.5,)
    assert seen.parameters["area_deg2"] == pytest.approx((np.pi / 4,))
    assert seen.parameters["luminance_cd_m2"] == (40.0,)
    assert "40 cd/m2 is assumed" in seen.assumed(("luminance_cd_m2",))
    assert seen.assumed(("area_deg2",)) == ""
    shown = plain.as_dict()
    shown["parameters"] |= {"frequency": [2.0], "size": [0.5]}
    shown["display"] = {"name": "", "pixels_per_degree": 50.0, "luminance_cd_m2": 160.0, "gamma": "linear"}
    there = viewing({"measurement": shown, "input_size": (100, 120)})
    for name in ("frequency_cpd", "size_deg", "area_deg2"):
        assert there.parameters[name] == pytest.approx(seen.parameters[name])
    assert there.assumed(("luminance_cd_m2",)) == ""
    assert there.pixels_per_degree == 50
    with pytest.raises(UsageError, match="7 pixels per degree of what was measured at 50"):
        viewing({"measurement": shown, "input_size": (100, 120)}, 7)
    with pytest.raises(UsageError, match="0 pixels per degree"):
        viewing(record, 0)


def test_the_area_of_a_disc_is_that_of_its_diameter() -> None:
    plain = psychophys.plan("grating", "contrast", values=[0.1], parameters={"size": 0.5})
    seen = viewing({"measurement": plain.as_dict(), "input_size": (100, 100)}, 100)
    assert seen.parameters["area_deg2"] == pytest.approx((np.pi / 16,))


RECIPES = [one for one in REFERENCES.values() if one.recipe is not None]


@pytest.mark.parametrize("reference", RECIPES, ids=lambda one: one.name)
def test_every_recipe_plans(reference: Reference) -> None:
    for side in (64, 224, 384):
        for settings in reference.recipe.measurements(side):
            measurement = psychophys.plan(**settings)
            assert reference.fits(measurement.dimension, measurement.stimulus.name, measurement.parameters)
            for combination in measurement.stimulus.samples(measurement.parameters):
                for value in settings["values"]:
                    values = {**combination, measurement.dimension: value}
                    measurement.stimulus.check(values)
                    measurement.stimulus.check_size(values, side)
            seen = viewing({"measurement": measurement.as_dict(), "input_size": (side, side)})
            at = seen.parameters[reference.axis] if reference.across else measurement.as_dict()["values"]
            at = np.array(at) * seen.factor(reference.axis)
            sensitivity = reference.sensitivity(at, seen.parameters)
            assert np.isfinite(sensitivity).all()


def test_the_docs_list_every_reference_as_it_is() -> None:
    page = Path(__file__).parents[2] / "docs" / "studies" / "people.md"
    table = page.read_text("utf-8").partition("## What there is")[2].partition("What is comparable")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line[:3] == "| `"]
    listed = {row[0].strip("`"): row[2:] for row in rows}
    assert set(listed) == set(REFERENCES)
    for name, (over, threshold, observers, *spread) in listed.items():
        one = REFERENCES[name]
        assert over == f"{one.axis}, {one.covers}"
        assert threshold == (one.unit if one.kind == "absolute" else "shape")
        assert observers == str(one.observers)
        assert "".join(spread).strip() == one.spread_is


def test_every_reference_has_a_recipe() -> None:
    assert len(RECIPES) == len(REFERENCES)


@pytest.fixture(scope="module")
def observer() -> psychophys.Observer:
    torch.manual_seed(0)
    network = nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 8, 7, stride=2), relu=nn.ReLU(), flat=nn.Flatten()))
    return psychophys.Observer(
        network, input_size=(SIDE, SIDE), mean=(0.5,) * 3, std=(0.5,) * 3, name="small"
    )


def measured(observer: psychophys.Observer, reference: Reference) -> Results:
    """A recipe, with one phase."""
    runs = []
    for settings in reference.recipe.measurements(SIDE):
        if "phase" in {p.name for p in psychophys.STIMULI[settings["stimulus"]].parameters}:
            settings["parameters"]["phase"] = 1
        runs.append(psychophys.measure(observer, **settings, layers=["conv", "relu"]))
    return psychophys.concat(runs)


def as_people(results: Results, name: str) -> Results:
    """The same with people's thresholds in place of the layers'."""
    [matched] = match(results, reference=name)
    human = dict(zip(matched.curve.centres, 1 / matched.curve.density, strict=True))
    frame = results.to_pandas()
    axis, factor = matched.reference.axis, matched.seen.factor(matched.reference.axis)
    if matched.across:
        of_run = {run: r["measurement"]["parameters"][axis][0] * factor for run, r in results.runs.items()}
        at = frame["run_id"].map(of_run)
    else:
        at = frame["value"]
    frame["threshold"] = at.map(human)
    frame["sensitivity"] = 1 / frame["threshold"]
    return Results(pa.Table.from_pandas(frame, schema=Results.schema, preserve_index=False), results.runs)


@pytest.mark.parametrize("reference", RECIPES, ids=lambda one: one.name)
def test_who_sees_as_people_do_has_their_thresholds(
    observer: psychophys.Observer, reference: Reference
) -> None:
    """Of units too: whoever mistook cycles/image for cycles/deg would be far from a ratio of 1."""
    results = as_people(measured(observer, reference), reference.name)
    found = psychophys.compare(results, human=reference.name)
    layers = found[found["layer_index"] >= 0]
    assert set(found["reference"]) == {reference.name}
    assert set(found["axis"]) == {reference.axis}
    even = reference.name in ("bradley-skottun-1987", "heeley-buchanan-smith-1990")
    if not even:
        assert layers["r"].to_numpy() == pytest.approx(1)
    if reference.kind == "shape":
        assert layers["threshold_ratio"].isna().all()
        return
    assert layers["threshold_ratio"].to_numpy() == pytest.approx(1)
    known = reference.spread is not None
    assert (layers["human_low"] < layers["human_threshold"]).all() == known
    assert (layers["human_threshold"] < layers["human_high"]).all() == known
    assert found["assumed"].str.contains("mean luminance").all() == ("luminance_cd_m2" in reference.reads)


def test_thresholds_are_in_the_units_of_the_run(observer: psychophys.Observer) -> None:
    """At 100 pixels/deg an image of 64 pixels is 0.64 deg wide."""
    results = measured(observer, REFERENCES["campbell-1970"])
    [matched] = match(results, reference="campbell-1970")
    table = matched.thresholds()
    assert table["human_threshold"].to_numpy() == pytest.approx(np.sqrt(0.02 * 0.04) * table["value"])
    results = measured(observer, REFERENCES["bradley-skottun-1987"])
    [matched] = match(results)
    assert matched.thresholds()["human_threshold"].to_numpy() == pytest.approx(10 / 3600 / 0.64)
    assert matched.thresholds()["value"].unique() == pytest.approx([6, 8, 10, 12, 14, 16])
    layer = psychophys.compare(results, human=True).set_index("layer").loc["conv"]
    thresholds = results.to_pandas().query("layer == 'conv'")["threshold"]
    expected = np.exp(np.log(thresholds).mean()) / (10 / 3600 / 0.64)
    assert layer["threshold_ratio"] == pytest.approx(expected)


@pytest.mark.parametrize("gamma", ["linear", "srgb"])
@pytest.mark.parametrize("reference", RECIPES, ids=lambda reference: reference.name)
def test_people_see_as_much_light_as_the_display_gives(reference: Reference, gamma: str) -> None:
    display = {"pixels_per_degree": 100.0, "luminance_cd_m2": 80.0, "gamma": gamma}
    assert reference.recipe is not None
    there, here = (
        viewing({"measurement": psychophys.plan(**settings).as_dict(), "input_size": (SIDE, SIDE)})
        for settings in (reference.recipe.measurements(SIDE, on)[0] for on in (display, None))
    )
    for name in ("luminance_cd_m2", "area_deg2", "frequency_cpd"):
        assert there.parameters.get(name, ()) == pytest.approx(here.parameters.get(name, ()))


@pytest.mark.parametrize("name", ["castlecsf-2024", "castlecsf-2024-red-green", "bradley-skottun-1987"])
def test_a_run_on_a_display_is_compared_as_one_seen_so(observer: psychophys.Observer, name: str) -> None:
    """White of 80 cd/m2 is what is assumed of runs without a display."""
    display = {"pixels_per_degree": 100.0, "luminance_cd_m2": 80.0}
    reference = REFERENCES[name]
    shown = psychophys.concat(
        psychophys.measure(
            observer, **m | {"parameters": {**m["parameters"], "phase": 1}}, layers=["conv", "relu"]
        )
        for m in reference.recipe.measurements(SIDE, display)
    )
    there, here = (psychophys.compare(one, human=name) for one in (shown, measured(observer, reference)))
    assert there["threshold_ratio"].to_numpy() == pytest.approx(
        here["threshold_ratio"], nan_ok=True, rel=1e-4
    )
    assert there["r"].to_numpy() == pytest.approx(here["r"], nan_ok=True, abs=1e-4)
    assert (there["assumed"] == "").all()
    assert set(there["pixels_per_degree"]) == {100}


def test_a_masker_of_another_orientation_has_no_reference(observer: psychophys.Observer) -> None:
    run = psychophys.measure(
        observer,
        "masked",
        values=[0.1],
        layers="conv",
        parameters={"phase": 1, "masker_orientation": 90, "masker_contrast": 0.1},
    )
    with pytest.raises(UsageError, match=r"legge-foley-1980 at masker_orientation 0.*foley-1994"):
        match(run)


def test_too_few_maskers_are_refused_with_what_to_do(observer: psychophys.Observer) -> None:
    run = psychophys.measure(observer, "masked", values=[0.0], layers="conv", parameters={"phase": 1})
    with pytest.raises(UsageError, match=r"over masker_contrast .* has 1\. .*--set masker_contrast=\$f"):
        match(run)


def test_the_figure_of_people_has_every_reference() -> None:
    figure = psychophys.plot_people()
    names = {str(line.get_label()) for axes in figure.axes for line in axes.get_lines()}
    assert names == {f"{one.name} (shape)" if one.kind == "shape" else one.name for one in RECIPES}
    with_band = [axes for axes in figure.axes if axes.collections]
    assert len(with_band) == 2
    assert all(axes.get_yscale() == "log" for axes in figure.axes)
    with pytest.raises(UsageError, match="human reference 'nobody'"):
        psychophys.human_curve("nobody")


def test_figures_have_the_spread_of_people(observer: psychophys.Observer) -> None:
    results = measured(observer, REFERENCES["modelfest"])
    panel = psychophys.plot_thresholds(results, human="modelfest").axes[0]
    human = panel.get_lines()[-1]
    band = panel.collections[-1].get_paths()[0].vertices
    high = band[:, 1].max()
    assert high / np.asarray(human.get_ydata(), dtype=float).max() == pytest.approx(10**0.1973, rel=1e-3)
    compared = psychophys.compare(results, human="modelfest")
    top = psychophys.plot_comparison(results, compared).axes[0]
    assert len(top.collections) == 1
    without = psychophys.plot_thresholds(results, human=True).axes[0]
    assert len(without.collections) == len(panel.collections) - 1


def test_from_the_command_line(observer: psychophys.Observer, tmp_path: Path) -> None:
    measured(observer, REFERENCES["castlecsf-2024"]).write(tmp_path / "csf.parquet")
    words = ("--human", "--reference", "castlecsf-2024")
    done = call_inside("compare", "csf.parquet", *words, "-o", "c.csv", cwd=tmp_path)
    text = " ".join(done.stderr.decode().split())
    assert done.returncode == 0, text
    assert "contrast against castlecsf-2024, over frequency at 100 pixels/deg" in text
    assert "castlecsf-2024: a mean luminance of 40 cd/m2 is assumed, as the runs name no display" in text
    assert "people's threshold of contrast is 0.0" in text
    assert "times as high at this noise" in text
    table = pd.read_csv(tmp_path / "c.csv")
    assert {"human_threshold", "human_low", "human_high", "threshold_ratio", "assumed", "axis"} <= set(table)
    done = call_inside("plot", "csf.parquet", *words, "-o", "t.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = call_inside("plot", "csf.parquet", "--reference", "modelfest", cwd=tmp_path)
    assert done.returncode == 2
    assert "Give --human" in done.stderr.decode()
    done = call_inside("priors", "--save", "people.svg", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "modelfest" in (tmp_path / "people.svg").read_text()


def test_castlecsf_says_nothing_where_nothing_was_measured() -> None:
    reference, seen = REFERENCES["castlecsf-2024"], {"area_deg2": (0.8,)}

    def threshold(light: float, cpd: float = 4.0) -> float:
        return float(1 / reference.sensitivity(np.array([cpd]), seen | {"luminance_cd_m2": (light,)})[0])

    assert 0 < threshold(100.0) < threshold(1.0) < 1
    assert np.isnan(threshold(5e5))
    assert np.isnan(threshold(1e-6))
    assert np.isnan(threshold(0.01, 16.0))  # Not even at full contrast.
