"""Linear precoders in closed form: what every design is compared with.

Each gives the users' beams; sensing streams are beams of the DFT, spread evenly, so that as many of
them as antennas radiate isotropically. Nothing is asked of the requirements: a beam may miss them, and
the solution's notes say which.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import attrs
import numpy as np
from attrs import field, frozen

from isacsim.batch import hermitian, squared
from isacsim.checks import is_number
from isacsim.errors import InvalidInput
from isacsim.optimisation.spheres import Spheres
from isacsim.solvers.base import Request, Solver, other_kind, refuse_starts
from isacsim.solvers.solution import Solution
from isacsim.solvers.surface import PowerSurface
from isacsim.typing import ComplexArray

DARK = "there is nothing to radiate: the channels of all users are zero"


def _share(_instance: Any, attribute: Any, value: Any) -> None:
    if value is not None and not (is_number(value) and 0 <= value <= 1):
        remedy = "Leave it out for the same power in every stream."
        raise InvalidInput(attribute.name, "must be a part of the power, from 0 to 1", value, remedy)


@frozen
class ClosedForm(Solver):
    """A precoder in closed form, scaled to the power."""

    problems: ClassVar[tuple[str, ...]] = ("sum-rate-crlb", "crb-min", "point-crb-min", "sqnr-max")
    guarantee: ClassVar[str] = "within the power; nothing else"
    heuristic: ClassVar[bool] = True

    def takes(self, problem: Any) -> str | None:
        """These kinds, on any hardware: the beams know nothing of it, and the power is what leaves it."""
        return other_kind(self, problem)

    def solve(self, problem: Any, request: Request) -> Solution:
        """The solution of a flat batch."""
        refuse_starts(request)
        directions = self.directions(problem)
        notes = ["" if W.any() else DARK for W in directions]
        return Solution.of(problem, full_power(problem, directions), notes=notes)

    @abstractmethod
    def directions(self, problem: Any) -> ComplexArray:
        """The precoders (B, N_t, K+S) but for one factor each."""


@frozen
class Beams(ClosedForm):
    """Beams of the users in closed form, beside sensing streams along the DFT.

    Args:
        sensing_share: Part of the power for the sensing streams; None gives every stream the same power.
    """

    sensing_share: float | None = field(default=None, validator=_share)

    def directions(self, problem: Any) -> ComplexArray:
        """Columns of length 1, times the roots of their powers."""
        users, sensing = problem.users, problem.streams - problem.users
        W = np.concatenate([self.beams(problem), spread(problem.H, sensing)], axis=-1)
        share = sensing / problem.streams if self.sensing_share is None else self.sensing_share
        share = share if users and sensing else float(users == 0)
        powers = [(1 - share) / max(users, 1)] * users + [share / max(sensing, 1)] * sensing
        return unit(W) * np.sqrt(powers)

    @abstractmethod
    def beams(self, problem: Any) -> ComplexArray:
        """The users' beams (B, N_t, K), of any lengths."""


@frozen
class MaximumRatio(Beams):
    """Maximum-ratio transmission: each beam along its user's channel, the most power there; interference stays."""

    def beams(self, problem: Any) -> ComplexArray:
        """``h_k``."""
        return np.asarray(problem.H)


@frozen
class ZeroForcing(Beams):
    """Zero forcing: no interference between users, where there are at least as many antennas."""

    def beams(self, problem: Any) -> ComplexArray:
        """``H (H^H H)^-1``, by the pseudo-inverse, so that channels that depend on each other break nothing."""
        return np.asarray(hermitian(np.linalg.pinv(problem.H)))


@frozen
class RegularisedZeroForcing(Beams):
    """Regularised zero forcing, the transmit MMSE filter: between maximum ratio and zero forcing, by the SNR."""

    def beams(self, problem: Any) -> ComplexArray:
        """``H (H^H H + K/P I)^-1`` of channels in units of the users' noise."""
        H = problem.H / np.sqrt(problem.noise_power)[..., None, :]
        users = H.shape[-1]
        load = users / np.broadcast_to(problem.power, H.shape[:1])
        return np.asarray(H @ np.linalg.inv(hermitian(H) @ H + load[:, None, None] * np.eye(users)))


@frozen
class DftBeams(Beams):
    """A beam of the DFT for each user: the free one that its channel is strongest along."""

    def beams(self, problem: Any) -> ComplexArray:
        """Columns of the unitary DFT over the antennas, chosen user by user; taken ones again when all are."""
        members, antennas, users = problem.H.shape
        codebook = dft(antennas)
        gain = squared(hermitian(codebook) @ problem.H)  # (B, beams, K)
        free, chosen = np.ones((members, antennas), bool), np.empty((members, users), int)
        for user in range(users):
            if user % antennas == 0:
                free[:] = True
            chosen[:, user] = np.where(free, gain[:, :, user], -1.0).argmax(axis=-1)
            free[np.arange(members), chosen[:, user]] = False
        return np.ascontiguousarray(codebook[:, chosen].swapaxes(0, 1))


@frozen
class EqualSplit(ClosedForm):
    """Every stream from antennas of its own, each antenna at the same power: what no channel knowledge gives."""

    def directions(self, problem: Any) -> ComplexArray:
        """Antenna n radiates stream ``n mod (K+S)``."""
        members, antennas, _ = problem.H.shape
        W = np.arange(antennas)[:, None] % problem.streams == np.arange(problem.streams)
        return np.broadcast_to(W, (members, *W.shape)).astype(complex)


def dft(antennas: int) -> ComplexArray:
    """The unitary DFT, (N_t, N_t)."""
    n = np.arange(antennas)
    return np.exp(2j * np.pi * np.outer(n, n) / antennas) / np.sqrt(antennas)


def spread(H: ComplexArray, count: int) -> ComplexArray:
    """``count`` beams of the DFT spread evenly over its columns, for each channel (B, N_t, count)."""
    members, antennas, _ = H.shape
    columns = np.arange(count) * antennas // max(count, 1) if count <= antennas else np.arange(count) % antennas
    return np.broadcast_to(dft(antennas)[:, columns], (members, antennas, count))


def unit(W: ComplexArray) -> ComplexArray:
    """Columns of length 1; a column of zeros stays."""
    length = np.sqrt(np.ascontiguousarray(squared(W).swapaxes(-1, -2)).sum(axis=-1))[..., None, :]
    return np.divide(W, length, out=np.zeros_like(W), where=length > 0)


def full_power(problem: Any, W: ComplexArray) -> ComplexArray:
    """The precoders at the total power, or with each antenna at its share where that is the constraint.

    Behind hardware that is what leaves it, as far as it can be driven to that. What has no beams stays dark.
    """
    surface = attrs.evolve(PowerSurface.of(problem), held=np.ones((1, 1), bool))
    Z = np.where(W.any(axis=(-2, -1), keepdims=True), surface.coordinates(W), 1.0)
    Z = surface.project(Spheres(surface.power, surface.apart).project(Z))
    return np.where(W.any(axis=-1, keepdims=True), surface.precoder(Z), 0.0)
