"""The ways to optima on tight constraints: where they begin, and which end counts."""

import attrs
import numpy as np
import pytest

import isacsim
from isacsim import Aqnm, Transceiver
from isacsim.batch import flatten, frobenius2, take
from isacsim.solvers.solution import Status
from isacsim.solvers.sqinr.least_power import least_power
from isacsim.solvers.sqnr_max.echo import value_at
from isacsim.solvers.sqnr_max.objectives import sqnr_groups
from isacsim.solvers.sqnr_max.tight_optima import DISTORTED, first

MIXED = Transceiver(Aqnm([10, 10, 3, 3, 3, 3, 3, 3]), Aqnm([2, 3, 3, 3, 3, 3, 3, 8]), Aqnm(3))


def posed(problem):
    """A group that is ready to be solved, and its response."""
    (group,) = sqnr_groups(flatten(problem))
    ((_, response),) = group.system.objective.responses()
    return attrs.evolve(group, feasible=least_power(group.system)), response


@pytest.mark.parametrize("kind", ["extended", "points"])
def test_a_louder_response_is_that_of_the_problem_with_louder_noise(kit, kind):
    problem = kit.make_sqnr_max(kind, users=3, transceiver=MIXED)
    group, response = posed(problem)
    _, other = posed(attrs.evolve(problem, radar_noise_power=30.0 * problem.radar_noise_power))
    V = first(group, response, 1)
    louder, same = value_at(response.louder(30.0), V), value_at(other, V)
    np.testing.assert_allclose(louder[0], same[0], rtol=1e-12)  # algebra
    np.testing.assert_allclose(louder[1].echo, same[1].echo, rtol=0, atol=1e-12 * np.abs(same[1].echo).max())


def random_problem(seed):
    """Users, thresholds, power and converters at random; extended targets, or two to eight scatterers."""
    rng = np.random.default_rng(seed)
    antennas, users = int(rng.integers(4, 33)), int(rng.integers(0, 7))
    receivers = int(rng.choice([antennas, rng.integers(2, 33)]))
    scatterers = int(rng.integers(2, 9)) if rng.uniform() < 0.5 else min(antennas, receivers)

    def gaussian(*shape):
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)

    def converters(count):
        choice = [2, 3, 4, 6]
        return Aqnm(rng.choice(choice, count) if rng.uniform() < 0.5 else int(rng.choice(choice)))

    return isacsim.SqnrMax(
        H=gaussian(antennas, max(users, 1)),
        G=gaussian(receivers, scatterers) @ gaussian(scatterers, antennas) / np.sqrt(scatterers),
        min_sqinr=10 ** rng.uniform(-0.5, 1.0) if users else 0.0,
        power=10 ** rng.uniform(0.5, 2.7),
        noise_power=1.0,
        radar_noise_power=10 ** rng.uniform(-1, 1),
        transceiver=Transceiver(converters(antennas), converters(receivers), converters(max(users, 1))),
    )


# Seeds of problems with several optima, and the objective that the method before this one reached, from one start.
REACHED = {146: 2252.3358187, 323: 514.4647248, 2231: 1394.5074479, 2403: 198.7045975}


@pytest.mark.parametrize("seed", REACHED)
def test_of_several_optima_a_good_one_is_found(seed):
    assert isacsim.solve(random_problem(seed)).objective >= (1 - 1e-6) * REACHED[seed]  # two residuals of 1e-6


def batch_of_all_kinds(kit):
    """A batch of which some members hear mostly noise, and others mostly distortion."""
    problem = kit.make_sqnr_max("extended", users=3, transceiver=MIXED, batch=(6,))
    return attrs.evolve(problem, G=problem.G * np.array([0.3, 30.0, 1.0, 3.0, 10.0, 100.0])[:, None, None])


def test_members_whose_noise_is_distortion_have_a_second_start_and_the_better_end(kit):
    problem, seen = batch_of_all_kinds(kit), []
    solution = isacsim.solve(problem, callback=lambda progress: seen.append(progress))
    group, response = posed(problem)
    value, there = value_at(response, first(group, response, 1))
    twice = frobenius2(there.Y) < (1 - DISTORTED) * value
    assert 0 < twice.sum() < 6
    begun = [np.bincount(progress.members, minlength=6) for progress in seen]
    assert (np.max(begun, axis=0) == 1 + twice).all()
    ends = np.full(6, 0.0)
    for progress in seen:
        np.maximum.at(ends, progress.members, progress.state.objective)
    # Each of two starts rises all the way, so that the better end is the largest of all objectives.
    np.testing.assert_allclose(solution.objective, ends, rtol=1e-9)


def test_members_with_one_start_and_with_two_have_the_bytes_that_they_have_alone(kit):
    problem = batch_of_all_kinds(kit)
    together = isacsim.solve(problem)
    for i in range(6):
        alone = isacsim.solve(take(flatten(problem), np.array([i])))
        assert np.array_equal(alone.precoder[0], together.precoder[i])


def compared(seeds):
    """The objectives of instances that have an answer, over those of the way by surrogates, less one."""
    found = []
    for seed in seeds:
        problem = random_problem(seed)
        solution = isacsim.solve(problem)
        if solution.status is Status.INFEASIBLE:
            continue
        assert solution.status.good, seed
        slack = problem.constraints(solution.precoder)
        assert slack["sqinr"].min() >= -1e-9  # the stopping rule allows 1e-10
        assert abs(slack["total"]) <= 1e-12  # rounding of a sum
        found.append(solution.objective / isacsim.solve(problem, starts="least-power").objective - 1)
    return np.array(found)


def test_random_instances_are_not_lower_than_those_of_the_other_way():
    found = compared(range(12))
    assert found.size >= 8
    assert found.min() >= -1e-6  # two ways that stop at a residual of 1e-6


@pytest.mark.slow
def test_three_hundred_random_instances_have_optima_as_good_as_those_of_the_other_way():
    found = compared(range(100, 460))
    assert found.size >= 300
    # With power far beyond the least one there are several optima. The better of two starts misses none of those that
    # the other way finds; other rounding may turn one. It finds a better one nine times.
    assert np.sum(found < -1e-6) <= 1
    assert np.sum(found > 1e-6) >= 5
