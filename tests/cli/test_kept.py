"""Lists that are kept: the same as from the real tables, without PyTorch, and never out of date."""

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
from inside import call_inside

from psychophys.cli import catalogue, kept, names
from psychophys.cli.kept import fingerprint

MADE: dict[str, Callable[[], Any]] = {
    "stimuli": catalogue._stimuli,
    "contrast-gabor": lambda: catalogue._contrast("gabor"),
    "displays": catalogue._displays,
    "noises": catalogue._noises,
    "priors": catalogue._priors,
    "models": catalogue._models,
    "words": catalogue._words,
    "panels": catalogue._panel_models,
    "layers-test_resnet": lambda: catalogue.layers_of("test_resnet"),
}
LIGHT = (
    "import sys; sys.argv = ['psychophys', *sys.argv[1:]]\n"
    "from psychophys.cli import main\n"
    "try: main()\nexcept SystemExit as end: code = end.code\n"
    "heavy = {'torch', 'timm', 'numpy', 'pandas', 'pyarrow', 'scipy'} & set(sys.modules)\n"
    "sys.exit(code or ', '.join(heavy) or 0)"
)


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A process without PyTorch and with an empty cache, as far as what is kept can tell."""
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(names, "_offered", list)
    monkeypatch.setenv("PSYCHOPHYS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    for name, make in MADE.items():
        (folder / f"{name}-{fingerprint()}.json").write_text(json.dumps(make()))
    return folder


@pytest.mark.parametrize(
    "line",
    [
        "stimuli",
        "stimuli gabor",
        "displays",
        "noises",
        "priors",
        "paper",
        "explain ratio",
        "models resnet* --pretrained --exclude *_in1k",
        "layers test_resnet",
    ],
)
def test_what_is_kept_prints_the_same_without_pytorch(line: str, cache: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PSYCHOPHYS_CACHE": str(cache)}
    command = [sys.executable, "-c", LIGHT, *line.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr.decode()
    real = call_inside(*line.split(), cwd=tmp_path)
    assert (done.stdout, done.stderr) == (real.stdout, real.stderr)
    assert done.stdout


@pytest.mark.parametrize("pretrained", [False, True])
@pytest.mark.parametrize(
    ("pattern", "exclude"),
    [
        ("*", []),
        ("", []),
        ("resnet18", []),
        ("resnet18.", []),
        ("resnet*", ["*_clip*", "resnet50"]),
        ("resnet50.a*", ["*.a1_in1k"]),
        ("*.*.*", []),
        ("vit_[st]*", [""]),
        ("[", []),
        ("ResNet*", []),
        ("alexnet*", ["*_no*"]),
        ("*net*", ["*18*.*", "a?*", "resnet*"]),
    ],
)
def test_models_are_chosen_as_timm_chooses_them(pattern: str, exclude: list[str], pretrained: bool) -> None:
    found, _, _ = catalogue.models(pattern, pretrained=pretrained, exclude=exclude)
    assert found == timm.list_models(pattern, pretrained=pretrained, exclude_filters=exclude)


def test_a_list_is_made_once_and_again_where_it_is_damaged(fresh: Path) -> None:
    made: list[int] = []

    def make() -> dict[str, Any]:
        made.append(1)
        return {"pair": (1, 0.1)}

    assert kept.kept("list", make) == kept.kept("list", make) == {"pair": [1, 0.1]}
    assert len(made) == 1
    (file,) = fresh.iterdir()
    file.write_text(file.read_text()[:-3])
    assert kept.kept("list", make) == {"pair": [1, 0.1]}
    assert len(made) == 2
    assert json.loads(file.read_text()) == {"pair": [1, 0.1]}


def test_nothing_is_kept_where_the_tables_may_be_added_to(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = importlib.metadata.EntryPoint("pink", "somewhere:PINK", "psychophys.noise")
    monkeypatch.setattr(names, "_offered", lambda: [point])
    assert [kept.kept("list", lambda: 1), kept.kept("list", lambda: 2)] == [1, 2]
    monkeypatch.setattr(names, "_offered", list)
    monkeypatch.setitem(sys.modules, "torch", kept)
    assert [kept.kept("list", lambda: 1), kept.kept("list", lambda: 2)] == [1, 2]
    assert not fresh.exists()


def test_a_cache_that_cannot_be_written_is_done_without(fresh: Path) -> None:
    fresh.write_text("a file")
    assert [kept.kept("list", lambda: 1), kept.kept("list", lambda: 2)] == [1, 2]


def test_old_files_are_removed(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(kept.MOST_KEPT + 3):
        monkeypatch.setattr(kept, "fingerprint", lambda number=number: f"of{number}")
        kept.kept("list", lambda number=number: number)  # type: ignore[misc]
        os.utime(fresh / f"list-of{number}.json", (number, number))
    kept.kept("other", list)
    assert len(list(fresh.glob("list-*"))) == kept.MOST_KEPT
    assert (fresh / "other-of6.json").is_file()
    assert kept.kept("list", dict) == kept.MOST_KEPT + 2


def test_the_fingerprint_changes_with_a_version_and_with_any_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = fingerprint()
    assert fingerprint() == before
    with monkeypatch.context() as patch:
        patch.setattr(kept, "_version", lambda name: f"{name} of tomorrow")
        assert fingerprint() != before
    seen = {kept._files(tmp_path)}
    for step in (
        lambda: (tmp_path / "a.py").write_text("1"),
        lambda: (tmp_path / "a.py").write_text("12"),
        lambda: os.utime(tmp_path / "a.py", (1, 1)),
        lambda: (tmp_path / "a.py").rename(tmp_path / "b.py"),
    ):
        step()
        seen.add(kept._files(tmp_path))
    assert len(seen) == 5
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "b.pyc").write_text("")
    assert kept._files(tmp_path) in seen


def test_the_cache_is_where_the_system_keeps_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PSYCHOPHYS_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert kept.cache_folder() == tmp_path / "psychophys"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert kept.cache_folder().name == "psychophys"
    assert kept.cache_folder().is_absolute()
