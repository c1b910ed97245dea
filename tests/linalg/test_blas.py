"""Products by BLAS, in plain Python and compiled."""

import numba
import numpy as np
import pytest

from isacsim.compiled import _jitted, _with_parts
from isacsim.linalg.blas import multiply, scalar_product, write

SHAPES = [((4, 3), (3, 5)), ((4, 1), (1, 5)), ((1, 3), (3, 1)), ((4, 0), (0, 5)), ((0, 3), (3, 5)), ((4, 3), (3, 0))]
VECTORS = [((4, 3), (3,)), ((3,), (3, 5)), ((4, 0), (0,)), ((0,), (0, 5))]


def product_each(A, B, into):
    multiply(A, B, into)


def sum_each(a, b):
    return scalar_product(a, b)


def write_each(values, into):
    write(values[1], into[2])


@pytest.fixture(scope="module")
def kernels():
    return [_jitted(_with_parts(each, False), False) for each in (product_each, sum_each)]


@pytest.mark.parametrize("kind", [float, complex])
def test_compiled_products_are_those_of_numpy(kernels, kind):
    rng, (product, scalar) = np.random.default_rng(0), kernels
    for left, right in SHAPES + VECTORS:
        A, B = (np.asarray(rng.standard_normal(shape) * (1 if kind is float else 1 + 2j)) for shape in (left, right))
        into = np.full((A @ B).shape, np.nan, kind)
        product(A, B, into)
        np.testing.assert_allclose(into, A @ B, rtol=1e-14, atol=1e-14)  # some rounding of three terms
        product_each(A, B, into)
        np.testing.assert_array_equal(into, A @ B)
    a, b = rng.standard_normal((2, 7)) * (1 if kind is float else 1 + 2j)
    assert scalar(a, b) == pytest.approx(a @ b, rel=1e-14)
    assert sum_each(a, b) == a @ b


@pytest.mark.parametrize("kind", [float, complex])
@pytest.mark.parametrize(
    "shapes", [((4, 3), (2, 5), (4, 5)), ((4, 3), (3, 5), (4, 4)), ((4, 3), (4,), (4,)), ((0, 3), (2, 5), (2, 2))]
)
def test_what_is_no_product_is_no_number(kernels, kind, shapes):
    A, B, into = (np.ones(shape, kind) for shape in shapes)
    kernels[0](A, B, into)
    assert np.isnan(into).all()
    with pytest.raises(ValueError, match=r"shape|dimension|aligned"):
        product_each(A, B, into)
    assert np.isnan(kernels[1](np.ones(3, kind), np.ones(2, kind)))


@pytest.mark.parametrize("kind", [float, complex])
def test_compiled_copies_go_where_they_belong(kind):
    values, into = np.arange(24).reshape(2, 3, 4).astype(kind), np.zeros((4, 3, 4), kind)
    _jitted(_with_parts(write_each, False), False)(values, into)
    expected = np.zeros_like(into)
    write_each(values, expected)
    np.testing.assert_array_equal(into, expected)
    assert into[2].any()


@pytest.mark.parametrize("wrong", [np.ones((3, 3)).T, np.ones((3, 3), complex), np.ones((3, 6))[:, ::2]])
def test_other_orders_and_mixed_types_are_no_products(kernels, wrong):
    with pytest.raises(numba.core.errors.TypingError):
        kernels[0](wrong, np.ones((3, 3)), np.empty((3, 3)))


def test_a_copy_that_does_not_fit_is_no_number():
    into = np.zeros((4, 3, 4))
    _jitted(_with_parts(write_each, False), False)(np.ones((2, 3, 3)), into)
    assert np.isnan(into[2]).all()
    assert not into[:2].any()
