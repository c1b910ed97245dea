"""Minimising the CRB of the target response under SINR constraints [Zhao26, problem (1)].

With L samples of covariance R at a receiver of N_r antennas that knows what is radiated, the
response matrix G is estimated with the bound ``CRB(G) = (sigma_s^2 N_r / L) tr(R^-1)``. The
factor in front does not touch the design, so that the objective is ``tr(R^-1)``, in 1/W.
Full power is optimal: a larger R keeps every SINR and lowers the objective.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.batch import batched, spectrum_of
from isacsim.checks import instance
from isacsim.drop import Drop
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Transceiver
from isacsim.link import Transmission
from isacsim.problems.sinr_constrained import SinrConstrained, SinrRequirements
from isacsim.typing import ComplexArray, FloatArray


@frozen
class CrbMin(SinrConstrained):
    """Minimise ``tr(R^-1)`` with SINRs of at least ``min_sinr`` and a total power.

    R is the covariance that leaves the transmit chains; ``W W^H`` on ideal hardware.

    Args:
        H: Channels, shape (..., N_t, K), amplitude; column k is h_k, user k receives
            ``h_k^H x + n_k``.
        min_sinr: Least SINR (on hardware that is not ideal: SQINR) of each user, broadcast to
            (..., K), linear.
        power: Transmit power, shape (...), in W.
        noise_power: Noise of each user, broadcast to (..., K), in W.
        transceiver: The hardware designed for.

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

    def merit(self, sent: Transmission) -> FloatArray:
        """``tr(R^-1)`` of what leaves the transmit chains, shape (...), in 1/W; inf where R is singular."""
        spectrum, rounding = self._spectrum(sent)
        regular = spectrum.min(axis=-1) > rounding * spectrum.max(axis=-1)
        return np.where(regular, (1 / np.where(regular[..., None], spectrum, 1.0)).sum(axis=-1), np.inf)

    def _spectrum(self, sent: Transmission) -> tuple[FloatArray, float]:
        """Eigenvalues of R (..., N_t), and what is rounding of the largest."""
        eps = np.finfo(float).eps
        if sent.ideal:
            # Of W itself: those of W W^H would lose half the digits of the smallest.
            values = np.linalg.svd(sent.precoder, compute_uv=False)
            missing = self.H.shape[-2] - values.shape[-1]
            return np.pad(values**2, [(0, 0)] * (values.ndim - 1) + [(0, max(missing, 0))]), float(eps**2)
        return spectrum_of(sent.radiated), float(eps)


@frozen(kw_only=True)
class CrbMinRequirements(SinrRequirements):
    """The table of a ``crb-min`` problem in a scenario.

    Args:
        min_sinr: Least SINR of each user, linear: one number, or one for each user (K,).
    """

    problem: ClassVar[type[SinrConstrained]] = CrbMin

    min_sinr: FloatArray = batched(0, above=0.0, metadata=units.db())

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
