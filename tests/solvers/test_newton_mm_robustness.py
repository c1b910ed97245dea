"""`newton-mm` on random instances of the family that the method was measured on."""

import attrs
import numpy as np
import pytest

import isacsim
from isacsim import Aqnm, SqnrMax, Transceiver
from isacsim.batch import take
from isacsim.solvers.solution import Status
from isacsim.solvers.sqinr.certificate import certify


def random_problem(kit, seed):
    """An instance of the family that the method was measured on: sizes, bits, targets and users of all kinds."""
    rng = np.random.default_rng(seed)
    antennas, receivers = int(rng.integers(4, 33)), int(rng.integers(1, 33))
    users = int(rng.integers(1, 7))

    def gaussian(*shape):
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)

    kind = rng.choice(["point", "extended", "points"])
    if kind == "extended":
        G = gaussian(receivers, antennas)
    else:
        angles = rng.uniform(-1.2, 1.2, 1 if kind == "point" else rng.integers(2, 5))
        G = kit.point_response(receivers, antennas, angles)

    def converters(count):
        choice = [1, 2, 3, 4, 5, 6, np.inf]
        return Aqnm(rng.choice(choice, count) if rng.uniform() < 0.5 else rng.choice(choice))

    return SqnrMax(
        H=gaussian(antennas, users),
        G=10 ** rng.uniform(-1, 0) * G,
        min_sqinr=10 ** rng.uniform(-0.3, 1.2, users),
        power=10 ** rng.uniform(1, 2.7),
        noise_power=10 ** rng.uniform(-0.3, 0.3, users),
        radar_noise_power=1.0,
        transceiver=Transceiver(converters(antennas), converters(receivers), converters(users)),
    )


def end(states, objective):
    """The last state, of one member, at the objective of a solution: of two starts the better end counts."""
    each = [take(state, np.array([i])) for state in states for i in range(state.objective.size)]
    return [one for one in each if abs(one.objective[0] - objective) <= 1e-11 * objective][-1]  # rounding


def check_random(kit, seed):
    """Solve one of the family: its status."""
    problem = random_problem(kit, seed)
    states = []
    solution = isacsim.solve(problem, callback=lambda progress: states.append(progress.state))
    if solution.status is Status.INFEASIBLE:
        # Told with a certificate: a user out of reach, or a least power beyond the power.
        assert solution.bound > problem.power
        assert solution.notes[0].startswith("infeasible")
        return solution.status
    slack = problem.constraints(solution.precoder)
    assert slack["sqinr"].min() >= -1e-9  # the stopping rule allows 1e-10
    assert abs(slack["total"]) <= 1e-12  # rounding of a sum
    if states:  # the optimum of a point target takes no steps
        state = end(states, solution.objective)
        assert certify(state.system, state.precoder, state.multipliers).eigenvalue[0] <= 1e-5  # over all column blocks
    return solution.status


def test_random_instances_are_solved(kit):
    statuses = [check_random(kit, seed) for seed in range(30)]
    assert all(status.good or status is Status.INFEASIBLE for status in statuses)
    assert sum(status.good for status in statuses) >= 10


@pytest.mark.slow
def test_two_hundred_random_feasible_instances_are_solved(kit):
    statuses, lower, seed = [], set(), 500_000
    while len(statuses) < 200:
        status = check_random(kit, seed)
        if status is not Status.INFEASIBLE:
            statuses.append(status)
            problem = random_problem(kit, seed)
            other = isacsim.solve(problem, starts="least-power")  # after steps of the published iteration
            if isacsim.solve(problem).objective < (1 - 1e-6) * other.objective:
                lower.add(seed)
        seed += 1
    assert all(status.good for status in statuses)
    assert not lower  # nothing proves it where f is not concave


@pytest.mark.parametrize("seed", [1063, 2328, 40_805, 41_344])
def test_instances_on_which_steps_once_got_small_are_solved(kit, seed):
    # Optima without an active user, whose streams share the covariance in many ways; a point that
    # misses the power a little; a saddle to which each Newton step leads back.
    assert check_random(kit, seed).good


def test_where_no_user_is_active_the_objective_is_that_without_users(kit):
    problem = random_problem(kit, 1063)
    # All along a valley the objective is the same to 1e-6.
    alone, solution = isacsim.solve(attrs.evolve(problem, min_sqinr=0.0)), isacsim.solve(problem)
    assert solution.objective == pytest.approx(alone.objective, rel=1e-6)
    # Users that are let go too early come back with each step: two thousand steps were too few.
    assert solution.iterations <= 300


@pytest.mark.slow
def test_the_default_start_finds_what_random_starts_find(kit):
    behind = []
    for seed in range(2000, 2150):
        problem = random_problem(kit, seed)
        solution = isacsim.solve(problem)
        if solution.status.answered:
            other = isacsim.solve(problem, starts="random", rng=np.random.default_rng(seed))
            behind.append(1 - solution.objective / other.objective)
    assert len(behind) >= 80
    # Nothing proves it where f is not concave; in some 300 instances all starts have led to one optimum.
    assert np.mean(np.array(behind) <= 1e-6) >= 0.98


@pytest.mark.slow
def test_it_is_never_below_the_published_iteration(kit):
    compared, seed = 0, 20_000
    while compared < 40:
        problem = random_problem(kit, seed)
        seed += 1
        ours = isacsim.solve(problem) if problem.H.shape[-2] <= 12 else None  # larger programs take long
        if ours is None or ours.status is Status.INFEASIBLE:
            continue
        published = isacsim.solve(problem, "mm", max_steps=60)
        assert ours.objective >= (1 - 1e-6) * published.objective
        compared += 1
