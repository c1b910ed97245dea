"""What reaches the users' receivers beyond its covariance, and how the prediction of an OFDM link takes account of it.

The linear model of a device is that of Gaussian input. Behind transmit chains that distort, a sample at a user is the
sum of few bounded terms: its fourth cumulant is negative, as that of n signs is -2/n. Its real part, of unit power, is
``y = u + d + n`` of what is linear in the symbols, transmit distortion and thermal noise, and so is the imaginary one.
What comes next to covariances are two numbers of a user ::

    kappa_u = cum(y, y, y, u),    kappa_d = cum(y, y, y, d)

Their sum is the fourth cumulant of y, to which noise adds nothing. The law is closed by the least committal one: for
x = u + d the density of most entropy with that cumulant, ``exp(-a x^2 - b x^4)``, and means of u and d given x that are
``c_1 x + c_3 x^3``, as their cumulants ask for. Each component then has a gain of its own through a device f, since
``E[f(y) v]`` is not ``E[f'(y)] E[v^2]`` any more, and what is left of the power is the distortion of the device.
Without the cumulants that is the linear model again.

The cumulants are those of samples drawn for this alone, from transmit chains, precoders and channels: no receiver is
asked, and far fewer do than for an SQINR. Higher orders are not in it: one bit on both sides of a flat channel of two
streams is off by 0.4 dB, where the linear model is by 1.5 dB.
"""

from __future__ import annotations

from functools import cache

import attrs
import numpy as np
from attrs import frozen

from isacsim.batch import squared
from isacsim.grid import Grid
from isacsim.hardware.base import Hardware, diagonal_matrix
from isacsim.hardware.spectral import OverBand
from isacsim.link import Reception
from isacsim.typing import ComplexArray, FloatArray
from isacsim.waveform.link import over
from isacsim.waveform.ofdm import band_power

DRAWN = 2**14  # samples of each user, of which a cumulant has a deviation of 0.01
POINTS = 2**14  # at which a receiver is tried: the power of its distortion is within 0.5 %
NODES = np.linspace(0.0, 4.0, 4001)  # of densities exp(-c x^2 - x^4): behind them they are below 1e-40 for c > -10
SHAPES = np.sinh(np.linspace(-3.0, 6.0, 400))  # such c: fourth cumulants of a unit power from -1.8 to 0


@frozen(eq=False)
class Composition:
    """Power of the samples that arrive at the users by where it comes from; each (..., K), in W.

    Attributes:
        signal: What is linear in the symbols, interference included.
        distortion: Distortion of the transmit chains.
        noise: Thermal noise.
    """

    signal: FloatArray
    distortion: FloatArray
    noise: FloatArray

    @classmethod
    def of(cls, linear: Reception, distortion: FloatArray, noise: FloatArray, grid: Grid) -> Composition:
        """By the linear model, with the transmit distortion (..., F, K) and the noise (..., K) in it, in W."""
        distorted = distortion.sum(axis=-2) / grid.subcarriers
        whole = band_power(linear.power, noise, grid)
        return cls(np.maximum(whole - noise - distorted, 0.0), distorted, np.broadcast_to(noise, whole.shape))

    @property
    def before_noise(self) -> FloatArray:
        """Power of what arrives without noise."""
        return self.signal + self.distortion

    @property
    def whole(self) -> FloatArray:
        """Power of a sample."""
        return self.signal + self.distortion + self.noise


def products(y: ComplexArray, u: ComplexArray, at: Composition) -> FloatArray:
    """Sums over samples of what `cumulants` is found from, (6, ..., K); those of blocks of samples are added up.

    Wick's products ``:yyyu:`` and ``:yyyd:``, whose means are the cumulants, and which errors of second moments leave
    alone; ``:uuuu:`` of the Gaussian u, of mean zero, which tells how much of both is chance; and its products with
    them and with itself.

    Args:
        y: Samples that arrive, without noise, shape (..., N, K, T), in sqrt(W).
        u: What of them is linear in the symbols.
        at: Their powers.
    """
    scale = over(np.sqrt(2.0), np.sqrt(at.before_noise))[..., None, :, None]
    c = over(at.signal, at.before_noise)[..., None, :, None]
    sums = []
    for of_y, of_u in ((y.real, u.real), (y.imag, u.imag)):
        part, linear = scale * of_y, scale * of_u
        square = part * part
        signal = (square - 3) * part * linear + 3 * c * (1 - square)
        rest = square * square - 6 * square + 3 - signal
        chance = linear**4 - 6 * c * linear**2 + 3 * c * c
        each = signal, rest, chance, signal * chance, rest * chance, chance * chance
        sums.append(np.stack([term.sum(axis=(-3, -1)) for term in each]))
    return np.asarray(sums[0] + sums[1])


