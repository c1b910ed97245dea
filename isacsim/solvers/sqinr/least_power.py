"""The least power that meets SINRs, by the duality of uplink and downlink [Zhao26, Proposition 1].

The users' constraints are, with transmit distortion that grows with the power of each chain and
with ``c_k = 1 + 1 / asked_k``::

    c_k |h_k^H w_k|^2 >= h_k^H R h_k + sum_i e_i |h_ki|^2 R_ii + sigma_k^2

Then ``P_min = sum_k lambda_k sigma_k^2`` with the fixed point of::

    lambda_k = 1 / (c_k h_k^H B^-1 h_k),  B = C + sum_j lambda_j h_j h_j^H,
    C = I + sum_j lambda_j diag(e |h_j|^2)

The same in the words of the uplink: lambda are the powers with which the users, sending
through their channels to the array over noise of covariance C, just reach the SINRs asked.
Written so, with the uplink's error matrix E, nothing cancels where the SINRs are high::

    E = (I + lambda^1/2 H^H C^-1 H lambda^1/2)^-1,   SINR_k = 1 / E_kk - 1

From powers that would do without interference the fixed point iteration rises monotonically,
and each iterate proves a lower bound on P_min, which is the certificate where the power does
not suffice. Newton's method in log(lambda) has the same fixed point within some ten steps:
its Jacobian is a nonsingular M-matrix.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, NamedTuple

import numpy as np
from attrs import frozen

from isacsim.batch import all_of, hermitian, rows, squared, take
from isacsim.compiled import compiled, part
from isacsim.linalg.blas import multiply
from isacsim.linalg.lapack import adjoint_multiply
from isacsim.linalg.parts import invert_positive, real_inner, solve_into
from isacsim.records import blank, laid
from isacsim.typing import BoolArray, ComplexArray, FloatArray

NEWTON_STEPS = 60  # some ten do where there is an answer
FIXED_POINT_STEPS = 20_000  # it converges linearly, slowly next to the limit
EPS = float(np.finfo(float).eps)
BLURRED = 1e-5  # relative rounding of an SINR that leaves no step worth taking
ROUNDING = 1e-12  # relative excess of P_min over P that is no proof
HUGE = 150.0  # logarithm of a multiplier at which the search ends
STRIDE = 3.0  # the longest step in that logarithm
FAR = 20.0  # logarithm of a received power beyond which only users that need endless power are, with digits left
RISE = 1e-4  # by how much one round of the fixed point must raise such multipliers, far above their rounding


@frozen(eq=False)
class Links(ABC):
    """What B members ask of their K users, over N dimensions; without distortion where a record says nothing else."""

    H: ComplexArray = rows(2)  #: Channels h_k, (B, N, K)
    unit: FloatArray = rows()  #: Unit of power, (B,), in W

    @property
    def HH(self) -> ComplexArray:
        """The conjugate transpose of the channels, (B, K, N)."""
        return hermitian(self.H)

    @property
    @abstractmethod
    def threshold(self) -> FloatArray:
        """Least SQINR of each user, (B, K), positive."""

    @property
    def users(self) -> int:
        """Number K of users."""
        return int(self.H.shape[-1])

    @property
    def asked(self) -> FloatArray:
        """SINR that the dual uplink needs, (B, K); positive where it is not out of reach."""
        return self.threshold

    @property
    def noise(self) -> FloatArray:
        """sigma_k^2, (B, K)."""
        return np.ones(self.threshold.shape)

    @property
    def load(self) -> FloatArray:
        """``e_i |h_ki|^2``, what a user receives of a chain's distortion, (B, N, K), or more columns behind these."""
        return np.zeros(self.H.shape)

    @property
    def limit(self) -> float:
        """The power that is there; a lower bound on P_min need not go beyond it."""
        return 1.0

    @abstractmethod
    def attainable(self, noise: float = 1.0) -> FloatArray:
        """The largest SQINR of each user alone, (B, K); without ``noise``, 0, that with power without end."""


@frozen(eq=False)
class LeastPower:
    """The least power of B members."""

    #: P_min, or a lower bound on it where that exceeds the limit, (B,); infinite where none that is worth a name
    #: suffices
    power: FloatArray = rows()
    multipliers: FloatArray = rows(1)  #: lambda, (B, K)
    known: BoolArray = rows()  #: Whether the power is P_min; elsewhere it is a lower bound, (B,)

    def exceeds(self, limit: float) -> BoolArray:
        """Which members have no answer with a power of ``limit``, proven, (B,)."""
        return np.asarray(self.power > limit * (1 + ROUNDING))


def least_power(links: Links) -> LeastPower:
    """The least power that meets the SINRs, by Newton's method, and by the fixed point where that fails."""
    (members, N, K), place = links.H.shape, np.empty
    power, multipliers, found = place(members), place((members, K)), place(members, bool)
    results, sizes = (power, multipliers, found), Sizes(N, K)
    compiled(newton_each)(links.H, links.load, links.asked, links.noise, blank(Search, sizes), sizes, *results)
    return completed(links, *results)


