"""What a sweep will cost: learned from what was measured, or from one network that is timed."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import timm
from inside import call_inside

from psychophys.base.errors import UsageError
from psychophys.measurement.plan import plan
from psychophys.measurement.spec import Measurement
from psychophys.observers.names import Job
from psychophys.results.thresholds import Results, read
from psychophys.sweeps import forecast
from psychophys.sweeps.forecast import estimate
from psychophys.sweeps.past import EXAMINING_PASSES, LOADING_SECONDS, find_past, passes
from psychophys.sweeps.speed import Speed, errors_of_fit, fit, spread
from psychophys.sweeps.sweep import take_shard
from psychophys.sweeps.tasks import Task

MODELS = ("test_byobnet", "test_convnext", "test_resnet", "test_vit")
OTHER = "test_vit2"
QUICK = ["--weights", "random", "--values", "4", "--phases", "1", "--device", "cpu"]
PLAN = plan(values=4, parameters={"phase": 1})
LINE = Speed(0.5, 3e-9)
"""What the past is made to have taken."""


def task(model: str, measurement: Measurement = PLAN, seed: int = 0, **job: Any) -> Task:
    return Task(measurement, Job(model, "random", seed, **job), "cpu")


def operations(model: str) -> float:
    facts = forecast._operations_and_bytes(model)
    assert facts is not None
    return facts[0]


def change(path: Path, new: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Write a file again with other provenance."""
    table = pq.read_table(path)
    meta = json.loads(table.schema.metadata[Results.key])
    meta["runs"] = {name: new(record) for name, record in meta["runs"].items()}
    pq.write_table(table.replace_schema_metadata({Results.key: json.dumps(meta).encode()}), path)


def on_the_line(record: dict[str, Any]) -> dict[str, Any]:
    (one,) = (each for each in map(task, MODELS) if each.job.model == record["model"])
    return {**record, "task_seconds": LINE.seconds(operations(record["model"]) * passes(one))}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("measured")
    done = call_inside("sweep", *MODELS, *QUICK, "--engine", "serial", "-o", "out", cwd=folder)
    assert done.returncode == 0, done.stderr.decode()
    return folder / "out"


@pytest.fixture
def lined(measured: Path, tmp_path: Path) -> Path:
    """Real measurements whose times lie on the line."""
    shutil.copytree(measured, tmp_path / "lined")
    for path in (tmp_path / "lined").glob("*.parquet"):
        change(path, on_the_line)
    return tmp_path / "lined"


# --- the line ----------------------------------------------------------------------------------------


def test_times_on_a_line_give_that_line() -> None:
    x = np.array([1e6, 3e9, 2e10, 5e11])
    speed = fit(x, 0.7 + 2e-10 * x)
    assert (speed.fixed, speed.per_operation) == pytest.approx((0.7, 2e-10))
    assert errors_of_fit(["a", "b", "c", "d"], list(x), list(0.7 + 2e-10 * x)) == pytest.approx(1)


def test_no_part_of_a_time_is_negative() -> None:
    falling = fit([1.0, 2.0, 3.0], [3.0, 2.0, 1.0])
    assert falling.per_operation == 0
    assert falling.fixed == pytest.approx(2)
    through = fit([1e9, 2e9, 3e9], [0.5, 2.0, 3.5])
    assert through.fixed == 0
    assert fit([0.0, 0.0], [1.0, 3.0]).seconds(0) == pytest.approx(2)


def test_times_that_scatter_are_right_on_the_whole() -> None:
    generator = np.random.default_rng(1)
    x = 10 ** generator.uniform(8, 12, 40)
    y = (0.5 + 1e-10 * x) * np.exp(generator.normal(0, 0.7, 40))
    speed = fit(x, y)
    assert sum(map(speed.seconds, x)) == pytest.approx(y.sum())


def test_a_model_is_forecast_from_the_others_alone() -> None:
    x, y = [1e9, 1e9, 2e9, 4e9, 8e9], [3.0, 6.0, 2.0, 4.0, 8.0]
    errors = errors_of_fit(["odd", "odd", "a", "b", "c"], x, y)
    assert errors[:2] == pytest.approx([3, 6])
    assert np.abs(errors[2:] - 1).min() > 0.05


def test_a_range_holds_eight_of_ten_sums() -> None:
    generator = np.random.default_rng(0)
    parts = generator.uniform(1, 5, 20)
    held = []
    for _ in range(200):
        errors = np.exp(generator.normal(0, 0.5, 15))
        low, high = spread(list(parts), [errors] * len(parts))
        held.append(low <= (parts * np.exp(generator.normal(0, 0.5, 20))).sum() <= high)
    assert 0.7 < np.mean(held) < 0.9