def cumulants(sums: FloatArray, samples: int) -> FloatArray:
    """kappa_u and kappa_d, (2, ..., K), from sums of `products` over so many samples of each user."""
    chance, alike = sums[2] / (2 * samples), over(sums[3:5], sums[5])
    return np.asarray(sums[:2] / (2 * samples) - alike * chance)


@cache
def _uniform() -> FloatArray:
    """Points that fill the unit cube of four dimensions evenly, (4, POINTS): multiples of powers of one number.

    The number is the root of ``x^5 = x + 1``, whose powers are badly approximable together: the golden ratio of four
    dimensions.
    """
    root = 1.1673039782614187
    return np.asarray((0.5 + np.arange(1, POINTS + 1) * root ** -np.arange(1.0, 5.0)[:, None]) % 1)


@cache
def _gaussian() -> FloatArray:
    """The same points, normally distributed, (4, POINTS)."""
    from scipy.special import ndtri

    return np.asarray(ndtri(_uniform()))


def _weights() -> FloatArray:
    """Of the nodes in integrals over one half: 0 is the edge."""
    return np.where(NODES > 0, 1.0, 0.5)


@cache
def _shapes() -> FloatArray:
    """Fourth cumulant, of unit power, of the density of each of `SHAPES`, ascending."""
    x = NODES**2
    p = np.exp(-(SHAPES[:, None] + x) * x) * _weights()
    power, fourth = p @ x / p.sum(axis=-1), p @ x**2 / p.sum(axis=-1)
    return np.asarray(fourth / power**2 - 3)


@frozen(eq=False)
class Part:
    """Real or imaginary part of what arrives without noise, of unit power, by its fourth cumulant.

    Attributes:
        nodes: Half of the places at which the density is held, ascending from 0.
        below: Probability of a size up to each of them.
        fourth: Its fourth moment.
        sixth: Its sixth moment.
    """

    nodes: FloatArray
    below: FloatArray
    fourth: float
    sixth: float

    @classmethod
    def of(cls, kappa: float) -> Part:
        """That of most entropy with the fourth cumulant ``kappa``, of at most 0."""
        c = np.interp(kappa, _shapes(), SHAPES)
        density = np.exp(-(c + NODES**2) * NODES**2)
        p = density * _weights()
        p /= p.sum()
        x = NODES / np.sqrt(p @ NODES**2)
        below = np.append(0.0, np.cumsum((density[1:] + density[:-1]) / 2))
        return cls(x, below / below[-1], float(p @ x**4), float(p @ x**6))

    def quantile(self, u: FloatArray) -> FloatArray:
        """Where the probability u is."""
        v = 2 * u - 1
        return np.asarray(np.sign(v) * np.interp(np.abs(v), self.below, self.nodes))

    def regression(self, share: float, kappa: float) -> FloatArray:
        """c_1 and c_3 of a component with a share of the power and ``cum(x, x, x, v) = kappa``: its mean given x."""
        moments = np.array([[1.0, self.fourth], [self.fourth, self.sixth]])
        return np.linalg.solve(moments, [share, kappa + 3 * share])


@frozen(eq=False)
class Gains:
    """A receiver's gains, over that of its linear model, and its distortion for what really arrives; each (..., K).

    Attributes:
        signal: For what is linear in the symbols.
        distortion: For the distortion of the transmit chains.
        noise: For thermal noise.
        more: Power of its own distortion beyond that of the linear model, in W.
    """

    signal: ComplexArray
    distortion: ComplexArray
    noise: ComplexArray
    more: FloatArray


