"""Range-Doppler radar at sample level: false alarms and detections on maps (`isacsim.waveform.radar`)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from attrs import field, frozen

from isacsim.batch import flatten
from isacsim.checks import choice, instance, whole
from isacsim.drop import Drop
from isacsim.errors import InvalidInput
from isacsim.grid import LIGHT
from isacsim.link import Link
from isacsim.metrics.components import Quantity
from isacsim.targets.scene import PointTargets
from isacsim.typing import ComplexArray, FloatArray
from isacsim.waveform.cfar import CellAveraging, MapDetector
from isacsim.waveform.intervals import wilson
from isacsim.waveform.link import NORMAL_95
from isacsim.waveform.modulation import QPSK, Modulation, modulation
from isacsim.waveform.radar import WINDOWS, Burst, BurstExperiment, Radar, window
from isacsim.waveform.signals import Sources

QUANTILES = 5  # of the SNR over bursts


@frozen
class RangeDoppler(BurstExperiment):
    """False alarms and detections on range-Doppler maps, beside what theory says.

    Each burst is sent twice with symbols of its own, without targets and with all of them. False alarms are
    counted on all cells of the maps without, in the direction of the first target, detections in the cell
    of each target. The prediction is the detector's closed form for the SNR by the linear model of the hardware,
    with the power that a target's motion, its place between cells, and a prefix that is too short for it cost; of
    other targets it knows what strays from late ones, and nothing else.

    Args:
        detector: What finds targets on a map.
        bursts: Bursts simulated with and without targets.
        modulation: What the streams carry.
        window: Window over subcarriers and over symbols: ``rectangular``, ``hann``, ``hamming`` or
            ``blackman``. All but the first correlate neighbouring cells: the false-alarm rate is the nominal one
            only where the detector's ``stride`` keeps its reference cells apart.
        swerling: Fluctuation of the targets: 0 is steady, 1 and 2 have exponential power, 3 and 4 that of a
            Gamma law of order 2, from burst to burst. The phase is uniform in all.
        static_removed: Whether the receiver does not know its background, and takes all that stands still out of
            what it receives, by least squares over the symbols of a burst; it sees no target at velocity 0 then.
    """

    detector: MapDetector = field(factory=CellAveraging, validator=instance(MapDetector))
    bursts: int = field(default=200, validator=whole(2))
    modulation: Modulation = field(default=QPSK, converter=modulation)
    window: Literal["rectangular", "hann", "hamming", "blackman"] = field(
        default="rectangular", validator=choice(*WINDOWS)
    )
    swerling: int = field(default=0, validator=whole(0))
    static_removed: bool = field(default=False, validator=instance(bool))

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
        """Ranges of the targets, in m, where there are several that differ."""
        if not isinstance(drop.targets, PointTargets):
            return {}
        ranges = [float(r) for r in flatten(drop.targets).delay[0] * LIGHT / 2]
        return {"target": ranges} if 1 < len(ranges) == len(set(ranges)) else {}

    def radar(self, link: Link) -> Radar:
        """That of the base, which refuses maps that are too small for the detector."""
        radar = super().radar(link)
        self.detector.require(radar.grid.used)
        return radar

    def trial(self, link: Link, rng: np.random.Generator) -> dict[str, FloatArray]:
        """The quantities of one trial."""
        radar, sources = self.radar(link), Sources.of(rng)
        w = np.outer(window(self.window, radar.grid.used), window(self.window, radar.grid.symbols))
        hits, floors, alarms, snr = [], [], [], []
        for _ in range(self.bursts):
            look = radar.look(radar.burst(sources, np.zeros(radar.targets.count, complex)), 0)
            silent, seen = look.map(w), look.energy(w) > 0
            floors.append(silent[:, seen].mean() / radar.silence(look, w, 0))
            alarms.append(self.detector.detect(silent)[:, seen].mean())
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
        look, cell = radar.look(burst, target), tuple(radar.cells()[:, target])
        found = self.detector.detect(look.map(w))
        return bool(found[cell]), radar.echo_snr(look, w, target)

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
