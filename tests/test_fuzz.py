"""Any command line ends well: in what was asked for, or in one line that says what was wrong."""

import contextlib
import io
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import timm
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.main import get_command

import psychophys
from psychophys.cli import main
from psychophys.cli.app import app
from psychophys.engines import Processes, Serial
from psychophys.jobs import import_modules

TINY_MODELS = '''
"""Networks of a few weights: one as usual, one that sees nothing, one that gives infinity."""
import torch
from timm.models import register_model
from torch import nn

class Tiny(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 5, stride=4)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(4, 3)
        self.act = act
        self.pretrained_cfg = {"input_size": (3, 32, 32), "mean": (0.5,) * 3, "std": (0.5,) * 3}
        self.pretrained_cfg |= {"classifier": "fc"}

    def forward(self, x):
        return self.fc(self.relu(self.relu(self.act(self.conv(x))).mean((2, 3))))

@register_model
def tiny_net(pretrained=False, **_):
    return Tiny(lambda x: x)

@register_model
def tiny_dead(pretrained=False, **_):
    return Tiny(lambda x: 0 * x)

@register_model
def tiny_endless(pretrained=False, **_):
    return Tiny(lambda x: x / 0)
'''
BAD_NOTES = ("[1]", "{}", "null", "{")
FULL_NAME = "x" * 247 + ".parquet"  # As long as a file system takes.
LONG, ODD, HUGE = "9" * 5000, "z\u00e9bra\n\U0001f993", str(10**30)
WRONG = ["nonsense", LONG, ODD]
NOT_INTEGERS = ["", "x", "1.5", "nan", LONG, ODD]
NOT_POSITIVE = ["", "x", "0", "-1", "nan", "inf", "-inf", "1e308", "1e-308", ODD]
SAME: list[str] = []

Values = tuple[list[str], list[str]]
"""Values that may be right, and values that are wrong whatever else is said."""

