"""Human reference curves: their formulas, and layers set beside them."""

import colorsys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from inside import call_inside
from skimage.color import rgb2lab
from torch import nn

import psychophys
from psychophys.base.errors import UsageError
from psychophys.comparison.compare import PIXELS
from psychophys.comparison.correlation import TURNS, compare_with_prior
from psychophys.comparison.human import match
from psychophys.comparison.people import colour, contrast
from psychophys.comparison.people.colour import cielab_rate, hue_rate
from psychophys.comparison.priors import Density
from psychophys.comparison.references import REFERENCES, Reference, contrast_sensitivity, reference_for
from psychophys.comparison.verdict import conclusions
from psychophys.comparison.viewing import ANGLES, LUMINANCE, viewing
from psychophys.plots.thresholds import plot_comparison, plot_thresholds
from psychophys.results.thresholds import Results
from psychophys.stimuli import STIMULI

SIDE = 64
FREQUENCIES = (2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
MODELFEST = {
    1.12: 1.821,
    2: 1.960,
    2.83: 2.063,
    4: 2.106,
    5.66: 1.992,
    8: 1.844,
    11.3: 1.621,
    16: 1.298,
    22.6: 0.959,
    30: 0.567,
}
"""Mean log10 sensitivity of 16 observers to small gabors, by cycles/deg (Watson & Ahumada 2005)."""


def test_the_standard_observer_has_its_published_numbers() -> None:
    assert contrast_sensitivity(np.array([1.0, 4.0, 16.0])) == pytest.approx([106.6, 214.2, 43.1], abs=0.05)
    f = np.array([2.0, 4.0, 8.0, 16.0])
    oblique = contrast_sensitivity(f, 45) / contrast_sensitivity(f, 90)
    assert oblique == pytest.approx([1, 0.962, 0.717, 0.398], abs=5e-4)


def test_the_standard_observer_has_the_shape_of_its_data() -> None:
    # Their gabors are small, so that they are seen less well than the wide gratings of the formula: by one
    # factor, but for the scatter of the data.
    frequencies, data = np.array([*MODELFEST]), np.array([*MODELFEST.values()])
    above = np.log10(contrast_sensitivity(frequencies)) - data
    assert 10 ** above.min() == pytest.approx(1.7, abs=0.05)
    assert 10 ** above.max() == pytest.approx(2.2, abs=0.05)
    assert REFERENCES["watson-ahumada-2005"].kind == "shape"
    assert "1.7 to 2.2 times" in REFERENCES["watson-ahumada-2005"].summary
    assert np.abs(above - above.mean()).max() < 0.06
    low, high = reference_for("contrast", "gabor").valid
    assert (low, high) == (frequencies.min(), frequencies.max())


def test_oblique_orientations_need_twice_the_step() -> None:
    thresholds = 1 / REFERENCES["wei-stocker-2015"].sensitivity(np.array([0, 45, 90, 135, -45, 225]), {})
    assert thresholds / thresholds[0] == pytest.approx([1, 2, 1, 2, 2, 2])


def ciede2000_along_lch(hue_deg: np.ndarray, chroma: float) -> np.ndarray:
    """Limit of the printed formula for a small step of hue at one lightness and chroma."""
    h = np.deg2rad(hue_deg)
    stretch = 1.5 - 0.5 * np.sqrt(chroma**7 / (chroma**7 + 25**7))
    a, b = stretch * chroma * np.cos(h), chroma * np.sin(h)
    da, db = -stretch * chroma * np.sin(h), chroma * np.cos(h)
    c, hue = np.hypot(a, b), np.rad2deg(np.arctan2(b, a)) % 360
    by_chroma, by_hue = (a * da + b * db) / c, (a * db - b * da) / c
    cos = [np.cos(np.deg2rad(angle)) for angle in (hue - 30, 2 * hue, 3 * hue + 6, 4 * hue - 63)]
    t = 1 - 0.17 * cos[0] + 0.24 * cos[1] + 0.32 * cos[2] - 0.20 * cos[3]
    x, y = by_chroma / (1 + 0.045 * c), by_hue / (1 + 0.015 * c * t)
    turn = 60 * np.exp(-(((hue - 275) / 25) ** 2))
    mix = -2 * np.sqrt(c**7 / (c**7 + 25**7)) * np.sin(np.deg2rad(turn))
    return np.sqrt(x * x + y * y + mix * x * y) * np.pi / 180


@pytest.mark.parametrize("chroma", [5.0, 30.0, 60.0])
def test_the_rate_of_hue_is_that_of_the_printed_formula(chroma: float) -> None:
    hues = np.arange(3.0, 360, 7)
    ring = {"lightness": 65.0, "chroma": chroma}
    expected = ciede2000_along_lch(hues, chroma)
    errors = [np.abs(hue_rate(hues, ring, step) / expected - 1).max() for step in (1e-1, 1e-2, 1e-3)]
    assert errors[0] > 5 * errors[1] > 25 * errors[2]
    assert errors[2] < 1e-4


PRIMARIES_LAB = {0: (53.24, 80.09, 67.20), 120: (87.73, -86.18, 83.18), 240: (32.30, 79.19, -107.86)}
"""Red, green and blue of sRGB under D65, by HSV hue, as they are printed everywhere."""


def test_primaries_have_their_printed_cielab_values() -> None:
    ring = {"saturation": 1.0, "value": 1.0}
    found = colour.lab_of(np.array([*map(float, PRIMARIES_LAB)]), ring)
    np.testing.assert_allclose(found, [*PRIMARIES_LAB.values()], atol=0.02)


def test_the_rate_of_cielab_is_the_distance_of_neighbouring_hues() -> None:
    """As the paper has it: 1 deg apart, at full saturation and value, with scikit-image's CIELAB."""
    hues = np.arange(0, 360.0)
    rgb = np.array([colorsys.hsv_to_rgb(hue / 360, 1, 1) for hue in [*hues, 360]])
    lab = rgb2lab(rgb)
    distances = np.linalg.norm(np.diff(lab, axis=0), axis=1)
    rate = cielab_rate(hues + 0.5, {"saturation": 1.0, "value": 1.0})
    assert np.median(np.abs(rate / distances - 1)) < 1e-3
    # Within a degree of the corners the curve bends.
    assert np.abs(rate / distances - 1).max() < 0.03
    assert rate.max() / rate.min() > 5


@pytest.mark.parametrize("chroma", [5.0, 30.0])
def test_the_rate_of_cielab_is_even_along_the_lch_ring(chroma: float) -> None:
    rate = cielab_rate(np.arange(0, 360, 7.0), {"lightness": 65.0, "chroma": chroma})
    np.testing.assert_allclose(rate, chroma * np.pi / 180, rtol=1e-6)


def test_both_references_of_hue_can_be_chosen(rings: dict[str, Results]) -> None:
    by_name = {name: psychophys.compare(rings["patch"], human=name) for name in ("ciede2000", "cielab")}
    pd.testing.assert_frame_equal(by_name["ciede2000"], psychophys.compare(rings["patch"], human=True))
    assert set(by_name["cielab"]["reference"]) == {"cielab"}
    assert (by_name["cielab"]["r"] != by_name["ciede2000"]["r"]).all()
    assert REFERENCES["cielab"].kind == "shape"


def test_the_rate_at_a_corner_of_the_hsv_ring_is_that_of_larger_hues() -> None:
    ring = {"saturation": 1.0, "value": 0.8}
    below, at, over = hue_rate(np.array([59.99, 60.0, 60.01]), ring)
    assert at == pytest.approx(over, rel=1e-3)
    assert below != pytest.approx(at, rel=0.05)
    assert (hue_rate(np.arange(0, 360, 5.0), {"saturation": 0.0, "value": 0.8}) < 1e-6).all()


def test_parameters_are_averaged_over_and_the_range_ends() -> None:
    contrast = REFERENCES["watson-ahumada-2005"]
    values = np.array([1.0, 1.12, 8.0, 30.0, 31.0, 1e6])
    found = contrast.sensitivity(values, {"orientation": [0, 45], "frequency": [1, 2, 3], "size": [0.2]})
    assert list(np.isnan(found)) == [True, False, False, False, True, True]
    mean = (contrast_sensitivity(values[2], 0) + contrast_sensitivity(values[2], 45)) / 2
    assert found[2] == pytest.approx(mean)


@pytest.fixture(scope="module")
def observer() -> psychophys.Observer:
    torch.manual_seed(0)
    network = nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 8, 7, stride=2), relu=nn.ReLU(), flat=nn.Flatten()))
    return psychophys.Observer(
        network, input_size=(SIDE, SIDE + 16), mean=(0.5,) * 3, std=(0.5,) * 3, name="small"
    )


