"""Test statistics for the presence of targets."""

from __future__ import annotations

import numpy as np
from attrs import frozen

from isacsim.batch import squared
from isacsim.typing import ComplexArray, FloatArray
from isacsim.waveform.base import Detector


@frozen
class EnergyDetector(Detector):
    """Energy behind the combiner, ``T = sum_l |u_l^H y_l|^2 / ||u_l||^2``.

    [Xu25, Fig. 2] uses an energy detector and does not print its statistic; this is the
    reading in which u_l is the combiner that attains the radar SQNR [Xu25, eq. (9)].
    """

    def statistic(self, y: ComplexArray, reference: ComplexArray, combiner: ComplexArray) -> FloatArray:
        """T of each decision, shape (...), in W; a sample with a zero combiner adds nothing."""
        norm = squared(combiner).sum(axis=-2)
        energy = squared((np.conj(combiner) * y).sum(axis=-2))
        return np.asarray(np.divide(energy, norm, out=np.zeros_like(energy), where=norm > 0).sum(axis=-1))
