"""The sensing side of an OFDM link at sample level: bursts out, echoes in, and maps of them.

A burst of T symbols leaves the transmit chains, comes back from moving targets and through the background,
and passes the receive chains. The receiver takes off the background, and combines, towards a direction with the
steering vectors a and b ::

    r[f, t] = u[f]^H Y[f, t],   p = a^H A_t x,   u = C_n^-1 A_r b

with the noise covariance C_n of the linear model (`isacsim.link.Echo`). The map is the DFT of ``w r conj(p)`` over
time and its inverse over frequency, in power and over ``sum v |w p|^2`` with ``v = u^H A_r b`` and a window
w: without a target its cells are exponential of mean 1 where the model holds. The matched filter takes the
place of a division by the symbols, which precoded streams would make of infinite noise.

A background that is not known is estimated with the echo: least squares over the T symbols take all that the streams
on a subcarrier explain, whatever the response, out of what is received, ``Y Pi`` with ``Pi = I - X^+ X``. What is left
of an echo depends on its Doppler shift, ``||w p e Pi||^2``, and nothing is where it stands still.

A target moves while a symbol lasts: its echo loses ``1 - |J_0|^2`` of its power to other subcarriers. Delays
are those of a cyclic prefix, exact for any fraction of a sample; beyond it an echo brings the end of the symbol before,
loses as much of its own, and what is no reference of it is noise (`isacsim.channels.late_paths`). A target that is let
in to ``fold`` shows up where the grid takes it to be, for a Doppler shift by more than half a symbol rate; from a delay
of more than a symbol on all of its echo is noise, since symbols differ. A Doppler phase is 0 in the middle of the first
body, which the phase of a reflection refers to, so that a symbol turns by its own middle and J_0 is real.
"""

from __future__ import annotations

from functools import cached_property
from typing import cast

import numpy as np
from attrs import frozen

from isacsim.batch import flatten, hermitian, squared
from isacsim.errors import InvalidInput
from isacsim.grid import Grid
from isacsim.link import Echo, Link, WidebandLink
from isacsim.metrics.delay_doppler import doppler_of, require_unambiguous
from isacsim.targets.scene import PointTargets
from isacsim.typing import ComplexArray, FloatArray, IntArray
from isacsim.waveform import ofdm
from isacsim.waveform.base import Experiment
from isacsim.waveform.echoes import Leakage
from isacsim.waveform.modulation import QPSK, Gaussian, Modulation
from isacsim.waveform.signals import Sources, through

WINDOWS = ("rectangular", "hann", "hamming", "blackman")
# Energy of a cell, relative to that without removal, that rounding leaves of nothing.
EMPTY = 1e-9


def window(name: str, length: int) -> FloatArray:
    """A periodic window of unit mean, shape (length,)."""
    if name == "rectangular":
        return np.ones(length)
    weights = {"hann": (0.5, 0.5), "hamming": (0.54, 0.46), "blackman": (0.42, 0.5, 0.08)}[name]
    phase = 2 * np.pi * (np.arange(length) + 0.5) / length  # symmetric about the middle
    terms = [(-1) ** i * a * np.cos(i * phase) for i, a in enumerate(weights)]
    w = np.sum(terms, axis=0)
    return np.asarray(w / w.mean())


@frozen(eq=False)
class Burst:
    """What the receiver has of a burst.

    Attributes:
        x: What leaves the transmit gains, A_t x, shape (F, N_t, T), in sqrt(W).
        Y: Subcarriers out of the receive chains less the background, shape (F, N_r, T), in sqrt(W).
        static: Orthonormal rows that were taken out of Y, shape (F, n, T); n is 0 where the background is known.
    """

    x: ComplexArray
    Y: ComplexArray
    static: ComplexArray

    def kept(self, rows: ComplexArray) -> ComplexArray:
        """What is left of rows (..., F, n, T) where the static ones are taken out."""
        return without(rows, self.static)


def without(rows: ComplexArray, static: ComplexArray) -> ComplexArray:
    """Rows (..., F, m, T) less their part along orthonormal ones (F, n, T)."""
    return rows - (rows @ hermitian(static)) @ static if static.shape[-2] else rows


