"""`sdr`: closed forms, both routes against each other and against `mm`, its bounds, and other targets."""

from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isacsim import Aqnm, InvalidInput, SqnrMax, Status, Transceiver, metrics, solve
from isacsim.batch import flatten
from isacsim.linalg.hermitian import coordinates
from isacsim.optimisation import semidefinite
from isacsim.solvers.sqinr import lifted
from isacsim.solvers.sqinr.certificate import certify
from isacsim.solvers.sqinr.repair import rank_one
from isacsim.solvers.sqnr_max import sdr
from isacsim.solvers.sqnr_max.fractional import Ratio, cases
from isacsim.solvers.sqnr_max.objectives import sqnr_groups

DATA = Path(__file__).parents[1] / "data" / "sqnr-max"
LEVEL = Transceiver(Aqnm(3), Aqnm([1, 2, 3, 4]), Aqnm([2, np.inf]))  # transmit converters of one resolution
AFFINE = Transceiver(Aqnm([10, 2, 1, 3, np.inf]), Aqnm(2), Aqnm([2, 4]))  # receive converters of one
MIXED = Transceiver(Aqnm([10, 2, 1, 3, np.inf]), Aqnm([1, 2, 3, 4]), Aqnm(3))
seeds = st.integers(0, 2**32 - 1)


def instance(name):
    """A reference instance, and its problem; powers are in mW."""
    d = np.load(DATA / f"{name}.npz")
    hardware = Transceiver(Aqnm(d["bits_dac"]), Aqnm(d["bits_adc"]), Aqnm(d["bits_user"]))
    return d, SqnrMax(d["H"], d["G"], d["gamma"], d["P"], d["sigma2_k"], d["sigma2_r"], hardware)


def steering(antennas, sign):
    return np.exp(1j * sign * np.pi * np.arange(antennas) * np.sin(0.7))


def problem_of(kit, seed=0, transceiver=LEVEL, **changes):
    """A point target that an array of 5 antennas sees, and one of 4 receives."""
    arguments = {
        "H": kit.complex_gaussian((5, 2), seed),
        "G": 0.4j * np.outer(steering(4, 1), np.conj(steering(5, -1))),
        "min_sqinr": [0.8, 0.6],
        "power": 5.0,
        "noise_power": [0.1, 0.2],
        "radar_noise_power": 0.3,
        "transceiver": transceiver,
    }
    return SqnrMax(**{**arguments, **changes})


def system_of(problem):
    (group,) = sqnr_groups(flatten(problem))
    system = group.system
    return system


# Closed forms


@given(seeds, st.sampled_from([LEVEL, AFFINE, MIXED, Transceiver()]))
def test_the_sqnr_of_a_point_target_is_the_printed_formula_for_any_converters(kit, seed, transceiver):
    problem = problem_of(kit, seed, transceiver)
    W, eta2, noise = kit.complex_gaussian((5, 7), seed + 1), 0.4**2, problem.radar_noise_power
    a_t, a_r = (np.broadcast_to(side.linear_model(np.eye(n, dtype=complex)).gain, n) for side, n in
                ((transceiver.transmit, 5), (transceiver.receive, 4)))  # fmt: skip
    a = steering(5, -1)
    zeta = np.linalg.norm(np.conj(a * a_t) @ W) ** 2
    eps = (a_t * (1 - a_t) * (np.abs(W) ** 2).sum(axis=1)).sum()
    B = (a_r / (eta2 * (zeta + eps) * (1 - a_r) + noise)).sum()
    expected = eta2 * zeta / (1 / B + eta2 * eps)  # [Xu25, eq. (32)], with any A_t
    assert problem.objective(W) == pytest.approx(expected, rel=1e-10)


@given(seeds, st.sampled_from([LEVEL, AFFINE, Transceiver(Aqnm(4), Aqnm(2))]))
def test_ratios_tell_the_sqnr_of_points_of_full_power(kit, seed, transceiver):
    system = system_of(problem_of(kit, seed, transceiver))
    V = kit.complex_gaussian((1, 5, 7), seed + 1)
    V = V / np.linalg.norm(V)
    (case,) = cases(system.objective)
    ratio = Ratio.of(system.objective, case)
    value = ratio.sqnr(ratio.alike.value(V))
    np.testing.assert_allclose(value, system.objective.surrogate(V).value, rtol=1e-10)


