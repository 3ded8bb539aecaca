"""The efficient-coding test in one command: what it measures, keeps, goes on with and refuses."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from inside import call_inside
from PIL import Image

import psychophys
from psychophys.base.errors import MeasurementError, UsageError
from psychophys.comparison.table import Comparison
from psychophys.observers.names import make_jobs
from psychophys.sweeps.coding import add_controls, coding_test, evaluate, plan_coding, plan_test
from psychophys.sweeps.engines import Serial
from psychophys.sweeps.sweep import State
from psychophys.sweeps.tasks import Task


def planned(
    weights: str, controls: Sequence[str], seeds: int, checkpoint: Path | None = None, **settings: Any
) -> list[Task]:
    """Tasks of a test, the tested one first."""
    [job] = make_jobs(["test_resnet"], [weights], checkpoint=checkpoint)
    settings = {"values": 8, **settings}
    return add_controls([Task(plan_coding(**settings), job, "cpu")], controls, seeds)


SETTINGS = ("--values", "8", "--phases", "1", "--frequencies", "4", "--layers", "layer1,fc")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that no seed of the test gives."""
    torch.manual_seed(1234)
    file = tmp_path_factory.mktemp("coding") / "net.pth"
    torch.save(timm.create_model("test_resnet").state_dict(), file)
    return file


