"""What the solvers of `SqnrMax` maximise, the radar SQNR.

It is a function of ``R = V V^H`` in normalised units,
``f = tr(Q^-1 G R G^H)`` [Xu25, eq. (9)] with, for the ratios e of the transmit and eps of the
receive chains (`isacsim.solvers.sqinr.converters`)::

    Q = G diag(e R_ii) G^H + diag(1 + eps Ry),  Ry = diag(G R G^H) + |G|^2 (e R_ii) + 1

At an anchor it has the surrogate ``2 Re tr(C^H V) - tr(V^H M V) - c0``, which touches f there
and is nowhere above it [Xu25, eq. (18)].
"""

from __future__ import annotations

import numpy as np
from attrs import frozen

from isacsim.batch import each, hermitian, inner, rows, squared, take, tuples
from isacsim.linalg.stacked import inverse, solutions
from isacsim.problems.sqnr_max import SqnrMax
from isacsim.solvers.sqinr.converters import distortion_ratios
from isacsim.solvers.sqinr.group import Group
from isacsim.solvers.sqinr.objective import TINY, Proof
from isacsim.solvers.sqinr.system import groups
from isacsim.solvers.sqnr_max.echo import Response, responses
from isacsim.solvers.sqnr_max.target import PointResponse, point_response
from isacsim.typing import ComplexArray, FloatArray, IntArray


@frozen(eq=False)
class Surrogate:
    """The SQNR at an anchor, and the surrogate that touches it there."""

    value: FloatArray = rows()  #: f, (B,)
    gradient: ComplexArray = rows(2)  #: df/dR, which is that of the surrogate too, Hermitian, (B, N, N)
    C: ComplexArray = rows(2)  #: Linear term, (B, N, L)
    M: ComplexArray = rows(2)  #: Quadratic term, positive semidefinite, (B, N, N)


@frozen(eq=False)
class Sqnr:
    """The radar SQNR of B members.

    Attributes:
        G: Target response in normalised units, (B, N_r, N).
        transmit: e, (B, N).
        receive: eps, (B, N_r).
        target: The same as point targets, and which of them are.
    """

    G: ComplexArray = rows(2)
    transmit: FloatArray = rows(1)
    receive: FloatArray = rows(1)
    target: PointResponse = tuples()

    def surrogate(self, V: ComplexArray) -> Surrogate:
        """Value and surrogate at the anchor V, (B, N, L)."""
        GH, i, GV = hermitian(self.G), np.arange(self.G.shape[-1]), self.G @ V
        Q_inverse = inverse(self._noise(GH, squared(V).sum(axis=-1), GV))
        Y = Q_inverse @ GV
        C = GH @ Y
        M = (GH * (self.receive * squared(Y).sum(axis=-1))[:, None, :]) @ self.G
        M[:, i, i] += self.transmit * (squared(C).sum(axis=-1) + M[:, i, i].real)
        return Surrogate(inner(GV, Y), GH @ (Q_inverse @ self.G) - M, C, M)

    def first_order(self, V: ComplexArray) -> tuple[FloatArray, ComplexArray]:
        """Values f, (B,), and df/dR, Hermitian, (B, N, N), at V (B, N, L)."""
        surrogate = self.surrogate(V)
        return surrogate.value, surrogate.gradient

    def value(self, V: ComplexArray) -> FloatArray:
        """F at V (B, N, L), (B,)."""
        value, points = np.empty(len(V)), self.target.there
        if points.any():
            value[points] = take(self.target, points).sqnr(V[points])
        if not points.all():
            here, V = take(self, ~points), V[~points]
            GV = here.G @ V
            value[~points] = inner(GV, solutions(here._noise(hermitian(here.G), squared(V).sum(axis=-1), GV), GV))
        return value

    def _noise(self, GH: ComplexArray, chain: FloatArray, GV: ComplexArray) -> ComplexArray:
        """Q, of R_ii (B, N) and ``G V`` (B, N_r, L), (B, N_r, N_r)."""
        j, spread = np.arange(self.G.shape[-2]), self.transmit * chain
        received = squared(GV).sum(axis=-1) + (squared(self.G) @ spread[..., None])[..., 0]
        Q = (self.G * spread[:, None, :]) @ GH
        Q[:, j, j] += 1 + self.receive * (received + 1)
        return np.asarray(Q)

    def responses(self) -> list[tuple[IntArray, Response]]:
        """The same in factors where the rank is low, by rank, with the places of the members."""
        return responses(self.G, self.transmit, self.receive)

    def size(self, value: FloatArray) -> FloatArray:
        """What errors of values of f are relative to, (B,)."""
        return np.maximum(value, TINY)

    def proof(self) -> Proof:
        """Where first order proves a global optimum: for ideal converters, and where f is a ratio."""
        linear = (self.transmit == 0).all(axis=-1) & (self.receive == 0).all(axis=-1)
        return Proof(linear, self.target.affine, self.target.a, self.target.gains.sum(axis=-1))


def sqnr_groups(problem: SqnrMax) -> list[Group]:
    """The members of a flat batch, by number of asked users.

    Raises:
        InvalidInput: For hardware that is none of `isacsim.solvers.sqinr.converters`.
    """
    members, receivers = len(problem.H), problem.G.shape[-2]
    _, receive = distortion_ratios(problem.transceiver.receive, receivers, "transceiver.receive")

    def objective(at: IntArray, lengths: FloatArray, transmit: FloatArray) -> Sqnr:
        noise, G = each(problem.radar_noise_power, members)[at], each(problem.G, members)[at]
        eps = receive[None].repeat(at.size, axis=0)
        return Sqnr(G, transmit, eps, point_response(G, lengths, noise, transmit, eps))

    return groups(problem, problem.min_sqinr, objective)
