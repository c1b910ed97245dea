"""User channels whose antennas are correlated: by a matrix that is given, or by where scattering comes from.

On a grid each tap is correlated alike, ``g_kp = sqrt(p_p) R_k^(1/2) w`` with w of i.i.d. CN(0, 1) entries; the
profile falls off exponentially, and a delay spread of zero is one tap.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.arrays import AntennaArray
from isacsim.batch import batched, hermitian
from isacsim.channels.wideband import TappedDelayLine, falling
from isacsim.checks import number, whole
from isacsim.errors import InvalidInput
from isacsim.typing import ComplexArray, FloatArray


class _Correlated(TappedDelayLine):
    """A tapped delay line of an exponential profile, with a line of sight in its first tap if wanted."""

    k_factor: float
    delay_spread: float
    taps: int

    def power_profile(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """``p ~ exp(-tau / delay_spread)``, to 5 delay spreads; one tap without any."""
        if self.delay_spread == 0:
            return np.zeros(1), np.ones(1), np.array([self.k_factor / (1 + self.k_factor)])
        return falling(self.delay_spread, self.taps, None, self.k_factor)


@frozen
class Kronecker(_Correlated):
    """Scattering of a given correlation of the transmit antennas, the same for all users.

    A coefficient r is the exponential model ``R_ij = r^(i-j)`` for ``i >= j``, and its conjugate above the diagonal,
    along a row of antennas. On a planar array it is that across times that up. Users have an antenna each, and
    are independent.

    Args:
        correlation: The coefficient r, of magnitude below 1, or the matrix R_t (N_t, N_t), Hermitian with ones on
            its diagonal and no negative eigenvalue, in the order of the array.
        k_factor: Power of the line of sight over that of the scattering in the first tap, linear.
        delay_spread: Constant of the decay over delays, in s; zero is a flat channel.
        taps: Number of taps where there is a delay spread.
        gain: Mean power gain: one number, or one for each user (K,), linear.
        azimuth: Directions of the users' lines of sight (K,), in rad; None draws them within 60 degrees.
        speed: Speed of the users, in m/s; it counts on a grid.
    """

    correlation: Any = batched(2, dtype=complex, scalar=True)
    k_factor: float = field(default=0.0, validator=number(least=0), metadata=units.db())
    delay_spread: float = field(default=0.0, validator=number(least=0), metadata=units.seconds())
    taps: int = field(default=16, validator=whole(1))
    gain: Any = batched(0, above=0.0, default=1.0, metadata=units.db())
    azimuth: Any = field(default=None, metadata=units.degrees())
    speed: float = field(default=0.0, validator=number(least=0))

    def __attrs_post_init__(self) -> None:
        R = self.correlation
        if R.ndim == 0:
            if abs(R) >= 1:
                raise InvalidInput(
                    "correlation", "must have a magnitude below 1", R, "Give a coefficient, or a matrix."
                )
            return
        # 1e-9: a matrix that was written down with ten digits.
        square = R.ndim == 2 and R.shape[0] == R.shape[1] > 0
        if not square or np.abs(R - hermitian(R)).max() > 1e-9 or np.abs(np.diagonal(R) - 1).max() > 1e-9:
            rule = "must be a number, or a square Hermitian matrix with ones on its diagonal"
            raise InvalidInput("correlation", rule, R, "Put the power into gain_db.")
        least = np.linalg.eigvalsh(R)[0]
        if least < -1e-9 * len(R):
            raise InvalidInput("correlation", "must have no negative eigenvalue", least, "Check the entries.")

    def covariance(self, array: AntennaArray) -> ComplexArray:
        """R_t between the antennas of an array, (N_t, N_t).

        Raises:
            InvalidInput: If the matrix is one of another number of antennas.
        """
        R = self.correlation
        if R.ndim:
            if len(R) != array.size:
                rule = f"must be a matrix of the {array.size} transmit antennas"
                raise InvalidInput("correlation", rule, f"shape {R.shape}", "Match the array, or give a coefficient.")
            return np.asarray(R)
        if not R:
            return np.eye(array.size, dtype=complex)
        across, up = (place[:, None] - place for place in _neighbours(array))
        return _powers(R, across) * _powers(R, up)

    def colouring(self, array: AntennaArray, azimuth: FloatArray) -> ComplexArray:
        """The Hermitian square root of R_t, for every user."""
        eigenvalues, vectors = np.linalg.eigh(self.covariance(array))
        root = (vectors * np.sqrt(np.maximum(eigenvalues, 0))) @ hermitian(vectors)
        return np.repeat(root[None], len(azimuth), 0)


def _neighbours(array: AntennaArray) -> tuple[FloatArray, FloatArray]:
    """Places of the elements in steps between neighbours, across and up."""
    steps = []
    for place in array.grid:
        apart = np.diff(np.unique(place))
        steps.append(place / apart.min() if apart.size else np.zeros(array.size))
    return steps[0], steps[1]


def _powers(r: Any, steps: FloatArray) -> ComplexArray:
    """``r^d`` for ``d >= 0``, and the conjugate of ``r^|d|`` below."""
    powers = np.asarray(r, complex) ** np.abs(steps)
    return np.where(steps < 0, powers.conj(), powers)


@frozen
class OneRing(_Correlated):
    """Scattering that reaches the base station evenly from all directions of a range about each user.

    ``R_k`` is the mean of ``a(theta) a(theta)^H`` over theta within the spread of the user's azimuth, of plane waves a.

    Args:
        spread: Half-width of the range of directions, in rad.
        azimuth: Directions of the users, and of their lines of sight, (K,), in rad; None draws them within 60 degrees.
        k_factor: Power of the line of sight over that of the scattering in the first tap, linear.
        delay_spread: Constant of the decay over delays, in s; zero is a flat channel.
        taps: Number of taps where there is a delay spread.
        gain: Mean power gain: one number, or one for each user (K,), linear.
        speed: Speed of the users, in m/s; it counts on a grid.
    """

    spread: float = field(validator=number(above=0), metadata=units.degrees())
    azimuth: Any = field(default=None, metadata=units.degrees())
    k_factor: float = field(default=0.0, validator=number(least=0), metadata=units.db())
    delay_spread: float = field(default=0.0, validator=number(least=0), metadata=units.seconds())
    taps: int = field(default=16, validator=whole(1))
    gain: Any = batched(0, above=0.0, default=1.0, metadata=units.db())
    speed: float = field(default=0.0, validator=number(least=0))

    def sources(self, array: AntennaArray) -> int:
        """Directions from which scattering comes: the nodes of a quadrature."""
        # Across an array of w half wavelengths the phase turns by pi w sin(theta), and Gauss-Legendre follows a
        # phase of slope pi w spread at half as many nodes; 64 more leave errors of rounding.
        wide = max(float(np.ptp(place)) for place in array.grid)
        return 64 + int(np.ceil(np.pi / 2 * wide * self.spread))

    def colouring(self, array: AntennaArray, azimuth: FloatArray) -> ComplexArray:
        """Plane waves from the nodes, weighted: their covariance is R_k without a root of a matrix."""
        nodes, weights = np.polynomial.legendre.leggauss(self.sources(array))
        waves = array.plane_wave(np.asarray(azimuth)[:, None] + self.spread * nodes)  # (K, nodes, N_t)
        return np.ascontiguousarray((waves * np.sqrt(weights / 2)[:, None]).swapaxes(-1, -2))
