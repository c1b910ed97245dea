"""Scenes and target models."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isacsim import Drop, InvalidInput, PointTargets, ResponseMatrix, UniformLinearArray, UniformPlanarArray
from isacsim.batch import batch_shape
from isacsim.targets.models import ExtendedTarget, FixedPoints, PointTarget

TX, RX = UniformPlanarArray(2, 3), UniformPlanarArray(3, 3)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_the_response_is_the_sum_over_the_targets(kit, seed, targets):
    scene = kit.make_scene(targets, seed=seed, batch=(2,))
    G = scene.response()
    assert G.shape == (2, 9, 6)
    for member in range(2):
        expected = sum(
            alpha * np.outer(RX.steering(azimuth, zenith), np.conj(TX.steering(azimuth, zenith)))
            for azimuth, zenith, alpha in zip(
                scene.azimuth[member], scene.zenith[member], scene.reflection[member], strict=True
            )
        )
        np.testing.assert_allclose(G[member], expected, atol=1e-13)


def test_bases_hold_steering_vectors_and_their_derivatives(kit):
    scene = kit.make_scene(2)
    V, C = scene.transmit_basis(), scene.receive_basis()
    assert V.shape == (6, 6)
    assert C.shape == (9, 6)
    d_azimuth, d_zenith = TX.steering_derivatives(scene.azimuth, scene.zenith)
    np.testing.assert_array_equal(V, np.concatenate([TX.steering(scene.azimuth, scene.zenith), d_azimuth, d_zenith]).T)


def test_unknowns_are_in_the_order_of_the_information_matrix(kit):
    assert kit.make_scene(2).labels == (
        "azimuth[0]", "azimuth[1]", "zenith[0]", "zenith[1]",
        "reflection_real[0]", "reflection_real[1]", "reflection_imag[0]", "reflection_imag[1]",
    )  # fmt: skip
    linear = kit.make_scene(1, linear=True)
    assert linear.labels == ("azimuth[0]", "reflection_real[0]", "reflection_imag[0]")
    assert linear.count == 1
    assert not linear.planar


@pytest.mark.parametrize(
    ("azimuth", "zenith", "reflection", "message"),
    [
        ([0.1, 0.2], [1.0], [1.0], "targets: must have one azimuth, zenith, reflection, delay and velocity a target"),
        ([], [], [], "targets: must have one azimuth"),
        ([np.nan], [1.0], [1.0], "azimuth: must be finite"),
        ([0.1], [1.0 + 1j], [1.0], "zenith: must be real numbers"),
        ([0.1], [1.0], ["a"], "reflection: must be complex numbers"),
    ],
)
def test_targets_that_do_not_fit_together_are_refused(azimuth, zenith, reflection, message):
    with pytest.raises(InvalidInput, match=message):
        PointTargets(TX, RX, azimuth, zenith, reflection)


def test_one_number_stands_for_all_targets():
    scene = PointTargets(TX, RX, [0.1, 0.2], 1.0, 0.5)
    np.testing.assert_array_equal(scene.zenith, [1.0, 1.0])
    np.testing.assert_array_equal(scene.reflection, [0.5, 0.5])
    assert PointTargets(TX, RX, 0.1, 1.0, 1.0).count == 1


def test_linear_arrays_have_no_zenith_to_choose():
    row = UniformLinearArray(4)
    with pytest.raises(InvalidInput, match="zenith: must be pi/2 .90 degrees. for linear arrays, got .*Use a UPA"):
        PointTargets(row, row, [0.1], [1.0], [1.0])
    assert PointTargets(row, row, [0.1], [np.pi / 2], [1.0]).response().shape == (4, 4)


def test_arrays_must_be_arrays():
    with pytest.raises(InvalidInput, match="tx_array: must be an instance of AntennaArray"):
        PointTargets(4, RX, [0.1], [1.0], [1.0])


def test_a_response_matrix_is_its_own_response(kit):
    G = kit.complex_gaussian((2, 3, 4), 0)
    np.testing.assert_array_equal(ResponseMatrix(G).response(), G)
    with pytest.raises(InvalidInput, match="G: must have at least 2 axes"):
        ResponseMatrix([1.0, 2.0])


def test_fixed_points_are_one_scene_for_all_trials(kit):
    scene = FixedPoints([0.1, 0.2], [1.0, 1.1], [1.0, 1j]).draw(TX, RX, range(5), kit.generators(range(5)))
    assert batch_shape(scene) == ()
    np.testing.assert_array_equal(scene.reflection, [1.0, 1j])
    single = PointTarget(0.1, 1.0, 0.5j).draw(TX, RX, [0], kit.generators([0]))
    np.testing.assert_allclose(single.response(), PointTargets(TX, RX, [0.1], [1.0], [0.5j]).response(), rtol=1e-14)


def test_fixed_points_without_zeniths_lie_at_broadside():
    scene = FixedPoints(azimuth=[-0.7, 0.3], reflection=[0.1, 0.2]).draw(*[UniformLinearArray(3)] * 2, (0,), [])
    np.testing.assert_array_equal(scene.zenith, [np.pi / 2] * 2)


def test_fixed_points_must_be_lists_of_equal_length():
    for lists in (([0.1], [1.0, 1.1], [1.0]), ([[0.1]], [[1.0]], [[1.0]])):
        with pytest.raises(
            InvalidInput, match="azimuth, zenith, reflection, range, velocity: must be lists of equal length"
        ):
            FixedPoints(*lists)


def test_what_lists_of_targets_lack_is_told_by_name():
    told = r"got '3 of azimuth, 2 of zenith, 2 x 2 of reflection'. Give one entry a target; a complex number is text"
    with pytest.raises(InvalidInput, match=told):
        FixedPoints([0.1, 0.2, 0.3], [1.0, 1.1], [[0.3, 0.1], [0.2, 0.0]])
    with pytest.raises(InvalidInput, match=r"azimuth: must be a list, got 0.1. Write \[0.1\]"):
        FixedPoints(0.1)


def test_a_fixed_scene_is_worked_out_once_for_the_arrays_that_see_it():
    model = FixedPoints([0.1, 0.2], [1.0, 1.1], [1.0, 1j])
    scene = model.draw(TX, RX, (0,), [])
    assert model.draw(TX, RX, (1, 2), []) is scene
    other = model.draw(RX, TX, (1,), [])
    assert (scene.antennas, other.antennas) == ((9, 6), (6, 9))


def test_an_extended_target_has_entries_of_the_given_variance_from_each_trials_generator(kit):
    trials = 400
    G = ExtendedTarget(variance=2.0).draw(TX, RX, range(trials), kit.generators(range(trials))).response()
    assert G.shape == (trials, 9, 6)
    # |g|^2 is exponential: four standard errors.
    assert np.mean(np.abs(G) ** 2) == pytest.approx(2.0, abs=4 * 2.0 / np.sqrt(G.size))
    alone = ExtendedTarget(variance=2.0).draw(TX, RX, [7], kit.generators([7])).response()
    assert alone[0].tobytes() == G[7].tobytes()


@pytest.mark.parametrize("bad", [0.0, -1.0, np.inf, np.nan])
def test_the_variance_of_an_extended_target_must_be_positive(bad):
    with pytest.raises(InvalidInput, match="variance: must be a finite number greater than 0, got"):
        ExtendedTarget(variance=bad)


def test_a_drop_holds_one_realisation_or_many(kit):
    scene = kit.make_scene(2)
    drop = Drop(
        H=kit.complex_gaussian((7, 6, 2), 0), targets=scene, tx_array=TX, rx_array=RX, power=1.0,
        noise_power=[0.1, 0.2], radar_noise_power=np.ones(7), snapshots=3,
    )  # fmt: skip
    assert batch_shape(drop) == (7,)
    with pytest.raises(InvalidInput, match="power: must be greater than 0"):
        Drop(drop.H, scene, TX, RX, power=-1.0, noise_power=[1.0], radar_noise_power=1.0)
