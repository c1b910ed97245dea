"""Detection at sample level: is there an echo behind the receive converters?

Under H0 the receive chains get ``y = n``, under H1 ``y = G x_q + n``. The receiver knows
the symbols sent; a detector maps the samples of a sensing interval to a statistic, and the
statistics of many intervals make the ROC.

Decisions come in stretches with random numbers of their own, which are counted in any order
and on any number of threads with the same result. A stretch is simulated in blocks, whose
length makes no difference to hardware without memory and random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from attrs import field, frozen

from isacsim.batch import batched
from isacsim.checks import choice, instance, number, whole
from isacsim.drop import Drop
from isacsim.errors import InvalidInput
from isacsim.link import Link
from isacsim.memory import must_fit
from isacsim.metrics.components import Quantity
from isacsim.typing import FloatArray
from isacsim.waveform.base import Detector, Experiment
from isacsim.waveform.detectors import EnergyDetector
from isacsim.waveform.echoes import EchoModel, EchoPath
from isacsim.waveform.modulation import Gaussian, Modulation, modulation
from isacsim.waveform.roc import Histogram, Interval, Roc
from isacsim.waveform.signals import Sources, blocks, require_finite, sample_shapes, symbols

STRETCH = 2**14  # samples of each chain in a stretch; another length is another draw
BLOCK = 2**15  # samples of all chains held at once, which stay in a cache of 1 MiB
ROUND = 16  # stretches between merges of their histograms

AXIS = "false-alarm-probability"


@frozen
class Detection(Experiment):
    """ROC, its area, and the detection probability at a false-alarm probability.

    Hypotheses and decisions are independent; thresholds are quantiles of the H0 statistics.
    Every result comes with a confidence interval: the curve with a band [Massart90] that holds
    all of it, or with intervals for each point by itself that are narrow also where false
    alarms are rare; the detection probability with the interval of `Roc.interval`; the area
    with that of [DeLong88].

    With ``relative_precision`` the decisions are looked at after one stretch, two, four and
    so on, and end when half the interval of the detection probability is at most that
    fraction of it. Each look then has an equal part of 1 - ``confidence``, so that the level
    holds whenever they end.

    Args:
        detector: The test statistic.
        decisions: Decisions simulated under each hypothesis, at most.
        false_alarm: False-alarm probability of ``detection-probability``.
        curve: False-alarm probabilities of the ROC, shape (points,), ascending. Below
            1/decisions the threshold is the largest H0 statistic, and the curve too low.
        snapshots: Samples of a decision; None is the coherent interval of the drop.
        agc: What the receive gain controls are set to: ``h1``, the power with a target
            under both hypotheses; or ``match``, the power of the hypothesis that is true.
        modulation: What the streams carry: ``qpsk``, ``qam16``, ``qam64``, ``qam256`` or
            ``gaussian`` symbols.
        band: Band of the ROC: ``dkw`` for the whole curve, ``wilson`` for each point.
        confidence: Confidence level of intervals and band.
        relative_precision: When to stop early; None simulates all decisions.
        threads: Threads that share the decisions; the result does not depend on them.
    """

    detector: Detector = field(factory=EnergyDetector, validator=instance(Detector))
    decisions: int = field(default=10_000, validator=whole(1))
    false_alarm: float = field(default=1e-2)
    snapshots: int | None = field(default=None, validator=whole(1, optional=True))
    agc: Literal["h1", "match"] = field(default="h1", validator=choice("h1", "match"))
    modulation: Modulation = field(factory=Gaussian, converter=modulation)
    curve: Any = batched(1, default=np.logspace(-4, 0, 33), above=0.0)
    band: Literal["dkw", "wilson"] = field(default="dkw", validator=choice("dkw", "wilson"))
    confidence: float = field(default=0.95)
    relative_precision: float | None = field(default=None, validator=number(above=0, optional=True))
    threads: int = field(default=1, validator=whole(1))

    def __attrs_post_init__(self) -> None:
        for name in ("false_alarm", "confidence"):
            if not 0 < getattr(self, name) < 1:
                raise InvalidInput(name, "must be between 0 and 1", getattr(self, name), "Give a probability.")
        if self.curve.ndim != 1 or not self.curve.size or np.any(np.diff(self.curve, append=1.0) < 0):
            remedy = "Write curve = [1e-3, 1e-2, 1e-1]."
            raise InvalidInput("curve", "must be ascending probabilities", self.curve, remedy)
        if self.decisions * self.false_alarm < 1:
            least = int(np.ceil(1 / self.false_alarm))
            raise InvalidInput(
                "decisions", f"must be at least 1/false_alarm = {least}", self.decisions, "Simulate more decisions."
            )

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """ROC, detection probability and area, each with the ends of its interval, and the decisions made."""
        at = f"detection probability at a false-alarm probability of {self.false_alarm:g}"
        told = {"roc": ((AXIS,), "detection probability"), "detection-probability": ((), at)}
        found = []
        for name, (dims, summary) in {**told, "auc": ((), "area under the ROC")}.items():
            for end in ("", "lower", "upper"):
                of = f"{end} end of its confidence interval: {summary}" if end else summary
                found.append(Quantity(f"{name}-{end}" if end else name, "1", dims, of))
        return *found, Quantity("decisions", "1", (), "decisions under each hypothesis")

    def labels(self, drop: Drop) -> dict[str, Sequence[Any]]:
        """The false-alarm probabilities of the curve."""
        return {AXIS: [float(p) for p in self.curve]}

    def check(self, link: Link) -> None:
        """Refuse decisions whose samples cannot be held."""
        snapshots = self.snapshots or link.drop.snapshots
        must_fit("snapshots", f"a decision of {snapshots} samples", snapshots, *sample_shapes(link, snapshots))

    def trial(self, link: Link, rng: np.random.Generator) -> dict[str, FloatArray]:
        """The quantities from the `roc` of a trial."""
        roc, confidence = self.roc(link, rng)
        curve = roc.band if self.band == "dkw" else roc.interval
        found: dict[str, Interval] = {
            "roc": curve(self.curve, confidence),
            "detection-probability": roc.interval(self.false_alarm, confidence),
            "auc": roc.area(confidence),
        }
        values = {}
        for name, of in found.items():
            values.update({name: of.value, f"{name}-lower": of.low, f"{name}-upper": of.high})
        values["decisions"] = np.asarray(roc.present[-1], float)
        return {name: value[None] for name, value in values.items()}

    def roc(self, link: Link, rng: np.random.Generator) -> tuple[Roc, float]:
        """The ROC of one trial, and the confidence of intervals that holds whenever it ended.

        Arguments as in `trial`.
        """
        require_finite("transmit input", link.W)
        path, echo = EchoPath.over(link), EchoModel.expected(link.echo, link.drop.targets.rank)
        snapshots = self.snapshots or link.drop.snapshots
        each = max(1, STRETCH // snapshots)
        looks = self._looks(-(-self.decisions // each))
        confidence = 1 - (1 - self.confidence) / len(looks)

        def stretch(number: int, own: np.random.Generator) -> tuple[Histogram, ...]:
            count = min(each, self.decisions - number * each)
            streams = zip((False, True), own.spawn(2), strict=True)
            return tuple(
                Histogram.of(self.statistics(path, echo, count, snapshots, target, stream)[0])
                for target, stream in streams
            )

        found: tuple[Histogram, ...] = (Histogram.of(np.empty(0)),) * 2
        done = 0
        with _workers(self.threads) as run:
            for look in looks:
                for start in range(done, look, ROUND):
                    numbers = range(start, min(look, start + ROUND))
                    parts = [found, *run(stretch, numbers, rng.spawn(len(numbers)))]
                    found = tuple(Histogram.total(of) for of in zip(*parts, strict=True))
                done, roc = look, Roc.of(*found)
                if self._precise(roc, confidence):
                    break
        return roc, confidence

    def statistics(
        self, path: EchoPath, echo: EchoModel, count: int, snapshots: int, target: bool, rng: np.random.Generator
    ) -> FloatArray:
        """Statistics of decisions under one hypothesis, shape (..., count).

        The decisions follow each other in one stream of samples through the hardware.

        Args:
            path: The way of the samples.
            echo: What the receiver knows.
            count: Number of decisions.
            snapshots: Samples L of a decision.
            target: Whether there is a target: H1, else H0.
            rng: Source of symbols, noise and whatever is random in the hardware.
        """
        power = path.idle_power if self.agc == "match" and not target else path.power
        sources, found = Sources.of(rng), []
        entries = snapshots * max(echo.mean.shape[-2], *path.W.shape[-2:])
        for length in blocks(count, max(1, BLOCK // entries)):
            s = symbols(self.modulation, path.W, length * snapshots, sources)
            y = path.samples(s, sources, target, power)
            found.append(self.detector.statistic(y, s, echo, snapshots))
        return np.concatenate(found, axis=-1)

    def _looks(self, stretches: int) -> list[int]:
        """Numbers of stretches after which the precision is looked at."""
        if self.relative_precision is None:
            return [stretches]
        return [*(2**i for i in range((stretches - 1).bit_length())), stretches]

    def _precise(self, roc: Roc, confidence: float) -> bool:
        if self.relative_precision is None:
            return False
        found = roc.interval(self.false_alarm, confidence)
        return bool((found.high - found.low) / 2 <= self.relative_precision * found.value)


@contextmanager
def _workers(threads: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """A `map` that runs on a number of threads: NumPy computes without the interpreter's lock."""
    if threads == 1:
        yield map
    else:
        with ThreadPoolExecutor(threads) as pool:
            yield pool.map