VALUES: dict[str, Values] = {
    "measure models": (
        ["tiny_net"] * 6 + ["tiny_dead", "tiny_endless", "test_resnet", "test_vit", "hf-hub:no/such"]
        + ["hf-hub:", "hf_hub:\u00e9", "local-dir:folder.parquet", "local-dir:hollow", "test_vit.r160_in1k"],
        ["", "tiny_nte", "tiny_net.tag", "test_vit.", "tiny_*", "local-dir:", "local-dir:missing", "-1", *WRONG],
    ),
    "sweep patterns": (
        ["tiny_*"] * 4 + ["tiny_net", "tiny_[dn]*", "tiny_?e*", "test_resnet", "hf-hub:no/such", "local-dir:hollow"],
        ["", "[", "none_*", "tiny_*.*", "tiny_nte", "local-dir:", "-1", *WRONG],
    ),
    "layers model": (
        ["tiny_net", "tiny_dead", "test_vit", "local-dir:hollow"],
        ["", "tiny_nte", "tiny_*", "local-dir:", *WRONG],
    ),
    "models pattern": (["*", "tiny_*", "resnet*.a1*", "", "test_[rv]*"], ["[", "none*", "*.*.*", *WRONG]),
    "stimuli name": (["gabor", "noise", "patch-lch", "gabor-benjamin2022"], ["", "gabr", *WRONG]),
    "show path": (
        ["tiny.parquet", "many.parquet", "steps.parquet", "dead.parquet", "empty.parquet", "swept"],
        ["", ".", "text.parquet", "zero.parquet", "other.parquet", "bare.parquet", "folder.parquet"]
        + ["pipe.parquet", "missing.parquet", "names.txt/x", "broken", *WRONG],
    ),
    "--weights": (
        ["random"] * 4 + ["pretrained", "shuffled", "random,shuffled", " random", "random,random"],
        ["", ",", "random,", "RANDOM", *WRONG],
    ),
    "--checkpoint": (
        ["tiny.pth", "tiny.pth", "*.pth", "step_*.pth", "text.parquet", "list.pth", "other.pth"],
        [],
    ),
    "--seed": (["0", "1", "-1", str(2**63 - 1)], [*NOT_INTEGERS, str(2**63), HUGE, "-" + HUGE]),
    "--stimulus": (["gabor", "grating", "plaid", "noise", "patch", "patch-lch", ""], ["gabr", *WRONG]),
    "--dimension": (
        ["orientation", "hue", "contrast", "x", "phase", "frequency", "size", "saturation", ""],
        ["sample", "Orientation", *WRONG],
    ),
    "--values": (
        ["1", "2", "3", "0,90", "0.5", "30,30", "0:1:2", "1:0:3", "+2", "0:180:1", "1e-3,", "0.1,0.2,0.4"],
        ["", "0", "-1", ",", "nan", "inf", "0,1e308", "a:b:c", "0:180:3:4", "0:180:0", "0:180:-1", "0:inf:3"]
        + ["0:1:nan", "0:180:1e9", "\u00b2", HUGE, "0:1:" + HUGE, "0:1:99999999999999", "99999999999999", *WRONG],
    ),
    "--phases": (
        ["1", "2", "0", "0,90", "45.5", "-720:720:2"],
        ["", ",", "nan", "1e308,0", "a:b:c", "0:360:-1", HUGE, "0:1:" + HUGE, *WRONG],
    ),
    "--frequencies": (
        ["4", "1,8.5", "1e-3", "1:3:2", "16.01"],
        ["", "0", "-1", "nan", "inf", "1e308", HUGE, "1:2:" + HUGE, *WRONG],
    ),
    "--set": (
        ["contrast=0.5", "contrast=0,1", "size=0.3", "luminance=0.5", "x=0", "sample=3", "phase=2", "saturation=1"]
        + ["angle=0", "chroma=0", "orientation=45", "frequency=1e4", "sample=2147483648", "size=10", "size=1e-3"],
        ["", "=", "contrast", "=1", "contrast=", "contrast=2", "contrast=nan", "x=a", "size=0", "y=inf"]
        + ["phase=" + HUGE, "contrast=0:1:" + HUGE, "contrast==1", *WRONG],
    ),
    "--preset": (["benjamin2022"], ["", "benjamin", *WRONG]),
    "--layers": (["all", "default", "*", "conv", "conv,fc", "relu@2", "re*", "", ",", "[", "none", ODD], []),
    "--estimator": (["jvp", "central", "chained", ""], ["jpv", *WRONG]),
    "--step": (["1e-3", "0.5", "10", "1e6"], NOT_POSITIVE),
    "--noise": (["relative", "gaussian", ""], ["gausian", *WRONG]),
    "--noise-level": (["1", "1e-6", "1e6"], NOT_POSITIVE),
    "--dprime": (["1", "1e-6", "1e6"], NOT_POSITIVE),
    "--device": (["auto", "cpu"], ["", "tpu", "meta", "cuda:99", "cuda:-1", "cpu:", "xla:0", "cuda:" + HUGE, *WRONG]),
    "--dtype": (["float32", "float64"], ["", "float16", *WRONG]),
    "--batch-size": (["1", "3", "64", HUGE], ["0", "-1", *NOT_INTEGERS]),
    "--import": (
        ["tiny_models.py", "json"],
        ["", "..", "missing.py", "json.py", "broken.py", "exits.py", "folder.parquet", *WRONG],
    ),
    "--quiet": (SAME, SAME),
    "--append": (SAME, SAME),
    "--pretrained": (SAME, SAME),
    "--dry-run": (SAME, SAME),
    "--retry-failed": (SAME, SAME),
    "measure --output": (
        ["out.parquet", "out.csv", "out.jsonl", "-", "tiny.parquet", "text.parquet", "\u00fc.csv", FULL_NAME],
        ["", ".", "folder.parquet", "no/x.parquet", "names.txt/x.csv", "pipe.parquet", LONG + ".csv", "x" + FULL_NAME],
    ),
    "measure --format": (["csv", "jsonl", "parquet"], ["", "CSV", *WRONG]),
    "show --format": (["table", "csv"], ["", "jsonl", *WRONG]),
    "sweep --output": (["results", "swept", "broken", ".", "a/b/c", "names.txt", "names.txt/x", LONG], []),
    "--models-file": (["names.txt"], ["", ".", "missing", "zero.parquet", "other.parquet", "folder.parquet", *WRONG]),
    "--exclude": (["tiny_d*", "*_net", "nothing", "", "[", "*", ODD], []),
    "--shard": (["1/1", "1/2", "2/2", "3/9"], ["", "/", "0/1", "2/1", "1/0", "1", "-1/2", "a/b", "1/2/3", *WRONG]),
    "--engine": (["serial", "processes"], ["ray", "", *WRONG]),
    "--jobs": (["1", "2"], ["0", "-1", *NOT_INTEGERS]),
    "--timeout": (["0.1", "1e308"], ["", "0", "-1", "nan", "x"]),
    "--address": ([], ["", "auto", *WRONG]),
    "--cpus": (["1"], ["0", "-1", "2", HUGE, *NOT_INTEGERS]),
    "--save": (
        ["a.png", "\u00fc.JPG", "x" * 251 + ".png"],
        ["", ".", "a", "a.txt", "a.palm", "tiny.parquet", "no/a.png", "names.txt/a.png", LONG + ".png", ODD],
    ),
    "--sort": (["ratio", "ratio_last", "threshold_last", "threshold_best", "anisotropy"], ["", "name", *WRONG]),
    "--top": (["1", "3", HUGE], ["0", "-1", *NOT_INTEGERS]),
}  # fmt: skip
USUAL = {
    "measure": {"--weights": "random", "--values": "2"},
    "sweep": {"--weights": "random", "--values": "1", "--engine": "serial"},
}
"""What is said unless something else is drawn, so that most lines are quick and many go far."""
EXAMPLES = {"measure": 130, "sweep": 90, "layers": 15, "models": 15, "stimuli": 15, "show": 35}
COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]


