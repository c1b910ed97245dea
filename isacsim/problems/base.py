"""What a design problem is: a frozen record that knows its merit and its constraints."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, TypeVar, cast

import attrs
import numpy as np
from attrs import frozen

from isacsim.batch import batch_shape
from isacsim.checks import fitting, numbers
from isacsim.drop import Drop
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Transceiver
from isacsim.link import Reception, Transmission
from isacsim.notebook import fields
from isacsim.typing import BoolArray, FloatArray


@frozen
class Variable:
    """One array of a decision.

    Attributes:
        shape: Its shape for one member.
        dtype: ``float`` or ``complex``.
        unit: Its unit.
    """

    shape: tuple[int, ...]
    dtype: type = complex
    unit: str = "1"


class Problem(ABC):
    """A design problem, or a batch of them over leading axes; a frozen record of `isacsim.api.batched` fields.

    A problem knows nothing of solvers. ``kind`` is the name that scenarios use and that a
    solver lists in its ``problems``; ``sense`` is 1 where the objective is maximised and -1
    where it is minimised. ``variants`` says which fields make other sets of constraints, or leave out
    a term of the objective, by name: some solvers take nothing else.

    What is decided is named arrays. Most problems decide on a precoder alone and say its
    ``streams``; one that decides on something else, a power allocation or the phases of a surface
    for example, overrides ``decision``, and `to_precoder` so that metrics can judge it.
    """

    kind: ClassVar[str]
    sense: ClassVar[int] = 1
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    transceiver: Transceiver = Transceiver()

    def _repr_html_(self) -> str:
        return fields(self)

    @property
    def convex_in_power(self) -> bool:
        """Whether the optimum is a convex function of the power, or of what is maximised a concave one.

        It is where the problem is a convex one in the covariances of the streams, with a relaxation that is tight.
        """
        return False

    @cached_property
    def members(self) -> int:
        """Number of members of the batch, over all leading axes."""
        return math.prod(batch_shape(self))

    @property
    def streams(self) -> int:
        """Number of precoder columns, K+S."""
        raise NotImplementedError(f"{type(self).__name__} must say its streams, or its decision")

    @cached_property
    def decision(self) -> dict[str, Variable]:
        """What is decided, by name: the precoder of shape (N_t, K+S), unless the problem says otherwise."""
        of: Any = self  # one that decides on a precoder has channels H
        return {"precoder": Variable((of.H.shape[-2], self.streams), complex, "sqrt(W)")}

    def to_precoder(self, decision: Mapping[str, Any]) -> Any:
        """The precoder W (..., N_t, K+S) that a decision makes, in sqrt(W): what metrics and experiments judge.

        Args:
            decision: Arrays ``(..., *shape)`` by name.

        Returns:
            The decision's own precoder by default; None where it has none.
        """
        return decision.get("precoder")

    def argument(self, decision: Mapping[str, Any]) -> Any:
        """What `objective` and `constraints` are asked with: a decision's one array, or all of several by name."""
        own = {name: decision[name] for name in self.decision}
        return own if len(own) > 1 else next(iter(own.values()))

    def objective(self, W: Any) -> FloatArray:
        """Merit of the precoder W (..., N_t, K+S), shape (...); of another decision, of its `argument`.

        A problem of precoders says its `merit`; one that decides on something else overrides this.
        """
        return self.merit(self.sent(W))

    def sent(self, W: Any) -> Transmission:
        """What the transmit chains designed for make of the precoder W (..., N_t, K+S), in sqrt(W).

        Raises:
            InvalidInput: If W is no precoder of this problem, or of another batch.
        """
        W = numbers("W", W, axes=2)
        antennas = self.decision["precoder"].shape[0]
        if W.shape[-2] != antennas or W.shape[-1] < 1:
            rule = f"must have a row for each of the {antennas} transmit antennas, and a column for each stream"
            raise InvalidInput("W", rule, f"shape {W.shape}", "W is (..., N_t, K+S).")
        if W.shape[:-2] != (batch := batch_shape(self)):
            with fitting("W, problems", W, np.broadcast_to(0.0, batch)):
                np.broadcast_shapes(W.shape[:-2], batch)
        return Transmission.of(W, self.transceiver.transmit)

    def merit(self, sent: Transmission) -> FloatArray:
        """The objective of what leaves the transmit chains designed for, shape (...)."""
        raise NotImplementedError(f"{type(self).__name__} must say its merit, or its objective")

    @abstractmethod
    def constraints(self, W: Any) -> dict[str, FloatArray]:
        """Relative slack of each constraint; a constraint holds where it is at least 0."""

    def screen(self) -> tuple[BoolArray, list[tuple[str, ...]]]:
        """Which members of a flat batch can have an answer, and notes on each member."""
        return np.ones(self.members, bool), [()] * self.members

    def hopeless(self) -> list[str]:
        """Why no precoder meets the requirements of a member of a flat batch, whatever the power; empty where one may.

        A solver is given the other members only, and finds out itself what takes more power than there is.
        """
        return [""] * self.members


