"""`fisher-sdr`: against an independent program, its bound against random points, and the edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isacsim import Aqnm, InvalidInput, PointCrbMin, PointTargets, Status, Transceiver, UniformLinearArray, solve
from isacsim.optimisation import semidefinite

N, NOISE = 5, np.array([0.5, 1.0])


def problem_of(kit, seed=0, users=2, **changes):
    tx, rx = UniformLinearArray(N, normalized=False, conjugate=True), UniformLinearArray(N, normalized=False)
    arguments = {
        "H": kit.complex_gaussian((N, users), seed),
        "targets": PointTargets(tx, rx, [0.7], [np.pi / 2], [0.3j]),
        "min_sinr": 3.0,
        "power": 20.0,
        "noise_power": NOISE[:users],
        "radar_noise_power": 0.7,
        "snapshots": 10,
    }
    return PointCrbMin(**{**arguments, **changes})


def schur_program(problem):
    """The optimum by the 2 x 2 block of one target, written in complex matrices [Liu22]."""
    import cvxpy as cp

    targets = problem.targets
    a, b = (array.steering(0.7) for array in (targets.tx_array, targets.rx_array))
    da, db = (array.steering_derivatives(0.7)[0] for array in (targets.tx_array, targets.rx_array))
    A, dA = np.outer(b, np.conj(a)), np.outer(db, np.conj(a)) + np.outer(b, np.conj(da))
    users = [cp.Variable((N, N), hermitian=True) for _ in NOISE]
    R = cp.Variable((N, N), hermitian=True)
    block, t = cp.Variable((2, 2), hermitian=True), cp.Variable()
    unit = np.linalg.norm(dA) ** 2
    rules = [R - sum(users) >> 0, *(x >> 0 for x in users), cp.real(cp.trace(R)) <= problem.power, block >> 0]
    rules += [
        cp.real(block[0, 0]) == cp.real(cp.trace(np.conj(dA).T @ dA @ R)) / unit - t,
        cp.real(block[1, 1]) == cp.real(cp.trace(np.conj(A).T @ A @ R)) / unit,
        block[0, 1] == cp.trace(np.conj(dA).T @ A @ R) / unit,
    ]
    for h, x, noise in zip(problem.H.T, users, NOISE, strict=True):
        Q = np.outer(h, np.conj(h))
        rules.append(cp.real(cp.trace(Q @ x)) * (1 + 1 / 3.0) >= cp.real(cp.trace(Q @ R)) + noise)
    cp.Problem(cp.Maximize(t), rules).solve(solver=cp.CLARABEL)
    return 0.7 / (2 * 10 * 0.3**2) / (unit * t.value)


def test_the_optimum_is_that_of_the_published_program(kit):
    problem = problem_of(kit)
    solution = solve(problem)
    assert solution.status is Status.GLOBAL
    # Two interior-point solutions, each to about 1e-7.
    assert solution.objective == pytest.approx(schur_program(problem), rel=1e-5)
    assert solution.bound <= solution.objective <= solution.bound * (1 + 1e-5)
    assert solution.objective == pytest.approx(problem.objective(solution.precoder), rel=1e-12)


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_no_point_that_keeps_the_constraints_is_below_the_bound(kit, seed):
    problem = problem_of(kit, min_sinr=0.1)
    bound = solve(problem).bound
    rng = np.random.default_rng(seed)
    W = kit.complex_gaussian((50, N, N + 2), seed) * rng.uniform(0, 1, (50, 1, N + 2))
    W[..., :2] += 2 * problem.H
    W *= np.sqrt(problem.power / (np.abs(W) ** 2).sum(axis=(-2, -1)))[:, None, None]
    kept = (problem.constraints(W)["sinr"] >= 0).all(axis=-1)
    assert kept.any()
    assert np.all(problem.objective(W[kept]) >= bound * (1 - 1e-12))


def test_users_only_raise_the_bound(kit):
    free = solve(problem_of(kit, min_sinr=0.0)).objective
    few, many = (solve(problem_of(kit, min_sinr=g)).objective for g in (1.0, 10.0))
    # Each optimum is known to 1e-5.
    assert free <= few * (1 + 1e-5)
    assert few < many


def test_sinrs_that_the_power_does_not_suffice_for_are_told_with_the_power_that_does(kit):
    h = kit.complex_gaussian((N, 1), 3)
    problem = problem_of(kit, H=np.stack([h, 1e-3 * h]), noise_power=0.5, min_sinr=40.0)
    solution = solve(problem)
    assert solution.status[0].answered
    assert solution.status[1] is Status.INFEASIBLE
    # A single user needs Gamma sigma^2 / ||h||^2.
    assert solution.bound[1] == pytest.approx(40.0 * 0.5 / (1e-6 * np.linalg.norm(h) ** 2), rel=1e-9)
    assert np.all(np.isnan(solution.precoder[1]))
    assert "W" in solution.notes[1][0]


def test_a_point_that_nothing_is_proven_of_is_no_answer(kit, monkeypatch):
    problem = problem_of(kit)
    monkeypatch.setattr(semidefinite, "run_program", kit.failing_backend)
    solution = solve(problem)
    assert solution.status is Status.FAILED
    assert np.all(np.isnan(solution.precoder))
    assert kit.FAILED_BACKENDS in solution.notes[0]


def test_a_time_limit_leaves_a_point_that_keeps_the_constraints(kit):
    problem = problem_of(kit)
    solution = solve(problem, time_limit=1e-9)
    assert solution.status is Status.MAX_STEPS
    assert all(np.all(slack >= -1e-9) for slack in problem.constraints(solution.precoder).values())


def test_hardware_and_starts_are_refused(kit):
    with pytest.raises(InvalidInput, match=r"fisher-sdr designs for ideal hardware only, and user \(Aqnm\) is not"):
        solve(problem_of(kit, transceiver=Transceiver(user=Aqnm(3))), "fisher-sdr")
    with pytest.raises(InvalidInput, match="initial: must not be given to a solver that finds the global optimum"):
        solve(problem_of(kit), initial=np.ones((N, N + 2)))
    with pytest.raises(InvalidInput, match="starts: must not be given"):
        solve(problem_of(kit), starts="random")
