"""`wmmse-sdr`: closed forms, monotone ascent, the published defects, and the cached program."""

import subprocess
import sys

import attrs
import numpy as np
import pytest

import isacsim
from isacsim import InvalidInput, Status, UniformPlanarArray
from isacsim.optimisation import semidefinite
from isacsim.solvers.sum_rate_crlb.merit import Merit
from isacsim.solvers.sum_rate_crlb.sdr_program import program
from isacsim.solvers.sum_rate_crlb.wmmse_sdr import uphill

VARIANTS = {
    "plain": {},
    "rate only": {"crlb_weight": 0.0},
    "crlb only": {"rate_weight": 0.0},
    "more targets than users": {"users": 1, "targets": 3},
    "no users": {"users": 0, "targets": 1, "rate_weight": 0.0, "sensing_streams": 2},
    "sensing streams": {"sensing_streams": 4},
    "linear arrays": {"linear": True},
    "angles": {"parameters": ("azimuth", "zenith"), "parameter_weights": (1.0, 2.0)},
}


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_the_objective_never_falls_and_the_power_is_met(kit, variant):
    problem = kit.make_problem(**VARIANTS[variant], seed=5)
    solution = isacsim.solve(problem, "wmmse-sdr", max_steps=6)
    assert np.all(np.diff(solution.trace["objective"])[:-1] > 0)
    assert solution.objective > solution.trace["objective"][0]
    (slack,) = problem.constraints(solution.precoder).values()
    np.testing.assert_allclose(slack, 0.0, atol=1e-12)
    assert problem.objective(solution.precoder) == pytest.approx(solution.objective, rel=1e-9)


@pytest.mark.parametrize("variant", ["plain", "rate only", "sensing streams"])
def test_it_ends_stationary_at_the_objective_of_the_default_solver(kit, variant):
    problem = kit.make_problem(**VARIANTS[variant], seed=5)
    solution, best = isacsim.solve(problem, "wmmse-sdr"), isacsim.solve(problem)
    assert solution.status is Status.STATIONARY
    assert solution.residual <= 1e-3
    # The objective is quadratic about its maximum: off by the square of the residual over a curvature.
    assert solution.objective == pytest.approx(best.objective, rel=1e-5)


def test_sensing_alone_is_a_convex_program_whose_first_answer_is_the_optimum(kit):
    problem = kit.make_problem(0, 2, rate_weight=0.0, sensing_streams=6)
    once, best = isacsim.solve(problem, "wmmse-sdr", max_steps=1), isacsim.solve(problem, max_steps=5000)
    # Of an interior-point method to 1e-8, amplified by the spread of the bounds.
    assert once.objective == pytest.approx(best.objective, rel=1e-5)


def test_one_user_alone_gets_the_matched_filter(kit):
    problem = kit.make_problem(1, 1, crlb_weight=0.0, rate_weight=2.0)
    solution = isacsim.solve(problem, "wmmse-sdr", starts="random", rng=np.random.default_rng(0))
    capacity = np.log1p(0.02 * np.linalg.norm(problem.H) ** 2 / 1e-3)
    assert solution.objective == pytest.approx(2.0 * capacity, rel=1e-5)


@pytest.mark.parametrize(
    "options", [{"published_charge": True}, {"published_charge": True, "published_recovery": True}]
)
def test_the_published_defects_come_close_but_not_above(kit, options):
    # As many sensing streams as antennas, as published.
    problem = kit.make_problem(sensing_streams=6, seed=5)
    published = isacsim.solve(problem, "wmmse-sdr", step_tolerance=1e-4, max_steps=30, **options)
    best = isacsim.solve(problem)
    assert published.objective <= best.objective * (1 + 1e-9)
    assert published.objective >= 0.97 * best.objective
    (slack,) = problem.constraints(published.precoder).values()
    np.testing.assert_allclose(slack, 0.0, atol=1e-12)


@pytest.mark.parametrize("factor", [1e-40, 1e12, 1e50])
def test_a_common_factor_of_the_weights_changes_no_precoder(kit, factor):
    problem = kit.make_problem(2, 2, seed=1)
    weighed = attrs.evolve(problem, rate_weight=factor * 0.25, crlb_weight=factor * 1.0)
    one, other = (isacsim.solve(each, "wmmse-sdr", max_steps=3) for each in (problem, weighed))
    # The accuracy of the programs, three of them.
    assert other.objective / factor == pytest.approx(float(one.objective), rel=1e-5)


def test_the_published_charge_underrates_the_interference_of_the_sensing_streams(kit):
    # The users stand where the targets are, so that no beam can sense without meeting them.
    scene = kit.make_scene(3, seed=1)
    H = np.sqrt(scene.tx_array.size) * scene.tx_array.steering(scene.azimuth[:2], scene.zenith[:2]).T
    problem = kit.make_problem(scene=scene, H=np.ascontiguousarray(H), crlb_weight=1000.0)
    lax, strict = (isacsim.solve(problem, "wmmse-sdr", max_steps=5, published_charge=flag) for flag in (True, False))
    received = [np.sum(np.abs(problem.H.conj().T @ s.precoder[:, 2:]) ** 2) for s in (lax, strict)]
    # Interference above the noise of both users, which the true charge keeps below the accuracy of the programs.
    assert received[0] > np.sum(problem.noise_power)
    assert received[1] < 1e-4 * np.sum(problem.noise_power)
    assert lax.objective < strict.objective - 0.2  # half of what it costs here