def completed(links: Links, power: FloatArray, multipliers: FloatArray, known: BoolArray) -> LeastPower:
    """The least power where Newton's method has found it; where it has not, that of the fixed point is put there."""
    for i in [] if all_of(known) else (~known).nonzero()[0]:
        at = np.array([i])
        here, far = take(links, at), multipliers[at]
        multipliers[at], power[at] = 0.0, np.inf
        # Who asks for what it cannot have with any power, alone, has no fixed point.
        if (here.threshold < here.attainable(noise=0.0)).all() and not _endless(here, np.log(far)):
            multipliers[at], known[at] = _fixed_point(here)
            power[at] = (multipliers[at] * here.noise).sum(axis=-1)
    return LeastPower(power, multipliers, known)


def uplink(H: ComplexArray, load: FloatArray, powers: FloatArray) -> tuple[FloatArray, FloatArray, ComplexArray]:
    """SINRs of the uplink at powers lambda (B, K), which the noise follows, and their Jacobian: log SINR by log lambda.

    (B, K) and (B, K, K); NaN where powers are so large that no digit of an SINR is left. Also ``B^-1 H``, (B, N, K):
    beams of least power but for their lengths.

    Args:
        H: Channels, (B, N, K).
        load: As `Links` have it.
        powers: lambda, positive.
    """
    sizes, along = Sizes(*H.shape[1:]), np.empty(H.shape, complex)
    sinr, jacobian = np.empty(powers.shape), np.empty((*powers.shape, sizes.K))
    compiled(reach_each)(H, load, powers, blank(Search, sizes), sizes, sinr, jacobian, along)
    return sinr, jacobian, along


class Sizes(NamedTuple):
    """Dimensions, here r, and users."""

    r: int
    K: int


class Uplink(NamedTuple):
    """Where `uplink_of` writes what it tells of one member."""

    sinr: Annotated[FloatArray, "K"]
    jacobian: Annotated[FloatArray, "K K"]  #: Of log SINR by log lambda
    off: Annotated[FloatArray, "K"]  #: Relative error of an SINR for one of 1 in what is inverted
    rest: Annotated[FloatArray, "K"]  #: ``1 - E_kk``, without cancellation
    E: Annotated[ComplexArray, "K K"]
    matrix: Annotated[ComplexArray, "K K"]  #: What E is the inverse of


class Room(NamedTuple):
    """What else Newton's method writes to, of one member: nothing is allocated, which takes its time to compile."""

    white: Annotated[ComplexArray, "r K"]  #: ``C^-1 H``
    along: Annotated[ComplexArray, "r K"]  #: ``B^-1 H``
    gram: Annotated[ComplexArray, "K K"]
    logarithm: Annotated[FloatArray, "K"]  #: of lambda
    step: Annotated[FloatArray, "K"]


class Search(NamedTuple):
    """All that Newton's method writes to, of one member."""

    room: Room
    uplink: Uplink


@part
def uplink_of(received: ComplexArray, powers: FloatArray, here: Uplink) -> None:
    """Write the uplink of one member at powers lambda over noise of covariance C.

    Its gram matrix ``H^H C^-1 H`` is overwritten by ``lambda^1/2 H^H C^-1 H lambda^1/2``.
    """
    K, matrix, E = powers.size, here.matrix, here.E
    for k in range(K):
        for j in range(K):
            received[k, j] *= np.sqrt(powers[k]) * np.sqrt(powers[j])
            matrix[k, j] = received[k, j] + (1.0 if j == k else 0.0)
    positive = invert_positive(matrix, E)
    sinr, off, jacobian = here.sinr, here.off, here.jacobian
    rest = here.rest
    for k in range(K):
        blur, other, error = 0.0, 0.0, E[k, k].real
        for j in range(K):
            other += real_inner(received[j, k], E[j, k])
            for m in range(K):  # E is Hermitian
                blur += abs(E[k, m]) * abs(matrix[m, j]) * abs(E[k, j])
        both = error * other
        if not (positive and error > 0 and both > 0):
            error = both = np.nan
        off[k], rest[k], sinr[k] = blur / error, other, other * other / both
        for j in range(K):
            jacobian[k, j] = 1.0 if j == k else -real_inner(E[k, j], E[k, j]) / both


@part
def reach(H: ComplexArray, load: FloatArray, multipliers: FloatArray, here: Room, told: Uplink) -> None:
    """Write the uplink of one member where the noise follows the powers too, and so does its Jacobian."""
    (N, K), white, along, gram, E = H.shape, here.white, here.along, here.gram, told.E
    for i in range(N):
        noise = 1.0
        for k in range(K):
            noise += load[i, k] * multipliers[k]
        for k in range(K):
            white[i, k] = H[i, k] * (1 / noise)
    adjoint_multiply(H, white, gram)
    uplink_of(gram, multipliers, told)
    rest, sinr, jacobian = told.rest, told.sinr, told.jacobian
    # B^-1 H = C^-1 H lambda^1/2 E lambda^-1/2, and h_k^H B^-1 h_k = (1 - E_kk) / lambda_k.
    for k in range(K):
        for j in range(K):
            E[j, k] *= np.sqrt(multipliers[j] / multipliers[k])
    multiply(white, E, along)
    for k in range(K):
        steep = (1 + sinr[k]) * multipliers[k] / rest[k]
        for i in range(N):
            fall = real_inner(along[i, k], along[i, k]) * steep
            for j in range(K):  # h_k^H B^-1 h_k falls with lambda_j
                jacobian[k, j] -= fall * load[i, j] * multipliers[j]


