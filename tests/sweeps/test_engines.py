"""What runs measurements: every engine gives the same rows, and a worker's end costs one model."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from forked import Forked

from psychophys.base.errors import UsageError
from psychophys.measurement.plan import plan
from psychophys.measurement.spec import Measurement
from psychophys.observers.imports import import_modules
from psychophys.observers.names import Job
from psychophys.results.thresholds import concat, read
from psychophys.stimuli import get_stimulus
from psychophys.sweeps.engines import Engine, Processes, Ray, Serial, processes
from psychophys.sweeps.store import Store
from psychophys.sweeps.sweep import Sweep
from psychophys.sweeps.tasks import Outcome, Task

ODD = str(Path(__file__).with_name("odd_models.py"))
MODELS = ("test_resnet", "test_vit", "test_mambaout")


def quick() -> Measurement:
    return plan(values=4, parameters={"phase": 1})


def task(model: str) -> Task:
    import_modules([ODD])  # A job's model must be known when it is named.
    return Task(quick(), Job(model, "random"), "cpu", imports=(ODD,))


def outcomes(engine: Engine, models: tuple[str, ...]) -> dict[str, Outcome]:
    return {outcome.job.model: outcome for outcome in engine.run([task(m) for m in models])}


def why(outcome: Outcome) -> str:
    assert outcome.results is None
    return str(outcome.error)


@pytest.fixture(scope="module")
def reference() -> dict[str, Outcome]:
    return outcomes(Serial(), MODELS)


@pytest.fixture(scope="module")
def ended() -> dict[str, Outcome]:
    """Every odd model in processes of their own, two at a time."""
    models = ("odd_segfault", "odd_killed", "odd_hungry", "odd_exit", "odd_typeerror", "odd_loud", "odd_fine")
    return outcomes(Processes(jobs=2, device="cpu"), models)


def test_processes_give_the_rows_of_the_serial_engine(reference: dict[str, Outcome]) -> None:
    found = outcomes(Processes(jobs=1, device="cpu"), MODELS)
    for model in MODELS:
        ours, theirs = found[model].results, reference[model].results
        assert ours is not None
        assert theirs is not None
        assert ours.table.equals(theirs.table)


def test_a_crash_costs_one_model_and_says_how_it_ended(ended: dict[str, Outcome]) -> None:
    assert "ended by SIGSEGV" in why(ended["odd_segfault"])
    assert "string_at" in ended["odd_segfault"].log  # The traceback at the crash.
    assert "ended by SIGKILL" in why(ended["odd_killed"])
    assert "memory" in why(ended["odd_killed"])
    assert "out of memory" in why(ended["odd_hungry"])
    assert "exit code 5" in why(ended["odd_exit"])
    assert "TypeError" in why(ended["odd_typeerror"])
    assert ended["odd_fine"].results is not None
    assert ended["odd_loud"].results is not None


@pytest.mark.slow
def test_one_that_takes_too_long_is_given_up() -> None:
    started = time.monotonic()
    found = outcomes(Processes(jobs=1, device="cpu", timeout=8), ("odd_slow", "odd_fine"))
    assert "took longer than 8 s" in why(found["odd_slow"])
    assert found["odd_fine"].results is not None
    assert time.monotonic() - started < 90


def children() -> list[int]:
    """Processes that still live of those that were started here, the fork server's included."""
    listed = subprocess.run(["ps", "-e", "-o", "pid,ppid,args"], capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()[1:]]
    parents = {int(pid): int(parent) for pid, parent, _ in rows}
    mine = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in mine} - mine:
        mine |= more
    words = {int(pid): text for pid, _, text in rows}
    return [pid for pid in mine if "forkserver" in words[pid]]


