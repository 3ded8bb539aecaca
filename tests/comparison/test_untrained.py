"""The standing among untrained networks: p-values that hold, and verdicts within them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from psychophys.cli.tables.comparisons import print_comparison
from psychophys.comparison.untrained import familywise_p, rank_p, with_controls
from psychophys.comparison.verdict import (
    GOOD_P,
    conclusions,
    how_many_pass,
    kinds_of,
    passing,
    single_runs,
    still_to_measure,
)
from psychophys.comparison.zoo import over_models

LAYERS = ("early", "deep")


def is_one_of_several(found: pd.DataFrame, rows: pd.DataFrame) -> bool:
    tested = {run["run_id"].iloc[0] for run in single_runs(found)}
    return rows["run_id"].iloc[0] not in tested


def test_ranks_are_those_of_a_permutation_test() -> None:
    null = np.array([[0.1, 0.5], [0.2, 0.6], [0.3, 0.7], [0.4, 0.8]])
    assert rank_p(np.array([0.35, 0.9]), null) == pytest.approx([2 / 5, 1 / 5])
    assert rank_p(np.array([0.4, 0.8]), null) == pytest.approx([2 / 5, 2 / 5])  # Ties are against it.


def test_families_are_tested_by_their_largest_statistic() -> None:
    generator = np.random.default_rng(0)
    observed, null = generator.normal(size=4), generator.normal(size=(19, 4))
    every = np.vstack([observed, null])
    slow = []
    for layer in range(4):
        z = (every - every.mean(axis=0)) / every.std(axis=0, ddof=1)
        slow.append((1 + sum(max(z[k]) >= z[0, layer] for k in range(1, 20))) / 20)
    assert familywise_p(observed, null) == pytest.approx(slow)
    # A layer's own scale does not count.
    scale = np.array([1, 10, 0.1, 3])
    assert familywise_p(observed * scale, null * scale) == pytest.approx(slow)
    assert familywise_p(np.zeros(3), np.zeros((19, 3))) == pytest.approx(1)


@pytest.mark.parametrize("alike", [0.0, 0.9])
def test_over_many_layers_errors_are_as_rare_as_they_are_said_to_be(alike: float) -> None:
    generator, wrong = np.random.default_rng(0), 0
    for _ in range(2000):
        common = generator.standard_t(3, size=(21, 1))
        every = np.sqrt(alike) * common + np.sqrt(1 - alike) * generator.normal(size=(21, 13))
        wrong += familywise_p(every[0], every[1:]).min() <= 0.05
    assert 0.03 < wrong / 2000 < 0.062


def comparison(
    networks: Sequence[tuple[str, int]], r: Sequence[Sequence[float]], **more: Any
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Rows as :func:`psychophys.compare` makes them, and provenance."""
    rows, records = [], {}
    for (weights, seed), own in zip(networks, r, strict=True):
        run = f"{weights} {seed}"
        records[run] = {"model": "m", "measurement": {"values": [0.0]}, "input_size": [8, 8]}
        about = {"run_id": run, "model": "m", "weights": weights, "seed": seed, "checkpoint": None}
        about |= {
            "networks": 1,
            "step": np.nan,
            "stimulus": "gabor",
            "dimension": "orientation",
            "prior": "p",
        }
        rows.append({**about, "layer": "pixels", "layer_index": -1, "r": np.nan, "slope": 0.0})
        for index, (layer, value) in enumerate(zip(LAYERS, own, strict=True)):
            rows.append({**about, "layer": layer, "layer_index": index, "r": value, "slope": value / 2})
    frame = pd.DataFrame(rows).assign(
        n_values=36, slope_low=lambda f: f["slope"] - 0.1, q=lambda f: 2 * f["slope"]
    )
    frame = frame.assign(q_low=frame["q"] - 0.2, q_high=frame["q"] + 0.2, p_turned=0.01, r_ceiling=0.9)
    frame = frame.assign(r_given_cardinal=0.5, r_turned=-0.5)
    return frame.assign(**more), records


def spread(n: int, middle: float = 0.0) -> list[list[float]]:
    return [[x, middle + x] for x in np.linspace(-0.2, 0.2, n)]


