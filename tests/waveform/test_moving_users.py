"""The OFDM link of users that move: time-varying channels sample by sample, and the prediction over a burst."""

import attrs
import numpy as np
import pytest

from isacsim import InvalidInput, MidRise, PointTargets, Transceiver, UniformLinearArray
from isacsim.channels.clustered import Cdl
from isacsim.channels.wideband import Exponential, Tdl
from isacsim.drop import WidebandDrop
from isacsim.grid import Grid
from isacsim.link import WidebandLink
from isacsim.waveform import ofdm
from isacsim.waveform.modulation import QPSK
from isacsim.waveform.ofdm_link import OfdmLink

ARRAY = UniformLinearArray(4)
TARGETS = PointTargets(ARRAY, ARRAY, [0.2], np.pi / 2, [0.1])
GRID = Grid(64, 30e3, active=48, prefix=16, symbols=6, carrier=28e9)


def regularised(H, grid):
    """Regularised zero forcing on each subcarrier, of unit power."""
    W = H @ np.linalg.inv(np.conj(H.swapaxes(-1, -2)) @ H + 0.1 * np.eye(H.shape[-1]))
    return W / np.sqrt(squared_norm(W, (-3, -2, -1)) / grid.subcarriers)


def squared_norm(X, axis=None):
    return np.sum(np.abs(X) ** 2, axis=axis, keepdims=axis is not None)


def link_of(model, noise=1e-3, hardware=None, grid=GRID, seed=3):
    H, motion = model.draw_burst(grid, ARRAY, 2, [0], [np.random.default_rng([seed, 0])])
    drop = WidebandDrop(H=H, targets=TARGETS, tx_array=ARRAY, rx_array=ARRAY, power=1.0, noise_power=np.full(2, noise),
                        radar_noise_power=0.1, grid=grid, motion=motion)  # fmt: skip
    return WidebandLink(regularised(H, grid), drop, hardware or Transceiver())


@pytest.mark.parametrize("shift", [1e-3, 2e-3])
def test_a_channel_that_turns_within_a_body_is_met_to_second_order(shift):
    # Two waves at delays of whole samples, of opposite Doppler shifts, sample by sample behind a prefix.
    grid, rng = Grid(32, 1.0, active=20, prefix=8), np.random.default_rng(5)
    X = rng.standard_normal((20, 1, 3)) + 1j * rng.standard_normal((20, 1, 3))
    x = ofdm.modulate(X, grid).reshape(3, 40)
    t = np.arange(-8, 32) / grid.rate - ofdm.ramp(grid)[-1]
    y, H, slope = np.zeros((3, 40), complex), 0.0, 0.0
    for delay, gain, nu in ((0, 1.0, shift), (5, 0.6j, -0.7 * shift)):
        turned = gain * np.exp(2j * np.pi * nu * t)
        y[:, delay:] += turned[delay:] * x[:, : 40 - delay]
        at = np.exp(-2j * np.pi * grid.frequencies * delay / grid.rate)[:, None, None] * gain
        H, slope = H + at, slope + at * 2j * np.pi * nu
    sent = ofdm.demodulate(y.reshape(1, -1), grid)
    found = H * X + ofdm.drifted(slope * X, grid)
    # What is left is (2 pi nu t)^2/2 of each wave, t up to half a body of 1 s.
    bound = 1.6 * (np.pi * shift) ** 2 / 2 * np.sqrt(squared_norm(X))
    assert np.sqrt(squared_norm(found - sent)) < bound < np.sqrt(squared_norm(H * X - sent)) / 20


def test_what_leaks_between_subcarriers_is_the_second_moment_of_time():
    grid = Grid(64, 30e3)
    leaked = ofdm.leaked(np.ones((64, 1)), grid)
    np.testing.assert_allclose(leaked, np.mean(ofdm.ramp(grid) ** 2), rtol=1e-12)
    # All around: E|h'|^2 = (2 pi f_D)^2/2, which makes (pi f_D/D)^2/6 of a body of many samples.
    doppler = 500.0
    expected = (np.pi * doppler / grid.spacing) ** 2 / 6 * (1 - 1 / 64**2)
    np.testing.assert_allclose(leaked * (2 * np.pi * doppler) ** 2 / 2, expected, rtol=1e-12)


def test_measured_leakage_has_the_predicted_spectrum():
    grid, rng = Grid(32, 1.0, active=12), np.random.default_rng(6)
    n = 4000
    X = (rng.standard_normal((12, 1, n)) + 1j * rng.standard_normal((12, 1, n))) / np.sqrt(2)
    power = np.linspace(1, 3, 12)[:, None]
    measured = (np.abs(ofdm.drifted(np.sqrt(power)[..., None] * X, grid)) ** 2).mean(axis=-1)
    np.testing.assert_allclose(measured, ofdm.leaked(power, grid), rtol=4.5 / np.sqrt(n))


