"""The augmented Lagrangian method on a linear objective over a sphere, whose optima have a closed form."""

import numpy as np
import pytest
from attrs import field, frozen

from isacsim.batch import inner, real_vectors, rows, take
from isacsim.optimisation.augmented import Ascent, Constrained, ConstrainedPoint, tightened
from isacsim.optimisation.spheres import Spheres

POWER = 2.0


@frozen(eq=False)
class Halfspace(Constrained):
    """``Re tr(C^H W)`` under ``Re tr(D^H W) >= least`` on a sphere, for D of norm 1."""

    surface: Spheres = field()
    power = rows()
    C = rows(2)
    D = rows(2)
    least = rows()

    @classmethod
    def drawn(cls, kit, least):
        members = len(least)
        C, D = (kit.complex_gaussian((members, 4, 3), seed) for seed in (0, 1))
        D = D / np.sqrt(inner(D, D))[:, None, None]
        power = np.full(members, POWER)
        return cls(np.zeros((members, 1)), np.ones(members), Spheres(power, False), power, C, D, least)

    def evaluate(self, W):
        slack = (inner(self.D, W) - self.least)[:, None]
        push, cost = self.pushed(slack)
        gradient = (self.C + push[..., None] * self.D) / 2
        return ConstrainedPoint(W, inner(self.C, W) - cost, gradient, np.zeros_like(W), slack, push)

    def normals(self, Z):
        slope = self.surface.slope(Z, self.D / 2, np.zeros_like(Z))
        return (inner(self.D, Z) - self.least)[:, None], real_vectors(slope)[:, None]

    def magnitude(self, point):
        return np.sqrt(self.power * inner(self.C, self.C)) + point.push[:, 0]

    def preconditioner(self, point):
        return np.tile(np.eye(4, dtype=complex), (len(point.W), 1, 1))

    def optimum(self):
        """Along C where that has slack; else ``least`` along D, and the rest along what C has beside it."""
        along = inner(self.D, self.C)
        free = np.sqrt(POWER / inner(self.C, self.C))[:, None, None] * self.C
        beside = self.C - along[:, None, None] * self.D
        rest = np.sqrt((POWER - self.least**2) / inner(beside, beside))[:, None, None]
        bound = self.least[:, None, None] * self.D + rest * beside
        return np.where((inner(self.D, free) >= self.least)[:, None, None], free, bound)


def climbed(merit, W, steps=200):
    state = Ascent.first(merit, W, 1e-8)
    for _ in range(steps):
        if (state.residual <= 1e-8).all():
            break
        state = state.step()
    return state


def test_the_ascent_ends_at_the_optimum_whether_the_constraint_binds_or_not(kit):
    merit = Halfspace.drawn(kit, np.array([-1.0, 0.9, 1.2]))
    state, best = climbed(merit, kit.complex_gaussian((3, 4, 3), 2)), merit.optimum()
    assert np.all(state.residual <= 1e-8)
    # A residual is of first order, the curvature of the sphere of order one.
    np.testing.assert_allclose(state.point.W, best, atol=1e-7)
    held = state.point.push[:, 0] > 0
    assert list(held) == [False, True, True]
    # Stationary: C + lambda D is along W, of which the part beside D says the length.
    C, D, W = merit.C[held], merit.D[held], best[held]
    beside = W - merit.least[held, None, None] * D
    price = inner(C, beside) / inner(beside, beside)
    np.testing.assert_allclose(state.point.push[held, 0], price * merit.least[held] - inner(C, D), rtol=1e-6)


@pytest.mark.parametrize("least", [0.9, 1.2])
def test_points_near_a_constraint_are_taken_to_it_on_the_surface(kit, least):
    merit = Halfspace.drawn(kit, np.full(2, least))
    near = merit.project(merit.optimum() + 0.02 * kit.complex_gaussian((2, 4, 3), 3))
    W, worst = tightened(merit, near, np.ones((2, 1)))
    np.testing.assert_allclose(inner(merit.D, W), least, atol=1e-10)  # the margin of 1e-11, and rounding
    assert np.all(worst >= 0)
    np.testing.assert_allclose(inner(W, W), POWER, rtol=1e-12)


def test_a_member_has_the_bytes_it_has_alone(kit):
    merit, W = Halfspace.drawn(kit, np.array([-1.0, 0.9, 1.2])), kit.complex_gaussian((3, 4, 3), 2)
    together = climbed(merit, W, steps=12)
    for i in range(3):
        alone = climbed(take(merit, np.array([i])), W[[i]], steps=12)
        assert np.array_equal(alone.point.W[0], together.point.W[i])
