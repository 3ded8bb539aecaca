"""Statistics of tuning curves against closed forms, and fits against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit
from scipy.special import i0, i1

from psychophys.physiology.naka_rushton import fit_naka_rushton
from psychophys.physiology.statistics import (
    HALF,
    ROOT_HALF,
    circular_variance,
    first_reached,
    harmonics,
    orientation_peaks,
    peaks,
)
from psychophys.physiology.v1 import V1

ORIENTATIONS = np.arange(18) * 10.0
OCTAVES = np.linspace(1, 6, 12)
PREFERRED, KAPPA = np.array([0.0, 3.3, 87.7, 176.9]), np.array([1.5, 2.5, 4.0, 2.0])


def von_mises(orientation_deg: np.ndarray) -> np.ndarray:
    """Half height where cos(2 delta) = 1 - ln 2 / kappa."""
    apart = np.deg2rad(orientation_deg[:, None] - PREFERRED)
    found: np.ndarray = np.exp(KAPPA * (np.cos(2 * apart) - 1))
    return found


def test_orientation_is_recovered_to_1_per_cent() -> None:
    found = orientation_peaks(von_mises(ORIENTATIONS), ORIENTATIONS)
    apart = (found.at - PREFERRED + 90) % 180 - 90
    assert np.abs(apart).max() < 0.25
    for share in (HALF, ROOT_HALF):
        width = np.rad2deg(np.arccos(1 + np.log(share) / KAPPA)) / 2
        np.testing.assert_allclose((found.below[share] + found.above[share]) / 2, width, rtol=0.01)


def test_circular_variance_of_von_mises_curves() -> None:
    curves = von_mises(ORIENTATIONS)
    np.testing.assert_allclose(circular_variance(curves, ORIENTATIONS), 1 - i1(KAPPA) / i0(KAPPA), rtol=1e-6)
    one = np.zeros((18, 3))
    one[4, 0], one[:, 1], one[:, 2] = 2.0, 3.0, -1.0
    found = circular_variance(one, ORIENTATIONS)
    np.testing.assert_allclose(found[:2], [0, 1], atol=1e-9)
    assert np.isnan(found[2])


def test_what_does_not_fall_to_half_has_no_width() -> None:
    curves = np.stack([1 + 0.2 * np.cos(2 * np.deg2rad(ORIENTATIONS)), ORIENTATIONS == 90.0], axis=1)
    found = orientation_peaks(curves.astype(float), ORIENTATIONS)
    assert np.isnan([found.below[HALF][0], found.above[HALF][0]]).all()
    # A single orientation says that the width is under the step, and no more.
    assert found.at[1] == pytest.approx(90)
    assert 0 < found.below[HALF][1] < 10


def test_frequency_is_recovered_to_1_per_cent() -> None:
    at, sd = np.array([2.4, 3.9]), np.array([0.7, 0.9])
    found = peaks(np.exp(-((OCTAVES[:, None] - at) ** 2) / (2 * sd**2)), OCTAVES)
    np.testing.assert_allclose(found.at, at, rtol=0.01)
    np.testing.assert_allclose(found.height, 1, rtol=0.01)
    width = sd * np.sqrt(2 * np.log(2))
    np.testing.assert_allclose(found.below[HALF][1], width[1], rtol=0.01)
    np.testing.assert_allclose(found.below[HALF] + found.above[HALF], 2 * width, rtol=0.01)


def test_ends_are_peaks_without_a_width_on_one_side() -> None:
    found = peaks(np.stack([OCTAVES, -OCTAVES + 6], axis=1), OCTAVES)
    np.testing.assert_allclose(found.at, [6, 1], atol=1e-9)
    assert np.isnan(found.above[HALF][0])
    assert np.isnan(found.below[HALF][1])
    np.testing.assert_allclose([found.below[HALF][0], found.above[HALF][1]], [3, 2.5], rtol=1e-3)


def test_where_a_curve_first_reaches_a_share() -> None:
    found = first_reached(np.stack([OCTAVES, np.minimum(OCTAVES, 3)], axis=1), OCTAVES, 0.95)
    np.testing.assert_allclose(found, [5.7, 2.85], atol=0.1)


@pytest.mark.parametrize("count", [4, 8, 16])
def test_harmonics_of_waves(count: int) -> None:
    phases = 360 / count * np.arange(count)
    wave = np.cos(np.deg2rad(phases[:, None] - [[0.0, 50.0, 300.0]]))
    found = harmonics(3 + [[0.5, 1.0, 2.0]] * wave, phases)
    np.testing.assert_allclose(found.mean, 3)
    np.testing.assert_allclose(found.amplitude, [0.5, 1, 2])
    np.testing.assert_allclose((found.phase_deg - [0, 50, 300] + 180) % 360, 180)
    if count == 16:
        rectified = harmonics(wave.clip(min=0), phases)
        np.testing.assert_allclose(rectified.amplitude / rectified.mean, np.pi / 2, rtol=0.02)


def test_two_phases_have_no_fundamental() -> None:
    found = harmonics(np.array([[1.0], [3.0]]), np.array([0.0, 180.0]))
    assert (found.mean, found.amplitude) == (2, 0)


CONTRASTS = np.geomspace(0.03, 1, 8)


def naka_rushton(c: np.ndarray, rmax: float, c50: float, n: float) -> np.ndarray:
    return rmax * c**n / (c**n + c50**n)


def test_naka_rushton_is_recovered_to_1_per_cent() -> None:
    true = [(10.0, 0.05, 1.0), (2e-3, 0.2, 2.5), (300.0, 0.6, 1.5), (1.0, 0.1, 6.0)]
    found = fit_naka_rushton(np.stack([naka_rushton(CONTRASTS, *one) for one in true], axis=1), CONTRASTS)
    for place, numbers in enumerate(true):
        fitted = (found.rmax[place], found.c50[place], found.exponent[place])
        np.testing.assert_allclose(fitted, numbers, rtol=0.01)
    assert found.residual.max() < 1e-3


def test_naka_rushton_fits_are_those_of_scipy() -> None:
    generator = np.random.default_rng(0)
    for c50, n in ((0.1, 1.2), (0.3, 3.0)):
        curve = naka_rushton(CONTRASTS, 5.0, c50, n) * (1 + 0.05 * generator.standard_normal(8))
        found = fit_naka_rushton(curve[:, None], CONTRASTS)
        slow, _ = curve_fit(naka_rushton, CONTRASTS, curve, p0=(5.0, c50, n))
        np.testing.assert_allclose([found.rmax[0], found.c50[0], found.exponent[0]], slow, rtol=0.01)
        left = curve - naka_rushton(CONTRASTS, *slow)
        assert found.residual[0] == pytest.approx(np.sqrt((left**2).mean()) / curve.max(), rel=1e-3)


def test_a_line_does_not_bend() -> None:
    found = fit_naka_rushton(2 * CONTRASTS[:, None], CONTRASTS)
    assert found.c50[0] > 1
    assert found.exponent[0] == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("name", V1)
def test_every_published_distribution(name: str) -> None:
    one = V1[name]
    edges = np.array(one.edges, float)
    assert len(one.counts) == len(edges) - 1
    assert (np.diff(edges) > 0).all()
    assert one.citation
    assert one.doi.startswith("10.")
    middles = np.repeat((edges[1:] + edges[:-1]) / 2, one.counts)
    assert one.distance(middles) == pytest.approx(0, abs=1e-12)
    first = one.distance(np.full(9, middles.min()))
    assert first == pytest.approx(
        1 - one.counts[one.counts.index(next(filter(None, one.counts)))] / one.n_neurons
    )
    assert np.isnan(one.distance(middles[:4]))
    if one.circular:
        period = edges[-1] - edges[0]
        assert one.distance(middles[::3] + period) == pytest.approx(one.distance(middles[::3]))


def test_numbers_of_neurons_are_those_of_the_papers() -> None:
    # Cavanaugh et al. 2002: 190 neurons, 148 of them suppressed by more than a tenth.
    assert (V1["suppression"].n_neurons, V1["summation"].n_neurons) == (190, 148)
    # Schiller et al. 1976c: 73 of 87 neurons selective.
    assert V1["frequency-selectivity"].n_neurons == 73
    # De Valois, Yund & Hepler 1982: 210 of 385 within 22.5 deg of horizontal or vertical.
    assert V1["orientation"].counts[0] + V1["orientation"].counts[2] == 210
    assert V1["orientation"].n_neurons == 385
