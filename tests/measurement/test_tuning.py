"""Tuning curves, against forward hooks and closed forms."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import emulated
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from inside import call_inside
from torch import Tensor, nn

import psychophys
from psychophys import UsageError
from psychophys.measurement import curves
from psychophys.measurement.moments import Moments
from psychophys.measurement.tuning import TuningRun, plan_tuning
from psychophys.observers.layers import Layer
from psychophys.observers.units import Axes, find_axes
from psychophys.results.streams import Stream
from psychophys.results.tuning_curves import LayerTuning, TuningCurves, summarize_curves

PHASES = (0.0, 70.0, 200.0)
VALUES = (0.0, 30.0, 90.0)


def shown(observer: psychophys.Observer, layer: str, values: Any = VALUES) -> np.ndarray[Any, Any]:
    """A layer's outputs for every phase and value, by a hook of its own: (S, K, ...)."""
    stimulus = psychophys.STIMULI["gabor"]
    found = []
    hook = observer.model.get_submodule(layer).register_forward_hook(
        lambda _module, _inputs, output: found.append(output.double().numpy())
    )
    for phase in PHASES:
        for value in values:
            usual = {p.name: p.default for p in stimulus.parameters}
            drawn = {**usual, "orientation": torch.tensor([value], dtype=observer.dtype), "phase": phase}
            with torch.no_grad():
                observer.model(observer.preprocess(stimulus.render(drawn, observer.input_size)))
    hook.remove()
    return np.concatenate(found).reshape(len(PHASES), len(values), *found[0].shape[1:])


def table(observer: psychophys.Observer, layer: str, **options: Any) -> pd.DataFrame:
    asked = {"values": VALUES, "parameters": {"phase": PHASES}, "layers": layer, **options}
    return psychophys.tuning_curves(observer, **asked).to_pandas()


@pytest.fixture(scope="module")
def embedded() -> psychophys.Observer:
    return psychophys.load_observer("tf_efficientnet_lite0")


@pytest.fixture(scope="module")
def vit() -> psychophys.Observer:
    return psychophys.load_observer("test_vit", weights="random")


