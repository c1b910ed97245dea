"""Proximal maps, each against the conditions of the optimum that it is."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from isacsim.batch import hermitian
from isacsim.optimisation.proximal import positive_root, prox_blocks, prox_inverse_trace, prox_spare_power

seeds = st.integers(0, 2**32 - 1)


def random_hermitian(kit, shape, seed):
    X = kit.complex_gaussian(shape, seed)
    return X + hermitian(X)


@given(st.floats(-1e6, 1e6), st.floats(1e-9, 1e6))
def test_the_positive_root_is_one(linear, constant):
    z = float(positive_root(linear, constant))
    assert z > 0
    # Relative to the two terms that cancel, with a few rounding errors.
    assert abs(z**3 - linear * z**2 - constant) <= 1e-14 * (z**3 + abs(linear) * z**2 + constant)


@given(seeds, st.floats(0.1, 20))
def test_projected_blocks_keep_the_optimality_conditions(kit, seed, power):
    C = random_hermitian(kit, (2, 3, 4, 4), seed)
    V, threshold = prox_blocks(C, power)
    total = np.trace(V, axis1=-2, axis2=-1).real.sum(axis=-1)
    assert np.all(np.linalg.eigvalsh(V) >= -1e-12)
    assert np.all(total <= power * (1 + 1e-12))
    np.testing.assert_allclose(threshold * (power - total), 0.0, atol=1e-10 * power)
    Z = V - C + threshold[:, None, None, None] * np.eye(4)  # multiplier of V >= 0
    assert np.all(np.linalg.eigvalsh(Z) >= -1e-12 * np.abs(C).max())
    np.testing.assert_allclose(np.trace(Z @ V, axis1=-2, axis2=-1), 0.0, atol=1e-11 * np.abs(C).max() ** 2)


@given(seeds, st.floats(1e-3, 10))
def test_the_proximal_maps_of_the_objective_are_stationary(kit, seed, tau):
    C = random_hermitian(kit, (2, 4, 4), seed)
    Z, spectrum = prox_inverse_trace(C, tau)
    inverse = np.linalg.inv(Z)
    np.testing.assert_allclose(Z - C, tau * inverse @ inverse, atol=1e-9 * np.abs(inverse).max() ** 2 * tau)
    np.testing.assert_allclose((1 / spectrum).sum(axis=-1), np.trace(inverse, axis1=-2, axis2=-1).real, rtol=1e-9)
    Y, left = prox_spare_power(C, tau, 3, 10.0)
    np.testing.assert_allclose(left, 10.0 - np.trace(Y, axis1=-2, axis2=-1).real, rtol=1e-10)
    shift = (tau * 9 / left**2)[:, None, None] * np.eye(4)
    np.testing.assert_allclose(C - Y, shift, atol=1e-12 * np.abs(shift).max())
