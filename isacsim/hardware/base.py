"""What a piece of transceiver hardware is: two faces of the same device.

`Hardware.apply` maps samples to samples; `Hardware.linear_model` says what the device
does to second-order statistics, as the Bussgang decomposition ``y = A x + q`` with ``q``
uncorrelated with ``x``; the gain A is diagonal unless chains leak into each other. Metrics
and solvers use the second face, waveform experiments the first, and a contract test holds
them together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache, lru_cache
from typing import Any, ClassVar

import numpy as np
from attrs import field, frozen

from isacsim.batch import hermitian, same_array, squared
from isacsim.checks import numbers, square
from isacsim.errors import InvalidInput, brief
from isacsim.keywords import keywords
from isacsim.typing import AnyArray, ComplexArray, FloatArray


@frozen
class LinearModel:
    """Second-order model ``y = A x + q`` of a device with N chains.

    Attributes:
        gain: Bussgang gain A: its diagonal, shape (..., N), or where ``coupled`` the matrix, (..., N, N).
        distortion: Covariance of q: (..., N) when diagonal, else (..., N, N); in W.
        coupled: Whether the output of a chain depends on the input of others linearly.
        ideal: Whether the device is known to change nothing, so that products with the gain can be left out.
    """

    gain: AnyArray = field(eq=same_array, repr=brief)
    distortion: AnyArray = field(eq=same_array, repr=brief)
    coupled: bool = False
    ideal: bool = field(default=False, eq=False)

    @property
    def diagonal(self) -> bool:
        """Whether the distortion is uncorrelated between chains."""
        return self.distortion.ndim == self.gain.ndim - self.coupled

    @property
    def distortion_power(self) -> FloatArray:
        """Distortion power of each chain, shape (..., N), in W."""
        d = self.distortion if self.diagonal else np.diagonal(self.distortion, axis1=-2, axis2=-1)
        return np.ascontiguousarray(d.real)

    def distortion_matrix(self) -> AnyArray:
        """Distortion covariance as a matrix, shape (..., N, N), in W."""
        return diagonal_matrix(self.distortion) if self.diagonal else self.distortion

    def gain_matrix(self) -> AnyArray:
        """The gain A as a matrix, shape (..., N, N)."""
        return self.gain if self.coupled else diagonal_matrix(self.gain)

    def amplify(self, X: AnyArray) -> AnyArray:
        """``A X`` for X (..., N, m): a precoder, channels or samples behind the gain."""
        if self.ideal:
            return X
        return self.gain @ X if self.coupled else self.gain[..., None] * X

    def signal_covariance(self, R: ComplexArray) -> ComplexArray:
        """``A R A^H``, the covariance of what is left of an input of covariance R, both (..., N, N), in W."""
        if self.ideal:
            return R
        if self.coupled:
            return self.gain @ R @ hermitian(self.gain)
        return self.gain[..., :, None] * R * np.conj(self.gain)[..., None, :]

    def output_covariance(self, R: ComplexArray) -> ComplexArray:
        """Covariance of the output for the input covariance R, both (..., N, N), in W."""
        if self.ideal:
            return R
        return self.signal_covariance(R) + self.distortion_matrix()

    def output_power(self, R: ComplexArray) -> FloatArray:
        """Power out of each chain, shape (..., N), in W, for the input covariance R."""
        kept = chain_power(self.signal_covariance(R)) if self.coupled else squared(self.gain) * chain_power(R)
        return kept + self.distortion_power


class Hardware(ABC):
    """A stage of transceiver hardware with N chains.

    A plugin gives both faces, or `apply` alone: the linear model of a stage that treats
    each chain by itself and without memory is then found here, with its derivative.

    Attributes:
        memoryless: Whether a sample out depends on the sample in of the same time alone, once the
            input power is known. A stage with memory says False, and gives its linear model.
    """

    memoryless: ClassVar[bool] = True

    @abstractmethod
    def apply(
        self, x: ComplexArray, rng: np.random.Generator | None = None, *, power: FloatArray | None = None
    ) -> ComplexArray:
        """Samples out, for samples in.

        Args:
            x: Complex samples, shape (..., N, L): N chains, L samples of each; in sqrt(W).
            rng: Source of whatever is random in the device.
            power: Input power (..., N) that gain controls are set to, in W; None measures
                it on x.
        """

    def linear_model(self, R: ComplexArray) -> LinearModel:
        """Gain and distortion for Gaussian input of covariance R (..., N, N), in W.

        This default finds them from `apply` alone, exact to quadrature and with the correlation of
        different chains' distortion; `isacsim.hardware.probing` says how, and to how many digits. Override
        it where a closed form exists, chains influence each other, or the device has memory or
        draws samples.

        Raises:
            InvalidInput: If the device is not ``memoryless``, or two answers to one input differ.
        """
        if not self.memoryless:
            remedy = "Override linear_model: it can be found of memoryless devices alone."
            raise InvalidInput("hardware", "must give a linear model where it has memory", self, remedy)
        from isacsim.hardware.expansions import exact_model  # these stand on this file
        from isacsim.hardware.probing import maps_of

        if not (power := chain_power(R)).shape[-1]:  # nothing to try
            return LinearModel(power, power)
        return exact_model(maps_of(self, power.shape[-1]), R)

    def linear_model_vjp(self, R: ComplexArray, gain: AnyArray, distortion: AnyArray) -> ComplexArray:
        """Cotangent of R for cotangents of the gain and of the distortion that `linear_model` gives.

        For the differentials of R, of the gain a and of the distortion D::

            df = Re sum conj(gain) da + Re tr(distortion^H dD) = Re tr(R_bar^H dR)

        Whoever designs for a device asks for no more of it: with R = W W^H the gradient of f in W
        is ``2 R_bar W``, beside what f takes from W itself.

        Args:
            R: Covariance of the input, shape (..., N, N), in W.
            gain: Cotangent g of the gain, of its shape: (..., N), or (..., N, N) of a coupled device.
            distortion: Cotangent of the distortion: Hermitian, shape (..., N, N); of a diagonal
                distortion its diagonal (..., N) is enough.

        Returns:
            R_bar, Hermitian, shape (..., N, N).

        Raises:
            InvalidInput: If the device is not `differentiable`.
        """
        if not self.differentiable:
            remedy = "Give linear_model_vjp beside linear_model, or leave both to be found from apply."
            raise InvalidInput("hardware", "must have a derivative to be designed for", self, remedy)
        from isacsim.hardware.expansions import exact_vjp
        from isacsim.hardware.probing import maps_of

        chains = chain_power(R).shape[-1]
        return exact_vjp(maps_of(self, chains), R, gain, distortion) if chains else np.zeros(np.shape(R), complex)

    def spectral_model(self, R: AnyArray) -> LinearModel:
        """Gain and distortion on each bin of an OFDM signal with the covariances R (..., N, M, M), in W.

        The chains meet samples, so that all N bins go in together: gain (..., 1, M) and distortion
        (..., N, M) or (..., N, M, M), in W. This default is as exact as `linear_model` is for a
        stage without memory (`isacsim.hardware.spectral`), and white otherwise. Override it where
        the device has memory.
        """
        from isacsim.hardware.spectral import subcarrier_model  # stands on this file

        return subcarrier_model(self, R)

    def spectral_model_vjp(self, R: AnyArray, gain: AnyArray, distortion: AnyArray) -> ComplexArray:
        """Cotangent of R (..., N, M, M) for those of what `spectral_model` gives, as in `linear_model_vjp`.

        A device with a `spectral_model` of its own gives this beside it.
        """
        from isacsim.hardware.spectral import subcarrier_model_vjp  # stands on this file

        return subcarrier_model_vjp(self, R, gain, distortion)

    @property
    def spectrum_differentiable(self) -> bool:
        """Whether `spectral_model_vjp` is there."""
        of = type(self)
        given = of.spectral_model_vjp is not Hardware.spectral_model_vjp
        return self.differentiable and (given or of.spectral_model is Hardware.spectral_model)

    def tiled(self, copies: int) -> Hardware:
        """The device for ``copies`` times its chains, one set behind the other.

        This default is for devices whose chains are alike; one with an entry for each chain repeats it.
        """
        return self

    @property
    def differentiable(self) -> bool:
        """Whether `linear_model_vjp` is there: given by the device, or found from `apply` as the linear model is."""
        of = type(self)
        given = of.linear_model_vjp is not Hardware.linear_model_vjp
        return given or (self.memoryless and of.linear_model is Hardware.linear_model)

    @property
    def scalar(self) -> bool:
        """Whether a map of each chain's samples is all there is to it, and `linear_model` the exact model of that map.

        Such stages in series are one map, of which a `Chain` takes the model. A stage that gives its linear
        model says so here if it is.
        """
        return self.memoryless and type(self).linear_model is Hardware.linear_model

    def envelopes(self, chains: int) -> Any:
        """The `isacsim.api.Envelopes` of ``chains`` of them, where a gain by the power of the sample is all there is.

        Of stages in series that give theirs a `Chain` has the model in closed form; None, the default, leaves it
        to trying.
        """
        return None

    def tables(self, chains: int) -> Any:
        """The `isacsim.hardware.gain_control.Tables` of ``chains`` of them, where these are all there is to its model.

        Designs for such a device are one compiled loop; None, the default, leaves it to `linear_model`.
        """
        return None

    @property
    def is_ideal(self) -> bool:
        """Whether the device passes its input unchanged."""
        return False

    @property
    def scale_free(self) -> bool:
        """Whether the output is in proportion to the scale of the input, as behind a gain control."""
        return self.is_ideal

    @property
    def chains(self) -> int | None:
        """Number of chains of a device that is built for one; None takes any."""
        return None

    def resolution(self, chains: int) -> FloatArray:
        """Bits of each of the I and Q converters of every chain, shape (chains,); inf where there is no converter.

        A converter gives its own here, from which a power model takes what it draws.
        """
        return np.full(chains, np.inf)


@frozen
class Ideal(Hardware):
    """Hardware that changes nothing."""

    def apply(
        self, x: ComplexArray, rng: np.random.Generator | None = None, *, power: FloatArray | None = None
    ) -> ComplexArray:
        """The samples themselves."""
        return np.asarray(numbers("x", x, axes=2), complex)

    def linear_model(self, R: ComplexArray) -> LinearModel:
        """Unit gain, no distortion."""
        shape = square("R", R).shape[:-1]
        return LinearModel(np.ones(shape), np.zeros(shape), ideal=True)

    def linear_model_vjp(self, R: ComplexArray, gain: AnyArray, distortion: AnyArray) -> ComplexArray:
        """Zero: neither gain nor distortion depends on the input."""
        return np.zeros(square("R", R).shape, complex)

    @property
    def scalar(self) -> bool:
        """Always true."""
        return True

    @property
    def is_ideal(self) -> bool:
        """Always true."""
        return True


@frozen(eq=False)  # each says itself what sets it apart
class Remodelled(Hardware):
    """A device whose linear model is another one: its samples are the device's own.

    Args:
        device: The device.
    """

    device: Hardware

    def apply(
        self, x: ComplexArray, rng: np.random.Generator | None = None, *, power: FloatArray | None = None
    ) -> ComplexArray:
        """The device's samples."""
        return self.device.apply(x, rng, power=power)


