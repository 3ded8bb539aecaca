"""What holds for every prior that comes along, and for every formula of the literature."""

from __future__ import annotations

import numpy as np
import pytest

import psychophys
from psychophys.comparison.priors import PRIORS, Prior
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
