"""The OFDM link: closed forms of its bit error rate, the narrowband link as one subcarrier, and hardware in series."""

import attrs
import numpy as np
import pytest

from isacsim import Chain, InvalidInput, MidRise, PointTargets, Transceiver, UniformLinearArray
from isacsim.channels.models import Rayleigh
from isacsim.channels.wideband import Exponential
from isacsim.drop import Drop, WidebandDrop
from isacsim.grid import Grid
from isacsim.link import Link, WidebandLink, link_over
from isacsim.metrics.communication import Sqinr, SubcarrierSqinr, SumRateNats
from isacsim.metrics.power import radiating
from isacsim.metrics.radiation import Beampattern, RadiatedPower
from isacsim.waveform import ofdm
from isacsim.waveform.link import SampledLink
from isacsim.waveform.modulation import QAM16, QPSK
from isacsim.waveform.ofdm_link import OfdmLink
from isacsim.waveform.scatter import ReceivedConstellation
from isacsim.waveform.signals import Sources

ARRAY = UniformLinearArray(4)
TARGETS = PointTargets(ARRAY, ARRAY, [0.2], np.pi / 2, [0.1])
CONVERTERS = Transceiver(transmit=MidRise(3), receive=MidRise(3), user=MidRise(3))


def drop_of(grid, H, noise=0.1):
    return WidebandDrop(
        H=H,
        targets=TARGETS,
        tx_array=ARRAY,
        rx_array=ARRAY,
        power=1.0,
        noise_power=np.full(H.shape[-1], noise),
        radar_noise_power=0.1,
        grid=grid,
    )


def channels(grid, users=2, trials=1, seed=3, model=None):
    model = model or Exponential(0.06 / grid.spacing, taps=5)
    rngs = [np.random.default_rng([seed, i]) for i in range(trials)]
    return model.draw_band(grid, ARRAY, users, range(trials), rngs)


def zero_forcing(H, grid):
    Hh = np.conj(H.swapaxes(-1, -2))
    W = H @ np.linalg.inv(Hh @ H + 0.1 * np.eye(H.shape[-1]))
    return W / np.sqrt((np.abs(W) ** 2).sum(axis=(-3, -2, -1), keepdims=True) / grid.subcarriers)


def test_samples_of_subcarriers_are_demodulated_to_them():
    grid = Grid(16, 1.0, active=11, prefix=5)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2, 11, 3, 4)) + 1j * rng.standard_normal((2, 11, 3, 4))
    x = ofdm.modulate(X, grid)
    assert x.shape == (2, 3, 4 * 21)
    np.testing.assert_allclose(ofdm.demodulate(x, grid), X, atol=1e-13)
    bodies = x.reshape(2, 3, 4, 21)
    np.testing.assert_array_equal(bodies[..., :5], bodies[..., -5:])
    # Unitary: the power of a sample is the mean over the bins.
    power = (np.abs(bodies[..., 5:]) ** 2).sum(axis=-1)
    np.testing.assert_allclose(power, (np.abs(X) ** 2).sum(axis=1), rtol=1e-12)


def test_one_subcarrier_is_the_narrowband_link():
    grid, H = Grid(1, 120e3), np.random.default_rng(1).standard_normal((3, 1, 4, 2)) + 0j
    W = zero_forcing(H, grid)
    wide = WidebandLink(W, drop_of(grid, H), CONVERTERS)
    narrow = Link(W[:, 0], Drop(H=H[:, 0], targets=TARGETS, tx_array=ARRAY, rx_array=ARRAY, power=1.0,
                                noise_power=[0.1, 0.1], radar_noise_power=0.1), CONVERTERS)  # fmt: skip
    np.testing.assert_allclose(wide.users.sqinr[:, 0], narrow.users.sqinr, rtol=1e-12)
    np.testing.assert_allclose(wide.radiated_power, narrow.radiated_power, rtol=1e-12)
    np.testing.assert_allclose(wide.echo.noise[:, 0], narrow.echo.noise, rtol=1e-12)
    for metric in (SumRateNats(), Sqinr(), RadiatedPower(), Beampattern()):
        name = metric.quantity.name
        np.testing.assert_allclose(metric.measure(wide, [])[name], metric.measure(narrow, [])[name], rtol=1e-12)
    np.testing.assert_allclose(SubcarrierSqinr().value(wide), SubcarrierSqinr().value(narrow), rtol=1e-12)


