"""Range-Doppler radar at sample level: OFDM out, echoes in, maps, and what is found on them.

A burst of T symbols leaves the transmit chains, comes back from moving targets and through the background,
and passes the receive chains. The receiver cancels the background it knows and combines, towards a
direction with the steering vectors a and b ::

    Z[f, t] = conj(p[f, t]) u[f]^H Y[f, t],   p = a^H A_t x,   u = C_n^-1 A_r b

with the noise covariance C_n of the linear model (`isacsim.link.Echo`). The map is the DFT of Z over time
and its inverse over frequency, in power and over ``sum v |p|^2 w^2`` with ``v = u^H A_r b`` and the window
w: without a target its cells are exponential of mean 1 where the model holds. The matched filter takes the
place of a division by the symbols, which precoded streams would make of infinite noise.

A target moves while a symbol lasts: its echo loses ``1 - |J_0|^2`` of its power to other subcarriers. Delays
are those of a cyclic prefix, exact for any fraction of a sample.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import numpy as np
from attrs import field, frozen

from isacsim.batch import flatten, squared
from isacsim.checks import choice, instance, whole
from isacsim.drop import Drop
from isacsim.errors import InvalidInput
from isacsim.grid import LIGHT, Grid
from isacsim.link import Echo, Link, WidebandLink
from isacsim.metrics.components import Quantity
from isacsim.metrics.delay_doppler import doppler_of, require_unambiguous
from isacsim.targets.scene import PointTargets
from isacsim.typing import ComplexArray, FloatArray, IntArray
from isacsim.waveform import ofdm
from isacsim.waveform.base import Experiment
from isacsim.waveform.cfar import CellAveraging, MapDetector
from isacsim.waveform.echoes import Leakage
from isacsim.waveform.intervals import wilson
from isacsim.waveform.link import NORMAL_95
from isacsim.waveform.modulation import QPSK, Gaussian, Modulation, modulation
from isacsim.waveform.signals import Sources, through

QUANTILES = 5  # of the SNR over bursts
WINDOWS = ("rectangular", "hann", "hamming", "blackman")


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
        s: Symbols, shape (F, K+S, T).
        Y: Subcarriers out of the receive chains less the known background, shape (F, N_r, T), in sqrt(W).
    """

    s: ComplexArray
    Y: ComplexArray


@frozen(eq=False, slots=False)
class Radar:
    """The sensing side of a link of one member to point targets, on a grid.

    Attributes:
        link: The link.
        modulation: What the streams carry.
    """

    link: WidebandLink
    modulation: Modulation = QPSK

    @property
    def grid(self) -> Grid:
        """The grid."""
        return self.link.grid

    @property
    def echo(self) -> Echo:
        """The echo by the linear model."""
        return self.link.echo

    @cached_property
    def targets(self) -> PointTargets:
        """The targets."""
        targets = self.link.drop.targets
        if not isinstance(targets, PointTargets):
            raise InvalidInput("targets", "must be point targets", type(targets).__name__, "Use kind 'points'.")
        return flatten(targets)

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
        Y = self.leakage.cancelled(ofdm.demodulate(y, grid), s, sources)
        return Burst(s[0], Y[0])

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
        # The Doppler phase is 0 in the middle of the first body, so that a symbol turns by its own middle.
        middle = grid.prefix + (grid.subcarriers - 1) / 2
        time = (np.arange(y.shape[-1]) - middle) / grid.rate
        echoes = ofdm.modulate(probe, grid) * np.exp(2j * np.pi * self.doppler[:, None] * time)
        return y + (b * reflection) @ echoes

    def combined(self, burst: Burst, target: int) -> tuple[ComplexArray, FloatArray]:
        """Z and the information ``v |p|^2`` in the direction of a target, each (F, T)."""
        a, b = (column[:, target : target + 1] for column in self.steering)
        u = self.echo.whiten(b[None, None])[0]  # (F, N_r, 1)
        v = (np.conj(u) * self.echo.receive.amplify(b[None, None])[0]).sum(axis=(-2, -1)).real
        p = (np.conj(a).T @ (self.echo.sent.precoder[0] @ burst.s))[:, 0]
        Z = np.conj(p) * (np.conj(u).swapaxes(-1, -2) @ burst.Y)[:, 0]
        return Z, np.broadcast_to(v[:, None], p.shape) * squared(p)

    def kept(self) -> FloatArray:
        """Part ``|J_0|^2`` of the power of each echo that stays on its subcarrier, shape (M,)."""
        shift = np.pi * self.doppler / self.grid.spacing
        N = self.grid.subcarriers
        with np.errstate(invalid="ignore", divide="ignore"):
            kept = (np.sin(shift) / (N * np.sin(shift / N))) ** 2
        return np.where(shift == 0, 1.0, kept)

    def cells(self) -> IntArray:
        """Cells of the map that the targets are nearest to, delay and Doppler, shape (2, M)."""
        grid = self.grid
        delay = np.round(self.delay * grid.used * grid.spacing).astype(int) % grid.used
        doppler = np.round(self.doppler * grid.symbols * grid.duration).astype(int) % grid.symbols
        return np.stack([delay, doppler])

    def echo_snr(self, information: FloatArray, w: FloatArray, target: int) -> float:
        """SNR of a steady target in its cell of the map, with what its place between cells costs, linear."""
        grid, (i, k) = self.grid, self.cells()[:, target]
        off_delay = self.delay[target] - i / (grid.used * grid.spacing)
        off_doppler = self.doppler[target] * grid.duration - k / grid.symbols
        phase = np.exp(-2j * np.pi * grid.frequencies * off_delay)[:, None]
        phase = phase * np.exp(2j * np.pi * off_doppler * np.arange(grid.symbols))
        amplitude = np.abs((information * w * phase).sum()) ** 2 / (information * w**2).sum()
        return float(squared(self.targets.reflection[0, target]) * self.kept()[target] * amplitude)


