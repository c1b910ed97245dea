"""SINR and achievable rate of the users, through any hardware; `isacsim.link.Reception` has the equations."""

from __future__ import annotations

from typing import Any

import numpy as np

from isacsim.checks import finite_numbers, positive
from isacsim.hardware.base import Transceiver
from isacsim.link import IDEAL, Reception, transmission
from isacsim.typing import FloatArray


def sqinr(H: Any, W: Any, noise_power: Any, transceiver: Transceiver = IDEAL) -> FloatArray:
    """Signal-to-quantisation-interference-and-noise ratio of each user, shape (..., K), linear.

    Args:
        H: Channels, shape (..., N_t, K), amplitude.
        W: Precoder, shape (..., N_t, K+S), in sqrt(W); the first K columns are the users'.
        noise_power: Noise of each user, broadcast to (..., K), in W.
        transceiver: The hardware.

    Raises:
        InvalidInput: If an argument breaks a rule, shapes do not fit together, or the hardware couples the users'
            receivers.
    """
    finite_numbers("H", H, axes=2)
    positive("noise_power", noise_power)
    return Reception.of(H, transmission(W, transceiver), noise_power, transceiver.user).sqinr


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
