"""The reduction of `CrbMin` to the range of the channels [Zhao26, Theorems 1 and 2].

Some optimum has its users' precoders in the range of H, of dimension r = rank(H), and spends
what power is left equally over the N_t - r dimensions that no user sees. With an orthonormal
basis U of the range, the problem is one of r x r matrices V_k, problem (7) there::

    min  tr((sum_k V_k)^-1) + (N_t - r)^2 / (P - tr sum_k V_k)
    s.t. a_k h_k^H V_k h_k - h_k^H (sum_j V_j) h_k >= sigma_k^2,  a_k = 1 + 1/gamma_k

Here in units of its own: the power is N_t, so that the white covariance is the identity and
has the value N_t, and each user's channel has unit norm, which scales its noise. With the
problem comes what its members are screened by: the least power, and whether the white
covariance may meet every SINR (`isacsim.solvers.crb_min.white`).
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import each, rows, take
from isacsim.compiled import brief, compiled, few_passes, writable
from isacsim.linalg.blas import multiply
from isacsim.linalg.lapack import adjoint_multiply, eigen, multiply_adjoint, scale
from isacsim.linalg.parts import orthonormalise_rows, real_inner, scale_rows
from isacsim.linalg.stacked import forms
from isacsim.problems.crb_min import CrbMin
from isacsim.records import blank, laid
from isacsim.solvers.sqinr.group import Group
from isacsim.solvers.sqinr.least_power import Links, Search, completed, newton_at
from isacsim.typing import BoolArray, ComplexArray, FloatArray, IntArray

SHARE, THRESHOLD, NOISE, CHARGE = range(4)  # what kernels see of each user: 1/a_k, gamma_k, sigma_k^2, sigma_k^2/a_k
# What is left of a channel of unit norm, beside those before it, below which it does not count for the rank.
RANK_TOLERANCE = 1e-10
# Relative distance of a nuclear norm from what is asked of it that its rounding cannot explain: it is a sum of roots.
CLEARLY = 1e-7


class Sizes(NamedTuple):
    """Lengths of axes of what kernels write to on their way."""

    antennas: int
    r: int
    K: int
    n: int  #: Real numbers in a Hermitian matrix on the range, r^2
    L: int  #: Columns of a precoder

    @classmethod
    def of(cls, antennas: int, r: int, K: int) -> Sizes:
        """Those for a rank and some users."""
        return cls(antennas, r, K, r * r, K + antennas)


class Member(NamedTuple):
    """What kernels see of B problems, or without the first axis of one."""

    H: ComplexArray  #: (B, r, K)
    terms: FloatArray  #: The users' numbers by the names SHARE to CHARGE, (B, 4, K)
    antennas: IntArray  #: N_t, (B,)


@frozen(eq=False)
class Reduced(Links):
    """B problems of one rank r in coordinates of the range, for a power of N_t and channels of unit norm."""

    basis: ComplexArray = rows(2)  #: U, (B, N_t, r)
    terms: FloatArray = rows(2)  #: The users' numbers by the names SHARE to CHARGE, (B, 4, K)
    open: BoolArray = rows()  #: Whether the white covariance may meet every SINR, (B,)
    sizes: Sizes = field()

    @property
    def threshold(self) -> FloatArray:
        """gamma_k, (B, K)."""
        return np.ascontiguousarray(self.terms[:, THRESHOLD])

    @property
    def noise(self) -> FloatArray:
        """sigma_k^2 N_t / (P ||h_k||^2), (B, K)."""
        return np.ascontiguousarray(self.terms[:, NOISE])

    @property
    def ratio(self) -> FloatArray:
        """a_k = 1 + 1/gamma_k, (B, K)."""
        return np.asarray(1 + 1 / self.threshold)

    @property
    def arrays(self) -> Member:
        """What kernels see."""
        return Member(self.H, self.terms, np.full(len(self.terms), self.antennas))

    @property
    def antennas(self) -> int:
        """N_t."""
        return self.sizes.antennas

    @property
    def rank(self) -> int:
        """Number r of dimensions that the users see."""
        return self.sizes.r

    @property
    def spare(self) -> int:
        """Number N_t - r of dimensions that no user sees."""
        return self.antennas - self.rank

    @property
    def whole(self) -> Reduced:
        """The same problems in coordinates of the whole array, in which no dimension is spare."""
        H, N = self.basis @ self.H, self.antennas
        identity = np.tile(np.eye(N, dtype=complex), (len(H), 1, 1))
        return attrs.evolve(self, basis=identity, H=H, sizes=Sizes.of(N, N, self.users))

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


class Found(NamedTuple):
    """What is found of B members, whose arrays have room for the largest rank m there may be."""

    basis: ComplexArray  #: (B, N_t, m)
    H: ComplexArray  #: (B, m, K)
    terms: FloatArray  #: (B, 4, K)
    least: FloatArray  #: The least power, (B,)
    multipliers: FloatArray  #: Those of it, (B, K)
    known: BoolArray  #: Whether Newton's method has found it, (B,)
    open: BoolArray  #: Whether the white covariance may meet every SINR, (B,)
    rank: IntArray  #: (B,)


class Desk(NamedTuple):
    """What is written to on the way, of one member."""

    H: Annotated[ComplexArray, "antennas K"]  #: Channels of unit norm
    rows: Annotated[ComplexArray, "K antennas"]  #: Likewise, transposed; then a basis of their range
    basis: Annotated[ComplexArray, "antennas r"]  #: That basis
    inside: Annotated[ComplexArray, "r K"]  #: Channels in its coordinates
    gram: Annotated[ComplexArray, "r r"]
    spectrum: Annotated[FloatArray, "r"]
    load: Annotated[FloatArray, "r K"]  #: Of distortion, of which there is none
    search: Search  #: Of the least power


def reductions(problem: CrbMin) -> list[Group]:
    """The reduced problems of a flat batch, by rank, and the least power of each."""
    (B, N, K), place = problem.H.shape, np.empty
    m, power = min(N, K), each(problem.power, B)
    given = [writable(each(x, B)) for x in (problem.H, power, problem.noise_power, problem.min_sinr)]
    basis, H, terms, multipliers = place((B, N, m), complex), place((B, m, K), complex), place((B, 4, K)), place((B, K))
    found = Found(basis, H, terms, place(B), multipliers, place(B, bool), place(B, bool), place(B, int))
    sizes = Sizes.of(N, m, K)
    compiled(screen_each)(*given, found, blank(Desk, sizes), sizes)
    groups = []
    for r in sorted(set(found.rank.tolist())):
        at = (found.rank == r).nonzero()[0]
        here = found if at.size == B else take(found, at)
        basis, H = here.basis, here.H
        if r < m:
            basis, H = np.ascontiguousarray(basis[:, :, :r]), np.ascontiguousarray(H[:, :r])
        of, unit = Sizes.of(N, r, K), power[at] / N
        reduced = Reduced(basis=basis, H=H, terms=here.terms, open=here.open, unit=unit, sizes=of)
        feasible = completed(reduced, here.least, here.multipliers, here.known)
        groups.append(Group(reduced, at, each(np.arange(K)[None], at.size), feasible))
    return groups


@few_passes
def screen_each(
    H: ComplexArray,
    power: FloatArray,
    noise: FloatArray,
    threshold: FloatArray,
    found: Found,
    work: FloatArray,
    sizes: Sizes,
) -> None:
    """Write what is found of B members, given their channels (B, N_t, K) and the users' noises and SINRs (B, K).

    A channel of zeros stays one: as if its noise were infinite.
    """
    basis, inside, terms, least, multipliers, known, may, ranks = found
    here, (N, K) = laid(Desk, work, sizes), H.shape[1:]
    for b in range(len(H)):
        normalise(H[b], N / power[b], noise[b], threshold[b], terms[b], here)
        rank = orthonormalise_rows(here.rows, RANK_TOLERANCE)
        for i in range(N):
            for j in range(basis.shape[2]):
                here.basis[i, j] = here.rows[j, i] if j < rank else 0.0
        nuclear, asked = turn(basis[b], inside[b], here), 0.0
        for k in range(K):
            asked += np.sqrt((1 + terms[b, NOISE, k]) * terms[b, SHARE, k])
        # Equal weights prove of most members that the white covariance does not do; see `white`.
        may[b] = nuclear >= asked * (1 - CLEARLY)
        known[b] = newton_at(inside[b], here.load, terms[b, THRESHOLD], multipliers[b], here.search)
        ranks[b], least[b] = rank, 0.0
        for k in range(K):
            least[b] += multipliers[b, k] * terms[b, NOISE, k]


@brief
def normalise(
    H: ComplexArray, unit: float, noise: FloatArray, threshold: FloatArray, terms: FloatArray, here: Desk
) -> None:
    """Write channels of unit norm, and the users' numbers for a unit of noise to power of one member."""
    N, K = H.shape
    for k in range(K):
        square = 0.0
        for i in range(N):
            square += real_inner(H[i, k], H[i, k])
        share = 1 / np.sqrt(square) if square > 0 else 1.0
        for i in range(N):
            here.H[i, k] = here.rows[k, i] = complex(H[i, k].real * share, H[i, k].imag * share)
        terms[THRESHOLD, k], terms[NOISE, k] = threshold[k], noise[k] * unit / square
        terms[SHARE, k] = threshold[k] / (1 + threshold[k])
        terms[CHARGE, k] = terms[SHARE, k] * terms[NOISE, k]


