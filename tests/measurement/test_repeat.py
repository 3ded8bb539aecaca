"""Runs are made again from their file, bit for bit; one thing is changed, or what is missing is said."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from inside import call_inside
from PIL import Image

import psychophys
from psychophys.base.errors import UsageError
from psychophys.measurement.presets import PRESETS
from psychophys.measurement.record import provenance
from psychophys.measurement.repeat import Specification, of_runs
from psychophys.measurement.spec import Measurement, restore
from psychophys.measurement.written import read_specifications, to_toml
from psychophys.noise.models import NOISE
from psychophys.observers.layers import Selection
from psychophys.responses.estimators import ESTIMATORS
from psychophys.stimuli import DISPLAYS, STIMULI

SMALL = ["test_resnet", "--weights", "random", "--values", "4", "--phases", "2", "--layers", "layer2.0,fc"]


@pytest.fixture(scope="module")
def observer() -> psychophys.Observer:
    return psychophys.load_observer("test_resnet", weights="random", seed=3)


def kept(measurement: Measurement, observer: psychophys.Observer) -> Specification:
    """What a file would say of it."""
    record = provenance(measurement, observer, Selection((), {}), 0.0)
    table = pa.table({"run_id": ["0"], "checkpoint": pa.array([None], pa.string())})
    (found,) = of_runs(table, {"0": record})
    return found


def requests() -> list[dict[str, Any]]:
    """Every stimulus along every dimension, every preset and every noise."""
    found: list[dict[str, Any]] = [
        {"stimulus": stimulus.name, "dimension": parameter.name, "values": 2}
        for stimulus in STIMULI.own.values()
        for parameter in stimulus.parameters
        if parameter.measurable
    ]
    for preset in PRESETS.values():
        found += [{"preset": preset.name, "dimension": dimension} for dimension in preset.settings]
    for noise in NOISE.own.values():
        options = {option.name: (option.default + option.low) / 2 for option in noise.options}
        found.append({"noise": noise.name, "noise_level": 0.3, "noise_options": options, "values": 3})
    found += [{"display": display.name, "values": 2} for display in DISPLAYS.values()]
    found.append({"display": {"pixels_per_degree": 40, "gamma": "srgb"}, "dimension": "frequency"})
    found += [{"values": [0.0, 10.0, 20.0], "estimator": name} for name in ESTIMATORS]
    found.append({"precision": 0.1, "dprime": 2.0, "confidence": 0.9, "layers": ["blocks.*", "fc"]})
    return [
        *found,
        {"pooling": "sum", "step": 0.3, "parameters": {"phase": [0.1, 1 / 3], "frequency": [2, 4]}},
    ]


@pytest.mark.parametrize("asked", requests(), ids=lambda asked: "-".join(map(str, asked.values()))[:60])
def test_what_a_file_says_is_planned_again_as_it_was(
    asked: dict[str, Any], observer: psychophys.Observer, tmp_path: Path
) -> None:
    measurement = psychophys.plan(**asked)
    run = kept(measurement, observer)
    assert run.measurement().as_dict() == measurement.as_dict()
    assert dataclasses.asdict(run.job)["model"] == "test_resnet"
    assert (run.job.weights, run.job.seed) == ("random", 3)
    (tmp_path / "run.toml").write_text(to_toml([run]))
    (read,) = read_specifications(tmp_path / "run.toml")
    assert read.measurement().as_dict() == measurement.as_dict()
    assert read.job == run.job


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(
    st.lists(st.floats(0, 180), min_size=1, max_size=5),
    st.floats(1e-6, 1e6),
    st.integers(-(2**63), 2**63 - 1),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)
def test_any_numbers_and_names_are_written_and_read_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, values: list[float], level: float, seed: int, layer: str
) -> None:
    run = Specification(
        {"model": "test_resnet", "weights": "random", "seed": seed},
        {"values": values, "noise_level": level, "layers": [layer], "parameters": {"phase": values}},
    )
    path = tmp_path_factory.mktemp("toml") / "run.toml"
    path.write_text(to_toml([run]), encoding="utf-8", newline="")
    (read,) = read_specifications(path)
    one = values[0] if len(values) == 1 else values
    assert read.settings == {**run.settings, "parameters": {"phase": one}}
    assert read.job == run.job


def test_another_setting_takes_the_place_of_the_files(observer: psychophys.Observer) -> None:
    run = kept(psychophys.plan(noise="gaussian", noise_level=3.0, parameters={"contrast": 0.5}), observer)
    other = run.changed(noise="relative", parameters={"size": 0.3}).measurement()
    assert (other.noise.name, other.noise_level) == ("relative", 1.0)
    assert (other.parameters["size"], other.parameters["contrast"]) == ((0.3,), (0.5,))
    assert run.changed(noise="gaussian").measurement() == run.measurement()
    other = run.changed(dimension="contrast").measurement()
    assert other.values == psychophys.plan(dimension="contrast").values
    assert "contrast" not in other.parameters
    other = run.changed(stimulus="patch").measurement()
    assert (other.dimension, other.noise_level) == ("hue", 3.0)
    assert run.changed(stimulus="grating").measurement().parameters["contrast"] == (0.5,)
    preset = run.changed(preset="efficient-coding").measurement()
    assert preset.as_dict() == psychophys.plan(preset="efficient-coding").as_dict()


def pictures(folder: Path, count: int) -> Path:
    for place in range(count):
        pixels = np.random.default_rng(place).integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{place:02}.png")
    return folder


def test_photographs_are_the_same_ones_or_refused(observer: psychophys.Observer, tmp_path: Path) -> None:
    """More than are shown, of which the first are spread: they are named in the order of being shown."""
    folder = pictures(tmp_path, 20)
    measurement = psychophys.plan(images=[folder], values=2)
    run = kept(measurement, observer)
    again = run.measurement()
    assert again.as_dict() == measurement.as_dict()
    shown = [m.stimulus.render({"sample": torch.arange(8.0)}, (32, 32)) for m in (measurement, again)]
    assert torch.equal(*shown)
    assert restore(measurement.as_dict(), run.images).as_dict() == measurement.as_dict()
    (folder / "03.png").write_bytes((folder / "04.png").read_bytes())
    with pytest.raises(UsageError, match="have changed since they were shown"):
        run.measurement()
    (folder / "03.png").unlink()
    with pytest.raises(UsageError, match=r"03.png' that was shown is not there"):
        run.measurement()


def test_photographs_in_an_archive_are_found_again(observer: psychophys.Observer, tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in sorted(pictures(tmp_path, 3).glob("*.png")):
            archive.write(path, path.name)
    measurement = psychophys.plan(images=[tmp_path / "a.zip"], values=2)
    assert kept(measurement, observer).measurement().as_dict() == measurement.as_dict()


def test_what_was_given_from_python_is_refused_or_given_again(observer: psychophys.Observer) -> None:
    gabor, relative = STIMULI["gabor"], NOISE["relative"]
    mine = dataclasses.replace(gabor, name="mine")
    loud = dataclasses.replace(relative, name="loud", level=2.0)
    run = kept(psychophys.plan(mine, noise=loud), observer)
    with pytest.raises(UsageError, match=r"stimulus mine was given from Python.*--stimulus"):
        run.measurement()
    with pytest.raises(UsageError, match=r"noise loud was given from Python.*--noise"):
        run.measurement(stimulus=mine)
    assert run.measurement(stimulus=mine, noise=loud) == psychophys.plan(mine, noise=loud)
    with pytest.raises(UsageError, match="noise loud is not the one"):
        run.measurement(stimulus=mine, noise=dataclasses.replace(loud, level=3.0))
    network = psychophys.Observer(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 5)), input_size=32, name="net")
    table = psychophys.measure(network, values=2, parameters={"phase": 1})
    (run,) = psychophys.specifications(table)
    with pytest.raises(UsageError, match="net is a network that was given from Python"):
        _ = run.job


def test_samples_that_were_added_are_added_again(observer: psychophys.Observer) -> None:
    asked = {"values": [10.0], "layers": "fc", "precision": 0.4, "parameters": {"phase": 2}}
    table = psychophys.measure("test_resnet", weights="random", seed=3, **asked)
    (run,) = psychophys.specifications(table)
    assert len(run.settings["parameters"]["phase"]) == 2 < table.to_pandas()["n_samples"].iloc[0]
    again = psychophys.measure(**run.arguments)
    assert again.table.equals(table.table)


# The command line ---------------------------------------------------------------------------------------


def run_in(folder: Path, *words: str | Path, code: int = 0) -> tuple[str, str]:
    done = call_inside(*words, cwd=folder)
    assert done.returncode == code, done.stderr.decode()
    return done.stdout.decode(), done.stderr.decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of one file, a checkpoint of one, and what `spec` prints."""
    folder = tmp_path_factory.mktemp("again")
    run_in(folder, "measure", "test_vit2", *SMALL[:-2], "--seeds", "2", "-q", "-o", "first.parquet")
    (folder / "run.toml").write_text(run_in(folder, "spec", "first.parquet")[0])
    return folder


