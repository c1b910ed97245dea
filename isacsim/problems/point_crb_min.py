"""Minimising the CRLB of the directions of point targets under SINR constraints [Liu22].

The objective is the sum of the CRLBs of all angles, with the reflections unknown too. For one
target that linear arrays see, with ``A = b a^H`` and its derivative A' in azimuth, it is on
ideal hardware::

    sigma_s^2 / (2 L |alpha|^2) / (tr(A'^H A' R) - |tr(A'^H A R)|^2 / tr(A^H A R))

the inverse of a Schur complement of the Fisher matrix. The optimum for one target and few users
can lie where no power at all reaches the target's direction and the derivative alone tells the
azimuth: near it the Fisher matrix is singular, and solvers lose digits. This is the CRB
benchmark of [Xu25, Sec. IV] for a point target; that for an extended one is
`isacsim.problems.crb_min`.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.batch import batched
from isacsim.checks import instance, snapshots
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Transceiver
from isacsim.keywords import keywords
from isacsim.link import Echo, Transmission
from isacsim.metrics.fim import information_of
from isacsim.problems.identifiability import for_each, screened
from isacsim.problems.selection import weighted_trace
from isacsim.problems.sinr_constrained import SinrConstrained, SinrRequirements
from isacsim.targets.scene import ParametricScene, parametric
from isacsim.typing import BoolArray, ComplexArray, FloatArray


@keywords()
@frozen
class PointCrbMin(SinrConstrained):
    """Minimise the summed CRLBs of the angles of point targets, in rad^2, with least SINRs.

    Args:
        H: Channels, shape (..., N_t, K), amplitude; column k is h_k, user k receives
            ``h_k^H x + n_k``.
        targets: Point targets, with angles of shape (..., M), whose reflections are unknown too; or another scene
            with unknown parameters of which some are angles.
        min_sinr: Least SINR (on hardware that is not ideal: SQINR) of each user, broadcast to
            (..., K), linear; 0 is none.
        power: Power that leaves the transmit chains, shape (...), in W.
        noise_power: Noise of each user, broadcast to (..., K), in W.
        radar_noise_power: Noise of each sensing receive chain, shape (...), in W.
        snapshots: Samples L in a coherent sensing interval.
        transceiver: The hardware designed for.

    Raises:
        InvalidInput: If an argument breaks a rule, or shapes do not fit together.
    """

    kind: ClassVar[str] = "point-crb-min"
    sense: ClassVar[int] = -1

    H: ComplexArray = batched(2, dtype=complex)
    targets: ParametricScene = field()
    min_sinr: FloatArray = batched(1, least=0.0, scalar=True)
    power: FloatArray = batched(0, above=0.0)
    noise_power: FloatArray = batched(1, above=0.0, scalar=True)
    radar_noise_power: FloatArray = batched(0, above=0.0)
    snapshots: float = field(validator=snapshots)
    transceiver: Transceiver = field(default=Transceiver(), validator=instance(Transceiver))

    def __attrs_post_init__(self) -> None:
        parametric("targets", self.targets, "a CRLB of angles", "For an extended target use crb-min.")
        antennas = self.targets.antennas[1]
        if self.H.shape[-2] != antennas:
            raise InvalidInput(
                "H", f"must have the {antennas} transmit antennas of the targets", self.H.shape, "H is (..., N_t, K)."
            )
        if not self.selection.any():
            raise InvalidInput("targets", "must have an unknown angle", self.targets.unknowns, "Use another problem.")
        super().__attrs_post_init__()

    @property
    def selection(self) -> FloatArray:
        """1 for each unknown parameter that is an angle, 0 for a reflection, (P,)."""
        return np.array([float(unit == "rad") for unit in self.targets.units])

    def merit(self, sent: Transmission) -> FloatArray:
        """Summed CRLBs of the angles for what leaves the transmit chains, shape (...), in rad^2; may be inf."""
        echo = Echo.of(self.targets.response(), sent, self.radar_noise_power, self.transceiver.receive)
        return weighted_trace(information_of(self.targets, echo, self.snapshots).bounds, self.selection)

    def screen(self) -> tuple[BoolArray, list[tuple[str, ...]]]:
        """Which members of a flat batch are identifiable, and notes on each."""
        return for_each(self.members, *screened(self))


@frozen(kw_only=True)
class PointCrbMinRequirements(SinrRequirements):
    """The table of a ``point-crb-min`` problem in a scenario.

    Args:
        min_sinr: Least SINR of each user, linear: one number, or one for each user (K,).
            Left out it is 0, no requirement.
    """

    problem: ClassVar[type[SinrConstrained]] = PointCrbMin
    merit_unit: ClassVar[str] = "rad^2"
    merit_title: ClassVar[str] = "sum of the angles' CRLBs"

    min_sinr: FloatArray = batched(0, least=0.0, default=0.0, metadata=units.db())