def measure_contrast(observer: psychophys.Observer, *frequencies: float, orientation: float = 45) -> Results:
    return psychophys.measure(
        observer,
        dimension="contrast",
        values=[0.5, 0.02],
        noise="gaussian",
        parameters={"phase": 1, "frequency": list(frequencies), "orientation": orientation},
        layers=["conv", "relu"],
    )


@pytest.fixture(scope="module")
def functions(observer: psychophys.Observer) -> Results:
    """Contrast at every frequency, not in their order."""
    return psychophys.concat(measure_contrast(observer, f) for f in FREQUENCIES[::-1])


@pytest.fixture(scope="module")
def rings(observer: psychophys.Observer) -> dict[str, Results]:
    """One run over each ring."""
    runs = {
        "orientation": ("gabor", 40, {"phase": 1}),
        "patch": ("patch", 24, {"saturation": [0.5, 1.0]}),
        "patch-lch": ("patch-lch", 24, {"chroma": 20}),
    }
    return {
        name: psychophys.measure(
            observer, stimulus, values=count, parameters=parameters, layers=["conv", "relu"]
        )
        for name, (stimulus, count, parameters) in runs.items()
    }


def replaced(results: Results, sensitivity: np.ndarray) -> Results:
    frame = results.to_pandas()
    frame["sensitivity"], frame["threshold"] = sensitivity, 1 / sensitivity
    return Results(pa.Table.from_pandas(frame, schema=Results.schema, preserve_index=False), results.runs)