def reach_each(
    H: ComplexArray,
    load: FloatArray,
    multipliers: FloatArray,
    work: FloatArray,
    sizes: Sizes,
    sinr: FloatArray,
    jacobian: FloatArray,
    along: ComplexArray,
) -> None:
    """`uplink` into the last three arrays, member by member."""
    room, told = laid(Search, work, sizes)
    for b in range(len(H)):
        here = Room(room.white, along[b], room.gram, room.logarithm, room.step)
        reach(
            H[b], load[b], multipliers[b], here, Uplink(sinr[b], jacobian[b], told.off, told.rest, told.E, told.matrix)
        )


@part
def begin(H: ComplexArray, asked: FloatArray, multipliers: FloatArray, logarithm: FloatArray) -> None:
    """Write multipliers that would do without interference and distortion: no more than those that are needed."""
    for k in range(asked.size):
        gain = 0.0
        for i in range(len(H)):
            gain += real_inner(H[i, k], H[i, k])
        multipliers[k] = asked[k] / gain
        logarithm[k] = np.log(multipliers[k])


@part
def newton_at(H: ComplexArray, load: FloatArray, asked: FloatArray, multipliers: FloatArray, here: Search) -> bool:
    """Newton's method in the logarithms of lambda, which are written, of one member; whether it converged."""
    room, told = here.room, here.uplink
    K, f, x, found, last = asked.size, room.step, room.logarithm, False, np.inf
    sinr, off, jacobian = told.sinr, told.off, told.jacobian
    begin(H, asked, multipliers, x)
    for _ in range(NEWTON_STEPS):
        reach(H, load, multipliers, room, told)
        size, sound = 0.0, True
        for k in range(K):
            f[k] = -np.log(sinr[k] / asked[k])
            size = max(size, abs(f[k]))
            sound = sound and np.isfinite(sinr[k]) and EPS * off[k] < BLURRED
        if not sound:
            break  # the multipliers have run away
        # Rounding of a few hundred operations; the second rule is the floor that it sets where users are hard to
        # tell apart, where a step no longer halves the error.
        found = size <= 1e-13 or (size <= 1e-10 and size >= 0.5 * last)
        last = size
        solve_into(jacobian, f)
        longest, highest = STRIDE, -np.inf
        for k in range(K):
            if not np.isfinite(f[k]):
                # Where no power suffices the Jacobian becomes singular: the multipliers run away together.
                f[k] = STRIDE
            longest = max(longest, abs(f[k]))
        for k in range(K):
            x[k] += f[k] * STRIDE / longest
            multipliers[k] = np.exp(x[k])  # of an array it would be compiled for itself
            highest = max(highest, x[k])
        if found or highest >= HUGE:
            break
    return found


def newton_each(
    H: ComplexArray,
    load: FloatArray,
    asked: FloatArray,
    noise: FloatArray,
    work: FloatArray,
    sizes: Sizes,
    power: FloatArray,
    multipliers: FloatArray,
    found: BoolArray,
) -> None:
    """Newton's method for B members, into the last three arrays: P_min, lambda, where it converged."""
    here = laid(Search, work, sizes)
    for b in range(len(H)):
        found[b] = newton_at(H[b], load[b], asked[b], multipliers[b], here)
        power[b] = 0.0
        for k in range(asked.shape[1]):
            power[b] += multipliers[b, k] * noise[b, k]


def _endless(links: Links, logarithm: FloatArray) -> bool:
    """Whether multipliers of one member that ran away prove that P_min is beyond all bounds.

    One round of the fixed point from below P_min rises; where it rises from multipliers of
    this size, P_min is beyond what they say.
    """
    received = logarithm + np.log(squared(links.HH).sum(axis=-1))
    far = np.exp(logarithm - received.max() + FAR)
    rises = (uplink(links.H, links.load, far)[0] * (1 + RISE) <= links.asked).all()
    return bool(received.max() > FAR and rises and (far * links.noise).sum() > links.limit)


def _fixed_point(links: Links) -> tuple[FloatArray, bool]:
    """Multipliers (1, K) of one member, from below until they converge or their power exceeds the limit."""
    multipliers = links.asked / squared(links.HH).sum(axis=-1)
    for _ in range(FIXED_POINT_STEPS):
        if (multipliers * links.noise).sum() > links.limit * (1 + ROUNDING):
            return multipliers, False
        new = multipliers * links.asked / uplink(links.H, links.load, multipliers)[0]
        if not np.isfinite(new).all():
            break
        if np.abs(new - multipliers).max() <= 1e-13 * new.max():  # rounding
            return new, True
        multipliers = new
    return multipliers, False
