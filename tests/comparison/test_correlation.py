"""The efficient-coding test, on curves whose answer is known, and on a trained network."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from inside import call_inside
from PIL import Image

import psychophys
from psychophys.base.errors import UsageError
from psychophys.comparison.compare import PIXELS, compare, pixel_sensitivity
from psychophys.comparison.correlation import (
    TURNS,
    ceiling,
    compare_with_prior,
    correlation,
    partial_correlation,
    slope,
    turned_p_value,
    turns,
)
from psychophys.comparison.priors import Density
from psychophys.comparison.verdict import conclusions
from psychophys.plots.thresholds import MOST_RUNS, plot_thresholds

ANGLES = np.arange(0, 180, 5.0)
PRIOR = 2 - np.abs(np.sin(np.deg2rad(2 * ANGLES)))
DENSITY = Density(ANGLES, PRIOR, 180.0, "deg")


@pytest.mark.parametrize("q", [0.5, 1.0, 2.0])
def test_a_power_law_code_has_its_exponent(q: float) -> None:
    found = compare_with_prior(3 * PRIOR ** (q / 2), ANGLES, DENSITY)
    assert found.slope == pytest.approx(q / 2)
    assert found.slope_low == pytest.approx(q / 2)
    assert found.slope_high == pytest.approx(q / 2)
    assert (found.q, found.q_low, found.q_high) == pytest.approx((q, q, q))
    assert found.r > 0.99
    assert found.r_turned < -0.9
    assert found.r_ceiling == 1


def test_correlations_are_those_of_least_squares() -> None:
    generator = np.random.default_rng(0)
    a, b, given = generator.normal(size=(3, 40)) + 5
    a += given
    b -= given
    assert correlation(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])
    rest = [y - np.polyval(np.polyfit(given, y, 1), given) for y in (a, b)]
    assert partial_correlation(a, b, given) == pytest.approx(np.corrcoef(*rest)[0, 1])
    two = np.column_stack([given, generator.normal(size=40) + 5])
    design = np.column_stack([np.ones(40), two])
    rest = [y - design @ np.linalg.solve(design.T @ design, design.T @ y) for y in (a, b)]
    assert partial_correlation(a, b, two) == pytest.approx(np.corrcoef(*rest)[0, 1])
    assert slope(np.exp(a), np.exp(b)) == pytest.approx(np.polyfit(b, a, 1)[0])


def test_what_is_flat_has_no_correlation_and_explains_nothing() -> None:
    flat = np.full(36, 2.0) + 1e-6 * np.random.default_rng(0).normal(size=36)
    assert np.isnan(correlation(flat, PRIOR))
    sensitivity = PRIOR + 0.1 * np.random.default_rng(1).normal(size=36)
    assert partial_correlation(sensitivity, PRIOR, flat) == correlation(sensitivity, PRIOR)


def test_turns_keep_what_they_turn() -> None:
    curve = np.random.default_rng(0).normal(size=36)
    turned = turns(curve)
    assert turned.shape == (TURNS, 36)
    for step in range(36):
        assert turned[step * TURNS // 36] == pytest.approx(np.roll(curve, step))
    smooth = 2 + np.cos(np.deg2rad(2 * ANGLES - 40)) + np.sin(np.deg2rad(6 * ANGLES))
    by = 180 / TURNS * 7
    expected = 2 + np.cos(np.deg2rad(2 * (ANGLES - by) - 40)) + np.sin(np.deg2rad(6 * (ANGLES - by)))
    assert turns(smooth)[7] == pytest.approx(expected)


def test_turns_tell_a_shape_from_smoothness() -> None:
    # A quarter turn is the same prior: two of the turns do as well, and none can do better.
    assert turned_p_value(PRIOR, PRIOR) == pytest.approx((2 / TURNS, 2 / TURNS))
    one_peak = np.exp(np.cos(np.deg2rad(2 * ANGLES)))
    assert turned_p_value(one_peak, one_peak) == pytest.approx((1 / TURNS, 1 / TURNS))
    assert turned_p_value(np.roll(one_peak, 18), one_peak)[1] == 1
    # Smooth curves of random phase: p is uniform, where an ordinary p-value would be small.
    generator = np.random.default_rng(0)
    values = []
    for _ in range(400):
        curve = 2 + np.cos(np.deg2rad(2 * ANGLES) + generator.uniform(0, 2 * np.pi))
        values.append(turned_p_value(curve, one_peak)[1])
    assert np.mean(np.array(values) <= 0.05) == pytest.approx(0.05, abs=0.03)


def test_what_goes_beyond_cardinal_peaks_is_told() -> None:
    cardinal = 3 + np.cos(np.deg2rad(4 * ANGLES))
    bumps = np.cos(np.deg2rad(2 * ANGLES - 30))
    mere = compare_with_prior(cardinal, ANGLES, Density(ANGLES, cardinal + 0.5 * bumps, 180.0, "deg"))
    assert mere.r > 0.8
    assert np.isnan(mere.r_given_cardinal)  # All of it is cardinal.
    shared = cardinal + 0.5 * bumps + 0.1 * np.random.default_rng(0).normal(size=36)
    own = compare_with_prior(shared, ANGLES, Density(ANGLES, cardinal + 0.5 * bumps, 180.0, "deg"))
    assert own.r_given_cardinal > 0.9
    hue = compare_with_prior(shared, 2 * ANGLES, Density(2 * ANGLES, cardinal + bumps, 360.0, "deg"))
    assert np.isnan(hue.r_given_cardinal)


def test_the_ceiling_is_the_correlation_of_two_noisy_halves() -> None:
    generator = np.random.default_rng(0)
    noise = 0.2 * generator.normal(size=(2000, 2, 36))
    halves = PRIOR + noise
    seen = np.mean([correlation(a, b) for a, b in halves])
    # One curve without noise, one with: the root of the reliability that the halves share.
    found = np.mean([ceiling(a, np.full(36, 0.2), PRIOR) for a, _ in halves])
    assert found == pytest.approx(np.sqrt(seen), abs=0.02)
    both = np.mean([ceiling(a, np.full(36, 0.2), b, PRIOR + noise[:200, 0]) for a, b in halves])
    assert both == pytest.approx(seen, abs=0.03)
    assert ceiling(PRIOR, None, PRIOR) == 1


def test_values_without_a_density_are_left_out() -> None:
    sensitivity, density = PRIOR.copy(), PRIOR.copy()
    sensitivity[3], density[7] = np.nan, 0
    found = compare_with_prior(sensitivity, ANGLES, Density(ANGLES, density, 180.0, "deg"))
    assert found.n_values == 34
    assert np.isnan(found.p_turned)
    assert np.isnan(compare_with_prior(PRIOR[:3], ANGLES[:3], DENSITY).r)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published test, at one frequency: trained against untrained."""
    path = tmp_path_factory.mktemp("coding") / "results.parquet"
    parts = [
        psychophys.measure(
            weights=weights,
            values=24,
            parameters={"phase": 2, "frequency": 8.96},
            layers=["blocks.5", "blocks.6", "conv_head"],
            device="cpu",
        )
        for weights in ("pretrained", "random")
    ]
    psychophys.concat(parts).write(path)
    return path


