"""What problems that balance a sum rate against a weighted CRLB share: their weights, and the merit these make."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.checks import choice, number, whole
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Hardware
from isacsim.link import ADDRESSED, MODES, Mode, Reception, Transmission, in_words
from isacsim.problems.base import Problem, Requirements
from isacsim.problems.selection import kinds_named, weights_of_kinds
from isacsim.typing import ComplexArray, FloatArray

WEIGHT = number(least=0, remedy="Use 0 to drop the term.")
STREAMS = whole(0, "Leave it out for max(0, M - K).", optional=True)


@frozen(kw_only=True)
class RateAndCrlbWeights(Requirements):
    """What the tables of such problems in a scenario share.

    Args:
        rate_weight: Weight of the sum rate, or of its mean over a band, per nat/s/Hz.
        crlb_weight: Weight of the CRLB.
        sensing_streams: Streams S for sensing beside the users'; None is max(0, M - K).
        parameters: Kinds of unknowns whose CRLBs count, of point targets ``azimuth``, ``zenith`` and ``reflection``,
            and over a band ``delay`` and ``doppler`` in cells of the grid; None is all of them, which adds rad^2,
            amplitudes and cells.
        parameter_weights: Weight of each of ``parameters``; None is 1 each.
        mode: What the sensing receiver knows, ``signal`` or ``radiated``.
    """

    rate_weight: float = field(validator=WEIGHT)
    crlb_weight: float = field(validator=WEIGHT)
    sensing_streams: int | None = field(default=None, validator=STREAMS)
    parameters: tuple[str, ...] | None = field(default=None, converter=kinds_named)
    parameter_weights: tuple[float, ...] | None = field(default=None, converter=weights_of_kinds)
    mode: Mode = field(default="signal", converter=in_words, validator=choice(*MODES), metadata=ADDRESSED)


@frozen(eq=False)
class Merits:
    """What a transmission is worth: sum rate (...), in nat/s/Hz, weighted CRLB (...) and SQINRs (..., K)."""

    sum_rate: FloatArray
    crlb: FloatArray
    sqinr: FloatArray


class RateAndCrlb(Problem):
    """Maximise ``rate_weight SR - crlb_weight tr(D F^-1)``, of H (..., N_t, K) and targets."""

    H: ComplexArray
    targets: Any
    rate_weight: float
    crlb_weight: float
    sensing_streams: int | None

    @property
    def users(self) -> int:
        """Number of users K."""
        return int(self.H.shape[-1])

    @property
    def transmit(self) -> Hardware:
        """The transmit chains as precoders see them."""
        return self.transceiver.transmit

    @cached_property
    def streams(self) -> int:
        """Number of precoder columns, K+S."""
        sensing, users = self.sensing_streams, self.users
        return users + int(max(0, self.targets.sensing_streams - users) if sensing is None else sensing)

    def check_terms(self) -> None:
        """Refuse what leaves nothing to maximise, or nothing to send.

        Raises:
            InvalidInput: It names the field.
        """
        if self.streams < 1:
            rule = "must be at least 1 without users"
            raise InvalidInput("sensing_streams", rule, self.sensing_streams, "Set it to M.")
        if self.rate_weight == 0 and self.crlb_weight == 0:
            raise InvalidInput("rate_weight, crlb_weight", "must not both be 0", "0 and 0", "Weigh at least one term.")
        if self.users == 0 and self.crlb_weight == 0:
            raise InvalidInput("H", "must have users when crlb_weight is 0", self.H.shape, "H is (..., N_t, K).")

    @abstractmethod
    def reception(self, sent: Transmission) -> Reception:
        """What the users receive of a transmission."""

    @abstractmethod
    def crlb(self, sent: Transmission) -> FloatArray:
        """``tr(D F^-1)`` of a transmission, shape (...); infinite where F is singular."""

    def sum_rate(self, users: Reception) -> FloatArray:
        """Sum rate of what users receive, in nat/s/Hz."""
        return np.asarray(np.log1p(users.sqinr).sum(axis=-1))

    def merit(self, sent: Transmission) -> FloatArray:
        """Weighted sum rate minus weighted CRLB of a transmission, shape (...); -inf where F is singular."""
        rate = self.sum_rate(self.reception(sent)) if self.rate_weight else 0.0
        return self.weighed(rate, self.crlb(sent) if self.crlb_weight else 0.0)

    def weighed(self, sum_rate: Any, crlb: Any) -> FloatArray:
        """The merit of a sum rate and a CRLB, of which one without a weight does not count."""
        value = self.rate_weight * sum_rate if self.rate_weight else 0.0
        return np.asarray(value - self.crlb_weight * crlb if self.crlb_weight else value)
