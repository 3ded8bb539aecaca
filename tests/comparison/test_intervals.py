"""The interval of the slope: what leaves it as it is, and that it holds the slope as often as it says."""

import numpy as np
import pytest

from psychophys.base.types import Array
from psychophys.comparison.intervals import Interval, _beyond_misfit, _share_over, combined, slope_interval
from psychophys.comparison.priors import load_prior

ORIENTATION = load_prior("imagenet-sample").density("orientation")
LUMINANCE = load_prior("imagenet-sample").density("luminance")


def prior(n: int) -> Array:
    return ORIENTATION.at(np.arange(n) * 180 / n)


def smooth(n: int, generator: np.random.Generator, most: int = 8, sets: int = 1) -> Array:
    """Curves of a few harmonics with random phases; s.d. 1."""
    k = np.arange(1, most + 1)
    phases = np.exp(2j * np.pi * generator.random((sets, most))) / k / np.sqrt(np.sum(1 / k**2) / 2)
    return (phases @ np.exp(2j * np.pi * np.outer(k, np.arange(n)) / n)).real


def ends(found: Interval) -> list[float]:
    return [found.low, found.high]


def least_squares(s: Array, p: Array) -> float:
    return float(np.polyfit(np.log(p), np.log(s), 1)[0])


@pytest.fixture(params=[12, 13, 36])
def curves(request: pytest.FixtureRequest) -> tuple[Array, Array]:
    p = prior(request.param)
    return np.exp(0.4 * np.log(p) + 0.1 * smooth(request.param, np.random.default_rng(3))[0]), p


@pytest.mark.parametrize("circular", [True, False])
def test_units_change_nothing_and_a_power_multiplies(curves: tuple[Array, Array], circular: bool) -> None:
    s, p = curves
    as_is = ends(slope_interval(s, p, circular=circular))
    assert ends(slope_interval(7 * s, p / 9, circular=circular)) == pytest.approx(as_is, rel=1e-6)
    assert ends(slope_interval(s**2, p, circular=circular)) == pytest.approx(2 * np.array(as_is), rel=1e-6)
    assert ends(slope_interval(1 / s, p, circular=circular)) == pytest.approx(
        -np.array(as_is)[::-1], rel=1e-6
    )
    assert ends(slope_interval(s * p, p, circular=circular)) == pytest.approx(1 + np.array(as_is), rel=1e-6)


def test_where_a_ring_begins_and_which_way_it_runs_change_nothing(curves: tuple[Array, Array]) -> None:
    s, p = curves
    as_is = ends(slope_interval(s, p))
    assert ends(slope_interval(np.roll(s, 5), np.roll(p, 5))) == pytest.approx(as_is, rel=1e-6)
    assert ends(slope_interval(s[::-1], p[::-1])) == pytest.approx(as_is, rel=1e-6)


@pytest.mark.parametrize("circular", [True, False])
def test_the_slope_is_in_its_interval(circular: bool) -> None:
    generator = np.random.default_rng(0)
    for n in (6, 7, 12, 36):
        for most in (1, 3, 8):
            s = np.exp(0.4 * np.log(prior(n)) + smooth(n, generator, most)[0])
            found = slope_interval(s, prior(n), circular=circular)
            assert found.low <= least_squares(s, prior(n)) <= found.high


@pytest.mark.parametrize("circular", [True, False])
def test_a_power_law_has_no_width(circular: bool) -> None:
    found = slope_interval(3 * prior(36) ** 0.5, prior(36), circular=circular)
    assert ends(found) == pytest.approx([0.5, 0.5])


def test_what_tells_nothing_has_no_interval() -> None:
    p = prior(36)
    for s, density in ((p[:5], p[:5]), (p, np.ones(36)), (np.where(p > p.mean(), p, 0), p), (p * np.nan, p)):
        assert np.isnan(ends(slope_interval(s, density))).all()
    # Of a density that alternates, one sign in two is as it is: the data set no bound.
    alternating = np.tile([1.0, 2.0], 6)
    s = np.exp(np.random.default_rng(0).normal(size=12))
    assert ends(slope_interval(s, alternating)) == [-np.inf, np.inf]


@pytest.mark.parametrize("m", [1, 2, 3, 10])
def test_shares_are_those_of_drawn_phases(m: int) -> None:
    generator = np.random.default_rng(m)
    amplitudes = generator.random((1, m))
    drawn = np.cos(2 * np.pi * generator.random((200_000, m))) @ amplitudes[0]
    bounds = amplitudes.sum() * np.linspace(-1.1, 1.1, 23)
    share = [np.mean(drawn >= bound) for bound in bounds]
    assert _share_over(bounds[None], amplitudes)[0] == pytest.approx(share, abs=0.012 if m == 1 else 0.004)


