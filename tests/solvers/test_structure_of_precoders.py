"""The structure of optimal precoders [Fang25, Sec. IV]: Theorem 1, rank, and how many sensing streams are needed.

At a stationary precoder ``mu W = C_1 + (crlb_weight Q - rate_weight H Sigma_2 H^H) W`` with
one multiplier mu for all columns [Fang25, Theorem 1]; each column then lies in the range of
[H, V], so that the rank of W is at most K + 3M, and 3M when only the CRLB counts
[Fang25, Lemma 5].
"""

from types import SimpleNamespace

import attrs
import numpy as np
import pytest

import isacsim
from isacsim.batch import frobenius2, inner
from isacsim.solvers.sum_rate_crlb.merit import Merit


def structure(problem, W, rank_tolerance=1e-6):
    """What precoders W (B, N_t, K+S) of full power look like.

    Of each the multiplier mu of the power, in 1/W, what Theorem 1 leaves over, relative to mu W,
    the rank, and the share of the power outside the range of [H, V].
    """
    merit = Merit.of(problem)
    point = merit.evaluate(W)
    g = point.gradient
    mu, power = inner(W, g) / merit.power, frobenius2(W)
    values = np.linalg.svd(W, compute_uv=False)
    return SimpleNamespace(
        multiplier=mu,
        residual=np.sqrt(frobenius2(g - mu[:, None, None] * W) / power) / np.abs(mu),
        rank=(values > rank_tolerance * values[:, :1]).sum(axis=-1),
        outside=1 - frobenius2(merit.reduced(W[:, None])[2][:, 0]) / power,
    )


def smallest_sensing_streams(problem, rtol=1e-4):
    """The least number S of sensing streams whose objective is that of S = M, but for ``rtol`` of it.

    M are enough, since every target can then have one.
    """
    least = 0 if problem.users else 1
    counts = range(least, problem.targets.sensing_streams + 1)
    objectives = np.stack([isacsim.solve(attrs.evolve(problem, sensing_streams=s)).objective for s in counts])
    best = np.nanmax(objectives)
    return least + int((objectives >= best - rtol * np.abs(best)).argmax())


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
    np.testing.assert_allclose(structure(problem, W[None]).multiplier * 0.02, slope, rtol=1e-7)


def test_extra_streams_do_not_raise_the_rank_beyond_the_targets(kit):
    problem = kit.make_problem(1, 3, sensing_streams=6, rate_weight=0.0)
    W = isacsim.solve(problem, tolerance=1e-8, max_steps=5000).precoder
    found = structure(problem, W[None], rank_tolerance=1e-3)
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
