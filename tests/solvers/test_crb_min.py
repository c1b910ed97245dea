"""The solvers of `CrbMin`: closed forms, reference instances, each other, and the edges."""

from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import isacsim
from isacsim import Aqnm, InvalidInput, Status, Transceiver
from isacsim.optimisation import semidefinite
from isacsim.solvers.crb_min.program import program

DATA = Path(__file__).parents[1] / "data" / "crb-min"
INSTANCES = sorted(path.stem for path in DATA.glob("*.npz"))
QUICK = ("primal-dual-newton", "r-ipm", "r-bal")
ALL = (*QUICK, "bal", "ipm")
seeds = st.integers(0, 2**32 - 1)


def reference(name):
    d = np.load(DATA / f"{name}.npz")
    return d, isacsim.CrbMin(d["H"], d["gamma"], d["P_T"], d["noise"])


def check_beams(problem, solution):
    """SINRs, power and objective from the precoder alone, with nothing of the library's algebra."""
    W, users = solution.precoder, problem.users
    gains = np.abs(problem.H.conj().T @ W) ** 2
    own = np.diagonal(gains)
    sinr = own / (gains.sum(axis=1) - own + problem.noise_power)
    # The powers solve linear equations: rounding times their condition, of 1e5 at worst.
    assert np.all(sinr >= problem.min_sinr * (1 - 1e-10))
    assert np.linalg.norm(W) ** 2 == pytest.approx(float(problem.power), rel=1e-12)
    singular = np.linalg.svd(W, compute_uv=False)
    assert solution.objective == pytest.approx((1 / singular**2).sum(), rel=1e-9)
    assert W.shape == (problem.H.shape[0], users + problem.H.shape[0])


# Closed forms


@pytest.mark.parametrize("solver", QUICK)
@pytest.mark.parametrize("antennas", [1, 2, 7])
def test_one_user_gets_what_it_needs_and_the_rest_is_white(kit, solver, antennas):
    h = kit.complex_gaussian((antennas, 1), 2)
    power, sinr = 10.0, 0.5 * 10.0 * np.linalg.norm(h) ** 2  # half of the power would do
    solution = isacsim.solve(isacsim.CrbMin(h, sinr, power, 1.0), solver)
    along = max(0.5 * power, power / antennas) if antennas > 1 else power
    rest = (antennas - 1) ** 2 / (power - along) if antennas > 1 else 0.0
    assert solution.objective == pytest.approx(1 / along + rest, rel=1e-6)


@pytest.mark.parametrize(("solver", "rtol"), [("primal-dual-newton", 1e-8), ("r-ipm", 1e-6), ("r-bal", 1e-5)])
def test_orthogonal_users_share_the_power_by_water_filling(solver, rtol):
    antennas, power = 6, 12.0
    needed = np.array([0.5, 3.0, 4.5])  # SINR times noise over the squared norm of the channel
    problem = isacsim.CrbMin(np.eye(6)[:, :3] * [1.0, 2.0, 0.5], needed * [1.0, 4.0, 0.25], power, 1.0)
    # Every direction gets the same power, but for users that need more.
    level = (power - needed[1:].sum()) / (antennas - 2)
    assert level > needed[0]
    solution = isacsim.solve(problem, solver)
    assert solution.objective == pytest.approx((1 / needed[1:]).sum() + (antennas - 2) / level, rel=rtol)


@pytest.mark.parametrize("solver", ALL)
def test_without_users_the_covariance_is_white(solver):
    solution = isacsim.solve(isacsim.CrbMin(np.ones((2, 4, 0)), np.ones((0,)), 8.0, np.ones((0,))), solver)
    assert list(solution.status) == [Status.OPTIMAL] * 2
    np.testing.assert_allclose(solution.precoder[0] @ solution.precoder[0].conj().T, 2 * np.eye(4), atol=1e-14)
    np.testing.assert_allclose(solution.objective, 2.0, rtol=1e-14)


# Reference instances


