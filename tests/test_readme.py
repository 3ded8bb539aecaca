"""What the README shows is run, and what it lists is what there is."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from psychophys.results import COLUMNS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
# Installing is what CI does before it comes here.
BASH = [block for language, block in BLOCKS if language == "bash" and "pip install" not in block]
PYTHON = [block for language, block in BLOCKS if language == "python"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("readme")


def run(command: list[str], folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("block", BASH, ids=lambda block: block.splitlines()[0][:60])
def test_shell_block_runs(block: str, folder: Path) -> None:
    run(["bash", "-euo", "pipefail", "-c", block], folder)


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.splitlines()[-1][:60])
def test_python_block_runs(block: str, folder: Path) -> None:
    assert run([sys.executable, "-W", "ignore", "-c", block], folder)


def test_every_block_is_found() -> None:
    assert len(BASH) >= 2
    assert len(PYTHON) == 2


def test_columns_are_listed_as_declared() -> None:
    rows = [f"| `{c.name}` | {c.unit} | {c.meaning} |" for c in COLUMNS]
    assert "\n".join(rows) in README


def test_every_command_is_documented() -> None:
    for command in ("measure", "layers", "models", "stimuli", "show"):
        assert f"psychophys {command}" in README


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_example_runs(example: Path, folder: Path) -> None:
    assert run([sys.executable, "-W", "ignore", str(example)], folder)
