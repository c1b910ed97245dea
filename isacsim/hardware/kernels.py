"""Scalar quantisation of many samples at the speed of the cache.

A pass of NumPy over an array that does not fit the cache costs as much as the arithmetic of
several; the functions here therefore take tiles of `TILE` samples through all steps, in
place, before they go on. Which steps these are depends on the codebook:

- of a uniform one, scale, round down, clip, and scale back;
- of few levels, count the thresholds that a sample reaches, and look its level up;
- of many levels, look up in a fine grid which one threshold may still be in doubt, compare
  with it, and look the level up. No grid cell holds two thresholds, which makes it exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from attrs import frozen

from isacsim.hardware.codebooks import Codebook
from isacsim.typing import FloatArray, IntArray

TILE = 2**16  # samples that are taken through all steps at once: 512 KiB, about a second-level cache
COUNTED = 7  # most thresholds that are counted; 3 bits have as many


def quantise_rows(x: FloatArray, scale: FloatArray, book: Codebook, out: FloatArray) -> None:
    """Quantise real samples (R, n) into ``out``, row r with a full scale of ``scale[r]`` standard deviations.

    A sample on a threshold gets the level above it. A row of scale zero becomes zero.

    Args:
        x: Samples.
        scale: Scale of each row, shape (R,), at least 0.
        book: The codebook.
        out: Where the result goes, shape (R, n).
    """
    steps = _uniform if book.step is not None else _counted if book.thresholds.size <= COUNTED else _looked_up
    for tile in _tiles(*x.shape):
        steps(x[tile], scale[tile[0], None], book, out[tile])


def _tiles(rows: int, length: int) -> Iterator[tuple[slice, slice]]:
    """Slices of an array (rows, length) of about `TILE` entries each: whole rows where they are short."""
    high, wide = max(1, TILE // max(1, length)), min(length, TILE)
    for i in range(0, rows, high):
        for j in range(0, length, max(1, wide)):
            yield slice(i, i + high), slice(j, j + wide)


def _uniform(x: FloatArray, scale: FloatArray, book: Codebook, out: FloatArray) -> None:
    step, half = scale * (book.step or 0.0), book.levels.size / 2
    np.multiply(x, _inverse(step), out=out)
    np.floor(out, out=out)
    np.clip(out, -half, half - 1, out=out)
    np.add(out, 0.5, out=out)
    np.multiply(out, step, out=out)


def _counted(x: FloatArray, scale: FloatArray, book: Codebook, out: FloatArray) -> None:
    thresholds = scale * book.thresholds
    index, reached = np.zeros(x.shape, np.uint8), np.empty(x.shape, bool)
    for k in range(book.thresholds.size):
        np.greater_equal(x, thresholds[:, k, None], out=reached)
        np.add(index, reached.view(np.uint8), out=index)
    np.take(book.levels, index, mode="clip", out=out)
    np.multiply(out, scale, out=out)


def _looked_up(x: FloatArray, scale: FloatArray, book: Codebook, out: FloatArray) -> None:
    grid = _grid(book)
    unit = x * _inverse(scale)
    np.multiply(unit, grid.density, out=out)
    np.add(out, grid.offset, out=out)
    np.clip(out, 0.0, grid.threshold.size - 1.0, out=out)
    cell = out.astype(np.intp)
    np.take(grid.threshold, cell, mode="clip", out=out)
    np.add(cell, cell, out=cell)
    np.add(cell, np.greater_equal(unit, out), out=cell)
    np.take(grid.level, cell, mode="clip", out=out)
    np.multiply(out, scale, out=out)


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


def _inverse(scale: FloatArray) -> FloatArray:
    """1/scale, zero where the scale is."""
    return np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
