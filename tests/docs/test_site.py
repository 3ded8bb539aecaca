"""The documentation site is built without a warning and without a network, and is complete."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

import psychophys
from psychophys.cli.app import app

pytestmark = pytest.mark.slow
DOCS = Path(__file__).parents[2] / "docs"
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]
BUILD = """
import socket, sys
def connect(*_): raise OSError("no network here")
socket.socket.connect = connect
from sphinx.cmd.build import main
sys.exit(main(sys.argv[1:]))
"""
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|audio|video|embed|object)\b[^>]*?\b(?:src|data)=["']?((?:https?:)?//[^"'\s>]+)"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|preload|icon|preconnect|modulepreload))"""
    r"""[^>]*?\bhref=["']?((?:https?:)?//[^"'\s>]+)""",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-c", BUILD, "-W", "--keep-going", "-q", "-d", str(built / "trees")]
    done = subprocess.run(
        [*command, str(DOCS), str(built / "html")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return built / "html"


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = [path.read_text() for path in site.rglob("*.html")]
    styles = [path.read_text() for path in site.rglob("*.css")]
    assert len(pages) > 20
    assert styles
    for page in pages:
        assert not LOADED.findall(page)
    for style in styles:
        assert not re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", style)


def test_what_would_be_loaded_from_elsewhere_is_seen() -> None:
    assert LOADED.search('<script defer src="https://cdn.example/mathjax.js"></script>')
    assert LOADED.search('<link href="//fonts.example/a.css" rel="stylesheet">')
    assert not LOADED.search('<a href="https://doi.org/10.1038/nn.4105">')
    assert not LOADED.search('<script src="_static/furo.js"></script>')


def test_every_public_name_is_documented(site: Path) -> None:
    page = (site / "reference" / "api.html").read_text()
    for name in psychophys.__all__:
        assert f'id="psychophys.{name}"' in page


def test_every_command_and_option_is_documented(site: Path) -> None:
    page = (site / "reference" / "cli.html").read_text()
    for name, command in COMMANDS.items():
        assert f'<section id="{name}">' in page
        for parameter in command.params:
            for option in parameter.opts if not getattr(parameter, "hidden", False) else []:
                assert option in page or parameter.param_type_name == "argument"


def test_every_column_is_documented(site: Path) -> None:
    page = (site / "reference" / "columns.html").read_text()
    for table in (
        psychophys.Results,
        psychophys.TuningCurves,
        psychophys.UnitTuning,
        psychophys.Simulations,
        psychophys.Modes,
        psychophys.Prior,
    ):
        for column in table.schema.names:
            assert f">{column}<" in page


def test_every_entry_of_a_table_is_documented(site: Path) -> None:
    for page, names in {
        "stimuli": psychophys.STIMULI,
        "experiments": psychophys.EXPERIMENTS,
        "priors": [reference.name for reference in psychophys.REFERENCES.values()],
    }.items():
        text = (site / "reference" / f"{page}.html").read_text()
        for name in names:
            assert name in text


def test_formulas_are_drawn(site: Path) -> None:
    assert (site / "theory.html").read_text().count('<svg class="formula"') > 50