def test_cases_are_told_apart(kit):
    extended = {"G": kit.complex_gaussian((4, 5), 1)}
    expected = {
        "ideal": problem_of(kit, transceiver=Transceiver(user=Aqnm(2)), **extended),
        "level": problem_of(kit, transceiver=LEVEL),
        "affine": problem_of(kit, transceiver=AFFINE),
        "other": problem_of(kit, transceiver=MIXED),
    }
    for case, problem in expected.items():
        assert cases(system_of(problem).objective) == [case]
    assert cases(system_of(problem_of(kit, **extended)).objective) == ["other"]
    assert not system_of(problem_of(kit, **extended)).objective.target.there


@pytest.mark.parametrize("route", sdr.ROUTES)
def test_without_users_all_power_goes_to_the_target(kit, route):
    problem = problem_of(kit, transceiver=Transceiver(Aqnm(3), Aqnm(2)), min_sqinr=0.0)
    solution = solve(problem, "sdr", route=route)
    a, alpha = steering(5, -1), 1 - Aqnm(3).distortion_factor(3)
    W = np.sqrt(problem.power / alpha / 5) * a[:, None]  # R = (P / alpha) a a^H / N_t
    best = metrics.radar_sqnr(problem.G, W, problem.radar_noise_power, problem.transceiver)
    assert solution.status is Status.GLOBAL
    assert solution.objective == pytest.approx(float(best), rel=1e-6)  # the certified gap
    assert solution.objective <= best * (1 + 1e-12)


# Optima


@pytest.mark.parametrize("transceiver", [LEVEL, AFFINE, Transceiver(user=Aqnm(3))])
def test_both_routes_reach_one_optimum_that_is_proven(kit, transceiver):
    problem = problem_of(kit, transceiver=transceiver)
    found = [solve(problem, "sdr", route=route) for route in sdr.ROUTES]
    for solution in found:
        assert solution.status is Status.GLOBAL
        assert solution.objective <= solution.bound <= solution.objective * (1 + 1e-6)
        slacks = problem.constraints(solution.precoder)
        assert all(np.all(slack >= -1e-9) for slack in slacks.values())
        assert slacks["total"] == pytest.approx(0, abs=1e-12)  # all power is used
    # Each is within 1e-6 of the optimum.
    assert found[0].objective == pytest.approx(float(found[1].objective), rel=1e-6)


def test_majorisation_minimisation_ends_at_the_optimum_of_the_relaxation(kit):
    for transceiver in (LEVEL, AFFINE):
        problem = problem_of(kit, transceiver=transceiver)
        best, found = solve(problem, "sdr"), solve(problem, "newton-mm")
        assert found.objective == pytest.approx(float(best.objective), rel=1e-6)


@pytest.mark.slow
def test_the_published_iteration_converges_to_the_optimum_of_the_relaxation(kit):
    problem = problem_of(kit)
    best = solve(problem, "sdr").objective
    found = solve(problem, "mm", tolerance=1e-6, max_steps=5000, accuracy=1e-10)
    assert found.objective == pytest.approx(float(best), rel=1e-6)


@settings(max_examples=10)
@given(seeds, st.sampled_from([LEVEL, AFFINE, MIXED, Transceiver()]))
def test_no_point_that_keeps_the_constraints_exceeds_the_bound(kit, seed, transceiver):
    problem = problem_of(kit, seed, transceiver, min_sqinr=0.05)
    bound = solve(problem, "sdr").bound
    W = kit.complex_gaussian((50, 5, 7), seed) * np.random.default_rng(seed).uniform(0, 1, (50, 1, 7))
    W[..., 0] += 3 * steering(5, -1)
    W = metrics.rescale_to_radiated(W, transceiver.transmit, 5.0)
    kept = (problem.constraints(W)["sqinr"] >= 0).all(axis=-1)
    assert np.all(problem.objective(W[kept]) <= bound * (1 + 1e-12))


