"""Problems in units that their solvers can count in, and the members whose numbers no unit makes countable.

What a user receives over its noise does not change when its channel is multiplied by c and its noise by c^2, nor
does an echo. So where a noise is far from 1 W both are divided by it, in powers of two: no digit of a mantissa
changes, and neither precoder nor objective does. In ordinary units a problem is left as it is.
"""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np

from isacsim.targets.scene import ParametricScene
from isacsim.typing import AnyArray, FloatArray, IntArray

FAR = 200  # binary orders of magnitude of a noise from 1 W on which it becomes the unit: 1e60
MOST = 500  # of a ratio of signal to noise: 1e150, whose square still is a number
POWER = 900  # of the power from 1 W: 1e270
LOUD = MOST - 2 * FAR - 10  # of the energy of a channel in ordinary units: ten for what is rounded up where it counts


def countable(problem: Any) -> tuple[Any, list[str]]:
    """A flat problem in units that its solvers can count in, and what of each member none can count with, if any."""
    if not problem.members or _ordinary(problem):
        return problem, [""] * problem.members
    scaled = in_noise_units(problem)
    return scaled, uncountable(scaled)


def in_noise_units(problem: Any) -> Any:
    """A flat problem with the same answers, whose noises that were far from 1 W are near it."""
    changes: dict[str, Any] = {}
    transceiver = problem.transceiver
    for channel, noise, side in (("H", "noise_power", "user"), ("G", "radar_noise_power", "receive")):
        if not (hasattr(problem, channel) and hasattr(problem, noise) and getattr(transceiver, side).scale_free):
            continue
        level = np.asarray(getattr(problem, noise))
        if level.min(initial=1.0) >= 2.0 ** -(FAR + 1) and level.max(initial=1.0) < 2.0**FAR:
            continue
        half = _half(level)
        rows = half[..., None, None]
        if channel == "H":  # (..., N_t, K), or with subcarriers before
            rows = half.reshape(len(half), *[1] * (problem.H.ndim - 2), -1)
        error = getattr(problem, "channel_error", None)
        if channel == "H" and error is not None and np.any(error):
            changes["channel_error"] = _shifted(error, -2 * half[..., None, None])
        changes |= {channel: _shifted(getattr(problem, channel), -rows), noise: np.ldexp(level, -2 * half)}
    return attrs.evolve(problem, **changes) if changes else problem


def _half(level: FloatArray) -> IntArray:
    """Half the binary order of magnitude of a noise, rounded; 0 in ordinary units."""
    order = np.frexp(level)[1]
    return np.where(np.abs(order) > FAR, order // 2, 0)


def _shifted(channel: AnyArray, by: IntArray) -> AnyArray:
    """A channel times 2^by."""
    return np.asarray(np.ldexp(channel.real, by) + 1j * np.ldexp(channel.imag, by))


def uncountable(problem: Any) -> list[str]:
    """Of each member of a flat batch, what of it no solver can count with; empty where there is nothing."""
    told, found = [""] * problem.members, {}
    power = _order(getattr(problem, "power", 1.0))
    found[f"the power is not within 2^-{POWER} and 2^{POWER} W"] = np.abs(power) > POWER
    if hasattr(problem, "H") and hasattr(problem, "noise_power"):
        strength = _strength(problem.H, tuple(range(1, problem.H.ndim - 1)))
        ratio = power[..., None] + 2 * strength - _order(problem.noise_power)
        found[f"the channel of a user is beyond 2^{MOST} times its noise"] = np.any(ratio > MOST, axis=-1)
    if hasattr(problem, "radar_noise_power") and (hasattr(problem, "G") or hasattr(problem, "targets")):
        ratio = power + 2 * _echo(problem) - _order(problem.radar_noise_power)
        found[f"the echo is beyond 2^{MOST} times the noise"] = ratio > MOST
    for why, members in found.items():
        for i in np.flatnonzero(np.broadcast_to(members, len(told))):
            told[i] = told[i] or f"{why}: out of the range that numbers can be counted with; choose other units"
    return told


def _ordinary(problem: Any) -> bool:
    """Whether the numbers of the whole batch are far from where other units help, or none do: few calls, mostly enough.

    The power and the noises are within 2^-FAR and 2^FAR, so that the limit is that of what is left of MOST.
    """
    watts = [getattr(problem, name) for name in ("power", "noise_power", "radar_noise_power") if hasattr(problem, name)]
    if watts:
        least, most = 2.0**-FAR, 2.0**FAR
        if not all(least < level < most for level in np.concatenate(watts, axis=None).tolist()):
            return False
    # At least the squares of the strongest entries, of which no digit may have been lost.
    energies = [np.vdot(problem.H, problem.H).real] if hasattr(problem, "H") else []
    if isinstance(scene := getattr(problem, "targets", None), ParametricScene):
        energies.append(_energy(scene))
    elif hasattr(problem, "G"):
        energies.append(np.vdot(problem.G, problem.G).real)
    return all(2.0**-POWER < energy < 2.0**LOUD for energy in energies)


def _energy(scene: ParametricScene) -> float:
    """At least the square of the strongest entry of ``C Y_i V^H`` of the whole batch: a product of norms."""
    kept = scene.worked_out
    if "energy" not in kept:
        factors = scene.yardsticks(), scene.transmit_basis(), scene.receive_basis()
        kept["energy"] = math.prod(float(np.vdot(each, each).real) for each in factors)
    energy: float = kept["energy"]
    return energy


def _echo(problem: Any) -> FloatArray:
    """Binary order of magnitude of a response, (B,): at least that of a scene with unknown parameters."""
    if hasattr(problem, "G"):
        return _strength(problem.G, (-2, -1))
    scene = problem.targets  # without the matrix of N_r x N_t
    inner = _strength(scene.yardsticks(), (-3, -2, -1))
    return inner + _strength(scene.transmit_basis(), (-2, -1)) + _strength(scene.receive_basis(), (-2, -1))


def _order(value: Any) -> FloatArray:
    """Binary orders of magnitude of numbers; -inf of zero."""
    value = np.asarray(value, float)
    return np.asarray(np.where(value > 0, np.frexp(value)[1], -np.inf))


def _strength(channel: AnyArray, axes: Any) -> FloatArray:
    """Binary order of magnitude of the largest entry over ``axes``; inf where one has overflowed."""
    size = np.maximum(np.abs(channel.real), np.abs(channel.imag)).max(axis=axes, initial=0.0)
    return np.asarray(np.where(np.isfinite(size), _order(size), np.inf))
