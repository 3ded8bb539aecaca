"""Many models: the ranking, what they have in common, and the figures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from inside import call_inside

import psychophys
from psychophys.comparison.compare import compare
from psychophys.comparison.correlation import compare_with_prior, slope
from psychophys.comparison.verdict import conclusions
from psychophys.comparison.zoo import Overall, over_models, rank_models
from psychophys.plots.coding import plot_coding
from psychophys.plots.models import plot_models

NETS = ("test_resnet", "test_vit", "test_byobnet")


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models: shuffled copies stand for trained ones, beside three that are not."""
    folder = tmp_path_factory.mktemp("zoo")
    words = ["sweep", *NETS, "--weights", "random", "--seeds", "4", "--values", "8", "--phases", "2"]
    done = call_inside(*words, "--engine", "serial", "-o", "zoo", cwd=folder)
    assert done.returncode == 0, done.stderr.decode()
    return folder


@pytest.fixture(scope="module")
def comparison(zoo: Path) -> pd.DataFrame:
    """The first seed of each model is called trained."""
    found = compare(psychophys.read(zoo / "zoo"))
    first = found["seed"] == 0
    return found.assign(weights=np.where(first, "given", found["weights"]), tested=first)


def test_models_are_ranked_at_one_depth(comparison: pd.DataFrame) -> None:
    ranking = rank_models(comparison)
    assert sorted(ranking["model"]) == sorted(NETS)
    assert list(ranking["r"]) == sorted(ranking["r"], reverse=True)
    for row in ranking.itertuples():
        layers = comparison[(comparison["run_id"] == row.run_id) & (comparison["layer_index"] >= 0)]
        known = layers[layers["r"].notna()]
        nearest = known.iloc[int(np.argmin((known["layer_depth"] - 0.75).abs()))]
        assert (row.layer, row.r, row.q) == (nearest["layer"], nearest["r"], nearest["q"])
        assert row.layers == len(known)
        assert row.p_family == nearest["random_p_family"]
    deepest = rank_models(comparison, depth=1.0)
    assert set(deepest["layer"]) & {"fc", "head", "head.fc"}


def test_untrained_networks_are_no_models() -> None:
    table = psychophys.measure("test_resnet", weights="random", values=8, parameters={"phase": 1})
    assert rank_models(compare(table)).empty


def q_of(middles: np.ndarray, errors: np.ndarray) -> pd.DataFrame:
    named = {"model": [f"m{i}" for i in range(len(middles))], "stimulus": "gabor", "dimension": "orientation"}
    ends = {"q_low": middles - 1.96 * errors, "q_high": middles + 1.96 * errors}
    return pd.DataFrame({**named, "q": middles, **ends})


def test_what_models_have_in_common_covers_it() -> None:
    generator, inside, ahead = np.random.default_rng(0), [], []
    for _ in range(400):
        errors = generator.uniform(0.1, 0.3, size=8)
        found = over_models(q_of(0.8 + generator.normal(size=8) * np.hypot(0.2, errors), errors))
        assert isinstance(found, Overall)
        inside.append(found.low <= 0.8 <= found.high)
        ahead.append(found.low_next <= 0.8 + 0.2 * generator.normal() <= found.high_next)
    assert 0.92 <= np.mean(inside) <= 0.98
    assert 0.9 <= np.mean(ahead) <= 1


def test_models_without_bounds_do_not_count() -> None:
    table = q_of(np.array([0.5, 0.6, 0.7, 0.8]), np.full(4, 0.1))
    assert over_models(table.iloc[:2]) is None
    # What is no draw from one population is not averaged.
    assert over_models(table.assign(model="one")) is None
    assert over_models(table.assign(dimension=["orientation", "hue"] * 2)) is None
    assert over_models(table.assign(q_low=[-np.inf, np.nan, 0.5, 0.6])) is None
    found = over_models(table)
    assert found is not None
    assert (found.n, found.mean) == (4, pytest.approx(0.65))


