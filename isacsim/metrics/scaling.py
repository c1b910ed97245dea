"""At what drive a device puts out a wanted power, in few evaluations of it.

Of a device that saturates the reciprocal of the output is nearly linear in the reciprocal of the
drive (``out = p / (1 + p)`` makes it exact), from the weakest drive to the strongest, and of a
linear one it is proportional. So the drive is interpolated in reciprocals, by the polynomial through
all evaluations so far, and kept between the drives that were too weak and too strong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from attrs import frozen

from isacsim.typing import BoolArray, FloatArray

ACCURACY = 1e-12  # of the output
# A step this short whose end three interpolations agree upon, without the oldest and without the two oldest
# points, needs no evaluation to confirm it: what is left is far below the first difference.
SHORT, AGREED = 1e-5, (3e-14, 1e-12)
EVALUATIONS = 60
FARTHEST = np.exp(-60.0)  # the reciprocal drive at which output that still is too little will not grow any more


@frozen(eq=False)
class Drive:
    """What was found.

    Attributes:
        factor: Factor of the power at the input, shape (...).
        reached: Whether it gives the wanted output.
        most: Largest output seen, shape (...), in W.
    """

    factor: FloatArray
    reached: BoolArray
    most: FloatArray


def drive_for(output: Callable[[FloatArray], FloatArray], target: FloatArray, alive: BoolArray) -> Drive:
    """The factor of the input power at which ``output`` is ``target``, to 1e-12, or 1e-11 where not confirmed.

    Args:
        output: Output power (...), in W, for factors (...) of the input power.
        target: Wanted output, shape (...), in W.
        alive: Members that have an input at all; the others keep the factor 1.
    """
    x, weak, strong = np.ones(target.shape), np.full(target.shape, np.inf), np.zeros(target.shape)
    least, most, reached = np.full(target.shape, np.inf), np.zeros(target.shape), ~alive
    reach = np.full(target.shape, 2.0)  # of the next step into what was not tried yet, in nepers
    tried: list[tuple[FloatArray, FloatArray]] = []
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for _ in range(EVALUATIONS):
            out = output(1 / x)
            most, y = np.fmax(most, np.where(alive, out, 0.0)), target / out
            reached = reached | (np.abs(np.log(y)) <= ACCURACY)
            if reached.all() or np.any(~reached & (x < FARTHEST)):
                break
            # Beyond a peak more drive gives less: that is too strong, though the output is too little.
            weaker = (y > 1) & ~((x < weak) & (y > least))
            weak, least = np.where(weaker, x, weak), np.where(weaker, y, least)
            strong = np.where(weaker, strong, np.maximum(strong, x))
            tried.append((y, x))
            ahead, agreed, outward = _ahead(tried, weak, strong, reach)
            reach = np.where(outward, 2 * reach, reach)
            # A member that has arrived stays, so that its bytes do not depend on the others.
            x, reached = np.where(reached, x, ahead), reached | agreed
            if reached.all():
                break
    return Drive(1 / x, reached, most)


def _ahead(
    tried: list[tuple[FloatArray, FloatArray]], weak: FloatArray, strong: FloatArray, reach: FloatArray
) -> tuple[FloatArray, BoolArray, BoolArray]:
    """The next reciprocal drive between two, where it needs no confirmation, and where it goes beyond all so far."""
    y, x = tried[-1]
    best = _interpolated(tried) if len(tried) > 1 else x / y  # first as of a linear device
    line = _interpolated(tried[-2:])
    inside, straight = ((strong < at) & (at < weak) for at in (best, line))
    outward = ~inside & ~straight & ((strong == 0) | np.isinf(weak))
    beyond = np.where(strong == 0, weak * np.exp(-reach), strong * np.exp(reach))
    otherwise = np.where(outward, beyond, np.sqrt(strong * weak))
    agreed = inside & (np.abs(best / x - 1) <= SHORT) & (len(tried) > len(AGREED))
    for oldest, difference in enumerate(AGREED, 1):
        agreed = agreed & (np.abs(_interpolated(tried[oldest:]) / best - 1) <= difference)
    return np.where(inside, best, np.where(straight, line, otherwise)), agreed, outward


def _interpolated(points: Sequence[tuple[FloatArray, FloatArray]]) -> FloatArray:
    """The polynomial through points (y, x) at y = 1, by Neville's scheme."""
    values = [x for _, x in points] or [np.asarray(np.nan)]
    for k in range(1, len(points)):
        for i in range(len(points) - k):
            (first, _), (last, _) = points[i], points[i + k]
            values[i] = ((1 - last) * values[i] - (1 - first) * values[i + 1]) / (first - last)
    return values[0]
