"""The results table: columns, formats, provenance, writing that cannot be half done, reading, joining."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from torch import nn

from psychophys.base.errors import UsageError
from psychophys.measurement.measure import measure
from psychophys.observers.load import load_observer
from psychophys.observers.observer import Observer
from psychophys.results.tables import check_output
from psychophys.results.thresholds import (
    COLUMNS,
    Results,
    concat,
    read,
)

SMALL: dict[str, Any] = {"values": 3, "parameters": {"phase": 2}, "layers": ["act1", "fc"], "device": "cpu"}
NUMBERS = [column.name for column in COLUMNS if column.type in (pa.float64(), pa.int64())]
EMPTY = {name: [""] for name in (*NUMBERS, "checkpoint", "license")}


@pytest.fixture(scope="session")
def observer() -> Observer:
    return load_observer("test_resnet", weights="random", seed=1)


@pytest.fixture(scope="session")
def results(observer: Observer) -> Results:
    return measure(observer, **SMALL)


def row(run: str = "a", value: float = 0.0, **changes: Any) -> dict[str, Any]:
    """A row with something in every column, so that a column written to the wrong place shows."""
    full: dict[str, Any] = {}
    for i, column in enumerate(COLUMNS):
        full[column.name] = {"string": f"{column.name}!", "double": i + 0.1, "int64": i}[str(column.type)]
    return {**full, "run_id": run, "value": value, **changes}


@pytest.fixture(scope="session")
def odd() -> Results:
    """Values that formats are known to lose: infinity, nothing, tiny numbers, commas and quotes."""
    rows = [
        row("a", 1 / 3, threshold=float("inf"), threshold_low=None, threshold_high=None),
        row("a", 1e-300, fisher_information=0.0, layer='a,"b"\u00e9 c'),
        row("b", -0.1, model="", seed=2**53 - 1, threshold_low=None),
    ]
    return Results.from_rows(rows, {"a": {"x": [1, "\u00e9", None]}, "b": {}})


def refusal(call: Callable[[], Any], *parts: str) -> str:
    with pytest.raises(UsageError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_code == 2
    for part in parts:
        assert part in text
    return text


# --- columns and formats ---------------------------------------------------------------------------


def test_the_table_has_the_declared_columns(results: Results) -> None:
    assert results.table.schema.equals(Results.schema)
    assert Results.schema.names == [column.name for column in COLUMNS]
    assert len(set(Results.schema.names)) == len(COLUMNS)
    assert len(results) == 2 * 3


def test_columns_in_another_order_or_width_are_brought_into_the_declared_form() -> None:
    table = Results.from_rows([row()], {}).table
    backwards = table.select(Results.schema.names[::-1]).append_column("extra", pa.array([1]))
    index = backwards.schema.get_field_index("seed")
    other = backwards.set_column(index, "seed", backwards["seed"].cast(pa.int32()))
    assert Results(other, {}).table.equals(table)


def test_parquet_round_trip_keeps_values_types_and_provenance(results: Results, tmp_path: Path) -> None:
    results.write(tmp_path / "r.parquet")
    back = read(tmp_path / "r.parquet")
    assert back.table.equals(results.table)
    assert back.table.schema.equals(results.table.schema)
    assert back.runs == results.runs


def test_parquet_round_trip_keeps_odd_values(odd: Results, tmp_path: Path) -> None:
    odd.write(tmp_path / "r.parquet")
    back = read(tmp_path / "r.parquet")
    assert back.table.equals(odd.table)
    assert back.runs == odd.runs


def test_parquet_is_readable_without_this_package(results: Results, tmp_path: Path) -> None:
    results.write(tmp_path / "r.parquet")
    assert pd.read_parquet(tmp_path / "r.parquet").equals(results.to_pandas())
    meta = json.loads(pq.read_schema(tmp_path / "r.parquet").metadata[Results.key])
    assert meta == {"schema_version": Results.version, "runs": results.runs}


def test_data_frame_types(results: Results) -> None:
    frame = results.to_pandas()
    for column in COLUMNS:
        kind = frame[column.name].dtype
        if column.type == pa.string():
            assert pd.api.types.is_string_dtype(kind), column.name
        elif column.name not in ("step", "threshold_low", "threshold_high"):  # There may be none.
            assert str(kind) == {"double": "float64", "int64": "int64"}[str(column.type)], column.name


@pytest.mark.parametrize("file_format", ["csv", "jsonl"])
@pytest.mark.parametrize("which", ["results", "odd"])
def test_text_formats_hold_the_same_values(
    which: str, file_format: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    table: Results = request.getfixturevalue(which)
    path = tmp_path / f"r.{file_format}"
    table.write(path)
    text = {c.name: str for c in COLUMNS if c.type == pa.string()}
    if file_format == "csv":
        frame = pd.read_csv(path, dtype=text, keep_default_na=False, na_values=EMPTY)
    else:
        frame = pd.read_json(path, lines=True, dtype=text, precise_float=True)
    expected = table.to_pandas()
    assert list(frame.columns) == Results.schema.names
    for name in Results.schema.names:
        if name in NUMBERS:
            got, want = frame[name].astype(float), expected[name].astype(float)
            pd.testing.assert_series_equal(got, want, rtol=1e-15, check_dtype=False)
        else:
            assert frame[name].fillna("").tolist() == expected[name].fillna("").tolist(), name


def test_json_lines_are_json_objects(odd: Results, tmp_path: Path) -> None:
    odd.write(tmp_path / "r.jsonl")
    lines = (tmp_path / "r.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == odd.table.to_pylist()


def test_the_format_can_be_named_apart_from_the_suffix(odd: Results, tmp_path: Path) -> None:
    odd.write(tmp_path / "r.txt", "csv")
    assert (tmp_path / "r.txt").read_text(encoding="utf-8").startswith('"run_id"')


def test_an_empty_table_round_trips(tmp_path: Path) -> None:
    concat([]).write(tmp_path / "r.parquet")
    back = read(tmp_path / "r.parquet")
    assert len(back) == 0
    assert back.table.schema.equals(Results.schema)


# --- provenance ------------------------------------------------------------------------------------


def test_provenance_says_how_the_numbers_came_about(results: Results, observer: Observer) -> None:
    (identifier,) = set(results.table["run_id"].to_pylist())
    assert list(results.runs) == [identifier]
    record = results.runs[identifier]
    assert record["versions"].keys() >= {"psychophys", "torch", "timm", "numpy", "pyarrow"}
    assert all(re.match(r"\d+\.\d+", version) for version in record["versions"].values())
    assert record["device"] == "cpu"
    assert record["dtype"] == "float32"
    assert record["sha256"] == observer.sha256
    assert re.fullmatch("[0-9a-f]{64}", record["sha256"])
    assert record["source"] == "random initialisation, seed 1"
    assert (record["model"], record["weights"], record["seed"]) == ("test_resnet", "random", 1)
    assert record["pretrained_cfg"]["architecture"] == "test_resnet"
    assert record["input_size"] == [160, 160]
    assert record["estimator"] == "jvp"
    assert 0 < record["seconds"] < 600
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record["measured_at"])
    json.dumps(record, allow_nan=False)


def test_provenance_holds_the_whole_measurement(results: Results) -> None:
    (record,) = results.runs.values()
    spec = record["measurement"]
    assert spec["stimulus"] == "gabor"
    assert spec["dimension"] == "orientation"
    assert spec["values"] == [0, 60, 120]
    assert spec["parameters"]["phase"] == [0, 180]
    assert spec["parameters"].keys() == {"frequency", "phase", "size", "contrast", "luminance", "x", "y"}
    assert spec["layers"] == ["act1", "fc"]
    assert (spec["estimator"], spec["noise"], spec["noise_level"]) == ("jvp", "relative", 1)
    assert (spec["dprime"], spec["step"], spec["preset"]) == (1, 0.01, "")


def test_provenance_holds_the_preprocessing() -> None:
    # Without them the numbers of an observer around one's own module cannot be had again.
    observer = Observer(
        nn.Sequential(nn.Conv2d(3, 2, 3)), input_size=(16, 16), mean=(0.1,) * 3, std=(0.2,) * 3
    )
    (record,) = measure(observer, values=2, parameters={"phase": 1}, device="cpu").runs.values()
    assert list(record["mean"]) == pytest.approx([0.1] * 3)
    assert list(record["std"]) == pytest.approx([0.2] * 3)


# --- reading what is not ours ----------------------------------------------------------------------


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    refusal(lambda: read(tmp_path / "no.parquet"), "no.parquet", "not a file", "psychophys measure")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    refusal(lambda: read(tmp_path), str(tmp_path), "holds no results")


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(share: float, odd: Results, tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    odd.write(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    refusal(lambda: read(path), str(path), "damaged")


def test_a_damaged_file_is_refused_or_read_but_never_a_traceback(odd: Results, tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    odd.write(path)
    whole = path.read_bytes()
    chance = random.Random(0)
    refused = 0
    for _ in range(60):
        data = bytearray(whole)
        start = chance.randrange(len(data) - 8)
        data[start : start + 8] = chance.randbytes(8)
        path.write_bytes(bytes(data))
        try:
            read(path)
        except UsageError:
            refused += 1
    assert refused > 0


@pytest.mark.parametrize(
    ("metadata", "what"),
    [
        (None, "a Parquet file of another program, not a results file"),
        ({b"other": b"1"}, "a Parquet file of another program, not a results file"),
        *(
            ({Results.key: text}, "a results file that is damaged")
            for text in (b"{", b"{}", b"[]", b"3", b"\xff", b'{"runs": 3}')
        ),
    ],
)
def test_a_parquet_file_without_our_metadata_is_refused(
    metadata: dict[bytes, bytes] | None, what: str, odd: Results, tmp_path: Path
) -> None:
    path = tmp_path / "foreign.parquet"
    pq.write_table(odd.table.replace_schema_metadata(metadata), path)
    refusal(lambda: read(path), str(path), what, "psychophys measure")


@pytest.mark.parametrize(
    "table",
    [pa.table({"a": [1, 2]}), pa.table({name: ["text"] for name in Results.schema.names})],
    ids=["columns", "types"],
)
def test_a_parquet_file_with_other_columns_is_refused(table: pa.Table, tmp_path: Path) -> None:
    path = tmp_path / "foreign.parquet"
    meta = {Results.key: f'{{"schema_version": {Results.version}, "runs": {{}}}}'.encode()}
    pq.write_table(table.replace_schema_metadata(meta), path)
    refusal(lambda: read(path), str(path), "a results file that is damaged")


def test_a_text_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("a,b\n1,2\n")
    refusal(lambda: read(path), str(path), "not a results file")


# --- paths that cannot be written ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["r.xlsx", "r", "r.parquet.gz", ".csv"])
def test_an_unknown_suffix_is_refused(name: str, odd: Results, tmp_path: Path) -> None:
    refusal(lambda: odd.write(tmp_path / name), name, ".parquet, .csv or .jsonl")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_refused(odd: Results, tmp_path: Path) -> None:
    refusal(lambda: odd.write(tmp_path / "r.csv", "xml"), "r.csv")


def test_a_missing_directory_is_refused(odd: Results, tmp_path: Path) -> None:
    refusal(lambda: odd.write(tmp_path / "no" / "r.csv"), str(tmp_path / "no"), "does not exist")


def test_a_file_in_place_of_the_directory_is_refused(odd: Results, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    refusal(lambda: odd.write(tmp_path / "file" / "r.csv"), str(tmp_path / "file"))


def test_a_directory_in_place_of_the_file_is_refused(odd: Results, tmp_path: Path) -> None:
    (tmp_path / "r.csv").mkdir()
    refusal(lambda: odd.write(tmp_path / "r.csv"), "r.csv", "is a directory")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("what", ["directory", "file"])
def test_a_place_without_permission_is_refused(what: str, odd: Results, tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("old")
    locked = tmp_path if what == "directory" else path
    mode = locked.stat().st_mode
    locked.chmod(mode & ~0o222)
    try:
        refusal(lambda: odd.write(path), "r.csv", "not writable")
    finally:
        locked.chmod(mode)
    assert path.read_text() == "old"


@pytest.mark.parametrize("name", ["r.csv", "r.jsonl", "r.parquet"])
def test_a_relative_name_is_in_the_working_directory(
    name: str, odd: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert check_output(Path(name)) == name.partition(".")[2]
    odd.write(name)
    assert (tmp_path / name).stat().st_size > 0


# --- writing whole or not at all -------------------------------------------------------------------


def test_writing_replaces_the_file_and_leaves_nothing_beside_it(odd: Results, tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    path.write_text("old")
    odd.write(path)
    odd.write(path)
    assert [p.name for p in tmp_path.iterdir()] == ["r.parquet"]
    assert len(read(path)) == 3


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_file_has_the_permissions_of_any_other(umask: int, odd: Results, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        odd.write(tmp_path / "r.csv")
        now = os.umask(umask)
    finally:
        os.umask(before)
    assert now == umask
    assert stat.S_IMODE((tmp_path / "r.csv").stat().st_mode) == 0o666 & ~umask


def test_a_failure_while_writing_keeps_the_old_file(odd: Results, tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    odd.write(path)
    before = path.read_bytes()
    broken = Results(odd.table, {"a": {"not json": object()}})
    with pytest.raises(TypeError):
        broken.write(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["r.parquet"]


_WRITER = """
import sys
import pyarrow as pa
from psychophys.results.thresholds import Results
ROWS, path = int(sys.argv[1]), sys.argv[2]
def column(field, generation):
    value = {"string": f"text {generation}", "double": generation + 0.5, "int64": generation}[str(field.type)]
    return pa.array([value] * ROWS, field.type)
