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
from isacsim.batch import flatten, frobenius2, hermitian, inner, take
from isacsim.solvers.base import Request
from isacsim.solvers.solution import Status
from isacsim.solvers.sqnr_max.certificate import certify
from isacsim.solvers.sqnr_max.dual import evaluate, minimise
from isacsim.solvers.sqnr_max.feasibility import feasibility
from isacsim.solvers.sqnr_max.few_targets import MOST, coefficients, polarisation, row_space
from isacsim.solvers.sqnr_max.kkt import conditions, largest_eigenvalue
from isacsim.solvers.sqnr_max.newton_mm import NewtonMm
from isacsim.solvers.sqnr_max.newton_system import newton_direction
from isacsim.solvers.sqnr_max.repair import repaired
from isacsim.solvers.sqnr_max.starts import start
from isacsim.solvers.sqnr_max.system import systems

DATA = Path(__file__).parents[1] / "data" / "sqnr-max"
seeds = st.integers(0, 2**32 - 1)


def reference(name):
    """A reference instance, and its problem in mW."""
    d = np.load(DATA / f"{name}.npz")
    transceiver = Transceiver(Aqnm(d["bits_dac"]), Aqnm(d["bits_adc"]), Aqnm(d["bits_user"]))
    return d, SqnrMax(d["H"], d["G"], d["gamma"], d["P"], d["sigma2_k"], d["sigma2_r"], transceiver)


INSTANCES = sorted(path.stem for path in DATA.glob("*.npz"))
FEASIBLE = [name for name in INSTANCES if np.load(DATA / f"{name}.npz")["feasible"]]


def steering(antennas, angle, sign=1):
    return np.exp(sign * 1j * np.pi * np.arange(antennas) * np.sin(angle))


def response(kit, kind, receivers, antennas, seed):
    """A response of given kind: extended, point, or of three points."""
    if kind == "extended":
        return 0.3 * kit.complex_gaussian((receivers, antennas), seed)
    angles = [0.7, -0.4, 0.1][: 1 if kind == "point" else 3]
    echoes = [np.outer(steering(receivers, t), steering(antennas, t, -1).conj()) for t in angles]
    return 0.3 * sum(np.exp(1j * n) * echo for n, echo in enumerate(echoes))


def make_problem(kit, kind="extended", seed=0, antennas=8, users=2, receivers=8, bits=3, sqinr_db=5.0, **new):
    """Rayleigh channels at a power of 20 dB over the noise, converters of the same bits everywhere."""
    shape = (*new.pop("batch", ()), antennas, users)
    converters = Aqnm(bits)
    arguments = {
        "H": kit.complex_gaussian(shape, seed),
        "G": response(kit, kind, receivers, antennas, seed + 1),
        "min_sqinr": 10 ** (sqinr_db / 10),
        "power": 100.0,
        "noise_power": 1.0,
        "radar_noise_power": 1.0,
        "transceiver": Transceiver(converters, converters, converters),
    }
    return SqnrMax(**{**arguments, **new})


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
    ((places, who, system),) = systems(flatten(problem))
    scale = system.scale[0]
    theta = np.conj(scale)[:, None] * d["Theta"] * scale
    solution = NewtonMm().maximise(system.to_maximise(theta[None]), feasibility(system), Request(), who, places)
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
    "uniform codebooks and steps of one's own": {"transmit": Aqnm(3, table="uniform"), "receive": MidRise(3, step=0.4)},
    "users without a requirement among others": {"users": 3, "min_sqinr": [0.0, 3.0, 0.0]},
    "unequal users": {"users": 3, "min_sqinr": [1.0, 3.0, 0.3], "noise_power": [1.0, 0.1, 3.0]},
}


@pytest.mark.parametrize("what", sorted(KINDS))
def test_every_kind_of_instance_is_solved_from_two_starts_alike(kit, what):
    changes = dict(KINDS[what])
    sides = {side: changes.pop(side, Aqnm(3)) for side in ("transmit", "receive", "user")}
    problem = make_problem(kit, **changes, transceiver=Transceiver(**sides))
    solution = isacsim.solve(problem)
    assert solution.status.good, solution.notes
    check_solution(problem, solution)
    other = isacsim.solve(problem, starts="random", rng=np.random.default_rng(0))
    # Not proven in general, but two starts have found one optimum in all instances known.
    assert other.objective == pytest.approx(solution.objective, rel=1e-6)


