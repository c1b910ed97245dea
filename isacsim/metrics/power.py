"""Radiated power, beampattern and energy efficiency."""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np
from attrs import frozen

from isacsim.arrays import AntennaArray
from isacsim.batch import squared
from isacsim.checks import finite_numbers, fitting, numbers, positive
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Hardware, Ideal, diagonal_matrix
from isacsim.link import Link, Transmission, WidebandLink, require_hardware
from isacsim.metrics.scaling import Drive, drive_for
from isacsim.typing import BoolArray, ComplexArray, FloatArray, IntArray


def antenna_power(W: Any, transmit: Hardware = Ideal()) -> FloatArray:
    """Power out of each transmit chain, shape (..., N_t), in W; see `radiated_power`."""
    return Transmission.of(W, transmit).antenna_power


def radiated_power(W: Any, transmit: Hardware = Ideal()) -> FloatArray:
    """Power that leaves the transmit chains, shape (...), in W.

    For data converters modelled by the AQNM it is tr(A_t R_x) [Xu25, eq. (10c)].

    Args:
        W: Precoder, shape (..., N_t, K+S), in sqrt(W).
        transmit: The transmit chains.
    """
    return Transmission.of(W, transmit).power


def beampattern(
    W: Any,
    array: AntennaArray,
    azimuth: Any,
    zenith: Any = np.pi / 2,
    transmit: Hardware = Ideal(),
) -> FloatArray:
    """Radiated power toward directions, a^H R a, shape (..., directions), in W.

    Args:
        W: Precoder, shape (..., N_t, K+S), in sqrt(W).
        array: Transmit array.
        azimuth: Azimuths, broadcast with zenith to (directions,), in rad.
        zenith: Zeniths, in rad.
        transmit: The transmit chains.
    """
    finite_numbers("azimuth", azimuth)
    finite_numbers("zenith", zenith)
    sent = Transmission.of(W, transmit)
    with fitting("W, azimuth, zenith, array", W, azimuth, zenith):
        return power_toward(sent, array, azimuth, zenith)


def power_toward(sent: Transmission, array: AntennaArray, azimuth: Any, zenith: Any = np.pi / 2) -> FloatArray:
    """`beampattern` of a transmission, shape (..., directions), in W."""
    a = array.steering(np.atleast_1d(azimuth), zenith)
    return np.asarray((np.conj(a) * np.swapaxes(sent.radiated @ a.T, -1, -2)).real.sum(axis=-1))


def rescale_to_radiated(W: Any, transmit: Hardware, power: Any, *, per_antenna: bool = False) -> ComplexArray:
    """The precoder scaled so that ``power`` leaves the transmit chains, shape (..., N_t, K+S).

    With ``per_antenna`` each row is scaled by itself, so that every antenna radiates the same share of it; an
    antenna that is sent nothing stays silent.

    The linear model is evaluated at most six times for a precoder: once where the hardware says that its output is
    proportional to its drive, as data converters with gain control do, twice where that is found, and three to five
    times for devices that saturate. Near what they put out at most, beyond a peak, or behind much gain, one or two of
    the evaluations take a batch of drives (`isacsim.metrics.scaling`). A curve with a kink where it meets the power
    takes more.

    Args:
        W: Precoder, shape (..., N_t, K+S), in sqrt(W).
        transmit: The transmit chains.
        power: Wanted power, broadcast to (...), in W.
        per_antenna: Whether each antenna is to radiate its share.

    Raises:
        InvalidInput: If ``power`` is not positive, or the chains saturate below it; or for ``per_antenna`` where
            they couple.
    """
    return _rescaled(W, transmit, power, per_antenna=per_antenna)[0]


def radiating(link: Link, power: Any, *, per_antenna: bool = False) -> Link:
    """The link of precoders scaled by `rescale_to_radiated`, whose last evaluation of the hardware it keeps."""
    bins = link.grid.subcarriers if isinstance(link, WidebandLink) else 0
    W, sent = _rescaled(link.W, link.transmit, power, bins, per_antenna=per_antenna)
    return attrs.evolve(link, W=W) if sent is None else link.sending(sent, W=W)


