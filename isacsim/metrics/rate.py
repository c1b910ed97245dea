"""SINR and achievable rate of the users, through any hardware.

User k receives ``h_k^H x_q + n_k`` with ``x_q = A_t x + q_t`` out of the transmit chains
and quantises it [Xu25, eqs. (2)-(4)]. With the gain g and the distortion d of its
receiver, S_k the power of its own stream and r_k all it receives::

    SQINR_k = |g|^2 S_k / (|g|^2 (r_k - S_k) + d)

which for the AQNM (g = alpha, d = alpha (1 - alpha) r_k) is ``alpha S_k / (r_k - alpha S_k)``
[Xu25, eq. (14)].
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isacsim.batch import hermitian, squared
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Transceiver, diagonal_matrix
from isacsim.typing import ComplexArray, FloatArray

IDEAL = Transceiver()


def covariance(W: Any) -> ComplexArray:
    """Transmit covariance R_x = W W^H, shape (..., N_t, N_t), in W; W is (..., N_t, K+S)."""
    W = np.asarray(W, complex, order="C")
    return W @ hermitian(W)


def require_fit(name: str, antennas: int, W: ComplexArray, transceiver: Any) -> None:
    """Refuse a precoder of other antennas than the array ``name`` has, and what is no hardware.

    Raises:
        InvalidInput: It names W or the transceiver.
    """
    if W.ndim < 2 or W.shape[-2] != antennas:
        rule = f"must have a row for each of the {antennas} transmit antennas of {name}"
        raise InvalidInput("W", rule, f"shape {W.shape}", "W is (..., N_t, K+S).")
    if not isinstance(transceiver, Transceiver):
        remedy = "Give Transceiver(transmit=..., receive=..., user=...)."
        raise InvalidInput("transceiver", "must be a Transceiver", transceiver, remedy)


def sqinr(H: Any, W: Any, noise_power: Any, transceiver: Transceiver = IDEAL) -> FloatArray:
    """Signal-to-quantisation-interference-and-noise ratio of each user, shape (..., K), linear.

    Args:
        H: Channels, shape (..., N_t, K), amplitude.
        W: Precoder, shape (..., N_t, K+S), in sqrt(W); the first K columns are the users'.
        noise_power: Noise of each user, broadcast to (..., K), in W.
        transceiver: The hardware.

    Raises:
        InvalidInput: If the hardware couples the users' receivers, or shapes do not fit together.
    """
    H, W = np.asarray(H, complex, order="C"), np.asarray(W, complex, order="C")
    if H.ndim < 2:
        raise InvalidInput("H", "must have at least 2 axes", f"shape {H.shape}", "H is (..., N_t, K).")
    antennas, users = H.shape[-2:]
    require_fit("H", antennas, W, transceiver)
    if W.shape[-1] < users:
        rule = f"must have a column for each of {users} users"
        raise InvalidInput("W", rule, f"shape {W.shape}", "A user that is not served has a column of zeros.")
    if np.shape(noise_power)[-1:] not in ((), (1,), (users,)):
        rule = f"must be one number, or one for each of {users} users"
        raise InvalidInput("noise_power", rule, f"shape {np.shape(noise_power)}", "It is broadcast to (..., K).")
    transmit = transceiver.transmit.linear_model(covariance(W))
    gains = squared(hermitian(H) @ transmit.amplify(W))  # (..., K, K+S), user by stream
    own = np.eye(users, gains.shape[-1], dtype=bool)
    signal = np.where(own, gains, 0.0).sum(axis=-1)
    other = np.where(own, 0.0, gains).sum(axis=-1) + _distortion_at_users(H, transmit) + np.asarray(noise_power)
    user = transceiver.user.linear_model(diagonal_matrix(signal + other))
    if user.coupled:
        raise InvalidInput("user", "must not couple chains", transceiver.user, "Each user has a receiver of its own.")
    kept = squared(user.gain)
    return np.asarray(kept * signal / (kept * other + user.distortion_power))


def _distortion_at_users(H: ComplexArray, transmit: Any) -> FloatArray:
    """Transmit distortion h_k^H D h_k each user receives, (..., K), in W."""
    if transmit.diagonal:
        return np.asarray((squared(H) * transmit.distortion[..., :, None]).sum(axis=-2))
    return np.asarray((np.conj(H) * (transmit.distortion @ H)).real.sum(axis=-2))


def sinr(H: Any, W: Any, noise_power: Any) -> FloatArray:
    """Signal-to-interference-and-noise ratio of each user on ideal hardware; see `sqinr`."""
    return sqinr(H, W, noise_power)


def rate_nats(H: Any, W: Any, noise_power: Any, transceiver: Transceiver = IDEAL) -> FloatArray:
    """Achievable rate ln(1 + SQINR_k) of each user, shape (..., K), in nat/s/Hz; see `sqinr`."""
    return np.log1p(sqinr(H, W, noise_power, transceiver))


def rate_bits(H: Any, W: Any, noise_power: Any, transceiver: Transceiver = IDEAL) -> FloatArray:
    """Achievable rate log2(1 + SQINR_k) of each user, shape (..., K), in bit/s/Hz; see `sqinr`."""
    return rate_nats(H, W, noise_power, transceiver) / np.log(2)


def sum_rate(H: Any, W: Any, noise_power: Any, transceiver: Transceiver = IDEAL) -> FloatArray:
    """Sum over the users of `rate_nats`, shape (...), in nat/s/Hz."""
    return np.asarray(rate_nats(H, W, noise_power, transceiver).sum(axis=-1))


def sum_rate_bits(H: Any, W: Any, noise_power: Any, transceiver: Transceiver = IDEAL) -> FloatArray:
    """Sum over the users of `rate_bits`, shape (...), in bit/s/Hz."""
    return np.asarray(rate_bits(H, W, noise_power, transceiver).sum(axis=-1))
