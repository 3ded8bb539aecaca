"""No command loses what is in a file: what is something else is refused before anything is computed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from inside import call_inside
from PIL import Image

USUAL = ["test_resnet", "--weights", "random", "--values", "4", "--phases", "1", "--layers", "fc", "-q"]
LEARN = ["learn", "linear", "--quick", "--runs", "1", "--depths", "1", "--snapshots", "2", "-q"]
DISTORT = ["test_resnet", "--weights", "random", "--layers", "fc", "--steps", "3", "-q"]
BATTERY = ["test_resnet", "--weights", "random", "--references", "heeley*", "--layers", "fc", "-q"]
MADE = {
    "measure": (["measure", *USUAL], ["--seed", "1"]),
    "fisher": (["fisher", *USUAL, "--frequencies", "4,8"], ["--seed", "1"]),
    "responses": (["responses", *USUAL], ["--seed", "1"]),
    "tune": (["tune", *USUAL, "--places", "0", "--population", "0"], ["--seed", "1"]),
    "battery": (["battery", *BATTERY], ["--seed", "1"]),
    "distort": (["distort", "photo.png", *DISTORT], ["--seed", "1"]),
    "simulate": (["simulate", *USUAL], ["--trial-seed", "1"]),
    "check": (["simulate", "--check", "measure.parquet", "-q"], ["--trial-seed", "1"]),
    "versus": (["versus", "measure.parquet", "measure.parquet", "-q"], ["--confidence", "0.9"]),
    "compare": (["compare", "measure.parquet", "-q"], ["--scale", "1"]),
    "statistics": (["statistics", "photo.png", "-q"], ["--rotate", "45"]),
    "learn": (LEARN, ["--seed", "1"]),
}
"""Words of a command, and what makes it another measurement."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of every command."""
    folder = tmp_path_factory.mktemp("made")
    Image.effect_noise((80, 60), 50).save(folder / "photo.png")
    for name, (words, _) in MADE.items():
        done = call_inside(*words, "-o", f"{name}.parquet", cwd=folder)
        assert done.returncode == 0, done.stderr.decode()
    pd.DataFrame({"a": [1]}).to_parquet(folder / "other.parquet")
    (folder / "other.csv").write_text("a,b\n1,2\n")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of these files."""
    shutil.copytree(made, tmp_path / "work", copy_function=shutil.copy2)
    return tmp_path / "work"


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refuse(folder: Path, *words: str) -> str:
    """The one line of a refusal, which leaves every file as it was."""
    before = content(folder)
    done = call_inside(*words, cwd=folder)
    text = done.stderr.decode()
    assert done.returncode == 2, text
    assert len(text.splitlines()) == 1, text
    assert content(folder) == before
    return text


@pytest.mark.parametrize("name", MADE)
def test_the_same_is_made_again_and_another_is_refused_unless_forced(name: str, folder: Path) -> None:
    words, other = MADE[name]
    file = f"{name}.parquet"
    done = call_inside(*words, "-o", file, cwd=folder)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()
    line = refuse(folder, *words, *other, "-o", file)
    assert f"'{file}' holds something else" in line
    assert "--force" in line
    assert ("--append" in line) == (name == "measure")
    before = content(folder)[file]
    done = call_inside(*words, *other, "-o", file, "--force", cwd=folder)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()
    assert content(folder)[file] != before
    assert call_inside(*words, *other, "-o", file, cwd=folder).returncode == 0


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("what", ["other.parquet", "other.csv", "fisher.parquet", "measure.parquet"])
def test_a_file_of_something_else_is_refused_unless_forced(name: str, what: str, folder: Path) -> None:
    if what.startswith(name):
        return
    words, _ = MADE[name]
    line = refuse(folder, *words, "-o", what)
    known = {"fisher.parquet": "a file of Fisher matrices", "measure.parquet": "a results file"}
    assert known.get(what, "of another program") in line
    assert ("--append" in line) == (name == "measure" and what == "measure.parquet")
    (folder / "measured").write_bytes((folder / "measure.parquet").read_bytes())
    words = ["measured" if word == "measure.parquet" else word for word in words]
    done = call_inside(*words, "-o", what, "--force", cwd=folder)
    assert done.returncode == 0, done.stderr.decode()


def test_a_refusal_comes_before_anything_is_measured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError

    for module in ("measurement.run.gather", "measurement.fisher_matrix.run_blocks"):
        monkeypatch.setattr(f"psychophys.{module}", fail)
    monkeypatch.setattr("psychophys.simulation.run.prepare", fail)
    monkeypatch.setattr("psychophys.measurement.tuning.gather_curves", fail)
    monkeypatch.setattr("psychophys.physiology.tune.show_units", fail)
    monkeypatch.setattr("psychophys.comparison.distort.find_ends", fail)
    for name in ("measure", "fisher", "responses", "tune", "battery", "distort", "simulate", "check"):
        words, other = MADE[name]
        refuse(folder, *words, *other, "-o", f"{name}.parquet")


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_rows_alone_are_known_by_their_runs(suffix: str, tmp_path: Path) -> None:
    file, words = f"r.{suffix}", ["measure", *USUAL]
    for _ in range(2):
        assert call_inside(*words, "-o", file, cwd=tmp_path).returncode == 0
    refuse(tmp_path, *words, "--seed", "1", "-o", file)
    assert "a table without provenance" in refuse(tmp_path, "simulate", *USUAL, "-o", file)
    assert call_inside(*words, "--seed", "1", "-o", file, "--force", cwd=tmp_path).returncode == 0


def test_more_than_is_in_the_file_may_replace_it_and_less_may_not(tmp_path: Path) -> None:
    words = ["measure", *USUAL[1:]]
    assert call_inside(*words, "test_resnet", cwd=tmp_path).returncode == 0
    assert call_inside(*words, "test_resnet", "test_vit", cwd=tmp_path).returncode == 1
    words[words.index("fc")] = "fc,head"
    refuse(tmp_path, *words, "test_resnet")


def test_fewer_simulated_values_do_not_replace_more(folder: Path) -> None:
    words, _ = MADE["check"]
    refuse(folder, *words, "--values", "2", "-o", "check.parquet")


def test_another_photograph_is_another_prior(folder: Path) -> None:
    Image.effect_noise((80, 60), 20).save(folder / "photo.png")
    refuse(folder, *MADE["statistics"][0], "-o", "statistics.parquet")


def test_force_and_append_exclude_each_other(folder: Path) -> None:
    assert "--append and --force" in refuse(folder, "measure", *USUAL, "--append", "--force")


def test_an_empty_file_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "results.parquet").touch()
    assert call_inside("measure", *USUAL, cwd=tmp_path).returncode == 0


def test_a_damaged_file_is_kept(folder: Path) -> None:
    path = folder / "measure.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    assert "damaged" in refuse(folder, "measure", *USUAL, "-o", path.name)


def test_modes_of_other_trainings_are_kept(folder: Path) -> None:
    words = ["--seed", "1", "-o", "new.parquet", "--modes", "learn-modes.parquet"]
    assert "'learn-modes.parquet' holds something else: it is a file of modes" in refuse(
        folder, *LEARN, *words
    )