def test_closing_the_iterator_ends_the_workers() -> None:
    before = len(children())
    run = Processes(jobs=2, device="cpu").run([task("odd_fine"), task("odd_slow"), task("odd_slow")])
    assert next(iter(run)).job.model == "odd_fine"
    run.close()  # type: ignore[attr-defined]
    assert len(children()) <= max(before, 1)
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_a_worker_ends_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    mark = f"psychophys-{os.getpid()}-orphan"
    code = (
        "from psychophys.measurement.plan import plan; from psychophys.sweeps.engines import Processes;"
        "from psychophys.observers.imports import import_modules; from psychophys.observers.names import Job;"
        "from psychophys.sweeps.tasks import Task\n"
        "if __name__ == '__main__':\n"
        f"    import_modules([{ODD!r}])\n"
        f"    task = Task(plan(values=4), Job('odd_slow', 'random'), 'cpu', imports=({ODD!r},))\n"
        "    list(Processes(1, 'cpu').run([task]))\n"
    )
    script = tmp_path / f"{mark}.py"
    script.write_text(code)
    process = subprocess.Popen([sys.executable, script], env={**os.environ, "MARK": mark})

    def marked() -> list[str]:
        found = []
        for environment in Path("/proc").glob("[0-9]*/environ"):
            try:
                found += [environment.parent.name] if mark.encode() in environment.read_bytes() else []
            except OSError:
                continue
        return found

    wait_until(lambda: len(marked()) >= 3)  # The script, its fork server, the worker.
    process.kill()
    process.wait()
    wait_until(lambda: not marked())


def wait_until(condition: object, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.1)


def test_tasks_are_drawn_only_when_there_is_room() -> None:
    drawn: list[str] = []

    def tasks() -> Iterator[Task]:
        for model in ("odd_fine", "odd_loud", "odd_pause"):
            drawn.append(model)
            yield task(model)

    run = iter(Processes(jobs=1, device="cpu").run(tasks()))
    next(run)
    assert drawn == ["odd_fine"]
    assert [outcome.job.model for outcome in run] == ["odd_loud", "odd_pause"]


