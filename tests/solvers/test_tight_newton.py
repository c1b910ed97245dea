"""Newton's method on tight constraints: its derivatives, its geometry, its steps, and the optima that it finds."""

import attrs
import numpy as np
import pytest

import isacsim
from isacsim import Aqnm, Ideal, Transceiver
from isacsim.batch import flatten, hermitian, inner, real_vectors, squared, take
from isacsim.compiled import compiled
from isacsim.records import member
from isacsim.solvers.base import Request
from isacsim.solvers.solution import Status
from isacsim.solvers.sqinr.least_power import least_power
from isacsim.solvers.sqinr.repair import full, inside
from isacsim.solvers.sqinr.tight import settle_each, settled
from isacsim.solvers.sqnr_max import conjugate_gradients
from isacsim.solvers.sqnr_max.conjugate_gradients import (
    BENT,
    DIRECTION,
    SHORTER,
    Steps,
    point_at,
    room,
    rounded,
    steps_each,
)
from isacsim.solvers.sqnr_max.echo import brightest, echoes_of, factors, gradient_at, slope_at, value_at
from isacsim.solvers.sqnr_max.lagrangian import Turning, lagrangian_at, missing, positive
from isacsim.solvers.sqnr_max.objectives import sqnr_groups
from isacsim.solvers.sqnr_max.starts import mixed
from isacsim.solvers.sqnr_max.tight_newton import MOVED, begin
from isacsim.solvers.sqnr_max.tight_optima import first, tight_optima

MIXED = Transceiver(Aqnm([10, 10, 3, 3, 3, 3, 3, 3]), Aqnm([2, 3, 3, 3, 3, 3, 3, 8]), Aqnm(3))
RESPONSES = ["extended", "points"]  # of full rank, and of three: both ways of a response


def posed(kit, kind="extended", seed=0, users=3, **options):
    """A group that is ready to be solved, its response, and a point to start from."""
    problem = kit.make_sqnr_max(kind, seed, users=users, **{"transceiver": MIXED, **options})
    (group,) = sqnr_groups(flatten(problem))
    group = attrs.evolve(group, feasible=least_power(group.system))
    ((_, response),) = group.system.objective.responses()
    return group, response, first(group, response, 1)


def point(kit, kind, **options):
    """A point that meets its constraints with equality: the group, its response, its normals, and the SQNR there."""
    group, response, V = posed(kit, kind, **options)
    way, broken = settled(group.system.constraints, V, np.ones((1, group.system.users + 1), bool))
    assert not broken.any()
    return group, response, way, echoes_of(response, way.V)


@pytest.mark.parametrize("kind", RESPONSES)
def test_the_sqnr_in_factors_and_its_gradient_are_those_of_the_covariance(kit, kind):
    group, response, way, echoes = point(kit, kind)
    value, gradient = group.system.objective.first_order(way.V)  # of the whole matrix
    assert response.thin == (kind == "points")
    np.testing.assert_allclose(echoes.value, value, rtol=1e-12)  # algebra
    np.testing.assert_allclose(echoes.half, gradient @ way.V, atol=1e-11 * value[0])
    np.testing.assert_allclose(gradient_at(response, echoes), gradient, atol=1e-11 * value[0])


@pytest.mark.parametrize("kind", RESPONSES)
@pytest.mark.parametrize("streams", [0, 2])
def test_the_first_point_has_all_power_meets_the_sqinrs_and_is_better_than_the_beams_of_least_power(kit, kind, streams):
    group, response, _ = posed(kit, kind)
    system, V = group.system, first(group, response, streams)
    # Three points are seen along three directions, one for each beam.
    streams = streams if kind == "extended" else 0
    assert V.shape[-1] == system.users + streams
    np.testing.assert_allclose(np.linalg.norm(V), 1.0, rtol=1e-12)
    assert system.slack(V)[:, :-1].min() >= -1e-12
    beams = np.pad(inside(system, group.feasible), ((0, 0), (0, 0), (0, streams)))
    assert value_at(response, V)[0] > value_at(response, beams)[0]


