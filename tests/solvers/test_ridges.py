"""Designs behind coarse converters whose chains end in phase: stationary along ridges, and better than what is near."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import isacsim
from isacsim import MidRise, Transceiver
from isacsim.hardware.gaussian import correlations
from isacsim.link import covariance
from isacsim.solvers.solution import Status
from isacsim.solvers.sum_rate_crlb.hardware import HardwareMerit
from isacsim.solvers.sum_rate_crlb.ridges import Ridge, _parts, _tangent
from isacsim.solvers.sum_rate_crlb.riemannian import RiemannianSolver
from isacsim.testing.examples import example_drop

seeds = st.integers(0, 2**32 - 1)
MIXED = MidRise([np.inf, np.inf, 1, 1, 1, 1])


def rates(transmit, H, **changes):
    """The sum rate of users on H (..., 6, K), of 6 chains."""
    drop = example_drop()
    scene = isacsim.batch.take(isacsim.batch.flatten(drop.targets), np.array([0] * len(H)))
    return isacsim.SumRateCrlb(
        H=H, targets=scene, power=0.1, noise_power=1e-3, radar_noise_power=1e-3, snapshots=16, rate_weight=1.0,
        crlb_weight=0.0, sensing_streams=0, transceiver=Transceiver(transmit), **changes,
    )  # fmt: skip


def in_phase(W):
    """Number of pairs of chains of each member that are correlated but for rounding."""
    _, xi = correlations(covariance(W))
    near = np.maximum(np.abs(xi.real), np.abs(xi.imag)) > 1 - 1e-14
    return (near.sum(axis=(-2, -1)) - W.shape[-2]) // 2


@pytest.mark.parametrize("per_antenna", [False, True])
def test_a_design_on_a_ridge_is_stationary_and_nothing_near_is_better(kit, per_antenna):
    one = rates(MIXED, kit.complex_gaussian((2, 6, 2), 3), per_antenna=per_antenna)
    found = isacsim.solve(one, starts="rzf")
    assert all(status is Status.STATIONARY for status in found.status)
    assert in_phase(found.precoder).max() > 0
    for slack in one.constraints(found.precoder).values():
        assert np.all(slack >= -1e-9)
    surface = HardwareMerit.of(one).surface
    rng = np.random.default_rng(0)
    for length in np.repeat([1e-2, 1e-3, 1e-4], 20):
        step = rng.standard_normal(found.precoder.shape) + 1j * rng.standard_normal(found.precoder.shape)
        Z = surface.coordinates(found.precoder) * (1 + length * step)
        # At a residual of 1e-5 the objective may still grow by that times a step.
        assert np.all(one.objective(surface.precoder(surface.project(Z))) <= found.objective * (1 + 1e-5 * length))


def test_all_stages_share_one_time_limit(kit, monkeypatch):
    limits, climb = [], RiemannianSolver.climb

    def seen(self, merit, W, stop):
        limits.append(stop.time_limit)
        return climb(self, merit, W, stop)

    monkeypatch.setattr(RiemannianSolver, "climb", seen)
    one = rates(MIXED, kit.complex_gaussian((1, 6, 2), 3))
    isacsim.solve(one, starts="rzf", time_limit=1e6)
    assert len(limits) > 2
    assert limits == sorted(limits, reverse=True)
    assert limits[0] < 1e6
    # Where no time is left every stage takes a step at most, and the status says so.
    monkeypatch.setattr("time.perf_counter", iter(np.arange(1e6)).__next__)
    hurried = isacsim.solve(one, starts="rzf", time_limit=0.5)
    assert [str(status) for status in hurried.status] == ["MAX_STEPS"]
    assert "stopped by the time limit" in hurried.notes[0]


@pytest.mark.slow
def test_both_loops_end_at_the_same_optimum(kit, monkeypatch):
    one = rates(MIXED, kit.complex_gaussian((1, 6, 2), 3))
    first = isacsim.solve(one).precoder
    near = first * (1 + 1e-3 * kit.complex_gaussian(first.shape, 1))
    compiled = isacsim.solve(one, initial=near)
    made = HardwareMerit.of
    monkeypatch.setattr(HardwareMerit, "of", lambda problem: attrs.evolve(made(problem), link=None))
    plain = isacsim.solve(one, initial=near)
    assert all(status is Status.STATIONARY for status in (*compiled.status, *plain.status))
    np.testing.assert_allclose(plain.objective, compiled.objective, rtol=1e-9)  # the square of the tolerance


def test_a_member_has_the_bytes_it_has_alone(kit):
    one = isacsim.batch.flatten(rates(MIXED, kit.complex_gaussian((2, 6, 2), 3)))
    together = isacsim.solve(one, starts="rzf")
    for i in range(2):
        alone = isacsim.solve(isacsim.batch.take(one, np.array([i])), starts="rzf")
        assert np.array_equal(alone.precoder[0], together.precoder[i])


@given(seeds)
def test_gradients_along_a_ridge_are_those_of_the_objective_there(kit, seed):
    one = rates(MIXED, kit.complex_gaussian((1, 6, 2), seed))
    Z = kit.complex_gaussian((1, 6, 2), seed + 1)
    Z[0, 3], Z[0, 5] = -0.7 * Z[0, 2], 1.3j * Z[0, 2]
    ridge = Ridge.at_precoders(HardwareMerit.of(one), Z)
    assert ridge.bundle.tolist() == [[0, 1, 2, 2, 4, 2]]
    np.testing.assert_array_equal(ridge.turn, [[1, 1, 1, -1, 1, 1j]])
    Z = ridge.project(Z)
    point = ridge.evaluate(Z)
    along = 0.1 * kit.complex_gaussian((1, 6, 2), seed + 2)
    differences = kit.central_difference(lambda t: ridge.value(ridge.project(Z + t * along)), 1e-3)
    slope = (np.conj(ridge.slope(point)) * along).real.sum(axis=(-2, -1))
    np.testing.assert_allclose(slope, differences, rtol=1e-6, atol=1e-8 * np.abs(differences).max())


@given(seeds, st.integers(2, 5))
def test_what_is_tangent_to_matrices_of_rank_one_is_an_orthogonal_projection(seed, count):
    rng = np.random.default_rng(seed)
    x, (g, h) = np.outer(rng.standard_normal(count), rng.standard_normal(4)), rng.standard_normal((2, count, 4))
    kept = _tangent(x, g)
    np.testing.assert_allclose(_tangent(x, kept), kept, atol=1e-12)
    assert (kept * h).sum() == pytest.approx((g * _tangent(x, h)).sum(), abs=1e-11)
    left, right = rng.standard_normal(count), rng.standard_normal(4)  # a curve of rank one: its slope is tangent
    x = np.outer(left, right)
    moved = np.outer(rng.standard_normal(count), right) + np.outer(left, rng.standard_normal(4))
    np.testing.assert_allclose(_tangent(x, moved), moved, atol=1e-12)


def test_chains_that_gain_by_it_leave_a_ridge(kit):
    one = rates(MIXED, kit.complex_gaussian((2, 6, 2), 3))
    Z = kit.complex_gaussian((2, 6, 2), 4)
    Z[:, 1:] = Z[:, :1] * kit.complex_gaussian((2, 5, 1), 5).real  # one stream in effect: users hear nothing but others
    ridge = Ridge.at_precoders(HardwareMerit.of(one), Z)
    there, left = ridge.left(ridge.project(Z))
    assert left.all()
    assert np.all(ridge.value(there) > ridge.value(ridge.project(Z)))


def test_parts_of_a_bundle_are_all_halves_or_each_chain():
    assert _parts(2) == [[0], [1]]
    assert len(_parts(4)) == 4 + 6
    assert _parts(8) == [[i] for i in range(8)]
