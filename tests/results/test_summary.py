from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import timm
import torch
from rich.console import Console

import psychophys
from psychophys.base.errors import UsageError
from psychophys.cli.display import curve, print_ranking
from psychophys.cli.values import parse_list, parse_settings, parse_values
from psychophys.results import indices
from psychophys.results.indices import INDICES, is_at, is_ring
from psychophys.results.summary import cautions, conclusions, development, summarize


@pytest.fixture(scope="module")
def oriented() -> psychophys.Results:
    return psychophys.measure(values=8, layers=["conv_stem", "blocks.5", "blocks.6"])


def test_axes_are_the_values_at_them() -> None:
    values = np.arange(0, 360, 5.0)
    assert list(values[is_at(values, 0)]) == [0, 180]
    assert list(values[is_at(values, 135)]) == [135, 315]
    assert not is_at(values + 2.5, 0).any()


@pytest.mark.parametrize(
    ("values", "ring"),
    [
        (np.arange(13) * 180 / 13, True),
        (np.round(np.arange(13) * 180 / 13, 2), True),
        (np.arange(37)[::-1] * 180 / 37 - 90, True),
        (np.linspace(0, 180, 19), True),  # Both ends are one orientation.
        (np.arange(37) * 360 / 37, True),
        (np.arange(12) * 15.0, False),
        (np.arange(24) * 15.0, False),  # The same twelve, twice.
        (np.linspace(5, 175, 35), False),
        (np.array([0.0]), False),
    ],
)
def test_a_ring_is_enough_equal_steps_of_one_round(values: np.ndarray, ring: bool) -> None:
    assert is_ring(values) == ring


def smooth(angle_deg: np.ndarray) -> np.ndarray:
    """A curve that differs between all four axes, up to cos 12 theta."""
    t = np.deg2rad(angle_deg)
    return 2 + 0.1 * np.cos(2 * t - 0.3) + 0.5 * np.cos(4 * t) + 0.2 * np.cos(8 * t) + 0.1 * np.cos(12 * t)


@pytest.mark.parametrize("count", [13, 14, 18, 19, 37])
@pytest.mark.parametrize("first", [0.0, 1.7])
def test_a_smooth_curve_has_its_indices_on_grids_that_miss_the_axes(count: int, first: float) -> None:
    values = first + 180 * np.arange(count) / count
    cardinal, oblique = smooth(np.array([0, 90])).mean(), smooth(np.array([45, 135])).mean()
    curves = np.outer([1, 7], smooth(values))
    assert INDICES["cardinal_oblique_ratio"].compute(values, curves) == pytest.approx(cardinal / oblique)
    index = (cardinal - oblique) / (cardinal + oblique)
    assert INDICES["oblique_effect_index"].compute(values, curves) == pytest.approx(index)
    twice = np.append(values, values[0] + 180)
    assert INDICES["cardinal_oblique_ratio"].compute(twice, smooth(twice)) == pytest.approx(
        cardinal / oblique
    )


@pytest.mark.parametrize("values", [np.arange(4) * 45.0, np.arange(8) * 22.5, np.arange(36) * 5.0])
def test_values_at_the_axes_are_taken_as_they_are(values: np.ndarray) -> None:
    curves = np.random.default_rng(0).uniform(0.5, 2, (3, len(values)))
    cardinal, oblique = curves[:, values % 90 == 0], curves[:, values % 90 == 45]
    expected = cardinal.mean(axis=-1) / oblique.mean(axis=-1)
    assert (INDICES["cardinal_oblique_ratio"].compute(values, curves) == expected).all()


@pytest.mark.parametrize("count", [1, 3, 5, 6, 7, 9, 10, 11])
def test_too_few_values_have_no_ratio_and_not_a_wrong_one(count: int) -> None:
    values = 180 * np.arange(count) / count
    for name in ("cardinal_oblique_ratio", "oblique_effect_index"):
        assert np.isnan(INDICES[name].compute(values, np.ones((2, count)))).all()


def peaks(sd_deg: float) -> Callable[[np.ndarray], np.ndarray]:
    """Sensitivity that is twice as high at the cardinal axes, over so many degrees."""
    return lambda angle: 1 + np.exp(-0.5 * (((angle + 45) % 90 - 45) / sd_deg) ** 2)