def key_of(command: str, parameter: Any) -> str:
    """Where the values of a parameter stand in the table."""
    name = parameter.name if parameter.param_type_name == "argument" else parameter.opts[0]
    return f"{command} {name}" if f"{command} {name}" in VALUES else name


def test_every_option_of_every_command_has_values() -> None:
    keys = {key_of(name, parameter) for name, command in COMMANDS.items() for parameter in command.params}
    assert keys == set(VALUES), "add what is missing to VALUES, and take out what is gone"
    assert set(EXAMPLES) == set(COMMANDS)


@st.composite
def command_lines(draw: st.DrawFn, command: str) -> tuple[list[str], bool]:
    """Words for a command, and whether one of them is wrong whatever else is said."""
    parameters = COMMANDS[command].params
    wrong = False

    def value(parameter: Any) -> str:
        nonlocal wrong
        good, bad = VALUES[key_of(command, parameter)]
        take_bad = bool(bad) and (not good or draw(st.integers(0, 11)) == 11)
        wrong = wrong or take_bad
        return draw(st.sampled_from(bad if take_bad else good))

    options = [p for p in parameters if p.param_type_name == "option"]
    said: dict[str, list[list[str]]] = {n: [[n, v]] for n, v in USUAL.get(command, {}).items()}
    for option in draw(st.lists(st.sampled_from(options), max_size=6, unique_by=lambda p: p.name)):
        name = draw(st.sampled_from(option.opts))
        times = draw(st.integers(1, 2)) if option.multiple else 1
        said[option.opts[0]] = [[name] if option.is_flag else [name, value(option)] for _ in range(times)]
    [argument] = [p for p in parameters if p.param_type_name == "argument"]
    most = 2 if argument.nargs == -1 else 1
    least = 0 if draw(st.integers(0, 9)) == 9 and command != "measure" else 1
    arguments = [value(argument) for _ in range(draw(st.integers(least, most)))]
    return [command, *arguments, *(word for group in said.values() for pair in group for word in pair)], wrong


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the values name."""
    folder = tmp_path_factory.mktemp("template")
    for name in ("folder.parquet", "hollow", "broken"):
        (folder / name).mkdir()
    for name, text in {
        "tiny_models.py": TINY_MODELS,
        "broken.py": "raise ValueError('no\\nnetwork')",
        "exits.py": "raise SystemExit(7)",
        "names.txt": "tiny_net  # as usual\n\ntiny_d*\n",
        "text.parquet": "not Parquet",
        "zero.parquet": "",
        "broken/text.parquet": "not Parquet",
        "hollow/config.json": "{}",
    }.items():
        (folder / name).write_text(text)
    import_modules([str(folder / "tiny_models.py")])
    torch.save(timm.create_model("tiny_net").state_dict(), folder / "tiny.pth")
    torch.save(timm.create_model("test_vit").state_dict(), folder / "other.pth")
    torch.save([1], folder / "list.pth")
    pd.DataFrame({"a": [1]}).to_parquet(folder / "other.parquet")
    psychophys.Results.from_rows([], {}).write(folder / "empty.parquet")
    pa_table = pq.read_table(folder / "other.parquet")
    meta = {b"psychophys": b'{"schema_version": 2, "runs": {}}'}
    pq.write_table(pa_table.replace_schema_metadata(meta), folder / "bare.parquet")
    for step in (1, 2):
        shutil.copy(folder / "tiny.pth", folder / f"step_{step}.pth")
    shutil.copy(folder / "tiny.pth", folder / f"step_{HUGE}.pth")
    with contextlib.chdir(folder):
        for words in (
            "measure tiny_net --weights random --values 4 --phases 1 -o tiny.parquet",
            "measure tiny_dead tiny_endless --weights random --values 2 --phases 1 -o dead.parquet",
            "measure tiny_net --checkpoint step_[12].pth --values 2 --phases 1 -o steps.parquet",
            "sweep tiny_* hf-hub:no/such --weights random --values 2 --phases 1 -o swept --engine serial",
            *(
                f"measure tiny_net --weights random --values 1 --phases 1 --seed {seed} --append -o many.parquet"
                for seed in range(7)
            ),
        ):
            print(call(words.split()))
    for number, text in enumerate(BAD_NOTES):
        (folder / "swept" / "_sweep" / "failed" / f"{number}.json").write_text(text)
    return folder


@contextlib.contextmanager
def as_before() -> Iterator[None]:
    """Put back what a command changes in its process; no network, no cluster, no other process."""
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        patch.setattr("psychophys.estimate._YARDSTICK", "tiny_net")
        patch.setattr("psychophys.cli.commands.keep_freed_memory", lambda: False)
        patch.setattr("psychophys.cli.sweeping.keep_freed_memory", lambda: False)
        patch.setattr(Processes, "run", lambda _self, tasks, progress=None: Serial().run(tasks, progress))
        patch.setitem(sys.modules, "ray", None)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, handler)
            sys.modules.pop("tiny_models", None)


def call(words: list[str]) -> tuple[int, bytes, str]:
    """Exit code, standard output and standard error of a command line in this process."""
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", errors) for errors in ("strict", "backslashreplace")]
    with (
        as_before(),
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(streams[0]),
        contextlib.redirect_stderr(streams[1]),
        pytest.raises(SystemExit) as end,
    ):
        patch.setattr(sys, "argv", ["psychophys", *words])
        main()
    for stream in streams:
        stream.flush()
    out, err = (stream.buffer.getvalue() for stream in streams)  # type: ignore[attr-defined]
    assert isinstance(end.value.code, int)
    return end.value.code, out, err.decode()


def said(words: list[str], *names: str) -> str | None:
    """The value of an option."""
    return next((words[i + 1] for i, word in enumerate(words) if word in names), None)


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def parse(content: bytes, file_format: str) -> int:
    """Number of rows; fails unless the content is whole."""
    stream = io.BytesIO(content)
    if file_format == "jsonl":
        return len([json.loads(line) for line in content.decode().splitlines()])
    return len(pd.read_csv(stream) if file_format == "csv" else pd.read_parquet(stream))


def check(words: list[str], wrong: bool, template: Path) -> None:
    """Every property of a command line."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "work")
        shutil.copytree(template, folder)
        os.mkfifo(folder / "pipe.parquet")
        with contextlib.chdir(folder):
            before = files_in(folder)
            code, out, err = call(words)
            after = files_in(folder)
            assert before.keys() <= after.keys()
            written = {name: after[name] for name in after if after[name] != before.get(name)}
            check_words(words, wrong, code, out, err)
            check_files(words, code, out, written)


