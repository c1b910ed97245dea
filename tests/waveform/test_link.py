"""The link: closed forms, its stated bias and spread, batches, edges."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erfc
from scipy.stats import binom

from isacsim import Aqnm, Drop, Hardware, InvalidInput, MidRise, PointTargets, Transceiver, UniformLinearArray
from isacsim.link import Link
from isacsim.metrics import sinr, sqinr
from isacsim.random import complex_normal
from isacsim.waveform.detection import Detection
from isacsim.waveform.link import LARGEST, SAMPLES, Downlink, SampledLink, Tally, sampled_sqinr, send
from isacsim.waveform.modulation import Gaussian, Qam
from isacsim.waveform.signals import Sources

ARRAY = UniformLinearArray(6)


def drop(trials, users=3):
    rng = np.random.default_rng(trials)
    H = complex_normal(rng, (trials, ARRAY.size, users))
    scene = PointTargets(ARRAY, ARRAY, [0.3], [np.pi / 2], [1.0])
    return Drop(H, scene, ARRAY, ARRAY, 1.0, np.linspace(0.1, 0.4, users), 1.0, snapshots=4)


def precoders(trials, streams=4, seed=5):
    return complex_normal(np.random.default_rng(seed), (trials, ARRAY.size, streams)) / 2


def generators(trials):
    return [np.random.default_rng([7, i]) for i in range(trials)]


def spread(true, n):
    """Standard deviation and bias that `sampled_sqinr` states for Gaussian samples."""
    return np.sqrt((2 * true * (1 + true) + 1 / n) / n), (1 + 2 * true) / (n - 2)


def test_on_ideal_hardware_it_measures_sinr_and_rate():
    realisations, W, n = drop(4), precoders(4), 2**16
    true = sinr(realisations.H, W, realisations.noise_power)
    values = SampledLink(symbols=n).measure(Link(W, realisations, Transceiver()), generators(4))
    deviation, bias = spread(true, n)
    assert np.all(np.abs(values["sampled-sqinr"] - true - bias) < 4 * deviation)
    rate_deviation = np.sqrt(((deviation / (1 + true)) ** 2).sum(-1))
    rate_bias = (bias / (1 + true)).sum(-1)
    error = values["sampled-sum-rate-nats"] - np.log1p(true).sum(-1) - rate_bias
    assert np.all(np.abs(error) < 4 * rate_deviation)


@pytest.mark.parametrize("bits", [1, 2, 3, 5])
def test_through_the_users_converters_alone_the_closed_form_is_exact(bits):
    # One chain a user and Gaussian input: what the model neglects, correlation of the
    # distortion between chains, is not there.
    realisations, W, n = drop(2), precoders(2), 2**16
    hardware = Transceiver(user=MidRise(bits))
    true = sqinr(realisations.H, W, realisations.noise_power, hardware)
    values = SampledLink(symbols=n).measure(Link(W, realisations, hardware), generators(2))
    deviation, bias = spread(true, n)
    assert np.all(np.abs(values["sampled-sqinr"] - true - bias) < 4 * deviation)


def test_bias_and_standard_deviation_are_as_stated():
    realisations, W, n, repeats = drop(1), precoders(1), 200, 2000
    H, noise = realisations.H[0], realisations.noise_power
    true = sinr(H, W[0], noise)
    many = np.broadcast_to(W[0], (repeats, *W[0].shape))
    found = sampled_sqinr(H, many, noise, Transceiver(), np.random.default_rng(0), n)
    deviation, bias = spread(true, n)
    np.testing.assert_allclose(found.std(axis=0), deviation, rtol=0.1)  # stated to first order
    assert np.all(np.abs(found.mean(axis=0) - true - bias) < 4 * found.std(axis=0) / np.sqrt(repeats))


def test_coarser_converters_measure_worse():
    realisations, W = drop(3), precoders(3)
    rates = [
        SampledLink(symbols=2**14)
        .measure(Link(W, realisations, hardware), generators(3))["sampled-sum-rate-nats"]
        .mean()
        for hardware in (Transceiver(Aqnm(b), Aqnm(b), Aqnm(b)) for b in (1, 2, 4, np.inf))
    ]
    assert np.all(np.diff(rates) > 0)


def test_a_member_of_a_batch_has_the_bytes_it_has_alone():
    realisations, W, hardware = drop(3), precoders(3), Transceiver(Aqnm(2), Aqnm(2), Aqnm(2))
    link = SampledLink("qam64", symbols=SAMPLES // ARRAY.size + 3, training=50)  # more than one block
    together = link.measure(Link(W, realisations, hardware), generators(3))
    for i in range(3):
        single = Drop(
            realisations.H[i : i + 1], realisations.targets, ARRAY, ARRAY, 1.0, realisations.noise_power, 1.0, 4
        )
        alone = link.measure(Link(W[i : i + 1], single, hardware), generators(3)[i : i + 1])
        for name, value in alone.items():
            assert value.tobytes() == together[name][i : i + 1].tobytes()


@pytest.mark.parametrize("experiment", [SampledLink(symbols=8), Detection(decisions=100)])
def test_a_precoder_that_is_not_finite_is_refused(experiment):
    W = precoders(2)
    W[1, 0, 0] = np.nan
    with pytest.raises(InvalidInput, match="transmit input, chain 0: must be finite samples"):
        experiment.measure(Link(W, drop(2), Transceiver()), generators(2))


class Broken(Hardware):
    """Puts out NaN in its second chain."""

    def apply(self, x, rng=None, *, power=None):
        y = np.array(x)
        y[..., 1, 0] = np.nan
        return y

    def linear_model(self, R):
        return Aqnm(3).linear_model(R)


@pytest.mark.parametrize("side", ["transmit", "user"])
def test_hardware_that_puts_out_nan_is_refused_by_side_and_chain(side):
    with pytest.raises(InvalidInput, match=f"{side} output, chain 1: must be finite samples, got"):
        SampledLink("qpsk", symbols=8).measure(
            Link(precoders(2), drop(2), Transceiver(**{side: Broken()})), generators(2)
        )


def single(snr):
    """One antenna and one user: white noise, at the SNRs (...)."""
    snr = np.asarray(snr, float)[..., None, None]
    return Downlink.of(np.ones(snr.shape), np.sqrt(snr), 1.0, Transceiver())


def tail(x):
    return erfc(x / np.sqrt(2)) / 2


def faded_tail(x):
    """Mean of Q(x sqrt(g)) over an exponential g of mean one."""
    return (1 - np.sqrt(x**2 / (2 + x**2))) / 2


def bit_probabilities(order, snr, q):
    """Error probability of each bit of a Gray-mapped symbol, most significant first, by counting thresholds."""
    if order == 4:
        return [q(np.sqrt(snr))] * 2
    a = np.sqrt(snr / 5)
    outer = (q(a) + q(3 * a)) / 2  # the bit that tells the sides of zero apart
    inner = (2 * q(a) + q(3 * a) - q(5 * a)) / 2  # the bit that tells inner from outer levels
    return [outer, inner] * 2


# 6 SNRs (dB) that take the mean bit error rate from about 0.2 to between 1e-4 and 1e-3.
LINKS = [
    (4, "white", (-2, 0, 3, 6, 8, 10)), (16, "white", (0, 5, 9, 12, 14, 16)),
    (4, "faded", (0, 6, 12, 18, 24, 30)), (16, "faded", (0, 6, 12, 20, 28, 36)),
]  # fmt: skip
INTERVALS = sum(len(snrs) * Qam(order).bits for order, _, snrs in LINKS)


@pytest.mark.parametrize(("order", "channel", "snrs"), LINKS)
def test_bit_error_rates_are_those_of_the_closed_forms(order, channel, snrs):
    """Every count is in its binomial interval, all of `LINKS` together with a probability of 99 % (Bonferroni).

    The bits of a symbol share noise and fade, and the count over all of them is not
    binomial. That of one bit over independent symbols is, with a fade for each symbol too.
    """
    qam, level = Qam(order), 0.01 / INTERVALS
    count = 1_000_000 // qam.bits
    for snr_db in snrs:
        snr, rng = 10 ** (snr_db / 10), np.random.default_rng([order, snr_db + 10])
        if channel == "white":
            way = single(snr)
            errors = send(way, qam, count, Sources.of(rng), 1 / way.predicted.gain).bit_errors[0]
        else:
            h = complex_normal(rng, (count, 1, 1))
            way = Downlink.of(h, np.full((1, 1), np.sqrt(snr)), 1.0, Transceiver())
            errors = send(way, qam, 1, Sources.of(rng), 1 / way.predicted.gain).bit_errors[:, 0].sum(axis=0)
        probabilities = bit_probabilities(order, snr, tail if channel == "white" else faded_tail)
        closed = qam.bit_error_rate if channel == "white" else qam.faded_bit_error_rate
        np.testing.assert_allclose(np.mean(probabilities), closed(snr), rtol=1e-9)
        for wrong, p in zip(errors, probabilities, strict=True):
            assert min(binom.cdf(wrong, count, p), binom.sf(wrong - 1, count, p)) > level / 2, (snr_db, wrong, count, p)


def one_antenna(snr):
    array = UniformLinearArray(1)
    scene = PointTargets(array, array, [0.3], [np.pi / 2], [1.0])
    return Drop(np.ones((1, 1, 1)), scene, array, array, snr, [1.0], 1.0), np.full((1, 1, 1), np.sqrt(snr))


@pytest.mark.parametrize("gain", ["empirical", "predicted"])
def test_the_experiment_records_what_the_closed_form_predicts(gain):
    realisation, W = one_antenna(10.0)
    link = SampledLink("qam16", symbols=100_000, gain=gain, training=10_000)
    values = {
        n: float(v.squeeze()) for n, v in link.measure(Link(W, realisation, Transceiver()), generators(1)).items()
    }
    p, bits = float(Qam(16).bit_error_rate(10.0)), 4 * 100_000
    assert values["predicted-bit-error-rate"] == pytest.approx(p, rel=1e-12)
    # Four standard deviations; the bits of one amplitude are never so dependent as to more than double
    # the variance. Training of n symbols raises the noise by 1/n, by much less.
    assert values["bit-error-rate"] == pytest.approx(p, abs=4 * np.sqrt(2 * p / bits))
    assert values["bit-error-rate"] == values["user-bit-error-rate"] == values["bit-errors"] / bits
    assert values["symbol-error-rate"] == values["user-symbol-error-rate"]
    assert values["bit-error-rate-low"] < values["bit-error-rate"] < values["bit-error-rate-high"]
    assert values["bit-errors"] >= values["symbol-errors"] == values["symbol-error-rate"] * values["symbols-sent"]
    ser = float(Qam(16).symbol_error_rate(10.0))
    assert values["symbol-error-rate"] == pytest.approx(ser, abs=4 * np.sqrt(ser / 100_000))


def test_the_error_vector_is_that_of_the_tap_and_decisions_are_unbiased_behind_either():
    realisations, W, n = drop(2), precoders(2), 50_000
    true = sinr(realisations.H, W, realisations.noise_power)
    options = {"modulation": "qam16", "symbols": n, "gain": "predicted"}
    one_tap, lmmse = (
        SampledLink(**options, equaliser=equaliser).measure(Link(W, realisations, Transceiver()), generators(2))
        for equaliser in ("one-tap", "lmmse")
    )
    # Mean squares of n independent errors, of residuals lighter in their tails than Gaussian ones.
    np.testing.assert_allclose(one_tap["evm"] ** 2, 1 / true, rtol=4 * np.sqrt(2 / n))
    np.testing.assert_allclose(lmmse["evm"] ** 2, 1 / (1 + true), rtol=4 * np.sqrt(2 / n))
    for name in ("bit-errors", "symbol-errors", "sampled-sqinr"):
        np.testing.assert_array_equal(one_tap[name], lmmse[name])


def test_the_gain_by_the_linear_model_is_the_empirical_one_where_the_model_is_exact():
    # Mid-rise converters and Gaussian symbols: gains are exact, whatever distortion correlates.
    realisations, W, n = drop(2), precoders(2), 2**16
    way = Downlink.of(realisations.H, W, realisations.noise_power, Transceiver(MidRise(3), user=MidRise(2)))
    tally = send(way, Gaussian(), n, Sources.of(np.random.default_rng(0)))
    # y s* varies by about the power of y; the gain control of the users is set to a power that
    # correlated distortion moves, which the second gain follows by less than a percent.
    spread = np.sqrt(way.predicted.output_power / n)
    assert np.all(np.abs(tally.gain - way.predicted.gain) < 4 * spread + 0.01 * np.abs(way.predicted.gain))


def test_a_link_without_noise_to_speak_of_has_a_finite_sqinr():
    # One-bit converters do not change QPSK on one chain: no residual but rounding is left.
    realisation, W = one_antenna(1e9)
    for bits in (1, np.inf):
        hardware = Transceiver(Aqnm(bits), user=Aqnm(bits))
        values = SampledLink("qpsk", symbols=3000, training=100).measure(Link(W, realisation, hardware), generators(1))
        assert 1e8 < values["sampled-sqinr"] <= LARGEST
        assert values["bit-errors"] == values["bit-error-rate"] == 0


def test_a_user_without_signal_guesses():
    realisation, W = one_antenna(1.0)
    for gain in ("empirical", "predicted"):
        link = SampledLink("qam16", symbols=4000, gain=gain, training=10)
        values = link.measure(Link(0 * W, realisation, Transceiver()), generators(1))
        assert all(np.isfinite(v).all() for v in values.values())
        # All bits are decided alike or at random: wrong with probability 1/2; the two bits of an
        # amplitude are independent of each other.
        assert values["bit-error-rate"] == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(2 * 4000))


@pytest.mark.parametrize(("antennas", "users", "streams"), [(1, 1, 1), (4, 3, 5), (3, 0, 2)])
def test_no_symbols_one_symbol_and_any_leading_axes_work(antennas, users, streams):
    rng = np.random.default_rng(0)
    H, W = complex_normal(rng, (2, 3, antennas, users)), complex_normal(rng, (3, antennas, streams))
    way = Downlink.of(H, W, 0.1, Transceiver(MidRise(3), MidRise(3), MidRise(3)))
    for symbols in (0, 1, 7):
        tally = send(way, Qam(16), symbols, Sources.of(np.random.default_rng(1)))
        assert tally.symbols == symbols
        assert tally.bit_errors.shape == (2, 3, users, 4)
        assert tally.gain.shape == tally.sqinr.shape == (2, 3, users)
        assert not np.isnan(tally.sqinr).any()
        assert not np.isnan(tally.error_vector_magnitude(0j * tally.gain)).any()


@pytest.mark.parametrize("carried", ["gaussian", "qpsk"])
def test_a_station_without_users_has_no_errors(carried):
    realisations = drop(2, users=0)
    values = SampledLink(carried, symbols=8, training=4).measure(
        Link(precoders(2), realisations, Transceiver()), generators(2)
    )
    assert values["sampled-sqinr"].shape == (2, 0)
    assert all(np.isfinite(v).all() for v in values.values())
    assert np.all(values["sampled-sum-rate-nats"] == 0)


def test_rates_over_all_users_are_means_and_sums_of_those_of_each():
    values = SampledLink("qam64", symbols=500).measure(Link(precoders(2), drop(2), Transceiver()), generators(2))
    for name in ("bit-error-rate", "symbol-error-rate"):
        np.testing.assert_allclose(values[name], values["user-" + name].mean(axis=-1), rtol=1e-12)
    np.testing.assert_allclose(values["sampled-sum-rate-nats"], values["sampled-rate-nats"].sum(axis=-1), rtol=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(0, 20), st.integers(0, 20))
def test_the_sums_of_two_blocks_are_the_sum_of_their_sums(seed, first, second):
    rng = np.random.default_rng(seed)
    s, y = complex_normal(rng, (2, 2, first + second))
    sent, decided = rng.integers(0, 4, (2, 2, first + second), np.uint8)

    def part(*at):
        cut = [np.ascontiguousarray(a[:, slice(*at)]) for a in (s, y, sent, decided)]
        return Tally.of(*cut, 2)

    total, whole = part(0, first) + part(first, None), part(0, None)
    assert total.symbols == whole.symbols
    for name in ("bit_errors", "symbol_errors"):
        np.testing.assert_array_equal(getattr(total, name), getattr(whole, name))
    for name in ("cross", "sent", "received"):
        np.testing.assert_allclose(getattr(total, name), getattr(whole, name), rtol=1e-12, atol=1e-12)


def test_symbols_stop_at_the_errors_asked_for():
    realisation, W = one_antenna(10.0)
    whole, early = (
        SampledLink("qam16", symbols=500_000, errors=errors, training=100).measure(
            Link(W, realisation, Transceiver()), generators(1)
        )
        for errors in (None, 200)
    )
    assert whole["symbols-sent"] == 500_000
    # A block has thousands of errors at this SNR: the first one is enough.
    assert early["symbols-sent"] <= SAMPLES
    assert early["bit-errors"] >= 200
    assert whole["bit-error-rate-high"] - whole["bit-error-rate-low"] < (
        early["bit-error-rate-high"] - early["bit-error-rate-low"]
    )


def test_memory_does_not_grow_with_the_symbols():
    realisation, W = one_antenna(10.0)

    def peak(symbols):
        tracemalloc.start()
        SampledLink("qam16", symbols=symbols).measure(Link(W, realisation, Transceiver(MidRise(3))), generators(1))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    assert peak(8 * SAMPLES) < 1.1 * peak(2 * SAMPLES)


@pytest.mark.parametrize("carried", ["gaussian", "qpsk"])
def test_it_declares_what_it_measures(carried):
    link = SampledLink(carried, symbols=8, training=4)
    values = link.measure(Link(precoders(2), drop(2), Transceiver()), generators(2))
    declared = {q.name: q for q in link.quantities}
    assert declared.keys() == values.keys()
    assert ("bit-error-rate" in declared) is (carried == "qpsk")
    assert values["sampled-sqinr"].shape == (2, 3)
    assert declared["sampled-sqinr"].dims == ("user",)
    assert values["sampled-sum-rate-nats"].shape == (2,)
    assert declared["sampled-sum-rate-nats"].unit == "nat/s/Hz"


@pytest.mark.parametrize("symbols", [0, 1, -3, 2.5, True, "many"])
def test_a_wrong_number_of_symbols_is_refused(symbols):
    with pytest.raises(InvalidInput, match="symbols: must be a whole number of at least 2"):
        SampledLink(symbols=symbols)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modulation": "qam8"}, "modulation.kind: must name one of the modulations, got 'qam8'"),
        ({"errors": 0}, "errors: must be a whole number of at least 1"),
        ({"training": 1}, "training: must be a whole number of at least 2"),
        ({"gain": "known"}, "gain: must be one of its choices"),
        ({"equaliser": "mmse"}, "equaliser: must be one of its choices"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(InvalidInput, match=message):
        SampledLink(**options)
