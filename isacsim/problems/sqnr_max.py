"""Maximising the radar SQNR under SQINR constraints, through data converters [Xu25, problem (10)].

Designer and hardware meet here: gains and distortion of the converters are part of the
problem. Objective, SQINRs and power are the metrics of that name, so that any hardware can
be designed for by a solver that knows how; the bundled ones take the AQNM, whose gains do
not depend on the precoder.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.batch import batched
from isacsim.checks import instance, invertible
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Transceiver
from isacsim.keywords import keywords
from isacsim.link import Echo, Transmission
from isacsim.metrics.sensing import sqnr
from isacsim.problems.sinr_constrained import SinrConstrained, SinrRequirements
from isacsim.targets.scene import Scene
from isacsim.typing import ComplexArray, FloatArray


def _response(value: Any) -> Any:
    return value.response() if isinstance(value, Scene) else value


@keywords(targets="G")
@frozen
class SqnrMax(SinrConstrained):
    """Maximise the radar SQNR with SQINRs of at least ``min_sqinr`` and a radiated power.

    Args:
        H: Channels, shape (..., N_t, K), amplitude; column k is h_k, user k receives
            ``h_k^H x_q + n_k``.
        G: Target response, shape (..., N_r, N_t), amplitude; or the targets, a scene whose response it is, also
            by the keyword ``targets``.
        min_sqinr: Least SQINR of each user, broadcast to (..., K), linear; 0 is none.
        power: Power that leaves the transmit chains, shape (...), in W.
        noise_power: Noise of each user, broadcast to (..., K), in W.
        radar_noise_power: Noise of each sensing receive chain, shape (...), in W.
        transceiver: The hardware designed for.

    Raises:
        InvalidInput: If an argument breaks a rule, or shapes do not fit together.
    """

    kind: ClassVar[str] = "sqnr-max"
    asks: ClassVar[str] = "min_sqinr"

    H: ComplexArray = batched(2, dtype=complex)
    G: Any = batched(2, dtype=complex, of=_response)
    min_sqinr: FloatArray = batched(1, least=0.0, scalar=True)
    power: FloatArray = batched(0, above=0.0)
    noise_power: FloatArray = batched(1, above=0.0, scalar=True)
    radar_noise_power: FloatArray = batched(0, above=0.0)
    transceiver: Transceiver = field(default=Transceiver(), validator=instance(Transceiver))

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        antennas = self.H.shape[-2]
        if self.G.shape[-1] != antennas or self.G.shape[-2] < 1:
            raise InvalidInput(
                "G",
                f"must have a column for each of the {antennas} transmit antennas and a row for each receive antenna",
                self.G.shape,
                "G is (..., N_r, N_t).",
            )

    @property
    def convex_in_power(self) -> bool:
        """On ideal hardware."""
        return self.transceiver.is_ideal

    def merit(self, sent: Transmission) -> FloatArray:
        """Radar SQNR ``tr(Q^-1 N)`` of what leaves the transmit chains, shape (...), linear [Xu25, eq. (9)]."""
        return sqnr(Echo.of(self.G, sent, self.radar_noise_power, self.transceiver.receive))

    def sensing_held(self, sent: Transmission) -> tuple[dict[str, Any], FloatArray]:
        """The response behind a receiver whitens its noise, which then is of 1 W."""
        echo = Echo.of(self.G, sent, self.radar_noise_power, self.transceiver.receive)
        white = echo.receive.amplify(self.G)
        if echo.diagonal:
            white = white / np.sqrt(echo.noise)[..., None]
        else:
            with invertible("receive", "a noise covariance"):
                white = np.asarray(np.linalg.solve(np.linalg.cholesky(echo.noise), white), complex)
        return {"G": white, "radar_noise_power": np.ones(white.shape[:-2])}, np.ones(white.shape[:-2])


@frozen(kw_only=True)
class SqnrMaxRequirements(SinrRequirements):
    """The table of a ``sqnr-max`` problem in a scenario.

    Args:
        min_sqinr: Least SQINR of each user, linear: one number, or one for each user (K,).
            Left out it is 0, no requirement: a design for radar only.
    """

    problem: ClassVar[type[SinrConstrained]] = SqnrMax
    merit_title: ClassVar[str] = "radar SQNR"

    min_sqinr: FloatArray = batched(0, least=0.0, default=0.0, metadata=units.db())