def test_trained_sensitivity_goes_with_natural_images_and_untrained_does_not(results: Path) -> None:
    table = compare(psychophys.read(results))
    layers = table[table["layer"] != PIXELS]
    assert (layers[layers["weights"] == "pretrained"]["r"] > 0.75).all()
    assert (layers[layers["weights"] == "random"]["r"].abs() < 0.4).all()
    assert (layers[layers["weights"] == "pretrained"]["p_turned"] < 0.05).all()
    assert (layers[layers["weights"] == "pretrained"]["random_n"] == 1).all()
    assert (layers[layers["weights"] == "pretrained"]["random_p"] == 0.5).all()
    said = conclusions(table)
    assert "one untrained network is no test (p cannot be under 0.5): measure 18 more, 19 in all" in said[0]
    assert "(random): r with the prior is" in said[1]
    assert said[2].endswith("(random) is untrained itself: a control for trained networks, and no test.")
    assert "not tested" not in " ".join(said)


@pytest.mark.slow
def test_the_verdict_does_not_depend_on_the_order_of_values() -> None:
    said = []
    for values in (np.arange(0, 180, 7.5), np.arange(0, 180, 7.5)[::-1]):
        table = psychophys.measure(
            "test_resnet",
            weights="random",
            values=list(values),
            parameters={"phase": 2},
            layers="layer4",
            device="cpu",
        )
        said.append(compare(table)[["layer", "r", "p_turned", "slope", "slope_low"]])
    first, second = (frame.set_index("layer") for frame in said)
    assert first.to_numpy() == pytest.approx(second.to_numpy(), rel=1e-4, nan_ok=True)


def test_verdicts_say_where_there_is_too_little() -> None:
    settings = {"parameters": {"phase": 1}, "device": "cpu"}
    alone = conclusions(compare(psychophys.measure(values=12, layers="blocks.5", **settings)))
    assert "Whether training contributes is not tested" in alone[1]
    assert "--weights pretrained,random --seeds 19" in alone[1]
    small = {"model": "test_resnet", "weights": "random", "layers": "layer4", **settings}
    fewer = compare(psychophys.measure(values=4, **small))
    assert "too few values of orientation" in conclusions(fewer)[0]
    ends = compare(psychophys.measure(dimension="contrast", values=6, **small))
    assert set(ends["n_values"]) == {6}
    assert "against turns" not in conclusions(ends)[0]


def test_units_must_agree() -> None:
    table = psychophys.measure(
        "test_resnet",
        "image",
        "contrast",
        weights="random",
        values=3,
        parameters={"sample": [0]},
        device="cpu",
    )
    with pytest.raises(UsageError, match="measured in factor, the prior in Michelson"):
        compare(table)


