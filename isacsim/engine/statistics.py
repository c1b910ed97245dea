"""Mean or median over trials, with a 95 % confidence interval: of reports, and of what stops a run."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen

from isacsim.typing import FloatArray

LEVEL = 0.95


@frozen(eq=False)
class Estimate:
    """A statistic over trials, with the ends of its confidence interval, each (...).

    Attributes:
        value: The mean or median; NaN without trials.
        low: Lower end; NaN where there are too few trials for an interval.
        high: Upper end.
        error: Standard error; NaN where there is no interval.
        count: Trials that entered.
    """

    value: FloatArray
    low: FloatArray
    high: FloatArray
    error: FloatArray
    count: FloatArray


def mean(samples: Any) -> Estimate:
    """Mean over the last axis, with the interval of Student's t law; NaN are left out.

    One infinite sample makes the mean infinite, and leaves it without an interval.
    """
    from scipy.special import stdtrit

    samples = np.asarray(samples, float)
    there = ~np.isnan(samples)
    n = there.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        value = np.where(there, samples, 0.0).sum(axis=-1) / n
        spread = np.where(there, samples - value[..., None], 0.0)
        error = np.sqrt((spread**2).sum(axis=-1) / (n - 1) / n)
        error = np.where(n > 1, error, np.nan)
        half = stdtrit(np.maximum(n - 1, 1), (1 + LEVEL) / 2) * error
    return Estimate(value, value - half, value + half, error, n.astype(float))


def median(samples: Any) -> Estimate:
    """Median over the last axis, with the interval of order statistics; NaN are left out.

    The ranks are those of the binomial law, which needs no assumption on the samples and
    bears the heavy tails of a CRLB. Samples of +inf are kept: they are ranks too. The
    standard error is that of a normal law with the same interval.
    """
    from scipy.special import bdtr, ndtri

    samples = np.asarray(samples, float)
    lead = samples.shape[:-1]
    value, low, high, count = (np.full(lead, np.nan) for _ in range(4))
    for at in np.ndindex(lead):
        x = np.sort(samples[at][~np.isnan(samples[at])])
        n = count[at] = x.size
        if n:
            value[at] = np.median(x) if np.isfinite(x[n // 2]) else x[n // 2]
        ranks = np.flatnonzero(bdtr(np.arange(n), n, 0.5) <= (1 - LEVEL) / 2)
        if ranks.size:
            low[at], high[at] = x[ranks[-1]], x[n - 1 - ranks[-1]]
    with np.errstate(invalid="ignore"):
        error = (high - low) / (2 * ndtri((1 + LEVEL) / 2))
    return Estimate(value, low, high, error, count)


STATISTICS = {"mean": mean, "median": median}
