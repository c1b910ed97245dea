"""Devices that are as data converters to a design: additive noise in proportion to the power of each chain.

Each chain has a gain a_i, and distortion of power ``d_i R_ii`` that is uncorrelated between
chains; neither depends on the signal. For the AQNM ``a = alpha``, ``d = alpha (1 - alpha)``
[Xu25, eq. (2)]. Gains can be undone on either side of a link, so that only the ratio
``e_i = d_i / |a_i|^2`` of distortion to signal counts, ``(1 - alpha) / alpha`` for the AQNM.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isacsim.batch import squared
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Hardware, Transceiver, chain_power, unlike_covariances
from isacsim.hardware.chain import Chain
from isacsim.lasting import kept
from isacsim.typing import ComplexArray, FloatArray

AS_CONVERTERS = (
    "add noise in proportion to each chain's power, uncorrelated between chains, and pass a fixed share of the signal, "
    "as the model of aqnm does, and that of mid-rise with correlated = false"
)
SAME = 1e-9  # relative difference of two models that rounding explains


class NotConverters(InvalidInput):
    """Hardware that is none of them."""


def distortion_ratios(hardware: Hardware, chains: int, name: str) -> tuple[ComplexArray, FloatArray]:
    """Gains (chains,) and ratios e (chains,) of distortion to signal.

    Args:
        hardware: The device.
        chains: Number of its chains.
        name: What errors call it.

    Raises:
        NotConverters: If the model depends on the signal, or correlates the chains' distortion; it
            names the stage.
    """
    apart = name.endswith("user")
    found = _ratios(hardware, chains, apart)
    if found is not None:
        return found
    place, stage = _unlike_converters(hardware, chains, apart)
    raise NotConverters(
        name if place is None else f"{name}.stages[{place}]",
        f"must {AS_CONVERTERS}",
        stage,
        "Design for converters alone, or for ideal hardware, and judge through the real one.",
    )


def power_shares(hardware: Hardware, chains: int) -> FloatArray | None:
    """What share of its input's power each chain puts out, (chains,); None where it depends on the input."""
    R = unlike_covariances(chains)
    shares = hardware.linear_model(R).output_power(R) / chain_power(R)
    same = np.abs(shares[1] - shares[0]) <= SAME * shares[0]
    return np.asarray(shares[0]) if same.all() and (shares[0] > 0).all() else None


def even_gain(transmit: Hardware, scale: FloatArray) -> ComplexArray:
    """Gain of chains for 1 W, the same on each, from coordinates of a scale (N_t,) or (1, N_t), (N_t, N_t)."""
    antennas = scale.shape[-1]
    gain = transmit.linear_model(np.eye(antennas, dtype=complex) / antennas).gain_matrix()
    return np.asarray(gain * scale, complex)


def white_ratios(chains: Hardware, count: int) -> FloatArray:
    """Distortion of each chain over its signal, (count,), of those that add noise like converters, white in time; or 0.

    Two samples of each chain tell whether it is white.
    """
    if chains.is_ideal:
        return np.zeros(count)
    try:
        return distortion_ratios(chains.tiled(2), 2 * count, "chains")[1][:count]
    except NotConverters:
        return np.zeros(count)


def not_converters(transceiver: Transceiver, chains: Mapping[str, int]) -> str | None:
    """Nothing, or which stage keeps a solver from designing for a transceiver.

    Args:
        transceiver: The hardware.
        chains: Number of chains of each side: ``transmit``, ``receive``, ``user``.
    """
    for side, count in chains.items():
        hardware = getattr(transceiver, side)
        apart = side == "user"
        if _ratios(hardware, count, apart) is None:
            place, stage = _unlike_converters(hardware, count, apart)
            where = side if place is None else f"{side}.{place}"
            return f"designs for data converters, and {where} ({type(stage).__name__}) does not {AS_CONVERTERS}"
    return None


def _unlike_converters(hardware: Hardware, chains: int, apart: bool) -> tuple[int | None, Hardware]:
    """The first stage that is no converter, with its place; the whole, without one, where only the chain is none."""
    for place, stage in enumerate(hardware.stages if isinstance(hardware, Chain) else ()):
        if _ratios(stage, chains, apart) is None:
            return place, stage
    return None, hardware


@kept  # of every realisation that is designed for, twice: to see whether a solver takes it, and by the solver
def _ratios(hardware: Hardware, chains: int, apart: bool) -> tuple[ComplexArray, FloatArray] | None:
    """Gains and ratios where two covariances that differ in every respect agree on them.

    Chains that are ``apart``, as those of users are, do not mind how their distortion is correlated.
    """
    if not chains:
        return np.ones(0, complex), np.zeros(0)
    R = unlike_covariances(chains)
    model = hardware.linear_model(R)
    if model.coupled or not (model.diagonal or apart) or not np.all(model.gain):
        return None
    gain = np.broadcast_to(model.gain, (2, chains)).astype(complex)
    noise = model.distortion_power / chain_power(R) / squared(gain)
    same = np.abs(gain[1] - gain[0]) <= SAME * np.abs(gain[0])
    same &= np.abs(noise[1] - noise[0]) <= SAME
    if not same.all():
        return None
    for of_all in (found := (gain[0], noise[0])):
        of_all.flags.writeable = False
    return found
