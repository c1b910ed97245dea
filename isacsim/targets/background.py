"""Background of a scene: what reaches the sensing receiver beside the targets' echoes.

A base station that senses while it sends hears itself: the transmit antennas leak into the receive
antennas, and everything that does not move sends echoes back. The receiver knows these responses
B_s, but its converters have to carry what arrives through them, and what transmit chains distort
comes with it. A digital canceller takes the known part off and leaves a fraction of its power.

The receive chains get ``y = (G + B) x_q + n`` with ``B = sum_s B_s``; `isacsim.link.Echo` says what
that does to the noise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.arrays import AntennaArray
from isacsim.batch import batch_shape, batched, hermitian
from isacsim.checks import instance, number, whole
from isacsim.errors import InvalidInput
from isacsim.memory import must_fit
from isacsim.random import complex_normal
from isacsim.typing import ComplexArray, FloatArray


@frozen
class Background:
    """The realised background of a scene, or of a batch of them.

    Args:
        responses: Responses B_s of the S sources, shape (..., S, N_r, N_t), amplitude.
        residual: Part of the power of each source that digital cancellation leaves, shape (..., S);
            one number stands for all. 0 is perfect cancellation, 1 none.

    Raises:
        InvalidInput: If a residual is not between 0 and 1, or they do not pair up.
    """

    responses: ComplexArray = batched(3, dtype=complex)
    residual: Any = batched(1, scalar=True, least=0.0, default=0.0)

    def __attrs_post_init__(self) -> None:
        sources = self.responses.shape[-3]
        if self.residual.ndim == 0:
            object.__setattr__(self, "residual", np.full(sources, self.residual))
        if self.residual.shape[-1] != sources or np.any(self.residual > 1):
            rule = f"must be between 0 and 1, one for each of {sources} sources"
            raise InvalidInput("residual", rule, self.residual, "It is the part of the power that is left.")
        batch_shape(self)

    def flat(self) -> Background:
        """The same on every subcarrier, which are an axis behind the batch axes: it has no delay."""
        return Background(self.responses[..., None, :, :, :], self.residual[..., None, :])

    @property
    def perfect(self) -> bool:
        """Whether cancellation leaves nothing."""
        return not np.any(self.residual)

    def response(self) -> ComplexArray:
        """B, shape (..., N_r, N_t)."""
        return np.asarray(self.responses.sum(axis=-3))

    def left(self, R: ComplexArray) -> ComplexArray:
        """Covariance of what cancellation leaves of a known signal, ``sum_s eps_s B_s R B_s^H``.

        Args:
            R: Covariance of the signal, shape (..., N_t, N_t), in W.

        Returns:
            Shape (..., N_r, N_r), in W.
        """
        B = self.responses * np.sqrt(self.residual)[..., None, None]
        return np.asarray((B @ R[..., None, :, :] @ hermitian(B)).sum(axis=-3))


class BackgroundSource(ABC):
    """One part of a background as a scenario describes it."""

    digital_residual: float

    @abstractmethod
    def draw(self, tx_array: AntennaArray, rx_array: AntennaArray, rng: np.random.Generator) -> ComplexArray:
        """Its response in one trial, shape (N_r, N_t), amplitude."""


def _residual() -> Any:
    return field(default=0.0, validator=number(least=0), metadata=units.db())


@frozen
class SelfInterference(BackgroundSource):
    """Leakage of the transmit into the receive antennas, with i.i.d. Gaussian entries.

    Whatever is sent, a receive antenna gets on average 1 / ``isolation`` of the power that leaves all
    transmit antennas together.

    Args:
        isolation: Power sent over power that leaks into a receive antenna, behind analogue
            cancellation, linear.
        digital_residual: Part of that power that digital cancellation leaves; 0 is perfect.
    """

    known_as: ClassVar[str] = "self-interference"

    isolation: float = field(validator=number(above=0), metadata=units.db())
    digital_residual: float = _residual()

    def draw(self, tx_array: AntennaArray, rx_array: AntennaArray, rng: np.random.Generator) -> ComplexArray:
        """Independent entries CN(0, 1 / isolation)."""
        return complex_normal(rng, (rx_array.size, tx_array.size)) / np.sqrt(self.isolation)


@frozen
class Clutter(BackgroundSource):
    """Echoes of scatterers that stand still, in random directions and with Gaussian reflections.

    Args:
        gain: Mean power of an entry of their response, all scatterers together, linear.
        scatterers: Number of scatterers.
        sector: Half-width of the sector about broadside they are in, in rad.
        digital_residual: Part of the power that subtracting their known echo leaves; 0 is perfect.
    """

    known_as: ClassVar[str] = "clutter"

    gain: float = field(validator=number(above=0), metadata=units.db())
    scatterers: int = field(default=20, validator=whole(1))
    sector: float = field(default=np.pi / 3, validator=number(least=0), metadata=units.degrees())
    digital_residual: float = _residual()

    def draw(self, tx_array: AntennaArray, rx_array: AntennaArray, rng: np.random.Generator) -> ComplexArray:
        """``sum_p alpha_p b_p a_p^H`` with azimuths uniform in the sector."""
        waves = ((self.scatterers, array.size) for array in (tx_array, rx_array))
        must_fit("scatterers", "their plane waves", self.scatterers, *waves)
        azimuth = rng.uniform(-self.sector, self.sector, self.scatterers)
        A, B = (array.plane_wave(azimuth) for array in (tx_array, rx_array))
        alpha = complex_normal(rng, (self.scatterers,)) * np.sqrt(self.gain / self.scatterers)
        return np.asarray((B.T * alpha) @ np.conj(A))


def _optional(kind: type) -> Any:
    check = instance(kind)

    def validate(record: Any, attribute: Any, value: Any) -> None:
        if value is not None:
            check(record, attribute, value)

    return field(default=None, validator=validate)


@frozen
class BackgroundModel:
    """What a scenario says of the background; each part may be left out.

    Args:
        self_interference: Leakage between the arrays.
        clutter: Echoes of what stands still.
    """

    known_as: ClassVar[str] = "background"

    self_interference: SelfInterference | None = _optional(SelfInterference)
    clutter: Clutter | None = _optional(Clutter)

    def __attrs_post_init__(self) -> None:
        if not self.sources:
            remedy = "Add [background.self_interference] or [background.clutter], or leave the table out."
            raise InvalidInput("", "must have a source", "none", remedy)
        for name, source in (("self_interference", self.self_interference), ("clutter", self.clutter)):
            if source is not None and source.digital_residual > 1:
                rule = "must be at most 1 (0 dB)"
                raise InvalidInput(f"{name}.digital_residual", rule, source.digital_residual, "Cancel no worse.")

    @property
    def sources(self) -> tuple[BackgroundSource, ...]:
        """The parts that are there."""
        return tuple(s for s in (self.self_interference, self.clutter) if s is not None)

    def draw(self, tx_array: AntennaArray, rx_array: AntennaArray, rngs: Sequence[np.random.Generator]) -> Background:
        """The backgrounds of trials, with one leading axis, from one generator for each.

        Each source has a generator of its own, so that one more changes nothing of the others.
        """
        sides = rx_array.size, tx_array.size
        must_fit("background", "a response of these arrays", f"{sides[0]} x {sides[1]} antennas", sides)
        drawn = []
        for rng in rngs:
            own = rng.spawn(2)  # by kind: self-interference, clutter
            both = ((self.self_interference, own[0]), (self.clutter, own[1]))
            drawn.append(np.stack([s.draw(tx_array, rx_array, r) for s, r in both if s is not None]))
        residual: FloatArray = np.array([s.digital_residual for s in self.sources])
        return Background(np.stack(drawn), residual)
