"""Balancing sum rate against the CRLB of moving point targets over all subcarriers of a grid at once.

Maximise ``rate_weight (1/F) sum_f SR(W[f]) - crlb_weight tr(D F^-1)`` over precoders on F subcarriers with
``(1/N) sum_f ||W[f]||^2 = P``, the power of the samples. Rates add up, and the Fisher information does
(`isacsim.metrics.delay_doppler`); the bound is the inverse of the whole sum, which is why the subcarriers are
one problem: a delay wants power at the edges of the band, where users may have no channel.

Delays count in cells ``1 / (F spacing)`` and Doppler shifts in cells ``1 / (T T_s)``, what the grid resolves of
each, so that their bounds have no unit, as those of angles and reflections.

An optimum without a term that spreads power over the band is two tones at its edges, whose delay is ambiguous:
where the bound of a delay is weighed and the rate is not, a cap on the power of a subcarrier is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from attrs import field, frozen

from isacsim.batch import batch_shape, batched, flatten, squared, take
from isacsim.checks import choice, instance, number
from isacsim.drop import Drop, WidebandDrop
from isacsim.errors import InvalidInput
from isacsim.grid import Grid
from isacsim.hardware.base import Transceiver, chain_power
from isacsim.hardware.spectral import OverBand
from isacsim.keywords import keywords
from isacsim.link import ADDRESSED, MODES, Echo, Mode, Reception, Transmission, band_reception, covariance, in_words
from isacsim.metrics.cotangents import Cotangent, band_crlb_cotangent, rate_cotangent
from isacsim.metrics.delay_doppler import cells_of, information_of_band, kinds_of, labels_of, require_unambiguous
from isacsim.problems.base import Variable, posed, spread_over_users
from isacsim.problems.identifiability import for_each, identifiability
from isacsim.problems.rate_and_crlb import STREAMS, WEIGHT, Merits, RateAndCrlb, RateAndCrlbWeights
from isacsim.problems.selection import check_parameters, kinds_named, selection_of, weighted_trace, weights_of_kinds
from isacsim.problems.sum_rate_crlb import SumRateCrlb
from isacsim.targets.scene import PointTargets
from isacsim.typing import BoolArray, ComplexArray, FloatArray

CAP = number(least=1, remedy="1 spreads the power evenly; leave it out for no cap.", optional=True)
UNKNOWNS = ("azimuth", "zenith", "delay", "doppler", "reflection")


@frozen(kw_only=True)
class BandSumRateCrlbWeights(RateAndCrlbWeights):
    """The table of a ``band-sum-rate-crlb`` problem in a scenario.

    Args:
        unknowns: What is not known of the targets: of ``azimuth``, ``zenith`` (of planar arrays), ``delay``,
            ``doppler`` and ``reflection``. With one subcarrier there is no delay to be told, with one symbol no Doppler
            shift.
        subcarrier_cap: Most power of a subcarrier, over that of an even split; None is no cap.
        shared: All subcarriers have one precoder, as with analogue precoding.

    A target beyond the prefix is what is left of it; what strays of it to other subcarriers is in the metrics, and no
    part of the noise that is designed for.
    """

    wideband: ClassVar[bool] = True

    unknowns: tuple[str, ...] = field(default=UNKNOWNS, converter=tuple)
    subcarrier_cap: float | None = field(default=None, validator=CAP)
    shared: bool = field(default=False, validator=instance(bool))

    def pose(self, drop: Drop, transceiver: Transceiver) -> BandSumRateCrlb:
        """The problem for the realisations of a drop."""
        if not isinstance(drop, WidebandDrop):
            rule = "must be there for band-sum-rate-crlb"
            raise InvalidInput("base_station.grid", rule, "no grid", "Use sum-rate-crlb for a narrowband signal.")
        if not isinstance(drop.targets, PointTargets):
            rule = "must be point targets for band-sum-rate-crlb"
            raise InvalidInput("targets.kind", rule, type(drop.targets).__name__, "Use kind 'points'.")
        return posed(BandSumRateCrlb, self, drop, transceiver)


@keywords()
@frozen
class BandSumRateCrlb(RateAndCrlb):
    """Maximise ``rate_weight (1/F) sum_f SR(W[f]) - crlb_weight tr(D F^-1)`` at full power.

    Args:
        H: Channels on the active subcarriers, shape (..., F, N_t, K), amplitude; column k is h_k.
        targets: Point targets of shape (..., M), with delays and velocities.
        power: Power of the samples, ``(1/N) sum_f ||W[f]||^2``, shape (...), in W.
        noise_power: Noise of each user, broadcast to (..., K), in W.
        radar_noise_power: Noise of each sensing receive chain, shape (...), in W.
        grid: The grid, whose symbols are the coherent sensing interval.
        rate_weight: Weight of the sum rate over the band (nat/s/Hz).
        crlb_weight: Weight of the CRLB.
        sensing_streams: Streams S beside the users'; None is max(0, M - K).
        unknowns: What is not known of the targets.
        parameters: Which of the unknowns' CRLBs count (D selects them); None is all of them.
        parameter_weights: Weight of each of ``parameters`` on the diagonal of D.
        subcarrier_cap: Most power of a subcarrier, over that of an even split; None is no cap.
        shared: All subcarriers have one precoder.
        transceiver: The hardware designed for, which meets samples.
        mode: What the sensing receiver knows (`isacsim.link.Echo`).

    Raises:
        InvalidInput: If an argument breaks a rule, shapes do not fit together, or only a delay counts without a cap.
    """

    kind: ClassVar[str] = "band-sum-rate-crlb"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"capped": {"subcarrier_cap": 1.5}}

    H: ComplexArray = batched(3, dtype=complex)
    targets: PointTargets = field(validator=instance(PointTargets))
    power: FloatArray = batched(0, above=0.0)
    noise_power: FloatArray = batched(1, above=0.0, scalar=True)
    radar_noise_power: FloatArray = batched(0, above=0.0)
    grid: Grid = field(validator=instance(Grid))
    rate_weight: float = field(validator=WEIGHT)
    crlb_weight: float = field(validator=WEIGHT)
    sensing_streams: int | None = field(default=None, validator=STREAMS)
    unknowns: tuple[str, ...] = field(default=UNKNOWNS, converter=tuple)
    parameters: tuple[str, ...] | None = field(default=None, converter=kinds_named)
    parameter_weights: tuple[float, ...] | None = field(default=None, converter=weights_of_kinds)
    subcarrier_cap: float | None = field(default=None, validator=CAP)
    shared: bool = field(default=False, validator=instance(bool))
    transceiver: Transceiver = field(default=Transceiver(), validator=instance(Transceiver))
    mode: Mode = field(default="signal", converter=in_words, validator=choice(*MODES), metadata=ADDRESSED)

    def __attrs_post_init__(self) -> None:
        spread_over_users(self, "noise_power")
        self._check_shapes()
        check_parameters(self._unknown_kinds, self.parameters, self.parameter_weights)
        require_unambiguous(self.targets, self.grid)
        counted = dict(zip(self._unknown_kinds, self.selection, strict=True))
        if self.rate_weight == 0 and counted.get("delay", 0.0) and self.subcarrier_cap is None and not self.shared:
            rule = "must be given where a delay counts and the rate does not"
            remedy = "The optimum is two tones at the edges of the band, whose delay is ambiguous; give 2, for example."
            raise InvalidInput("subcarrier_cap", rule, None, remedy)
        batch_shape(self)

    def _check_shapes(self) -> None:
        F, antennas, _ = self.H.shape[-3:]
        if self.grid.used != F:
            rule = f"must have a channel for each of {self.grid.used} active subcarriers"
            raise InvalidInput("H", rule, self.H.shape, "H is (..., F, N_t, K).")
        if antennas != self.targets.antennas[1]:
            rule = f"must have the {self.targets.antennas[1]} transmit antennas of the targets"
            raise InvalidInput("H", rule, self.H.shape, "H is (..., F, N_t, K).")
        self.check_terms()

    @property
    def decision(self) -> dict[str, Variable]:
        """The precoder of shape (F, N_t, K+S)."""
        return {"precoder": Variable((*self.H.shape[-3:-1], self.streams), complex, "sqrt(W)")}

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each unknown, (P,)."""
        return labels_of(self.targets, kinds_of(self.targets, self.unknowns))

    @property
    def units(self) -> tuple[str, ...]:
        """Unit of each unknown, (P,)."""
        units = {"azimuth": "rad", "zenith": "rad", "delay": "s", "doppler": "Hz"}
        return tuple(units.get(kind, "1") for kind in self._unknown_kinds)

    @property
    def _unknown_kinds(self) -> tuple[str, ...]:
        """Kind of each unknown, (P,)."""
        return tuple(kind for kind in kinds_of(self.targets, self.unknowns) for _ in range(self.targets.count))

    @property
    def selection(self) -> FloatArray:
        """Weight of each unknown's CRLB, the diagonal of D, shape (P,); of delays and Doppler shifts in cells."""
        return selection_of(self._unknown_kinds, self.parameters, self.parameter_weights)

    @property
    def _weights(self) -> FloatArray:
        """`selection` for unknowns in rad, s, Hz and 1."""
        cells = cells_of(self.grid)
        return self.selection / np.array([cells.get(kind, 1.0) for kind in self._unknown_kinds]) ** 2

    @property
    def transmit(self) -> OverBand:
        """The transmit chains as subcarriers see them."""
        return OverBand(self.transceiver.transmit, self.grid)

    def sent(self, W: Any) -> Transmission:
        """What the transmit chains make of the precoders W (..., F, N_t, K+S), in sqrt(W).

        Raises:
            InvalidInput: If W are no precoders of this problem.
        """
        W = np.asarray(W)
        own = self.decision["precoder"].shape[:-1]
        if W.ndim < 3 or W.shape[-3:-1] != own or W.shape[-1] < 1:
            rule = f"must have the {own[0]} active subcarriers and {own[1]} transmit antennas, and a column a stream"
            raise InvalidInput("W", rule, f"shape {W.shape}", "W is (..., F, N_t, K+S).")
        return Transmission.of(W, self.transmit)

    def crlb(self, sent: Transmission) -> FloatArray:
        """``tr(D F^-1)`` of a transmission, shape (...); infinite where F is singular."""
        bounds = information_of_band(self.targets, self.echo(sent), self.grid, self.unknowns).bounds
        return weighted_trace(bounds, self._weights)

    def merit_cotangent(self, sent: Transmission) -> tuple[Merits, Cotangent]:
        """The two terms of the merit of a transmission, each (...), and the derivative of their weighted sum.

        The derivative has the subcarriers behind the batch axes, and so have the SQINRs (..., F, K).
        """
        users, echo, F = self.reception(sent), self.echo(sent), self.grid.used
        rate = self.sum_rate(users)
        user, receive = OverBand(self.transceiver.user, self.grid, self.noise_power), self._receive
        found = rate_cotangent(self.H, sent, users, user).times(self.rate_weight / F)
        bound = np.full(rate.shape, np.nan)
        if self.crlb_weight:
            weights = self._weights
            bound, other = band_crlb_cotangent(self.targets, echo, self.grid, self.unknowns, weights, receive)
            found = found + other.times(-self.crlb_weight)
        return Merits(rate, bound, users.sqinr), found

    def sum_rate(self, users: Reception) -> FloatArray:
        """The mean over the subcarriers."""
        return np.asarray(super().sum_rate(users).mean(axis=-1))

    @property
    def _receive(self) -> OverBand:
        noise = np.asarray(self.radar_noise_power)[..., None]
        return OverBand(self.transceiver.receive, self.grid, noise)

    def reception(self, sent: Transmission) -> Reception:
        """What the users receive of a transmission, on each subcarrier."""
        return band_reception(self.H, sent, self.noise_power, self.transceiver, self.grid)

    def echo(self, sent: Transmission) -> Echo:
        """What the sensing receiver gets of a transmission, on each subcarrier."""
        G = self.targets.band_response(self.grid)
        return Echo.of(G, sent, np.asarray(self.radar_noise_power)[..., None], self._receive, self.mode)

    def constraints(self, W: Any) -> dict[str, FloatArray]:
        """Relative slack of the power of the samples, ``total`` (...), and of the cap, ``subcarrier`` (..., F)."""
        W = np.asarray(W, complex)
        self.sent(W)  # which says what is wrong with W
        power = self.subcarrier_power(W)
        mean = np.asarray(self.power)[..., None] * (self.grid.subcarriers / self.grid.used)
        slacks = {"total": 1 - power.mean(axis=-1) / mean[..., 0]}
        if self.subcarrier_cap is not None:
            slacks["subcarrier"] = 1 - power / (self.subcarrier_cap * mean)
        return slacks

    def subcarrier_power(self, W: ComplexArray) -> FloatArray:
        """Power that each subcarrier of precoders W (..., F, N_t, K+S) is worth to the samples, (..., F), in W.

        A chain puts out some share of its input's power, whatever subcarrier that is of.
        """
        sample = covariance(W).sum(axis=-3) / self.grid.subcarriers
        given = chain_power(sample)
        out = self.transceiver.transmit.linear_model(sample).output_power(sample)
        share = np.where(given > 0, out / np.where(given > 0, given, 1.0), 0.0)
        return np.asarray((squared(W).sum(axis=-1) * share[..., None, :]).sum(axis=-1))

    def screen(self) -> tuple[BoolArray, list[tuple[str, ...]]]:
        """Which members of a flat batch are identifiable, and notes on each.

        Examined for isotropic transmission of even power, as for one subcarrier (`SumRateCrlb.screen`).
        """
        members = self.H.shape[0]
        if not self.crlb_weight:
            return np.ones(members, bool), [()] * members
        F, antennas = self.H.shape[-3:-1]
        share = np.asarray(self.power)[:, None, None, None] * self.grid.subcarriers / (F * antennas)
        own = len(share), F, antennas, antennas
        white = np.ascontiguousarray(np.broadcast_to(np.sqrt(share) * np.eye(antennas), own))
        found = information_of_band(self.targets, self.echo(self.sent(white)), self.grid, self.unknowns)
        regular, notes = identifiability(found, self)
        return for_each(members, regular, notes)

    def subcarriers(self) -> SumRateCrlb:
        """Each subcarrier of a flat problem as a narrowband one, of even power: what solvers start from."""
        flat = flatten(self)
        members, F = len(flat.H), self.grid.used
        rest = take(flat, np.repeat(np.arange(members), F))
        return SumRateCrlb(
            H=np.ascontiguousarray(flat.H.reshape(-1, *flat.H.shape[-2:])),
            targets=rest.targets,
            power=rest.power * (self.grid.subcarriers / F),
            noise_power=rest.noise_power,
            radar_noise_power=rest.radar_noise_power,
            snapshots=self.grid.symbols,
            rate_weight=self.rate_weight,
            crlb_weight=self.crlb_weight,
            sensing_streams=self.streams - self.users,
        )