def test_the_least_power_is_told_where_the_power_is_less(kit):
    problem = make_problem(kit, users=3, sqinr_db=8.0)
    ((_, _, system),) = systems(flatten(problem))
    needed = 100.0 * feasibility(system).power[0]
    solution = isacsim.solve(attrs.evolve(problem, power=0.5 * needed))
    assert solution.status is Status.INFEASIBLE
    assert solution.bound == pytest.approx(needed, rel=1e-9)
    assert f"need at least {needed:.6g}"[:24] in solution.notes[0]
    assert np.isnan(solution.precoder).all()
    assert np.isnan(solution.objective)


@pytest.mark.parametrize("kind", ["extended", "point"])
@pytest.mark.parametrize("excess", [1e-4, 1e-8])
def test_a_power_just_above_the_least_is_solved(kit, kind, excess):
    problem = make_problem(kit, kind, users=3, sqinr_db=8.0)
    ((_, _, system),) = systems(flatten(problem))
    power = 100.0 * feasibility(system).power[0] * (1 + excess)
    barely = attrs.evolve(problem, power=power)
    solution = isacsim.solve(barely)
    assert solution.status.good
    check_solution(barely, solution)
    assert any("exceeds the least" in note for note in solution.notes) == (excess < 1e-6)


@pytest.mark.parametrize("power", [1e4, 1e9])
def test_a_power_far_above_the_least_is_solved(kit, power):
    problem = make_problem(kit, "point", users=3, power=power)
    solution = isacsim.solve(problem)
    assert solution.status.good
    check_solution(problem, solution)


def test_without_an_echo_every_precoder_that_meets_the_sqinrs_is_optimal(kit):
    problem = make_problem(kit, G=np.zeros((8, 8)))
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
    problem = make_problem(kit, "point", users=0, transceiver=Transceiver(transmit=Aqnm(3), receive=Aqnm(2)))
    W = isacsim.solve(problem).precoder
    a = steering(8, 0.7, -1) / np.sqrt(8)
    R = W @ hermitian(W)
    alpha = problem.transceiver.transmit.linear_model(np.eye(8)).gain[0].real
    # [Xu25]: R = (P / alpha) a a^H / N_t, up to what the gap of 1e-6 leaves open.
    assert (np.conj(a) @ R @ a).real == pytest.approx(100.0 / alpha, rel=1e-6)


def test_more_is_asked_of_the_users_at_the_expense_of_the_echo(kit):
    problem = make_problem(kit, batch=(5,), users=3)
    batch = attrs.evolve(problem, H=problem.H[:1], min_sqinr=10 ** np.array([[-3.0], [2], [5], [8], [10]]) / 10)
    values = isacsim.solve(batch).objective
    alone = isacsim.solve(attrs.evolve(problem, H=problem.H[0], min_sqinr=0.0)).objective
    assert np.all(np.diff(values[np.isfinite(values)]) < 0)
    assert alone >= values[0] * (1 - 1e-9)


# Iteration


@pytest.mark.parametrize("kind", ["extended", "points", "point"])
def test_the_objective_never_falls(kit, kind):
    problem = make_problem(kit, kind, users=3)
    _, states = traced(problem)
    assert len(states) > 3
    for old, new in pairwise(states):
        # Each corrected to first order for what it violates, with the multipliers of the new point.
        rise = new.objective - old.objective + (new.multipliers * (new.kkt.slack - old.kkt.slack)).sum(axis=-1)
        assert rise[0] >= -1e-9 * new.objective[0]
        if max(old.violation[0], new.violation[0]) < 1e-9:
            assert new.objective[0] >= old.objective[0] * (1 - 1e-7)


def test_no_column_block_has_an_eigenvalue_above_the_tolerance(kit):
    problem = make_problem(kit, users=3, bits=[1, 2, 3, 4, 5, 6, np.inf, 2], transceiver=Transceiver(user=Aqnm(3)))
    problem = attrs.evolve(problem, transceiver=Transceiver(Aqnm([1, 2, 3, 4, 5, 6, np.inf, 2]), Aqnm(3), Aqnm(3)))
    _, states = traced(problem)
    state = states[-1]
    proven = certify(state.system, state.V, state.multipliers)
    assert proven.eigenvalue[0] <= 2e-6  # asked of the stream block alone, within 1e-6
    assert proven.residual[0] <= 1e-6
    # Independent of the secular equation: the blocks themselves.
    objective = state.system.objective
    S = state.system.lagrangian(objective.gradient(objective.surrogate(state.V)), state.multipliers)[0]
    H, weights = state.system.H[0], (state.multipliers[0, :-1] * state.system.ratio[0])
    blocks = [S] + [S + w * np.outer(h, h.conj()) for w, h in zip(weights, H.T, strict=True)]
    largest = max(np.linalg.eigvalsh(block)[-1] for block in blocks) / proven.value[0]
    assert largest == pytest.approx(proven.eigenvalue[0], abs=1e-9)


