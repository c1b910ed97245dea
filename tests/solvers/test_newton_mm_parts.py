"""The parts that `newton-mm` is made of, each against its own definition."""

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isacsim.batch import flatten, frobenius2, inner, take
from isacsim.solvers.base import Request
from isacsim.solvers.sqinr.least_power import least_power
from isacsim.solvers.sqinr.repair import fill_each, inside, repaired
from isacsim.solvers.sqnr_max.dual import DualPoint, Subproblem, ascended, minimum
from isacsim.solvers.sqnr_max.objectives import sqnr_groups
from isacsim.solvers.sqnr_max.starts import start

seeds = st.integers(0, 2**32 - 1)


def surrogate_of(kit, batch=(1,), kind="extended", seed=0, users=3):
    """What a step of the published iteration maximises, a feasible anchor (B, N, L), and first multipliers (B, K+1)."""
    problem = kit.make_sqnr_max(kind, seed, users=users, batch=batch)
    (group,) = sqnr_groups(flatten(problem))
    system, found = group.system, least_power(group.system)
    V = start(attrs.evolve(group, feasible=found), Request(), 2)
    surrogate = system.objective.surrogate(V)
    M = surrogate.M + 0.03 * surrogate.value[:, None, None] * np.eye(8)
    mu = np.sqrt(frobenius2(surrogate.C))[:, None]
    return Subproblem(system, surrogate.C, M), V, np.concatenate([found.multipliers * mu, mu], axis=-1)


def test_the_dual_function_has_the_gradient_and_the_hessian_it_tells(kit):
    problem, _, z = surrogate_of(kit)
    z = z * [0.9, 1.1, 0.8, 1.2]

    def at(t, j):
        point = DualPoint.at(problem, z + t * (np.arange(4) == j))
        assert point.inside.all()
        return point

    here, bend = at(0.0, 0), []
    for j in range(4):
        h = 1e-3 * z[0, j]
        # Central differences of sixth order: the step to the sixth, and rounding.
        slope = kit.central_difference(lambda t, j=j: at(t, j).value[0], h)
        assert slope == pytest.approx(here.slope[0, j], rel=1e-6, abs=1e-9)
        bend.append(kit.central_difference(lambda t, j=j: at(t, j).slope[0], h))
    np.testing.assert_allclose(np.array(bend) @ here.step(problem.system)[0], -here.slope[0], rtol=1e-5, atol=1e-9)


@given(seeds)
@settings(max_examples=10)
def test_the_minimum_of_the_dual_is_the_best_point_under_the_surrogate(kit, seed):
    problem, V, z = surrogate_of(kit, seed=seed)
    for factor in (1.0, 30.0, 1e-3):  # from far away the search leaves the domain, and shortens steps
        best = minimum(problem, factor * z)

        def value(X):
            return 2 * inner(problem.C, X) - inner(X, problem.M @ X)

        slack = problem.system.slack(best.V)
        assert slack.min() >= -1e-6  # the tolerance of a search, of which costs are a share as well
        assert np.all(np.abs(best.multipliers * slack) <= 1e-6 * best.gain)
        # No feasible point does better: not the anchor, nor one nearer to it.
        for share in (0.0, 0.5, 0.9):
            other = share * best.V + (1 - share) * V
            if problem.system.slack(other).min() >= 0:
                assert value(other) <= value(best.V) * (1 + 1e-6)


def test_plain_steps_climb_and_end_where_the_constraints_are_met(kit):
    problem, V, _ = surrogate_of(kit, batch=(3,))
    system = problem.system
    least = least_power(system).multipliers
    there, z = ascended(system, V, least)
    assert np.all(system.objective.value(there) > system.objective.value(V))
    assert system.slack(there).min() >= -1e-6
    alone, its = ascended(take(system, np.array([1])), V[1:2], least[1:2])
    assert kit.raw_bytes(alone) == kit.raw_bytes(there[1:2])
    assert kit.raw_bytes(its) == kit.raw_bytes(z[1:2])


def test_points_are_scaled_to_full_power_and_those_that_miss_an_sqinr_are_told(kit):
    system = take(sqnr_groups(flatten(kit.make_sqnr_max(batch=(2,), users=3)))[0], np.array([0, 0, 1])).system
    beams = inside(system, least_power(system))
    V = np.array([1.0, 2.0, 1.0])[:, None, None] * beams
    V[2, :, 0] = 0.0
    moved, kept = np.zeros(3, bool), np.zeros(3, bool)
    fill_each(system.constraints, V, np.empty((3, 3), complex), np.empty(8), np.empty(4), moved, kept)
    np.testing.assert_allclose(V[:2], beams[:2], rtol=1e-12)
    assert frobenius2(V) == pytest.approx(np.ones(3), rel=1e-12)
    assert kept.tolist() == [True, True, False]
    assert moved.tolist() == [False, True, True]


def test_points_that_miss_sqinrs_a_little_are_repaired(kit):
    problem = kit.make_sqnr_max(batch=(2,), users=3)
    (group,) = sqnr_groups(flatten(problem))
    system = group.system
    found = least_power(system)
    V = start(attrs.evolve(group, feasible=found), Request(), 2)
    V[0, :, 0] *= 0.1
    V[1, :, 1] = V[1, :, 0]  # two users on one beam
    assert system.slack(V).min(axis=-1).max() < 0
    mended, moved, _ = repaired(system, found, V)
    assert moved.all()
    assert not repaired(system, found, mended)[1].any()
    np.testing.assert_allclose(frobenius2(mended), 1.0, rtol=1e-12)
    assert system.slack(mended).min() >= -1e-10