def frame_of(folder: Path, name: str) -> pa.Table:
    return psychophys.read(folder / name).table


@pytest.mark.parametrize("source", ["first.parquet", "run.toml"])
def test_a_file_is_measured_again_bit_for_bit(folder: Path, source: str) -> None:
    run_in(folder, "measure", "--from", source, "-q", "-o", "again.parquet", "--force")
    again = frame_of(folder, "again.parquet")
    assert again.equals(frame_of(folder, "first.parquet"))
    assert len(set(again.column("run_id").to_pylist())) == 4


def test_what_is_said_takes_the_place_of_what_the_file_says(folder: Path) -> None:
    words = ["measure", "test_resnet", "--from", "run.toml", "--set", "contrast=0.5", "--seed", "7"]
    run_in(folder, *words, "-q", "-o", "other.parquet", "--force")
    found = frame_of(folder, "other.parquet")
    direct = [*SMALL[:-2], "--set", "contrast=0.5", "--seed", "7", "-q", "-o", "direct.parquet", "--force"]
    run_in(folder, "measure", *direct)
    assert found.equals(frame_of(folder, "direct.parquet"))


def test_what_differs_here_is_said_in_a_line(folder: Path) -> None:
    text = (folder / "run.toml").read_text()
    (folder / "old.toml").write_text(
        text.replace('torch = "', 'torch = "0.').replace('"cpu"', '"cuda:0 (H100)"')
    )
    words = ["measure", "test_resnet", "--from", "old.toml", "--layers", "fc", "-o", "-"]
    _, err = run_in(folder, *words)
    first = err.splitlines()[0]
    assert first.startswith("note: old.toml was made otherwise: torch 0.")
    assert "device cuda:0 (H100) there, cpu here" in first
    assert not run_in(folder, *words, "-q")[1]


