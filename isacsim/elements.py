"""What one antenna element radiates into each direction: gains and their angle derivatives.

A pattern is a real amplitude g(azimuth, zenith), the root of the power gain over an isotropic element, alike for all
elements of an array. Azimuth and zenith are those of `isacsim.arrays`: broadside is azimuth 0 and zenith pi/2.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.batch import as_array, same_array
from isacsim.checks import number
from isacsim.errors import InvalidInput
from isacsim.typing import FloatArray

PER_DB = np.log(10) / 20  # of an amplitude: its relative change for one dB, as the logarithm
LOSS = "It is a loss, above 0 dB: 30 dB is usual."
FEWEST = 2  # places of a measured table along an angle, between which there is something to interpolate


class ElementPattern(ABC):
    """The amplitude pattern of an element; a plugin derives from it."""

    @abstractmethod
    def gains(self, azimuth: FloatArray, zenith: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Amplitude g of directions (...), and its derivatives in azimuth and in zenith, in 1/rad, each (...).

        Args:
            azimuth: Azimuths from -pi to pi, in rad.
            zenith: Zenith angles from 0 to pi, in rad.
        """

    def basis(self, azimuth: FloatArray, zenith: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """`gains` of directions however they are written: a zenith angle may lie beyond the poles."""
        beyond = np.sin(zenith) < 0
        turned = np.where(beyond, azimuth + np.pi, azimuth)
        wrapped = np.arctan2(np.sin(turned), np.cos(turned))
        g, in_azimuth, in_zenith = self.gains(wrapped, np.arccos(np.clip(np.cos(zenith), -1, 1)))
        return g, in_azimuth, np.where(beyond, -in_zenith, in_zenith)


def _parabola(off: FloatArray, width: float, most: float) -> tuple[FloatArray, FloatArray]:
    """Loss ``min(12 (off / width)^2, most)`` in dB of an angle off its centre, and its derivative in 1/rad."""
    loss = 12 * (off / width) ** 2
    return np.minimum(loss, most), np.where(loss < most, 24 * off / width**2, 0.0)


@frozen
class Tr38901Element(ElementPattern):
    """The element of 3GPP TR 38.901, Table 7.3-1 [3GPP38901]: parabolas in dB over both angles.

    ``A = G - min(A_v + A_h, front_to_back)`` with ``A_v = min(12 ((zenith - 90 deg) / width)^2, side_lobes)`` and
    ``A_h = min(12 (azimuth / width)^2, front_to_back)``.

    Args:
        gain: Largest power gain G, linear; 8 dBi in the table.
        vertical_width: Width between the -3 dB points in zenith, in rad.
        horizontal_width: Width in azimuth, in rad.
        side_lobes: Most that is lost in zenith, a ratio.
        front_to_back: Most that is lost at all, a ratio.
    """

    gain: float = field(default=10**0.8, validator=number(above=0), metadata=units.db())
    vertical_width: float = field(default=np.deg2rad(65), validator=number(above=0), metadata=units.degrees())
    horizontal_width: float = field(default=np.deg2rad(65), validator=number(above=0), metadata=units.degrees())
    side_lobes: float = field(default=1e3, validator=number(above=1, remedy=LOSS), metadata=units.db())
    front_to_back: float = field(default=1e3, validator=number(above=1, remedy=LOSS), metadata=units.db())

    def gains(self, azimuth: FloatArray, zenith: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Of the table; where a loss is at its most, it has no slope."""
        most = 10 * np.log10(self.front_to_back)
        up, of_zenith = _parabola(zenith - np.pi / 2, self.vertical_width, 10 * np.log10(self.side_lobes))
        across, of_azimuth = _parabola(azimuth, self.horizontal_width, most)
        g = np.sqrt(self.gain) * np.exp(-PER_DB * np.minimum(up + across, most))
        slope = np.where(up + across < most, -PER_DB * g, 0.0)
        return g, slope * of_azimuth, slope * of_zenith


@frozen
class CosineElement(ElementPattern):
    """A power gain of ``gain cos(psi)^exponent`` at the angle psi off broadside; nothing is radiated behind.

    Args:
        exponent: How narrow it is; above 2 the slope of the amplitude is continuous at the edge.
        gain: Gain at broadside, linear; None is ``2 (exponent + 1)``, with which as much is radiated as by an
            isotropic element.
    """

    exponent: float = field(default=3.0, validator=number(least=2))
    gain: float | None = field(default=None, validator=number(above=0, optional=True), metadata=units.db())

    def gains(self, azimuth: FloatArray, zenith: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """With ``cos(psi) = sin(zenith) cos(azimuth)``."""
        cosine = np.maximum(np.sin(zenith) * np.cos(azimuth), 0.0)
        most = np.sqrt(2 * (self.exponent + 1) if self.gain is None else self.gain)
        half = self.exponent / 2
        slope = most * half * np.where(cosine > 0, np.power(cosine, half - 1), 0.0)
        in_azimuth, in_zenith = -np.sin(zenith) * np.sin(azimuth), np.cos(zenith) * np.cos(azimuth)
        return most * np.power(cosine, half), slope * in_azimuth, slope * in_zenith


def _azimuths(value: Any) -> FloatArray:
    return _rising("azimuth", value)


def _zeniths(value: Any) -> FloatArray:
    return _rising("zenith", value)


def _rising(name: str, value: Any) -> FloatArray:
    """Angles of a table."""
    angles = np.asarray(as_array(name, value, float, 1))
    if angles.ndim != 1 or angles.size < FEWEST or not (np.diff(angles) > 0).all() or not np.isfinite(angles).all():
        raise InvalidInput(name, "must be at least 2 rising angles", value, "Sort the table.")
    return angles


def _table(value: Any) -> FloatArray:
    return np.asarray(as_array("gain_dbi", value, float, 2))


@frozen(slots=False)
class MeasuredElement(ElementPattern):
    """A measured power gain over both angles, interpolated in dB by cubic splines; beyond the table its edge holds.

    Args:
        azimuth: Azimuths of the table, rising, shape (n,), in rad.
        zenith: Zenith angles, rising, shape (m,), in rad.
        gain_dbi: Power gain over an isotropic element, shape (n, m), in dBi.
    """

    azimuth: FloatArray = field(converter=_azimuths, eq=same_array, metadata=units.degrees())
    zenith: FloatArray = field(converter=_zeniths, eq=same_array, metadata=units.degrees())
    gain_dbi: FloatArray = field(converter=_table, eq=same_array, metadata=units.worded("list of lists of numbers"))

    def __attrs_post_init__(self) -> None:
        wanted = (self.azimuth.size, self.zenith.size)
        if self.gain_dbi.shape != wanted or not np.isfinite(self.gain_dbi).all():
            rule = f"must be {wanted[0]} rows, one an azimuth, of {wanted[1]} finite gains in dBi, one a zenith angle"
            raise InvalidInput("gain_dbi", rule, self.gain_dbi, "Check the table; -60 stands for nothing.")

    @cached_property
    def _spline(self) -> Any:
        from scipy.interpolate import RectBivariateSpline

        degrees = (min(3, self.azimuth.size - 1), min(3, self.zenith.size - 1))
        return RectBivariateSpline(self.azimuth, self.zenith, self.gain_dbi, kx=degrees[0], ky=degrees[1])

    def gains(self, azimuth: FloatArray, zenith: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Of the spline, at the nearest place of the table."""
        azimuth, zenith = np.broadcast_arrays(azimuth, zenith)
        at = [np.clip(x, table[0], table[-1]) for x, table in ((azimuth, self.azimuth), (zenith, self.zenith))]
        within = [x == angle for x, angle in zip(at, (azimuth, zenith), strict=True)]
        g = np.exp(PER_DB * np.asarray(self._spline.ev(*at)))
        slopes = [np.where(inside, PER_DB * g * self._spline.ev(*at, *which), 0.0)
                  for inside, which in zip(within, ((1, 0), (0, 1)), strict=True)]  # fmt: skip
        return g, slopes[0], slopes[1]
