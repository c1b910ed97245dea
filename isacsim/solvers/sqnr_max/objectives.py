"""What the solvers of `SqnrMax` maximise, the radar SQNR.

It is a function of ``R = V V^H`` in normalised units,
``f = tr(Q^-1 G R G^H)`` [Xu25, eq. (9)] with, for the ratios e of the transmit and eps of the
receive chains (`isacsim.hardware.converters`)::

    Q = G diag(e R_ii) G^H + diag(1 + eps Ry),  Ry = diag(G R G^H) + |G|^2 (e R_ii) + 1

At an anchor it has the surrogate ``2 Re tr(C^H V) - tr(V^H M V) - c0``, which touches f there
and is nowhere above it [Xu25, eq. (18)].
"""

from __future__ import annotations

import numpy as np
from attrs import frozen

from isacsim.batch import each, rows, tuples
from isacsim.hardware.converters import distortion_ratios
from isacsim.problems.sqnr_max import SqnrMax
from isacsim.solvers.sqinr.group import Group
from isacsim.solvers.sqinr.objective import TINY
from isacsim.solvers.sqinr.system import groups
from isacsim.solvers.sqnr_max.echo import Response, curvature, echoes_of, gradient_at, responses, value_at, whole
from isacsim.solvers.sqnr_max.target import PointResponse, point_response
from isacsim.typing import BoolArray, ComplexArray, FloatArray, IntArray


@frozen(eq=False)
class Surrogate:
    """The SQNR at an anchor, and the surrogate that touches it there."""

    value: FloatArray = rows()  #: f, (B,)
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
        echoes = echoes_of(response := self._whole, V)
        return Surrogate(echoes.value, echoes.C, curvature(response, echoes))

    def first_order(self, V: ComplexArray) -> tuple[FloatArray, ComplexArray]:
        """Values f, (B,), and df/dR, Hermitian, (B, N, N), at V (B, N, L)."""
        echoes = echoes_of(response := self._whole, V)
        return echoes.value, gradient_at(response, echoes)

    def value(self, V: ComplexArray) -> FloatArray:
        """F at V (B, N, L), (B,)."""
        return value_at(self._whole, V)[0]

    @property
    def _whole(self) -> Response:
        return whole(self.G, self.transmit, self.receive)

    def responses(self) -> list[tuple[IntArray, Response]]:
        """The same in factors where the rank is low, by rank, with the places of the members."""
        return responses(self.G, self.transmit, self.receive)

    def size(self, value: FloatArray) -> FloatArray:
        """What errors of values of f are relative to, (B,)."""
        return np.maximum(value, TINY)

    @property
    def ideal(self) -> BoolArray:
        """Through ideal converters, where f is linear, (B,)."""
        return np.asarray((self.transmit == 0).all(axis=-1) & (self.receive == 0).all(axis=-1))

    @property
    def proven(self) -> BoolArray:
        """Where first order proves a global optimum: f is linear, or a ratio zeta / D of linear functions, (B,)."""
        return np.asarray(self.ideal | self.target.affine)

    def steepness(self, V: ComplexArray, value: FloatArray) -> FloatArray:
        """How much f can rise per unit of what the gradient promises, (B,), for a ratio D over the least D; or NaN."""
        ratio = self.target.zeta(V) * self.target.gains.sum(axis=-1) / np.where(value > 0, value, np.nan)
        return np.where(self.ideal, 1.0, np.where(self.target.affine, ratio, np.nan))


def sqnr_groups(problem: SqnrMax) -> list[Group]:
    """The members of a flat batch, by number of asked users.

    Raises:
        InvalidInput: For hardware that is none of `isacsim.hardware.converters`.
    """
    members, receivers = len(problem.H), problem.G.shape[-2]
    _, receive = distortion_ratios(problem.transceiver.receive, receivers, "transceiver.receive")

    def objective(at: IntArray, lengths: FloatArray, transmit: FloatArray) -> Sqnr:
        noise, G = each(problem.radar_noise_power, members)[at], each(problem.G, members)[at]
        eps = receive[None].repeat(at.size, axis=0)
        return Sqnr(G, transmit, eps, point_response(G, lengths, noise, transmit, eps))

    return groups(problem, problem.min_sqinr, objective)