@brief
def turn(basis: ComplexArray, H: ComplexArray, here: Desk) -> float:
    """Write the basis in whose coordinates, which are written too, ``H H^H`` is diagonal and falls: the nuclear norm.

    Next to the least power all but rounding cancels in matrices that are diagonal there: fewer members stall.
    """
    gram, spectrum, nuclear = here.gram, here.spectrum, 0.0
    adjoint_multiply(here.basis, here.H, here.inside)
    multiply_adjoint(here.inside, here.inside, gram)
    scale(-1.0, gram, gram)
    eigen(gram, spectrum)
    multiply(gram, here.inside, H)
    multiply_adjoint(here.basis, gram, basis)
    for value in spectrum:
        nuclear += np.sqrt(max(-value, 0.0))
    return nuclear


class Lift(NamedTuple):
    """What the way back to the array writes to, of one member."""

    root: Annotated[ComplexArray, "r r"]
    scaled: Annotated[ComplexArray, "r r"]
    inside: Annotated[ComplexArray, "r r"]
    aside: Annotated[ComplexArray, "r antennas"]
    coordinates: Annotated[ComplexArray, "r L"]
    spectrum: Annotated[FloatArray, "r"]


def precoders(reduced: Reduced, beams: ComplexArray) -> ComplexArray:
    """Precoders of full power (B, N_t, K+N_t), in sqrt(W), of `recovery.Beams.coordinates` (B, r, K+r).

    Sensing streams are the Hermitian root of their covariance, which on the whole array adds the projector on
    the rest [Zhao26, Theorem 1].
    """
    U, sizes = reduced.basis, reduced.sizes
    W = np.empty((len(U), sizes.antennas, sizes.L), complex)
    compiled(lift_each)(writable(U), writable(beams), writable(reduced.unit), W, blank(Lift, sizes), sizes)
    return W


