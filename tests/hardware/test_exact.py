"""Exact models of memoryless hardware: independent quadrature, closed forms, invariants, and what is refused."""

from pathlib import Path

import attrs
import numpy as np
import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erfc

from isacsim import Aqnm, Chain, Hardware, InvalidInput, MidRise
from isacsim.hardware import quadrature
from isacsim.hardware.base import diagonal_matrix, estimate_linear_model
from isacsim.hardware.cells import _basis
from isacsim.hardware.chain import Series
from isacsim.hardware.codebooks import lloyd_max, mid_rise
from isacsim.hardware.envelopes import Envelopes
from isacsim.hardware.expansions import exact_model, exact_vjp
from isacsim.hardware.fixed_codebooks import FixedCodebooks
from isacsim.hardware.fixed_scale import FixedScale
from isacsim.hardware.gain_control import GainControlled
from isacsim.hardware.probing import kind_of, maps_of
from isacsim.testing import check_hardware
from isacsim.testing.hardware import _check_derivative

DATA = Path(__file__).parents[1] / "data" / "exact-hardware"


def reference(name):
    return dict(np.load(DATA / f"{name}.npz"))


def meets(model, data, rtol=1e-10):
    np.testing.assert_allclose(model.gain, data["gain"], rtol=0, atol=1e-10)
    np.testing.assert_allclose(model.distortion, data["D"], rtol=0, atol=rtol * np.abs(data["D"]).max())


def few_streams(kit, chains, streams, seed, lead=()):
    W = kit.complex_gaussian((*lead, chains, streams), seed)
    W = W * np.linspace(0.4, 1.6, chains)[:, None]
    return W @ np.conj(W).swapaxes(-1, -2)


@frozen
class Known(Hardware):
    """A device that has `apply` alone: that of another one."""

    device: Hardware

    def apply(self, x, rng=None, *, power=None):
        return self.device.apply(x, rng, power=power)


@frozen
class Limiter(Hardware):
    """Clips envelopes at the root of ``saturation``."""

    saturation: float = 1.0

    def apply(self, x, rng=None, *, power=None):
        return x * np.minimum(1.0, np.sqrt(self.saturation) / np.maximum(np.abs(x), np.finfo(float).tiny))


@frozen
class ElevenLevels(Hardware):
    """An odd codebook of 11 levels of unequal steps and a fixed scale, as a plugin would write it."""

    def apply(self, x, rng=None, *, power=None):
        thresholds = np.array([0.2, 0.5, 0.9, 1.4, 2.0])
        levels = np.array([0.0, 0.35, 0.7, 1.15, 1.7, 2.4])

        def part(v):
            return np.sign(v) * levels[np.searchsorted(thresholds, np.abs(v))]

        return part(x.real) + 1j * part(x.imag)


@frozen
class Clipping(Hardware):
    """Clips real and imaginary part at ``level``."""

    level: float = 0.7

    def apply(self, x, rng=None, *, power=None):
        return np.clip(x.real, -self.level, self.level) + 1j * np.clip(x.imag, -self.level, self.level)


@frozen
class Image(Hardware):
    """Smooth and of no symmetry: compression, an image, and a third order of the conjugate."""

    def apply(self, x, rng=None, *, power=None):
        return (x + 0.2j * np.conj(x) + 0.05 * np.conj(x) ** 3) / (1 + np.abs(x) ** 2 / 40)


@frozen
class Attentive(Hardware):
    """Clips envelopes at a level between a fixed one and that of its input."""

    def apply(self, x, rng=None, *, power=None):
        level = np.sqrt(1 + (np.mean(np.abs(x) ** 2, axis=-1) if power is None else power))[..., None]
        return x * np.minimum(1.0, level / np.maximum(np.abs(x), np.finfo(float).tiny))


@frozen
class Level(Hardware):
    """A comparator that is not odd: 1 above 0.3, else -0.2, in each part."""

    def apply(self, x, rng=None, *, power=None):
        return np.where(x.real > 0.3, 1.0, -0.2) + 1j * np.where(x.imag > 0.3, 1.0, -0.2)


