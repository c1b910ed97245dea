"""The Riemannian iteration on objectives whose optima are known: quadratic forms at a given power."""

import numpy as np
import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from isacsim.batch import hermitian, inner, rows, take
from isacsim.optimisation.blocks import Blocks
from isacsim.optimisation.conjugate_gradient import LastStep
from isacsim.optimisation.lbfgs import LastPairs
from isacsim.optimisation.preconditioner import damped_inverse
from isacsim.optimisation.riemannian import RiemannianState
from isacsim.optimisation.spheres import Spheres
from isacsim.optimisation.surface import OnSurface

MEMORIES = {"lbfgs": lambda Z: LastPairs.none(5, Z), "cg": LastStep.none}


@frozen(eq=False)
class Point:
    """The form at Z, with its half gradient; the normals of spheres are Z itself."""

    W: np.ndarray = rows(2)
    objective: np.ndarray = rows()
    gradient: np.ndarray = rows(2)

    @property
    def normal(self):
        return self.W


@frozen(eq=False)
class Form(OnSurface):
    """``tr(Z^H A Z)`` for positive semidefinite ``A = N N^H``."""

    N: np.ndarray = rows(2)
    surface: Spheres = field()

    @property
    def members(self):
        return len(self.N)

    @property
    def power(self):
        return self.surface.power

    def evaluate(self, W):
        gradient = self.N @ (hermitian(self.N) @ W)
        return Point(W, inner(W, gradient), gradient)

    def magnitude(self, point):
        return point.objective

    def preconditioner(self, point):
        """Of a matrix like A: any positive definite one leads to the same optimum."""
        return damped_inverse(self.N, np.ones((len(self.N), self.N.shape[-1])), point.objective / self.power)


def climbed(form, Z, memory, steps=400):
    """The state where the residual is 1e-10, and the objectives on the way there."""
    state = RiemannianState.first(form, Z, np.arange(len(Z)), MEMORIES[memory](Z))
    objectives = [state.point.objective]
    for _ in range(steps):
        if np.all((state.residual < 1e-10) | state.stalled):
            break
        state = state.step()
        objectives.append(state.point.objective)
    return state, np.array(objectives)


@pytest.mark.parametrize("memory", MEMORIES)
def test_on_one_sphere_a_form_ends_at_its_largest_eigenvalue(kit, memory):
    N, power = kit.complex_gaussian((3, 5, 3), 0), np.array([1.0, 2.0, 0.5])
    state, objectives = climbed(Form(N, Spheres(power, apart=False)), kit.complex_gaussian((3, 5, 2), 1), memory)
    largest = np.linalg.eigvalsh(N @ hermitian(N))[:, -1]
    # A residual of 1e-10, or steps that rounding hides, leave about the square of it.
    np.testing.assert_allclose(state.point.objective, power * largest, rtol=1e-12)
    np.testing.assert_allclose(inner(state.point.W, state.point.W), power, rtol=1e-14)
    assert np.all(np.diff(objectives, axis=0) >= 0)


@pytest.mark.parametrize("memory", MEMORIES)
def test_rows_of_a_given_power_each_end_in_phase_where_their_sum_counts(kit, memory):
    ones, power = np.ones((1, 6, 1), complex), np.array([3.0])
    state, _ = climbed(Form(ones, Spheres(power, apart=True)), kit.complex_gaussian((1, 6, 2), 2), memory)
    np.testing.assert_allclose(state.point.objective, 6 * power, rtol=1e-12)  # |sum of n rows|^2 <= n |rows|^2
    np.testing.assert_allclose((np.abs(state.point.W) ** 2).sum(axis=-1), 0.5, rtol=1e-14)


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("cap", [1.25, np.inf])
def test_blocks_of_one_power_fill_the_best_of_them_up_to_their_cap(kit, memory, cap):
    N, power = np.zeros((2, 6, 6), complex), np.array([1.0, 3.0])
    N[:, :3, :3], N[:, 3:, 3:] = kit.complex_gaussian((2, 3, 3), 0), kit.complex_gaussian((2, 3, 3), 1)
    surface = Blocks(power, 2, cap, np.zeros((1, 2), bool))
    state, objectives = climbed(Form(N, surface), kit.complex_gaussian((2, 6, 2), 2), memory, steps=2000)
    worth = np.sort([np.linalg.eigvalsh(each @ hermitian(each))[:, -1] for each in (N[:, :3], N[:, 3:])], axis=0)
    best = min(cap / 2, 1.0)  # of the power, to the block that makes most of it
    np.testing.assert_allclose(state.point.objective, power * (best * worth[1] + (1 - best) * worth[0]), rtol=1e-12)
    np.testing.assert_allclose(inner(state.point.W, state.point.W), power, rtol=1e-14)
    assert np.all(np.diff(objectives, axis=0) >= 0)


@pytest.mark.parametrize("memory", MEMORIES)
def test_a_member_of_a_batch_climbs_as_it_does_alone(kit, memory):
    form, Z = (
        Form(kit.complex_gaussian((3, 4, 4), 3), Spheres(np.ones(3), apart=False)),
        kit.complex_gaussian((3, 4, 2), 4),
    )
    together, _ = climbed(form, Z, memory, steps=6)
    alone, _ = climbed(take(form, np.array([1])), Z[1:2], memory, steps=6)
    assert kit.raw_bytes(alone.point.W[0]) == kit.raw_bytes(together.point.W[1])


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 4), st.booleans())
def test_a_slope_has_no_part_along_the_normals_and_is_that_of_the_projected_objective(kit, seed, n, m, apart):
    form = Form(kit.complex_gaussian((2, n, n), seed), Spheres(np.array([1.0, 4.0]), apart))
    Z, step = form.project(kit.complex_gaussian((2, n, m), seed + 1)), kit.complex_gaussian((2, n, m), seed + 2)
    point = form.evaluate(Z)
    slope = form.slope(point)
    along = (Z.conj() * slope).real.sum(axis=-1 if apart else (-2, -1))
    np.testing.assert_allclose(along, 0.0, atol=1e-14 * np.linalg.norm(Z) * np.linalg.norm(point.gradient))
    h = 1e-5
    ahead, behind = (form.evaluate(form.project(Z + s * h * step)).objective for s in (1, -1))
    # Central differences: the square of h beside third derivatives, and rounding over h.
    scale = np.linalg.norm(step, axis=(-2, -1)) ** 3 * np.linalg.norm(form.N, axis=(-2, -1)) ** 2 + 1
    assert np.all(np.abs((ahead - behind) / (2 * h) - inner(step, slope)) <= 1e-6 * scale)