def test_bright_directions_are_nearly_the_best_ones(kit):
    _, response, V = posed(kit, "extended", seed=1)
    echoes = echoes_of(response, V)
    gain = response.A @ slope_at(response, echoes) @ response.AH
    U = np.sqrt(2) * brightest(response, V, 2)
    np.testing.assert_allclose(hermitian(U)[0] @ U[0], np.eye(2), atol=1e-12)
    # Four of eight directions are gone through: what is left out has lost the cube of the ratio of eigenvalues.
    assert np.trace(hermitian(U)[0] @ gain[0] @ U[0]).real > 0.98 * np.linalg.eigvalsh(gain[0])[-2:].sum()


def test_the_share_of_a_mix_is_the_first_that_fits(kit):
    group, response, _ = posed(kit)
    system, beams = group.system, inside(group.system, group.feasible)
    other = brightest(response, beams, 3)  # out of phase: both slacks and the power have a part of both
    shares = np.array([0.9, 0.5, 0.2, 0.1, 0.05, 0.01])
    mixes = [full(np.sqrt(1 - share) * beams + np.sqrt(share) * other) for share in shares]
    fits = [system.slack(V)[:, :-1].min() >= 0 for V in mixes]
    assert not fits[0]
    np.testing.assert_allclose(mixed(system, beams, other, shares), mixes[fits.index(True)], atol=1e-14)


def test_a_metric_is_kept_until_the_objective_has_moved(kit):
    group, _, _ = posed(kit)
    states = []
    tight_optima(group, Request(callback=lambda progress: states.append(progress.state)), 1e-6, 200)
    made = [state.turning.value[0] for state in states]
    assert 1 < len(set(made)) < len(states) / 2
    for state in states:
        assert abs(state.objective[0] - state.turning.value[0]) <= MOVED * state.objective[0]


def test_factors_have_the_rank_and_the_product_of_a_matrix(kit):
    G = kit.complex_gaussian((2, 9, 3), 0) @ kit.complex_gaussian((2, 3, 12), 1)
    G[1] = kit.complex_gaussian((9, 12), 2)
    rank, B, A = factors(G, 4)
    assert rank.tolist() == [3, 5]  # most + 1 stands for more
    np.testing.assert_allclose(B[0, :, :3] @ hermitian(A[0, :, :3]), G[0], atol=1e-12)
    np.testing.assert_allclose(hermitian(B[0]) @ B[0], np.eye(5), atol=1e-12)


def test_normals_are_half_of_the_derivatives_of_the_slacks(kit):
    group, _, way, _ = point(kit, "extended")
    system, D = group.system, kit.complex_gaussian(way.V.shape, 3)
    slope = kit.central_difference(lambda t: system.slack(way.V + t * D), 1e-3)
    along = np.array([2 * inner(way.mixed(weights[None]), D)[0] for weights in np.eye(4)])
    np.testing.assert_allclose(slope[0], along, rtol=1e-9)  # slacks are quadratic: rounding alone
    # What normals make up of a mix of them are its weights.
    np.testing.assert_allclose(way.components(way.mixed(np.arange(4.0)[None])), [np.arange(4.0)], atol=1e-10)


def test_the_way_back_ends_at_equality_and_takes_up_constraints_that_are_violated(kit):
    group, _, V = posed(kit)
    way, broken = settled(group.system.constraints, V, np.array([[True, True, True, True]]))
    assert not broken[0]
    equal = 2e-12 * (1 + group.system.ratio * squared(group.system.HH @ way.V)[:, np.arange(3), np.arange(3)])
    assert np.all(np.abs(group.system.slack(way.V)[:, :-1]) <= equal)  # relative to what a user receives
    # Without the first user's beam nothing but its constraint can notice.
    weak = way.V * np.array([0.99, 1, 1, 1])
    again, broken = settled(group.system.constraints, weak, np.array([[False, True, True, True]]))
    assert again.tight.all()
    assert not broken[0]
    assert np.all(np.abs(group.system.slack(again.V)[:, :-1]) <= equal)