def test_figures_are_drawn_of_one_model_and_of_many(zoo: Path, comparison: pd.DataFrame) -> None:
    ranking = rank_models(comparison)
    figure = plot_models(comparison, ranking, over_models(ranking))
    assert [text.get_text() for text in figure.axes[1].get_yticklabels()][:3] == list(ranking["model"])
    many = pd.concat([ranking] * 20, ignore_index=True)
    assert not figure.axes[1].get_ylabel()
    assert plot_models(comparison, many, None).axes[1].get_ylabel() == "60 models"
    results = psychophys.read(zoo / "zoo")
    one = comparison[comparison["model"] == "test_vit"]
    drawn = plot_coding(results, one)
    assert len(drawn.axes) == 3
    # Where nothing is known, there is a figure all the same.
    assert plot_coding(results, one.assign(r=np.nan, q=np.nan, q_low=np.nan, q_high=np.nan)).axes


def test_the_command_line_ranks_a_folder(zoo: Path) -> None:
    done = call_inside("compare", "zoo", "--figure", "f.png", "-o", "c.csv", cwd=zoo)
    assert done.returncode == 0, done.stderr.decode()
    said = " ".join(done.stderr.decode().split())
    assert "test_resnet (4 random): r" in said
    assert len(pd.read_csv(zoo / "c.csv")["run_id"].unique()) == 12
    assert (zoo / "f.png").stat().st_size > 5000


def test_networks_are_pooled(zoo: Path) -> None:
    results = psychophys.read(zoo / "zoo")
    found = compare(results, pool=True)
    assert set(found["networks"]) == {4}
    assert found["run_id"].nunique() == 3
    rows = found[(found["model"] == "test_resnet") & (found["layer_index"] >= 0)].set_index("layer")
    single = compare(results)
    every = single[(single["model"] == "test_resnet") & (single["layer_index"] >= 0)].groupby(
        "layer", sort=False
    )
    # The slope of the geometric mean is the mean of the slopes.
    assert rows["slope"].to_dict() == pytest.approx(every["slope"].mean().to_dict())
    assert (rows["q_of_networks"] > 0).all()
    half = (rows["q_high"] - rows["q_low"]) / 2
    assert (half >= rows["q_of_networks"] * (1 - 1e-9)).all()
    assert single["q_of_networks"].isna().all()
    # Of copies of one network the mean is that network.
    one = results.to_pandas().query("seed == 0 and model == 'test_resnet'")
    curve, copies = one[one["layer"] == "fc"], ["a", "b", "c"]
    [density] = [psychophys.load_prior("imagenet-sample").density("orientation")]
    values, s = (curve[name].to_numpy(dtype=float) for name in ("value", "sensitivity"))
    alone = compare_with_prior(s, values, density)
    thrice = compare_with_prior(np.stack([s] * len(copies)), values, density)
    assert (thrice.r, thrice.q_low, thrice.q_high) == pytest.approx((alone.r, alone.q_low, alone.q_high))
    assert thrice.q_of_networks == pytest.approx(0, abs=1e-6)
    assert any("4 networks as one: r with the prior" in line for line in conclusions(found))


def test_pooled_networks_are_told_and_drawn(zoo: Path) -> None:
    done = call_inside("compare", "zoo", "--pool", "--figure", "pooled.png", "-o", "pooled.parquet", cwd=zoo)
    assert done.returncode == 0, done.stderr.decode()
    said = " ".join(done.stderr.decode().split())
    assert "test_vit (random), 4 networks as one: orientation against imagenet-sample" in said
    assert (zoo / "pooled.png").stat().st_size > 10_000
    assert call_inside("show", "pooled.parquet", cwd=zoo).returncode == 0
    assert call_inside("compare", "zoo", "--pool", "--human", cwd=zoo).returncode == 2


def test_sources_of_the_interval_are_told_apart() -> None:
    """Half-widths of q for samples and images, beside what errors of these sizes do to the slope."""
    angles = np.arange(0.0, 180.0, 5.0)
    density = psychophys.load_prior("imagenet-sample").density("orientation")
    s = density.at(angles) ** 0.3
    generator = np.random.default_rng(0)
    found = compare_with_prior(s, angles, density, errors=0.05 * s)
    drawn = [slope(s * np.exp(0.05 * generator.normal(size=36)), density.at(angles)) for _ in range(4000)]
    assert found.q_of_samples == pytest.approx(2 * 1.96 * np.std(drawn), rel=0.05)
    assert 0 < found.q_of_images < 0.5 * found.q
    assert np.isnan(compare_with_prior(s, angles, density).q_of_samples)
