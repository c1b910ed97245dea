"""Clustered delay lines: their tables, and the power, directions and correlation of what is drawn."""

import numpy as np
import pytest

from isacsim import InvalidInput, UniformLinearArray
from isacsim.channels.clustered import ANGLES, Cdl, circular, rays, tables, turned
from isacsim.channels.wideband import PROFILES, Tdl
from isacsim.grid import Grid

ARRAY = UniformLinearArray(4)


@pytest.mark.parametrize(
    ("profile", "clusters", "sum_db", "rms"),
    [
        ("A", 23, 5.40, 1.0001),
        ("B", 23, 8.51, 1.0000),
        ("C", 24, 7.69, 1.0000),
        ("D", 14, 0.32, 0.9937),
        ("E", 15, 0.46, 1.0000),
    ],
)
def test_tables_add_up_to_what_is_known_of_them(profile, clusters, sum_db, rms):
    table = tables()["profiles"][profile]
    power = 10 ** (np.array(table["power_db"]) / 10)
    assert power.size == clusters
    assert 10 * np.log10(power.sum()) == pytest.approx(sum_db, abs=5e-3)
    found = rays(profile)
    each = found.power.sum(axis=-1)
    assert each.sum() == pytest.approx(1, abs=1e-14)
    spread = np.sqrt(each @ found.delay**2 - (each @ found.delay) ** 2)
    assert spread == pytest.approx(rms, abs=5e-5)


@pytest.mark.parametrize("profile", PROFILES)
def test_delays_and_powers_are_those_of_the_tapped_delay_line(profile):
    delays, power, _ = Tdl(profile, 1.0).power_profile()
    found = rays(profile)
    np.testing.assert_allclose(found.power.sum(axis=-1), power, rtol=1e-12)
    # Tables 7.7.1-5 and 7.7.2-5 differ in the last delay of profile E, 20.6419 and 20.6519.
    np.testing.assert_allclose(found.delay, delays, atol=0.0101 if profile == "E" else 1e-12)


def test_ray_offsets_have_the_spread_that_they_are_made_for():
    half = np.array(tables()["offsets"])
    assert half.size == 10
    # Normalised to a spread of 1 degree: the table's four digits leave a few parts in 10^4.
    assert np.sqrt(np.mean(half**2)) == pytest.approx(1, abs=1e-3)


def test_ray_offsets_are_those_of_the_package():
    section = pytest.importorskip("tr3gpp.tr38901").section("7.5")
    pairs = [float(row.offset_angle) for row in section.ray_offset_angles]
    np.testing.assert_array_equal(tables()["offsets"], pairs)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", ANGLES)
def test_turned_angles_keep_their_distances(profile, name):
    found = turned(rays(profile), name, [0.3, -0.7], None)
    np.testing.assert_allclose(np.diff(np.exp(1j * found), axis=0), np.exp(1j * found[:1]) * (np.exp(-1j) - 1))
    if rays(profile).sight:
        np.testing.assert_allclose(found[:, 0, 0], [0.3, -0.7])
    else:
        power = rays(profile).power
        np.testing.assert_allclose([circular(one, power)[0] for one in found], [0.3, -0.7])


@pytest.mark.parametrize("profile", ["A", "D"])
def test_a_small_spread_is_the_one_that_angles_are_scaled_to(profile):
    # The circular spread is not linear in the angles; the error is of its second order, and the spread of A 1.3 rad.
    drawn = rays(profile)
    spreads = [circular(turned(drawn, "aod", None, s)[0], drawn.power)[1] / s for s in (0.02, 0.01)]
    off = np.sqrt(np.sum(drawn.power * _from_mean(drawn) ** 2) - np.sum(drawn.power * _from_mean(drawn)) ** 2)
    np.testing.assert_allclose(spreads, off / circular(drawn.angles["aod"], drawn.power)[1], rtol=1e-3)


def _from_mean(drawn):
    mean, _ = circular(drawn.angles["aod"], drawn.power)
    return np.angle(np.exp(1j * (drawn.angles["aod"] - mean)))


def test_no_spread_is_one_direction(kit):
    model = Cdl("A", azimuth=[0.4], zenith=np.pi / 2, azimuth_spread=0.0, zenith_spread=0.0)
    h = model.draw(ARRAY, 1, [0], kit.generators([0]))[0, :, 0]
    a = ARRAY.plane_wave(0.4)
    np.testing.assert_allclose(h / h[0], a / a[0], atol=1e-12)


def test_power_and_correlation_over_frequency_are_those_of_the_profile(kit):
    grid, n, model = Grid(16, 500e3), 1500, Cdl("C", 100e-9)
    H = model.draw_band(grid, UniformLinearArray(2), 2, range(n), kit.generators(range(n)))
    found = rays("C")
    measured = (H * np.conj(H[:, 8:9])).mean(axis=(0, 2, 3))
    turn = np.exp(2j * np.pi * np.outer(grid.frequencies, found.delay * 100e-9))
    # Two independent users; the antennas of each are correlated.
    np.testing.assert_allclose(measured, turn @ found.power.sum(axis=-1), atol=4.5 / np.sqrt(2 * n))


def test_antennas_are_correlated_as_the_directions_of_the_rays_say(kit):
    n = 1500
    model = Cdl("B", azimuth=[0.3], zenith=np.pi / 2, zenith_spread=0.0)
    h = model.draw(ARRAY, 1, range(n), kit.generators(range(n)))[..., 0]
    drawn = rays("B")
    a = ARRAY.plane_wave(turned(drawn, "aod", [0.3], None)[0])
    R = np.einsum("cr,cri,crj->ij", drawn.power, a, a.conj())
    np.testing.assert_allclose(np.einsum("ti,tj->ij", h, h.conj()) / n, R, atol=4.5 / np.sqrt(n))


@pytest.mark.parametrize(("profile", "k_db"), [("D", 13.3), ("E", 22.0)])
def test_the_line_of_sight_points_at_the_user(kit, profile, k_db):
    n, model = 400, Cdl(profile, azimuth=[0.5], zenith=np.pi / 2)
    h = model.draw(ARRAY, 1, range(n), kit.generators(range(n)))[..., 0]
    a = ARRAY.plane_wave(0.5)
    power = rays(profile).power.sum(axis=-1)
    assert 10 * np.log10(power[0] / power[1]) == pytest.approx(k_db, abs=1e-9)
    along = np.mean(np.abs(h @ a.conj()) ** 2) / 16
    # The line of sight, and at most all of the rest.
    assert power[0] - 4 * np.sqrt((1 - power[0]) / n) < along < 1 + 4 * np.sqrt(2 * (1 - power[0]) / n)


def test_a_trial_does_not_depend_on_the_others(kit):
    model = Cdl("D", 30e-9)
    whole = model.draw(ARRAY, 2, range(3), kit.generators(range(3)))
    np.testing.assert_array_equal(whole[1], model.draw(ARRAY, 2, [1], kit.generators([1]))[0])


def test_directions_of_other_users_are_refused(kit):
    with pytest.raises(InvalidInput, match="azimuth"):
        Cdl(azimuth=[0.1, 0.2, 0.3]).draw(ARRAY, 2, [0], kit.generators([0]))
    with pytest.raises(InvalidInput, match="profile"):
        Cdl("F")