@keywords()
@frozen
class Transceiver:
    """The hardware of a link: base-station transmitter and sensing receiver, and the users.

    Attributes:
        transmit: Chains of the transmit array, N_t of them.
        receive: Chains of the sensing receive array, N_r of them.
        user: Receivers of the K single-antenna users, one chain each.
    """

    known_as: ClassVar[str] = "transceiver"

    transmit: Hardware = Ideal()
    receive: Hardware = Ideal()
    user: Hardware = Ideal()

    def __attrs_post_init__(self) -> None:
        for side in ("transmit", "receive", "user"):
            if not isinstance(getattr(self, side), Hardware):
                raise InvalidInput(side, "must be hardware", getattr(self, side), "Pass a stage such as Aqnm(bits=3).")

    @property
    def is_ideal(self) -> bool:
        """Whether transmitter, receiver and users are all ideal."""
        return self.transmit.is_ideal and self.receive.is_ideal and self.user.is_ideal


def chain_power(R: ComplexArray) -> FloatArray:
    """Power of each chain, the real diagonal of R (..., N, N)."""
    return np.ascontiguousarray(np.diagonal(square("R", R), axis1=-2, axis2=-1).real)


def diagonal_matrix(d: AnyArray) -> AnyArray:
    """Matrices (..., N, N) with the diagonals d (..., N)."""
    d = np.asarray(d)
    n = d.shape[-1]
    matrix = np.zeros((*d.shape[:-1], n * n), np.result_type(d, float))
    matrix[..., :: n + 1] = d
    return matrix.reshape(*d.shape, n)