def networks(n: int) -> list[tuple[str, int]]:
    return [("pretrained", 0), *(("random", seed) for seed in range(n))]


def test_a_trained_network_stands_among_untrained_ones() -> None:
    frame, records = comparison(networks(20), [[0.1, 0.9], *spread(20)])
    found = with_controls(frame, records)
    own = found[(found["weights"] == "pretrained") & (found["layer_index"] >= 0)].set_index("layer")
    assert list(own["random_n"]) == [20, 20]
    assert own["random_p"]["deep"] == own["random_p_slope"]["deep"] == pytest.approx(1 / 21)
    assert own["random_p_family"]["deep"] == pytest.approx(1 / 21)
    assert own["random_p"]["early"] == pytest.approx((1 + 5) / 21)
    assert own["random_r_low"]["deep"] == pytest.approx(-0.19, abs=0.01)
    assert own["random_r_high"]["deep"] == pytest.approx(0.19, abs=0.01)
    assert found[found["layer"] == "pixels"]["random_n"].isna().all()
    # Each untrained one is tested against the others.
    others = found[(found["weights"] == "random") & (found["layer"] == "deep")]
    assert set(others["random_n"]) == {19}
    assert sorted(others["random_p"]) == pytest.approx(np.arange(1, 21) / 20)
    assert list(passing(own.reset_index(), "random")["layer"]) == ["deep"]


def test_networks_that_were_measured_otherwise_do_not_count() -> None:
    frame, records = comparison(networks(3), [[0.1, 0.9], *spread(3)])
    records["random 0"]["measurement"] = {"values": [1.0]}
    records["random 1"]["model"] = "another"
    found = with_controls(frame, records)
    own = found[(found["weights"] == "pretrained") & (found["layer"] == "deep")].iloc[0]
    assert own["random_n"] == 1
    alone, known = comparison([("pretrained", 0)], [[0.1, 0.9]])
    assert "random_n" not in with_controls(alone, known)


def test_an_even_layer_of_an_untrained_network_goes_with_nothing() -> None:
    curves = [[0.1, 0.9], *spread(20)]
    curves[5] = [0.0, np.nan]
    frame, records = comparison(networks(20), curves)
    frame["slope"] = frame["slope"].fillna(0.0)  # An even curve has one; what was not measured has none.
    own = with_controls(frame, records)
    own = own[(own["weights"] == "pretrained") & (own["layer"] == "deep")].iloc[0]
    assert own["random_p"] == pytest.approx(1 / 21)
    assert (own["random_n"], own["random_n_without"]) == (20, 0)


@pytest.mark.parametrize("left_out", [False, True])
def test_a_layer_that_an_untrained_network_lacks_counts_against_the_tested_one(left_out: bool) -> None:
    curves = [[0.1, 0.9], *spread(20)]
    curves[5] = [0.0, np.nan]
    frame, records = comparison(networks(20), curves)
    if left_out:
        frame = frame[frame["r"].notna() | (frame["layer_index"] < 0)]
    found = with_controls(frame, records)
    own = found[(found["weights"] == "pretrained") & (found["layer_index"] >= 0)].set_index("layer")
    assert list(own["random_n_without"]) == [0, 1]
    assert own["random_p"]["deep"] == own["random_p_slope"]["deep"] == pytest.approx(2 / 21)
    assert own["random_p_family"]["deep"] == pytest.approx(2 / 21)
    assert own["random_p"]["early"] == pytest.approx((1 + 5) / 21)
    assert own["random_r_high"]["deep"] == pytest.approx(0.19, abs=0.01)
    assert "deep could not be measured in 1 of the untrained networks, which count against it" in " ".join(
        conclusions(found)
    )
    nowhere = with_controls(frame[(frame["layer"] != "deep") | (frame["weights"] == "pretrained")], records)
    own = nowhere[(nowhere["weights"] == "pretrained") & (nowhere["layer"] == "deep")].iloc[0]
    assert (own["random_p"], own["random_p_family"], own["random_n_without"]) == (1, 1, 20)
    assert np.isnan(own["random_r_low"])


