from pathlib import Path

import numpy as np
import pytest
import timm
import torch

import psychophys
from psychophys.base.errors import UsageError
from psychophys.cli.display import curve
from psychophys.cli.values import parse_list, parse_settings, parse_values
from psychophys.results.indices import is_cardinal, is_oblique
from psychophys.results.summary import conclusions, development, summarize


@pytest.fixture(scope="module")
def oriented() -> psychophys.Results:
    return psychophys.measure(values=12, layers=["conv_stem", "blocks.5", "blocks.6"])


def test_axes_are_the_grid_values_nearest_to_them() -> None:
    values = np.arange(0, 180, 5.0)
    assert list(values[is_cardinal(values)]) == [0, 90]
    assert list(values[is_oblique(values)]) == [45, 135]
    shifted = values + 2.5
    assert list(shifted[is_cardinal(shifted)]) == [2.5, 87.5, 92.5, 177.5]
    assert not is_oblique(np.array([0.0, 30.0, 60.0, 90.0])).any()


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
