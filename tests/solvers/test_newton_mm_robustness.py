"""`newton-mm` on random instances of the family that the method was measured on."""

import attrs
import numpy as np
import pytest

import isacsim
from isacsim import Aqnm, SqnrMax, Transceiver
from isacsim.batch import flatten, frobenius2
from isacsim.solvers.base import Request
from isacsim.solvers.solution import Status
from isacsim.solvers.sqinr.certificate import certify
from isacsim.solvers.sqinr.least_power import least_power
from isacsim.solvers.sqnr_max.dual import minimise
from isacsim.solvers.sqnr_max.objectives import sqnr_groups
from isacsim.solvers.sqnr_max.starts import start


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
        state = states[-1]
        assert certify(state.system, state.precoder, state.multipliers).eigenvalue[0] <= 1e-5  # over all column blocks
    return solution.status


def plain_iteration(problem, steps):
    """The objective after steps of the published iteration, each subproblem solved in the multipliers."""
    (group,) = sqnr_groups(flatten(problem))
    system = group.system
    found = least_power(system)
    V = start(attrs.evolve(group, feasible=found), Request(), system.antennas)
    mu = np.sqrt(frobenius2(system.objective.surrogate(V).C))[:, None]
    z = np.concatenate([found.multipliers * mu, mu], axis=-1)
    for _ in range(steps):
        surrogate = system.objective.surrogate(V)
        M = surrogate.M + 1e-9 * surrogate.value * np.eye(system.antennas)  # definite, and no more
        z, V = minimise(system, surrogate.C, M, z, np.array([1e-9]))
    assert system.slack(V).min() >= -1e-8
    return float(system.objective.surrogate(V).value[0])


def test_random_instances_are_solved(kit):
    statuses = [check_random(kit, seed) for seed in range(30)]
    assert all(status.good or status is Status.INFEASIBLE for status in statuses)
    assert sum(status.good for status in statuses) >= 10


@pytest.mark.slow
def test_two_hundred_random_feasible_instances_are_solved(kit):
    statuses, seed = [], 500_000
    while len(statuses) < 200:
        status = check_random(kit, seed)
        if status is not Status.INFEASIBLE:
            statuses.append(status)
            problem = random_problem(kit, seed)
            # Nothing proves it where f is not concave: of 2500 other instances six are below, in another optimum.
            with np.errstate(all="ignore"):
                assert isacsim.solve(problem).objective >= (1 - 1e-6) * plain_iteration(problem, 150)
        seed += 1
    assert all(status.good for status in statuses)


@pytest.mark.parametrize("seed", [1063, 2328, 40_805, 41_344])
def test_instances_on_which_steps_once_got_small_are_solved(kit, seed):
    # Optima without an active user, whose streams share the covariance in many ways; a point that
    # misses the power a little; a saddle to which each Newton step leads back.
    assert check_random(kit, seed).good


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
