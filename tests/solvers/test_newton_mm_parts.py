"""The parts that `newton-mm` is made of, each against its own definition."""

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import isacsim
from isacsim.batch import flatten, frobenius2, hermitian, inner, take
from isacsim.linalg.parts import inverted, solve_into
from isacsim.linalg.stacked import ONE_BY_ONE, eigh, positive_inverse
from isacsim.records import member
from isacsim.solvers.base import Request
from isacsim.solvers.sqinr.curvature import times
from isacsim.solvers.sqinr.kkt import conditions, largest_eigenvalue
from isacsim.solvers.sqinr.least_power import least_power
from isacsim.solvers.sqinr.repair import fill_each, inside, repaired
from isacsim.solvers.sqnr_max.dual import Subproblem, curvature, evaluate, minimise, room
from isacsim.solvers.sqnr_max.newton_mm import adapt_each
from isacsim.solvers.sqnr_max.newton_system import newton_direction
from isacsim.solvers.sqnr_max.objectives import sqnr_groups
from isacsim.solvers.sqnr_max.starts import start

seeds = st.integers(0, 2**32 - 1)


def traced(problem, **options):
    """The solution, and the states of the iteration, which a start by name asks for."""
    states = []
    options.setdefault("starts", "least-power")
    solution = isacsim.solve(problem, callback=lambda progress: states.append(progress.state), **options)
    return solution, states


@pytest.mark.parametrize("n", [ONE_BY_ONE - 1, ONE_BY_ONE, ONE_BY_ONE + 9])
def test_positive_matrices_are_inverted_each_for_itself(kit, n):
    A = kit.complex_gaussian((3, n, n), n)
    matrices = A @ hermitian(A) + np.eye(n)
    inverses = positive_inverse(matrices)
    np.testing.assert_allclose(inverses @ matrices, np.tile(np.eye(n), (3, 1, 1)), atol=1e-10)  # conditions of 1e4
    assert inverses.flags.c_contiguous
    if n >= ONE_BY_ONE:
        assert np.array_equal(inverses, hermitian(inverses))
        matrices[1] -= 2 * np.eye(n) * np.linalg.eigvalsh(matrices[1])[0]
        again = positive_inverse(matrices)
        assert np.isnan(again[1]).all()
        assert np.array_equal(again[::2], inverses[::2])


def state_of(kit, kind="extended", seed=0, users=3, steps=4):
    """The state of an iteration that has not ended."""
    _, states = traced(kit.make_sqnr_max(kind, seed, users=users), max_steps=steps)
    return states[-1]


def test_the_dual_function_has_the_gradient_and_the_hessian_it_tells(kit):
    state = state_of(kit)
    system, surrogate = state.system, state.surrogate
    M = surrogate.M[0] + 0.1 * np.eye(8)
    problem = Subproblem(surrogate.C[0], M, member(system.constraints, 0))
    z = state.multipliers[0] * [0.9, 1.1, 0.8, 1.2]

    def at(t, j):
        shifted = z.copy()
        shifted[j] += t
        point = room(8, 3, surrogate.C.shape[-1])
        assert evaluate(problem, shifted, point)
        return point

    here, half = at(0.0, 0), np.empty((4, 4))
    curvature(problem, here, half)
    for j in range(4):
        h = 1e-3 * z[j]
        # Central differences of sixth order: the step to the sixth, and rounding.
        slope = kit.central_difference(lambda t, j=j: at(t, j).numbers[0], h)
        assert slope == pytest.approx(here.slope[j], rel=1e-6, abs=1e-9)
        bend = kit.central_difference(lambda t, j=j: at(t, j).slope, h)
        np.testing.assert_allclose(bend, (half + half.T)[j], rtol=1e-5, atol=1e-9)


def written(function, allocates=False):
    """What takes the place of `compiled`: the function itself, in plain Python."""
    return function


