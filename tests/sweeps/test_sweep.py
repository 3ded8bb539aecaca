"""A sweep: planned, killed, begun again, shared out, run twice at once."""

from __future__ import annotations

import gc
import json
import random
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
from forked import Forked
from inside import call_inside

from psychophys.base.errors import UsageError
from psychophys.measurement.plan import plan
from psychophys.observers.names import Job
from psychophys.results.thresholds import read
from psychophys.sweeps.store import Store, read_failures
from psychophys.sweeps.sweep import State, Sweep, take_shard
from psychophys.sweeps.tasks import Outcome, Task

ODD = Path(__file__).with_name("odd_models.py")
QUICK = ["--weights", "random", "--values", "4", "--phases", "1", "--device", "cpu"]
TWELVE = [
    *("test_byobnet", "test_convnext", "test_convnext2", "test_efficientnet", "test_efficientnet_ln"),
    *("test_mambaout", "test_nfnet", "test_resnet", "test_vit", "test_vit2", "test_vit3", "test_vit4"),
]
SERIAL = ["--engine", "serial"]


def call(*words: str | Path, cwd: Path) -> tuple[int, str, str]:
    """In this process; the workers of the engine ``processes`` are processes all the same."""
    done = call_inside(*words, cwd=cwd)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def rows(folder: Path) -> pd.DataFrame:
    frame = pd.concat([pd.read_parquet(path) for path in folder.glob("*.parquet")])
    return frame.sort_values(["model", "layer_index", "layer", "value"], ignore_index=True)


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """What changes when a file is written again."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("*.parquet")}


def hidden(folder: Path) -> list[Path]:
    return list(folder.rglob(".*"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    code, _, err = call("sweep", *TWELVE, *QUICK, *SERIAL, "-o", folder, cwd=folder)
    assert code == 0, err
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "kills"), [("processes", 3), ("serial", 22)])
def test_a_sweep_killed_at_25_random_moments_ends_with_the_same_rows(
    tmp_path: Path, undisturbed: Path, engine: str, kills: int
) -> None:
    chance = random.Random(20221223)
    words = ["sweep", *TWELVE, *QUICK, "--engine", engine, "-o", "out"]
    Forked("--help", cwd=tmp_path).wait()  # The server is ready from here on.
    # How long a sweep takes to its first file, on this machine as it is now.
    began = time.monotonic()
    process = Forked(*words, cwd=tmp_path)
    while not list((tmp_path / "out").glob("*.parquet")):
        assert time.monotonic() - began < 300
        time.sleep(0.05)
    first = time.monotonic() - began
    finished: dict[str, tuple[int, int]] = {}
    for kill in range(kills):
        time.sleep(chance.uniform(0, 1.3 * first) if kill else 0)
        process.kill()
        now = stamps(tmp_path / "out")
        assert {name: now[name] for name in finished} == finished, "a finished run was written again"
        finished = now
        for path in (tmp_path / "out").glob("*.parquet"):
            assert len(read(path)) > 0
        process = Forked(*words, cwd=tmp_path)
    code, _, err = process.wait()
    assert code == 0, err
    assert f"{12 - len(finished)} to do" in err or len(finished) == 12
    assert {name: stamps(tmp_path / "out")[name] for name in finished} == finished
    pd.testing.assert_frame_equal(rows(tmp_path / "out"), rows(undisturbed), check_exact=True)
    assert len(list((tmp_path / "out").glob("*.parquet"))) == 12
    assert hidden(tmp_path) == []


def test_two_sweeps_at_once_share_the_work(tmp_path: Path, undisturbed: Path) -> None:
    words = ["sweep", *TWELVE, *QUICK, *SERIAL, "-o", "out"]
    both = [Forked(*words, cwd=tmp_path) for _ in range(2)]
    codes, _, said = zip(*(process.wait() for process in both), strict=True)
    assert codes == (0, 0), said
    measured = [
        line.split("/12 ")[1].split()[0] for err in said for line in err.splitlines() if "/12 " in line
    ]
    assert sorted(measured) == sorted(TWELVE), "each model once"
    pd.testing.assert_frame_equal(rows(tmp_path / "out"), rows(undisturbed), check_exact=True)
    assert hidden(tmp_path) == []


def test_shards_are_the_whole_and_do_not_overlap(tmp_path: Path, undisturbed: Path) -> None:
    tasks = [Task(plan(), Job(model, "random")) for model in TWELVE]
    shards = [take_shard(tasks, f"{i}/5") for i in range(1, 6)]
    assert sorted(t.job.model for shard in shards for t in shard) == sorted(TWELVE)
    assert {len(shard) for shard in shards} == {2, 3}
    for i in (1, 2):
        code, _, err = call(
            "sweep", *TWELVE[:3], *QUICK, *SERIAL, "-o", "out", "--shard", f"{i}/2", cwd=tmp_path
        )
        assert code == 0, err
    expected = rows(undisturbed)
    expected = expected[expected["model"].isin(TWELVE[:3])].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows(tmp_path / "out"), expected, check_exact=True)


@pytest.mark.parametrize("shard", ["0/4", "5/4", "1", "1/0", "a/b", "-1/4", "1/4/2", "1.0/2", "/"])
def test_what_is_not_a_shard_is_refused(shard: str) -> None:
    with pytest.raises(UsageError, match="is not a part"):
        take_shard([], shard)


def test_dry_run_says_what_would_be_done_and_makes_nothing(tmp_path: Path, undisturbed: Path) -> None:
    code, out, err = call("sweep", "test_*", *QUICK, "-o", "out", "--dry-run", cwd=tmp_path)
    assert code == 0, err
    assert "to do  test_resnet random" in out.splitlines()
    assert "to do" in err
    assert "0.0 GB to download" in err
    assert list(tmp_path.iterdir()) == []
    more = ["--weights", "pretrained,random", *QUICK[2:], "-q"]
    _, out, err = call("sweep", *TWELVE[:2], *more, "-o", undisturbed, "--dry-run", cwd=tmp_path)
    lines = out.splitlines()
    assert f"done  {TWELVE[0]} random" in lines
    assert f"to do  {TWELVE[0]} pretrained" in lines


def test_the_largest_networks_come_first_when_asked_for(tmp_path: Path) -> None:
    names = ["test_vit", "resnet18", "test_resnet", "resnet50"]
    asked = ["sweep", *names, "--weights", "random,shuffled", "--exclude", "nothing", "--largest-first"]
    code, out, err = call(*asked, "--dry-run", "-q", cwd=tmp_path)
    assert code == 0, err
    models = [line.split()[2] for line in out.splitlines()]
    order = ["resnet50", "resnet18", "test_resnet", "test_vit"]
    assert models == [name for name in order for _ in range(2)]
    _, out, _ = call(*asked[:-1], "--dry-run", "-q", cwd=tmp_path)
    assert [line.split()[2] for line in out.splitlines()][::2] == names


@pytest.mark.parametrize("engine", ["serial", "processes"])
def test_garbage_is_looked_for_while_a_sweep_runs(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr("psychophys.cli.sweep._run", lambda *_: seen.append(gc.isenabled()))
    done = call_inside("sweep", "test_vit", "--weights", "random", "--engine", engine, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert seen == [True]


def test_failures_are_kept_shown_and_tried_again_only_when_asked(tmp_path: Path) -> None:
    words = ["sweep", "odd_exit", "odd_fine", "--import", ODD, *QUICK, "-o", "out"]
    code, _, err = call(*words, cwd=tmp_path)
    assert code == 3
    assert "odd_exit failed: its process ended with exit code 5" in err
    (note,) = (tmp_path / "out" / "_sweep" / "failed").glob("*.json")
    record = json.loads(note.read_text())
    assert (record["model"], record["weights"], record["seed"]) == ("odd_exit", "random", 0)
    before = note.stat().st_mtime_ns
    code, _, err = call(*words, cwd=tmp_path)
    assert (code, note.stat().st_mtime_ns) == (3, before)
    assert "2 measurements: 1 done, 1 failed" in err
    code, _, _ = call(*words, "--retry-failed", cwd=tmp_path)
    assert code == 3
    assert note.stat().st_mtime_ns > before
    code, out, _ = call("show", "out", cwd=tmp_path)
    assert code == 0
    assert "odd_fine" in out
    next((tmp_path / "out").glob("*.parquet")).unlink()
    assert call_inside("show", "out", cwd=tmp_path).stdout.decode().startswith("failed: odd_exit random")
    assert "failed: odd_exit random" in out


def test_a_failure_that_is_mended_is_forgotten(tmp_path: Path) -> None:
    store = Store(tmp_path / "out")
    task = Task(plan(values=4, parameters={"phase": 1}), Job("test_resnet", "random"), "cpu")
    store.prepare()
    store.write(Outcome(task, error=UsageError("no luck")))
    assert Sweep([task], store).count(State.FAILED) == 1
    assert Sweep([task], store, retry_failed=True).to_do == [task]
    code, _, err = call("sweep", "test_resnet", *QUICK, "-o", "out", "--retry-failed", cwd=tmp_path)
    assert code == 0, err
    assert store.failure(task) is None
    assert store.is_done(task)


def test_weights_that_cannot_be_had_cost_one_model(tmp_path: Path) -> None:
    words = ["sweep", "resnet18", "test_resnet", "tf_efficientnet_lite0", *QUICK[2:], "-o", "out"]
    code, _, err = call(*words, "--timeout", "200", cwd=tmp_path)
    assert code == 3
    failed = [line for line in err.splitlines() if line.startswith("failed: ")]
    assert len(failed) == 2
    assert all("--checkpoint" in line for line in failed)
    assert set(rows(tmp_path / "out")["model"]) == {"tf_efficientnet_lite0"}


def test_every_way_to_fail_is_one_row_with_its_reason(tmp_path: Path) -> None:
    reasons = {
        "odd_segfault": "ended by SIGSEGV",
        "odd_hungry": "out of memory",
        "odd_nan": "not finite: conv.weight",
        "hf-hub:timm/resnet18.a1_in1k": "cannot load hf-hub:timm/resnet18.a1_in1k",
    }
    words = ["sweep", *reasons, "odd_fine", "--import", ODD, *QUICK, "-o", "out"]
    code, _, err = call(*words, cwd=tmp_path)
    assert code == 3, err
    failed = {note["model"]: note["error"] for note in read_failures(tmp_path / "out")}
    assert set(failed) == set(reasons)
    for model, reason in reasons.items():
        assert reason in failed[model]
        assert f"failed: {model} random: {failed[model]}" in err
    assert set(rows(tmp_path / "out")["model"]) == {"odd_fine"}


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_sweep_stops_at_once_and_keeps_what_it_has(
    tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    words = ["sweep", "odd_fine", "odd_slow", "--import", ODD, *QUICK, "-o", "out"]
    process = Forked(*words, cwd=tmp_path)
    began = time.monotonic()
    while "\n1/2" not in process.err:
        assert time.monotonic() - began < 300
        time.sleep(0.05)
    began = time.monotonic()
    process.send_signal(sent)
    ended, _, err = process.wait(timeout=60)
    assert time.monotonic() - began < 20
    assert ended == code
    assert "Traceback" not in err
    assert ("error: interrupted" in err) == (sent is signal.SIGINT)
    assert [path.name.partition("--")[0] for path in (tmp_path / "out").glob("*.parquet")] == ["odd_fine"]
    assert list((tmp_path / "out" / "_sweep" / "failed").iterdir()) == []
    assert hidden(tmp_path) == []


def test_models_come_from_names_filters_and_files(tmp_path: Path) -> None:
    (tmp_path / "zoo.txt").write_text("# small ones\ntest_vit*\n\ntest_resnet  # a comment\n")
    words = ["sweep", "--models-file", "zoo.txt", "test_byobnet", "--exclude", "test_vit?*", *QUICK]
    code, out, err = call(*words, "-o", "out", "--dry-run", "-q", cwd=tmp_path)
    assert (code, err) == (0, "")
    names = [line.split()[2] for line in out.splitlines()]
    assert names == ["test_byobnet", "test_vit", "test_resnet"]


def test_variants_are_separate_measurements(tmp_path: Path) -> None:
    words = ["sweep", "tf_efficientnet_lite0", "--weights", "pretrained,random,shuffled"]
    code, _, err = call(*words, *QUICK[2:], "--layers", "conv_stem", "-o", "out", "-q", cwd=tmp_path)
    assert (code, err) == (0, "")
    frame = rows(tmp_path / "out")
    assert sorted(set(frame["weights"])) == ["pretrained", "random", "shuffled"]
    assert len(list((tmp_path / "out").glob("*.parquet"))) == 3


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["sweep"], ["no model is named"]),
        (["sweep", "resnat*"], ["'resnat*'"]),
        (["sweep", "resnet18", "--exclude", "res*"], ["no model is left"]),
        (["sweep", "", "resnet18", "--exclude", ""], ["a model without a name"]),
        (["sweep", "--models-file", "none.txt"], ["'none.txt'"]),
        (["sweep", "test_resnet", "--shard", "3/2"], ["'3/2'", "1/8"]),
        (["sweep", "test_resnet", "--engine", "slurm"], ["'slurm'", "processes"]),
        (["sweep", "test_resnet", "--engine", "serial", "--jobs", "2"], ["--engine processes"]),
        (["sweep", "test_resnet", "--address", "auto"], ["--engine ray"]),
        (["sweep", "test_resnet", "--jobs", "0"], ["0 jobs"]),
        (["sweep", "test_resnet", "--timeout", "-1"], ["time limit -1"]),
        (["sweep", "test_resnet", "-o", "file/results"], ["'file/results'"]),
        (["sweep", "test_resnet", "--import", "none.py"], ["'none.py'"]),
        (["sweep", "test_resnet", "--batch-size", "0"], ["batch size 0"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_request_is_one_line(tmp_path: Path, words: list[str], parts: list[str]) -> None:
    (tmp_path / "file").write_text("")
    done = call_inside(*words, "--weights", "random", cwd=tmp_path)
    err = done.stderr.decode()
    assert done.returncode == 2, err
    assert len(err.strip().splitlines()) == 1
    assert err.startswith("error: ")
    for part in parts:
        assert part in err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
