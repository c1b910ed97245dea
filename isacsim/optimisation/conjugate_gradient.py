"""The memory of conjugate gradients: the last step.

With z = M^-1 g the direction is ``d = z - min(<z, y> / <s, y>, 0) s``, conjugate to the
last step s where y is the curvature times s (Hestenes-Stiefel, restarted along z where d would turn back).
"""

from __future__ import annotations

import attrs
import numpy as np
from attrs import frozen

from isacsim.batch import dot, rows
from isacsim.optimisation.riemannian import Memory, times
from isacsim.typing import BoolArray, ComplexArray, FloatArray

GROWTH = 1.5  # of what the next step promises, over what the last one did


@frozen(eq=False)
class LastStep(Memory):
    """The last step of B members, where its curvature was positive."""

    step: FloatArray = rows(1)  # s, (B, 2 n m)
    change: FloatArray = rows(1)  # y, likewise
    reciprocal: FloatArray = rows()  # 1 / <s, y>, (B,); 0 of an empty memory

    @classmethod
    def none(cls, W: ComplexArray) -> LastStep:
        """No step yet of coordinates W (B, n, m)."""
        nothing = np.zeros((len(W), 2 * W[0].size))
        return cls(nothing, nothing, np.zeros(len(W)))

    @property
    def empty(self) -> BoolArray:
        """Of which members no step is remembered, (B,)."""
        return self.reciprocal == 0

    def direction(self, gradient: FloatArray, preconditioner: ComplexArray) -> FloatArray:
        """The conjugate direction, as long that the full step promises a little more than the last one did."""
        z = times(preconditioner, gradient)
        turn = np.maximum(-dot(z, self.change) * self.reciprocal, 0.0)
        d = z + turn[:, None] * self.step
        length = GROWTH * dot(self.step, gradient + self.change) / dot(gradient, d)
        return np.where((self.empty | ~(length > 0))[:, None], d, length[:, None] * d)

    def push(self, step: FloatArray, change: FloatArray, preconditioner: ComplexArray) -> LastStep:
        """With a step in the place of the one before."""
        curvature = dot(step, change)
        sound = curvature > 0  # a member that found no step has none
        return LastStep(step, change, np.where(sound, 1 / np.where(sound, curvature, 1.0), 0.0))

    def forget(self, members: BoolArray) -> LastStep:
        """Without the steps of ``members``."""
        return attrs.evolve(self, reciprocal=np.where(members, 0.0, self.reciprocal))
