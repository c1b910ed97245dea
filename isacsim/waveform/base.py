"""Waveform experiments: samples in, measured quantities out, through the very hardware.

Metrics judge a precoder by the second-order model of the hardware; an experiment sends
samples through `Hardware.apply` and measures. Both record quantities the same way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from isacsim.errors import InvalidInput
from isacsim.link import Link, WidebandLink
from isacsim.metrics.components import Measure, Quantity
from isacsim.typing import ComplexArray, FloatArray
from isacsim.waveform.echoes import EchoModel


class Experiment(Measure):
    """A measure that simulates samples, one trial at a time; a plugin derives from it."""

    def check(self, link: Link) -> None:
        """Refuse a link of the other kind, with a grid or without.

        Raises:
            InvalidInput: It names the experiment.
        """
        self._require_kind(link)

    def _require_kind(self, link: Link) -> None:
        if self.wideband not in (None, isinstance(link, WidebandLink)):
            rule, remedy = "must be one of a narrowband signal", "Leave base_station.grid out."
            if self.wideband:
                rule, remedy = "must be one of an OFDM signal", "Add base_station.grid."
            raise InvalidInput("experiments", rule, type(self).__name__, remedy)

    @abstractmethod
    def trial(self, link: Link, rng: np.random.Generator) -> dict[str, Any]:
        """Values by quantity of one trial.

        A value is a number, or an array with the axes that its quantity declares; a leading
        axis of length 1, which `isacsim` functions keep, may stand before them.

        Args:
            link: Its precoder ``link.W``, shape (1, N_t, K+S), in sqrt(W), its realisation
                ``link.drop``, every array with a leading axis of length 1, the hardware
                ``link.transceiver`` that samples pass, and what its linear model predicts.
            rng: Its generator.
        """

    def measure(self, link: Link, rngs: Sequence[np.random.Generator]) -> dict[str, FloatArray]:
        """`trial` by trial, which bounds the memory."""
        self._require_kind(link)
        rows = [self.trial(one, rng) for one, rng in zip(link.members(), rngs, strict=True)]
        return {q.name: np.concatenate([self._one(q, row) for row in rows]) for q in self.quantities}

    def _one(self, q: Quantity, row: dict[str, Any]) -> FloatArray:
        """The value of a quantity in one trial, with a leading axis of length 1."""
        if not isinstance(row, Mapping) or q.name not in row:
            remedy = "Return every quantity that is declared, and declare every one that is recorded."
            raise InvalidInput(
                type(self).__name__,
                f"must return {q.name!r} from trial",
                list(row) if isinstance(row, Mapping) else row,
                remedy,
            )
        value = np.asarray(row[q.name])
        value = value.astype(float) if value.dtype.kind in "biu" else value
        value = value if value.ndim > len(q.dims) else value[None]
        if value.ndim != len(q.dims) + 1 or len(value) != 1:
            rule = f"must return {q.name!r} with the axes {q.dims} of one trial"
            remedy = "Only an axis of length 1 may stand before them."
            raise InvalidInput(type(self).__name__, rule, f"shape {value.shape}", remedy)
        return value


class Detector(ABC):
    """A test statistic for the presence of targets; a plugin derives from it."""

    @abstractmethod
    def statistic(self, y: ComplexArray, symbols: ComplexArray, echo: EchoModel, snapshots: int = 1) -> FloatArray:
        """The statistic of each decision, larger where a target is more likely.

        Args:
            y: Samples out of the receive chains, decision behind decision, shape
                (..., N_r, decisions L), in sqrt(W).
            symbols: Symbols s sent meanwhile, shape (..., K+S, decisions L).
            echo: What the receiver knows of the echo.
            snapshots: Samples L of a decision.

        Returns:
            Shape (..., decisions).
        """