def test_flat_channels_and_precoders_are_the_narrowband_link_on_every_subcarrier():
    # All bins used alike: distortion of a converter is white, at the level of the narrowband model.
    grid = Grid(16, 120e3, prefix=4)
    H = channels(grid, model=Rayleigh())
    W = zero_forcing(H, grid)
    wide = WidebandLink(W, drop_of(grid, H), CONVERTERS)
    narrow = Link(W[:, 0], Drop(H=H[:, 0], targets=TARGETS, tx_array=ARRAY, rx_array=ARRAY, power=1.0,
                                noise_power=[0.1, 0.1], radar_noise_power=0.1), CONVERTERS)  # fmt: skip
    if narrow.sent.diagonal:
        np.testing.assert_allclose(wide.users.sqinr, np.repeat(narrow.users.sqinr[:, None], 16, 1), rtol=1e-10)


@pytest.mark.parametrize("carried", [QPSK, QAM16], ids=["qpsk", "16-qam"])
def test_bit_error_rate_in_noise_is_the_closed_form(carried):
    grid = Grid(32, 120e3, active=24, prefix=8)
    H = np.zeros((1, 24, 4, 1), complex)
    H[:, :, 0] = 1
    W = np.zeros((1, 24, 4, 1), complex)
    W[:, :, 0] = 1
    snr = 10.0
    link = WidebandLink(W, drop_of(grid, H, 1 / snr), Transceiver())
    found = OfdmLink(carried, symbols=600, gain="predicted").trial(link, np.random.default_rng(2))
    expected, bits = float(carried.bit_error_rate(snr)), 600 * 24 * carried.bits
    assert abs(found["bit-error-rate"][0] - expected) < 4 * np.sqrt(expected / bits)
    np.testing.assert_allclose(found["predicted-bit-error-rate"], expected, rtol=1e-12)


def test_bit_error_rate_over_rayleigh_subcarriers_is_the_closed_form():
    # Many taps: subcarriers fade alike, and the mean over trials and subcarriers is that of one Rayleigh branch.
    grid, snr, trials = Grid(16, 120e3, prefix=16), 8.0, 300
    H = channels(grid, users=1, trials=trials, model=Exponential(2 / grid.spacing, 16, 1 / grid.rate))
    W = np.zeros((trials, 16, 4, 1), complex)
    W[:, :, 0] = 1
    link = WidebandLink(W, drop_of(grid, H, 1 / snr), Transceiver())
    rngs = [np.random.default_rng([9, i]) for i in range(trials)]
    found = OfdmLink(QPSK, symbols=10, gain="predicted").measure(link, rngs)["bit-error-rate"]
    expected = float(QPSK.faded_bit_error_rate(snr))
    # The rates of trials scatter with the fading: their own standard error counts.
    assert abs(found.mean() - expected) < 4 * found.std() / np.sqrt(trials)


@pytest.mark.parametrize(
    ("hardware", "least"),
    [
        (Transceiver(), 0.05),
        (Transceiver(user=MidRise(3)), 0.1),
        (Transceiver(transmit=MidRise(3)), 0.1),
        (Transceiver(transmit=Chain(MidRise(4), MidRise(5)), user=MidRise(4)), 0.15),
    ],
    ids=["ideal", "3-bit users", "3-bit array", "in series"],
)
def test_sqinr_is_the_predicted_one_on_average(hardware, least):
    grid = Grid(64, 120e3, active=48, prefix=16)
    H = channels(grid)
    link = WidebandLink(zero_forcing(H, grid), drop_of(grid, H, 0.01), hardware)
    found = OfdmLink(symbols=1000).trial(link, np.random.default_rng(4))
    # 96 ratios of 1000 symbols each: the mean to about 0.02 dB; with white models of array converters 0.1 dB.
    assert abs(found["sqinr-error-db"][0]) < least


def test_evm_is_that_of_the_equaliser():
    grid = Grid(32, 120e3, prefix=8)
    H = channels(grid)
    link = WidebandLink(zero_forcing(H, grid), drop_of(grid, H, 0.05), Transceiver())
    g = link.users.sqinr
    for equaliser, expected in (("one-tap", g**-0.5), ("lmmse", (1 + g) ** -0.5)):
        one = OfdmLink(symbols=2000, gain="predicted", equaliser=equaliser)
        evm = one.trial(link, np.random.default_rng(5))["subcarrier-evm"]
        np.testing.assert_allclose(evm, expected, rtol=4 / np.sqrt(2000))


def test_a_block_of_symbols_does_not_change_what_is_sent():
    W = np.ones((1, 8, 4, 2), complex)
    whole = ofdm.symbols(QPSK, W, 6, Sources.of(np.random.default_rng(0)))
    sources = Sources.of(np.random.default_rng(0))
    parts = [ofdm.symbols(QPSK, W, n, sources) for n in (2, 4)]
    np.testing.assert_array_equal(whole, np.concatenate(parts, axis=-1))


