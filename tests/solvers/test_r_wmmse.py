"""`r-wmmse`: closed forms, the textbook update over whole precoders, monotone traces, refusals."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import isacsim
from isacsim import InvalidInput, Status


def rates_alone(kit, users, antennas=(2, 3), *, snr_db=10, seed=0, batch=(), noise=None, **changes):
    """Rates of users at an SNR, on Rayleigh channels."""
    array = isacsim.UniformPlanarArray(*antennas)
    scene = isacsim.PointTargets(array, array, [-0.4, 0.5], [1.2, 1.4], [0.1, 0.1j])
    H = kit.complex_gaussian((*batch, array.size, users), seed)
    return isacsim.SumRateCrlb(
        H, scene, power=10 ** (snr_db / 10), noise_power=1.0 if noise is None else noise, radar_noise_power=1.0,
        snapshots=10, rate_weight=0.7, crlb_weight=0.0, **changes,
    )  # fmt: skip


def textbook_step(H, W, power, noise):
    """One WMMSE update over the whole array [Zhao23, Sec. II], with the noise that grows with the power."""
    used, K = np.linalg.norm(W) ** 2, H.shape[1]
    Z = H.conj().T @ W
    T = (abs(Z) ** 2).sum(axis=1) + noise * used / power
    u = np.diag(Z) / T
    w = 1 / (1 - abs(np.diag(Z)) ** 2 / T)
    A = sum(w[k] * abs(u[k]) ** 2 * np.outer(H[:, k], H[:, k].conj()) for k in range(K))
    mu = np.sum(w * abs(u) ** 2 * noise) / power
    W = np.linalg.solve(A + mu * np.eye(len(H)), H @ np.diag(w * u))
    return W * np.sqrt(power) / np.linalg.norm(W)


def test_the_steps_are_those_of_the_textbook_over_whole_precoders(kit):
    problem = rates_alone(kit, 3, noise=[0.5, 1.0, 2.0], sensing_streams=0)
    H, power = problem.H, float(problem.power)
    W = H / np.linalg.norm(H, axis=0)
    W *= np.sqrt(power) / np.linalg.norm(W)
    for count in range(1, 6):
        W = textbook_step(H, W, power, np.array([0.5, 1.0, 2.0]))
        solution = isacsim.solve(problem, "r-wmmse", max_steps=count, updates=1, tolerance=1e-12)
        np.testing.assert_allclose(solution.precoder, W, atol=1e-10)


@given(st.integers(1, 4), st.integers(0, 2**32 - 1), st.floats(-10, 25))
def test_the_trace_rises_and_the_power_is_spent(kit, users, seed, snr_db):
    problem = rates_alone(kit, users, snr_db=snr_db, seed=seed)
    solution = isacsim.solve(problem, "r-wmmse", max_steps=30, updates=2)
    trace = solution.trace["objective"].ravel()
    assert (np.diff(trace[1:]) >= -1e-12 * trace[-1]).all()  # the first point still has sensing streams
    assert np.linalg.norm(solution.precoder) ** 2 == pytest.approx(float(problem.power), rel=1e-12)


def test_the_rule_of_small_steps_sees_steps_that_are_not_small(kit):
    problem = rates_alone(kit, 3, sensing_streams=0)
    solution = isacsim.solve(problem, "r-wmmse", step_tolerance=1e-3, tolerance=1e-12)
    assert 1 < int(solution.iterations) < 50  # an update moves W by more at first, and by less before long


def test_one_user_reaches_the_beamforming_capacity(kit):
    problem = rates_alone(kit, 1, sensing_streams=0)
    capacity = np.log1p(float(problem.power) * np.linalg.norm(problem.H) ** 2)
    solution = isacsim.solve(problem, "r-wmmse")
    assert solution.objective == pytest.approx(0.7 * capacity, rel=1e-12)


@pytest.mark.parametrize("snr_db", [0, 10, 20])
def test_it_ends_where_the_second_order_method_does_from_the_same_start(kit, snr_db):
    problem = rates_alone(kit, 4, (4, 4), snr_db=snr_db, batch=(6,), sensing_streams=0)
    one = isacsim.solve(problem, "r-wmmse", tolerance=1e-5, max_steps=20000)
    other = isacsim.solve(problem, "riemannian-lbfgs", starts=["mrt"], tolerance=1e-7)
    assert (one.status == Status.STATIONARY).all()
    # The value errs by the square of the residual, over a curvature of 1e-4 and more.
    np.testing.assert_allclose(one.objective, other.objective, rtol=1e-6)


def test_sensing_streams_and_users_without_a_channel_get_nothing(kit):
    problem = rates_alone(kit, 3, sensing_streams=2)
    solution = isacsim.solve(problem, "r-wmmse")
    assert solution.precoder.shape == (6, 5)
    assert not solution.precoder[:, 3:].any()
    H = np.array(problem.H)
    H[:, 1] = 0
    solution = isacsim.solve(attrs.evolve(problem, H=H), "r-wmmse")
    alone = isacsim.solve(attrs.evolve(problem, H=H[:, [0, 2]], noise_power=1.0), "r-wmmse")
    assert solution.objective == pytest.approx(float(alone.objective), rel=1e-7)
    assert not solution.precoder[:, 1].any()


def test_two_users_of_one_channel_get_no_more_than_one_of_them(kit):
    # Time-sharing is no choice here: the rates of users that cannot be told apart add up to that of one.
    problem = rates_alone(kit, 1, sensing_streams=0)
    twice = attrs.evolve(problem, H=np.repeat(problem.H, 2, axis=-1), noise_power=[1.0, 1.0])
    found = isacsim.solve(twice, "r-wmmse", tolerance=1e-6, max_steps=2000)
    assert float(found.objective) <= float(isacsim.solve(problem, "r-wmmse").objective) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"crlb_weight": 2.0}, "r-wmmse takes rates alone, crlb_weight = 0, not 2"),
        ({"per_antenna": True}, "r-wmmse takes a total power only"),
        ({"transceiver": isacsim.Transceiver(user=isacsim.Aqnm(3))}, "r-wmmse designs for ideal hardware only"),
        ({"channel_error": 0.1}, "r-wmmse designs for known channels only"),
    ],
)
def test_what_it_does_not_take_is_said(kit, changes, told):
    with pytest.raises(InvalidInput, match=told):
        isacsim.solve(attrs.evolve(rates_alone(kit, 2), **changes), "r-wmmse")
