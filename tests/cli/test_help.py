"""Help: fast, with examples and a page to read, and with the names that there are."""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from inside import call_inside
from typer.main import get_command

import psychophys
from psychophys.cli import names
from psychophys.cli.app import COMMANDS, app
from psychophys.learning.experiments import EXPERIMENTS

PAGES = {command.__name__: pages for command, pages in COMMANDS.items()}
BUILT = get_command(app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", PAGES)
def test_help_has_an_example_and_ends_with_its_page(name: str, tmp_path: Path) -> None:
    text = call_inside(name, "--help", cwd=tmp_path).stdout.decode()
    assert f"\n    psychophys {name}" in text
    last = text.rstrip().splitlines()[-1].strip()
    assert last == f"Documentation: {', '.join(f'docs/{page}.md' for page in PAGES[name])}"


def test_help_lists_every_command_in_their_order(tmp_path: Path) -> None:
    text = call_inside("--help", cwd=tmp_path).stdout.decode()
    assert text == call_inside(cwd=tmp_path).stdout.decode()
    rows = [line.split()[0] for line in text.partition("Commands:")[2].splitlines() if line.strip()]
    assert rows[: len(PAGES)] == list(PAGES) == list(BUILT)


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['psychophys', 'measure', '--help']\n"
        "from psychophys.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'timm', 'numpy', 'pandas', 'pyarrow', 'scipy'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def table(name: str, folder: str) -> Sequence[object]:
    """The longest table of that name in any module of a folder."""
    package = importlib.import_module(f"psychophys.{folder}")
    modules = [one.name for one in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    holders = [vars(importlib.import_module(one)) for one in (package.__name__, *modules)]
    return max((list(one[name]) for one in holders if name in one), key=len)


@pytest.mark.parametrize(
    ("read", "name", "folder"),
    [
        (names.STIMULI, "STIMULI", "stimuli"),
        (names.NOISES, "NOISE", "noise"),
        (names.ESTIMATORS, "ESTIMATORS", "responses"),
        (names.WEIGHTS, "WEIGHTS", "observers"),
        (names.GRAINS, "GRAINS", "observers"),
        (names.BASELINES, "BASELINES", "physiology"),
        (names.DTYPES, "DTYPES", "observers"),
        (names.PRESETS, "PRESETS", "measurement"),
        (names.TASKS, "TASKS", "simulation"),
        (names.READ_OUTS, "READ_OUTS", "simulation"),
        (names.EXPERIMENTS, "EXPERIMENTS", "learning"),
        (names.RANKINGS, "RANKINGS", "results"),
        (names.ENGINES, "ENGINES", "sweeps"),
        (names.listed("FORMATS", "results"), "FORMATS", "results"),
        (names.listed("FIGURE_FORMATS", "plots"), "FIGURE_FORMATS", "plots"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_names_in_help_are_those_of_the_table(read: list[str], name: str, folder: str) -> None:
    assert read
    assert sorted(read) == sorted(str(getattr(one, "name", one)) for one in table(name, folder))


def test_defaults_in_help_are_those_of_a_measurement() -> None:
    options = {one.name: one for one in BUILT["measure"].params}
    usual = psychophys.plan()
    assert options["noise"].show_default == usual.noise.name
    assert options["estimator"].show_default == usual.estimator.name


def test_names_of_installed_packages_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    point = importlib.metadata.EntryPoint("pink", "somewhere:PINK", "psychophys.noise")
    own = names.made("Noise", "noise")
    monkeypatch.setattr(names, "_offered", lambda: [point])
    assert names.made("Noise", "noise", "psychophys.noise") == [*own, "pink"]
    assert names.made("Noise", "noise", "psychophys.stimuli") == own


def test_every_experiment_is_explained() -> None:
    assert all(name in BUILT["learn"].help for name in EXPERIMENTS)


def test_names_are_put_in_words() -> None:
    assert names.either([]) == ""
    assert names.either(["a"]) == "a"
    assert names.either(["a", "b", "c"]) == "a, b or c"
    assert names.file_of(["png", "svg"]) == "FILE.png or .svg"
