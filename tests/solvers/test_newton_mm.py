"""`newton-mm`: reference optima, proofs, invariants, refusals, and what it is made of."""

from itertools import pairwise
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import isacsim
from isacsim import Aqnm, Ideal, InvalidInput, MidRise, SqnrMax, Transceiver
from isacsim.batch import flatten, hermitian, take
from isacsim.solvers.base import Request
from isacsim.solvers.solution import Status
from isacsim.solvers.sqinr.certificate import certify
from isacsim.solvers.sqinr.least_power import least_power
from isacsim.solvers.sqnr_max.newton_mm import NewtonMm
from isacsim.solvers.sqnr_max.objectives import Sqnr, sqnr_groups
from isacsim.solvers.sqnr_max.target import point_response

DATA = Path(__file__).parents[1] / "data" / "sqnr-max"
seeds = st.integers(0, 2**32 - 1)


def reference(name):
    """A reference instance, and its problem in mW."""
    d = np.load(DATA / f"{name}.npz")
    transceiver = Transceiver(Aqnm(d["bits_dac"]), Aqnm(d["bits_adc"]), Aqnm(d["bits_user"]))
    return d, SqnrMax(d["H"], d["G"], d["gamma"], d["P"], d["sigma2_k"], d["sigma2_r"], transceiver)


INSTANCES = sorted(path.stem for path in DATA.glob("*.npz"))
FEASIBLE = [name for name in INSTANCES if np.load(DATA / f"{name}.npz")["feasible"]]


def traced(problem, **options):
    """The solution, and the states of the iteration."""
    states = []
    solution = isacsim.solve(problem, callback=lambda progress: states.append(progress.state), **options)
    return solution, states


def check_solution(problem, solution):
    """What holds of every member with an answer, judged anew from its precoder."""
    slack = problem.constraints(solution.precoder)
    assert np.min(slack["sqinr"], initial=0.0) >= -1e-9  # the stopping rule allows 1e-10
    np.testing.assert_allclose(slack["total"], 0.0, atol=1e-12)  # rounding of a sum
    np.testing.assert_allclose(problem.objective(solution.precoder), solution.objective, rtol=1e-12)


# Reference instances


@pytest.mark.parametrize("name", FEASIBLE)
def test_the_reference_optima_are_reached(name):
    d, problem = reference(name)
    solution = isacsim.solve(problem)
    assert solution.status.good
    assert solution.objective / d["best_sqnr"] - 1 == pytest.approx(0, abs=1e-7)  # two iterated methods
    check_solution(problem, solution)
    if name.split("_")[1] == "point" or "ideal" in name:
        assert solution.status is Status.GLOBAL
        assert -1e-9 <= solution.gap <= 1e-6
        assert solution.bound == pytest.approx(solution.objective, rel=1.1e-6)


@pytest.mark.parametrize("name", FEASIBLE)
def test_without_users_the_reference_bound_is_reached(name):
    d, problem = reference(name)
    solution = isacsim.solve(attrs.evolve(problem, min_sqinr=0.0))
    # The reference is an iteration from several starts that ended at a relative 1e-7.
    assert solution.objective >= d["radar_only_sqnr"] * (1 - 1e-6)
    assert np.all(solution.precoder[:, : problem.users] == 0)
    assert solution.status.good


@pytest.mark.parametrize("name", FEASIBLE)
def test_linear_objectives_are_maximised_with_a_proof(name):
    d, problem = reference(name)
    (group,) = sqnr_groups(flatten(problem))
    # The reference maximises tr(Theta W W^H), which is what comes back through ideal converters of a root of Theta.
    spectrum, U = np.linalg.eigh(d["Theta"])
    G = (np.sqrt(np.maximum(spectrum, 0.0))[:, None] * hermitian(U)) * group.system.scale[0]
    e = np.zeros((1, len(G)))
    linear = Sqnr(G[None], e, e, point_response(G[None], e + 1, np.ones(1), e, e))
    system = attrs.evolve(group.system, objective=linear)
    solution = NewtonMm().optimise(attrs.evolve(group, system=system, feasible=least_power(system)), Request())
    assert solution.status[0] is Status.GLOBAL
    # The reference's own gap is up to 6e-6.
    assert solution.objective[0] == pytest.approx(float(d["lin_value"]), rel=1e-5)
    assert solution.bound[0] >= solution.objective[0] * (1 - 1e-9)