def test_other_weights_are_told(folder: Path) -> None:
    (folder / "one.toml").write_text(
        '[[measurement]]\nvalues = 2\nlayers = ["fc"]\n[measurement.parameters]\nphase = 1\n'
        '[[measurement.observer]]\nmodel = "test_resnet"\nweights = "random"\nseed = 1\nsha256 = "abc"\n'
    )
    _, err = run_in(folder, "measure", "--from", "one.toml", "-o", "-")
    assert "note: weights of test_resnet are others than those that were measured" in err


@pytest.mark.slow
def test_other_commands_take_a_file(folder: Path) -> None:
    run_in(folder, "fisher", *SMALL, "--frequencies", "4,8", "-q", "-o", "fisher.parquet", "--force")
    run_in(folder, "fisher", "--from", "fisher.parquet", "-q", "-o", "f2.parquet", "--force")
    pairs = [psychophys.FisherResults.read(folder / name) for name in ("fisher.parquet", "f2.parquet")]
    assert pairs[0].table.equals(pairs[1].table)
    words = ["--layers", "fc", "--seed", "0", "-q"]
    run_in(folder, "simulate", "test_resnet", "--from", "run.toml", *words, "-o", "s.parquet", "--force")
    simulated = psychophys.Simulations.read(folder / "s.parquet").to_pandas()
    assert list(simulated["value"]) == [0.0, 45.0, 90.0, 135.0]
    out, _ = run_in(folder, "sweep", "--from", "run.toml", "--dry-run", "-q", "-o", "zoo")
    assert len(out.splitlines()) == 4


