"""What a design problem is: a frozen record that knows its merit and its constraints."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from isacsim.batch import batch_shape, squared
from isacsim.drop import Drop
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Transceiver
from isacsim.link import Reception, Transmission
from isacsim.typing import BoolArray, FloatArray


class Problem(ABC):
    """A beamforming design problem, or a batch of them over leading axes.

    A problem knows nothing of solvers. ``kind`` is the name that scenarios use and that a
    solver lists in its ``problems``; ``sense`` is 1 where the objective is maximised and -1
    where it is minimised. ``variants`` says which fields make other sets of constraints, by name.
    """

    kind: ClassVar[str]
    sense: ClassVar[int] = 1
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    H: Any
    transceiver: Transceiver

    @property
    def members(self) -> int:
        """Number of members of the batch, over all leading axes."""
        return math.prod(batch_shape(self))

    @property
    @abstractmethod
    def streams(self) -> int:
        """Number of precoder columns, K+S."""

    @abstractmethod
    def objective(self, W: Any) -> FloatArray:
        """Merit of the precoder W (..., N_t, K+S), shape (...)."""

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


class Requirements(ABC):
    """What a scenario's problem table says; `pose` adds the drop and the hardware."""

    @abstractmethod
    def pose(self, drop: Drop, transceiver: Transceiver) -> Problem:
        """The problem for a batch of realisations and the hardware believed in."""


def spread_over_users(problem: Problem, *names: str) -> None:
    """Give the fields ``names`` of a problem that is being made one entry a user, (..., K).

    Raises:
        InvalidInput: If a field has neither one entry nor K.
    """
    users = problem.H.shape[-1]
    for name in names:
        value = np.atleast_1d(getattr(problem, name))
        if value.shape[-1] not in (1, users):
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


def silent_users(problem: Any, least: FloatArray, name: str) -> list[str]:
    """Of each member of a flat batch, that a user of whom ``least`` (..., K) is asked has a channel of zeros."""
    power = np.ascontiguousarray(squared(problem.H).swapaxes(-1, -2)).sum(axis=-1)  # zero too where it underflows
    asked = np.broadcast_to(least, power.shape)
    lost = np.broadcast_to((power == 0) & (asked > 0), (problem.members, power.shape[-1]))
    notes = [""] * problem.members
    for i in np.flatnonzero(lost.any(axis=-1)):
        user = int(lost[i].argmax())
        value = np.broadcast_to(asked, lost.shape)[i, user]
        notes[i] = f"infeasible: the {name} {value:.6g} of user {user} is unattainable: its channel is zero"
    return notes


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
