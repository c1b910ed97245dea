"""Scenes by the arrays that they are made of, with no more receive antennas than their echo spans.

The echo and all its derivatives lie in the span of the receive basis C. A receiver of white noise loses nothing
by the projection onto an orthonormal basis B of it: ``B^H G`` and ``B^H C`` tell of the unknowns what G and C do,
with as many antennas as C has columns. Whoever evaluates a merit many times does so with fewer antennas.
"""

from __future__ import annotations

import numpy as np
from attrs import field, frozen

from isacsim.batch import frobenius2, hermitian, rows
from isacsim.targets.scene import ParametricScene
from isacsim.typing import ComplexArray

OUTSIDE = 1e-10  # relative, what rounding leaves of an echo outside of the span


@frozen(eq=False)
class Condensed(ParametricScene):
    """A scene seen through the projection, as arrays.

    Attributes:
        unknowns: Kind of each unknown.
        G: Response, (B, m', N_t).
        V: Transmit basis, (B, N_t, m).
        C: Receive basis, (B, m', m').
        X: The matrices X_i, (B, P, m', m).
        Y: Their yardsticks, of the same shape.
    """

    unknowns: tuple[str, ...] = field()
    G: ComplexArray = rows(2)
    V: ComplexArray = rows(2)
    C: ComplexArray = rows(2)
    X: ComplexArray = rows(3)
    Y: ComplexArray = rows(3)

    @classmethod
    def of(cls, scene: ParametricScene) -> ParametricScene:
        """That of a scene; the scene itself where it has antennas no more than needed, or its echo leaves the span."""
        G, C = scene.response(), scene.receive_basis()
        if C.shape[-1] >= C.shape[-2]:
            return scene
        basis = np.ascontiguousarray(np.linalg.qr(C)[0])
        projected = hermitian(basis) @ G
        if np.any(frobenius2(G - basis @ projected) > OUTSIDE**2 * frobenius2(G)):
            return scene
        V, X, Y = scene.transmit_basis(), scene.parameter_matrices(), scene.yardsticks()
        return cls(scene.unknowns, projected, V, hermitian(basis) @ C, X, Y)

    def response(self) -> ComplexArray:
        """The projected response."""
        return self.G

    def transmit_basis(self) -> ComplexArray:
        """V."""
        return self.V

    def receive_basis(self) -> ComplexArray:
        """The projected C."""
        return self.C

    def parameter_matrices(self) -> ComplexArray:
        """X_i."""
        return self.X

    def yardsticks(self) -> ComplexArray:
        """Y_i."""
        return self.Y
