"""Members that are solved together, and whether their SQINRs can be met at all: the least power that they take."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.batch import rows
from isacsim.solvers.sqinr.least_power import LeastPower
from isacsim.typing import IntArray


@frozen(eq=False)
class Group:
    """B members of a flat batch in normalised units."""

    system: Any = field()  #: Their constraints and objective, a `isacsim.solvers.sqinr.system.System` for example
    places: IntArray = rows()  #: Their places in the whole batch, (B,); callbacks are told these
    columns: IntArray = rows(1)  #: Columns of the users with a least SQINR, K of them, in the precoder, (B, K)
    feasible: LeastPower = field()  #: What their SQINRs need


def certificate(group: Group, rule: str = "SQINR") -> tuple[float, str]:
    """The least power in W, and in words why the SQINRs of a group of one member are out of reach."""
    system, feasible, users = group.system, group.feasible, group.columns[0]
    least, unit = float(feasible.power[0]), float(system.unit[0])
    for user, asked, ever in zip(users, system.threshold[0], system.attainable(noise=0.0)[0], strict=True):
        if asked >= ever:
            why = f"through these converters it stays below {ever:.6g} at any power" if ever else "its channel is zero"
            return least, f"infeasible: the {rule} {asked:.6g} of user {user} is unattainable: {why}"
    if np.isinf(least):
        return least, f"infeasible: no power meets the {rule}s together"
    watts, there = least * unit, system.limit * unit
    note = f"infeasible: the {rule}s need at least {watts:.9g} W, and the power is {there:.9g} W"
    for user, asked, reached in zip(users, system.threshold[0], system.attainable()[0], strict=True):
        if asked > reached:
            note += f"; user {user} alone reaches {reached:.6g} of the {asked:.6g} asked"
    return watts, note
