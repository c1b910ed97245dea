"""Maximising the radar SQNR under SQINR constraints, through data converters [Xu25, problem (10)].

Designer and hardware meet here: gains and distortion of the converters are part of the
problem. Objective, SQINRs and power are the metrics of that name, so that any hardware can
be designed for by a solver that knows how; the bundled ones take the AQNM, whose gains do
not depend on the precoder.
"""

from __future__ import annotations

from typing import Any, ClassVar

from attrs import field, frozen

from isacsim import units
from isacsim.batch import batch_shape, batched
from isacsim.checks import instance
from isacsim.drop import Drop
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Transceiver
from isacsim.link import Echo, Transmission
from isacsim.metrics.sensing import sqnr
from isacsim.problems.base import Problem, Requirements, one_or_each_user, sinr_and_power_slacks, spread_over_users
from isacsim.typing import FloatArray


@frozen(kw_only=True)
class SqnrMaxRequirements(Requirements):
    """The table of a ``sqnr-max`` problem in a scenario.

    Args:
        min_sqinr: Least SQINR of each user, linear: one number, or one for each user (K,).
            Left out it is 0, no requirement: a design for radar only.
    """

    min_sqinr: Any = batched(0, least=0.0, default=0.0, metadata=units.db())

    def __attrs_post_init__(self) -> None:
        one_or_each_user("min_sqinr", self.min_sqinr)

    def pose(self, drop: Drop, transceiver: Transceiver) -> SqnrMax:
        """The problem for the realisations of a drop."""
        one_or_each_user("min_sqinr", self.min_sqinr, drop.H.shape[-1])
        return SqnrMax(
            H=drop.H,
            G=drop.targets.response(),
            min_sqinr=self.min_sqinr,
            power=drop.power,
            noise_power=drop.noise_power,
            radar_noise_power=drop.radar_noise_power,
            transceiver=transceiver,
        )


@frozen
class SqnrMax(Problem):
    """Maximise the radar SQNR with SQINRs of at least ``min_sqinr`` and a radiated power.

    Args:
        H: Channels, shape (..., N_t, K), amplitude; column k is h_k, user k receives
            ``h_k^H x_q + n_k``.
        G: Target response, shape (..., N_r, N_t), amplitude.
        min_sqinr: Least SQINR of each user, broadcast to (..., K), linear; 0 is none.
        power: Power that leaves the transmit chains, shape (...), in W.
        noise_power: Noise of each user, broadcast to (..., K), in W.
        radar_noise_power: Noise of each sensing receive chain, shape (...), in W.
        transceiver: The hardware designed for.

    Raises:
        InvalidInput: If an argument breaks a rule, or shapes do not fit together.
    """

    kind: ClassVar[str] = "sqnr-max"

    H: Any = batched(2, dtype=complex)
    G: Any = batched(2, dtype=complex)
    min_sqinr: Any = batched(1, least=0.0, scalar=True)
    power: Any = batched(0, above=0.0)
    noise_power: Any = batched(1, above=0.0, scalar=True)
    radar_noise_power: Any = batched(0, above=0.0)
    transceiver: Transceiver = field(default=Transceiver(), validator=instance(Transceiver))

    def __attrs_post_init__(self) -> None:
        antennas = self.H.shape[-2]
        if antennas < 1:
            raise InvalidInput("H", "must have at least one antenna", self.H.shape, "H is (..., N_t, K).")
        if self.G.shape[-1] != antennas or self.G.shape[-2] < 1:
            raise InvalidInput(
                "G",
                f"must have a column for each of the {antennas} transmit antennas and a row for each receive antenna",
                self.G.shape,
                "G is (..., N_r, N_t).",
            )
        spread_over_users(self, "min_sqinr", "noise_power")
        batch_shape(self)

    @property
    def users(self) -> int:
        """Number of users K."""
        return int(self.H.shape[-1])

    @property
    def streams(self) -> int:
        """Number of precoder columns, K+S: sensing takes up to S = N_t streams [Xu25, Sec. II]."""
        return int(self.users + self.H.shape[-2])

    def objective(self, W: Any) -> FloatArray:
        """Radar SQNR ``tr(Q^-1 N)`` of the precoder W (..., N_t, K+S), shape (...) [Xu25, eq. (9)]."""
        return self.merit(Transmission.of(W, self.transceiver.transmit))

    def merit(self, sent: Transmission) -> FloatArray:
        """The objective of what leaves the transmit chains, shape (...)."""
        return sqnr(Echo.of(self.G, sent, self.radar_noise_power, self.transceiver.receive))

    def constraints(self, W: Any) -> dict[str, FloatArray]:
        """Relative slacks: ``sqinr`` (..., K), infinite where none is asked, and ``total`` power (...)."""
        slacks = sinr_and_power_slacks(self, self.min_sqinr, Transmission.of(W, self.transceiver.transmit))
        return dict(zip(("sqinr", "total"), slacks, strict=True))