def table(g):
    rows = pa.table([column(f, g) for f in Results.schema], schema=Results.schema)
    return Results(rows, {str(g): {"pad": "x" * 10**6}})
tables = [table(0), table(1)]
print("ready", flush=True)
while True:
    for table in tables:
        table.write(path)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_writer_leaves_the_file_absent_or_whole(tmp_path: Path) -> None:
    rows, chance = 20_000, random.Random(1)
    whole = 0
    for attempt in range(10):
        path = tmp_path / f"{attempt}" / "r.parquet"
        path.parent.mkdir()
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(rows), str(path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        with writer:
            assert writer.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0, 0.4) if attempt else 0)
            assert writer.poll() is None
            writer.kill()
        assert writer.returncode == -signal.SIGKILL
        if path.exists():
            back = read(path)
            ((generation, record),) = back.runs.items()
            assert len(record["pad"]) == 10**6
            assert len(back) == rows
            # All of one generation: no mixture of two files.
            assert set(back.table["seed"].to_pylist()) == {int(generation)}
            assert set(back.table["status"].to_pylist()) == {f"text {generation}"}
            whole += 1
    assert whole >= 3


# --- joining runs ----------------------------------------------------------------------------------


def test_several_runs_become_one_table(odd: Results) -> None:
    other = Results.from_rows([row("c", 5), row("c", 6)], {"c": {"n": 3}})
    both = concat([odd, other])
    assert both.table["run_id"].to_pylist() == ["a", "a", "b", "c", "c"]
    assert both.runs == {**odd.runs, **other.runs}
    assert both.table.slice(0, 3).equals(odd.table)