def test_the_tested_network_may_be_untrained_itself() -> None:
    drawn = [("random", seed) for seed in range(21)]
    frame, records = comparison(drawn, [[0.1, 0.9], *spread(20)])
    assert not with_controls(frame, records)["tested"].any()
    found = with_controls(frame, records, {"random 0"})
    assert set(found[found["tested"]]["run_id"]) == {"random 0"}
    said = conclusions(found)
    assert said[0].startswith(
        "m (random): sensitivity to orientation goes with the prior more closely than in 20"
    )
    assert said[-1].startswith("m (20 random): r")


def test_of_many_networks_it_is_said_in_how_many_a_layer_passes() -> None:
    frames, records = [], {}
    for number, (count, deep) in enumerate([(20, 0.9), (20, 0.1), (5, 0.9)]):
        frame, own = comparison(networks(count), [[0.1, deep], *spread(count)])
        frame = frame.assign(model=f"m{number}", run_id=f"{number} " + frame["run_id"])
        frames.append(frame)
        records |= {f"{number} {run}": {**record, "model": f"m{number}"} for run, record in own.items()}
    found = with_controls(pd.concat(frames), records)
    assert how_many_pass(found) == [
        "1 of 2 networks go with the prior more closely than untrained ones of theirs in at least one layer "
        "(p <= 0.05 over all layers at once) (1 more have too few to tell)."
    ]
    alone, known = comparison([("pretrained", 0)], [[0.1, 0.9]])
    assert how_many_pass(with_controls(alone, known)) == []


@pytest.mark.parametrize(
    ("count", "trained", "parts"),
    [
        (20, [0.1, 0.9], ["more closely than in 20 untrained networks in 1 of 2 layers", "r 0.90, in deep"]),
        (20, [0.1, 0.15], ["in no layer (highest r 0.15, in deep; untrained there -0.19 to 0.19)"]),
        (20, [-0.4, 0.9], ["in deep; untrained there -0.19 to 0.19); lowest r -0.40, in early"]),
        (
            5,
            [0.1, 0.9],
            ["5 untrained networks are no test (p cannot be under 0.17): measure 14 more, 19 in all"],
        ),
        (
            1,
            [0.1, 0.9],
            [
                "one untrained network is no test",
                "r with the prior is 0.90 at most, in deep, and 0.10 at least",
            ],
        ),
    ],
)
def test_verdicts_stay_within_the_evidence(count: int, trained: list[float], parts: list[str]) -> None:
    frame, records = comparison(networks(count), [trained, *spread(count)])
    said = " ".join(conclusions(with_controls(frame, records)))
    for part in parts:
        assert part in said


@pytest.mark.parametrize(("count", "more"), [(0, 19), (1, 18), (18, 1), (19, 0), (25, 0)])
def test_as_many_are_lacking_as_make_a_p_that_can_be_small(count: int, more: int) -> None:
    frame, records = comparison(networks(count), [[0.1, 0.9], *spread(max(count, 1))[:count]])
    found = with_controls(frame, records)
    assert sum(still_to_measure(found).values()) == more
    if more == 0:
        assert found["random_p"].min() <= GOOD_P


def test_what_is_specific_is_said_of_the_best_layer() -> None:
    frame, records = comparison(networks(20), [[0.1, 0.9], *spread(20)], **{"r with another": 0.7})
    said = conclusions(with_controls(frame, records))
    assert said[1] == (
        "In deep: J goes with p^0.90 (0.70 to 1.10); noise leaves r 0.90 at most; turns of the curve do as "
        "well with p 0.010; r given cardinal peaks of any kind 0.50; r with it turned by a quarter -0.50; "
        "r with another 0.70."
    )
    assert said[2] == "m (20 random): r -0.20 to 0.20 over all layers and networks."


def test_a_slope_that_may_be_none_is_no_code() -> None:
    frame, records = comparison(networks(20), [[0.1, 0.9], *spread(20)], slope_low=-0.1)
    said = conclusions(with_controls(frame, records))
    assert "in no layer" in said[0]
    assert (
        "In deep r is as high against untrained networks (p <= 0.05), but the interval of the slope"
        in said[1]
    )


