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
from isacsim.compiled import compiled
from isacsim.linalg.blas import multiply, write
from isacsim.linalg.parts import real_inner, times_adjoint
from isacsim.linalg.stacked import inverse, solutions
from isacsim.problems.sqnr_max import SqnrMax
from isacsim.solvers.sqinr.converters import distortion_ratios
from isacsim.solvers.sqinr.curvature import Curvature
from isacsim.solvers.sqinr.group import Group
from isacsim.solvers.sqinr.objective import TINY, Proof, Surrogate
from isacsim.solvers.sqinr.system import groups
from isacsim.solvers.sqnr_max.echo import Response, responses
from isacsim.solvers.sqnr_max.target import PointResponse, point_response
from isacsim.typing import ComplexArray, FloatArray, IntArray


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
        GH, chain, GV = hermitian(self.G), squared(V).sum(axis=-1), self.G @ V
        i, Q_inverse = np.arange(self.G.shape[-1]), inverse(self._noise(GH, chain, GV))
        Y = Q_inverse @ GV
        C = GH @ Y
        M = (GH * (self.receive * squared(Y).sum(axis=-1))[:, None, :]) @ self.G
        M[:, i, i] += self.transmit * (squared(C).sum(axis=-1) + M[:, i, i].real)
        value = inner(GV, Y)
        return Surrogate(value, self.size(value), C, M, chain, Q_inverse)

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

    def gradient(self, surrogate: Surrogate) -> ComplexArray:
        """df/dR at the anchor, Hermitian, (B, N, N)."""
        return np.asarray(hermitian(self.G) @ (surrogate.Q_inverse @ self.G) - surrogate.M)

    def curvature(self, surrogate: Surrogate, V: ComplexArray) -> Curvature:
        """The second derivative by R at the anchor V.

        Q is linear in R_ii and in ``q = diag(G R G^H)``: ``dQ = sum_a rates_a rho_a t_a t_a^H`` with
        T = [G, I] and ``rho = Lm (dR_ii, dq)``, ``Lm = [[I, 0], [gains, I]]``. With
        ``x_a = G^H Q^-1 t_a`` then::

            D^2 f = -2 sum_a rates_a rho_a x_a^H dR x_a + 2 tr(dQ Q^-1 dQ Q^-1 G R G^H Q^-1)

        The features are g_j, then x_a, the rates e and eps; the second term is ``Lm^T Hr Lm`` in (R_ii, q).
        """
        (members, receivers, N), L = self.G.shape, V.shape[-1]
        n = N + receivers
        features, seen = np.empty((members, receivers + n, N), complex), np.empty((members, receivers + n, L), complex)
        form, rates = np.empty((members, n, n)), np.concatenate([self.transmit, self.receive], axis=-1)
        gains = squared(self.G) * self.transmit[:, None, :]
        arrays = (surrogate.Q_inverse, np.ascontiguousarray(V), rates, features, seen, form)
        compiled(curvature_each, allocates=True)(self.G, hermitian(self.G), gains, *arrays)
        return Curvature(features, seen, form, rates, gains)

    def proof(self) -> Proof:
        """Where first order proves a global optimum: for ideal converters, and where f is a ratio."""
        linear = (self.transmit == 0).all(axis=-1) & (self.receive == 0).all(axis=-1)
        return Proof(linear, self.target.affine, self.target.a, self.target.gains.sum(axis=-1))


def curvature_each(
    G: ComplexArray,
    GH: ComplexArray,
    gains: FloatArray,
    Q_inverse: ComplexArray,
    V: ComplexArray,
    rates: FloatArray,
    features: ComplexArray,
    seen: ComplexArray,
    form: FloatArray,
) -> None:
    """The curvature of the radar SQNR at V (B, N, L), into the last three arrays, member by member."""
    receivers, N = G.shape[1:]
    n = N + receivers
    for b in range(V.shape[0]):
        XH, H = features[b, receivers:], form[b]  # x_a^H for all a
        write(G[b], features[b, :receivers])
        multiply(Q_inverse[b], G[b], XH[N:])
        multiply(GH[b], XH[N:], XH[:N])
        multiply(features[b], V[b], seen[b])
        xRx = times_adjoint(seen[b, receivers:], seen[b, receivers:])
        for i in range(n):
            for j in range(n):
                # t_i^H Q^-1 t_j for T = [G, I]
                if j < N:
                    across = XH[i, j]
                else:
                    across = np.conj(XH[j, i]) if i < N else Q_inverse[b, i - N, j - N]
                H[i, j] = 2 * rates[b, i] * rates[b, j] * real_inner(across, xRx[i, j])
        for i in range(n):
            for r in range(receivers):
                for j in range(N):
                    H[i, j] += H[i, N + r] * gains[b, r, j]
        for r in range(receivers):
            for i in range(N):
                for j in range(n):
                    H[i, j] += gains[b, r, i] * H[N + r, j]


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
