"""Columns that came later: parameters and licence of a network, and files that are without them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import timm
import torch
from inside import call_inside
from torch import nn

import psychophys
from psychophys.base.errors import UsageError
from psychophys.observers.load import load_observer
from psychophys.results.ranking import rank
from psychophys.results.shared_columns import ADDED_COLUMNS
from psychophys.results.tables import RunTable
from psychophys.results.thresholds import Results, concat, read
from psychophys.results.words import large

RANDOM = ["--weights", "random", "--values", "4", "--phases", "2"]
WORDS = {
    Results: ["measure", "test_resnet", *RANDOM, "--layers", "layer*"],
    psychophys.FisherResults: ["fisher", "test_resnet", *RANDOM, "--layers", "fc"],
    psychophys.Simulations: ["simulate", "test_resnet", *RANDOM, "--layers", "fc"],
}


def call(*words: str | Path, cwd: Path) -> str:
    done = call_inside(*words, cwd=cwd)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of every kind, and ``old-``: the same as the version before wrote it."""
    folder = tmp_path_factory.mktemp("made")
    for table, words in WORDS.items():
        call(*words, "-q", "-o", f"{table.__name__}.parquet", cwd=folder)
        age(folder / f"{table.__name__}.parquet", folder / f"old-{table.__name__}.parquet", table)
    return folder


def age(new: Path, old: Path, table: type[RunTable]) -> None:
    held = pq.read_table(new)
    meta = json.loads(held.schema.metadata[table.key])
    assert meta["schema_version"] == table.version
    text = json.dumps({**meta, "schema_version": table.version - 1}).encode()
    pq.write_table(held.drop_columns([*ADDED_COLUMNS]).replace_schema_metadata({table.key: text}), old)


@pytest.mark.parametrize("table", WORDS)
def test_files_of_the_version_before_are_read_and_lack_nothing_else(table: Any, made: Path) -> None:
    new, old = (table.read(made / f"{age}{table.__name__}.parquet") for age in ("", "old-"))
    for name in ADDED_COLUMNS:
        assert old.table[name].null_count == len(old) > 0
    assert set(new.table["n_parameters"].to_pylist()) == {469_688}
    kept = [name for name in table.schema.names if name not in ADDED_COLUMNS]
    assert old.table.select(kept).equals(new.table.select(kept))
    assert old.table.schema.equals(new.table.schema)
    assert old.runs == new.runs
    joined = table.join([old, table.from_rows([], {})])
    assert joined.table.equals(old.table)


def test_a_file_that_lacks_them_without_being_of_that_version_is_damaged(made: Path, tmp_path: Path) -> None:
    held = pq.read_table(made / "Results.parquet")
    pq.write_table(held.drop_columns(["license"]), tmp_path / "r.parquet")
    with pytest.raises(UsageError, match="damaged"):
        read(tmp_path / "r.parquet")


def test_old_and_new_files_are_added_to_joined_compared_and_shown(made: Path, tmp_path: Path) -> None:
    shutil.copy(made / "old-Results.parquet", tmp_path / "r.parquet")
    call(*WORDS[Results], "--seed", "1", "-q", "-o", "r.parquet", "--append", cwd=tmp_path)
    both = read(tmp_path / "r.parquet").to_pandas()
    assert list(both.groupby("seed")["n_parameters"].max().fillna(0)) == [0, 469_688]
    new, old = (read(made / f"{age}Results.parquet") for age in ("", "old-"))
    assert concat([old, new]).table.equals(new.table)
    assert psychophys.compare(old).equals(psychophys.compare(new))
    assert "parameters" not in call("show", made / "old-Results.parquet", "--top", "1", cwd=tmp_path)
    ranking = rank(read(tmp_path / "r.parquet"), "parameters")
    assert [str(count) for count in ranking["parameters"]] == ["469688", "<NA>"]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_old_rows_without_provenance_may_be_replaced_by_the_same(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"r.{suffix}"
    call(*WORDS[Results], "-q", "-o", file.name, cwd=tmp_path)
    frame = (pd.read_csv if suffix == "csv" else lambda path: pd.read_json(path, lines=True))(file)
    frame = frame.drop(columns=[*ADDED_COLUMNS])
    if suffix == "csv":
        frame.to_csv(file, index=False)
    else:
        frame.to_json(file, orient="records", lines=True)
    refused = call_inside(*WORDS[Results], "--seed", "1", "-q", "-o", file.name, cwd=tmp_path)
    assert refused.returncode == 2
    call(*WORDS[Results], "-q", "-o", file.name, cwd=tmp_path)
    assert "n_parameters" in file.read_text()


def test_parameters_are_counted_once_and_whether_trained_or_not() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3))
    network[0].requires_grad_(False)
    network[3].weight = network[2].weight
    observer = psychophys.Observer(network, input_size=32)
    assert observer.n_parameters == (3 * 4 * 9 + 4) + 2 * 4 + (4 * 4 * 9 + 4) + 4
    assert observer.license is None