def test_the_pixel_baseline_is_that_of_the_image() -> None:
    table = psychophys.measure(
        "test_resnet", "patch", weights="random", values=24, layers="layer1", device="cpu"
    )
    [record] = table.runs.values()
    pixels = pixel_sensitivity(record)
    # Along the HSV ring at saturation 1 and value 0.8, one channel moves by 0.8 in 60 deg.
    height, width = record["input_size"]
    assert pixels == pytest.approx(np.full(24, 0.8 / 60 * np.sqrt(height * width)), rel=1e-4)


def test_a_prior_that_says_nothing_of_the_dimension_is_refused() -> None:
    table = psychophys.measure("test_resnet", weights="random", dimension="phase", values=4, device="cpu")
    with pytest.raises(UsageError, match="says nothing of phase"):
        compare(table)


def test_compare_writes_tables_and_figures(results: Path, tmp_path: Path) -> None:
    for kind in ("png", "svg", "pdf"):
        words = ["compare", results, "-o", "coding.parquet", "--figure", f"coding.{kind}"]
        done = call_inside(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / f"coding.{kind}").stat().st_size > 5000
    text = done.stderr.decode()
    assert "orientation against imagenet-sample" in " ".join(text.split())
    assert "one untrained network is no test" in " ".join(text.split())
    assert len(pd.read_parquet(tmp_path / "coding.parquet")) == 8
    done = call_inside("compare", results, "--prior", "wei-stocker-2015", "-o", "-", "-q", cwd=tmp_path)
    assert done.stdout.decode().startswith('"run_id"')
    assert not done.stderr


def test_plot_draws_every_run(results: Path, tmp_path: Path) -> None:
    done = call_inside("plot", results, "-o", "thresholds.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "thresholds.png") as figure:
        assert figure.width == 2100
        assert figure.height > 1000


def test_too_many_runs_for_a_figure_are_refused(results: Path) -> None:
    read = psychophys.read(results)
    frame = read.to_pandas()
    many = pd.concat([frame.assign(run_id=f"run {i}") for i in range(MOST_RUNS + 1)])
    table = psychophys.Results(pa.Table.from_pandas(many), {})
    with pytest.raises(UsageError, match=f"{MOST_RUNS + 1} runs are too many"):
        plot_thresholds(table)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["compare", "RESULTS", "--prior", "imagenet"], ["'imagenet'", "imagenet-sample"]),
        (["compare", "RESULTS", "--scale", "2"], ["no scale 2", "1.5"]),
        (["compare", "RESULTS", "--figure", "x.jpg"], ["'x.jpg'", ".svg"]),
        (["compare", "none.parquet"], ["'none.parquet'"]),
        (["plot", "RESULTS", "-o", "no/x.png"], ["'no'", "Create it"]),
        (["statistics", "none"], ["'none'"]),
        (["statistics", "."], ["no images"]),
        (["statistics", ".", "--rotate", "nan"], ["nan"]),
        (["measure", "--images", "none"], ["'none'"]),
        (["measure", "--stimulus", "gabor", "--images", "RESULTS"], ["gabor shows no images"]),
        (["measure", "--images", "RESULTS"], ["none of 1 images can be used"]),
    ],
)
def test_a_wrong_request_is_one_line(
    results: Path, tmp_path: Path, words: list[str], parts: list[str]
) -> None:
    done = call_inside(*(str(results) if w == "RESULTS" else w for w in words), cwd=tmp_path)
    text = done.stderr.decode()
    assert done.returncode == 2, text
    assert len(text.splitlines()) == 1
    for part in parts:
        assert part in text
    assert not list(tmp_path.iterdir())


def test_statistics_from_the_command_line(tmp_path: Path) -> None:
    for i in range(3):
        Image.effect_noise((90, 70), 40 + i).save(tmp_path / f"{i}.png")
    (tmp_path / "bad.jpg").write_bytes(b"bad")
    done = call_inside("statistics", ".", "-o", "prior.parquet", "--title", "noise", cwd=tmp_path)
    text = done.stderr.decode()
    assert done.returncode == 0, text
    assert "1 of 4 could not be used" in text
    assert "bad.jpg" in text
    assert "3 images counted" in text
    assert psychophys.load_prior(tmp_path / "prior.parquet").meta["summary"] == "noise"
    assert not (tmp_path / "prior.parquet.partial").exists()
    done = call_inside("priors", cwd=tmp_path)
    assert b"imagenet-sample" in done.stdout


@pytest.mark.parametrize(
    "settings",
    [
        {"noise": "poisson", "noise_options": {"rectify": 1}},
        {"noise": "input", "noise_options": {"iterations": 1}},
        {"noise_options": {"differential": 100.0}},
        {"precision": 0.5, "parameters": {"phase": 2}},
    ],
)
def test_the_pixels_baseline_does_not_depend_on_the_noise_model(settings: dict) -> None:
    usual = {"values": 12, "layers": "fc", "weights": "random", "parameters": {"phase": 2}}
    (plain,) = psychophys.measure("test_resnet", **usual).runs.values()
    (other,) = psychophys.measure("test_resnet", **{**usual, **settings}).runs.values()
    expected, found = pixel_sensitivity(plain), pixel_sensitivity(other)
    assert expected is not None
    assert found == pytest.approx(expected, rel=1e-2)
