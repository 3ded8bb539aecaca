"""Files of every command are known to every command: by what they are, and what reads them."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from inside import call_inside

import psychophys
from psychophys import UsageError
from psychophys.comparison.table import Comparison
from psychophys.results.kinds import KINDS, look

USUAL = ["test_resnet", "--weights", "random", "--values", "4", "--phases", "1", "--layers", "fc", "-q"]
DISTORT = ["test_resnet", "--weights", "random", "--layers", "fc", "--steps", "3", "-q"]
BATTERY = ["test_resnet", "--weights", "random", "--references", "heeley*", "--layers", "fc", "-q"]
MADE = {
    "results": ["measure", *USUAL],
    "fisher": ["fisher", *USUAL, "--frequencies", "4,8"],
    "responses": ["responses", *USUAL],
    "units": ["tune", *USUAL, "--places", "2", "--population", "8"],
    "battery": ["battery", *BATTERY],
    "distortions": ["distort", "astronaut", *DISTORT],
    "simulation": ["simulate", *USUAL],
    "learning": ["learn", "linear", "--quick", "--runs", "1", "--depths", "1", "--snapshots", "2", "-q"],
    "comparison": ["compare", "results.parquet", "-q"],
    "ratios": ["versus", "results.parquet", "results.parquet", "-q"],
    "prior": ["statistics", "photo.png", "-q"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of every kind, named by its kind, and some that are of none."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("kinds")
    Image.effect_noise((80, 60), 50).save(folder / "photo.png")
    for name, words in MADE.items():
        done = call_inside(*words, "-o", f"{name}.parquet", cwd=folder)
        assert done.returncode == 0, done.stderr.decode()
    (folder / "learning-modes.parquet").rename(folder / "modes.parquet")
    (folder / "learning-modes.parquet").write_bytes((folder / "modes.parquet").read_bytes())
    pd.DataFrame({"a": [1]}).to_parquet(folder / "other.parquet")
    (folder / "other.csv").write_text("a,b\n1,2\n")
    psychophys.read(folder / "results.parquet").write(folder / "rows.csv")
    psychophys.read(folder / "results.parquet").write(folder / "rows.jsonl")
    whole = (folder / "fisher.parquet").read_bytes()
    (folder / "damaged.parquet").write_bytes(whole[: len(whole) // 2])
    return folder


def error_of(folder: Path, *words: str | Path) -> str:
    """The one line of a refusal."""
    done = call_inside(*words, cwd=folder)
    text = done.stderr.decode()
    assert done.returncode == 2, text
    assert len(text.splitlines()) == 1, text
    assert not done.stdout
    return text


NONE = {
    "other.parquet": "a Parquet file of another program",
    "other.csv": "a file of another program",
    "rows.csv": "a table without provenance",
    "rows.jsonl": "a table without provenance",
    "damaged.parquet": "damaged",
}


@pytest.mark.parametrize("name", KINDS)
def test_a_file_of_every_kind_is_recognised_shown_and_read(name: str, folder: Path) -> None:
    path = folder / f"{name}.parquet"
    assert look(path).kind is KINDS[name]
    done = call_inside("show", path.name, cwd=folder)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.splitlines()) > 1
    read: Callable[[Path], object] = operator.attrgetter(KINDS[name].reader)(psychophys)
    assert read(path) is not None


@pytest.mark.parametrize("name", NONE)
def test_a_file_of_no_kind_is_said_to_be_of_another_program_or_damaged(name: str, folder: Path) -> None:
    assert look(folder / name).kind is None
    for words in (["show", name], ["plot", name], ["compare", name], ["simulate", "--check", name]):
        line = error_of(folder, *words)
        assert NONE[name] in line
        assert ("damaged" in line) == (name == "damaged.parquet")


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"results", "learning"}))
@pytest.mark.parametrize(
    "words",
    [
        ["plot", "FILE"],
        ["compare", "FILE"],
        ["simulate", "--check", "FILE"],
        ["measure", "-o", "FILE", "--append"],
    ],
    ids=lambda words: words[0],
)
def test_a_command_for_results_says_what_another_file_is(name: str, words: list[str], folder: Path) -> None:
    line = error_of(folder, *(f"{name}.parquet" if word == "FILE" else word for word in words))
    assert f"is a {KINDS[name].called}, not a results file" in line
    assert f"psychophys.{KINDS[name].reader}" in line
    assert "damaged" not in line


@pytest.mark.parametrize("wanted", KINDS)
@pytest.mark.parametrize("given", KINDS)
def test_every_reader_says_what_another_file_is(wanted: str, given: str, folder: Path) -> None:
    if KINDS[wanted].key == KINDS[given].key:
        return
    read = operator.attrgetter(KINDS[wanted].reader)(psychophys)
    with pytest.raises(UsageError, match=f"is a {KINDS[given].called}, not a ") as error:
        read(folder / f"{given}.parquet")
    assert f"psychophys.{KINDS[given].reader} reads it" in str(error.value)


@pytest.mark.parametrize("name", ["results", "learning"])
def test_a_file_of_results_is_no_prior(name: str, folder: Path) -> None:
    line = error_of(folder, "compare", "results.parquet", "--prior", f"{name}.parquet")
    assert f"is a {KINDS[name].called}, not a prior" in line


def test_results_are_not_of_a_learning_experiment(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"is a results file, not of one experiment"):
        psychophys.read_learned(folder / "results.parquet")


@pytest.mark.parametrize("name", [*sorted(set(KINDS) - {"results", "learning"}), "other", "damaged"])
def test_nothing_in_a_directory_of_results_is_said_to_be_safe_to_remove(
    name: str, folder: Path, tmp_path: Path
) -> None:
    for one in ("results", name):
        (tmp_path / f"{one}.parquet").write_bytes((folder / f"{one}.parquet").read_bytes())
    for words in (["show", "."], ["plot", "."]):
        line = error_of(tmp_path, *words)
        assert f"{name}.parquet" in line
        assert "emove" not in line
        assert "ove it" in line
        assert ("damaged" in line) == (name == "damaged")


def test_pages_that_are_damaged_are_said_to_be(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "pages.parquet"
    content = bytearray((folder / "simulation.parquet").read_bytes())
    content[4:200] = bytes(196)
    path.write_bytes(content)
    line = error_of(tmp_path, "show", path.name)
    assert "is a file of simulations that is damaged" in line


def test_only_results_have_a_ranking(folder: Path) -> None:
    line = error_of(folder, "show", "fisher.parquet", "--sort", "ratio")
    assert "has no ranking" in line
    done = call_inside("show", "learning.parquet", "--format", "csv", cwd=folder)
    assert done.returncode == 0
    assert b"linear" in done.stdout


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", KINDS)
def test_no_number_is_cut_on_a_terminal(
    name: str, width: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def numbers(text: str) -> set[str]:
        return set(re.findall(r"[^\s,]*\d[^\s,]*", re.sub(r"\x1b\[[\d;]*m", "", text)))

    whole = call_inside("show", f"{name}.parquet", cwd=folder).stdout.decode()
    for variable, value in (("COLUMNS", str(width)), ("FORCE_COLOR", "1"), ("NO_COLOR", "1")):
        monkeypatch.setenv(variable, value)
    narrow = call_inside("show", f"{name}.parquet", cwd=folder).stdout.decode()
    curve = set(re.findall(r"sensitivity at (\S+)", whole))  # Drawn where there is room.
    assert numbers(whole) - curve <= numbers(narrow)
    assert "\u2026" not in narrow


def test_a_comparison_is_read_as_it_was_made(folder: Path) -> None:
    found = psychophys.read_comparison(folder / "comparison.parquet")
    made = psychophys.compare(psychophys.read(folder / "results.parquet"))
    pd.testing.assert_frame_equal(found, made)
    with pytest.raises(UsageError, match="is not a file"):
        Comparison.read(folder / "missing.parquet")


def test_a_comparison_with_other_columns_is_of_another_version(tmp_path: Path) -> None:
    table = pa.table({"a": [1]}).replace_schema_metadata({KINDS["comparison"].key: b"{}"})
    pq.write_table(table, tmp_path / "c.parquet")
    with pytest.raises(UsageError, match="a comparison of another version, without run_id, model, weights"):
        psychophys.read_comparison(tmp_path / "c.parquet")


def test_a_prior_of_the_literature_is_shown(tmp_path: Path) -> None:
    psychophys.load_prior("wei-stocker-2015").write(tmp_path / "p.parquet")
    done = call_inside("show", "p.parquet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert b"Wei & Stocker" in done.stdout
