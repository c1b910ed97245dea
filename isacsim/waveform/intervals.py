"""Confidence intervals of counted shares."""

from __future__ import annotations

from typing import Any

import numpy as np

from isacsim.typing import FloatArray


def wilson(successes: Any, trials: Any, z: float) -> FloatArray:
    """One end of the interval of [Wilson27] for the probability of success, shape (...).

    Args:
        successes: Number of successes, shape (...).
        trials: Number of trials, shape (...).
        z: Standard normal quantile, negative for the lower end: -1.96 and 1.96 for 95 %.
    """
    n = np.asarray(trials, float)
    share = np.asarray(successes, float) / n
    spread = z * np.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    return np.asarray(np.clip((share + z**2 / (2 * n) + spread) / (1 + z**2 / n), 0.0, 1.0))
