"""Waveform experiments: samples in, measured quantities out, through the very hardware.

Metrics judge a precoder by the second-order model of the hardware; an experiment sends
samples through `Hardware.apply` and measures. Both record quantities the same way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from isacsim.batch import flatten, take
from isacsim.drop import Drop
from isacsim.hardware.base import Transceiver
from isacsim.metrics.components import Measure
from isacsim.typing import ComplexArray, FloatArray
from isacsim.waveform.echoes import EchoModel


class Experiment(Measure):
    """A measure that simulates samples, one trial at a time; a plugin derives from it."""

    @abstractmethod
    def trial(
        self, W: ComplexArray, drop: Drop, transceiver: Transceiver, rng: np.random.Generator
    ) -> dict[str, FloatArray]:
        """Values by quantity of one trial, each with a leading axis of length 1.

        Args:
            W: Its precoder, shape (1, N_t, K+S), in sqrt(W).
            drop: Its realisation, every array with a leading axis of length 1.
            transceiver: The hardware the samples pass.
            rng: Its generator.
        """

    def measure(
        self, W: ComplexArray, drop: Drop, transceiver: Transceiver, rngs: Sequence[np.random.Generator]
    ) -> dict[str, FloatArray]:
        """`trial` by trial, which bounds the memory."""
        drops = flatten(drop, (len(rngs),))
        members = [np.array([i]) for i in range(len(rngs))]
        rows = [self.trial(W[i], take(drops, i), transceiver, rng) for i, rng in zip(members, rngs, strict=True)]
        return {q.name: np.concatenate([row[q.name] for row in rows]) for q in self.quantities}


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