@pytest.mark.parametrize(("solver", "rtol"), [("primal-dual-newton", 1e-8), ("r-ipm", 1e-6), ("r-bal", 1e-6)])
@pytest.mark.parametrize("name", INSTANCES)
def test_the_reference_objective_and_status_are_reached(name, solver, rtol):
    d, problem = reference(name)
    solution = isacsim.solve(problem, solver)
    if not d["feasible"]:
        assert solution.status is Status.INFEASIBLE
        assert solution.bound == pytest.approx(float(d["P_min"]), rel=1e-8)
        assert solution.bound > problem.power
        return
    # The reference is a bracket of relative width 1e-9.
    assert float(d["obj_dual"]) * (1 - 1e-9) <= solution.objective
    assert solution.objective == pytest.approx(float(d["obj"]), rel=rtol)
    assert solution.bound <= float(d["obj"]) * (1 + 1e-12)
    assert solution.gap <= 1e-8 if solver == "primal-dual-newton" else solution.gap >= -1e-12
    assert solution.status.good
    check_beams(problem, solution)


@pytest.mark.parametrize("name", INSTANCES)
def test_the_reference_least_power_is_found(kit, name):
    d, problem = reference(name)
    assert kit.least_watts(problem) == pytest.approx(float(d["P_min"]), rel=1e-8)


# Each other


def shapes(*rows):
    return [pytest.param(*row, id="{}x{} {} dB, {} P_min, seed {}".format(*row)) for row in rows]


def agree(kit, solvers, antennas, users, sinr_db, excess, seed):
    problem = kit.make_crb_min(users, antennas, sinr_db=sinr_db, excess=excess, seed=seed)
    best = isacsim.solve(problem)
    assert best.status is Status.OPTIMAL
    for solver in solvers:
        solution = isacsim.solve(problem, solver)
        # Iterations stop at residuals of 1e-6, which the repair of the beams turns into objective.
        assert solution.objective == pytest.approx(best.objective, rel=1e-5), solver
        assert solution.bound <= best.objective * (1 + 1e-12), solver
        assert solution.objective >= best.bound * (1 - 1e-12), solver
        check_beams(problem, solution)


@pytest.mark.parametrize(("antennas", "users", "sinr_db", "excess", "seed"), shapes((8, 2, 15, 8, 0), (4, 4, 0, 5, 1)))
def test_all_five_solvers_agree(kit, antennas, users, sinr_db, excess, seed):
    agree(kit, ALL[1:], antennas, users, sinr_db, excess, seed)


MANY = shapes(
    (8, 3, 15, 8, 0), (8, 4, 10, 10, 1), (8, 8, 0, 5, 2), (12, 3, 20, 20, 3), (16, 4, 20, 30, 4), (16, 4, 15, 12, 5),
    (16, 2, 15, 20, 6), (16, 8, 10, 10, 7), (24, 4, 20, 20, 8), (32, 4, 20, 30, 9), (32, 8, 15, 30, 10),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("antennas", "users", "sinr_db", "excess", "seed"), MANY)
def test_all_five_solvers_agree_on_larger_problems(kit, antennas, users, sinr_db, excess, seed):
    small = antennas <= 8 or (antennas <= 16 and users <= 4)  # the whole program of more takes minutes
    agree(kit, ALL[1:] if small else ALL[1:-1], antennas, users, sinr_db, excess, seed)


# Theory


@settings(max_examples=40)
@given(seeds, st.integers(1, 5), st.integers(0, 5), st.floats(-5, 20), st.sampled_from([1.0001, 1.01, 1.5, 10, 1e3]))
def test_the_default_solver_certifies_its_beams(kit, seed, users, extra, sinr_db, excess):
    problem = kit.make_crb_min(users, users + extra, seed=seed, sinr_db=sinr_db, excess=excess)
    solution = isacsim.solve(problem)
    assert solution.status is Status.OPTIMAL
    assert -1e-12 <= solution.gap <= 1e-8
    assert solution.objective >= problem.H.shape[0] ** 2 / problem.power * (1 - 1e-12)
    check_beams(problem, solution)


def test_the_optimum_has_the_structure_of_theorem_1(kit):
    problem = kit.make_crb_min(3, 9, excess=3.0)
    W = isacsim.solve(problem).precoder
    users, sensing = W[:, :3], W[:, 3:]
    U = np.linalg.svd(problem.H)[0]
    rest = U[:, 3:]
    # The users' precoders lie in the range of the channels, and the rest of the array is white.
    np.testing.assert_allclose(rest.conj().T @ users, 0.0, atol=1e-12)
    R = rest.conj().T @ sensing @ sensing.conj().T @ rest
    np.testing.assert_allclose(R, R[0, 0].real * np.eye(6), atol=1e-12 * np.linalg.norm(R))