def check_words(words: list[str], wrong: bool, code: int, out: bytes, err: str) -> None:
    lines = err.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    for sign in ("Traceback", "unexpected", "--debug"):
        assert sign not in err
    assert code in ((0, 1, 2, 3) if words[0] == "sweep" else (0, 1, 2)), err
    assert code == 2 or not wrong
    assert bool(errors) == (code in (1, 2)), err
    if code == 2:
        assert lines == errors
        assert len(lines) == 1
    if code == 0 and {"--quiet", "-q"} & set(words):
        assert not err


def check_files(words: list[str], code: int, out: bytes, written: dict[str, bytes]) -> None:
    assert not [name for name in written if Path(name).name.startswith(".")]
    if code == 2 or words[0] in ("layers", "models", "show") or "--dry-run" in words:
        assert not written
    elif words[0] == "measure":
        output = said(words, "--output", "-o") or "results.parquet"
        file_format = said(words, "--format") or Path(output).suffix.removeprefix(".")
        if output == "-":
            assert not written
            assert not out or parse(out, said(words, "--format") or "csv") > 0
        else:
            assert set(written) <= {output}
            assert all(parse(content, file_format) > 0 for content in written.values())
        assert code != 0 or out or written
    elif words[0] == "stimuli":
        assert set(written) == ({said(words, "--save")} - {None} if code == 0 else set())
        for name in written:
            Image.open(name).verify()
    else:
        check_sweep(words, code, written)


def check_sweep(words: list[str], code: int, written: dict[str, bytes]) -> None:
    folder = Path(said(words, "--output", "-o") or "results")
    assert all(Path(name).is_relative_to(folder) for name in written)
    for name in written:
        if name.endswith(".parquet"):
            assert len(psychophys.read(name)) > 0
        elif name.endswith(".json"):
            assert "--debug" not in json.loads(Path(name).read_text())["error"]
        else:
            assert name.endswith("_sweep/locks")
    again = [word for word in words if word != "--retry-failed"]
    _, out, _ = call([*again, "--dry-run"])
    states = [line.partition("  ")[0] for line in out.decode().splitlines()]
    assert set(states) <= ({"done"} if code == 0 else {"done", "failed"})
    assert states.count("done") <= len(list(folder.glob("*.parquet")))


@pytest.mark.parametrize("command", EXAMPLES)
def test_any_command_line_ends_well(command: str, template: Path) -> None:
    @settings(
        max_examples=EXAMPLES[command],
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(command_lines(command))
    def run(line: tuple[list[str], bool]) -> None:
        check(*line, template)

    run()