def power_map(Z: ComplexArray, information: FloatArray, w: FloatArray, padding: int = 1) -> FloatArray:
    """Normalised map, shape (padding F, padding T), of Z, ``v |p|^2`` and a window, each (F, T)."""
    F, T = (padding * n for n in Z.shape)
    map_ = np.fft.ifft(np.fft.fft(Z * w, T, axis=1), F, axis=0, norm="forward")
    return np.asarray(squared(map_) / (information * w**2).sum())


@frozen
class RangeDoppler(Experiment):
    """False alarms and detections on range-Doppler maps, beside what theory says.

    Each burst is sent twice with symbols of its own, without targets and with all of them. False alarms are
    counted on all cells of the maps without, in the direction of the first target, detections in the cell
    of each target. The prediction is the detector's closed form for the SNR by the linear model of the hardware,
    with the power that a target's motion and its place between cells cost; it knows nothing of other targets.

    Args:
        detector: What finds targets on a map.
        bursts: Bursts simulated with and without targets.
        modulation: What the streams carry.
        window: Window over subcarriers and over symbols: ``rectangular``, ``hann``, ``hamming`` or
            ``blackman``. All but the first correlate neighbouring cells: the false-alarm rate is the nominal one
            only where the detector's ``stride`` keeps its reference cells apart.
        swerling: Fluctuation of the targets: 0 is steady, 1 and 2 have exponential power, 3 and 4 that of a
            Gamma law of order 2, from burst to burst. The phase is uniform in all.
    """

    wideband = True

    detector: MapDetector = field(factory=CellAveraging, validator=instance(MapDetector))
    bursts: int = field(default=200, validator=whole(2))
    modulation: Modulation = field(default=QPSK, converter=modulation)
    window: Literal["rectangular", "hann", "hamming", "blackman"] = field(
        default="rectangular", validator=choice(*WINDOWS)
    )
    swerling: int = field(default=0, validator=whole(0))

    def __attrs_post_init__(self) -> None:
        if self.swerling > 4:
            raise InvalidInput("swerling", "must be from 0 to 4", self.swerling, "0 is a steady target.")

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """False alarms, detections and the floor of the maps."""
        alarm, found = "false-alarm probability of a cell", "detection probability of each target"
        return (
            Quantity("map-false-alarm", "1", (), f"{alarm}, measured"),
            Quantity("map-false-alarm-low", "1", (), f"lower end of the 95 % interval of the {alarm}"),
            Quantity("map-false-alarm-high", "1", (), f"upper end of the 95 % interval of the {alarm}"),
            Quantity("target-detection", "1", ("target",), f"{found}, measured"),
            Quantity("target-detection-low", "1", ("target",), f"lower end of the 95 % interval of the {found}"),
            Quantity("target-detection-high", "1", ("target",), f"upper end of the 95 % interval of the {found}"),
            Quantity("predicted-detection", "1", ("target",), f"{found}, predicted"),
            Quantity("map-floor", "1", (), "mean of the maps without targets over the prediction"),
        )

    def labels(self, drop: Drop) -> dict[str, Any]:
        """Ranges of the targets, in m, where they differ."""
        if not isinstance(drop.targets, PointTargets):
            return {}
        ranges = [float(r) for r in flatten(drop.targets).delay[0] * LIGHT / 2]
        return {"target": ranges} if len(set(ranges)) == len(ranges) else {}

    def check(self, link: Link) -> None:
        """Refuse other scenes, delays beyond the prefix, ambiguous targets and maps that are too small."""
        super().check(link)
        assert isinstance(link, WidebandLink)
        radar, grid = Radar(link), link.grid
        require_unambiguous(radar.targets, grid)
        reach = grid.prefix / grid.rate
        if np.any(radar.targets.delay > reach):
            rule = f"must be within the {reach * LIGHT / 2:.6g} m of the prefix"
            raise InvalidInput("targets.range", rule, float(radar.delay.max()) * LIGHT / 2, "Take a longer prefix.")
        self.detector.require(grid.used)

    def trial(self, link: Link, rng: np.random.Generator) -> dict[str, FloatArray]:
        """The quantities of one trial."""
        self.check(link)
        assert isinstance(link, WidebandLink)
        radar, sources = Radar(link, self.modulation), Sources.of(rng)
        w = np.outer(window(self.window, link.grid.used), window(self.window, link.grid.symbols))
        hits, floors, alarms, snr = [], [], [], []
        for _ in range(self.bursts):
            silent = power_map(*radar.combined(radar.burst(sources, np.zeros(radar.targets.count, complex)), 0), w)
            floors.append(silent.mean())
            alarms.append(self.detector.detect(silent).mean())
            there = radar.burst(sources, self._fluctuating(radar.targets.reflection[0], sources.symbols))
            found = [self._look(radar, there, w, m) for m in range(radar.targets.count)]
            hits.append([hit for hit, _ in found])
            snr.append([of for _, of in found])
        # A few quantiles of the SNR stand for its scatter from burst to burst, which symbols of unequal power make.
        spread = np.quantile(np.array(snr), (np.arange(QUANTILES) + 0.5) / QUANTILES, axis=0)
        predicted = self.detector.detection(spread, self.swerling).mean(axis=0)
        return self._summary(np.array(hits), np.array(floors), np.array(alarms), predicted)

    def _look(self, radar: Radar, burst: Burst, w: FloatArray, target: int) -> tuple[bool, float]:
        """Whether a target is found in its cell, and the SNR that it should have there."""
        Z, information = radar.combined(burst, target)
        cell = tuple(radar.cells()[:, target])
        found = self.detector.detect(power_map(Z, information, w))
        return bool(found[cell]), radar.echo_snr(information, w, target)

    def _fluctuating(self, reflection: ComplexArray, rng: np.random.Generator) -> ComplexArray:
        """Reflections of a burst."""
        order = {0: None, 1: 1.0, 2: 1.0, 3: 2.0, 4: 2.0}[self.swerling]
        power = np.ones(reflection.shape) if order is None else rng.gamma(order, 1 / order, reflection.shape)
        return np.asarray(reflection * np.sqrt(power) * np.exp(2j * np.pi * rng.uniform(size=reflection.shape)))

    def _summary(
        self, hits: FloatArray, floors: FloatArray, alarms: FloatArray, predicted: FloatArray
    ) -> dict[str, FloatArray]:
        """The quantities from those of the bursts."""
        count = hits.sum(axis=0).astype(float)
        # Cells of a map share their references: the scatter from burst to burst is the error that counts.
        half = NORMAL_95 * alarms.std(ddof=1) / np.sqrt(self.bursts)
        rate = alarms.mean()
        return {
            "map-false-alarm": np.array([rate]),
            "map-false-alarm-low": np.array([max(0.0, rate - half)]),
            "map-false-alarm-high": np.array([rate + half]),
            "target-detection": (count / self.bursts)[None],
            "target-detection-low": np.asarray(wilson(count, self.bursts, -NORMAL_95))[None],
            "target-detection-high": np.asarray(wilson(count, self.bursts, NORMAL_95))[None],
            "predicted-detection": predicted[None],
            "map-floor": np.array([floors.mean()]),
        }