def test_the_objective_falls_with_power_and_rises_with_the_sinr(kit):
    problem = kit.make_crb_min(3, 6, excess=1.2)
    powers = isacsim.solve(attrs.evolve(problem, power=problem.power * np.array([1.0, 2.0, 4.0]))).objective
    assert np.all(np.diff(powers) < 0)
    sinrs = isacsim.solve(attrs.evolve(problem, min_sinr=problem.min_sinr * np.array([[0.5], [0.8], [1.0]]))).objective
    assert np.all(np.diff(sinrs) > 0)


def test_unequal_thresholds_and_noise_and_the_units_of_a_user_do_not_matter(kit):
    problem = kit.make_crb_min(3, 6, min_sinr=np.array([1.0, 10.0, 30.0]), noise_power=np.array([0.1, 1.0, 5.0]))
    solution = isacsim.solve(problem)
    check_beams(problem, solution)
    scale = np.array([1e-4, 1.0, 1e5])
    other = isacsim.solve(attrs.evolve(problem, H=problem.H * scale, noise_power=problem.noise_power * scale**2))
    assert other.objective == pytest.approx(solution.objective, rel=1e-7)  # each within its gap


@pytest.mark.parametrize("solver", QUICK)
def test_more_users_than_antennas_and_channels_of_low_rank_are_served(kit, solver):
    many = kit.make_crb_min(5, 3, sinr_db=-6.0, excess=2.0)
    H = kit.complex_gaussian((8, 3), 0)
    H = np.concatenate([H, H[:, :1] + H[:, 1:2]], axis=1)
    low = kit.make_crb_min(H=H, sinr_db=-1.0, excess=1.3)
    for problem in (many, low):
        solution, best = isacsim.solve(problem, solver), isacsim.solve(problem)
        assert best.status is Status.OPTIMAL
        assert solution.objective == pytest.approx(best.objective, rel=1e-4)
        check_beams(problem, solution)


@pytest.mark.parametrize("excess", [1 + 1e-4, 1 + 1e-6])
@pytest.mark.parametrize(("users", "antennas"), [(4, 12), (4, 4)])
def test_close_to_the_least_power_the_gap_closes(kit, users, antennas, excess):
    problem = kit.make_crb_min(users, antennas, sinr_db=5.0, excess=excess)
    solution = isacsim.solve(problem)
    assert solution.status is Status.OPTIMAL
    check_beams(problem, solution)


@pytest.mark.parametrize("excess", [1e-4, 1e-6, 1e-7])
def test_just_above_the_least_power_nothing_is_lost_to_rounding(kit, excess):
    # At 30 dB 1 + 1/gamma has three digits fewer of gamma, and the surplus is what is left of six.
    h = kit.complex_gaussian((16, 1), 0)
    least = 1e3 / np.linalg.norm(h) ** 2
    power = least * (1 + excess)
    solution = isacsim.solve(isacsim.CrbMin(h, 1e3, power, 1.0))
    exact = 1 / least + 15**2 / (power - least)
    assert solution.status is Status.OPTIMAL
    rounding = 4 * np.finfo(float).eps / excess  # of the power itself, over what is left of it
    assert solution.objective == pytest.approx(exact, rel=rounding + 1e-8)
    assert solution.bound <= exact * (1 + rounding)


@pytest.mark.parametrize("excess", [1e-6, 1e-8, 1e-10])
@pytest.mark.parametrize(("users", "antennas", "sinr_db"), [(8, 32, 15.0), (4, 16, 30.0), (8, 12, 10.0)])
def test_the_bracket_stays_a_bracket_however_close_the_least_power_is(kit, users, antennas, sinr_db, excess):
    problem = kit.make_crb_min(users, antennas, batch=(4,), sinr_db=sinr_db, excess=1 + excess)
    solution = isacsim.solve(problem, fallback=0)
    # SINRs that rounding lowers by 1e-15 make the objective lower by that over the excess.
    assert np.all(solution.gap >= -1e-14 / excess)
    assert np.all(solution.gap <= 1e-12 / excess)  # thousands of rounding errors over what is left of the power
    assert all(s.answered for s in solution.status)