def test_an_unattainable_threshold_is_told_with_the_user_and_the_most_it_reaches():
    d, problem = reference("15_infeasible_threshold")
    solution = isacsim.solve(problem)
    assert solution.status is Status.INFEASIBLE
    assert np.isinf(solution.bound)
    assert np.isinf(d["P_min"])
    assert "SQINR 3.16228 of user 0 is unattainable" in solution.notes[0]
    assert "stays below 1.7" in solution.notes[0]


# Kinds of instances


KINDS = {
    "extended, mixed converters at the transmitter": {"transmit": Aqnm([10, 10, 3, 3, 3, 3, 3, 3])},
    "three points": {"kind": "points"},
    "ideal base station": {"transmit": Ideal(), "receive": Ideal(), "user": Aqnm(2)},
    "few receivers": {"receivers": 3},
    "as many users as antennas": {"antennas": 4, "users": 4, "sqinr_db": 0.0},
    "point through mixed converters": {
        "kind": "point",
        "transmit": Aqnm([10, 10, 3, 3, 3, 3, 3, 3]),
        "receive": Aqnm([1, 2, 3, 4, 5, 6, 3, 3]),
    },
    "uniform codebooks and steps of one's own": {
        "transmit": Aqnm(3, table="uniform"),
        "receive": MidRise(3, step=0.4, correlated=False),
    },
    "users without a requirement among others": {"users": 3, "min_sqinr": [0.0, 3.0, 0.0]},
    "unequal users": {"users": 3, "min_sqinr": [1.0, 3.0, 0.3], "noise_power": [1.0, 0.1, 3.0]},
}


@pytest.mark.parametrize("what", sorted(KINDS))
def test_every_kind_of_instance_is_solved_from_two_starts_alike(kit, what):
    changes = dict(KINDS[what])
    sides = {side: changes.pop(side, Aqnm(3)) for side in ("transmit", "receive", "user")}
    problem = kit.make_sqnr_max(**changes, transceiver=Transceiver(**sides))
    solution = isacsim.solve(problem)
    assert solution.status.good, solution.notes
    check_solution(problem, solution)
    other = isacsim.solve(problem, starts="random", rng=np.random.default_rng(0))
    # Not proven in general, but two starts have found one optimum in all instances known.
    assert other.objective == pytest.approx(solution.objective, rel=1e-6)


def test_the_least_power_is_told_where_the_power_is_less(kit):
    problem = kit.make_sqnr_max(users=3, sqinr_db=8.0)
    (group,) = sqnr_groups(flatten(problem))
    system = group.system
    needed = 100.0 * least_power(system).power[0]
    solution = isacsim.solve(attrs.evolve(problem, power=0.5 * needed))
    assert solution.status is Status.INFEASIBLE
    assert solution.bound == pytest.approx(needed, rel=1e-9)
    assert f"need at least {needed:.6g}"[:24] in solution.notes[0]
    assert np.isnan(solution.precoder).all()
    assert np.isnan(solution.objective)


@pytest.mark.parametrize("kind", ["extended", "point"])
@pytest.mark.parametrize("excess", [1e-4, 1e-8])
def test_a_power_just_above_the_least_is_solved(kit, kind, excess):
    problem = kit.make_sqnr_max(kind, users=3, sqinr_db=8.0)
    (group,) = sqnr_groups(flatten(problem))
    system = group.system
    power = 100.0 * least_power(system).power[0] * (1 + excess)
    barely = attrs.evolve(problem, power=power)
    solution = isacsim.solve(barely)
    assert solution.status.good
    check_solution(barely, solution)
    assert any("exceeds the least" in note for note in solution.notes) == (excess < 1e-6)


@pytest.mark.parametrize("power", [1e4, 1e9])
def test_a_power_far_above_the_least_is_solved(kit, power):
    problem = kit.make_sqnr_max("point", users=3, power=power)
    solution = isacsim.solve(problem)
    assert solution.status.good
    check_solution(problem, solution)


