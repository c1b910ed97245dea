"""What a solver is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from attrs import field, frozen

from isacsim.errors import InvalidInput
from isacsim.solvers.iterate import TIME_LIMIT, Callback
from isacsim.solvers.solution import Solution
from isacsim.typing import ComplexArray


@frozen(eq=False)
class Request:
    """What a caller asks of a solve beside the problem.

    Attributes:
        initial: Precoders to start from, (B, N_t, K+S), in sqrt(W); None lets the solver choose.
        start: Name of the start to use; None is the solver's choice.
        rngs: One generator for each member, or None.
        callback: Called after each step.
        time_limit: Largest time, in s.
    """

    initial: ComplexArray | None = None
    start: str | None = None
    rngs: Sequence[np.random.Generator] | None = None
    callback: Callback | None = None
    time_limit: float | None = field(default=None, validator=TIME_LIMIT)


class Solver(ABC):
    """A frozen record of options with a `solve`; a plugin derives from it.

    Attributes:
        problems: Kinds of the problems it takes.
        hardware_aware: Whether it can design for hardware that is not ideal.
    """

    problems: ClassVar[tuple[str, ...]]
    hardware_aware: ClassVar[bool] = False

    @abstractmethod
    def solve(self, problem: Any, request: Request) -> Solution:
        """The solution of a problem with exactly one leading batch axis.

        Member i of a batch gets the bytes it would get alone.
        """


def refuse_starts(request: Request) -> None:
    """Refuse a start, which a solver that finds the global optimum has no use for.

    Raises:
        InvalidInput: If the caller gave one.
    """
    for name, key in (("initial", "initial"), ("start", "starts")):
        value = getattr(request, name)
        if value is not None:
            raise InvalidInput(
                key, "must not be given to a solver that finds the global optimum from any start", value,
                "Leave it out.",
            )  # fmt: skip