def test_a_missing_sensing_stream_is_found(kit):
    d, problem = reference("10_K1_ext_needs_radar_streams")
    ((places, who, system),) = systems(flatten(problem))
    # One user's beam alone, from where the surrogate by itself creates no stream.
    W = np.zeros((1, 8, 9), complex)
    W[..., 0] = problem.H[:, 0]
    V = start(system, feasibility(system), Request(initial=W), 1, who, places)
    V[..., 1] *= 1e-12
    solution = NewtonMm()._run(system, V / np.sqrt(frobenius2(V)), feasibility(system).multipliers, Request(), places)
    assert solution.status[0] is Status.STATIONARY
    assert solution.objective[0] == pytest.approx(float(d["best_sqnr"]), rel=1e-7)


def test_a_given_precoder_is_where_it_starts(kit):
    problem = make_problem(kit, users=3)
    best = isacsim.solve(problem)
    again = isacsim.solve(problem, initial=best.precoder)
    # But for the thousandth of the power that a start gives to sensing streams where it has none.
    assert again.trace["objective"][0] == pytest.approx(best.objective, rel=1e-3)
    assert again.iterations < best.iterations
    assert again.objective == pytest.approx(best.objective, rel=1e-8)


def test_limits_are_told_and_leave_a_precoder_that_meets_the_sqinrs(kit):
    problem = make_problem(kit, users=3)
    for steps in (1, 2, 3):
        solution = isacsim.solve(problem, max_steps=steps)
        assert solution.status is Status.MAX_STEPS
        check_solution(problem, solution)
    hurried = isacsim.solve(problem, time_limit=1e-9)
    assert hurried.status is Status.MAX_STEPS
    assert "time limit" in hurried.notes[0]
    check_solution(problem, hurried)


def test_units_of_power_and_of_channels_do_not_matter(kit):
    problem = make_problem(kit, users=2)
    value = isacsim.solve(problem).objective
    watts = attrs.evolve(problem, power=0.1, noise_power=1e-3, radar_noise_power=1e-3)
    assert isacsim.solve(watts).objective == pytest.approx(value, rel=1e-9)
    loud = attrs.evolve(problem, H=7j * problem.H, G=0.01j * problem.G, noise_power=49.0, radar_noise_power=1e-4)
    assert isacsim.solve(loud).objective == pytest.approx(value, rel=1e-9)


def test_a_member_has_the_bytes_it_has_alone_whatever_stands_beside_it(kit):
    kinds = ["extended", "point", "points", "extended", "point", "extended"]
    G = np.stack([response(kit, kind, 6, 6, 10 + i) for i, kind in enumerate(kinds)])
    G[5] = 0
    asked = np.array([[1, 2], [2, 1], [0, 1], [0, 0], [1, 1], [1, 1]], float)
    problem = flatten(make_problem(kit, antennas=6, receivers=6, batch=(6,), bits=4, G=G, min_sqinr=asked))
    whole = isacsim.solve(problem)
    assert all(status.answered for status in whole.status)
    for i in range(6):
        alone = isacsim.solve(take(problem, np.array([i])))
        for name in ("precoder", "objective", "residual", "bound", "gap"):
            assert kit.raw_bytes(getattr(alone, name)[0]) == kit.raw_bytes(getattr(whole, name)[i]), name
        assert alone.iterations[0] == whole.iterations[i]
        assert alone.status[0] is whole.status[i]


def test_hardware_that_is_no_converter_is_refused(kit):
    from isacsim.hardware.base import Hardware, LinearModel

    class Saturating(Hardware):
        def apply(self, x, rng=None, *, power=None):
            return x / (1 + abs(x))

        def linear_model(self, R):
            power = np.diagonal(R, axis1=-2, axis2=-1).real
            return LinearModel(1 / (1 + power), 0.1 * power)

    with pytest.raises(InvalidInput, match=r"transceiver.transmit: must add noise in proportion .* converters"):
        isacsim.solve(make_problem(kit, transceiver=Transceiver(transmit=Saturating())))


# Parts


