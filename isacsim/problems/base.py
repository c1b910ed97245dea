"""What a design problem is: a frozen record that knows its merit and its constraints."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from isacsim.drop import Drop
from isacsim.hardware.base import Transceiver
from isacsim.typing import BoolArray, FloatArray


class Problem(ABC):
    """A beamforming design problem, or a batch of them over leading axes.

    A problem knows nothing of solvers. ``kind`` is the name that scenarios use and that a
    solver lists in its ``problems``; ``sense`` is 1 where the objective is maximised and -1
    where it is minimised.
    """

    kind: ClassVar[str]
    sense: ClassVar[int] = 1
    H: Any
    transceiver: Transceiver

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
        import numpy as np

        members = self.H.shape[0]
        return np.ones(members, bool), [()] * members


class Requirements(ABC):
    """What a scenario's problem table says; `pose` adds the drop and the hardware."""

    @abstractmethod
    def pose(self, drop: Drop, transceiver: Transceiver) -> Problem:
        """The problem for a batch of realisations and the hardware believed in."""
