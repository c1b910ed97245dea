"""Can the SQINRs be met at all? What each user can reach alone, and the least power for all."""

from __future__ import annotations

from typing import Any

import numpy as np

from isacsim.batch import squared, take
from isacsim.solvers.linear import solved
from isacsim.solvers.sqinr.group import Feasibility, Group
from isacsim.solvers.sqinr.least_power import directions, least_power
from isacsim.solvers.sqinr.system import System
from isacsim.typing import ComplexArray, FloatArray


def feasibility(system: Any) -> Feasibility:
    """Least power and what each user can reach alone.

    Args:
        system: `isacsim.solvers.sqinr.least_power.Links` that know also the SQINRs ``threshold`` (B, K)
            and what is `attainable`, the `isacsim.solvers.sqinr.system.System` for example.
    """
    reached, ever = system.attainable()
    power, multipliers = np.zeros(len(reached)), np.zeros(reached.shape)
    hopeless = (system.threshold >= ever).any(axis=-1)
    power[hopeless] = np.inf
    left = ~hopeless
    if left.any() and system.users:
        least = least_power(take(system, left))
        power[left], multipliers[left] = least.power, least.multipliers
    return Feasibility(power, multipliers, reached, ever)


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


def certificate(group: Group, rule: str = "SQINR") -> tuple[float, str]:
    """The least power in W, and in words why the SQINRs of a group of one member are out of reach."""
    system, feasible, users = group.system, group.feasible, group.columns[0]
    least, unit = float(feasible.power[0]), float(system.unit[0])
    for user, asked, ever in zip(users, system.threshold[0], feasible.ever[0], strict=True):
        if asked >= ever:
            why = f"through these converters it stays below {ever:.6g} at any power" if ever else "its channel is zero"
            return least, f"infeasible: the {rule} {asked:.6g} of user {user} is unattainable: {why}"
    if np.isinf(least):
        return least, f"infeasible: no power meets the {rule}s together"
    watts, there = least * unit, system.limit * unit
    note = f"infeasible: the {rule}s need at least {watts:.9g} W, and the power is {there:.9g} W"
    for user, asked, reached in zip(users, system.threshold[0], feasible.reached[0], strict=True):
        if asked > reached:
            note += f"; user {user} alone reaches {reached:.6g} of the {asked:.6g} asked"
    return watts, note