@pytest.mark.parametrize("name", ["orientation", "patch", "patch-lch"])
def test_who_sees_as_people_do_has_slope_one(rings: dict[str, Results], name: str) -> None:
    results = rings[name]
    values = results.to_pandas()["value"].to_numpy()
    expected = {
        "orientation": 2 - np.abs(np.sin(np.deg2rad(2 * values))),
        "patch": np.mean([hue_rate(values, {"saturation": s, "value": 0.8}) for s in (0.5, 1.0)], axis=0),
        "patch-lch": ciede2000_along_lch(values, 20),
    }[name]
    found = psychophys.compare(replaced(results, 7 * expected), human=True)
    layers = found[found["layer"] != PIXELS]
    assert list(found["layer"]) == [PIXELS, "conv", "relu"]
    assert layers[["r", "slope", "slope_low", "slope_high"]].to_numpy() == pytest.approx(1, rel=1e-3)
    assert found["pixels_per_degree"].isna().all()
    assert (layers["p_turned"] <= 0.05).all()
    assert "r with human sensitivity is 1.00 at most, in conv" in conclusions(found)[0]
    assert "prior" not in found


def test_contrast_is_compared_over_frequency(functions: Results) -> None:
    frame = functions.to_pandas()
    [matched] = match(functions, 50)
    cycles_per_degree = np.array(FREQUENCIES) * 50 / SIDE
    assert matched.curve.centres == pytest.approx(cycles_per_degree)
    lowest = frame[(frame["value"] == 0.02) & (frame["layer"] == "conv")]
    ours = matched.rows[matched.rows["layer"] == "conv"]["sensitivity"]
    assert list(ours) == list(lowest["sensitivity"])[::-1]
    of_run = {run: r["measurement"]["parameters"]["frequency"][0] for run, r in functions.runs.items()}
    frequency = frame["run_id"].map(of_run).to_numpy(dtype=float)
    human = contrast_sensitivity(frequency * 50 / SIDE, 45)
    # At the higher contrast there is something else, which is not to be looked at.
    human[frame["value"] > 0.1] = np.random.default_rng(0).uniform(1, 2, sum(frame["value"] > 0.1))
    found = psychophys.compare(replaced(functions, human), human=True, pixels_per_degree=50)
    layers = found[found["layer_index"] >= 0]
    assert layers[["r", "slope"]].to_numpy() == pytest.approx(1)
    assert set(found["reference"]) == {"watson-ahumada-2005"}
    assert set(found["pixels_per_degree"]) == {50}
    assert set(found["n_values"]) == {6}
    assert layers["p_turned"].isna().all()
    assert "r with human sensitivity is 1.00 at most, in conv;" in conclusions(found)[0]