def test_an_end_is_where_drawn_phases_put_it() -> None:
    p = prior(36)
    x = np.log(p) - np.log(p).mean()
    y = 0.4 * x + 0.1 * smooth(36, np.random.default_rng(4))[0]
    found = slope_interval(np.exp(y), p)
    for end in ends(found):
        spectrum = np.fft.rfft(y - end * x)
        phases = np.exp(2j * np.pi * np.random.default_rng(5).random((20_000, len(spectrum))))
        phases[:, -1] = np.sign(phases[:, -1].real)
        leaning = np.abs(np.fft.irfft(np.abs(spectrum) * phases, 36) @ x)
        assert np.mean(leaning >= abs((y - end * x) @ x)) == pytest.approx(0.05, abs=0.01)


SETS = 200
LEAST, MOST = 0.91, 0.99  # Two and a half standard errors of a share of 95 % in 200 are 4 %.


def share(intervals: list[Interval]) -> float:
    return float(np.mean([found.low <= 0.4 <= found.high for found in intervals]))


@pytest.mark.parametrize("n", [12, 36])
@pytest.mark.parametrize("kind", ["white", 8, 3])
def test_95_of_100_hold_the_slope(n: int, kind: str | int) -> None:
    generator = np.random.default_rng(n)
    e = generator.normal(size=(SETS, n)) if isinstance(kind, str) else smooth(n, generator, kind, SETS)
    s = np.exp(0.4 * np.log(prior(n)) + 0.1 * e)
    assert LEAST <= share([slope_interval(curve, prior(n)) for curve in s]) <= MOST


def test_on_an_axis_with_ends_too() -> None:
    generator = np.random.default_rng(0)
    p = LUMINANCE.at(np.linspace(0.05, 0.95, 20))
    e = generator.normal(size=(SETS, 20))
    for i in range(1, 20):
        e[:, i] = 0.5 * e[:, i - 1] + np.sqrt(0.75) * e[:, i]
    found = [slope_interval(np.exp(0.4 * np.log(p) + 0.1 * curve), p, circular=False) for curve in e]
    assert LEAST <= share(found) <= MOST


def test_errors_of_the_density_are_counted_once() -> None:
    generator = np.random.default_rng(0)
    p = prior(36)
    x = np.log(p) - np.log(p).mean()
    of_no_place, of_its_shape = generator.normal(size=(4000, 36)), generator.normal(size=(4000, 1)) * x
    # What knows no preferred place is in the misfit; a multiple of the density is nowhere else.
    assert _beyond_misfit(of_no_place, x) < 0.1 / (x @ x)
    assert _beyond_misfit(of_its_shape, x) == pytest.approx(1, rel=0.05)
    assert _beyond_misfit(of_no_place + of_its_shape, x) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("shape", [True, False])
def test_the_interval_with_replicates_of_the_density_holds_the_slope(shape: bool) -> None:
    generator = np.random.default_rng(1)
    p = prior(36)
    x = np.log(p) - np.log(p).mean()
    found, without = [], []
    for e in smooth(36, generator, 8, SETS):
        s = np.exp(0.4 * x + 0.02 * e)
        errors = 0.1 * (generator.normal(size=(101, 1)) * x if shape else generator.normal(size=(101, 36)))
        seen = p * np.exp(errors[0])
        found.append(slope_interval(s, seen, density_replicates=seen * np.exp(errors[1:])))
        without.append(slope_interval(s, seen))
    assert LEAST <= share(found) <= MOST
    assert share(without) < LEAST


@pytest.mark.parametrize("shared", [True, False])
def test_the_interval_of_several_networks_holds_their_mean_slope(shared: bool) -> None:
    generator = np.random.default_rng(2)
    x = np.log(prior(36))
    found, of_one = [], []
    for _ in range(SETS):
        slopes = 0.4 + 0.1 * generator.normal(size=(6, 1))
        curves = np.exp(slopes * x + 0.05 * smooth(36, generator, 8, 1 if shared else 6))
        found.append(slope_interval(curves, prior(36)))
        of_one.append(slope_interval(curves[0], prior(36)))
    assert LEAST <= share(found) <= MOST
    assert share(of_one) < LEAST


def test_networks_that_are_one_are_one() -> None:
    s = np.exp(0.4 * np.log(prior(36)) + 0.1 * smooth(36, np.random.default_rng(0))[0])
    of_one = ends(slope_interval(s, prior(36)))
    assert ends(slope_interval(np.stack([s, s, s]), prior(36))) == pytest.approx(of_one)


def test_half_widths_add_in_quadrature_on_each_side() -> None:
    assert ends(combined(1.0, Interval(0.7, 1.0), [0.4])) == pytest.approx([0.5, 1.4])
    assert ends(combined(1.0, Interval(-np.inf, 2.0), [])) == [-np.inf, 2.0]


def test_a_curve_that_is_even_but_for_rounding_has_no_interval() -> None:
    density = np.exp(np.sin(np.deg2rad(np.arange(0, 360, 30))) + np.linspace(0, 1, 12))
    even = np.full(12, 0.3) * (1 + 2e-16)
    found = slope_interval(even[None], density, circular=True)
    assert np.isnan([found.low, found.high]).all()
