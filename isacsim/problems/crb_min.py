"""Minimising the CRB of the target response under SINR constraints [Zhao26, problem (1)].

With L samples of covariance R at a receiver of N_r antennas that knows what is sent, the
response matrix G is estimated with the bound ``CRB(G) = (sigma_s^2 N_r / L) tr(R^-1)``. The
factor in front does not touch the design, so that the objective is ``tr(R^-1)``, in 1/W.
Full power is optimal: a larger R keeps every SINR and lowers the objective.

Through hardware the receiver knows the digital signal, of which ``R = A_t R_x A_t^H`` is left, and
its noise, referred to the input of its chains, is more than thermal: distortion of the transmit
chains comes back with the echo, and the receive chains distort what arrives. How strong the echo
is depends on G, which is unknown. Of a prior of independent entries of variance tau its mean is
known, and the noise is ``nu`` times thermal::

    nu = (1 / N_r) sum_j [ 1 + tau tr(D) / sigma_s^2 + d_j / (|a_j|^2 sigma_s^2) ]

with the covariance D of the transmit distortion, and gains a_j and distortion powers d_j of receive
chains which the power ``sigma_s^2 + tau tr(A_t R_x A_t^H + D)`` reaches. The objective then is
``nu tr(R^-1)``: times ``sigma_s^2 N_r / L`` it is the mean over the prior of the CRB, and on
ideal hardware nu is 1.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.batch import batched, singular_values_of, squared
from isacsim.checks import instance, whole
from isacsim.drop import Drop
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Transceiver, diagonal_matrix
from isacsim.keywords import keywords
from isacsim.link import Transmission
from isacsim.problems.sinr_constrained import SinrConstrained, SinrRequirements
from isacsim.typing import ComplexArray, FloatArray


@keywords()
@frozen
class CrbMin(SinrConstrained):
    """Minimise ``nu tr(R^-1)`` with SINRs of at least ``min_sinr`` and a total power.

    R is the covariance of what is left of the signal behind the transmit chains and nu the noise
    of the sensing receiver, in units of the thermal one: ``W W^H`` and 1 on ideal hardware.

    Args:
        H: Channels, shape (..., N_t, K), amplitude; column k is h_k, user k receives
            ``h_k^H x + n_k``.
        min_sinr: Least SINR (on hardware that is not ideal: SQINR) of each user, broadcast to
            (..., K), linear.
        power: Transmit power, shape (...), in W.
        noise_power: Noise of each user, broadcast to (..., K), in W.
        transceiver: The hardware designed for.
        response_variance: Mean power tau of an entry of the target response, shape (...), linear, by
            which distortion reaches the sensing receiver. It counts on hardware that is not ideal;
            0 is an echo far below the noise.
        radar_noise_power: Noise of each sensing receive chain, shape (...), in W; it counts beside
            ``response_variance``.
        receivers: Number N_r of sensing receive chains.

    Raises:
        InvalidInput: If an argument breaks a rule, or shapes do not fit together.
    """

    kind: ClassVar[str] = "crb-min"
    sense: ClassVar[int] = -1

    H: ComplexArray = batched(2, dtype=complex)
    min_sinr: FloatArray = batched(1, above=0.0, scalar=True)
    power: FloatArray = batched(0, above=0.0)
    noise_power: FloatArray = batched(1, above=0.0, scalar=True)
    transceiver: Transceiver = field(default=Transceiver(), validator=instance(Transceiver))

    response_variance: FloatArray = batched(0, least=0.0, default=0.0)
    radar_noise_power: FloatArray = batched(0, above=0.0, default=1.0)
    receivers: int = field(default=1, validator=whole(1))

    def merit(self, sent: Transmission) -> FloatArray:
        """``nu tr(R^-1)`` of what leaves the transmit chains, shape (...), in 1/W; inf where R is singular."""
        # Of W itself: eigenvalues of W W^H would lose half the digits of the smallest.
        values = singular_values_of(sent.precoder) ** 2
        missing = self.H.shape[-2] - values.shape[-1]
        spectrum = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, max(missing, 0))])
        singular = spectrum.min(axis=-1) <= np.finfo(float).eps ** 2 * spectrum.max(axis=-1)
        bound = np.where(singular, np.inf, (1 / np.where(singular[..., None], 1.0, spectrum)).sum(axis=-1))
        return bound if self.transceiver.is_ideal else bound * self.noise_factor(sent)

    @property
    def convex_in_power(self) -> bool:
        """On ideal hardware."""
        return self.transceiver.is_ideal

    def sensing_held(self, sent: Transmission) -> tuple[dict[str, Any], FloatArray]:
        """The noise of the sensing receiver, which is that of all hardware, weighs the bound."""
        return {}, self.noise_factor(sent)

    def noise_factor(self, sent: Transmission) -> FloatArray:
        """nu, the noise of the sensing receiver before its gain over thermal noise, a mean over its chains, (...)."""
        thermal, tau = np.asarray(self.radar_noise_power), np.asarray(self.response_variance)
        kept = np.asarray(squared(sent.precoder).sum(axis=(-2, -1)))
        arriving = (thermal + tau * sent.power)[..., None] + np.zeros(self.receivers)
        receive = self.transceiver.receive.linear_model(diagonal_matrix(arriving))
        if receive.coupled:
            receivers = self.transceiver.receive
            raise InvalidInput("receive", "must not couple chains", receivers, "Leave the coupling out.")
        kept_share = squared(receive.gain)
        silent = kept_share == 0  # a chain that passes nothing tells nothing
        before = np.where(silent, np.inf, receive.distortion_power / np.where(silent, 1.0, kept_share))
        distortion = (tau * (sent.power - kept))[..., None]
        return np.asarray(1 + ((distortion + before) / thermal[..., None]).mean(axis=-1))


@frozen(kw_only=True)
class CrbMinRequirements(SinrRequirements):
    """The table of a ``crb-min`` problem in a scenario.

    Args:
        min_sinr: Least SINR of each user, linear: one number, or one for each user (K,).
        response_variance: Mean power of an entry of the target response that is believed in, linear;
            see `CrbMin`. Left out it is 0.
    """

    component_version: ClassVar[int] = 2  # behind hardware the objective is the mean of the CRB over a prior
    problem: ClassVar[type[SinrConstrained]] = CrbMin
    merit_unit: ClassVar[str] = "1/W"
    merit_title: ClassVar[str] = "CRB of the target response"

    min_sinr: FloatArray = batched(0, above=0.0, metadata=units.db())
    response_variance: FloatArray = batched(0, least=0.0, default=0.0)

    def pose(self, drop: Drop, transceiver: Transceiver) -> SinrConstrained:
        """The problem for the realisations of a drop."""
        antennas = drop.H.shape[-2]
        if drop.snapshots < antennas:
            raise InvalidInput(
                "base_station.snapshots",
                f"must be at least the {antennas} transmit antennas for crb-min, whose bound needs R of full rank",
                drop.snapshots,
                "Take more snapshots.",
            )
        return super().pose(drop, transceiver)