P = TypeVar("P", bound=Problem)


class Requirements(ABC):
    """What a scenario's problem table says; `pose` adds the drop and the hardware.

    Attributes:
        wideband: Whether it is posed on a `isacsim.drop.WidebandDrop`, all subcarriers in one; another problem
            is posed on each subcarrier by itself.
        merit_unit: SI unit of the objective, which figures show.
        merit_title: What the objective is, in words for figures.
    """

    wideband: ClassVar[bool] = False
    merit_unit: ClassVar[str] = "1"
    merit_title: ClassVar[str] = "merit of the design's problem"

    @abstractmethod
    def pose(self, drop: Drop, transceiver: Transceiver) -> Problem:
        """The problem for a batch of realisations and the hardware believed in."""


def posed(problem: type[P], requirements: Requirements, drop: Drop, transceiver: Transceiver) -> P:
    """A problem whose fields are those of its table, and of the drop, by name.

    G is the response of the drop's targets, and ``receivers`` the number of its sensing receive chains.
    """
    values: dict[str, Any] = {"transceiver": transceiver}
    table: Any = type(requirements)
    own, needed = attrs.fields_dict(table), attrs.fields_dict(cast(Any, problem))
    for name in needed.keys() - {"transceiver"}:
        if name == "G":
            values[name] = drop.targets.response()
        elif name == "receivers":
            values[name] = drop.rx_array.size
        else:
            values[name] = getattr(requirements if name in own else drop, name)
    return problem(**values)


def spread_over_users(problem: Any, *names: str) -> None:
    """Give the fields ``names`` of a problem that is being made one entry a user, (..., K).

    Raises:
        InvalidInput: If a field has neither one entry nor K.
    """
    users = problem.H.shape[-1]
    for name in names:
        value = getattr(problem, name)
        if value.shape[-1:] == (users,):
            continue
        if value.shape[-1:] not in ((), (1,)):
            raise InvalidInput(
                name, f"must broadcast to (..., {users}), one entry a user", value.shape, "Match H's columns."
            )
        own = np.ascontiguousarray(np.broadcast_to(value, (*value.shape[:-1], users)))
        object.__setattr__(problem, name, own)


def sinr_and_power_slacks(problem: Any, least: FloatArray, sent: Transmission) -> tuple[FloatArray, FloatArray]:
    """Relative slacks of SQINRs of at least ``least`` (..., K), infinite where that is 0, and of the power (...)."""
    reached = Reception.of(problem.H, sent, problem.noise_power, problem.transceiver.user).sqinr
    asked = least > 0
    return np.where(asked, reached / np.where(asked, least, 1.0) - 1, np.inf), 1 - sent.power / problem.power


def one_or_each_user(name: str, value: Any, users: int | None = None) -> None:
    """Refuse a requirement that is neither one number nor one for each user (K,).

    Args:
        name: Its field.
        value: Its value.
        users: K, once a drop says it.

    Raises:
        InvalidInput: If it is not.
    """
    if value.ndim > 1:
        raise InvalidInput(name, "must be one number, or one for each user", value, "Give a list.")
    if users is not None and value.size not in (1, users):
        raise InvalidInput(name, f"must be one number, or one for each of {users} users", value, "Match users.count.")
