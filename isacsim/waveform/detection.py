"""Detection at sample level: is there an echo behind the receive converters?

Under H0 the receive chains get ``y = n``, under H1 ``y = G x_q + n``. The receiver knows
the symbols sent; a detector maps the samples of a sensing interval to a statistic.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from attrs import field, frozen

from isacsim.checks import choice, instance, whole
from isacsim.drop import Drop
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Transceiver
from isacsim.metrics.components import Quantity
from isacsim.metrics.rate import covariance
from isacsim.metrics.sensing import sensing_link
from isacsim.typing import ComplexArray, FloatArray
from isacsim.waveform.base import Detector, Experiment
from isacsim.waveform.detectors import EnergyDetector
from isacsim.waveform.signals import BLOCK, Sources, arriving_power, blocks, gaussian_symbols, radiate, receive


def detection_probability(absent: FloatArray, present: FloatArray, false_alarm: float) -> FloatArray:
    """Share of ``present`` above the threshold that ``false_alarm`` of ``absent`` exceed, shape (...).

    Args:
        absent: Statistics of decisions without a target, shape (..., decisions).
        present: Statistics of decisions with one, shape (..., decisions).
        false_alarm: False-alarm probability; at most this share of ``absent`` is above the threshold.
    """
    threshold = np.quantile(absent, 1 - false_alarm, axis=-1, method="inverted_cdf")
    return np.asarray(np.mean(present > threshold[..., None], axis=-1))


def area_under_curve(absent: FloatArray, present: FloatArray) -> FloatArray:
    """Area under the ROC: the chance that a statistic with a target is the larger, shape (...).

    Ties count half. Arguments as in `detection_probability`.
    """
    area = np.empty(absent.shape[:-1])
    for member in np.ndindex(area.shape):
        ordered = np.sort(absent[member])
        below, upto = (np.searchsorted(ordered, present[member], side) for side in ("left", "right"))
        area[member] = np.mean(below + upto) / (2 * ordered.size)
    return area


@frozen
class Detection(Experiment):
    """Detection probability at a false-alarm probability, and the area under the ROC.

    Each decision sees the drop's number of snapshots; hypotheses and decisions are
    independent. The threshold is a quantile of the H0 statistics, so that the false-alarm
    probability P met has a standard deviation of sqrt(P (1 - P) / decisions).

    Args:
        detector: The test statistic.
        decisions: Decisions simulated under each hypothesis.
        false_alarm: False-alarm probability P that sets the threshold.
        agc: What the receive gain controls are set to: ``h1``, the power with a target
            under both hypotheses; or ``match``, the power of the hypothesis that is true.
    """

    detector: Detector = field(factory=EnergyDetector, validator=instance(Detector))
    decisions: int = field(default=10_000, validator=whole(1))
    false_alarm: float = field(default=1e-2)
    agc: Literal["h1", "match"] = field(default="h1", validator=choice("h1", "match"))

    def __attrs_post_init__(self) -> None:
        if not 0 < self.false_alarm < 1:
            raise InvalidInput("false_alarm", "must be between 0 and 1", self.false_alarm, "Give a probability.")
        if self.decisions * self.false_alarm < 1:
            least = int(np.ceil(1 / self.false_alarm))
            raise InvalidInput(
                "decisions", f"must be at least 1/false_alarm = {least}", self.decisions, "Simulate more decisions."
            )

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """Detection probability and area under the ROC."""
        summary = f"detection probability at a false-alarm probability of {self.false_alarm:g}"
        return Quantity("detection-probability", "1", (), summary), Quantity("auc", "1", (), "area under the ROC")

    def trial(
        self, W: ComplexArray, drop: Drop, transceiver: Transceiver, rng: np.random.Generator
    ) -> dict[str, FloatArray]:
        """Both quantities from the `statistics` of the two hypotheses."""
        scene = drop.targets.response(), W, drop.radar_noise_power, drop.snapshots, transceiver
        without, with_echo = rng.spawn(2)
        absent = self.statistics(*scene, without, echo=False)
        present = self.statistics(*scene, with_echo, echo=True)
        return {
            "detection-probability": detection_probability(absent, present, self.false_alarm),
            "auc": area_under_curve(absent, present),
        }

    def statistics(
        self,
        G: Any,
        W: Any,
        noise_power: Any,
        snapshots: int,
        transceiver: Transceiver,
        rng: np.random.Generator,
        echo: bool,
    ) -> FloatArray:
        """Statistics of all decisions under one hypothesis, shape (..., decisions).

        The decisions follow each other in one stream of samples through the hardware.

        Args:
            G: Target response, shape (..., N_r, N_t).
            W: Precoder, shape (..., N_t, K+S), in sqrt(W).
            noise_power: Noise of each receive chain, broadcast to (...), in W.
            snapshots: Samples L of a decision.
            transceiver: The hardware the samples pass.
            rng: Source of symbols, noise and whatever is random in the hardware.
            echo: Whether there is a target: H1, else H0.
        """
        G, W = np.asarray(G, complex, order="C"), np.asarray(W, complex, order="C")
        link = sensing_link(G, W, noise_power, transceiver)
        expected = G @ transceiver.transmit.linear_model(covariance(W)).amplify(W)
        reference, combiner = link.receive.amplify(expected), link.whiten(expected)  # (..., N_r, K+S)
        noise = np.broadcast_to(np.asarray(noise_power, float)[..., None], G.shape[:-1])
        power = noise if self.agc == "match" and not echo else arriving_power(G, W, noise, transceiver)
        sources, found = Sources.of(rng), []
        for count in blocks(self.decisions, max(1, BLOCK // snapshots)):
            s = gaussian_symbols(W, count * snapshots, sources)
            m, u = reference @ s, combiner @ s
            arriving = G @ radiate(W, s, transceiver.transmit, sources) if echo else np.zeros_like(m)
            y = receive("receive", transceiver.receive, arriving, noise, power, sources)
            found.append(self.detector.statistic(*(_decisions(z, count) for z in (y, m, u))))
        return np.concatenate(found, axis=-1)


def _decisions(z: ComplexArray, count: int) -> ComplexArray:
    """A stream (..., N_r, count L) cut into decisions (..., count, N_r, L)."""
    return np.ascontiguousarray(np.moveaxis(z.reshape(*z.shape[:-1], count, -1), -2, -3))