@pytest.mark.parametrize(
    ("curve", "errors"),
    [
        (
            lambda angle: 1 + np.cos(np.deg2rad(4 * angle)) / 2 + np.cos(np.deg2rad(8 * angle)) / 5,
            (24, 0, 0, 0, 0),
        ),
        (lambda angle: 2 - np.abs(np.sin(np.deg2rad(2 * angle))), (-2, -8, -2, -2, -1)),
        (peaks(10), (2, -9, 0, 0, 0)),
        (peaks(7), (-8, -18, 0, -3, 0)),
        (peaks(5), (-15, -26, -5, -7, 0)),
    ],
)
def test_interpolated_ratios_are_off_by_what_the_documentation_says(
    monkeypatch: pytest.MonkeyPatch, curve: Callable[[np.ndarray], np.ndarray], errors: tuple[int, ...]
) -> None:
    monkeypatch.setattr(indices, "FEWEST_INTERPOLATED", 7)
    page = (Path(__file__).parents[2] / "docs" / "reference" / "indices.md").read_text()
    assert f"| {' | '.join(f'{error:+d} %' if error else '0' for error in errors)} |" in page
    cardinal, oblique = curve(np.array([0, 90])).mean(), curve(np.array([45, 135])).mean()
    for count, error in zip((7, 9, 13, 18, 37), errors, strict=True):
        values = 180 * np.arange(count) / count
        ratio = float(INDICES["cardinal_oblique_ratio"].compute(values, curve(values)))
        assert 100 * (ratio * oblique / cardinal - 1) == pytest.approx(error, abs=0.51)


def test_a_curve_that_is_interpolated_to_less_than_nothing_has_no_ratio() -> None:
    values = 180 * np.arange(18) / 18
    spike = np.where(values == 30, 1.0, 0.0)
    assert np.isnan(INDICES["cardinal_oblique_ratio"].compute(values, spike))


def test_trained_network_has_an_oblique_effect_in_its_last_blocks(oriented: psychophys.Results) -> None:
    ratio = summarize(oriented).set_index("layer")["cardinal_oblique_ratio"]
    assert ratio["blocks.5"] >= 1.5
    assert ratio["blocks.6"] >= 1.5
    assert ratio["conv_stem"] == pytest.approx(1, abs=0.02)


def test_untrained_network_has_none() -> None:
    # The ratio is of these values alone.
    table = psychophys.measure(
        values=4, layers=["blocks.5", "blocks.6"], weights="random", parameters={"phase": 4}
    )
    ratios = summarize(table)["cardinal_oblique_ratio"]
    assert np.allclose(ratios, 1, atol=0.05)


def test_development_keeps_runs_apart_that_differ_in_more_than_their_step(tmp_path: Path) -> None:
    for step in (1, 2, 10):
        model = timm.create_model("test_resnet")
        torch.save(model.state_dict(), tmp_path / f"epoch_{step}.pth")
    settings = {"values": 4, "parameters": {"phase": 1}, "layers": ["conv1", "fc"], "device": "cpu"}
    parts = [
        psychophys.measure("test_resnet", checkpoint=path, weights=weights, noise_level=level, **settings)
        for path in sorted(tmp_path.glob("*.pth"))
        for weights, level in (("pretrained", 1.0), ("shuffled", 1.0), ("pretrained", 2.0))
    ]
    results = psychophys.concat(parts)
    tables = development(results)
    assert len(tables) == 3
    frame = results.to_pandas()
    for (_, table), (weights, level) in zip(
        tables, (("checkpoint", 1.0), ("shuffled", 1.0), ("checkpoint", 2.0)), strict=True
    ):
        assert list(table.columns) == [1, 2, 10]
        assert list(table.index) == ["conv1", "fc"]
        run = frame[(frame["weights"] == weights) & (frame["noise_level"] == level) & (frame["step"] == 10)]
        mean = run[run["layer"] == "fc"]["threshold"].mean()
        assert table.loc["fc", 10] == pytest.approx(mean)
    [(title, table), *_] = development(results, steps=2)
    assert list(table.columns) == [1, 10]
    assert "2 of 3 shown" in title
    assert "step 10" in conclusions(parts[0])[0] or "step 1)" in conclusions(parts[0])[0]
    assert development(parts[0]) == []


def test_summary_numbers_come_from_the_rows(oriented: psychophys.Results) -> None:
    rows = oriented.to_pandas().query("layer == 'blocks.6'").set_index("value")
    row = summarize(oriented).set_index("layer").loc["blocks.6"]
    assert row["mean_threshold"] == pytest.approx(rows["threshold"].mean())
    assert row["cardinal_threshold"] == pytest.approx(rows.loc[[0.0, 90.0], "threshold"].mean())
    assert row["best_value"] == rows["sensitivity"].idxmax()
    assert row["best_worst_ratio"] == pytest.approx(rows["sensitivity"].max() / rows["sensitivity"].min())