@frozen(eq=False)
class Look:
    """A burst in one direction.

    Attributes:
        r: What is combined, u^H Y, shape (F, T).
        p: What meets a target there, shape (F, T), in sqrt(W).
        v: Information of the combiner, u^H A_r b, shape (F,), in 1/W.
        static: The rows that were taken out, shape (F, n, T).
    """

    r: ComplexArray
    p: ComplexArray
    v: FloatArray
    static: ComplexArray

    def energy(self, w: FloatArray, padding: int = 1) -> FloatArray:
        """``sum v ||w p e Pi||^2``, what is left in the cells of each Doppler shift, shape (padding T,)."""
        g, T = w * self.p, padding * self.p.shape[1]
        whole = (self.v * squared(g).sum(axis=1)).sum()
        gone = np.fft.ifft(g[:, None] * np.conj(self.static), T, norm="forward")  # (F, n, padding T)
        left = whole - (self.v[:, None, None] * squared(gone)).sum(axis=(0, 1))
        return np.where(left > EMPTY * whole, left, 0.0)

    def map(self, w: FloatArray, padding: int = 1) -> FloatArray:
        """Power on cells of delay and Doppler shift over their energy, (padding F, padding T); 0 where that is."""
        F, T = (padding * n for n in self.r.shape)
        Z = self.r * np.conj(w * self.p)
        amplitude, energy = np.fft.ifft(np.fft.fft(Z, T, axis=1), F, axis=0, norm="forward"), self.energy(w, padding)
        return np.where(energy > 0, squared(amplitude) / np.where(energy > 0, energy, 1.0), 0.0)

    def echo(self, turn: ComplexArray, w: FloatArray, cell: ComplexArray) -> complex:
        """The amplitude that an echo ``p turn`` has in the cell that turns by ``cell``, (F, T) each."""
        kept = without((self.p * turn)[:, None], self.static)[:, 0]
        return complex((self.v[:, None] * kept * np.conj(w * self.p * cell)).sum())