def _rescaled(
    W: Any, transmit: Hardware, power: Any, bins: int = 0, *, per_antenna: bool = False
) -> tuple[ComplexArray, Transmission | None]:
    """The scaled precoder; with ``bins`` N one for each subcarrier, (..., F, N_t, K+S), of a common factor."""
    positive("power", power)
    require_hardware("transmit", transmit)
    if not isinstance(per_antenna, bool):
        raise InvalidInput("per_antenna", "must be True or False", per_antenna, "Check the type.")
    core = 3 if bins else 2
    drives = _Drives(np.asarray(numbers("W", W, axes=core), complex, order="C"), transmit, bins, per_antenna)
    with fitting("power, W", power, W):
        target = drives.shares(np.broadcast_to(np.asarray(power, float), drives.lead))
    found, sent = (drives.proportional if transmit.scale_free else drives.searched)(target)
    if found.reached.all():
        return drives.at(drives.W, found.factor.reshape(*drives.lead, drives.parts)), sent
    worst, most = (float(np.max(power[~found.reached])) for power in (target, found.most))
    raise InvalidInput(
        "power", f"must be reachable, in W: the transmit chains saturate near {most:.4g} W", float(f"{worst:.4g}"),
        "Lower the power, raise the saturation level, or judge the power as designed.",
    )  # fmt: skip


