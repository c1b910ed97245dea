"""Receiver operating characteristics from streams of statistics, in memory that does not grow.

A statistic is counted under the leading bits of its floating-point number, which is a
logarithmic scale: `MANTISSA` bits of the mantissa make bins of a relative width of
2^-`MANTISSA`, over all powers of two and without knowing the range. A threshold lies on an
edge of a bin, so that every point of the binned curve is a point of the exact empirical
one; at a given false-alarm probability the binned detection probability is at most by the
H1 statistics in one bin lower (`Roc.resolution`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from attrs import frozen

from isacsim.errors import InvalidInput
from isacsim.typing import FloatArray, IntArray
from isacsim.waveform.intervals import wilson

MANTISSA = 14  # bins of 6e-5, in which a statistic of exponential law has at most 2.3e-5 of its mass


@frozen(eq=False)
class Histogram:
    """Counts of statistics in bins.

    Attributes:
        keys: Bins that were met in ascending order, as the leading bits of their numbers.
        counts: Statistics in each.
    """

    keys: IntArray
    counts: IntArray

    @classmethod
    def of(cls, values: FloatArray, mantissa: int = MANTISSA) -> Histogram:
        """Count finite values; 52 bits of ``mantissa`` give each number a bin of its own.

        Raises:
            InvalidInput: If a value is not finite.
        """
        if not np.isfinite(values).all():
            raise InvalidInput("detector", "must give finite statistics", values, "Check its statistic.")
        # Adding zero turns -0.0 into 0.0. The pattern of a negative number is mirrored, so that
        # patterns are ordered as the numbers are.
        bits = (np.ascontiguousarray(values, float) + 0.0).view(np.int64)
        bits = np.where(bits < 0, np.iinfo(np.int64).min - bits, bits) if np.any(bits < 0) else bits
        return cls(*np.unique(bits >> (52 - mantissa), return_counts=True))

    @classmethod
    def total(cls, parts: Iterable[Histogram]) -> Histogram:
        """The counts of several histograms together."""
        parts = list(parts)
        keys = np.concatenate([part.keys for part in parts])
        counts = np.concatenate([part.counts for part in parts])
        order = np.argsort(keys, kind="stable")  # merges ascending runs
        keys, counts = keys[order], counts[order]
        first = np.flatnonzero(np.diff(keys, prepend=keys[:1] - 1))
        return cls(keys[first], np.add.reduceat(counts, first) if first.size else counts)

    @property
    def size(self) -> int:
        """Number of statistics."""
        return int(self.counts.sum())


@frozen(eq=False)
class Interval:
    """An estimate and its confidence interval, each (...)."""

    value: FloatArray
    low: FloatArray
    high: FloatArray


@frozen(eq=False)
class Roc:
    """The empirical ROC of statistics without a target (H0) and with one (H1).

    The detection probability at a false-alarm probability P is that of the lowest threshold
    that at most P of the H0 statistics exceed.

    Attributes:
        absent: H0 statistics above each threshold, ascending from none to all of them.
        present: H1 statistics above each threshold, likewise.
    """

    absent: IntArray
    present: IntArray

    @classmethod
    def of(cls, absent: Histogram, present: Histogram) -> Roc:
        """The curve of two histograms; its thresholds are the edges of their bins."""
        keys = np.union1d(absent.keys, present.keys)
        found = []
        for histogram in (absent, present):
            counts = np.zeros(keys.size + 1, np.int64)
            counts[keys.size - np.searchsorted(keys, histogram.keys)] = histogram.counts
            found.append(np.cumsum(counts))
        return cls(*found)

    def detection_probability(self, false_alarm: Any) -> FloatArray:
        """Detection probability at false-alarm probabilities, shape as theirs."""
        return np.asarray(self.present[self._threshold(self._allowed(false_alarm))] / self.present[-1])

    def resolution(self, false_alarm: Any) -> FloatArray:
        """What the exact empirical curve may be higher by, at false-alarm probabilities."""
        allowed = self._allowed(false_alarm)
        low, high = self._between(allowed, allowed)
        return np.asarray((high - low) / self.present[-1])

    def area(self, confidence: float = 0.95) -> Interval:
        """Area under the curve, the chance that a statistic with a target is the larger; ties count half.

        The interval is the normal one of [DeLong88], with the variance of the share of the
        other hypothesis below each statistic.
        """
        from scipy.special import ndtri

        placed = []  # of each bin: its count, and the share of the other hypothesis below it
        for own, other in ((self.present, self.absent), (self.absent, self.present)):
            below = 1 - (other[1:] + other[:-1]) / (2 * other[-1])
            placed.append((np.diff(own), below))
        counts, below = placed[0]
        area = float(counts @ below) / int(self.present[-1])
        variance = 0.0
        for counts, below in placed:
            n = int(counts.sum())
            centred = below - counts @ below / n
            variance += float(counts @ centred**2) / n / max(n - 1, 1)
        half = ndtri((1 + confidence) / 2) * np.sqrt(variance)
        return Interval(*(np.asarray(x) for x in (area, max(area - half, 0.0), min(area + half, 1.0))))

    def band(self, false_alarm: Any, confidence: float = 0.95) -> Interval:
        """Detection probability with a band that holds the whole true curve, at false-alarm probabilities.

        With [Massart90] the distribution of each hypothesis is everywhere within
        ``sqrt(ln(2 / a) / (2 n))`` of the empirical one with probability 1 - a; both are
        with ``(1 - a)^2 = confidence``. For no law of the statistics is the level less.
        """
        each = 1 - np.sqrt(confidence)
        n0, n1 = int(self.absent[-1]), int(self.present[-1])
        off0, off1 = (np.sqrt(np.log(2 / each) / (2 * n)) for n in (n0, n1))
        allowed = np.asarray(false_alarm, float) * n0
        low, high = self._between(np.floor(allowed - off0 * n0), np.floor(allowed + off0 * n0))
        return Interval(
            self.detection_probability(false_alarm), np.maximum(low / n1 - off1, 0), np.minimum(high / n1 + off1, 1)
        )

    def interval(self, false_alarm: Any, confidence: float = 0.95) -> Interval:
        """Detection probability with an interval at each false-alarm probability by itself.

        The number of H0 statistics above the true threshold is binomial, which bounds the
        threshold; the H1 statistics above each bound are counted, with the interval of
        [Wilson27]. The two parts have one level each, whose product is ``confidence``.
        """
        from scipy.special import bdtr, bdtrik, ndtri

        each = 1 - np.sqrt(confidence)
        n0, n1 = int(self.absent[-1]), int(self.present[-1])
        p = np.asarray(false_alarm, float)
        inside = np.clip(p, 0, 1 - 1e-16)  # at 1 every threshold is below the statistics
        quantiles = []
        for level in (each / 2, 1 - each / 2):
            k = np.ceil(bdtrik(level, n0, inside))
            before = np.maximum(k - 1, 0)
            quantiles.append(np.where(bdtr(before, n0, inside) >= level, before, k))
        lowest = np.where(p < 1, quantiles[0] - 1, n0)
        low, high = self._between(lowest, np.where(p < 1, quantiles[1], n0))
        z = float(ndtri(1 - each / 2))
        return Interval(self.detection_probability(p), wilson(low, n1, -z), wilson(high, n1, z))

    def _between(self, fewest: FloatArray, most: FloatArray) -> tuple[FloatArray, FloatArray]:
        """H1 statistics above the lowest thresholds with at most so many H0 statistics above, each (...).

        The second is that of the next edge, which no threshold inside the bin exceeds.
        """
        low = np.where(fewest < 0, 0, self.present[self._threshold(np.maximum(fewest, 0))])
        high = self.present[np.minimum(self._threshold(most) + 1, self.present.size - 1)]
        return np.asarray(low, float), np.asarray(high, float)

    def _allowed(self, false_alarm: Any) -> FloatArray:
        """Most H0 statistics above the threshold; 1e-9 is for products such as 0.07 * 100."""
        return np.floor(np.asarray(false_alarm, float) * int(self.absent[-1]) + 1e-9)

    def _threshold(self, allowed: FloatArray) -> IntArray:
        """Index of the lowest threshold that at most ``allowed`` H0 statistics exceed."""
        return np.asarray(np.searchsorted(self.absent, allowed, side="right") - 1)