def test_at_the_least_power_itself_there_is_no_answer(kit):
    # Nothing is left for the dimensions that no user sees: the CRB is infinite.
    h = kit.complex_gaussian((6, 1), 0)
    solution = isacsim.solve(isacsim.CrbMin(h, 10.0, 10.0 / np.linalg.norm(h) ** 2, 1.0))
    assert not solution.status.answered
    assert np.isnan(solution.precoder).all()


# Statuses, batches and options


def test_a_batch_of_all_kinds_gives_each_member_the_bytes_it_has_alone(kit):
    H = kit.complex_gaussian((6, 6, 3), 0)
    H[1, :, 2] = H[1, :, 0] * 1j  # rank 2, and at this SINR no power suffices
    H[2, :, 2] = H[2, :, 0] + H[2, :, 1]  # rank 2
    power = np.array([100.0, 100.0, 300.0, 1.0, 100.0, 30.0])
    sinr = np.array([10.0, 10.0, 0.9, 10.0, 0.1, 8.0])[:, None]
    problem = isacsim.CrbMin(H, sinr, power, 1.0)
    for solver in QUICK:
        options = {"max_steps": 100} if solver == "r-bal" else {}
        together = isacsim.solve(problem, solver, **options)
        infeasible = [status is Status.INFEASIBLE for status in together.status]
        assert infeasible == [False, True, False, True, False, False]
        for i in range(6):
            alone = isacsim.solve(isacsim.CrbMin(H[i], sinr[i], power[i], 1.0), solver, **options)
            assert alone.status is together.status[i]
            assert alone.notes == together.notes[i]
            for name in ("precoder", "objective", "gap", "bound", "iterations"):
                one, other = getattr(alone, name), getattr(together, name)[i]
                assert kit.raw_bytes(one) == kit.raw_bytes(other), (solver, i, name)


@pytest.mark.parametrize("solver", ALL)
def test_infeasible_is_an_answer_with_a_certificate(kit, solver):
    problem = kit.make_crb_min(3, 6, excess=0.99)
    solution = isacsim.solve(problem, solver)
    assert solution.status is Status.INFEASIBLE
    assert solution.bound == pytest.approx(kit.least_watts(problem), rel=1e-9)
    assert solution.bound > problem.power
    assert solution.notes[0].startswith("infeasible: the SINRs need at least")
    assert np.isnan(solution.objective)
    assert np.isnan(solution.precoder).all()


@pytest.mark.parametrize(("solver", "steps"), [("primal-dual-newton", 3), ("r-bal", 30), ("bal", 30)])
def test_the_trace_tells_what_happened(kit, solver, steps):
    problem = kit.make_crb_min(3, 6, batch=(2,), excess=1.5)
    solution = isacsim.solve(problem, solver, max_steps=steps)
    assert {"objective", "gap", "violation", "time"} <= set(solution.trace)
    for name, values in solution.trace.items():
        assert values.shape == (2, steps + 1), name
    signed = solution.trace["objective"] / solution.bound[:, None] - 1
    np.testing.assert_allclose(solution.trace["gap"], np.abs(signed), rtol=1e-9, atol=1e-12)
    assert np.all(solution.trace["violation"][:, 1:] >= 0)
    assert list(solution.status) == [Status.MAX_STEPS] * 2
    assert np.all(solution.gap > 0)
    for i in range(2):  # what is returned early still meets every constraint
        slack = attrs.evolve(problem, H=problem.H[i], power=problem.power[i]).constraints(solution.precoder[i])
        assert np.all(slack["sinr"] >= -1e-10)


def test_a_callback_sees_the_places_of_members_in_the_batch(kit):
    H = kit.complex_gaussian((3, 6, 3), 0)
    H[1, :, 2] = H[1, :, 0] + H[1, :, 1]  # of another rank: solved by itself
    seen = []
    isacsim.solve(isacsim.CrbMin(H, 0.9, 100.0, 1.0), callback=lambda p: seen.append(tuple(p.members)))
    isacsim.solve(isacsim.CrbMin(H, 5.0, [100.0, 1e6, 100.0], 1.0), callback=lambda p: seen.append(tuple(p.members)))
    assert {m for members in seen for m in members} <= {0, 1, 2}
    stopped = isacsim.solve(kit.make_crb_min(3, 6, excess=2.0), callback=lambda p: True)
    assert stopped.status is Status.MAX_STEPS
    assert stopped.notes == ("stopped by the callback",)