def on_grid(values: np.ndarray) -> psychophys.Results:
    """A measurement whose sensitivity is the smooth curve."""
    network = torch.nn.Sequential(torch.nn.Flatten())
    observer = psychophys.Observer(network, input_size=(16, 16), mean=(0.5,) * 3, std=(0.5,) * 3, name="flat")
    table = psychophys.measure(observer, values=list(values), parameters={"phase": 1}, dprime=3)
    frame = table.to_pandas()
    frame["sensitivity"] = smooth(frame["value"].to_numpy())
    frame["threshold"] = 3 / frame["sensitivity"]
    return psychophys.Results(
        pa.Table.from_pandas(frame, schema=table.schema, preserve_index=False), table.runs
    )


def test_thresholds_at_the_axes_are_interpolated_too() -> None:
    measured, between = (on_grid(180 * np.arange(count) / count) for count in (36, 37))
    assert cautions(measured) == []
    [said] = cautions(between)
    assert "none of 37 orientations is at 90, 45, 135 deg, where sensitivity is interpolated" in said
    for name in ("cardinal_threshold", "oblique_threshold", "cardinal_oblique_ratio", "oblique_effect_index"):
        assert summarize(between)[name].item() == pytest.approx(summarize(measured)[name].item())


def test_a_ratio_that_there_is_not_has_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    few = on_grid(180 * np.arange(7) / 7)
    [said] = cautions(few)
    assert "none of 7 orientations is at 90, 45, 135 deg (no oblique threshold, and no ratio)" in said
    assert "it takes 13 in equal steps round 180 deg. Give --values 36, or another multiple of 4" in said
    assert np.isnan(summarize(few)["cardinal_oblique_ratio"].item())
    assert np.isnan(summarize(few)["oblique_threshold"].item())
    assert summarize(few)["cardinal_threshold"].item() == pytest.approx(3 / smooth(np.array(0.0)))
    assert "orientation is told apart in" in conclusions(few)[0]
    print_ranking(Console(width=200), few)
    assert capsys.readouterr().out.count("none of 7 orientations") == 1
    [said] = cautions(on_grid(np.linspace(5, 175, 35)))
    assert "at 0 deg (left out of the ratio)" in said


def test_conclusion_names_the_model_and_the_layer(oriented: psychophys.Results) -> None:
    (sentence,) = conclusions(oriented)
    assert sentence.startswith("tf_efficientnet_lite0 (pretrained): sensitivity at cardinal over oblique")
    assert "blocks." in sentence


def test_other_dimensions_say_where_sensitivity_is_best() -> None:
    table = psychophys.measure(stimulus="patch", values=[10, 100, 200], layers="blocks.0")
    (sentence,) = conclusions(table)
    best = summarize(table)["best_value"].item()
    assert f"highest at {best:g}" in sentence
    assert "cardinal_oblique_ratio" not in summarize(table)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"values": 4}, "in fc, sensitivity at cardinal over oblique orientations is"),
        ({"dimension": "contrast", "values": [0.5]}, "contrast is told apart in fc (mean threshold"),
    ],
)
def test_one_layer_and_one_value_make_a_sentence_of_their_own(settings: dict, words: str) -> None:
    table = psychophys.measure(
        "test_resnet", weights="random", layers="fc", parameters={"phase": 1}, **settings
    )
    (sentence,) = conclusions(table)
    assert words in sentence
    for empty in ("goes from", "most finely", "highest"):
        assert empty not in sentence


def test_curve_draws_height_from_zero() -> None:
    assert curve([0, 1, 2, 4], "01234567") == "0247"
    assert curve([0, 0], "01234567") == ""
    assert len(curve([1.0] * 100)) == 18


def test_values_on_the_command_line() -> None:
    assert parse_values("values", "36") == 36
    assert parse_values("values", "36.0") == [36.0]
    assert parse_values("values", "0, 45,90") == [0, 45, 90]
    assert parse_values("values", "0:90:3") == [0, 45, 90]
    assert parse_list("frequencies", "4") == [4.0]
    assert parse_settings(["contrast=0.5,1", "x=0"]) == {"contrast": [0.5, 1.0], "x": [0.0]}
    for bad in ("a", "1:2", "0:1:x"):
        with pytest.raises(UsageError, match="not a list of numbers"):
            parse_values("values", bad)
    with pytest.raises(UsageError, match="NAME=VALUES"):
        parse_settings(["contrast"])