def test_one_network_of_a_kind_is_a_network_of_its_own() -> None:
    frame, records = comparison(networks(1), [[0.1, 0.9], *spread(1)])
    found = with_controls(frame, records)
    groups = [rows for _, rows in found.groupby("run_id", sort=False)]
    assert [is_one_of_several(found, rows) for rows in groups] == [False, False]
    assert [kinds_of(rows) for rows in groups] == [["random"], []]
    many = with_controls(*comparison(networks(2), [[0.1, 0.9], *spread(2)]))
    groups = [rows for _, rows in many.groupby("run_id", sort=False)]
    assert [is_one_of_several(many, rows) for rows in groups] == [False, True, True]


def test_one_network_in_two_dtypes_is_no_second_control() -> None:
    frame, records = comparison(networks(4), [[0.1, 0.9], *spread(4)])
    for run, record in records.items():
        record["dtype"] = "float64" if run in ("random 2", "random 3") else "float32"
    own = with_controls(frame, records)
    own = own[(own["weights"] == "pretrained") & (own["layer"] == "deep")].iloc[0]
    assert own["random_n"] == 2


def test_networks_that_took_samples_until_a_precision_are_alike() -> None:
    frame, records = comparison(networks(3), [[0.1, 0.9], *spread(3)])
    for count, record in zip((8, 16, 16, 32), records.values(), strict=True):
        parameters = {"phase": list(range(count)), "frequency": [4.0]}
        record["measurement"] = {"parameters": parameters, "precision": 0.05}
    records["random 0"]["measurement"]["parameters"]["frequency"] = [8.0]
    own = with_controls(frame, records)
    own = own[(own["weights"] == "pretrained") & (own["layer"] == "deep")].iloc[0]
    assert own["random_n"] == 2


def test_without_any_r_there_is_no_standing() -> None:
    frame, records = comparison(networks(3), [[np.nan, np.nan]] * 4, n_values=3)
    found = with_controls(frame, records)
    assert "random_n" not in found
    assert "nothing to compare (too few values" in conclusions(found)[0]


def test_shuffled_networks_have_the_weights_that_are_tested() -> None:
    shuffled = [("shuffled", seed) for seed in range(3)]
    frame, records = comparison([("checkpoint", 0), *shuffled], [[0.1, 0.9], *spread(3)])
    frame.loc[frame["run_id"].isin(["checkpoint 0", "shuffled 1", "shuffled 2"]), "checkpoint"] = "a.pth"
    own = with_controls(frame, records)
    assert own[(own["weights"] == "checkpoint") & (own["layer"] == "deep")]["shuffled_n"].item() == 2


def test_one_network_in_two_settings_is_one() -> None:
    frame, records = comparison([("random", 0), ("random", 1)], [[0.1, 0.9], [0.2, 0.3]])
    found = with_controls(frame.assign(seed=0), records)
    groups = [rows for _, rows in found.groupby("run_id", sort=False)]
    assert [is_one_of_several(found, rows) for rows in groups] == [False, False]


def test_human_sensitivity_is_no_prior() -> None:
    frame, records = comparison(networks(20), [[0.1, 0.9], *spread(20)])
    said = conclusions(with_controls(frame.drop(columns="prior").assign(reference="x"), records))
    assert said[1].startswith("In deep: J goes with (human sensitivity)^0.90")


def test_the_mean_over_models_is_of_different_ones_that_were_shown_the_same() -> None:
    q = np.array([0.5, 0.7, 0.9])
    ranking = pd.DataFrame({"model": ["a", "b", "c"], "q": q, "q_low": q - 0.1, "q_high": q + 0.1})
    ranking = ranking.assign(stimulus="gabor", dimension="orientation")
    assert over_models(ranking) is not None
    assert over_models(ranking.assign(model="a")) is None
    assert over_models(ranking.assign(dimension=["orientation", "hue", "hue"])) is None


def test_networks_without_controls_are_shown_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    frame, _ = comparison([("random", 0)] * 6, [[0.1, 0.9]] * 6, layer_depth=0.5)
    models = [f"m{number}" for number in range(6) for _ in range(3)]
    frame = frame.assign(model=models, run_id=models, tested=True)
    print_comparison(Console(width=200), frame)
    said = capsys.readouterr().out
    assert all(f"{model} (random)" in said for model in models)