DEVICES = [
    MidRise(1),
    MidRise([1, 2, np.inf, 5]),
    MidRise(9),
    Known(MidRise(3)),
    Known(Aqnm(2)),
    Limiter(),
    ElevenLevels(),
    Clipping(),
    Image(),
    Level(),
    Chain(MidRise(3), Limiter()),
    Chain(Limiter(2.0), Limiter(1.0)),
    Chain(Limiter(2.0), MidRise(2)),
    Chain(ElevenLevels(), Image()),
    Chain(Aqnm(3), Limiter(), MidRise(2)),
]
# Two limiters have the most joints; what they are equal to is tried below.
EACH = [pytest.param(d, marks=[pytest.mark.slow] * (d == Chain(Limiter(2.0), Limiter(1.0)))) for d in DEVICES]


@pytest.mark.parametrize("name", ["agc_uniform1", "agc_uniform2", "agc_mixed_1_3_4"])
def test_converters_have_the_covariance_of_independent_quadrature(name):
    data = reference(name)
    meets(MidRise(data["bits"]).linear_model(data["R"]), data)
    meets(Known(MidRise(data["bits"])).linear_model(data["R"]), data)


def test_other_codebooks_have_the_covariance_of_independent_quadrature():
    data = reference("agc_lloyd2")
    meets(exact_model(GainControlled((lloyd_max(2),) * len(data["R"])), data["R"]), data)
    meets(Known(Aqnm(2)).linear_model(data["R"]), data)
    data = reference("fixed_uniform3")
    step, chains = float(data["step"]), len(data["R"])
    thresholds = np.tile(step * np.arange(-3, 4), (chains, 1))
    meets(exact_model(FixedCodebooks(thresholds, np.full((chains, 7), step)), data["R"]), data)


def rapp(power, saturation, smoothness):
    return (1 + (power / saturation) ** smoothness) ** (-0.5 / smoothness)


def saleh(power, saturation, beta_a, alpha_phi, beta_phi):
    t = power / saturation
    s = t / (4 * beta_a)
    return np.exp(1j * alpha_phi * s / (1 + beta_phi * s)) / (1 + t / 4)


def limiter(power, saturation):
    return np.sqrt(saturation / np.maximum(power, saturation))


@pytest.mark.parametrize(
    ("name", "response", "rtol"),
    # Forty orders end a smooth map at rounding; sharp bends leave a share of |xi|^81 in the last order.
    [("rapp", rapp, 1e-10), ("saleh", saleh, 1e-10), ("rapp_p6", rapp, 1e-6), ("limiter", limiter, 1e-5)],
)
def test_amplifiers_have_the_covariance_of_independent_quadrature(name, response, rtol):
    data = reference(name)
    parameters = data["parameters"]
    knee = np.full(len(data["R"]), parameters[0])
    meets(exact_model(Envelopes(lambda power: response(power, *parameters), knee), data["R"]), data, rtol)


def test_two_devices_of_a_plugin_given_by_their_samples_have_the_closed_models(kit):
    R = few_streams(kit, 4, 3, 0)
    data = reference("limiter")
    meets(Limiter(float(data["parameters"][0])).linear_model(data["R"]), data, rtol=1e-8)
    t = np.array([-2.0, -1.4, -0.9, -0.5, -0.2, 0.2, 0.5, 0.9, 1.4, 2.0])
    jumps = np.diff([-2.4, -1.7, -1.15, -0.7, -0.35, 0.0, 0.35, 0.7, 1.15, 1.7, 2.4])
    closed = FixedCodebooks(np.tile(t, (4, 1)), np.tile(jumps, (4, 1)))
    found, exact = ElevenLevels().linear_model(R), exact_model(closed, R)
    np.testing.assert_allclose(found.gain, exact.gain, rtol=1e-10)
    np.testing.assert_allclose(found.distortion, exact.distortion, atol=1e-10 * np.abs(exact.distortion).max())
    g, G = np.ones(4), R + np.eye(4)
    slope, closed_slope = ElevenLevels().linear_model_vjp(R, g, G), exact_vjp(closed, R, g, G)
    np.testing.assert_allclose(slope, closed_slope, atol=1e-8 * np.abs(closed_slope).max())


