"""What the entries of a recorded channel mean: which element of the array, and the sign of its phase.

An array orders its elements and turns their phases in one way (`isacsim.arrays`). Channels
that come from elsewhere may do both in another, which changes no rate but points every
beam elsewhere than where the targets are. `Convention` says once how a recording does it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from attrs import frozen

from isacsim.arrays import AntennaArray
from isacsim.errors import InvalidInput
from isacsim.typing import ComplexArray, FloatArray, IntArray

# Column by column and row by row, both upwards; and column by column from the top, as Sionna numbers a panel.
ORDERS = ("vertical-fastest", "horizontal-fastest", "vertical-fastest-from-top")
TOLD_APART = ORDERS[:2]  # by channels alone; up and down differ in a sign, which only angles tell
PHASES = ("positive", "negative")
# A user is in line of sight under one convention and not under another if along one wave it has at least this share of
# its power, and what is left is more than three times as much under the other. A Rayleigh channel of 6 antennas has the
# first share along some wave once in 1000 times, and 0.6 along a given wave once in 100 times.
SOME_WAVE, KNOWN_WAVE, TIMES, ROUNDING = 0.9, 0.6, 3.0, 1e-3


@frozen
class Convention:
    """How the entries of a recording belong to the elements of an array.

    Attributes:
        order: Which index of the array runs fastest along a recorded channel, of `ORDERS`, or the places in the
            file of the array's elements; None is the order of the array itself.
        conjugated: Whether recorded entries are conjugated to have the array's own sign of the phase.
    """

    order: Any = None
    conjugated: bool = False

    def applied(self, recorded: ComplexArray, array: AntennaArray) -> ComplexArray:
        """Recorded channels (..., N_t, K) as channels between the elements of ``array``."""
        H = recorded if self.order is None else np.ascontiguousarray(recorded[..., self._places(array), :])
        return np.conj(H) if self.conjugated else H

    def _places(self, array: AntennaArray) -> IntArray:
        """Where the file has each element of the array, (N_t,)."""
        if not isinstance(self.order, str):
            return np.asarray(self.order)
        columns, rows = array.grid
        slow, fast = {ORDERS[0]: (columns, rows), ORDERS[1]: (rows, columns), ORDERS[2]: (columns, -rows)}[self.order]
        places = np.empty(array.size, int)
        places[np.lexsort((fast, slow))] = np.arange(array.size)
        return places


def conjugates(phase: str, array: AntennaArray) -> bool:
    """Whether entries whose phase is ``positive`` or ``negative`` have another sign than those of ``array``."""
    return array.conjugate != (phase == "negative")


def shown_order(recorded: ComplexArray, array: AntennaArray) -> str | None:
    """The order of elements that the channels (records, N_t, K) themselves show, other than the array's own.

    Whatever its direction, a user in line of sight has a plane wave across the array: a
    single tone along both axes. None where no other order shows one more often.
    """
    columns, rows = (int(index.max()) + 1 for index in array.grid)
    if min(columns, rows) < 2 or columns * rows != array.size:
        return None
    shares = []
    places = np.argsort(array.grid[0] * rows + array.grid[1])
    for order in TOLD_APART:
        waves = np.moveaxis(Convention(order).applied(recorded, array)[..., places, :], -1, -2)
        shares.append(_share(_strongest_tone(waves.reshape(-1, columns, rows)), waves.reshape(-1, array.size)))
    own = 0 if np.array_equal(places, np.arange(array.size)) else 1
    return TOLD_APART[1 - own] if _outvoted(shares[own], shares[1 - own], SOME_WAVE) else None


def _strongest_tone(plane: ComplexArray) -> FloatArray:
    """Largest power of the spectrum of signals over a grid, (waves, columns, rows), over all frequencies: (waves,)."""
    waves, *size = plane.shape
    tones = np.abs(np.fft.fft2(plane, s=[4 * n for n in size])) ** 2
    peak = np.unravel_index(tones.reshape(waves, -1).argmax(axis=-1), tones.shape[1:])
    at = [index / (4 * n) for index, n in zip(peak, size, strict=True)]
    for halving in range(1, 9):  # to a thousandth of the resolution, about the strongest bin
        near = [f[:, None] + np.array([-1, 0, 1]) / (4 * n * 2**halving) for f, n in zip(at, size, strict=True)]
        across, along = (np.exp(-2j * np.pi * f[..., None] * np.arange(n)) for f, n in zip(near, size, strict=True))
        tones = np.abs(across @ plane @ along.swapaxes(-1, -2)) ** 2
        peak = np.unravel_index(tones.reshape(waves, -1).argmax(axis=-1), (3, 3))
        at = [np.take_along_axis(f, index[:, None], -1)[:, 0] for f, index in zip(near, peak, strict=True)]
    return tones.max(axis=(-2, -1))


def refuse_other_directions(
    recorded: ComplexArray, array: AntennaArray, told: Convention, azimuth: FloatArray, zenith: FloatArray
) -> None:
    """Refuse a convention under which users in line of sight lie elsewhere than in their known directions.

    Args:
        recorded: Channels as they lie in the file, (records, N_t, K).
        array: Transmit array.
        told: The convention to be judged.
        azimuth: Directions of the users, (records, K), in rad; NaN for a user that is not in line of sight.
        zenith: Their zenith angles, (records, K), in rad.

    Raises:
        InvalidInput: If another convention, or another meaning of the angles, puts the users where they are, and this
            one does not.
    """
    own = _shares_along(recorded, array, told, azimuth, zenith)
    for remedy, convention, angles in _meant(array, told, azimuth, zenith):
        if _outvoted(own, _shares_along(recorded, array, convention, *angles), KNOWN_WAVE):
            rule = f"must have more than {np.nanmedian(own):.0%} of users' power where the file says that they are"
            raise InvalidInput("channel", rule, "", remedy)


def _meant(
    array: AntennaArray, told: Convention, azimuth: FloatArray, zenith: FloatArray
) -> Iterator[tuple[str, Convention, tuple[FloatArray, FloatArray]]]:
    """What else a file can mean, with what to do about it: other conventions, then angles in other terms."""
    for order, turned in product((told.order, *ORDERS), (told.conjugated, not told.conjugated)):
        sign = PHASES[int(array.conjugate != turned)]
        remedy = f"phase = {sign!r}" if order == told.order else f"element_order = {order!r} and phase = {sign!r}"
        yield f"Set {remedy}.", Convention(order, turned), (azimuth, zenith)
    # Angles were taken for degrees from the vertical axis.
    as_radians, above = np.rad2deg(azimuth), np.pi / 2
    yield "Its zenith angles are elevations: store 90 less these.", told, (azimuth, above - zenith)
    yield "Its azimuths are radians: store degrees.", told, (as_radians, zenith)
    yield "Its angles are radians: store degrees.", told, (as_radians, np.rad2deg(zenith))
    elevation = above - np.rad2deg(zenith)
    yield "Its angles are radians, and elevations: store degrees, and 90 less these.", told, (as_radians, elevation)


def _shares_along(
    recorded: ComplexArray, array: AntennaArray, convention: Convention, azimuth: FloatArray, zenith: FloatArray
) -> FloatArray:
    """Share of the power of recorded channels that is along the users' directions, (records, K)."""
    a = array.steering(azimuth, zenith)  # (records, K, N_t)
    h = np.moveaxis(convention.applied(recorded, array), -1, -2)
    power = np.mean(np.abs(a) ** 2, axis=-1)  # an element's pattern may be blind to a direction
    along = np.abs((np.conj(a) * h).sum(axis=-1)) ** 2
    return _share(np.divide(along, power, out=np.full(power.shape, np.nan), where=power > 0), h)


def _share(along: FloatArray, h: ComplexArray) -> FloatArray:
    """Share of the power of channels (..., N_t) that is along a wave; NaN for a channel of zeros."""
    power = h.shape[-1] * np.sum(np.abs(h) ** 2, axis=-1)
    return np.divide(along, power, out=np.full(power.shape, np.nan), where=power > 0)


def _outvoted(own: FloatArray, other: FloatArray, least: float) -> bool:
    """Whether a tenth of the users, and far more than the other way round, are in line of sight by ``other`` alone."""

    def votes(these: FloatArray, those: FloatArray) -> int:
        return int(np.sum((these >= least) & (1 - those > TIMES * (1 - these) + ROUNDING)))

    # Comparisons with NaN are false: users without a channel or a direction have no vote.
    known = int(np.sum(~np.isnan(own)))
    return votes(other, own) > max(3 * votes(own, other), known // 10)
