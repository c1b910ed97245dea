"""What SQINR a user can have at best, whatever is transmitted.

Converters of few bits cap the SQINR: their distortion grows with the signal. With the gain a
and the distortion d of a user's receiver at unit input power, an SQINR of S at its input
becomes ``|a|^2 S / (|a|^2 + d (1 + S))``. At the input no precoder beats a single stream to
this user alone, and of all streams the best is a matched filter. With gain g_i and distortion
q_i of the transmit chains at unit power, and p_i = |g_i|^2 + q_i what they radiate::

    S_k = sum_i |g_i|^2 |h_ki|^2 / (q_i |h_ki|^2 + p_i sigma_k^2 / P)

All of this holds for hardware that is told by its gain and a distortion in proportion to its
input power, chain by chain: data converters with a gain control.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isacsim.batch import squared
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Hardware, LinearModel, Transceiver
from isacsim.typing import ComplexArray, FloatArray


def sqinr_ceiling(transceiver: Transceiver, users: int) -> FloatArray:
    """SQINR that the converter of each user caps, shape (users,), linear; infinite for ideal ones.

    It is ``alpha_k / (1 - alpha_k)`` for the AQNM, approached without end and never reached.

    Args:
        transceiver: The hardware; its user side counts.
        users: Number of users K.

    Raises:
        InvalidInput: If the hardware has bits for another number of users.
    """
    return _behind_receiver(np.full(users, np.inf), _unit_model(transceiver.user, users))


def sqinr_bound(H: Any, power: Any, noise_power: Any, transceiver: Transceiver) -> FloatArray:
    """The largest SQINR of each user, were it served alone, shape (..., K), linear.

    `single_user_precoder` attains it.

    Args:
        H: Channels, shape (..., N_t, K), amplitude.
        power: Power that leaves the transmit chains, shape (...), in W; infinite for what no
            power exceeds.
        noise_power: Noise of each user, broadcast to (..., K), in W.
        transceiver: The hardware.

    Raises:
        InvalidInput: If chains are coupled, or their distortion is correlated.
    """
    H = np.asarray(H, complex, order="C")
    numerator, denominator = _matched(H, power, noise_power, transceiver.transmit)
    silent = numerator == 0  # a chain without a path to the user, nor noise at infinite power
    terms = np.divide(numerator, denominator, out=np.full(numerator.shape, np.inf), where=denominator > 0)
    reached = np.where(silent, 0.0, terms).sum(axis=-2)
    return _behind_receiver(reached, _unit_model(transceiver.user, H.shape[-1]))


def single_user_precoder(H: Any, power: Any, noise_power: Any, transceiver: Transceiver) -> ComplexArray:
    """Streams that give each user alone its `sqinr_bound`, shape (..., N_t, K), in sqrt(W).

    Column k radiates ``power`` when it is sent without the others. Arguments as in
    `sqinr_bound`, with a finite power.
    """
    H = np.asarray(H, complex, order="C")
    model = _unit_model(transceiver.transmit, H.shape[-2])
    _, denominator = _matched(H, power, noise_power, transceiver.transmit)
    W = model.gain[..., None] * H / denominator
    radiated = (_radiated(model)[:, None] * squared(W)).sum(axis=-2, keepdims=True)
    return np.asarray(W * np.sqrt(np.asarray(power, float)[..., None, None] / radiated))


def _matched(H: ComplexArray, power: Any, noise_power: Any, transmit: Hardware) -> tuple[FloatArray, FloatArray]:
    """Numerator and denominator of the terms of S_k, each (..., N_t, K)."""
    model = _unit_model(transmit, H.shape[-2])
    noise = np.atleast_1d(np.asarray(noise_power, float))[..., None, :]
    noise = _radiated(model)[:, None] * (noise / np.asarray(power, float)[..., None, None])
    gain, distortion = squared(model.gain)[:, None], model.distortion_power[:, None]
    numerator, denominator = np.broadcast_arrays(gain * squared(H), distortion * squared(H) + noise)
    return numerator, denominator


def _radiated(model: LinearModel) -> FloatArray:
    return np.asarray(squared(model.gain) + model.distortion_power)


def _unit_model(hardware: Hardware, chains: int) -> LinearModel:
    """The linear model at unit power in each of some chains."""
    model = hardware.linear_model(np.eye(chains, dtype=complex))
    if not model.diagonal or np.ndim(model.gain) != 1:
        raise InvalidInput("transceiver", "must treat each chain by itself", hardware, "Use data converters.")
    return model


def _behind_receiver(reached: FloatArray, user: LinearModel) -> FloatArray:
    """What an SQINR (..., K) at the receivers' inputs is behind them; it may be infinite."""
    kept, distortion = squared(user.gain), user.distortion_power
    inverse = np.divide(1.0, reached, out=np.full(reached.shape, np.inf), where=reached > 0)
    lost = (kept + distortion) * inverse + distortion  # in terms of 1/S, so that S may be infinite
    return np.divide(kept, lost, out=np.full(lost.shape, np.inf), where=lost > 0)
