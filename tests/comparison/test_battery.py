"""A network beside all of people's data: what is measured, and what is made of it."""

from __future__ import annotations

import copy
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from inside import call_inside
from torch import nn

import psychophys
from psychophys import REFERENCES, BatteryResults, Observer, UsageError, load_observer
from psychophys.base.errors import MeasurementError
from psychophys.comparison.battery.plan import SCREEN, identify_battery, plan_battery
from psychophys.comparison.battery.run import run_battery
from psychophys.comparison.battery.table import finished
from psychophys.measurement.run import run
from psychophys.measurement.spec import Measurement
from psychophys.results.thresholds import Results

SOME = ("wei-stocker-2015", "foley-1994", "bradley-skottun-1987", "heeley-buchanan-smith-1990")


@pytest.fixture(scope="module")
def observer() -> Observer:
    return load_observer("test_resnet", weights="random")


@pytest.fixture(scope="module")
def made(observer: Observer) -> tuple[BatteryResults, Results]:
    return run_battery(plan_battery(SOME, layers=["conv1.0", "layer4", "fc"]), observer)


def rows_of(found: BatteryResults, reference: str) -> pd.DataFrame:
    frame = found.to_pandas()
    return frame[frame["reference"] == reference].set_index("layer")


def rows_of_layer(found: BatteryResults, layer: str) -> pd.DataFrame:
    frame = found.to_pandas()
    return frame[frame["layer"] == layer]


def test_every_reference_with_a_recipe_is_measured() -> None:
    planned = plan_battery()
    assert {one.name for one in planned.references} == {
        n for n, r in REFERENCES.items() if r.recipe is not None
    }
    assert planned.display == SCREEN
    for part in planned.parts(224):
        assert part.measurements
        assert not part.left_out
        assert all(measurement.stimulus.display == SCREEN for measurement in part.measurements)


def test_values_that_cannot_be_shown_are_left_out() -> None:
    coarse = plan_battery(display={"pixels_per_degree": 20})  # 10 cycles/deg are the finest.
    parts = {part.reference.name: part for part in coarse.parts(224)}
    csf = parts["modelfest"].measurements
    shown = [measurement.parameters["frequency"][0] for measurement in csf]
    assert 5 < max(shown) <= 10
    assert "30" in parts["modelfest"].left_out or "22.6" in parts["modelfest"].left_out
    for part in parts.values():
        for measurement in part.measurements:
            measurement.check_size(224)
    assert not parts["wei-stocker-2015"].left_out


def test_numbers_are_those_of_the_thresholds(made: tuple[BatteryResults, Results]) -> None:
    found, thresholds = made
    every = thresholds.to_pandas()
    dips = every[(every["stimulus"] == "masked") & (every["layer"] == "layer4")]
    masker = {
        run: thresholds.runs[run]["measurement"]["parameters"]["masker_contrast"][0] for run in dips["run_id"]
    }
    at = dips["run_id"].map(masker).to_numpy(dtype=float)
    people = 1 / REFERENCES["foley-1994"].sensitivity(at, {})
    logs = np.log(dips["threshold"].to_numpy())
    row = rows_of(found, "foley-1994").loc["layer4"]
    assert row["n_values"] == len(at) == 10
    assert row["human_threshold"] == pytest.approx(np.exp(np.log(people).mean()))
    assert row["threshold"] == pytest.approx(np.exp(logs.mean()))
    assert row["ratio"] == pytest.approx(row["threshold"] / row["human_threshold"])
    assert row["correlation"] == pytest.approx(np.corrcoef(np.log(people), logs)[0, 1])
    assert row["mismatch"] == pytest.approx(np.exp(np.std(logs - np.log(people))))
    assert row["even_mismatch"] == pytest.approx(np.exp(np.std(np.log(people))))


def test_shapes_have_no_ratio_and_even_curves_no_correlation(made: tuple[BatteryResults, Results]) -> None:
    shape = rows_of(made[0], "wei-stocker-2015")
    assert shape[["human_threshold", "ratio", "matched_ratio"]].isna().all(axis=None)
    assert shape["mismatch"].notna().all()
    even = rows_of(made[0], "bradley-skottun-1987")
    assert even["correlation"].isna().all()
    assert even[["human_threshold", "ratio", "mismatch"]].notna().all(axis=None)