@pytest.mark.parametrize("layer", ["blocks.6", "classifier"])
def test_channels_of_the_embedded_network_are_those_of_a_hook(
    layer: str, embedded: psychophys.Observer
) -> None:
    direct = shown(embedded, layer)
    direct = direct.reshape(*direct.shape[:3], -1).mean(axis=3)
    found = table(embedded, layer)
    assert list(found["channel"]) == list(np.repeat(np.arange(direct.shape[2]), len(VALUES)))
    assert list(found["value"][:3]) == list(VALUES)
    assert found[["unit", "y", "x", "derivative"]].isna().all(axis=None)
    np.testing.assert_allclose(found["response"], direct.mean(axis=0).T.ravel(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["sd"], direct.std(axis=0, ddof=1).T.ravel(), rtol=1e-3, atol=1e-5)


def test_units_of_a_convolution_are_those_of_a_hook(embedded: psychophys.Observer) -> None:
    direct = shown(embedded, "blocks.6")
    found = table(embedded, "blocks.6", per="unit", units={"blocks.?": [0, 9, 320 * 49 - 1]})
    assert sorted(found["unit"].unique()) == [0, 9, 15679]
    for unit, rows in found.groupby("unit"):
        channel, y, x = (int(rows[name].iloc[0]) for name in ("channel", "y", "x"))
        assert unit == (channel * 7 + y) * 7 + x
        np.testing.assert_allclose(
            rows["response"], direct[:, :, channel, y, x].mean(axis=0), rtol=1e-4, atol=1e-5
        )


def test_tokens_have_their_channels_last(vit: psychophys.Observer) -> None:
    direct = shown(vit, "blocks.1")
    found = table(vit, "blocks.1")
    assert len(found) == direct.shape[3] * len(VALUES)
    np.testing.assert_allclose(found["response"], direct.mean(axis=(0, 2)).T.ravel(), rtol=1e-4, atol=1e-6)
    unit = direct.shape[3] * 5 + 3
    (row, *_) = table(vit, "blocks.1", per="unit", units={"blocks.1": [unit]}).to_dict("records")
    assert (row["channel"], row["x"]) == (3, 5)
    assert math.isnan(row["y"])
    assert row["response"] == pytest.approx(direct[:, 0, 5, 3].mean(), rel=1e-4)


def test_derivatives_are_those_of_differences_in_float64(vit: psychophys.Observer) -> None:
    wide = vit.double()
    step = 1e-4
    near = [value + side * step for value in VALUES for side in (-1, 1)]
    for layer, per in (("blocks.0", "channel"), ("head", "unit")):
        found = table(wide, layer, per=per, derivative=True)
        moved = table(wide, layer, per=per, values=near)["response"].to_numpy().reshape(-1, len(VALUES), 2)
        direct = (moved[..., 1] - moved[..., 0]) / (2 * step)
        assert np.abs(direct).max() > 0
        np.testing.assert_allclose(
            found["derivative"], direct.ravel(), rtol=1e-5, atol=1e-7 * np.abs(direct).max()
        )
        plain = table(wide, layer, per=per)
        pd.testing.assert_series_equal(plain["response"], found["response"])


class Known(nn.Module):
    """Units of known tuning to luminance: its double, its square, a constant, and nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 4, 4, stride=4), nn.Linear(4, 2)
        with torch.no_grad():
            for module in (self.conv, self.linear):
                module.weight.zero_()
                module.bias.zero_()
            self.conv.weight[0] = 2 / 48
            self.conv.weight[1] = 1 / 48
            self.conv.bias[2] = 3.0
            self.linear.weight[0] = torch.tensor([-1.0, 0.0, 1.0, 0.0])
        self.square = Square()

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.linear(self.square(self.conv(images)).mean((2, 3)))
        return found


class Square(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x**2


LUMINANCES = (0.2, 0.4, 0.5)


@pytest.fixture(scope="module")
def known() -> psychophys.Observer:
    return psychophys.Observer(Known(), input_size=16, mean=(0.0,) * 3, std=(1.0,) * 3, name="known")


def known_curves(known: psychophys.Observer, **options: Any) -> psychophys.TuningCurves:
    asked = {
        "parameters": {"contrast": 0.0, "phase": (0.0, 90.0)},
        "values": LUMINANCES,
        "layers": "all",
        **options,
    }
    return psychophys.tuning_curves(known, "grating", "luminance", **asked)


def test_known_units_have_their_closed_forms(known: psychophys.Observer) -> None:
    luminance = np.array(LUMINANCES)
    one, nothing = np.ones(3), np.zeros(3)
    expected = {
        "conv": [2 * luminance, luminance, 3 * one, nothing],
        "square": [4 * luminance**2, luminance**2, 9 * one, nothing],
        "linear": [9 - 4 * luminance**2, nothing],
    }
    slopes = {
        "conv": [2 * one, one, nothing, nothing],
        "square": [8 * luminance, 2 * luminance, nothing, nothing],
        "linear": [-8 * luminance, nothing],
    }
    for per in ("channel", "unit"):
        found = known_curves(known, per=per, derivative=True).to_pandas()
        for layer, rows in found.groupby("layer", observed=True):
            for channel, own in rows.groupby("channel"):
                times = len(own) // 3
                assert times == (16 if per == "unit" and layer != "linear" else 1)
                np.testing.assert_allclose(own["response"], np.tile(expected[layer][channel], times), 1e-5)
                np.testing.assert_allclose(own["sd"], 0, atol=1e-6)
                np.testing.assert_allclose(own["derivative"], np.tile(slopes[layer][channel], times), 1e-5)


def test_a_summary_counts_what_is_tuned_and_what_is_dead(known: psychophys.Observer) -> None:
    found = {layer: one for (_, layer), one in summarize_curves(known_curves(known)).layers.items()}
    assert {name: (one.n_units, one.tuned, one.dead) for name, one in found.items()} == {
        "conv": (4, 2, 1),
        "square": (4, 2, 1),
        "linear": (2, 0, 1),
    }
    assert list(found["conv"].preferred) == [0, 0, 2]
    assert list(found["linear"].preferred) == [0, 0, 0]
    # (0.5 - 0.2) / 0.5, twice, and 0: their median.
    assert found["conv"].median_modulation == pytest.approx(0.6, rel=1e-5)
    assert found["linear"].median_modulation == pytest.approx(0.84 / 8.84, rel=1e-5)


def test_rounding_about_a_mean_of_0_is_no_tuning() -> None:
    layer = LayerTuning("", "", "", np.arange(3.0))
    layer.add(np.array([[1e-9, -2e-9, 0.0], [1.0, 2.0, 1.5]]), np.array([[0.3] * 3, [0.0] * 3]))
    assert (layer.n_units, layer.tuned, layer.dead) == (2, 1, 0)
    assert list(layer.preferred) == [0, 1, 0]
    layer.add(
        np.array([[0.0] * 3, [np.inf, 1.0, 1.0], [0.0] * 3]), np.array([[np.nan] * 3] * 2 + [[0.2] * 3])
    )
    assert (layer.n_units, layer.tuned, layer.dead) == (5, 1, 1)


def test_the_most_modulated_are_kept(known: psychophys.Observer) -> None:
    found = known_curves(known, most=1).to_pandas()
    assert len(found) == 3 * 3
    assert set(found["channel"]) == {0}
    assert set(
        known_curves(known, most=1, units={"conv": [1, 2, 3]}, layers="conv").to_pandas()["channel"]
    ) == {1}


@pytest.mark.parametrize("most", [None, 3])
def test_parts_and_passes_change_nothing(
    most: int | None, known: psychophys.Observer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"per": "unit", "most": most, "derivative": True}
    whole = known_curves(known, **asked)
    monkeypatch.setattr(curves, "MOST_IN_PART", 15)
    monkeypatch.setattr(curves, "MOST_HELD", 60)
    seen: list[tuple[int, int]] = []
    split = known_curves(known, **asked, batch_size=1, progress=lambda *at: seen.append(at))
    pd.testing.assert_frame_equal(whole.to_pandas(), split.to_pandas(), rtol=1e-6)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1]
    assert len(seen) > 24


def test_a_gpu_gives_the_cpus_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(device: str) -> pd.DataFrame:
        network = nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 12 * 12, 3))
        for place, parameter in enumerate(network.parameters()):
            draws = torch.Generator().manual_seed(place)
            parameter.data = torch.randn(parameter.shape, generator=draws) / parameter[0].numel() ** 0.5
        observer = psychophys.Observer(network, input_size=16, device=device)
        frames = [
            table(observer, "*", per=per, derivative=True, units={"0": [1, 3]}) for per in ("channel", "unit")
        ]
        return pd.concat(frames).drop(columns="run_id")

    here = found("cpu")
    with emulated.gpu(monkeypatch):
        there = found("cuda:0")
    pd.testing.assert_frame_equal(here, there, rtol=1e-4, atol=1e-6)


def test_moments_are_those_of_all_samples_at_once() -> None:
    numbers = 1e6 + np.random.default_rng(0).standard_normal((7, 5, 3))
    moments = Moments(5, 3)
    assert moments.sd is None
    for samples in (slice(0, 1), slice(1, 4), slice(4, 7)):
        for values in (slice(0, 2), slice(2, 5)):
            moments.add(values, numbers[samples, values])
    np.testing.assert_allclose(moments.mean, numbers.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(moments.sd, numbers.std(axis=0, ddof=1), rtol=1e-9)


@pytest.mark.parametrize(
    ("shape", "n_features", "input_size", "whole", "channel"),
    [
        ((), 1, (32, 32), (1,), 0),
        ((10,), 10, (32, 32), (10,), 0),
        ((5, 64), 320, (32, 32), (5, 64), 1),
        ((8, 7, 7), 392, (32, 32), (8, 7, 7), 0),
        ((7, 7, 8), 392, (32, 32), (7, 7, 8), 2),
        ((7, 7, 7), 343, (32, 32), (7, 7, 7), 0),
        ((8, 4, 6), 192, (32, 48), (8, 4, 6), 0),
        ((4, 6, 6), 144, (32, 48), (4, 6, 6), 2),
        ((49, 8), 4 * 49 * 8, (32, 32), (4, 49, 8), 2),
        ((2, 3, 4, 5), 120, (32, 32), (2, 3, 4, 5), 3),
    ],
)
def test_axes_are_told_by_their_lengths(
    shape: tuple[int, ...], n_features: int, input_size: tuple[int, int], whole: tuple[int, ...], channel: int
) -> None:
    axes = find_axes(Layer("x", 0, 0, n_features, shape, ""), input_size)
    assert axes == Axes(whole, channel, input_size[0] / input_size[1])
    rows = torch.arange(2 * axes.n_units).reshape(2, -1).double()
    others = tuple(1 + axis for axis in range(len(whole)) if axis != channel)
    assert torch.allclose(axes.channel_means(rows), rows.reshape(2, *whole).mean(others) if others else rows)


def test_networks_whose_channels_are_last_are_read_so() -> None:
    observer = psychophys.load_observer("test_mambaout", weights="random")
    direct = shown(observer, "stages.1")
    assert direct.shape[2] == direct.shape[3] != direct.shape[4]
    found = table(observer, "stages.1")
    np.testing.assert_allclose(found["response"], direct.mean(axis=(0, 2, 3)).T.ravel(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"per": "neuron"}, "kind of response 'neuron'.*channel, unit"),
        ({"most": 0}, "0 curves of a layer"),
        ({"units": {"conv": [4]}}, "layer conv of known has channels 0 to 3, not 4"),
        ({"units": {"conv": []}}, "units .* of 'conv'"),
        ({"units": {"conv": [-1]}}, "units .* of 'conv'"),
        ({"units": {"conv": ["x"]}}, "no list of numbers"),
        ({"units": {"none": [0]}}, "no layer that is measured in known is called 'none'"),
        ({"step": 0.1}, "step 0.1 without a derivative"),
        ({"estimator": "central"}, "estimator central without a derivative"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], words: str, known: psychophys.Observer) -> None:
    with pytest.raises(UsageError, match=words):
        known_curves(known, **options)


def test_too_many_rows_are_refused_before_anything_is_shown(
    known: psychophys.Observer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psychophys.measurement.tuning.MOST_ROWS", 29)
    monkeypatch.setattr("psychophys.measurement.tuning.gather_curves", None)
    with pytest.raises(UsageError, match=r"30 rows: 10 channels at 3 values.*at most 29: .*--most"):
        known_curves(known)


def test_options_of_noise_are_not_taken(known: psychophys.Observer) -> None:
    with pytest.raises(TypeError, match="noise"):
        psychophys.tuning_curves(known, noise="gaussian")  # type: ignore[call-arg]


@pytest.mark.parametrize("file_format", ["parquet", "csv", "jsonl"])
def test_a_stream_holds_the_rows_of_its_parts(
    file_format: str, known: psychophys.Observer, tmp_path: Path
) -> None:
    whole = known_curves(known, per="unit")
    asked = {"parameters": {"contrast": 0.0, "phase": (0.0, 90.0)}, "values": LUMINANCES, "layers": "all"}
    run = TuningRun(plan_tuning(stimulus="grating", dimension="luminance", per="unit", **asked), known)
    path = tmp_path / f"r.{file_format}"
    Stream(TuningCurves, run.tables(), lambda: {run.identifier: run.record()}).write(path)
    if file_format == "parquet":
        read = TuningCurves.read(path)
        assert pq.ParquetFile(path).num_row_groups == 3
        assert read.runs[run.identifier]["tuning"] == {
            "per": "unit",
            "units": {},
            "most": None,
            "derivative": False,
        }
        pd.testing.assert_frame_equal(read.to_pandas(), whole.to_pandas())
    else:
        read_text = pd.read_csv if file_format == "csv" else lambda path: pd.read_json(path, lines=True)
        np.testing.assert_allclose(read_text(path)["response"], whole.to_pandas()["response"], rtol=1e-6)


def test_nothing_is_left_where_a_part_fails(known: psychophys.Observer, tmp_path: Path) -> None:
    def parts() -> Any:
        yield known_curves(known).table
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        Stream(TuningCurves, parts(), dict).write(tmp_path / "r.parquet")
    assert not list(tmp_path.iterdir())


def test_the_command_writes_what_the_function_gives(tmp_path: Path) -> None:
    words = ["responses", "test_vit", "--weights", "random", "--values", "3", "--phases", "2", "--most", "2"]
    words += ["--units", "blocks.?:0-4,9", "--units", "head:7", "--derivative"]
    done = call_inside(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert b"responses of channels to orientation in deg, mean of 2 samples, at most 2" in b" ".join(
        done.stderr.split()
    )
    found = TuningCurves.read(tmp_path / "responses.parquet")
    same = psychophys.tuning_curves(
        "test_vit",
        weights="random",
        values=3,
        parameters={"phase": 2},
        most=2,
        units={"blocks.?": [0, 1, 2, 3, 4, 9], "head": [7]},
        derivative=True,
    )
    pd.testing.assert_frame_equal(found.to_pandas(), same.to_pandas(), rtol=1e-6)
    assert found.identifiers == same.identifiers
    done = call_inside(*words, "-q", "-o", "-", cwd=tmp_path)
    assert done.stderr == b""
    assert len(done.stdout.splitlines()) == len(found) + 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--units", "head"], "not LAYERS:INDICES"),
        (["--units", "head:5-3"], "rising"),
        (["--units", "head:0-999999999"], "1,000,000"),
        (["--noise", "gaussian"], "Leave out --noise"),
        (["--pooling", "sum"], "--pooling"),
    ],
)
def test_a_command_line_that_is_wrong_is_refused_in_one_line(
    words: list[str], said: str, tmp_path: Path
) -> None:
    done = call_inside("responses", "test_vit", "--weights", "random", *words, cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert said in line


def test_labels_are_kept_once() -> None:
    assert pa.types.is_dictionary(TuningCurves.schema.field("layer").type)
