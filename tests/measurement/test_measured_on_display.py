"""Measurements on a display: the same numbers in other units, kept in the file and made again from it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from inside import call_inside

import psychophys
from psychophys.base.errors import UsageError
from psychophys.comparison.human import match
from psychophys.comparison.priors import load_prior
from psychophys.comparison.references import contrast_sensitivity
from psychophys.measurement.plan import plan
from psychophys.measurement.spec import restore, run_id
from psychophys.measurement.written import read_specifications, to_toml
from psychophys.report.commands import command_lines
from psychophys.stimuli import DISPLAYS, Display, find_display

SMALL = ("test_resnet", "--weights", "random", "--layers", "layer2.0,fc", "--phases", "2")
SCREEN = Display("", 20.0, 100.0)
RUN_IDS: list[tuple[dict[str, Any], str]] = [
    ({}, "0dedd80fd9ae807a"),
    ({"stimulus": "grating", "dimension": "contrast", "noise": "poisson"}, "59cb17ca52074677"),
    ({"stimulus": "plaid", "dimension": "frequency", "values": 5}, "48814a4c1ca15913"),
    ({"dimension": "hue"}, "fcbbec91efd5a48c"),
    ({"stimulus": "image", "dimension": "rotation"}, "eaa3f013fd436bbb"),
    ({"stimulus": "image-band"}, "ea7b94561359e499"),
    ({"preset": "benjamin2022"}, "2cf606f9a8b51d2c"),
    ({"preset": "efficient-coding"}, "3248b9d8fe56e662"),
    ({"stimulus": "noise", "dimension": "size", "pooling": "sum"}, "18a4ede6567356df"),
]
"""As they were before there were displays."""


@pytest.fixture(scope="module")
def observer() -> psychophys.Observer:
    return psychophys.load_observer("test_resnet", weights="random", dtype="float64")


@pytest.mark.parametrize(("asked", "identifier"), RUN_IDS)
def test_without_a_display_a_run_has_the_name_that_it_had(asked: dict[str, Any], identifier: str) -> None:
    measurement = plan(**asked)
    assert run_id(measurement, {}) == identifier
    assert "display" not in measurement.as_dict()
    assert run_id(plan(**asked, display={"pixels_per_degree": 40}), {}) != identifier


@pytest.mark.parametrize("dimension", ["frequency", "size", "x", "luminance"])
def test_thresholds_are_in_the_display_s_units(dimension: str, observer: psychophys.Observer) -> None:
    shared: dict[str, Any] = {"layers": ["layer2.0", "fc"]}
    side = min(observer.input_size)
    asked = plan("gabor", dimension, values=3, parameters={"phase": 2, "contrast": 0.5}, display=SCREEN)
    stimulus, conversion = asked.stimulus, asked.stimulus.parameter(dimension).conversion
    assert conversion is not None
    bare = {
        name: [stimulus.parameter(name).drawn(value, side) for value in values]
        for name, values in asked.parameters.items()
    }
    drawn = [value * conversion.factor(side) for value in asked.as_dict()["values"]]
    expected = psychophys.measure(observer, "gabor", dimension, values=drawn, parameters=bare, **shared)
    found = psychophys.measure(
        observer,
        "gabor",
        dimension,
        values=3,
        parameters={"phase": 2, "contrast": 0.5},
        display=SCREEN,
        **shared,
    )
    ours, theirs = found.to_pandas(), expected.to_pandas()
    assert set(ours["unit"]) == {{"frequency": "cycles/deg", "luminance": "cd/m2"}.get(dimension, "deg")}
    assert ours["value"].to_numpy() == pytest.approx(np.tile(asked.as_dict()["values"], 2))
    factor = conversion.factor(side)
    assert ours["threshold"].to_numpy() * factor == pytest.approx(theirs["threshold"].to_numpy(), rel=1e-9)


def test_a_preset_s_parameters_are_in_the_display_s_units() -> None:
    usual = plan(preset="efficient-coding", display="benjamin2022")
    assert usual.parameters["frequency"] == (1.0, 2.0, 4.0)
    paper = plan(preset="benjamin2022", display="benjamin2022")
    assert (paper.parameters["frequency"], paper.parameters["size"]) == ((2.0,), (0.5,))
    with pytest.raises(UsageError, match="Use --gamma linear"):
        plan(preset="benjamin2022", display="srgb")


# Files ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("display")
    line = ("measure", *SMALL, "--values", "3", "--frequencies", "1,2", "--display", "srgb")
    done = call_inside(*line, "--luminance-cd-m2", "120", "-o", "first.parquet", cwd=made)
    assert done.returncode == 0, done.stderr.decode()
    return made


def table_of(path: Path) -> pd.DataFrame:
    return pq.read_table(path).to_pandas()


def test_a_file_says_its_display_and_is_made_again(folder: Path) -> None:
    results = psychophys.read(folder / "first.parquet")
    (record,) = results.runs.values()
    expected = {"name": "", "pixels_per_degree": DISPLAYS["srgb"].pixels_per_degree}
    assert record["measurement"]["display"] == {**expected, "luminance_cd_m2": 120.0, "gamma": "srgb"}
    assert restore(record["measurement"]).as_dict() == record["measurement"]
    done = call_inside("measure", "--from", "first.parquet", "-o", "again.parquet", cwd=folder)
    assert done.returncode == 0, done.stderr.decode()
    pd.testing.assert_frame_equal(table_of(folder / "first.parquet"), table_of(folder / "again.parquet"))
    (run,) = read_specifications(folder / "first.parquet")
    text = to_toml([run])
    assert "[measurement.display]" in text
    assert "frequency = [1.0, 2.0] # cycles/deg" in text
    (folder / "run.toml").write_text(text)
    (read,) = read_specifications(folder / "run.toml")
    assert read.measurement().as_dict() == record["measurement"]
    assert psychophys.measure(**run.arguments).identifiers == results.identifiers


def test_the_command_line_of_a_report_says_the_display(folder: Path) -> None:
    results = psychophys.read(folder / "first.parquet")
    (line,) = command_lines(results.runs, "-o again.parquet")
    assert "--pixels-per-degree 46.91 --luminance-cd-m2 120 --gamma srgb" in line
    assert "--frequencies 1,2" in line
    (record,) = results.runs.values()
    preset = {**record, "measurement": plan(display="laptop").as_dict()}
    (line,) = command_lines({"": preset}, "")
    assert line == "psychophys measure test_resnet --weights random --display laptop"


def test_another_display_keeps_values_in_the_same_units_alone(folder: Path) -> None:
    (run,) = read_specifications(folder / "first.parquet")
    other = run.changed(display={"pixels_per_degree": 30.0}).measurement()
    assert other.stimulus.display == Display("", 30.0, 120.0, "srgb")
    assert other.parameters["frequency"] == (1.0, 2.0)
    assert run.changed(display={"preset": "laptop"}).measurement().stimulus.display == DISPLAYS["laptop"]
    # Without white there are no cd/m2.
    assert run.changed(display="laptop").measurement().parameters["luminance"] == (0.5,)
    line = ("measure", *SMALL, "--values", "3", "--frequencies", "4,8", "-o", "image.parquet")
    assert call_inside(*line, cwd=folder).returncode == 0
    (bare,) = read_specifications(folder / "image.parquet")
    shown = bare.changed(display="benjamin2022").measurement()
    assert shown.parameters["frequency"] == (2.0,)
    assert shown.as_dict()["values"] == bare.measurement().as_dict()["values"]
    preset = run.changed(preset="efficient-coding").measurement()
    assert preset.stimulus.display == run.measurement().stimulus.display


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("measure test_resnet --gamma srgb", ["without pixels per degree"]),
        ("measure test_resnet --display srbg", ["Did you mean srgb?"]),
        ("measure test_resnet --pixels-per-degree 0", ["0 pixels per degree", "1 to 10,000"]),
        ("stimuli --display srgb", ["a display needs one stimulus"]),
        ("stimuli gabor-benjamin2022 --display srgb", ["has values below 0", "--gamma linear"]),
        ("measure --from broken.toml", ["display in 'broken.toml'", "a table of a display"]),
        ("measure --from unknown.toml", ["setting of a display 'gama'", "gamma"]),
    ],
)
def test_errors_are_one_line(line: str, parts: list[str], tmp_path: Path) -> None:
    observer = '[[measurement.observer]]\nmodel = "test_resnet"\n'
    (tmp_path / "broken.toml").write_text(f"[[measurement]]\ndisplay = 40\n{observer}")
    (tmp_path / "unknown.toml").write_text(f'[[measurement]]\ndisplay = {{gama = "srgb"}}\n{observer}')
    done = call_inside(*line.split(), cwd=tmp_path)
    text = done.stderr.decode()
    assert done.returncode == 2, text
    assert len(text.splitlines()) == 1
    for part in parts:
        assert part in text


# Comparisons --------------------------------------------------------------------------------------------


def test_a_prior_is_turned_into_the_display_s_units(observer: psychophys.Observer) -> None:
    shared: dict[str, Any] = {"layers": "fc", "parameters": {"phase": 2, "contrast": 0.5}}
    side = min(observer.input_size)
    for dimension, values in (("frequency", np.geomspace(2, 20, 8)), ("luminance", np.linspace(0.1, 0.6, 8))):
        factor = {"frequency": SCREEN.pixels_per_degree / side, "luminance": 100.0}[dimension]
        without = psychophys.measure(observer, dimension=dimension, values=list(values), **shared)
        there = {**shared, "values": list(values * factor), "display": SCREEN}
        if dimension == "luminance":
            there["parameters"] = {
                **shared["parameters"],
                "frequency": 4.48 * 20 / side,
                "size": 50 / 224 * side / 20,
            }
        else:
            there["parameters"] = {**shared["parameters"], "size": 50 / 224 * side / 20}
        shown = psychophys.measure(observer, dimension=dimension, **there)
        ours, theirs = (psychophys.compare(table) for table in (shown, without))
        assert list(ours["layer"]) == ["pixels", "fc"]
        for column in ("r", "slope", "n_values"):
            assert ours[column].to_numpy() == pytest.approx(
                theirs[column].to_numpy(), rel=1e-4, nan_ok=True
            ), (
                dimension,
                column,
            )


def test_a_prior_of_pixels_is_not_compared_with_light(observer: psychophys.Observer) -> None:
    shown = psychophys.measure(
        observer,
        dimension="contrast",
        values=8,
        layers="fc",
        parameters={"phase": 2},
        display=Display("", 20, None, "srgb"),
    )
    with pytest.raises(UsageError, match=r"contrast of gabor is that of light \(gamma srgb\)"):
        psychophys.compare(shown)


def test_people_are_compared_at_the_display_s_pixels_per_degree(observer: psychophys.Observer) -> None:
    frequencies = [1.0, 2.0, 4.0, 8.0]
    results = psychophys.concat(
        psychophys.measure(
            observer,
            dimension="contrast",
            values=[0.02, 0.5],
            layers="fc",
            parameters={"phase": 1, "frequency": f},
            display=Display("", 60.0, 100.0),
        )
        for f in frequencies
    )
    (matched,) = match(results)
    assert matched.pixels_per_degree == 60
    assert list(matched.curve.centres) == frequencies
    expected = contrast_sensitivity(np.array(frequencies[1:]), 0)
    assert matched.curve.density[1:] == pytest.approx(expected)
    found = psychophys.compare(results, human=True)
    assert set(found["pixels_per_degree"]) == {60}
    pd.testing.assert_frame_equal(found, psychophys.compare(results, human=True, pixels_per_degree=60))
    with pytest.raises(UsageError, match="40 pixels per degree of what was measured at 60"):
        psychophys.compare(results, human=True, pixels_per_degree=40)


def test_a_density_over_other_units_is_as_dense() -> None:
    density = load_prior("imagenet-sample").density("frequency")
    scaled = density.scaled(0.25, "cycles/deg")
    assert scaled.unit == "cycles/deg"
    assert scaled.at(np.array([1.0, 2.5])) * 0.25 == pytest.approx(density.at(np.array([4.0, 10.0])))
    whole = [np.trapezoid(one.density, one.centres) for one in (density, scaled)]
    assert whole[0] == pytest.approx(whole[1])
    ours, theirs = (
        one.replicates_at(at) for one, at in ((scaled, np.array([1.0])), (density, np.array([4.0])))
    )
    assert ours is not None
    assert theirs is not None
    assert ours * 0.25 == pytest.approx(theirs)


def test_every_way_to_measure_takes_a_display(observer: psychophys.Observer) -> None:
    screen = find_display({"preset": "laptop", "gamma": "linear"})
    assert screen is not None
    shared: dict[str, Any] = {"layers": "fc", "display": screen}
    matrix = psychophys.fisher_matrix(
        observer, ["x", "frequency"], values=2, parameters={"phase": 1}, **shared
    )
    assert set(matrix.to_pandas()["unit_i"]) | set(matrix.to_pandas()["unit_j"]) == {"deg", "cycles/deg"}
    curves = psychophys.tuning_curves(observer, dimension="size", values=2, parameters={"phase": 1}, **shared)
    assert set(curves.to_pandas()["unit_of_value"]) == {"deg"}
    decided = psychophys.simulate(
        observer, dimension="x", values=1, parameters={"phase": 1}, trials=100, **shared
    )
    assert set(decided.to_pandas()["unit"]) == {"deg"}
    for table in (matrix, curves, decided):
        (record,) = table.runs.values()
        assert record["measurement"]["display"] == screen.as_dict()


def test_what_is_listed_of_a_stimulus_is_in_the_display_s_units(tmp_path: Path) -> None:
    done = call_inside("stimuli", "gabor", "--display", "srgb", "--save", "sheet.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    text = done.stdout.decode()
    for part in ("46.91 pixels/deg, white of 80 cd/m2, gamma srgb", "cycles/deg", "cd/m2", "0.9382"):
        assert part in text
    assert (tmp_path / "sheet.png").stat().st_size > 10_000
