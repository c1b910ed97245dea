"""Patterns of antenna elements: closed forms, derivatives, radiated power, and what arrays make of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import dblquad

import isacsim
from isacsim import InvalidInput, PointTargets, UniformPlanarArray, metrics
from isacsim.channels.models import Rician
from isacsim.elements import CosineElement, MeasuredElement, Tr38901Element

TABLE = MeasuredElement(
    np.deg2rad([-90, -40, 0, 40, 90]), np.deg2rad([0, 45, 90, 135, 180]),
    8 - 12 * ((np.array([-90, -40, 0, 40, 90])[:, None] / 90) ** 2 + ((np.arange(0, 181, 45) - 90) / 90) ** 2),
)  # fmt: skip
PATTERNS = {"tr38901": Tr38901Element(), "cosine": CosineElement(4), "measured": TABLE}
directions = st.tuples(st.floats(-1.2, 1.2), st.floats(0.5, 2.6))


def decibels(pattern, azimuth, zenith):
    g, *_ = pattern.basis(np.deg2rad(azimuth), np.deg2rad(zenith))
    return 20 * np.log10(g)


@pytest.mark.parametrize(
    ("azimuth", "zenith", "gain"),
    [
        (0, 90, 8.0),
        (32.5, 90, 5.0),  # half the width: -3 dB
        (0, 57.5, 5.0),
        (65, 90, -4.0),
        (32.5, 122.5, 2.0),  # both losses add up
        (180, 90, -22.0),  # front to back, 30 dB
        (0, 0, 8 - 12 * (90 / 65) ** 2),
        (120, 10, -22.0),  # and no more than that
        (-180, 90, -22.0),
    ],
)
def test_the_element_of_3gpp_has_the_gains_of_its_table(azimuth, zenith, gain):
    assert decibels(Tr38901Element(), azimuth, zenith) == pytest.approx(gain, abs=1e-10)


@pytest.mark.parametrize("exponent", [2, 3, 6.5])
def test_the_cosine_radiates_what_an_isotropic_element_does(exponent):
    element = CosineElement(exponent)

    def density(azimuth, zenith):
        return float(element.basis(np.array(azimuth), np.array(zenith))[0]) ** 2 * np.sin(zenith)

    total, _ = dblquad(density, 0, np.pi, -np.pi / 2, np.pi / 2, epsabs=1e-7)
    assert total == pytest.approx(4 * np.pi, rel=1e-6)
    assert element.basis(np.array(2.0), np.array(1.0))[0] == 0  # nothing behind


def test_a_measured_table_is_met_at_its_places_and_holds_beyond_them():
    azimuth, zenith = np.meshgrid(TABLE.azimuth, TABLE.zenith, indexing="ij")
    g, *_ = TABLE.basis(azimuth, zenith)
    np.testing.assert_allclose(20 * np.log10(g), TABLE.gain_dbi, atol=1e-9)
    beyond, slope, _ = TABLE.basis(np.array(2.5), np.array(1.5))
    assert beyond == TABLE.basis(TABLE.azimuth[-1], np.array(1.5))[0]
    assert slope == 0


@pytest.mark.parametrize("name", PATTERNS)
@given(directions)
def test_derivatives_of_steering_vectors_agree_with_differences(kit, name, direction):
    array = UniformPlanarArray(2, 2, element=PATTERNS[name])
    azimuth, zenith = direction
    in_azimuth, in_zenith = array.steering_derivatives(azimuth, zenith)
    # As for arrays without a pattern; the curvature of a pattern adds little, and none has a kink here.
    np.testing.assert_allclose(
        in_azimuth, kit.central_difference(lambda t: array.steering(azimuth + t, zenith), 2e-3), atol=1e-6
    )
    np.testing.assert_allclose(
        in_zenith, kit.central_difference(lambda t: array.steering(azimuth, zenith + t), 2e-3), atol=1e-6
    )


@pytest.mark.parametrize("name", PATTERNS)
def test_a_direction_written_in_another_way_has_the_same_gain_and_slope(name):
    azimuth, zenith = np.array(0.4), np.array(1.2)
    g, in_azimuth, in_zenith = PATTERNS[name].basis(azimuth, zenith)
    again = PATTERNS[name].basis(azimuth + np.pi, -zenith)
    np.testing.assert_allclose(again, (g, in_azimuth, -in_zenith), rtol=1e-10)
    np.testing.assert_allclose(
        PATTERNS[name].basis(azimuth - 2 * np.pi, zenith), (g, in_azimuth, in_zenith), rtol=1e-10
    )


@pytest.mark.parametrize("name", PATTERNS)
def test_mrt_to_a_user_in_line_of_sight_puts_all_power_on_a_target_in_its_direction(name):
    array = UniformPlanarArray(3, 2, element=PATTERNS[name])
    azimuth, zenith, power = 0.5, 1.3, 2.0
    channel = Rician(k_factor=1e12, azimuth=[azimuth], zenith=zenith)
    h = channel.draw(array, 1, [0], [np.random.default_rng(0)])
    W = np.sqrt(power) * h / np.linalg.norm(h)
    g = float(PATTERNS[name].basis(np.array(azimuth), np.array(zenith))[0])
    # Antennas and element together: N g^2 of the power of an isotropic antenna at the user, g^2 of it on a^H x.
    assert abs(np.vdot(h[0], W[0])) ** 2 == pytest.approx(power * array.size * g**2, rel=1e-5)
    toward = metrics.beampattern(W, array, [azimuth], zenith)
    assert toward.ravel()[0] == pytest.approx(power * g**2, rel=1e-5)
    target = PointTargets(array, array, [azimuth], [zenith], [0.3])
    assert np.linalg.norm(target.response() @ W[0]) ** 2 == pytest.approx(0.09 * power * g**4, rel=1e-5)


def test_a_pattern_scales_the_echo_and_the_bounds_with_it():
    plain, element = UniformPlanarArray(3, 3), Tr38901Element()
    array = UniformPlanarArray(3, 3, element=element)
    W = np.eye(9) / 3
    g = float(element.basis(np.array(0.0), np.array(np.pi / 2))[0])
    # At broadside the pattern has no slope: the echo is g^2 times as strong, and all bounds of angles fall by g^4.
    bounds = [metrics.crlb(PointTargets(a, a, [0.0], [np.pi / 2], [0.3]), W, 1e-3, 20) for a in (plain, array)]
    np.testing.assert_allclose(bounds[0] / bounds[1], g**4, rtol=1e-9)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: CosineElement(1), "exponent: must be a finite number of at least 2, got 1"),
        (lambda: Tr38901Element(gain=-8), "gain: must be a finite number greater than 0, got -8"),
        (lambda: Tr38901Element(side_lobes=0.5), "side_lobes: must be a finite number greater than 1, got 0.5"),
        (lambda: MeasuredElement([0.0], [0.0, 1.0], [[1.0, 2.0]]), "azimuth: must be at least 2 rising angles"),
        (lambda: MeasuredElement([1.0, 0.0], [0.0, 1.0], np.ones((2, 2))), "azimuth: must be at least 2 rising"),
        (lambda: MeasuredElement([0.0, 1.0], [0.0, 1.0], np.ones((2, 3))), "gain_dbi: must be 2 rows, one an azim"),
        (lambda: UniformPlanarArray(2, 2, element="3gpp"), "element: must be an instance of ElementPattern, got '3g"),
    ],
)
def test_patterns_that_cannot_be_are_refused(make, told):
    with pytest.raises(InvalidInput) as error:
        make()
    assert str(error.value).startswith(told)


def test_a_scenario_names_the_element_of_an_array(study, tmp_path):
    element = '{ kind = "tr38901", gain_db = 5 }'
    change = f'base_station.transmit_array={{ kind = "upa", horizontal = 4, vertical = 4, element = {element} }}'
    scenario = study(change)
    assert scenario.base_station.transmit_array.element == Tr38901Element(gain=10**0.5)
    run = isacsim.run(study(change, "trials=1", "sweep.bits.values=[3]", "figure={}"), tmp_path / "run")
    assert run.counts().done == 1
