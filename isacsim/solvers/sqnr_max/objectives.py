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
from attrs import field, frozen

from isacsim.algebra import inverted, product, real_inner, rows_squared, times_adjoint, write
from isacsim.batch import hermitian, rows, squared, take
from isacsim.compiled import compiled, part
from isacsim.problems.sqnr_max import SqnrMax
from isacsim.solvers.sqinr.converters import distortion_ratios
from isacsim.solvers.sqinr.curvature import Curvature
from isacsim.solvers.sqinr.group import Group
from isacsim.solvers.sqinr.objective import TINY, Proof, Surrogate
from isacsim.solvers.sqinr.system import groups
from isacsim.solvers.sqnr_max.few_targets import reduced
from isacsim.solvers.sqnr_max.fractional import Point, point_target
from isacsim.typing import ComplexArray, FloatArray, IntArray


@frozen(eq=False)
class Sqnr:
    """The radar SQNR of B members.

    Attributes:
        G: Target response in normalised units, (B, N_r, N).
        transmit: e, (B, N).
        receive: eps, (B, N_r).
        basis: Orthonormal columns A (B, N, r) with ``G = G A A^H`` where the rank is low; empty
            where nothing is known of it.
        target: The same as point targets, and which of them are.
    """

    G: ComplexArray = rows(2)
    transmit: FloatArray = rows(1)
    receive: FloatArray = rows(1)
    basis: ComplexArray = rows(2)
    target: Point = field()

    def surrogate(self, V: ComplexArray) -> Surrogate:
        """Value and surrogate at the anchor V, (B, N, L)."""
        (members, receivers, antennas), V = self.G.shape, np.ascontiguousarray(V)
        value, C, M = np.empty(members), np.empty_like(V), np.empty_like(self.G, shape=(members, antennas, antennas))
        chain, Q_inverse = np.empty((members, antennas)), np.empty_like(M, shape=(members, receivers, receivers))
        compiled(surrogate_each)(self.G, self.transmit, self.receive, V, value, C, M, chain, Q_inverse)
        return Surrogate(value, self.size(value), C, M, chain, Q_inverse)

    def value(self, V: ComplexArray) -> FloatArray:
        """F at V (B, N, L), (B,)."""
        value, points = np.empty(len(V)), self.target.there
        if points.any():
            value[points] = take(self.target, points).sqnr(V[points])
        if not points.all():
            value[~points] = take(self, ~points).surrogate(V[~points]).value
        return value

    def size(self, value: FloatArray) -> FloatArray:
        """What errors of values of f are relative to, (B,)."""
        return np.maximum(value, TINY)

    def constant(self, surrogate: Surrogate, V: ComplexArray) -> FloatArray:
        """c0 of the surrogate that was taken at V, (B,)."""
        powers = squared(surrogate.Q_inverse @ (self.G @ V)).sum(axis=-1)
        return np.asarray(((1 + self.receive) * powers).sum(axis=-1))

    def gradient(self, surrogate: Surrogate) -> ComplexArray:
        """df/dR at the anchor, Hermitian, (B, N, N)."""
        return np.asarray(hermitian(self.G) @ (surrogate.Q_inverse @ self.G) - surrogate.M)

    def curvature(self, surrogate: Surrogate, V: ComplexArray) -> Curvature:
        """The second derivative by R at the anchor V."""
        full = self._curvature(surrogate, V)
        return reduced(full, self.basis, V) if self.basis.shape[-1] else full

    def proof(self) -> Proof:
        """Where first order proves a global optimum: for ideal converters, and where f is a ratio."""
        linear = (self.transmit == 0).all(axis=-1) & (self.receive == 0).all(axis=-1)
        return Proof(linear, self.target.affine, self.target.a, self.target.gains.sum(axis=-1))

    def _curvature(self, surrogate: Surrogate, V: ComplexArray) -> Curvature:
        """The second derivative for a response of any rank.

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
        compiled(curvature_each)(self.G, hermitian(self.G), gains, *arrays)
        return Curvature(features, seen, form, rates, gains)


def surrogate_each(
    G: ComplexArray,
    transmit: FloatArray,
    receive: FloatArray,
    V: ComplexArray,
    value: FloatArray,
    C: ComplexArray,
    M: ComplexArray,
    chain: FloatArray,
    Q_inverse: ComplexArray,
) -> None:
    """The surrogate of the radar SQNR at V (B, N, L), into the last five arrays, member by member."""
    (N, L), receivers = V.shape[1:], G.shape[1]
    GH = np.zeros((N, receivers), np.complex128)
    GV, Y = np.zeros((receivers, L), np.complex128), np.zeros((receivers, L), np.complex128)
    for b in range(V.shape[0]):
        for i in range(N):
            for j in range(receivers):
                GH[i, j] = np.conj(G[b, j, i])
        powers = rows_squared(V[b])
        write(powers, chain[b])
        np.dot(G[b], V[b], GV)
        received = rows_squared(GV)
        Q = product(scaled(G[b], transmit[b], powers), GH)
        for j in range(receivers):
            for i in range(N):
                received[j] += real_inner(G[b, j, i], G[b, j, i]) * (transmit[b, i] * powers[i])
            Q[j, j] += 1 + receive[b, j] * (received[j] + 1)
        write(inverted(Q), Q_inverse[b])
        np.dot(Q_inverse[b], GV, Y)
        np.dot(GH, Y, C[b])
        np.dot(scaled(GH, receive[b], rows_squared(Y)), G[b], M[b])
        spread = rows_squared(C[b])
        for i in range(N):
            M[b, i, i] += transmit[b, i] * (spread[i] + M[b, i, i].real)
        value[b] = 0.0
        for j in range(receivers):
            for s in range(L):
                value[b] += real_inner(GV[j, s], Y[j, s])


@part
def scaled(A: ComplexArray, a: FloatArray, b: FloatArray) -> ComplexArray:
    """A diag(a b)."""
    result = np.empty_like(A)
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            result[i, j] = A[i, j] * (a[j] * b[j])
    return result


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
        np.dot(Q_inverse[b], G[b], XH[N:])
        np.dot(GH[b], XH[N:], XH[:N])
        np.dot(features[b], V[b], seen[b])
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
        noise = np.broadcast_to(problem.radar_noise_power, (members,))[at]
        G = np.broadcast_to(problem.G, (members, *problem.G.shape[1:]))[at]
        G = np.ascontiguousarray(G * (lengths / np.sqrt(noise)[:, None])[:, None, :])
        e, eps = np.tile(transmit, (at.size, 1)), np.tile(receive, (at.size, 1))
        return Sqnr(G, e, eps, np.zeros((at.size, G.shape[-1], 0), complex), point_target(G, e, eps))

    return groups(problem, problem.min_sqinr, objective)