def test_a_run_that_comes_again_replaces_its_earlier_rows(odd: Results) -> None:
    again = Results.from_rows([row("a", 7)], {"a": {"new": True}})
    both = concat([odd, again])
    assert sorted(zip(both.table["run_id"].to_pylist(), both.table["value"].to_pylist(), strict=True)) == [
        ("a", 7),
        ("b", -0.1),
    ]
    assert both.runs == {"a": {"new": True}, "b": {}}


def test_joining_twice_changes_nothing(results: Results) -> None:
    assert concat([results, results]).table.equals(results.table)


def test_joining_nothing_gives_an_empty_table() -> None:
    assert len(concat([])) == 0
    assert concat([]).runs == {}


def test_joined_files_keep_every_run(results: Results, odd: Results, tmp_path: Path) -> None:
    concat([results, odd]).write(tmp_path / "r.parquet")
    back = read(tmp_path / "r.parquet")
    assert len(back) == len(results) + len(odd)
    assert set(back.runs) == set(results.runs) | {"a", "b"}


# --- run ids ---------------------------------------------------------------------------------------


def identifier(model: Any, **changes: Any) -> str:
    (name,) = measure(model, **{**SMALL, **changes}).runs
    return str(name)


def test_a_run_id_is_sixteen_hexadecimal_digits(results: Results) -> None:
    (name,) = results.runs
    assert re.fullmatch("[0-9a-f]{16}", name)