@lru_cache(maxsize=4)  # they may be large
def unlike_covariances(chains: int) -> ComplexArray:
    """Two covariances (2, N, N), in W, that differ in every respect; not to be written to.

    A model that is the same for both does not depend on its input.
    """
    powers = 1 + np.arange(chains) / 3
    alike = np.sqrt(powers[:, None] * powers)
    R = np.array([np.eye(chains), 1e-2 * (alike + np.diag(powers))], complex)
    R.flags.writeable = False
    return R


def cotangent_diagonal(distortion: AnyArray, R: ComplexArray) -> FloatArray:
    """Cotangent (..., N) of the powers of a distortion; of one given as a matrix like R (..., N, N), its diagonal."""
    matrix = np.ndim(distortion) == np.ndim(R)
    return np.ascontiguousarray((np.diagonal(distortion, axis1=-2, axis2=-1) if matrix else distortion).real)


@cache
def gaussian_points(count: int) -> ComplexArray:
    """Deterministic points whose empirical law is close to CN(0, 1), shape (count,).

    Radii are the quantiles of the Rayleigh law, phases advance by the golden angle.
    """
    i = np.arange(count)
    radius = np.sqrt(-np.log1p(-(i + 0.5) / count))
    return radius * np.exp(2j * np.pi * i * (np.sqrt(5) - 1) / 2)