def state_of(kit, kind="extended", seed=0, users=3, steps=4):
    """The state of an iteration that has not ended."""
    _, states = traced(make_problem(kit, kind, seed, users=users), max_steps=steps)
    return states[-1]


def test_the_dual_function_has_the_gradient_and_the_hessian_it_tells(kit):
    state = state_of(kit)
    system, surrogate = state.system, state.surrogate
    M = surrogate.M + 0.1 * np.eye(8)
    z = state.multipliers * [[0.9, 1.1, 0.8, 1.2]]

    def at(t, j):
        shifted = z.copy()
        shifted[0, j] += t
        return evaluate(system, surrogate.C, M, shifted)

    here = at(0.0, 0)
    assert here.inside.all()
    for j in range(4):
        h = 1e-3 * z[0, j]
        # Central differences of sixth order: the step to the sixth, and rounding.
        slope = kit.central_difference(lambda t, j=j: at(t, j).value[0], h)
        assert slope == pytest.approx(here.slope[0, j], rel=1e-6, abs=1e-9)
        curvature = kit.central_difference(lambda t, j=j: at(t, j).slope[0], h)
        np.testing.assert_allclose(curvature, here.curvature[0, j], rtol=1e-5, atol=1e-9)


@given(seeds)
@settings(max_examples=10)
def test_the_minimum_of_the_dual_is_the_best_point_under_the_surrogate(kit, seed):
    problem = make_problem(kit, seed=seed)
    ((places, who, system),) = systems(flatten(problem))
    found = feasibility(system)
    V = start(system, found, Request(), 2, who, places)
    surrogate = system.objective.surrogate(V)
    M = surrogate.M + 0.03 * surrogate.value * np.eye(8)
    mu = np.sqrt(frobenius2(surrogate.C))[:, None]
    z, best = minimise(system, surrogate.C, M, np.concatenate([found.multipliers * mu, mu], axis=-1), np.array([1e-10]))

    def value(X):
        return 2 * inner(surrogate.C, X) - inner(X, M @ X)

    assert system.slack(best).min() >= -1e-9
    assert np.all(np.abs(z * system.slack(best)) <= 1e-8 * surrogate.value)
    # No feasible point does better: not the start, nor one nearer to it.
    for share in (0.0, 0.5, 0.9):
        other = share * best + (1 - share) * V
        if system.slack(other).min() >= 0:
            assert value(other) <= value(best) * (1 + 1e-9)


@pytest.mark.parametrize("kind", ["extended", "points", "point"])
def test_the_newton_step_squares_the_error(kit, kind):
    solution, states = traced(make_problem(kit, kind, users=3))
    assert solution.status.good
    last = states[-1]

    def errors(V, z):
        surrogate = last.system.objective.surrogate(V)
        kkt = conditions(last.system, V, z, surrogate)
        size = np.sqrt(frobenius2(kkt.left)) / surrogate.size + np.abs(kkt.slack).max(axis=-1)
        return size[0], surrogate, kkt

    left = []
    for away in (1e-4, 1e-5):
        V = last.V * (1 + away * kit.complex_gaussian(last.V.shape, 0))
        z = last.multipliers * (1 + away)
        before, surrogate, kkt = errors(V, z)
        dV, dz = newton_direction(last.system, V, z, surrogate, kkt)
        left.append(errors(V + dV, z + dz)[0])
        assert left[-1] < 0.01 * before
    # A tenth of the error leaves a hundredth, but for terms of higher order.
    assert left[1] < 0.02 * left[0]


def test_the_curvature_of_few_targets_is_that_of_the_general_response(kit):
    state = state_of(kit, "points")
    system, V = state.system, state.V
    rank, basis = row_space(system.objective.G)
    assert rank[0] == 3
    known = attrs.evolve(system.objective, basis=np.ascontiguousarray(basis[..., :3]))
    X = kit.complex_gaussian(V.shape, 5)
    dR = X @ hermitian(V) + V @ hermitian(X)

    def second(objective):
        curvature = objective.curvature(objective.surrogate(V), V)
        Z = np.concatenate([np.eye(8)[None], curvature.features], axis=-2)
        theta = np.einsum("bmi,bij,bmj->bm", Z, dR, np.conj(Z)).real[..., None]
        return float((np.swapaxes(theta, -1, -2) @ curvature.times(theta))[0, 0, 0])

    general = attrs.evolve(known, basis=basis[..., :0])
    assert second(known) == pytest.approx(second(general), rel=1e-9)
    # And that is the second derivative of f along R + t dR, here with V + t X to second order.
    gradient = general.gradient(general.surrogate(V))
    curve = kit.central_difference(
        lambda t: 2 * inner(general.gradient(general.surrogate(V + t * X)) @ (V + t * X), X)[0], 1e-4
    )
    assert curve == pytest.approx(second(general) + 2 * inner(gradient @ X, X)[0], rel=1e-6)


