"""The example plugin: both faces of its stage agree, and an installed plugin is found."""

from importlib.metadata import entry_points

import numpy as np
import pytest

from isacsim import Chain, InvalidInput, MidRise, Transceiver
from isacsim.hardware.base import estimate_linear_model
from isacsim.metrics import sum_rate
from isacsim.plugin import build_registry
from isacsim.random import complex_normal
from isacsim.units import key_of

pytest.importorskip("isacsim_example", reason="the example plugin is not installed")
from isacsim_example.limiter import SoftLimiter

BACK_OFF = [1e-4, 0.1, 0.5, 1.0, 2.0, 5.0]  # saturation over input power


def diagonal(power):
    return np.diag(np.asarray(power, complex))


@pytest.mark.parametrize("nu", BACK_OFF)
def test_the_closed_form_is_what_gaussian_samples_show(nu):
    count, rho = 10**6, np.array([0.3, 2.0])
    x = np.sqrt(rho)[:, None] * complex_normal(np.random.default_rng(0), (2, count))
    for chain in range(2):
        device = SoftLimiter(saturation=nu * rho[chain])
        model, y = device.linear_model(diagonal(rho)), device.apply(x)[chain]
        power, gain = rho[chain], model.gain[chain]
        residual = np.abs(y - gain * x[chain]) ** 2
        # Four standard errors of each mean.
        products = (y * np.conj(x[chain])).real / power
        assert abs(np.mean(products) - gain) < 4 * np.std(products) / np.sqrt(count)
        assert abs(np.mean(residual) - model.distortion[chain]) < 4 * np.std(residual) / np.sqrt(count)


@pytest.mark.parametrize("nu", [1e-4, 0.1, 1.0, 5.0, 30.0])
def test_the_closed_form_is_the_integral_over_the_envelope(nu):
    u, weight = np.polynomial.legendre.leggauss(200)
    u, weight = (u + 1) / 2, weight / 2  # on [0, 1]

    def mean(below, above):
        """E of a function of t = |x|^2 / rho, exponential; [0, nu], then nu + [0, 60] in a square-root variable."""
        inside = np.sum(weight * nu * below(nu * u) * np.exp(-nu * u))
        t = nu + 60 * u**2
        return inside + np.sum(weight * 120 * u * above(t) * np.exp(-t))

    gain = mean(lambda t: t, lambda t: np.sqrt(nu * t))
    # E|y - gain x|^2 / rho, free of cancellation
    distortion = mean(lambda t: (1 - gain) ** 2 * t, lambda t: (np.sqrt(nu) - gain * np.sqrt(t)) ** 2)
    model = SoftLimiter(saturation=nu).linear_model(diagonal([1.0]))
    np.testing.assert_allclose(model.gain, gain, rtol=1e-12)
    np.testing.assert_allclose(model.distortion, distortion, rtol=1e-10)


def test_the_estimate_of_the_base_class_agrees_with_the_closed_form():
    device, R = SoftLimiter(saturation=1.0), diagonal([0.0, 0.2, 1.0, 7.0])
    estimated, exact = estimate_linear_model(device, R), device.linear_model(R)
    # To 1e-4 of the input power: of weak drive few of its points are clipped.
    np.testing.assert_allclose(estimated.gain, exact.gain, atol=1e-4)
    error = np.abs(estimated.distortion - exact.distortion)
    assert np.all(error <= 1e-4 * np.diag(R).real)


def test_below_saturation_samples_pass_unchanged_and_above_only_the_phase_does():
    x = np.array([[0.0, 0.5j, -1.0, 3.0 + 4.0j]])
    y = SoftLimiter(saturation=1.0).apply(x)
    np.testing.assert_array_equal(y[:, :3], x[:, :3])
    np.testing.assert_allclose(y[:, 3], 0.6 + 0.8j, rtol=1e-15)


def test_limits_of_weak_and_of_strong_drive():
    model = SoftLimiter(saturation=1.0).linear_model(diagonal([0.0, 1e-3, 1e9]))
    np.testing.assert_allclose(model.gain[:2], 1.0, rtol=1e-15)
    np.testing.assert_array_equal(model.distortion[:2], 0.0)
    # A hard limiter puts out its saturation power, pi/4 of it in phase with the input.
    np.testing.assert_allclose(model.gain[2] ** 2 * 1e9, np.pi / 4, rtol=1e-4)
    np.testing.assert_allclose(model.distortion[2], 1 - np.pi / 4, rtol=1e-3)


def test_leading_axes_and_empty_input():
    device, rng = SoftLimiter(saturation=0.5), np.random.default_rng(1)
    R = np.stack([diagonal(rng.uniform(0.1, 2, 3)) for _ in range(4)])
    model = device.linear_model(R)
    alone = [device.linear_model(r) for r in R]
    assert model.gain.tobytes() == np.stack([m.gain for m in alone]).tobytes()
    assert model.distortion.tobytes() == np.stack([m.distortion for m in alone]).tobytes()
    assert device.apply(np.zeros((4, 3, 0), complex)).shape == (4, 3, 0)


def test_behind_a_converter_it_costs_rate():
    rng = np.random.default_rng(2)
    H, W = complex_normal(rng, (8, 3)), complex_normal(rng, (8, 3))
    converter = MidRise(3)
    rates = [
        sum_rate(H, W, 1.0, Transceiver(transmit=stage))
        for stage in (converter, Chain(converter, SoftLimiter(3.0)), Chain(converter, SoftLimiter(0.5)))
    ]
    assert np.all(np.diff(rates) < 0)


@pytest.mark.parametrize("saturation", [0.0, -1.0, np.nan, np.inf])
def test_a_saturation_without_meaning_is_refused(saturation):
    with pytest.raises(InvalidInput, match="saturation: must be positive and finite"):
        SoftLimiter(saturation)


def test_the_installed_plugin_is_found_by_its_entry_point():
    assert "example" in {point.name for point in entry_points(group="isacsim")}
    registry = build_registry()
    assert registry.provider("hardware", "soft-limiter") == "example"
    assert registry.load("hardware", "soft-limiter") is SoftLimiter
    found = {plugin.name: plugin for plugin in registry.plugins}["example"]
    assert (found.origin.split()[0], found.problem) == ("isacsim-example", "")


def test_it_can_be_blocked():
    assert "soft-limiter" not in build_registry(block=["example"]).names("hardware")


def test_its_scenario_key_tells_the_unit():
    (attribute,) = SoftLimiter.__attrs_attrs__
    assert key_of(attribute) == "saturation_dbm"
