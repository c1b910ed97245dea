"""Can the SQINRs be met at all? What each user can reach alone, and the least power for all.

What a user alone can reach is `isacsim.metrics.attainable`; without end of power behind an ideal
transmitter it stays below 1 / e of its receiver.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen

from isacsim.batch import rows, squared, take
from isacsim.metrics.attainable import attained_alone
from isacsim.solvers.linear import solved
from isacsim.solvers.sqinr.least_power import directions, least_power
from isacsim.solvers.sqinr.system import System
from isacsim.typing import ComplexArray, FloatArray


@frozen(eq=False)
class Feasibility:
    """What the SQINRs of B members need.

    Attributes:
        power: P_min in units of the power that is there, or a lower bound on it above 1, (B,);
            infinite where no power suffices.
        multipliers: Multipliers lambda of the users, (B, K).
        reached: The largest SQINR each user can have alone with this power, (B, K).
        ever: The same with power without end, (B, K).
    """

    power: Any = rows()
    multipliers: Any = rows(1)
    reached: Any = rows(1)
    ever: Any = rows(1)


def feasibility(system: System) -> Feasibility:
    """Least power and what each user can reach alone."""
    members = len(system.ratio)
    power, multipliers = np.zeros(members), np.zeros(system.ratio.shape)
    reached, ever = attainable(system)
    hopeless = (system.threshold >= ever).any(axis=-1)
    power[hopeless] = np.inf
    left = ~hopeless
    if left.any() and system.users:
        least = least_power(take(system, left))
        power[left], multipliers[left] = least.power, least.multipliers
    return Feasibility(power, multipliers, reached, ever)


def attainable(system: System) -> tuple[FloatArray, FloatArray]:
    """The largest SQINR of each user alone, with this power and with power without end, (B, K)."""
    gains = squared(system.H)
    reached, ever = (attained_alone(gains, noise, system.transmit, system.receiver) for noise in (1.0, 0.0))
    return reached, ever


def least_power_beams(system: System, multipliers: FloatArray) -> ComplexArray:
    """The beams that meet every SQINR with the least power, (B, N, K)."""
    U = directions(system, multipliers)
    U = U / np.sqrt(np.ascontiguousarray(squared(U).swapaxes(-1, -2)).sum(axis=-1))[:, None, :]
    k = np.arange(system.users)
    received = squared(system.HH @ U)
    matrix = -received - np.swapaxes(system.spread, -1, -2) @ squared(U)
    matrix[:, k, k] += system.ratio * received[:, k, k]
    powers = solved(matrix, np.ones(system.ratio.shape))
    return np.asarray(U * np.sqrt(np.maximum(powers, 0.0))[:, None, :], complex)


def certificate(system: System, found: Feasibility, member: int, who: Any) -> tuple[float, str]:
    """P_min in W, and in words why the SQINRs of a member are out of reach."""
    there = float(system.power[member])
    watts = float(found.power[member]) * there
    for user, asked, ever in zip(who, system.threshold[member], found.ever[member], strict=True):
        if asked >= ever:
            why = f"through these converters it stays below {ever:.6g} at any power" if ever else "its channel is zero"
            return watts, f"infeasible: the SQINR {asked:.6g} of user {user} is unattainable: {why}"
    if np.isinf(watts):
        return watts, "infeasible: no power meets the SQINRs together"
    note = f"infeasible: the SQINRs need at least {watts:.9g} W, and the power is {there:.9g} W"
    for user, asked, reached in zip(who, system.threshold[member], found.reached[member], strict=True):
        if asked > reached:
            note += f"; user {user} alone reaches {reached:.6g} of the {asked:.6g} asked"
    return watts, note
