"""What the users receive of a transmission."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from attrs import frozen

from isacsim.batch import hermitian, squared
from isacsim.channels.late_paths import LatePaths
from isacsim.checks import fitting
from isacsim.errors import InvalidInput
from isacsim.grid import Grid
from isacsim.hardware.base import Hardware, LinearModel, Transceiver, diagonal_matrix
from isacsim.hardware.spectral import OverBand
from isacsim.link.sent import Transmission, over_noise, require_antennas
from isacsim.typing import AnyArray, ComplexArray, FloatArray


@frozen(eq=False, slots=False)
class Reception:
    """What the users receive of a transmission.

    With the gain g and the distortion d of user k's receiver and the powers S_k and T_k before it::

        SQINR_k = |g|^2 S_k / (|g|^2 T_k + d)

    which for the AQNM (g = alpha, d = alpha (1 - alpha) (S_k + T_k)) is
    ``alpha S_k / (T_k + (1 - alpha) S_k)`` [Xu25, eq. (14)].

    Attributes:
        amplitude: ``h_k^H A_t w_k``, of each user's own stream, shape (..., K), in sqrt(W).
        signal: Its power S_k before the receiver, shape (..., K), in W.
        other: Power T_k of interference, transmit distortion and noise there, shape (..., K), in W.
        receiver: Linear model of the users' receivers.
        error: Covariance of the error of each user's channel, (..., K, N_t, N_t); None where it is known.
    """

    amplitude: ComplexArray
    signal: FloatArray
    other: FloatArray
    receiver: LinearModel
    error: ComplexArray | None = None

    @classmethod
    def of(
        cls, H: Any, sent: Transmission, noise_power: Any, user: Hardware, error: ComplexArray | None = None
    ) -> Reception:
        """The reception over channels H (..., N_t, K), amplitude, with noise (..., K) in W.

        Where H is an estimate whose error e_k, of covariance Sigma_k, is not correlated with it, what is
        sent arrives through the error as noise, the user's own stream included: ``tr(Sigma_k R_xq)`` of power.
        The rate of Gaussian noise of that power then can be reached by a receiver that knows the estimate.

        Raises:
            InvalidInput: If the hardware couples the users' receivers, or shapes do not fit together.
        """
        H = np.asarray(H, complex, order="C")
        users = _fitting_users(H, sent.precoder, noise_power)
        with fitting("H, W, noise_power", H, sent.precoder, noise_power):
            received = hermitian(H) @ sent.precoder  # (..., K, K+S), user by stream
            gains, streams = squared(received), received.shape[-1]
            own = gains.reshape(*gains.shape[:-2], users * streams)[..., :: streams + 1]  # the diagonal
            signal = own.copy()
            own[...] = 0.0
            other = gains.sum(axis=-1) + sent.distortion_along(H) + np.asarray(noise_power)
            if error is not None:
                other = other + _power_through(error, sent.radiated)
        receiver = user.linear_model(diagonal_matrix(signal + other))
        if receiver.coupled:
            raise InvalidInput("user", "must not couple chains", user, "Each user has a receiver of its own.")
        return cls(np.diagonal(received, axis1=-2, axis2=-1), signal, other, receiver, error)

    @property
    def power(self) -> FloatArray:
        """Power that arrives at each receiver, shape (..., K), in W."""
        return self.signal + self.other

    @cached_property
    def sqinr(self) -> FloatArray:
        """Signal-to-quantisation-interference-and-noise ratio of each user, shape (..., K), linear."""
        kept = squared(self.receiver.gain)
        return over_noise(kept * self.signal, kept * self.other + self.receiver.distortion_power)

    @property
    def gain(self) -> ComplexArray:
        """Gain of each user's own symbols out of its receiver, shape (..., K), in sqrt(W)."""
        return np.asarray(self.amplitude * self.receiver.gain, complex)

    @property
    def output_power(self) -> FloatArray:
        """Power out of each user's receiver, shape (..., K), in W."""
        return self.receiver.output_power(diagonal_matrix(self.power))


def _power_through(error: ComplexArray, R: ComplexArray) -> FloatArray:
    """``tr(Sigma_k R)`` of Hermitian Sigma (..., K, N, N) and R (..., N, N), (..., K)."""
    R = R[..., None, :, :]
    product = error.real * R.real + error.imag * R.imag  # Re tr(Sigma R) is the sum of Re conj(Sigma) R
    return np.ascontiguousarray(product.sum(axis=-1)).sum(axis=-1)


def _fitting_users(H: ComplexArray, W: ComplexArray, noise_power: Any) -> int:
    """The number of users, if channels, precoder and noise fit together."""
    if H.ndim < 2:
        raise InvalidInput("H", "must have at least 2 axes", f"shape {H.shape}", "H is (..., N_t, K).")
    antennas, users = H.shape[-2:]
    require_antennas("H", antennas, W)
    if W.shape[-1] < users:
        rule = f"must have a column for each of {users} users"
        raise InvalidInput("W", rule, f"shape {W.shape}", "A user that is not served has a column of zeros.")
    if np.shape(noise_power)[-1:] not in ((), (1,), (users,)):
        rule = f"must be one number, or one for each of {users} users"
        raise InvalidInput("noise_power", rule, f"shape {np.shape(noise_power)}", "It is broadcast to (..., K).")
    return int(users)


def band_reception(
    H: ComplexArray,
    sent: Transmission,
    noise_power: FloatArray,
    transceiver: Transceiver,
    grid: Grid,
    leaked: AnyArray | float = 0.0,
    late: LatePaths | None = None,
) -> Reception:
    """What users with the noise (..., K) receive on each subcarrier over channels (..., F, N_t, K).

    ``leaked`` (..., F, K) is the power, in W, that comes from other subcarriers where the channel turns within a body;
    ``late`` are those of its paths that are longer than the prefix.
    """
    if late is not None:
        H, leaked = H - late.lost(), leaked + late.leaked(sent.radiated)
    user = OverBand(transceiver.user, grid, noise_power)
    return Reception.of(H, sent, noise_power[..., None, :] + leaked, user)