def test_a_range_holds_the_forecast_and_is_nothing_where_nothing_was_off() -> None:
    assert spread([2.0, 3.0], [np.ones(4), np.ones(4)]) == pytest.approx((5, 5))
    low, high = spread([2.0, 3.0], [np.full(4, 2.0), np.full(4, 2.0)])
    assert (low, high) == pytest.approx((5, 10))


# --- what was measured -------------------------------------------------------------------------------


def test_provenance_keeps_the_time_with_loading_and_columns_do_not_know_it(
    measured: Path, tmp_path: Path
) -> None:
    for path in measured.glob("*.parquet"):
        (record,) = read(path).runs.values()
        assert record["task_seconds"] > record["seconds"] > 0
    again = call_inside("sweep", MODELS[0], *QUICK, "-o", "out", cwd=tmp_path)
    assert again.returncode == 0
    (path,) = (tmp_path / "out").glob("*.parquet")
    (record,) = read(path).runs.values()
    assert record["task_seconds"] > record["seconds"]
    assert read(path).table.equals(read(measured / path.name).table)


def test_past_is_read_without_rows(measured: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(measured, tmp_path / "damaged")
    for path in folder.glob("*.parquet"):
        content = bytearray(path.read_bytes())
        content[4:200] = bytes(196)
        path.write_bytes(content)
        with pytest.raises(UsageError, match="damaged"):
            read(path)
    past = find_past(folder, task(OTHER))
    assert sorted(one.model for one in past) == sorted(MODELS)
    assert {one.passes for one in past} == {passes(task(OTHER))}
    (folder / "cut.parquet").write_bytes(content[:100])
    (folder / "other.parquet").write_text("a,b\n")
    pq.write_table(pq.read_table(measured).replace_schema_metadata(None), folder / "foreign.parquet")
    assert find_past(folder, task(OTHER)) == past


@pytest.mark.parametrize(
    "other",
    [
        *({"dtype": "float64"}, {"arithmetic": "tf32"}, {"device": "cuda:0 (NVIDIA H100)"}),
        *({"machine": "Linux riscv64, 1 threads"}, {"measurement": None}, {"task_seconds": -1.0}),
        {"task_seconds": "long"},
    ],
    ids=str,
)
def test_other_conditions_and_nonsense_say_nothing(other: dict[str, Any], lined: Path) -> None:
    for path in lined.glob("*.parquet"):
        change(path, lambda record: {**record, **other})
    assert find_past(lined, task(OTHER)) == []
    assert find_past(lined, task(OTHER, plan(values=4, parameters={"phase": 1}, noise="gaussian"))) == []


def test_as_many_threads_go_first_where_there_are_enough(lined: Path) -> None:
    more = sorted(lined.glob("*.parquet"))[0]
    change(more, lambda record: {**record, "machine": record["machine"].partition(",")[0] + ", 999 threads"})
    assert len(find_past(lined, task(OTHER))) == 3
    next(path for path in lined.glob("*.parquet") if path != more).unlink()
    assert len(find_past(lined, task(OTHER))) == 3


def test_a_file_of_an_earlier_version_took_its_loading_besides(lined: Path) -> None:
    for path in lined.glob("*.parquet"):
        change(path, lambda record: {k: v for k, v in record.items() if k != "task_seconds"} | {"seconds": 7})
    assert {one.seconds for one in find_past(lined, task(OTHER))} == {7 + LOADING_SECONDS}


# --- forecasts ---------------------------------------------------------------------------------------


def test_networks_that_were_not_measured_are_on_the_line(lined: Path) -> None:
    guess = estimate([task(OTHER), task(OTHER, seed=1), task("test_convnext2")], "cpu", lined)
    work = [operations(model) * passes(task(OTHER)) for model in (OTHER, OTHER, "test_convnext2")]
    assert guess.seconds == pytest.approx(sum(map(LINE.seconds, work)))
    assert (guess.low, guess.high) == pytest.approx((guess.seconds, guess.seconds))
    assert (guess.measured, guess.timed) == (len(MODELS), False)
    assert not guess.larger
    assert estimate([task("resnet18")], "cpu", lined).larger


def test_a_network_that_was_measured_takes_its_own_time(lined: Path) -> None:
    (slow,) = lined.glob(f"{MODELS[0]}--*.parquet")
    change(slow, lambda record: {**record, "task_seconds": 100.0})
    assert estimate([task(MODELS[0], seed=3)], "cpu", lined).seconds == pytest.approx(100)
    for path in lined.glob("*.parquet"):
        if path != slow:
            path.unlink()
    alone = estimate([task(MODELS[0], seed=3)], "cpu", lined)
    assert alone.seconds == pytest.approx(100)
    assert (alone.measured, alone.timed) == (1, False)
    assert math.isnan(alone.low)


def test_more_images_take_more_of_what_is_not_fixed(lined: Path) -> None:
    wide = plan(values=12, parameters={"phase": 2})
    images = [passes(task(MODELS[0], one)) - EXAMINING_PASSES for one in (PLAN, wide)]
    assert images == pytest.approx([4 * PLAN.estimator.passes, 24 * PLAN.estimator.passes])
    guess = estimate([task(MODELS[0], wide)], "cpu", lined)
    assert guess.seconds == pytest.approx(LINE.seconds(operations(MODELS[0]) * passes(task(OTHER, wide))))


def test_repeated_measurements_have_a_range_of_their_own(lined: Path) -> None:
    (path,) = lined.glob(f"{MODELS[0]}--*.parquet")
    others = [each for each in lined.glob("*.parquet") if each != path]
    for factor, other in zip((0.2, 1.0, 5.0), others, strict=True):
        change(other, lambda record, f=factor: {**record, "task_seconds": record["task_seconds"] * f})
    wide = estimate([task(MODELS[0], seed=9)], "cpu", lined)
    for seed in (1, 2):
        shutil.copy(path, lined / f"again-{seed}.parquet")
    narrow = estimate([task(MODELS[0], seed=9)], "cpu", lined)
    assert narrow.seconds == pytest.approx(narrow.low) == pytest.approx(narrow.high)
    assert wide.high > 1.5 * wide.low


def test_until_a_precision_is_reached_a_network_takes_what_it_took(lined: Path) -> None:
    precise = replace(PLAN, precision=0.1)
    for path in lined.glob("*.parquet"):
        change(
            path,
            lambda record: {
                **record,
                "task_seconds": 50.0,
                "measurement": {
                    **record["measurement"],
                    "precision": 0.1,
                    "parameters": {"phase": list(range(64))},
                },
            },
        )
    assert estimate([task(MODELS[0], precise)], "cpu", lined).seconds == pytest.approx(50)
    assert find_past(lined, task(MODELS[0])) == []


def test_too_few_networks_teach_nothing(lined: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "_seconds_per_operation", lambda _device: 1e-9)
    for path in sorted(lined.glob("*.parquet"))[2:]:
        path.unlink()
    for one in [*lined.glob("*.parquet")]:
        shutil.copy(one, lined / f"again-{one.name}")
    guess = estimate([task(OTHER)], "cpu", lined)
    assert (guess.measured, guess.timed) == (0, True)
    assert guess.seconds == pytest.approx(LOADING_SECONDS + operations(OTHER) * passes(task(OTHER)) * 1e-9)


def test_a_folder_on_this_machine_is_counted_as_the_network_it_is(tmp_path: Path, lined: Path) -> None:
    timm.models.save_for_hf(timm.create_model(OTHER, num_classes=7), str(tmp_path / "mine"))
    name = f"local-dir:{tmp_path / 'mine'}"
    facts, usual = forecast._operations_and_bytes(name), forecast._operations_and_bytes(OTHER)
    assert facts is not None
    assert usual is not None
    assert 0.9 < facts[0] / usual[0] < 1
    assert facts[1] < usual[1]
    guess = estimate([task(name)], "cpu", lined)
    assert guess.seconds == pytest.approx(LINE.seconds(facts[0] * passes(task(OTHER))))
    assert guess.download_bytes == 0


def test_what_is_left_alone_counts_and_the_line_says_what_it_rests_on(lined: Path) -> None:
    def said(*models: str) -> str:
        words = ("sweep", *models, *QUICK, "-o", lined, "--dry-run")
        done = call_inside(*words, cwd=lined.parent)
        assert done.returncode == 0, done.stderr.decode()
        return done.stderr.decode().splitlines()[-1]

    left = LINE.seconds(operations(OTHER) * passes(task(OTHER)))
    line = said(*MODELS, OTHER)
    shown = f"{left:.0f} s"
    assert (
        line == f"about {shown} ({shown} to {shown}), one at a time, from 4 measured here; 0.0 GB to download"
    )
    assert said(*MODELS) == "4 measurements: 4 done"
    assert said("resnet18").startswith("most of it is for larger networks")


def test_a_part_of_a_sweep_takes_its_part(lined: Path) -> None:
    tasks = [task(OTHER, seed=seed) for seed in range(6)]
    whole, part = (estimate(some, "cpu", lined) for some in (tasks, take_shard(tasks, "1/3")))
    assert part.seconds == pytest.approx(whole.seconds / 3)
