"""Waveform experiments: samples in, measured quantities out, through the very hardware.

Metrics judge a precoder by the second-order model of the hardware; an experiment sends
samples through `Hardware.apply` and measures. Both record quantities the same way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from isacsim.metrics.components import Measure
from isacsim.typing import ComplexArray, FloatArray


class Experiment(Measure):
    """A measure that simulates samples; a plugin derives from it."""


class Detector(ABC):
    """A test statistic for the presence of targets; a plugin derives from it."""

    @abstractmethod
    def statistic(self, y: ComplexArray, reference: ComplexArray) -> FloatArray:
        """The statistic of each decision, larger where a target is more likely.

        Args:
            y: Received samples, shape (..., N_r, L).
            reference: What they would be without noise and distortion if a target were
                there, shape (..., N_r, L).

        Returns:
            Shape (...).
        """
