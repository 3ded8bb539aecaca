"""Panels of the paper: every command line of every one can be run, and what comes of one is set on a page."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from inside import call_inside
from typer.main import get_command

from psychophys.base.registry import Registry
from psychophys.cli import paper
from psychophys.cli.app import app
from psychophys.cli.panels import PANELS, Panel
from psychophys.measurement.presets import preset_settings

SMALL = Panel(
    "small",
    "a small network",
    "It has thresholds.",
    (
        "measure {models} --weights random --values 4 --phases 1 --layers fc --device cpu -o small.parquet",
        "plot small.parquet -o small.png",
    ),
    "Everything.",
    0.1,
    ("test_resnet",),
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Panel:
    monkeypatch.setattr(paper, "PANELS", Registry("panel", (SMALL,), Panel))
    return SMALL


@pytest.mark.parametrize("name", list(PANELS))
def test_every_command_of_every_panel_is_understood(name: str, tmp_path: Path) -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    written: set[str] = set()
    for line in PANELS[name].lines(("tf_efficientnet_lite0",)):
        command, *words = shlex.split(line)
        context = commands[command].make_context(command, list(words))
        output = context.params["output"]
        assert output is not None
        # What a command reads, one before it wrote.
        read = [word for word in words if word.endswith(".parquet") and word != str(output)]
        assert set(read) <= written
        written.add(str(output))
        if preset := context.params.get("preset"):
            assert preset_settings(preset, context.params.get("dimension"))


def test_panels_are_listed_with_what_they_run_on(tmp_path: Path) -> None:
    done = call_inside("paper", cwd=tmp_path)
    assert done.returncode == 0
    lines = done.stdout.decode().splitlines()
    assert [line.split()[0] for line in lines] == list(PANELS)
    assert all(("tf_efficientnet_lite0" in line) == bool(PANELS[line.split()[0]].models) for line in lines)
    assert not list(tmp_path.iterdir())


def test_commands_can_be_printed_and_changed(tmp_path: Path) -> None:
    done = call_inside(
        "paper", "fig2", "--model", "resnet18", "--model", "vgg16_bn", "--dry-run", cwd=tmp_path
    )
    lines = done.stdout.decode().splitlines()
    assert lines == [f"psychophys {line}" for line in PANELS["fig2"].lines(("resnet18", "vgg16_bn"))]
    assert "measure resnet18 vgg16_bn --preset benjamin2022" in lines[0]
    assert not list(tmp_path.iterdir())


def test_a_page_sets_what_came_out_beside_the_claim(small: Panel, tmp_path: Path) -> None:
    done = call_inside("paper", "small", "--model", "test_resnet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    folder = tmp_path / "paper" / "small"
    assert done.stdout.decode().strip() == "paper/small/page.md"
    assert (folder / "small.parquet").exists()
    assert (folder / "small.png").stat().st_size > 1000
    page = (folder / "page.md").read_text()
    assert small.claim in page
    assert small.differs in page
    assert all(f"`psychophys {line}`" in page for line in small.lines(("test_resnet",)))
    assert "![small.png](small.png)" in page
    assert "fc" in page  # The summary of what was measured.


def test_a_command_that_fails_is_named(small: Panel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = replace(small, commands=("measure {models} --values 0",))
    monkeypatch.setattr(paper, "PANELS", Registry("panel", (broken,), Panel))
    done = call_inside("paper", "small", "-q", cwd=tmp_path)
    assert done.returncode == 1
    text = done.stderr.decode()
    assert text.startswith(
        "error: panel small stopped at `psychophys measure tf_efficientnet_lite0 --values 0`"
    )
    assert len(text.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["fig7"], ["unknown panel 'fig7'", "fig6"]),
        (["fig6", "--model", "resnet18"], ["panel fig6 trains its own networks", "--model"]),
    ],
)
def test_a_wrong_request_is_one_line(words: list[str], parts: list[str], tmp_path: Path) -> None:
    done = call_inside("paper", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert all(part in done.stderr.decode() for part in parts)
    assert len(done.stderr.decode().strip().splitlines()) == 1
