"""The parts that the solvers of `CrbMin` are made of, each against its own definition."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import isacsim
from isacsim.batch import flatten, hermitian
from isacsim.linalg.hermitian import coordinates, matrices
from isacsim.records import blank, laid, member
from isacsim.solvers.crb_min.dual import evaluate, from_multipliers
from isacsim.solvers.crb_min.newton_start import near
from isacsim.solvers.crb_min.newton_system import SLOPE_XI, Iterate, Work, linearise
from isacsim.solvers.crb_min.recovery import cheapest, recovered, repaired
from isacsim.solvers.crb_min.reduction import precoders, reductions
from isacsim.solvers.crb_min.splitting import Splitting
from isacsim.solvers.crb_min.white import degenerate, white, white_beams
from isacsim.solvers.sqinr.least_power import ROUNDING, least_power, uplink
from isacsim.solvers.sqinr.repair import along_channels
from isacsim.solvers.sqnr_max.objectives import sqnr_groups

seeds = st.integers(0, 2**32 - 1)


def reduce(problem):
    """The reduced problem of channels that all have one rank."""
    (group,) = reductions(flatten(problem))
    reduced = group.system
    return reduced


def random_hermitian(kit, shape, seed):
    X = kit.complex_gaussian(shape, seed)
    return X + hermitian(X)


def definite(kit, shape, seed):
    X = kit.complex_gaussian(shape, seed)
    return X @ hermitian(X) + 0.1 * np.eye(shape[-1])


# Reduction and least power


def test_the_reduction_keeps_gains_and_gives_back_full_power(kit):
    problem = kit.make_crb_min(3, 8, batch=(2,), power=5.0)
    reduced = reduce(problem)
    assert (reduced.rank, reduced.spare) == (3, 5)
    lengths = np.linalg.norm(problem.H, axis=-2)
    gains = np.abs(hermitian(problem.H) @ problem.H) / (lengths[:, :, None] * lengths[:, None, :])
    np.testing.assert_allclose(np.abs(reduced.HH @ reduced.H), gains, atol=1e-14)
    users, sensing = kit.complex_gaussian((2, 3, 3), 1) / 3, definite(kit, (2, 3, 3), 2) / 9
    whole = precoders(reduced, np.concatenate([users, sensing], axis=-1))
    np.testing.assert_allclose(np.linalg.norm(whole, axis=(-2, -1)) ** 2, 5.0, rtol=1e-13)
    R = whole @ hermitian(whole) * 8 / 5
    inside = hermitian(reduced.basis) @ R @ reduced.basis
    np.testing.assert_allclose(inside, users @ hermitian(users) + sensing, atol=1e-13)
    # [Zhao26, Theorem 1]: what no user sees gets the same power in each dimension.
    rest = np.linalg.eigvalsh(R - reduced.basis @ inside @ hermitian(reduced.basis))[:, 3:]
    np.testing.assert_allclose(rest, np.broadcast_to(rest[:, :1], rest.shape), rtol=1e-12)


def test_members_of_different_rank_are_told_apart(kit):
    H = kit.complex_gaussian((4, 6, 3), 0)
    H[1, :, 2] = H[1, :, 0] * (0.3 + 1j)
    H[3, :, 1:] = H[3, :, :1] * [2.0, 1e-3]
    groups = reductions(flatten(isacsim.CrbMin(H, 0.2, 1.0, 1.0)))
    assert {group.system.rank: list(group.places) for group in groups} == {1: [3], 2: [1], 3: [0, 2]}


@given(seeds, st.integers(1, 4), st.integers(0, 4), st.floats(-5, 20))
def test_the_least_power_is_met_with_equality_by_its_own_beams(kit, seed, users, extra, sinr_db):
    problem = kit.make_crb_min(users, users + extra, seed=seed, sinr_db=sinr_db, excess=1.0)
    reduced = reduce(attrs.evolve(problem, power=1.0001 * problem.power))
    least = least_power(reduced)
    assert least.known.all()
    beams = cheapest(reduced, least.multipliers)
    spent = np.linalg.norm(beams.users) ** 2
    if reduced.spare:  # duality: the beams cost what the multipliers say
        assert spent == pytest.approx(least.power[0], rel=1e-9)
    # The fixed point is what defines the multipliers.
    lam = least.multipliers[0]
    B = np.eye(reduced.rank) + (reduced.H[0] * lam) @ reduced.HH[0]
    gains = np.diag(reduced.HH[0] @ np.linalg.solve(B, reduced.H[0])).real
    np.testing.assert_allclose(lam * reduced.ratio[0] * gains, 1.0, rtol=1e-9)


@given(seeds, st.integers(1, 4), st.integers(1, 4), st.floats(-3, 6))
def test_the_uplink_sinr_is_that_of_the_best_combiner(kit, seed, users, antennas, decades):
    H = kit.complex_gaussian((1, antennas, users), seed)
    powers = 10**decades * np.random.default_rng(seed).uniform(0.5, 2.0, (1, users))
    load = np.zeros(H.shape)
    sinr, jacobian, along = uplink(H, load, powers)
    B = np.eye(antennas) + (H[0] * powers[0]) @ hermitian(H[0])
    np.testing.assert_allclose(B @ along[0], H[0], atol=1e-10 * np.linalg.norm(B) * np.linalg.norm(along[0]))
    for k in range(users):
        others = np.delete(np.arange(users), k)
        noise = np.eye(antennas) + (H[0][:, others] * powers[0, others]) @ hermitian(H[0][:, others])
        h = H[0, :, k]
        best = powers[0, k] * (h.conj() @ np.linalg.solve(noise, h)).real
        # Interference up to 60 dB above the noise takes six digits from either side.
        assert sinr[0, k] == pytest.approx(best, rel=1e-8)
    for j in range(users):
        step = np.eye(users)[j]
        slope = kit.central_difference(lambda t, step=step: np.log(uplink(H, load, powers * np.exp(t * step))[0]), 1e-3)
        # Sixth-order differences: rounding of the logarithms, of up to 1e-10, over the step.
        np.testing.assert_allclose(jacobian[0, :, j], slope[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("transmit", [isacsim.Ideal(), isacsim.Aqnm(3)])
def test_the_search_for_the_least_power_computes_what_is_written(kit, monkeypatch, transmit):
    problem = kit.make_sqnr_max(users=3, transceiver=isacsim.Transceiver(transmit, user=isacsim.Aqnm(4)))
    (group,) = sqnr_groups(flatten(problem))
    system = group.system
    twice = np.ascontiguousarray(system.H[..., [0, 0, 1]])  # two users on one channel
    never = attrs.evolve(system, H=twice, HH=hermitian(twice))
    fast = [least_power(links) for links in (system, never)]
    monkeypatch.setattr("isacsim.solvers.sqinr.least_power.compiled", lambda function: function)
    slow = [least_power(links) for links in (system, never)]
    assert fast[0].known.all()
    for mine, other in zip(fast, slow, strict=True):
        assert mine.known.tolist() == other.known.tolist()
        # Newton's method ends where rounding does: in another BLAS a step later.
        np.testing.assert_allclose(mine.power, other.power, rtol=1e-9)


def test_one_user_needs_what_the_matched_filter_needs(kit):
    problem = isacsim.CrbMin(kit.complex_gaussian((5, 1), 0), 7.0, 1e6, 0.3)
    needed = 7.0 * 0.3 / np.linalg.norm(problem.H) ** 2
    assert kit.least_watts(problem) == pytest.approx(needed, rel=1e-12)


def test_where_no_power_suffices_the_bound_on_the_least_power_passes_any(kit):
    h = kit.complex_gaussian((4, 1), 0)
    problem = isacsim.CrbMin(np.concatenate([h, 2j * h], axis=1), 1.5, 1e3, 1.0)  # 1.5^2 > 1: not even alone
    least = least_power(reduce(problem))
    assert not least.known.any()
    assert (least.power > 4 * (1 + ROUNDING)).all()


# White covariance


@given(seeds, st.integers(1, 4), st.integers(0, 3), st.floats(-10, 10), st.floats(0, 2))
def test_white_beams_have_the_white_covariance_and_meet_every_sinr(kit, seed, users, extra, sinr_db, decades):
    problem = kit.make_crb_min(users, users + extra, seed=seed, sinr_db=sinr_db, power=10.0**decades)
    reduced = reduce(problem)
    for V, found in (white(reduced), degenerate(reduced)):
        if found.any():
            beams = white_beams(reduced, V)
            np.testing.assert_allclose(beams.covariance[0], np.eye(reduced.rank), atol=1e-12)
            W = precoders(reduced, beams.coordinates)
            assert np.all(problem.constraints(W[0])["sinr"] >= -1e-10)
            assert problem.objective(W[0]) == pytest.approx(problem.H.shape[0] ** 2 / problem.power, rel=1e-10)
    # The degenerate case is one of those in which the white covariance serves.
    assert white(reduced)[1] or not degenerate(reduced)[1]


def test_the_white_test_finds_what_the_polar_factor_alone_does_not(kit):
    found = 0
    for seed in range(40):
        reduced = reduce(kit.make_crb_min(4, 16, seed=seed, sinr_db=13.0, power=100.0))
        plain = white(reduced, steps=1)[1]
        V, every = white(reduced)
        if every and not plain:
            found += 1
            W = precoders(reduced, white_beams(reduced, V).coordinates)
            problem = kit.make_crb_min(4, 16, seed=seed, sinr_db=13.0, power=100.0)
            assert np.all(problem.constraints(W[0])["sinr"] >= -1e-10)
    assert found  # else this test shows nothing


def test_the_white_test_agrees_with_the_solver_about_the_border(kit):
    for seed in range(6):
        problem = kit.make_crb_min(3, 12, seed=seed, sinr_db=12.0, power=30.0)
        found = bool(white(reduce(problem))[1][0])
        solution = isacsim.solve(problem, "r-ipm")
        excess = solution.objective * problem.power / 12**2 - 1
        # An excess of 1e-7 is beyond what the program is off by; a white optimum has none.
        assert found == (excess < 1e-7), (seed, excess)


# Dual and Newton system


@pytest.fixture
def point(kit):
    """A reduced problem of two members with a dual point inside its domain."""
    reduced = reduce(kit.make_crb_min(3, 5, seed=3, batch=(2,), excess=4.0))
    least = least_power(reduced)
    M = 0.3 * (np.eye(3) + (reduced.H * least.multipliers[:, None, :]) @ reduced.HH)
    return reduced, M, np.array([1.0, 1.3])


def value(reduced, M, mu):
    """The dual function of `isacsim.solvers.crb_min.dual` in its own words."""
    s = 1 / np.einsum("bik,bij,bjk->bk", np.conj(reduced.H), np.linalg.inv(M), reduced.H).real
    lam = s / reduced.ratio
    Q = mu[:, None, None] * np.eye(reduced.rank) - M + (reduced.H * lam[:, None, :]) @ reduced.HH
    q = np.linalg.eigvalsh(Q)
    assert np.all(q > 0)
    paid = (lam * reduced.noise).sum(axis=-1)
    return 2 * np.sqrt(q).sum(axis=-1) + 2 * reduced.spare * np.sqrt(mu) + paid - mu * reduced.antennas


def test_the_bound_is_the_best_of_the_ray(point):
    reduced, M, mu = point
    bound = evaluate(reduced, np.linalg.cholesky(M), mu).bound
    scales = np.geomspace(1e-3, 1e3, 20001)
    best = np.max([value(reduced, t * M, t * mu) for t in scales[::10]], axis=0)
    assert np.all(best <= bound * (1 + 1e-12))
    np.testing.assert_allclose(best, bound, rtol=1e-4)  # the grid is that coarse


def test_a_point_outside_becomes_a_bound_that_holds(kit, point):
    reduced, M, mu = point
    problem = kit.make_crb_min(3, 5, seed=3, batch=(2,), excess=4.0)
    optimum = isacsim.solve(problem).objective * reduced.unit
    for factor in (1.0, 3.0, 30.0):
        assert np.all(evaluate(reduced, np.linalg.cholesky(factor * M), mu).bound <= optimum * (1 + 1e-12))
    none = from_multipliers(reduced, np.zeros((2, 3)), np.eye(3) * np.ones((2, 1, 1)), mu)
    assert np.all(none.bound <= optimum * (1 + 1e-12))


def test_the_newton_system_has_the_gradient_of_the_dual(kit, point):
    reduced, M, mu = point
    dual = evaluate(reduced, np.linalg.cholesky(M), mu)
    # With R = Q^-1/2 the saddle function is the dual function.
    q, U = np.linalg.eigh(dual.Q)
    R, r = (U / np.sqrt(q)[:, None, :]) @ hermitian(U), reduced.rank
    beams = cheapest(reduced, least_power(reduced).multipliers)
    sizes = reduced.sizes
    blocks = near(dual, np.full(2, 1e-3), beams, dual.bound, sizes)
    X = random_hermitian(kit, (r, r), 8)
    for b in range(2):
        (place, here), at = laid(Work, blank(Work, sizes), sizes), laid(Iterate, blocks[b], sizes)
        at.R[:] = R[b]
        assert linearise(member(reduced.arrays, b), at, place, here)
        L = place.frame.L

        def along(t, xi, X=X, b=b, L=L):
            whole = M.copy()
            whole[b] += t * (L @ (X + xi * np.eye(r)) @ hermitian(L))
            return value(reduced, whole, np.where(np.arange(2) == b, mu * (1 + t * xi), mu))[b]

        # Sixth-order differences of smooth functions: truncation ~ h^6, rounding ~ eps / h.
        by_matrix = kit.central_difference(lambda t, along=along: along(t, 0.0), 1e-3)
        np.testing.assert_allclose(place.system.slope @ coordinates(X), by_matrix, rtol=1e-8, atol=1e-9)
        by_xi = kit.central_difference(lambda t, along=along: along(t, 1.0, 0 * X), 1e-3)
        np.testing.assert_allclose(at.told[SLOPE_XI], by_xi, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(("users", "antennas", "excess"), [(2, 4, 2.0), (2, 2, 1.5), (2, 3, 1 + 1e-5)])
def test_the_loop_over_a_member_computes_what_is_written(kit, monkeypatch, users, antennas, excess):
    problem = kit.make_crb_min(users, antennas, batch=(2,), seed=1, excess=excess)
    fast = isacsim.solve(problem)
    for module in ("newton", "dual", "recovery", "reduction"):
        monkeypatch.setattr(f"isacsim.solvers.crb_min.{module}.compiled", lambda function: function)
    slow = isacsim.solve(problem)
    assert fast.status.tolist() == slow.status.tolist()
    assert (fast.iterations > 0).any()  # else this test shows nothing
    # Another BLAS rounds otherwise, and both end within the tolerance of 1e-8.
    np.testing.assert_allclose(fast.objective, slow.objective, rtol=1e-8)
    np.testing.assert_allclose(fast.bound, slow.bound, rtol=1e-8)


# The structured dual solve


@pytest.mark.parametrize(("users", "antennas", "whole"), [(3, 6, False), (3, 3, False), (4, 3, False), (2, 4, True)])
def test_the_structured_dual_solve_is_that_of_the_dense_matrix(kit, users, antennas, whole):
    reduced = reduce(kit.make_crb_min(users, antennas, sinr_db=-3.0, excess=3.0))
    delta = 1e-3
    parts = Splitting.of(reduced.whole if whole else reduced, users + int(whole), delta)
    n, M, m = parts.dyads.shape[-1], parts.blocks, parts.copies
    g = np.concatenate([parts.dyads[0], np.zeros((M - users, n, n))])
    basis = matrices(np.eye(n * n))

    def rows(V, copies):
        """A x for one x, in real coordinates."""
        S = V.sum(axis=0)
        sinr = [reduced.ratio[0, k] * np.vdot(g[k], V[k]).real - np.vdot(g[k], S).real for k in range(users)]
        return np.concatenate([sinr, *(coordinates(S - Z) for Z in copies)])

    columns = []
    for block in range(M + m):
        for E in basis:
            x = np.zeros((M + m, n, n), complex)
            x[block] = E
            columns.append(rows(x[:M], x[M:]))
    A = np.stack(columns, axis=1)
    q, Q = np.random.default_rng(0).standard_normal(users), random_hermitian(kit, (m, n, n), 1)
    right = np.concatenate([q, *(coordinates(X) for X in Q)])
    dense = np.linalg.solve(A @ A.T + delta * np.eye(len(right)), right)
    y, changes = parts.solve(q[None], Q[None])
    found = np.concatenate([y[0], *coordinates(changes[0])])
    # The condition of A A^T + delta I is some 1e3.
    np.testing.assert_allclose(found, dense, atol=1e-12 * np.abs(dense).max())


# Recovery


def test_rank_one_beams_have_the_covariance_and_the_sinrs_they_come_from(kit):
    reduced = reduce(kit.make_crb_min(3, 6, power=1.0))
    V = 0.05 * definite(kit, (1, 3, 3, 3), 0)
    received = np.einsum("ik,kij,jk->k", np.conj(reduced.H[0]), V[0], reduced.H[0]).real
    S = V.sum(axis=1)
    noise = 30 * received[None] - reduced.received(S)  # so that V meets each SINR with equality
    assert np.all(noise > 0)
    threshold, share = np.full((1, 3), 1 / 29.0), np.full((1, 3), 1 / 30.0)
    reduced = attrs.evolve(reduced, terms=np.stack([share, threshold, noise, share * noise], axis=1))
    beams = repaired(reduced, along_channels(reduced.H, V)[0], S)
    # [Zhao26, Theorem 3]
    np.testing.assert_allclose(beams.covariance, S, atol=1e-12)
    own = np.abs(np.diagonal(reduced.HH @ beams.users, axis1=-2, axis2=-1)) ** 2
    np.testing.assert_allclose(own[0], received, rtol=1e-10)
    assert np.all(np.linalg.eigvalsh(beams.sensing) >= -1e-12)


def test_a_matrix_that_is_no_covariance_makes_a_beam_of_nothing(kit):
    H, V = kit.complex_gaussian((1, 3, 2), 0), definite(kit, (1, 2, 3, 3), 1)
    V[0, 1] *= -1e13  # as a program returns it that has failed
    beams, received = along_channels(H, V)
    assert received[0, 0] > 0 > received[0, 1]
    assert np.all(beams[0, :, 1] == 0)
    # h^H V h of the beam's own dyad is that of V.
    assert np.abs(np.conj(H[0, :, 0]) @ beams[0, :, 0]) ** 2 == pytest.approx(received[0, 0], rel=1e-12)


def test_a_share_of_a_safe_point_mends_beams_that_miss_the_power(kit):
    problem = kit.make_crb_min(3, 3, sinr_db=3.0, excess=2.0)
    reduced = reduce(problem)
    start = cheapest(reduced, least_power(reduced).multipliers)
    W = isacsim.solve(problem).precoder / np.sqrt(reduced.unit)
    inside = hermitian(reduced.basis) @ W
    users, sensing = inside[..., :3], inside[..., 3:]
    columns = np.ascontiguousarray(np.swapaxes(users, -1, -2))
    V = columns[..., :, None] * np.conj(columns)[..., None, :]
    V[:, 0] += sensing @ hermitian(sensing)
    beams = recovered(reduced, V * (1 - 1e-9), start)  # the power suffices, but no SINR is met
    optimum = isacsim.solve(problem).objective * reduced.unit[0]
    assert beams.objective[0] == pytest.approx(optimum, rel=1e-4)
    assert start.objective[0] > 1.001 * optimum  # else this test shows nothing
