"""What problems with a least SINR of each user and a total power have in common.

`SinrConstrained` is the problem, `SinrRequirements` its table in a scenario. What users are asked for is one
field, which the class variable ``asks`` names: ``min_sinr``, or ``min_sqinr`` where hardware is the subject.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar, Self

import attrs
import numpy as np
from attrs import frozen

from isacsim.batch import all_of, batch_shape, squared
from isacsim.drop import Drop
from isacsim.errors import InvalidInput
from isacsim.grid import Grid
from isacsim.hardware.base import Transceiver
from isacsim.hardware.converters import white_ratios
from isacsim.hardware.spectral import OverBand
from isacsim.link import Reception, Transmission
from isacsim.problems.base import (
    Problem,
    Requirements,
    one_or_each_user,
    posed,
    sinr_and_power_slacks,
    spread_over_users,
)
from isacsim.typing import AnyArray, FloatArray


@frozen(eq=False)
class Held:
    """A problem whose hardware keeps the gains and the distortion that it has at some precoders.

    Attributes:
        problem: The problem, on ideal chains, of what leaves the gains of the transmit chains; of its power distortion
            takes a part.
        worth: By which its objective counts, (...).
        gain: The gains, (..., N_t).
        distortion: Power of transmit distortion, (...), in W.
    """

    problem: SinrConstrained
    worth: FloatArray
    gain: AnyArray
    distortion: FloatArray


class SinrConstrained(Problem):
    """A problem in H (..., N_t, K) with least SINRs of the users and a total power.

    Attributes:
        asks: Name of the field with the least SINRs.
    """

    asks: ClassVar[str] = "min_sinr"
    H: Any
    noise_power: Any
    power: Any

    def __attrs_post_init__(self) -> None:
        if self.H.shape[-2] < 1:
            raise InvalidInput("H", "must have at least one antenna", self.H.shape, "H is (..., N_t, K).")
        spread_over_users(self, self.asks, "noise_power")
        batch_shape(self)

    @property
    def asked(self) -> FloatArray:
        """Least SINR of each user, (..., K), linear; 0 is none."""
        return np.asarray(getattr(self, self.asks))

    @property
    def users(self) -> int:
        """Number of users K."""
        return int(self.H.shape[-1])

    @cached_property
    def streams(self) -> int:
        """Number of precoder columns, K+S: sensing takes up to S = N_t streams, so that R can have any rank."""
        return int(self.users + self.H.shape[-2])

    def constraints(self, W: Any) -> dict[str, FloatArray]:
        """Relative slacks of the SINRs (..., K), infinite where none is asked, and of the power, ``total`` (...).

        The first is called by what is asked for: ``sinr`` or ``sqinr``.
        """
        slacks = sinr_and_power_slacks(self, self.asked, self.sent(W))
        return dict(zip((self.asks.removeprefix("min_"), "total"), slacks, strict=True))

    def held(self, W: Any) -> Held:
        """The problem at the gains and the distortion that hardware has for the precoders W (..., N_t, K+S).

        Distortion of the transmit chains and of a user's receiver is noise there. At W itself SQINRs are those of the
        hardware, and so is the objective, times its worth.

        Raises:
            InvalidInput: If transmit chains are coupled.
        """
        sent = self.sent(W)
        model = sent.model
        if model is None or model.coupled:
            chains = self.transceiver.transmit
            raise InvalidInput("transmit", "must not couple chains", chains, "Leave the coupling out.")
        receiver = Reception.of(self.H, sent, self.noise_power, self.transceiver.user).receiver
        noise = self.noise_power + sent.distortion_along(self.H) + receiver.distortion_power / squared(receiver.gain)
        changes, worth = self.sensing_held(sent)
        ideal = attrs.evolve(self, noise_power=noise, transceiver=Transceiver(), **changes)
        return Held(ideal, worth, model.gain, sent.power - squared(sent.precoder).sum(axis=(-2, -1)))

    def over_band(self, grid: Grid) -> Self:
        """The problems (F,) behind the hardware as the subcarriers of one band meet it."""
        chains, radar = self.transceiver, getattr(self, "radar_noise_power", np.zeros(1))
        transmit, user = OverBand(chains.transmit, grid), OverBand(chains.user, grid, np.asarray(self.noise_power)[0])
        receive = OverBand(chains.receive, grid, np.ravel(radar)[0])
        return attrs.evolve(self, transceiver=Transceiver(transmit=transmit, receive=receive, user=user))

    def relaxed(self, grid: Grid, total: float) -> tuple[Self, float]:
        """Problems (F,) on ideal chains that all precoders through the hardware solve too, and their power, in W.

        Converters put out e_i of distortion for each W of signal of a chain, white over N bins, so that at most
        ``1 / (1 + min e F/N)`` of the power is signal. A user of SQINRs of gamma at least, whose converter adds e of
        what arrives in a sample, A, has the noise ``sigma^2 + e A`` with ``N A >= N sigma^2 + sum_f gamma (sigma^2 +
        e A)``. Of other hardware distortion is left out.
        """
        F, N, chains = grid.used, grid.subcarriers, self.transceiver
        antennas, users = self.H.shape[-2:]
        most = 1 / (1 + white_ratios(chains.transmit, antennas).min(initial=np.inf) * F / N)
        e, noise = white_ratios(chains.user, users), np.asarray(self.noise_power)
        asked = np.broadcast_to(self.asked, (F, users)).sum(axis=0)
        left = N - asked * e
        # Where nothing is left no power is enough: noise that none is above says so.
        arriving = noise * (N + asked) / np.where(left > 0, left, np.finfo(float).tiny ** 0.25)
        return attrs.evolve(self, transceiver=Transceiver(), noise_power=noise + e * arriving), total * most

    def sensing_held(self, sent: Transmission) -> tuple[dict[str, Any], FloatArray]:
        """What changes in the problem, and by how much its objective counts, where distortion is that of ``sent``."""
        raise NotImplementedError(f"{type(self).__name__} must say what distortion does to its objective")

    def hopeless(self) -> list[str]:
        """That a user of whom something is asked has a channel of zeros, also one that underflows."""
        notes, energy = [""] * self.members, squared(self.H).sum(axis=-2)
        if all_of(energy > 0):
            return notes
        silent = energy == 0
        asked = np.broadcast_to(self.asked, (self.members, self.users))
        lost = silent & (asked > 0)
        for i in np.flatnonzero(lost.any(axis=-1)):
            user, what = int(lost[i].argmax()), self.asks.removeprefix("min_").upper()
            notes[i] = (
                f"infeasible: the {what} {asked[i, user]:.6g} of user {user} is unattainable: its channel is zero"
            )
        return notes


class SinrRequirements(Requirements):
    """The table of such a problem in a scenario; the field of the same name holds one number, or one for each user.

    Attributes:
        problem: The problem that it poses.
    """

    problem: ClassVar[type[SinrConstrained]]

    def __attrs_post_init__(self) -> None:
        one_or_each_user(self.problem.asks, getattr(self, self.problem.asks))

    def pose(self, drop: Drop, transceiver: Transceiver) -> SinrConstrained:
        """The problem for the realisations of a drop."""
        one_or_each_user(self.problem.asks, getattr(self, self.problem.asks), drop.H.shape[-1])
        return posed(self.problem, self, drop, transceiver)
