"""Amplitudes at which what grows with them is at a limit, of many members at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from isacsim.typing import BoolArray, FloatArray

STEPS = 40  # of the search; some six do
STRETCH = 4.0  # the most that an amplitude is scaled up
HAIR = 1e-11  # by how much a value ends below its limit, relative: more than rounding, less than what counts as binding


def largest(
    value: Callable[[FloatArray], FloatArray], ones: FloatArray, limit: FloatArray, held: BoolArray
) -> FloatArray | None:
    """Factors of amplitudes at which no value is above its limit, and none far below that is ``held`` up to it.

    The secant of logarithms, kept in a bracket, for all at once.

    Args:
        value: What grows with the factors, of factors of the shape of ``ones``.
        ones: The factors as they are.
        limit: Of the values, broadcast to that shape.
        held: Which values are to be no less, likewise.

    Returns:
        The factors; 1 for whatever is right as it is, and None where all is.
    """
    given, least = value(ones), limit * (1 - 10 * HAIR)
    above = given > limit
    moved = above | (held & (given < least) & (given > 0))
    if not moved.any():
        return None
    low, high = np.where(above, 0.0, 1.0), np.where(above, 1.0, STRETCH)
    factor = np.where(moved, np.sqrt(limit / np.where(moved, given, 1.0)) * (1 - HAIR), 1.0)
    factor = np.clip(factor, low, high)
    last, last_value, going = ones, given, moved
    for _ in range(STEPS):
        now = value(np.where(moved, factor, 1.0))
        over = now > limit
        low = np.where(going & ~over, np.maximum(low, factor), low)
        high = np.where(going & over, np.minimum(high, factor), high)
        going = going & (over | (now < least))  # a member that is done changes with no other
        if not going.any():
            break
        with np.errstate(all="ignore"):
            steepness = np.log(now / last_value) / np.log(factor / last)
            secant = factor * np.exp(np.log(limit * (1 - 2 * HAIR) / now) / steepness)
        last, last_value = factor, now
        inside = (secant > low) & (secant < high)  # False for NaN
        factor = np.where(inside, secant, (low + high) / 2)
    return np.asarray(np.where(moved, low, 1.0))
