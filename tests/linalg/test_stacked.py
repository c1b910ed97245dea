"""Linear algebra in which a matrix that is singular or no number disturbs no other."""

import numpy as np
import pytest

from isacsim.batch import hermitian
from isacsim.linalg.parts import solve_into
from isacsim.linalg.stacked import ONE_BY_ONE, aligned, eigh, factor, positive_inverse


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
