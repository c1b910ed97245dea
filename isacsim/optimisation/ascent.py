"""The iteration of `isacsim.optimisation.riemannian` with pairs of `isacsim.optimisation.lbfgs`, for compiled loops.

Parts of a step of one start, which lies on a surface that it is at its full power on. Vectors are in slots of a `Way`.
"""

from __future__ import annotations

import math

from isacsim.compiled import part
from isacsim.optimisation.lbfgs import DIRECTION, FRESH, GRADIENT, PRECODER, TRIED, direct, dot, forget
from isacsim.optimisation.search import ARMIJO
from isacsim.typing import ComplexArray, FloatArray

# Places in what is told of a start: behind these are, from OWN on, what its objective has of its own.
OBJECTIVE, RESIDUAL, SLOPE, LENGTH, STUCK, STATE, STEP, OWN = range(8)


@part
def tread(real: FloatArray, length: float) -> None:
    """Write where a step of some length along the direction leads, of real numbers (slots, n)."""
    for j in range(real.shape[1]):
        real[TRIED, j] = real[PRECODER, j] + length * real[DIRECTION, j]


@part
def promised(objective: float, told: FloatArray, length: float) -> bool:
    """Whether a step of some length improves the objective by as much as its slope promises."""
    gain = objective - told[OBJECTIVE]
    # Strictly more: at the limit of rounding a step that changes nothing is no step.
    return gain > 0 and gain >= ARMIJO * length * told[SLOPE]


@part
def move(real: FloatArray, seen: FloatArray, told: FloatArray, pairs: FloatArray, place: int) -> None:
    """Go where was tried, and write the pair of the step and of what the gradient fell by."""
    y = pairs.shape[0] // 2 + place
    for j in range(real.shape[1]):
        there, slope = real[TRIED, j], real[FRESH, j]
        pairs[place, j] = there - real[PRECODER, j]  # what leaves the surface is of higher order, as it is in y
        pairs[y, j] = real[GRADIENT, j] - slope
        real[PRECODER, j], real[GRADIENT, j] = there, slope
    for i in range(seen.size):
        if i == OBJECTIVE or i >= OWN:
            told[i] = seen[i]


@part
def head(
    power: float,
    magnitude: float,
    told: FloatArray,
    pairs: FloatArray,
    numbers: FloatArray,
    oldest: int,
    M: ComplexArray,
    way: ComplexArray,
    real: FloatArray,
) -> None:
    """Choose an ascent direction, which may leave the tangent space, the first length along it, and the residual."""
    slope = 0.0
    for _ in range(2):
        direct(pairs, numbers, oldest, M, way, real)
        slope = dot(real, GRADIENT, real, DIRECTION)
        if slope > 0:
            break
        forget(numbers)
    # At first at most as long as W itself.
    told[SLOPE], told[LENGTH] = slope, math.sqrt(power / max(dot(real, DIRECTION, real, DIRECTION), power))
    told[RESIDUAL] = math.sqrt(dot(real, GRADIENT, real, GRADIENT) * power) / magnitude


@part
def stop(told: FloatArray, numbers: FloatArray) -> None:
    """A start that its memory has misled tries once more without; one without is stuck."""
    told[STUCK] = 1.0
    for i in range(numbers.size // 2):
        if numbers[i] != 0:
            told[STUCK] = 0.0
    forget(numbers)