@pytest.mark.parametrize("r", [-1.0, -0.999, -0.3, 0.0, 0.6, 1.0])
def test_one_bit_has_the_arcsine_law(r):
    R = np.array([[1.0, r], [r, 1.0]], complex)
    D = MidRise(1).linear_model(R).distortion
    # Van Vleck: E[sgn u sgn v] = 2/pi asin r for each part, with levels sqrt(2/pi) of the deviation.
    np.testing.assert_allclose(D[0, 1], (2 / np.pi) ** 2 * (np.arcsin(r) - r), atol=1e-14)


@pytest.mark.parametrize("power", [1e-6, 1e-2, 1.0, 1e2, 1e6])
def test_a_limiter_found_by_its_samples_has_the_closed_form_at_any_power(power):
    c = np.sqrt(1 / power)
    gain = 1 - np.exp(-(c**2)) + np.sqrt(np.pi) / 2 * c * erfc(c)
    model = Limiter().linear_model(np.full((1, 1), power, complex))
    np.testing.assert_allclose(model.gain, gain, rtol=1e-10)
    np.testing.assert_allclose(
        model.distortion / power, 1 - np.exp(-1 / power) - gain**2 if power > 1e-3 else 0, atol=1e-10
    ) if power < 1e2 else None
    np.testing.assert_allclose(model.output_power(np.full((1, 1), power)), power * -np.expm1(-1 / power), rtol=1e-9)


@pytest.mark.parametrize("device", EACH, ids=str)
def test_the_derivative_is_that_of_the_model(device):
    # A map is followed for each chain: two have all there is of one and of a pair.
    _check_derivative(device, 4 if isinstance(device, MidRise) else 2, 1.0)


picked = given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 4), min_size=3, max_size=3))


def three_stages_have_their_derivative(seed, picks):
    bits = int(np.random.default_rng(seed).integers(1, 5))
    stages = (MidRise(bits), Limiter(1.5), Aqnm(bits), ElevenLevels(), Clipping(1.0))
    _check_derivative(Chain(*(stages[i] for i in picks)), 3, 1.0)


@picked
@settings(max_examples=2)
def test_random_chains_of_three_have_their_derivative(seed, picks):
    three_stages_have_their_derivative(seed, picks)


@pytest.mark.slow
@picked
@settings(max_examples=8)
def test_more_chains_of_three_have_their_derivative(seed, picks):
    three_stages_have_their_derivative(seed, picks)


@pytest.mark.parametrize("device", EACH, ids=str)
@given(seed=st.integers(0, 2**32 - 1), streams=st.integers(1, 5), drive=st.floats(-20, 10))
def test_the_distortion_is_positive_semidefinite(kit, device, seed, streams, drive):
    R = 10 ** (drive / 10) * few_streams(kit, 4, streams, seed)
    model = device.linear_model(R)
    out = model.output_power(R).max()
    # Rounding of an output, and of a table of 1e-15 of it.
    assert np.linalg.eigvalsh(model.distortion_matrix()).min() >= -1e-13 * out
    assert np.all(model.distortion_power >= 0)


# What jumps behind a map of both parts: no series is found of it, and the second stage is by moments.
MOMENTS = [Chain(Limiter(2.0), MidRise(2)), Chain(Aqnm(3), Limiter(), MidRise(2))]


@pytest.mark.slow
@pytest.mark.parametrize("device", [d for d in DEVICES if d not in MOMENTS], ids=str)
def test_models_are_those_of_samples(device):
    check_hardware(device, chains=4, samples=2**18)


@pytest.mark.parametrize("device", MOMENTS, ids=str)
def test_a_converter_behind_an_amplifier_is_off_as_far_as_is_said(kit, device):
    assert len(device._parts(4)) > 1
    power = np.array([0.1, 0.5, 2.0, 8.0])  # from below the knee to deep in saturation
    x = np.sqrt(power)[:, None] * kit.complex_gaussian((4, 2**14), 0)
    R = np.diag(power).astype(complex)
    measured = (device.apply(x, power=power) * np.conj(x)).mean(axis=-1).real / power
    off = device.linear_model(R).gain.real / measured - 1
    assert np.all(np.abs(off) < 0.25)
    assert np.abs(off).max() > 0.03  # else there would be nothing to say
    assert np.abs(off[:2]).max() < 0.03  # below the knee nothing is


