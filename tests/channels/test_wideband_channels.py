"""Tapped delay lines: power, delay spread and correlation over frequency against their profiles."""

from pathlib import Path

import numpy as np
import pytest

from isacsim import InvalidInput, ResponseMatrix, UniformLinearArray, WidebandDrop
from isacsim.channels.models import Rayleigh
from isacsim.channels.wideband import PROFILES, Exponential, Tdl
from isacsim.grid import Grid

DATA = Path(__file__).parents[1] / "data" / "wideband"
ARRAY = UniformLinearArray(3)


def moments(delays, power):
    mean = np.sum(power * delays)
    return mean, np.sqrt(np.sum(power * delays**2) - mean**2)


def generators(n):
    return [np.random.default_rng([17, i]) for i in range(n)]


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_is_that_of_the_reference(profile):
    z = np.load(DATA / f"tdl_{profile}0.npz")
    delays, power, _ = Tdl(profile, float(z["delay_spread"])).power_profile()
    np.testing.assert_allclose(delays, z["delays"], rtol=1e-14)
    np.testing.assert_allclose(power, z["powers"], rtol=1e-12)
    np.testing.assert_allclose(moments(delays, power), (z["mean_delay"], z["rms_delay"]), rtol=1e-10)
    turn = np.exp(2j * np.pi * np.outer(z["lags"], delays))
    np.testing.assert_allclose(turn @ power, z["correlation"], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("profile", "rms"), [("A", 1.0001), ("B", 1.0000), ("C", 1.0000), ("D", 0.9937), ("E", 1.0002)]
)
def test_the_delay_spread_is_the_one_asked_for_but_of_profile_d(profile, rms):
    delays, power, _ = Tdl(profile, 1.0).power_profile()
    assert power.sum() == pytest.approx(1, abs=1e-14)
    assert moments(delays, power)[1] == pytest.approx(rms, abs=5e-5)


@pytest.mark.parametrize(("profile", "k_db"), [("D", 13.3), ("E", 22.0)])
def test_the_first_tap_has_the_line_of_sight_of_the_table(profile, k_db):
    delays, power, sight = Tdl(profile).power_profile()
    first = delays == 0
    k = np.sum((power * sight)[first]) / np.sum((power * (1 - sight))[first])
    np.testing.assert_allclose(10 * np.log10(k), k_db, atol=1e-9)


@pytest.mark.parametrize("model", [Tdl("C", 100e-9), Tdl("D", 100e-9), Exponential(50e-9, k_factor=3.0)], ids=str)
def test_power_and_correlation_over_frequency_are_those_of_the_profile(model):
    grid, n = Grid(64, 120e3, active=48), 2000
    H = model.draw_band(grid, ARRAY, 2, range(n), generators(n))
    assert H.shape == (n, 48, 3, 2)
    delays, power, _ = model.power_profile()
    # E h[f] h[f']* with h turning by exp(+2 pi j f tau); lines of sight have random phases, and average as the rest.
    middle = H[:, 24]
    measured = (H * np.conj(middle)[:, None]).mean(axis=(0, 2, 3))
    expected = np.exp(2j * np.pi * np.outer(grid.frequencies - grid.frequencies[24], delays)) @ power
    np.testing.assert_allclose(measured, expected, atol=4 / np.sqrt(n * 2))  # entries of a line of sight: one a user


def test_a_trial_does_not_depend_on_the_others():
    grid, model = Grid(16, 120e3), Tdl("A", 30e-9)
    whole = model.draw_band(grid, ARRAY, 2, range(4), generators(4))
    np.testing.assert_array_equal(whole[2:3], model.draw_band(grid, ARRAY, 2, [2], generators(4)[2:3]))


def test_one_subcarrier_at_the_carrier_is_the_narrowband_channel():
    model = Tdl("C", 300e-9)
    wide = model.draw_band(Grid(1, 120e3), ARRAY, 2, range(3), generators(3))
    np.testing.assert_allclose(wide[:, 0], model.draw(ARRAY, 2, range(3), generators(3)), rtol=1e-12)


def test_a_narrowband_model_is_flat_over_the_band():
    grid = Grid(8, 120e3)
    wide = Rayleigh().draw_band(grid, ARRAY, 2, range(3), generators(3))
    np.testing.assert_array_equal(wide, np.repeat(Rayleigh().draw(ARRAY, 2, range(3), generators(3))[:, None], 8, 1))


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"subcarriers": 0}, "subcarriers"),
        ({"active": 9}, "active"),
        ({"prefix": -1}, "prefix"),
        ({"prefix": 9}, "prefix"),
        ({"spacing": 0.0}, "spacing"),
        ({"symbols": 0}, "symbols"),
        ({"carrier": -1.0}, "carrier"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(options, field):
    with pytest.raises(InvalidInput, match=field):
        Grid(**{"subcarriers": 8, "spacing": 120e3, **options})


def test_a_grid_says_where_subcarriers_lie():
    grid = Grid(8, 10.0, active=5, prefix=2, symbols=3)
    np.testing.assert_array_equal(grid.index, [-2, -1, 0, 1, 2])
    np.testing.assert_array_equal(grid.bins, [6, 7, 0, 1, 2])
    assert grid.duration == pytest.approx(10 / 80)
    X = np.arange(5.0)[:, None] + 1j * np.arange(3)
    whole = grid.spread(X, 0, [7.0, 8.0, 9.0])
    np.testing.assert_array_equal(whole[grid.bins], X)
    np.testing.assert_array_equal(whole[[3, 4, 5]], np.tile([7.0, 8.0, 9.0], (3, 1)))


@pytest.mark.parametrize("members", [0, 3])
def test_channels_that_members_share_are_each_ones_own_on_every_subcarrier(kit, members):
    grid, line = Grid(8, 15e3, active=4), UniformLinearArray(2)
    H, G = kit.complex_gaussian((4, 2, 1), 0), kit.complex_gaussian((2, 2), 1)
    power = np.arange(1.0, members + 1)
    drop = WidebandDrop(
        H=H, grid=grid, targets=ResponseMatrix(G), tx_array=line, rx_array=line, power=power,
        noise_power=np.ones(1), radar_noise_power=1.0,
    )  # fmt: skip
    each = drop.subcarriers()
    np.testing.assert_array_equal(each.H, np.tile(H, (members, 1, 1)))
    np.testing.assert_array_equal(each.power, np.repeat(power, 4) * 2)  # 8 bins, of which 4 are used
