"""Tables that installed packages add to: the example package, and packages that are wrong."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from psychophys.base.registry import Registry
from psychophys.results.indices import INDICES, Index

PLUGIN = Path(__file__).parents[2] / "examples" / "plugin"


def install(folder: Path, name: str, points: dict[str, dict[str, str]]) -> None:
    """What an installer leaves of a package beside its code: its metadata."""
    info = folder / f"{name.replace('-', '_')}-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in of.items()) for group, of in points.items()]
    (info / "entry_points.txt").write_text("\n".join(lines))


def call(*words: str, path: tuple[Path, ...], cwd: Path) -> subprocess.CompletedProcess[str]:
    places = [*map(str, path), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(places), "COLUMNS": "200"}
    command = [sys.executable, "-W", "ignore", *words]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def offered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]
    folder = tmp_path_factory.mktemp("site")
    install(folder, project["name"], project["entry-points"])
    return folder, PLUGIN


SCRIPT = """
import psychophys
from psychophys.comparison.references import reference_for
watched = psychophys.load_observer("test_resnet", weights="random")
how = {"layers": "fc", "values": 4, "noise": "multiplicative"}
results = psychophys.measure(watched, "bar", **how)
frame = results.to_pandas()
assert set(frame["status"]) == {"ok"}, frame
assert (frame["dimension"].iloc[0], frame["noise"].iloc[0]) == ("width", "multiplicative")
results.write("bars.parquet")
assert set(psychophys.compare(results, human=True)["reference"]) == {"weber"}
turned = psychophys.measure(watched, layers="fc", parameters={"phase": 1})
assert set(psychophys.compare(turned, "horizontal")["prior"]) == {"horizontal"}
assert reference_for("width", "bar").name == "weber"
print("measured")
"""


def test_what_a_package_offers_is_measured_compared_and_restored(
    offered: tuple[Path, Path], tmp_path: Path
) -> None:
    done = call("-c", SCRIPT, path=offered, cwd=tmp_path)
    assert done.stdout == "measured\n", done.stderr
    # Its file can be read, and simulated, where the package is installed.
    words = ("simulate", "--check", "bars.parquet", "--values", "1", "-q")
    done = call("-m", "psychophys", *words, path=offered, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "simulation.parquet").is_file()


def test_what_a_package_offers_is_listed(offered: tuple[Path, Path], tmp_path: Path) -> None:
    for command, names in (
        ("stimuli", ["bar"]),
        ("noises", ["multiplicative"]),
        ("priors", ["horizontal", "weber"]),
    ):
        listed = call("-m", "psychophys", command, path=offered, cwd=tmp_path)
        assert listed.returncode == 0, listed.stderr
        for name in names:
            assert name in listed.stdout


BROKEN = """
from psychophys import Noise
def one(level, rms): return 1.0
RIGHT = Noise("mine", "J = 1", "-", "-", one)
OTHER_NAME = Noise("yours", "J = 1", "-", "-", one)
NO_NOISE = "noise"
"""


WRONG = (
    ({"mine": "broken:NOTHING"}, ("noise model 'mine'", "package broken", "cannot be loaded")),
    ({"mine": "nowhere:RIGHT"}, ("noise model 'mine'", "package broken", "nowhere")),
    ({"mine": "broken:NO_NOISE"}, ("broken:NO_NOISE", "is no noise model called 'mine'")),
    ({"mine": "broken:OTHER_NAME"}, ("is no noise model called 'mine'",)),
    ({"poisson": "broken:RIGHT"}, ("'poisson' is offered by package broken", "there is one already")),
)
"""What a package offers, and what is said of it."""


@pytest.mark.parametrize(
    ("points", "words"), WRONG, ids=lambda value: "-".join(value) if isinstance(value, dict) else ""
)
def test_a_package_that_is_wrong_is_named_in_one_line(
    points: dict[str, str], words: tuple[str, ...], tmp_path: Path
) -> None:
    install(tmp_path, "broken", {"psychophys.noise": points})
    (tmp_path / "broken.py").write_text(BROKEN)
    done = call("-m", "psychophys", "noises", path=(tmp_path,), cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    for word in words:
        assert word in line


def test_what_comes_along_is_not_touched_by_packages_that_are_wrong(tmp_path: Path) -> None:
    folders = []
    for number, (points, _) in enumerate(WRONG):
        folders.append(tmp_path / str(number))
        folders[-1].mkdir()
        install(folders[-1], f"broken{number}", {"psychophys.noise": points})
        (folders[-1] / "broken.py").write_text(BROKEN)
    usual = shlex.split("measure test_resnet --weights random --layers fc --values 2 --phases 1 -q")
    assert call("-m", "psychophys", *usual, path=tuple(folders), cwd=tmp_path).returncode == 0


def test_two_entries_of_one_name_are_refused() -> None:
    index = next(iter(INDICES.values()))
    with pytest.raises(ValueError, match=f"index called {index.name!r}"):
        len(Registry("index", (index, index), Index))
