"""Quantising rows: the definition of a codebook, sample for sample, compiled or not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isacsim import Aqnm, MidRise
from isacsim.hardware.codebooks import lloyd_max, mid_rise
from isacsim.hardware.kernels import _grid, looked_up, quantise_rows, uniform

BOOKS = [
    *(lloyd_max(b) for b in range(1, 9)), lloyd_max(12), *(mid_rise(b) for b in (1, 2, 3, 8)), mid_rise(3, 0.3)
]  # fmt: skip


def quantised(x, scale, book):
    out = np.empty_like(x)
    quantise_rows(x, np.asarray(scale, float), book, out)
    return out


@pytest.mark.parametrize("book", BOOKS, ids=lambda b: f"{b.levels.size} levels, step {b.step}")
def test_a_sample_gets_the_level_of_its_interval(book):
    rng = np.random.default_rng(0)
    scale = np.array([1.0, 0.25, 2.0])  # powers of two: scaling a threshold is exact
    inside = rng.uniform(book.thresholds[0] - 1, book.thresholds[-1] + 1, 3000)
    away = book.thresholds[book.thresholds != 0]  # next to zero are numbers too small to be scaled
    near = np.nextafter(away, [[-9.0], [9.0]]).ravel()
    unit = np.concatenate([inside, book.thresholds, near, [-1e6, 1e6, 0.0]])
    if book.step:
        # x / step is rounded: right at a threshold either neighbour is right.
        unit = np.concatenate([inside, [-1e6, 1e6, 0.0]])
    expected = book.levels[np.searchsorted(book.thresholds, unit, side="right")]
    # The levels of a uniform codebook are computed, (k + 1/2) step, to rounding.
    np.testing.assert_allclose(quantised(scale[:, None] * unit, scale, book), scale[:, None] * expected, rtol=1e-14)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 10])
@pytest.mark.parametrize("codebook", [lloyd_max, mid_rise])
def test_quantising_is_monotone_odd_and_idempotent_on_levels(codebook, bits):
    book = codebook(bits)
    x = np.sort(np.random.default_rng(bits).standard_normal(5000))[None]
    y = quantised(x, [1.0], book)
    assert np.all(np.diff(y) >= 0)
    np.testing.assert_allclose(quantised(-x, [1.0], book), -y, rtol=1e-12)
    np.testing.assert_allclose(quantised(book.levels[None], [1.0], book)[0], book.levels, rtol=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(0, 5), st.integers(0, 40), st.sampled_from([2, 5, 8]))
def test_what_is_compiled_has_the_bytes_of_what_is_written(seed, rows, length, bits):
    rng = np.random.default_rng(seed)
    x, scale = rng.standard_normal((rows, length)), rng.uniform(0.1, 2.0, rows)
    book, grid, written = mid_rise(bits), _grid(lloyd_max(bits)), np.empty_like(x)
    uniform(x, scale * book.step, book.levels.size / 2, written)
    assert written.tobytes() == quantised(x, scale, book).tobytes()
    looked_up(x, scale, grid.density, grid.offset, grid.threshold, grid.level, written)
    assert written.tobytes() == quantised(x, scale, lloyd_max(bits)).tobytes()


@pytest.mark.parametrize("book", [lloyd_max(3), mid_rise(3)])
def test_what_is_no_number_stays_none_and_what_is_infinite_saturates(book):
    y = quantised(np.array([[np.nan, np.inf, -np.inf, 0.1]]), [1.0], book)
    assert np.isnan(y[0, 0])
    np.testing.assert_allclose(y[0, 1:3], book.levels[[-1, 0]], rtol=1e-14)
    assert np.isfinite(y[0, 3])


@pytest.mark.parametrize("book", [lloyd_max(3), lloyd_max(5), mid_rise(3)])
def test_a_silent_row_stays_silent(book):
    assert np.all(quantised(np.array([[0.0, -0.0], [0.0, 1.0]]), [0.0, 0.0], book) == 0)


@pytest.mark.parametrize("device", [Aqnm(3), Aqnm([1, 2, 5, np.inf]), MidRise(3), MidRise([2, 4, 4, 2])])
def test_samples_need_not_be_contiguous(device):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50, 4, 3)) + 1j * rng.standard_normal((50, 4, 3))
    turned = np.moveaxis(x, 0, -1)  # (4, 3, 50), samples strided
    turned = np.moveaxis(turned, 0, 1)
    np.testing.assert_array_equal(device.apply(turned), device.apply(np.ascontiguousarray(turned)))
    one = device.apply(turned[..., :1], power=np.ones(4))
    assert one.shape == (3, 4, 1)
    np.testing.assert_array_equal(one, device.apply(turned, power=np.ones(4))[..., :1])
