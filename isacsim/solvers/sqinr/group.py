"""Members that are solved together, with what is known of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.batch import rows
from isacsim.solvers.sqinr.least_power import ROUNDING
from isacsim.typing import BoolArray


@frozen(eq=False)
class Feasibility:
    """What the SQINRs of B members need.

    Attributes:
        power: P_min, or a lower bound on it above the power that is there, (B,); infinite where
            no power suffices.
        multipliers: Multipliers lambda of the users, (B, K).
        reached: The largest SQINR each user can have alone with this power, (B, K).
        ever: The same with power without end, (B, K).
    """

    power: Any = rows()
    multipliers: Any = rows(1)
    reached: Any = rows(1)
    ever: Any = rows(1)

    def exceeds(self, limit: float) -> BoolArray:
        """Which members have no answer with a power of ``limit``, proven, (B,)."""
        return np.asarray(self.power > limit * (1 + ROUNDING))


@frozen(eq=False)
class Group:
    """B members of a flat batch in normalised units.

    Attributes:
        system: Their constraints and objective, a `isacsim.solvers.sqinr.system.System` for example.
        places: Their places in the whole batch, (B,); callbacks are told these.
        columns: Columns of the users with a least SQINR, K of them, in the precoder, (B, K).
        feasible: What their SQINRs need; None before that is asked.
    """

    system: Any = field()
    places: Any = rows()
    columns: Any = rows(1)
    feasible: Feasibility = field(default=None)  # no solver sees None
