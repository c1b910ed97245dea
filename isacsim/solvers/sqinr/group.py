"""Members that are solved together, with what is known of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.batch import rows
from isacsim.solvers.sqinr.least_power import ROUNDING
from isacsim.typing import BoolArray, FloatArray, IntArray


@frozen(eq=False)
class Feasibility:
    """What the SQINRs of B members need."""

    #: P_min, or a lower bound on it above the power that is there, (B,); infinite where no power suffices
    power: FloatArray = rows()
    multipliers: FloatArray = rows(1)  #: Multipliers lambda of the users, (B, K)
    reached: FloatArray = rows(1)  #: The largest SQINR each user can have alone with this power, (B, K)
    ever: FloatArray = rows(1)  #: The same with power without end, (B, K)

    def exceeds(self, limit: float) -> BoolArray:
        """Which members have no answer with a power of ``limit``, proven, (B,)."""
        return np.asarray(self.power > limit * (1 + ROUNDING))


@frozen(eq=False)
class Group:
    """B members of a flat batch in normalised units."""

    system: Any = field()  #: Their constraints and objective, a `isacsim.solvers.sqinr.system.System` for example
    places: IntArray = rows()  #: Their places in the whole batch, (B,); callbacks are told these
    columns: IntArray = rows(1)  #: Columns of the users with a least SQINR, K of them, in the precoder, (B, K)
    #: What their SQINRs need; None before that is asked, which no solver sees
    feasible: Feasibility = field(default=None)
