"""Measurement plans: defaults, counts and lists, impossible requests; and the package's front door."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import psychophys
from psychophys.base.errors import PsychophysError, UsageError, unknown
from psychophys.measurement.options import AllOptions, Options, StimulusOptions
from psychophys.measurement.plan import plan
from psychophys.measurement.spec import Measurement, grid_step, restore, run_id
from psychophys.noise import NOISE
from psychophys.responses.estimators import ESTIMATORS
from psychophys.results.summary import cautions
from psychophys.simulation.check import check_results
from psychophys.stimuli import STIMULI

ALL_STIMULI = sorted(STIMULI)
DIMENSIONS = [
    (name, p.name) for name, stimulus in STIMULI.items() for p in stimulus.parameters if p.measurable
]


def refusal(call: Callable[[], Any], *parts: str) -> str:
    with pytest.raises(UsageError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_code == 2
    for part in parts:
        assert part in text, text
    return text


# --- defaults --------------------------------------------------------------------------------------


def test_a_plan_of_nothing_is_the_orientation_of_a_gabor() -> None:
    made = plan()
    assert (made.stimulus.name, made.dimension, made.unit) == ("gabor", "orientation", "deg")
    assert made.values == tuple(float(v) for v in range(0, 180, 5))
    assert made.parameters["phase"] == tuple(float(v) for v in range(0, 360, 45))
    assert "orientation" not in made.parameters
    assert made.parameters["contrast"] == (1.0,)
    assert len(made.samples) == 8
    assert (made.estimator, made.noise) == (ESTIMATORS["jvp"], NOISE["relative"])
    assert (made.noise_level, made.dprime) == (1.0, 1.0)
    assert (made.layers, made.preset) == (("default",), "")


def test_hue_is_measured_with_a_patch() -> None:
    made = plan(dimension="hue")
    assert (made.stimulus.name, made.dimension) == ("patch", "hue")
    assert len(made.values) == 72
    assert max(made.values) < 360


def test_a_stimulus_alone_is_measured_along_its_first_parameter() -> None:
    assert plan("patch").dimension == "hue"
    assert plan("plaid").dimension == "orientation"
    assert plan(STIMULI["plaid"]) == plan("plaid")


@pytest.mark.parametrize(("stimulus", "dimension"), DIMENSIONS)
def test_every_dimension_has_a_default_plan_that_can_be_drawn(stimulus: str, dimension: str) -> None:
    made = plan(stimulus, dimension)
    assert len(made.values) >= 2
    assert len(set(made.values)) == len(made.values)
    assert set(made.parameters) == {p.name for p in made.stimulus.parameters} - {dimension}
    made.check_size(224)


def test_every_plan_is_plain_data_for_the_provenance() -> None:
    for name in ALL_STIMULI:
        text = json.dumps(plan(name).as_dict(), allow_nan=False)
        assert json.loads(text) == plan(name).as_dict()


def test_a_plan_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        plan().dprime = 2.0  # type: ignore[misc]


# --- counts and lists ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dimension", "count", "expected"),
    [
        ("orientation", 4, [0, 45, 90, 135]),
        ("orientation", 1, [0]),
        ("phase", 3, [0, 120, 240]),
        ("frequency", 6, [1, 2, 4, 8, 16, 32]),
        ("x", 3, [-0.25, 0, 0.25]),
    ],
)
def test_a_count_of_values_spreads_over_the_range(dimension: str, count: int, expected: list[float]) -> None:
    assert plan("grating", dimension, values=count).values == pytest.approx(expected)


@pytest.mark.parametrize(
    "values",
    [
        [0, 10, 20.5],
        (0.0, 10.0, 20.5),
        range(0, 20, 5),
        np.array([0.0, 10.0, 20.5]),
        np.arange(3),
        [np.float32(2)],
    ],
    ids=["list", "tuple", "range", "array", "integers", "numpy-scalar"],
)
def test_values_can_be_any_sequence_of_numbers(values: Any) -> None:
    made = plan(values=values)
    assert made.values == tuple(float(v) for v in values)
    assert all(type(v) is float for v in made.values)


def test_one_value_can_be_a_number() -> None:
    assert plan(values=12.5).values == (12.5,)


def test_a_numpy_count_is_a_count() -> None:
    assert plan(values=np.int64(4)).values == plan(values=4).values
    assert plan(parameters={"phase": np.int64(4)}).parameters["phase"] == (0, 90, 180, 270)


def test_an_int_for_phase_is_a_count_and_for_others_a_value() -> None:
    made = plan(parameters={"phase": 4, "luminance": 0.25, "contrast": 1, "frequency": 8})
    assert made.parameters["phase"] == (0, 90, 180, 270)
    assert made.parameters["contrast"] == (1.0,)
    assert made.parameters["frequency"] == (8.0,)
    assert plan(parameters={"phase": 4.0}).parameters["phase"] == (4.0,)
    assert plan("noise", parameters={"sample": 3}).parameters["sample"] == (0, 1, 2)


def test_lists_of_parameters_are_combined() -> None:
    made = plan(values=2, parameters={"phase": [0, 90], "contrast": [0.25, 0.5, 1.0]})
    assert len(made.samples) == 6
    assert {(s["phase"], s["contrast"]) for s in made.samples} == {
        (p, c) for p in (0, 90) for c in (0.25, 0.5, 1)
    }
    assert all("orientation" not in sample for sample in made.samples)


def test_layers_can_be_one_pattern_or_several() -> None:
    assert plan(layers="blocks.*").layers == ("blocks.*",)
    assert plan(layers=["a", "b"]).layers == ("a", "b")


def test_numbers_are_kept_as_floats() -> None:
    made = plan(noise_level=2, dprime=3, step=1, estimator="central")
    assert [type(v) for v in (made.noise_level, made.dprime, made.step)] == [float] * 3


# --- presets ---------------------------------------------------------------------------------------


def test_a_preset_sets_what_is_not_given() -> None:
    made = plan(preset="benjamin2022")
    assert (made.stimulus.name, made.dimension) == ("gabor-benjamin2022", "orientation")
    assert (made.estimator.name, made.noise.name, made.preset) == ("central", "gaussian", "benjamin2022")
    assert len(made.values) == 180
    assert (made.values[0], made.values[-1]) == (0, 180)
    assert len(made.parameters["phase"]) == 10


def test_what_is_given_goes_before_the_preset() -> None:
    made = plan(preset="benjamin2022", values=3, estimator="jvp", noise="relative", parameters={"phase": 2})
    assert (len(made.values), made.estimator.name, made.noise.name) == (3, "jvp", "relative")
    assert made.parameters["phase"] == (0, 180)
    assert made.parameters["frequency"] == (4.48,)


def test_a_preset_has_settings_for_each_of_its_dimensions() -> None:
    made = plan(dimension="hue", preset="benjamin2022")
    assert (made.stimulus.name, len(made.values), len(made.samples)) == ("patch", 360, 64)
    refusal(lambda: plan(dimension="contrast", preset="benjamin2022"), "'contrast'", "orientation, hue")


# --- pooling ---------------------------------------------------------------------------------------


def test_what_is_pooled_is_part_of_the_measurement_where_it_is_not_the_mean() -> None:
    mean, total = plan(dimension="hue"), plan(dimension="hue", pooling="sum")
    assert plan(dimension="hue", pooling="mean") == mean
    assert "pooling" not in mean.as_dict()
    assert total.as_dict() == {**mean.as_dict(), "pooling": "sum"}
    assert [restore(json.loads(json.dumps(one.as_dict()))) for one in (mean, total)] == [mean, total]
    assert run_id(mean, {}) != run_id(total, {})
    refusal(lambda: plan(pooling="average"), "pooling 'average'", "mean, sum")


@pytest.mark.parametrize("noise", ["input", "empirical"])
def test_noise_that_is_not_of_single_samples_is_not_added_up(noise: str) -> None:
    refusal(lambda: plan(pooling="sum", noise=noise), f"{noise} noise", "--pooling mean")


def test_a_sum_has_no_precision_to_reach() -> None:
    refusal(lambda: plan(pooling="sum", precision=0.1), "precision 0.1", "--until-precision")


@pytest.mark.parametrize("noise", ["gaussian", "relative"])
def test_a_sum_is_the_mean_times_the_samples(noise: str, tmp_path: Path) -> None:
    """Over the 8 x 8 saturations and values of the paper, sqrt J is 8 times larger."""
    asked = {"preset": "benjamin2022", "values": [10.0, 100.0], "noise": noise, "layers": ["conv", "fc"]}
    mean, total = (
        psychophys.measure(small_observer(), dimension="hue", pooling=pooling, **asked)
        for pooling in ("mean", "sum")
    )
    one, all_64 = mean.to_pandas(), total.to_pandas()
    assert (all_64["n_samples"] == 64).all()
    np.testing.assert_allclose(all_64["fisher_information"], 64 * one["fisher_information"], rtol=1e-9)
    np.testing.assert_allclose(all_64["sensitivity"], 8 * one["sensitivity"], rtol=1e-9)
    np.testing.assert_allclose(all_64["threshold"], one["threshold"] / 8, rtol=1e-9)
    total.write(tmp_path / "total.parquet")
    again = psychophys.read(tmp_path / "total.parquet")
    assert {run["measurement"]["pooling"] for run in again.runs.values()} == {"sum"}
    assert any("J is the sum over 64 samples" in said for said in cautions(again))
    assert not any("sum" in said for said in cautions(mean))


def test_intervals_are_of_the_sum_too() -> None:
    asked = {"values": [20.0, 70.0], "parameters": {"phase": 8}, "layers": "conv", "noise": "gaussian"}
    mean, total = (
        psychophys.measure(small_observer(), "grating", pooling=pooling, **asked).to_pandas()
        for pooling in ("mean", "sum")
    )
    for end in ("threshold_low", "threshold_high"):
        np.testing.assert_allclose(total[end], mean[end] / np.sqrt(8), rtol=1e-9)


def small_observer() -> psychophys.Observer:
    torch.manual_seed(0)
    layers = {"conv": nn.Conv2d(3, 4, 5), "relu": nn.ReLU(), "flat": nn.Flatten(), "fc": nn.LazyLinear(6)}
    network = nn.Sequential(OrderedDict(layers))
    network(torch.zeros(1, 3, 32, 32))
    return psychophys.Observer(network, input_size=(32, 32), mean=(0.5,) * 3, std=(0.5,) * 3, name="small")


def test_simulated_observers_see_one_sample_at_a_time(tmp_path: Path) -> None:
    made = psychophys.measure(
        small_observer(), "patch", parameters={"value": [0.5, 0.8]}, values=2, pooling="sum", layers="fc"
    )
    refusal(lambda: check_results(made, observer=small_observer()), "one sample")


# --- unknown names ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "parts"),
    [
        ({"stimulus": "gabr"}, ("stimulus", "'gabr'", "gabor", "psychophys stimuli")),
        ({"stimulus": "zzz"}, ("stimulus", "'zzz'", "grating")),
        ({"dimension": "orientatoin"}, ("dimension of gabor", "'orientatoin'", "orientation")),
        ({"stimulus": "noise", "dimension": "sample"}, ("dimension of noise", "'sample'")),
        ({"dimension": "saturation"}, ("dimension of gabor", "'saturation'")),
        ({"parameters": {"contrst": 1}}, ("parameter of gabor", "'contrst'", "contrast")),
        ({"estimator": "jpv"}, ("estimator", "'jpv'", "jvp")),
        ({"noise": "gausian"}, ("noise model", "'gausian'", "gaussian")),
        ({"preset": "benjamin2021"}, ("preset", "'benjamin2021'", "benjamin2022")),
    ],
    ids=str,
)
def test_an_unknown_name_gets_near_names(request_: dict[str, Any], parts: tuple[str, ...]) -> None:
    refusal(lambda: plan(**request_), *parts)


def test_the_measured_dimension_is_not_a_parameter() -> None:
    refusal(lambda: plan(parameters={"orientation": 3}), "orientation", "--values")


# --- impossible values -----------------------------------------------------------------------------

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("request_", "parts"),
    [
        ({"parameters": {"contrast": 2}}, ("contrast 2", "from 0 to 1")),
        ({"parameters": {"contrast": [0.5, 1.5]}}, ("contrast 1.5",)),
        ({"parameters": {"contrast": NAN}}, ("contrast nan",)),
        ({"parameters": {"contrast": -0.1}}, ("contrast -0.1",)),
        ({"parameters": {"size": 0}}, ("size 0",)),
        ({"parameters": {"frequency": 0.0}}, ("frequency 0",)),
        ({"parameters": {"frequency": INF}}, ("frequency inf",)),
        ({"parameters": {"luminance": 0.9, "contrast": 1.0}}, ("luminance",)),
        ({"parameters": {"contrast": []}}, ("contrast", "at least one")),
        ({"parameters": {"contrast": None}}, ("contrast", "at least one")),
        ({"parameters": {"contrast": "high"}}, ("contrast", "not a list of numbers")),
        ({"parameters": {"phase": 0}}, ("0 values of phase",)),
        ({"parameters": {"phase": -2}}, ("-2 values of phase",)),
        ({"values": 0}, ("0 values of orientation",)),
        ({"values": -3}, ("-3 values of orientation",)),
        ({"values": []}, ("values of orientation", "at least one")),
        ({"values": np.array([])}, ("values of orientation", "at least one")),
        ({"values": [0, NAN]}, ("orientation nan",)),
        ({"values": [0, INF]}, ("orientation inf",)),
        ({"values": [0, 1e6]}, ("orientation 1e+06",)),
        ({"values": ["a"]}, ("orientation", "not a list of numbers")),
        ({"values": [[1, 2]]}, ("orientation", "not a list of numbers")),
        ({"values": "12"}, ("orientation", "'12'")),
        ({"dimension": "contrast", "values": [0.5, 1.1]}, ("contrast 1.1",)),
        ({"noise_level": 0}, ("noise level 0", "over 0")),
        ({"noise_level": -1}, ("noise level -1", "over 0")),
        ({"noise_level": NAN}, ("noise level nan",)),
        ({"noise_level": INF}, ("noise level inf",)),
        ({"dprime": 0}, ("d' 0", "over 0")),
        ({"dprime": -1}, ("d' -1", "over 0")),
        ({"step": 0, "estimator": "central"}, ("step 0", "over 0")),
        ({"step": -0.1, "estimator": "central"}, ("step -0.1",)),
        ({"step": NAN}, ("step nan",)),
        ({"layers": []}, ("layer",)),
        ({"layers": ""}, ("layer",)),
    ],
    ids=str,
)
def test_an_impossible_value_is_named(request_: dict[str, Any], parts: tuple[str, ...]) -> None:
    refusal(lambda: plan(**request_), *parts)


@pytest.mark.parametrize("value", [[0], [0, 10, 30], [0, 0, 0], 1, [10, 20, 10]], ids=str)
def test_chained_differences_need_a_uniform_grid(value: Any) -> None:
    refusal(lambda: plan(values=value, estimator="chained"), "chained", "equally spaced", "--estimator jvp")


@pytest.mark.parametrize("values", [[0, 10], [30, 20, 10], list(np.linspace(0, 1, 7))], ids=str)
def test_a_uniform_grid_is_accepted_in_either_direction(values: list[float]) -> None:
    assert grid_step(plan(values=values, estimator="chained").values) == pytest.approx(values[1] - values[0])


def test_a_default_grid_in_logarithmic_steps_is_not_uniform() -> None:
    refusal(lambda: plan(dimension="frequency", estimator="chained"), "chained")


@pytest.mark.parametrize(
    ("request_", "side", "fits"),
    [
        ({"parameters": {"frequency": 80.0}}, 160, True),
        ({"parameters": {"frequency": 80.5}}, 160, False),
        ({"dimension": "frequency", "values": [10, 81]}, 160, False),
        ({"dimension": "frequency", "values": [10, 81]}, 224, True),
        ({"dimension": "frequency"}, 32, False),
    ],
    ids=str,
)
def test_a_frequency_over_nyquist_is_refused_for_the_image_size(
    request_: dict[str, Any], side: int, fits: bool
) -> None:
    made = plan(**request_)
    if fits:
        made.check_size(side)
    else:
        refusal(
            lambda: made.check_size(side), "frequency", "Nyquist", f"{side}-pixel", f"at most {side / 2:g}"
        )


def test_a_frequency_over_nyquist_is_refused_before_the_model_runs() -> None:
    from torch import nn

    from psychophys.observers.observer import Observer

    class Untouched(nn.Module):
        def forward(self, x: Any) -> Any:
            raise AssertionError("the model ran")

    observer = Observer(nn.Sequential(Untouched()), input_size=(64, 48))
    call = lambda: psychophys.run(plan(parameters={"frequency": 30}), observer)  # noqa: E731
    refusal(call, "frequency 30", "48-pixel", "24")


@pytest.mark.parametrize("batch_size", [0, -1])
def test_an_impossible_batch_size_is_refused(batch_size: int) -> None:
    refusal(lambda: psychophys.measure(batch_size=batch_size), f"batch size {batch_size}")


def test_every_door_takes_the_options_of_a_plan_and_of_an_observer() -> None:
    """What is listed as types is what there is; anything else is refused by the function that was called."""
    plans, loads = (set(inspect.signature(f).parameters) for f in (plan, psychophys.load_observer))
    assert set(AllOptions.__annotations__) == (plans | loads) - {"model"}
    assert set(StimulusOptions.__annotations__) == set(AllOptions.__annotations__) - {"dimension"}
    assert set(Options.__annotations__) == set(StimulusOptions.__annotations__) - {"stimulus"}
    everything = (plans | loads | {"batch_size", "progress"}) - {"model"}
    doors = {
        psychophys.measure: set(),
        psychophys.fisher_matrix: {"dimension", "confidence", "precision", "pooling"},
        psychophys.simulate: {"precision", "pooling"},
    }
    for door, without in doors.items():
        taken = inspect.signature(door).parameters
        assert everything - without <= set(taken)
        assert not without & set(taken)
        assert taken["device"].default == "auto"
        assert taken["noise"].default is None
        for wrong in (*without, "nosuch"):
            with pytest.raises(TypeError, match=rf"{door.__name__}\(\) .*'{wrong}'"):
                door(**{wrong: 1})


@pytest.mark.parametrize("door", [psychophys.measure, psychophys.fisher_matrix, psychophys.simulate])
@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"batch_size": 0}, ("batch size 0",)),
        ({"noise": 5}, ("noise model '5' is of type int", "Give a name or a Noise")),
        ({"stimulus": 1.5}, ("stimulus '1.5' is of type float",)),
        ({"estimator": len}, ("estimator", "builtin_function", "Give a name or a Estimator")),
        ({"model": 3}, ("a model of type int", "psychophys.Observer(")),
    ],
    ids=str,
)
def test_every_door_refuses_in_one_line(
    door: Callable, options: dict[str, Any], parts: tuple[str, ...]
) -> None:
    refusal(lambda: door(**options), *parts)


def test_a_measurement_that_exists_can_be_made() -> None:
    made = plan()
    for changes, part in (
        ({"values": (1e9,)}, "orientation 1e+09"),
        ({"parameters": {"contrast": (7.0,)}}, "contrast 7"),
        ({"noise": NOISE["input"], "estimator": ESTIMATORS["chained"]}, "input noise cannot use"),
        ({"layers": ()}, "no layers"),
    ):
        refusal(lambda changes=changes: replace(made, **changes), part)


def test_a_stimulus_cannot_pass_for_another() -> None:
    refusal(lambda: plan(replace(STIMULI["gabor"], summary="mine")), "stimulus 'gabor' is another one")


# --- run ids ---------------------------------------------------------------------------------------


def test_a_run_id_does_not_depend_on_the_order_parameters_are_given_in() -> None:
    one = plan(parameters={"contrast": 0.5, "frequency": 8})
    other = plan(parameters={"frequency": 8, "contrast": 0.5})
    assert run_id(one, {"sha256": "0"}) == run_id(other, {"sha256": "0"})
    assert run_id(one, {"sha256": "0"}) != run_id(one, {"sha256": "1"})


@pytest.mark.parametrize(
    "changes",
    [
        {"values": (0.0, 1.0)}, {"layers": ("all",)}, {"estimator": ESTIMATORS["central"]}, {"step": 0.5},
        {"noise": NOISE["gaussian"]}, {"noise_level": 2.0}, {"dprime": 2.0}, {"dimension": "phase"},
        {"stimulus": STIMULI["grating"]}, {"parameters": {"contrast": (0.5,)}},
    ],
    ids=lambda changes: next(iter(changes)),
)  # fmt: skip
def test_a_run_id_depends_on_each_field(changes: dict[str, Any]) -> None:
    made: Measurement = plan()
    assert run_id(replace(made, **changes), {}) != run_id(made, {})


# --- errors ----------------------------------------------------------------------------------------


def test_errors_are_one_line_with_their_remedy() -> None:
    error = UsageError("first\n  second", "Do this.")
    assert str(error) == "first second. Do this."
    assert "\n" not in str(UsageError("first", "Do\nthis."))
    assert str(PsychophysError("plain.")) == "plain."
    assert isinstance(error, PsychophysError)


def test_unknown_lists_a_short_table_and_not_a_long_one() -> None:
    assert str(unknown("fruit", "qqq", ["apple", "pear"])).endswith("Known: apple, pear.")
    assert str(unknown("fruit", "appel", ["apple", "pear"])).endswith("Did you mean apple?")
    assert "x99" not in str(unknown("fruit", "qqq", [f"x{i}" for i in range(100)]))
    assert "\n" not in str(unknown("fruit", "two\nlines", ["apple"]))


# --- the package's front door ----------------------------------------------------------------------


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-1000:]
    return done.stdout.strip()


def test_importing_the_package_does_not_load_torch() -> None:
    heavy = "{'torch', 'timm', 'pandas', 'pyarrow', 'numpy'}"
    code = (
        f"import sys, psychophys; psychophys.__version__; dir(psychophys); print({heavy} & set(sys.modules))"
    )
    assert python(code) == "set()"


def test_reading_and_ranking_results_does_not_load_torch(tmp_path: Path) -> None:
    psychophys.measure("test_resnet", weights="random", layers="fc", values=2, parameters={"phase": 1}).write(
        tmp_path / "r.parquet"
    )
    code = (
        f"import sys, psychophys; table = psychophys.read({str(tmp_path / 'r.parquet')!r});"
        "psychophys.summarize(table); print('torch' in sys.modules)"
    )
    assert python(code) == "False"


def test_every_public_name_resolves_to_itself_each_time() -> None:
    homes = [importlib.import_module(f"psychophys.{name}") for name in psychophys._HOMES]
    for name in psychophys.__all__:
        (home,) = {id(vars(h)[name]): h for h in homes if name in vars(h)}.values()
        assert getattr(psychophys, name) is getattr(psychophys, name) is vars(home)[name]


@pytest.mark.slow
def test_public_names_are_not_hidden_by_modules() -> None:
    # A module of the same name would take the name's place once it is imported.
    code = (
        "import types, psychophys\n"
        "from psychophys import *\n"
        "from psychophys import cli, measurement, results\n"
        "names = psychophys.__all__\n"
        "for _ in range(2):\n"
        "    found = [n for n in names if isinstance(getattr(psychophys, n), types.ModuleType)]\n"
        "    found += [n for n in names if isinstance(globals()[n], types.ModuleType)]\n"
        "    print(found)\n"
    )
    assert python(code).split("\n") == ["[]", "[]"]


def test_dir_lists_the_public_names() -> None:
    assert set(psychophys.__all__) <= set(dir(psychophys))
    assert psychophys.__all__ == sorted(psychophys.__all__, key=lambda n: (not n.isupper(), n))


def test_an_unknown_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        psychophys.nonsense  # noqa: B018
