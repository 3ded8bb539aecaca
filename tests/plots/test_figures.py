"""Every figure: nothing is empty, nothing is written over anything else, and its data are what it shows."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

import psychophys
from psychophys.base.errors import UsageError
from psychophys.comparison.compare import density_for
from psychophys.comparison.priors import load_prior
from psychophys.comparison.zoo import over_models, rank_models
from psychophys.learning.training import Learned
from psychophys.measurement.fisher_matrix import fisher_matrix
from psychophys.plots.coding import plot_coding
from psychophys.plots.dimensions import label_layers, plain_log, ratio_norm, stage_of, ticks_around_one
from psychophys.plots.drawing import Drawing, panels, spread
from psychophys.plots.ellipses import plot_ellipses
from psychophys.plots.learning import plot_learning
from psychophys.plots.models import plot_models
from psychophys.plots.psychometric import plot_psychometric
from psychophys.plots.sheet import contact_sheet
from psychophys.plots.style import SIZES, check_figure, save_figure
from psychophys.plots.thresholds import MOST_NAMED, plot_comparison, plot_thresholds
from psychophys.results.thresholds import Results
from psychophys.simulation.check import check_results
from psychophys.stimuli import get_stimulus

PRIOR = "imagenet-sample"
TOUCHING = 2.0
"""Pixels by which boxes may lie over each other: they are larger than the letters in them."""


def measure(**settings: object) -> Results:
    usual: dict[str, Any] = {"weights": "random", "values": 8, "parameters": {"phase": 1}, "layers": "all"}
    return psychophys.measure("test_resnet", **(usual | settings))


def called(weights: str, results: Results) -> Results:
    rows = results.to_pandas().assign(weights=weights)
    return Results(pa.Table.from_pandas(rows, schema=Results.schema, preserve_index=False), results.runs)


@pytest.fixture(scope="module")
def several() -> Results:
    """Networks of random weights, two of which are called otherwise."""
    return psychophys.concat(
        [measure(), called("pretrained", measure(seed=1)), called("shuffled", measure(seed=2))]
    )


def chosen(results: Results, keep: Callable[[pd.DataFrame], pd.Series]) -> Results:
    """Some of the rows."""
    frame = results.to_pandas()
    rows = frame[keep(frame)]
    table = pa.Table.from_pandas(rows, schema=Results.schema, preserve_index=False)
    return Results(table, {name: results.runs[name] for name in rows["run_id"].unique()})


def few(results: Results) -> Results:
    return chosen(results, lambda frame: frame["layer"].isin(["layer1", "layer3", "layer4", "fc"]))


CASES: dict[str, Callable[[Results], Results]] = {
    "all": lambda several: several,
    "few": few,
    "one layer": lambda several: chosen(several, lambda frame: frame["layer"] == "fc"),
    "one value": lambda several: chosen(several, lambda frame: frame["value"] == 0),
    "one run": lambda several: chosen(several, lambda frame: frame["weights"] == "pretrained"),
    "one number": lambda several: chosen(
        several, lambda frame: (frame["layer"] == "fc") & (frame["value"] == 45) & (frame["seed"] == 0)
    ),
}


def written(figure: Drawing) -> list[Text]:
    """All text that can be seen; titles and labels of ticks among it."""
    shown = []
    for text in figure.findobj(Text):
        of = text.axes
        if text.get_text().strip() and text.get_visible() and (of is None or of.get_visible()):
            shown.append(text)
    hidden = {id(text) for axes in figure.axes for text in out_of_view(axes)}
    return [text for text in shown if id(text) not in hidden]


def out_of_view(axes: Axes) -> list[Text]:
    """Labels of ticks that are not drawn: outside the limits, of hidden axes, or offsets."""
    if not axes.axison:
        return [text for axis in (axes.xaxis, axes.yaxis) for text in axis.findobj(Text)]
    found = []
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        room = 1e-6 * (high - low)
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not low - room <= tick.get_loc() <= high + room or not tick.label1.get_visible():
                found.append(tick.label1)
            found.append(tick.label2)
    return found


def check(figure: Drawing) -> None:
    """What holds for every figure."""
    figure.draw_without_rendering()
    for axes in panels(figure):
        drawn = [line for line in axes.get_lines() if np.isfinite(np.asarray(line.get_ydata(), float)).any()]
        assert drawn or axes.collections or axes.images or axes.texts, "an empty panel"
    renderer = FigureCanvasAgg(figure).get_renderer()
    # An annotation's own box holds its leader, too.
    boxes = [(text.get_text(), Text.get_window_extent(text, renderer)) for text in written(figure)]
    canvas = figure.bbox
    for name, box in boxes:
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= canvas.x1 + 1 and box.y1 <= canvas.y1 + 1
        assert inside, f"{name!r} leaves the figure"
    for (one, a), (other, b) in combinations(boxes, 2):
        wide = min(a.x1, b.x1) - max(a.x0, b.x0)
        tall = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert min(wide, tall) < TOUCHING, f"{one!r} and {other!r} overlap"
    data = figure.data
    assert list(data.columns) == ["panel", "x_label", "y_label", "name", "x", "y", "low", "high"]
    letters = list(figure.letters.values())
    assert set(data["panel"]) <= {"", *letters}


@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("name", list(CASES))
def test_thresholds(several: Results, name: str, size: str) -> None:
    results = CASES[name](several)
    figure = plot_thresholds(results, size=size)
    check(figure)
    assert figure.get_figwidth() == SIZES[size].width_inches
    # All that is measured is in the data, and nothing else.
    rows = results.to_pandas()
    expected = np.sort(rows["threshold"][np.isfinite(rows["threshold"]) & (rows["threshold"] > 0)])
    shown = figure.data[figure.data["y_label"].str.startswith("threshold")]["y"].dropna()
    assert np.sort(shown) == pytest.approx(expected)


@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("name", ["all", "few", "one layer"])
def test_comparisons(several: Results, name: str, size: str) -> None:
    results = CASES[name](several)
    comparison = psychophys.compare(results, PRIOR)
    density = density_for(results.to_pandas(), load_prior(PRIOR), None)
    figure = plot_comparison(results, comparison, density, size=size)
    check(figure)
    shown = figure.data[figure.data["y_label"].str.startswith("r with")]
    assert np.sort(shown["y"].dropna()) == pytest.approx(np.sort(comparison["r"].dropna()))
    top, *middle, _ = panels(figure)
    assert [line.get_label() for line in top.get_lines()] == ["prior"]
    assert len({axes.get_ylim() for axes in middle}) == 1
    check(plot_coding(results, comparison, density, size=size))


def test_human_curves(several: Results) -> None:
    figure = plot_thresholds(few(several), human=True)
    check(figure)
    assert "human (scaled)" in set(figure.data["name"])
    comparison = psychophys.compare(few(several), human=True)
    check(plot_comparison(few(several), comparison))


@pytest.mark.parametrize("size", list(SIZES))
def test_many_models(several: Results, size: str) -> None:
    trained = chosen(several, lambda frame: frame["weights"] == "pretrained")
    comparison = psychophys.compare(trained, PRIOR)
    many = [
        comparison.assign(run_id=f"{i}", model=f"network_{i}", q=comparison["q"] + 0.1 * i) for i in range(6)
    ]
    ranking = rank_models(pd.concat(many))
    figure = plot_models(pd.concat(many), ranking, over_models(ranking), size=size)
    check(figure)
    assert set(ranking["q"]) <= set(figure.data["x"])


@pytest.mark.parametrize("size", list(SIZES))
def test_ratios(several: Results, size: str) -> None:
    found = psychophys.threshold_ratios(several)
    figure = psychophys.plot_ratios(found, size=size)
    check(figure)
    assert set(found.to_pandas()["ratio"].dropna()) <= set(figure.data["y"])


@pytest.mark.parametrize("size", list(SIZES))
def test_ellipses_and_simulations(several: Results, size: str) -> None:
    observer = psychophys.load_observer("test_resnet", weights="random")
    matrices = fisher_matrix(observer, values=3, layers=["layer1", "layer3", "fc"], parameters={"phase": 1})
    check(plot_ellipses(matrices, size=size))
    random = chosen(few(several), lambda frame: frame["weights"] == "random")
    check(plot_psychometric(check_results(random, values=1), size=size))


@pytest.fixture(scope="module", params=[pytest.param("supervised", marks=pytest.mark.slow), "linear"])
def learned(request: pytest.FixtureRequest) -> Learned:
    own: dict[str, dict[str, Any]] = {
        "supervised": {"conditions": ("frequency", "labels-flipped"), "batch": 64, "steps": 10},
        "linear": {"depths": ("1",), "patch": 8, "steps": 100},
    }
    return psychophys.learn(request.param, runs=2, snapshots=3, **own[request.param])


@pytest.mark.parametrize("size", list(SIZES))
def test_learning(learned: Learned, size: str) -> None:
    figure = plot_learning(learned, size=size)
    check(figure)
    assert len(figure.data)


@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("name", ["gabor", "patch-lch", "gabor-benjamin2022"])
def test_contact_sheets(name: str, size: str) -> None:
    stimulus = get_stimulus(name)
    figure = contact_sheet(stimulus, size=size, pixels=32)
    check(figure)
    said = " ".join(text.get_text() for text in written(figure))
    assert all(f"{one.name} ({one.unit})" in said for one in stimulus.parameters if one.measurable)
    assert all(f"{one.name} {one.default:.3g}" in " ".join(said.split()) for one in stimulus.parameters)


@pytest.mark.parametrize(
    ("settings", "ticks", "scale"),
    [
        ({}, [0, 45, 90, 135, 180], "linear"),
        ({"stimulus": "patch-lch", "dimension": "hue"}, [0, 60, 120, 180, 240, 300, 360], "linear"),
        ({"dimension": "frequency"}, [1, 2, 5, 10, 20], "log"),
        ({"dimension": "contrast"}, [0.05, 0.1, 0.2, 0.5, 1], "log"),
    ],
)
def test_ticks_are_the_dimensions(settings: dict[str, object], ticks: list[float], scale: str) -> None:
    figure = plot_thresholds(
        measure(layers=["fc"], **({} if "stimulus" not in settings else {"parameters": None}), **settings)
    )
    check(figure)
    axes = figure.axes[0]
    assert axes.get_xscale() == scale
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == pytest.approx(ticks)


def test_few_lines_are_named_and_many_have_a_bar(several: Results) -> None:
    named = plot_thresholds(few(several))
    assert "fc" in [text.get_text() for text in named.axes[0].texts]
    assert "depth (0 first, 1 last)" not in [axes.get_ylabel() for axes in named.axes]
    every = plot_thresholds(several)
    assert several.to_pandas()["layer"].nunique() > MOST_NAMED
    assert "depth (0 first, 1 last)" in [axes.get_ylabel() for axes in every.axes]


def test_maps_share_a_scale_with_1_in_its_middle(several: Results) -> None:
    meshes = [
        mesh
        for axes in plot_thresholds(several).axes
        for mesh in axes.collections
        if mesh.get_array() is not None
    ]
    limits = {(mesh.norm.vmin, mesh.norm.vmax) for mesh in meshes if mesh.get_cmap().name.startswith("RdBu")}
    ((low, high),) = limits
    assert low * high == pytest.approx(1)
    norm = ratio_norm(np.array([0.5, 1.0, 2.0]))
    assert norm(1.0) == pytest.approx(0.5)
    assert ticks_around_one(norm) == [0.5, 0.67, 0.8, 1, 1.25, 1.5, 2] or 1 in ticks_around_one(norm)


def test_intervals_are_bands() -> None:
    results = measure(parameters={"phase": 8}, layers=["layer4", "fc"], confidence=0.95)
    figure = plot_thresholds(results)
    check(figure)
    bands = figure.data[figure.data["low"].notna() & (figure.data["panel"] == "a")]
    assert np.sort(bands["low"]) == pytest.approx(np.sort(results.to_pandas()["threshold_low"]))
    assert np.sort(bands["high"]) == pytest.approx(np.sort(results.to_pandas()["threshold_high"]))


def test_names_move_apart_and_keep_their_order() -> None:
    generator = np.random.default_rng(0)
    for count in range(1, 9):
        places = generator.uniform(size=count) ** 3
        moved = spread(places, 0.1)
        assert (np.argsort(moved) == np.argsort(places)).all()
        assert (np.diff(np.sort(moved)) >= 0.1 - 1e-9).all()
        assert moved.max() <= 1
    assert spread(np.array([0.2, 0.8]), 0.1) == pytest.approx([0.2, 0.8])


def test_stages() -> None:
    assert [stage_of(name) for name in ("blocks.3.0.conv_pw", "layer1.conv", "fc")] == [
        "blocks.3",
        "layer1",
        "fc",
    ]
    axes = Drawing(SIZES["page"], 2).add_subplot()
    layers = [f"blocks.{i}.{j}" for i in range(3) for j in range(10)]
    label_layers(axes, layers, 30)
    assert [label.get_text() for label in axes.get_yticklabels()] == layers
    label_layers(axes, layers, 12)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["blocks.0", "blocks.1", "blocks.2"]
    assert list(axes.get_yticks()) == [4.5, 14.5, 24.5]


@pytest.mark.parametrize("ends", [(0.8, 1.3), (0.9, 1.05), (0.01, 5), (1, 1e6), (3, 17)])
def test_logarithmic_axes_have_several_plain_numbers(ends: tuple[float, float]) -> None:
    axes = Drawing(SIZES["page"], 2).add_subplot()
    axes.set_yscale("log")
    axes.set_ylim(*ends)
    plain_log(axes.yaxis, *ends)
    ticks = [tick for tick in axes.get_yticks() if ends[0] <= tick <= ends[1]]
    assert 2 <= len(ticks) <= 8
    assert all("$" not in label.get_text() for label in axes.get_yticklabels())


def test_figures_are_saved_shown_and_refused(several: Results, tmp_path: Path) -> None:
    figure = plot_thresholds(few(several))
    assert figure._repr_png_().startswith(b"\x89PNG")
    save_figure(figure, tmp_path / "f.svg")
    assert ">layer4<" in (tmp_path / "f.svg").read_text(encoding="utf-8")
    save_figure(figure, tmp_path / "f.pdf")
    with pytest.raises(UsageError, match="size of figures 'poster'"):
        plot_thresholds(several, size="poster")
    with pytest.raises(UsageError, match=r"\.svg"):
        check_figure("f.jpg")