def gains(device: Hardware, at: Composition, kappa: FloatArray) -> Gains:
    """Of receive chains that are maps of samples, where what arrives has the cumulants ``kappa`` (2, ..., K).

    Both laws are tried on the same points, and what is compared are residuals of the linear model: errors of
    the points cancel to first order.
    """
    kappa = np.where(kappa.sum(axis=0) < 0, kappa, 0.0)  # above 0 is chance only, and there is no such density
    power, heard = at.whole, at.whole > 0
    model = device.linear_model(diagonal_matrix(power))
    gain = np.where(heard, model.gain, 1.0)
    scale, normal = np.sqrt(at.before_noise / 2)[..., None], _gaussian()
    noise = np.sqrt(at.noise / 2)[..., None] * (normal[2] + 1j * normal[3])

    def residual(y: ComplexArray) -> ComplexArray:
        return np.asarray(device.apply(y, None, power=power) - gain[..., None] * y)

    gaussian = scale * (normal[0] + 1j * normal[1])
    before = residual(gaussian + noise)
    x, weights = _parts(at, kappa)
    after = residual(scale * x + noise)
    # Of the Gaussian law these are zero but for the points: what the same points show of it is taken off.
    chance = [
        over((before * np.conj(z)).mean(axis=-1), size) for z, size in ((gaussian, at.before_noise), (noise, at.noise))
    ]
    along = [(after * np.conj(f)).mean(axis=-1) for f in (x, x.real**3 + 1j * x.imag**3)]
    told = [scale[..., 0] * (w[..., 0] * along[0] + w[..., 1] * along[1]) for w in weights]
    told.append((after * np.conj(noise)).mean(axis=-1))
    powers = at.signal, at.distortion, at.noise
    beyond = [over(each, own) for each, own in zip(told, powers, strict=True)]
    left = squared(after).mean(axis=-1) - sum(squared(b) * own for b, own in zip(beyond, powers, strict=True))
    rest = squared(before).mean(axis=-1) - squared(chance[0]) * at.before_noise - squared(chance[1]) * at.noise
    factor = np.where(rest > 0, over(np.maximum(left, 0.0), rest), 1.0)
    off = chance[0], chance[0], chance[1]
    signal, distortion, thermal = (
        np.where(own > 0, 1 + (b - c) / np.where(gain != 0, gain, 1.0), 1.0)
        for b, c, own in zip(beyond, off, powers, strict=True)
    )
    return Gains(signal, distortion, thermal, (factor - 1) * model.distortion_power)


def _parts(at: Composition, kappa: FloatArray) -> tuple[ComplexArray, tuple[FloatArray, FloatArray]]:
    """Points of what arrives without noise, of unit power in each part, (..., K, POINTS), and its regressions."""
    u, share = _uniform(), over(at.signal, at.before_noise)
    x, weights = np.empty((*share.shape, POINTS), complex), np.empty((2, *share.shape, 2))
    for member in np.ndindex(share.shape):
        of_u, of_d = (float(k[member]) for k in kappa)
        part = Part.of(of_u + of_d)
        x[member] = part.quantile(u[0]) + 1j * part.quantile(u[1])
        weights[0][member] = part.regression(float(share[member]), of_u)
        weights[1][member] = part.regression(1 - float(share[member]), of_d)
    return x, (weights[0], weights[1])


def refined(
    linear: Reception, distortion: FloatArray, noise: FloatArray, device: Hardware, grid: Grid, kappa: FloatArray
) -> Reception:
    """What users receive on each subcarrier, where what arrives is not Gaussian.

    Args:
        linear: By the linear model.
        distortion: Transmit distortion in it before the receivers, shape (..., F, K), in W.
        noise: Thermal noise, shape (..., K), in W.
        device: The part of the receivers that is a map of samples.
        grid: The grid.
        kappa: Cumulants of what arrives, shape (2, ..., K).
    """
    at = Composition.of(linear, distortion, noise, grid)
    found = gains(device, at, kappa)
    signal = squared(found.signal)[..., None, :]
    relative = [over(squared(each)[..., None, :], signal) for each in (found.distortion, found.noise)]
    thermal = noise[..., None, :]
    other = linear.other + (relative[0] - 1) * distortion + (relative[1] - 1) * thermal
    own = OverBand(device, grid, noise).linear_model(diagonal_matrix(linear.power)).distortion_power
    passed = np.maximum(linear.receiver.distortion_power - own, 0.0)  # of stages that are no maps
    shaped = found.more[..., None, :] * third_order(linear.power, noise, grid)
    receiver = attrs.evolve(
        linear.receiver,
        gain=linear.receiver.gain * found.signal[..., None, :],
        distortion=signal * passed + np.maximum(own + shaped, 0.0),
    )
    return attrs.evolve(linear, other=other, receiver=receiver)


def third_order(power: FloatArray, noise: FloatArray, grid: Grid) -> FloatArray:
    """Spectrum of what is of third order in samples, on the active subcarriers, (..., F, K); 1 in the mean of all bins.

    That is where a fourth cumulant acts: it changes products of three samples, which the components that arrive then
    have in common with them. Orders above, which are nearly white, keep their power.

    Args:
        power: Of what arrives on each subcarrier, shape (..., F, K), in W.
        noise: On the other bins, shape (..., K), in W.
        grid: The grid.
    """
    correlation = np.fft.ifft(grid.spread(power, -2, noise), axis=-2)
    size = correlation[..., :1, :].real
    cubes = over(correlation * squared(correlation), size**3)
    return np.asarray(np.fft.fft(cubes, axis=-2).real[..., grid.bins, :])