def test_without_an_echo_every_precoder_that_meets_the_sqinrs_is_optimal(kit):
    problem = kit.make_sqnr_max(G=np.zeros((8, 8)))
    for asked in (3.0, 0.0):
        solution = isacsim.solve(attrs.evolve(problem, min_sqinr=asked))
        assert (solution.status, solution.objective, solution.gap) == (Status.GLOBAL, 0.0, 0.0)
        assert "zero" in solution.notes[0]
        check_solution(attrs.evolve(problem, min_sqinr=asked), solution)


@given(seeds, st.integers(1, 6), st.integers(1, 6))
@settings(max_examples=10)
def test_on_ideal_hardware_without_users_one_stream_takes_the_strongest_direction(kit, seed, antennas, receivers):
    G = kit.complex_gaussian((receivers, antennas), seed)
    problem = SqnrMax(np.zeros((antennas, 0)), G, 0.0, 2.0, 1.0, 0.5)
    solution = isacsim.solve(problem)
    assert solution.status is Status.GLOBAL
    # tr(G R G^H) / sigma^2 is at most power times the largest squared singular value.
    assert solution.objective == pytest.approx(4.0 * np.linalg.norm(G, 2) ** 2, rel=1e-9)


def test_behind_uniform_converters_without_users_the_beam_points_at_the_target(kit):
    problem = kit.make_sqnr_max("point", users=0, transceiver=Transceiver(transmit=Aqnm(3), receive=Aqnm(2)))
    W = isacsim.solve(problem).precoder
    a = kit.steering(8, 0.7, -1) / np.sqrt(8)
    R = W @ hermitian(W)
    alpha = problem.transceiver.transmit.linear_model(np.eye(8)).gain[0].real
    # [Xu25]: R = (P / alpha) a a^H / N_t, up to what the gap of 1e-6 leaves open.
    assert (np.conj(a) @ R @ a).real == pytest.approx(100.0 / alpha, rel=1e-6)


def test_more_is_asked_of_the_users_at_the_expense_of_the_echo(kit):
    problem = kit.make_sqnr_max(batch=(5,), users=3)
    batch = attrs.evolve(problem, H=problem.H[:1], min_sqinr=10 ** np.array([[-3.0], [2], [5], [8], [10]]) / 10)
    values = isacsim.solve(batch).objective
    alone = isacsim.solve(attrs.evolve(problem, H=problem.H[0], min_sqinr=0.0)).objective
    assert np.all(np.diff(values[np.isfinite(values)]) < 0)
    assert alone >= values[0] * (1 - 1e-9)


# Iteration


@pytest.mark.parametrize("kind", ["extended", "points", "point"])
def test_the_objective_never_falls(kit, kind):
    problem = kit.make_sqnr_max(kind, users=3)
    _, states = traced(problem, starts="random", rng=np.random.default_rng(0))
    assert len(states) > 2
    for old, new in pairwise(states):
        assert new.objective[0] >= old.objective[0] * (1 - 1e-11)  # both meet their constraints with equality
        assert new.system.slack(new.precoder).min() >= -1e-9


def test_no_column_block_has_an_eigenvalue_above_the_tolerance(kit):
    problem = kit.make_sqnr_max(users=3, bits=[1, 2, 3, 4, 5, 6, np.inf, 2], transceiver=Transceiver(user=Aqnm(3)))
    problem = attrs.evolve(problem, transceiver=Transceiver(Aqnm([1, 2, 3, 4, 5, 6, np.inf, 2]), Aqnm(3), Aqnm(3)))
    _, states = traced(problem)
    state = states[-1]
    proven = certify(state.system, state.precoder, state.multipliers)
    assert proven.eigenvalue[0] <= 2e-6  # asked of the stream block alone, within 1e-6
    assert proven.residual[0] <= 1e-6
    # Independent of the secular equation: the blocks themselves.
    objective = state.system.objective
    H, weights = state.system.H[0], (state.multipliers[0, :-1] * state.system.ratio[0])
    S = objective.first_order(state.precoder)[1][0] - (H * state.multipliers[0, :-1]) @ H.conj().T
    S -= np.diag(state.system.load[0] @ state.multipliers[0])
    blocks = [S] + [S + w * np.outer(h, h.conj()) for w, h in zip(weights, H.T, strict=True)]
    largest = max(np.linalg.eigvalsh(block)[-1] for block in blocks) / proven.value[0]
    assert largest == pytest.approx(proven.eigenvalue[0], abs=1e-9)


