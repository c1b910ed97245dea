"""The reduction of `CrbMin` to the range of the channels [Zhao26, Theorems 1 and 2].

Some optimum has its users' precoders in the range of H, of dimension r = rank(H), and spends
what power is left equally over the N_t - r dimensions that no user sees. With an orthonormal
basis U of the range, the problem is one of r x r matrices V_k, problem (7) there::

    min  tr((sum_k V_k)^-1) + (N_t - r)^2 / (P - tr sum_k V_k)
    s.t. a_k h_k^H V_k h_k - h_k^H (sum_j V_j) h_k >= sigma_k^2,  a_k = 1 + 1/gamma_k

Here in units of its own: the power is N_t, so that the white covariance is the identity and
has the value N_t, and each user's channel has unit norm, which scales its noise.
"""

from __future__ import annotations

from typing import NamedTuple

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import each, frobenius2, hermitian, rows, squared
from isacsim.compiled import writable
from isacsim.linalg.stacked import forms
from isacsim.problems.crb_min import CrbMin
from isacsim.solvers.sqinr.group import Group
from isacsim.solvers.sqinr.least_power import Links
from isacsim.typing import ComplexArray, FloatArray, IntArray

SHARE, THRESHOLD, NOISE, CHARGE = range(4)  # what kernels see of each user: 1/a_k, gamma_k, sigma_k^2, sigma_k^2/a_k
# Singular values below this, relative to the largest, do not count for the rank.
RANK_TOLERANCE = 1e-10


class Member(NamedTuple):
    """What kernels see of B problems, or without the first axis of one."""

    H: ComplexArray  #: (B, r, K)
    HH: ComplexArray  #: Its conjugate transpose, (B, K, r)
    terms: FloatArray  #: The users' numbers by the names SHARE to CHARGE, (B, 4, K)
    antennas: IntArray  #: N_t, (B,)


@frozen(eq=False)
class Reduced(Links):
    """B problems of one rank r in coordinates of the range, for a power of N_t and channels of unit norm."""

    basis: ComplexArray = rows(2)  #: U, (B, N_t, r)
    noise: FloatArray = rows(1)  #: sigma_k^2 N_t / (P ||h_k||^2), (B, K)
    nuclear: FloatArray = rows()  #: Nuclear norm of H, (B,)
    antennas: int = field()  #: N_t

    @property
    def ratio(self) -> FloatArray:
        """a_k = 1 + 1/gamma_k, (B, K)."""
        return np.asarray(1 + 1 / self.threshold)

    @property
    def arrays(self) -> Member:
        """What kernels see."""
        members, users = self.threshold.shape
        terms = np.empty((members, CHARGE + 1, users))
        terms[:, SHARE] = share = 1 / self.ratio
        terms[:, THRESHOLD], terms[:, NOISE], terms[:, CHARGE] = self.threshold, self.noise, share * self.noise
        return Member(writable(self.H), writable(self.HH), terms, np.full(len(terms), self.antennas))

    @property
    def rank(self) -> int:
        """Number r of dimensions that the users see."""
        return int(self.H.shape[-2])

    @property
    def spare(self) -> int:
        """Number N_t - r of dimensions that no user sees."""
        return self.antennas - self.rank

    @property
    def whole(self) -> Reduced:
        """The same problems in coordinates of the whole array, in which no dimension is spare."""
        H, identity = self.basis @ self.H, np.eye(self.antennas, dtype=complex)
        return attrs.evolve(self, basis=np.tile(identity, (len(H), 1, 1)), H=H, HH=hermitian(H))

    def attainable(self, noise: float = 1.0) -> FloatArray:
        """The largest SINR of each user alone, (B, K); without ``noise``, 0, that with power without end."""
        return self.antennas / self.noise if noise else np.where(np.isinf(self.noise), 0.0, np.inf)

    @property
    def limit(self) -> float:
        """The power in these units."""
        return float(self.antennas)

    def received(self, X: ComplexArray) -> FloatArray:
        """h_k^H X h_k for each user and Hermitian X (B, r, r), (B, K)."""
        return forms(self.H, self.HH, X)


def reductions(problem: CrbMin) -> list[Group]:
    """The reduced problems of a flat batch, by rank.

    A channel of zeros stays one: as if its noise were infinite.
    """
    members, antennas, users = problem.H.shape
    length = np.sqrt(squared(np.swapaxes(problem.H, -1, -2)).sum(axis=-1))  # (B, K)
    H = problem.H / np.where(length > 0, length, 1.0)[:, None, :]
    # Of unit norm, no user's distance decides what counts for the rank.
    U, spectrum, VH = np.linalg.svd(H, full_matrices=False)
    rank = (spectrum > RANK_TOLERANCE * spectrum[:, :1]).sum(axis=-1)
    power = each(problem.power, members)
    noise = problem.noise_power * (antennas / power)[:, None] / length**2
    min_sinr = each(problem.min_sinr, members)
    groups = []
    for r in sorted(set(rank.tolist())):
        at = np.flatnonzero(rank == r)
        basis = np.ascontiguousarray(U[at, :, :r])
        coordinates = spectrum[at, :r, None] * VH[at, :r]
        reduced = Reduced(
            basis=basis,
            H=coordinates,
            HH=hermitian(coordinates),
            threshold=min_sinr[at],
            noise=noise[at],
            nuclear=spectrum[at, :r].sum(axis=-1),
            unit=power[at] / antennas,
            antennas=antennas,
        )
        groups.append(Group(reduced, at, each(np.arange(users)[None], at.size)))
    return groups


def precoders(reduced: Reduced, W: ComplexArray) -> ComplexArray:
    """Precoders of full power (B, N_t, K+N_t) from their coordinates (B, r, K+r), in sqrt(W).

    The last r columns of W are a Hermitian root of the sensing covariance on the range; that
    of the whole array adds the projector on the rest [Zhao26, Theorem 1].
    """
    U, K = reduced.basis, reduced.users
    UH = hermitian(U)
    share = np.zeros(W.shape[0])
    if reduced.spare:
        share = np.sqrt(np.maximum(reduced.antennas - frobenius2(W), 0.0) / reduced.spare)
    inside = W[..., K:] - share[:, None, None] * np.eye(reduced.rank)
    sensing = U @ np.ascontiguousarray(inside) @ UH + share[:, None, None] * np.eye(reduced.antennas)
    whole = np.concatenate([U @ np.ascontiguousarray(W[..., :K]), sensing], axis=-1)
    return np.asarray(np.sqrt(reduced.unit)[:, None, None] * whole)