@frozen(eq=False, slots=False)
class Radar:
    """The sensing side of a link of one member to point targets, on a grid.

    Attributes:
        link: The link.
        modulation: What the streams carry.
        static_removed: Whether the background is not known, and all that stands still is taken out of what is received.
    """

    link: WidebandLink
    modulation: Modulation = QPSK
    static_removed: bool = False

    @property
    def grid(self) -> Grid:
        """The grid."""
        return self.link.grid

    @cached_property
    def echo(self) -> Echo:
        """The echo by the linear model; a background that is removed leaves nothing."""
        return self.link.echo.cancelled() if self.static_removed else self.link.echo

    @cached_property
    def targets(self) -> PointTargets:
        """The targets."""
        targets = self.link.drop.targets
        if not isinstance(targets, PointTargets):
            raise InvalidInput("targets", "must be point targets", type(targets).__name__, "Use kind 'points'.")
        return flatten(targets)

    def check(self) -> None:
        """Refuse other scenes, ambiguous targets, and bursts of which removal leaves nothing.

        Raises:
            InvalidInput: It names the field.
        """
        grid, streams = self.grid, self.link.W.shape[-1]
        require_unambiguous(self.targets, grid)
        if self.static_removed and grid.symbols <= min(streams, self.link.W.shape[-2]):
            rule = f"must be false where {grid.symbols} symbols carry {streams} streams"
            raise InvalidInput("static_removed", rule, True, "Nothing would be left; send more symbols.")

    @cached_property
    def steering(self) -> tuple[ComplexArray, ComplexArray]:
        """A (N_t, M) and b (N_r, M) of the targets."""
        at, t = (self.targets.azimuth[0], self.targets.zenith[0]), self.targets
        return t.tx_array.steering(*at).T, t.rx_array.steering(*at).T

    @cached_property
    def leakage(self) -> Leakage:
        """The background at sample level."""
        return Leakage.of(self.echo)

    @property
    def delay(self) -> FloatArray:
        """Delays of the targets, shape (M,), in s."""
        return np.asarray(self.targets.delay[0])

    @cached_property
    def doppler(self) -> FloatArray:
        """Doppler shifts of the targets, shape (M,), in Hz."""
        return doppler_of(self.targets, self.grid)[0]

    def burst(self, sources: Sources, reflection: ComplexArray) -> Burst:
        """A burst through the hardware, for reflections (M,), which may be 0."""
        link, grid = self.link, self.grid
        s = ofdm.symbols(self.modulation, link.W, grid.symbols, sources)
        sent = ofdm.radiate(link.W, s, grid, link.transceiver.transmit, sources)
        y = self._arriving(sent, reflection)
        noise = Gaussian().draw(sources.noise, (y.shape[-1], y.shape[-2])).T
        y = y + np.sqrt(self.echo.thermal[..., 0, :, None]) * noise
        receive = link.transceiver.receive
        if not receive.is_ideal:
            power = ofdm.band_power(self.echo.power, np.broadcast_to(self.echo.thermal[..., 0, :], y.shape[:-1]), grid)
            y = through("receive", receive, y, power, sources)
        Y, x = ofdm.demodulate(y, grid), (self.echo.sent.precoder @ s)[0]
        if not self.static_removed:
            nothing = np.zeros((len(x), 0, grid.symbols), complex)
            return Burst(x, self.leakage.cancelled(Y, s, sources)[0], nothing)
        rows = s[0] if s.shape[-2] <= x.shape[-2] else x
        static = hermitian(np.linalg.qr(hermitian(rows))[0])
        return Burst(x, without(Y[0], static), static)

    def _arriving(self, sent: ComplexArray, reflection: ComplexArray) -> ComplexArray:
        """Samples at the receive antennas without noise, shape (1, N_r, T (N + N_c)), in sqrt(W)."""
        grid, (a, b) = self.grid, self.steering
        background = self.leakage.response
        if background is None:
            count = grid.symbols * (grid.subcarriers + grid.prefix)
            y = np.zeros((1, b.shape[0], count), complex)
        else:
            y = ofdm.modulate(background @ sent, grid)
        if not np.any(reflection):
            return y
        turn = np.exp(-2j * np.pi * grid.frequencies[:, None] * self.delay)  # (F, M)
        probe = (np.conj(a).T @ sent) * turn[..., None]  # what meets each target, (1, F, M, T)
        probe = ofdm.symbols_ago(probe, grid, grid.symbols_late(self.delay))
        middle = grid.prefix + (grid.subcarriers - 1) / 2
        time = (np.arange(y.shape[-1]) - middle) / grid.rate
        echoes = ofdm.modulate(probe, grid)
        late = grid.late_samples(self.delay)
        if late.any():
            echoes = echoes + ofdm.spilled(probe, grid, late)
        return y + (b * reflection) @ (echoes * np.exp(2j * np.pi * self.doppler[:, None] * time))

    def look(self, burst: Burst, target: int) -> Look:
        """A burst in the direction of a target."""
        a, b = (column[:, target : target + 1] for column in self.steering)
        u = self._combiner(target)
        v = (np.conj(u) * self.echo.receive.amplify(b[None, None])[0]).sum(axis=(-2, -1)).real
        r, p = (np.conj(u).swapaxes(-1, -2) @ burst.Y)[:, 0], (np.conj(a).T @ burst.x)[:, 0]
        return Look(r, p, np.broadcast_to(v, len(p)), burst.static)

    def _combiner(self, target: int) -> ComplexArray:
        """U in the direction of a target, shape (F, N_r, 1), or with an axis of length 1 for F."""
        b = self.steering[1][:, target : target + 1]
        return np.asarray(self.echo.whiten(b[None, None])[0])

    @property
    def remaining(self) -> FloatArray:
        """What stays of the amplitude of each echo on its subcarrier, shape (M,): J_0, and what the prefix covers."""
        shift = np.pi * self.doppler / self.grid.spacing
        N = self.grid.subcarriers
        with np.errstate(invalid="ignore", divide="ignore"):
            kept = np.sin(shift) / (N * np.sin(shift / N))
        return np.where(shift == 0, 1.0, kept) * self.grid.covered(self.delay)

    def silence(self, look: Look, w: FloatArray, target: int) -> float:
        """Floor of a map without targets over that with them: what strays from late echoes is not there."""
        stray = self.echo.stray
        if stray is None:
            return 1.0
        u = self._combiner(target)
        strayed = (np.conj(u) * (self.echo.receive.signal_covariance(stray)[0] @ u)).sum(axis=(-2, -1)).real
        energy = squared(w * look.p).sum(axis=1)
        return float(1 - (energy * strayed).sum() / (energy * look.v).sum())

    def cells(self) -> IntArray:
        """Cells of the map that the targets are nearest to, delay and Doppler, shape (2, M)."""
        grid = self.grid
        delay = np.round(self.delay * grid.used * grid.spacing).astype(int) % grid.used
        doppler = np.round(self.doppler * grid.symbols * grid.duration).astype(int) % grid.symbols
        return np.stack([delay, doppler])

    def turn(self, delay: float, doppler: float) -> ComplexArray:
        """By what an echo of a delay and a Doppler shift turns, shape (F, T)."""
        over_band = np.exp(-2j * np.pi * self.grid.frequencies * delay)
        return over_band[:, None] * np.exp(2j * np.pi * doppler * self.grid.times)

    def echo_snr(self, look: Look, w: FloatArray, target: int) -> float:
        """SNR of a steady target in its cell of the map, with what its place between cells costs, linear."""
        grid, (i, k) = self.grid, self.cells()[:, target]
        cell = self.turn(i / (grid.used * grid.spacing), k / (grid.symbols * grid.duration))
        there = self.turn(self.delay[target], self.doppler[target])
        energy = look.energy(w)[k]
        amplitude = abs(look.echo(there, w, cell)) ** 2 / energy if energy > 0 else 0.0
        return float(squared(self.targets.reflection[0, target]) * self.remaining[target] ** 2 * amplitude)


class BurstExperiment(Experiment):
    """An experiment on what the sensing receiver makes of bursts."""

    wideband = True

    modulation: Modulation
    static_removed: bool

    def check(self, link: Link) -> None:
        """Refuse what the radar cannot see: see `radar`."""
        self.radar(link)

    def radar(self, link: Link) -> Radar:
        """The radar of a link.

        Raises:
            InvalidInput: Without a grid, and as `Radar.check` has it.
        """
        super().check(link)
        radar = Radar(cast(WidebandLink, link), self.modulation, self.static_removed)
        radar.check()
        return radar