def test_one_noise_makes_ratios_one_on_average(made: tuple[BatteryResults, Results]) -> None:
    frame = made[0].to_pandas()
    for layer, rows in frame.groupby("layer"):
        logs = rows.assign(log=np.log(rows["matched_ratio"])).groupby(["stimulus", "dimension"])["log"].mean()
        assert logs.dropna().mean() == pytest.approx(0, abs=1e-9)
        known = made[0].layers().set_index("layer").loc[layer]
        assert known["misses"] == pytest.approx(np.exp(np.sqrt((logs.dropna() ** 2).mean())))
        assert (rows["matched_ratio"] / rows["ratio"]).dropna().to_numpy() == pytest.approx(known["noise_sd"])


def test_the_nearest_layer_has_the_least_mismatch(made: tuple[BatteryResults, Results]) -> None:
    for reference in ("wei-stocker-2015", "foley-1994", "bradley-skottun-1987"):
        rows = rows_of(made[0], reference)
        assert list(rows.index[rows["nearest"]]) == [rows["mismatch"].idxmin()]
    two = rows_of(made[0], "heeley-buchanan-smith-1990")  # Two values, and no curve.
    assert list(two.index[two["nearest"]]) == [np.log(two["matched_ratio"]).abs().idxmin()]


def test_a_layer_that_is_blind_to_some_values_is_not_the_nearest() -> None:
    """Of `blind` three of five values are known, and these are just as people's."""
    of = {"run_id": "r", "model": "m", "weights": "random", "stimulus": "gabor", "reference": "modelfest"}
    of |= {"kind": "absolute", "dimension": "contrast", "unit": "Michelson", "axis": "frequency"}
    seen = {"layer": "seen", "n_values": 5, "ratio": 2.0, "mismatch": 1.5}
    blind = {"layer": "blind", "n_values": 3, "ratio": 2.0, "mismatch": 1.0}
    frame = finished([of | seen, of | blind], {"r": {"left_out": {}}}).to_pandas().set_index("layer")
    assert frame["nearest"].to_dict() == {"seen": True, "blind": False}


def test_a_curve_no_nearer_than_an_even_one_does_not_go_as_people_s() -> None:
    of = {"run_id": "r", "model": "m", "weights": "random", "stimulus": "gabor", "reference": "modelfest"}
    of |= {"kind": "absolute", "dimension": "contrast", "unit": "Michelson", "axis": "frequency"}
    of |= {"layer": "fc", "n_values": 5, "ratio": 2.0, "correlation": 0.9, "even_mismatch": 2.0}
    for mismatch, words in ((1.5, "curve goes as people's"), (2.1, "curve does not go as people's")):
        found = finished([of | {"mismatch": mismatch}], {"r": {"left_out": {}}})
        assert words in " ".join(found.conclusions())