def estimate_linear_model(device: Hardware, R: ComplexArray, count: int = 2**14) -> LinearModel:
    """Bussgang gain and distortion power of a memoryless ``device``, chain by chain, for R (..., N, N), in W."""
    power = chain_power(R)
    gain, distortion = np.empty(power.shape, complex), np.empty(power.shape)
    for member in np.ndindex(power.shape[:-1]):  # one member at a time: the samples are many
        gain[member], distortion[member] = estimate_chains(device, power[member], count)
    return LinearModel(gain, distortion)


def estimate_chains(device: Hardware, power: FloatArray, count: int = 2**14) -> tuple[ComplexArray, FloatArray]:
    """Gain (N,) and distortion power (N,), in W, of a memoryless ``device`` with the input power (N,), in W."""
    x = gaussian_points(count)
    scaled = np.sqrt(power)[:, None] * (x / np.sqrt(np.mean(squared(x))))
    # A fixed seed: the model of a device is a property of the device, not of a draw.
    y = device.apply(scaled, np.random.default_rng(0), power=power)
    correlation = np.mean(y * np.conj(scaled), axis=-1)
    gain = np.where(power > 0, correlation / np.where(power > 0, power, 1.0), 1.0)
    residual = np.mean(squared(y), axis=-1) - squared(gain) * power
    return gain, np.maximum(residual, 0.0)