def test_the_baseline_of_contrast_is_that_of_its_images(functions: Results) -> None:
    found = psychophys.compare(functions, human=True, pixels_per_degree=50)
    pixels = found[found["layer"] == PIXELS].iloc[0]
    image = []
    for record in functions.runs.values():
        spec = record["measurement"]
        height, width = record["input_size"]
        values = {name: torch.tensor(v) for name, v in spec["parameters"].items()}
        low, high = (
            psychophys.STIMULI["gabor"].render({**values, "contrast": torch.tensor([c])}, (height, width))
            for c in (0.02, 0.52)
        )
        image.append(2 * float((high - low).norm()))
    cycles_per_degree = np.array(FREQUENCIES[::-1]) * 50 / SIDE
    expected = compare_with_prior(
        np.array(image),
        cycles_per_degree,
        Density(cycles_per_degree[::-1], contrast_sensitivity(cycles_per_degree[::-1], 45), None, "c/deg"),
    )
    assert pixels["r"] == pytest.approx(expected.r, abs=1e-3, nan_ok=True)
    assert pixels["slope"] == pytest.approx(expected.slope, abs=1e-3)


def test_a_reference_of_a_shape_is_compared_by_its_shape_alone(
    functions: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = psychophys.compare(functions, human=True, pixels_per_degree=50)
    drawn = plot_thresholds(functions, human=True, pixels_per_degree=50).axes[0].get_lines()[-1].get_ydata()
    monkeypatch.setattr(contrast, "contrast_sensitivity", lambda f, turn: 2 * contrast_sensitivity(f, turn))
    doubled = psychophys.compare(functions, human=True, pixels_per_degree=50)
    pd.testing.assert_frame_equal(before, doubled, rtol=1e-6)
    again = plot_thresholds(functions, human=True, pixels_per_degree=50).axes[0].get_lines()[-1].get_ydata()
    assert again == pytest.approx(drawn)


def test_runs_that_differ_otherwise_are_curves_of_their_own(
    observer: psychophys.Observer, functions: Results
) -> None:
    other = [measure_contrast(observer, f, orientation=0) for f in FREQUENCIES[:3]]
    together = psychophys.concat([functions, *other, measure_contrast(observer, 2.0, 8.0, orientation=0)])
    found = psychophys.compare(together, human=True, pixels_per_degree=50)
    assert list(found[found["layer"] == "conv"]["n_values"]) == [6, 3]
    few = found[found["n_values"] == 3]
    assert few["slope"].notna().all()
    assert few["slope_low"].isna().all()
    assert "3 values of frequency are too few; measure at least 6" in conclusions(few)[0]


def test_too_few_frequencies_are_refused_with_what_to_do(observer: psychophys.Observer) -> None:
    several = measure_contrast(observer, 2.0, 4.0, 8.0)
    one = measure_contrast(observer, 2.0)
    for results, count in ((several, 0), (psychophys.concat([several, one]), 1)):
        with pytest.raises(UsageError, match=rf"small \(given\) has {count}\. .*--frequencies \$f --append"):
            psychophys.compare(results, human=True)


def test_no_p_is_out_of_reach_where_a_curve_repeats(observer: psychophys.Observer) -> None:
    # A quarter turn leaves the human curve as it is, and one turn in 90 does as well as none.
    results = psychophys.measure(observer, values=36, parameters={"phase": 1}, layers="conv")
    angles = results.to_pandas()["value"].to_numpy()
    results = replaced(results, 2 - np.abs(np.sin(np.deg2rad(2 * angles))))
    for found in (psychophys.compare(results, human=True), psychophys.compare(results, "wei-stocker-2015")):
        assert found["p_least"].iloc[-1] == found["p_turned"].iloc[-1] == pytest.approx(2 / TURNS)
        assert "is 1.00, in conv" in conclusions(found)[0]


@pytest.mark.parametrize("name", ["orientation", "patch", "contrast"])
def test_figures_show_the_human_curve(rings: dict[str, Results], functions: Results, name: str) -> None:
    results = functions if name == "contrast" else rings[name]
    figure = plot_thresholds(results, human=True, pixels_per_degree=50)
    panel = figure.axes[0]
    unit = {"orientation": "deg", "patch": "deg", "contrast": "nominal Michelson"}[name]
    assert panel.get_ylabel().replace("\n", " ") == f"threshold ({unit})"
    *layers, human = panel.get_lines()
    assert human.get_label() == "human (scaled)"
    mean = np.mean([np.log(line.get_ydata()).mean() for line in layers])
    assert np.log(human.get_ydata()).mean() == pytest.approx(mean)
    matched = match(results, 50)[0]
    shape = human.get_ydata() * matched.curve.density
    assert shape == pytest.approx(shape[0])
    assert (
        panel.get_xlabel()
        == {
            "orientation": "orientation (deg)",
            "patch": "hue (deg)",
            "contrast": "frequency (cycles/deg)",
        }[name]
    )
    comparison = psychophys.compare(results, human=True, pixels_per_degree=50)
    figure = plot_comparison(results, comparison, pixels_per_degree=50)
    assert figure.axes[0].get_lines()[-1].get_label() == "human"
    assert figure.axes[0].get_xlabel() == panel.get_xlabel()
    assert [line.get_label() for line in plot_thresholds(results).axes[0].get_lines()].count(
        "human (scaled)"
    ) == 0


def test_from_the_command_line(rings: dict[str, Results], functions: Results, tmp_path: Path) -> None:
    rings["orientation"].write(tmp_path / "ring.parquet")
    functions.write(tmp_path / "csf.parquet")
    words = ("--human", "--pixels-per-degree", "50", "-o", "c.csv", "--figure", "c.png")
    done = call_inside("compare", "csf.parquet", *words, cwd=tmp_path)
    text = " ".join(done.stderr.decode().split())
    assert done.returncode == 0, text
    assert "contrast against watson-ahumada-2005, over frequency at 50 pixels/deg" in text
    assert "q: J goes with (human sensitivity)^q" in text
    assert "watson-ahumada-2005: contrast is nominal" in text
    assert "the reference a shape" in text
    assert set(pd.read_csv(tmp_path / "c.csv")["reference"]) == {"watson-ahumada-2005"}
    done = call_inside("plot", "ring.parquet", "--human", "-o", "t.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {"c.png", "t.png"} <= {path.name for path in tmp_path.iterdir()}
    listed = call_inside("priors", cwd=tmp_path).stdout.decode()
    for reference in REFERENCES.values():
        assert reference.name in listed.partition("human references (compare --human)")[2]
        assert reference.doi in listed


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("compare ring.parquet --human --prior imagenet-sample", ["--human", "--prior and --scale"]),
        ("compare ring.parquet --human --scale 1", ["--human", "--prior and --scale"]),
        ("compare ring.parquet --pixels-per-degree 50", ["Give --human"]),
        ("plot ring.parquet --pixels-per-degree 50", ["Give --human"]),
        ("compare ring.parquet --human --pixels-per-degree nan", ["nan pixels per degree", "1 to 10,000"]),
        (
            "compare phase.parquet --human",
            ["reference for phase of gabor", "hue (patch, patch-lch)"],
        ),
        ("plot phase.parquet --human", ["no human reference for phase of gabor"]),
        ("compare empty.parquet --human", ["no rows"]),
        ("plot empty.parquet --human", ["no rows"]),
    ],
)
def test_a_wrong_request_is_one_line(
    rings: dict[str, Results], observer: psychophys.Observer, tmp_path: Path, words: str, parts: list[str]
) -> None:
    rings["orientation"].write(tmp_path / "ring.parquet")
    Results.from_rows([], {}).write(tmp_path / "empty.parquet")
    psychophys.measure(observer, dimension="phase", values=2, layers="conv").write(tmp_path / "phase.parquet")
    done = call_inside(*words.split(), cwd=tmp_path)
    text = done.stderr.decode()
    assert done.returncode == 2, text
    assert len(text.splitlines()) == 1
    for part in parts:
        assert part in text