def test_a_program_without_a_solution_leaves_the_precoder_and_is_told_as_stalled(kit, monkeypatch):
    monkeypatch.setattr(semidefinite, "run_program", kit.failing_backend)
    solution = isacsim.solve(kit.make_problem(), "wmmse-sdr")
    assert solution.notes == (kit.FAILED_BACKENDS,)
    assert solution.status is Status.STALLED
    assert solution.iterations == 1
    assert solution.objective == solution.trace["objective"][0]


def test_a_member_of_a_batch_has_the_bytes_it_has_alone_whatever_was_solved_before(kit):
    H, power = kit.complex_gaussian((3, 6, 2), 0), np.linspace(0.005, 0.03, 3)
    together = isacsim.solve(kit.make_problem(H=H, power=power), "wmmse-sdr", max_steps=4, tolerance=0.05)
    for i in (2, 0, 1):
        problem = kit.make_problem(H=H[i], power=power[i])
        alone = isacsim.solve(problem, "wmmse-sdr", max_steps=4, tolerance=0.05)
        assert kit.raw_bytes(alone.precoder) == kit.raw_bytes(together.precoder[i])
        assert alone.status is together.status[i]


def test_a_shape_is_compiled_once(kit):
    before = program.cache_info()
    isacsim.solve(kit.make_problem(batch=(2,)), "wmmse-sdr", max_steps=3)
    after = program.cache_info()
    assert after.misses - before.misses <= 1
    assert after.hits - before.hits >= 5
    compiled = program(6, 2, 8, tuple(range(8)), True, False)
    assert compiled.problem.is_dcp(dpp=True)  # else cvxpy would compile each solve anew


def test_importing_the_solver_does_not_import_cvxpy():
    program = "import isacsim.solvers.sum_rate_crlb.wmmse_sdr, sys; print('cvxpy' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "False"


def test_a_power_of_each_antenna_is_refused(kit):
    with pytest.raises(InvalidInput, match="wmmse-sdr takes a total power only, not `per_antenna`.*Valid: .*sca"):
        isacsim.solve(kit.make_problem(per_antenna=True), "wmmse-sdr")


@pytest.mark.slow
def test_sixteen_antennas_come_close_to_the_best_known_objective(kit):
    d, problem, _ = kit.reference("c02_nt16_k4_m2_ns0")
    solution = isacsim.solve(problem, "wmmse-sdr", max_steps=25)
    # Some 25 steps of a linearly converging method.
    assert solution.objective >= float(d["best_known__objective"]) - 1e-3


def many_antennas(kit, sensing_streams):
    scene = kit.make_scene(2, tx=UniformPlanarArray(4, 8))
    return kit.make_problem(scene=scene, seed=1, sensing_streams=sensing_streams)


@pytest.mark.slow
def test_thirty_two_antennas_come_close_to_the_default_solver(kit):
    problem = many_antennas(kit, sensing_streams=1)
    solution = isacsim.solve(problem, "wmmse-sdr", max_steps=12)
    assert solution.objective >= isacsim.solve(problem).objective - 1e-3


@pytest.mark.slow
def test_a_program_that_promises_what_no_stream_can_hold_is_told_as_no_optimum(kit):
    # A sensing stream would take half a per cent of the power here, and there is none: what is recovered rises
    # slowly, till no step does, and its residual says that it is far from stationary.
    solution = isacsim.solve(many_antennas(kit, sensing_streams=0), "wmmse-sdr", max_steps=12)
    assert solution.status in (Status.STALLED, Status.MAX_STEPS)
    assert solution.residual > 1e-3
    assert np.all(np.diff(solution.trace["objective"])[:-1] > 0)


def test_weights_on_some_parameters_alone_reach_the_optimum_that_other_solvers_find(kit):
    rng = np.random.default_rng(3)
    H = (rng.standard_normal((8, 3)) + 1j * rng.standard_normal((8, 3))) / 2**0.5
    arrays = isacsim.UniformLinearArray(8), isacsim.UniformLinearArray(9)
    targets = isacsim.PointTargets(*arrays, [-0.4, 0.5], np.pi / 2, [0.3, 0.2j])
    problem = isacsim.SumRateCrlb(
        H, targets, power=1.0, noise_power=0.1, radar_noise_power=0.1, snapshots=30, rate_weight=1.0,
        crlb_weight=10.0, parameters=("azimuth",),
    )  # fmt: skip
    solution = isacsim.solve(problem, "wmmse-sdr")
    # riemannian-lbfgs, sca and fp-sgda agree on this value to 1e-6; the residual of 1e-3 leaves 1e-4.
    assert solution.objective == pytest.approx(9.76930, rel=1e-4)
    assert solution.status is Status.STATIONARY


def test_a_member_whose_program_leads_nowhere_goes_up_along_the_gradient(kit):
    merit = Merit.of(kit.make_problem(batch=(3,)))
    before = merit.evaluate(merit.project(kit.complex_gaussian((3, 6, 2), 0)))
    point, stalled = uphill(merit, before, before, np.array([True, False, True]))
    assert not stalled.any()
    assert np.all(point.objective[[0, 2]] > before.objective[[0, 2]])
    assert kit.raw_bytes(point.W[1]) == kit.raw_bytes(before.W[1])