def test_the_licence_is_that_of_the_weights(tmp_path: Path) -> None:
    assert load_observer(weights="pretrained").license == "apache-2.0"
    assert load_observer(weights="shuffled").license == "apache-2.0"
    assert load_observer(weights="random").license is None
    network = timm.create_model("test_resnet")
    assert network.pretrained_cfg["license"]
    torch.save(network.state_dict(), tmp_path / "w.pth")
    for weights in ("pretrained", "shuffled", "random"):
        observer = load_observer("test_resnet", checkpoint=tmp_path / "w.pth", weights=weights)
        assert observer.license is None


@pytest.mark.parametrize("stated", ["mit", "unknown", None])
def test_the_licence_of_a_folder_is_the_one_in_its_own_configuration(
    stated: str | None, tmp_path: Path
) -> None:
    network = timm.create_model("test_resnet")
    network.pretrained_cfg = {**network.pretrained_cfg, "license": stated}
    timm.models.save_for_hf(network, str(tmp_path / "mine"))
    name = f"local-dir:{tmp_path / 'mine'}"
    expected = "mit" if stated == "mit" else None
    assert [load_observer(name, weights=w).license for w in ("pretrained", "shuffled", "random")] == [
        expected,
        expected,
        None,
    ]


def test_a_ranking_has_parameters_and_licences(tmp_path: Path) -> None:
    words = ["--values", "4", "--phases", "1", "-q", "-o", "r.parquet", "--append"]
    call("measure", "--layers", "classifier", *words, cwd=tmp_path)
    call("measure", "test_resnet", "--weights", "random", "--layers", "fc", *words, cwd=tmp_path)
    shown = call("show", "r.parquet", "--sort", "parameters", cwd=tmp_path).splitlines()
    assert [line.split()[1] for line in shown[1:3]] == ["test_resnet", "tf_efficientnet_lite0"]
    assert [line.rstrip()[-5:].strip() for line in shown[1:3]] == ["470 k", "4.7 M"]
    (tmp_path / "ranking.csv").write_text(call("show", "r.parquet", "--format", "csv", cwd=tmp_path))
    lines = [line.split(",") for line in (tmp_path / "ranking.csv").read_text().splitlines()]
    places = [lines[0].index(name) for name in ("model", "parameters", "license")]
    assert {tuple(line[place] for place in places) for line in lines[1:]} == {
        ("tf_efficientnet_lite0", "4652008", "apache-2.0"),
        ("test_resnet", "469688", ""),
    }


@pytest.mark.parametrize(
    ("count", "words"),
    [
        *((0, "0"), (999, "999"), (1000, "1.0 k"), (99_949, "99.9 k"), (99_950, "100 k"), (469_688, "470 k")),
        *((999_499, "999 k"), (999_500, "1.0 M"), (11_689_512, "11.7 M"), (1_136_008_192, "1.1 G")),
        *((float("nan"), "-"), (pd.NA, "-")),
    ],
)
def test_a_large_count_in_a_few_digits(count: Any, words: str) -> None:
    assert large(count) == words
