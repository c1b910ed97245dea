"""Contracts of hardware stages and of power models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from attrs import frozen

from isacsim.batch import hermitian, squared
from isacsim.hardware.base import Hardware, LinearModel, Transceiver, chain_power, diagonal_matrix
from isacsim.hardware.power import PowerModel
from isacsim.hardware.quantisers import Aqnm
from isacsim.random import complex_normal
from isacsim.testing.rules import alone, breach, difference, generators, outcome, record, require, shaped
from isacsim.typing import AnyArray, ComplexArray, FloatArray

BLOCKS = 64  # independent runs of the device, whose spread is the Monte Carlo error
DERIVATIVE_RTOL = 1e-7  # of a derivative; differences of a model exact to rounding reach 1e-11
ERRORS = 5.0  # standard errors that an estimate may be off


def check_hardware(
    device: Hardware,
    chains: int | None = None,
    *,
    power: float = 1.0,
    samples: int = 2**17,
    gain_rtol: float = 5e-4,
    distortion_rtol: float = 0.015,
    covariance_rtol: float = 0.015,
) -> None:
    """Check a hardware stage: `apply`, `linear_model`, and that both are the same device.

    For Gaussian samples the gain of each chain must meet the model within ``gain_rtol``, and
    the power of the distortion within ``distortion_rtol``, relative, beside 5 standard
    errors, which are measured, and beside what happens less than once in ``samples``. A gain
    or a distortion that the model gives as a matrix must be met in every entry.

    Args:
        device: The stage.
        chains: Number of chains of a device that takes no other; None is the device's own
            ``chains``, or 1 and 4 if it takes any.
        power: Mean power of a chain, in W; the chains' powers spread from 1/4 to 4 times it.
        samples: Samples of each chain in the comparison.
        gain_rtol: Relative error of the model's gain.
        distortion_rtol: Relative error of the model's distortion; 0.04 for the formula of
            ``Aqnm(bits)`` above 5 bits.
        covariance_rtol: Error of the covariance of two chains' distortion, where the model
            gives one, relative to the geometric mean of their powers; 1 for a chain of stages
            of which some, converters for example, take it for zero.

    Raises:
        ContractError: If it breaks a rule.
    """
    record(device, Hardware)
    chains = device.chains if chains is None else chains
    for count in (1, 4) if chains is None else (chains,):
        _check_samples(device, count, power)
        _check_model(device, count, power)
        _check_spectrum(device, count, power)
        _check_resolution(device, count)
        if device.differentiable:
            _check_derivative(device, count, power)
        _check_agreement(device, _covariance(count, power), samples, (gain_rtol, distortion_rtol, covariance_rtol))


def _covariance(chains: int, power: float, members: tuple[int, ...] = ()) -> ComplexArray:
    """Covariances of partly correlated chains, shape (*members, N, N), in W."""
    mixing = np.eye(chains) + 0.4 * complex_normal(np.random.default_rng(chains), (*members, chains, chains))
    mixing = mixing / np.sqrt(squared(mixing).sum(axis=-1, keepdims=True))
    spread = np.sqrt(power * np.geomspace(0.25, 4, chains) if chains > 1 else np.full(1, power))
    return spread[:, None] * (mixing @ hermitian(mixing)) * spread


def _check_samples(device: Hardware, chains: int, power: float) -> None:
    """Shapes, zero input, and the bytes of members."""
    batch = np.sqrt(power) * complex_normal(np.random.default_rng(0), (3, chains, 32))
    one = batch[0]
    shapes = (one, batch, one[:, :1], one[:, :0], np.zeros_like(one))
    for x in shapes:
        for level in (None, np.full(x.shape[:-1], power)):
            _samples(device, x, level)
    _samples(device, np.zeros_like(one), np.zeros(chains))
    draws = [_samples(device, batch, None, seed) for seed in (0, 1)]
    if not difference(*draws):  # what a random device draws for a member depends on the batch
        alone(device, "samples", 3, lambda i: draws[0][i], lambda i: device.apply(batch[i], generators([0])[0]))
        _check_memory(device, batch, np.full(batch.shape[:-1], power))
    if device.is_ideal:
        require(device, np.allclose(draws[0], batch, rtol=1e-12), "pass its input unchanged, as `is_ideal` says")


def _check_memory(device: Hardware, x: ComplexArray, level: FloatArray) -> None:
    """That a memoryless device which draws nothing treats samples in any order alike."""
    require(
        device, isinstance(device.memoryless, bool), "say by True or False if it is `memoryless`", device.memoryless
    )
    if device.memoryless:
        order = np.random.default_rng(0).permutation(x.shape[-1])
        off = np.abs(_samples(device, x[..., order], level) - _samples(device, x, level)[..., order])
        same = off <= 1e-12 * np.max(np.abs(x))
        require(device, same, "treat each sample by itself, or say `memoryless = False`", np.max(off))


def _samples(device: Hardware, x: ComplexArray, power: FloatArray | None, seed: int = 0) -> ComplexArray:
    rule = f"take samples of shape {x.shape}"
    y = outcome(device, rule, lambda rngs: device.apply(x, rngs[0], power=power), [seed], x=x, power=power)
    require(device, isinstance(y, np.ndarray) and y.shape == x.shape, f"give samples of shape {x.shape}", shaped(y))
    require(device, np.iscomplexobj(y), "give complex samples", y.dtype)
    require(device, np.isfinite(y), f"give finite samples for a peak of {np.max(np.abs(x), initial=0.0):.3g}", y)
    return np.asarray(y)


def _check_model(device: Hardware, chains: int, power: float) -> None:
    """Shapes and signs of the linear model, and the bytes of members."""
    R = _covariance(chains, power, (3,))
    whole = _model(device, R)
    alone(device, "linear model", 3, lambda i: (whole.gain[i], whole.distortion[i]), lambda i: _pair(device, R[i]))
    _model(device, np.zeros_like(R))
    if device.is_ideal:
        exact = np.all(whole.gain_matrix() == np.eye(chains)) and not np.any(whole.distortion)
        require(device, exact, "have unit gain and no distortion, as `is_ideal` says", _pair(device, R[0]))
    if chains > 1:
        _check_refusal(device, R[..., :-1])


def _check_refusal(device: Hardware, precoder: ComplexArray) -> None:
    """A precoder is no covariance; who reads the power of each chain by `chain_power` has that checked."""
    told = ""
    try:
        device.linear_model(precoder)
    except ValueError:  # as InvalidInput is, and what NumPy says of shapes that do not fit
        return
    except Exception as error:  # an accident, which no user would understand
        told = f", which ended in {type(error).__name__}"
    rule = "refuse in `linear_model` what is not square (as `chain_power` does)"
    raise breach(device, rule, f"shape {precoder.shape}{told}")


def _check_spectrum(device: Hardware, chains: int, power: float) -> None:
    """On the bins of an OFDM signal: what falls on all of them together is the distortion of a sample."""
    R = _covariance(chains, power, (2, 6)) * np.linspace(0.2, 1.8, 6)[:, None, None]
    whole = outcome(device, "have a spectral model", lambda _: device.spectral_model(R), R=R)
    sample = _model(device, R.mean(axis=-3))
    alike = np.allclose(np.squeeze(whole.gain, axis=1), sample.gain, rtol=1e-9, atol=1e-12)
    require(device, alike, "have the gain of a sample on all bins: its chains see no subcarriers", whole.gain)
    D, own = whole.distortion_matrix().mean(axis=1), sample.distortion_matrix()
    close = D.shape == own.shape and np.allclose(D, own, rtol=1e-6, atol=1e-9 * power)
    require(device, close, "spread the distortion of a sample over the bins, and no other", D)


def _check_derivative(device: Hardware, chains: int, power: float) -> None:
    """`linear_model_vjp` along a random direction, against differences of the linear model, for a batch."""
    R = _covariance(chains, power, (2,))
    gain, distortion = _cotangents(device, R)
    rule = f"have a derivative of its linear model for a covariance of shape {R.shape}"
    found = outcome(
        device, rule, lambda _: device.linear_model_vjp(R, gain, distortion), R=R, gain=gain, distortion=distortion
    )
    require(device, np.shape(found) == R.shape, f"have a derivative of shape {R.shape}", np.shape(found))
    require(device, np.isfinite(found), "have a finite derivative", found)
    size = np.sqrt(squared(found).sum(axis=(-2, -1)))
    skew = np.abs(found - hermitian(found)).max(axis=(-2, -1))
    require(device, skew <= 1e-12 * size, "have a Hermitian derivative", skew)

    def one(i: int) -> ComplexArray:
        return device.linear_model_vjp(R[i], gain[i], distortion[i])

    alone(device, "derivative", len(R), lambda i: found[i], one)
    toward = complex_normal(np.random.default_rng(chains + 1), R.shape)
    toward = (toward + hermitian(toward)) * power / 2
    slope = (np.conj(found) * toward).real.sum(axis=(-2, -1))

    def value(step: float) -> FloatArray:
        model = device.linear_model(R + step * toward)
        parts = (np.conj(gain) * model.gain).real, (np.conj(distortion) * model.distortion_matrix()).real
        return np.asarray(sum(part.reshape(len(R), -1).sum(axis=-1) for part in parts))

    # A formula of fourth order at three steps: what truncation spoils at one, and rounding at another, the third meets.
    off = np.min([abs(_slope(value, h) - slope) for h in (3e-3, 1e-3, 3e-4)], axis=0)
    allowed = DERIVATIVE_RTOL * (size * np.sqrt(squared(toward).sum(axis=(-2, -1))) + _size(value(0.0)))
    require(device, off <= allowed, "have the derivative of its linear model", f"{off.max():.3g} off")


def _cotangents(device: Hardware, R: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
    """Random cotangents of the gain, of its shape, and of the distortion, Hermitian (..., N, N)."""
    rng = np.random.default_rng(R.shape[-1])
    gain = complex_normal(rng, np.shape(device.linear_model(R).gain))
    distortion = complex_normal(rng, R.shape)
    return gain, distortion + hermitian(distortion)


def _size(values: FloatArray) -> FloatArray:
    return np.maximum(np.abs(values), np.finfo(float).tiny)


def _slope(value: Callable[[float], FloatArray], h: float) -> FloatArray:
    return (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)


def _check_resolution(device: Hardware, chains: int) -> None:
    """Shape and range of the bits that power models ask for."""
    bits = outcome(device, "tell its resolution", lambda _: device.resolution(chains))
    fits = isinstance(bits, np.ndarray) and bits.shape == (chains,) and bits.dtype.kind in "iuf"
    require(device, fits, f"have a resolution of shape ({chains},)", bits)
    require(device, bits >= 1, "have a resolution of at least 1 bit in each chain, inf where there is none", bits)


def _pair(device: Hardware, R: ComplexArray) -> tuple[AnyArray, AnyArray]:
    model = _model(device, R)
    return model.gain, model.distortion


def _model(device: Hardware, R: ComplexArray) -> LinearModel:
    rule = f"have a linear model for a covariance of shape {R.shape}"
    model = outcome(device, rule, lambda _: device.linear_model(R), R=R)
    require(device, isinstance(model, LinearModel), "return a LinearModel", type(model).__name__)
    gain, distortion = np.asarray(model.gain), np.asarray(model.distortion)
    shape, matrix = R.shape[:-1], R.shape
    wanted = matrix if model.coupled else shape
    require(device, gain.shape == wanted, f"have a gain of shape {wanted}", gain.shape)
    fits = distortion.shape in (shape, matrix)
    require(device, fits, f"have a distortion of shape {shape} or {matrix}", distortion.shape)
    for name, values in (("gain", gain), ("distortion", distortion)):
        require(device, np.isfinite(values), f"have a finite {name}", values)
    if model.diagonal:
        require(device, np.isreal(distortion) & (distortion.real >= 0), "have a distortion of at least 0", distortion)
    else:
        size = np.max(np.abs(distortion), initial=0.0)
        skew = np.max(np.abs(distortion - hermitian(distortion)), initial=0.0)
        require(device, skew <= 1e-12 * size, "have a Hermitian distortion", skew)
        least = np.min(np.linalg.eigvalsh(distortion), initial=0.0)
        require(device, least >= -1e-12 * size, "have a positive semidefinite distortion", least)
    return model


def _check_agreement(device: Hardware, R: ComplexArray, samples: int, rtol: tuple[float, float, float]) -> None:
    """The linear model against samples, in every entry of what it gives."""
    gain_rtol, distortion_rtol, covariance_rtol = rtol
    model, measured = device.linear_model(R), _measured(device, R, samples)
    gain, error = measured.gain(model.coupled)
    size = np.abs(model.gain)
    size = np.max(size, axis=-1, keepdims=True) if model.coupled else size  # what does not leak has an error too
    _meet(device, "gain", gain, model.gain, gain_rtol * size + ERRORS * error)
    cross, error = measured.distortion(gain, model.coupled)
    power, own = model.distortion_power, np.diagonal(error)
    unseen = np.diagonal(model.signal_covariance(R)).real / samples
    allowed = distortion_rtol * power + ERRORS * own + unseen
    _meet(device, "distortion power", np.diagonal(cross).real, power, allowed)
    if not model.diagonal:
        geometric = np.sqrt(np.outer(power, power))
        allowed = covariance_rtol * geometric + ERRORS * error + np.sqrt(np.outer(unseen, unseen))
        _meet(device, "distortion covariance", cross, model.distortion, allowed)


def _meet(device: Hardware, what: str, found: AnyArray, modelled: AnyArray, allowed: FloatArray) -> None:
    off = np.abs(found - modelled)
    at = np.unravel_index(np.argmax(off - allowed), off.shape)
    told = f"{found[at]:.6g} and {modelled[at]:.6g}, {allowed[at]:.1g} allowed"
    require(device, off <= allowed, f"have the {what} of its linear model on samples", told)


class _Measured(NamedTuple):
    """Sample covariances of each of `BLOCKS` runs of a device, each (BLOCKS, N, N).

    Attributes:
        sent: Of the input x, mean of x x^H.
        cross: Mean of y x^H with the output y.
        received: Mean of y y^H.
    """

    sent: ComplexArray
    cross: ComplexArray
    received: ComplexArray

    def gain(self, coupled: bool) -> tuple[AnyArray, FloatArray]:
        """Gain and its standard error: (N,) chain by chain, or where ``coupled`` (N, N)."""
        if coupled:
            gain = self.cross.mean(axis=0) @ np.linalg.inv(self.sent.mean(axis=0))
            influence = (self.cross - gain @ self.sent) @ np.linalg.inv(self.sent.mean(axis=0))
        else:
            sent, cross = (np.diagonal(a, axis1=-2, axis2=-1) for a in (self.sent, self.cross))
            gain = cross.mean(axis=0) / sent.mean(axis=0)
            influence = (cross - gain * sent) / sent.mean(axis=0)
        return gain, np.sqrt(squared(influence).mean(axis=0) / BLOCKS)

    def distortion(self, gain: AnyArray, coupled: bool) -> tuple[ComplexArray, FloatArray]:
        """Covariance of ``y - A x`` and its standard error, each (N, N)."""
        A = gain if coupled else diagonal_matrix(gain)
        rest = self.received - A @ hermitian(self.cross) - self.cross @ hermitian(A) + A @ self.sent @ hermitian(A)
        return rest.mean(axis=0), rest.std(axis=0) / np.sqrt(BLOCKS)


def _measured(device: Hardware, R: ComplexArray, samples: int) -> _Measured:
    """Gaussian samples of covariance R through the device, in independent runs."""
    power, root = chain_power(R), np.linalg.cholesky(R)
    rngs = generators(range(BLOCKS))
    x = np.stack([root @ complex_normal(rng, (len(R), samples // BLOCKS)) for rng in rngs])
    y = np.stack([device.apply(block, rng, power=power) for block, rng in zip(x, rngs, strict=True)])
    pairs = ((x, x), (y, x), (y, y))
    return _Measured(*(a @ hermitian(b) / x.shape[-1] for a, b in pairs))


def check_power_model(model: PowerModel) -> None:
    """Check a power model: positive, one value for each budget, and more bits cost more.

    Args:
        model: The power model.

    Raises:
        ContractError: If it breaks a rule.
    """
    record(model, PowerModel)
    budgets = np.array([[0.5, 1.0, 2.0], [4.0, 8.0, 16.0]])
    for power in (np.float64(1.0), budgets[0], budgets):
        _drawn(model, 4, power)
    plain = _drawn(model, 4, budgets[0], _Converter(4))
    alike = np.array_equal(plain, _drawn(model, 4, budgets[0]))
    require(model, alike, "ask each converter for its `resolution(chains)`, whatever its class", plain)
    by_bits = np.array([_drawn(model, bits, np.float64(1.0)) for bits in range(1, 9)])
    require(model, np.diff(by_bits) > 0, "draw more power for more bits", by_bits)
    require(model, np.diff(_drawn(model, 4, budgets.ravel())) >= 0, "draw no less power for a larger budget", budgets)


@frozen
class _Converter(Hardware):
    """A converter of which nothing is known but its bits."""

    bits_of_each: int

    def apply(
        self, x: ComplexArray, rng: np.random.Generator | None = None, *, power: FloatArray | None = None
    ) -> ComplexArray:
        return x

    def resolution(self, chains: int) -> FloatArray:
        return np.full(chains, float(self.bits_of_each))


def _drawn(model: PowerModel, bits: int, power: Any, converter: Hardware | None = None) -> FloatArray:
    converter = converter or Aqnm(bits)
    transceiver = Transceiver(transmit=converter, receive=converter, user=converter)
    drawn = outcome(model, "say what is drawn", lambda _: model.consumption(transceiver, 4, 5, 2, power), power=power)
    real = np.asarray(drawn).dtype.kind in "fiu"
    require(model, real, "give real numbers", np.asarray(drawn).dtype if drawn is not None else "None")
    require(model, np.shape(drawn) == power.shape, f"give power of shape {power.shape}", np.shape(drawn))
    require(model, np.isfinite(drawn) & (np.asarray(drawn) > 0), "draw positive and finite power", drawn)
    return np.asarray(drawn)