@pytest.mark.parametrize(
    ("model", "hardware"),
    [
        (Tdl("C", 300e-9, speed=5.0), Transceiver()),
        (Tdl("C", 300e-9, speed=20.0), Transceiver(transmit=MidRise(4))),
        (Cdl("A", 100e-9, speed=20.0), Transceiver(user=MidRise(3))),
    ],
    ids=["slow", "fast behind 4-bit chains", "clusters with 3-bit users"],
)
def test_sqinr_over_a_burst_is_the_predicted_one(model, hardware):
    link = link_of(model, hardware=hardware)
    found = OfdmLink(symbols=1200, burst=True).trial(link, np.random.default_rng(4))
    # 96 ratios of 1200 symbols each.
    assert abs(found["sqinr-error-db"][0]) < 0.1
    rate, predicted = (found[f"{kind}-burst-rate-nats"][0] for kind in ("sampled", "predicted"))
    assert rate.shape == (6,)
    # 200 symbols for a rate: 1 % of an SQINR each too much, and noise of the sum of 96 logarithms below that.
    np.testing.assert_allclose(rate, predicted, atol=0.06)
    assert predicted[0] > predicted[-1] + 0.1  # precoders grow old


def test_a_user_that_hardly_moves_is_one_that_stays():
    moving = link_of(Exponential(100e-9, taps=4, speed=1e-6), hardware=Transceiver(user=MidRise(3)))
    still = WidebandLink(moving.W, attrs.evolve(moving.drop, motion=None), moving.transceiver)
    found, same = (
        OfdmLink(QPSK, symbols=60, gain="predicted").trial(one, np.random.default_rng(4)) for one in (moving, still)
    )
    for name in ("predicted-subcarrier-sqinr", "predicted-sum-rate-nats", "predicted-bit-error-rate"):
        np.testing.assert_allclose(found[name], same[name], rtol=1e-6)
    # The same noise in another order, where nothing else draws.
    np.testing.assert_allclose(found["sampled-sum-rate-nats"], same["sampled-sum-rate-nats"], rtol=0.1)


def test_a_single_carrier_over_a_burst_has_the_predicted_sqinr():
    link = link_of(Tdl("A", 100e-9, speed=10.0), noise=0.05)
    found = OfdmLink(QPSK, symbols=600, gain="predicted", waveform="sc-fde").trial(link, np.random.default_rng(7))
    ratio = found["symbol-sqinr"] / found["predicted-symbol-sqinr"]
    np.testing.assert_allclose(ratio, 1, atol=4 / np.sqrt(600))  # one deep subcarrier may have all of the noise
    low, high = found["bit-error-rate-low"][0], found["bit-error-rate-high"][0]
    assert low * 0.8 <= found["predicted-bit-error-rate"][0] <= high * 1.2


def test_members_of_a_batch_have_the_bytes_they_have_alone(kit):
    model = Tdl("C", 100e-9, speed=20.0)
    H, motion = model.draw_burst(GRID, ARRAY, 2, range(3), kit.generators(range(3)))
    drop = WidebandDrop(H=H, targets=TARGETS, tx_array=ARRAY, rx_array=ARRAY, power=1.0, noise_power=np.full(2, 0.01),
                        radar_noise_power=0.1, grid=GRID, motion=motion)  # fmt: skip
    whole = WidebandLink(regularised(H, GRID), drop, Transceiver(user=MidRise(3)))
    all_of_them = OfdmLink(symbols=12).measure(whole, kit.generators(range(3)))
    one = list(whole.members())[1]
    alone = OfdmLink(symbols=12).measure(one, [kit.generators(range(3))[1]])
    for name, value in alone.items():
        np.testing.assert_array_equal(value[0], all_of_them[name][1])


def test_one_precoder_for_all_subcarriers_is_that_on_each(kit):
    # Line of sight: users on their way along a straight track, whom one beam over the band follows at first.
    model = Exponential(50e-9, taps=3, k_factor=10.0, speed=20.0)
    H, motion = model.draw_burst(GRID, ARRAY, 2, range(2), kit.generators(range(2)))
    drop = WidebandDrop(H=H, targets=TARGETS, tx_array=ARRAY, rx_array=ARRAY, power=1.0, noise_power=np.full(2, 0.01),
                        radar_noise_power=0.1, grid=GRID, motion=motion)  # fmt: skip
    W = H.mean(axis=1)
    chains = Transceiver(transmit=MidRise(4), user=MidRise(4))
    shared, each = (WidebandLink(w, drop, chains) for w in (W, np.repeat(W[:, None], GRID.used, axis=1)))
    for name in ("signal", "other", "sqinr"):
        np.testing.assert_array_equal(getattr(shared.users, name), getattr(each.users, name))
    one, other = (OfdmLink(symbols=12).measure(link, kit.generators(range(2))) for link in (shared, each))
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name])
    # A sample has the power of one subcarrier, of which 48 of 64 are used.
    np.testing.assert_allclose(ofdm.sample_power(shared.W, GRID), np.sum(np.abs(W) ** 2, axis=-1) * 48 / 64, rtol=1e-12)
    with pytest.raises(InvalidInput, match="each of 48 active subcarriers, or one for all"):
        WidebandLink(np.repeat(W[:, None], 7, axis=1), drop, chains)
