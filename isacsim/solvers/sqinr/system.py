"""Least SQINRs at a total power in normalised units: unit power, unit noise, no gains.

With ``W = diag(scale) V`` the power that leaves the chains is the squared norm of V and at
most 1, and each asked user k, with ``c_k = (1 + 1 / Gamma_k) / (1 + e_k)``, has the
constraint::

    c_k |h_k^H v_k|^2 >= ||V^H h_k||^2 + sum_i e_i |h_ki|^2 R_ii + 1,  R = V V^H

which is [Xu25, eq. (15)] for any converters. Columns of V are the asked users' beams and
sensing streams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import each, rows, squared
from isacsim.compiled import compiled, part
from isacsim.hardware.converters import distortion_ratios
from isacsim.linalg.parts import real_inner
from isacsim.metrics.attainable import attained_alone
from isacsim.solvers.sqinr.group import Group
from isacsim.solvers.sqinr.least_power import Links, least_power
from isacsim.solvers.sqinr.objective import Linear
from isacsim.typing import BoolArray, ComplexArray, FloatArray, IntArray


class Constraints(NamedTuple):
    """What compiled functions see of a `System`: of all members, or without the first axis of one."""

    H: ComplexArray  #: Channels of the asked users, (B, N, K)
    HH: ComplexArray  #: Their conjugate transpose, (B, K, N)
    load: FloatArray  #: What each constraint draws from R_ii, (B, N, K+1)
    ratio: FloatArray  #: c_k, (B, K)
    threshold: FloatArray  #: Gamma_k, (B, K)


@frozen(eq=False)
class System(Links):
    """B members with the same number K of asked users, in normalised units; that of power is all the power."""

    HH: ComplexArray = rows(2)  #: Conjugate transpose of the channels, (B, K, N)
    threshold: FloatArray = rows(1)  #: Least SQINR of each asked user, (B, K)
    #: What each constraint draws from R_ii: ``e_i |h_ki|^2`` for a user, what it receives of the chain's distortion,
    #: and 1 for the power, which comes last, (B, N, K+1)
    load: FloatArray = rows(2)
    ratio: FloatArray = rows(1)  #: c_k, (B, K)
    receiver: FloatArray = rows(1)  #: Ratio of distortion to signal of each asked user's receiver, (B, K)
    transmit: FloatArray = rows(1)  #: The same of each transmit chain, (B, N)
    asked: FloatArray = rows(1)  #: SINR that the dual uplink needs, ``1 / (c_k - 1)``, (B, K)
    scale: ComplexArray = rows(1)  #: Precoder W = diag(scale) V, (B, N), in sqrt(W)
    #: What is maximised, with the methods of `isacsim.solvers.sqinr.objective.Linear` for the solvers that need no
    #: more; of another kind where a solver knows what to do with it
    objective: Any = field()

    @property
    def antennas(self) -> int:
        """Number N of transmit chains."""
        return int(self.H.shape[-2])

    @property
    def constraints(self) -> Constraints:
        """Its constraints, for compiled functions."""
        return Constraints(self.H, self.HH, self.load, self.ratio, self.threshold)

    @property
    def spread(self) -> FloatArray:
        """``e_i |h_ki|^2``, (B, N, K)."""
        return np.ascontiguousarray(self.load[..., : self.users])

    def attainable(self, noise: float = 1.0) -> FloatArray:
        """The largest SQINRs; behind an ideal transmitter those without end stay below 1 / e of the receiver."""
        return attained_alone(squared(self.H), noise, self.transmit, self.receiver)

    def slack(self, V: ComplexArray) -> FloatArray:
        """Slack of each constraint at V (B, N, L): of each user in units of its noise, then of the power, (B, K+1)."""
        received = squared(self.HH @ V)
        slack = -(squared(V).sum(axis=-1)[:, None, :] @ self.load)[:, 0]
        own = received.diagonal(axis1=-2, axis2=-1)
        slack[:, :-1] += self.ratio * own - received.sum(axis=-1) - 1
        slack[:, -1] += 1
        return np.asarray(slack)

    def to_maximise(self, theta: ComplexArray) -> System:
        """The same constraints with the objective ``tr(Theta R)``, for Theta Hermitian, (B, N, N)."""
        return attrs.evolve(self, objective=Linear(theta))


@part
def write_slack(constraints: Constraints, received: ComplexArray, chain: FloatArray, slack: FloatArray) -> None:
    """Write `System.slack` of one member, (K+1,), for ``H^H V`` (K, L) and R_ii (N,)."""
    load, ratio = constraints.load, constraints.ratio
    K, L = received.shape
    for k in range(K + 1):
        slack[k] = 0.0
    for i in range(chain.size):
        for k in range(K + 1):
            slack[k] -= load[i, k] * chain[i]
    for k in range(K):
        slack[k] += ratio[k] * real_inner(received[k, k], received[k, k]) - 1
        for s in range(L):
            slack[k] -= real_inner(received[k, s], received[k, s])
    slack[K] += 1


def prices(constraints: Constraints, multipliers: FloatArray) -> ComplexArray:
    """``sum_k lambda_k (h_k h_k^H + diag(e |h_k|^2)) + mu I``, Hermitian, (B, N, N), of multipliers (B, K+1).

    What the constraints charge for the covariance of a stream that serves no user; the beam of
    user k gets ``lambda_k c_k h_k h_k^H`` back.
    """
    charged = (constraints.H * multipliers[:, None, :-1]) @ constraints.HH
    i = np.arange(charged.shape[-1])
    charged[:, i, i] += (constraints.load @ multipliers[..., None])[..., 0]
    return np.asarray(charged)


def groups(
    problem: Any, least: FloatArray, objective: Callable[[IntArray, FloatArray, FloatArray], Any]
) -> list[Group]:
    """The members of a flat batch, by number of asked users, and what their SQINRs need.

    Args:
        problem: Channels, powers and hardware.
        least: Least SQINR of each user, (B, K_all), or (1, K_all) where all share it; 0 asks nothing.
        objective: What is maximised, of the members at some places, for the lengths (B, N) of
            the rows of their precoders and the ratios e (B, N) of the transmit chains.

    Raises:
        InvalidInput: For hardware that is none of `isacsim.hardware.converters`.
    """
    members, antennas, users = problem.H.shape
    gain, transmit = distortion_ratios(problem.transceiver.transmit, antennas, "transceiver.transmit")
    _, receiver = distortion_ratios(problem.transceiver.user, users, "transceiver.user")
    power, noise = each(problem.power, members), each(problem.noise_power, members)
    least, found = each(least, members), []
    for at, columns in _by_count(least > 0):
        row, unit, heard = at[:, None], power[at], receiver[columns]
        HH, threshold, e = problem.H[row, :, columns], least[row, columns], transmit[None].repeat(at.size, axis=0)
        (size, count), place = columns.shape, np.empty
        lengths, ratio, asked = place((size, antennas)), place((size, count)), place((size, count))
        H, load = place((size, antennas, count), complex), place((size, antennas, count + 1))
        results = (lengths, H, load, ratio, asked)
        compiled(normalise_each)(HH, unit, noise[row, columns], threshold, heard, e, *results)
        system = System(
            H=H,
            HH=HH,
            load=load,
            threshold=threshold,
            ratio=ratio,
            receiver=heard,
            transmit=e,
            asked=asked,
            scale=lengths / gain,
            unit=unit,
            objective=objective(at, lengths, e),
        )
        found.append(Group(system, at, columns, least_power(system)))
    return found


def normalise_each(
    HH: ComplexArray,
    power: FloatArray,
    noise: FloatArray,
    threshold: FloatArray,
    receiver: FloatArray,
    transmit: FloatArray,
    lengths: FloatArray,
    H: ComplexArray,
    load: FloatArray,
    ratio: FloatArray,
    asked: FloatArray,
) -> None:
    """Write the constraints of channels h_k (B, K, N), over which their conjugates are written, member by member.

    They are in units of noise and of lengths of the rows of a precoder, (B, N), of which those of V are shares.
    """
    members, K, N = HH.shape
    for b in range(members):
        for i in range(N):
            lengths[b, i] = np.sqrt(power[b] / (1 + transmit[b, i]))
            load[b, i, K] = 1.0
            for k in range(K):
                h = HH[b, k, i] * (lengths[b, i] / np.sqrt(noise[b, k]))
                H[b, i, k], HH[b, k, i] = h, np.conj(h)
                load[b, i, k] = transmit[b, i] * real_inner(h, h)
        for k in range(K):
            least, heard = threshold[b, k], receiver[b, k]
            ratio[b, k] = (1 + 1 / least) / (1 + heard)
            asked[b, k] = least * (1 + heard) / (1 - least * heard)


def _by_count(asked: BoolArray) -> Iterator[tuple[IntArray, IntArray]]:
    """The members with a number of asked users (B, K), and which these are, in order, (M, count), for each number."""
    counts = asked.sum(axis=-1)
    for count in sorted(set(counts.tolist())):
        at = (counts == count).nonzero()[0]
        yield at, asked[at].nonzero()[1].reshape(at.size, count)
