"""Starts of `SumRateCrlb`, and the range in which it is solved."""

import attrs
import numpy as np
import pytest

from isacsim.batch import hermitian
from isacsim.linalg.ranges import reduce_each
from isacsim.solvers.sum_rate_crlb.merit import Merit
from isacsim.solvers.sum_rate_crlb.starts import LEFT_OUT, SENSING_AMPLITUDE, aim_each, start_all

FIRST = ("mrt", "rzf", "selected")


@pytest.mark.parametrize("batch", [(), (3,)])
def test_beams_of_starts_are_those_of_the_textbook(kit, batch):
    problem = kit.make_problem(users=3, batch=batch)
    merit = Merit.of(problem)
    matched, forced, selected = start_all(merit, FIRST, 3, None).swapaxes(0, 1)
    np.testing.assert_allclose(matched, merit.H / np.linalg.norm(merit.H, axis=-2, keepdims=True), rtol=1e-14)
    G = hermitian(merit.H) @ merit.H + (merit.noise_power.sum(axis=-1) / merit.power)[:, None, None] * np.eye(3)
    np.testing.assert_allclose(forced @ G, merit.H, rtol=1e-11)
    gain = 1 / np.linalg.inv(G).diagonal(axis1=-2, axis2=-1).real  # of zero forcing
    snr = gain * merit.power[:, None] / 3 / merit.noise_power
    left_out = (gain == gain.min(axis=-1, keepdims=True)) & (snr < LEFT_OUT)
    assert left_out.any()
    np.testing.assert_array_equal(np.linalg.norm(selected, axis=-2) == 0, left_out)
    kept = np.linalg.norm(selected, axis=-2) > 0
    np.testing.assert_array_equal(selected.swapaxes(-1, -2)[kept], matched.swapaxes(-1, -2)[kept])


def test_the_kernels_are_plain_python_too(kit):
    merit = Merit.of(kit.make_problem(users=3, batch=(2,)))
    W, apart, beams = np.zeros((2, 3, 6, 3), complex), np.empty((2, 3, 3), complex), np.empty((2, 3, 6), complex)
    aim_each(merit.NH, merit.powers, np.arange(3), apart, beams, W)
    np.testing.assert_allclose(W, start_all(merit, FIRST, 3, None), atol=1e-13)  # products by another BLAS
    few = attrs.evolve(merit, N=merit.N[..., :4].copy(), NH=merit.NH[:, :4].copy())
    basis, own, Z = few.reduced(W)
    outs = [np.empty_like(each) for each in (few.NH, basis, own.N, own.NH, Z)]
    reduce_each(few.N, few.NH, *outs[:4], W, outs[4])
    for ours, other in zip(outs[1:], (basis, own.N, own.NH, Z), strict=True):
        np.testing.assert_allclose(ours, other, atol=1e-13)


def test_the_range_of_channels_and_targets_holds_all_that_counts(kit):
    problem = kit.make_problem(batch=(2,), crlb_weight=0.0)
    merit = Merit.of(problem).relevant()
    W = merit.project(kit.complex_gaussian((2, 6, 2), 0))
    basis, own, Z = merit.reduced(W[:, None])
    assert basis.shape == (2, 6, 2)
    np.testing.assert_allclose(hermitian(basis) @ basis, np.broadcast_to(np.eye(2), (2, 2, 2)), atol=1e-14)
    # Of a precoder the part outside of it changes nothing but the power.
    np.testing.assert_allclose(own.evaluate(Z[:, 0]).objective, merit.evaluate(W).objective, rtol=1e-12)
    whole, same, given = Merit.of(kit.make_problem(users=4, targets=3)).reduced(W[:, None])
    np.testing.assert_array_equal(whole, np.eye(6)[None])
    assert same.N.shape == (1, 6, 13)
    np.testing.assert_array_equal(given[:, 0], W)


def test_users_of_one_direction_start_from_numbers(kit):
    problem = kit.make_problem(users=3, noise_power=1e-30)
    H = np.repeat(problem.H[..., :1], 3, axis=-1)  # of rank 1, to rounding: no ridge of the noise is seen beside it
    assert np.isfinite(start_all(Merit.of(attrs.evolve(problem, H=H)), FIRST, 3, None)).all()


def test_sensing_streams_start_weak_beside_users_and_alone_without(kit):
    problem = kit.make_problem(sensing_streams=2)
    W = start_all(Merit.of(problem), ("mrt", "rzf"), 4, None)[0]
    users, sensing = np.linalg.norm(W[..., :2], axis=(-2, -1)), np.linalg.norm(W[..., 2:], axis=(-2, -1))
    np.testing.assert_allclose(sensing, SENSING_AMPLITUDE * users, rtol=1e-12)
    for streams in (2, 4):
        silent = attrs.evolve(problem, H=np.zeros_like(problem.H), sensing_streams=streams - 2)
        W = start_all(Merit.of(silent), ("mrt", "selected"), streams, None)[0]
        np.testing.assert_allclose(np.linalg.norm(W, axis=(-2, -1)), 1.0, rtol=1e-12)