def test_scaling_reaches_the_radiated_power_of_the_samples():
    grid = Grid(16, 120e3, active=12)
    H = channels(grid, trials=2)
    link = WidebandLink(0.3 * zero_forcing(H, grid), drop_of(grid, H), CONVERTERS)
    np.testing.assert_allclose(radiating(link, 2.0).radiated_power, 2.0, rtol=1e-10)


def test_subcarriers_are_narrowband_members_of_even_power():
    grid = Grid(16, 120e3, active=12)
    drop = drop_of(grid, channels(grid, trials=2))
    each = drop.subcarriers()
    assert each.H.shape == (24, 4, 2)
    np.testing.assert_array_equal(each.H[12 + 5], drop.H[1, 5])
    np.testing.assert_allclose(each.power, 16 / 12)  # so that the samples have a power of 1 W


def test_what_has_no_meaning_on_the_other_kind_of_link_is_refused():
    grid = Grid(4, 120e3)
    H = channels(grid)
    wide = link_over(zero_forcing(H, grid), drop_of(grid, H), Transceiver())
    with pytest.raises(InvalidInput, match="experiments"):
        SampledLink().measure(wide, [np.random.default_rng(0)])
    with pytest.raises(InvalidInput, match="H"):
        attrs.evolve(wide.drop, H=H[:, :3])
    flat = Drop(H=H[:, 0], targets=TARGETS, tx_array=ARRAY, rx_array=ARRAY, power=1.0, noise_power=[0.1, 0.1],
                radar_noise_power=0.1)  # fmt: skip
    with pytest.raises(InvalidInput, match="grid"):
        OfdmLink().measure(link_over(np.ones((1, 4, 2)), flat, Transceiver()), [np.random.default_rng(0)])


def test_the_constellation_of_a_band_lies_about_the_symbols_sent():
    grid = Grid(32, 120e3, active=24, prefix=8)
    H = channels(grid)
    link = WidebandLink(zero_forcing(H, grid), drop_of(grid, H, 1e-4), Transceiver(user=MidRise(5)))
    found = ReceivedConstellation(QPSK, symbols=1000).trial(link, np.random.default_rng(8))
    z = found["constellation-i"] + 1j * found["constellation-q"]
    assert z.shape == (1, 2, 1000)
    error = z - (np.sign(z.real) + 1j * np.sign(z.imag)) / np.sqrt(2)
    expected = (1 / link.users.sqinr).mean(axis=1)
    # Decisions are right at these SQINRs; the mean of 1000 errors over subcarriers that share few taps.
    np.testing.assert_allclose((np.abs(error) ** 2).mean(axis=-1), expected, rtol=0.25)


def test_kurtosis_tells_how_far_samples_are_from_gaussian_ones():
    grid = Grid(64, 120e3, active=48, prefix=16)
    found = {}
    for name, bits, users in (("gaussian", np.inf, 2), ("two streams", 1, 2), ("four streams", 1, 4)):
        H = channels(grid, users)
        link = WidebandLink(zero_forcing(H, grid), drop_of(grid, H, 0.01), Transceiver(MidRise(bits), user=MidRise(1)))
        found[name] = OfdmLink(symbols=600).trial(link, np.random.default_rng(4))
    kurtosis = {name: one["received-kurtosis"].mean() for name, one in found.items()}
    # Gaussian samples: |y|^4 of unit power has a deviation of sqrt(20), over 76,800 samples.
    assert kurtosis["gaussian"] == pytest.approx(2, abs=4 * np.sqrt(20 / 76800))
    assert kurtosis["two streams"] < kurtosis["four streams"] < 1.95
    for one in found.values():
        assert abs(one["sqinr-error-db"][0]) < 0.1


@pytest.mark.parametrize("hardware", [Transceiver(), CONVERTERS], ids=["ideal", "converters"])
def test_silent_subcarriers_and_chains_are_no_nan(hardware):
    grid = Grid(16, 120e3, active=12, prefix=4)
    H = channels(grid)
    W = zero_forcing(H, grid)
    W[:, 3], W[:, :, 1] = 0.0, 0.0
    link = WidebandLink(W, drop_of(grid, H), hardware)
    found = OfdmLink(symbols=40, gain="predicted").trial(link, np.random.default_rng(6))
    assert all(np.isfinite(value).all() for value in found.values())
    np.testing.assert_array_equal(link.users.sqinr[:, 3], 0)
    np.testing.assert_array_equal(found["predicted-subcarrier-sqinr"][:, 3], 0)
    # A chain without input puts nothing out, on no subcarrier; distortion of the others is on the silent one too.
    assert np.all(link.sent.antenna_power[..., 1] <= 1e-15)
    assert np.all(link.sent.power[:, 3] > 0) != hardware.is_ideal