def test_a_missing_sensing_stream_is_found():
    d, problem = reference("10_K1_ext_needs_radar_streams")
    # One user's beam alone; the thousandth of the power that a start has in streams is one stream.
    W = np.zeros((8, 9), complex)
    W[:, 0] = problem.H[:, 0]
    solution = isacsim.solve(problem, initial=W)
    assert solution.status is Status.STATIONARY
    assert solution.objective == pytest.approx(float(d["best_sqnr"]), rel=1e-7)


def test_a_given_precoder_is_where_it_starts(kit):
    problem = kit.make_sqnr_max(users=3)
    best = isacsim.solve(problem)
    again = isacsim.solve(problem, initial=best.precoder)
    # But for the thousandth of the power that a start gives to sensing streams where it has none.
    assert again.trace["objective"][0] == pytest.approx(best.objective, rel=1e-3)
    assert again.iterations < best.iterations
    assert again.objective == pytest.approx(best.objective, rel=1e-8)


def test_limits_are_told_and_leave_a_precoder_that_meets_the_sqinrs(kit):
    problem = kit.make_sqnr_max(users=3)
    for steps in (1, 2, 3):
        solution = isacsim.solve(problem, max_steps=steps)
        assert solution.status is Status.MAX_STEPS
        check_solution(problem, solution)
    hurried = isacsim.solve(problem, time_limit=1e-9)
    assert hurried.status is Status.MAX_STEPS
    assert "time limit" in hurried.notes[0]
    check_solution(problem, hurried)


def test_units_of_power_and_of_channels_do_not_matter(kit):
    problem = kit.make_sqnr_max(users=2)
    value = isacsim.solve(problem).objective
    watts = attrs.evolve(problem, power=0.1, noise_power=1e-3, radar_noise_power=1e-3)
    assert isacsim.solve(watts).objective == pytest.approx(value, rel=1e-9)
    loud = attrs.evolve(problem, H=7j * problem.H, G=0.01j * problem.G, noise_power=49.0, radar_noise_power=1e-4)
    assert isacsim.solve(loud).objective == pytest.approx(value, rel=1e-9)


def test_a_member_has_the_bytes_it_has_alone_whatever_stands_beside_it(kit):
    kinds = ["extended", "point", "points", "extended", "point", "extended"]
    G = np.stack([kit.make_sqnr_max(kind, 9 + i, antennas=6, receivers=6).G for i, kind in enumerate(kinds)])
    G[5] = 0
    asked = np.array([[1, 2], [2, 1], [0, 1], [0, 0], [1, 1], [1, 1]], float)
    problem = flatten(kit.make_sqnr_max(antennas=6, receivers=6, batch=(6,), bits=4, G=G, min_sqinr=asked))
    whole = isacsim.solve(problem)
    assert all(status.answered for status in whole.status)
    for i in range(6):
        alone = isacsim.solve(take(problem, np.array([i])))
        for name in ("precoder", "objective", "residual", "bound", "gap"):
            assert kit.raw_bytes(getattr(alone, name)[0]) == kit.raw_bytes(getattr(whole, name)[i]), name
        assert alone.iterations[0] == whole.iterations[i]
        assert alone.status[0] is whole.status[i]


def test_chunks_change_no_bytes(kit, monkeypatch):
    problem = kit.make_sqnr_max(antennas=4, batch=(5,))
    whole = isacsim.solve(problem)
    monkeypatch.setattr(NewtonMm, "chunk", lambda self, system: 2)
    parts = isacsim.solve(problem)
    assert kit.raw_bytes(parts.precoder) == kit.raw_bytes(whole.precoder)
    assert kit.raw_bytes(parts.objective) == kit.raw_bytes(whole.objective)


def test_hardware_that_is_no_converter_and_has_no_derivative_is_refused(kit):
    from isacsim.hardware.base import Hardware, LinearModel

    class Saturating(Hardware):
        def apply(self, x, rng=None, *, power=None):
            return x / (1 + abs(x))

        def linear_model(self, R):
            power = np.diagonal(R, axis1=-2, axis2=-1).real
            return LinearModel(1 / (1 + power), 0.1 * power)

    with pytest.raises(InvalidInput, match=r"needs the derivative of hardware, and transmit \(Saturating\) gives none"):
        isacsim.solve(kit.make_sqnr_max(transceiver=Transceiver(transmit=Saturating())))
