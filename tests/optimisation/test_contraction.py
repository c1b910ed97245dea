"""Contractions that reach along vectors, where there are some."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isacsim.batch import hermitian
from isacsim.optimisation.contraction import contraction


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 1.0))
def test_what_is_found_is_a_contraction_that_reaches_what_is_asked(kit, seed, asked):
    H = kit.complex_gaussian((6, 5, 3), seed)
    H /= np.linalg.norm(H, axis=-2, keepdims=True)
    needed = asked * np.random.default_rng(seed).uniform(0.5, 1.0, (6, 3))
    V, found = contraction(H, needed)
    reached = np.diagonal(hermitian(H) @ V, axis1=-2, axis2=-1).real
    assert np.all(np.linalg.norm(V, 2, axis=(-2, -1)) <= 1 + 1e-12)
    assert np.all(reached[found] >= needed[found])
    # One vector is reached to its length, and the weights of one vector prove that it is to no more.
    _, one = contraction(H[..., :1], np.where(np.arange(6) < 3, 0.999, 1.001)[:, None])
    assert one.tolist() == [True] * 3 + [False] * 3


@pytest.mark.parametrize(("share", "there"), [(0.999, True), (1.001, False)])
def test_along_one_vector_twice_a_contraction_reaches_half_of_its_square(share, there):
    H = np.ones((1, 4, 2), complex) / 2
    _, found = contraction(H, share * np.full((1, 2), np.sqrt(0.5)))  # Cauchy and Schwarz: |v_1|^2 + |v_2|^2 <= 1
    assert found[0] == there