def test_progress_counts_the_images() -> None:
    seen: list[tuple[str, int, int]] = []
    one = replace(task("odd_fine"), batch_size=1)
    list(Processes(1, "cpu").run([one], lambda t, done, total: seen.append((t.job.model, done, total))))
    assert seen[-1] == ("odd_fine", 4, 4)
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_a_stimulus_that_cannot_be_sent_is_named() -> None:
    gabor = get_stimulus("gabor")
    local = replace(gabor, name="local", draw=lambda *a: 1 - gabor.draw(*a))
    bad = Task(plan(local, "orientation", values=2), Job("test_resnet", "random"), "cpu")
    with pytest.raises(UsageError, match="cannot be sent to another process"):
        list(Processes(1, "cpu").run([bad]))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Processes(jobs=0), "0 jobs"),
        (lambda: Processes(timeout=0), "time limit 0"),
        (lambda: Processes(timeout=float("nan")), "time limit nan"),
        (lambda: Ray(device="cuda:1"), "device cuda:1"),
        (lambda: Ray(cpus=0), "0 CPUs"),
        (lambda: Ray(retries=-1), "-1 retries"),
        (lambda: Ray(jobs=-2), "-2 jobs"),
    ],
)
def test_impossible_limits_are_refused(make: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make()  # type: ignore[operator]


def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models for which a new worker is started from now on."""
    seen: list[str] = []
    start = processes._start

    def counted(context: Any, task: Task, slot: str, threads: int) -> Any:
        seen.append(task.job.model)
        return start(context, task, slot, threads)

    monkeypatch.setattr(processes, "_start", counted)
    return seen


def plain(model: str, seed: int = 0, **more: Any) -> Task:
    return Task(plan(values=2, parameters={"phase": 1}, **more), Job(model, "random", seed), "cpu")


def test_a_worker_goes_on_with_the_next_model(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = started(monkeypatch)
    tasks = [plain("test_resnet"), plain("test_vit"), plain("test_resnet", 1)]
    found = list(Processes(1, "cpu").run(tasks))
    assert seen == ["test_resnet"]
    alone = [next(iter(Serial().run([one]))) for one in tasks]
    for outcome, expected in zip(found, alone, strict=True):
        assert outcome.results is not None
        assert expected.results is not None
        assert outcome.results.identifiers == expected.results.identifiers
        ours, theirs = (o.results.to_pandas()["sensitivity"] for o in (outcome, expected))
        assert ours.to_numpy() == pytest.approx(theirs.to_numpy(), rel=1e-4)


def test_after_a_failure_or_many_tasks_there_is_a_new_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = started(monkeypatch)
    bad = plain("test_resnet", layers=["no_such_layer"])
    found = list(Processes(1, "cpu").run([plain("test_vit"), bad, plain("test_resnet")]))
    assert [outcome.error is None for outcome in found] == [True, False, True]
    assert seen == ["test_vit", "test_resnet"]
    seen.clear()
    monkeypatch.setattr(processes, "MOST_TASKS", 2)
    list(Processes(1, "cpu").run([plain("test_resnet", seed) for seed in range(5)]))
    assert len(seen) == 3


def test_modules_of_ones_own_have_a_worker_each(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = started(monkeypatch)
    list(Processes(1, "cpu").run([task("odd_fine"), task("odd_loud")]))
    assert seen == ["odd_fine", "odd_loud"]


def test_a_worker_that_died_while_it_waited_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = started(monkeypatch)
    engine = Processes(1, "cpu")
    workers = []
    take = processes._Worker.take

    def watched(self: Any, one: Task, payload: bytes) -> None:
        workers.append(self)
        take(self, one, payload)

    monkeypatch.setattr(processes._Worker, "take", watched)
    run = engine.run(iter([plain("test_resnet"), plain("test_vit")]))
    assert next(run).error is None
    workers[0].process.kill()
    workers[0].process.join()
    assert [outcome.error for outcome in run] == [None]
    assert seen == ["test_resnet", "test_vit"]


def test_jobs_share_the_threads() -> None:
    one, two = Processes(1, "cpu"), Processes(2, "cpu")
    assert len(two.slots) == 2
    assert two.threads == max(one.threads // 2, 1)


CLUSTER = """
import os, sys
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
from ray.cluster_utils import Cluster
small = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
# A node that is gone refuses connections: two refusals in a row are enough. Usually workers give way to all
# others.
quick = {"health_check_period_ms": 500, "health_check_failure_threshold": 2, "worker_niceness": 0}
head = {"include_dashboard": False, "_system_config": quick, **small}
cluster = Cluster(initialize_head=True, head_node_args=head)
node = cluster.add_node(**small)
print("address", cluster.address, flush=True)
sys.stdin.readline()
cluster.remove_node(node, allow_graceful=False)
print("a node was killed", flush=True)
sys.stdin.readline()
cluster.shutdown()
os._exit(0)
"""


def said_by(process: subprocess.Popen[str], words: str) -> str:
    """The rest of the line that begins with these words."""
    assert process.stdout is not None
    return next(line for line in process.stdout if line.startswith(words)).removeprefix(words).strip()


@pytest.mark.slow
def test_a_ray_cluster_survives_the_loss_of_a_node(tmp_path: Path, reference: dict[str, Outcome]) -> None:
    script = tmp_path / "cluster.py"
    script.write_text(CLUSTER)
    out = tmp_path / "out"
    cluster = subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert cluster.stdin is not None
    address = said_by(cluster, "address")
    words = ["sweep", *MODELS, "odd_segfault", "odd_pause", "--import", ODD, "--weights", "random"]
    words += ["--values", "4", "--phases", "1", "--engine", "ray", "--address", address, "-o", str(out)]
    sweep = Forked(*words, cwd=tmp_path)
    wait_until(lambda: "\n1/" in sweep.err, 600)
    cluster.stdin.write("\n")
    said_by(cluster, "a node was killed")
    assert "\n5/" not in sweep.err, "the sweep was over before"
    code, _, err = sweep.wait(900)
    cluster.communicate("\n", timeout=60)
    assert code == 3, err
    assert "odd_segfault random: odd_segfault failed: its worker was lost 3 times" in err
    tasks = [task(model) for model in (*MODELS, "odd_pause")]
    assert {path.name for path in out.glob("*.parquet")} == {Store(out).path(t).name for t in tasks}
    for model in MODELS:
        theirs = reference[model].results
        assert theirs is not None
        frame = read(Store(out).path(task(model))).to_pandas()
        assert frame["value"].tolist() == theirs.to_pandas()["value"].tolist()
        # Another number of threads: rounding may differ.
        assert frame["sensitivity"].to_numpy() == pytest.approx(
            theirs.to_pandas()["sensitivity"].to_numpy(), rel=1e-3
        )


def test_serial_sweep_keeps_every_outcome(tmp_path: Path) -> None:
    sweep = Sweep([task("odd_fine"), task("odd_typeerror")], Store(tmp_path))
    found = list(sweep.run(Serial()))
    assert [o.error is None for o in found] == [True, False]
    assert len(concat([read(tmp_path)])) == 4
    assert "TypeError" in (Store(tmp_path).failure(task("odd_typeerror")) or {})["error"]