BAD = {
    "no.parquet": (None, "is not a file"),
    "text.toml": ("a = ", "neither a file of runs nor TOML"),
    "empty.toml": ("", "it is empty"),
    "none.toml": ("# none\n", "holds no run"),
    "typo.toml": (
        "[[measurement]]\nvalue = 3\n",
        "unknown setting in 'typo.toml' 'value'. Did you mean values",
    ),
    "type.toml": ('[[measurement]]\nvalues = "x"\n', "values in 'type.toml' is not a number or a list"),
    "model.toml": ("[[measurement]]\n[[measurement.observer]]\nseed = 1\n", "'model'"),
    "name.toml": (
        '[[measurement]]\n[[measurement.observer]]\nmodel = "resnt18"\n',
        "unknown model 'resnt18'",
    ),
    "gone.toml": (
        '[[measurement]]\n[[measurement.observer]]\nmodel = "test_resnet"\ncheckpoint = "gone.pth"\n',
        "checkpoint 'gone.pth' is not a file",
    ),
    "list.toml": ("measurement = 3\n", "measurement in 'list.toml' is no list of tables"),
    "mine.toml": (
        '[[measurement]]\nstimulus = "mine"\n[[measurement.observer]]\nmodel = "test_resnet"\n',
        "stimulus mine was given from Python",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_repeated_is_refused_in_a_line(name: str, tmp_path: Path) -> None:
    text, words = BAD[name]
    if text is not None:
        (tmp_path / name).write_text(text)
    out, err = run_in(tmp_path, "measure", "--from", name, "-q", code=2)
    assert words in err
    assert len(err.splitlines()) == 1
    assert not out


def test_a_file_that_says_nothing_to_measure_again_is_not_called_damaged(tmp_path: Path) -> None:
    found = psychophys.distort("camera", "test_resnet", weights="random", layers="fc", steps=2)
    found.write(tmp_path / "d.parquet")
    _, err = run_in(tmp_path, "measure", "--from", "d.parquet", "-q", code=2)
    assert "is a file of changes of a photograph, not a results file. `psychophys show` shows it" in err


def test_models_of_ones_own_are_asked_for(tmp_path: Path) -> None:
    run = Specification({"model": "my_net"}, {}, imports=("nets.py",))
    (tmp_path / "r.toml").write_text(to_toml([run]))
    _, err = run_in(tmp_path, "measure", "--from", "r.toml", code=2)
    assert "unknown model 'my_net'" in err
    assert "It was measured with --import nets.py." in err


def test_all_runs_and_settings_are_in_what_is_printed(folder: Path) -> None:
    text = (folder / "run.toml").read_text()
    assert text.count("[[measurement]]") == 1
    assert text.count("[[measurement.observer]]") == 4
    seeds = itertools.product(("test_vit2", "test_resnet"), (0, 1))
    assert [(r.job.model, r.job.seed) for r in read_specifications(folder / "run.toml")] == list(seeds)
    assert "phase = [0.0, 180.0] # deg" in text