def asked(kit, kind, radius, accuracy=1e-6):
    """What conjugate gradients are asked at a point, and room for their answer."""
    group, response, way, echoes = point(kit, kind)
    multipliers = np.abs(way.components(echoes.half)) + 0.1 * echoes.value[:, None]
    turning = Turning.at(group.system.constraints, response, echoes, multipliers)
    lagrangian = lagrangian_at(group.system.constraints, echoes, way, multipliers, turning)
    gradient = echoes.half - way.mixed(way.components(echoes.half))
    data, n = (response, point_at(echoes)), len(SHORTER)
    steps = Steps(np.zeros((1, n, 2 * way.V[0].size)), np.zeros((1, n)), np.zeros((1, n)), np.zeros(1, int))
    numbers = (real_vectors(gradient), np.array([radius]), np.array([accuracy]))
    return (*data, *lagrangian, *numbers, *room(group.system.H, response, way.V), steps), way, multipliers


def bent(arguments, D):
    """The product of the curvature at what was asked with D (N, L)."""
    vectors, product = arguments[10:12]
    one = [member(each, 0) for each in arguments[:3]]
    vectors.columns[DIRECTION] = D
    conjugate_gradients.bend(*one, vectors, product)
    return vectors.columns[BENT].copy()


@pytest.mark.parametrize("kind", RESPONSES)
def test_products_with_the_curvature_are_derivatives_of_the_lagrangians_gradient(kit, kind):
    arguments, way, multipliers = asked(kit, kind, 1.0)
    group, response, _, _ = point(kit, kind)
    D = kit.complex_gaussian(way.V.shape, 4)

    def half(t):
        V, system = way.V + t * D, group.system
        R = system.HH @ V
        R[:, np.arange(3), np.arange(3)] *= 1 - system.ratio
        normals = -(system.H @ (multipliers[:, :-1, None] * R) + (system.load @ multipliers[..., None]) * V)
        return echoes_of(response, V).half + normals

    slope = kit.central_difference(half, 1e-4)
    # Sixth order in a step of 1e-4, and the rounding of f over it.
    np.testing.assert_allclose(bent(arguments, D[0]), slope[0], atol=1e-7 * np.abs(slope).max())


@pytest.mark.parametrize("kind", RESPONSES)
def test_in_single_precision_products_keep_its_digits(kit, kind):
    arguments, way, _ = asked(kit, kind, 1.0)
    D = kit.complex_gaussian(way.V.shape, 4)[0]
    exact = bent(arguments, D)
    asked_for = tuple(rounded(part) for part in arguments[:5])
    assert {each.dtype.char for part in asked_for for each in part} == {"F", "f"}
    record = (*asked_for, *arguments[5:8], *room(asked_for[2].H, asked_for[0], way.V))
    # Sums of some ten terms of the size of the result, each with half a digit of 6e-8.
    assert np.linalg.norm(bent(record, D) - exact) <= 3e-6 * np.linalg.norm(exact)


@pytest.mark.parametrize("kind", RESPONSES)
def test_steps_keep_the_radius_the_tangent_space_and_the_promise_of_the_model(kit, kind):
    arguments, way, _ = asked(kit, kind, 0.05)
    steps_each(*arguments)  # as written, in plain Python
    steps, gradient = arguments[-1], arguments[5]
    assert steps.length[0] == pytest.approx(0.05 * np.array(SHORTER), rel=1e-9) or steps.length[0, 0] < 0.05
    for step, rise in zip(steps.step[0], steps.rise[0], strict=True):
        columns = step.view(complex).reshape(way.V.shape)
        np.testing.assert_allclose(way.components(columns), 0.0, atol=1e-9)
        product = bent(arguments, columns[0]).reshape(-1).view(float)
        assert rise == pytest.approx(2 * gradient[0] @ step + step @ product, rel=1e-6)
        assert rise > 0


def test_what_is_compiled_computes_what_is_written(kit, monkeypatch):
    fast = [tight_optima(posed(kit, kind)[0], Request(), 1e-6, 200)[0] for kind in RESPONSES]
    for module in ("sqinr.tight", "sqnr_max.tight_newton"):
        monkeypatch.setattr(f"isacsim.solvers.{module}.compiled", lambda function: function)
    for kind, mine in zip(RESPONSES, fast, strict=True):
        other, found = tight_optima(posed(kit, kind, users=3)[0], Request(), 1e-6, 200)
        assert found.all()
        # The same operations in another BLAS; at an optimum rounding counts squared.
        np.testing.assert_allclose(mine.objective, other.objective, rtol=1e-9)


