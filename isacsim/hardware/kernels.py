"""Scalar quantisation of many samples, in one pass over memory.

A sample of a uniform codebook is scaled, rounded down, clipped, and scaled back. For any
other codebook a fine grid says which one threshold may still be in doubt, the sample is
compared with it, and its level looked up. No cell of the grid holds two thresholds, which
makes that exact at a cost that knows nothing of the number of levels.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from attrs import frozen

from isacsim.compiled import compiled
from isacsim.hardware.codebooks import Codebook
from isacsim.typing import FloatArray, IntArray


def quantise_rows(x: FloatArray, scale: FloatArray, book: Codebook, out: FloatArray) -> None:
    """Quantise real samples (R, n) into ``out``, row r with a full scale of ``scale[r]`` standard deviations.

    A sample on a threshold gets the level above it. A row of scale zero becomes zero, and NaN
    stays NaN.

    Args:
        x: Samples.
        scale: Scale of each row, shape (R,), at least 0.
        book: The codebook.
        out: Where the result goes, shape (R, n).
    """
    if book.step is not None:
        compiled(uniform)(x, scale * book.step, book.levels.size / 2, out)
    else:
        grid = _grid(book)
        compiled(looked_up)(x, scale, grid.density, grid.offset, grid.threshold, grid.level, out)


def uniform(x: FloatArray, step: FloatArray, half: float, out: FloatArray) -> None:
    """Mid-rise: ``step (floor(x / step) + 1/2)`` with the floor clipped to [-half, half - 1]."""
    for r in range(x.shape[0]):
        inverse = 1 / step[r] if step[r] > 0 else 0.0
        for i in range(x.shape[1]):
            level = np.floor(x[r, i] * inverse)
            if level < -half:
                level = -half
            elif level > half - 1:
                level = half - 1
            out[r, i] = (level + 0.5) * step[r]


def looked_up(
    x: FloatArray,
    scale: FloatArray,
    density: float,
    offset: float,
    threshold: FloatArray,
    level: FloatArray,
    out: FloatArray,
) -> None:
    """The level of each sample by the grid of its codebook; see `Grid`."""
    last = threshold.size - 1.0
    for r in range(x.shape[0]):
        inverse = 1 / scale[r] if scale[r] > 0 else 0.0
        for i in range(x.shape[1]):
            unit = x[r, i] * inverse
            place = unit * density + offset
            place = place if place > 0.0 else 0.0
            cell = int(place if place < last else last)
            reached = level[2 * cell + (unit >= threshold[cell])] * scale[r]
            out[r, i] = reached if unit == unit else unit


@frozen(eq=False)
class Grid:
    """A uniform grid over the thresholds of a codebook: sample x falls into cell ``density x + offset``.

    Attributes:
        density: Cells for each standard deviation.
        offset: Where zero falls.
        threshold: The one threshold in each cell, infinite where there is none.
        level: Level below the threshold of each cell and the level above it, in turn.
    """

    density: float
    offset: float
    threshold: FloatArray
    level: FloatArray


@cache
def _grid(book: Codebook) -> Grid:
    first, last = book.thresholds[0], book.thresholds[-1]
    density = 1.01 / np.diff(book.thresholds).min()  # cells are a little narrower than the least distance
    offset = 1.0 - density * first
    cells = int(density * last + offset) + 2
    # The cell of a threshold is found by the very arithmetic that samples go through.
    of_threshold: IntArray = (book.thresholds * density + offset).astype(np.intp)
    threshold = np.full(cells, np.inf)
    threshold[of_threshold] = book.thresholds
    below = np.searchsorted(of_threshold, np.arange(cells))  # thresholds in the cells before
    above = np.minimum(below + 1, book.levels.size - 1)
    return Grid(density, offset, threshold, np.stack([book.levels[below], book.levels[above]], axis=-1).ravel())
