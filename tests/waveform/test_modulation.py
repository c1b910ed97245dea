"""Modulations: bits to symbols and back, the Gray code, and closed forms of error rates."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import erfc

from isacsim import InvalidInput
from isacsim.waveform.modulation import ORDERS, QAM64, QPSK, Gaussian, Qam, bit_errors, modulation

QAMS = [Qam(order) for order in ORDERS]
qams = st.sampled_from(QAMS)
shapes = st.lists(st.integers(0, 5), max_size=3).map(tuple)


def tail(x):
    return erfc(x / np.sqrt(2)) / 2


@given(qams, shapes, st.integers(0, 2**32 - 1))
def test_bits_go_to_labels_to_symbols_and_back(qam, shape, seed):
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (*shape, qam.bits))
    labels = qam.labels(bits)
    assert labels.shape == shape
    assert labels.dtype == np.uint8
    symbols = qam.modulate(labels)
    assert symbols.shape == shape
    np.testing.assert_array_equal(qam.decide(symbols), labels)
    np.testing.assert_array_equal(qam.unpack(labels), bits)
    # Noise that stays within half the distance of neighbours changes no decision.
    noise = qam.half_distance * 0.999 * (rng.uniform(-1, 1, shape) + 1j * rng.uniform(-1, 1, shape))
    np.testing.assert_array_equal(qam.decide(symbols + noise), labels)


@pytest.mark.parametrize("qam", QAMS)
def test_symbols_have_unit_mean_power_and_are_distinct(qam):
    points = qam.modulate(np.arange(qam.order))
    assert np.mean(np.abs(points) ** 2) == pytest.approx(1.0, rel=1e-14)
    assert np.mean(points) == pytest.approx(0.0, abs=1e-14)
    assert len(set(points)) == qam.order


@pytest.mark.parametrize("qam", QAMS)
def test_nearest_neighbours_differ_in_one_bit(qam):
    labels = np.arange(qam.order)
    points = qam.modulate(labels)
    distance = np.abs(points[:, None] - points)
    np.testing.assert_allclose(distance[distance > 0].min(), 2 * qam.half_distance, rtol=1e-12)
    near = np.argwhere(np.isclose(distance, 2 * qam.half_distance))
    assert len(near) == 4 * (qam.sides - 1) * qam.sides  # both ways, in both directions of the grid
    assert all((int(a) ^ int(b)).bit_count() == 1 for a, b in near)


@given(qams, st.integers(0, 2**32 - 1))
def test_decisions_are_the_nearest_symbols(qam, seed):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(2, 30)) + 1j * rng.normal(size=(2, 30))
    points = qam.modulate(np.arange(qam.order))
    np.testing.assert_array_equal(qam.decide(z), np.argmin(np.abs(z[..., None] - points), axis=-1))


def test_decisions_far_outside_and_of_one_sample_and_of_none():
    assert Qam(16).decide(np.complex128(99 + 99j)) == Qam(16).decide(np.complex128(1 + 1j))
    assert Qam(16).decide(-1e9 + 0.1j).shape == ()
    assert Qam(16).decide(np.zeros((3, 0), complex)).shape == (3, 0)
    z = np.random.default_rng(0).normal(size=(4, 6)) + 0j
    np.testing.assert_array_equal(Qam(64).decide(z.T), Qam(64).decide(z).T)


@pytest.mark.parametrize("qam", QAMS)
def test_drawn_bits_are_equally_likely(qam):
    labels = qam.draw_labels(np.random.default_rng(1), (2, 50_000))
    counts = np.bincount(labels.ravel(), minlength=qam.order)
    assert counts.size == qam.order
    expected = labels.size / qam.order
    # Chi-squared of M - 1 degrees of freedom: its mean plus five standard deviations.
    assert ((counts - expected) ** 2 / expected).sum() < qam.order - 1 + 5 * np.sqrt(2 * (qam.order - 1))
    assert qam.draw(np.random.default_rng(1), (2, 3)).shape == (2, 3)


def test_gaussian_symbols_have_unit_power_and_no_bits():
    s = Gaussian().draw(np.random.default_rng(0), (2, 100_000))
    # |s|^2 has a standard deviation of 1.
    assert np.mean(np.abs(s) ** 2) == pytest.approx(1.0, abs=4 / np.sqrt(s.size))
    assert Gaussian().bits == 0


def test_errors_of_each_bit_are_counted_for_each_row():
    sent, decided = np.array([[0b0000, 0b1010], [0b1111, 0b0001]], np.uint8), np.array([[0b1000, 0b1001], [15, 1]])
    np.testing.assert_array_equal(bit_errors(sent, decided.astype(np.uint8), 4), [[1, 0, 1, 1], [0, 0, 0, 0]])
    assert bit_errors(sent[:, :0], sent[:, :0], 4).tolist() == [[0] * 4] * 2


@pytest.mark.parametrize("snr", [0.1, 1.0, 10.0, 100.0])
def test_error_rates_in_white_noise_are_the_textbook_ones(snr):
    np.testing.assert_allclose(Qam(4).bit_error_rate(snr), tail(np.sqrt(snr)), rtol=1e-12)
    a = np.sqrt(snr / 5)
    np.testing.assert_allclose(
        Qam(16).bit_error_rate(snr), 3 / 4 * tail(a) + tail(3 * a) / 2 - tail(5 * a) / 4, rtol=1e-12
    )
    np.testing.assert_allclose(Qam(16).symbol_error_rate(snr), 3 * tail(a) - 9 / 4 * tail(a) ** 2, rtol=1e-12)


@pytest.mark.parametrize("qam", QAMS)
def test_error_rates_are_one_half_without_signal_and_about_one_bit_a_symbol_error_at_high_snr(qam):
    np.testing.assert_allclose(qam.bit_error_rate(0.0), 0.5, rtol=1e-12)
    np.testing.assert_allclose(qam.symbol_error_rate(0.0), 1 - 1 / qam.order, rtol=1e-12)
    high = 30 * (qam.order - 1) / 3  # a = sqrt(30): nothing but neighbours is mistaken
    np.testing.assert_allclose(qam.bit_error_rate(high) * qam.bits, qam.symbol_error_rate(high), rtol=1e-6)


@pytest.mark.parametrize("branches", [1, 2, 5])
@pytest.mark.parametrize("qam", QAMS)
def test_faded_error_rates_are_averages_over_the_fading(qam, branches):
    def weighted(x):
        density = x ** (branches - 1) * np.exp(-x) / np.prod(np.arange(1, branches))
        return density * qam.bit_error_rate(20 * x)

    average, _ = quad(weighted, 0, 80, epsabs=1e-13, limit=400)
    np.testing.assert_allclose(qam.faded_bit_error_rate(20.0, branches), average, rtol=1e-8)


def test_error_rates_take_any_shape():
    snr = np.random.default_rng(0).uniform(1, 9, (2, 3))
    for rate in (Qam(64).bit_error_rate, Qam(64).faded_bit_error_rate, Qam(64).symbol_error_rate):
        assert rate(snr).shape == (2, 3)
        assert rate(snr)[1, 2] == rate(snr[1, 2])


def test_a_modulation_is_named_by_a_word_or_a_table():
    assert modulation("qam16") == modulation({"kind": "qam", "order": 16}) == modulation({"kind": "qam16"}) == Qam(16)
    assert modulation("qpsk") == QPSK == Qam(4)
    assert modulation("qam64") == QAM64 == Qam(64)
    assert modulation(Gaussian()) == modulation("gaussian") == Gaussian()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("qam32", "modulation.kind: must name one of the modulations, got 'qam32'. Did you mean 'qam"),
        ({"kind": "qam16", "order": 4}, "modulation.order: must be an option of qam16, got 4. Valid: none."),
        ({"kind": "qam", "size": 4}, "modulation.size: must be an option of qam, got 4. Valid: order."),
        ({"order": 4}, "modulation: must be a modulation, or a name or a table of one, got {'order': 4}. Valid: "),
        (16, "modulation: must be a modulation, or a name or a table of one, got 16. Valid: gaussian, qam, qam16"),
    ],
)
def test_what_names_no_modulation_is_refused(value, told):
    with pytest.raises(InvalidInput, match=re.escape(told)):
        modulation(value)


def test_an_order_that_is_not_there_is_refused_at_its_place():
    with pytest.raises(InvalidInput, match=r"modulation.order: must be one of 4, 16, 64, 256, got 8"):
        modulation({"kind": "qam", "order": 8})


def test_wrong_orders_and_bits_are_refused():
    with pytest.raises(InvalidInput, match="order: must be one of 4, 16, 64, 256, got 8"):
        Qam(8)
    with pytest.raises(InvalidInput, match="bits: must be 0 or 1, 4 for each symbol"):
        Qam(16).labels([[0, 1, 2, 0]])
    with pytest.raises(InvalidInput, match="bits: must be 0 or 1, 4 for each symbol"):
        Qam(16).labels([0, 1])