@pytest.mark.parametrize("solver", ALL)
def test_a_time_limit_leaves_beams_that_keep_all_constraints(kit, solver):
    problem = kit.make_crb_min(3, 6)
    solution = isacsim.solve(problem, solver, time_limit=1e-9)
    assert solution.status is Status.MAX_STEPS
    assert solution.notes == ("stopped by the time limit",)
    check_beams(problem, solution)


def nearly_parallel(kit):
    """Users whose channels hardly differ: the covariance spans six decades, where Newton steps creep."""
    rng = np.random.default_rng(5016)

    def draw(*shape):
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)

    H = draw(4, 1) + 0.01 * draw(4, 4)
    return kit.make_crb_min(H=H, min_sinr=10 ** rng.uniform(0, 2, 4), excess=1.5)


def test_a_member_that_stalls_is_handed_to_the_interior_point_method(kit):
    problem = nearly_parallel(kit)
    left = isacsim.solve(problem, fallback=0)
    assert left.status is Status.STALLED
    assert left.gap > 1e-8
    helped = isacsim.solve(problem)
    assert helped.notes[0].startswith("handed to r-ipm after")
    assert helped.gap < left.gap
    assert helped.status is (Status.OPTIMAL if helped.gap <= 1e-8 else Status.STALLED)
    check_beams(problem, helped)


def test_without_an_answer_of_the_backend_the_member_has_failed_and_the_brackets_of_newton_stay(kit, monkeypatch):
    problem = kit.make_crb_min(2, 6)
    monkeypatch.setattr(semidefinite, "run_program", kit.failing_backend)
    solution = isacsim.solve(problem, "r-ipm")
    assert solution.status is Status.FAILED
    assert solution.notes == (f"no answer, and the beams of least power are far off: {kit.FAILED_BACKENDS}",)
    assert np.all(np.isnan(solution.precoder))
    stuck = isacsim.solve(nearly_parallel(kit))
    assert stuck.status is Status.STALLED
    assert stuck.notes[0].endswith("which had no answer")
    assert stuck.notes[1] == kit.FAILED_BACKENDS


def test_a_shape_is_compiled_once(kit):
    before = program.cache_info()
    isacsim.solve(kit.make_crb_min(2, 7, batch=(3,)), "r-ipm")
    after = program.cache_info()
    assert after.misses - before.misses <= 1
    assert after.hits - before.hits >= 2
    assert program(2, 2, 2, True).problem.is_dcp(dpp=True)  # else cvxpy would compile each solve anew


def test_another_backend_gives_a_rougher_answer_with_an_honest_gap(kit):
    solution = isacsim.solve(kit.make_crb_min(2, 5), "r-ipm", backend="SCS", accuracy=1e-6)
    best = isacsim.solve(kit.make_crb_min(2, 5))
    assert solution.objective == pytest.approx(best.objective, rel=1e-3)
    assert solution.bound <= best.objective * (1 + 1e-12)
    with pytest.raises(InvalidInput, match="backend: must be one of its choices, got 'MOSEK'"):
        isacsim.solve(kit.make_crb_min(2, 5), "r-ipm", backend="MOSEK")


def test_starts_are_refused(kit):
    problem = kit.make_crb_min(2, 5)
    with pytest.raises(
        InvalidInput, match="initial: must not be given to a solver that finds the global optimum.*Leave it out"
    ):
        isacsim.solve(problem, initial=np.ones((5, 7)))
    with pytest.raises(InvalidInput, match="starts: must not be given to a solver that finds the global optimum"):
        isacsim.solve(problem, starts="mrt")


def test_hardware_that_is_not_ideal_is_refused(kit):
    problem = kit.make_crb_min(2, 5, transceiver=Transceiver(transmit=Aqnm(3)), power=10.0)
    with pytest.raises(InvalidInput, match=r"r-ipm designs for ideal hardware only, and transmit \(Aqnm\) is not"):
        isacsim.solve(problem, "r-ipm")


def test_the_default_solver_imports_no_modelling_language():
    import subprocess
    import sys

    code = (
        "import isacsim, numpy as np, sys;"
        "isacsim.solve(isacsim.CrbMin(np.eye(4)[:, :2], 9.0, 30.0, 1.0)); print('cvxpy' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "False"