@frozen(eq=False)
class _Drives:
    """Precoders that are driven by factors to their power: one for each, or for each antenna by itself.

    To the search for the drive an antenna of ``per_antenna`` is a member with one chain.

    Attributes:
        W: Precoders, (..., N_t, K+S), or with ``bins`` one for each subcarrier, (..., F, N_t, K+S).
        transmit: The transmit chains.
        bins: Number of bins N of an OFDM signal; 0 without a band.
        per_antenna: Whether each antenna has a factor of its own.
    """

    W: ComplexArray
    transmit: Hardware
    bins: int
    per_antenna: bool

    @property
    def lead(self) -> tuple[int, ...]:
        """Leading axes of the precoders."""
        return self.W.shape[: -3 if self.bins else -2]

    @property
    def parts(self) -> int:
        """Number of members that a precoder is: its antennas, or one."""
        return max(self.W.shape[-2], 1) if self.per_antenna else 1

    @property
    def chains(self) -> int:
        """Number of chains of a member."""
        return self.W.shape[-2] // self.parts

    @property
    def alive(self) -> BoolArray:
        """Which members are precoders that send something, (members,)."""
        power: FloatArray = squared(self.W).sum(axis=-1)
        power = power.sum(axis=-2) if self.bins else power
        finite = np.isfinite(self.W).all(axis=(-3, -2, -1) if self.bins else (-2, -1))
        members = finite.size * self.parts  # in words, for an array of no entries
        return np.repeat(finite.ravel(), self.parts) & (power.reshape(members, self.chains).sum(axis=-1) > 0)

    def shares(self, power: FloatArray) -> FloatArray:
        """What each member is to radiate of the power (...) of all antennas, (members,)."""
        return np.repeat(power.ravel() / self.parts, self.parts)

    def at(self, W: ComplexArray, factor: FloatArray) -> ComplexArray:
        """Precoders W of so many times the power, by factors (..., parts)."""
        amplitude = np.sqrt(factor)[..., None]
        return np.asarray((np.expand_dims(amplitude, -3) if self.bins else amplitude) * W)

    def proportional(self, target: FloatArray) -> tuple[Drive, Transmission | None]:
        """The drives of chains whose output is in proportion to their input, and what they send, of one factor.

        Args:
            target: What each member is to radiate, (members,), in W.
        """
        sent = self.sent(self.W)
        power = self.of_samples(sent).reshape(target.size, self.chains).sum(axis=-1)
        with np.errstate(all="ignore"):
            factor = np.where(self.alive, target / power, 1.0)
        kept = None if self.bins or self.per_antenna else sent.louder(factor.reshape(self.lead))
        return Drive(factor, np.isfinite(factor), power), kept

    def searched(self, target: FloatArray) -> tuple[Drive, Transmission | None]:
        """The drives by `drive_for`, and what they send, where the last evaluation was of that and tells all of it."""
        given = self.of_samples(Transmission.of(self.W, Ideal())).reshape(target.size, self.chains)
        last: list[tuple[FloatArray, Transmission]] = []

        def output(members: IntArray, drive: FloatArray) -> FloatArray:
            factor, sent, chains = self.radiate(members, drive)
            last[:] = [(factor, sent)]
            return chains

        found = drive_for(output, given, target, self.alive, self.parts)
        factor = found.factor.reshape(*self.lead, self.parts)
        kept = not self.by_chain and last and np.array_equal(last[0][0], factor)
        return found, last[0][1] if kept else None

    def radiate(self, members: IntArray, drive: FloatArray) -> tuple[FloatArray, Transmission, FloatArray]:
        """What members (n,), in order, radiate at drives (D, n): factors, transmission, power of chains (D, n, chains).

        One drive of all of them has the leading axes of the precoders, as a caller's own evaluation had.
        """
        rows, row = np.unique(members // self.parts, return_inverse=True)
        factor = np.ones((len(drive), rows.size, self.parts))
        factor[:, row, members % self.parts] = drive
        W = self.W.reshape(-1, *self.W.shape[len(self.lead) :])[rows]
        if len(drive) == 1 and rows.size == math.prod(self.lead):
            W, factor = self.W, factor.reshape(*self.lead, self.parts)
        sent = self.sent(self.at(W, factor))
        chains = self.of_samples(sent).reshape(len(drive), rows.size, self.parts, self.chains)
        return factor, sent, chains[:, row, members % self.parts]

    def sent(self, W: ComplexArray) -> Transmission:
        """The transmission of precoders; for nothing but powers where these need not know of other chains."""
        if not (self.by_chain and len(W)):
            return Transmission.of(W, self.transmit)
        model = self.transmit.linear_model(diagonal_matrix(squared(W).sum(axis=-1)).astype(complex))
        return Transmission(model.amplify(W), model.distortion_power, model=model)

    @property
    def by_chain(self) -> bool:
        """Whether the model of each chain is that of a map of its own, whose correlation with others is the work."""
        return bool(getattr(self.transmit, "scalar", False)) and not (self.transmit.scale_free or self.bins)

    def of_samples(self, sent: Transmission) -> FloatArray:
        """Power of the time samples out of the chains of a member, (..., chains), or of its one chain, (..., N_t)."""
        if self.per_antenna and sent.model is not None and sent.model.coupled:
            remedy = "Scale to the power of all of them together."
            raise InvalidInput("per_antenna", "must be false where the transmit chains couple", self.transmit, remedy)
        return np.asarray(sent.antenna_power.sum(axis=-2) / self.bins) if self.bins else sent.antenna_power


def energy_efficiency(sum_rate_bits: Any, radar_sqnr: Any, consumption: Any) -> FloatArray:
    """Energy efficiency of [Xu25, eq. (20)], shape (...), in bit/s/Hz/W.

    Args:
        sum_rate_bits: Sum rate of the users, in bit/s/Hz.
        radar_sqnr: Radar SQNR, linear; it counts as log2(1 + SQNR).
        consumption: Power drawn, in W (`isacsim.hardware.power`); infinite for ideal converters.

    Raises:
        InvalidInput: If the power drawn is not positive, or a rate or an SQNR is negative.
    """
    positive("consumption", consumption, infinite=True)
    for name, value in (("sum_rate_bits", sum_rate_bits), ("radar_sqnr", radar_sqnr)):
        if np.any(numbers(name, value, real=True) < 0):  # NaN where there is no precoder
            raise InvalidInput(name, "must be at least 0", value, "It is no decibel: give bit/s/Hz, and a ratio.")
    with fitting("sum_rate_bits, radar_sqnr, consumption", sum_rate_bits, radar_sqnr, consumption):
        return np.asarray((np.asarray(sum_rate_bits) + np.log2(1 + np.asarray(radar_sqnr))) / consumption)
