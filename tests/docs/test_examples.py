"""The examples are run: in Python as scripts of their own, commands by a server that has them loaded."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
import timm
from PIL import Image

import psychophys

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("examples")


def run(command: list[str], folder: Path, environment: Mapping[str, str] = os.environ, **more: str) -> str:
    env = {**environment, **more}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["custom_stimulus.py", "custom_model.py"])
def test_python_example_runs(name: str, folder: Path) -> None:
    assert run([sys.executable, "-W", "ignore", str(EXAMPLES / name)], folder)


def test_own_model_is_found_by_the_command_line(folder: Path, warm: Mapping[str, str]) -> None:
    words = ["own_net", "--weights", "random", "--import", str(EXAMPLES / "custom_model.py")]
    script = shlex.join(["psychophys", "sweep", *words, "--values", "4", "--phases", "1", "-o", "own"])
    run(["bash", "-c", script], folder, warm)
    assert set(psychophys.read(folder / "own").to_pandas()["layer"]) == {"conv1", "conv2", "head"}


def test_zoo_is_measured_ranked_and_analysed(folder: Path, warm: Mapping[str, str]) -> None:
    words = ["bash", str(EXAMPLES / "zoo.sh"), "ranked", "test_resnet", "test_vit2"]
    run(words, folder, warm, WEIGHTS="random,random")
    ranking = pd.read_csv(folder / "ranked-ranking.csv")
    assert sorted(ranking["model"]) == ["test_resnet", "test_vit2"]
    assert list(ranking["ratio_last"]) == sorted(ranking["ratio_last"], reverse=True)
    run([sys.executable, "-W", "ignore", str(EXAMPLES / "analyse_zoo.py"), "ranked", "-o", "fig"], folder)
    table = pd.read_csv(folder / "fig.csv")
    assert set(table["model"]) == {"test_resnet", "test_vit2"}
    assert table["layer_depth"].between(0, 1).all()
    with Image.open(folder / "fig.png") as figure:
        assert min(figure.size) > 500


def test_slurm_array_measures_every_part(folder: Path, warm: Mapping[str, str]) -> None:
    (folder / "zoo.txt").write_text("test_resnet\ntest_vit*\n")
    script = str(EXAMPLES / "slurm_array.sbatch")
    for part in ("1", "2", "3"):
        part_of = {"SLURM_ARRAY_TASK_ID": part, "SLURM_ARRAY_TASK_COUNT": "3", "WEIGHTS": "random"}
        run(["bash", script, "--values", "4", "--phases", "1"], folder, warm, **part_of, RESULTS="array")
    names = set(psychophys.read(folder / "array").to_pandas()["model"])
    assert names == {"test_resnet", *timm.list_models("test_vit*")}