@pytest.mark.parametrize(("kind", "users"), [("extended", 3), ("points", 3), ("extended", 0), ("extended", 1)])
def test_what_is_compiled_computes_what_is_written(kit, monkeypatch, kind, users):
    state = state_of(kit, kind, users=users, steps=2)
    system, V, z = state.system, state.precoder, state.multipliers
    M = state.surrogate.M + 0.03 * state.surrogate.value * np.eye(8)

    def everything():
        surrogate = system.objective.surrogate(V)
        kkt = conditions(system, V, z, surrogate)
        linear = system.to_maximise(kkt.gradient)
        flat = linear.objective.surrogate(V)
        steps = [newton_direction(s, V, z, a, kkt) for s, a in ((system, surrogate), (linear, flat))]
        # From far away: the search leaves the domain, and shortens steps.
        inner = [minimise(system, surrogate.C, M, factor * z, np.array([1e-6])) for factor in (1.0, 30.0, 1e-3)]
        found = (surrogate, kkt), (*np.concatenate(steps[0], axis=None), *np.concatenate(steps[1], axis=None)), inner
        return found[0], np.array(found[1]), [x for pair in found[2] for x in pair]

    fast = everything()
    for name in ("sqnr_max.dual", "sqinr.kkt", "sqnr_max.newton_system", "sqnr_max.objectives"):
        monkeypatch.setattr(f"isacsim.solvers.{name}.compiled", written)
    slow = everything()
    # The same operations, in another BLAS: rounding, which the Newton step enlarges by the condition of its equations.
    of_surrogate, of_kkt = ("value", "C", "M", "Q_inverse"), ("spectrum", "left", "slack", "violation")
    for mine, other, names in zip(fast[0], slow[0], (of_surrogate, of_kkt), strict=True):
        for name in names:
            np.testing.assert_allclose(getattr(mine, name), getattr(other, name), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(fast[1], slow[1], rtol=1e-6, atol=1e-6 * np.abs(slow[1]).max())
    for mine, other in zip(fast[2], slow[2], strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-6)


def test_a_step_is_lengthened_shortened_or_plain_by_what_it_brought():
    accepted, missing = np.array([1, 1, 1, 0, 0, 1, 0], bool), np.array([0, 0, 0, 0, 0, 1, 1], bool)
    progress, error = np.array([1e-3, 1e-3, 1e-8, 1.0, 1.0, 0.0, 0.0]), np.full(7, 0.1)
    length = np.array([0.1, 0.0, 1.0, 1.0, 0.01, 1.0, 1.0])
    longest, accuracy, share = np.ones(7), np.full(7, 1e-2), np.full(7, 1e-2)
    idle, added = np.ones(7), np.zeros(7)
    adapt_each(accepted, missing, progress, error, length, longest, accuracy, share, idle, added)
    # Longer; after a plain step, as long as may be; plain, since it leads to a saddle; shorter; plain.
    np.testing.assert_allclose(length, [0.4, 1.0, 0.0, 0.3, 0.0, 0.0, 1.0])
    assert longest[1] < 1
    assert longest.sum() == pytest.approx(6 + longest[1])
    assert accuracy[0] < 1e-2
    assert accuracy[3] == 1e-2
    assert idle.tolist() == [0, 0, 0, 2, 2, 0, 2]
    assert added.tolist() == [0, 0, 0, 0, 0, 1, 1]
    assert share[5:].max() < 1e-2


def test_what_is_singular_or_no_number_becomes_none_without_an_error(kit):
    singular, none = np.zeros((3, 3), complex), np.full((3, 3), np.nan, complex)
    for matrix in (singular, none):
        assert np.isnan(inverted(matrix)).all()
        x = np.ones(3)
        with np.errstate(all="ignore"):
            solve_into(matrix.real.copy(), x)
        assert np.isnan(x).all()


@pytest.mark.parametrize("fault", [np.nan, np.inf])
@pytest.mark.parametrize("everywhere", [True, False])  # LAPACK gives up on the one, and gives some numbers of the other
def test_a_matrix_that_is_no_number_has_no_eigenvectors_and_disturbs_no_other(kit, fault, everywhere):
    X = kit.complex_gaussian((2, 16, 16), 0)
    X = X + hermitian(X)
    alone = eigh(X[:1])
    X[1, 0, 0] = fault
    if everywhere:
        X[1] = fault
    for found, sound in zip(eigh(X), alone, strict=True):
        assert np.array_equal(found[:1], sound)
        assert np.isnan(found[1]).all()


@given(seeds)
@settings(max_examples=10)
def test_the_minimum_of_the_dual_is_the_best_point_under_the_surrogate(kit, seed):
    problem = kit.make_sqnr_max(seed=seed)
    (group,) = sqnr_groups(flatten(problem))
    system = group.system
    found = least_power(system)
    V = start(attrs.evolve(group, feasible=found), Request(), 2)
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
    solution, states = traced(kit.make_sqnr_max(kind, users=3), starts="least-power")
    assert solution.status.good
    last = states[-1]

    def errors(V, z):
        surrogate = last.system.objective.surrogate(V)
        kkt = conditions(last.system, V, z, surrogate)
        size = np.sqrt(frobenius2(kkt.left)) / surrogate.size + np.abs(kkt.slack).max(axis=-1)
        return size[0], surrogate, kkt

    left = []
    for away in (1e-4, 1e-5):
        V = last.precoder * (1 + away * kit.complex_gaussian(last.precoder.shape, 0))
        z = last.multipliers * (1 + away)
        before, surrogate, kkt = errors(V, z)
        dV, dz = newton_direction(last.system, V, z, surrogate, kkt)
        left.append(errors(V + dV, z + dz)[0])
        assert left[-1] < 0.01 * before
    # A tenth of the error leaves a hundredth, but for terms of higher order.
    assert left[1] < 0.02 * left[0]


def test_the_curvature_is_the_second_derivative_along_the_covariance(kit):
    state = state_of(kit, "points")
    objective, V = state.system.objective, state.precoder
    X = kit.complex_gaussian(V.shape, 5)
    dR = X @ hermitian(V) + V @ hermitian(X)
    curvature = objective.curvature(objective.surrogate(V), V)
    Z = np.concatenate([np.eye(8)[None], curvature.features], axis=-2)
    theta = np.einsum("bmi,bij,bmj->bm", Z, dR, np.conj(Z)).real[..., None]
    second = float((theta[0].T @ times(member(curvature, 0), theta[0]))[0, 0])
    # Along R + t dR, here with V + t X to second order.
    gradient = objective.gradient(objective.surrogate(V))
    curve = kit.central_difference(
        lambda t: 2 * inner(objective.gradient(objective.surrogate(V + t * X)) @ (V + t * X), X)[0], 1e-4
    )
    assert curve == pytest.approx(second + 2 * inner(gradient @ X, X)[0], rel=1e-6)


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
