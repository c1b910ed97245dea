"""Antenna arrays: closed forms, derivatives, and refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import isacsim
from isacsim import InvalidInput, UniformLinearArray, UniformPlanarArray

sizes = st.integers(1, 6)
angles = st.floats(-3.0, 3.0)


@given(sizes, sizes, angles, angles)
def test_the_planar_steering_vector_is_the_kronecker_product_of_its_axes(horizontal, vertical, azimuth, zenith):
    a = UniformPlanarArray(horizontal, vertical).steering(azimuth, zenith)
    a_h = np.exp(1j * np.pi * np.arange(horizontal) * np.sin(azimuth) * np.sin(zenith)) / np.sqrt(horizontal)
    a_v = np.exp(1j * np.pi * np.arange(vertical) * np.cos(zenith)) / np.sqrt(vertical)
    np.testing.assert_allclose(a, np.kron(a_h, a_v), atol=1e-13)


@given(sizes, angles)
def test_a_linear_array_is_the_row_of_a_planar_one(elements, azimuth):
    row = UniformPlanarArray(elements, 1).steering(azimuth)
    np.testing.assert_allclose(UniformLinearArray(elements).steering(azimuth), row, atol=1e-13)


@given(sizes, sizes, angles, angles, st.booleans(), st.booleans())
def test_derivatives_agree_with_central_differences(kit, horizontal, vertical, azimuth, zenith, normalized, conjugate):
    array = UniformPlanarArray(horizontal, vertical, normalized=normalized, conjugate=conjugate)
    d_azimuth, d_zenith = array.steering_derivatives(azimuth, zenith)
    # Sixth order with h = 2e-3: truncation (5 pi h)^6 / 140 ~ 1e-11, rounding 1e-16 / h ~ 1e-13,
    # both times the derivative, which is below 5 pi sqrt(2).
    np.testing.assert_allclose(
        d_azimuth, kit.central_difference(lambda t: array.steering(azimuth + t, zenith), 2e-3), atol=1e-8
    )
    np.testing.assert_allclose(
        d_zenith, kit.central_difference(lambda t: array.steering(azimuth, zenith + t), 2e-3), atol=1e-8
    )


@given(sizes, sizes, angles, angles)
def test_normalisation_and_conjugation_are_what_their_names_say(horizontal, vertical, azimuth, zenith):
    a = UniformPlanarArray(horizontal, vertical).steering(azimuth, zenith)
    assert np.linalg.norm(a) == pytest.approx(1.0, rel=1e-12)
    assert a[0] == pytest.approx(1 / np.sqrt(a.size), rel=1e-12)  # the first element is the phase reference
    plain = UniformPlanarArray(horizontal, vertical, normalized=False).steering(azimuth, zenith)
    np.testing.assert_allclose(np.abs(plain), 1.0, rtol=1e-12)
    np.testing.assert_allclose(plain, a * np.sqrt(a.size), atol=1e-12)
    turned = UniformPlanarArray(horizontal, vertical, conjugate=True).steering(azimuth, zenith)
    np.testing.assert_allclose(turned, np.conj(a), atol=1e-14)


def test_angles_broadcast_over_leading_axes():
    array = UniformPlanarArray(2, 3)
    a = array.steering(np.zeros((4, 1)) + 0.3, np.linspace(0.5, 1.0, 5))
    assert a.shape == (4, 5, 6)
    np.testing.assert_array_equal(a[2, 3], array.steering(0.3, np.linspace(0.5, 1.0, 5)[3]))
    assert UniformLinearArray(7).steering([0.1, 0.2]).shape == (2, 7)


def test_size_and_planarity_are_told():
    assert UniformPlanarArray(4, 5).size == 20
    assert UniformPlanarArray(4, 1).planar
    assert UniformLinearArray(9).size == 9
    assert not UniformLinearArray(9).planar
    assert isacsim.UniformPlanarArray(2, 2) == isacsim.UniformPlanarArray(2, 2)


@pytest.mark.parametrize("bad", [0, -1, 2.0, True, None, "4", np.nan])
def test_the_number_of_elements_must_be_a_positive_whole_number(bad):
    with pytest.raises(InvalidInput, match="elements: must be a whole number of at least 1, got .*Give the number"):
        UniformLinearArray(bad)
    with pytest.raises(InvalidInput, match="vertical: must be a whole number of at least 1"):
        UniformPlanarArray(2, bad)


@given(sizes, sizes, angles, angles, st.floats(0.1, 2.0), st.floats(0.1, 2.0))
def test_spacing_is_counted_in_wavelengths(horizontal, vertical, azimuth, zenith, spacing, rows):
    a = UniformPlanarArray(horizontal, vertical, spacing=spacing, vertical_spacing=rows).steering(azimuth, zenith)
    a_h = np.exp(2j * np.pi * spacing * np.arange(horizontal) * np.sin(azimuth) * np.sin(zenith))
    a_v = np.exp(2j * np.pi * rows * np.arange(vertical) * np.cos(zenith))
    # The phase is at most 2 pi 2 5 sqrt(2) = 90, which is rounded by 1e-14.
    np.testing.assert_allclose(a, np.kron(a_h, a_v) / np.sqrt(a.size), atol=1e-12)


def test_elements_at_the_places_of_a_uniform_array_make_that_array():
    uniform = UniformPlanarArray(3, 2, spacing=0.7)
    across, up = (axis / 2 for axis in uniform.grid)
    placed = isacsim.PlacedArray(across, up, conjugate=True)
    np.testing.assert_allclose(placed.steering(0.4, 1.1), np.conj(uniform.steering(0.4, 1.1)), rtol=1e-12)
    assert placed.planar
    assert not isacsim.PlacedArray([0, 0.5, 1.7], 0.3).planar


def test_wider_spacing_makes_grating_lobes_and_a_sharper_beam():
    # At one wavelength the directions sin = 0 and sin = 1 are one to the array.
    wide = UniformLinearArray(8, spacing=1.0)
    assert abs(np.vdot(wide.steering(0.0), wide.steering(np.pi / 2))) == pytest.approx(1, rel=1e-12)
    usual = UniformLinearArray(8)
    sharper = abs(np.vdot(wide.steering(0.0), wide.steering(0.05))) < abs(
        np.vdot(usual.steering(0), usual.steering(0.05))
    )
    assert sharper


@pytest.mark.parametrize(
    "array",
    [
        UniformPlanarArray(3, 2, spacing=0.65, vertical_spacing=0.8),
        UniformLinearArray(5, spacing=0.7, conjugate=True),
        isacsim.PlacedArray([0, 0.5, 1.3, 1.9], [0, 0.4, 0, 0.7]),
    ],
)
def test_maximum_ratio_puts_all_power_on_a_user_in_the_direction_of_a_target(array):
    direction = (0.3, np.pi / 2) if not array.planar else (0.3, 1.2)
    h = array.steering(*direction)[:, None]
    receive = UniformPlanarArray(3, 3)
    scene = isacsim.PointTargets(array, receive, [direction[0]], [direction[1]], [0.1])
    problem = isacsim.SumRateCrlb(h, scene, 2.0, 1.0, 1.0, 10, 1.0, 0.0, sensing_streams=0)
    W = isacsim.solve(problem, "mrt").precoder
    toward = isacsim.metrics.beampattern(W, array, *direction)
    # a has norm 1, so that no direction gets more than the power.
    np.testing.assert_allclose(toward, 2.0, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: UniformLinearArray(4, spacing=0),
            "spacing: must be a finite number greater than 0, got 0. Give the dist",
        ),
        (
            lambda: UniformPlanarArray(4, 2, vertical_spacing=-1),
            "vertical_spacing: must be a finite number greater than 0",
        ),
        (
            lambda: isacsim.PlacedArray([0, 1, 2], [0, 1]),
            "across, up: must have one entry for each element, got '3 and 2",
        ),
        (
            lambda: isacsim.PlacedArray([0, 1, 1]),
            "across, up: must be another place for each element. Move one of them.",
        ),
        (lambda: isacsim.PlacedArray([]), "across, up: must be a list of finite places in wavelengths, got"),
        (lambda: isacsim.PlacedArray([0, np.nan]), "across, up: "),
        (lambda: isacsim.PlacedArray("wide"), "across, up: "),
    ],
)
def test_places_that_cannot_be_are_refused(make, message):
    with pytest.raises(InvalidInput) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_a_mistyped_name_is_told_the_one_that_was_meant():
    with pytest.raises(
        AttributeError, match=r"module 'isacsim' has no attribute 'SumRateCRLB'. Did you mean 'SumRateCrlb'\?"
    ):
        _ = isacsim.SumRateCRLB
    with pytest.raises(AttributeError, match=r"has no attribute 'zzz'$"):
        _ = isacsim.zzz
