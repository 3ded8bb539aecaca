"""What holds for every prior that comes along, and for every formula of the literature."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.json as pa_json
import pyarrow.parquet as pq
import pytest

import psychophys
from psychophys.base.errors import UsageError
from psychophys.comparison import priors
from psychophys.comparison.compare import density_of
from psychophys.comparison.priors import PRIORS, Density, Prior
from psychophys.comparison.priors.literature import LITERATURE
from psychophys.comparison.priors.table import statistic_for
from psychophys.stimuli import STIMULI

CASES = [(prior, statistic) for prior in PRIORS.values() for statistic in prior.statistics]
IDS = [f"{prior.name}-{statistic}" for prior, statistic in CASES]
MEASURABLE = {statistic_for(s.name, p.name) for s in STIMULI.values() for p in s.parameters if p.measurable}


@pytest.mark.parametrize(("prior", "statistic"), CASES, ids=IDS)
def test_it_is_a_density_over_something_that_can_be_measured(prior: Prior, statistic: str) -> None:
    assert prior.meta["summary"]
    assert statistic in MEASURABLE
    frame = prior.to_pandas()
    for _, rows in frame[frame["statistic"] == statistic].groupby("scale"):
        assert (rows["density"] >= 0).all()
        assert (rows["density"] * rows["width"]).sum() == pytest.approx(1, abs=1e-9)
        assert np.allclose(np.diff(np.sort(rows["value"])), rows["width"].iloc[0])
    density = prior.density(statistic)
    dimensions = {
        (p.unit, p.period)
        for stimulus in STIMULI.values()
        for p in stimulus.parameters
        if p.measurable and statistic_for(stimulus.name, p.name) == statistic
    }
    # Of some stimulus: a photograph's contrast is a factor, a grating's is Michelson's.
    assert (density.unit, density.period) in dimensions
    if density.period is not None:
        width = density.centres[1] - density.centres[0]
        assert len(density.centres) * width == pytest.approx(density.period)
        around = density.at(np.array([0.0, 10.0]) + density.period)
        assert around == pytest.approx(density.at(np.array([0.0, 10.0])))


@pytest.mark.parametrize("prior", PRIORS.values(), ids=lambda prior: prior.name)
def test_it_is_found_by_its_name_and_comes_back_from_a_file(
    prior: Prior, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert psychophys.load_prior(prior.name).table.equals(prior.table)
    path = tmp_path_factory.mktemp("priors") / "p.parquet"
    prior.write(path)
    again = psychophys.load_prior(path)
    assert again.table.equals(prior.table)
    assert again.meta == prior.meta


@pytest.mark.parametrize("formula", LITERATURE, ids=lambda formula: formula.name)
def test_a_formula_is_tabulated_as_it_says(formula) -> None:
    density = formula.prior().density(formula.statistic)
    between = np.linspace(formula.values[0], formula.values[-1], 301)
    written = formula.density(between)
    np.testing.assert_allclose(
        density.at(between) / density.at(between).mean(), written / written.mean(), rtol=0.02
    )


@pytest.fixture(scope="module")
def natural() -> Prior:
    return psychophys.load_prior("imagenet-sample")


def test_what_comes_along_has_replicates_and_is_small(natural: Prior) -> None:
    assert natural.meta["images"] == ["images"]
    assert (Path(priors.__file__).parent / "imagenet-sample.parquet").stat().st_size < 600_000
    for (_, _), rows in natural.to_pandas().groupby(["statistic", "scale"]):
        replicates = np.stack(rows["replicates"])
        assert replicates.shape == (len(rows), natural.meta["settings"]["replicates"])
        low, high = np.percentile(replicates, [2.5, 97.5], axis=1, method="weibull")
        assert low == pytest.approx(rows["density_low"].to_numpy(), rel=1e-6)
        assert high == pytest.approx(rows["density_high"].to_numpy(), rel=1e-6)


def test_replicates_are_averaged_over_scales_and_interpolated_as_the_density_is(natural: Prior) -> None:
    scales = [natural.density("orientation", scale) for scale in (1.0, 1.5, 3.0)]
    mean = natural.density("orientation")
    every = [each.replicates for each in scales if each.replicates is not None]
    assert mean.replicates is not None
    assert mean.replicates == pytest.approx(np.mean(every, axis=0))
    assert mean.density == pytest.approx(np.mean([each.density for each in scales], axis=0))
    values = np.array([0.0, 33.0, 178.9, 181.0])
    found = mean.replicates_at(values)
    assert found is not None
    assert found.shape == (len(mean.replicates), 4)
    one = Density(mean.centres, mean.replicates[7], mean.period, mean.unit)
    assert found[7] == pytest.approx(one.at(values))
    beyond = natural.density("contrast").replicates_at(np.array([0.5, 1.5]))
    assert beyond is not None
    assert np.isnan(beyond).all(axis=0).tolist() == [False, True]
    assert psychophys.load_prior("wei-stocker-2015").density("orientation").replicates_at(values) is None


@pytest.mark.parametrize(
    ("statistic", "angle"), [("orientation", 45.0), ("orientation", -7.3), ("hue", 500.0)]
)
def test_a_density_is_turned(natural: Prior, statistic: str, angle: float) -> None:
    density = natural.density(statistic)
    turned = density.turned(angle)
    values = np.array([0.0, 12.0, 33.3, 101.0, 179.0])
    assert turned.at(values + angle) == pytest.approx(density.at(values))
    assert turned.replicates_at(values + angle) == pytest.approx(density.replicates_at(values))
    assert (np.diff(turned.centres) > 0).all()
    assert psychophys.load_prior("wei-stocker-2015").density("orientation").turned(angle).replicates is None


def test_what_has_ends_is_not_turned(natural: Prior) -> None:
    with pytest.raises(UsageError, match="has ends"):
        natural.density("contrast").turned(45)
    with pytest.raises(UsageError, match="by nan deg"):
        natural.density("hue").turned(float("nan"))


def rewritten(prior: Prior, path: Path, table: pa.Table, version: int) -> Path:
    meta = json.dumps({**prior.meta, "schema_version": version}).encode()
    pq.write_table(table.replace_schema_metadata({Prior.key: meta}), path)
    return path


def test_a_file_of_version_1_is_read_and_has_no_replicates(natural: Prior, tmp_path: Path) -> None:
    before = natural.table.drop_columns(["replicates"])
    old = psychophys.load_prior(rewritten(natural, tmp_path / "old.parquet", before, 1))
    assert old.table.drop_columns(["replicates"]).equals(before)
    density = old.density("orientation")
    assert density.replicates is None
    assert density.density == pytest.approx(natural.density("orientation").density)
    old.write(tmp_path / "again.parquet")
    assert psychophys.load_prior(tmp_path / "again.parquet").table.equals(old.table)
    for version, words in ((3, "table version 3"), (2, "is damaged")):
        with pytest.raises(UsageError, match=words):
            psychophys.load_prior(rewritten(natural, tmp_path / "other.parquet", before, version))


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_rows_alone_are_without_replicates(natural: Prior, suffix: str, tmp_path: Path) -> None:
    natural.write(tmp_path / f"p.{suffix}")
    read = pa_csv.read_csv if suffix == "csv" else pa_json.read_json
    table = read(tmp_path / f"p.{suffix}")
    assert table.column_names == [name for name in Prior.schema.names if name != "replicates"]
    assert table.column("density").to_pylist() == natural.table.column("density").to_pylist()


@pytest.mark.parametrize(
    ("stimulus", "dimension"),
    [
        ("masked", "contrast"),
        ("masked", "masker_contrast"),
        ("surround", "gap"),
        ("vernier", "offset"),
        ("isoluminant", "contrast"),
        ("isoluminant", "direction"),
        ("isoluminant", "frequency"),
        ("isoluminant", "luminance"),
    ],
)
@pytest.mark.parametrize("prior", PRIORS.values(), ids=lambda prior: prior.name)
def test_what_a_prior_does_not_count_is_refused_in_a_line(
    prior: Prior, stimulus: str, dimension: str
) -> None:
    unit = STIMULI[stimulus].parameter(dimension).unit
    said = f"{dimension} of {stimulus}.*(Compare another|It has)"
    with pytest.raises(UsageError, match=said) as caught:
        density_of(stimulus, dimension, unit, prior)
    assert "\n" not in str(caught.value)