def test_human_sensitivity_and_a_prior_exclude_each_other(rings: dict[str, Results]) -> None:
    with pytest.raises(UsageError, match="at once"):
        psychophys.compare(rings["orientation"], "imagenet-sample", human=True)


SEEN_AS = {"image": "deg", "cycles/image": "cycles/deg"}
"""Units of people, by those of the image."""


@pytest.mark.parametrize("reference", REFERENCES.values(), ids=lambda reference: reference.name)
def test_every_reference_is_of_something_that_can_be_measured(reference: Reference) -> None:
    for text in (reference.summary, reference.formula, reference.citation):
        assert text
    assert reference.doi == "" or reference.doi.startswith("10.")
    assert reference.kind in ("absolute", "shape")
    assert (reference.spread is None) == (reference.spread_is == "")
    low, high = reference.valid
    assert low < high
    for name in reference.stimuli:
        stimulus = STIMULI[name]
        dimension, axis = (stimulus.parameter(one) for one in (reference.dimension, reference.axis))
        if reference.kind == "absolute":
            assert reference.unit == SEEN_AS.get(dimension.unit, dimension.unit)
        assert (reference.axis_unit, reference.period) == (SEEN_AS.get(axis.unit, axis.unit), axis.period)
        fixed = {name: held[0] for name, held in reference.only.items()}
        measured = psychophys.plan(name, reference.dimension, values=[dimension.default], parameters=fixed)
        seen = viewing({"measurement": measured.as_dict(), "input_size": (224, 224)})
        known = {axis.name: (axis.default,), **seen.parameters}
        assert set(reference.reads) <= set(known) | {
            p.name for s in reference.stimuli for p in STIMULI[s].parameters
        }
        rate = reference.sensitivity(np.linspace(low, min(high, 1e3), 25)[1:], known)
        assert np.isfinite(rate).all() or reference.valid_is
        assert (rate[np.isfinite(rate)] > 0).all()
        if reference.period is None:
            beyond = reference.sensitivity(np.array([low * 0.9 - 1, high * 1.1 + 1]), known)
            assert np.isnan(beyond[np.isfinite([low * 0.9 - 1, high])]).all()
    every = {p.name for name in reference.stimuli for p in STIMULI[name].parameters}
    assert set(reference.reads) <= every | {*ANGLES, LUMINANCE}


def test_the_human_reference_can_be_chosen_by_name() -> None:
    watched = psychophys.load_observer("test_resnet", weights="random")
    measured = psychophys.measure(watched, layers="fc", values=8, parameters={"phase": 1})
    by_name, first = (psychophys.compare(measured, human=h) for h in ("wei-stocker-2015", True))
    pd.testing.assert_frame_equal(by_name, first)
    with pytest.raises(UsageError, match="ciede2000 is no human reference for orientation of gabor"):
        psychophys.compare(measured, human="ciede2000")
    with pytest.raises(UsageError, match="human reference 'wei'"):
        psychophys.compare(measured, human="wei")
