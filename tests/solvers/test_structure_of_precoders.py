"""The structure of optimal precoders: Theorem 1, rank, and how many sensing streams are needed."""

import numpy as np
import pytest

import isacsim
from isacsim.solvers.sum_rate_crlb.structure import smallest_sensing_streams, structure


@pytest.mark.parametrize(("users", "targets"), [(3, 2), (1, 2), (2, 3)])
def test_a_stationary_precoder_satisfies_theorem_1_and_any_other_does_not(kit, users, targets):
    problem = kit.make_problem(users, targets, batch=(3,))
    found = structure(problem, isacsim.solve(problem, tolerance=1e-7).precoder)
    # The residual of Theorem 1 is the KKT residual over 2 mu P, which is the size of the terms.
    assert np.all(found.residual < 1e-5)
    assert np.all(found.multiplier > 0)
    assert np.all(found.outside < 1e-12)
    random = kit.complex_gaussian((3, 6, problem.streams), 0)
    random *= np.sqrt(0.02) / np.linalg.norm(random, axis=(1, 2), keepdims=True)
    other = structure(problem, random)
    assert np.all(other.residual > 1e-2)


def test_the_multiplier_is_the_slope_of_the_objective_in_the_power(kit):
    problem = kit.make_problem()
    W = isacsim.solve(problem, tolerance=1e-8).precoder
    slope = kit.central_difference(lambda h: problem.objective(W * np.sqrt(1 + h)), 1e-3)
    # d f / d P at fixed direction, times P.
    np.testing.assert_allclose(structure(problem, W).multiplier * 0.02, slope, rtol=1e-7)


def test_extra_streams_do_not_raise_the_rank_beyond_the_targets(kit):
    problem = kit.make_problem(1, 3, sensing_streams=6, rate_weight=0.0)
    W = isacsim.solve(problem, tolerance=1e-8, max_steps=5000).precoder
    found = structure(problem, W, rank_tolerance=1e-3)
    assert found.rank <= 9  # [Fang25, Lemma 5]: 3M
    assert found.rank >= 1


# Where one stream fewer would do as well, on the scene of this test, ``needed`` is below M - K.
@pytest.mark.parametrize(("users", "targets", "needed"), [(0, 2, 2), (1, 2, 1), (1, 3, 1), (2, 2, 0), (3, 2, 0)])
def test_as_many_sensing_streams_as_users_lack_for_the_targets_lose_nothing(users, targets, needed):
    rng = np.random.default_rng(5)
    arrays = isacsim.UniformPlanarArray(4, 4), isacsim.UniformPlanarArray(5, 4)
    azimuth, zenith = np.array([-0.74, 0.2, 0.6])[:targets], np.array([-0.66, 1.2, 1.7])[:targets]
    scene = isacsim.PointTargets(*arrays, azimuth, zenith, 0.1 * np.exp(1j * np.arange(targets)))
    H = (rng.standard_normal((16, users)) + 1j * rng.standard_normal((16, users))) / np.sqrt(2)
    problem = isacsim.SumRateCrlb(H, scene, 0.01, 1e-3, 1e-3, 128, 0.25, 1.0)
    assert smallest_sensing_streams(problem) == needed <= max(0, targets - users)


def test_equal_power_of_the_antennas_has_another_structure(kit):
    problem = kit.make_problem(per_antenna=True)
    with pytest.raises(isacsim.InvalidInput, match="per_antenna: must be false for the structure of Theorem 1, got Tr"):
        structure(problem, np.ones((6, 2)))