@given(seeds, st.integers(1, MOST))
def test_polarisation_fixes_a_hermitian_matrix(kit, seed, r):
    X = kit.complex_gaussian((1, r, r), seed)
    J, b = X + hermitian(X), kit.complex_gaussian((1, 3, r), seed + 1)
    u, _, _ = polarisation(r)
    forms = np.einsum("im,bij,jm->bm", np.conj(u), J, u).real
    direct = np.einsum("bni,bij,bnj->bn", b, J, np.conj(b)).real
    np.testing.assert_allclose((coefficients(b) @ forms[..., None])[..., 0], direct, atol=1e-12)


@given(seeds, st.integers(1, 6))
def test_the_row_space_of_a_response_is_found(kit, seed, r):
    G = kit.complex_gaussian((1, 7, r), seed) @ kit.complex_gaussian((1, r, 6), seed + 1)
    rank, basis = row_space(G)
    assert rank[0] == min(r, MOST + 1)
    if r <= MOST:
        A = basis[..., :r]
        np.testing.assert_allclose(
            hermitian(A) @ A, np.eye(r)[None], atol=1e-7
        )  # Gram-Schmidt, ill conditioned at worst
        np.testing.assert_allclose(G @ A @ hermitian(A), G, atol=1e-9 * np.abs(G).max())


@given(seeds, st.floats(-3, 3))
def test_the_secular_equation_gives_the_largest_eigenvalue_from_above(kit, seed, size):
    X, h = kit.complex_gaussian((1, 5, 5), seed), kit.complex_gaussian((1, 5, 2), seed + 1)
    spectrum, U = np.linalg.eigh(X + hermitian(X))
    weights = np.array([[10.0**size, 0.0]])
    found = largest_eigenvalue(spectrum, np.abs(hermitian(h) @ U) ** 2, weights)
    for k in range(2):
        block = X[0] + hermitian(X)[0] + weights[0, k] * np.outer(h[0, :, k], np.conj(h[0, :, k]))
        largest = np.linalg.eigvalsh(block)[-1]
        scale = np.abs(largest) + weights[0, k] * np.linalg.norm(h[0, :, k]) ** 2
        assert -1e-12 * scale <= found[0, k] - largest <= 1e-11 * scale


def test_points_that_miss_sqinrs_a_little_are_repaired(kit):
    problem = make_problem(kit, batch=(2,), users=3)
    ((places, who, system),) = systems(flatten(problem))
    found = feasibility(system)
    V = start(system, found, Request(), 2, who, places)
    V[0, :, 0] *= 0.1
    V[1, :, 1] = V[1, :, 0]  # two users on one beam
    assert system.slack(V).min(axis=-1).max() < 0
    mended, _ = repaired(system, found, V)
    np.testing.assert_allclose(frobenius2(mended), 1.0, rtol=1e-12)
    assert system.slack(mended).min() >= -1e-10


# Robustness


def random_problem(seed):
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
        phases = np.exp(2j * np.pi * rng.uniform(size=angles.size))
        pairs = zip(phases, angles, strict=True)
        G = sum(p * np.outer(steering(receivers, t), steering(antennas, t, -1).conj()) for p, t in pairs)

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


def check_random(seed):
    """Solve one of the family; whether it is feasible."""
    problem = random_problem(seed)
    solution, states = traced(problem)
    if solution.status is Status.INFEASIBLE:
        # Told with a certificate: a user out of reach, or a least power beyond the power.
        assert solution.bound > problem.power
        assert solution.notes[0].startswith("infeasible")
        return False
    assert solution.status.good, (seed, solution)
    check_solution(problem, solution)
    state = states[-1]
    assert certify(state.system, state.V, state.multipliers).eigenvalue[0] <= 1e-5
    return True


def test_random_instances_are_solved():
    assert sum(check_random(seed) for seed in range(30)) >= 10


@pytest.mark.slow
def test_two_hundred_random_feasible_instances_are_solved():
    feasible, seed = 0, 1000
    while feasible < 200:
        feasible += check_random(seed)
        seed += 1
    assert seed < 2000
