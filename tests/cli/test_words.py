"""The same words for the same thing in every command, and the manners of a good command line."""

import io
import json
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from inside import call_inside
from rich.console import Console
from typer.main import get_command

import psychophys
from psychophys.cli import catalogue
from psychophys.cli.app import app
from psychophys.cli.display import progress_lines
from psychophys.cli.groups import HEADING_OF
from psychophys.cli.kept import fingerprint
from psychophys.cli.screen import plain_table, print_table
from psychophys.cli.waiting import ERASE, LINE, waiting
from psychophys.results.indices import INDICES
from psychophys.results.ranking import RANKINGS

BUILT: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
OPTIONS = [(name, one) for name, built in BUILT.items() for one in built.params if hasattr(one, "is_flag")]


@pytest.mark.parametrize("name", BUILT)
def test_h_is_help(name: str, tmp_path: Path) -> None:
    short, long = (call_inside(name, word, cwd=tmp_path) for word in ("-h", "--help"))
    assert short.returncode == long.returncode == 0
    assert short.stdout == long.stdout != b""


def test_upper_case_v_is_version(tmp_path: Path) -> None:
    assert call_inside("-V", cwd=tmp_path).stdout == call_inside("--version", cwd=tmp_path).stdout != b""


def test_an_option_has_the_same_words_in_every_command() -> None:
    words: dict[str, set[tuple[str, ...]]] = {}
    for _, option in OPTIONS:
        words.setdefault(option.opts[0], set()).add(tuple(option.opts))
    assert {one: all_ for one, all_ in words.items() if len(all_) > 1} == {}
    called: dict[str, set[str]] = {}
    for _, option in OPTIONS:
        called.setdefault(option.name, set()).add(option.opts[0])
    assert {name: opts for name, opts in called.items() if len(opts) > 1} == {}


def test_defaults_from_the_environment_are_in_every_command_that_has_the_option() -> None:
    for _, option in OPTIONS:
        if option.opts[0] in ("--device", "--batch-size", "--quiet"):
            assert option.envvar == f"PSYCHOPHYS_{option.name.upper()}"


def test_every_heading_is_of_options_that_there_are() -> None:
    assert set(HEADING_OF) <= {option.name for _, option in OPTIONS}
    text = call_inside("measure", "--help", cwd=Path.cwd()).stdout.decode()
    headings = ("Arguments", "Stimulus", "Observer", "Noise", "Output")
    places = [text.index(f"\n{heading}:\n") for heading in headings]
    assert places == sorted(places)
    assert all(word in text for one in BUILT["measure"].params for word in one.opts if word[0] == "-")


