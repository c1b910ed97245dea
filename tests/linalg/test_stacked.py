"""Linear algebra in which a matrix that is singular or no number disturbs no other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import block_diag

from isacsim.batch import hermitian
from isacsim.linalg.parts import solve_into
from isacsim.linalg.stacked import (
    ONE_BY_ONE,
    Border,
    aligned,
    eigh,
    factor,
    largest_eigenvalue,
    positive_inverse,
    way_inside,
)


@pytest.mark.parametrize("n", [ONE_BY_ONE - 1, ONE_BY_ONE, ONE_BY_ONE + 9])
def test_positive_matrices_are_inverted_each_for_itself(kit, n):
    A = kit.complex_gaussian((3, n, n), n)
    matrices = A @ hermitian(A) + np.eye(n)
    inverses = positive_inverse(matrices)
    np.testing.assert_allclose(inverses @ matrices, np.tile(np.eye(n), (3, 1, 1)), atol=1e-10)  # conditions of 1e4
    assert inverses.flags.c_contiguous
    if n >= ONE_BY_ONE:
        assert np.array_equal(inverses, hermitian(inverses))
        matrices[1] -= 2 * np.eye(n) * np.linalg.eigvalsh(matrices[1])[0]
        again = positive_inverse(matrices)
        assert np.isnan(again[1]).all()
        assert np.array_equal(again[::2], inverses[::2])


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_system_that_is_singular_or_no_number_has_no_solution_and_raises_nothing(value):
    x = np.ones(3)
    with np.errstate(all="ignore"):
        solve_into(np.full((3, 3), value), x)
    assert np.isnan(x).all()


@pytest.mark.parametrize("fault", [np.nan, np.inf])
@pytest.mark.parametrize("everywhere", [True, False])  # LAPACK gives up on the one, and gives some numbers of the other
def test_a_matrix_that_is_no_number_has_no_eigenvectors_and_disturbs_no_other(kit, fault, everywhere):
    X = kit.complex_gaussian((2, 16, 16), 0)
    X = X + hermitian(X)
    alone = eigh(X[:1])
    X[1, 0, 0] = fault
    if everywhere:
        X[1] = fault
    for found, sound in zip(eigh(X), alone, strict=True):
        assert np.array_equal(found[:1], sound)
        assert np.isnan(found[1]).all()


@pytest.mark.parametrize("columns", [0, 2, 4, 6])
def test_a_factor_is_of_the_nearest_matrix_of_its_rank(kit, columns):
    X = kit.complex_gaussian((2, 4, 4), 0)
    X = X + hermitian(X)
    F = factor(X, columns)
    spectrum = np.sort(np.maximum(np.linalg.eigvalsh(X), 0.0))[:, ::-1]
    # Eckart and Young: what is left of the positive part are its weaker eigenvalues.
    positive = factor(X, 4) @ hermitian(factor(X, 4))
    np.testing.assert_allclose(np.linalg.eigvalsh(positive)[:, ::-1], spectrum, atol=1e-13)
    left = np.linalg.norm(positive - F @ hermitian(F), axis=(-2, -1))
    np.testing.assert_allclose(left, np.sqrt((spectrum[:, columns:] ** 2).sum(axis=-1)), atol=1e-13)
    assert F.shape == (2, 4, columns)


def test_what_is_aligned_has_the_same_square_and_no_turn_of_it_is_nearer(kit):
    F, other = kit.complex_gaussian((2, 4, 3), 1), kit.complex_gaussian((2, 4, 3), 2)
    near = aligned(F, other)
    np.testing.assert_allclose(near @ hermitian(near), F @ hermitian(F), atol=1e-13)
    for seed in range(20):
        turn = np.linalg.qr(np.eye(3) + 0.1 * kit.complex_gaussian((3, 3), seed))[0]
        assert np.all(np.linalg.norm(near @ turn - other, axis=(1, 2)) >= np.linalg.norm(near - other, axis=(1, 2)))
    np.testing.assert_allclose(aligned(other @ turn, other), other, atol=1e-13)


def test_what_a_border_couples_is_solved_as_one_system():
    rng = np.random.default_rng(0)
    blocks, b = rng.standard_normal((3, 4, 4)) + 4 * np.eye(4), rng.standard_normal((3, 4))
    left, right, inner = rng.standard_normal((3, 4, 2)), rng.standard_normal((3, 4, 2)), np.diag([2.0, -3.0])
    whole = block_diag(*blocks) + left.reshape(12, 2) @ np.linalg.inv(inner) @ right.reshape(12, 2).T
    found = Border(left, inner, right).solved(blocks, b)
    np.testing.assert_allclose(found.ravel(), np.linalg.solve(whole, b.ravel()), rtol=1e-10)


@given(st.integers(0, 2**32 - 1), st.floats(-3, 3))
def test_the_secular_equation_gives_the_largest_eigenvalue_from_above(kit, seed, size):
    X, h = kit.complex_gaussian((1, 5, 5), seed), kit.complex_gaussian((1, 5, 2), seed + 1)
    spectrum, U = np.linalg.eigh(X + hermitian(X))
    weights = np.array([[10.0**size, 0.0]])
    found = largest_eigenvalue(spectrum, np.abs(hermitian(h) @ U) ** 2, weights)
    for k in range(2):
        block = X[0] + hermitian(X)[0] + weights[0, k] * np.outer(h[0, :, k], np.conj(h[0, :, k]))
        largest = np.linalg.eigvalsh(block)[-1]
        scale = np.abs(largest) + weights[0, k] * np.linalg.norm(h[0, :, k]) ** 2
        assert -1e-12 * scale <= found[0, k] - largest <= 1e-11 * scale


@pytest.mark.parametrize("size", [0.1, 10.0])
def test_a_way_goes_a_part_of_it_to_where_a_matrix_is_singular(kit, size):
    X, C = kit.complex_gaussian((3, 4, 4), 0), kit.complex_gaussian((3, 4, 4), 1)
    base, change = X @ hermitian(X) + np.eye(4), size * (C + hermitian(C))
    change[1] = C[1] @ hermitian(C[1])  # which leads nowhere near
    length = way_inside(change, base, 0.9)
    assert length[1] == 1
    for one, B, D in zip(length[::2], base[::2], change[::2], strict=True):
        if one < 1:
            np.testing.assert_allclose(np.linalg.eigvalsh(B + one / 0.9 * D)[0], 0, atol=1e-13 * np.linalg.norm(B))
        assert np.linalg.eigvalsh(B + one * D)[0] > 0
    assert (length[::2] < 1).all() == (size > 1)
    change[0, 0, 0] = np.nan
    assert way_inside(change, base, 0.9).tolist() == [0, *length[1:]]