@few_passes
def lift_each(
    basis: ComplexArray, beams: ComplexArray, unit: FloatArray, W: ComplexArray, work: FloatArray, sizes: Sizes
) -> None:
    """Write `precoders`, member by member."""
    root, scaled, inside, aside, coordinates, spectrum = laid(Lift, work, sizes)
    N, r, K, _, L = sizes
    for b in range(len(W)):
        left = float(N)
        for i in range(r):
            for k in range(K):
                left -= real_inner(beams[b, i, k], beams[b, i, k])
            for j in range(r):
                root[i, j] = beams[b, i, K + j]
            left -= root[i, i].real
        share = np.sqrt(max(left, 0.0) / (N - r)) if r < N else 0.0
        eigen(root, spectrum)
        for i in range(r):
            spectrum[i] = np.sqrt(max(spectrum[i], 0.0)) - share
        scale_rows(root, spectrum, scaled)
        adjoint_multiply(root, scaled, inside)
        multiply_adjoint(inside, basis[b], aside)
        size = np.sqrt(unit[b])
        for i in range(r):
            for k in range(L):
                each = beams[b, i, k] if k < K else aside[i, k - K]
                coordinates[i, k] = complex(each.real * size, each.imag * size)
        multiply(basis[b], coordinates, W[b])
        for i in range(N):
            W[b, i, K + i] += share * size
