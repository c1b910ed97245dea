"""The grid of an OFDM signal: which subcarriers and symbols there are, and when and where they lie.

A body of N samples is the unitary DFT of N bins, of which the F active ones, around the carrier,
carry something; a cyclic prefix of N_c samples goes before it. A signal of N = F = 1 without prefix
is the narrowband block.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from attrs import field, frozen

from isacsim import units
from isacsim.checks import number, whole
from isacsim.errors import InvalidInput
from isacsim.keywords import keywords
from isacsim.memory import must_fit
from isacsim.typing import AnyArray, FloatArray, IntArray

LIGHT = 299792458.0  # m/s
EXACT = 1e-9  # of a sample: a delay of the prefix itself is within it, whatever its rounding


@keywords()
@frozen
class Grid:
    """Subcarriers and symbols of an OFDM signal.

    Args:
        subcarriers: Bins N of the DFT, and samples of a body.
        spacing: Distance of subcarriers, in Hz.
        symbols: OFDM symbols T of a burst, which is also the coherent sensing interval.
        active: Subcarriers F that are used, those nearest to the carrier; None is all of them.
        prefix: Samples N_c of the cyclic prefix.
        carrier: Carrier frequency, in Hz; it turns a velocity into a Doppler shift.
    """

    known_as: ClassVar[str] = "grid"
    component_version: ClassVar[int] = 2  # what a target beyond the prefix brings is less, and strays

    subcarriers: int = field(validator=whole(1))
    spacing: float = field(validator=number(above=0), metadata=units.hertz())
    symbols: int = field(default=1, validator=whole(1))
    active: int | None = field(default=None, validator=whole(1, optional=True))
    prefix: int = field(default=0, validator=whole(0))
    carrier: float = field(default=28e9, validator=number(above=0), metadata=units.hertz())

    def __attrs_post_init__(self) -> None:
        if self.active is not None and self.active > self.subcarriers:
            rule = f"must be at most the {self.subcarriers} subcarriers"
            raise InvalidInput("active", rule, self.active, "Leave it out to use all of them.")
        if self.prefix > self.subcarriers:
            rule = f"must be at most a body of {self.subcarriers} samples"
            raise InvalidInput("prefix", rule, self.prefix, "It repeats the end of the body.")
        must_fit("subcarriers", "a body", self.subcarriers, (self.subcarriers,))
        must_fit("symbols", "a burst on one subcarrier", self.symbols, (self.symbols,))

    @property
    def used(self) -> int:
        """Number F of active subcarriers."""
        return self.subcarriers if self.active is None else self.active

    @property
    def index(self) -> IntArray:
        """Signed index of each active subcarrier, ascending, shape (F,); 0 is the carrier."""
        return np.arange(self.used) - self.used // 2

    @property
    def bins(self) -> IntArray:
        """Bin of the DFT of each active subcarrier, shape (F,)."""
        return self.index % self.subcarriers

    @property
    def frequencies(self) -> FloatArray:
        """Frequency of each active subcarrier from the carrier, shape (F,), in Hz."""
        return np.asarray(self.index * self.spacing, float)

    @property
    def times(self) -> FloatArray:
        """Time of each symbol from the first, shape (T,), in s."""
        return np.asarray(np.arange(self.symbols) * self.duration, float)

    @property
    def rate(self) -> float:
        """Samples a second, in Hz."""
        return self.subcarriers * self.spacing

    @property
    def duration(self) -> float:
        """Duration of a symbol with its prefix, in s."""
        return (self.subcarriers + self.prefix) / self.rate

    @property
    def wavelength(self) -> float:
        """Wavelength of the carrier, in m."""
        return LIGHT / self.carrier

    @property
    def range_step(self) -> float:
        """Resolution of a monostatic range, c / (2 F spacing), in m."""
        return LIGHT / (2 * self.used * self.spacing)

    @property
    def velocity_step(self) -> float:
        """Resolution of a radial velocity, wavelength / (2 T symbol duration), in m/s."""
        return self.wavelength / (2 * self.symbols * self.duration)

    def symbols_late(self, delays: FloatArray) -> IntArray:
        """Whole symbols, with their prefixes, that some delays exceed, in s, of the same shape."""
        return np.maximum(np.floor(np.asarray(delays) / self.duration - EXACT), 0).astype(int)

    def late_samples(self, delays: FloatArray) -> IntArray:
        """Samples of a body that are of one symbol earlier than the rest, on paths of delays of the same shape, in s.

        A narrowband block, of one bin, is taken as it arrives: it has none.
        """
        if self.subcarriers == 1:
            return np.zeros(np.shape(delays), int)
        left = np.asarray(delays) - self.symbols_late(delays) * self.duration
        return np.maximum(np.ceil(left * self.rate - self.prefix - EXACT), 0).astype(int)

    def covered(self, delays: FloatArray) -> FloatArray:
        """What is left of the amplitude of a subcarrier on such paths: the rest of the body of its own symbol."""
        if self.subcarriers == 1:
            return np.ones(np.shape(delays))
        share = 1 - self.late_samples(delays) / self.subcarriers
        return np.where(self.symbols_late(delays) > 0, 0.0, share)

    def spread(self, active: AnyArray, axis: int, elsewhere: Any = 0.0) -> AnyArray:
        """Values of the active subcarriers along ``axis`` on all N bins, in the order of the DFT."""
        active = np.moveaxis(active, axis, -1)
        whole = np.empty((*active.shape[:-1], self.subcarriers), active.dtype)
        whole[...] = np.asarray(elsewhere)[..., None]
        whole[..., self.bins] = active
        return np.ascontiguousarray(np.moveaxis(whole, -1, axis))

    def response(self, delays: FloatArray, taps: AnyArray) -> AnyArray:
        """Channels on the active subcarriers of taps at delays.

        User k receives ``h_k^H x`` and a delay turns the phase by ``exp(-2 pi j f tau)``, so that h_k
        itself turns by the conjugate.

        Args:
            delays: Delays, shape (P,), in s.
            taps: Taps, shape (..., P, N_t, K), amplitude.

        Returns:
            H, shape (..., F, N_t, K), amplitude.
        """
        turn = np.exp(2j * np.pi * np.outer(self.frequencies, delays))
        own = taps.shape[-2:]
        flat = np.ascontiguousarray(taps).reshape(*taps.shape[:-2], own[0] * own[1])
        return (turn @ flat).reshape(*taps.shape[:-3], self.used, *own)


def carrier_of(own: float | None, grid: Grid | None = None) -> float:
    """The carrier frequency of a model in Hz: its own, or, where it has none, that of the grid.

    Raises:
        InvalidInput: If there is neither, or they differ.
    """
    if grid is None and own is None:
        raise InvalidInput("carrier", "must be given where there is no grid", None, "Add carrier_hz, or a grid.")
    if grid is not None and own not in (None, grid.carrier):
        raise InvalidInput("carrier", f"must be the {grid.carrier:g} Hz of the grid", own, "Leave it out.")
    return float(own if grid is None else grid.carrier)  # type: ignore[arg-type]  # there is one
