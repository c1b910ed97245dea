"""What a solver is."""

from __future__ import annotations

import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any, ClassVar

import numpy as np
from attrs import field, frozen

from isacsim.errors import InvalidInput
from isacsim.hardware.places import first_stage
from isacsim.solvers.iterate import TIME_LIMIT, Callback
from isacsim.solvers.solution import Solution


def _time_limit(request: Any, attribute: Any, value: Any) -> None:
    if value is not None:
        TIME_LIMIT(request, attribute.evolve(name="time_limit"), value)


@frozen(eq=False)
class Request:
    """What a caller asks of a solve beside the problem.

    Attributes:
        initial: Precoders to start from, (B, N_t, K+S), in sqrt(W); of a problem that decides on something else
            its array, or a dict of them; None lets the solver choose.
        start: Name of the start to use; None is the solver's choice.
        rngs: One generator for each member, or None.
        callback: Called after each step.
        time_limit: Largest time of all that is done for it, in s; read, what is left of that, so that stages
            and starts one after another share it.
        begun: The moment from which its time counts, of ``time.perf_counter``.
    """

    initial: Any = None
    start: str | None = None
    rngs: Sequence[np.random.Generator] | None = None
    callback: Callback | None = None
    _most: float | None = field(default=None, validator=_time_limit, alias="time_limit")
    begun: float = field(factory=time.perf_counter, kw_only=True)

    @property
    def time_limit(self) -> float | None:
        """What is left of the time, in s; where nothing is left some tiny time, and None where there is no limit."""
        if self._most is None:
            return None
        return max(self._most - (time.perf_counter() - self.begun), np.finfo(float).tiny)

    @property
    def late(self) -> bool:
        """Whether no time is left."""
        return self._most is not None and time.perf_counter() - self.begun > self._most


class Solver(ABC):
    """A frozen record of options with a `solve`; a plugin derives from it.

    Attributes:
        problems: Kinds of the problems it takes.
        guarantee: What an answer is known to be, in a few words, ``global, certified`` for
            example; `isacsim list solvers` shows it. Empty where nothing is promised.
        heuristic: Whether requirements may be missed: its solutions have the status ``HEURISTIC``, and no
            error recommends it where another solver is looked for.
        extra: What has to be installed beside its distribution, as pip is told, ``isacsim[convex]`` for
            example; empty where nothing has.
        modules: What it imports from there; where one is missing it takes no problem.
    """

    problems: ClassVar[tuple[str, ...]]
    guarantee: ClassVar[str] = ""
    heuristic: ClassVar[bool] = False
    extra: ClassVar[str] = ""
    modules: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # A class with slots is made twice, the second time with the marks of attrs.
        if "hardware_aware" in cls.__dict__ and "__attrs_attrs__" not in cls.__dict__:
            warnings.warn(
                f"{cls.__qualname__}.hardware_aware: the next release does not read it any more; "
                "override `takes`, which answers with nothing or with a sentence why not.",
                DeprecationWarning,
                stacklevel=2,
            )

    @abstractmethod
    def solve(self, problem: Any, request: Request) -> Solution:
        """The solution of a problem with exactly one leading batch axis.

        Member i of a batch gets the bytes it would get alone. Several threads may ask at once, each for members
        of its own.
        """

    def takes(self, problem: Any) -> str | None:
        """Nothing, or a sentence why it does not take a problem.

        The sentence goes on behind "it": what it cannot do, and of hardware which stage, named as
        in a scenario: ``transmit.1`` is the second stage of the transmit chain. It asks for what
        holds for all members alike: the kind, the hardware, the constraints, the number of users;
        what is odd about the data of one member is for its status.

        This default takes the kinds it lists on ideal hardware. An override begins with
        `other_kind`.
        """
        if getattr(self, "hardware_aware", False):  # how solvers of the first release said it
            return other_kind(self, problem)
        return other_kind(self, problem) or not_ideal(problem) or not_known(problem)


def refusal(solver: Solver, problem: Any) -> str | None:
    """Nothing, or a sentence why a solver does not take a problem here: what it needs may not be installed."""
    missing = [name for name in getattr(solver, "modules", ()) if not _installed(name)]
    if missing:
        return f"needs {', '.join(missing)}, which is not installed: pip install '{solver.extra}'"
    return solver.takes(problem)


@cache
def _installed(module: str) -> bool:
    return find_spec(module) is not None


def other_kind(solver: Solver, problem: Any) -> str | None:
    """Nothing, or that a solver does not list the kind of a problem."""
    listed = getattr(solver, "problems", ())
    return None if problem.kind in listed else f"takes {', '.join(listed)}, not {problem.kind}"


def not_ideal(problem: Any) -> str | None:
    """Nothing, or which stage of the hardware designed for is not ideal."""
    if (transceiver := getattr(problem, "transceiver", None)) is None:
        return None
    place = first_stage(transceiver, lambda stage: not stage.is_ideal)
    return place and f"designs for ideal hardware only, and {place} is not"


def not_differentiable(problem: Any) -> str | None:
    """Nothing, or which stage of the hardware designed for has no derivative, or couples what must be kept apart."""
    if problem.transceiver.is_ideal:
        return None
    if place := first_stage(problem.transceiver, lambda stage: not stage.differentiable):
        return f"needs the derivative of hardware, and {place} gives none"
    transmit, antennas = problem.transceiver.transmit, problem.H.shape[-2]
    if getattr(problem, "per_antenna", False) and transmit.linear_model(np.eye(antennas, dtype=complex)).coupled:
        return "keeps each antenna's own power only where the transmit chains are not coupled"
    return None


def not_known(problem: Any) -> str | None:
    """Nothing, or that the channels designed for have an error."""
    known = not np.count_nonzero(getattr(problem, "channel_error", 0.0))
    return None if known else "designs for known channels only, not for `channel_error`"


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