def test_responses_of_any_rank_are_of_one_type_to_the_kernels(kit):
    for kind in RESPONSES:
        for members in (1, 2):
            for careful in (False, True):
                tight_optima(posed(kit, kind, batch=(members,))[0], Request(), 1e-6, 200, careful)
    assert len(compiled(steps_each).signatures) == 2  # of two precisions; another one would be compiled for seconds
    assert len(compiled(settle_each).signatures) == 1


@pytest.mark.parametrize("kind", RESPONSES)
def test_the_optimum_is_that_of_another_method(kit, kind):
    problem = kit.make_sqnr_max(kind, users=3, transceiver=MIXED)
    solution = isacsim.solve(problem)
    other = isacsim.solve(problem, "augmented-lagrangian", starts="least-power", tolerance=1e-6)
    assert solution.status is Status.STATIONARY
    assert solution.objective == pytest.approx(other.objective, rel=1e-9)  # two methods to 1e-6, which counts squared
    assert "products" in solution.trace
    rises = solution.trace["objective"][np.isfinite(solution.trace["objective"])]
    assert np.all(np.diff(rises) >= -1e-11 * rises[1:])


@pytest.mark.parametrize("kind", RESPONSES)
def test_the_second_way_leads_to_the_same_optimum(kit, kind):
    problem = kit.make_sqnr_max(kind, users=3, transceiver=MIXED)
    solution, other = isacsim.solve(problem), isacsim.solve(problem, starts="least-power")
    assert solution.objective == pytest.approx(other.objective, rel=1e-9)  # two ways to 1e-6, which counts squared


def test_a_user_with_slack_is_let_go(kit):
    group, _, _ = posed(kit, users=1, min_sqinr=[0.1])  # its beam is a sensing stream as well
    states = []
    solution, found = tight_optima(group, Request(callback=lambda progress: states.append(progress.state)), 1e-6, 200)
    assert found.all()
    assert solution.status[0].good
    assert not states[-1].tight[0, 0]
    assert states[-1].multipliers[0, 0] == 0
    # What it asks costs nothing: the optimum is that without users.
    alone, _, _ = posed(kit, users=1, min_sqinr=[0.0])
    without, _ = tight_optima(alone, Request(), 1e-6, 200)
    assert solution.objective == pytest.approx(without.objective, rel=1e-9)


def test_streams_are_added_until_no_new_one_gains(kit):
    group, response, _ = posed(kit, users=1)
    solution, found = tight_optima(group, Request(), 1e-6, 200)
    assert found.all()
    V = solution.precoder
    state = begin(group.system, response, V, 1e-6)
    echoes = echoes_of(response, state.precoder)
    lacks = missing(group.system.constraints, response, echoes, state.multipliers, np.array([0]))[0]
    assert positive(lacks, 2e-6 * state.objective[0])
    assert np.linalg.eigvalsh(lacks)[0] >= -2e-6 * state.objective[0]  # as Cholesky's factor says


def test_a_member_has_the_bytes_that_it_has_alone(kit):
    problem = kit.make_sqnr_max("extended", users=3, transceiver=MIXED)
    H = np.stack([kit.complex_gaussian(problem.H.shape, seed) for seed in range(5)])
    G = np.stack([kit.complex_gaussian(problem.G.shape, 10 + seed) for seed in range(5)])
    G[2] = G[2][:, :2] @ G[2][:2]  # another rank
    G[2] = G[2] if G[2].shape == problem.G.shape else G[0]
    batch = attrs.evolve(problem, H=H, G=G)
    together = isacsim.solve(batch)
    for i in range(5):
        alone = isacsim.solve(take(flatten(batch), np.array([i])))
        assert np.array_equal(alone.precoder[0], together.precoder[i])
        assert alone.objective[0] == together.objective[i]


@pytest.mark.parametrize("receive", [Ideal(), Aqnm(3)])
def test_ideal_converters_still_come_with_a_proof(kit, receive):
    problem = kit.make_sqnr_max("extended", users=2, transceiver=Transceiver(Ideal(), receive, Aqnm(3)))
    solution = isacsim.solve(problem)
    assert solution.status.good
    if receive.is_ideal:
        assert solution.status is Status.GLOBAL
        assert -1e-9 <= solution.gap <= 1e-6
