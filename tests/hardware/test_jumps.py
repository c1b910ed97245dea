"""Codebooks of a fixed scale: independent quadrature, closed forms, and the tables of gain control."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from isacsim.hardware.codebooks import mid_rise
from isacsim.hardware.expansions import exact_model, exact_vjp
from isacsim.hardware.fixed_codebooks import FixedCodebooks
from isacsim.hardware.gain_control import GainControlled
from isacsim.hardware.gaussian import density, legendre
from isacsim.hardware.jumps import OCTAVES, WIDEST, Jumps, _apart, _near
from isacsim.hardware.smoothed import octave_of


def uneven(levels, span, spread, seed):
    """A codebook with errors of thresholds and levels, in shares of a step."""
    rng, step = np.random.default_rng(seed), span / levels
    t = step * (np.arange(levels - 1) - levels / 2 + 1) + step * spread * rng.standard_normal(levels - 1)
    return np.sort(t), step * (1 + spread * rng.standard_normal(levels - 1)), -span / 2


def maps_of(*books):
    """Chains with a codebook each."""
    return FixedCodebooks(*(np.array(each) for each in zip(*books, strict=True)))


def uniform(chains, levels, step, scale=1.0):
    """The same uniform codebook in all chains."""
    t = step * (np.arange(levels - 1) - levels / 2 + 1)
    return FixedCodebooks(np.tile(t, (chains, 1)), np.full((chains, levels - 1), scale * step))


def pair(rho, xi):
    off = xi * np.sqrt(rho[0] * rho[1])
    return np.array([[rho[0], off], [np.conj(off), rho[1]]], complex)


def residual(book, sigma):
    """Thresholds and jumps for N(0, 1), and what a map leaves of the line through it at u of mean and deviation."""
    (t, d, lowest), t = book, book[0] / sigma
    mean, gain = lowest + d @ ndtr(-t), d @ density(t)

    def seen(u, r, c):
        above = ndtr((r * u[:, None] - t) / c) if c > 0 else r * u[:, None] > t
        return lowest + above @ d - gain * r * u

    return t, mean, seen


def conditional(one, other, rho, r):
    """E[e_1(u) e_2(v)], means included: v for a given u in closed form, u by nodes between all that is sharp."""
    c = np.sqrt((1 - r) * (1 + r))
    (s, _, first), (t, _, second) = (residual(book, np.sqrt(p / 2)) for book, p in zip((one, other), rho, strict=True))
    beside = np.array([-6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6]) * c
    sharp = np.concatenate([s, (np.sign(r) * t[:, None] + beside).ravel(), np.linspace(-9, 9, 36)])
    edges = np.unique(sharp[np.abs(sharp) <= 9])
    node, weight = legendre(10)
    u = (edges[:-1, None] + np.diff(edges)[:, None] * node).ravel()
    return (np.diff(edges)[:, None] * weight).ravel() * density(u) @ (first(u, 1.0, 0.0) * second(u, r, c))


# Distances in each octave and between, from where the series ends to where chains are all but in phase.
ETAS = [WIDEST * 0.99, 0.5 * WIDEST, 0.3, 0.11, 0.03, 4e-3, 1e-4, 1e-6]
BOOKS = [(2, 1.0, 0.0), (5, 4.0, 0.3), (64, 8.0, 0.2), (64, 0.5, 0.1)]


@pytest.mark.parametrize(("levels", "span", "spread"), [*BOOKS, pytest.param(200, 7.0, 0.1, marks=pytest.mark.slow)])
def test_codebooks_have_the_covariance_of_independent_quadrature(levels, span, spread):
    books, rho = (uneven(levels, span, spread, 0), uneven(levels, 1.2 * span, spread, 1)), (2.0, 3.1)
    maps = maps_of(*books)
    size = exact_model(maps, pair(rho, 0.0)).distortion_power.max()
    for eta in ETAS:
        r = 1 - eta**2 / 2
        plus, minus = (conditional(*books, rho, each) for each in (r, -r))
        D = [exact_model(maps, pair(rho, xi)).distortion[0, 1] for xi in (r, -r, 1j * r)]
        # The imaginary part of what is in quadrature has the odd degrees, the real one the means.
        expected = 2 * plus, 2 * minus, plus - minus
        for found, known in zip((D[0].real, D[1].real, D[2].imag), expected, strict=True):
            assert abs(found - known) <= 1e-10 * size


def flawed(kind):
    """A codebook whose levels fall at some thresholds, or one with codes that are missing."""
    t, d, lowest = uneven(40, 6.0, 0.1, 8)
    if kind == "falling":
        return t, np.where(np.arange(t.size) % 5 == 0, -0.5, 1.0) * d, lowest
    return np.repeat(t[::2], 2)[: t.size], d, lowest


@pytest.mark.parametrize("kind", ["falling", "missing"])
def test_codebooks_with_flaws_have_the_covariance_of_independent_quadrature(kind):
    # Beside one that is far overdriven.
    books, rho = (flawed(kind), uneven(40, 0.3, 0.1, 9)), (2.0, 1.0)
    own = exact_model(maps_of(*books), pair(rho, 0.0)).distortion_power
    for r in (0.8, 0.99, -0.9999, 1.0):
        D = exact_model(maps_of(*books), pair(rho, r)).distortion[0, 1].real
        assert abs(D - 2 * conditional(*books, rho, r)) <= 1e-10 * np.sqrt(own.prod())


def test_chains_in_phase_and_against_it_share_what_their_codebooks_have_in_common():
    books, rho = (uneven(40, 6.0, 0.2, 2), uneven(40, 7.0, 0.2, 3)), (2.0, 0.9)
    size = exact_model(maps_of(*books), pair(rho, 0.0)).distortion_power.max()
    for r in (1.0, -1.0):
        D = exact_model(maps_of(*books), pair(rho, r)).distortion[0, 1]
        assert abs(D - 2 * conditional(*books, rho, r)) <= 1e-11 * size
        # A correlation that misses 1 by rounding is 1.
        near = exact_model(maps_of(*books), pair(rho, r * (1 - 1e-15))).distortion[0, 1]
        assert near == pytest.approx(D, rel=1e-13)


def sawteeth(steps, r):
    """Covariance of the errors of two quantisers without ends, by the Fourier series of both."""
    m = np.arange(1, 60)
    a, b = (2 * np.pi * m / step for step in steps)
    both = np.exp(-((a[:, None] - b) ** 2) / 2 - (1 - r) * a[:, None] * b)  # and nothing at their sum
    return 2 * (both / np.outer(a, b)).sum()


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("ratio", [1.0, 1.0002, 2.0])
def test_without_overload_steps_of_unequal_powers_have_the_correlation_of_sawteeth(bits, ratio):
    step = 40 / 2**bits  # to ten deviations of the stronger chain
    maps, rho = uniform(2, 2**bits, step), np.array([2.0, 2.0 * ratio**2])
    noise = step**2 / 6  # of both parts
    for eta in step * np.array([0.12, 0.3, 0.6, 1.0]):
        r = 1 - eta**2 / 2
        D = exact_model(maps, pair(rho, r)).distortion[0, 1].real
        # In its deviations the step of the stronger chain is smaller by the ratio, and so is the error, scaled back.
        expected = 2 * ratio * sawteeth((step, step / ratio), r)
        # Rounding of r moves the exponent of the first wave.
        assert abs(D - expected) <= (1e-10 + 40e-16 / step**2) * noise


@pytest.mark.parametrize("bits", [3, 6, 9, 12])
def test_chains_at_the_power_of_their_scale_have_the_model_of_gain_control(kit, bits):
    book = mid_rise(bits)
    rho = np.array([2.0, 0.5, 1e-6, 3e5, 1.0, 0.1, 7.0])
    maps = FixedCodebooks(*(np.sqrt(rho / 2)[:, None] * each for each in (book.thresholds, np.diff(book.levels))))
    angles = np.array([0.0, 0.02, 0.07, 0.2, 0.5, 0.8, 1.6])  # differences in all octaves, and two near phase
    W = np.exp(1j * angles)[:, None] + 0.1 * book.step * kit.complex_gaussian((7, 2), bits)
    W *= np.sqrt(rho / (np.abs(W) ** 2).sum(axis=-1))[:, None]
    R = W @ np.conj(W).T
    found, known = exact_model(maps, R), exact_model(GainControlled((book,) * 7), R)
    size = np.sqrt(known.distortion_power)
    np.testing.assert_allclose(found.gain, known.gain, rtol=1e-13)
    np.testing.assert_allclose(found.distortion_power, known.distortion_power, rtol=1e-10)
    # Rounding of r, within a power of 1e-16, moves the waves of steps.
    near = 1e-10 + 40e-16 / book.step**2
    off = np.abs(found.distortion - known.distortion) / np.outer(size, size)
    np.testing.assert_array_less(off, near)


@pytest.mark.parametrize("eta", [1.2, WIDEST * 0.9, 0.2, 0.02, 2e-3])
@pytest.mark.parametrize("levels", [4, 50, pytest.param(600, marks=pytest.mark.slow)])
def test_the_derivative_is_that_of_the_model_however_near_in_phase(kit, levels, eta):
    maps, rho, seed = maps_of(uneven(levels, 6.0, 0.2, 4), uneven(levels, 7.0, 0.2, 5)), np.array([2.0, 1.3]), levels
    R = pair(rho, (1 - eta**2 / 2) * np.exp(0.5j * eta))
    g, a = (lambda A: A + np.conj(A).T)(kit.complex_gaussian((2, 2), seed)), kit.complex_gaussian((2,), seed + 1)
    turn = (lambda A: A + np.conj(A).T)(kit.complex_gaussian((2, 2), seed + 2))

    def merit(t):
        model = exact_model(maps, R + t * turn)
        return (np.conj(a) * model.gain).real.sum() + np.trace(g @ model.distortion).real

    slope = np.trace(exact_vjp(maps, R, a, g) @ turn).real
    sharp = min(1.0, eta) * min(1.0, eta, 6.0 / levels)  # what the covariance may move by, and jumps stay what they are
    steps = 0.03 * sharp * 0.5 ** np.arange(4)
    off = [abs(kit.central_difference(merit, step) - slope) for step in steps]
    assert min(off) <= 1e-7 * abs(slope)


@given(
    levels=st.integers(2, 80),
    span=st.floats(0.1, 30.0),
    spread=st.floats(0.0, 0.5),
    streams=st.integers(1, 4),
    drive=st.lists(st.floats(-60, 60), min_size=5, max_size=5),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=30)
def test_the_distortion_is_positive_semidefinite_at_any_powers(kit, levels, span, spread, streams, drive, seed):
    maps = maps_of(*(uneven(levels, span, spread, seed + k) for k in range(5)))
    W = kit.complex_gaussian((5, streams), seed)
    W = W * 10 ** (np.array(drive) / 20)[:, None] / np.linalg.norm(W, axis=-1, keepdims=True)
    D = exact_model(maps, W @ np.conj(W).T).distortion
    size = np.sqrt(np.diagonal(D).real)
    unit = D / np.maximum(np.outer(size, size), 1e-300)
    assert np.linalg.eigvalsh(unit)[0] >= -1e-10


def test_members_have_the_bytes_they_have_alone_near_phase_and_apart(kit):
    maps = maps_of(*(uneven(30, 6.0, 0.2, k) for k in range(4)))
    W = np.ones((3, 4, 1)) * 1.2 + np.array([1e-4, 0.03, 1.0])[:, None, None] * kit.complex_gaussian((3, 4, 2), 0)
    R = W @ np.conj(W).swapaxes(-1, -2)
    together = exact_model(maps, R).distortion, exact_vjp(maps, R, np.ones((3, 4)), R)
    for m in range(3):
        alone = exact_model(maps, R[m]).distortion, exact_vjp(maps, R[m], np.ones(4), R[m])
        for one, other in zip(together, alone, strict=True):
            assert one[m].tobytes() == other.tobytes()


@pytest.mark.parametrize(("pulsed", "slopes"), [(False, False), (False, True), (True, False)])
def test_thresholds_and_waves_have_the_same_in_each_octave(pulsed, slopes):
    books = [uneven(60, 8.0, 0.2, seed) for seed in (6, 7)]
    t, d = (np.array(each) for each in zip(*((t, d) for t, d, _ in books), strict=True))
    jumps = Jumps.of(t, d)
    one = Jumps.of(t, d * t / 2, pulsed=True) if pulsed else jumps
    pairs = np.array([[0, 1], [0, 0]])
    for k in range(2, OCTAVES):
        r = 1 - (WIDEST / 2**k * np.array([0.6, 0.9])) ** 2 / 2
        sums, waves = _near(one, jumps, pairs, r, slopes), _apart(one, jumps, pairs, r, octave_of(k, WIDEST), slopes)
        # Derivatives are sums of what is larger than they are.
        near = 1e-9 if slopes or pulsed else 1e-10
        np.testing.assert_allclose(waves, sums, rtol=0, atol=near * np.abs(sums).max())