@pytest.mark.parametrize("device", [Limiter(1.0), ElevenLevels(), Clipping(), Level(), Image()], ids=str)
def test_polynomials_over_the_power_are_the_expansions_at_each_power(kit, device):
    R = np.geomspace(0.02, 3.0, 5)[:, None, None] * few_streams(kit, 3, 5, 2)
    told, maps = device.linear_model(R), maps_of(device, 3)
    direct = FixedScale(device, 3, maps.kind, deaf=False)  # as if it listened: each power by itself
    each = exact_model(direct, R)
    assert maps._member.cache_info().misses == 0
    np.testing.assert_allclose(told.gain, each.gain, rtol=1e-12)
    largest = np.abs(each.distortion).max(axis=(-2, -1), keepdims=True)
    assert (np.abs(told.distortion - each.distortion) / largest).max() < 1e-10  # what ten coefficients may miss
    alone = device.linear_model(R[3])
    assert kit.raw_bytes(alone.distortion) == kit.raw_bytes(told.distortion[3])


@pytest.mark.parametrize("device", [MidRise(2), Clipping(), Limiter(1.0)], ids=str)
def test_what_is_no_covariance_has_no_distortion_in_its_member_alone(kit, device):
    indefinite = np.full((3, 3), -0.9) + 1.9 * np.eye(3)  # each pair could be one of chains; eigenvalue -0.8
    R = 0.5 * np.stack([np.eye(3), indefinite, few_streams(kit, 3, 1, 0)]).astype(complex)
    D = device.linear_model(R).distortion_matrix()
    assert np.isnan(D[1]).any()
    for m in (0, 2):  # a rank of one has eigenvalues of 0 up to rounding, and is sound
        assert kit.raw_bytes(D[m]) == kit.raw_bytes(device.linear_model(R[m]).distortion_matrix())