def test_a_run_id_is_the_same_when_measured_again(observer: Observer, results: Results) -> None:
    assert identifier(observer) == next(iter(results.runs))


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_a_run_id_does_not_depend_on_the_batch_size(
    batch_size: int, observer: Observer, results: Results
) -> None:
    assert identifier(observer, batch_size=batch_size) == next(iter(results.runs))


def test_a_run_id_does_not_depend_on_the_name_of_the_device(results: Results) -> None:
    other = load_observer("test_resnet", weights="random", seed=1, device="cpu:0")
    assert identifier(other, device="cpu:0") == next(iter(results.runs))


def test_a_run_id_does_not_depend_on_the_device(results: Results) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    options = {**SMALL, "device": "cuda"}
    (name,) = measure("test_resnet", weights="random", seed=1, **options).runs
    assert name == next(iter(results.runs))


@pytest.mark.parametrize(
    "changes",
    [
        {"values": 4},
        {"values": [0, 60, 120.001]},
        {"parameters": {"phase": 3}},
        {"parameters": {"phase": 2, "contrast": 0.5}},
        {"dimension": "contrast"},
        {"stimulus": "grating"},
        {"layers": ["act1"]},
        {"estimator": "central"},
        {"estimator": "central", "step": 0.02},
        {"noise": "gaussian"},
        {"noise_level": 2},
        {"dprime": 2},
    ],
    ids=str,
)
def test_a_run_id_depends_on_every_setting(
    changes: dict[str, Any], observer: Observer, results: Results
) -> None:
    assert identifier(observer, **changes) != next(iter(results.runs))


