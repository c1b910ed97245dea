"""Paths of conjugate gradients within a radius, against models whose maxima are known."""

import numpy as np
import pytest

from isacsim.optimisation.trust_region import (
    DD,
    LENGTH,
    SLOPE,
    XD,
    Path,
    advance,
    project,
    reach,
    walk,
)


def gone(A, g, radius, corners=8):
    """The path for the model ``2 <g, x> - <x, A x>`` and the number of its segments; ``A`` as it bends the model."""
    path, residual, direction = Path(np.zeros((corners + 1, g.size)), np.zeros((corners + 1, 6))), g.copy(), 0.0
    for j in range(corners):
        told, size = path.told[j], residual @ residual
        if size < 1e-24 * (g @ g):
            return path, j
        share = size / path.told[j - 1, SLOPE] if j else 0.0
        direction = residual + share * direction
        told[XD] *= share
        told[DD] = size + share**2 * told[DD]
        inside = reach(told, size, direction @ A @ direction, radius)
        advance(told, path.told[j + 1])
        path.corners[j + 1] = path.corners[j] + told[LENGTH] * direction
        residual = residual - told[LENGTH] * (A @ direction)
        if not inside:
            return path, j + 1
    return path, corners


def model(A, g, x):
    return 2 * g @ x - x @ A @ x


def drawn(lowest, n=6, seed=0):
    rng = np.random.default_rng(seed)
    Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    return Q @ np.diag(np.linspace(lowest, 3.0, n)) @ Q.T, rng.standard_normal(n)


def test_a_path_with_room_ends_at_the_maximum():
    A, g = drawn(0.5)
    (path, segments), step = gone(A, g, 1e3), np.zeros(6)
    rise = walk(path, segments, 1e3, step)
    np.testing.assert_allclose(step, np.linalg.solve(A, g), rtol=1e-9)
    assert rise == pytest.approx(g @ np.linalg.solve(A, g), rel=1e-12)


@pytest.mark.parametrize("lowest", [0.5, -1.0], ids=["concave", "not concave"])
@pytest.mark.parametrize("share", [1.0, 0.6, 0.05])
def test_steps_of_any_length_come_from_one_path_with_the_rise_that_the_model_has(lowest, share):
    A, g = drawn(lowest, seed=1)
    radius = 0.8 * np.linalg.norm(np.linalg.solve(A, g))
    (path, segments), step = gone(A, g, radius), np.zeros(6)
    rise = walk(path, segments, share * radius, step)
    assert np.linalg.norm(step) == pytest.approx(share * radius, rel=1e-12)
    assert rise == pytest.approx(model(A, g, step), rel=1e-12)
    # No less than along the gradient alone, which the path begins with.
    along = np.linspace(0.0, share * radius, 50)[:, None] * g / np.linalg.norm(g)
    assert rise >= max(model(A, g, x) for x in along) * (1 - 1e-12)


def test_what_is_left_is_orthogonal_to_the_normals_and_the_rest_is_made_of_them():
    rng = np.random.default_rng(2)
    normals, x = rng.standard_normal((3, 8)), rng.standard_normal(8)
    left, taken = x.copy(), np.zeros(8)
    project(normals, np.linalg.inv(normals @ normals.T), left, np.zeros((2, 3)), taken)
    np.testing.assert_allclose(normals @ left, 0.0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.lstsq(normals.T, x - left)[0] @ normals, x - left, atol=1e-12)
