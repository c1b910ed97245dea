"""Memories of former steps: the directions that theory asks of them."""

import numpy as np
import pytest

from isacsim.compiled import compiled
from isacsim.optimisation import lbfgs
from isacsim.optimisation.conjugate_gradient import LastStep
from isacsim.optimisation.lbfgs import LastPairs


def test_the_memory_is_the_two_loop_recursion_with_the_pairs_it_has_room_for():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((8, 8))
    hessian, M = A @ A.T + np.eye(8), np.diag(rng.uniform(1, 2, 4)).astype(complex)
    pairs, memory = [], LastPairs.none(3, np.zeros((1, 4), complex))
    for _ in range(5):
        s = rng.standard_normal(8)
        pairs.append((s, hessian @ s))
        memory = memory.push(*(v[None] for v in pairs[-1]), np.linalg.inv(M)[None])
    q, weights = rng.standard_normal(8), []
    found = memory.direction(q[None], np.linalg.inv(M)[None])
    for s, y in pairs[:1:-1]:
        weights.append(s @ q / (s @ y))
        q = q - weights[-1] * y
    scaled, (s, y) = np.repeat(1 / np.diag(M).real, 2), pairs[-1]
    q = s @ y / (y @ (scaled * y)) * scaled * q
    for (s, y), weight in zip(pairs[2:], reversed(weights), strict=True):
        q = q + (weight - y @ q / (s @ y)) * s
    np.testing.assert_allclose(found[0], q, rtol=1e-12)  # the same sums in another order


@pytest.mark.parametrize("blocks", [1, 2])
def test_what_is_compiled_of_the_recursion_is_what_is_written(blocks):
    rng = np.random.default_rng(2)
    matrix = rng.standard_normal((2, blocks, 3, 3)) + 1j * rng.standard_normal((2, blocks, 3, 3))
    M_inverse = np.ascontiguousarray((matrix @ matrix.conj().swapaxes(-1, -2)).reshape(2, 3 * blocks, 3))
    step, change, gradient = rng.standard_normal((3, 2, 12 * blocks))
    change[0] += 20 * step[0]  # of a sound curvature; the other one is as it falls
    found = []
    for run in (compiled, lambda function: function):
        memory, way = lbfgs.no_pairs(2, 2, 12 * blocks), lbfgs.no_way(2, 3 * blocks, 2)
        memory.pairs[:, 1], memory.pairs[:, 3], way.real[:, lbfgs.GRADIENT] = step, change, gradient
        run(lbfgs.judge_each)(memory, 1, M_inverse, way)
        run(lbfgs.direct_each)(memory, 0, M_inverse, way)
        found.append((memory.numbers, way.real[:, lbfgs.DIRECTION]))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)  # products by another BLAS


def test_a_pair_of_negative_curvature_is_not_remembered():
    gradient, M_inverse = np.random.default_rng(3).standard_normal((1, 8)), np.eye(2, dtype=complex)[None]
    memory = LastPairs.none(2, gradient.view(complex)).push(gradient, -gradient, M_inverse)
    assert np.all(memory.empty)
    np.testing.assert_array_equal(memory.direction(gradient, M_inverse), gradient)


def test_conjugate_directions_with_exact_steps_end_after_one_step_a_dimension():
    rng = np.random.default_rng(1)
    A = rng.standard_normal((6, 6))
    hessian, M_inverse = A @ A.T + np.eye(6), np.diag(rng.uniform(1, 2, 3)).astype(complex)[None]
    x, g = np.zeros(6), rng.standard_normal(6)  # of g^T x - x^T hessian x / 2
    begin, memory = np.linalg.norm(g), LastStep.none(g.view(complex)[None])
    for _ in range(6):
        d = memory.direction(g[None], M_inverse)[0]
        s = (g @ d) / (d @ hessian @ d) * d
        x, g, memory = x + s, g - hessian @ s, memory.push(s[None], (hessian @ s)[None], M_inverse)
    # The classic end of conjugate gradients; rounding grows with the condition of the Hessian, some 50.
    assert np.linalg.norm(g) < 1e-9 * begin
