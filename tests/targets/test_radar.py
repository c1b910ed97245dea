"""The radar equation by hand, its convention of steering vectors, and the moments of Swerling's models."""

import numpy as np
import pytest

from isacsim import InvalidInput, UniformLinearArray
from isacsim.grid import LIGHT, Grid
from isacsim.targets.radar import RadarTargets, echo_power

TX, RX = UniformLinearArray(4), UniformLinearArray(6)


def test_a_link_budget_by_hand():
    # 10 GHz (3 cm), 0 dBsm at 1 km: 20 lg 0.0299792 + 0 - 30 lg(4 pi) - 40 lg 1000 = -30.4637 - 32.9763 - 120 dB.
    power = echo_power(1.0, 1000.0, LIGHT / 10e9)
    assert 10 * np.log10(power) == pytest.approx(-183.4400, abs=2e-4)  # four digits by hand


@pytest.mark.parametrize("normalized", [True, False])
def test_a_beam_on_the_target_returns_the_gains_of_both_arrays(kit, normalized):
    tx, rx = UniformLinearArray(4, normalized=normalized), UniformLinearArray(6, normalized=normalized)
    model = RadarTargets([0.3], 100.0, 2.0, carrier=28e9)
    G = model.draw(tx, rx, [0], kit.generators([0])).response()[0]
    a = tx.steering(0.3)
    beam = a / np.linalg.norm(a)  # one watt
    # A coherent beam of 4 elements, received by 6 elements: 4 times and 6 times an isotropic antenna's.
    expected = 4 * 6 * echo_power(2.0, 100.0, LIGHT / 28e9)
    assert np.linalg.norm(G @ beam) ** 2 == pytest.approx(expected, rel=1e-12)


def test_delay_and_velocity_are_those_of_the_target(kit):
    scene = RadarTargets([0.3, -0.2], [150.0, 300.0], velocity=[5.0, -1.0], carrier=1e9).draw(
        TX, RX, [0], kit.generators([0])
    )
    np.testing.assert_allclose(scene.delay, [300 / LIGHT, 600 / LIGHT], rtol=1e-14)
    np.testing.assert_array_equal(scene.velocity, [5.0, -1.0])


@pytest.mark.parametrize(
    ("swerling", "variance", "third"),
    # Of x / mean x for a chi-square of 2 m degrees: variance 1 / m, and E x^3 = (m + 1)(m + 2) / m^2.
    [(0, 0.0, 1.0), (1, 1.0, 6.0), (2, 1.0, 6.0), (3, 0.5, 3.0), (4, 0.5, 3.0)],
)
def test_cross_sections_have_the_moments_of_swerling(kit, swerling, variance, third):
    n = 2000
    model = RadarTargets([0.3, -0.2], [100.0, 50.0], [1.0, 3.0], swerling=swerling, carrier=28e9)
    alpha = model.draw(TX, RX, range(n), kit.generators(range(n))).reflection
    x = np.abs(alpha) ** 2 / (24 * echo_power([1.0, 3.0], [100.0, 50.0], LIGHT / 28e9))
    if swerling == 0:
        np.testing.assert_allclose(x, 1.0, rtol=1e-12)
    # Deviations of the estimates over 2 n draws: of x^2 and x^3 by the moments of a Gamma variable up to the sixth.
    m = {0: np.inf, 1: 1, 2: 1, 3: 2, 4: 2}[swerling]
    moment = [np.prod(1 + np.arange(k) / m) for k in range(7)]
    for k in (1, 2, 3):
        error = np.sqrt((moment[2 * k] - moment[k] ** 2) / (2 * n))
        assert np.mean(x**k) == pytest.approx(moment[k], abs=4 * error + 1e-12)
    assert moment[2] - 1 == pytest.approx(variance)
    assert moment[3] == pytest.approx(third)
    # Phases are uniform: the mean of unit phasors of 2 n draws.
    assert abs(np.mean(alpha / np.abs(alpha))) < 4 / np.sqrt(2 * n)


def test_log_normal_cross_sections_keep_their_mean(kit):
    n, spread_db = 4000, 3.74
    model = RadarTargets([0.3], 100.0, 0.05, spread=10 ** (spread_db / 10), carrier=28e9)
    alpha = model.draw(TX, RX, range(n), kit.generators(range(n))).reflection
    x = np.abs(alpha) ** 2 / (24 * echo_power(0.05, 100.0, LIGHT / 28e9))
    in_db, s = 10 * np.log10(x), spread_db * np.log(10) / 10
    # Four standard errors: of a mean, of a deviation of normal numbers, and of a log-normal mean.
    assert in_db.std() == pytest.approx(spread_db, abs=4 * spread_db / np.sqrt(2 * n))
    assert in_db.mean() == pytest.approx(-np.log(10) / 20 * spread_db**2, abs=4 * spread_db / np.sqrt(n))
    assert x.mean() == pytest.approx(1, abs=4 * np.sqrt(np.expm1(s**2) / n))


def test_a_trial_does_not_depend_on_the_others(kit):
    model = RadarTargets([0.3, -0.2], 100.0, swerling=3, spread=1.5, carrier=28e9)
    whole = model.draw(TX, RX, range(3), kit.generators(range(3))).reflection
    np.testing.assert_array_equal(whole[1], model.draw(TX, RX, [1], kit.generators([1])).reflection[0])


def test_the_carrier_is_that_of_the_grid(kit):
    grid, bare = Grid(4, 120e3, carrier=3e9), RadarTargets([0.3], 100.0)
    told = RadarTargets([0.3], 100.0, carrier=3e9)
    scenes = [m.draw_band(grid, TX, RX, [0], kit.generators([0])).reflection for m in (bare, told)]
    np.testing.assert_array_equal(*scenes)
    np.testing.assert_array_equal(scenes[0], told.draw(TX, RX, [0], kit.generators([0])).reflection)
    with pytest.raises(InvalidInput, match="of the grid"):
        RadarTargets([0.3], 100.0, carrier=28e9).draw_band(grid, TX, RX, [0], kit.generators([0]))
    with pytest.raises(InvalidInput, match="where there is no grid"):
        bare.draw(TX, RX, [0], kit.generators([0]))


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"range": 0.0}, "range"),
        ({"range": [1.0, 2.0]}, "equal length"),
        ({"rcs": 0.0}, "rcs"),
        ({"swerling": 5}, "swerling"),
        ({"carrier": -1.0}, "carrier"),
        ({"spread": 0.5}, "spread"),
    ],
)
def test_targets_that_make_no_sense_are_refused(options, field):
    with pytest.raises(InvalidInput, match=field):
        RadarTargets([0.1], **{"range": 10.0, **options})