# Powers whose roots are numbers: 1e-16 off a correlation of 1, the angle is 1e-8 off.
@pytest.mark.parametrize("power", [0.0625, 0.25, 1.0, 4.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_chain_and_its_like_share_all_distortion(power, sign):
    # One stream on chains in phase: correlation 1 or -1, and D of rank one, through every way of computing it.
    same = np.array([[1, sign], [sign, 1]])
    for device in (MidRise(3), MidRise(9), Known(MidRise(3)), Limiter(1.0), ElevenLevels(), Clipping()):
        D = device.linear_model(power * same.astype(complex)).distortion
        np.testing.assert_allclose(D, D[0, 0] * same, rtol=1e-9, atol=1e-13 * power, err_msg=str(device))


def test_scalar_stages_in_series_are_one_map(kit):
    R = few_streams(kit, 2, 2, 1)
    # Two limiters are the tighter one; a converter before an ideal stage is itself; both exactly.
    both, one = Chain(Limiter(2.0), Limiter(1.0)).linear_model(R), Limiter(1.0).linear_model(R)
    np.testing.assert_allclose(both.gain, one.gain, rtol=1e-10)
    np.testing.assert_allclose(both.distortion, one.distortion, atol=1e-9 * np.abs(one.distortion).max())
    # Requantising by the same codebook and the same scale changes nothing, whatever moments would say.
    again, once = Chain(ElevenLevels(), ElevenLevels()).linear_model(R), ElevenLevels().linear_model(R)
    np.testing.assert_allclose(again.gain, once.gain, rtol=1e-10)
    assert len(Chain(Limiter(), Chain(ElevenLevels()), MidRise(2))._parts(3)) == 2  # nothing exact behind an amplifier


def test_the_power_that_reaches_a_stage_is_asked_for_once_and_only_where_it_listens(kit, monkeypatch):
    asked, model = [], Hardware.linear_model

    def counted(device, R):
        if isinstance(device, Limiter):
            asked.append(R.tobytes())
        return model(device, R)

    monkeypatch.setattr(Hardware, "linear_model", counted)
    R = few_streams(kit, 2, 2, 1)
    Chain(Limiter(0.9), Limiter(0.8)).linear_model(R)
    assert asked == []
    Chain(Limiter(0.9), Attentive()).linear_model(R)
    assert 0 < len(asked) == len(set(asked))


def test_cells_are_the_expansion_of_the_converter_itself(kit):
    # With nothing behind it the sum over cells and the parts above must give the arc-sine table, up to their degree.
    R = few_streams(kit, 4, 6, 2)
    exact = MidRise(3).linear_model(R)
    from isacsim.hardware.cells import Cells

    summed = exact_model(Cells(maps_of(MidRise(3), 4), Series(()), True, True), R)
    np.testing.assert_allclose(summed.gain, exact.gain, rtol=1e-12)
    xi = np.abs(R) / np.sqrt(np.outer(np.diag(R).real, np.diag(R).real))
    bound = 2 * np.max(xi[~np.eye(4, dtype=bool)]) ** 153 * np.diag(exact.distortion).real.max() + 1e-12
    np.testing.assert_allclose(summed.distortion, exact.distortion, atol=bound)


@pytest.mark.parametrize("n", [1, 8, 33])
def test_complex_and_real_hermite_polynomials_are_one_space(n):
    M = np.array([_basis(n, p) for p in range(n + 1)])
    np.testing.assert_allclose(M @ M.conj().T, np.eye(n + 1), atol=1e-12)


@pytest.mark.parametrize(
    ("device", "kind"),
    [(Limiter(), "circular"), (Known(MidRise(3)), "rails"), (Level(), "rails"), (Image(), "general")],
    ids=str,
)
def test_the_kind_of_a_map_is_found(device, kind):
    assert kind_of(device, 2) == kind


def test_without_correlation_the_converter_is_the_aqnm(kit):
    R = few_streams(kit, 3, 2, 0)
    full, diagonal = MidRise(3).linear_model(R), MidRise(3, correlated=False).linear_model(R)
    assert diagonal.diagonal
    assert not full.diagonal
    np.testing.assert_allclose(diagonal.distortion, full.distortion_power, rtol=1e-14)
    beta = mid_rise(3).distortion
    np.testing.assert_allclose(diagonal.distortion, beta * (1 - beta) * np.diag(R).real, rtol=1e-11)


def test_the_model_of_a_plugin_is_near_its_estimate(kit):
    R = few_streams(kit, 3, 3, 4)
    for device in (Image(), Level(), Limiter(), Chain(ElevenLevels(), Image())):
        found, estimated = device.linear_model(R), estimate_linear_model(device, R)
        scale = found.output_power(R).max()
        np.testing.assert_allclose(found.gain, estimated.gain, atol=5e-3)
        np.testing.assert_allclose(found.distortion_power, estimated.distortion, atol=5e-3 * scale)


# ---- ill-posed input


def test_silent_chains_have_the_gain_of_small_signals_and_no_distortion():
    R = np.array([[0, 0, 0], [0, 2.0, 1j], [0, -1j, 1.0]], complex)
    for device, gain in ((Limiter(), 1.0), (MidRise(2), mid_rise(2).gain), (Clipping(), 1.0)):
        model = device.linear_model(R)
        np.testing.assert_allclose(model.gain[0], gain, rtol=1e-12)
        assert not model.distortion[0].any()
        slope = device.linear_model_vjp(R, np.ones(3), np.eye(3))
        assert np.isfinite(slope).all()
        assert not slope[0].any()


def test_chains_too_weak_for_any_threshold_put_out_nothing():
    R = np.diag([1e-9, 1e-6]).astype(complex)
    for device in (Chain(ElevenLevels(), Image()), Chain(ElevenLevels(), Image(), Limiter())):
        model = device.linear_model(R)
        np.testing.assert_array_equal(model.gain, 0)
        np.testing.assert_array_equal(model.distortion, 0)


def test_a_mean_counts_as_distortion_of_all_pairs():
    # Of independent chains all that is common is the mean: |E f|^2, coherent.
    D = Level().linear_model(np.eye(2, dtype=complex)).distortion
    from scipy.special import ndtr

    above = ndtr(-0.3 * np.sqrt(2))
    mean = 1.2 * above - 0.2
    np.testing.assert_allclose(D[0, 1], 2 * mean**2, rtol=1e-9)


def test_correlations_beyond_one_are_rounding_or_no_covariance():
    one = np.array([[1.0, 1.0 + 1e-9], [1.0 + 1e-9, 1.0]], complex)
    assert np.isfinite(MidRise(3).linear_model(one).distortion).all()
    none = np.array([[1.0, 2.0], [2.0, 1.0]], complex)
    assert np.isnan(MidRise(3).linear_model(none).distortion[0, 1])


@pytest.mark.parametrize(
    "device", [Limiter(), Limiter(2), ElevenLevels(), Chain(Limiter(), Limiter(2)), Chain(MidRise(3), Limiter())]
)
def test_a_side_without_chains_has_a_model_of_nothing(device):
    R = np.zeros((2, 0, 0), complex)
    model = device.linear_model(R)
    assert model.gain.shape == model.distortion_power.shape == (2, 0)
    assert device.linear_model_vjp(R, model.gain, model.distortion).shape == (2, 0, 0)


def test_members_that_are_no_numbers_stand_alone():
    R = np.stack([np.eye(2), np.full((2, 2), np.nan), 2 * np.eye(2)]).astype(complex)
    for device in (MidRise(3), Limiter()):
        model = device.linear_model(R)
        assert np.isnan(model.distortion[1]).any()
        np.testing.assert_array_equal(model.distortion[2], device.linear_model(R[2]).distortion)


def test_a_map_that_grows_without_bound_is_refused():
    @frozen
    class Growing(Hardware):
        def apply(self, x, rng=None, *, power=None):
            return x * np.exp(np.minimum(np.abs(x) ** 2, 300.0))

    with pytest.raises(InvalidInput, match="must put out a finite power for Gaussian input.*Bound"):
        Growing().linear_model(np.eye(2, dtype=complex))


def test_what_draws_or_remembers_and_does_not_say_so_is_refused():
    @frozen
    class Noisy(Hardware):
        def apply(self, x, rng=None, *, power=None):
            return x + rng.standard_normal(x.shape)

    @frozen
    class Remembers(Hardware):
        def apply(self, x, rng=None, *, power=None):
            return x + 0.1 * np.roll(x, 1, axis=-1)

    for device in (Noisy(), Remembers()):
        with pytest.raises(InvalidInput, match="must give the same output for a sample each time.*memoryless = False"):
            device.linear_model(np.eye(2, dtype=complex))


def test_a_device_with_memory_has_no_model_to_be_found():
    class Echo(Limiter):
        memoryless = False

    with pytest.raises(InvalidInput, match="hardware: must give a linear model where it has memory.*Override"):
        Echo().linear_model(np.eye(2, dtype=complex))
    assert not Echo().differentiable


def test_a_model_without_derivative_says_so():
    @frozen
    class Closed(Hardware):
        def apply(self, x, rng=None, *, power=None):
            return x

        def linear_model(self, R):
            return MidRise(3).linear_model(R)

    assert not Closed().differentiable
    assert not Chain(MidRise(3), Closed()).differentiable
    with pytest.raises(InvalidInput, match="must have a derivative to be designed for.*linear_model_vjp"):
        Closed().linear_model_vjp(np.eye(2), np.ones(2), np.eye(2))


def test_members_of_a_batch_have_the_bytes_they_have_alone(kit):
    R = few_streams(kit, 2, 2, 0, (3,))
    for device in DEVICES:
        part = few_streams(kit, 4, 2, 0, (3,)) if device == MidRise([1, 2, np.inf, 5]) else R
        whole = device.linear_model(part)
        for i in range(3):
            assert kit.raw_bytes(device.linear_model(part[i]).distortion) == kit.raw_bytes(whole.distortion[i])


@pytest.mark.parametrize("chains", [2, 3])
def test_a_covariance_of_single_precision_is_taken_as_its_numbers_are(kit, chains):
    R = few_streams(kit, chains, 2, 0).astype(np.complex64)
    for device in (Limiter(), ElevenLevels(), Chain(Limiter(2.0), ElevenLevels()), MidRise(3), Attentive()):
        single, double = device.linear_model(R), device.linear_model(R.astype(complex))
        np.testing.assert_allclose(single.gain, double.gain, rtol=1e-6)  # stages between may keep six digits
        scale = np.abs(double.distortion).max()
        np.testing.assert_allclose(single.distortion, double.distortion, atol=1e-5 * scale)


def test_equal_devices_share_what_was_found():
    calls = []

    @frozen
    class Counted(Limiter):
        def apply(self, x, rng=None, *, power=None):
            calls.append(x.shape)
            return Limiter(self.saturation).apply(x)

    R = diagonal_matrix(np.geomspace(0.1, 1.0, 3)).astype(complex)
    before = Counted(0.7).linear_model(R)
    calls.clear()
    again = attrs.evolve(Counted(1.0), saturation=0.7).linear_model(R)
    assert calls == []
    assert again.gain.tobytes() == before.gain.tobytes()
    Counted(0.8).linear_model(R)
    assert calls


def test_a_device_of_any_parts_is_tried_once():
    calls = []

    class Table:
        """No plain value: what a plugin may have read from somewhere."""

        def __call__(self, v):
            calls.append(v.shape)
            return np.tanh(v)

    class Written(Hardware):
        """A class as people write them, without a record."""

        def __init__(self, table, scale):
            self.table, self.scale = table, {"of": [scale]}

        def apply(self, x, rng=None, *, power=None):
            (scale,) = self.scale["of"]
            return scale * (self.table(x.real / scale) + 1j * self.table(x.imag / scale))

    table, R = Table(), diagonal_matrix(np.geomspace(0.1, 1.0, 3)).astype(complex)
    before = Written(table, 0.7).linear_model(R)
    calls.clear()
    again = Written(table, 0.7).linear_model(R)  # an equal one
    Written(table, 0.7).linear_model_vjp(R, np.ones(3), np.eye(3))
    of_the_derivative = len(calls)  # at four powers beside the one that is known
    assert again.gain.tobytes() == before.gain.tobytes()
    Written(table, 0.7).linear_model_vjp(R, np.ones(3), np.eye(3))
    assert len(calls) == of_the_derivative
    for other in (Written(table, 0.8), Written(Table(), 0.7)):
        calls.clear()
        other.linear_model(R)
        assert calls


def staircase(thresholds):
    """Steps of 1 at thresholds above 0 and their mirror images, given by samples, and in closed form."""

    @frozen
    class Steps(Hardware):
        thresholds: tuple

        def apply(self, x, rng=None, *, power=None):
            def part(v):
                return np.sign(v) * (0.5 + np.searchsorted(self.thresholds, np.abs(v)))

            return part(x.real) + 1j * part(x.imag)

    places = np.concatenate([-np.array(thresholds)[::-1], [0.0], thresholds])
    closed = FixedCodebooks(*(np.tile(a, (3, 1)) for a in (places, np.ones(places.size))))
    return Steps(tuple(thresholds)), closed


NEAR = [[0.3, 12.0, 20.0], [0.3, 0.3005], [0.3, 0.301, 0.302], [0.3, 0.30001, 1.0]]


@pytest.mark.parametrize("thresholds", NEAR, ids=str)
def test_thresholds_beyond_all_samples_or_next_to_each_other_lose_nothing(kit, thresholds):
    steps, closed = staircase(thresholds)
    R = few_streams(kit, 3, 2, 1)
    found, expected = steps.linear_model(R), exact_model(closed, R)
    # Thresholds in one cell of the search are a steep part of the smooth map, of panels that are split to 1e-9.
    np.testing.assert_allclose(found.gain, expected.gain, rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        found.distortion, expected.distortion, rtol=0, atol=1e-8 * np.abs(expected.distortion).max()
    )


def test_one_stream_on_chains_in_phase_or_quadrature_has_a_model_and_a_derivative_that_is_cut_off():
    a = np.exp(0.5j * np.pi * np.arange(3))
    model = MidRise(1).linear_model(np.outer(a, np.conj(a)))
    np.testing.assert_allclose(model.distortion, (2 / np.pi) * (1 - 2 / np.pi) * np.outer(a, np.conj(a)), atol=1e-12)
    slope = MidRise(1).linear_model_vjp(np.outer(a, np.conj(a)), np.ones(3), np.eye(3))
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_however_much_of_the_power_a_device_is_set_to_its_derivative_follows(kit, share):
    @frozen
    class Partly(Hardware):
        """A compression whose scale follows a share of the decibels of the power."""

        def apply(self, x, rng=None, *, power=None):
            scale = np.sqrt((np.abs(x) ** 2).mean(axis=-1) if power is None else power)[..., None] ** share
            return scale * (np.tanh(x.real / scale) + 1j * np.tanh(x.imag / scale))

    R, A, a = few_streams(kit, 3, 2, 2), kit.complex_gaussian((3, 3), 3), kit.complex_gaussian((3,), 4)
    g = A + np.conj(A).T
    turn = few_streams(kit, 3, 3, 5)

    def merit(t):
        model = Partly().linear_model(R + t * turn)
        return (np.conj(a) * model.gain).real.sum() + np.trace(g @ model.distortion).real

    slope = np.trace(Partly().linear_model_vjp(R, a, g) @ turn).real
    assert slope == pytest.approx(kit.central_difference(merit, 1e-3), rel=1e-7)


def test_high_resolution_is_less_distortion_at_every_step(kit):
    R = few_streams(kit, 4, 3, 3)
    D = [np.linalg.norm(MidRise(b).linear_model(R).distortion) for b in range(1, 13)]
    assert np.all(np.diff(D) < 0)


@pytest.mark.parametrize(("step", "levels"), [(0.07, 80), pytest.param(0.002, 4000, marks=pytest.mark.slow)])
def test_a_codebook_of_many_levels_given_by_samples_has_the_closed_model(kit, step, levels):
    steps, closed = staircase(step * np.arange(1, levels // 2))
    R = few_streams(kit, 3, 1, 0) + 1e-4 * few_streams(kit, 3, 3, 1)  # nearly in phase
    R *= np.outer(*[np.array([1.0, 0.9, 0.75]) / np.sqrt(np.diagonal(R).real)] * 2)  # powers in one octave
    found, expected = steps.linear_model(R), exact_model(closed, R)
    np.testing.assert_allclose(found.gain, expected.gain, rtol=1e-12)
    size = np.abs(expected.distortion).max()
    # Outputs are some thousand steps, and quadrature has them to rounding; so has a root of the distortion.
    np.testing.assert_allclose(found.distortion, expected.distortion, rtol=0, atol=1e-10 * size)
    g = few_streams(kit, 3, 3, 2)
    slope, known = steps.linear_model_vjp(R, np.ones(3), g), exact_vjp(closed, R, np.ones(3), g)
    # Without overload there is next to no derivative; it is compared on the scale of the distortion over the power.
    np.testing.assert_allclose(slope, known, rtol=0, atol=1e-7 * max(np.abs(known).max(), size))


def test_a_converter_of_many_bits_given_by_its_samples_is_that_converter(kit):
    R = few_streams(kit, 3, 1, 0) + 1e-5 * few_streams(kit, 3, 3, 1)  # nearly in phase
    found, known = Known(MidRise(7)).linear_model(R), MidRise(7).linear_model(R)
    np.testing.assert_allclose(found.distortion, known.distortion, rtol=0, atol=1e-10 * np.abs(known.distortion).max())


def test_a_general_map_is_sampled_coarsely_wherever_it_is_linear_or_saturated():
    from isacsim_rf.amplifiers import Rapp
    from isacsim_rf.mixers import IqImbalance

    sizes = []

    @frozen
    class Counted(Hardware):
        """Keeps how many samples it is asked for."""

        device: Hardware

        def apply(self, x, rng=None, *, power=None):
            sizes.append(np.size(x))
            return self.device.apply(x, rng, power=power)

    device = Counted(Chain(IqImbalance(gain=1.0, phase=0.1), Rapp(saturation=1.0)))
    maps = FixedScale(device, 1, "general", deaf=True)
    for octave in (-300, -40, -9, 50, 300):
        assert maps._octave(octave) is not None
    # A second grid in each of two tries, and the first alone at 10 powers and the four that are tried.
    assert sum(sizes) <= 5 * (2 * 5 + 14) * quadrature.RINGS * quadrature.ANGLES
    each = maps.at(np.array([[0.7 * 2.0**-9]])), quadrature.expand(device, np.array([0.7 * 2.0**-9]), "general")
    np.testing.assert_allclose(each[0].linear[0], each[1].linear, rtol=1e-12)


def test_a_chain_of_amplifiers_has_a_model_of_no_members():
    from isacsim_rf.amplifiers import Rapp, Saleh

    model = Chain(Rapp(saturation=1.0), Saleh(saturation=1.0)).linear_model(np.zeros((0, 2, 2), complex))
    assert model.gain.shape == model.distortion_power.shape == (0, 2)