@pytest.fixture(scope="module")
def tested(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("tested")
    words = ("test", "test_resnet", "--checkpoint", str(checkpoint), "--seeds", "3", *SETTINGS)
    done = call_inside(*words, "-o", "out", cwd=folder)
    assert done.returncode == 0, done.stderr.decode()
    return folder, " ".join(done.stderr.decode().split())


def test_one_command_measures_compares_draws_and_concludes(tested: tuple[Path, str]) -> None:
    folder, said = tested
    assert sorted(p.name for p in (folder / "out").iterdir()) == [
        "coding.png",
        "comparison.parquet",
        "measured",
        "verdict.txt",
    ]
    assert "4/4 test_resnet net.pth random 2: 16 rows" in said
    assert "3 untrained networks are no test (p cannot be under 0.25): measure 16 more, 19 in all" in said
    verdict = (folder / "out" / "verdict.txt").read_text()
    assert " ".join(verdict.split()) in said
    comparison = psychophys.read_comparison(folder / "out" / "comparison.parquet")
    own = comparison[(comparison["weights"] == "checkpoint") & (comparison["layer_index"] >= 0)]
    assert list(own["layer"]) == ["layer1", "fc"]
    assert set(own["random_n"]) == {3}
    with Image.open(folder / "out" / "coding.png") as figure:
        assert figure.width == 2100
    # A folder of results is read as one table, by every command that reads such.
    results = psychophys.read(folder / "out" / "measured")
    assert len(results.runs) == 4
    pd.testing.assert_frame_equal(
        psychophys.compare(results).sort_values(["run_id", "layer_index"], ignore_index=True),
        comparison.sort_values(["run_id", "layer_index"], ignore_index=True),
    )


def test_a_test_goes_on_where_it_was(tested: tuple[Path, str], checkpoint: Path) -> None:
    folder, _ = tested
    files = sorted((folder / "out" / "measured").glob("*.parquet"))
    stamps = [file.stat().st_mtime_ns for file in files]
    files[0].unlink()
    words = ("test", "test_resnet", "--checkpoint", str(checkpoint), "--seeds", "3", *SETTINGS)
    done = call_inside(*words, "-o", "out", cwd=folder)
    assert done.returncode == 0
    assert "1/1 test_resnet" in done.stderr.decode()
    assert [file.stat().st_mtime_ns for file in files][1:] == stamps[1:]
    assert files[0].exists()


def test_a_directory_of_a_test_is_read_by_every_command(tested: tuple[Path, str]) -> None:
    folder, _ = tested
    assert len(psychophys.read(folder / "out").runs) == 4
    shown = call_inside("show", "out", cwd=folder)
    assert shown.returncode == 0
    assert " ".join((folder / "out" / "verdict.txt").read_text().split()) in " ".join(
        shown.stdout.decode().split()
    )
    compared = call_inside("compare", "out", cwd=folder)
    assert compared.returncode == 0
    assert "3 untrained networks are no test" in " ".join(compared.stderr.decode().split())


def test_another_test_does_not_take_the_place_of_one(
    tested: tuple[Path, str], checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path
    shutil.copytree(tested[0] / "out", folder / "out")
    before = (folder / "out" / "verdict.txt").read_text()
    words = ("test", "test_resnet", "--checkpoint", str(checkpoint), "--seeds", "2", "-o", "out")
    other = call_inside(*words, *SETTINGS[:-1], "layer2,fc", cwd=folder)
    assert other.returncode == 2
    assert "Replace it with --force, or name another output" in other.stderr.decode()
    assert (folder / "out" / "verdict.txt").read_text() == before
    # With other seeds it is the same test.
    assert call_inside(*words, *SETTINGS, "--prior", "wei-stocker-2015", cwd=folder).returncode == 2
    assert call_inside(*words, *SETTINGS, "-q", cwd=folder).returncode == 0
    assert "2 untrained networks" in (folder / "out" / "verdict.txt").read_text()


def test_measurements_at_once_are_the_same(
    tested: tuple[Path, str], checkpoint: Path, tmp_path: Path
) -> None:
    folder, _ = tested
    words = ("test", "test_resnet", "--checkpoint", str(checkpoint), "--seeds", "3", *SETTINGS)
    assert call_inside(*words, "-o", "out", "--jobs", "2", "-q", cwd=tmp_path).returncode == 0
    ours = psychophys.read_comparison(tmp_path / "out" / "comparison.parquet").set_index(["run_id", "layer"])
    other = psychophys.read(folder / "out").to_pandas().set_index(["run_id", "layer", "value"])
    again = psychophys.read(tmp_path / "out").to_pandas().set_index(["run_id", "layer", "value"])
    pd.testing.assert_frame_equal(again.sort_index(), other.sort_index())
    assert set(ours[ours["tested"]]["weights"]) == {"checkpoint"}


def test_an_untrained_network_can_be_tested(tmp_path: Path) -> None:
    words = ("test", "test_resnet", "--weights", "random", "--seeds", "2", *SETTINGS)
    assert call_inside(*words, "-q", cwd=tmp_path).returncode == 0
    [folder] = tmp_path.glob("coding-*")
    assert folder.name == "coding-test_resnet-random"
    verdict = (folder / "verdict.txt").read_text()
    assert "test_resnet (random): r with the prior is" in verdict
    assert "2 untrained networks are no test (p cannot be under 0.33)" in verdict


def test_controls_have_the_shapes_of_the_checkpoint(tmp_path: Path) -> None:
    torch.manual_seed(1234)
    network = timm.create_model("test_vit", num_classes=7, img_size=96)
    torch.save(network.state_dict(), tmp_path / "seven.pth")
    words = ("test", "test_vit", "--checkpoint", "seven.pth", "--seeds", "2", "--values", "8")
    more = ("--phases", "1", "--frequencies", "4", "--layers", "head", "-q")
    done = call_inside(*words, *more, "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    frame = psychophys.read(tmp_path / "out").to_pandas()
    assert set(frame["n_features"]) == {7}
    assert set(frame["weights"]) == {"checkpoint", "random"}
    own = psychophys.read_comparison(tmp_path / "out" / "comparison.parquet")
    assert set(own[own["tested"] & (own["layer"] == "head")]["random_n"]) == {2}


def test_from_python_it_is_the_same(tested: tuple[Path, str], checkpoint: Path) -> None:
    folder, _ = tested
    settings: dict[str, Any] = {"values": 8, "parameters": {"phase": 1, "frequency": 4.0}, "device": "cpu"}
    found = coding_test("test_resnet", checkpoint=checkpoint, seeds=3, layers=["layer1", "fc"], **settings)
    expected = psychophys.read_comparison(folder / "out" / "comparison.parquet")
    assert found.comparison["r"].to_numpy() == pytest.approx(expected["r"].to_numpy(), nan_ok=True, rel=1e-4)
    assert "\n".join(found.conclusions) + "\n" == (folder / "out" / "verdict.txt").read_text()
    assert not found.failures


def test_a_control_is_not_compared_with_itself() -> None:
    tasks = planned("random", ["random"], 3)
    assert [(task.job.weights, task.job.seed) for task in tasks] == [("random", n) for n in range(4)]
    both = planned("random", ["random", "shuffled"], 2)
    assert len({task.key for task in both}) == 5


@pytest.mark.parametrize(
    ("asked", "dimension", "preset", "samples"),
    [
        ({}, "orientation", "efficient-coding", 6),
        ({"dimension": "hue"}, "hue", "efficient-coding", 9),
        ({"stimulus": "patch-lch"}, "hue", "", 1),
        ({"stimulus": "grating"}, "orientation", "efficient-coding", 6),
        ({"dimension": "size"}, "size", "", 8),
        ({"preset": "benjamin2022"}, "orientation", "benjamin2022", 10),
        ({"parameters": {"phase": 4}}, "orientation", "efficient-coding", 12),
    ],
)
def test_the_usual_settings_are_taken_where_none_are_given(
    asked: dict[str, Any], dimension: str, preset: str, samples: int
) -> None:
    measurement = plan_coding(**asked)
    assert (measurement.dimension, measurement.preset) == (dimension, preset)
    assert len(measurement.samples) == samples


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["test", "no_such_net"], 2, "no_such_net"),
        (["test", "test_resnet", "--controls", "pretrained"], 2, "unknown controls 'pretrained'"),
        (["test", "test_resnet", "--controls", "randon"], 2, "'randon'"),
        (["test", "test_resnet", "--weights", "random,shuffled"], 2, "Test one"),
        (["test", "--prior", "nowhere"], 2, "'nowhere'"),
        (["test", "test_resnet", "--scale", "2"], 2, "no scale 2"),
        (["test", "test_resnet", "--dimension", "phase"], 2, "says nothing of phase"),
        (["test", "learned", "--checkpoint", "x.pt"], 2, "'x.pt'"),
        (["test", "test_resnet", "--jobs", "0"], 2, "0 jobs"),
        (["measure", "learned", "--weights", "random"], 2, "--controls shuffled"),
        (["measure", "test_resnet", "--seeds", "3"], 2, "which no seed decides"),
        (["measure", "test_resnet", "--weights", "random", "--seeds", "0"], 2, "0 seeds"),
    ],
)
def test_a_wrong_request_is_one_line(tmp_path: Path, words: list[str], code: int, part: str) -> None:
    done = call_inside(*words, cwd=tmp_path)
    assert done.returncode == code
    assert len(done.stderr.decode().splitlines()) == 1
    assert part in done.stderr.decode()
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_network_that_cannot_be_measured_is_said_to_be_that(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    words = ("test", "test_resnet", "--checkpoint", "other.pth", "--seeds", "1", *SETTINGS, "-q")
    done = call_inside(*words, "-o", "out", cwd=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.decode().splitlines()) == 1
    assert "other.pth" in done.stderr.decode()
    assert len(psychophys.read(tmp_path / "out" / "measured").runs) == 1  # The untrained one is kept.
    with pytest.raises((MeasurementError, UsageError)):
        coding_test("test_resnet", checkpoint=tmp_path / "other.pth", seeds=1, values=8, device="cpu")


def test_seeds_are_runs_of_their_own(tmp_path: Path) -> None:
    words = ("measure", "test_resnet", "--weights", "random", "--seed", "5", "--seeds", "3", *SETTINGS)
    assert call_inside(*words, "-o", "t.parquet", "-q", cwd=tmp_path).returncode == 0
    frame = psychophys.read(tmp_path / "t.parquet").to_pandas()
    assert sorted(frame["seed"].unique()) == [5, 6, 7]
    lone = psychophys.measure(
        "test_resnet",
        weights="random",
        seed=6,
        values=8,
        parameters={"phase": 1, "frequency": 4.0},
        layers=["layer1", "fc"],
        device="cpu",
    ).to_pandas()
    again = frame[frame["seed"] == 6]
    assert set(again["run_id"]) == set(lone["run_id"])
    np.testing.assert_array_equal(again["sensitivity"], lone["sensitivity"])


def test_shuffled_controls_are_of_the_checkpoint_that_is_tested(checkpoint: Path) -> None:
    tasks = planned("pretrained", ["random", "shuffled"], 2, checkpoint)
    assert [task.job.checkpoint for task in tasks] == [str(checkpoint)] * 5


def test_a_tested_network_that_failed_is_not_replaced_by_a_control(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"values": 8, "parameters": {"phase": 1, "frequency": 4.0}, "layers": ["fc"]}
    tasks = planned("random", ["random"], 2, **settings)
    sweep = plan_test(tasks, tmp_path)
    for outcome in sweep.run(Serial()):
        assert outcome.results is not None
    sweep.states[sweep.tasks[0].key] = State.FAILED
    with pytest.raises(MeasurementError, match="test_resnet random"):
        evaluate(sweep, tasks[:1])


def test_a_comparison_of_an_earlier_version_is_said_to_be_that(tested: tuple[Path, str]) -> None:
    folder, _ = tested
    frame = psychophys.read_comparison(folder / "out" / "comparison.parquet")
    Comparison(frame.drop(columns=["q", "p_turned"])).write(folder / "old.parquet")
    done = call_inside("show", "old.parquet", cwd=folder)
    assert done.returncode == 2
    assert "of another version, without q, p_turned" in done.stderr.decode()