def test_run_ids_differ_between_steps(observer: Observer) -> None:
    assert identifier(observer, estimator="central") != identifier(observer, estimator="central", step=0.02)


def test_a_run_id_depends_on_weights_and_precision(results: Results) -> None:
    others = [
        load_observer("test_resnet", weights="random", seed=2),
        load_observer("test_resnet", weights="random", seed=1, dtype="float64"),
    ]
    names = {next(iter(results.runs)), *(identifier(other) for other in others)}
    assert len(names) == 3


@pytest.mark.parametrize(
    "changes",
    [{"mean": (0.1, 0.1, 0.1)}, {"std": (0.5, 0.5, 0.5)}, {"input_size": (24, 24)}],
    ids=["mean", "std", "input_size"],
)
def test_a_run_id_depends_on_the_preprocessing(changes: dict[str, Any]) -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU())
    options = {"values": 2, "layers": "0", "parameters": {"phase": 1}}
    base = {"input_size": (16, 16)}
    first, second = Observer(model, **base), Observer(model, **{**base, **changes})
    assert identifier(first, **options) != identifier(second, **options)


_MEASURE = """
from psychophys.measurement.measure import measure
from psychophys.observers.load import load_observer
observer = load_observer("test_resnet", weights="random", seed=1)
print(*measure(observer, values=3, parameters={"phase": 2}, layers=["act1", "fc"], device="cpu").runs)
"""


@pytest.mark.slow
def test_a_run_id_is_the_same_in_another_process(results: Results) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _MEASURE],
        env={**os.environ, "PYTHONHASHSEED": "123"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == list(results.runs)
