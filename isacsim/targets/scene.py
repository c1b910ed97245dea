"""Realised targets: what the sensing receiver sees of a scene.

A scene's response ``G`` (..., N_r, N_t) maps what the transmit array radiates to what the
receive array gets back, ``y = G x + n``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.arrays import AntennaArray
from isacsim.batch import batched, hermitian
from isacsim.checks import instance
from isacsim.errors import InvalidInput
from isacsim.typing import ComplexArray

ANGLES = ("azimuth", "zenith")
PARAMETERS = (*ANGLES, "reflection_real", "reflection_imag")


class Scene(ABC):
    """Targets of one realisation, or of a batch of them."""

    @abstractmethod
    def response(self) -> ComplexArray:
        """Response matrix G, shape (..., N_r, N_t)."""

    @property
    def rank(self) -> int:
        """Largest rank that the response can have."""
        return min(self.response().shape[-2:])


@frozen
class PointTargets(Scene):
    """M point targets in the far field of co-located arrays [Fang25, eqs. (4)-(7)].

    ``G = B U A^H`` with steering vectors A (N_t x M) and B (N_r x M) and the complex
    reflections U = diag(alpha).

    Args:
        tx_array: Transmit array.
        rx_array: Receive array of the sensing receiver.
        azimuth: Azimuth angles, shape (..., M), in rad; one number stands for all targets.
        zenith: Zenith angles, likewise; pi/2 for linear arrays.
        reflection: Complex reflection coefficients, likewise, amplitude.

    Raises:
        InvalidInput: If the angles and reflections do not pair up, or a linear array is
            given other zeniths.
    """

    tx_array: AntennaArray = field(validator=instance(AntennaArray))
    rx_array: AntennaArray = field(validator=instance(AntennaArray))
    azimuth: Any = batched(1, scalar=True)
    zenith: Any = batched(1, scalar=True)
    reflection: Any = batched(1, dtype=complex, scalar=True)

    def __attrs_post_init__(self) -> None:
        names = (*ANGLES, "reflection")
        most = max((getattr(self, name).shape[-1] for name in names if getattr(self, name).ndim), default=1)
        for name in names:
            if getattr(self, name).ndim == 0:  # one number stands for every target
                object.__setattr__(self, name, np.full(most, getattr(self, name)))
        counts = {name: getattr(self, name).shape[-1] for name in names}
        if len(set(counts.values())) > 1 or 0 in counts.values():
            raise InvalidInput(
                "targets",
                "must have one azimuth, zenith and reflection a target",
                counts,
                "Give lists of equal length.",
            )
        if not self.planar and not np.allclose(self.zenith, np.pi / 2, rtol=0, atol=1e-12):
            raise InvalidInput(
                "zenith", "must be pi/2 (90 degrees) for linear arrays", self.zenith, "Use a UPA to resolve it."
            )

    @property
    def count(self) -> int:
        """Number of targets M."""
        return int(self.reflection.shape[-1])

    @property
    def rank(self) -> int:
        """Largest rank that the response can have: that of M rank-one echoes."""
        return min(self.count, self.tx_array.size, self.rx_array.size)

    @property
    def planar(self) -> bool:
        """Whether the zenith angles are unknowns: one of the arrays resolves them."""
        return self.tx_array.planar or self.rx_array.planar

    @property
    def unknowns(self) -> tuple[str, ...]:
        """Kind of each unknown real parameter, in the order of the FIM: P of them.

        All azimuths, all zeniths (unless both arrays are linear), the real and then the
        imaginary parts of all reflections.
        """
        kinds = PARAMETERS if self.planar else tuple(p for p in PARAMETERS if p != "zenith")
        return tuple(kind for kind in kinds for _ in range(self.count))

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each unknown parameter, ``azimuth[0]`` and so on."""
        return tuple(f"{kind}[{i % self.count}]" for i, kind in enumerate(self.unknowns))

    def response(self) -> ComplexArray:
        """Response matrix G = B U A^H, shape (..., N_r, N_t)."""
        A = self._columns(self.tx_array.steering(self.azimuth, self.zenith))
        B = self._columns(self.rx_array.steering(self.azimuth, self.zenith))
        return (B * self.reflection[..., None, :]) @ hermitian(A)

    def transmit_basis(self) -> ComplexArray:
        """V = [A, dA/dazimuth, dA/dzenith], shape (..., N_t, 3M)."""
        return self._basis(self.tx_array)

    def receive_basis(self) -> ComplexArray:
        """C = [B, dB/dazimuth, dB/dzenith], shape (..., N_r, 3M)."""
        return self._basis(self.rx_array)

    def _basis(self, array: AntennaArray) -> ComplexArray:
        basis = array.steering_basis(self.azimuth, self.zenith)
        return np.concatenate([self._columns(x) for x in basis], axis=-1)

    @staticmethod
    def _columns(steering: ComplexArray) -> ComplexArray:
        return np.ascontiguousarray(steering.swapaxes(-1, -2))


@frozen
class ResponseMatrix(Scene):
    """A scene given by its response alone: an extended target, or measured data.

    Args:
        G: Response, shape (..., N_r, N_t).
    """

    G: Any = batched(2, dtype=complex)

    def response(self) -> ComplexArray:
        """The given G."""
        return np.asarray(self.G)