def test_defaults_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = [
        "measure",
        "test_resnet",
        "--weights",
        "random",
        "--values",
        "2",
        "--phases",
        "1",
        "-o",
        "out.csv",
    ]
    monkeypatch.setenv("PSYCHOPHYS_DEVICE", "tpu")
    refused = call_inside(*line, cwd=tmp_path)
    assert (refused.returncode, b"'tpu'" in refused.stderr) == (2, True)
    monkeypatch.setenv("PSYCHOPHYS_BATCH_SIZE", "0")
    assert b"batch size 0" in call_inside(*line, "--device", "cpu", cwd=tmp_path).stderr
    monkeypatch.setenv("PSYCHOPHYS_QUIET", "1")
    done = call_inside(*line, "--device", "cpu", "--batch-size", "4", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")


def test_words_are_completed_without_pytorch(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom psychophys.cli import main\n"
        "try: main()\nfinally: print(*{'torch', 'timm', 'pandas'} & set(sys.modules), file=sys.stderr)"
    )
    asked = {"_PSYCHOPHYS_COMPLETE": "complete_bash", "COMP_WORDS": "psychophys st", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **asked},
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.stdout.decode().split() == ["statistics", "stimuli"]
    assert not done.stderr.split()


@pytest.mark.parametrize("line", ["measure --help", "models --pretrained"])
@pytest.mark.parametrize("reader", ["head -1", "true"])
def test_who_has_read_enough_ends_a_command_quietly(line: str, reader: str, tmp_path: Path) -> None:
    words = shlex.join([sys.executable, "-m", "psychophys", *line.split()])
    (tmp_path / f"models-{fingerprint()}.json").write_text(json.dumps(catalogue._models()))
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {words} | {reader}"],
        env={**os.environ, "PSYCHOPHYS_CACHE": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode in (0, 141), done.stderr.decode()
    assert done.stderr == b""


def on_a_terminal(*words: str, cwd: Path) -> str:
    """What a command writes where standard error is a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "psychophys", *words]
    with subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        said = b""
        try:
            while part := os.read(ours, 1000):
                said += part
        except OSError:  # The other end is closed.
            pass
        process.wait()
    os.close(ours)
    return said.decode()


def test_a_terminal_hears_at_once_that_something_is_coming(tmp_path: Path) -> None:
    said = on_a_terminal("measure", "--bogus", cwd=tmp_path)
    assert said.startswith(f"{LINE}{ERASE}error: ")
    assert on_a_terminal("measure", "--bogus", "-q", cwd=tmp_path).startswith("error: ")
    assert on_a_terminal("measure", "-h", cwd=tmp_path) == ""


def test_the_line_goes_with_the_first_output_of_either_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream in ("stdout", "stderr"):
        out, err = io.StringIO(), Terminal()
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        with waiting(["measure"]):
            assert err.getvalue() == LINE
            assert sys.stderr.isatty()
            print("words", file=getattr(sys, stream))
            assert (sys.stdout, sys.stderr) == (out, err)
        written = (out if stream == "stdout" else err).getvalue()
        assert written == "words\n" if stream == "stdout" else f"{LINE}{ERASE}words\n"
        assert err.getvalue().count(ERASE) == 1


def test_progress_is_a_line_every_so_often_where_there_is_no_terminal() -> None:
    stream, time_s = io.StringIO(), [0.0]
    update = progress_lines(Console(file=stream), "images", 30, lambda: time_s[0])
    for done in range(101):
        time_s[0] = float(done)
        update("net", done, 100)
    assert stream.getvalue().splitlines() == [
        "net: 30 of 100 images, about 70 s left",
        "net: 60 of 100 images, about 40 s left",
        "net: 90 of 100 images, about 10 s left",
    ]


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize(
    "line",
    [
        "stimuli",
        "stimuli gabor",
        "stimuli gabor --display srgb",
        "displays",
        "noises",
        "priors",
        "explain",
        "layers test_resnet",
        "check test_resnet --weights random",
    ],
)
def test_no_word_is_cut_on_a_terminal(
    line: str, width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = call_inside(*line.split(), cwd=tmp_path).stdout.decode()
    for variable, value in (("COLUMNS", str(width)), ("FORCE_COLOR", "1"), ("NO_COLOR", "1")):
        monkeypatch.setenv(variable, value)
    narrow = re.sub(r"\x1b\[[\d;]*m", "", call_inside(*line.split(), cwd=tmp_path).stdout.decode())
    assert set(whole.split()) <= set(narrow.split())
    assert "\u2026" not in narrow


def test_a_narrow_terminal_first_does_without_what_may_be_left_out() -> None:
    def printed(width: int) -> list[list[str]]:
        stream = io.StringIO()
        table = plain_table()
        table.add_column("layer", no_wrap=True)
        table.add_column("mean", no_wrap=True)
        table.add_column("curve", no_wrap=True, overflow="crop")
        table.add_row("blocks.0", "0.00123", "#" * 18)
        print_table(Console(file=stream, width=width, force_terminal=True, color_system=None), table)
        return [line.split() for line in stream.getvalue().splitlines()]

    row = ["blocks.0", "0.00123"]
    assert printed(60) == [["layer", "mean", "curve"], [*row, "#" * 18]]
    assert printed(30) == [["layer", "mean"], row]
    assert printed(12) == [["layer", "blocks.0"], ["mean", "0.00123"], []]


def test_every_column_index_and_heading_is_explained(tmp_path: Path) -> None:
    rows = catalogue.words()
    known = {name for name, _, _ in rows}
    assert {column.name for column in psychophys.Results.columns} <= known
    assert set(INDICES) | {one.name for one in RANKINGS} <= known
    assert all(meaning.strip() for _, _, meaning in rows)
    tiny = ["--weights", "random", "--values", "8", "--phases", "1", "-q"]
    assert call_inside("measure", "test_resnet", *tiny, "-o", "r.parquet", cwd=tmp_path).returncode == 0
    for words in (["show", "r.parquet"], ["compare", "r.parquet"]):
        done = call_inside(*words, cwd=tmp_path)
        lines = (done.stdout or done.stderr).decode().splitlines()
        head = next(line for line in lines if line.startswith("layer ")).partition("sensitivity at")[0]
        assert len(head.split()) > 3
        assert set(head.split()) <= {part for one in known for part in one.split()}
