"""`psychophys check`, and what `measure` says of a network that does not keep its contract."""

from pathlib import Path

import pandas as pd
import pytest
from inside import call_inside

OWN = ["--weights", "random", "--import", str(Path(__file__).with_name("contract_models.py"))]
QUICK = ["--values", "2", "--phases", "1"]


def test_check_says_that_a_network_keeps_its_contract(tmp_path: Path) -> None:
    done = call_inside("check", "test_resnet", "--weights", "random", cwd=tmp_path)
    text = done.stdout.decode()
    assert done.returncode == 0
    assert "forward mode" in text
    assert "layers answer each image by itself" in text
    assert "within" in text


@pytest.mark.parametrize(
    ("model", "code", "words"),
    [
        ("mine_random", 1, "Left out: second is random"),
        ("mine_cut", 0, "second has no forward-mode derivative that is its own (it misses 100%)"),
        ("mine_stairs", 0, "second has no derivative: differences go with the step"),
    ],
)
def test_check_says_what_is_wrong_with_a_network(tmp_path: Path, model: str, code: int, words: str) -> None:
    done = call_inside("check", model, *OWN, cwd=tmp_path)
    assert done.returncode == code, done.stderr.decode()
    assert words in done.stdout.decode()


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("mine_random", "not measured (is random: the same images get other answers"),
        ("mine_cut", "by central differences, for want of a forward-mode derivative: second"),
        ("mine_stairs", "not_differentiable"),
    ],
)
def test_measure_says_what_it_left_out_and_did_instead(tmp_path: Path, model: str, words: str) -> None:
    done = call_inside("measure", model, *OWN, *QUICK, cwd=tmp_path)
    assert done.returncode == 0
    assert words in done.stderr.decode()


def test_a_network_that_draws_numbers_is_measured_with_a_seed(tmp_path: Path) -> None:
    files = []
    for seed in ("0", "1"):
        files.append(tmp_path / f"{seed}.parquet")
        done = call_inside(
            "measure", "mine_random", *OWN, *QUICK, "--seed-noise", seed, "-o", files[-1].name, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr.decode()
        assert f"the same for every image, seed {seed}" in done.stderr.decode()
    one, other = map(pd.read_parquet, files)
    assert set(one["layer"]) == {"first", "second"}
    assert set(one["status"]) == {"ok"}
    assert not set(one["run_id"]) & set(other["run_id"])


def test_precision_is_part_of_the_run(tmp_path: Path) -> None:
    files = [tmp_path / "exact.parquet", tmp_path / "rough.parquet"]
    words = ["measure", "test_resnet", "--weights", "random", *QUICK]
    call_inside(*words, "-o", files[0].name, cwd=tmp_path)
    done = call_inside(*words, "--precision", "bf16", "-o", files[1].name, cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    exact, rough = map(pd.read_parquet, files)
    assert set(exact["run_id"]).isdisjoint(rough["run_id"])
    wrong = call_inside(*words, "--precision", "half", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "exact, tf32, bf16" in wrong.stderr.decode()
