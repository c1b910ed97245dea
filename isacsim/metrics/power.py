"""Radiated power, beampattern and energy efficiency."""

from __future__ import annotations

from typing import Any

import numpy as np

from isacsim.arrays import AntennaArray
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Hardware, Ideal
from isacsim.link import Transmission
from isacsim.typing import ComplexArray, FloatArray


def antenna_power(W: Any, transmit: Hardware = Ideal()) -> FloatArray:
    """Power out of each transmit chain, shape (..., N_t), in W; see `radiated_power`."""
    return Transmission.of(W, transmit).antenna_power


def radiated_power(W: Any, transmit: Hardware = Ideal()) -> FloatArray:
    """Power that leaves the transmit chains, shape (...), in W.

    For data converters modelled by the AQNM it is tr(A_t R_x) [Xu25, eq. (10c)].

    Args:
        W: Precoder, shape (..., N_t, K+S), in sqrt(W).
        transmit: The transmit chains.
    """
    return Transmission.of(W, transmit).power


def beampattern(
    W: Any,
    array: AntennaArray,
    azimuth: Any,
    zenith: Any = np.pi / 2,
    transmit: Hardware = Ideal(),
) -> FloatArray:
    """Radiated power toward directions, a^H R a, shape (..., directions), in W.

    Args:
        W: Precoder, shape (..., N_t, K+S), in sqrt(W).
        array: Transmit array.
        azimuth: Azimuths, broadcast with zenith to (directions,), in rad.
        zenith: Zeniths, in rad.
        transmit: The transmit chains.
    """
    return power_toward(Transmission.of(W, transmit), array, azimuth, zenith)


def power_toward(sent: Transmission, array: AntennaArray, azimuth: Any, zenith: Any = np.pi / 2) -> FloatArray:
    """`beampattern` of a transmission, shape (..., directions), in W."""
    a = array.steering(np.atleast_1d(azimuth), zenith)
    return np.asarray((np.conj(a) * np.swapaxes(sent.radiated @ a.T, -1, -2)).real.sum(axis=-1))


def rescale_to_radiated(W: Any, transmit: Hardware, power: Any) -> ComplexArray:
    """The precoder scaled so that ``power`` leaves the transmit chains, shape (..., N_t, K+S).

    Secant steps on the logarithms of drive and radiated power; one step suffices where the
    device is linear in power, as data converters with gain control are.

    Args:
        W: Precoder, shape (..., N_t, K+S), in sqrt(W).
        transmit: The transmit chains.
        power: Wanted power, broadcast to (...), in W.

    Raises:
        InvalidInput: If ``power`` is not positive, or the chains saturate below it.
    """
    if not np.all(np.isfinite(power)) or np.any(np.asarray(power) <= 0):
        raise InvalidInput("power", "must be positive and finite", power, "Check sign and unit.")
    W = np.asarray(W, complex, order="C")
    target = np.broadcast_to(power, W.shape[:-2])
    drive, slope = np.zeros(target.shape), np.ones(target.shape)
    alive = np.isfinite(W).all(axis=(-2, -1)) & (radiated_power(W) > 0)
    for _ in range(100):
        out = radiated_power(np.exp(drive / 2)[..., None, None] * W, transmit)
        with np.errstate(divide="ignore", invalid="ignore"):
            gap = np.where(alive, np.log(target / out), 0.0)
        if np.all(np.abs(gap) < 1e-12):
            return np.asarray(np.exp(drive / 2)[..., None, None] * W)
        # A member that has arrived stays, so that its bytes do not depend on the others.
        step = np.where(np.abs(gap) < 1e-12, 0.0, np.clip(gap / slope, -2.0, 2.0))
        ahead = radiated_power(np.exp((drive + step) / 2)[..., None, None] * W, transmit)
        with np.errstate(divide="ignore", invalid="ignore"):
            secant = np.where(step == 0, slope, np.log(ahead / out) / step)
        drive, slope = drive + step, np.clip(np.nan_to_num(secant, nan=1.0), 0.02, 2.0)
        if np.any(drive > 60):
            break
    worst = float(np.max(np.where(np.abs(gap) < 1e-12, 0.0, target)))
    most = float(np.max(np.where(np.abs(gap) < 1e-12, 0.0, out)))
    raise InvalidInput(
        "power", f"must be reachable: the transmit chains saturate near {most:.4g} W", f"{worst:.4g} W",
        "Lower the power, raise the saturation level, or judge the power as designed.",
    )  # fmt: skip


def energy_efficiency(sum_rate_bits: Any, radar_sqnr: Any, consumption: Any) -> FloatArray:
    """Energy efficiency of [Xu25, eq. (20)], shape (...), in bit/s/Hz/W.

    Args:
        sum_rate_bits: Sum rate of the users, in bit/s/Hz.
        radar_sqnr: Radar SQNR, linear; it counts as log2(1 + SQNR).
        consumption: Power drawn, in W (`isacsim.hardware.power`).
    """
    return np.asarray((np.asarray(sum_rate_bits) + np.log2(1 + np.asarray(radar_sqnr))) / consumption)
