"""Weights fetched ahead and removed after use, from a hub on this machine that speaks as the real one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import timm
import torch
from huggingface_hub import constants
from huggingface_hub.errors import RepositoryNotFoundError
from inside import call_inside
from local_hub import LocalHub, local_hub

from psychophys.cli.values import parse_bytes
from psychophys.measurement.plan import plan
from psychophys.observers import hub
from psychophys.observers.names import Job
from psychophys.sweeps.fetching import Fetcher
from psychophys.sweeps.tasks import Task

ARCHITECTURES = ("test_resnet", "test_vit2", "test_efficientnet", "test_convnext")
NAMES = [f"zoo/{architecture}" for architecture in ARCHITECTURES]
QUICK = ["--values", "4", "--phases", "1", "--device", "cpu", "-q"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Four small networks as timm writes them."""
    root = tmp_path_factory.mktemp("networks")
    for seed, architecture in enumerate(ARCHITECTURES):
        torch.manual_seed(seed)
        network = timm.create_model(architecture)
        timm.models.save_for_hf(network, root / architecture, safe_serialization=True)  # type: ignore[no-untyped-call]
    return {name: root / name.partition("/")[2] for name in NAMES}


@pytest.fixture
def served(folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """The hub of this process and its cache, which is empty."""
    with local_hub(folders, 2e7) as server:
        address = server.environment["HF_ENDPOINT"]
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        pattern = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", pattern)
        yield server


def tasks(*names: str) -> list[Task]:
    measurement = plan(values=4, parameters={"phase": 1})
    return [Task(measurement, Job(f"hf-hub:{name}"), "cpu") for name in names]


def wait_until(happened: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not happened():
        assert time.monotonic() - began < 60
        time.sleep(0.01)


def here() -> set[str]:
    """Repositories of which anything is in the cache."""
    return {name for name in NAMES if hub.cached_bytes(name)}


def weights_bytes(served: LocalHub, *names: str) -> int:
    return sum(map(served.size, names))


def test_what_the_hub_and_the_cache_know_of_a_model(served: LocalHub) -> None:
    name = NAMES[0]
    assert hub.repository(f"hf-hub:{name}@main") == f"{name}@main"
    assert hub.repository("resnet18.a1_in1k") == "timm/resnet18.a1_in1k"
    assert [hub.repository(model) for model in ("tf_efficientnet_lite0", f"local-dir:{name}")] == [None, None]
    assert hub.remote_bytes(name) == weights_bytes(served, name)
    with pytest.raises(RepositoryNotFoundError):
        hub.remote_bytes("zoo/nothing")
    assert not hub.is_here(f"hf-hub:{name}")
    hub.fetch(name)
    hub.fetch(name)
    assert hub.is_here(f"hf-hub:{name}")
    assert served.sent[name] == weights_bytes(served, name)
    assert hub.cached_bytes(name) >= weights_bytes(served, name)
    hub.remove(name)
    assert hub.cached_bytes(name) == 0


def test_weights_are_fetched_before_they_are_asked_for_and_not_too_early(
    served: LocalHub, tmp_path: Path
) -> None:
    todo = tasks(*NAMES)
    with Fetcher(todo, 2, None, tmp_path) as fetcher:
        wait_until(lambda: all(hub.is_here(f"hf-hub:{name}") for name in NAMES[:2]))
        time.sleep(0.3)
        assert here() == set(NAMES[:2])
        fetcher.begin(todo[0])
        wait_until(lambda: hub.is_here(f"hf-hub:{NAMES[2]}"))
        time.sleep(0.3)
        assert here() == set(NAMES[:3])
        fetcher.end(todo[0])
    assert served.sent == Counter({name: weights_bytes(served, name) for name in NAMES[:3]})


def test_nothing_is_fetched_where_nothing_is_needed(served: LocalHub, tmp_path: Path) -> None:
    job = replace(tasks(NAMES[0])[0].job, weights="random")
    unwanted = replace(tasks(NAMES[0])[0], job=job)
    for todo, ahead in (([unwanted], 2), (tasks(*NAMES), 0)):
        with Fetcher(todo, ahead, None, tmp_path):
            time.sleep(0.3)
    assert not served.sent


def test_used_weights_make_room_and_what_was_there_before_stays(served: LocalHub, tmp_path: Path) -> None:
    hub.fetch(NAMES[0])
    todo = tasks(*NAMES)
    limit = hub.cached_bytes(NAMES[0]) + weights_bytes(served, NAMES[1], NAMES[2])
    with Fetcher(todo, 3, limit - hub.cached_bytes(NAMES[0]) + 4096, tmp_path) as fetcher:
        for task, name in zip(todo[:2], NAMES[:2], strict=True):
            wait_until(lambda name=name: hub.is_here(f"hf-hub:{name}"))  # type: ignore[misc]
            fetcher.begin(task)
        wait_until(lambda: hub.is_here(f"hf-hub:{NAMES[2]}"))
        time.sleep(0.3)
        assert here() == set(NAMES[:3])
        assert hub.claimed(str(tmp_path)) == [NAMES[1], NAMES[2]]
        fetcher.end(todo[0])
        time.sleep(0.3)
        assert here() == set(NAMES[:3])
        fetcher.end(todo[1])
        wait_until(lambda: hub.is_here(f"hf-hub:{NAMES[3]}"))
        assert here() == {NAMES[0], NAMES[2], NAMES[3]}
    # Begun again: what a sweep before this one brought is known, and removed where it is needed no more.
    with Fetcher(todo[3:], 0, weights_bytes(served, NAMES[3]) + 4096, tmp_path):
        assert here() == {NAMES[0], NAMES[3]}
        assert hub.claimed(str(tmp_path)) == [NAMES[3]]


def test_a_model_too_large_for_the_limit_is_measured_and_removed(served: LocalHub, tmp_path: Path) -> None:
    models = [f"hf-hub:{name}" for name in NAMES]
    words = ["sweep", *models, *QUICK, "--engine", "serial", "--cache-limit", "1kB", "-o", "out"]
    done = call_inside(*words, cwd=tmp_path, offline=False)
    assert done.returncode == 0, done.stderr.decode()
    assert sorted(pd.read_parquet(tmp_path / "out")["model"].unique()) == sorted(models)
    assert here() == set()
    assert served.sent == Counter({name: weights_bytes(served, name) for name in NAMES})


def test_of_what_somebody_had_nothing_is_removed(served: LocalHub, tmp_path: Path) -> None:
    # Another revision, what another sweep brought, and a part of the files.
    hub.fetch(NAMES[0])
    assert hub.claim(NAMES[1], "elsewhere")
    hub.hf_hub_download(NAMES[2], "config.json")
    before = here()
    models = [f"hf-hub:{NAMES[0]}@other", *(f"hf-hub:{name}" for name in NAMES[1:])]
    measured = [
        replace(task, job=replace(task.job, model=m)) for task, m in zip(tasks(*NAMES), models, strict=True)
    ]
    with Fetcher(measured, 2, 1, tmp_path) as fetcher:
        for task, model in zip(measured, models, strict=True):
            fetcher.begin(task)
            hub.fetch(model.partition(":")[2])
            fetcher.end(task)
    assert before == {NAMES[0], NAMES[2]}
    assert here() == set(NAMES[:3])


def test_revisions_of_one_repository_go_together(served: LocalHub, tmp_path: Path) -> None:
    one, other = (
        replace(task, job=replace(task.job, model=f"hf-hub:{NAMES[0]}@{revision}"))
        for task, revision in zip(tasks(NAMES[0], NAMES[0]), ("first", "second"), strict=True)
    )
    with Fetcher([one, other], 0, 1, tmp_path) as fetcher:
        fetcher.begin(one)
        fetcher.begin(other)
        for revision in ("first", "second"):
            hub.fetch(f"{NAMES[0]}@{revision}")
        fetcher.end(one)
        assert hub.is_cached(f"{NAMES[0]}@second")
        fetcher.end(other)
        assert here() == set()


def test_what_could_not_be_fetched_leaves_nothing(served: LocalHub, tmp_path: Path) -> None:
    [task] = tasks("zoo/nothing")
    with Fetcher([task], 1, 10**9, tmp_path) as fetcher:
        fetcher.begin(task)
        fetcher.end(task)
    assert not list(Path(constants.HF_HUB_CACHE).glob("models--*"))


def test_contents_that_repositories_share_are_counted_and_removed(
    served: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = pytest.importorskip("huggingface_hub.utils._shared_blobs")
    cache = Path(constants.HF_HUB_CACHE)
    for name in NAMES[:2]:
        hub.fetch(name)
        weights = Path(hub.hf_hub_download(name, "model.safetensors")).resolve()
        size, key = weights.stat().st_size, f"{NAMES.index(name):064x}"
        assert shared.publish_blob_to_shared_store(
            blob_path=str(weights), xet_hash=key, cache_dir=cache, expected_size=size
        )
        assert weights.is_symlink()
        assert hub.cached_bytes(name) >= size
    hub.remove(NAMES[0])
    assert hub.cached_bytes(NAMES[0]) == 0
    left = [path for path in (cache / "blobs").rglob("*") if path.is_file() and path.stat().st_size > 1000]
    assert [path.name for path in left] == [f"{1:064x}"]


def test_weights_that_cannot_be_fetched_cost_one_model(served: LocalHub, tmp_path: Path) -> None:
    models = ["hf-hub:zoo/nothing", f"hf-hub:{NAMES[0]}"]
    words = ["sweep", *models, *QUICK, "--engine", "serial", "-o", "out"]
    done = call_inside(*words, cwd=tmp_path, offline=False)
    assert done.returncode == 3
    assert b"zoo/nothing" in done.stderr
    assert list(pd.read_parquet(tmp_path / "out")["model"].unique()) == models[1:]


@pytest.mark.slow
def test_a_killed_sweep_goes_on_within_its_limit(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 4_000_000
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    with local_hub(folders, 2e6) as served:
        environment = {**os.environ, **served.environment, "HF_HOME": str(tmp_path / "home")}
        models = [f"hf-hub:{name}" for name in NAMES]
        words = [sys.executable, "-m", "psychophys", "sweep", *models, *QUICK]
        words += ["--cache-limit", str(limit), "-o", str(tmp_path / "out")]
        for done in (1, 2, 4):
            process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, start_new_session=True)
            while process.poll() is None and len(list((tmp_path / "out").glob("*.parquet"))) < done:
                # The one that is being measured may be over it.
                assert sum(hub.cached_bytes(name) for name in NAMES) < limit + 2_000_000
                time.sleep(0.02)
            if done < 4:
                os.killpg(process.pid, signal.SIGKILL)
            _, err = process.communicate()
        assert process.returncode == 0, err
        frame = pd.read_parquet(tmp_path / "out")
        assert sorted(frame["model"].unique()) == sorted(models)
        assert not frame.duplicated(["model", "layer", "value"]).any()
        # What was on its way when a sweep was killed is sent anew; what was there is not.
        assert all(served.sent[name] < 3 * weights_bytes(served, name) for name in NAMES)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--prefetch", "-1"], ["-1 models to prefetch", "0 or more"]),
        (["--cache-limit", "lots"], ["'lots'", "50GB"]),
        (["--cache-limit", "0"], ["0 bytes", "50GB"]),
        (["--cache-limit", "9" * 400], ["not a number of bytes", "50GB"]),
        (["--cache-limit", "5\u212a"], ["not a number of bytes", "50GB"]),
    ],
)
def test_a_wrong_request_is_one_line(tmp_path: Path, words: list[str], parts: list[str]) -> None:
    done = call_inside("sweep", "test_vit", "--weights", "random", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert all(part in done.stderr.decode() for part in parts)
    assert len(done.stderr.decode().strip().splitlines()) <= 2


@pytest.mark.parametrize(
    ("text", "size"),
    [("50GB", 50 * 10**9), ("1.5 TB", 15 * 10**11), ("2MiB", 2 * 2**20), ("7", 7), ("3k", 3000)],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_bytes(text) == size
