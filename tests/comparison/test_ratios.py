"""Ratios of thresholds: what they are of, that intervals hold what they promise, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from inside import call_inside

import psychophys
from psychophys.base.errors import UsageError
from psychophys.comparison.ratio_table import side_of_one, times
from psychophys.comparison.ratios import half_of_jackknife, in_activation_units, threshold_ratios
from psychophys.measurement.batches import accumulate
from psychophys.measurement.intervals import leaving_out
from psychophys.measurement.thresholds import Done
from psychophys.noise.models import NOISE
from psychophys.observers.layers import select_layers

Two = tuple[psychophys.Results, psychophys.Results]
SHOWN: dict[str, Any] = {
    "values": [0.0, 45.0, 100.0],
    "parameters": {"phase": 8},
    "layers": ["layer2.0", "fc"],
}


def measured(seed: int = 0, model: str = "test_resnet", **other: Any) -> psychophys.Results:
    return psychophys.measure(model, weights="random", seed=seed, **{**SHOWN, **other})


@pytest.fixture(scope="module")
def two() -> Two:
    return measured(0), measured(1)


def test_weights_leave_out_one_level_in_all_samples_of_it() -> None:
    weights = leaving_out([2, 3], 1)
    np.testing.assert_allclose(weights[0], [0, 0.25, 0.25, 0, 0.25, 0.25])
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_allclose(leaving_out([2, 3], 0)[1], [1 / 3, 1 / 3, 1 / 3, 0, 0, 0])


def test_the_jackknife_of_a_mean_is_its_t_interval() -> None:
    values = np.array([1.0, 2.0, 4.0, 8.0])
    left_out = {"phase": leaving_out([4], 0) @ values}
    from scipy.stats import t

    low, high = t.interval(0.9, 3, values.mean(), values.std(ddof=1) / 2)
    assert half_of_jackknife(left_out, 0.9) == pytest.approx((high - low) / 2)
    assert np.isnan(half_of_jackknife({}, 0.9))


def test_ratios_are_those_of_a_calculation_by_hand(
    two: Two,
) -> None:
    found = threshold_ratios(*two).to_pandas()
    a, b = (table.to_pandas().pivot_table("threshold", "layer", "value", sort=False) for table in two)
    expected = np.exp(np.log(b).mean(axis=1) - np.log(a).mean(axis=1))
    np.testing.assert_allclose(found["ratio"], expected, rtol=1e-12)
    assert list(found["layer_a"]) == SHOWN["layers"] == list(found["layer_b"])
    assert set(found["paired_over"]) == {"phase"}
    # The second phase left out of both: as if it had not been shown.
    phases = psychophys.plan(**SHOWN).parameters["phase"]
    rest = {"parameters": {"phase": [*phases[:1], *phases[2:]]}}
    without = threshold_ratios(measured(0, **rest), measured(1, **rest)).to_pandas()
    left_out = [next(iter(table.runs.values()))["left_out"] for table in two]
    for layer, ratio in zip(SHOWN["layers"], without["ratio"], strict=True):
        mine, others = (np.array(one[layer]["phase"]) for one in left_out)
        assert others[1] - mine[1] == pytest.approx(np.log(ratio), abs=1e-5)
    half = half_of_jackknife({"phase": others - mine}, 0.95)
    assert np.log(found["ratio_high"] / found["ratio"]).iloc[-1] == pytest.approx(half)


def test_d_prime_and_sides_do_not_matter(two: Two) -> None:
    found = threshold_ratios(*two).to_pandas()
    other = threshold_ratios(two[1], measured(0, dprime=2.0)).to_pandas()
    np.testing.assert_allclose(found["ratio"] * other["ratio"], 1)
    np.testing.assert_allclose(found["ratio_low"] * other["ratio_high"], 1, rtol=1e-6)


def simulate(
    generator: np.random.Generator, levels: int, shared: float, scale: float
) -> tuple[float, float, float]:
    """Log ratio over the samples, half-width of its paired interval, and of one of each curve by itself.

    J of both is log-normal over samples: of a part that both share, one of each curve, one of each value.
    """
    common, own = generator.normal(size=(levels, 1)), generator.normal(size=(2, levels, 1))
    rest = generator.normal(size=(2, levels, 5))
    j = np.exp(scale * (np.sqrt(shared) * common + np.sqrt(1 - shared) * (own + rest) / np.sqrt(2)))
    weights = leaving_out([levels], 0)
    logs = [-np.log(weights @ one).mean(axis=1) / 2 for one in j]
    whole = [float(-np.log(one.mean(axis=0)).mean() / 2) for one in j]
    alone = [half_of_jackknife({"sample": one}, 0.95) for one in logs]
    return (
        whole[1] - whole[0],
        half_of_jackknife({"sample": logs[1] - logs[0]}, 0.95),
        float(np.hypot(*alone)),
    )


@pytest.mark.parametrize(("scale", "least"), [(0.3, 0.93), (0.8, 0.89)])
@pytest.mark.parametrize("shared", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("levels", [8, 16, 64])
def test_paired_intervals_cover_the_ratio(levels: int, shared: float, scale: float, least: float) -> None:
    """Both networks are as good in the long run: the log ratio is 0.

    J varies over samples by 0.3 of itself, as over phases, or by 0.8, where few samples miss the largest.
    """
    generator = np.random.default_rng(levels)
    found = np.array([simulate(generator, levels, shared, scale) for _ in range(1000)])
    coverage = float((np.abs(found[:, 0]) <= found[:, 1]).mean())
    assert least <= coverage <= 0.975, coverage
    if shared == 0.9:  # What pairing is for.
        assert np.median(found[:, 1]) < 0.6 * np.median(found[:, 2])


@pytest.mark.slow
def test_intervals_of_real_networks_cover_the_ratio_of_many_images() -> None:
    """Noise images: intervals from 16 against the ratio of 384 of them."""
    many, few = 384, 16
    settings = {"values": [0.0, 45.0], "layers": ["layer2.0", "fc"]}
    whole = psychophys.plan("noise", parameters={"sample": many}, **settings)
    part = psychophys.plan("noise", parameters={"sample": few}, **settings)
    done = []
    for seed in (0, 1):
        network = psychophys.load_observer("test_resnet", weights="random", seed=seed)
        layers = select_layers(network, settings["layers"]).layers
        done.append(Done(whole, layers, accumulate(whole, network, layers)[0]))
    truth = [[-np.log(one.information(layer)).mean() / 2 for layer in one.layers] for one in done]
    generator = np.random.default_rng(0)
    covered = []
    for _ in range(200):
        rows = list(generator.choice(many, few, replace=False))
        drawn = [Done(part, one.layers, one.sums.extended(one.sums, rows)) for one in done]
        for place, layer in enumerate(drawn[0].layers):
            mean = [-np.log(one.information(one.layers[place])).mean() / 2 for one in drawn]
            left = [np.array(one.left_out[layer.name]["sample"]) for one in drawn]
            error = mean[1] - mean[0] - (truth[1][place] - truth[0][place])
            covered.append(abs(error) <= half_of_jackknife({"sample": left[1] - left[0]}, 0.95))
    assert 0.90 <= np.mean(covered) <= 0.985, np.mean(covered)


def test_samples_that_differ_are_taken_for_independent(
    two: Two,
) -> None:
    other = threshold_ratios(two[0], measured(1, parameters={"phase": 7}))
    found, paired = other.to_pandas(), threshold_ratios(*two).to_pandas()
    assert set(found["paired_over"]) == {""}
    assert (found["ratio_low"] < found["ratio"]).all()
    assert (
        np.log(found["ratio_high"] / found["ratio_low"]) > np.log(paired["ratio_high"] / paired["ratio_low"])
    ).all()
    said = " ".join(other.conclusions())
    assert "take the nuisance samples of both for independent" in said
    assert "was not shown what" in said
    assert "phase differ" in said
    few = threshold_ratios(*(measured(seed, parameters={"phase": 2}) for seed in (0, 1)))
    assert few.to_pandas()["ratio_low"].isna().all()
    assert "No intervals" in few.conclusions()[-1]


def test_layers_are_matched_by_name_or_by_the_nearest_depth() -> None:
    vit = measured(0, "test_vit2", layers="default")
    resnet = measured(0, layers="default")
    found = threshold_ratios(resnet, vit).to_pandas()
    depths = vit.to_pandas().groupby("layer")["layer_depth"].first()
    assert set(found["matched_by"]) == {"depth"}
    assert len(found) == min(len(depths), resnet.to_pandas()["layer"].nunique())
    if len(depths) >= resnet.to_pandas()["layer"].nunique():
        gap = np.abs(found["depth_a"].to_numpy()[:, None] - depths.to_numpy())
        np.testing.assert_allclose(np.abs(found["depth_a"] - found["depth_b"]), gap.min(axis=1))
    same = threshold_ratios(resnet, measured(1, layers="fc"))
    assert list(same.to_pandas()["layer_b"]) == ["fc"]
    forced = threshold_ratios(resnet, measured(1, layers="fc"), by_depth=True).to_pandas()
    assert list(forced["matched_by"]) == ["depth"]


@pytest.mark.parametrize("name", NOISE.own)
def test_noise_in_units_of_activation_is_known(name: str) -> None:
    assert in_activation_units(name) == (name in ("gaussian", "poisson"))
    assert in_activation_units("somebody's own")


def test_what_cannot_be_compared_is_refused_and_what_is_doubtful_is_said(
    two: Two,
) -> None:
    vit = {"model": "test_vit2", "layers": "default", "parameters": {"phase": 1}, "values": [0.0]}
    with pytest.raises(
        UsageError, match=r"test_resnet under relative noise 1 and test_vit2 under relative noise 2"
    ):
        threshold_ratios(two[0], measured(**vit, noise_level=2.0))
    gauss = {"noise": "gaussian", "parameters": {"phase": 1}, "values": [0.0]}
    with pytest.raises(
        UsageError, match=r"gaussian noise 1 is in units of activation, which test_resnet and"
    ):
        threshold_ratios(measured(**gauss), measured(**{**vit, **gauss}))
    said = threshold_ratios(measured(0, **gauss), measured(1, **gauss)).conclusions()
    assert any("goes with the size of each network's responses" in line for line in said)
    louder = threshold_ratios(two[0], measured(0, noise_level=2.0))
    np.testing.assert_allclose(louder.to_pandas()["ratio"], 2)
    np.testing.assert_allclose(louder.to_pandas()["ratio_high"], 2, rtol=1e-6)
    assert any("the ratio is of the noise, too" in line for line in louder.conclusions())
    assert not threshold_ratios(*two).pairs[0]["notes"][1:]
    with pytest.raises(UsageError, match="dimension orientation in one and contrast in the other"):
        threshold_ratios(two[0], measured(dimension="contrast", values=2, parameters={"phase": 1}))
    with pytest.raises(UsageError, match="no value in common"):
        threshold_ratios(two[0], measured(values=[7.0], parameters={"phase": 1}))
    with pytest.raises(UsageError, match="one run alone"):
        threshold_ratios(two[0])
    with pytest.raises(UsageError, match="the mean of the samples in one, the sum in the other"):
        threshold_ratios(two[0], measured(pooling="sum"))


def test_one_run_against_several_and_several_by_network(
    two: Two,
) -> None:
    both = psychophys.concat(two)
    assert len(threshold_ratios(both).pairs) == 1
    louder = psychophys.concat(measured(seed, noise_level=3.0) for seed in (1, 0))
    found = threshold_ratios(both, louder)
    np.testing.assert_allclose(found.to_pandas()["ratio"], 3)
    assert len(found.pairs) == len(threshold_ratios(two[0], louder).pairs) == 2
    with pytest.raises(UsageError, match="no two of the same network"):
        threshold_ratios(both, psychophys.concat(measured(seed) for seed in (2, 3)))


def test_sentences_hold_with_one_layer_and_with_none(
    two: Two,
) -> None:
    (first, *_) = threshold_ratios(measured(0, layers="fc"), measured(1, layers="fc")).conclusions()
    assert first.startswith("test_resnet (random), seed 1 needs ")
    assert first.endswith("the difference in orientation that test_resnet (random), seed 0 needs, in fc.")
    (first, *_) = threshold_ratios(*two).conclusions()
    assert "over 2 layers matched by name: more in " in first
    table = two[0].table
    blind = table.set_column(
        table.schema.get_field_index("sensitivity"), "sensitivity", [np.zeros(len(table))]
    )
    nothing = threshold_ratios(psychophys.Results(blind, two[0].runs), two[1])
    assert "have no layer in which both have a threshold" in nothing.conclusions()[0]
    assert nothing.to_pandas()["ratio"].isna().all()


def test_files_of_earlier_versions_have_no_samples_to_pair(
    two: Two,
) -> None:
    def without(table: psychophys.Results) -> psychophys.Results:
        runs = {
            run: {k: v for k, v in record.items() if k != "left_out"} for run, record in table.runs.items()
        }
        return psychophys.Results(table.table, runs)

    found = threshold_ratios(without(two[0]), two[1]).to_pandas()
    assert set(found["paired_over"]) == {""}
    assert found["ratio_low"].notna().all()


def test_the_command_writes_draws_and_says(two: Two, tmp_path: Path) -> None:
    for name, table in zip("ab", two, strict=True):
        table.write(tmp_path / f"{name}.parquet")
    words = ["versus", "a.parquet", "b.parquet", "-o", "r.parquet", "--figure", "r.png"]
    done = call_inside(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not done.stdout
    assert b"the difference in orientation that" in done.stderr
    read = psychophys.Ratios.read(tmp_path / "r.parquet")
    pd.testing.assert_frame_equal(read.to_pandas(), threshold_ratios(*two).to_pandas())
    assert (tmp_path / "r.png").read_bytes()[:4] == b"\x89PNG"
    assert call_inside(*words, "-q", cwd=tmp_path).stderr == b""
    piped = call_inside("versus", "b.parquet", "a.parquet", "-o", "-", "-q", cwd=tmp_path)
    assert piped.stdout.startswith(b'"pair","run_id_a"')
    refused = call_inside("versus", "b.parquet", "a.parquet", "-o", "a.parquet", cwd=tmp_path)
    assert refused.returncode == 2


@pytest.mark.parametrize(
    ("ratio", "side"),
    [(1.0003, 0), (0.9999, 0), (1.004, 0), (0.994, -1), (1.006, 1), (np.nan, 0), (0.02, -1)],
)
def test_a_ratio_that_is_shown_as_one_is_on_neither_side(ratio: float, side: int) -> None:
    assert side_of_one(ratio, times) == side