def test_whatever_shares_a_measurement_that_fails_says_so(
    observer: Observer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(measurement: Measurement, *given: Any, **more: Any) -> Results:
        if measurement.stimulus.name == "grating":
            raise MeasurementError("no gratings today")
        return run(measurement, *given, **more)

    monkeypatch.setattr("psychophys.comparison.battery.run.run", fails)
    planned = plan_battery(["campbell*", "burbeck*", "heeley*"], layers=["fc"])
    found, _ = run_battery(planned, observer)
    (record,) = found.runs.values()
    assert record["left_out"] == dict.fromkeys(("campbell-1970", "burbeck-regan-1983"), "no gratings today.")
    assert set(found.to_pandas()["reference"]) == {"heeley-buchanan-smith-1990"}


class Louder(nn.Module):
    def forward(self, responses: torch.Tensor) -> torch.Tensor:
        return 8 * responses


def test_how_loud_a_layer_is_plays_no_part(observer: Observer, made: tuple[BatteryResults, Results]) -> None:
    both = nn.Sequential(OrderedDict(network=copy.deepcopy(observer.model), louder=Louder()))
    size, mean, std = observer.input_size, observer.mean, observer.std
    louder = Observer(both, input_size=size, mean=mean, std=std, name="louder")
    found, _ = run_battery(plan_battery(SOME, layers=["louder"]), louder)
    loud, plain = found.to_pandas(), rows_of_layer(made[0], "fc")
    names = ["matched_ratio", "correlation", "mismatch"]
    np.testing.assert_allclose(loud[names], plain[names], rtol=1e-3)
    np.testing.assert_allclose(loud["noise_sd"], 8 * plain["noise_sd"], rtol=1e-3)
    np.testing.assert_allclose(loud["ratio"], plain["ratio"] / 8, rtol=1e-3)


def test_what_it_comes_to_is_said(made: tuple[BatteryResults, Results]) -> None:
    said = made[0].conclusions()
    assert all(sentence.startswith("test_resnet (random)") and sentence.endswith(".") for sentence in said)
    assert "misses people's thresholds by a factor of" in said[0]
    assert "nan" not in " ".join(said)
    alone = psychophys.battery("test_resnet", "foley-1994", weights="random", layers="fc")
    assert "no noise is matched" in alone.conclusions()[0]


def test_a_battery_is_read_and_named_again(
    observer: Observer, made: tuple[BatteryResults, Results], tmp_path: Any
) -> None:
    found, thresholds = made
    found.write(tmp_path / "b.parquet")
    again = BatteryResults.read(tmp_path / "b.parquet")
    assert again.table.equals(found.table)
    assert again.conclusions() == found.conclusions()
    (identifier,) = found.identifiers
    assert identifier == identify_battery(plan_battery(SOME, layers=["conv1.0", "layer4", "fc"]), observer)
    assert identifier != identify_battery(
        plan_battery(SOME[:2], layers=["conv1.0", "layer4", "fc"]), observer
    )
    assert set(found.runs[identifier]["measurements"]) == thresholds.identifiers


def test_a_part_of_a_display_leaves_the_rest_as_usual() -> None:
    assert plan_battery(display={"pixels_per_degree": 40}).display.gamma == SCREEN.gamma
    assert plan_battery(display="benjamin2022").display.luminance_cd_m2 is None


@pytest.mark.parametrize(
    ("references", "words"),
    [
        ("foly-1994", "Did you mean foley-1994"),
        ("nothing*", "unknown human reference"),
        ([""], "unknown"),
        (3, "references '3' are no names"),
        (["foley-1994", 3], "are no names"),
    ],
)
def test_unknown_references_are_said(references: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plan_battery(references)


def test_a_layer_that_is_not_there_is_a_request_that_is_wrong(observer: Observer) -> None:
    with pytest.raises(UsageError, match="unknown layer of test_resnet 'nosuch'"):
        psychophys.battery(observer, "heeley*", layers="nosuch")


@pytest.mark.parametrize("kept", ["both.parquet", "./both.parquet", "-"])
def test_thresholds_have_a_file_of_their_own(kept: str, tmp_path: Path) -> None:
    words = ["battery", "test_resnet", "--weights", "random", "--references", "heeley*", "--layers", "fc"]
    done = call_inside(*words, "-o", "both.parquet", "--thresholds", kept, cwd=tmp_path)
    assert done.returncode == 2
    assert "Name" in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_what_is_assumed_of_a_display_is_said(tmp_path: Path) -> None:
    words = [
        "battery",
        "test_resnet",
        "--weights",
        "random",
        "--references",
        "castlecsf-2024",
        "--layers",
        "fc",
    ]
    done = call_inside(*words, "--references", "castlecsf-2024", "--display", "desktop", cwd=tmp_path)
    said = " ".join(done.stderr.decode().split())
    assert "castlecsf-2024: a mean luminance of 40 cd/m2 is assumed, as the display does not say how" in said


def test_the_runs_that_lack_are_named_for_their_display() -> None:
    one = psychophys.measure(
        "test_resnet",
        weights="random",
        layers="fc",
        dimension="contrast",
        values=[0.01],
        parameters={"phase": 1},
        display=SCREEN,
    )
    with pytest.raises(
        UsageError, match="--pixels-per-degree 100 --luminance-cd-m2 80 --gamma srgb"
    ) as caught:
        psychophys.compare(one, human="castlecsf-2024")
    assert "for f in 1.12 2 " in str(caught.value)
