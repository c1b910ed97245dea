"""Balancing sum rate against the CRLB of point targets [Fang25, eq. (11)].

Maximise ``rate_weight SR(W) - crlb_weight tr(F(W)^-1)`` over precoders of given power.
Full power is optimal: both terms improve when W grows.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.batch import batch_shape, batched, spectrum_of
from isacsim.checks import choice, instance, number, snapshots
from isacsim.drop import Drop
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Transceiver
from isacsim.keywords import keywords
from isacsim.link import ADDRESSED, MODES, Echo, Mode, Reception, Transmission, in_words
from isacsim.metrics.cotangents import Cotangent, crlb_cotangent, rate_cotangent
from isacsim.metrics.fim import FimTensor, information, information_of
from isacsim.problems.base import posed, spread_over_users
from isacsim.problems.identifiability import for_each, screened
from isacsim.problems.rate_and_crlb import STREAMS, WEIGHT, Merits, RateAndCrlb, RateAndCrlbWeights
from isacsim.problems.selection import check_parameters, kinds_named, selection_of, weighted_trace, weights_of_kinds
from isacsim.targets.scene import ParametricScene, parametric
from isacsim.typing import BoolArray, ComplexArray, FloatArray


@frozen(kw_only=True)
class SumRateCrlbWeights(RateAndCrlbWeights):
    """The table of a ``sum-rate-crlb`` problem in a scenario.

    Args:
        per_antenna: Each antenna radiates the same share of the power.
        channel_error: Variance of the error in each entry of the channels that the designer takes for
            known, linear; see `SumRateCrlb`.
    """

    per_antenna: bool = field(default=False, validator=instance(bool))
    channel_error: float = field(default=0.0, validator=number(least=0), metadata=units.db())

    def pose(self, drop: Drop, transceiver: Transceiver) -> SumRateCrlb:
        """The problem for the realisations of a drop."""
        parametric("targets.kind", drop.targets, "sum-rate-crlb")
        return posed(SumRateCrlb, self, drop, transceiver)


@keywords()
@frozen
class SumRateCrlb(RateAndCrlb):
    """Maximise ``rate_weight SR - crlb_weight tr(D F^-1)`` at full power.

    Args:
        H: Channels, shape (..., N_t, K), amplitude; column k is h_k, user k receives
            ``h_k^H x + n_k``.
        targets: Point targets, with angles of shape (..., M), or another scene with unknown parameters.
        power: Transmit power, shape (...), in W.
        noise_power: Noise of each user, broadcast to (..., K), in W.
        radar_noise_power: Noise of each sensing receive chain, shape (...), in W.
        snapshots: Samples L in a coherent sensing interval.
        rate_weight: Weight of the sum rate (nat/s/Hz).
        crlb_weight: Weight of the CRLB.
        sensing_streams: Streams S beside the users'; None is max(0, M - K), which loses
            nothing; of another scene its ``sensing_streams`` take the place of M.
        parameters: Kinds of parameters whose CRLBs count (D selects them), of point targets
            ``azimuth``, ``zenith`` and ``reflection``; None is all of them, as in the paper.
        parameter_weights: Weight of each of ``parameters`` on the diagonal of D.
        per_antenna: Each antenna radiates power / N_t, instead of a total power.
        transceiver: The hardware designed for.
        mode: What the sensing receiver knows: ``"signal"``, the digital one, or ``"radiated"``, also what the
            transmit chains make of it (`isacsim.link.Echo`).
        channel_error: Covariance of the error of each user's channel, (..., K, N_t, N_t), where H is an
            estimate with which the error is not correlated; one number is the variance of each
            entry. The rates then are those that a receiver can reach which knows the estimate.

    Raises:
        InvalidInput: If an argument breaks a rule, or shapes do not fit together.
    """

    kind: ClassVar[str] = "sum-rate-crlb"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "per antenna": {"per_antenna": True},
        "rates alone": {"crlb_weight": 0.0},
    }

    H: ComplexArray = batched(2, dtype=complex)
    targets: ParametricScene = field()
    power: FloatArray = batched(0, above=0.0)
    noise_power: FloatArray = batched(1, above=0.0, scalar=True)
    radar_noise_power: FloatArray = batched(0, above=0.0)
    snapshots: float = field(validator=snapshots)
    rate_weight: float = field(validator=WEIGHT)
    crlb_weight: float = field(validator=WEIGHT)
    sensing_streams: int | None = field(default=None, validator=STREAMS)
    parameters: tuple[str, ...] | None = field(default=None, converter=kinds_named)
    parameter_weights: tuple[float, ...] | None = field(default=None, converter=weights_of_kinds)
    per_antenna: bool = field(default=False, validator=instance(bool))
    transceiver: Transceiver = field(default=Transceiver(), validator=instance(Transceiver))
    mode: Mode = field(default="signal", converter=in_words, validator=choice(*MODES), metadata=ADDRESSED)
    channel_error: ComplexArray = batched(3, dtype=complex, scalar=True, default=0.0)

    def __attrs_post_init__(self) -> None:
        parametric("targets", self.targets, "a CRLB")
        antennas, users = self.H.shape[-2:]
        self._check_shapes(antennas)
        check_parameters(self.targets.unknowns, self.parameters, self.parameter_weights)
        spread_over_users(self, "noise_power")
        self._spread_error(antennas, users)
        batch_shape(self)

    def _spread_error(self, antennas: int, users: int) -> None:
        """Give the field ``channel_error`` a matrix a user, or one number (1, 1, 1) where there is no error."""
        error = self.channel_error
        if error.ndim == 0:
            error = np.tile(error * np.eye(antennas), (users, 1, 1)) if error else error.reshape(1, 1, 1)
        elif error.shape[-3:] not in ((1, 1, 1), (users, antennas, antennas)):
            rule = f"must be one variance, or covariances of shape (..., {users}, {antennas}, {antennas})"
            raise InvalidInput("channel_error", rule, error.shape, "Give a matrix for each user.")
        if not np.count_nonzero(error):
            object.__setattr__(self, "channel_error", error)
            return
        alike = np.allclose(error, np.conj(error).swapaxes(-1, -2), rtol=1e-9, atol=0.0)
        if not alike or np.any(spectrum_of(error)[..., 0] < -1e-9 * np.abs(error).max(initial=0.0)):
            rule = "must be Hermitian and positive semidefinite"
            raise InvalidInput("channel_error", rule, "a matrix that is not", "Give covariances.")
        object.__setattr__(self, "channel_error", np.ascontiguousarray(error))

    @property
    def channels_known(self) -> bool:
        """Whether there is no error of the channels."""
        return not np.count_nonzero(self.channel_error)

    def _check_shapes(self, antennas: int) -> None:
        if antennas < 1:
            raise InvalidInput("H", "must have at least one antenna", self.H.shape, "H is (..., N_t, K).")
        if antennas != self.targets.antennas[1]:
            raise InvalidInput(
                "H", f"must have the {self.targets.antennas[1]} transmit antennas of the targets", self.H.shape,
                "H is (..., N_t, K).",
            )  # fmt: skip
        self.check_terms()

    @property
    def selection(self) -> FloatArray:
        """Weight of each unknown parameter's CRLB, the diagonal of D, shape (P,)."""
        return selection_of(self.targets.unknowns, self.parameters, self.parameter_weights)

    @cached_property
    def ideal_sensing(self) -> tuple[ComplexArray, FimTensor]:
        """V (..., N_t, 3M) and the tensor that make the FIM of ideal hardware (`isacsim.metrics.fim`)."""
        tensor = FimTensor.ideal(self.targets, self.radar_noise_power, self.snapshots)
        return self.targets.transmit_basis(), tensor

    def crlb(self, sent: Transmission) -> FloatArray:
        """``tr(D F^-1)`` of a transmission, shape (...); infinite where F is singular."""
        bounds = information_of(self.targets, self.echo(sent), self.snapshots).bounds
        return weighted_trace(bounds, self.selection)

    def merit_cotangent(self, sent: Transmission) -> tuple[Merits, Cotangent]:
        """The two terms of the merit of a transmission, each (...), and the derivative of their weighted sum."""
        users, echo, transceiver = self.reception(sent), self.echo(sent), self.transceiver
        rate = self.sum_rate(users)
        found = rate_cotangent(self.H, sent, users, transceiver.user).times(self.rate_weight)
        bound = np.full(np.shape(rate), np.nan)
        if self.crlb_weight:
            bound, other = crlb_cotangent(self.targets, echo, self.selection, self.snapshots, transceiver.receive)
            found = found + other.times(-self.crlb_weight)
        return Merits(rate, bound, users.sqinr), found

    def reception(self, sent: Transmission) -> Reception:
        """What the users receive of a transmission, with what the channels' error makes noise."""
        error = None if self.channels_known else self.channel_error
        return Reception.of(self.H, sent, self.noise_power, self.transceiver.user, error)

    def echo(self, sent: Transmission) -> Echo:
        """What the sensing receiver gets of a transmission."""
        response, receive = self.targets.response(), self.transceiver.receive
        return Echo.of(response, sent, self.radar_noise_power, receive, self.mode)

    def constraints(self, W: Any) -> dict[str, FloatArray]:
        """Relative slack of the power: ``total`` (...), or ``antenna`` (..., N_t)."""
        sent, budget = self.sent(W), np.asarray(self.power)[..., None]
        if self.per_antenna:
            return {"antenna": 1 - sent.antenna_power * sent.antenna_power.shape[-1] / budget}
        return {"total": 1 - sent.power / budget[..., 0]}

    def screen(self) -> tuple[BoolArray, list[tuple[str, ...]]]:
        """Which members of a flat batch are identifiable, and notes on each.

        A member whose CRLB carries no weight passes.
        """
        members = self.H.shape[0]
        if not self.crlb_weight:
            return np.ones(members, bool), [()] * members
        regular, notes = screened(self)
        if self.targets.antennas[0] < self.targets.receive_basis().shape[-1]:  # else any stream tells as much as all
            regular, notes = self._with_few_streams(regular, notes)
        return for_each(members, regular, notes)

    def _with_few_streams(
        self, regular: BoolArray, notes: list[tuple[str, ...]]
    ) -> tuple[BoolArray, list[tuple[str, ...]]]:
        """What is left of the identifiable members when there are only K+S streams."""
        antennas, streams = self.H.shape[-2], self.streams
        # Of unrelated phases: what such a precoder cannot tell apart, none of as many columns can.
        phases = np.sqrt(2.0) * np.outer(np.arange(1, antennas + 1) ** 2, np.arange(1, streams + 1))
        W = np.sqrt(np.asarray(self.power)[..., None, None] / phases.size) * np.exp(1j * phases)
        few = information(self.targets, W, self.radar_noise_power, self.snapshots, self.transceiver)
        enough = np.broadcast_to(few.inverse[1], regular.shape)
        receivers = self.targets.antennas[0]
        told = f"{streams} streams and {receivers} receive antennas are too few for the target parameters; add streams"
        return regular & enough, [
            (told,) if r and not e else note for r, e, note in zip(regular, enough, notes, strict=True)
        ]