@pytest.mark.parametrize("name", ["01_point_uniform3", "02_point_mixedDAC", "03_ext_uniform3", "09_all_mixed"])
def test_linear_objectives_have_the_reference_value_by_the_program_and_in_the_multipliers(name):
    d, problem = instance(name)
    system = system_of(problem)
    scale = system.scale[0]
    theta = (np.conj(scale)[:, None] * d["Theta"] * scale)[None]
    linear = system.to_maximise(theta)
    program = lifted.linear_program(system.antennas, system.users)
    unit = np.linalg.norm(theta)
    values, units = lifted.rules(system)
    told = program.solve(values | {"theta": coordinates(theta[0] / unit)}, 1e-9)
    answer = lifted.Lifted.of(told, units)
    V = rank_one(system, answer.blocks[None])
    told = certify(linear, V, unit * answer.multipliers[None])
    # The reference is known to 6e-6.
    np.testing.assert_allclose([told.value[0], told.bound[0]], d["lin_value"], rtol=1e-5)


def test_recovery_keeps_covariance_and_sqinrs_with_transmit_converters_that_differ(kit):
    problem = problem_of(kit, transceiver=AFFINE)
    system = system_of(problem)
    X = kit.complex_gaussian((1, 3, 5, 5), 3)
    R = X @ np.conj(X).swapaxes(-1, -2)
    V = rank_one(system, R)
    np.testing.assert_allclose(V @ np.conj(V).swapaxes(-1, -2), R.sum(axis=1), atol=1e-10 * np.abs(R).max())
    h = system.H[0].T
    received = np.einsum("ki,kij,kj->k", np.conj(h), R[0, :2], h).real
    np.testing.assert_allclose(np.abs(np.diag(system.HH[0] @ V[0, :, :2])) ** 2, received, rtol=1e-10)


def test_programs_are_built_once_a_shape(kit):
    assert lifted.linear_program(5, 2) is lifted.linear_program(5, 2)
    problem = problem_of(kit)
    # Nothing of what was solved before stays in a program.
    first = solve(problem, "sdr", route="program").precoder
    solve(problem_of(kit, seed=5), "sdr", route="program")
    assert kit.raw_bytes(first) == kit.raw_bytes(solve(problem, "sdr", route="program").precoder)


# Other targets, and edges


def test_for_other_targets_the_bound_holds_and_a_note_says_that_the_beams_are_no_optimum(kit):
    problem = problem_of(kit, transceiver=MIXED, G=kit.complex_gaussian((4, 5), 1))
    relaxed, best = solve(problem, "sdr"), solve(problem, "newton-mm")
    assert relaxed.status is Status.STALLED
    assert "newton-mm" in relaxed.notes[-1]
    assert relaxed.objective < best.objective < relaxed.bound
    assert all(np.all(slack >= -1e-9) for slack in problem.constraints(relaxed.precoder).values())


def test_members_of_different_cases_are_solved_in_one_batch(kit):
    point, extended = problem_of(kit, transceiver=LEVEL), kit.complex_gaussian((4, 5), 1)
    both = attrs.evolve(point, H=np.stack([point.H, point.H]), G=np.stack([extended, point.G]))
    solution = solve(both, "sdr")
    np.testing.assert_array_equal(solution.status, [Status.STALLED, Status.GLOBAL])
    assert kit.raw_bytes(solution.precoder[1]) == kit.raw_bytes(solve(point, "sdr").precoder)


def test_a_program_without_an_answer_leaves_a_point_that_keeps_the_constraints(kit, monkeypatch):
    monkeypatch.setattr(semidefinite, "run_program", kit.failing_backend)
    problem = problem_of(kit)
    solution = solve(problem, "sdr", route="program")
    assert solution.status is Status.STALLED
    assert not solution.gap <= 1e-6
    assert solution.notes == (kit.FAILED_BACKENDS,)
    assert all(np.all(slack >= -1e-9) for slack in problem.constraints(solution.precoder).values())


def test_starts_are_refused(kit):
    with pytest.raises(InvalidInput, match="initial: must not be given to a solver that finds the global optimum"):
        solve(problem_of(kit), "sdr", initial=np.ones((5, 7)))
