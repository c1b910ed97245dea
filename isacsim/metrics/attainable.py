"""What SQINR a user can have at best, whatever is transmitted.

Converters of few bits cap the SQINR: their distortion grows with the signal. With e the ratio
of distortion to signal of a user's receiver, an SQINR of S at its input becomes
``S / (1 + e + e S)``. At the input no precoder beats a single stream to this user alone, and of
all streams the best is a matched filter; with the ratios e_i of the transmit chains::

    S_k = sum_i a_ki / (e_i a_ki + sigma_k^2 / P),   a_ki = |h_ki|^2 / (1 + e_i)

For the AQNM ``e = (1 - alpha) / alpha``. All of this holds for hardware that is told by its gain
and a distortion in proportion to its input power, chain by chain: data converters with a gain
control.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isacsim.batch import squared
from isacsim.checks import finite_numbers, fitting, is_number, positive
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Hardware, LinearModel, Transceiver
from isacsim.link import require_transceiver
from isacsim.memory import must_fit
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
    require_transceiver(transceiver)
    if not (is_number(users) and users == np.floor(users) and users >= 0):
        raise InvalidInput("users", "must be a whole number of at least 0", users, "Give the number of users K.")
    users = int(users)
    _, receiver = _ratios(transceiver.user, users, apart=True)
    return _behind_receiver(np.full(users, np.inf), receiver)


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
        InvalidInput: If chains are coupled, their distortion is correlated, or an argument breaks a rule.
    """
    require_transceiver(transceiver)
    gains, noise, transmit, _ = _link(H, power, noise_power, transceiver.transmit)
    _, receiver = _ratios(transceiver.user, gains.shape[-1], apart=True)
    return attained_alone(gains, noise, transmit, receiver)


def single_user_precoder(H: Any, power: Any, noise_power: Any, transceiver: Transceiver) -> ComplexArray:
    """Streams that give each user alone its `sqinr_bound`, shape (..., N_t, K), in sqrt(W).

    Column k radiates ``power`` when it is sent without the others. Arguments as in
    `sqinr_bound`, with a finite power.
    """
    require_transceiver(transceiver)
    positive("power", power)
    gains, noise, transmit, gain = _link(H, power, noise_power, transceiver.transmit)
    radiated = squared(gain) * (1 + transmit)  # of unit power into each chain
    W = gain[:, None] * np.asarray(H, complex) / radiated[:, None] / (transmit[:, None] * gains + noise)
    spent = (radiated[:, None] * squared(W)).sum(axis=-2, keepdims=True)
    return np.asarray(W * np.sqrt(np.asarray(power, float)[..., None, None] / spent))


def attained_alone(gains: FloatArray, noise: Any, transmit: FloatArray, receiver: FloatArray) -> FloatArray:
    """The largest SQINR of each user alone behind its receiver, shape (..., K), linear.

    Args:
        gains: a_ki, shape (..., N_t, K).
        noise: sigma_k^2 / P, broadcast to (..., N_t, K); 0 is power without end.
        transmit: e_i, shape (..., N_t).
        receiver: e of each user's receiver, shape (..., K).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        # Over no noise at all a channel is heard without end, or, where it is zero, not at all.
        terms = np.where(gains > 0, gains / (transmit[..., None] * gains + noise), 0.0)
    return _behind_receiver(np.ascontiguousarray(terms.swapaxes(-1, -2)).sum(axis=-1), receiver)


def _behind_receiver(reached: FloatArray, receiver: FloatArray) -> FloatArray:
    """What an SQINR (..., K) at the receivers' inputs is behind them; it may be infinite."""
    with np.errstate(divide="ignore"):
        # In terms of 1/S, so that S may be infinite.
        return np.asarray(1 / ((1 + receiver) * (1 / reached) + receiver))


def _link(H: Any, power: Any, noise_power: Any, transmit: Hardware) -> tuple[FloatArray, Any, FloatArray, ComplexArray]:
    """a_ki (..., N_t, K), sigma_k^2 / P, e_i (N_t,) and the gains (N_t,) of the transmit chains."""
    finite_numbers("H", H, axes=2)
    positive("power", power, infinite=True)
    positive("noise_power", noise_power)
    H = np.asarray(H, complex, order="C")
    gain, ratios = _ratios(transmit, H.shape[-2])
    with fitting("H, power, noise_power", H, power, noise_power):
        noise = np.atleast_1d(np.asarray(noise_power, float))[..., None, :] / np.asarray(power, float)[..., None, None]
        lead = np.broadcast_shapes(noise.shape[:-2], H.shape[:-2])
        noise = np.broadcast_to(noise, (*lead, noise.shape[-2], H.shape[-1]))
    return squared(H) / (1 + ratios[:, None]), noise, ratios, gain


def _ratios(hardware: Hardware, chains: int, apart: bool = False) -> tuple[ComplexArray, FloatArray]:
    """Gains (chains,) and ratios (chains,) of distortion to signal, at unit power in each chain.

    Of chains that are ``apart``, as those of users are, no correlation counts.
    """
    must_fit("users", f"a covariance of {chains} chains", chains, (chains, chains))
    model = _of_one(hardware) if apart and chains > 1 else None
    if model is None:
        model = hardware.linear_model(np.eye(chains, dtype=complex))
    if model.coupled or not (model.diagonal or apart):
        rule = "must treat each chain by itself, with distortion that is uncorrelated between chains"
        raise InvalidInput("transceiver", rule, hardware, "Use aqnm, or mid-rise with correlated = false.")
    gain = np.broadcast_to(np.asarray(model.gain, complex), (chains,))
    return gain, np.broadcast_to(model.distortion_power / squared(model.gain), (chains,))


def _of_one(hardware: Hardware) -> LinearModel | None:
    """The model of one chain, where a device takes any number of them alike: correlations of many cost much."""
    try:
        return hardware.linear_model(np.ones((1, 1), complex))
    except InvalidInput:
        return None
