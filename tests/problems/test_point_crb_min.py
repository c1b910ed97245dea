"""`PointCrbMin`: objective against the printed Schur complement, requirements, and malformed arguments."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isacsim import Aqnm, InvalidInput, PointCrbMin, PointTargets, ResponseMatrix, Transceiver, UniformLinearArray
from isacsim.problems.point_crb_min import PointCrbMinRequirements
from isacsim.testing import example_drop

seeds = st.integers(0, 2**32 - 1)


def problem_of(kit, seed=0, **changes):
    tx, rx = UniformLinearArray(5, normalized=False), UniformLinearArray(4, normalized=False)
    arguments = {
        "H": kit.complex_gaussian((5, 2), seed),
        "targets": PointTargets(tx, rx, [0.4], [np.pi / 2], [0.2 - 0.1j]),
        "min_sinr": [2.0, 3.0],
        "power": 5.0,
        "noise_power": [0.1, 0.2],
        "radar_noise_power": 0.3,
        "snapshots": 7,
    }
    return PointCrbMin(**{**arguments, **changes})


@given(seeds)
def test_the_objective_is_the_inverse_of_a_schur_complement(kit, seed):
    problem = problem_of(kit)
    W = kit.complex_gaussian((3, 5, 4), seed)
    R = W @ np.conj(W).swapaxes(-1, -2)
    n, m = np.arange(5), np.arange(4)
    a, b = np.exp(1j * np.pi * n * np.sin(0.4)), np.exp(1j * np.pi * m * np.sin(0.4))
    slope = np.pi * np.cos(0.4)
    A = np.outer(b, np.conj(a))
    dA = np.outer(1j * slope * m * b, np.conj(a)) + np.outer(b, np.conj(1j * slope * n * a))

    def form(X, Y):
        return np.trace(np.conj(X).T @ Y @ R, axis1=-2, axis2=-1)

    schur = form(dA, dA).real - np.abs(form(dA, A)) ** 2 / form(A, A).real
    expected = 0.3 / (2 * 7 * abs(0.2 - 0.1j) ** 2) / schur
    np.testing.assert_allclose(problem.objective(W), expected, rtol=1e-9)  # algebra, with a difference


def test_only_the_angles_count(kit):
    scene = kit.make_scene(2)
    problem = problem_of(kit, H=kit.complex_gaussian((6, 2), 0), targets=scene)
    np.testing.assert_array_equal(problem.selection, [1, 1, 1, 1, 0, 0, 0, 0])
    W = kit.complex_gaussian((6, 6), 1)
    from isacsim import metrics

    bounds = metrics.crlb(scene, W, 0.3, 7)
    np.testing.assert_allclose(problem.objective(W), bounds[:4].sum(), rtol=1e-12)


def test_constraints_are_relative_slacks_and_infinite_without_a_requirement(kit):
    problem = problem_of(kit, min_sinr=[2.0, 0.0])
    slacks = problem.constraints(kit.complex_gaussian((5, 7), 0))
    assert slacks["sinr"].shape == (2,)
    assert slacks["sinr"][1] == np.inf
    assert problem.streams == 7
    assert problem.users == 2


def test_a_target_that_answers_nothing_is_told_as_not_identifiable(kit):
    problem = problem_of(kit, H=kit.complex_gaussian((2, 5, 2), 0))
    silent = attrs.evolve(problem.targets, reflection=np.array([[0.1], [0.0]]), azimuth=[0.4], zenith=[np.pi / 2])
    sound, notes = attrs.evolve(problem, targets=silent).screen()
    np.testing.assert_array_equal(sound, [True, False])
    assert "not identifiable" in notes[1][0]


def test_requirements_pose_the_problem_of_a_drop():
    drop = example_drop(2)
    problem = PointCrbMinRequirements(min_sinr=2.0).pose(drop, Transceiver(user=Aqnm(3)))
    assert problem.H.shape == drop.H.shape
    assert problem.transceiver.user == Aqnm(3)
    assert np.all(PointCrbMinRequirements().pose(drop, Transceiver()).min_sinr == 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"targets": ResponseMatrix(np.eye(5))},
            "targets: must have unknown parameters, .* for a CRLB of angles",
        ),
        ({"H": np.ones((4, 2))}, "H: must have the 5 transmit antennas of the targets"),
        ({"min_sinr": -1.0}, "min_sinr: must be at least 0"),
        ({"min_sinr": [1.0, 1.0, 1.0]}, r"min_sinr: must broadcast to \(..., 2\)"),
        ({"snapshots": 0}, "snapshots: must be a finite number greater than 0"),
        ({"power": np.nan}, "power: must be finite"),
    ],
)
def test_malformed_arguments_are_refused_with_a_remedy(kit, changes, message):
    with pytest.raises(InvalidInput, match=message):
        problem_of(kit, **changes)
