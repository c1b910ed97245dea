"""Coordinates of Hermitian matrices, of stacks and in kernels."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from isacsim.batch import hermitian
from isacsim.linalg.hermitian import (
    coordinates,
    coordinates_into,
    dyads,
    dyads_into,
    matrices,
    matrix_into,
    subtract_congruence,
    weighted_congruence,
)


def random_hermitian(kit, shape, seed):
    X = kit.complex_gaussian(shape, seed)
    return X + hermitian(X)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_coordinates_keep_matrices_and_inner_products(kit, seed, r):
    X, Y = random_hermitian(kit, (2, r, r), seed), random_hermitian(kit, (2, r, r), seed + 1)
    np.testing.assert_allclose(matrices(coordinates(X)), X, atol=1e-15 * np.abs(X).max())
    inner = np.trace(X @ Y, axis1=-2, axis2=-1).real
    np.testing.assert_allclose((coordinates(X) * coordinates(Y)).sum(axis=-1), inner, atol=1e-12)
    C, h = kit.complex_gaussian((r, r), seed + 2), kit.complex_gaussian((2, r, 3), seed + 3)
    one = h[:, :, 1:2] @ hermitian(h[:, :, 1:2])
    np.testing.assert_allclose(dyads(h)[..., 1], coordinates(one), atol=1e-13)
    # The same of one member
    x, back, D, J = np.empty(r * r), np.empty((r, r), complex), np.empty((3, r * r)), np.zeros((r * r, r * r))
    coordinates_into(X[0], x)
    matrix_into(x, back)
    dyads_into(h[0], D)
    np.testing.assert_allclose(x, coordinates(X)[0], rtol=1e-15)
    np.testing.assert_allclose(back, X[0], atol=1e-15 * np.abs(X).max())
    np.testing.assert_allclose(D.T, dyads(h)[0], atol=1e-13)
    subtract_congruence(C, J)
    moved = coordinates(C @ X[0] @ hermitian(C))
    np.testing.assert_allclose(-J @ x, moved, atol=1e-12 * np.abs(X).max() * r**2)


def test_the_weighted_congruence_is_a_matrix_of_what_it_says(kit):
    C, Y = kit.complex_gaussian((2, 7, 3), 0), kit.complex_gaussian((2, 3, 3), 1)
    Y = Y + np.conj(Y).swapaxes(-1, -2)
    weights = np.abs(kit.complex_gaussian((2, 7, 7), 2))
    weights = weights + weights.swapaxes(-1, -2)
    CH = np.conj(C).swapaxes(-1, -2)
    direct = CH @ (weights * (C @ Y @ CH)) @ C
    np.testing.assert_allclose(matrices((weighted_congruence(C, weights) @ coordinates(Y)[..., None])[..., 0]), direct)
