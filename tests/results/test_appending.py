"""Several processes add to one file at the same time, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from forked import Forked, server

import psychophys
from psychophys import MeasurementError, Results
from psychophys.base import files

MANY = 20


def one(name: str) -> Results:
    """A table of one row, of a run of that name."""
    row = {"run_id": name, "model": "m", "weights": "random", "layer": "fc", "value": 0.0}
    return Results.from_rows([row], {name: {"model": "m"}})


def test_twenty_processes_add_at_once_and_every_row_is_there(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    context = server()
    names = [f"run{i:02}" for i in range(MANY)]
    processes = [context.Process(target=one(name).append, args=(path,)) for name in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * MANY
    table = psychophys.read(path)
    assert sorted(table.to_pandas()["run_id"]) == names == sorted(table.runs)
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.parquet"]


@pytest.mark.slow
def test_three_command_lines_add_at_once(tmp_path: Path) -> None:
    words = ["measure", "test_resnet", "--weights", "random", "--values", "2", "--phases", "1"]
    words += ["--layers", "fc", "--append", "-q"]
    folder = tmp_path / "work"
    folder.mkdir()
    processes = [Forked(*words, "--seed", str(seed), cwd=folder) for seed in range(3)]
    assert [process.wait() for process in processes] == [(0, "", "")] * 3
    frame = pd.read_parquet(folder / "results.parquet")
    assert sorted(frame["seed"]) == [0, 0, 1, 1, 2, 2]
    assert [entry.name for entry in folder.iterdir()] == ["results.parquet"]


def test_a_run_that_is_added_again_replaces_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    for name in ("a", "b", "a"):
        one(name).append(path)
    assert list(psychophys.read(path).to_pandas()["run_id"]) == ["b", "a"]


def test_a_file_that_is_held_too_long_is_one_line_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.parquet"
    one("a").append(path)
    monkeypatch.setattr(files.locked.__wrapped__, "__defaults__", (0.1,))  # type: ignore[attr-defined]
    with files.locked(path), pytest.raises(MeasurementError, match=r"held .*r.parquet.* 0\.1 s") as error:
        one("b").append(path)
    assert len(str(error.value).splitlines()) == 1
    assert list(psychophys.read(path).runs) == ["a"]
    assert str(tmp_path / "r-b.parquet") in str(error.value)
    assert list(psychophys.read(tmp_path / "r-b.parquet").runs) == ["b"]
    one("b").append(path)
    assert list(psychophys.read(path).runs) == ["a", "b"]


def test_rows_stay_where_the_file_has_become_another(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    psychophys.load_prior("wei-stocker-2015").write(path)
    before = path.read_bytes()
    with pytest.raises(MeasurementError, match="is a prior, not a results file"):
        one("a").append(path)
    assert path.read_bytes() == before
    assert list(psychophys.read(tmp_path / "r-a.parquet").runs) == ["a"]
    assert not list(tmp_path.glob(".*"))
